"""A NINA on an ESP32-C3, beside a board without WiFi: this file alone defines its pins.

To change them, edit this file and build; or copy the edited file to the running board, where it is
used instead of the one in the image: mpremote cp board.py : (see docs/hardware.md).
"""

from chip import ChipBoard
from chip.nina_link import NinaWiring

# Free pins of a development board. SPI: SPI2, on its own pins. The controller's program may use
# GPIO 8, which has the LED of many such boards.
WIRING = NinaWiring(spi=1, sck=4, mosi=6, miso=5, cs=7, ready=10, gpio0=9)

BOARD = ChipBoard(WIRING, protocol="nina")
# BOARD.OWNER, a certificate, turns updates over the network on: see docs/controller.md.
