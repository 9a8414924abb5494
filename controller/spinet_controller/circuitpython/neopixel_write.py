"""Pixels that nothing shows."""

from spinet_controller.circuitpython.digitalio import DigitalInOut


def neopixel_write(_digitalinout: DigitalInOut, _buf: bytes | bytearray) -> None:
    """Write colours to pixels, which there are none of."""
