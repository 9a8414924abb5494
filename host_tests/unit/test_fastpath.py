"""The hot path and its plain twin: the same bytes to the controller, the same state after it."""

import random

import pytest
from fake_board import FakeBoard, boot
from fake_pins import RIGS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from raw_controller import listen_or_connect, request
from stub_stack import StubStack

from spinet import fastpath, service, states
from spinet.duet import transaction, wire
from spinet.service import Service
from spinet.tcp import connection, stack, status
from spinet.tcp.stack import ERR_ABRT, ERR_MEM, ERR_RST, EVENT_CLOSED, EVENT_ERROR

SOCKETS = 3
PORT = 80


class Clock:
    """The time of both services: it passes when it is told to."""

    def __init__(self):
        self.now = 5000

    def __call__(self):
        return self.now


class Firmware:
    """One service with its peers and its controller; `plain`: turn() serves nothing itself."""

    def __init__(self, plain, role="module-clocked"):
        board = FakeBoard()
        self.rig = RIGS[role](None)
        self.rig.ticks = lambda: service.ticks_ms()
        board.the_port = self.rig.port
        wait = board.the_stack.wait
        board.the_stack.wait = lambda _ms: wait(0)
        self.service = Service(board)
        self.rig.link = self.service.link
        self.rig.serve = lambda _after_ms=0: self.service.run_once()
        if plain:
            self.rig.port.bind = lambda kit: None
        boot(self.service, service.ticks_ms if isinstance(service.ticks_ms, Clock) else None)
        self.rig.ask(request(wire.NETWORK_LISTEN, data=listen_or_connect(PORT)))
        self.peers = []
        for _ in range(SOCKETS):
            self.peers.append(self.service.stack.dial(PORT))
            self.service.run_once()

    def seen(self):
        """What anybody could see of it."""
        manager = self.service.manager
        slots = [
            (
                bytes(slot.record),
                slot.state,
                slot.readable(),
                slot.space(),
                list(slot._ring.marks),
                bytes(slot._ring.memory),
                slot._ending,
            )
            for slot in manager.slots
        ]
        windows = [(peer._pcb.window, peer._pcb.unreported) for peer in self.peers]
        written = list(self.service.stack.writes)
        link = self.service.link
        counted = link.transactions, link.cuts, getattr(self.rig.port, "restarts", 0)
        # As the target, the module forgets each header; as the master, it has the next one soon.
        header = self.rig.role == "controller-clocked" and link.rx[0]
        return slots, list(manager.rows), windows, written, counted, header, self.rig.trace

    def abandon(self, message, n):
        """The controller goes away after n bytes, and then begins anew."""
        rig = self.rig
        if rig.role == "module-clocked":
            return rig.die_after(message, n)
        rig.transfer_ready.drive(1)
        for first, last in ((0, 8), (8, 12), (12, len(message))):
            if message[first : min(last, n)] and rig.data_ready.value():
                rig.phase(message[first : min(last, n)])
        for level in (0, 1, 0):
            rig.transfer_ready.drive(level)
            rig.serve()
        rig.cs.drive(1)
        return rig.serve()

    def received(self):
        """What each peer has got so far."""
        return [peer.received() for peer in self.peers]


ERRORS = [ERR_MEM, ERR_MEM, ERR_MEM, ERR_RST, ERR_ABRT]
COMMANDS = [0, 1, 2, 9, 40] + [4] * 8 + [5] * 14 + [6] * 7
KINDS = ["ask"] * 24 + ["send"] * 6 + ["read"] * 3 + ["pass"] * 3 + ["dial"] * 2
RARE = ["fin", "reset", "read fails", "write fails", "write fails", "freeze", "thaw", "thaw"]
RARE += ["abandon"] * 3
SIZES = [0, 1, 7, 608, 1440, 1440, 2048, 2048, 2048, 2880 - 1440]


