"""Blink and dim the LEDs at the module's own pins.

    . build/venv/bin/activate; cd examples/circuitpython
    python -m spinet_controller.circuitpython --sim ../../build/sim/micropython led.py

AirLift boards have red, green and blue there. The same program runs in CircuitPython.
"""

import time

import board
import busio
from adafruit_esp32spi import PWMOut, adafruit_esp32spi, digitalio
from digitalio import DigitalInOut

LEDS = (("red", 26), ("green", 27), ("blue", 25))

esp = adafruit_esp32spi.ESP_SPIcontrol(
    busio.SPI(board.SCK, board.MOSI, board.MISO),
    DigitalInOut(board.ESP_CS),
    DigitalInOut(board.ESP_BUSY),
    DigitalInOut(board.ESP_RESET),
)
for name, pin in LEDS:
    led = digitalio.DigitalInOut(esp, pin)
    led.direction = digitalio.Direction.OUTPUT
    for on in (True, False):
        led.value = on
        print(name, esp.set_digital_read(pin))
        time.sleep(0.2)
    dimmed = PWMOut.PWMOut(esp, pin)
    for sixteenth in range(17):
        dimmed.duty_cycle = 65535 * sixteenth // 16
        time.sleep(0.01)
