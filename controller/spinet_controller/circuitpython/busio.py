"""SPI, of which the module is on every bus: its CS says when it listens."""

from typing import Self

from spinet_controller.circuitpython.microcontroller import Pin
from spinet_controller.circuitpython.wiring import current

_Buffer = bytes | bytearray | memoryview
_Writable = bytearray | memoryview


class SPI:
    """A bus whose SCK, MOSI and MISO are these pins. Settings and transfers need its lock."""

    def __init__(
        self,
        clock: Pin,
        MOSI: Pin | None = None,  # noqa: N803 -- CircuitPython's names
        MISO: Pin | None = None,  # noqa: N803
        half_duplex: bool = False,
    ) -> None:
        if half_duplex:
            raise NotImplementedError("Half duplex SPI is not implemented")
        self._pins = [pin for pin in (clock, MOSI, MISO) if pin]
        for pin in self._pins:
            pin.claim()
        self._wiring = current()
        self._locked = False
        self.frequency = 250_000

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.deinit()

    def deinit(self) -> None:
        """Release the pins."""
        for pin in self._pins:
            pin.release()
        self._pins = []

    def try_lock(self) -> bool:
        """Take the lock; False when it is taken."""
        taken, self._locked = self._locked, True
        return not taken

    def unlock(self) -> None:
        """Give the lock back."""
        self._check_locked()
        self._locked = False

    def _check_locked(self) -> None:
        if not self._pins:
            raise ValueError("Object has been deinitialized and can no longer be used.")
        if not self._locked:
            raise RuntimeError("Function requires lock")

    def configure(
        self, *, baudrate: int = 100_000, polarity: int = 0, phase: int = 0, bits: int = 8
    ) -> None:
        """Set the rate, which the virtual bus has none of; the module listens in mode 0 only."""
        self._check_locked()
        if (polarity, phase, bits) != (0, 0, 8):
            raise ValueError("the module listens in SPI mode 0, eight bits at a time")
        self.frequency = baudrate

    def write(self, buffer: _Buffer, *, start: int = 0, end: int | None = None) -> None:
        """Clock buffer[start:end] out."""
        self._check_locked()
        self._wiring.transfer(bytes(memoryview(buffer)[start:end]))

    def readinto(
        self, buffer: _Writable, *, start: int = 0, end: int | None = None, write_value: int = 0
    ) -> None:
        """Fill buffer[start:end], clocking `write_value` out."""
        self._check_locked()
        part = memoryview(buffer)[start:end]
        part[:] = self._wiring.transfer(bytes([write_value]) * len(part))

    def write_readinto(
        self,
        out_buffer: _Buffer,
        in_buffer: _Writable,
        *,
        out_start: int = 0,
        out_end: int | None = None,
        in_start: int = 0,
        in_end: int | None = None,
    ) -> None:
        """Clock a part of one buffer out and fill an equally long one of the other."""
        self._check_locked()
        part = memoryview(in_buffer)[in_start:in_end]
        out = bytes(memoryview(out_buffer)[out_start:out_end])
        if len(out) != len(part):
            raise ValueError("buffer slices must be of equal length")
        part[:] = self._wiring.transfer(out)
