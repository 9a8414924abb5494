"""The controller-clocked link while the loop runs on, as it does on a board: no test calls the
service for each pass, and nothing is looked at that has no reason.

A script is a generator that plays the controller. It goes on each time the loop waits, and yields
how many ms may pass meanwhile; the loop may ask for fewer.
"""

from itertools import chain, repeat

import pytest
from fake_board import FakeBoard
from fake_pins import RIGS
from raw_controller import listen_or_connect, request

from spinet import fastpath, loop, states
from spinet.duet.personality import NEWS_MS
from spinet.service import Service
from spinet_controller.codes import Command

pytestmark = pytest.mark.behaviour("L2", "L4")

PORT = 80
LONG = 10_000
PHASE_TIMEOUT = 500


class Board:
    """A service and the controller's end of its link."""

    def __init__(self, monkeypatch):
        self.now = 5000
        self.most = 5000  # passes until a script that never ends is an error
        monkeypatch.setattr(loop, "ticks_ms", lambda: self.now)
        board = FakeBoard()
        self.rig = RIGS["controller-clocked"](None)
        board.the_port = self.rig.port
        self._script = iter(())
        self._wait = board.the_stack.wait
        board.the_stack.wait = self.wait
        self.service = Service(board)
        self.rig.link = self.service.link
        self.slots = self.service.manager.slots

    def wait(self, ms):
        """The stack's wait(), in which the controller has its turn."""
        try:
            nap = min(ms, next(self._script))
        except StopIteration:
            nap = 0
            self.service.bell.stop()
        self.now += nap
        return self._wait(0)

    def boot(self):
        """Let the start-up pass."""
        self.service.start()
        self._script = repeat(LONG)
        while not self.rig.port.idle():
            self.service.run_once()

    def run(self, script):
        """Let the loop run until the script is over."""
        self._script = chain((0, 0), script)
        self.service.loop.words[fastpath.LOOP_STOP] = 0
        self.service.loop.run(self.most)
        assert next(self._script, None) is None, "the loop ended before the script did"

    # --- what scripts are made of

    def phase(self, out):
        """Clock one phase; returns what the module shifted."""
        assert self.rig.data_ready.value() == 1, "no phase is armed"
        self.rig.cs.drive(0)
        shifted = self.rig.target.clock(out)
        yield 0
        yield 0
        return shifted

    def begin(self, message, n):
        """A transaction's first n bytes, phase by phase; returns what the module shifted."""
        self.rig.transfer_ready.drive(1)
        shifted = b""
        for first, last in ((0, 8), (8, 12), (12, len(message))):
            if message[first : min(n, last)]:
                shifted += yield from self.phase(message[first : min(n, last)])
        return shifted

    def let_go(self):
        """CS rises: the end of a transaction."""
        self.rig.cs.drive(1)
        self.rig.transfer_ready.drive(0)
        yield 0
        yield 0

    def ask(self, message, data=0):
        """A whole transaction: (response, data); so many bytes of data are expected."""
        shifted = yield from self.begin(message + bytes(data), 1 << 16)
        yield from self.let_go()
        return self.rig.decode(shifted)[2:]

    def connect(self):
        """A peer in slot 0."""
        yield from self.ask(request(Command.NETWORK_LISTEN, data=listen_or_connect(PORT)))
        peer = self.service.stack.dial(PORT)
        yield 0
        yield 0
        assert self.slots[0].state == states.CONNECTED
        return peer


@pytest.fixture
def board(monkeypatch):
    board = Board(monkeypatch)
    board.boot()
    return board


@pytest.mark.behaviour("D1")
def test_bytes_go_both_ways(board):
    def script():
        peer = yield from board.connect()
        peer.send(b"ping")
        yield 0
        assert (yield from board.ask(request(4), 4)) == (4, b"ping")
        assert (yield from board.ask(request(5, flags=2, data=b"pong")))[0] == 4
        assert peer.received() == b"pong"

    board.run(script())


def test_header_of_before_is_nobodys_request(monkeypatch):
    board = Board(monkeypatch)
    board.service.link.rx[:8] = request(0)[:8]
    board.boot()

    def script():
        assert (yield from board.ask(request(9), 168))[0] == 168

    board.run(script())
    assert board.service.link.count[0] == 1


@pytest.mark.parametrize("n", [3, 10, 14])
def test_cs_that_rises_within_a_phase(board, n):
    """In the header, the response, the data: each begins anew, and no time has to pass."""

    def script():
        yield from board.connect()
        yield from board.begin(request(5, flags=2, data=b"half a file"), n)
        yield from board.let_go()
        assert board.rig.port.restarts == 1
        assert board.rig.is_ready()

    board.run(script())
    broken = states.ABORTED if n > 12 else states.CONNECTED
    assert board.slots[0].state == broken


def test_cs_that_rises_late_ends_no_phase(board):
    """After the header, and before anybody looked; the response then comes in two bursts."""

    def script():
        rig = board.rig
        rig.transfer_ready.drive(1)
        rig.cs.drive(0)
        rig.target.clock(request(0)[:8])
        rig.cs.drive(1)
        rig.cs.drive(0)
        yield 0
        rig.target.clock(bytes(2))
        yield 0
        rig.target.clock(bytes(2))
        yield 0
        yield from board.let_go()

    board.run(script())
    assert board.rig.port.restarts == 0
    assert board.service.link.count[0] == 1


