"""Slots and listeners over a network in memory: for machines that have no other."""

from memory_stack import MemoryStack

from spinet import fastpath, states
from spinet.fastpath import FLUSH_MS
from spinet.tcp import status
from spinet.tcp.connection import CONNECT_TIMEOUT_MS
from spinet.tcp.listener import ListenerTable
from spinet.tcp.manager import ConnectionManager
from spinet.tcp.ring import rings

PORT = 80
LOOPBACK = 0x0100007F

# One slab after another would not fit the heap of a chip, once it is in pieces.
SLOT_RINGS = rings(8)
STACK_RINGS = rings(16, 2048)


class Net:
    """A stack, its slots and a listener; turn() is one pass after so many milliseconds."""

    def __init__(self):
        for ring in SLOT_RINGS + STACK_RINGS:
            ring.clear()
        self.stack = MemoryStack(buffers=STACK_RINGS)
        self.manager = ConnectionManager(self.stack, debug=True, buffers=SLOT_RINGS)
        self.listeners = ListenerTable(self.manager, lambda: None)
        assert self.listeners.listen(0, PORT, 0, 8)

    def turn(self, ms=5):
        manager = self.manager
        manager.now += ms
        manager.rows[fastpath.ROW_DELIVER] = self.stack.pending()
        manager.deliver()
        manager.step(manager.now)
        manager.reap()
        self.listeners.accept_waiting()

    def peer(self):
        """A peer that is accepted, and its slot."""
        taken = self.manager.rows[fastpath.ROW_CONNECTED]
        peer = self.stack.dial(PORT)
        self.turn()
        new = self.manager.rows[fastpath.ROW_CONNECTED] & ~taken
        return peer, next(slot for slot in self.manager.slots if new >> slot.number & 1)


def received(peer):
    buf = bytearray(4096)
    return bytes(buf[: peer.take(buf, 0, 4096)])


def case_data_crosses_both_ways():
    net = Net()
    peer, slot = net.peer()
    text = bytes([i * 5 & 0xFF for i in range(2048)])
    assert peer.send(text, 0, 2048) == 2048
    net.turn()
    buf = bytearray(2100)
    assert slot.read(buf, 12, 2048) == 2048
    assert bytes(buf[12:2060]) == text
    assert slot.write(buf, 12, 2048, True)
    assert received(peer) == text
    assert peer.pushed


def case_small_writes_gather_and_leave():
    net = Net()
    peer, slot = net.peer()
    for _ in range(10):
        assert slot.write(b"abc", 0, 3, False)
    assert received(peer) == b""
    net.turn(FLUSH_MS)
    assert received(peer) == b"abc" * 10
    assert not peer.pushed


def case_what_the_stack_has_no_room_for_waits_in_the_ring():
    net = Net()
    peer, slot = net.peer()
    text = bytes([i * 3 & 0xFF for i in range(2048)])
    sent = 0
    while slot.space() == 2048:
        assert slot.write(text, 0, 2048, True)
        sent += 2048
    assert sent > 4096
    got = b""
    for _ in range(10):
        got += received(peer)
        net.turn()
    assert got == text * (sent // 2048)


def case_peer_that_closes_is_seen_after_the_last_byte():
    net = Net()
    peer, slot = net.peer()
    peer.send(b"last words", 0, 10)
    peer.finish()
    net.turn()
    assert slot.state == states.CONNECTED
    assert slot.read(bytearray(16), 0, 16) == 10
    assert slot.state == states.OTHER_END_CLOSED
    slot.close()
    net.turn()
    assert slot.state == states.FREE
    assert peer.ended == "fin"


def case_close_delivers_first():
    net = Net()
    peer, slot = net.peer()
    assert slot.write(b"bye", 0, 3, False)
    slot.close()
    net.turn()
    assert slot.state == states.CLOSE_PENDING
    assert received(peer) == b"bye"
    net.turn()
    assert slot.state == states.FREE
    assert peer.ended == "fin"


def case_reset_is_seen():
    net = Net()
    peer, slot = net.peer()
    peer.reset()
    net.turn()
    assert slot.state == states.OTHER_END_CLOSED
    slot.close()
    net.turn()
    assert slot.state == states.FREE


def case_refused_connection_is_aborted():
    net = Net()
    slot = net.manager.allocate(0)
    slot.connect(LOOPBACK, 1)
    net.turn()
    assert slot.state == states.ABORTED
    slot.abort()
    net.turn(CONNECT_TIMEOUT_MS)
    assert slot.state == states.FREE


def case_outgoing_connection_tells_its_peer():
    net = Net()
    net.stack.servers[8080] = []
    slot = net.manager.allocate(0)
    slot.connect(LOOPBACK, 8080)
    net.turn()
    assert slot.state == states.CONNECTED
    assert status.remote_port(slot.record) == 8080
    assert status.peer_ip(slot.record) == 0x0100007F


def case_those_beyond_the_slots_wait():
    net = Net()
    peers = [net.peer()[0] for _ in range(8)]
    late = net.stack.dial(PORT)
    net.turn()
    assert late.entry is None
    net.manager.slots[3].abort()
    net.turn()
    assert peers[3].ended == "reset"
    assert late.entry is not None
    assert net.manager.rows[fastpath.ROW_CONNECTED] == 0xFF
