"""Host names: who is asked, what counts as an answer, and what becomes of connections meanwhile."""

import itertools
import random
import struct
import threading

import pytest
from name_peer import AAAA, ANSWERS, CNAME, NamePeer, answer, answer_to, encoded, name_of, record
from slots import Slots, StubNet

from spinet import states
from spinet.fastpath import ROW_DELIVER
from spinet.tcp.connection import CONNECT_TIMEOUT_MS
from spinet.udp import resolver as module
from spinet.udp.datagrams import MOST, PORTS
from spinet.udp.names import _LOOKUP_MS, is_host_name

LOOPBACK, GROUP = 0x0100007F, 0xFB0000E0
FIRST, SECOND, STRANGER = 0x0101A8C0, 0x0201A8C0, 0x0301A8C0
HOST, WRONG = 0x0700A8C0, 0x6600A8C0
NAME = b"www.example.com"
only_stub = pytest.mark.parametrize("stack", ["stub"], indirect=True)


# --- which names there are


@pytest.mark.parametrize(
    "name",
    [
        b"a",
        b"a.",
        b"localhost",
        b"printer_2.local",
        b"-",
        b"10.0.0.1",
        b"x" * 63,
        b".".join([b"x" * 63] * 3 + [b"x" * 61]),
        b".".join([b"x" * 63] * 3 + [b"x" * 61]) + b".",
    ],
)
def test_names(name):
    assert is_host_name(name)


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b".",
        b"..",
        b".a",
        b"a..",
        b"a..b",
        b"two words",
        b"new\nline",
        b"\xff",
        b"a/b",
        b"x" * 64,
        b".".join([b"x" * 63] * 3 + [b"x" * 62]),
    ],
)
def test_what_can_be_no_name(name):
    assert not is_host_name(name)


# --- questions and answers


class Asker:
    """Wants all answers; `got` has them."""

    def __init__(self):
        self.got = []
        self.wants = True

    def is_waiting(self, _lookup):
        return self.wants

    def found(self, lookup, ip):
        self.got.append((lookup.name, ip))


class Asking(Slots):
    """Names over the scriptable stack, and two name servers that do as a test says."""

    def __init__(self):
        super().__init__(StubNet())
        udp = self.stack.udp
        self.first, self.second, self.stranger = (
            NamePeer(udp.peer(ip, 53)) for ip in (FIRST, SECOND, STRANGER)
        )
        self.group = NamePeer(udp.peer(GROUP, 5353))
        self.servers = (FIRST, SECOND)
        self.hosts = {}
        self.asker = Asker()
        self.stirred = 0
        self.names.stir = self._stir

    def _stir(self):
        self.stirred += 1

    def dns(self):
        return self.servers

    def address_of(self, name):
        return self.hosts.get(name, 0)

    def turns(self, count=2):
        """Nothing is on its way in a stub."""
        for _ in range(count):
            self.turn()

    def ask(self, name=NAME):
        assert self.names.ask(name, self.asker, 0, 80, self.now)
        self.turns()

    def came(self, server):
        """(The question that has come to this server, the port that it came from)."""
        return server.peer.receive()

    def send(self, server, data, port):
        """What a server sends is looked at."""
        server.peer.send(data, port)
        self.turns()

    def got(self):
        """The answers since the last call."""
        self.turns()
        got, self.asker.got = self.asker.got, []
        return got

    def later(self, ms):
        self.pass_time(ms)
        self.turn()

    def ports(self):
        """How many UDP ports are open."""
        return sum(port is not None for port in self.stack.udp._ports)


@pytest.fixture
def asking():
    return Asking()


def test_a_question_and_its_answer(asking):
    asking.ask(b"WWW.example.com.")
    question, port = asking.came(asking.first)
    assert question[2:] == b"\1\0\0\1\0\0\0\0\0\0" + encoded(NAME) + b"\0\1\0\1"
    assert asking.came(asking.second) is None
    assert asking.got() == []
    asking.send(asking.first, answer_to(question, HOST), port)
    assert asking.got() == [(b"WWW.example.com.", HOST)]
    assert asking.ports() == 0
    assert asking.names.poll(asking.now) == -1


