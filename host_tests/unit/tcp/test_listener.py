"""The ports we accept on, on every stack (see conftest.py)."""

import pytest
from fake_board import Bench, FakeBoard
from raw_controller import listen_or_connect
from slots import PATIENCE_MS

from spinet import fastpath, loop, service, states
from spinet.duet import wire
from spinet.tcp.stack import ERR_ABRT, ERR_MEM, ERR_USE
from spinet_controller.codes import Command

TELNET = 2

only_stub = pytest.mark.parametrize("stack", ["stub"], indirect=True)


def ports(slots):
    """The ports that are listened on."""
    return [entry.port for entry in slots.listeners.entries if entry]


def count_stops(slots):
    """A list that grows by one for each port that comes or goes."""
    changes = []
    slots.listeners._stir = lambda: changes.append(ports(slots))
    return changes


# --- networkListen


@pytest.mark.behaviour("D16")
def test_listening_again_on_the_same_port_is_a_no_op(slots):
    port = slots.listen(protocol=1, limit=3)
    slot, peer = slots.dialled(port)
    changes = count_stops(slots)
    assert slots.listeners.listen(0, port, 2, 8)
    assert ports(slots) == [port]
    assert changes == []
    peer.send(b"still served")
    assert slots.read_all(slot, 12) == b"still served"


@pytest.mark.behaviour("D16")
def test_no_connections_at_all_means_stop(slots):
    port = slots.listen()
    assert slots.listeners.listen(0, port, 0, 0)
    assert ports(slots) == []
    assert slots.net.is_refused(port)


@pytest.mark.behaviour("D16")
def test_stopping_what_does_not_listen_is_no_error(slots):
    assert slots.listeners.listen(0, 4711, 0, 0)
    assert not slots.listeners.stop(4711)


@pytest.mark.behaviour("D16")
def test_all_interfaces_replace_a_narrower_one(slots):
    port = slots.listen(ip=slots.net.own_ip)
    assert slots.listeners.listen(0, port, 0, 8)
    assert [(entry.ip, entry.port) for entry in slots.listeners.entries if entry] == [(0, port)]
    slots.dialled(port)


@pytest.mark.behaviour("D16")
def test_a_narrower_one_beside_all_interfaces_is_a_no_op(slots):
    port = slots.listen(ip=0)
    assert slots.listeners.listen(slots.net.own_ip, port, 0, 8)
    assert ports(slots) == [port]


@pytest.mark.behaviour("D16")
def test_no_free_listener_is_an_error(slots):
    for _ in range(8):
        slots.listen()
    assert not slots.listeners.listen(0, slots.net.free_port(), 0, 8)
    assert len(ports(slots)) == 8


@pytest.mark.behaviour("D16")
def test_a_port_that_is_taken_is_an_error_and_leaves_no_entry(slots):
    port = slots.net.free_port()
    slots.net.inject("listen", ERR_MEM)
    assert not slots.listeners.listen(0, port, 0, 8)
    assert ports(slots) == []
    assert slots.listeners.listen(0, port, 0, 8)


@pytest.mark.behaviour("D16")
def test_the_controller_reads_of_a_missing_listener_in_the_last_error():
    bench = Bench("module-clocked")
    for port in range(1, 9):
        assert bench.response(Command.NETWORK_LISTEN, data=listen_or_connect(port)) == 0
        assert bench.last_error() == ""
    assert bench.response(Command.NETWORK_LISTEN, data=listen_or_connect(9)) == 0
    assert bench.last_error() == "Listen failed"


@only_stub
@pytest.mark.behaviour("D16")
def test_a_stack_that_says_in_use_is_an_error(slots):
    slots.net.inject("listen", ERR_USE)
    assert not slots.listeners.listen(0, 80, 0, 8)


@pytest.mark.behaviour("D16")
def test_port_0_stops_none_and_starts_none(slots):
    listening = [slots.listen(), slots.listen()]
    assert not slots.listeners.listen(0, 0, 0, 8)
    assert slots.listeners.listen(0, 0, 0, 0)
    assert ports(slots) == listening
    for port in listening:
        slots.dialled(port)


