"""Ping over real lwIP: which answer is the one that is waited for."""

import socket
import struct

import pytest
from namespace import MODULE, NOBODY, PEERS, as_int
from netconn_rig import OK, RTE, WOULDBLOCK

TTL = 64
REPLY, REQUEST, UNREACHABLE = 0, 8, 3
NUMBER = 0x5350
LAST = 999  # a sequence that no ping here reaches


@pytest.fixture
def mute(wire):
    """Peers whose computer answers no ping; send(octets) says something in one's place."""

    def is_mute():
        with open("/proc/sys/net/ipv4/icmp_echo_ignore_all", "w") as setting:
            setting.write("1")

    wire.inside(is_mute)
    with (
        wire.socket(socket.SOCK_RAW, proto=socket.IPPROTO_ICMP) as first,
        wire.socket(socket.SOCK_RAW, proto=socket.IPPROTO_ICMP) as second,
    ):
        for sock, ip in zip((first, second), PEERS, strict=True):
            sock.bind((ip, 0))
        yield first, second


def icmp(kind, number, sequence, size=8):
    octets = struct.pack(">BBHHH", kind, 0, 0, number, sequence)[:size]
    total = sum(struct.unpack(f">{size // 2}H", octets))
    total = (total & 0xFFFF) + (total >> 16)
    return octets[:2] + struct.pack(">H", ~total & 0xFFFF) + octets[4:]


def message_of(packet):
    """(type, number, sequence) of an ICMP message in its packet."""
    kind, _, _, number, sequence = struct.unpack_from(">BBHHH", packet, 20)
    return kind, number, sequence


def asked(sock):
    """(ttl, number, sequence) of the next echo request that a peer gets."""
    packet = b""
    while not packet or message_of(packet)[0] != REQUEST:
        packet = sock.recv(2048)
    return packet[8], *message_of(packet)[1:]


@pytest.mark.behaviour("A6")
def test_a_peer_answers(stack, peer_ip):
    for _ in range(3):
        assert stack.ping(peer_ip, TTL) == OK
        stack.expect(lambda: stack.echo() != WOULDBLOCK)
        assert stack.echo() >= 0
        assert stack.echo() >= 0


def test_our_own_address_answers(stack):
    assert stack.ping(as_int(MODULE), TTL) == OK
    stack.expect(lambda: stack.echo() >= 0)


def test_only_its_own_answer_is_taken(stack, mute, peer_ip):
    peer, other = mute
    assert stack.ping(peer_ip, 17) == OK
    ttl, number, earlier = asked(peer)
    assert (ttl, number) == (17, NUMBER)
    assert stack.ping(peer_ip, TTL) == OK
    _, number, sequence = asked(peer)
    assert sequence != earlier
    address = (MODULE, 0)
    other.sendto(icmp(REPLY, number, sequence), address)
    peer.sendto(icmp(REPLY, number, earlier), address)
    peer.sendto(icmp(REPLY, number + 1, sequence), address)
    peer.sendto(icmp(REQUEST, number, sequence), address)
    peer.sendto(icmp(UNREACHABLE, number, sequence), address)
    peer.sendto(icmp(REPLY, number, sequence, 6), address)
    peer.sendto(icmp(REQUEST, number, LAST), address)
    while message_of(peer.recv(2048)) != (REPLY, number, LAST):
        pass  # when the last one is answered, all that was sent before it has come
    assert stack.echo() == WOULDBLOCK
    peer.sendto(icmp(REPLY, number, sequence), address)
    stack.expect(lambda: stack.echo() >= 0)
    took = stack.echo()
    peer.sendto(icmp(REPLY, number, sequence), address)
    assert stack.echo() == took


def test_nobody_answers(stack, peer_ip):
    assert stack.ping(as_int(NOBODY), TTL) == OK
    assert stack.echo() == WOULDBLOCK
    assert stack.ping(peer_ip, TTL) == OK
    stack.expect(lambda: stack.echo() >= 0)
    assert stack.ping(as_int(NOBODY), TTL) == OK
    assert stack.echo() == WOULDBLOCK


def test_without_a_route(stack, peer_ip):
    stack.link(0)
    stack.interface(0)
    assert stack.ping(peer_ip, TTL) == RTE
    assert stack.echo() == WOULDBLOCK


def test_memory_comes_back(stack, peer_ip):
    before = None
    for _ in range(200):
        assert stack.ping(peer_ip, TTL) == OK
        stack.expect(lambda: stack.echo() >= 0)
        before = before or stack.memory()["blocks"]
    assert stack.memory()["blocks"] <= before + 2
    stack.stop()
    stack.start(0, 0, 0)
    assert stack.ping(peer_ip, TTL) == OK
    stack.expect(lambda: stack.echo() >= 0)
