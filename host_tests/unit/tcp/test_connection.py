"""The eight slots, each state and each way out of it, on every stack (see conftest.py)."""

import pytest
from fake_board import Bench
from slots import MAX_DATA, PATIENCE_MS, Slots, pattern, wait_until

from spinet import fastpath, states
from spinet.compat import ticks_diff
from spinet.duet import wire
from spinet.fastpath import FLUSH_MS, SEGMENT
from spinet.tcp.connection import _ACKNOWLEDGE_TIMEOUT_MS, _CLOSE_LIMIT_MS, CONNECT_TIMEOUT_MS
from spinet.tcp.manager import (
    _KEEP_COUNT,
    _KEEP_INTERVAL_S,
    _WATCH_MS,
    _WRITE_TIMEOUT_MS,
    IllegalMove,
)
from spinet.tcp.stack import (
    ERR_ABRT,
    ERR_BUF,
    ERR_CLSD,
    ERR_CONN,
    ERR_IF,
    ERR_INPROGRESS,
    ERR_MEM,
    ERR_RST,
    ERR_RTE,
    ERR_TIMEOUT,
    ERR_VAL,
    ERR_WOULDBLOCK,
    EVENT_CLOSED,
)

FOR_NOW = {"would-block": ERR_WOULDBLOCK, "memory": ERR_MEM}
FOR_NOW_STUB = {**FOR_NOW, "time-out": ERR_TIMEOUT, "buffer": ERR_BUF, "progress": ERR_INPROGRESS}
GONE = {"reset": ERR_RST, "closed": ERR_CLSD, "aborted": ERR_ABRT, "not-connected": ERR_CONN}
HARD = {"route": ERR_RTE, "interface": ERR_IF, "value": ERR_VAL}


def each(errors):
    """Parametrize by these errors."""
    return pytest.mark.parametrize("error", errors.values(), ids=errors)


# A stack over sockets has no number for some of lwIP's errors: those run on the stub alone.
only_stub = pytest.mark.parametrize("stack", ["stub"], indirect=True)


def gather(slot, data):
    """connWrite without push."""
    slot.write(data, 0, len(data), False)


# --- writing: push and the flush time-out

# The sockets stack cannot steer PSH, so half of D1 on it would not be D1.
shown_on_the_stub = pytest.mark.parametrize(
    "stack", [pytest.param("stub", marks=pytest.mark.behaviour("D1")), "sockets"], indirect=True
)


def segments(slots):
    """What the stack was given: (how many bytes, has PSH)."""
    return [(len(data), not more) for _, data, more in slots.stack.writes]


@only_stub
@pytest.mark.behaviour("D1")
def test_a_pushed_write_ends_with_psh(slots):
    slot, _ = slots.dialled()
    slots.write(slot, b"page", push=True)
    assert segments(slots) == [(4, True)]


@only_stub
@pytest.mark.behaviour("D1")
def test_a_write_without_push_has_no_psh_even_when_segments_are_full(slots):
    slot, _ = slots.dialled()
    gather(slot, pattern(2000))
    assert segments(slots) == [(SEGMENT, False)]


@only_stub
@pytest.mark.behaviour("D1")
def test_a_push_covers_what_gathered_before_it(slots):
    slot, peer = slots.dialled()
    gather(slot, b"Content-")
    gather(slot, b"Length")
    assert segments(slots) == []
    slots.write(slot, b": 0", push=True)
    assert segments(slots) == [(17, True)]
    assert peer.received() == b"Content-Length: 0"


@only_stub
@pytest.mark.behaviour("D1")
def test_a_push_that_waits_for_room_keeps_its_psh_at_its_end(slots):
    slot, peer = slots.dialled()
    slots.stack.inject("write", 10, 10)
    slots.write(slot, pattern(100), push=True)
    gather(slot, b"gathered later")
    slots.until(lambda: len(peer.received()) == 100)
    assert [psh for _, psh in segments(slots)] == [
        True,
        True,
        True,
    ]  # each said: the rest, then PSH
    slots.pass_time(FLUSH_MS)
    assert segments(slots)[-1] == (14, False)


@only_stub
@pytest.mark.behaviour("D1")
def test_psh_is_only_where_the_push_ended_also_across_the_rings_end(slots):
    slot, peer = slots.dialled()
    peer.freeze()
    accepted = slots.fill(slot)
    slots.stack.writes.clear()
    peer.thaw()
    slots.until(lambda: len(peer.received()) == len(accepted))
    slots.write(slot, pattern(3), push=False)  # the ring's start is anywhere
    slots.write(slot, pattern(1500), push=True)
    ends = [psh for _, psh in segments(slots)]
    assert ends[-1] is True
    assert peer.received()[len(accepted) :] == pattern(3) + pattern(1500)


@only_stub
@pytest.mark.behaviour("D1")
def test_close_after_write_ends_with_psh(slots):
    slot, peer = slots.dialled()
    gather(slot, b"the end")
    slot.close()
    assert segments(slots) == [(7, True)]
    assert slots.ended(peer) == "fin"


@shown_on_the_stub
def test_small_writes_gather_until_the_flush_time_out(slots):
    slot, peer = slots.dialled()
    gather(slot, b"slow")
    slots.pass_time(FLUSH_MS - 1)
    gather(slot, b" drip")
    slots.turns()
    assert peer.received() == b""
    slots.pass_time(1)
    assert slots.delivered(peer, 9) == b"slow drip"


@shown_on_the_stub
def test_the_loop_sleeps_no_longer_than_the_flush_time_out(slots):
    slot, _ = slots.dialled()
    rows = slots.manager.rows
    assert not rows[fastpath.ROW_TIMED]
    gather(slot, b"x")
    assert rows[fastpath.ROW_TIMED] == 1 << slot.number
    assert ticks_diff(rows[fastpath.ROW_SOONEST], slots.now) == FLUSH_MS


