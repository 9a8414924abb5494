"""A NINA on an ESP32, as on Adafruit's AirLift boards: this file alone defines its pins.

To change them, edit this file and build; or copy the edited file to the running board, where it is
used instead of the one in the image: mpremote cp board.py : (see docs/hardware.md).
"""

from chip import ChipBoard
from chip.nina_link import NinaWiring

# Adafruit's boards. SPI: VSPI, through the GPIO matrix, as MOSI is on another pin than its own. In
# an ESP32-MINI-1, which newer boards have, GPIO 16 and 17 are the flash's.
WIRING = NinaWiring(spi=2, sck=18, mosi=14, miso=23, cs=5, ready=33, gpio0=0, kept=(16, 17))

BOARD = ChipBoard(WIRING, protocol="nina")
# BOARD.OWNER, a certificate, turns updates over the network on: see docs/controller.md.
