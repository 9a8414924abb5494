"""How long bytes take on a wire of a given clock rate."""

import time

SHORTEST_SLEEP = 0.0002
"""Seconds; below this the operating system's sleep is longer than what it should last."""

LONGEST_LATENESS = 0.001
"""Seconds; what is beyond this was a busy computer and not the sleep's coarseness."""


class Pacer:
    """Holds the caller until the bytes it is about to answer would have crossed the wire.

    It blocks, as a real SPI transfer blocks the thread that runs it. Times too short to
    sleep for are added up and slept once they are long enough, and by how much a sleep lasted
    too long the following ones are shorter, so the rate holds on average.
    """

    def __init__(self, sck_hz, clock=time.monotonic, sleep=time.sleep):
        self._seconds_per_byte = 8 / sck_hz
        self._clock = clock
        self._sleep = sleep
        self._wire_free_at = 0.0
        self._late = 0.0

    def hold(self, length):
        """Let the time of `length` bytes pass."""
        now = self._clock()
        begin = max(now - self._late, self._wire_free_at)
        self._wire_free_at = begin + length * self._seconds_per_byte
        if self._wire_free_at - now >= SHORTEST_SLEEP:
            self._sleep(self._wire_free_at - now)
            now = self._clock()
        self._late = min(max(0.0, now - self._wire_free_at), LONGEST_LATENESS)
