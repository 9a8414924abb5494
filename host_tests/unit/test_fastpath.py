"""The hot path: bytes to the controller and to the peers, and the words that it goes by."""

import random

import pytest
from fake_board import FakeBoard, boot
from fake_pins import RIGS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from raw_controller import listen_or_connect, request
from stub_stack import StubStack

from spinet import fastpath, loop, states
from spinet.duet import transaction, wire
from spinet.service import Service
from spinet.tcp import connection, stack, status
from spinet.tcp.connection import CONNECT_TIMEOUT_MS
from spinet.tcp.stack import ERR_ABRT, ERR_CLSD, ERR_MEM, ERR_RST, EVENT_CLOSED, EVENT_ERROR
from spinet_controller.codes import Command

SOCKETS = 3
PORT = 80


class Clock:
    """The time of both services: it passes when it is told to."""

    def __init__(self):
        self.now = 5000

    def __call__(self):
        return self.now


class Firmware:
    """One service with its peers and its controller."""

    def __init__(self, role="module-clocked"):
        board = FakeBoard()
        self.rig = RIGS[role](None)
        self.rig.ticks = lambda: loop.ticks_ms()
        board.the_port = self.rig.port
        wait = board.the_stack.wait
        board.the_stack.wait = lambda _ms: wait(0)
        self.service = Service(board)
        self.slots = self.service.manager.slots
        self.rig.link = self.service.link
        self.rig.serve = lambda _after_ms=0: self.service.run_once()
        boot(self.service, loop.ticks_ms if isinstance(loop.ticks_ms, Clock) else None)
        self.rig.ask(request(Command.NETWORK_LISTEN, data=listen_or_connect(PORT)))
        self.peers = []
        for _ in range(SOCKETS):
            self.peers.append(self.service.stack.dial(PORT))
            self.service.run_once()

    def slot_of(self, peer):
        """The slot that serves this peer, None when it has let go."""
        for slot in self.slots:
            if slot.handle and status.remote_port(slot.record) == peer._pcb.remote_port:
                return slot
        return None

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


