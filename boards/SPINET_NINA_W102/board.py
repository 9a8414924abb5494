"""A NINA on a u-blox NINA-W102, as on Arduino's boards: this file alone defines its pins.

To change them, edit this file and build; or copy the edited file to the running board, where it is
used instead of the one in the image: mpremote cp board.py : (see docs/hardware.md).
"""

from chip import ChipBoard
from chip.nina_link import NinaWiring

# Arduino's boards. SPI: VSPI, through the GPIO matrix. The controller's program may use GPIO 25, 26
# and 27, which have the RGB LED of some boards.
WIRING = NinaWiring(spi=2, sck=18, mosi=12, miso=23, cs=5, ready=33, gpio0=0)

BOARD = ChipBoard(WIRING, protocol="nina")
