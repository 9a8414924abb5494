"""An ESP32-C3 with the virtual bus over UART1 as its link: TX at GPIO 0, RX at GPIO 1.

In a chip's file system it is used instead of the image's board.py: `make emulate BUS=uart` puts it
there.
"""

from chip.uart_board import UartBoard
from machine import UART

BOARD = UartBoard(UART(1, 921600, tx=0, rx=1, rxbuf=4096), led=8)
