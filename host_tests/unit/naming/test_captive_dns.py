"""The access point's DNS where no wait ends for it: over a stack that watches nothing."""

import socket
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slots import PATIENCE, next_port, wait_until

from spinet.naming import dns
from spinet.naming.captive_dns import CaptiveDns
from spinet.tcp.udp import _BURST, POLL_MS

OWN = 0x0104A8C0
NAME = dns.name(b"www", b"example", b"org")


def nothing():
    """Nothing is to be polled by itself here."""


@pytest.fixture
def asker():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PATIENCE)
        yield sock


@pytest.fixture
def server(asker):
    """A server that was started, and its address."""
    server, said = None, ["not yet"]
    while said:  # another program may have the port
        said = []
        address = ("127.0.0.1", next_port())
        server = CaptiveDns(object(), said.append, nothing, *address)
        server.said = said
        server.address = address
        server.start(b"", OWN, 0)
    yield server
    server.stop()


def question(kind=dns.A, klass=dns.IN, flags=dns.RECURSION_DESIRED, number=7):
    asked = [dns.question_bytes(dns.Question(NAME, kind, klass))]
    return dns.message_bytes(number, flags, asked, [], [], [])


def waiting(server):
    """The memory of datagrams that have come and were not read (SO_MEMINFO)."""
    return int.from_bytes(server._port.sock.getsockopt(socket.SOL_SOCKET, 55, 4), sys.byteorder)


def ask(server, asker, data):
    """Send; the server finds it at its next step."""
    before = waiting(server)
    asker.sendto(data, server.address)
    wait_until(lambda: waiting(server) > before, lambda: None)


def answer(server, asker, data):
    ask(server, asker, data)
    server.poll(0)
    return dns.parse(asker.recv(1500))


def test_our_address_for_any_name(server, asker):
    message = answer(server, asker, question())
    assert (message.number, message.questions[0].name) == (7, NAME)
    assert message.flags == dns.RESPONSE | dns.AUTHORITATIVE | dns.RECURSION_DESIRED
    assert [record.data for record in message.answers] == [bytes([192, 168, 4, 1])]


@pytest.mark.parametrize("kind", [dns.A, dns.ANY, 28, dns.TXT])
@pytest.mark.parametrize("klass", [dns.IN, 3])
def test_the_name_comes_back_as_it_was_asked_for(server, asker, kind, klass):
    """A resolver that draws the case of each letter at random (0x20) believes no other answer."""
    asked = dns.name(b"wWw", b"eXamPLe", b"ORg") + bytes((0, kind, 0, klass))
    ask(server, asker, dns.message_bytes(7, 0, [asked], [], [], []))
    server.poll(0)
    data = asker.recv(1500)
    assert data[dns._HEADER :].startswith(asked)
    for record in dns.parse(data).answers:
        assert record.name == asked[:-4]


@pytest.mark.parametrize("kind", [28, dns.TXT, 65])
def test_nothing_but_addresses(server, asker, kind):
    message = answer(server, asker, question(kind))
    assert message.answers == []
    assert message.flags & 15 == 0


def test_what_else_can_be_asked(server, asker):
    assert answer(server, asker, question(klass=3)).flags & 15 == 5
    assert answer(server, asker, question(flags=0x2800)).flags & 15 == 4


def test_it_is_looked_at_while_we_are_an_access_point(server):
    assert server.poll(0) == POLL_MS
    server.stop()
    assert server.poll(0) == -1
    server.stop()


def test_one_turn_takes_a_bounded_number(server, asker):
    for number in range(_BURST + 1):
        ask(server, asker, question(number=number))
    server.poll(0)
    for number in range(_BURST):
        assert dns.parse(asker.recv(1500)).number == number
    asker.setblocking(False)
    with pytest.raises(BlockingIOError):
        asker.recv(1500)


def test_each_datagram_is_told_of(server, asker):
    """Each takes memory, also one that is no question."""
    told = []
    server._stir = lambda: told.append(True)
    for data in (question(), bytes(12)):
        ask(server, asker, data)
    server.poll(0)
    assert len(told) == 2


def test_more_than_a_question_is_not_read(server, asker):
    asked = dns.question_bytes(dns.Question(NAME, dns.A, dns.IN))
    ask(server, asker, dns.message_bytes(7, 0, [asked], [asked * 60], [], []))
    server.poll(0)
    assert server.bad == 1


def test_answers_are_not_answered(server, asker):
    """Two servers would talk to each other for ever."""
    ask(server, asker, question(flags=dns.RESPONSE))
    server.poll(0)
    assert server.bad == 1


def test_a_message_without_a_question(server, asker):
    ask(server, asker, bytes(12))
    server.poll(0)
    assert server.bad == 1


def test_a_port_that_cannot_be_had(server):
    said = []
    second = CaptiveDns(object(), said.append, nothing, *server.address)
    second.start(b"", OWN, 0)
    assert said == ["no DNS for the access point: error 98"]
    assert second.poll(0) == -1
    second.stop()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=100,
)
@given(st.binary(max_size=200))
def test_noise(server, asker, data):
    ask(server, asker, data)
    server.poll(0)
    asker.setblocking(False)
    try:
        while True:
            assert dns.parse(asker.recv(1500)).flags & dns.RESPONSE
    except BlockingIOError:
        return
    finally:
        asker.settimeout(PATIENCE)
