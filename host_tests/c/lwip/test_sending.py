"""Writing: what is taken, what goes onto the wire, what is in flight."""

import random
import threading

import pytest
from capture import PSH, SYN
from namespace import PATIENCE, reset
from netconn_rig import CLOSED, CLSD, ERROR, OK, ROOM, RST, WOULDBLOCK

SEND_BUFFER = 4320


def data_segments(capture):
    """The module's segments that carry data, in the order of the wire."""
    return capture.sent(lambda segment: segment.data)


def receive(peer, count):
    """Exactly `count` bytes from the peer's socket."""
    received = bytearray()
    while len(received) < count:
        some = peer.recv(65536)
        assert some, f"closed after {len(received)} bytes"
        received += some
    return bytes(received)


def close_the_window(stack, handle, capture):
    """Write to the wire's only connection until its peer takes nothing more, and lwIP knows.

    That nothing more can be written is not enough: the peer's acknowledgement may be delayed, and
    into the last of a window lwIP sends a part of a segment, when its persist timer ends.
    """
    taken = 0

    def closed():
        nonlocal taken
        taken += max(0, stack.write(handle, bytes(2048)))
        first = capture.sent(lambda segment: segment.flags & SYN)[0].sequence + 1
        last = capture.segments(lambda segment: not segment.from_module)[-1]
        arrived = last.acknowledged - first & 0xFFFFFFFF
        return last.window == 0 and stack.in_flight(handle) == SEND_BUFFER == taken - arrived

    stack.expect(closed)


@pytest.mark.behaviour("D1")
@pytest.mark.parametrize("size", [1, 100, 1440, 1441, 2048, 4096])
def test_push_is_on_the_last_segment_only(stack, pair, capture, size):
    handle, peer = pair
    assert stack.write(handle, bytes(size)) == size
    receive(peer, size)
    flags = [bool(segment.flags & PSH) for segment in data_segments(capture)]
    assert flags == [False] * (len(flags) - 1) + [True]


@pytest.mark.behaviour("D1")
@pytest.mark.parametrize("size", [1, 100, 1440, 2048, 4096])
def test_without_push_no_segment_has_psh(stack, pair, capture, size):
    handle, peer = pair
    assert stack.write(handle, bytes(size), more=True) == size
    receive(peer, size)
    assert not any(segment.flags & PSH for segment in data_segments(capture))


@pytest.mark.behaviour("D1")
def test_partial_write_has_no_push(stack, pair, capture):
    handle, peer = pair
    taken = stack.write(handle, bytes(60000))
    assert 0 < taken < 60000
    receive(peer, taken)
    assert not any(segment.flags & PSH for segment in data_segments(capture))


@pytest.mark.behaviour("D1")
def test_small_writes_without_push_are_gathered(stack, pair, capture, peer_ip):
    handle, peer = pair
    stack.peer_dead(peer_ip, 1)  # nothing is acknowledged before all is written
    for _ in range(60):
        assert stack.write(handle, b"0123456789", more=True) == 10
    assert stack.write(handle, b"end") == 3
    stack.peer_dead(peer_ip, 0)
    assert receive(peer, 603) == b"0123456789" * 60 + b"end"
    segments = data_segments(capture)
    assert len(segments) <= 20
    assert segments[-1].flags & PSH
    assert not any(segment.flags & PSH for segment in segments[:-1])


@pytest.mark.behaviour("D1")
def test_push_of_nothing_pushes_what_waits(stack, pair, capture, peer_ip):
    handle, peer = pair
    stack.peer_dead(peer_ip, 1)  # nothing is acknowledged before all is written
    stack.write(handle, b"a" * 1000, more=True)
    stack.write(handle, b"b" * 1000, more=True)
    assert stack.write(handle, b"") == 0
    stack.peer_dead(peer_ip, 0)
    assert receive(peer, 2000) == b"a" * 1000 + b"b" * 1000
    first, second = data_segments(capture)
    assert (first.flags & PSH, second.flags & PSH) == (0, PSH)


@pytest.mark.behaviour("D5")
def test_accepted_bytes_arrive_in_order(stack, pair):
    handle, peer = pair
    sent = random.Random(5).randbytes(300_000)
    received = []
    reader = threading.Thread(target=lambda: received.append(receive(peer, len(sent))))
    reader.start()
    stack.write_all(handle, sent)
    reader.join(2 * PATIENCE)
    assert received == [sent]
    stack.expect(lambda: stack.in_flight(handle) == 0)