class Conversation:
    """Random steps, and after each what they must have brought about.

    What a peer got is what the controller was told is accepted, after anything in between; what
    the hot path goes by is what follows from the states of the slots.
    """

    def __init__(self, monkeypatch, role):
        self.clock = Clock()
        monkeypatch.setattr(loop, "ticks_ms", self.clock)
        self.firmware = Firmware(role)
        self.every = list(self.firmware.peers)
        self.accepted = {}  # of each peer, by its port: what the controller was told
        self.pushed = {}  # ends of writes that may have PSH
        self.sent = {}  # by the peer, and not read by the controller
        self.left = {}  # by the stack's handle: bytes that it was given
        self.ports = {}  # of these handles
        self.writes = []  # to the stack, not looked at: its handle, bytes taken, whether with PSH
        calls = self.firmware.service.manager.calls[fastpath.KIT_WRITE - fastpath.KIT_READABLE]
        calls[:] = [self.noted(call) for call in calls]
        for peer in self.every:
            self.meet(peer)

    def noted(self, call):
        """A stack's write() that is looked at later."""

        def write(handle, buf, offset, n, more):
            taken = call(handle, buf, offset, n, more)
            if taken > 0:
                self.writes.append((handle, taken, taken == n and not more))
            return taken

        return write

    def meet(self, peer):
        port = peer._pcb.remote_port
        self.accepted[port] = b""
        self.pushed[port] = {0}
        self.sent[port] = b""

    def play(self, what, detail):
        """One step."""
        firmware = self.firmware
        if what == "ask":
            self.ask(detail)
        elif what == "abandon":
            firmware.abandon(*detail)
            self.forgive()
        elif what == "pass":
            self.clock.now += detail
            firmware.service.run_once()
            self.check_nothing_gathers_too_long()
        elif what.endswith("fails"):
            firmware.service.stack.inject(what.split()[0], detail)
        elif what == "dial":
            peer = firmware.service.stack.dial(PORT)
            firmware.service.run_once()
            if peer:
                firmware.peers[detail] = peer
                self.every.append(peer)
                self.meet(peer)
        else:
            self.peer_does(what, firmware.peers[detail])
        self.check()

    def peer_does(self, what, peer):
        if what == "read":
            peer.received()
        elif peer.ended:
            return
        elif what == "send":
            more = bytes(len(self.sent[peer._pcb.remote_port]) & 0xFF for _ in range(900))
            if peer._pcb.alive and not peer._pcb.closing and not peer._pcb.end_mark:
                self.sent[peer._pcb.remote_port] += more[: peer.send(more)]
        else:
            getattr(peer, what)()

    def forgive(self):
        """The controller left half-way, and what it brought may be noise: begin to count again."""
        for peer in self.every:
            port = peer._pcb.remote_port
            self.accepted[port] = self.on_its_way(peer)
            self.pushed[port] = set(range(len(self.accepted[port]) + 1))
            self.sent[port] = bytes(peer._pcb.inbox)

    def on_its_way(self, peer):
        """What has left the controller for this peer, as far as it has come."""
        slot = self.firmware.slot_of(peer)
        waiting = b""
        if slot:
            ring = slot._ring
            waiting = (bytes(ring.memory) * 2)[ring.marks[fastpath.MARK_START] :][: ring.count]
        return bytes(peer.got + peer._buffer + peer._pcb.sent + waiting)

    # --- one transaction

    def ask(self, message):
        command, number = message[1], message[2]
        slot = self.firmware.slots[number] if number < 8 else None
        before = self.firmware.service.link.count[0]
        port = status.remote_port(slot.record) if slot and slot.handle else None
        wanted = self.wanted(message, slot)
        readable = slot.readable() if slot else 0
        network = self.firmware.service.stack
        surprise = bool(network._faults.get("read") or network.pending())
        shifted = self.firmware.rig.transact(message)
        version, _, response, data = self.firmware.rig.decode(shifted)
        data = data[: max(0, response)]
        assert version == 0x3E
        assert self.firmware.service.link.count[0] == before + 1
        if command == Command.CONN_WRITE and wanted >= 0 and not surprise:
            # More, if there was room for what waited before.
            assert wanted <= response <= message[4] | message[5] << 8
        elif wanted < 0 or not (surprise and command in (Command.CONN_READ, Command.CONN_WRITE)):
            assert response == wanted
        if command == Command.CONN_READ and response > 0:
            assert data == self.sent[port][:response]
            self.sent[port] = self.sent[port][response:]
        elif command == Command.CONN_WRITE and response >= 0:
            self.note_accepted(message, port, response)
        elif command == Command.CONN_GET_STATUS and response > 0:
            self.check_status(data, slot, readable)
        elif command == Command.CONN_CLOSE and port:
            self.pushed[port].add(len(self.accepted[port]))

    def wanted(self, message, slot):
        """The response, by the protocol."""
        command, length = message[1], message[4] | message[5] << 8
        if message[0] != wire._FORMAT_VERSION:
            return wire._BAD_REQUEST_FORMAT_VERSION
        if length > wire.MAX_DATA:
            return wire.BAD_DATA_LENGTH
        if command in (1, 2, 4, 5, 6) and slot is None:
            return wire.BAD_PARAMETER
        if command == Command.CONN_READ:
            if slot.state != states.CONNECTED:
                return 0
            return min(message[6] | message[7] << 8, wire.MAX_DATA, slot.readable())
        if command == Command.CONN_WRITE:
            over = slot.state == states.OTHER_END_CLOSED and not slot.handle
            return wire.WRONG_STATE if over else min(length, self.space(slot))
        return {0: 0, 1: 0, 2: 0, 6: 20, 9: 168, 40: wire.UNKNOWN_COMMAND}[command]

    def listens(self, slot):
        """The slot's peer may still get something."""
        open_states = (states.CONNECTED, states.OTHER_END_CLOSED)
        return slot.handle != 0 and slot.state in open_states and slot._ending in (0, ERR_CLSD)

    def space(self, slot):
        room = fastpath.RING_SIZE - slot._ring.count
        return min(wire.MAX_DATA, room) if self.listens(slot) else 0

    def note_accepted(self, message, port, n):
        whole = n == message[4] | message[5] << 8
        if port is None:
            return
        self.accepted[port] += message[12 : 12 + n]
        if whole and message[3] & (wire.FLAG_PUSH | wire.FLAG_CLOSE_AFTER_WRITE):
            self.pushed[port].add(len(self.accepted[port]))

    def check_status(self, data, slot, readable):
        manager = self.firmware.service.manager
        assert data[:3] == bytes(slot.record[:3])
        assert data[0] == slot.state
        assert data[4:12] == bytes(slot.record[4:12])
        assert int.from_bytes(data[12:14], "little") == readable
        assert int.from_bytes(data[14:16], "little") == self.space(slot)
        assert data[16:] == bytes(
            (manager.rows[fastpath.ROW_CONNECTED], 0, manager.rows[fastpath.ROW_CLOSED], 0)
        )

    # --- after each step

    def check(self):
        self.check_writes()
        for peer in self.every:
            self.check_peer(peer)
        for slot in self.firmware.slots:
            self.check_words(slot)

    def check_peer(self, peer):
        """Nothing is lost on the way, nothing comes twice, and the window is as open as can be."""
        pcb = peer._pcb
        port = pcb.remote_port
        slot = self.firmware.slot_of(peer)
        if slot and pcb.alive and self.listens(slot):
            assert self.on_its_way(peer) == self.accepted[port]
        else:
            assert self.accepted[port].startswith(bytes(peer.got + peer._buffer + pcb.sent))
        if pcb.alive and slot:
            assert (pcb.unreported, pcb.window) == (0, 5744 - len(pcb.inbox))

    def check_writes(self):
        """PSH is where the controller pushed, and nowhere else."""
        for slot in self.firmware.slots:
            if slot.handle:
                self.ports[slot.handle] = status.remote_port(slot.record)
        for handle, taken, with_psh in self.writes:
            self.left[handle] = self.left.get(handle, 0) + taken
            if with_psh and handle in self.ports:
                assert self.left[handle] in self.pushed[self.ports[handle]]
        self.writes.clear()

    def check_words(self, slot):
        """What turn() goes by, from the slot's state."""
        manager = self.firmware.service.manager
        rows, marks, number = manager.rows, slot._ring.marks, slot.number
        count, urgent = marks[fastpath.MARK_COUNT], marks[fastpath.MARK_URGENT]
        assert marks[fastpath.MARK_PUSHED] <= urgent <= count <= fastpath.RING_SIZE
        may = 0
        if self.listens(slot):
            may = fastpath.MAY_GATHER | (0 if count else fastpath.MAY_WRITE)
        if slot.handle and slot.state == states.CONNECTED and not slot._ending:
            may |= fastpath.MAY_READ
        assert rows[fastpath.ROW_MAY + number] == may
        assert rows[fastpath.ROW_HANDLE + number] == slot.handle
        assert slot.record[0] == slot.state
        assert int.from_bytes(slot.record[14:16], "little") == self.space(slot)
        closing = slot.state in (states.CONNECTING, states.CLOSE_PENDING)
        bits = {
            fastpath.ROW_CONNECTED: slot.state == states.CONNECTED,
            fastpath.ROW_CLOSED: slot.state in (states.OTHER_END_CLOSED, states.ABORTED),
            fastpath.ROW_TIMED: closing or count > urgent,
            fastpath.ROW_OCCUPIED: slot.state != states.FREE,
            fastpath.ROW_OVER: slot.state == states.CLOSE_READY,
        }
        assert {row: bool(rows[row] >> number & 1) for row in bits} == bits
        if slot.handle:
            waits = urgent or count >= fastpath.SEGMENT or slot.state == states.CLOSE_PENDING
            room = stack.EVENT_ROOM if waits else 0
            always = stack.EVENT_CONNECTED | stack.EVENT_CLOSED | stack.EVENT_ERROR
            at = fastpath.ROW_INTEREST + (slot.handle & stack.INDEX_MASK)
            assert rows[at] == always | room
        if count > urgent:
            late = marks[fastpath.MARK_FLUSH_AT] - rows[fastpath.ROW_SOONEST]
            assert late >= 0, "the loop would come too late to flush it"

    def check_nothing_gathers_too_long(self):
        for slot in self.firmware.slots:
            marks = slot._ring.marks
            if slot.handle and marks[fastpath.MARK_COUNT] > marks[fastpath.MARK_URGENT]:
                assert 0 < marks[fastpath.MARK_FLUSH_AT] - self.clock.now <= fastpath.FLUSH_MS

    def end(self):
        """All peers read on: what was accepted arrives, unless its connection broke."""
        for peer in self.every:
            peer.thaw()
        for _ in range(30):
            self.play("pass", fastpath.FLUSH_MS)
            for peer in self.every:
                peer.received()
        self.firmware.service.stack._faults.clear()
        for _ in range(8):
            self.play("pass", fastpath.FLUSH_MS)
            for peer in self.every:
                peer.received()
        for peer in self.every:
            slot = self.firmware.slot_of(peer)
            if slot and self.listens(slot):
                assert peer.received() == self.accepted[peer._pcb.remote_port]


