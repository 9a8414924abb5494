"""The multicast DNS responder on a network in memory: what it says, when, and to whom."""

import pytest
from fake_lan import GROUP, NETMASK, Lan, LanPort, peer_at
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spinet.naming import mdns
from spinet.udp import dns

HTTP = dns.name(b"_http", b"_tcp", b"local")
ALL_KINDS = dns.name(b"_services", b"_dns-sd", b"_udp", b"local")
RANDOM = 7  # what the responders draw


def ip(last):
    return 10 | last << 24


def host(label):
    return dns.name(label, b"local")


def instance(label, kind=b"_http"):
    return dns.name(label, kind, b"_tcp", b"local")


@pytest.fixture
def lan(monkeypatch):
    monkeypatch.setattr(mdns, "getrandbits", lambda bits: RANDOM)
    return Lan(monkeypatch)


@pytest.fixture
def start(lan):
    """start(name, last octet, {kind: port}) -> a responder that has just begun to probe."""

    def started(name=b"spinet", last=1, services=None):
        said = []
        one = mdns.Responder(None, [b"product=Spinet"], said.append, lambda: None, lan.open)
        one.said = said
        for kind, port in (services or {}).items():
            one.service(kind, port)
        one.start(name, ip(last), NETMASK)
        return one

    return started


@pytest.fixture
def web(lan, start):
    """A responder with one service, probed and announced a while ago; nothing is in `heard`."""
    one = start(services={b"_http": 80})
    lan.run(5000, one)
    lan.heard.clear()
    return one


class Asker:
    """Another host on the network, on port 5353 or on one of its own."""

    def __init__(self, lan, last=99, port=dns.MULTICAST_PORT):
        self.got = []
        self.port = LanPort(lan, lambda data, _: self.got.append(dns.parse(data)), [10, 0, 0, last])
        self.port.source = (self.port.text, port)

    def say(self, flags=0, questions=(), answers=(), authority=(), number=0):
        data = dns.message_bytes(
            number,
            flags,
            [dns.question_bytes(question) for question in questions],
            [dns.record_bytes(record, record.klass, record.ttl) for record in answers],
            [dns.record_bytes(record, record.klass, record.ttl) for record in authority],
            [],
        )
        self.port.send(data, peer_at(GROUP))


def ask(owner, kind, klass=dns.IN):
    return dns.Question(owner, kind, klass)


def address_record(owner, octets, ttl=120, klass=dns.IN):
    return dns.Record(owner, dns.A, klass, ttl, bytes(octets))


def answers_to(lan, one, *questions, wait=0, **more):
    """The records that are multicast within `wait` ms."""
    asker = Asker(lan)
    asker.say(questions=questions, **more)
    lan.heard.clear()
    lan.run(wait, one)
    asker.port.close()
    return said(lan)


def said(lan):
    """(name, kind) of all answers that were heard."""
    return [(r.name, r.kind) for message, _, _ in lan.heard for r in message.answers]


# --- claiming


def test_probes_thrice_then_announces_twice(lan, start):
    one = start(services={b"_http": 8080})
    lan.run(5000, one)
    probes = [m for m, _, _ in lan.heard if not m.flags & dns.RESPONSE]
    assert [m.questions[0].name for m in probes] == [host(b"spinet"), instance(b"spinet")] * 3
    assert all(m.questions[0].kind == dns.ANY for m in probes)
    assert [r.kind for r in probes[0].authority] == [dns.A]
    assert [r.kind for r in probes[1].authority] == [dns.SRV, dns.TXT]
    announced = said(lan)
    assert announced.count((HTTP, dns.PTR)) == 2
    assert announced.count((host(b"spinet"), dns.A)) == 2
    assert one.said == ["known as spinet.local"]
    assert one.name() == "spinet"
    assert one.poll(lan.now) == -1


def test_what_is_announced(lan, start):
    lan.run(5000, start(services={b"_http": 8080}))
    records = {(r.name, r.kind): r for m, _, _ in lan.heard for r in m.answers}
    place = records[instance(b"spinet"), dns.SRV]
    assert place.data == bytes(4) + (8080).to_bytes(2, "big") + host(b"spinet")
    assert place.klass == dns.IN | dns.FLUSH
    assert records[instance(b"spinet"), dns.TXT].data == b"\x0eproduct=Spinet"
    assert records[HTTP, dns.PTR].data == instance(b"spinet")
    assert records[HTTP, dns.PTR].klass == dns.IN
    assert records[ALL_KINDS, dns.PTR].data == HTTP
    assert records[host(b"spinet"), dns.A].data == bytes([10, 0, 0, 1])


