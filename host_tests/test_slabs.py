"""Where slabs come from: our C where the image has it and that kind is free, else the heap.

The C itself is tested in host_tests/spi, and as part of an image in host_tests/qemu.
"""

import pytest

from spinet import port
from spinet.connection import ConnectionManager
from spinet.stack_sockets import SocketStack


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
    monkeypatch.setattr(port, "slabs", slabs)
    return slabs


def test_without_our_c_they_are_of_the_heap(monkeypatch):
    monkeypatch.setattr(port, "slabs", None)
    slab = port.slab(port.RINGS, 16)
    assert slab == bytearray(16)
    port.give_back(slab)


def test_with_it_they_are_its_own_until_it_has_none(slabs):
    slab = port.slab(port.RINGS, 16)
    assert slab is slabs.given[port.RINGS]
    assert port.slab(port.TRACE, 8) is slabs.given[port.TRACE]
    other = port.slab(port.RINGS, 16)
    assert other == bytearray(16)
    assert other is not slab
    port.give_back(other)
    assert slabs.given[port.RINGS] is slab


def test_a_manager_gives_its_rings_back_once(slabs):
    stack = SocketStack()
    first = ConnectionManager(stack)
    assert port.RINGS in slabs.given
    first.shut()
    second = ConnectionManager(stack)
    first.shut()
    assert port.RINGS in slabs.given, "the second one's"
    second.shut()
    assert slabs.given == {}
    stack.shut()
