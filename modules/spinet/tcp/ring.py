"""Ring buffers for TCP's data, in one slab of memory that is taken at boot.

One thread fills and gets. Nothing here allocates after construction.
"""

from array import array

from spinet.fastpath import MARK_COUNT, MARK_START, MARK_WORDS, RING_SIZE, copy, forget


class Ring:
    """A queue of bytes in a fixed piece of memory whose length is a power of two, 8192 at most.

    `memory` is the ring's own memoryview (or bytearray). A stack reads and fills it in place,
    through `room()`/`filled()`, so that each byte is copied once. `marks` are words shared with the
    hot path: where the bytes are, how many, and words of the ring's owner (MARK_ of fastpath).
    """

    def __init__(self, memory):
        size = len(memory)
        self.memory = memory
        self.size = size
        self.marks = array("I", [0] * MARK_WORDS)

    @property
    def count(self):
        """Bytes held."""
        return self.marks[MARK_COUNT]

    def clear(self):
        """Empty the ring."""
        forget(self.marks)

    def free(self):
        """Free bytes."""
        return self.size - self.marks[MARK_COUNT]

    def get(self, buf, offset, n):
        """Move up to n of the oldest bytes to buf[offset:]; returns how many."""
        marks = self.marks
        start = marks[MARK_START]
        n = min(n, marks[MARK_COUNT])
        first = min(n, self.size - start)
        copy(buf, self.memory, offset << 16 | start, first)
        if first < n:
            copy(buf, self.memory, (offset + first) << 16, n - first)
        marks[MARK_COUNT] -= n
        # An empty ring starts at index 0 again: the next block is contiguous and aligned.
        marks[MARK_START] = (start + n) & (self.size - 1) if marks[MARK_COUNT] else 0
        return n

    def head(self):
        """The index in memory of the next byte to fill."""
        marks = self.marks
        return (marks[MARK_START] + marks[MARK_COUNT]) & (self.size - 1)

    def room(self):
        """How many free bytes are contiguous, from memory[head()] on."""
        size = self.size
        marks = self.marks
        count = marks[MARK_COUNT]
        return size - max(count, (marks[MARK_START] + count) & (size - 1))

    def filled(self, n):
        """Add n bytes that were written to memory[head()]."""
        self.marks[MARK_COUNT] += n


def rings(count, size=RING_SIZE, slab=None):
    """A list of `count` rings over one slab (a bytearray; None: allocate one)."""
    slab = memoryview(slab or bytearray(count * size))
    return [Ring(slab[i * size : (i + 1) * size]) for i in range(count)]