@shown_on_the_stub
def test_full_segments_leave_at_once_without_push(slots):
    slot, peer = slots.dialled()
    gather(slot, pattern(SEGMENT + 5))
    assert slots.delivered(peer, SEGMENT) == pattern(SEGMENT)


@pytest.fixture
def bench():
    """The commands over the stub, for what the flags of connWrite mean."""
    bench = Bench("module-clocked")
    bench.connected()
    return bench


def conn_write(bench, data, flags):
    """connWrite on slot 0; returns how much was accepted."""
    return bench.response(wire.CONN_WRITE, 0, flags=flags, data=data)


def leave_room(bench, n):
    """Fill slot 0 until just n bytes have room."""
    slot = bench.manager.slots[0]
    bench.stack.inject("write", *[ERR_WOULDBLOCK] * 3)
    for size in (MAX_DATA, MAX_DATA - n):
        slot.write(bytes(size), 0, size, True)


@pytest.mark.behaviour("D1")
@pytest.mark.parametrize("flags", [wire.FLAG_PUSH, wire.FLAG_CLOSE_AFTER_WRITE])
def test_either_flag_pushes_what_was_accepted_as_a_whole(bench, flags):
    assert conn_write(bench, b"page", flags) == 4
    assert [(data, more) for _, data, more in bench.stack.writes] == [(b"page", 0)]


@pytest.mark.behaviour("D1")
@pytest.mark.parametrize("flags", [wire.FLAG_PUSH, wire.FLAG_CLOSE_AFTER_WRITE])
def test_neither_flag_counts_when_only_a_part_was_accepted(bench, flags):
    leave_room(bench, 100)
    assert conn_write(bench, pattern(200), flags) == 100
    slot = bench.manager.slots[0]
    assert slot.state == states.CONNECTED
    bench.turn()
    assert slot._ring.count == 100  # they gather: without a push
    assert b"".join(data for _, data, _ in bench.stack.writes) == bytes(4096 - 100)


# --- writing: progress, errors, promises


@pytest.mark.behaviour("D2")
def test_a_closed_window_stops_one_slot_and_no_other(slots):
    port = slots.listen()
    stuck, _ = slots.dialled(port)
    slots.fill(stuck)
    assert stuck.space() == 0
    others = [slots.dialled(port) for _ in range(7)]
    for slot, peer in others:
        assert slots.write(slot, pattern(MAX_DATA)) == MAX_DATA
        peer.send(b"request")
    for slot, peer in others:
        assert slots.delivered(peer, MAX_DATA) == pattern(MAX_DATA)
        assert slots.read_all(slot, 7) == b"request"
    assert stuck.state == states.CONNECTED


@pytest.mark.behaviour("D2")
def test_a_write_without_room_asks_the_stack_once(slots):
    slot, _ = slots.dialled()
    slots.net.inject("write", *[ERR_WOULDBLOCK] * 10)
    assert slots.write(slot, pattern(MAX_DATA)) == MAX_DATA
    # The stub and the sockets net raise Spinning long before a test would hang.
    slots.turns(20)
    assert slot.state == states.CONNECTED


@pytest.mark.behaviour("D3")
@each(GONE)
def test_a_write_that_finds_the_peer_gone_shows_other_end_closed(slots, error):
    slot, _ = slots.dialled()
    slots.net.inject("write", error)
    slots.write(slot, b"to nobody")
    slots.turn()
    assert slot.state == states.OTHER_END_CLOSED
    assert slots.is_closed(slot)
    assert slot.space() == 0


@pytest.mark.behaviour("D3")
@each(HARD)
def test_any_other_hard_error_shows_aborted(slots, error):
    slot, _ = slots.dialled()
    slots.net.inject("write", error)
    slots.write(slot, b"into the void")
    slots.turn()
    assert slot.state == states.ABORTED
    assert slots.is_closed(slot)


@pytest.mark.behaviour("D3", "D6")
def test_a_reset_by_the_peer_shows_other_end_closed(slots):
    slot, peer = slots.dialled()
    peer.reset()
    slots.until_state(slot, states.OTHER_END_CLOSED)
    assert not slot.write(b"x", 0, 1, True)


@pytest.mark.behaviour("D4")
@each(FOR_NOW)
def test_a_passing_error_on_write_ends_nothing(slots, error):
    slot, peer = slots.dialled()
    slots.net.inject("write", error, 7, error, error)
    assert slots.write(slot, pattern(100)) == 100
    assert slots.delivered(peer, 100) == pattern(100)
    assert slot.state == states.CONNECTED


@only_stub
@pytest.mark.behaviour("D4")
@each(FOR_NOW_STUB)
def test_every_passing_error_on_write_ends_nothing(slots, error):
    slot, peer = slots.dialled()
    slots.net.inject("write", error, 7, error)
    slots.write(slot, pattern(100))
    assert slots.delivered(peer, 100) == pattern(100)
    assert slot.state == states.CONNECTED


@only_stub
@pytest.mark.behaviour("D4", "D6")
@each(FOR_NOW_STUB)
def test_every_passing_error_on_read_ends_nothing(slots, error):
    slot, peer = slots.dialled()
    peer.send(b"patience")
    slots.net.inject("read", error)
    assert slots.read(slot) == b""
    assert slot.state == states.CONNECTED
    assert slots.read(slot) == b"patience"


@pytest.mark.behaviour("D4", "D6")
@each(FOR_NOW)
def test_a_passing_error_on_read_ends_nothing(slots, error):
    slot, peer = slots.dialled()
    slots.net.inject("read", error)
    peer.send(b"patience")
    assert slots.read_all(slot, 8) == b"patience"
    assert slot.state == states.CONNECTED


@pytest.mark.behaviour("D4")
@each(FOR_NOW)
def test_a_passing_error_while_closing_loses_nothing(slots, error):
    slot, peer = slots.dialled()
    slots.net.inject("write", error, 3, error)
    slots.write(slot, b"farewell")
    slot.close()
    assert slots.delivered(peer, 8) == b"farewell"
    assert slots.ended(peer) == "fin"


