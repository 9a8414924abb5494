"""The TCP buffer path: rings over one slab of memory that is taken at boot.

One thread puts and gets. Nothing here allocates after construction, and nothing checks
bounds twice: `put` and `get` refuse more than fits, the viper copies below trust them.
"""

import micropython

RING_SIZE = 4096  # a power of two, at least twice the largest data phase


@micropython.viper
def copy(into, data, at: int, n: int):
    """data[at & 0xFFFF : + n] -> into[at >> 16 : + n], word by word where all is aligned.

    Viper takes four arguments, hence `at`. Bounds are the caller's.
    """
    i = at >> 16
    j = at & 0xFFFF
    if (i | j | n) & 3 == 0:
        target4 = ptr32(into)
        source4 = ptr32(data)
        i >>= 2
        j >>= 2
        last = i + (n >> 2)
        while i < last:
            target4[i] = source4[j]
            i += 1
            j += 1
        return
    target = ptr8(into)
    source = ptr8(data)
    last = i + n
    while i < last:
        target[i] = source[j]
        i += 1
        j += 1


class Ring:
    """Bytes waiting in order, in a fixed piece of memory whose length is a power of two.

    `memory` is the ring's own memoryview (or bytearray); a stack reads it and fills it in place
    through `run()`/`drop()` and `room()`/`filled()`, so that a byte is copied once.
    """

    def __init__(self, memory):
        size = len(memory)
        if size & (size - 1) or not 4 <= size <= 8192:
            raise ValueError("a ring's size is a power of two, 4 to 8192")
        self.memory = memory
        self.size = size
        self.count = 0  # bytes held
        self.start = 0  # where the oldest byte is

    def clear(self):
        """Forget everything."""
        self.count = 0
        self.start = 0

    def free(self):
        """Bytes that put() takes now."""
        return self.size - self.count

    def put(self, buf, offset, n):
        """Append buf[offset:offset + n]; all of it, or ValueError and nothing of it."""
        if n > self.size - self.count or n < 0:
            raise ValueError("ring is full")
        at = (self.start + self.count) & (self.size - 1)
        first = min(n, self.size - at)
        copy(self.memory, buf, at << 16 | offset, first)
        if first < n:
            copy(self.memory, buf, offset + first, n - first)
        self.count += n

    def peek(self, buf, offset, n):
        """Copy up to n of the oldest bytes to buf[offset:]; returns how many."""
        n = min(n, self.count)
        first = min(n, self.size - self.start)
        copy(buf, self.memory, offset << 16 | self.start, first)
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
        return min(self.count, self.size - self.start)

    def drop(self, n):
        """The n oldest bytes are done with."""
        self.count -= n
        # An empty ring starts over: the next block lies in one piece and aligned.
        self.start = (self.start + n) & (self.size - 1) if self.count else 0

    def head(self):
        """Where the next byte goes in memory."""
        return (self.start + self.count) & (self.size - 1)

    def room(self):
        """How many bytes can be filled in one piece, from memory[head()] on."""
        return min(self.size - self.count, self.size - self.head())

    def filled(self, n):
        """n bytes were put in place at head()."""
        self.count += n


def rings(count, size=RING_SIZE):
    """`count` rings over one slab: a list of Ring."""
    slab = memoryview(bytearray(count * size))
    return [Ring(slab[i * size : (i + 1) * size]) for i in range(count)]
