"""The access point's DNS where no wait ends for it: over a stack that watches nothing."""

import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spinet import dns
from spinet.captive_dns import CaptiveDns
from spinet.datagrams import BURST, POLL_MS

OWN = 0x0104A8C0
NAME = dns.name(b"www", b"example", b"org")


@pytest.fixture
def asker():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        yield sock


@pytest.fixture
def server(asker):
    """A server that was started, and its address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    said = []
    server = CaptiveDns(object(), said.append, *address)
    server.said = said
    server.address = address
    server.start(b"", OWN, 0)
    yield server
    server.stop()


def question(kind=dns.A, klass=dns.IN, flags=dns.RECURSION_DESIRED, number=7):
    asked = [dns.question_bytes(dns.Question(NAME, kind, klass))]
    return dns.message_bytes(number, flags, asked, [], [], [])


def answer(server, asker, data):
    asker.sendto(data, server.address)
    server.step(0)
    return dns.parse(asker.recv(1500))


def test_our_address_for_any_name(server, asker):
    message = answer(server, asker, question())
    assert (message.number, message.questions[0].name) == (7, NAME)
    assert message.flags == dns.RESPONSE | dns.AUTHORITATIVE | dns.RECURSION_DESIRED
    assert [record.data for record in message.answers] == [bytes([192, 168, 4, 1])]


@pytest.mark.parametrize("kind", [28, dns.TXT, 65])
def test_nothing_but_addresses(server, asker, kind):
    message = answer(server, asker, question(kind))
    assert message.answers == []
    assert message.flags & 15 == 0


def test_what_else_can_be_asked(server, asker):
    assert answer(server, asker, question(klass=3)).flags & 15 == 5
    assert answer(server, asker, question(flags=0x2800)).flags & 15 == 4


def test_it_is_looked_at_while_we_are_an_access_point(server):
    assert server.due_ms(0) == POLL_MS
    server.stop()
    assert server.due_ms(0) == -1
    server.step(0)
    server.stop()


def test_one_turn_takes_a_bounded_number(server, asker):
    for number in range(BURST + 1):
        asker.sendto(question(number=number), server.address)
    server.step(0)
    for number in range(BURST):
        assert dns.parse(asker.recv(1500)).number == number
    asker.setblocking(False)
    with pytest.raises(BlockingIOError):
        asker.recv(1500)


def test_answers_are_not_answered(server, asker):
    """Two servers would talk to each other for ever."""
    asker.sendto(question(flags=dns.RESPONSE), server.address)
    server.step(0)
    assert server.bad == 1


def test_a_message_without_a_question(server, asker):
    asker.sendto(bytes(12), server.address)
    server.step(0)
    assert server.bad == 1


def test_a_port_that_cannot_be_had(server):
    said = []
    second = CaptiveDns(object(), said.append, *server.address)
    second.start(b"", OWN, 0)
    assert said == ["no DNS for the access point: error 98"]
    second.step(0)
    assert second.due_ms(0) == -1
    second.stop()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.binary(max_size=200))
def test_noise(server, asker, data):
    asker.sendto(data, server.address)
    server.step(0)
    asker.setblocking(False)
    try:
        while True:
            assert dns.parse(asker.recv(1500)).flags & dns.RESPONSE
    except BlockingIOError:
        return
    finally:
        asker.settimeout(10)