def draw(dice):
    """One step: what it is, and with what."""
    what = dice.choice(KINDS if dice.random() < 0.93 else RARE)
    if what == "ask":
        return what, draw_request(dice)
    if what == "abandon":
        return what, (draw_request(dice), dice.choice([3, 8, 10, 12, 40, 1000]))
    if what == "pass":
        return what, dice.choice([0, 5, 25, 1100])
    if what.endswith("fails"):
        return what, dice.choice(ERRORS)
    return what, dice.choice([0, 0, 0, 1, 2])


def draw_request(dice):
    """Any request, most of them good ones for a socket that is connected."""
    command = dice.choice(COMMANDS)
    return request(
        command,
        dice.choice([0, 0, 0, 0, 1, 2, 5, 9]),
        dice.choice([0, 0, 0, 2, 2, 2, 3, 1]),
        dice.randbytes(dice.choice(SIZES)) if command == 5 else b"",
        dice.choice([2048, 2048, 2048, 3000, 100, 0]),
        version=0x3E if dice.random() < 0.97 else 0x3D,
        length=None if dice.random() < 0.97 else 2049,
    )


def play(firmware, what, detail):
    """One step; what the controller or the peer saw of it."""
    if what == "ask":
        return firmware.rig.transact(detail)
    if what == "abandon":
        return firmware.abandon(*detail)
    if what == "pass":
        firmware.service.run_once()
    elif what == "send":
        peer = firmware.peers[detail]
        return None if peer.ended else peer.send(b"some data" * 100)
    elif what in ("fin", "reset", "freeze", "thaw"):
        peer = firmware.peers[detail]
        if not peer.ended:
            getattr(peer, what)()
    elif what.endswith("fails"):
        firmware.service.stack.inject(what.split()[0], detail)
    elif what == "dial":
        firmware.peers[detail] = firmware.service.stack.dial(PORT)
        firmware.service.run_once()
    elif what == "read":
        return firmware.peers[detail].received()
    return None


def both_ways(monkeypatch, role, seed, draw_step, steps):
    """So many steps, the same for both: what is seen of them is the same after each."""
    clock = Clock()
    monkeypatch.setattr(service, "ticks_ms", clock)
    dice = random.Random(seed)
    both = Firmware(plain=False, role=role), Firmware(plain=True, role=role)
    for number in range(steps):
        what, detail = draw_step(dice)
        if what == "pass":
            clock.now += detail
        fast, slow = (play(firmware, what, detail) for firmware in both)
        assert fast == slow, (number, what, detail)
        assert both[0].seen() == both[1].seen(), (number, what, detail)
    return both


@pytest.mark.behaviour("L1")
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.reuse, Phase.generate],  # a seed has nothing to shrink
)
@pytest.mark.parametrize("role", [role for role in RIGS if "pieces" not in role])
@given(seed=st.integers(0, 1 << 32))
def test_both_ways_do_the_same(monkeypatch, role, seed):
    fast, slow = both_ways(monkeypatch, role, seed, draw, 150)
    assert fast.received() == slow.received()


def draw_write(dice):
    """One step of a file that is sent: writes that gather, a peer that stops and goes on."""
    what = dice.choice(
        ["ask"] * 12 + ["read"] * 2 + ["pass", "freeze", "thaw", "thaw", "write fails"]
    )
    if what == "ask":
        data = dice.randbytes(dice.choice([1, 3, 500, 608, 832, 1440, 2047, 2048, 2048, 2048]))
        return what, request(5, dice.choice([0, 0, 0, 1]), dice.choice([0] * 9 + [2]), data)
    if what == "pass":
        return what, dice.choice([5, 20, 25, 1100])
    return what, ERR_MEM if what == "write fails" else dice.choice([0, 0, 0, 1])


@pytest.mark.behaviour("D1", "D4", "D5")
@pytest.mark.parametrize("role", ["module-clocked", "controller-clocked"])
@pytest.mark.parametrize("seed", range(12))
def test_both_ways_gather_the_same(monkeypatch, role, seed):
    both_ways(monkeypatch, role, seed, draw_write, 120)


