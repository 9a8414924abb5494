"""A Spinet module on an ESP32-S3: this file alone defines its pins and its role.

To change them, edit this file and build; or copy the edited file to the running board, where it is
used instead of the one in the image: mpremote cp board.py : (see docs/hardware.md).
"""

from chip import MODULE_CLOCKED, ChipBoard, Wiring

# Duet boards, and the generic wiring of a development board. SPI: SPI2, on its own pins.
WIRING = Wiring(spi=1, sck=12, mosi=11, miso=13, cs=10, data_ready=0, transfer_ready=8, led=6)
ROLE = MODULE_CLOCKED

BOARD = ChipBoard(WIRING, ROLE)
