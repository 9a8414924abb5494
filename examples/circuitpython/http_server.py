"""Serve a page, with adafruit_httpserver.

    . build/venv/bin/activate; cd examples/circuitpython
    python -m spinet_controller.circuitpython --sim ../../build/sim/micropython http_server.py

settings.toml says at which port, and in which network. The same program runs in CircuitPython.
"""

from os import getenv

import adafruit_connection_manager
import board
import busio
from adafruit_esp32spi import adafruit_esp32spi
from adafruit_httpserver import GET, POST, JSONResponse, Response, Server
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

led = DigitalInOut(board.LED)
led.switch_to_output()
server = Server(adafruit_connection_manager.get_radio_socketpool(esp))


@server.route("/")
def hello(request):
    """Greet the peer."""
    return Response(request, f"hello {request.client_address[0]}\n")


@server.route("/led", [GET, POST])
def light(request):
    """Say whether the LED is on; POST sets it."""
    if request.method == POST:
        led.value = request.body == b"on"
    return JSONResponse(request, {"on": led.value})


server.start(esp.ipv4_address, int(getenv("PORT")))
print(f"serving http://{esp.ipv4_address}:{getenv('PORT')}/")
while True:
    server.poll()
