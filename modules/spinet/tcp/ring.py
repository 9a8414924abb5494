"""The TCP buffer path: rings over one slab of memory that is taken at boot.

One thread puts and gets. Nothing here allocates after construction, and nothing checks
bounds twice: `put` and `get` refuse more than fits, the viper copies below trust them.
"""

from array import array

import micropython
from micropython import const

RING_SIZE = 4096  # a power of two, at least twice the largest data phase

# Words of a ring's `marks`, as fastpath.py has them
_COUNT = const(0)
_START = const(1)
_MARKS = const(5)


@micropython.viper
def copy(into: ptr32, data: ptr32, at: int, n: int):
    """data[at & 0xFFFF : + n] -> into[at >> 16 : + n], word by word where both are aligned.

    Viper takes four arguments, hence `at`, and has the first two in registers. A fixed index is
    part of the load and of the store, so the pointers move. Bounds are the caller's.
    """
    i = at >> 16
    j = at & 0xFFFF
    target = ptr8(into)
    source = ptr8(data)
    last = i + n
    if (i | j) & 3 == 0:
        into = ptr32(uint(ptr32(into)) + i)
        data = ptr32(uint(ptr32(data)) + j)
        while n >= 64:
            into[0] = data[0]
            into[1] = data[1]
            into[2] = data[2]
            into[3] = data[3]
            into[4] = data[4]
            into[5] = data[5]
            into[6] = data[6]
            into[7] = data[7]
            into[8] = data[8]
            into[9] = data[9]
            into[10] = data[10]
            into[11] = data[11]
            into[12] = data[12]
            into[13] = data[13]
            into[14] = data[14]
            into[15] = data[15]
            into = ptr32(uint(into) + 64)
            data = ptr32(uint(data) + 64)
            n -= 64
        while n >= 4:
            into[0] = data[0]
            into = ptr32(uint(into) + 4)
            data = ptr32(uint(data) + 4)
            n -= 4
        j += last - n - i
        i = last - n
    while i < last:
        target[i] = source[j]
        i += 1
        j += 1


@micropython.viper
def _clear(marks):
    words = ptr32(marks)
    i = 0
    while i < _MARKS:
        words[i] = 0
        i += 1


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
        self.marks = array("I", [0] * _MARKS)

    @property
    def count(self):
        """Bytes held."""
        return self.marks[_COUNT]

    @property
    def start(self):
        """Where the oldest byte is."""
        return self.marks[_START]

    def clear(self):
        """Forget everything."""
        _clear(self.marks)

    def free(self):
        """Bytes that put() takes now."""
        return self.size - self.marks[_COUNT]

    def put(self, buf, offset, n):
        """Append buf[offset:offset + n]; all of it, or ValueError and nothing of it."""
        if n > self.free() or n < 0:
            raise ValueError("ring is full")
        at = self.head()
        first = min(n, self.size - at)
        copy(self.memory, buf, at << 16 | offset, first)
        if first < n:
            copy(self.memory, buf, offset + first, n - first)
        self.marks[_COUNT] += n

    def peek(self, buf, offset, n):
        """Copy up to n of the oldest bytes to buf[offset:]; returns how many."""
        start = self.marks[_START]
        n = min(n, self.marks[_COUNT])
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
        return min(marks[_COUNT], self.size - marks[_START])

    def drop(self, n):
        """The n oldest bytes are done with."""
        marks = self.marks
        marks[_COUNT] -= n
        # An empty ring starts over: the next block lies in one piece and aligned.
        marks[_START] = (marks[_START] + n) & (self.size - 1) if marks[_COUNT] else 0

    def head(self):
        """Where the next byte goes in memory."""
        marks = self.marks
        return (marks[_START] + marks[_COUNT]) & (self.size - 1)

    def room(self):
        """How many bytes can be filled in one piece, from memory[head()] on."""
        size = self.size
        marks = self.marks
        count = marks[_COUNT]
        return size - max(count, (marks[_START] + count) & (size - 1))

    def filled(self, n):
        """n bytes were put in place at head()."""
        self.marks[_COUNT] += n


def rings(count, size=RING_SIZE, slab=None):
    """`count` rings over one slab (a bytearray; None: of their own): a list of Ring."""
    slab = memoryview(slab or bytearray(count * size))
    return [Ring(slab[i * size : (i + 1) * size]) for i in range(count)]
