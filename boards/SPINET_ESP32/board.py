"""A Spinet module on an ESP32: this file alone defines its pins and its role.

To change them, edit this file and build; or copy the edited file to the running board, where it is
used instead of the one in the image: mpremote cp board.py : (see docs/hardware.md).
"""

from chip import MODULE_CLOCKED, ChipBoard, Wiring

# Duet boards, and the generic wiring of a development board. SPI: VSPI, on its own pins.
WIRING = Wiring(spi=2, sck=18, mosi=23, miso=19, cs=5, data_ready=0, transfer_ready=4, led=32)
ROLE = MODULE_CLOCKED

BOARD = ChipBoard(WIRING, ROLE)
