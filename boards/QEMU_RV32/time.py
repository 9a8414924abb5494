"""`time` for MicroPython's qemu port, which has none: the clock of the emulated machine.

The period is 2**30 ms and the functions are C, as on the chips.
"""

from memchip import ticks_add, ticks_diff, ticks_ms  # noqa: F401  the module's own names


def sleep_ms(ms):
    """Wait so long."""
    start = ticks_ms()
    while ticks_diff(ticks_ms(), start) < ms:
        pass
