"""Host names: looked up in a thread, answered by the loop, and dropped when they come too late."""

import _thread
import socket
import threading

import pytest
from slots import PATIENCE, Slots, wait_until
from stub_stack import StubStack

from spinet import states
from spinet.compat import WORKER_STACK
from spinet.loop import Bell
from spinet.tcp import resolver as names_module
from spinet.tcp.connection import CONNECT_TIMEOUT_MS
from spinet.tcp.resolver import _LOOKUP_MS, Names, address_of
from spinet.worker import Worker

LOOPBACK = 0x0100007F
SECOND_SERVER_MS = 7000  # how long the first name server may be silent, in lwIP
only_stub = pytest.mark.parametrize("stack", ["stub"], indirect=True)


def create(slots, name, port):
    """connCreate to a name; the slot."""
    slot = slots.manager.allocate(4)
    slots.named_peers.connect(slot, name, port)
    return slot


class SlowResolver:
    """Answers when the test says so; `asked` is what it was asked for, in this order."""

    def __init__(self):
        self.asked = []
        self.answers = {}
        self.threads = set()
        self._news = threading.Condition()

    def __call__(self, name):
        with self._news:
            self.threads.add(threading.get_ident())
            self.asked.append(name)
            self._news.notify_all()
            assert self._news.wait_for(lambda: name in self.answers, 2 * PATIENCE)
            return self.answers[name]

    def until_asked(self, *names):
        with self._news:
            assert self._news.wait_for(lambda: self.asked == list(names), PATIENCE)

    def answer(self, name, ip):
        with self._news:
            self.answers[name] = ip
            self._news.notify_all()


@pytest.fixture
def slow(net):
    """Slots whose resolver is `slots.resolver`, a SlowResolver."""
    slots = Slots(net)
    slots.resolver = slots.names.resolve = SlowResolver()
    yield slots
    slots.names.stop()
    slots.resolver.answers = dict.fromkeys([*slots.resolver.asked, b"a", b"b", b"c"], 0)
    slots.resolver.answer(b"", 0)


# --- connCreate to a name


@pytest.mark.behaviour("C11")
def test_a_name_becomes_a_connection(slots):
    slots.dns[b"broker.example"] = slots.net.peer_ip
    server = slots.net.server()
    slot = create(slots, b"broker.example", server.port)
    slots.until_state(slot, states.CONNECTED)
    assert slot.record[8:12] == slots.net.peer_ip.to_bytes(4, "little")
    server.accept().send(b"welcome")
    assert slots.read_all(slot, 7) == b"welcome"


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
    slow.resolver.until_asked(b"slow.example")
    assert slot.state == states.CONNECTING
    peer.send(b"meanwhile")
    assert slow.read_all(accepted, 9) == b"meanwhile"
    assert slot.state == states.CONNECTING


@pytest.mark.behaviour("C11", "C2")
def test_the_answer_ends_the_wait(slow):
    slow.net.server_on(port := slow.net.free_port())
    slot = create(slow, b"slow.example", port)
    slow.resolver.until_asked(b"slow.example")
    slow.turn()
    threading.Timer(0.05, slow.resolver.answer, (b"slow.example", slow.net.peer_ip)).start()
    slow.next_turn()
    assert slot.handle


@pytest.mark.behaviour("N1", "C11")
def test_a_look_up_that_takes_too_long_is_a_host_not_found(slow):
    slot = create(slow, b"slow.example", 80)
    assert slow.names._due_ms(slow.now) == _LOOKUP_MS
    assert SECOND_SERVER_MS < _LOOKUP_MS < CONNECT_TIMEOUT_MS
    slow.pass_time(_LOOKUP_MS - 1)
    assert slot.state == states.CONNECTING
    slow.pass_time(1)
    assert slot.state == states.ABORTED
    assert slow.errors == ["host not found: slow.example"]
    assert slow.names._due_ms(slow.now) == -1


