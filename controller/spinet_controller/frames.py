"""Frames of the virtual bus: 4 bytes `kind, arg, length u16`, then `length` bytes.

Source: virtual-bus document. Everything that can be wrong with a frame by itself is found
here; whether it may come now is the bus's business.
"""

import struct
from collections.abc import Callable

from spinet_controller.errors import BusViolation
from spinet_controller.spi_bus import Pin

HEADER = struct.Struct("<BBH")
LONGEST_CLOCK = 4096
LONGEST_VERSION = 255

PIN, CLOCK, SHIFT, HELLO = 1, 2, 3, 4


PIN_FRAMES = {
    (pin, level): HEADER.pack(PIN, pin, 1) + bytes([level]) for pin in Pin for level in (0, 1)
}
"""The PIN frame for each pin and level."""


def clock_frame(data: bytes) -> bytes:
    """Give the CLOCK frame that shifts `data` out (1..4096 bytes)."""
    return HEADER.pack(CLOCK, 0, len(data)) + data


def shift_frame(armed: bytes, length: int) -> bytes:
    """Give the SHIFT frame of `length` bytes: what was armed, then 0x00."""
    return HEADER.pack(SHIFT, 0, length) + armed.ljust(length, b"\0")


_LENGTHS = {
    PIN: ("PIN", 1, 1),
    CLOCK: ("CLOCK", 1, LONGEST_CLOCK),
    SHIFT: ("SHIFT", 1, LONGEST_CLOCK),
    HELLO: ("HELLO", 0, LONGEST_VERSION),
}


def check_header(kind: int, arg: int, length: int) -> None:
    """Raise BusViolation for an unknown kind, a wrong length or a wrong argument."""
    if kind not in _LENGTHS:
        raise BusViolation(f"a frame of unknown kind {kind}")
    name, least, most = _LENGTHS[kind]
    if not least <= length <= most:
        raise BusViolation(f"a {name} frame of {length} bytes ({least}..{most} allowed)")
    if kind in (CLOCK, SHIFT) and arg:
        raise BusViolation(f"a {name} frame with argument {arg} (0 expected)")


class FrameReader:
    """Cuts the byte stream into frames and hands each to `handle(kind, arg, payload)`.

    It owns the buffer that the stream is received into: a fresh one for each piece would cost
    more than all the rest of a frame's way.
    """

    SIZE = 4 * (LONGEST_CLOCK + HEADER.size)

    def __init__(self, handle: Callable[[int, int, bytearray], None]) -> None:
        self._handle = handle
        self._buffer = bytearray(self.SIZE)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self.unfinished = False  # a frame has begun and is not whole

    def room(self) -> memoryview:
        """Give the memory for the next bytes; never empty."""
        return self._view[self._filled :] if self._filled else self._view

    def received(self, count: int) -> bool:
        """Take `count` bytes that were put into `room()`; BusViolation at the first bad frame.

        True when they finished a frame.
        """
        at, size = 0, self._filled + count
        while size - at >= 4:
            kind, arg, length = HEADER.unpack_from(self._buffer, at)
            if kind != PIN or length != 1:
                check_header(kind, arg, length)
            end = at + 4 + length
            if end > size:
                break
            self._handle(kind, arg, self._buffer[at + 4 : end])
            at = end
        self._filled = size - at
        self.unfinished = size > at
        if at and self._filled:
            self._buffer[: self._filled] = self._buffer[at:size]
        return at > 0