@only_stub
@pytest.mark.behaviour("D4")
def test_an_error_event_for_now_ends_nothing(slots):
    slot, _ = slots.dialled()
    slot._on_error(ERR_MEM)
    assert slot.state == states.CONNECTED


@pytest.mark.behaviour("D5")
def test_what_the_stack_did_not_take_is_kept_and_sent_later(slots):
    slot, peer = slots.dialled()
    slots.net.inject("write", *range(1, 60))
    assert slots.write(slot, pattern(MAX_DATA)) == MAX_DATA
    assert slots.delivered(peer, MAX_DATA) == pattern(MAX_DATA)


@pytest.mark.behaviour("D5", "D2")
def test_everything_accepted_before_the_window_closed_arrives_in_order(slots):
    slot, peer = slots.dialled()
    accepted = slots.fill(slot)
    assert slots.delivered(peer, len(accepted)) == accepted
    assert slot.space() == MAX_DATA


@pytest.mark.behaviour("D5")
def test_space_is_a_promise(slots):
    slot, peer = slots.dialled()
    slots.net.inject("write", *[ERR_WOULDBLOCK] * 5)
    first = slots.write(slot, pattern(MAX_DATA))
    second = slots.write(slot, pattern(MAX_DATA, first))
    assert first == second == MAX_DATA
    assert slot.space() == 0
    assert slots.delivered(peer, 2 * MAX_DATA) == pattern(2 * MAX_DATA)


@pytest.mark.behaviour("D5")
def test_accepted_bytes_that_cannot_arrive_break_the_connection_visibly(slots):
    slot, peer = slots.dialled()
    slots.fill(slot)
    peer.reset()
    slots.until_state(slot, states.OTHER_END_CLOSED)
    assert slots.is_closed(slot)


@pytest.mark.behaviour("T4")
def test_a_peer_that_acknowledges_nothing_is_given_up_at_the_write_time_out(slots):
    slot, peer = slots.dialled()
    slots.fill(slot)
    slots.pass_time(_WATCH_MS)
    slots.pass_time(_WRITE_TIMEOUT_MS - _WATCH_MS - 1)
    assert slot.state == states.CONNECTED
    slots.pass_time(2 * _WATCH_MS)
    assert slot.state == states.ABORTED
    assert slots.is_closed(slot)
    assert slots.manager.write_timeouts == 1
    assert slots.ended(peer) == "reset"


@pytest.mark.behaviour("T4")
def test_every_acknowledgement_begins_the_write_time_out_anew(slots):
    slot, peer = slots.dialled()
    accepted = 0
    for _ in range(3):
        accepted += len(slots.fill(slot))  # never all is acknowledged when it is looked at
        slots.pass_time(_WATCH_MS)
        slots.pass_time(_WRITE_TIMEOUT_MS - 2 * _WATCH_MS)
        slots.delivered(peer, accepted)
    assert slot.state == states.CONNECTED
    assert slots.manager.write_timeouts == 0


@pytest.mark.behaviour("T4")
def test_the_write_time_out_can_be_set(slots):
    slots.manager.write_timeout_ms = 5000
    slot, _ = slots.dialled()
    slots.fill(slot)
    slots.pass_time(_WATCH_MS)
    slots.pass_time(5000)
    assert slot.state == states.ABORTED


@only_stub
@pytest.mark.behaviour("T4")
def test_every_connection_asks_a_silent_peer_whether_it_lives(slots):
    slots.manager.keep_idle_s = 7
    for slot, _ in (slots.dialled(), slots.connected()):
        assert slots.stack._object(slot.handle).keepalive == (7, _KEEP_INTERVAL_S, _KEEP_COUNT)


# --- reading


@pytest.mark.behaviour("D6")
def test_an_idle_connection_stays(slots):
    slot, peer = slots.dialled()
    for _ in range(5):
        assert slots.read(slot) == b""
        slots.pass_time(10_000_000)
    assert slot.state == states.CONNECTED
    peer.send(b"awake")
    assert slots.read_all(slot, 5) == b"awake"


@pytest.mark.behaviour("D6", "D13")
def test_what_arrived_before_a_reset_is_readable(slots):
    slot, peer = slots.dialled()
    peer.send(pattern(2880))
    slots.until(lambda: slot.readable() == 2880)
    peer.reset()
    slots.turns()
    assert slot.state == states.CONNECTED
    assert slots.read_all(slot, 2880) == pattern(2880)
    slots.until_state(slot, states.OTHER_END_CLOSED)


@pytest.mark.behaviour("D3", "D6", "D13")
def test_a_fin_that_is_noticed_after_a_reset_brings_nothing_back(slots):
    slot, peer = slots.dialled()
    peer.send(b"last words")
    slots.until(lambda: slot.readable() == 10)
    peer.reset()
    slots.until(lambda: not slot.space())
    slot.on_events(EVENT_CLOSED)
    assert slot.space() == 0
    assert not slot.write(b"late", 0, 4, True)
    assert slots.read_all(slot, 10) == b"last words"
    assert slot.state == states.OTHER_END_CLOSED
    assert not slot.handle


@only_stub
@pytest.mark.behaviour("D6")
@each(GONE)
def test_a_read_that_finds_the_peer_gone_shows_other_end_closed(slots, error):
    slot, _ = slots.dialled()
    slots.net.inject("read", error)
    assert slots.read(slot) == b""
    assert slot.state == states.OTHER_END_CLOSED


@only_stub
@pytest.mark.behaviour("D6")
@each(GONE)
def test_a_stack_that_gave_up_shows_other_end_closed(slots, error):
    slot, _ = slots.dialled()
    slots.stack.broken_off(slot.handle, error)
    slots.turn()
    assert slot.state == states.OTHER_END_CLOSED


@only_stub
@pytest.mark.behaviour("C3")
def test_every_byte_that_was_read_opens_the_window(slots):
    slot, peer = slots.dialled()
    peer.send(pattern(5000))
    for n in (1, 700, 2048, 2048, 2048):
        slots.read(slot, n)
    assert slots.stack.credited == 5000


