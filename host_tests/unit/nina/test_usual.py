"""NINA's hot path: what it serves alone, and whatever comes between connections and commands."""

import ast
import random
from pathlib import Path

import pytest
from nina_bench import NinaBench, frame
from stub_stack import SEND_BUFFER

from spinet import fastpath, states
from spinet.nina import frames, numbers, usual
from spinet.tcp import stack
from spinet.tcp.stack import ERR_MEM, ERR_RST

IP = bytes([127, 0, 0, 1])
PORT = 8080
SERVER_PORT = 80
TCP = 0
HOMES = (fastpath, frames, numbers, stack)


@pytest.fixture
def bench(monkeypatch):
    return Driver(monkeypatch)


class Driver(NinaBench):
    """The bench with a driver's calls."""

    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        self.stack.servers[PORT] = []

    def new(self):
        return self.ask(0x3F)[0][0]

    def opened(self):
        """(number, peer) of a connection."""
        number = self.new()
        assert self.ask(0x2D, IP, PORT.to_bytes(2, "big"), number, TCP) == [b"\1"]
        return number, self.stack.servers[PORT][-1]

    def listening(self):
        number = self.new()
        assert self.ask(0x28, SERVER_PORT.to_bytes(2, "big"), number, TCP) == [b"\1"]
        return number

    def state(self, number):
        return self.ask(0x2F, number)[0][0]

    def available(self, number, *accept):
        return int.from_bytes(self.ask(0x2B, number, *accept)[0], "little")

    def read(self, number, n, command=0x45):
        wide = command == 0x45
        return self.ask(command, bytes([number]), n.to_bytes(2, "little"), wide=wide)[0]

    def write(self, number, data, command=0x44):
        (count,) = self.ask(command, bytes([number]), data, wide=True)
        return int.from_bytes(count, "little" if command == 0x44 else "big")

    def input_is(self, level):
        """What GPIO0 shows while READY is low."""
        return self.target.ready == 0 and self.target.level0 == level


# --- the copies of others' constants