def test_nothing_is_answered_before_the_name_is_ours(lan, start):
    one = start()
    lan.run(300, one)
    assert answers_to(lan, one, ask(host(b"spinet"), dns.A)) == []


def test_a_name_that_is_taken_gets_a_number(lan, start):
    first = start(last=1)
    lan.run(5000, first)
    second = start(last=2)
    lan.run(5000, first, second)
    third = start(last=3)
    lan.run(5000, first, second, third)
    assert [one.name() for one in (first, second, third)] == ["spinet", "spinet-2", "spinet-3"]


def test_a_service_that_is_taken_too(lan, start):
    first = start(last=1, services={b"_http": 80})
    second = start(last=1, services={b"_http": 81})  # the same computer: the same address
    lan.run(9000, first, second)
    assert sorted([first.name(), second.name()]) == ["spinet", "spinet-2"]


def test_two_that_probe_at_the_same_time(lan, start):
    low, high = start(last=1), start(last=2)
    lan.run(9000, low, high)
    assert (low.name(), high.name()) == ("spinet-2", "spinet")


def test_a_number_in_a_name_of_full_length(lan, start):
    first = start(b"x" * 63, last=1)
    lan.run(5000, first)
    second = start(b"x" * 63, last=2)
    lan.run(5000, first, second)
    assert second.name() == "x" * 61 + "-2"


def test_a_later_claim_to_our_name_is_looked_into(lan, web):
    other = Asker(lan)
    other.say(dns.RESPONSE, answers=[address_record(host(b"spinet"), [10, 0, 0, 99])])
    lan.run(0, web)
    assert not lan.heard[-1][0].flags & dns.RESPONSE  # a probe
    lan.run(5000, web)
    assert web.name() == "spinet"  # it was not defended


def test_the_same_record_from_elsewhere_is_no_claim(lan, web):
    Asker(lan).say(dns.RESPONSE, answers=[address_record(host(b"spinet"), [10, 0, 0, 1])])
    lan.heard.clear()
    lan.run(1000, web)
    assert lan.heard == []


def test_a_goodbye_is_no_claim(lan, web):
    Asker(lan).say(dns.RESPONSE, answers=[address_record(host(b"spinet"), [1, 2, 3, 4], ttl=0)])
    lan.heard.clear()
    lan.run(1000, web)
    assert lan.heard == []


def test_whoever_takes_every_name_slows_us_down(lan, start):
    one = start()
    other = Asker(lan)
    for _ in range(mdns._CROWDED):
        label = one.name().encode()
        other.say(dns.RESPONSE, answers=[address_record(host(label), [1, 2, 3, 4])])
        lan.run(0, one)
    assert one.name() == f"spinet-{mdns._CROWDED + 1}"
    assert one.poll(lan.now) == mdns._PATIENCE_MS


def test_our_own_late_echo_is_no_rival(lan, web):
    echo = instance(b"spinet"), dns.SRV, dns.IN, 120, bytes(4) + b"\0\x50" + host(b"spinet")
    web.service(b"_http", 81)
    Asker(lan, last=1).say(dns.RESPONSE, answers=[dns.Record(*echo)])
    lan.run(5000, web)
    assert web.name() == "spinet"


def test_a_claim_is_defended_at_once(lan, web):
    probe = ask(host(b"spinet"), dns.ANY, dns.IN | dns.UNICAST)
    rival = address_record(host(b"spinet"), [10, 0, 0, 99])
    assert (host(b"spinet"), dns.A) in answers_to(lan, web, probe, authority=[rival])
    assert lan.heard[-1][2] == GROUP  # everybody shall know, though it asked for itself


# --- answering


def test_address(lan, web):
    assert answers_to(lan, web, ask(host(b"spinet"), dns.A)) == [(host(b"spinet"), dns.A)]


def in_other_case(owner):
    """As a resolver asks for it that draws the case of each letter at random (0x20)."""
    return bytes(
        octet ^ 0x20 if 97 <= octet | 0x20 <= 122 and i % 3 else octet
        for i, octet in enumerate(owner)
    )