@pytest.fixture(params=["module-clocked", "controller-clocked"])
def role(request):
    """Who drives SCK."""
    return request.param


def gathering(monkeypatch, role="module-clocked"):
    """The hot path with a clock that stands; a write that it leaves to Python is an error."""
    clock = Clock()
    monkeypatch.setattr(service, "ticks_ms", clock)
    firmware = Firmware(plain=False, role=role)
    monkeypatch.delattr(connection.Connection, "write")
    return firmware, clock


@pytest.mark.behaviour("D1")
def test_a_file_is_sent_by_the_hot_path_alone(monkeypatch, role):
    firmware, _ = gathering(monkeypatch, role)
    sent = bytes(range(256)) * 8 * 10
    for at in range(0, len(sent), 2048):
        assert firmware.rig.ask(request(5, 0, 0, sent[at : at + 2048]))[0] == 2048
        firmware.peers[0].received()
    assert firmware.rig.ask(request(5, 0, wire.FLAG_PUSH, b"end"))[0] == 3
    assert firmware.peers[0].received() == sent + b"end"
    *writes, last = firmware.service.stack.writes
    assert all(more for _, _, more in writes)
    assert not last[2]


@pytest.mark.behaviour("D1")
def test_a_file_is_received_by_the_hot_path_alone(monkeypatch, role):
    firmware = Firmware(plain=False, role=role)
    monkeypatch.delattr(connection.Connection, "read")
    monkeypatch.delattr(transaction.Link, "answer")
    sent = bytes(range(256)) * 16
    firmware.peers[0].send(sent)
    received = b""
    while len(received) < len(sent):
        status = firmware.rig.ask(request(6, 0))[1]
        assert status[12:14] != b"\0\0"
        received += firmware.rig.ask(request(4, 0))[1]
    assert received == sent
    assert firmware.rig.ask(request(0)) == (0, b"")


def reset_while_data_is_on_its_way(firmware):
    """Controller-clocked: the peer resets between the response and the data phase."""
    rig = firmware.rig
    message = request(5, 0, 2, b"never seen")
    rig.transfer_ready.drive(1)
    rig.phase(message[:8])
    rig.phase(message[8:12])
    firmware.peers[0].reset()
    rig.phase(message[12:])
    rig.cs.drive(1)
    rig.transfer_ready.drive(0)
    rig.serve()
    return rig.ask(request(6, 0)), firmware.seen()


@pytest.mark.behaviour("D4", "L4")
def test_data_on_its_way_to_a_connection_that_ends():
    fast, plain = (
        reset_while_data_is_on_its_way(Firmware(way, "controller-clocked")) for way in (False, True)
    )
    assert fast == plain
    assert fast[0][1][0] == states.OTHER_END_CLOSED


@pytest.mark.behaviour("D4")
@pytest.mark.parametrize("hidden", [0, EVENT_CLOSED | EVENT_ERROR])
def test_read_that_fails(monkeypatch, role, hidden):
    """Its own word is enough: the event that tells the same may not have come yet."""
    events = StubStack.events
    monkeypatch.setattr(StubStack, "events", lambda stack, h: events(stack, h) & ~hidden)
    seen = []
    for plain in (False, True):
        firmware = Firmware(plain, role)
        firmware.service.stack.inject("read", ERR_ABRT)
        assert firmware.rig.ask(request(4, 0)) == (0, b"")
        assert firmware.rig.ask(request(6, 0))[1][0] == states.OTHER_END_CLOSED
        seen.append(firmware.seen())
    assert seen[0] == seen[1]


@pytest.mark.behaviour("L2", "D1")
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(("command", "n"), [(4, 8), (4, 12), (5, 12), (5, 14)])
def test_transfer_that_is_cut_short_breaks_its_connection(monkeypatch, plain, command, n):
    clock = Clock()
    monkeypatch.setattr(service, "ticks_ms", clock)
    firmware = Firmware(plain, "controller-clocked")
    firmware.peers[0].send(b"lost")
    firmware.service.run_once()
    firmware.rig.die_after(request(command, 0, 2, b"half a file" if command == 5 else b""), n)
    assert firmware.service.link.cuts == 0
    clock.now += fastpath.PHASE_TIMEOUT_MS
    firmware.service.run_once()
    assert firmware.service.link.cuts == 1
    firmware.rig.cs.drive(1)
    firmware.rig.transfer_ready.drive(0)
    assert firmware.rig.ask(request(6, 0))[1][0] == states.ABORTED


