"""How much garbage there is on Python's heap, and when it is collected.

To measure garbage takes long, as the VM walks through its heap; so it is done about once a second
and at most once in a pass, and between two measurements everything counts for the most that it can
allocate: HEADROOM holds however fast commands come. gc.threshold() would not do: it also counts
what was given back at once, and collects in any pass that exceeds it. Service thread only.
"""

import gc

from micropython import const

from spinet import compat
from spinet.compat import ticks_diff

# The most bytes that a request allocates: LITTLE for the commands that a controller may send at any
# rate, MUCH for the others. (With full tables, on a computer; about half as much on a chip.)
LITTLE = const(1024)
MUCH = const(20480)

GARBAGE = const(16384)  # bytes allocated since the last collection that call for one at idle
_WEIGH_MS = const(1000)
_COLLECT_MS = const(20)  # how often is looked for an idle link
HEADROOM = const(65536)  # the same, idle or not; garbage is never more than this and one command's


class Garbage:
    """What was allocated since the last collection."""

    def __init__(self):
        self._base = -1  # heap in use soon after the last collection; -1: unknown
        self._measured = 0  # bytes of garbage when they were last measured
        self._spent = 0  # the most that was allocated since then
        self._weighed = 0  # ticks

    def start(self, now):
        """Collect, and know how much is in use."""
        self._weighed = now
        gc.collect()
        if compat.MICROPYTHON:
            self._base = gc.mem_alloc()

    def spend(self, n):
        """Up to n bytes are allocated now."""
        self._spent += n

    def weigh(self):
        """Measure."""
        if compat.MICROPYTHON:
            used = gc.mem_alloc()
            if self._base < 0:
                self._base = used - self._spent
            self._measured = used - self._base
        self._spent = 0

    def is_unsure(self):
        """What was spent may be worth a collection: poll() measures."""
        return self._spent >= GARBAGE

    def poll(self, now):
        """A task: measure; and while there is enough for a collection, the loop comes round."""
        left = _WEIGH_MS - ticks_diff(now, self._weighed)
        if left <= 0 or self._base < 0 or self.is_unsure():  # -1: there was a collection
            self.weigh()
            self._weighed = now
            left = _WEIGH_MS
        return _COLLECT_MS if self.is_much() else left

    def is_much(self):
        """There is enough for a collection at idle."""
        return self._measured >= GARBAGE

    def is_full(self):
        """There may be so much that its collection cannot wait for an idle link."""
        return self._measured + self._spent >= HEADROOM

    def collect(self):
        """Collect. What is in use then is measured in another pass."""
        self._measured = self._spent = 0
        gc.collect()
        self._base = -1