def converse(monkeypatch, role, seed, draw_step, steps):
    """So many steps, then the end."""
    dice = random.Random(seed)
    conversation = Conversation(monkeypatch, role)
    for _ in range(steps):
        conversation.play(*draw_step(dice))
    conversation.end()


@pytest.mark.behaviour("L1", "D5")
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.reuse, Phase.generate],  # a seed has nothing to shrink
)
@pytest.mark.parametrize("role", [role for role in RIGS if "pieces" not in role])
@given(seed=st.integers(0, 1 << 32))
def test_whatever_is_asked_and_happens_is_answered_by_the_protocol(monkeypatch, role, seed):
    converse(monkeypatch, role, seed, draw, 150)


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
def test_writes_that_gather_arrive(monkeypatch, role, seed):
    converse(monkeypatch, role, seed, draw_write, 120)


@pytest.fixture(params=["module-clocked", "controller-clocked"])
def role(request):
    """The side that drives SCK."""
    return request.param


def gathering(monkeypatch, role="module-clocked"):
    """The hot path with a clock that stands; a write that it leaves to Python is an error."""
    clock = Clock()
    monkeypatch.setattr(loop, "ticks_ms", clock)
    firmware = Firmware(role)
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
    firmware = Firmware(role)
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


class Foreign:
    """Another stack than the manager's, as TLS is, with the same connections."""

    def __init__(self, network):
        for name in ("readable", "read", "recved", "write", "abort", "in_flight"):
            setattr(self, name, getattr(network, name))