@pytest.mark.behaviour("C2")
def test_questions_and_answers_have_the_tasks_polled(asking):
    assert asking.names.ask(NAME, asking.asker, 0, 80, asking.now)
    assert asking.stirred == 1
    asking.turns()
    question, port = asking.came(asking.first)
    asking.first.peer.send(answer_to(question, 0), port)
    asking.stack.wait(0)
    asking.manager.rows[ROW_DELIVER] = asking.stack.pending()
    asking.manager.deliver()
    assert asking.stirred == 2


def test_numbers_are_drawn(asking, monkeypatch):
    numbers = iter((0x1234, 0xFEDC))
    monkeypatch.setattr(module, "getrandbits", lambda bits: next(numbers) & (1 << bits) - 1)
    for name, number in ((b"a", b"\x12\x34"), (b"b", b"\xfe\xdc")):
        asking.ask(name)
        assert asking.came(asking.first)[0][:2] == number


def with_question(question, name=NAME, kind=1, klass=1):
    """An answer to another question than was asked."""
    asked = encoded(name) + struct.pack(">HH", kind, klass)
    return answer(question, record(WRONG), asked=asked)


NO_ANSWERS = {
    "another number": lambda q: answer(q, record(WRONG), number=bytes((q[0], q[1] ^ 1))),
    "another name": lambda q: with_question(q, b"www.example.org"),
    "another kind": lambda q: with_question(q, kind=AAAA),
    "another class": lambda q: with_question(q, klass=3),
    "a question": lambda q: answer(q, record(WRONG), flags=0x0100),
    "another operation": lambda q: answer(q, record(WRONG), flags=ANSWERS | 0x2000),
    "no question": lambda q: answer(q, record(WRONG), asked=b"", asks=0),
    "two questions": lambda q: answer(q, record(WRONG), asked=q[12:] * 2, asks=2),
    "no header": lambda q: q[:11],
    "nothing": lambda _q: b"",
    "cut": lambda q: answer_to(q, WRONG)[:-1],
    "a pointer to itself": lambda q: answer(q, record(WRONG, owner=b"\xc0" + bytes([len(q)]))),
    "two that point to each other": lambda q: answer(
        q, record(b"\xc0" + bytes([len(q) + 12]), CNAME, owner=b"\xc0" + bytes([len(q) + 12]))
    ),
    "an endless name": lambda q: answer(q, record(WRONG, owner=b"\x3f" + b"x" * 63)),
    "more records than it has": lambda q: answer(q, record(WRONG))[:7] + b"\5" + q[8:],
    "thousands of records": lambda q: answer(q)[:6] + b"\xff\xff" + q[8:],
    "noise": lambda q: q[:2] + random.Random(5).randbytes(MOST - 2),
}


@pytest.mark.parametrize("what", NO_ANSWERS)
def test_what_answers_nothing_changes_nothing(asking, what):
    asking.ask()
    question, port = asking.came(asking.first)
    asking.send(asking.first, NO_ANSWERS[what](question), port)
    assert asking.got() == []
    assert asking.came(asking.second) is None
    asking.send(asking.first, answer_to(question, HOST), port)
    assert asking.got() == [(NAME, HOST)]


def test_only_a_server_that_was_asked_answers(asking):
    asking.ask()
    question, port = asking.came(asking.first)
    elsewhere = NamePeer(asking.stack.udp.peer(FIRST, 54))
    for liar in (asking.stranger, asking.second, elsewhere, asking.group):
        asking.send(liar, answer_to(question, WRONG), port)
    assert asking.got() == []
    asking.send(asking.first, answer_to(question, HOST), port)
    assert asking.got() == [(NAME, HOST)]


def test_a_late_answer_is_none_to_the_next_question(asking):
    asking.ask(b"a")
    early, port = asking.came(asking.first)
    asking.send(asking.first, answer_to(early, 0), port)
    asking.later(0)
    asking.send(asking.second, answer_to(asking.came(asking.second)[0], 0), port)
    assert asking.got() == [(b"a", 0)]
    asking.ask(b"a")
    question, again = asking.came(asking.first)
    asking.send(asking.first, answer_to(early, WRONG), port)
    asking.send(asking.first, answer_to(early, WRONG), again)
    assert asking.got() == []
    for _ in range(3):  # and two duplicates
        asking.send(asking.first, answer_to(question, HOST), again)
    assert asking.got() == [(b"a", HOST)]