REVERSE = dns.name(b"1", b"0", b"0", b"10", b"in-addr", b"arpa")
ASKED = [
    (host(b"spinet"), dns.A, [dns.A]),
    (host(b"spinet"), dns.ANY, [dns.A]),
    (host(b"spinet"), 28, [dns.NSEC]),
    (instance(b"spinet"), dns.SRV, [dns.SRV]),
    (instance(b"spinet"), dns.TXT, [dns.TXT]),
    (instance(b"spinet"), dns.ANY, [dns.SRV, dns.TXT]),
    (HTTP, dns.PTR, [dns.PTR]),
    (ALL_KINDS, dns.PTR, [dns.PTR]),
    (REVERSE, dns.PTR, [dns.PTR]),
]


@pytest.mark.parametrize(("owner", "kind", "kinds"), ASKED)
@pytest.mark.parametrize(
    ("port", "klass"),
    [(dns.MULTICAST_PORT, dns.IN), (dns.MULTICAST_PORT, dns.IN | dns.UNICAST), (40000, dns.IN)],
)
def test_an_answer_has_its_name_as_it_was_asked_for(lan, web, owner, kind, kinds, port, klass):
    lan.now += mdns._AGAIN_MS
    asker = Asker(lan, port=port)
    asked = in_other_case(owner)
    asker.say(questions=[ask(asked, kind, klass)])
    lan.heard.clear()
    lan.run(500, web)
    assert said(lan) == [(asked, kind) for kind in kinds]
    for message, _, to in lan.heard:
        assert [question.name for question in message.questions] == [asked] * (port == 40000)
        assert (to == GROUP) == (port == dns.MULTICAST_PORT and klass == dns.IN)


def test_what_the_answer_says_is_in_our_own_case(lan, start):
    one = start(b"Spinet", services={b"_http": 80})
    lan.run(5000, one)
    asker = Asker(lan, port=40000)
    asker.say(questions=[ask(in_other_case(HTTP), dns.PTR)])
    lan.run(0, one)
    assert lan.heard[-1][0].answers[0].data == instance(b"Spinet")


def test_many_spellings_are_one_answer_of_many(lan, web):
    lan.now += mdns._AGAIN_MS
    asker = Asker(lan)
    for i in range(1, 20):
        asked = bytearray(HTTP)
        asked[2 + i % 4] ^= 0x20
        asker.say(questions=[ask(bytes(asked), dns.PTR), ask(HTTP, dns.PTR)])
    lan.heard.clear()
    lan.run(500, web)
    assert [kind for _, kind in said(lan)] == [dns.PTR]


def test_a_rival_is_one_in_any_case_and_on_any_port(lan, web):
    """Ports 112 and 80 differ, though their bytes are "p" and "P"."""
    place = bytes(5) + b"\x70" + host(b"spinet")
    owner = in_other_case(instance(b"spinet"))
    Asker(lan).say(dns.RESPONSE, answers=[dns.Record(owner, dns.SRV, dns.IN, 120, place)])
    lan.heard.clear()
    lan.run(0, web)
    assert [m.questions[0].name for m, _, _ in lan.heard] == [instance(b"spinet")]  # a probe


def test_known_answers_are_known_in_any_case(lan, web):
    lan.now += mdns._AGAIN_MS
    data = in_other_case(instance(b"spinet"))
    known = dns.Record(in_other_case(HTTP), dns.PTR, dns.IN, mdns._OTHER_TTL, data)
    assert answers_to(lan, web, ask(HTTP, dns.PTR), answers=[known], wait=500) == []


@pytest.mark.parametrize(("theirs", "name"), [(b"printr", "Spinet-2"), (b"PRINTR", "Spinet")])
def test_simultaneous_probes_are_ranked_by_their_bytes(lan, start, theirs, name):
    """RFC 6762, 8.2: the raw data decides, so that both sides come to the same end: "p" is later
    than "S", and "P" is not."""
    one = start(b"Spinet", services={b"_http": 80})
    lan.run(RANDOM, one)
    place = bytes(4) + b"\0\x50" + host(theirs)
    text = dns.Record(instance(b"SPINET"), dns.TXT, dns.IN, 120, b"\x0eproduct=Spinet")
    rival = dns.Record(instance(b"SPINET"), dns.SRV, dns.IN, 120, place)
    other = Asker(lan)
    probe = ask(instance(b"SPINET"), dns.ANY, dns.IN | dns.UNICAST)
    other.say(questions=[probe], authority=[rival, text])
    lan.run(10, one)
    other.say(dns.RESPONSE, answers=[rival] if name != "Spinet" else [])
    lan.run(9000, one)
    assert one.name() == name


