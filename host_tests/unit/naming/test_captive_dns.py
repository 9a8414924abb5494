"""The access point's DNS, over the scriptable stack."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slots import Slots, StubNet, nothing

from spinet.naming.captive_dns import PORT, CaptiveDns
from spinet.udp import dns

OWN = 0x0104A8C0
NAME = dns.name(b"www", b"example", b"org")


@pytest.fixture
def net():
    return StubNet()


@pytest.fixture
def slots(net):
    return Slots(net)


@pytest.fixture
def asker(net):
    return net.datagram_peer()


@pytest.fixture
def server(slots):
    """A server that was started."""
    server = CaptiveDns(slots.manager, lambda text: None, nothing)
    server.start(b"", OWN, 0)
    server.turn = slots.turn
    yield server
    server.stop()


def question(kind=dns.A, klass=dns.IN, flags=dns.RECURSION_DESIRED, number=7):
    asked = [dns.question_bytes(dns.Question(NAME, kind, klass))]
    return dns.message_bytes(number, flags, asked, [], [], [])


def ask(server, asker, data):
    """Send; the next pass of the loop finds it."""
    asker.send(data, PORT)
    server.turn()


def answer(server, asker, data):
    ask(server, asker, data)
    return dns.parse(asker.receive()[0])


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
    data, _ = asker.receive()
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


def test_it_hears_while_we_are_an_access_point(server, asker):
    assert server.poll(0) == -1
    server.stop()
    ask(server, asker, question())
    assert asker.receive() is None
    server.stop()
    server.start(b"", OWN, 0)
    assert answer(server, asker, question()).number == 7


def test_each_question_of_a_full_queue_is_answered(server, asker):
    for number in range(7):
        asker.send(question(number=number), PORT)
    ask(server, asker, question(number=7))
    answered = [dns.parse(asker.receive()[0]).number for _ in range(8)]
    assert answered == list(range(8))


def test_each_datagram_is_told_of(server, asker):
    """Each takes memory, also one that is no question."""
    told = []
    server._stir = lambda: told.append(True)
    for data in (question(), bytes(12)):
        ask(server, asker, data)
    assert len(told) == 2


def test_more_than_a_question_is_not_read(server, asker):
    asked = dns.question_bytes(dns.Question(NAME, dns.A, dns.IN))
    ask(server, asker, dns.message_bytes(7, 0, [asked], [asked * 60], [], []))
    assert asker.receive() is None


def test_answers_are_not_answered(server, asker):
    """Two servers would talk to each other for ever."""
    ask(server, asker, question(flags=dns.RESPONSE))
    assert asker.receive() is None


def test_a_message_without_a_question(server, asker):
    ask(server, asker, bytes(12))
    assert asker.receive() is None


def test_a_port_that_cannot_be_had(server, slots, asker):
    said = []
    second = CaptiveDns(slots.manager, said.append, nothing)
    second.start(b"", OWN, 0)
    assert said == ["no DNS for the access point: error -8"]
    assert second.poll(0) == -1
    second.stop()
    assert answer(server, asker, question()).number == 7


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=100,
)
@given(st.binary(max_size=200))
def test_noise(server, asker, data):
    ask(server, asker, data)
    while heard := asker.receive():
        assert dns.parse(heard[0]).flags & dns.RESPONSE