def test_a_silent_server_is_no_obstacle(asking):
    """And its answer still counts, when it comes at last."""
    asking.ask()
    question, port = asking.came(asking.first)
    asking.later(999)
    assert asking.came(asking.second) is None
    asking.later(1)
    assert asking.came(asking.second) == (question, port)
    asking.send(asking.first, answer_to(question, HOST), port)
    assert asking.got() == [(NAME, HOST)]


@pytest.mark.parametrize("servers", [(FIRST, SECOND), (FIRST, 0), (0, FIRST)])
def test_servers_are_asked_in_turn_after_longer_and_longer_pauses(asking, servers):
    asking.servers = servers
    asking.ask()
    heard = {}
    for ms in range(0, _LOOKUP_MS, 100):
        for name in ("first", "second"):
            while asking.came(getattr(asking, name)):
                heard.setdefault(name, []).append(ms)
        assert asking.got() == []
        asking.later(100)
    if all(servers):
        assert heard == {"first": [0, 2000, 6000], "second": [1000, 4000]}
    else:
        assert heard == {"first": [0, 1000, 2000, 4000, 6000]}
    assert asking.got() == [(NAME, 0)]
    assert asking.ports() == 0


REFUSALS = {
    "no such name": lambda q: answer(q, flags=ANSWERS | 3),
    "server failed": lambda q: answer(q, flags=ANSWERS | 2),
    "refused": lambda q: answer(q, flags=ANSWERS | 5),
    "no such name, with an address": lambda q: answer(q, record(WRONG), flags=ANSWERS | 3),
    "of another class": lambda q: answer(q, record(WRONG, klass=3)),
    "no record": answer,
    "truncated to nothing": lambda q: answer(q, flags=ANSWERS | 0x0200),
    "an address of six": lambda q: answer(q, record(bytes(16), AAAA)),
    "of another name": lambda q: answer(q, record(WRONG, owner=encoded(b"example.com"))),
    "the address 0.0.0.0": lambda q: answer(q, record(bytes(4))),
    "five octets": lambda q: answer(q, record(b"\7" * 5)),
    "an alias of nothing": lambda q: answer(q, record(encoded(b"a.b"), CNAME)),
    "an alias of itself": lambda q: answer(q, record(b"\xc0\x0c", CNAME)),
    "a circle": lambda q: answer(
        q,
        record(encoded(b"a.b"), CNAME),
        record(encoded(NAME), CNAME, owner=encoded(b"a.b")),
    ),
    "too many aliases": lambda q: aliases(q, 9),
}


def aliases(question, count):
    """So many, in the worst order, and the last one's address before them."""
    names = [NAME] + [b"a%d.example" % i for i in range(count)]
    links = [
        record(encoded(b).upper(), CNAME, owner=encoded(a)) for a, b in itertools.pairwise(names)
    ]
    return answer(question, record(HOST, owner=encoded(names[-1])), *reversed(links))


@pytest.mark.parametrize("what", REFUSALS)
def test_a_server_that_knows_no_address_is_asked_no_more(asking, what):
    asking.ask()
    question, port = asking.came(asking.first)
    asking.send(asking.first, REFUSALS[what](question), port)
    assert asking.got() == []
    assert asking.came(asking.second) == (question, port)  # in that moment
    asking.later(1000)
    assert asking.came(asking.first) is None
    assert asking.came(asking.second)
    asking.send(asking.second, REFUSALS[what](question), port)
    assert asking.got() == [(NAME, 0)]
    assert asking.ports() == 0


ANSWERED = {
    "an alias": lambda q: aliases(q, 1),
    "many aliases": lambda q: aliases(q, 7),
    "in other letters": lambda q: answer(q, record(HOST), asked=q[12:].upper()),
    "truncated behind it": lambda q: answer(q, record(HOST), flags=ANSWERS | 0x0200),
    "several": lambda q: answer(q, record(HOST), record(WRONG)),
    "beside others": lambda q: answer(q, record(bytes(16), AAAA), record(b"x", 99), record(HOST)),
    "more than 512 bytes": lambda q: answer(q, record(bytes(900), 99), record(HOST)),
    "as much as a frame has": lambda q: answer(
        q, record(HOST), record(bytes(MOST - len(q) - 28), 99)
    ),
}


