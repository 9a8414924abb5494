"""The contract of `spinet.tcp.stack`, which every TCP stack has to keep.

A further stack takes part by a net of its own in slots.py and its name here.
"""

import time

import pytest
from slots import ENDLESS, PATIENCE, PATIENCE_MS, wait_until

from spinet.tcp.stack import INDEX_MASK

BACKLOG = 8


@pytest.fixture(params=["stub", "sockets", "plain", "lwip", "lwip-unlocked"])
def stack(request):
    """The name of the TCP stack that a test runs on."""
    return request.param


class User:
    """What a connection manager does with a stack, one call at a time."""

    def __init__(self, net):
        self.net = net
        self.stack = net.stack
        self.seen = {}  # handle -> event bits so far

    def turn(self, ms=5):
        self.net.begin_turn()
        return self.stack.wait(ms)

    def until(self, condition):
        wait_until(condition, self.turn)

    def until_events(self, h, events):
        """Wait until all of these were reported for this handle; returns all that were."""
        self.until(lambda: self.look(h) & events == events)
        return self.seen[h]

    def wait_for_news(self):
        """One wait, which has to end because something happened, not because its time is over."""
        start = time.monotonic()
        assert self.stack.wait(PATIENCE_MS) == 1
        assert time.monotonic() - start < PATIENCE, "it slept its full time"

    def wait_events(self, h):
        """One wait, which has to be ended by an event of this handle; returns the events."""
        self.wait_for_news()
        assert self.stack.pending() >> (h & INDEX_MASK) & 1
        return self.stack.events(h)

    def look(self, h):
        self.seen[h] = self.seen.get(h, 0) | self.stack.events(h)
        return self.seen[h]

    def listen(self):
        """(handle, port) of a listener."""
        port = self.net.free_port()
        h = self.stack.listen(0, port, BACKLOG)
        assert h > 0
        return h, port

    def accept(self, listener):
        """The next connection's handle."""
        handles = []
        self.until(lambda: handles.append(self.stack.accept(listener)) or handles[-1] > 0)
        return handles[-1]

    def accepted(self):
        """(handle, peer) of a connection that a peer opened."""
        listener, port = self.listen()
        peer = self.net.dial(port)
        h = self.accept(listener)
        self.stack.events(listener)
        return h, peer

    def read(self, h, n=2048):
        """What one read gives: bytes, or the error."""
        buf = bytearray(n)
        got = self.stack.read(h, buf, 0, n)
        if got > 0:
            self.stack.recved(h, got)
        return bytes(buf[:got]) if got > 0 else got

    def read_all(self, h, n):
        """Read until n bytes have come."""
        data = bytearray()

        def more():
            got = self.read(h)
            data.extend(got if isinstance(got, bytes) else b"")
            return len(data) >= n

        self.until(more)
        return bytes(data)

    def end(self, h):
        """The first error that read gives that is not would-block."""
        answers = []
        self.until(lambda: answers.append(self.read(h)) or answers[-1] not in (-7, b""))
        return answers[-1]

    def write(self, h, data, more=0):
        return self.stack.write(h, data, 0, len(data), more)

    def fill(self, h):
        """Write until nothing is taken any more; returns how much was."""
        block = bytes(2048)
        total = 0
        moved = time.monotonic()

        def takes():
            nonlocal total, moved
            taken = max(0, self.write(h, block))
            if taken:
                total += taken
                moved = time.monotonic()
            return taken > 0

        while takes() or not self.net.is_shut(h, takes, time.monotonic() - moved):
            assert total < ENDLESS, "the stack takes everything"
            self.turn(0)
        return total


@pytest.fixture
def user(net):
    return User(net)