def copies():
    """(name, home) of each `_NAME` of usual.py that another file has as NAME or as _NAME."""
    for node in ast.parse(Path(usual.__file__).read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id.startswith("_"):
            name = node.targets[0].id
            yield from ((name, home) for home in HOMES if home_has(home, name[1:]))


def home_has(home, name):
    return name in vars(home) or "_" + name in vars(home)


# Commands, and the answers of 7C, that have names of their own meaning.
OWN = {"_GET_STATUS", "_STATE", "_READ", "_WRITE", "_STATUS"}


@pytest.mark.parametrize(("name", "home"), [pair for pair in copies() if pair[0] not in OWN])
def test_copied_constants_are_those_of_their_file(name, home):
    found = vars(home).get(name[1:], vars(home).get(name))
    assert getattr(usual, name) == found


def test_the_copies_are_found():
    found = {name for name, _ in copies()}
    assert {"_KIT_ROWS", "_ROW_SPACE", "_WHY_PORT", "_SERVER", "_DATA_AT", "_WOULDBLOCK"} <= found
    assert usual.KIT_WORDS == fastpath.KIT_REQUESTED
    assert usual.KIT_GPIO0 == fastpath.KIT_DATA_READY
    assert usual.HANDLES - usual.PLACES == frames.PARAMS


# --- what Python is not called for


@pytest.fixture
def alone(bench, monkeypatch):
    """A driver with a connection and a server, of a module that executes nothing in Python."""
    bench.number, bench.peer = bench.opened()
    bench.server = bench.listening()

    def execute(n):
        raise AssertionError(f"Python has to serve {bytes(bench.service.link.rx[:n]).hex()}")

    monkeypatch.setattr(bench.service.link, "execute", execute)
    return bench


def test_a_connection_s_commands_are_served_without_python(alone):
    number, peer = alone.number, alone.peer
    assert alone.ask(0x20) == [b"\0"]
    assert alone.state(number) == 4
    assert alone.available(number) == 0
    peer.send(b"hello, world")
    alone.passes()
    assert alone.available(number) == 12
    assert alone.ask(0x7C, number) == [b"\3"]
    assert alone.read(number, 5) == b"hello"
    assert alone.read(number, 100, command=0x78) == b", world"
    assert alone.read(number, 100) == b""
    assert alone.read(number, 100, command=0x78) == b""
    assert alone.ask(0x7C, number) == [b"\2"]
    for data in (b"a" * 64, b"b" * 64, b"", b"c" * 1460):
        assert alone.write(number, data) == len(data)
        assert alone.ask(0x2A, number) == [b"\1"]
    assert alone.write(number, b"d" * 300, command=0x77) == 300
    assert alone.ask(0x7E, number, (2).to_bytes(4, "little"), 4) == [bytes(4)]
    assert peer.received() == b"a" * 64 + b"b" * 64 + b"c" * 1460 + b"d" * 300


@pytest.mark.parametrize("accept", [[], [0], [1]], ids=str)
def test_a_server_without_a_new_client_is_asked_without_python(alone, accept):
    assert alone.available(alone.server, *accept) == 255


def test_a_number_may_have_any_length(alone):
    alone.peer.send(b"hello")
    alone.passes()
    number = alone.number.to_bytes(4, "little")
    assert alone.ask(0x2F, number) == [b"\4"]
    assert alone.ask(0x45, number, (5).to_bytes(4, "little"), wide=True) == [b"hello"]


def test_commands_of_the_hot_path_are_counted(alone):
    before = alone.service.link.count[0]
    alone.ask(0x20)
    alone.state(alone.number)
    assert alone.service.link.count[0] == before + 2


# --- what is Python's


@pytest.mark.parametrize("command", [0x2F, 0x2B, 0x45, 0x44, 0x2A, 0x77, 0x78, 0x7C, 0x7E])
def test_a_command_without_its_parameters_is_refused(bench, command):
    bench.opened()
    bench.ask(0x2F, 0)
    assert bench.ask(command) is None


@pytest.mark.parametrize("command", [0x45, 0x44, 0x77, 0x78])
def test_a_command_with_too_few_parameters_is_refused(bench, command):
    number, _ = bench.opened()
    wide = command in (0x44, 0x45, 0x77)
    bench.read(number, 1, command=0x45)
    assert bench.ask(command, bytes([number]), wide=wide) is None


@pytest.mark.parametrize(
    "text", ["e0 20 0b ee", "e0 2f 01", "e0 2f 01 02 00", "e0 45 02 00 01 00 00"]
)
def test_a_spoilt_command_is_refused(bench, text):
    assert bench.opened()[0] == 0
    bench.send(bytes.fromhex(text))
    assert bench.reply() == b"\xef\0\xee\0"


def test_errno_is_that_of_the_last_call(bench):
    number, peer = bench.opened()
    assert bench.read(number, 10, command=0x78) == b""
    assert bench.ask(0x72) == [bytes([11])]
    peer.send(b"hello")
    bench.passes()
    assert bench.read(number, 10, command=0x78) == b"hello"
    assert bench.ask(0x72) == [b"\0"]


@pytest.mark.behaviour("A3")
def test_a_number_s_next_connection_is_not_taken_for_its_last(bench):
    first, peer = bench.opened()
    bench.ask(0x2E, first)
    peer.received()
    bench.later(1000)
    second, peer = bench.opened()  # in the same slot
    peer.send(b"for the second")
    bench.passes()
    assert second != first
    assert bench.state(first) == 0
    assert bench.read(first, 100) == b""
    assert bench.write(first, b"lost") == 0
    assert bench.read(second, 100) == b"for the second"


@pytest.mark.behaviour("A13")
def test_a_usual_command_in_the_place_of_a_reply_is_served(bench):
    number, peer = bench.opened()
    peer.send(b"hello")
    bench.passes()
    bench.send(frame(0x20))
    bench.send(frame(0x2F, number))  # in the place of its reply
    assert bench.reply()[:6] == b"\xe0\xaf\1\1\4\xee"
    bench.send(frame(0x20))
    bench.send(frame(0x45, bytes([number]), b"\5\0", wide=True))
    assert bench.reply()[5:10] == b"hello"
    assert bench.service.link.resyncs == 2


@pytest.mark.parametrize("data", [b"x" * 64, b"x" * 700], ids=len)
def test_a_write_that_fails_ends_the_connection(bench, data):
    number, _ = bench.opened()
    bench.stack.inject("write", ERR_RST)
    bench.write(number, data)
    bench.write(number, b"")
    bench.later(100)
    assert bench.state(number) == 0
    assert bench.ask(0x20) == [b"\0"]


@pytest.mark.parametrize("data", [b"x" * 64, b"x" * 700], ids=len)
def test_a_write_that_fails_without_an_event_ends_the_connection(bench, data):
    number, _ = bench.opened()
    writes = bench.service.manager.calls[3]  # of each slot
    writes[:] = [lambda *_: ERR_RST] * len(writes)
    assert bench.write(number, data) == len(data)
    bench.later(fastpath.FLUSH_MS)
    assert bench.state(number) == 0


def test_a_write_without_memory_is_tried_again(bench):
    number, peer = bench.opened()
    bench.stack.inject("write", ERR_MEM)
    assert bench.write(number, b"x" * 700) == 700
    assert bench.write(number, b"y" * 700) == 700
    bench.later(100)
    assert peer.received() == b"x" * 700 + b"y" * 700


@pytest.mark.behaviour("A1")
def test_a_peer_that_has_stalled_once_is_waited_for_again_when_it_takes_bytes(bench):
    number, peer = bench.opened()
    stall(bench, number, peer)
    for _ in range(20):
        peer.thaw()
        peer.received()
        bench.later(50)
    peer.freeze()
    for n in [1000] * 9 + [SEND_BUFFER + fastpath.RING_SIZE - 9000]:
        assert bench.write(number, bytes(n)) == n  # no more has room
    bench.send(frame(0x44, bytes([number]), bytes(64), wide=True))
    bench.later(4900)
    assert bench.target.ready == 1


def stall(bench, number, peer):
    """Write until the peer's TCP has taken nothing for 5 s. No write is waited for then."""
    peer.freeze()
    command = frame(0x44, bytes([number]), bytes(2000), wide=True)
    waited = 0
    count = 1
    while count:
        bench.send(command)
        waited += bench.target.ready
        bench.later(5001)
        count = int.from_bytes(bench.reply()[4:6], "little")
    assert waited
    for data in (b"", bytes(64)):
        bench.send(frame(0x44, bytes([number]), data, wide=True))
        assert bench.reply()[4:6] == b"\0\0"


# --- passes that Python does not see


def in_one_run(bench, *happens):
    """So many passes of one run; what happens in the wait of each. The times that they waited."""
    steps = iter(happens)
    wait = bench.stack.wait
    asked = []

    def waits(ms):
        asked.append(ms)
        next(steps)()
        return wait(ms)

    bench.stack.wait = waits
    bench.service.loop.bind()
    bench.service.loop.run(len(happens))
    bench.stack.wait = wait
    bench.service.loop.bind()
    return asked


def nothing():
    """No event."""


def test_a_piece_of_a_write_leaves_when_its_time_is_over(bench):
    number, _ = bench.opened()
    piece = frame(0x44, bytes([number]), bytes(64), wide=True)
    in_one_run(bench, nothing, lambda: bench.target.select(piece))
    assert bench.service.loop.words[fastpath.LOOP_DUE] - bench.now == fastpath.FLUSH_MS


def test_a_command_in_the_place_of_a_reply_waits_for_nothing(bench):
    number, _ = bench.opened()
    asks = [
        lambda data=data: bench.target.select(data) for data in (frame(0x20), frame(0x2F, number))
    ]
    asked = in_one_run(bench, nothing, *asks, nothing)
    assert asked[1] > 0
    assert asked[-1] == 0
    assert bench.reply()[1] == 0xAF


@pytest.mark.behaviour("A16")
def test_gpio0_rises_as_data_comes(bench):
    _, peer = bench.opened()
    in_one_run(bench, nothing, lambda: peer.send(b"hello"))
    assert bench.input_is(1)


@pytest.mark.behaviour("A16")
def test_gpio0_falls_with_a_read(bench):
    number, peer = bench.opened()
    peer.send(b"hello")
    bench.passes()
    command = frame(0x45, bytes([number]), b"\5\0", wide=True)
    in_one_run(bench, nothing, lambda: bench.target.select(command))
    assert bench.input_is(0)
    assert bench.reply()[5:10] == b"hello"


@pytest.mark.behaviour("A16")
def test_gpio0_falls_when_python_ends_what_had_input(bench):
    number, peer = bench.opened()
    peer.send(b"hello")
    bench.passes()
    in_one_run(bench, nothing, lambda: bench.target.select(frame(0x2E, number)))
    assert bench.input_is(0)


@pytest.mark.behaviour("A16")
def test_gpio0_falls_when_a_task_ends_what_had_input(bench):
    _, peer = bench.opened()
    peer.send(b"hello")
    bench.passes()
    numbers_task = bench.service.personality.numbers
    numbers_task.poll = lambda _now: bench.service.manager.terminate_all() or -1
    in_one_run(bench, nothing, bench.service.bell.stir)
    assert bench.input_is(0)


def test_more_than_two_bytes_can_say_is_told_as_much_as_they_can(bench):
    number, _ = bench.opened()
    readable = bench.service.manager.calls[0]  # of each slot
    readable[:] = [lambda handle: 70000] * len(readable)
    assert bench.available(number) == 0xFFFF


# --- GPIO0


@pytest.mark.behaviour("A16")
def test_gpio0_is_driven_before_the_first_command(bench, monkeypatch):
    driven = []
    target = bench.target
    monkeypatch.setattr(type(target), "gpio0", lambda _, level: driven.append(level))
    NinaBench(monkeypatch)
    assert driven == [0]


@pytest.mark.behaviour("A16")
def test_gpio0_falls_with_the_last_byte_that_is_read(bench):
    number, peer = bench.opened()
    peer.send(b"12345678")
    bench.passes()
    assert bench.input_is(1)
    bench.send(frame(0x45, bytes([number]), b"\7\0", wide=True))
    assert bench.input_is(1)
    bench.reply()
    bench.send(frame(0x45, bytes([number]), b"\1\0", wide=True))
    assert bench.input_is(0)
    bench.reply()


@pytest.mark.behaviour("A16")
def test_gpio0_falls_when_the_network_is_lost(bench):
    _, peer = bench.opened()
    peer.send(b"hello")
    bench.passes()
    assert bench.input_is(1)
    bench.service.manager.terminate_all()
    bench.service.bell.stir()
    bench.passes(1)
    assert bench.input_is(0)


# --- whatever comes

SIZES = [0, 1, 63, 64, 64, 64, 65, 700, 1440, 1460, 2048, 2049, 4000]
KINDS = ["write"] * 8 + ["read"] * 8 + ["send"] * 6 + ["state", "poll", "available"] * 3
KINDS += ["status", "server", "later", "later"]
RARE = [
    "fin",
    "reset",
    "dial",
    "freeze",
    "thaw",
    "thaw",
    "open",
    "open",
    "stop",
    "give up",
    "fails",
]


class Conversation:
    """Random steps, and what must hold after each: bytes arrive once and in their order, a state is
    told as it is, GPIO0 shows what can be read."""

    def __init__(self, bench, dice):
        self.bench = bench
        self.dice = dice
        self.listener = bench.listening()
        self.peers = {}  # of each number, with
        self.accepted = {}  # what the driver was told is written,
        self.sent = {}  # and what its peer sent and the driver has not read
        for _ in range(3):
            self.open()

    def play(self):
        for _ in range(120):
            kind = self.dice.choice(KINDS if self.dice.random() < 0.92 else RARE)
            getattr(self, kind.replace(" ", "_"))()
            self.check_input()

    def meet(self, number, peer):
        assert number not in self.peers
        self.peers[number] = peer
        self.accepted[number] = b""
        self.sent[number] = b""

    def forget(self, number):
        del self.peers[number], self.accepted[number], self.sent[number]

    def any(self):
        return self.dice.choice(sorted(self.peers)) if self.peers else 9

    def peer(self):
        """(number, peer) that may still send; (9, None) without one."""
        alive = [n for n in sorted(self.peers) if self.is_open(n)]
        number = self.dice.choice(alive) if alive else 9
        return number, self.peers.get(number)

    def is_open(self, number):
        peer = self.peers[number]
        return not getattr(peer, "over", False)

    def check_input(self):
        assert self.bench.target.ready == 0
        slots = self.bench.service.manager.slots
        of = self.bench.service.personality.numbers._of
        wanted = any(
            slot.state == states.CONNECTED
            and (slot.readable() or (slot.listener and of(slot) == numbers.NONE))
            for slot in slots
        )
        assert self.bench.target.level0 == wanted

    # --- the driver

    def open(self):
        if len(self.peers) < 5:
            self.meet(*self.bench.opened())

    def write(self):
        number = self.any()
        command = self.dice.choice([0x44, 0x44, 0x77])
        data = self.dice.randbytes(self.dice.choice(SIZES))
        self.bench.send(frame(command, bytes([number]), data, wide=True))
        if self.bench.target.ready:
            self.bench.later(5001)
        count = int.from_bytes(self.bench.reply()[4:6], "little" if command == 0x44 else "big")
        assert count <= len(data)
        if number in self.peers:
            self.accepted[number] += data[:count]

    def read(self):
        number = self.any()
        n = self.dice.choice(SIZES)
        got = self.bench.read(number, n, self.dice.choice([0x45, 0x45, 0x78]))
        assert len(got) <= n
        if number in self.peers:
            assert self.sent[number].startswith(got)
            self.sent[number] = self.sent[number][len(got) :]

    def state(self):
        number = self.any()
        told = self.bench.state(number)
        if number in self.peers and told == 0:
            assert not self.is_open(number)
            assert not self.sent[number] or self.peers[number].over == "reset"
            self.forget(number)  # as its number is free

    def available(self):
        number = self.any()
        n = self.bench.available(number)
        assert n <= len(self.sent.get(number, b""))

    def poll(self):
        number = self.any()
        flags = self.bench.ask(0x7C, number)[0][0]
        if number in self.peers and self.is_open(number):
            assert not flags & 0x84

    def status(self):
        assert self.bench.ask(0x20) == [b"\0"]

    def stop(self):
        number = self.any()
        self.bench.ask(0x2E, number)
        if number in self.peers:
            peer = self.peers[number]
            peer.thaw()
            for _ in range(20):
                peer.received()
                self.bench.later(20)
            assert not self.is_open(number) or bytes(peer.got) == self.accepted[number]
            self.forget(number)

    def give_up(self):
        self.bench.send(frame(0x20))
        self.bench.send(frame(0x2F, self.any()))
        self.bench.reply()

    def dial(self):
        """A client of the server comes, and is told of."""
        peer = self.bench.stack.dial(SERVER_PORT)
        if peer is None:
            return
        self.bench.passes()
        number = self.bench.available(self.listener)
        if number != 255:
            self.meet(number, peer)

    def server(self):
        assert self.bench.available(self.listener, *self.dice.choice([[], [1]])) == 255
        number = self.bench.available(self.listener, 0)
        assert number == 255 or self.sent[number]

    # --- its peers, and time

    def send(self):
        number, peer = self.peer()
        if peer:
            data = self.dice.randbytes(self.dice.choice(SIZES))
            n = peer.send(data)
            self.sent[number] += data[: len(data) if n is None else n]
        self.bench.passes(1)

    def fin(self):
        _, peer = self.peer()
        if peer:
            peer.over = "fin"
            peer.fin()
            self.bench.passes(1)

    def reset(self):
        _, peer = self.peer()
        if peer:
            peer.over = "reset"
            peer.reset()
            self.bench.passes(1)

    def freeze(self):
        _, peer = self.peer()
        if peer:
            peer.freeze()

    def thaw(self):
        for peer in self.peers.values():
            peer.thaw()
        self.bench.passes(1)

    def fails(self):
        self.bench.stack.inject("write", ERR_MEM)

    def later(self):
        self.bench.later(self.dice.choice([1, 25, 1100]))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.behaviour("A16")
def test_whatever_comes_bytes_arrive_once_and_gpio0_shows_them(bench, seed):
    Conversation(bench, random.Random(seed)).play()
