"""Ping over sockets: which of the packets that come is the answer."""

import socket
import struct

import pytest

from spinet.tcp.stack import ERR_RTE, ERR_VAL, ERR_WOULDBLOCK
from spinet.udp import ping_sockets

HOST = 0x0200000A  # 10.0.0.2
THERE, ELSEWHERE = ("10.0.0.2", 0), ("10.0.0.3", 0)
REPLY, REQUEST = 0, 8
NUMBER = 0x5350
HEADER = b"\x46" + bytes(23)  # of IP, with one option


class FakeSocket:
    """What the system gives: of the kind that is allowed. It hears what `packets` has."""

    allowed = socket.SOCK_RAW
    unreachable = None
    opened = ()

    def __init__(self, _family, kind, _protocol):
        if kind != self.allowed:
            raise PermissionError(13, "not allowed")
        self.packets = []
        self.sent = []
        self.options = []
        self.is_open = True
        self.opened.append(self)

    def setblocking(self, blocking):
        assert not blocking

    def setsockopt(self, *option):
        self.options.append(option)

    def sendto(self, data, address):
        if self.unreachable:
            raise OSError(self.unreachable, "not sent")
        self.sent.append((bytes(data), address[0]))

    def recvfrom(self, n):
        if not self.packets:
            raise BlockingIOError(11, "none")
        data, sender = self.packets.pop(0)
        return data[:n], sender

    def close(self):
        self.is_open = False


@pytest.fixture(params=[socket.SOCK_RAW, socket.SOCK_DGRAM])
def system(request, monkeypatch):
    """The class of sockets, of which the system allows one kind."""
    monkeypatch.setattr(FakeSocket, "allowed", request.param)
    monkeypatch.setattr(FakeSocket, "opened", [])
    monkeypatch.setattr(socket, "socket", FakeSocket)
    return FakeSocket


def packet(kind, number, sequence, size=40):
    """A message as the system hands it out."""
    message = (struct.pack(">BBHHH", kind, 0, 0, number, sequence) + bytes(32))[:size]
    return (HEADER if FakeSocket.allowed == socket.SOCK_RAW else b"") + message


def test_the_answer_is_taken_and_nothing_else(system, monkeypatch):
    ping = ping_sockets.SocketPing()
    assert ping.echo() == ERR_WOULDBLOCK
    assert ping.send(HOST, 17) == 0
    (sock,) = system.opened
    ((request, to),) = sock.sent
    assert to == THERE[0]
    assert (socket.IPPROTO_IP, socket.IP_TTL, 17) in sock.options
    kind, _, _, number, sequence = struct.unpack_from(">BBHHH", request)
    assert (kind, number) == (REQUEST, NUMBER)
    assert sum(struct.unpack(">20H", request)) % 0xFFFF == 0
    assert ping.echo() == ERR_WOULDBLOCK
    sock.packets += [
        (b"", THERE),
        (packet(REQUEST, number, sequence), THERE),
        (packet(REPLY, number, sequence + 1), THERE),
        (packet(REPLY, number, sequence, 7), THERE),
        (packet(REPLY, number, sequence), ELSEWHERE),
    ]
    if system.allowed == socket.SOCK_RAW:  # the other kind has a number of the system's
        sock.packets.append((packet(REPLY, number + 1, sequence), THERE))
    assert ping.echo() == ERR_WOULDBLOCK
    assert sock.packets == []
    sock.packets.append((packet(REPLY, number, sequence), THERE))
    took = ping.echo()
    assert took >= 0
    assert ping.echo() == took
    assert not sock.is_open
    monkeypatch.setattr(system, "unreachable", 101)
    assert ping.send(HOST, 17) == ERR_RTE
    assert ping.echo() == ERR_WOULDBLOCK


def test_the_next_ping_gives_up_the_one_before(system):
    ping = ping_sockets.SocketPing()
    assert (ping.send(HOST, 64), ping.send(HOST, 64)) == (0, 0)
    first, second = system.opened
    assert (first.is_open, second.is_open) == (False, True)
    assert first.sent[0][0][6:8] != second.sent[0][0][6:8]
    ping.close()
    assert not second.is_open


def test_what_cannot_be_sent_is_an_error(system, monkeypatch):
    ping = ping_sockets.SocketPing()
    monkeypatch.setattr(system, "unreachable", 101)
    assert ping.send(HOST, 64) == ERR_RTE
    monkeypatch.setattr(system, "allowed", None)
    assert ping.send(HOST, 64) == ERR_VAL
    assert not any(sock.is_open for sock in system.opened)
    assert ping.echo() == ERR_WOULDBLOCK