@pytest.mark.behaviour("L1")
def test_a_slot_of_tls_is_served_by_the_hot_path_and_looked_after(monkeypatch, role):
    """TLS may have something to tell after each of its calls, and it has no events for that."""
    clock = Clock()
    monkeypatch.setattr(loop, "ticks_ms", clock)
    firmware = Firmware(role)
    slot = firmware.slots[0]
    slot._serve_by(Foreign(firmware.service.stack))
    slot._publish()
    reasons = []

    def turn(*args):
        firmware.service.loop.words[fastpath.LOOP_STALE] = 0  # as in a run that goes on
        reasons.append(real_turn(*args))
        return reasons[-1]

    real_turn = fastpath.turn
    monkeypatch.setattr(fastpath, "turn", turn)
    monkeypatch.delattr(transaction.Link, "answer")
    firmware.peers[0].send(b"question")
    firmware.peers[1].send(b"question")
    for number, looks in ((0, True), (1, False)):
        firmware.rig.ask(request(Command.NULL))
        firmware.rig.ask(request(Command.NULL))
        reasons.clear()
        assert firmware.rig.ask(request(Command.CONN_READ, number)) == (8, b"question")
        assert (fastpath.WHY_TIDY in reasons) == looks
        reasons.clear()
        assert firmware.rig.ask(request(Command.CONN_WRITE, number, 2, b"answer"))[0] == 6
        assert (fastpath.WHY_TIDY in reasons) == looks
        assert firmware.peers[number].received() == b"answer"


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
    return rig.ask(request(6, 0))


@pytest.mark.behaviour("D4", "L4")
def test_data_on_its_way_to_a_connection_that_ends():
    firmware = Firmware("controller-clocked")
    _, record = reset_while_data_is_on_its_way(firmware)
    assert record[0] == states.OTHER_END_CLOSED
    assert (firmware.service.link.cuts, firmware.rig.port.restarts) == (0, 0)
    assert b"never seen" not in bytes(firmware.slots[0]._ring.memory)


@pytest.mark.behaviour("D4")
@pytest.mark.parametrize("hidden", [0, EVENT_CLOSED | EVENT_ERROR])
def test_read_that_fails(monkeypatch, role, hidden):
    """Its own word is enough: the event that tells the same may not have come yet."""
    events = StubStack.events
    monkeypatch.setattr(StubStack, "events", lambda stack, h: events(stack, h) & ~hidden)
    firmware = Firmware(role)
    firmware.service.stack.inject("read", ERR_ABRT)
    assert firmware.rig.ask(request(4, 0)) == (0, b"")
    assert firmware.rig.ask(request(6, 0))[1][0] == states.OTHER_END_CLOSED
    assert firmware.slots[0].handle == 0


