"""Subscribe to a topic, publish to it, and wait for the message, with adafruit_minimqtt.

    . build/venv/bin/activate; cd examples/circuitpython
    python -m spinet_controller.circuitpython --sim ../../build/sim/micropython mqtt_client.py

settings.toml says which broker and which network. The same program runs in CircuitPython, where a
NeoPixel shows the state of the network.
"""

from os import getenv

import adafruit_connection_manager
import adafruit_minimqtt.adafruit_minimqtt as minimqtt
import board
import busio
import neopixel
from adafruit_esp32spi import adafruit_esp32spi
from adafruit_esp32spi.adafruit_esp32spi_wifimanager import WiFiManager
from digitalio import DigitalInOut

TOPIC = "workshop/door"

esp = adafruit_esp32spi.ESP_SPIcontrol(
    busio.SPI(board.SCK, board.MOSI, board.MISO),
    DigitalInOut(board.ESP_CS),
    DigitalInOut(board.ESP_BUSY),
    DigitalInOut(board.ESP_RESET),
)
wifi = WiFiManager(
    esp,
    getenv("CIRCUITPY_WIFI_SSID"),
    getenv("CIRCUITPY_WIFI_PASSWORD"),
    status_pixel=neopixel.NeoPixel(board.NEOPIXEL, 1, brightness=0.2),
)
wifi.connect()

messages = []
client = minimqtt.MQTT(
    broker=getenv("BROKER"),
    port=int(getenv("BROKER_PORT")),
    socket_pool=adafruit_connection_manager.get_radio_socketpool(esp),
    ssl_context=adafruit_connection_manager.get_radio_ssl_context(esp),
)
client.on_message = lambda _client, topic, message: messages.append((topic, message))
client.connect()
client.subscribe(TOPIC)
client.publish(TOPIC, "open")
while not messages:
    client.loop()
print(*messages[0])
client.disconnect()