@pytest.mark.parametrize("what", ANSWERED)
def test_answers(asking, what):
    asking.ask()
    question, port = asking.came(asking.first)
    asking.send(asking.first, ANSWERED[what](question), port)
    assert asking.got() == [(NAME, HOST)]


# --- what needs no question


@pytest.mark.parametrize(
    ("name", "ip"),
    [
        (b"localhost", LOOPBACK),
        (b"LocalHost.", LOOPBACK),
        (b"a.localhost", LOOPBACK),
        (b"no.such.host.invalid", 0),
        (b"192.168.0.7", HOST),
        (b"0.0.0.0", 0),
        (b"Shed.local", WRONG),
        (b"shed.local.", WRONG),
    ],
)
def test_what_is_known_without_a_question(asking, name, ip):
    asking.hosts = {b"shed.local": WRONG}
    asking.ask(name)
    assert asking.got() == [(name, ip)]
    assert asking.came(asking.first) is asking.came(asking.group) is None


def test_without_a_name_server_no_host_is_found(asking):
    asking.servers = (0, 0)
    asking.ask()
    assert asking.got() == [(NAME, 0)]


# --- .local


def test_names_below_local_are_asked_for_by_multicast(asking):
    asking.servers = (0, 0)
    asking.ask(b"Printer.local")
    question, port = asking.came(asking.group)
    assert question[2:6] == b"\0\0\0\1"  # no recursion
    assert question[12:] == encoded(b"printer.local") + b"\0\1\0\1"
    elsewhere = NamePeer(asking.stack.udp.peer(STRANGER, 5354))
    asking.send(elsewhere, answer_to(question, WRONG), port)
    assert asking.got() == []
    asking.later(1000)
    assert asking.came(asking.group) == (question, port)
    host = NamePeer(asking.stack.udp.peer(HOST, 5353))
    asking.send(host, answer(question, record(HOST), flags=0x8400), port)
    assert asking.got() == [(b"Printer.local", HOST)]


# --- several at a time


def test_look_ups_do_not_wait_for_each_other(asking):
    asking.servers = (FIRST, 0)
    names = [b"host%d" % i for i in range(module._AT_ONCE + 2)]
    for name in names:
        asking.ask(name)
    came = [asking.came(asking.first) for _ in names]
    assert [name_of(got[0]) for got in came if got] == names[: module._AT_ONCE]
    assert len({port for _, port in came[: module._AT_ONCE]}) == module._AT_ONCE
    for question, port in reversed(came[2 : module._AT_ONCE]):
        asking.send(asking.first, answer_to(question, HOST), port)
    assert [name for name, _ in asking.got()] == names[module._AT_ONCE - 1 : 1 : -1]
    came = [asking.came(asking.first) for _ in range(2)]  # these had waited
    assert [name_of(question) for question, _ in came] == names[-2:]
    asking.later(_LOOKUP_MS)
    assert len(asking.got()) == 4
    assert asking.ports() == 0


def test_when_all_ports_are_taken_the_question_waits(asking):
    udp = asking.stack.udp
    taken = [udp.bind(0, 0, 0) for _ in range(PORTS)]
    asking.ask()
    asking.later(1000)
    assert asking.came(asking.first) is None
    udp.close(taken[0])
    asking.later(1000)
    question, port = asking.came(asking.first)
    asking.send(asking.first, answer_to(question, HOST), port)
    assert asking.got() == [(NAME, HOST)]


def test_one_that_is_not_waited_for_any_more_is_dropped(asking):
    asking.ask()
    asking.asker.wants = False
    asking.turn()
    assert asking.ports() == 0
    assert asking.names.asked == []
    assert asking.got() == []


@pytest.mark.behaviour("M2")
def test_without_memory_for_an_answer_the_next_one_counts(asking, monkeypatch):
    asking.ask()
    question, port = asking.came(asking.first)
    with monkeypatch.context() as patch:
        patch.setattr(module.dns, "parse", no_memory)
        asking.send(asking.first, answer_to(question, HOST), port)
    assert asking.got() == []
    asking.send(asking.first, answer_to(question, HOST), port)
    assert asking.got() == [(NAME, HOST)]


