"""UDP ports over real lwIP: what their queues hold, and what is left when they are closed."""

import socket
import struct

import pytest
from namespace import MODULE, PEERS, as_int
from netconn_rig import ARG, DATA, MEM, OK, RTE, WOULDBLOCK

QUEUE = 8
PORT = 5000
DATAGRAMS = 24  # NC_DATAGRAMS
GROUP = "239.1.2.3"


@pytest.fixture
def peer(wire):
    with wire.socket(socket.SOCK_DGRAM) as made:
        made.bind((PEERS[0], 0))
        yield made


def receive(stack, h, room=2000):
    """(length or error, sender, bytes)."""
    answer = stack._ask("udp_receive", h, room)
    data = bytes.fromhex(answer[1]) if len(answer) > 1 else b""
    return int(answer[0]), data[:6], data[6:]


def sender_of(peer):
    ip, port = peer.getsockname()
    return struct.pack("<H", port) + socket.inet_aton(ip)


def send(stack, h, peer, data):
    ip, port = peer.getsockname()
    return stack.udp_send(h, as_int(ip), data.hex() or "-", port)


def fill(stack, h, peer, count, room=QUEUE):
    """Send so many, numbered, and wait until each was queued or dropped.

    What is sent as the kernel learns the module's address may overtake what waited for that: so the
    first one goes alone.
    """
    for i in range(count):
        peer.sendto(bytes([i]) * 9, (MODULE, PORT))
        if i == 0:
            stack.expect(lambda: stack.udp_length(h) == 9)
    stack.expect(lambda: stack.udp_dropped(h) == count - room)


def test_a_queue_holds_eight_and_drops_the_newest(stack, peer):
    h = stack.udp_bind(0, PORT, 0)
    fill(stack, h, peer, 20)
    for i in range(QUEUE):
        assert receive(stack, h) == (9, sender_of(peer), bytes([i]) * 9)
    assert receive(stack, h) == (WOULDBLOCK, b"", b"")
    peer.sendto(b"later", (MODULE, PORT))
    stack.expect(lambda: stack.udp_length(h) == 5)
    assert stack.udp_dropped(h) == 12


def test_memory_comes_back_with_each_datagram_and_port(stack, peer):
    before = stack.memory()["blocks"]
    for _ in range(30):
        h = stack.udp_bind(0, PORT, 0)
        fill(stack, h, peer, 12)
        receive(stack, h)
        assert stack.udp_close(h) == OK
        assert stack.udp_pending() == 0
    assert stack.memory()["blocks"] <= before + 3  # the peer's place in the ARP table


def test_without_memory_a_port_takes_one_datagram(stack, peer):
    """What peers of connections may still send goes first; a question is answered all the same."""
    h = stack.udp_bind(0, PORT, 0)
    stack.limit_bytes(stack.bytes() + 6000)
    assert stack.spare() == 0
    fill(stack, h, peer, 3, room=1)
    assert receive(stack, h)[2] == bytes(9)
    assert receive(stack, h)[0] == WOULDBLOCK
    assert send(stack, h, peer, b"answer") == 6
    assert peer.recv(100) == b"answer"


def test_a_port_without_memory_for_it(stack, peer):
    stack.limit_blocks(0)
    assert stack.udp_bind(0, PORT, 0) == MEM
    stack.limit_blocks(-1)
    h = stack.udp_bind(0, PORT, 0)
    peer.sendto(b"hello", (MODULE, PORT))
    stack.expect(lambda: stack.udp_length(h) == 5)
    stack.limit_blocks(0)
    assert send(stack, h, peer, b"answer") == MEM
    stack.limit_blocks(-1)
    assert send(stack, h, peer, b"answer") == 6
    assert peer.recv(100) == b"answer"


def test_no_route_is_told(stack, peer):
    h = stack.udp_bind(0, PORT, 0)
    stack.interface(0)
    assert send(stack, h, peer, b"nowhere") == RTE
    stack.interface(1)


def test_one_event_for_all_ports(stack, peer):
    ports = [stack.udp_bind(0, PORT + i, 0) for i in range(16)]
    assert stack.udp_bind(0, PORT + 16, 0) == MEM
    for i in (15, 3):
        peer.sendto(b"x", (MODULE, PORT + i))
    stack.expect(lambda: stack.udp_length(ports[3]) == 1 and stack.udp_length(ports[15]) == 1)
    assert stack.pending() == 1 << DATAGRAMS
    assert stack.wait(-1) == 1
    assert stack.events(DATAGRAMS) == DATA
    assert stack.events(DATAGRAMS) == 0
    assert stack.pending() == 0
    assert stack.udp_pending() == 1 << 15 | 1 << 3
    assert stack.udp_pending() == 0


def test_an_event_that_nobody_wants_is_overlooked(stack, peer):
    h = stack.udp_bind(0, PORT, 0)
    peer.sendto(b"x", (MODULE, PORT))
    stack.expect(lambda: stack.udp_length(h) == 1)
    stack.overlook(1 << DATAGRAMS)
    assert stack.pending() == 0
    assert stack.wait(0) == 0


def test_a_closed_port_leaves_its_group(stack, wire, peer):
    peer.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(PEERS[0]))
    for _ in range(3):
        h = stack.udp_bind(0, PORT, 1)
        assert stack.udp_join(h, as_int(GROUP), as_int(MODULE)) == OK
        peer.sendto(b"to all", (GROUP, PORT))
        stack.expect(lambda h=h: stack.udp_length(h) == 6)
        assert stack.udp_close(h) == OK
        other = stack.udp_bind(0, PORT, 0)
        peer.sendto(b"to the group", (GROUP, PORT))
        peer.sendto(b"alone", (MODULE, PORT))
        stack.expect(lambda other=other: stack.udp_length(other) == 5)
        assert stack.udp_close(other) == OK


def test_the_end_closes_all_ports(stack, peer):
    h = stack.udp_bind(0, PORT, 1)
    assert stack.udp_join(h, as_int(GROUP), as_int(MODULE)) == OK
    fill(stack, h, peer, 9)
    stack.stop()
    assert stack.udp_length(h) == ARG
    again = stack.udp_bind(0, PORT, 0)
    assert again > 0
    assert again != h
