"""A Spinet module on an ESP32-C3: this file alone defines its pins and its role.

To change them, edit this file and build; or copy the edited file to the running board, where it is
used instead of the one in the image: mpremote cp board.py : (see docs/hardware.md).
"""

from chip import MODULE_CLOCKED, ChipBoard, Wiring

# Duet boards, and the generic wiring of a development board. SPI: SPI2.
WIRING = Wiring(spi=1, sck=4, mosi=6, miso=5, cs=7, data_ready=9, transfer_ready=10, led=8)
ROLE = MODULE_CLOCKED

BOARD = ChipBoard(WIRING, ROLE)