@pytest.mark.parametrize("message", [request(1, 9), request(0)], ids=["plain", "hot"])
def test_interrupt_that_comes_later_than_its_request(board, message):
    """On a chip it waits for its turn; the answer is armed by then. It begins nothing anew."""

    def script():
        rig = board.rig
        for _ in range(2):
            rig.transfer_ready.drive(1, edge_seen=False)
            shifted = yield from board.phase(message[:8])
            rig.transfer_ready.interrupt()
            yield 0
            shifted += yield from board.phase(bytes(4))
            assert rig.decode(shifted)[0] == 0x3E
            rig.cs.drive(1, edge_seen=False)
            rig.transfer_ready.drive(0)
            yield 0
            yield 0
            rig.cs.interrupt()  # the next header is armed by now

    board.run(script())
    assert board.rig.port.restarts == 0
    assert board.service.link.count[0] == 2


def test_request_that_was_withdrawn_and_is_asked_again(board):
    def script():
        for level in (1, 0, 1):
            board.rig.transfer_ready.drive(level)
            yield 0
        yield from board.ask(request(0))

    board.run(script())
    assert board.rig.port.restarts == 0


@pytest.mark.parametrize("message", [request(0), request(9)], ids=["hot", "plain"])
def test_controller_that_dies_after_its_header(board, message):
    """The loop wakes for the time-out, and not when it would wake anyway."""

    def script():
        yield from board.begin(message, 8)
        began = board.now
        while not board.rig.port.restarts:
            yield LONG
        assert PHASE_TIMEOUT <= board.now - began <= PHASE_TIMEOUT + 20

    board.run(script())


def test_cs_that_never_rises_is_waited_for_from_the_last_phase_on(board):
    def script():
        rig = board.rig
        yield from board.begin(request(6), 12)
        board.now += 300
        yield 0
        rig.target.clock(bytes(20))
        yield 0
        yield 0
        ended = board.now
        assert rig.data_ready.value() == 0
        while rig.data_ready.value() == 0:
            yield 50
        assert board.now - ended >= PHASE_TIMEOUT

    board.run(script())
    assert board.rig.port.restarts == 0


def test_what_is_deferred_until_cs_rises_is_seen_to_at_once(board):
    """connAbort of an ended connection frees its slot, although no time passes."""

    def script():
        peer = yield from board.connect()
        peer.reset()
        yield 0
        yield from board.ask(request(Command.CONN_ABORT))
        yield 0
        assert board.slots[0].state == states.FREE

    board.run(script())


def test_what_is_done_before_cs_rises_is_seen_to_at_once(board):
    """connClose of an ended connection frees its slot, although CS stays low."""

    def script():
        peer = yield from board.connect()
        peer.reset()
        yield 0
        yield from board.begin(request(Command.CONN_CLOSE), 12)
        yield 0
        assert board.slots[0].state == states.FREE

    board.run(script())


def test_what_a_cut_undoes_is_seen_to_at_once(board):
    """connCreate whose response did not reach the controller leaves no slot behind."""

    def script():
        record = listen_or_connect(99, 0x0100007F)
        yield from board.begin(request(Command.CONN_CREATE, data=record), 10)
        assert board.slots[0].state != states.FREE
        board.rig.transfer_ready.drive(0)
        board.rig.transfer_ready.drive(1)
        yield 0
        yield 0
        yield 0
        assert board.slots[0].state == states.FREE

    board.run(script())


@pytest.mark.behaviour("D1")
def test_cut_after_a_refused_header(board):
    """What was refused before has nothing to say about the transfer that is cut short."""

    def script():
        yield from board.connect()
        yield from board.ask(request(0, version=0x3D))
        yield from board.begin(request(5, flags=2, data=b"half a file"), 14)
        yield from board.let_go()
        assert board.slots[0].state == states.ABORTED

    board.run(script())


@pytest.mark.parametrize("message", [request(0), request(9)], ids=["hot", "plain"])
def test_cs_that_rises_before_the_loop_has_seen_the_last_phase(board, message):
    """Both end the same wait, so nothing is left that could end the next one."""
    size = {0: 0, 9: 168}[message[1]]

    def script():
        rig = board.rig
        yield from board.begin(message + bytes(size), 12 if size else 8)
        rig.target.clock(bytes(size or 4))
        rig.cs.drive(1)
        rig.transfer_ready.drive(0)
        yield 0
        ended = board.now
        while not rig.is_ready():
            yield LONG
        assert board.now == ended

    board.run(script())
    assert board.service.link.count[0] == 1


def test_news_is_told_as_soon_as_the_transaction_under_way_is_over(board):
    """And not when a time-out has the loop look next."""

    def script():
        board.now += NEWS_MS
        yield from board.begin(request(0), 8)
        board.service.error.set("news")
        board.service.bell.stir()
        yield 0
        assert board.service.personality.news._told < board.now  # it has to wait
        board.rig.target.clock(bytes(4))
        yield 0
        yield from board.let_go()
        assert board.service.personality.news._told == board.now

    board.run(script())
    assert board.service.link.count[0] == 1


@pytest.mark.behaviour("D1")
def test_what_gathers_leaves_in_time_though_nothing_else_is_due(board):
    def script():
        peer = yield from board.connect()
        yield from board.ask(request(Command.CONN_WRITE, 0, 0, b"gathers"), 0)
        asked = board.now
        while not peer.received():
            yield LONG
        assert board.now - asked <= fastpath.FLUSH_MS

    board.run(script())