@pytest.mark.behaviour("N1")
def test_look_up_and_connect_have_one_time_out_together(slow):
    silent = slow.net.silent_port()
    slot = create(slow, b"slow.example", silent)
    slow.resolver.until_asked(b"slow.example")
    slow.pass_time(_LOOKUP_MS - 1)
    slow.resolver.answer(b"slow.example", slow.net.peer_ip)
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
    slow.resolver.until_asked(b"a")
    getattr(slot, let_go)()
    slow.manager.reap()  # and not a whole turn, in which the question would be dropped
    assert slow.busy() == []
    again = create(slow, b"b", server.port)
    assert again is slot
    slow.resolver.answer(b"a", slow.net.peer_ip)
    slow.resolver.until_asked(b"a", b"b")
    slow.turns()
    assert slot.state == states.CONNECTING
    assert not slot.handle
    assert slow.errors == []
    assert slow.manager.stale == 0


@pytest.mark.behaviour("C8", "C9")
def test_an_answer_for_an_ended_session_is_not_the_next_ones(slow):
    port = slow.net.silent_port()
    assert slow.sessions.call(0, port, b"a", 0, 1, 0)
    slow.turn()
    slow.resolver.until_asked(b"a")
    slow.sessions.stop_all()
    assert slow.sessions.call(0, port, b"b", 0, 1, 0)
    slow.sessions.poll(slow.now)  # and not a whole turn, in which the question would be dropped
    slow.resolver.answer(b"a", slow.net.peer_ip)
    slow.resolver.until_asked(b"a", b"b")
    slow.turns()
    assert slow.sessions.entries[0].handle == 0
    slow.resolver.answer(b"b", slow.net.peer_ip)
    slow.until(lambda: slow.sessions.entries[0].handle)


@pytest.mark.behaviour("D18")
def test_the_end_of_everything_ends_look_ups(slow):
    slots = [create(slow, name, 80) for name in (b"a", b"b")]
    slow.resolver.until_asked(b"a")
    slow.manager.terminate_all()
    slow.turn()
    assert slow.busy() == []
    slow.resolver.answer(b"a", slow.net.peer_ip)
    slow.turns()
    assert [slot.state for slot in slots] == [states.FREE, states.FREE]
    assert slow.resolver.asked == [b"a"]


@only_stub
def test_the_stack_may_refuse_who_was_found(slots):
    slots.dns[b"broker.example"] = slots.net.peer_ip
    slots.net.inject("connect", -4)
    slot = create(slots, b"broker.example", 80)
    slots.until_state(slot, states.ABORTED)
    assert slots.errors == ["Connection creation failed"]


@pytest.mark.behaviour("C11")
def test_an_address_in_text_waits_for_no_name(slow):
    create(slow, b"slow.example", 80)
    slow.resolver.until_asked(b"slow.example")
    peer = slow.net.server_on(port := slow.net.free_port())
    a, b, c, d = slow.net.peer_ip.to_bytes(4, "little")
    slot = create(slow, b"%d.%d.%d.%d" % (a, b, c, d), port)
    slow.until_state(slot, states.CONNECTED)
    assert peer
    assert slow.resolver.asked == [b"slow.example"]


@only_stub
@pytest.mark.parametrize("name", [b"two words", b"new\nline", b"\xff", b"a/b", b"x" * 65])
def test_what_can_be_no_name_is_not_looked_up(slots, name):
    slot = create(slots, name, 80)
    assert slot.state == states.ABORTED
    assert slots.errors == ["bad host name"]
    assert slots.names.asked == []


# --- the thread


class Asker:
    """Wants all answers; `got` has them."""

    def __init__(self):
        self.got = []

    def is_waiting(self, _lookup):
        return True

    def found(self, lookup, ip):
        self.got.append((lookup.name, ip))


def answered(names, asker, count, now=0):
    wait_until(lambda: (names.poll(now), len(asker.got) >= count)[1], lambda: None)


def test_there_is_one_thread_however_many_ask():
    resolver, asker, worker = SlowResolver(), Asker(), Worker(WORKER_STACK)
    names = [Names(Bell(StubStack()), resolver, worker) for _ in range(2)]
    for i, name in enumerate((b"a", b"b", b"c")):
        names[i % 2].ask(name, asker, 0, 80, 0)
    resolver.until_asked(b"a")
    for name in (b"a", b"b", b"c"):
        resolver.answer(name, 7)
    for each in names:
        answered(each, asker, 1)
    wait_until(lambda: [each.poll(0) for each in names] and len(asker.got) == 3, lambda: None)
    assert resolver.asked == [b"a", b"b", b"c"]
    assert len(resolver.threads) == 1


