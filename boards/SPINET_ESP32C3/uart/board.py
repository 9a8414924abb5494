"""An ESP32-C3 whose link is the virtual bus over UART1, TX at GPIO 0 and RX at GPIO 1.

In a chip's file system it comes before the image's own: `make emulate BUS=uart` puts it there.
"""

from machine import UART
from uart_board import UartBoard

BOARD = UartBoard(UART(1, 921600, tx=0, rx=1, rxbuf=4096), led=8)
