"""Ports of the firmware's services: what came is handed out, whatever one of them does with it."""

import pytest
from slots import StubNet

from spinet.fastpath import ROW_DELIVER
from spinet.tcp.manager import ConnectionManager
from spinet.tcp.stack import ERR_USE
from spinet.udp.datagrams import MOST, PORTS
from spinet.udp.ports import DatagramPort

GROUP = 0xFB0000E0


@pytest.fixture
def net():
    return StubNet()


@pytest.fixture
def manager(net):
    return ConnectionManager(net.stack, True)


@pytest.fixture
def peer(net):
    return net.datagram_peer()


class Taken:
    """A service that keeps what it was given."""

    def __init__(self, manager, number, **options):
        self.got = []
        self.then = None  # called with each datagram
        self.port = DatagramPort(manager, self.take, number, **options)

    def take(self, data, sender):
        self.got.append((data, bytes(sender)))
        if self.then:
            self.then(data)


def turn(manager):
    woken = manager.stack.wait(0)
    manager.rows[ROW_DELIVER] = manager.stack.pending()
    manager.deliver()
    return woken


def test_each_port_gets_its_own(manager, peer):
    services = [Taken(manager, 1000 + i) for i in range(3)]
    for i in (2, 0, 1):
        peer.send(b"%d" % i, 1000 + i)
    assert turn(manager) == 1
    for i, service in enumerate(services):
        assert service.got == [(b"%d" % i, peer.address)]
    assert turn(manager) == 0


def test_an_answer_goes_to_the_sender(manager, peer):
    service = Taken(manager, 1000)
    service.then = lambda data: service.port.send(b"re " + data, service.port._sender)
    peer.send(b"question", 1000)
    turn(manager)
    assert peer.receive() == (b"re question", 1000)


def test_a_pass_hands_out_a_bounded_number_and_the_next_the_rest(manager, peer):
    service = Taken(manager, 1000)

    def one_more(data):
        if data < b"\x0b":
            peer.send(bytes([data[0] + 1]), 1000)  # each makes another come at once

    service.then = one_more
    peer.send(b"\0", 1000)
    turn(manager)
    assert len(service.got) == 8
    turn(manager)
    assert [data[0] for data, _ in service.got] == list(range(12))


def test_without_memory_one_datagram_is_lost(manager, peer):
    service = Taken(manager, 1000)

    def refuse_the_first(data):
        if data == b"first":
            raise MemoryError

    service.then = refuse_the_first
    peer.send(b"first", 1000)
    peer.send(b"second", 1000)
    turn(manager)
    turn(manager)
    assert [data for data, _ in service.got] == [b"first", b"second"]


def test_a_service_may_close_its_port_for_a_datagram(manager, peer):
    service = Taken(manager, 1000)
    service.then = lambda data: service.port.close()
    peer.send(b"last", 1000)
    peer.send(b"never", 1000)
    turn(manager)
    turn(manager)  # the stack had told of the other one
    assert len(service.got) == 1
    assert turn(manager) == 0
    assert Taken(manager, 1000).got == []


def test_a_datagram_for_a_port_that_nobody_serves_ends_no_further_wait(manager, peer):
    Taken(manager, 1000)
    manager.stack.udp.bind(0, 2000, 0)
    peer.send(b"x", 2000)
    assert turn(manager) == 1
    assert turn(manager) == 0


def test_a_port_that_cannot_be_had_leaves_nothing(manager):
    Taken(manager, 1000)
    for _ in range(2 * PORTS):
        with pytest.raises(OSError, match=str(ERR_USE)):
            Taken(manager, 1000)
    assert Taken(manager, 1001)


def test_a_group_that_cannot_be_joined_leaves_no_port(manager, monkeypatch):
    monkeypatch.setattr(manager.stack.udp, "join", lambda *_: ERR_USE)
    for _ in range(2 * PORTS):
        with pytest.raises(OSError, match=str(ERR_USE)):
            Taken(manager, 5353, group=GROUP)


def test_what_was_not_sent_is_told(manager, peer):
    service = Taken(manager, 1000)
    assert service.port.send(b"x", peer.address)
    assert not service.port.send(bytes(MOST + 1), peer.address)
    service.port.close()
    assert not service.port.send(b"x", peer.address)