@pytest.mark.behaviour("L2", "D1")
@pytest.mark.parametrize(("command", "n"), [(4, 8), (4, 12), (5, 12), (5, 14)])
def test_transfer_that_is_cut_short_breaks_its_connection(monkeypatch, command, n):
    clock = Clock()
    monkeypatch.setattr(loop, "ticks_ms", clock)
    firmware = Firmware("controller-clocked")
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
@pytest.mark.parametrize("command", [Command.CONN_GET_STATUS, Command.NETWORK_GET_STATUS, 0xFF])
def test_a_long_transaction_is_not_followed_by_one_that_was_not_asked_for(monkeypatch, command):
    """It takes 12 ms, and TRANSFER_READY falls 5 ms after its end, or not at all."""
    clock = Clock()
    monkeypatch.setattr(loop, "ticks_ms", clock)
    firmware = Firmware()
    rig = firmware.rig
    rig.drops_request = False
    rig.expect(b"\xff" * 12 if command == 0xFF else request(command))
    rig.spi.on_exchange = lambda: setattr(clock, "now", clock.now + 6)
    rig.transfer_ready.drive(1)
    before = firmware.service.link.count[0]
    for ms in (0, 5, 4):
        clock.now += ms
        firmware.service.loop.run(2)
    assert firmware.service.link.count[0] == before + 1
    clock.now += 1
    firmware.service.loop.run(2)
    assert firmware.service.link.count[0] == before + 2
    rig.transfer_ready.drive(0)
    clock.now += 100
    firmware.service.loop.run(2)
    assert firmware.service.link.count[0] == before + 2


@pytest.mark.behaviour("L5")
@pytest.mark.parametrize("message", [request(6), request(9), b"\xff" * 12])
def test_an_edge_within_the_header_is_its_own_requests(monkeypatch, message):
    """TRANSFER_READY fell more than 10 ms late: a look at its level has begun a transaction."""
    clock = Clock()
    monkeypatch.setattr(loop, "ticks_ms", clock)
    firmware = Firmware()
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
    before = firmware.service.link.count[0]
    firmware.service.loop.run(4)
    # A request that came too late for this header has yet to be served.
    assert firmware.service.link.count[0] == before + (2 if message[0] == 0xFF else 1)


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


@pytest.mark.behaviour("D1")
def test_what_gathers_is_due_before_a_connection_that_takes_longer(monkeypatch, role):
    """The loop sleeps until the first of all deadlines, and this one is the first."""
    firmware, clock = gathering(monkeypatch, role)
    caller = firmware.service.manager.allocate(0)
    caller.await_address()
    rows = firmware.service.manager.rows
    assert rows[fastpath.ROW_SOONEST] == clock.now + CONNECT_TIMEOUT_MS
    firmware.rig.ask(request(5, 0, 0, b"gathers"))
    assert rows[fastpath.ROW_SOONEST] == clock.now + fastpath.FLUSH_MS
    assert firmware.service.loop.words[fastpath.LOOP_DUE] - clock.now <= fastpath.FLUSH_MS


@pytest.mark.behaviour("D4")
@pytest.mark.parametrize(
    ("error", "state"), [(ERR_ABRT, states.OTHER_END_CLOSED), (ERR_MEM, states.CONNECTED)]
)
def test_a_networkthat_fails_as_the_ring_drains(monkeypatch, error, state):
    firmware, _ = gathering(monkeypatch)
    firmware.rig.ask(request(5, 0, 0, bytes(608)))
    firmware.service.stack.inject("write", error)
    assert firmware.rig.ask(request(5, 0, 0, bytes(2048)))[0] == 2048
    assert firmware.service.manager.slots[0].state == state


@pytest.mark.behaviour("D2", "D5")
@pytest.mark.parametrize("flags", [0, 2])
def test_a_write_takes_what_there_is_room_for_and_it_leaves_when_there_is_more(flags):
    firmware = Firmware()
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
    firmware = Firmware()
    firmware.peers[0].send(b"waiting")
    assert firmware.rig.ask(request(4, 0, available=0))[0] == 0
    assert firmware.rig.ask(request(4, 0)) == (7, b"waiting")


# --- what is written down twice

COPIES = {
    "_VERSION": wire._FORMAT_VERSION,
    "_INVALID_VERSION": wire._INVALID_VERSION,
    "_NULL": Command.NULL,
    "_READ": Command.CONN_READ,
    "_WRITE": Command.CONN_WRITE,
    "_STATUS": Command.CONN_GET_STATUS,
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
    size = {"ROW_HANDLE": 8, "ROW_MAY": 8, "ROW_OWED": 8, "ROW_FACTS": 8, "ROW_SPACE": 8}
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
