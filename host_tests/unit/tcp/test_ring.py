"""The rings: against a model of plain bytes, and at their edges."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from memory_stack import put
from slots import pattern

from spinet.duet.wire import MAX_DATA
from spinet.fastpath import MARK_START, RING_SIZE
from spinet.tcp.ring import Ring, rings

OFFSETS = st.integers(0, 5)


class RingMachine(RuleBasedStateMachine):
    """After any calls a ring holds what a bytes object would."""

    @initialize(size=st.sampled_from([4, 8, 16, 64]))
    def start(self, size):
        self.ring = Ring(bytearray(size))
        self.model = b""
        self.seed = 0

    def fresh(self, n):
        self.seed += n
        return pattern(n, self.seed)

    @rule(n=st.integers(0, 70), offset=OFFSETS)
    def get(self, n, offset):
        buf = bytearray(b"\xee" * 80)
        got = self.ring.get(buf, offset, n)
        assert buf[offset : offset + got] == self.model[:n]
        assert buf[:offset] == b"\xee" * offset  # it touches nothing around that
        assert buf[offset + got :] == b"\xee" * (80 - offset - got)
        self.model = self.model[n:]

    @rule(part=st.floats(0, 1))
    def fill_in_place(self, part):
        n = int(self.ring.room() * part)
        data = self.fresh(n)
        head = self.ring.head()
        self.ring.memory[head : head + n] = data
        self.ring.filled(n)
        self.model += data

    @rule()
    def clear(self):
        self.ring.clear()
        self.model = b""

    @precondition(lambda self: not self.model)
    @rule()
    def an_empty_ring_is_in_one_piece(self):
        assert self.ring.room() == self.ring.size
        assert self.ring.head() == 0

    @invariant()
    def counts_agree(self):
        ring = self.ring
        assert ring.count == len(self.model)
        assert ring.free() == ring.size - len(self.model)
        assert (ring.room() == 0) == (ring.free() == 0)


TestRing = RingMachine.TestCase


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("offset", [0, 1, 2, 3, 4, 12])
@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 8, 2047, 2048])
def test_copies_are_right_whatever_the_alignment(at, offset, n):
    ring = Ring(memoryview(bytearray(4096)))
    ring.filled(8)
    ring.get(bytearray(8), 0, at)
    ring.memory[8 : 8 + n] = pattern(n)
    ring.filled(n)
    ring.get(bytearray(8), 0, 8 - at)
    out = bytearray(offset + n + 1)
    assert ring.get(out, offset, MAX_DATA) == n
    assert out == bytes(offset) + pattern(n) + b"\0"


def test_a_full_ring_wraps_around_in_two_pieces():
    ring = Ring(bytearray(8))
    put(ring, b"012345", 0, 6)
    ring.get(bytearray(4), 0, 4)
    put(ring, b"6789ab", 0, 6)
    assert (ring.marks[MARK_START], ring.room()) == (4, 0)
    out = bytearray(8)
    assert ring.get(out, 0, 8) == 8
    assert out == b"456789ab"


def test_rings_of_one_slab_do_not_touch_each_other():
    first, second = rings(2, 16)
    put(first, b"\xff" * 16, 0, 16)
    assert bytes(second.memory) == bytes(16)
    put(second, b"\x11" * 16, 0, 16)
    assert bytes(first.memory) == b"\xff" * 16


def test_a_ring_holds_two_of_the_largest_data_phases():
    assert RING_SIZE >= 2 * MAX_DATA
    assert [ring.size for ring in rings(8)] == [RING_SIZE] * 8
