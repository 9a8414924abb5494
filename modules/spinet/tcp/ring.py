"""The TCP buffer path: rings over one slab of memory that is taken at boot.

One thread puts and gets. Nothing here allocates after construction, and nothing checks
bounds twice: `put` and `get` refuse more than fits, the viper copies below trust them.
"""

from array import array

from spinet.fastpath import MARK_COUNT, MARK_START, MARK_WORDS, RING_SIZE, copy, forget


class Ring:
    """Bytes waiting in order, in a fixed piece of memory whose length is a power of two.

    `memory` is the ring's own memoryview (or bytearray); a stack reads it and fills it in place
    through `run()`/`drop()` and `room()`/`filled()`, so that a byte is copied once. `marks` says
    where they are, in words that the hot path shares; it has words of the ring's owner as well.
    """

    def __init__(self, memory):
        size = len(memory)
        if size & (size - 1) or not 4 <= size <= 8192:
            raise ValueError("a ring's size is a power of two, 4 to 8192")
        self.memory = memory
        self.size = size
        self.marks = array("I", [0] * MARK_WORDS)

    @property
    def count(self):
        """Bytes held."""
        return self.marks[MARK_COUNT]

    @property
    def start(self):
        """Where the oldest byte is."""
        return self.marks[MARK_START]

    def clear(self):
        """Forget everything."""
        forget(self.marks)

    def free(self):
        """Bytes that put() takes now."""
        return self.size - self.marks[MARK_COUNT]

    def put(self, buf, offset, n):
        """Append buf[offset:offset + n]; all of it, or ValueError and nothing of it."""
        if n > self.free() or n < 0:
            raise ValueError("ring is full")
        at = self.head()
        first = min(n, self.size - at)
        copy(self.memory, buf, at << 16 | offset, first)
        if first < n:
            copy(self.memory, buf, offset + first, n - first)
        self.marks[MARK_COUNT] += n

    def peek(self, buf, offset, n):
        """Copy up to n of the oldest bytes to buf[offset:]; returns how many."""
        start = self.marks[MARK_START]
        n = min(n, self.marks[MARK_COUNT])
        first = min(n, self.size - start)
        copy(buf, self.memory, offset << 16 | start, first)
        if first < n:
            copy(buf, self.memory, (offset + first) << 16, n - first)
        return n

    def get(self, buf, offset, n):
        """As peek(), and the bytes are gone from the ring."""
        n = self.peek(buf, offset, n)
        self.drop(n)
        return n

    def run(self):
        """How many of the oldest bytes lie in one piece, from memory[start] on."""
        marks = self.marks
        return min(marks[MARK_COUNT], self.size - marks[MARK_START])

    def drop(self, n):
        """The n oldest bytes are done with."""
        marks = self.marks
        marks[MARK_COUNT] -= n
        # An empty ring starts over: the next block lies in one piece and aligned.
        marks[MARK_START] = (marks[MARK_START] + n) & (self.size - 1) if marks[MARK_COUNT] else 0

    def head(self):
        """Where the next byte goes in memory."""
        marks = self.marks
        return (marks[MARK_START] + marks[MARK_COUNT]) & (self.size - 1)

    def room(self):
        """How many bytes can be filled in one piece, from memory[head()] on."""
        size = self.size
        marks = self.marks
        count = marks[MARK_COUNT]
        return size - max(count, (marks[MARK_START] + count) & (size - 1))

    def filled(self, n):
        """n bytes were put in place at head()."""
        self.marks[MARK_COUNT] += n


def rings(count, size=RING_SIZE, slab=None):
    """`count` rings over one slab (a bytearray; None: of their own): a list of Ring."""
    slab = memoryview(slab or bytearray(count * size))
    return [Ring(slab[i * size : (i + 1) * size]) for i in range(count)]