def test_the_thread_ends_and_begins_again_when_it_is_needed():
    asker, worker = Asker(), Worker(WORKER_STACK)
    names = Names(Bell(StubStack()), lambda _name: 7, worker)
    for count in (1, 2, 3):
        names.ask(b"a", asker, 0, 80, 0)
        answered(names, asker, count)
        wait_until(lambda: not worker._running, lambda: None)


@pytest.mark.parametrize("what", [OSError(12), RuntimeError("can't start"), MemoryError()])
def test_without_memory_for_a_thread_the_next_name_tries_again(monkeypatch, what):
    """What the Pythons raise for it differs, and on a chip it depends on which memory is short."""
    asker, worker = Asker(), Worker(WORKER_STACK)
    names = Names(Bell(StubStack()), lambda _name: 7, worker)

    def no_thread(*_args):
        raise what

    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", no_thread)
        names.ask(b"a", asker, 0, 80, 0)
    names.poll(_LOOKUP_MS)
    assert asker.got == [(b"a", 0)]
    names.ask(b"b", asker, 0, 80, _LOOKUP_MS)
    answered(names, asker, 2, _LOOKUP_MS)
    assert asker.got[1] == (b"b", 7)


def test_nobody_is_woken_after_the_end():
    resolver, asker, worker = SlowResolver(), Asker(), Worker(WORKER_STACK)
    woken = []
    bell = Bell(StubStack())
    bell.rouse = lambda: woken.append("too late")
    names = Names(bell, resolver, worker)
    names.ask(b"a", asker, 0, 80, 0)
    resolver.until_asked(b"a")
    names.stop()
    resolver.answer(b"a", 7)
    wait_until(lambda: not worker._running, lambda: None)
    names.poll(0)
    assert woken == []
    assert asker.got == []


# --- the computer's own resolver


def test_localhost_has_an_address():
    assert address_of(b"localhost") == LOOPBACK
    assert address_of(b"127.0.0.1") == LOOPBACK


def test_a_name_that_cannot_be_has_none():
    assert address_of(b"x" * 64) == 0


@pytest.mark.parametrize(
    ("found", "ip"),
    [
        ([(2, 1, 0, "", ("192.0.2.7", 0))], 0x070200C0),  # the chips
        ([(2, 1, 0, "", bytes([2, 0, 0, 0, 192, 0, 2, 7]))], 0x070200C0),  # SIM
        ([(10, 1, 0, "", ("2001:db8::7", 0)), (2, 1, 0, "", ("192.0.2.7", 0))], 0x070200C0),
        ([(10, 1, 0, "", ("2001:db8::7", 0))], 0),
        ([(2, 1, 0, "", ("0.0.0.0", 0))], 0),  # lwIP's way of finding no host
        ([], 0),
    ],
)
def test_whatever_shape_the_answer_has(monkeypatch, found, ip):
    monkeypatch.setattr(names_module.socket, "getaddrinfo", lambda *_args: found)
    assert address_of(b"printer.example") == ip


@pytest.mark.behaviour("M2")
@only_stub
def test_an_answer_that_there_is_no_memory_for_does_not_end_the_thread(slots):
    def resolve(name):
        if name == b"large.example":
            raise MemoryError
        return slots.net.peer_ip

    slots.names.resolve = resolve
    server = slots.net.server()
    slot = create(slots, b"large.example", server.port)
    slots.until(lambda: slot.state != states.CONNECTING)
    other = create(slots, b"small.example", server.port)
    slots.until(lambda: other.state == states.CONNECTED)


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), OSError(-202)])
def test_whatever_goes_wrong_is_a_host_not_found(monkeypatch, error):
    def fails(*_args):
        raise error

    monkeypatch.setattr(names_module.socket, "getaddrinfo", fails)
    assert address_of(b"printer.example") == 0