@pytest.mark.behaviour("C3")
def test_after_partial_reads_and_a_remote_close_the_next_transfer_runs(slots):
    port = slots.listen()
    for _ in range(20):
        slot, peer = slots.dialled(port)
        peer.send(bytes(5000))
        slots.until(slot.readable)
        slots.read(slot, 100)
        peer.close()
        slot.close()
        slots.until_state(slot, states.FREE)
    slot, peer = slots.dialled(port)
    for i in range(20):
        peer.send(pattern(5000, i))
        assert slots.read_all(slot, 5000) == pattern(5000, i)


@pytest.mark.behaviour("D13")
def test_connected_while_unread_data_is_left(slots):
    slot, peer = slots.dialled()
    peer.send(b"the last page")
    slots.until(lambda: slot.readable() == 13)
    peer.close()
    slots.turns()
    assert slot.state == states.CONNECTED
    assert slots.read(slot, 8) == b"the last"
    assert (slot.state, slots.is_closed(slot)) == (states.CONNECTED, False)
    assert slots.read(slot) == b" page"
    slots.until_state(slot, states.OTHER_END_CLOSED)
    assert slots.is_closed(slot)


@pytest.mark.behaviour("D13")
def test_no_byte_is_lost_when_the_peer_closes_right_after_a_long_send(slots):
    slot, peer = slots.dialled()
    data = pattern(5700)
    assert peer.send(data) == len(data)
    peer.close()
    assert slots.read_all(slot, len(data)) == data
    slots.until_state(slot, states.OTHER_END_CLOSED)


@pytest.mark.behaviour("D13")
def test_a_half_closed_peer_still_gets_its_answer(slots):
    slot, peer = slots.dialled()
    peer.send(b"GET /")
    peer.fin()
    assert slots.read_all(slot, 5) == b"GET /"
    slots.until_state(slot, states.OTHER_END_CLOSED)
    assert slots.write(slot, b"200 OK") == 6
    slot.close()
    assert slots.ended(peer) == "fin"
    assert peer.received() == b"200 OK"


# --- closing


@pytest.mark.behaviour("D7", "D5")
def test_a_close_delivers_all_that_was_accepted(slots):
    slot, peer = slots.dialled()
    accepted = slots.fill(slot)
    slot.close()
    assert slot.state == states.CLOSE_PENDING
    assert slots.delivered(peer, len(accepted)) == accepted
    assert slots.ended(peer) == "fin"
    slots.until_state(slot, states.FREE)


@pytest.mark.behaviour("D7")
def test_a_close_waits_for_what_is_unacknowledged(slots):
    slot, peer = slots.dialled()
    slots.fill(slot)
    slot.close()
    slots.pass_time(_ACKNOWLEDGE_TIMEOUT_MS - 1)
    slots.turns()
    assert slot.state == states.CLOSE_PENDING
    slots.ended(peer)
    slots.until_state(slot, states.FREE)
    assert slots.manager.unacknowledged_closes == 0


@only_stub
@pytest.mark.behaviour("D7")
def test_a_close_waits_for_bytes_that_are_sent_but_not_acknowledged(slots):
    slot, peer = slots.dialled()
    peer.freeze()
    slots.write(slot, b"one segment")
    assert not slot._ring.count
    slot.close()
    slots.turns()
    assert slot.state == states.CLOSE_PENDING
    peer.thaw()
    slots.turn()
    assert slot.state == states.FREE
    assert slots.ended(peer) == "fin"


@pytest.mark.behaviour("D7")
def test_a_pcb_that_is_gone_ends_the_wait_at_once(slots):
    slot, peer = slots.dialled()
    slots.fill(slot)
    slot.close()
    peer.reset()
    slots.until_state(slot, states.FREE)
    assert slots.manager.unacknowledged_closes == 0


@pytest.mark.behaviour("D7", "K1")
def test_a_close_whose_own_sending_finds_the_reset_releases_once(slots):
    """Before any event has told of it; and no other connection is touched."""
    port = slots.listen()
    other, its_peer = slots.dialled(port)
    slot, peer = slots.dialled(port)
    slots.fill(slot)
    slot.close()
    peer.reset()
    wait_until(lambda: slots.stack.error(slot.handle), lambda: slots.stack.wait(5))
    slots.manager.hasten(slots.now)
    slots.manager.step(slots.now)
    assert slot.state == states.CLOSE_READY
    assert (slots.manager.faults, slots.stack.stale) == (0, 0)
    its_peer.send(b"still here")
    assert slots.read_all(other, 10) == b"still here"


@pytest.mark.behaviour("D7")
def test_nobody_acknowledges_and_the_slot_goes_straight_to_free(slots):
    slot, peer = slots.dialled()
    slots.fill(slot)
    slot.close()
    slots.pass_time(_ACKNOWLEDGE_TIMEOUT_MS)
    assert slot.state == states.FREE
    assert slots.manager.unacknowledged_closes == 1
    assert not slots.is_closed(slot)
    assert slots.ended(peer) == "reset"


