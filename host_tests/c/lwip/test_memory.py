"""lwIP with as little memory as a chip has: what it refuses, and that nothing wedges it."""

import select
import socket
import time

import pytest
from namespace import PATIENCE, PEERS, as_int
from netconn_rig import ERROR, MEM, OK, WOULDBLOCK

# What an ESP32 has left for TCP once it has joined: docs/hardware.md, Memory. It is the least.
CHIP = 57344
CROWD = 8
EACH = 1 << 20  # bytes each way and peer
MSS, WINDOW = 1440, 2880
RESERVE = 8192


@pytest.mark.behaviour("M3")
def test_a_connection_that_there_is_no_memory_for_waits(stack, wire):
    listener = stack.listen(80)
    stack.limit_bytes(stack.bytes() + RESERVE + WINDOW)
    waiting = wire.begin_connect(80)
    stack.expect(lambda: stack.stats()["refused"] > 0)
    assert stack.accept(listener) == WOULDBLOCK
    assert stack.active_pcbs(-1) == 0
    stack.limit_bytes(0)
    handle = stack.accepted(listener)
    assert stack.write(handle, b"hello") == 5
    assert waiting.recv(5) == b"hello"


@pytest.mark.behaviour("M3")
def test_an_outgoing_connection_that_there_is_no_memory_for_is_refused(stack, wire):
    server = wire.listen(9000)
    stack.limit_bytes(stack.bytes() + RESERVE + WINDOW)
    assert stack.connect(as_int(PEERS[0]), 9000) == MEM
    assert stack.memory()["netconns"] == 0
    stack.limit_bytes(0)
    assert stack.connect(as_int(PEERS[0]), 9000) > 0
    server.accept()[0].close()


@pytest.mark.behaviour("M3", "D4")
def test_a_write_takes_nothing_that_others_were_promised(stack, pair):
    handle, peer = pair
    promised = WINDOW * 9 // 8
    stack.limit_bytes(stack.bytes() + RESERVE + promised + MSS)
    assert stack.spare() <= MSS
    assert stack.write(handle, bytes(2 * MSS)) == MSS  # as nothing is in flight
    stack.limit_bytes(stack.bytes() + RESERVE)
    stack.expect(lambda: stack.in_flight(handle) == 0)
    assert stack.write(handle, b"more") == WOULDBLOCK
    stack.limit_bytes(0)
    assert stack.write(handle, b"more") == 4
    assert stack.error(handle) == OK
    peer.close()


@pytest.mark.behaviour("M3")
def test_a_window_of_single_bytes_takes_no_more_than_its_share(stack, pair):
    handle, peer = pair
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    before = stack.bytes()
    sent = bytes(range(200))
    for i in range(len(sent)):
        peer.send(sent[i : i + 1])
        stack.readable(handle)
        assert stack.bytes() - before < 2 * WINDOW
    received = bytearray()

    def has_all():
        received.extend(stack.read(handle, 64)[1])
        return bytes(received) == sent

    stack.expect(has_all)


class Crowd:
    """Peers that each send EACH bytes and want them back; none reads before `reading`."""

    def __init__(self, stack, wire):
        self._stack = stack
        listener = stack.listen(80, 8)
        self.peers = []
        self.handles = []
        for _ in range(CROWD):
            self.peers.append(self._dial(wire))
            self.handles.append(stack.accepted(listener))
        self.owed = dict.fromkeys(self.handles, b"")  # read, and not written back yet
        self.refused = dict.fromkeys(self.handles, False)  # the last write of it
        self.sent = dict.fromkeys(self.peers, 0)
        self.back = {peer: bytearray() for peer in self.peers}
        self.stream = bytes(i * 7 & 0xFF for i in range(EACH))
        self.reading = False

    @staticmethod
    def _dial(wire):
        peer = wire.connect(80)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        peer.setblocking(False)
        return peer

    def turn(self):
        """What can be done at once, at both ends."""
        for handle in self.handles:
            self._echo(handle)
        writing = [peer for peer in self.peers if self.sent[peer] < EACH]
        readable, writable, _ = select.select(self.peers if self.reading else [], writing, [], 0)
        for peer in writable:
            at = self.sent[peer]
            self.sent[peer] += peer.send(self.stream[at : at + 8192])
        for peer in readable:
            self.back[peer] += peer.recv(65536)
        self._stack.wait(0 if readable or writable else 5)

    def _echo(self, handle):
        if not self.owed[handle]:
            count, self.owed[handle] = self._stack.read(handle, 2048)
            self._stack.recved(handle, max(0, count))
        if self.owed[handle]:
            taken = self._stack.write(handle, self.owed[handle])
            self.refused[handle] = taken <= 0
            self.owed[handle] = self.owed[handle][max(0, taken) :]

    def all_are_stuck(self):
        """No peer reads, and nothing of what they sent can be written back any more."""
        stuck = all(self.owed.values()) and all(self.refused.values())
        return stuck and all(self._stack.readable(handle) > 0 for handle in self.handles)

    def arrived(self):
        return sum(map(len, self.back.values()))

    def is_done(self):
        return self.arrived() >= CROWD * EACH

    def until(self, condition):
        """Turns until it holds, and no longer than a wedge can be told from a slow computer."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"wedged: {self.arrived()} bytes came back"
            self.turn()


@pytest.mark.behaviour("M3")
def test_eight_peers_that_stop_reading_and_start_again(stack, wire):
    stack.limit_bytes(CHIP)
    crowd = Crowd(stack, wire)
    crowd.until(crowd.all_are_stuck)
    crowd.reading = True
    while not crowd.is_done():
        so_far = crowd.arrived()
        crowd.until(lambda so_far=so_far: crowd.arrived() > so_far)
    assert all(bytes(back) == crowd.stream for back in crowd.back.values())
    assert not any(stack.events(handle) & ERROR for handle in crowd.handles)