@pytest.mark.behaviour("D2")
@pytest.mark.behaviour("D4")
def test_closed_window_would_block_and_others_go_on(stack, wire, capture):
    listener = stack.listen(80)
    stuck_peer = wire.connect(80, receive_buffer=2048)
    stuck = stack.accepted(listener)
    close_the_window(stack, stuck, capture)
    assert stack.write(stuck, b"x") == WOULDBLOCK
    assert stack.error(stuck) == OK
    peer = wire.connect(80)
    handle = stack.accepted(listener)
    for _ in range(50):
        stack.write_all(handle, b"quick")
        assert receive(peer, 5) == b"quick"
        assert stack.write(stuck, b"x") == WOULDBLOCK
    stack.events(stuck)
    receive(stuck_peer, 4096)
    stack.until(stuck, ROOM)
    assert stack.write(stuck, b"x") == 1


@pytest.mark.behaviour("D5")
def test_many_tiny_writes_stop_at_the_pbuf_limit_and_go_on(stack, pair, peer_ip):
    handle, peer = pair
    stack.peer_dead(peer_ip, 1)
    sent = bytearray()
    count = 0
    while count != WOULDBLOCK:
        some = bytes([len(sent) % 251]) * 10
        count = stack.write(handle, some)
        sent += some[: max(0, count)]
    assert stack.in_flight(handle) == len(sent) < SEND_BUFFER + 1
    stack.peer_dead(peer_ip, 0)
    assert receive(peer, len(sent)) == bytes(sent)


@pytest.mark.behaviour("D5")
def test_no_route_sends_nothing_twice(stack, pair):
    handle, peer = pair
    stack.interface(0)
    assert stack.write(handle, b"queued all the same") == 19
    assert stack.stats()["no_route"] == 1
    assert stack.in_flight(handle) == 19
    stack.interface(1)
    assert stack.write(handle, b", once") == 6
    assert receive(peer, 25) == b"queued all the same, once"


@pytest.mark.behaviour("D4")
def test_no_memory_is_not_an_end(stack, pair):
    handle, peer = pair
    stack.limit_blocks(0)
    results = [stack.write(handle, b"x" * 1000) for _ in range(3)]
    stack.limit_blocks(-1)
    assert results == [WOULDBLOCK] * 3
    assert stack.error(handle) == OK
    assert stack.write(handle, b"fine again") == 10
    assert receive(peer, 10) == b"fine again"


@pytest.mark.behaviour("D7")
def test_in_flight_is_what_the_peer_has_not_acknowledged(stack, capture, pair, peer_ip):
    handle, peer = pair
    assert stack.in_flight(handle) == 0
    stack.peer_dead(peer_ip, 1)
    assert stack.write(handle, bytes(3000)) == 3000
    assert stack.in_flight(handle) == 3000
    stack.peer_dead(peer_ip, 0)
    receive(peer, 3000)
    stack.expect(lambda: stack.in_flight(handle) == 0)
    first = capture.sent(lambda segment: segment.flags & SYN)[0].sequence
    acknowledged = capture.segments(lambda segment: not segment.from_module)[-1].acknowledged
    assert acknowledged - first - 1 == 3000


@pytest.mark.behaviour("D7")
def test_in_flight_is_nothing_when_the_pcb_is_gone(stack, pair, peer_ip):
    handle, peer = pair
    stack.write(handle, bytes(3000))
    reset(peer)
    stack.until(handle, ERROR)
    assert stack.in_flight(handle) == 0


@pytest.mark.behaviour("D3")
def test_write_after_the_peers_end(stack, pair):
    handle, peer = pair
    peer.close()
    stack.until(handle, CLOSED)
    assert stack.write(handle, b"first") == 5
    stack.until(handle, ERROR)
    assert stack.write(handle, b"second") == RST
    assert stack.read(handle)[0] == CLSD


@pytest.mark.behaviour("D5")
def test_write_of_a_listener_is_refused(stack):
    listener = stack.listen(80)
    assert stack.write(listener, b"x") == -16
    assert stack.in_flight(listener) == -16
    assert stack.readable(listener) == -16
