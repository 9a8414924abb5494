"""Where slabs come from: our C where the image has it and that kind is free, else the heap.

The C itself is tested in host_tests/c/spi, and as part of an image in host_tests/qemu.
"""

import pytest

from spinet import compat
from spinet.tcp.manager import ConnectionManager
from spinet.tcp.stack_sockets import SocketStack


class Slabs:
    """The C module: each kind once, and at the same place each time."""

    def __init__(self):
        self.all = {}
        self.given = {}

    def take(self, kind, size):
        if kind in self.given:
            return None
        slab = self.all.setdefault(kind, bytearray(size))
        slab[:] = bytes(size)
        self.given[kind] = slab
        return slab

    def give_back(self, slab):
        self.given = {kind: own for kind, own in self.given.items() if own is not slab}


@pytest.fixture
def slabs(monkeypatch):
    slabs = Slabs()
    monkeypatch.setattr(compat, "slabs", slabs)
    return slabs


def test_without_our_c_they_are_of_the_heap(monkeypatch):
    monkeypatch.setattr(compat, "slabs", None)
    slab = compat.slab(compat.RINGS, 16)
    assert slab == bytearray(16)
    compat.give_back(slab)


def test_with_it_they_are_its_own_until_it_has_none(slabs):
    slab = compat.slab(compat.RINGS, 16)
    assert slab is slabs.given[compat.RINGS]
    assert compat.slab(compat.TRACE, 8) is slabs.given[compat.TRACE]
    other = compat.slab(compat.RINGS, 16)
    assert other == bytearray(16)
    assert other is not slab
    compat.give_back(other)
    assert slabs.given[compat.RINGS] is slab


def test_a_manager_gives_its_rings_back_once(slabs):
    stack = SocketStack()
    first = ConnectionManager(stack)
    assert compat.RINGS in slabs.given
    first.shut()
    second = ConnectionManager(stack)
    first.shut()
    assert compat.RINGS in slabs.given, "the second one's"
    second.shut()
    assert slabs.given == {}
    stack.shut()
