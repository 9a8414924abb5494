"""How much garbage there is on Python's heap, and when it is collected.

Measuring takes long where the VM has to walk through its whole heap (compat.heap_used), so it is
done about once a second and at most once in a pass. Between two measurements each request counts as
the most that it can allocate, so the garbage stays below HEADROOM at any rate of commands.
gc.threshold() would not do: it also counts memory that was freed at once, and it may collect in the
middle of any pass. Service thread only.
"""

import gc

from micropython import const

from spinet import compat
from spinet.compat import ticks_diff

# The most bytes that a request allocates: LITTLE for the commands that a controller may send at any
# rate, MUCH for the others. Measured with full tables on a computer; a chip needs about half.
LITTLE = const(1024)
MUCH = const(20480)

_GARBAGE = const(16384)  # bytes of garbage that are collected as soon as the link is idle
_WEIGH_MS = const(1000)
_COLLECT_MS = const(20)  # how often the loop looks whether the link is idle
HEADROOM = const(65536)  # bytes that are collected at once; at most one command's is added to it


class Garbage:
    """The bytes allocated since the last collection: measured, and estimated since then."""

    def __init__(self):
        self._base = -1  # bytes of heap in use soon after the last collection; -1: unknown
        self._measured = 0  # bytes of garbage at the last measurement
        self._spent = 0  # the most that can have been allocated since then
        self._weighed = 0  # ticks of the last measurement

    def start(self, now):
        """Collect, and measure how much is in use."""
        self._weighed = now
        gc.collect()
        if compat.heap_used:
            self._base = compat.heap_used()

    def spend(self, n):
        """Count n bytes: the caller is about to allocate at most so many."""
        self._spent += n

    def _weigh(self):
        if compat.heap_used:
            used = compat.heap_used()
            if self._base < 0:
                self._base = used - self._spent
            self._measured = used - self._base
        self._spent = 0

    def is_unsure(self):
        """True when the bytes counted since the last measurement may call for a collection."""
        return self._spent >= _GARBAGE

    def poll(self, now):
        """A task: measure; while there is enough to collect, ask the loop to come back soon."""
        left = _WEIGH_MS - ticks_diff(now, self._weighed)
        if left <= 0 or self._base < 0 or self.is_unsure():  # _base < 0: after a collection
            self._weigh()
            self._weighed = now
            left = _WEIGH_MS
        return _COLLECT_MS if self.is_much() else left

    def is_much(self):
        """True when there is enough for a collection while the link is idle."""
        return self._measured >= _GARBAGE

    def is_full(self):
        """True when there may be so much that the collection cannot wait for an idle link."""
        return self._measured + self._spent >= HEADROOM

    def collect(self):
        """Collect. What remains in use is measured in a later pass, as this one was long."""
        self._measured = self._spent = 0
        gc.collect()
        self._base = -1
