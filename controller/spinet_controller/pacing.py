"""How long bytes take on a wire of a given clock rate."""

import time
from collections.abc import Callable

SHORTEST_SLEEP = 0.0002
"""Seconds; below this the operating system's sleep is longer than what it should last."""

LONGEST_LATENESS = 0.001
"""Seconds; what is beyond this was a busy computer and not the sleep's coarseness."""


class Pacer:
    """A wire that is busy for as long as bytes take to cross it.

    Bytes begin to cross when they come, behind those that still do, and nothing is held up by
    that: as beside DMA, there is time to compute. A caller that wants to say that they have crossed
    waits, and blocks its thread. Times too short to sleep for are added up and slept once they
    are long enough, and by how much a sleep lasted too long the following ones are shorter, so
    the rate holds on average. Nothing else is made up for: while we compute for longer than the
    wire is busy, it is idle.
    """

    def __init__(
        self,
        sck_hz: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._seconds_per_byte = 8 / sck_hz
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0
        self._late = 0.0

    def begin(self, length: int) -> None:
        """So many bytes begin to cross."""
        now = self._clock()
        self._free_at = max(now - self._late, self._free_at) + length * self._seconds_per_byte
        self._late = max(0.0, now - self._free_at)

    def busy(self) -> bool:
        """True while bytes cross, for long enough to sleep."""
        return self._free_at - self._clock() >= SHORTEST_SLEEP

    def wait(self) -> None:
        """Sleep while busy()."""
        left = self._free_at - self._clock()
        if left >= SHORTEST_SLEEP:
            self._sleep(left)
            self._late = min(max(0.0, self._clock() - self._free_at), LONGEST_LATENESS)
