"""Random lives of the eight slots: peers, controller, stack and time in any order.

After every step the owners and the bit maps have to agree with the states, every byte is where
it should be, and once everybody has let go and time has passed, every slot is free.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from slots import MAX_DATA, Slots, StubNet, pattern

from spinet import fastpath, states
from spinet.fastpath import FLUSH_MS
from spinet.tcp.connection import _CLOSE_LIMIT_MS, CONNECT_TIMEOUT_MS
from spinet.tcp.stack import ERR_ABRT, ERR_MEM, ERR_WOULDBLOCK

WITHOUT_HANDLE = (states.FREE, states.ALLOCATED, states.ABORTED, states.CLOSE_READY)
WITH_HANDLE = (states.CONNECTING, states.CONNECTED, states.CLOSE_PENDING)

pytestmark = pytest.mark.behaviour("K1", "D5", "D14")

NUMBERS = st.integers(0, 7)
SOMEONE = st.integers(0, 1 << 16)
SIZES = st.sampled_from([1, 3, 100, 1459, 1460, 1461, MAX_DATA])
TIMES = st.sampled_from([1, FLUSH_MS, 1000, 4000, CONNECT_TIMEOUT_MS, _CLOSE_LIMIT_MS])


class Life:
    """What one connection was given, at both ends."""

    def __init__(self, pcb):
        self.pcb = pcb
        self.accepted = bytearray()  # by the module, from the controller
        self.read = bytearray()  # by the controller
        self.sent = bytearray()  # by the peer

    def arrived(self):
        """What the peer's TCP has acknowledged."""
        peer = self.pcb.peer
        return bytes(peer.got + peer._buffer)