def test_kinds_that_do_not_exist_are_denied(lan, web):
    assert answers_to(lan, web, ask(host(b"spinet"), 28)) == [(host(b"spinet"), dns.NSEC)]
    denial = lan.heard[-1][0].answers[0]
    assert denial.data == host(b"spinet") + b"\0\1\x40"


def test_kinds_are_told_as_far_as_the_highest(lan, web):
    """RFC 4034, 4.1.2; dig refuses an NSEC with zeros at the end of its bit map."""
    assert answers_to(lan, web, ask(instance(b"spinet"), dns.A))
    assert lan.heard[-1][0].answers[0].data == instance(b"spinet") + b"\0\5\0\0\x80\0\x40"


def test_services_come_with_what_is_asked_next(lan, web):
    lan.now += 1000
    assert answers_to(lan, web, ask(HTTP, dns.PTR), wait=0) == []
    lan.run(20 + RANDOM, web)  # others may have the same kind: not all at once
    assert said(lan) == [(HTTP, dns.PTR)]


def test_enumeration(lan, web):
    assert answers_to(lan, web, ask(ALL_KINDS, dns.PTR), wait=200) == [(ALL_KINDS, dns.PTR)]


def test_reverse(lan, web):
    reverse = dns.name(b"1", b"0", b"0", b"10", b"in-addr", b"arpa")
    assert answers_to(lan, web, ask(reverse, dns.PTR)) == [(reverse, dns.PTR)]


def test_other_names_are_not_ours(lan, web):
    questions = [ask(host(b"other"), dns.ANY), ask(host(b"spinet"), dns.A, klass=3)]
    assert answers_to(lan, web, *questions, wait=500) == []