@pytest.mark.behaviour("D16")
@pytest.mark.parametrize("port", [0, 4711])
@pytest.mark.parametrize("flags", [0, wire.FLAG_CALL_HOME])
def test_a_controller_that_stops_a_port_without_a_listener_is_told_nothing(port, flags):
    bench = Bench("module-clocked")
    for there in (80, 21, 23):
        assert bench.response(Command.NETWORK_LISTEN, data=listen_or_connect(there)) == 0
    call_home = listen_or_connect(1883, ip=0x0700000A)
    assert bench.response(Command.NETWORK_LISTEN, data=call_home, flags=wire.FLAG_CALL_HOME) == 0
    stop = listen_or_connect(port, limit=0)
    assert bench.response(Command.NETWORK_LISTEN, data=stop, flags=flags) == 0
    assert bench.last_error() == ""
    assert ports(bench) == [80, 21, 23]
    assert bench.sessions.active == 1


@pytest.mark.behaviour("D16")
def test_a_connection_has_its_listeners_protocol_and_port(slots):
    port = slots.listen(protocol=TELNET)
    slot, _ = slots.dialled(port)
    assert slot.record[2] == TELNET
    assert int.from_bytes(slot.record[4:6], "little") == port


# --- stopping


@pytest.mark.behaviour("D11")
def test_stopping_removes_that_listener_and_no_other_once(slots):
    first, second = slots.listen(), slots.listen()
    changes = count_stops(slots)
    assert slots.listeners.stop(first)
    assert not slots.listeners.stop(first)
    assert changes == [[second]]
    assert slots.net.is_refused(first)
    slots.dialled(second)
    assert slots.stack.stale == 0


@pytest.mark.behaviour("D11")
def test_a_listener_may_stop_itself_inside_its_own_accept(slots):
    port, other = slots.listen(), slots.listen()
    adopt = slots.manager.adopt

    def adopt_and_stop(handle, listener):
        slots.listeners.stop(listener.port)
        return adopt(handle, listener)

    for _ in range(2):
        slots.net.dial(port)
    slots.manager.adopt = adopt_and_stop
    slots.until(lambda: slots.manager.rows[fastpath.ROW_CONNECTED])
    slots.turns()
    slots.manager.adopt = adopt
    assert slots.busy() == [0]
    assert ports(slots) == [other]
    assert slots.stack.stale == 0
    slots.dialled(other)


@pytest.mark.behaviour("D11", "N2")
def test_a_listener_may_be_stopped_by_anothers_accept(slots):
    port, other = slots.listen(), slots.listen()
    adopt = slots.manager.adopt
    slots.manager.adopt = lambda *args: (slots.listeners.stop_all(), adopt(*args))
    slots.net.dial(port)
    slots.net.dial(other)
    slots.until(lambda: slots.manager.rows[fastpath.ROW_CONNECTED])
    slots.turns()
    assert ports(slots) == []
    assert len(slots.busy()) == 1
    assert slots.manager.faults == 0


@pytest.mark.behaviour("N3")
def test_a_listener_may_be_started_inside_an_accept(slots):
    port, fresh = slots.listen(), slots.net.free_port()
    adopt = slots.manager.adopt
    slots.manager.adopt = lambda *args: (slots.listeners.listen(0, fresh, 0, 1), adopt(*args))[1]
    slots.dialled(port)
    slots.manager.adopt = adopt
    slots.dialled(fresh)


@pytest.mark.behaviour("C5")
def test_an_accept_event_that_comes_after_the_stop_touches_nothing(slots):
    port = slots.listen()
    slots.net.dial(port)
    slots.until(lambda: slots.stack.wait(PATIENCE_MS) and slots.stack.pending())
    slots.listeners.stop(port)
    assert slots.stack.pending() == 0
    other = slots.listen()
    slots.turns()
    assert slots.busy() == []
    assert slots.stack.stale == 0
    assert not slots.listeners.entries[0].waiting
    slots.dialled(other)


@pytest.mark.behaviour("C5")
def test_a_backlog_that_waited_is_not_the_next_listeners(slots):
    port = slots.listen(limit=1)
    slots.dialled(port)
    slots.net.dial(port)
    slots.until(lambda: slots.listeners.entries[0].waiting)
    slots.listeners.stop(port)
    slots.listen()
    assert not slots.listeners.entries[0].waiting
    slots.listeners.accept_waiting()
    slots.turns()
    assert slots.busy() == [0]
    assert slots.stack.stale == 0


@pytest.mark.behaviour("D11")
def test_connections_outlive_their_listener(slots):
    port = slots.listen()
    slot, peer = slots.dialled(port)
    slots.listeners.stop(port)
    peer.send(b"alive")
    assert slots.read_all(slot, 5) == b"alive"