class SlotsMachine(RuleBasedStateMachine):
    @initialize(limit=st.integers(1, 8))
    def start(self, limit):
        self.net = StubNet()
        self.stack = self.net.stack
        self.slots = Slots(self.net)
        self.port = self.slots.listen(limit=limit)
        self.server = self.net.server().port
        self.silent = [self.net.silent_port()]
        self.peers = []
        self.lives = {}  # token -> Life
        self.by_peer = {}  # peer -> what it has sent
        self.generations = [0] * 8
        self.was_free = [True] * 8

    # --- peers

    def peer(self, someone):
        return self.peers[someone % len(self.peers)]

    def meet(self, peer):
        if peer is not None:
            self.peers.append(peer)
            self.by_peer[peer] = bytearray()

    has_peers = precondition(lambda self: self.peers)

    @rule()
    def somebody_dials(self):
        self.meet(self.net.dial(self.port))

    @has_peers
    @rule(who=SOMEONE, n=SIZES)
    def peer_sends(self, who, n):
        peer = self.peer(who)
        if not peer._gone and not peer._pcb.end_mark and peer._pcb.alive:
            sent = self.by_peer[peer]
            data = pattern(n, len(sent))
            sent += data[: peer.send(data)]

    @has_peers
    @rule(who=SOMEONE, how=st.sampled_from(["fin", "close", "reset", "freeze", "thaw", "received"]))
    def peer_acts(self, who, how):
        getattr(self.peer(who), how)()

    @rule(error=st.sampled_from([ERR_ABRT, ERR_MEM]))
    def the_stack_refuses_one(self, error):
        if self.stack._listener_on(self.port):
            self.stack.fail_accept(self.port, error)

    @has_peers
    @rule(who=SOMEONE)
    def the_stack_gives_up(self, who):
        pcb = self.peer(who)._pcb
        if pcb.handle:
            pcb.breaks(ERR_ABRT)

    @precondition(lambda self: self.stack.servers.get(self.silent[0], 0) is None)
    @rule(how=st.sampled_from(["answer", "refuse"]))
    def the_silent_one_speaks(self, how):
        getattr(self.stack, how)(self.silent[0])
        self.silent[0] = self.net.silent_port()

    # --- the stack's moods

    @rule(
        faults=st.lists(st.sampled_from([ERR_MEM, ERR_WOULDBLOCK, 0, 1, 700]), max_size=4),
        call=st.sampled_from(["read", "write"]),
    )
    def transfers_falter(self, faults, call):
        self.net.inject(call, *faults)

    @rule(call=st.sampled_from(["accept", "connect"]))
    def opening_fails(self, call):
        self.net.inject(call, ERR_MEM)

    # --- the controller; it may name any socket at any time

    @precondition(lambda self: self.slots.manager.has_free_slot())
    @rule(where=st.sampled_from(["server", "silent", "nobody"]))
    def controller_connects(self, where):
        port = {"server": self.server, "silent": self.silent[0], "nobody": 1}[where]
        slot = self.slots.connect(port)
        assert slot.state in (states.CONNECTING, states.ABORTED)

    @rule(number=NUMBERS, n=SIZES, push=st.booleans())
    def controller_writes(self, number, n, push):
        slot = self.slots.slots[number]
        life = self.lives.get(slot.token())
        if slot.space():
            data = pattern(n, len(life.accepted))
            life.accepted += data[: self.slots.write(slot, data, push)]

    @rule(number=NUMBERS, n=SIZES)
    def controller_reads(self, number, n):
        slot = self.slots.slots[number]
        life = self.lives.get(slot.token())
        data = self.slots.read(slot, n)
        if data:
            life.read += data

    @rule(number=NUMBERS, how=st.sampled_from(["close", "abort", "break_off"]))
    def controller_lets_go(self, number, how):
        getattr(self.slots.slots[number], how)()

    @rule()
    def controller_listens_anew(self):
        self.slots.listeners.listen(0, self.port, 0, 0)
        self.slots.listeners.listen(0, self.port, 0, 3)

    @rule()
    def network_stops(self):
        self.slots.manager.terminate_all()
        assert {slot.state for slot in self.slots.slots} <= {states.FREE, states.CLOSE_READY}

    # --- the loop

    @rule()
    def the_loop_runs(self):
        self.slots.turn()

    @rule(ms=TIMES)
    def time_passes(self, ms):
        self.slots.pass_time(ms)

    # --- what always holds

    @invariant()
    def lives_are_known(self):
        for slot in self.slots.slots:
            if slot.handle and slot.token() not in self.lives:
                self.lives[slot.token()] = Life(self.stack._object(slot.handle))
        for peers in self.stack.servers.values():
            while peers:
                self.meet(peers.pop())

    @invariant()
    def nothing_is_faulty_or_stale(self):
        assert self.slots.manager.faults == 0
        assert self.slots.manager.stale == 0
        assert self.stack.stale == 0

    @invariant()
    def owners_agree_with_states(self):
        for slot in self.slots.slots:
            assert not (slot.state in WITHOUT_HANDLE and slot.handle)
            assert not (slot.state in WITH_HANDLE and not slot.handle)
        held = sorted(slot.handle for slot in self.slots.slots if slot.handle)
        assert held == sorted(self.stack.open_handles())

    @invariant()
    def events_find_their_owner(self):
        for slot in self.slots.slots:
            if slot.handle:
                assert self.slots.manager.owners[slot.handle & 31] is slot

    @invariant()
    def bit_maps_agree_with_states(self):
        manager = self.slots.manager
        assert manager.rows[fastpath.ROW_CONNECTED] == self.bits(states.CONNECTED)
        assert manager.rows[fastpath.ROW_CLOSED] == self.bits(
            states.OTHER_END_CLOSED, states.ABORTED
        )
        assert manager.rows[fastpath.ROW_OVER] == self.bits(states.CLOSE_READY)
        assert manager.rows[fastpath.ROW_OCCUPIED] == 0xFF & ~self.bits(states.FREE)
        for slot in self.slots.slots:
            assert slot.record[0] == slot.state

    def bits(self, *states):
        return sum(1 << slot.number for slot in self.slots.slots if slot.state in states)

    @invariant()
    def each_free_is_a_new_generation(self):
        for slot in self.slots.slots:
            grown = slot.generation - self.generations[slot.number]
            assert grown >= 0
            if slot.state == states.FREE and not self.was_free[slot.number]:
                assert grown >= 1
            self.generations[slot.number] = slot.generation
            self.was_free[slot.number] = slot.state == states.FREE

    @invariant()
    def the_limit_is_kept(self):
        for entry in filter(None, self.slots.listeners.entries):
            used = sum(slot.listener is entry for slot in self.slots.slots)
            assert entry.connections == used
            assert used <= entry.limit

    @invariant()
    def accepted_bytes_arrive_in_order_or_the_end_is_visible(self):
        for life in self.lives.values():
            if hasattr(life.pcb, "peer"):
                arrived = life.arrived()
                assert bytes(life.accepted[: len(arrived)]) == arrived
                if life.pcb.peer.ended == "fin":
                    assert len(arrived) == len(life.accepted)

    @invariant()
    def read_bytes_are_the_ones_that_were_sent(self):
        for slot in self.slots.slots:
            life = self.lives.get(slot.token())
            sent = self.by_peer.get(getattr(life.pcb, "peer", None)) if life else None
            if sent is None:
                continue
            assert sent.startswith(life.read)
            if slot.state == states.OTHER_END_CLOSED:
                assert len(life.read) == len(sent)

    # --- and in the end

    def teardown(self):
        if not hasattr(self, "slots"):
            return
        self.stack._faults.clear()
        for slot in self.slots.slots:
            slot.close()
        self.slots.listeners.stop_all()
        for _ in range(_CLOSE_LIMIT_MS // 1000 + 1):
            self.slots.pass_time(1000)
        assert self.slots.busy() == []
        assert self.stack.open_handles() == []
        port = self.slots.listen()
        for _ in range(8):
            self.slots.dialled(port)


TestSlots = SlotsMachine.TestCase
TestSlots.settings = settings(
    max_examples=max(200, settings.default.max_examples), stateful_step_count=60
)