@pytest.mark.behaviour("L5")
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("command", [wire.CONN_GET_STATUS, wire.NETWORK_GET_STATUS, 0xFF])
def test_a_long_transaction_is_not_followed_by_one_that_was_not_asked_for(
    monkeypatch, plain, command
):
    """It takes 12 ms, and TRANSFER_READY falls 5 ms after its end, or not at all."""
    clock = Clock()
    monkeypatch.setattr(service, "ticks_ms", clock)
    firmware = Firmware(plain)
    rig = firmware.rig
    rig.drops_request = False
    rig.expect(b"\xff" * 12 if command == 0xFF else request(command))
    rig.spi.on_exchange = lambda: setattr(clock, "now", clock.now + 6)
    rig.transfer_ready.drive(1)
    before = firmware.service.link.transactions
    for ms in (0, 5, 4):
        clock.now += ms
        firmware.service.run(2)
    assert firmware.service.link.transactions == before + 1
    clock.now += 1
    firmware.service.run(2)
    assert firmware.service.link.transactions == before + 2
    rig.transfer_ready.drive(0)
    clock.now += 100
    firmware.service.run(2)
    assert firmware.service.link.transactions == before + 2


@pytest.mark.behaviour("L5")
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("message", [request(6), request(9), b"\xff" * 12])
def test_an_edge_within_the_header_is_its_own_requests(monkeypatch, plain, message):
    """TRANSFER_READY fell more than 10 ms late: a look at its level has begun a transaction."""
    clock = Clock()
    monkeypatch.setattr(service, "ticks_ms", clock)
    firmware = Firmware(plain)
    rig = firmware.rig
    rig.drops_request = False
    rig.expect(message)
    rig.transfer_ready.drive(1, edge_seen=False)

    def rise_again():
        rig.spi.on_exchange = None
        rig.transfer_ready.drive(0)
        rig.transfer_ready.drive(1)

    rig.spi.on_exchange = rise_again
    clock.now += 10
    before = firmware.service.link.transactions
    firmware.service.run(4)
    # A request that came too late for this header has yet to be served.
    assert firmware.service.link.transactions == before + (2 if message[0] == 0xFF else 1)


@pytest.mark.behaviour("D5")
def test_what_the_hot_path_gathered_leaves_when_its_time_is_over(monkeypatch):
    firmware, clock = gathering(monkeypatch)
    firmware.rig.ask(request(5, 0, 0, bytes(2048)))
    assert len(firmware.peers[0].received()) == 1440
    clock.now += fastpath.FLUSH_MS - 1
    firmware.service.run_once()
    assert len(firmware.peers[0].received()) == 1440
    clock.now += 1
    firmware.service.run_once()
    assert len(firmware.peers[0].received()) == 2048
    assert [more for _, _, more in firmware.service.stack.writes] == [1, 1]


@pytest.mark.behaviour("D4")
@pytest.mark.parametrize(
    ("error", "state"), [(ERR_ABRT, states.OTHER_END_CLOSED), (ERR_MEM, states.CONNECTED)]
)
def test_a_stack_that_fails_as_the_ring_drains(monkeypatch, error, state):
    firmware, _ = gathering(monkeypatch)
    firmware.rig.ask(request(5, 0, 0, bytes(608)))
    firmware.service.stack.inject("write", error)
    assert firmware.rig.ask(request(5, 0, 0, bytes(2048)))[0] == 2048
    assert firmware.service.manager.slots[0].state == state