@only_stub
@pytest.mark.behaviour("D7")
def test_each_acknowledgement_gives_a_close_more_time_up_to_a_limit(slots):
    slot, peer = slots.dialled()
    peer.freeze()
    slots.fill(slot)
    slot.close()
    pcb = slots.stack.connections()[0]
    for _ in range(_CLOSE_LIMIT_MS // _ACKNOWLEDGE_TIMEOUT_MS):
        slots.pass_time(_ACKNOWLEDGE_TIMEOUT_MS - 1)
        assert slot.state == states.CLOSE_PENDING
        del pcb.sent[:1]
        slots.turn()
    slots.pass_time(_ACKNOWLEDGE_TIMEOUT_MS - 1)
    assert slot.state == states.FREE


@only_stub
@pytest.mark.behaviour("D7", "D5")
@pytest.mark.parametrize("left", [1, 2, 100])
def test_a_stack_that_cannot_know_is_closed_when_the_ring_is_empty_not_before(slots, left):
    slot, peer = slots.dialled()
    slots.stack.unknown_in_flight = True
    slots.stack.inject("write", ERR_MEM, ERR_MEM, ERR_MEM)
    slots.write(slot, pattern(left))
    slot.close()
    slots.until_state(slot, states.FREE)
    assert slots.delivered(peer, left) == pattern(left)
    assert slots.ended(peer) == "fin"


@pytest.mark.behaviour("D7")
def test_a_peer_that_still_sends_does_not_hold_a_close_up(slots):
    slot, peer = slots.dialled()
    peer.send(bytes(5000))
    slots.until(slot.readable)
    slots.write(slot, b"enough")
    slot.close()
    slots.until_state(slot, states.FREE)


@pytest.mark.behaviour("T3")
def test_no_time_to_linger_is_a_reset_at_once(slots):
    slots.manager.linger_s = 0
    slot, peer = slots.dialled()
    slots.fill(slot)
    slot.close()
    assert slot.state == states.CLOSE_READY
    assert slots.manager.unacknowledged_closes == 0  # none was waited for
    assert slots.ended(peer) == "reset"


@pytest.mark.behaviour("T3")
def test_a_time_to_linger_is_for_an_orderly_end(slots):
    slots.manager.linger_s = 1
    slot, peer = slots.dialled()
    assert slots.write(slot, b"last words") == 10
    slot.close()
    assert slots.delivered(peer, 10) == b"last words"
    assert slots.ended(peer) == "fin"


@pytest.mark.behaviour("T3", "D7")
@pytest.mark.parametrize("seconds", [1, 20])
def test_the_time_to_linger_is_the_time_to_deliver(slots, seconds):
    slots.manager.linger_s = seconds
    slot, peer = slots.dialled()
    slots.fill(slot)
    slot.close()
    slots.pass_time(seconds * 1000 - 1)
    assert slot.state == states.CLOSE_PENDING
    slots.pass_time(1)
    assert slot.state == states.FREE
    assert slots.manager.unacknowledged_closes == 1
    assert slots.ended(peer) == "reset"


@only_stub
@pytest.mark.behaviour("T3")
def test_acknowledgements_do_not_lengthen_the_time_to_linger(slots):
    slots.manager.linger_s = 10
    slot, peer = slots.dialled()
    peer.freeze()
    slots.fill(slot)
    slot.close()
    slots.pass_time(9000)
    del slots.stack.connections()[0].sent[:1]
    slots.turn()
    slots.pass_time(1000)
    assert slot.state == states.FREE


@pytest.mark.behaviour("D8")
def test_closing_an_outgoing_connection_is_safe(slots):
    slot, peer = slots.connected()
    assert slot.listener is None
    slots.write(slot, b"bye")
    slot.close()
    slots.until_state(slot, states.FREE)
    assert slots.delivered(peer, 3) == b"bye"
    assert slots.ended(peer) == "fin"


@pytest.mark.behaviour("D8")
def test_closing_a_connection_whose_listener_is_gone_is_safe(slots):
    port = slots.listen()
    slot, peer = slots.dialled(port)
    slots.listeners.stop(port)
    assert slot.listener is None
    slots.write(slot, b"bye")
    slot.close()
    slots.until_state(slot, states.FREE)
    assert slots.delivered(peer, 3) == b"bye"


@pytest.mark.behaviour("D9")
def test_terminating_an_outgoing_connection_is_safe(slots):
    slot, peer = slots.connected()
    slot.abort()
    slots.turn()
    assert slot.state == states.FREE
    assert slots.ended(peer) == "reset"


@pytest.mark.behaviour("D9")
def test_terminating_a_connection_whose_listener_is_gone_is_safe(slots):
    port = slots.listen()
    slot, peer = slots.dialled(port)
    slots.listeners.stop(port)
    slot.abort()
    slots.turn()
    assert slot.state == states.FREE
    assert slots.ended(peer) == "reset"


@pytest.mark.behaviour("D10")
def test_the_map_of_closed_sockets_has_the_aborted_and_the_left_ones(slots):
    port = slots.listen()
    left, peer = slots.dialled(port)
    aborted, _ = slots.dialled(port)
    healthy, _ = slots.dialled(port)
    peer.close()
    aborted.break_off()
    slots.until_state(left, states.OTHER_END_CLOSED)
    assert slots.manager.rows[fastpath.ROW_CLOSED] == 1 << left.number | 1 << aborted.number
    assert slots.manager.rows[fastpath.ROW_CONNECTED] == 1 << healthy.number


@pytest.mark.behaviour("D10")
def test_the_maps_are_empty_once_the_controller_let_go(slots):
    slot, peer = slots.dialled()
    peer.reset()
    slots.until_state(slot, states.OTHER_END_CLOSED)
    slot.abort()
    assert (
        slots.manager.rows[fastpath.ROW_CLOSED] == slots.manager.rows[fastpath.ROW_CONNECTED] == 0
    )


# --- connecting


@pytest.mark.behaviour("D14", "C2")
def test_a_refused_attempt_is_told_and_the_slot_comes_back(slots):
    slot = slots.connect(slots.net.free_port())
    slots.next_turn()
    assert slot.state == states.ABORTED
    assert slots.is_closed(slot)
    slot.abort()
    slots.turn()
    assert slots.busy() == []


@pytest.mark.behaviour("D14")
@each({"memory": ERR_MEM, "route": ERR_RTE, "interface": ERR_IF})
def test_an_attempt_that_the_stack_refuses_is_told_and_the_slot_comes_back(slots, error):
    slots.net.inject("connect", error)
    slot = slots.connect(1)
    assert slot.state == states.ABORTED
    assert slots.is_closed(slot)
    slot.abort()
    slots.turn()
    assert slots.busy() == []


@pytest.mark.behaviour("D14")
def test_eight_failed_attempts_leave_eight_free_slots(slots):
    port = slots.net.free_port()
    failed = [slots.connect(port) for _ in range(8)]
    assert not slots.manager.has_free_slot()
    assert slots.manager.allocate(0) is None
    slots.until(lambda: slots.manager.rows[fastpath.ROW_CLOSED] == 0xFF)
    for slot in failed:
        slot.close()
    slots.turn()
    assert slots.busy() == []
    slots.connected()


@pytest.mark.behaviour("C2")
def test_a_connection_shows_in_the_very_next_pass(slots):
    server = slots.net.server()
    slot = slots.connect(server.port)
    slots.next_turn()
    assert slot.state == states.CONNECTED


@pytest.mark.behaviour("C2")
def test_a_reset_shows_in_the_very_next_pass(slots):
    slot, peer = slots.dialled()
    slots.turns()
    peer.reset()
    slots.next_turn()
    assert slot.state == states.OTHER_END_CLOSED


@pytest.mark.behaviour("C2")
def test_a_fin_shows_in_the_very_next_pass(slots):
    slot, peer = slots.dialled()
    slots.turns()
    peer.fin()
    slots.next_turn()
    assert slot.state == states.OTHER_END_CLOSED


@pytest.mark.behaviour("C2")
def test_room_is_used_without_anyone_asking(slots):
    slot, peer = slots.dialled()
    slots.until(lambda: (slots.fill(slot), slot.space())[1] == 0)
    peer.received()
    slots.until(lambda: (peer.received(), slot.space())[1] == MAX_DATA)


@pytest.mark.behaviour("C11", "N1")
def test_an_attempt_to_a_silent_peer_returns_at_once_and_times_out(slots):
    slot = slots.connect(slots.net.silent_port())
    assert slot.state == states.CONNECTING
    slots.pass_time(CONNECT_TIMEOUT_MS - 1)
    assert slot.state == states.CONNECTING
    slots.pass_time(1)
    assert slot.state == states.ABORTED
    assert slots.is_closed(slot)
    assert slots.manager.connect_timeouts == 1


@pytest.mark.behaviour("N1")
def test_the_loop_wakes_for_the_connect_time_out(slots):
    slots.connect(slots.net.silent_port())
    assert ticks_diff(slots.manager.rows[fastpath.ROW_SOONEST], 1000) == CONNECT_TIMEOUT_MS - 1000


@pytest.mark.behaviour("C11")
def test_others_are_served_while_a_peer_is_silent(slots):
    slots.connect(slots.net.silent_port())
    slot, peer = slots.dialled()
    peer.send(b"hello")
    assert slots.read_all(slot, 5) == b"hello"


@pytest.mark.behaviour("C8")
def test_overlapping_attempts_do_not_mix(slots):
    port = slots.net.free_port()
    old = slots.connect(port)
    slots.until(lambda: slots.stack.wait(PATIENCE_MS) and slots.stack.pending())  # it was refused
    server = slots.net.server_on(port)
    new = slots.connect(port)
    slots.until(lambda: old.state == states.ABORTED and new.state == states.CONNECTED)
    server.accept().send(b"new")
    assert slots.read_all(new, 3) == b"new"


@pytest.mark.behaviour("C8", "C4")
def test_an_attempt_that_was_given_up_does_not_fail_its_successor(slots):
    port = slots.net.free_port()
    old = slots.connect(port)
    old.abort()
    new = slots.connect(slots.net.silent_port())
    slots.turns()
    assert new.state == states.CONNECTING
    assert old.state == states.FREE


@pytest.mark.behaviour("N4")
@pytest.mark.parametrize("let_go", ["close", "abort"])
def test_an_attempt_can_be_given_up(slots, let_go):
    slot = slots.connect(slots.net.silent_port())
    getattr(slot, let_go)()
    slots.turn()
    assert slot.state == states.FREE


# --- late events


@pytest.mark.behaviour("C4")
@pytest.mark.parametrize("let_go", ["close", "abort"])
@pytest.mark.parametrize("late", ["fin", "reset", "data"])
def test_what_comes_late_does_not_touch_the_next_owner_of_the_slot(slots, let_go, late):
    port = slots.listen()
    slot, old = slots.dialled(port)
    getattr(slot, let_go)()
    slots.until_state(slot, states.FREE)
    new_slot, new = slots.dialled(port)
    assert new_slot is slot
    {"fin": old.close, "reset": old.reset, "data": lambda: old.send(b"ghost")}[late]()
    slots.turns()
    assert slot.state == states.CONNECTED
    new.send(b"mine")
    assert slots.read_all(slot, 4) == b"mine"
    assert slots.stack.stale == 0


@pytest.mark.behaviour("D5")
@pytest.mark.parametrize("push", [False, True])
def test_bytes_of_one_connection_never_reach_the_next_one_in_its_slot(slots, push):
    port = slots.listen()
    slot, _ = slots.dialled(port)
    slots.net.inject("write", *[ERR_WOULDBLOCK] * 2)
    slots.write(slot, b"secret", push)
    slot.abort()
    slots.turn()
    slots.net.inject("write", 1)
    slot, peer = slots.dialled(port)
    slots.write(slot, b"public")
    assert slots.delivered(peer, 6) == b"public"


@pytest.mark.behaviour("C4", "N2")
def test_events_that_were_pending_when_the_controller_let_go_touch_nothing(slots):
    slot, peer = slots.dialled()
    slots.turns()
    peer.reset()
    slots.until(lambda: slots.stack.wait(PATIENCE_MS) and slots.stack.pending())
    slot.abort()
    assert slots.stack.pending() == 0
    slots.turn()
    assert slot.state == states.FREE
    assert slots.manager.faults == 0
    assert slots.stack.stale == 0


@pytest.mark.behaviour("C2", "C4")
def test_events_of_what_has_no_owner_do_not_keep_the_loop_awake(slots):
    server = slots.net.server()
    handle = slots.stack.connect(slots.net.peer_ip, server.port)
    peer = server.accept()
    for data in (b"", b"more"):
        peer.send(data)
        wait_until(slots.stack.pending, lambda: slots.stack.wait(5))
        wait_until(lambda: not slots.stack.pending(), slots.turn)
    slots.stack.abort(handle)


@pytest.mark.behaviour("C4")
def test_letting_go_takes_the_connection_off_the_stack(slots):
    for let_go in ("close", "abort"):
        slot, _ = slots.dialled()
        handle = slot.handle
        getattr(slot, let_go)()
        assert not slot.handle
        assert slots.stack.events(handle) == 0
        assert slots.stack.abort(handle) == ERR_CLSD
        slots.turn()


# --- dying


@pytest.mark.behaviour("N4")
def test_a_dying_connection_rejects_everything_and_never_comes_back(slots):
    slot, peer = slots.dialled()
    slots.fill(slot)
    slot.close()
    assert slot.state == states.CLOSE_PENDING
    peer.send(b"more")
    slots.turns()
    assert slots.read(slot) == b""
    assert slot.space() == 0
    assert not slot.write(b"x", 0, 1, True)
    slot.close()
    slot.break_off()
    assert slot.state == states.CLOSE_PENDING
    slot.abort()
    assert slot.state == states.CLOSE_READY
    assert not slot.write(b"x", 0, 1, True)
    slot.close()
    slot.abort()
    assert slot.state == states.CLOSE_READY
    slots.turn()
    assert slot.state == states.FREE


EARLIER = (states.ALLOCATED, states.CONNECTING, states.CONNECTED, states.ABORTED)


@pytest.mark.behaviour("N4")
@pytest.mark.parametrize("state", EARLIER)
def test_there_is_no_way_back_from_close_ready(slots, state):
    slot, _ = slots.dialled()
    slot.abort()
    with pytest.raises(IllegalMove):
        slot._set_state(state)


@pytest.mark.behaviour("N4")
def test_an_illegal_move_is_counted_and_ignored_in_a_release_build(net):
    slots = Slots(net, debug=False)
    slot, _ = slots.dialled()
    slot._set_state(states.ALLOCATED)
    assert slot.state == states.CONNECTED
    assert slots.manager.faults == 1


@pytest.mark.behaviour("N2")
def test_only_the_reaper_frees(slots):
    slot, _ = slots.dialled()
    slot.abort()
    assert slot.state == states.CLOSE_READY
    slots.manager.rows[fastpath.ROW_DELIVER] = slots.stack.pending()
    slots.manager.deliver()
    slots.manager.step(slots.now)
    assert slot.state == states.CLOSE_READY
    assert slots.manager.reap() == 1
    assert slot.state == states.FREE
    assert slots.manager.reap() == 0


@pytest.mark.behaviour("N2")
def test_all_may_die_in_one_pass(slots):
    port = slots.listen()
    pairs = [slots.dialled(port) for _ in range(8)]
    slots.turns()
    for _, peer in pairs:
        peer.reset()
    slots.until(lambda: slots.manager.rows[fastpath.ROW_CLOSED] == 0xFF)
    for slot, _ in pairs:
        slot.abort()
    slots.turn()
    assert slots.busy() == []


@only_stub
@pytest.mark.behaviour("N2", "D11")
def test_one_handler_may_end_what_another_has_events_for(slots):
    port = slots.listen()
    victim, _ = slots.dialled(port)
    killer, peer = slots.dialled(port)
    victim_handle = victim.handle
    killer._on_peer_gone = lambda _reason: (victim.abort(), slots.listeners.stop_all())
    slots.net.dial(port)
    peer.fin()
    slots.stack.broken_off(victim_handle, ERR_RST)
    slots.turn()
    assert victim.state == states.FREE
    assert slots.manager.faults == 0
    assert slots.stack.stale == 0


@pytest.mark.behaviour("N3")
def test_a_connection_may_be_made_while_events_are_handed_out(slots):
    server = slots.net.server()
    slot, peer = slots.dialled()
    made = []
    ended = slot._on_peer_gone
    slot._on_peer_gone = lambda reason: (made.append(slots.connect(server.port)), ended(reason))
    peer.fin()
    slots.until(lambda: made and made[0].state == states.CONNECTED)
    assert slot.state == states.OTHER_END_CLOSED
    server.accept().send(b"born in a loop")
    assert slots.read_all(made[0], 14) == b"born in a loop"


# --- two owners


def peer_fin(slots, slot, peer):
    peer.fin()
    slots.until_state(slot, states.OTHER_END_CLOSED)


def peer_reset(slots, slot, peer):
    peer.reset()
    slots.until_state(slot, states.OTHER_END_CLOSED)


def peer_fin_unseen(slots, slot, peer):
    peer.fin()


def peer_reset_unseen(slots, slot, peer):
    peer.reset()


def peer_reset_noted(slots, slot, peer):
    peer.reset()
    slots.until(lambda: slots.stack.wait(PATIENCE_MS) and slots.stack.pending())


def fin_then_reset(slots, slot, peer):
    peer_fin(slots, slot, peer)
    peer.reset()
    slots.until(lambda: not slot.handle)
    assert slot.state == states.OTHER_END_CLOSED


def peer_stays(slots, slot, peer):
    """The controller lets go first."""


class Releases:
    """Counts the ends of handles on any stack, and lets none through twice."""

    def __init__(self, stack):
        self.handles = []
        for name in ("close", "abort"):
            setattr(stack, name, self._counted(getattr(stack, name)))

    def _counted(self, end):
        def counted(h):
            assert h not in self.handles, "released twice"
            self.handles.append(h)
            return end(h)

        return counted


@pytest.mark.behaviour("K1")
@pytest.mark.parametrize("let_go", ["close", "abort"])
@pytest.mark.parametrize(
    "peer_acts",
    [
        peer_stays,
        peer_fin_unseen,
        peer_fin,
        peer_reset_unseen,
        peer_reset_noted,
        peer_reset,
        fin_then_reset,
    ],
)
def test_a_slot_is_released_exactly_once(slots, peer_acts, let_go):
    slot, peer = slots.dialled()
    handle = slot.handle
    releases = Releases(slots.stack)
    generation = slot.generation
    peer_acts(slots, slot, peer)
    getattr(slot, let_go)()
    slots.until_state(slot, states.FREE)
    slots.turns()
    assert releases.handles == [handle]
    assert slot.generation == generation + 1
    assert slots.stack.stale == 0


@pytest.mark.behaviour("K1")
@pytest.mark.parametrize("peer_acts", [peer_fin_unseen, peer_reset_unseen])
def test_a_peer_that_leaves_while_we_close_releases_once(slots, peer_acts):
    slot, peer = slots.dialled()
    handle = slot.handle
    releases = Releases(slots.stack)
    slots.fill(slot)
    slot.close()
    peer_acts(slots, slot, peer)
    slots.turns()
    slots.pass_time(_ACKNOWLEDGE_TIMEOUT_MS)
    slots.until_state(slot, states.FREE)
    assert releases.handles == [handle]


@pytest.mark.behaviour("K1")
def test_the_slot_stays_the_controllers_after_the_stack_let_go(slots):
    slot, peer = slots.dialled()
    peer.reset()
    slots.until_state(slot, states.OTHER_END_CLOSED)
    assert slot.held_by_controller()
    assert not slot.handle
    slots.pass_time(1_000_000)
    assert slot.state == states.OTHER_END_CLOSED


@pytest.mark.behaviour("K1")
def test_the_slot_stays_the_stacks_after_the_controller_let_go(slots):
    slot, _ = slots.dialled()
    slots.fill(slot)
    slot.close()
    assert slot.handle
    assert not slot.held_by_controller()
    assert slots.manager.has_free_slot()
    assert slots.manager.allocate(0) is not slot


@pytest.mark.behaviour("K3")
def test_a_peer_that_resets_right_after_the_handshake_is_reported(slots):
    port = slots.listen()
    slots.net.dial(port).reset()
    slots.until(lambda: slots.manager.rows[fastpath.ROW_CLOSED])
    slot = slots.slots[slots.manager.rows[fastpath.ROW_CLOSED].bit_length() - 1]
    assert slot.state == states.OTHER_END_CLOSED
    assert slot.held_by_controller()
    slots.pass_time(1_000_000)
    assert slot.state == states.OTHER_END_CLOSED
    slot.close()
    slots.turn()
    assert slots.busy() == []


@pytest.mark.behaviour("K3")
def test_an_accepted_connection_is_the_controllers_before_its_first_event(slots):
    port = slots.listen()
    seen = []
    opened = slots.slots[0].opened
    slots.slots[0].opened = lambda *args: (seen.append(slots.slots[0].state), opened(*args))
    slots.net.dial(port).reset()
    slots.until(lambda: slots.manager.rows[fastpath.ROW_CLOSED])
    assert seen == [states.ALLOCATED]


@pytest.mark.behaviour("K3", "D13")
def test_what_a_peer_sent_before_it_reset_right_after_the_handshake_is_read(slots):
    port = slots.listen()
    peer = slots.net.dial(port)
    peer.send(b"knock")
    peer.close()
    slots.until(lambda: slots.manager.rows[fastpath.ROW_CONNECTED])
    assert slots.read_all(slots.slots[0], 5) == b"knock"
    slots.until_state(slots.slots[0], states.OTHER_END_CLOSED)


@pytest.mark.behaviour("K4")
def test_a_live_reference_resolves(slots):
    slot, _ = slots.dialled()
    assert slots.manager.resolve(slot.token()) is slot


@pytest.mark.behaviour("K4")
def test_a_stale_reference_raises_in_a_debug_build(slots):
    slot, _ = slots.dialled()
    token = slot.token()
    slot.abort()
    slots.turn()
    with pytest.raises(IllegalMove):
        slots.manager.resolve(token)


@pytest.mark.behaviour("K4")
def test_a_stale_reference_is_counted_and_ignored_in_a_release_build(net):
    slots = Slots(net, debug=False)
    port = slots.listen()
    slot, _ = slots.dialled(port)
    token = slot.token()
    slot.abort()
    slots.turn()
    assert slots.dialled(port)[0] is slot
    assert slots.manager.resolve(token) is None
    assert slots.manager.stale == 1


@pytest.mark.behaviour("D18", "D9")
def test_terminating_all_leaves_nothing_in_whatever_state(slots):
    port = slots.listen()
    closing, _ = slots.dialled(port)
    slots.fill(closing)
    closing.close()
    left, peer = slots.dialled(port)
    peer.close()
    slots.until_state(left, states.OTHER_END_CLOSED)
    slots.dialled(port)[0].break_off()
    slots.connect(slots.net.silent_port())
    slots.connected()
    slots.manager.allocate(0)
    slots.dialled(port)
    slots.manager.terminate_all()
    slots.listeners.stop_all()
    slots.turn()
    assert slots.busy() == []
    assert not any(slot.handle for slot in slots.slots)
    assert slots.manager.owners == [None] * len(slots.manager.owners)
    assert slots.net.is_refused(port)


# --- what the controller is shown


def test_the_record_tells_who_and_where(slots):
    server = slots.net.server()
    slot = slots.connect(server.port, protocol=4)
    slots.until_state(slot, states.CONNECTED)
    record = slot.record
    assert record[0] == states.CONNECTED
    assert record[1] == slot.number
    assert record[2] == 4
    assert int.from_bytes(record[6:8], "little") == server.port
    assert int.from_bytes(record[8:12], "little") == slots.net.peer_ip


def test_a_free_slot_tells_nothing(slots):
    slot, _ = slots.connected()
    slot.abort()
    slots.turn()
    assert bytes(slot.record[4:12]) == bytes(8)
    assert slot.record[0] == states.FREE


def test_bytes_lost_on_the_link_break_the_connection(slots):
    slot, peer = slots.dialled()
    slot.break_off()
    assert slot.state == states.ABORTED
    assert slots.ended(peer) == "reset"