# --- one-shot


@pytest.mark.behaviour("D12")
def test_a_one_shot_listener_ends_at_its_first_accept(slots):
    port = slots.listen(limit=1, one_shot=True)
    slots.dialled(port)
    assert ports(slots) == []
    assert slots.net.is_refused(port)


@pytest.mark.behaviour("D12")
def test_a_one_shot_listener_takes_one_of_many(slots):
    port = slots.listen(limit=8, one_shot=True)
    peers = [slots.net.dial(port) for _ in range(3)]
    slots.until(lambda: slots.manager.rows[fastpath.ROW_CONNECTED])
    slots.turns()
    assert slots.busy() == [0]
    assert slots.ended(peers[2]) == "reset"


@pytest.mark.behaviour("D12", "D8")
def test_the_connection_outlives_a_one_shot_listener_and_closes_cleanly(slots):
    port = slots.listen(limit=1, one_shot=True)
    slot, peer = slots.dialled(port)
    slots.write(slot, b"directory")
    slot.close()
    slots.until_state(slot, states.FREE)
    assert slots.delivered(peer, 9) == b"directory"
    assert slots.ended(peer) == "fin"


@pytest.mark.behaviour("D12")
def test_a_fresh_one_shot_listener_for_every_transfer(slots):
    for _ in range(20):
        slot, peer = slots.dialled(slots.listen(limit=1, one_shot=True))
        peer.send(b"data")
        assert slots.read_all(slot, 4) == b"data"
        peer.close()
        slots.until_state(slot, states.OTHER_END_CLOSED)
        slot.close()
        slots.until_state(slot, states.FREE)
    assert ports(slots) == []


# --- accepts that fail


@only_stub
@pytest.mark.behaviour("D14")
def test_a_connection_that_failed_inside_the_stack_costs_no_slot(slots):
    port = slots.listen()
    for _ in range(3):
        slots.stack.fail_accept(port, ERR_ABRT)
    slots.net.dial(port)
    slots.turn()
    assert slots.busy() == [0]
    assert slots.listeners.refused == 3


@pytest.mark.behaviour("D14")
def test_an_accept_that_fails_for_good_costs_no_slot(slots):
    port = slots.listen()
    slots.net.inject("accept", ERR_ABRT)
    slots.net.dial(port)
    slots.until(lambda: slots.manager.rows[fastpath.ROW_CONNECTED])
    assert slots.busy() == [0]
    assert slots.listeners.refused == 1


@pytest.mark.behaviour("D14", "D4")
def test_an_accept_without_memory_is_tried_again(slots):
    port = slots.listen()
    slots.net.inject("accept", ERR_MEM)
    slots.net.dial(port)
    slots.until(lambda: slots.listeners.entries[0].waiting)
    assert slots.busy() == []
    slots.listeners.accept_waiting()
    assert slots.busy() == [0]


@pytest.mark.behaviour("D14")
def test_a_handle_without_a_slot_is_reset(slots):
    port = slots.listen()
    for _ in range(8):
        slots.manager.allocate(0)
    peer = slots.net.dial(port)
    slots.until(lambda: slots.listeners.entries[0].waiting)
    handle = slots.stack.accept(slots.listeners.entries[0].handle)
    assert slots.manager.adopt(handle, slots.listeners.entries[0]) is None
    assert slots.ended(peer) == "reset"


# --- limits and the backlog


@pytest.mark.behaviour("D15")
def test_connections_beyond_the_limit_wait_and_are_accepted_as_soon_as_one_is_freed(slots):
    port = slots.listen(limit=2)
    first, _ = slots.dialled(port)
    slots.dialled(port)
    waiting = slots.net.dial(port)
    waiting.send(b"my turn")
    slots.turns()
    assert slots.busy() == [0, 1]
    first.abort()
    slots.until_state(first, states.CONNECTED)  # without polling: only the freed slot starts this
    assert slots.read_all(first, 7) == b"my turn"


@pytest.mark.behaviour("D15")
def test_when_all_slots_are_taken_the_next_one_waits(slots):
    port = slots.listen()
    eight = [slots.dialled(port)[0] for _ in range(8)]
    waiting = slots.net.dial(port)
    slots.turns()
    assert not slots.manager.has_free_slot()
    eight[5].close()
    slots.until(lambda: eight[5].state == states.CONNECTED)
    waiting.send(b"sixth")
    assert slots.read_all(eight[5], 5) == b"sixth"


