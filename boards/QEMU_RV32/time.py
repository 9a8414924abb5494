"""`time` for MicroPython's qemu port, which has none: the clock of the emulated machine.

The period is 2**30 ms, as on the chips. Viper throughout: 2**30 itself is a heap object here.
"""

import micropython


@micropython.viper
def ticks_ms() -> int:
    """Milliseconds, wrapping at 2**30; allocates nothing.

    The machine's timer has 64 bits and counts at 10 MHz. Its lower half is divided by 16 first, so
    that every intermediate result fits 31 bits: 2**28 / 625 is 429496, remainder 456.
    """
    timer = ptr32(0x0200BFF8)
    high = timer[1]
    low = timer[0]
    if timer[1] != high:  # it carried between the two reads
        high = timer[1]
        low = timer[0]
    part = (low >> 4 & 0x0FFFFFFF) + high * 456
    return high * 429496 + int(part // 625) & 0x3FFFFFFF


@micropython.viper
def ticks_add(ticks: int, delta: int) -> int:
    """The time `delta` ms after `ticks`."""
    return ticks + delta & 0x3FFFFFFF


@micropython.viper
def ticks_diff(end: int, start: int) -> int:
    """Milliseconds from `start` to `end`, negative when end is earlier."""
    return (end - start + 0x20000000 & 0x3FFFFFFF) - 0x20000000


def sleep_ms(ms):
    """Wait so long."""
    start = ticks_ms()
    while ticks_diff(ticks_ms(), start) < ms:
        pass