def test_known_answers_are_left_out(lan, web):
    known = dns.Record(HTTP, dns.PTR, dns.IN, mdns._OTHER_TTL // 2, instance(b"spinet"))
    question = ask(HTTP, dns.PTR)
    assert answers_to(lan, web, question, answers=[known], wait=500) == []
    known.ttl -= 1
    assert answers_to(lan, web, question, answers=[known], wait=500) == [(HTTP, dns.PTR)]


def test_known_answers_that_come_later(lan, web):
    asker = Asker(lan)
    asker.say(dns.TRUNCATED, questions=[ask(HTTP, dns.PTR)])
    lan.heard.clear()
    lan.run(300, web)
    known = dns.Record(HTTP, dns.PTR, dns.IN, mdns._OTHER_TTL, instance(b"spinet"))
    asker.say(answers=[known])
    lan.heard.clear()
    lan.run(1000, web)
    assert said(lan) == []


def test_a_shared_record_is_not_repeated_within_a_second(lan, web):
    assert answers_to(lan, web, ask(HTTP, dns.PTR), wait=100)
    assert answers_to(lan, web, ask(HTTP, dns.PTR), wait=100) == []
    lan.now += mdns._AGAIN_MS
    assert answers_to(lan, web, ask(HTTP, dns.PTR), wait=100)


def test_whoever_wants_it_alone_gets_it_alone(lan, web):
    asker = Asker(lan)
    asker.say(questions=[ask(host(b"spinet"), dns.A, dns.IN | dns.UNICAST)])
    lan.run(0, web)
    message, source, to = lan.heard[-1]
    assert (source[0], to[0]) == ("10.0.0.1", "10.0.0.99")
    assert message.answers[0].data == bytes([10, 0, 0, 1])


def test_plain_dns_gets_a_plain_answer(lan, web):
    asker = Asker(lan, port=40000)
    asker.say(questions=[ask(host(b"spinet"), dns.A)], number=77)
    lan.run(0, web)
    message, _, to = lan.heard[-1]
    assert to == ("10.0.0.99", 40000)
    assert message.number == 77
    assert message.questions[0].name == host(b"spinet")
    assert message.answers[0].klass == dns.IN
    assert message.answers[0].ttl <= mdns._LEGACY_TTL


def test_only_neighbours_are_answered(lan, web):
    asker = Asker(lan, port=40000)
    asker.port.source = ("10.0.1.99", 40000)
    asker.say(questions=[ask(host(b"spinet"), dns.A)])
    lan.heard.clear()
    lan.run(500, web)
    assert lan.heard == []


def test_what_is_too_much_for_one_message_comes_in_several(lan, start, monkeypatch):
    monkeypatch.setattr(mdns, "_PACKET", 400)
    services = {b"_http": 80, b"_ftp": 21, b"_telnet": 23}
    one = start(b"x" * 63, services=services)
    lan.run(5000, one)
    lan.heard.clear()
    kinds = [ask(dns.name(kind, b"_tcp", b"local"), dns.ANY) for kind in services]
    everything = [*kinds, ask(host(b"x" * 63), dns.ANY)]
    everything += [ask(instance(b"x" * 63, kind), dns.ANY) for kind in services]
    found = answers_to(lan, one, *everything, wait=500)
    assert len(found) == 10
    assert len(lan.heard) == 4


# --- leaving


def goodbyes(lan):
    return {(r.name, r.kind) for m, _, _ in lan.heard for r in m.answers if r.ttl == 0}


def test_goodbye(lan, web):
    web.stop()
    assert {(HTTP, dns.PTR), (host(b"spinet"), dns.A)} <= goodbyes(lan)
    assert (ALL_KINDS, dns.PTR) not in goodbyes(lan)  # others may have web pages too
    assert lan.ports == []
    assert web.name() == ""
    assert web.poll(lan.now) == -1
    web.stop()


def test_a_service_that_ends_and_one_that_begins(lan, web):
    web.service(b"_http", 0)
    assert (instance(b"spinet"), dns.SRV) in goodbyes(lan)
    assert (host(b"spinet"), dns.A) not in goodbyes(lan)
    lan.heard.clear()
    web.service(b"_ftp", 21)
    lan.run(5000, web)
    assert (instance(b"spinet", b"_ftp"), dns.SRV) in said(lan)
    assert (HTTP, dns.PTR) not in said(lan)


def test_nothing_is_said_of_what_was_never_announced(lan, start):
    one = start(services={b"_http": 80})
    one.stop()
    assert lan.heard == []


def test_services_outlive_a_lost_network(lan, web):
    web.stop()
    web.start(b"spinet", ip(5), NETMASK)
    lan.heard.clear()
    lan.run(5000, web)
    assert (instance(b"spinet"), dns.SRV) in said(lan)


def test_a_port_that_cannot_be_had(lan, start):
    lan.refuses = True
    one = start(services={b"_http": 80})
    assert one.said == ["no mDNS: error -8"]
    one.service(b"_ftp", 21)
    assert one.poll(lan.now) == -1
    one.stop()


@pytest.mark.parametrize(("given", "name"), [(b"", "spinet"), (b"a b", "a-b"), (b"--", "spinet")])
def test_names_that_are_none(lan, start, given, name):
    assert start(given).name() == name


# --- what the network does to us


def test_noise_is_told_of_as_it_takes_memory(lan, web):
    told = []
    web._stir = lambda: told.append(True)
    lan.ports[0].take(b"\xc0" * 40, peer_at(("10.0.0.9", dns.MULTICAST_PORT)))
    assert len(told) == 1


OWNERS = st.sampled_from([host(b"spinet"), instance(b"spinet"), HTTP, ALL_KINDS, host(b"x")])
KINDS = st.sampled_from([dns.A, dns.PTR, dns.TXT, dns.SRV, dns.NSEC, dns.ANY])
QUESTIONS = st.builds(dns.Question, OWNERS, KINDS, st.sampled_from([1, 0x8001, 3, 255]))


def any_record(owner, kind, ttl, target):
    """Of any kind, well-formed."""
    return dns.Record(owner, kind, dns.IN, ttl, (bytes(6) if kind == dns.SRV else b"") + target)


RECORDS = st.builds(any_record, OWNERS, KINDS, st.integers(0, 5000), OWNERS)
FLAGS = st.sampled_from([0, dns.TRUNCATED, dns.RESPONSE, dns.OPCODE_MASK])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    st.lists(
        st.tuples(
            FLAGS,
            st.lists(QUESTIONS, max_size=4),
            st.lists(RECORDS, max_size=4),
            st.lists(RECORDS, max_size=2),
            st.integers(0, 2000),
        ),
        max_size=8,
    )
)
def test_whatever_they_say_we_go_on(lan, start, story):
    one = start(services={b"_http": 80})
    asker = Asker(lan)
    for flags, questions, answers, authority, pause in story:
        asker.say(flags, questions, answers, authority)
        lan.run(pause, one)
        assert len(one._queue) <= 6
    asker.port.close()
    lan.run(20000, one)
    assert one.poll(lan.now) == -1
    found = answers_to(lan, one, ask(host(one.name().encode()), dns.A), wait=1100)
    assert (host(one.name().encode()), dns.A) in found
    one.stop()
