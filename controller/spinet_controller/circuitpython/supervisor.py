"""What a program knows of what runs it."""

import time
from typing import NoReturn

from spinet_controller.circuitpython.microcontroller import reset


class Runtime:
    """The runtime's state; `autoreload` may be set, and means nothing."""

    autoreload = False
    serial_bytes_available = 0
    serial_connected = True
    usb_connected = True


runtime = Runtime()


def ticks_ms() -> int:
    """Milliseconds, from 0 again after 2**29."""
    return time.monotonic_ns() // 1_000_000 & (1 << 29) - 1


def reload() -> NoReturn:
    """Begin the program anew."""
    reset()
