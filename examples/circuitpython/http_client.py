"""Fetch a page and post to it, with adafruit_requests.

    . build/venv/bin/activate; cd examples/circuitpython
    python -m spinet_controller.circuitpython --sim ../../build/sim/micropython http_client.py

settings.toml says which page and which network. The same program runs in CircuitPython.
"""

from os import getenv

import adafruit_connection_manager
import adafruit_requests
import board
import busio
from adafruit_esp32spi import adafruit_esp32spi
from digitalio import DigitalInOut

esp = adafruit_esp32spi.ESP_SPIcontrol(
    busio.SPI(board.SCK, board.MOSI, board.MISO),
    DigitalInOut(board.ESP_CS),
    DigitalInOut(board.ESP_BUSY),
    DigitalInOut(board.ESP_RESET),
)
while not esp.is_connected:
    try:
        esp.connect_AP(getenv("CIRCUITPY_WIFI_SSID"), getenv("CIRCUITPY_WIFI_PASSWORD"))
    except OSError as error:
        print("not joined yet:", error)

requests = adafruit_requests.Session(
    adafruit_connection_manager.get_radio_socketpool(esp),
    adafruit_connection_manager.get_radio_ssl_context(esp),
)
with requests.get(getenv("URL")) as response:
    print(response.status_code, response.text)
with requests.post(getenv("URL"), json={"temperature": 21.5}) as response:
    print(response.status_code, response.text)