@pytest.mark.behaviour("D15")
def test_a_slot_freed_elsewhere_serves_whoever_waits(slots):
    full, port = slots.listen(), slots.listen()
    eight = [slots.dialled(full)[0] for _ in range(8)]
    slots.net.dial(port)
    slots.turns()
    eight[0].abort()
    slots.until_state(eight[0], states.CONNECTED)
    assert int.from_bytes(eight[0].record[4:6], "little") == port


@pytest.mark.behaviour("D15")
def test_the_limit_is_each_ports_own(slots):
    one, other = slots.listen(limit=1), slots.listen(limit=1)
    slots.dialled(one)
    slots.dialled(other)
    slots.net.dial(one)
    slots.turns()
    assert slots.busy() == [0, 1]


@pytest.mark.behaviour("D15")
def test_connections_of_a_former_listener_do_not_count(slots):
    port = slots.listen(limit=1)
    slots.dialled(port)
    slots.listeners.stop(port)
    assert slots.listeners.listen(0, port, 0, 1)
    slots.dialled(port)
    assert slots.busy() == [0, 1]


@pytest.mark.behaviour("D15", "C2")
def test_a_connection_is_accepted_in_the_very_next_pass(slots):
    port = slots.listen()
    for expected in ([0], [0, 1], [0, 1, 2]):
        slots.net.dial(port)
        slots.next_turn()
        assert slots.busy() == expected
        slots.turns()


@pytest.mark.behaviour("D9")
def test_listeners_are_woken_only_when_a_slot_became_free(slots):
    woken = []
    slots.listeners.accept_waiting = lambda: woken.append(slots.busy())
    port = slots.listen()
    slot, _ = slots.dialled(port)
    other, _ = slots.dialled(port)
    slots.fill(other)
    other.close()
    slots.turns()
    assert woken == []
    slot.abort()
    slots.turns()
    assert woken == [[1]]


# --- the service's loop, which wakes them


class NoLink:
    """A link port on which no controller ever asks."""

    def start(self, now):
        """Nothing to signal to."""

    def stop(self):
        """No handler was set."""

    def bind(self, kit):
        """Nothing for the hot path."""

    def signal(self):
        """Tells nothing."""

    def set_clock(self, frequency):
        """No clock."""

    def poll(self, _link, _now):
        return 0  # the loop never sleeps: the stub has no time

    def idle(self):
        return True


@pytest.fixture
def serving(monkeypatch):
    """The real loop over the stub; its clock stands still."""
    monkeypatch.setattr(loop, "ticks_ms", lambda: 0)
    board = FakeBoard()
    board.the_port = NoLink()
    serving = service.Service(board)
    serving.start()
    return serving


@pytest.mark.behaviour("D9")
def test_the_loop_wakes_listeners_only_for_a_freed_slot(serving):
    serving.listeners.listen(0, 80, 0, 1)
    serving.stack.dial(80)
    serving.stack.dial(80)
    serving.run_once()
    woken = []
    serving.listeners.accept_waiting = lambda: woken.append(
        serving.manager.rows[fastpath.ROW_OCCUPIED]
    )
    serving.run_once()
    assert woken == []
    serving.manager.slots[0].abort()
    serving.run_once()
    assert woken == [0]


@pytest.mark.behaviour("D15")
def test_the_loop_accepts_who_waited_in_the_pass_that_freed_the_slot(serving):
    serving.listeners.listen(0, 80, 0, 1)
    serving.stack.dial(80)
    serving.stack.dial(80)
    serving.run_once()
    slot = serving.manager.slots[0]
    generation = slot.generation
    slot.abort()
    serving.run_once()
    assert (slot.state, slot.generation) == (states.CONNECTED, generation + 1)


@pytest.mark.behaviour("C2")
def test_a_backlog_longer_than_one_turn_is_taken_without_waiting(serving):
    serving.listeners.listen(0, 80, 0, 8)
    for _ in range(80):
        serving.stack.fail_accept(80, ERR_ABRT)
    slept = []
    wait = serving.stack.wait
    serving.stack.wait = lambda ms: slept.append(ms) or wait(0)
    serving.port.poll = lambda _link, _now: -1
    serving.loop.bind()
    serving.loop.run(2)
    assert serving.listeners.refused == 80
    assert slept[1] == 0