@pytest.mark.behaviour("D2", "D5")
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("flags", [0, 2])
def test_a_write_takes_what_there_is_room_for_and_it_leaves_when_there_is_more(plain, flags):
    firmware = Firmware(plain)
    peer = firmware.peers[0]
    peer.freeze()
    pattern = bytes(range(256)) * 8
    taken = [firmware.rig.ask(request(5, 0, flags, pattern))[0] for _ in range(8)]
    assert max(taken) == 2048
    assert 0 in taken
    assert all(n in (0, 2048) or n == sum(taken) % 2048 for n in taken)
    peer.thaw()
    for _ in range(8):
        firmware.service.run_once()
        peer.received()
    firmware.rig.ask(request(5, 0, 2, b"!"))
    wanted = b"".join(pattern[:n] for n in taken) + b"!"
    assert peer.received() == wanted


@pytest.mark.behaviour("D6")
def test_a_read_for_which_the_controller_has_no_room_ends_nothing():
    for plain in (False, True):
        firmware = Firmware(plain)
        firmware.peers[0].send(b"waiting")
        assert firmware.rig.ask(request(4, 0, available=0))[0] == 0
        assert firmware.rig.ask(request(4, 0)) == (7, b"waiting")


# --- what is written down twice

COPIES = {
    "_VERSION": wire.FORMAT_VERSION,
    "_INVALID_VERSION": wire.INVALID_VERSION,
    "_NULL": wire.NULL,
    "_READ": wire.CONN_READ,
    "_WRITE": wire.CONN_WRITE,
    "_STATUS": wire.CONN_GET_STATUS,
    "_CLOSE_AFTER_WRITE": wire.FLAG_CLOSE_AFTER_WRITE,
    "_PUSH": wire.FLAG_PUSH,
    "_SLOTS": states.SOCKETS,
    "_MAX_DATA": wire.MAX_DATA,
    "_FIRST_PHASE": wire.FIRST_PHASE,
    "_RESPONSE": wire.RESPONSE,
    "_RESPONSE_WORD": wire.RESPONSE // 4,
    "_DATA": wire.DATA,
    "_STATUS_SIZE": status.SIZE,
    "ALL_SLOTS": (1 << states.SOCKETS) - 1,
    "_FREE": states.FREE,
    "_CONNECTING": states.CONNECTING,
    "_CONNECTED": states.CONNECTED,
    "_OTHER_END_CLOSED": states.OTHER_END_CLOSED,
    "_ABORTED": states.ABORTED,
    "_CLOSE_PENDING": states.CLOSE_PENDING,
    "_CLOSE_READY": states.CLOSE_READY,
    "_ALWAYS": stack.EVENT_CONNECTED | stack.EVENT_CLOSED | stack.EVENT_ERROR,
    "_ROOM": stack.EVENT_ROOM,
    "_WOULDBLOCK": stack.ERR_WOULDBLOCK,
    "_INDEX_MASK": stack.INDEX_MASK,
}


@pytest.mark.parametrize("name", list(COPIES))
def test_hot_has_the_protocols_numbers(name):
    assert getattr(fastpath, name) == COPIES[name]


GROUPS = ("ROW", "MARK", "SIGNAL", "LOOP", "WHY", "PHASE", "KIT")


@pytest.mark.parametrize("group", GROUPS)
def test_no_two_words_are_in_one_place(group):
    """No word may lie within the block of another; `_WORDS` and `_PLACES` end the list."""
    size = {"ROW_HANDLE": 8, "ROW_MAY": 8, "ROW_OWED": 8}
    size.update(dict.fromkeys(("ROW_OWNED", "ROW_INTEREST", "ROW_SEEN"), stack.INDEX_MASK + 1))
    taken = []
    end = None
    for name, at in vars(fastpath).items():
        if name.startswith(group + "_") and not name.endswith("_MS"):
            if name.endswith(("_WORDS", "_PLACES")):
                end = at
            else:
                taken.extend(range(at, at + size.get(name, 1)))
    assert len(taken) == len(set(taken))
    assert end in (None, max(taken) + 1)