def no_memory(*_args):
    raise MemoryError


# --- answers that are kept


def found(asking, name, ip, ttl):
    """A look-up that the first server answers."""
    asking.ask(name)
    question, port = asking.came(asking.first)
    asking.send(asking.first, answer_to(question, ip, ttl), port)
    assert asking.got() == [(name, ip)]


def is_asked(asking, name):
    """True when a server is asked for this name; the look-up is dropped then."""
    asking.ask(name)
    asked = asking.came(asking.first) is not None
    asking.names.stop()
    asking.got()
    return asked


def test_an_answer_is_kept_for_its_time(asking):
    found(asking, NAME, HOST, 30)
    asking.later(29_999)
    asking.ask(NAME.upper())
    assert asking.got() == [(NAME.upper(), HOST)]
    asking.later(1)
    assert is_asked(asking, NAME)


@pytest.mark.parametrize(("ttl", "seconds"), [(0, 0), (2**32 - 1, 3600), (7200, 3600)])
def test_none_is_kept_for_long(asking, ttl, seconds):
    found(asking, NAME, HOST, ttl)
    if seconds:
        asking.later(seconds * 1000 - 1)
        assert not is_asked(asking, NAME)
    asking.later(1)
    assert is_asked(asking, NAME)


def test_ticks_may_wrap_meanwhile(asking):
    found(asking, NAME, HOST, 3600)
    for _ in range(2**30 // 60_000):
        asking.now = asking.now + 60_000 & 0x3FFFFFFF
        asking.names.poll(asking.now)
    assert is_asked(asking, NAME)


def test_few_are_kept(asking):
    names = [b"host%d" % i for i in range(module._KEPT + 1)]
    for name in names:
        found(asking, name, HOST, 60)
    assert [is_asked(asking, name) for name in names] == [True] + [False] * module._KEPT


def test_none_is_kept_of_other_servers(asking):
    found(asking, NAME, HOST, 60)
    asking.servers = (FIRST, 0)
    assert is_asked(asking, NAME)


# --- connections to names


@pytest.fixture
def slow(net):
    """Slots whose name server answers when told to."""
    slots = Slots(net)
    slots.dns()
    slots.name_server.holds = True
    yield slots
    slots.names.stop()


def create(slots, name, port):
    """connCreate to a name; the slot."""
    slot = slots.manager.allocate(4)
    slots.named_peers.connect(slot, name, port)
    return slot


def until_asked(slots, *names):
    slots.until(lambda: set(slots.name_server.asked) >= set(names))


@pytest.mark.behaviour("C11")
def test_a_name_becomes_a_connection(slots):
    slots.known_names[b"broker.example"] = slots.net.peer_ip
    server = slots.net.server()
    slot = create(slots, b"broker.example", server.port)
    slots.until_state(slot, states.CONNECTED)
    assert slot.record[8:12] == slots.net.peer_ip.to_bytes(4, "little")
    server.accept().send(b"welcome")
    assert slots.read_all(slot, 7) == b"welcome"
    slots.names.stop()


@pytest.mark.behaviour("C11", "D14")
def test_a_host_that_is_not_found_is_told_and_the_slot_comes_back(slots):
    slot = create(slots, b"nobody.example", 80)
    slots.until_state(slot, states.ABORTED)
    assert slots.errors == ["host not found: nobody.example"]
    slot.close()
    slots.turn()
    assert slots.busy() == []


@pytest.mark.behaviour("C11")
def test_the_loop_goes_on_while_a_name_is_looked_up(slow):
    accepted, peer = slow.dialled()
    slot = create(slow, b"slow.example", 80)
    until_asked(slow, b"slow.example")
    assert slot.state == states.CONNECTING
    peer.send(b"meanwhile")
    assert slow.read_all(accepted, 9) == b"meanwhile"
    assert slot.state == states.CONNECTING


@pytest.mark.behaviour("C11", "C2")
def test_the_answer_ends_the_wait(slow):
    slow.net.server_on(port := slow.net.free_port())
    slot = create(slow, b"slow.example", port)
    until_asked(slow, b"slow.example")
    slow.turn()
    answering = (b"slow.example", slow.net.peer_ip)
    threading.Timer(0.05, slow.name_server.answer, answering).start()
    slow.next_turn()
    assert slot.handle


@pytest.mark.behaviour("N1", "C11")
def test_a_look_up_that_takes_too_long_is_a_host_not_found(slow):
    slot = create(slow, b"slow.example", 80)
    assert _LOOKUP_MS < CONNECT_TIMEOUT_MS
    slow.pass_time(_LOOKUP_MS - 1)
    assert slot.state == states.CONNECTING
    slow.pass_time(1)
    assert slot.state == states.ABORTED
    assert slow.errors == ["host not found: slow.example"]


@pytest.mark.behaviour("N1")
def test_look_up_and_connect_have_one_time_out_together(slow):
    silent = slow.net.silent_port()
    slot = create(slow, b"slow.example", silent)
    until_asked(slow, b"slow.example")
    slow.pass_time(_LOOKUP_MS - 1)
    slow.name_server.answer(b"slow.example", slow.net.peer_ip)
    slow.until(lambda: slot.handle)
    slow.pass_time(CONNECT_TIMEOUT_MS - _LOOKUP_MS)
    assert slot.state == states.CONNECTING
    slow.pass_time(1)
    assert slot.state == states.ABORTED


@pytest.mark.behaviour("C8", "C4")
@pytest.mark.parametrize("let_go", ["close", "abort"])
def test_an_answer_for_who_has_gone_does_not_touch_the_next_owner_of_the_slot(slow, let_go):
    server = slow.net.server()
    slot = create(slow, b"a", server.port)
    until_asked(slow, b"a")
    getattr(slot, let_go)()
    slow.manager.reap()  # and not a whole turn, in which the question would be dropped
    assert slow.busy() == []
    again = create(slow, b"b", server.port)
    assert again is slot
    slow.name_server.answer(b"a", slow.net.peer_ip)
    until_asked(slow, b"a", b"b")
    slow.turns()
    assert slot.state == states.CONNECTING
    assert not slot.handle
    assert slow.errors == []
    assert slow.manager.stale == 0


@pytest.mark.behaviour("C8", "C9")
def test_an_answer_for_an_ended_session_is_not_the_next_ones(slow):
    port = slow.net.silent_port()
    assert slow.sessions.call(0, port, b"a", 0, 1, 0)
    until_asked(slow, b"a")
    slow.sessions.stop_all()
    assert slow.sessions.call(0, port, b"b", 0, 1, 0)
    slow.sessions.poll(slow.now)  # and not a whole turn, in which the question would be dropped
    slow.name_server.answer(b"a", slow.net.peer_ip)
    until_asked(slow, b"a", b"b")
    slow.turns()
    assert slow.sessions.entries[0].handle == 0
    slow.name_server.answer(b"b", slow.net.peer_ip)
    slow.until(lambda: slow.sessions.entries[0].handle)


@pytest.mark.behaviour("D18")
def test_the_end_of_everything_ends_look_ups(slow):
    slots = [create(slow, name, 80) for name in (b"a", b"b")]
    until_asked(slow, b"a", b"b")
    slow.manager.terminate_all()
    slow.turns()
    assert slow.busy() == []
    assert slow.names.asked == []
    slow.name_server.answer(b"a", slow.net.peer_ip)
    slow.turns()
    assert [slot.state for slot in slots] == [states.FREE, states.FREE]


@only_stub
def test_the_stack_may_refuse_who_was_found(slots):
    slots.known_names[b"broker.example"] = slots.net.peer_ip
    slots.net.inject("connect", -4)
    slot = create(slots, b"broker.example", 80)
    slots.until_state(slot, states.ABORTED)
    assert slots.errors == ["Connection creation failed"]


@only_stub
@pytest.mark.parametrize("name", [b"two words", b"new\nline", b"\xff", b"a/b", b"x" * 64])
def test_what_can_be_no_name_is_not_looked_up(slots, name):
    slot = create(slots, name, 80)
    assert slot.state == states.ABORTED
    assert slots.errors == ["bad host name"]
    assert slots.names.asked == []
