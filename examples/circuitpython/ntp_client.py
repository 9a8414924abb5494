"""Ask a time server over UDP.

    . build/venv/bin/activate; cd examples/circuitpython
    python -m spinet_controller.circuitpython --sim ../../build/sim/micropython ntp_client.py

settings.toml says which server and which network. The same program runs in CircuitPython. For the
time alone, use `esp.get_time()`: the module then asks a server itself.
"""

import struct
import time
from os import getenv

import adafruit_connection_manager
import board
import busio
from adafruit_esp32spi import adafruit_esp32spi
from digitalio import DigitalInOut

SINCE_1900 = 2208988800  # seconds until 1970

esp = adafruit_esp32spi.ESP_SPIcontrol(
    busio.SPI(board.SCK, board.MOSI, board.MISO),
    DigitalInOut(board.ESP_CS),
    DigitalInOut(board.ESP_BUSY),
    DigitalInOut(board.ESP_RESET),
)
esp.connect_AP(getenv("CIRCUITPY_WIFI_SSID"), getenv("CIRCUITPY_WIFI_PASSWORD"))
pool = adafruit_connection_manager.get_radio_socketpool(esp)
with pool.socket(pool.AF_INET, pool.SOCK_DGRAM) as sock:
    sock.settimeout(10)
    sock.sendto(b"\x23" + bytes(47), (getenv("TIME_SERVER"), int(getenv("TIME_PORT"))))
    answer = sock.recv(48)
(seconds,) = struct.unpack(">I", answer[40:44])
date = time.localtime(seconds - SINCE_1900)
print("{}-{:02}-{:02} {:02}:{:02}:{:02}".format(*date[:6]))
