"""UDP on the stacks of this Python: sockets with hostnet, stock sockets, lwIP on its loopback."""

import micropython
from cases_connection import PATIENCE_MS, each_net

from spinet import compat
from spinet.fields import put_u16
from spinet.tcp.stack import DATAGRAMS, ERR_WOULDBLOCK, EVENT_DATA
from spinet.udp import datagrams

try:
    from spinet.tcp.stack_lwip import LwipStack
except ImportError:
    LwipStack = None  # the image has none

OWN = 0x0100007F  # 127.0.0.1


def each_stack():
    for net in each_net():
        yield net.stack
        net.close()
    if LwipStack:
        stack = LwipStack()
        yield stack
        stack.shut()


class Two:
    """Two ports of a stack, which talk to each other."""

    def __init__(self, stack):
        self.stack = stack
        self.udp = stack.udp
        self.numbers = []
        self.handles = []
        for _ in range(2):
            self._bind()
        self.peers = [bytearray(datagrams.peer(OWN, number)) for number in self.numbers]
        self.out = bytearray(bytes(range(200)) * 8)
        self.into = bytearray(2000)
        self.sender = bytearray(datagrams.PEER_SIZE)

    def _bind(self):
        number = 22000 + len(self.numbers)
        h = -1
        while h < 0:
            number += 7
            h = self.udp.bind(OWN, number, 0)
        self.numbers.append(number)
        self.handles.append(h)

    def one_way(self, source, n):
        """Send n bytes from this port to the other; the length that came."""
        udp = self.udp
        there = self.handles[1 - source]
        assert udp.send(self.handles[source], self.peers[1 - source], self.out, 3, n) == n
        began = compat.ticks_ms()
        while udp.length(there) == ERR_WOULDBLOCK:
            assert compat.ticks_diff(compat.ticks_ms(), began) < PATIENCE_MS
            self.stack.wait(5)
        self.stack.events(DATAGRAMS)
        udp.pending()
        return udp.receive(there, self.into, 7, n, self.sender)


def case_datagrams_come_whole_with_their_sender():
    for stack in each_stack():
        two = Two(stack)
        for n in (0, 1, 64, 1000, datagrams.MOST):
            for source in (0, 1):
                assert two.one_way(source, n) == n
                assert two.into[7 : 7 + n] == two.out[3 : 3 + n]
                assert two.sender == two.peers[source]


def case_a_datagram_ends_the_wait():
    for stack in each_stack():
        two = Two(stack)
        for _ in range(3):
            assert two.udp.send(two.handles[0], two.peers[1], b"x", 0, 1) == 1
            assert stack.wait(PATIENCE_MS) == 1
            assert stack.events(DATAGRAMS) == EVENT_DATA
            assert two.udp.pending() == 1 << (two.handles[1] & 31)
            assert two.udp.receive(two.handles[1], two.into, 0, 10, two.sender) == 1
            assert two.udp.receive(two.handles[1], two.into, 0, 10, two.sender) == ERR_WOULDBLOCK


def case_no_datagram_allocates():
    """But for stock sockets, which cannot help it."""
    for stack in each_stack():
        if not compat.hostnet:
            continue
        two = Two(stack)
        assert two.one_way(0, 100) == 100
        micropython.heap_lock()
        try:
            good = 0
            for i in range(100):
                put_u16(two.out, 3, i)
                good += two.one_way(i & 1, 1000) == 1000
        finally:
            micropython.heap_unlock()
        assert good == 100
        assert two.udp.dropped(two.handles[0]) == 0
