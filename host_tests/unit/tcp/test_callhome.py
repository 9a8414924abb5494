"""Calling home: attempts and their events, back-off, promised slots, and the service's role."""

import pytest
from slots import Slots, pattern

from spinet import fastpath, states, trace
from spinet.tcp import callhome, status
from spinet.tcp.callhome import (
    _FIRST_MS,
    _GIVEN_UP,
    _LONGEST_MS,
    _RECONNECT_FAILED,
    _RECONNECTED,
    _RECONNECTING,
    _STEADY_MS,
)
from spinet.tcp.connection import CONNECT_TIMEOUT_MS
from spinet.tcp.stack import ERR_MEM, ERR_RTE, INDEX_MASK

PROTOCOL = 4
only_stub = pytest.mark.parametrize("stack", ["stub"], indirect=True)


@pytest.fixture
def slots(net, monkeypatch):
    """The slots, and `events` as the trace keeps them."""
    slots = Slots(net)
    slots.events = []
    note = trace.note

    def noted(kind, slot, event, port):
        note(kind, slot, event, port)
        if kind == trace.SESSION:
            slots.events.append(event)

    monkeypatch.setattr(trace, "note", noted)
    yield slots
    slots.names.stop()


def call(slots, port, limit=1, attempts=0, name=b"", ip=None):
    """networkListen with "call home"; whether it was taken."""
    ip = slots.net.peer_ip if ip is None else ip
    return slots.sessions.call(ip, port, name, PROTOCOL, limit, attempts)


def due_ms(slots):
    """Milliseconds until a session has something to do, -1 for none."""
    return slots.sessions.poll(slots.now)


def first(slots):
    return slots.sessions.entries[0]


def standing(slots, server=None, **options):
    """A session whose connection stands: (slot, peer, server)."""
    server = server or slots.net.server()
    assert call(slots, server.port, **options)
    slot = came(slots)
    return slot, server.accept(), server


def came(slots):
    """The slot of the connection that comes next."""
    before = slots.manager.rows[fastpath.ROW_CONNECTED]
    slots.until(lambda: slots.manager.rows[fastpath.ROW_CONNECTED] & ~before)
    return slots.slots[(slots.manager.rows[fastpath.ROW_CONNECTED] & ~before).bit_length() - 1]


def refused(slots):
    """A port without a listener."""
    return slots.net.free_port()


def until_events(slots, *events):
    slots.until(lambda: len(slots.events) >= len(events))
    assert slots.events == list(events)


# --- the role follows the application


@pytest.mark.behaviour("C10")
def test_a_connection_that_we_opened_is_served_as_an_accepted_one(slots):
    slot, peer, server = standing(slots)
    record = bytes(slot.record)
    assert record[:3] == bytes([states.CONNECTED, slot.number, PROTOCOL])
    assert status.local_port(record) == status.remote_port(record) == server.port
    assert record[8:12] == slots.net.peer_ip.to_bytes(4, "little")
    peer.send(b"GET / HTTP/1.1\r\n\r\n")
    assert slots.read_all(slot, 18) == b"GET / HTTP/1.1\r\n\r\n"
    page = pattern(slot.space())
    assert slots.write(slot, page) == len(page)
    slot.close()
    assert slots.delivered(peer, len(page)) == page
    assert slots.ended(peer) == "fin"
    slots.until_state(slot, states.FREE)


@pytest.mark.behaviour("C10")
def test_an_accepted_connection_can_be_used_as_a_client(slots):
    slot, peer = slots.dialled()
    assert slots.write(slot, b"who are you?") == 12
    assert slots.delivered(peer, 12) == b"who are you?"
    peer.send(b"your server")
    assert slots.read_all(slot, 11) == b"your server"
    slot.close()
    assert slots.ended(peer) == "fin"


@pytest.mark.behaviour("C10", "D13")
def test_what_the_peer_sent_at_once_and_its_end_are_the_slots(slots):
    server = slots.net.server()
    assert call(slots, server.port)
    slots.until(lambda: first(slots).handle)
    peer = server.accept()
    peer.send(b"early")
    peer.close()
    slot = came(slots)
    assert slots.read_all(slot, 5) == b"early"
    slots.until_state(slot, states.OTHER_END_CLOSED)


@pytest.mark.behaviour("C11", "C10")
def test_no_slot_shows_an_attempt(slots):
    assert call(slots, slots.net.silent_port())
    slots.turns()
    assert first(slots).handle
    assert slots.busy() == []
    assert (
        slots.manager.rows[fastpath.ROW_CLOSED] == slots.manager.rows[fastpath.ROW_CONNECTED] == 0
    )


@pytest.mark.behaviour("C10", "D14")
def test_the_promised_slot_is_nobody_elses(slots):
    port = slots.listen()
    for _ in range(7):
        slots.dialled(port)
    assert call(slots, slots.net.silent_port())
    slots.turns()
    assert first(slots).handle
    assert slots.manager.allocate(0) is None
    waiting = slots.net.dial(port)
    slots.turns()
    assert len(slots.busy()) == 7
    slots.sessions.stop_all()
    slots.until(lambda: len(slots.busy()) == 8)
    waiting.send(b"still here")
    assert slots.read_all(slots.slots[7], 10) == b"still here"


@pytest.mark.behaviour("C10", "D15")
def test_a_session_waits_for_a_slot_and_takes_the_first_that_is_freed(slots):
    taken = [slots.dialled()[0] for _ in range(8)]
    server = slots.net.server()
    assert call(slots, server.port)
    slots.pass_time(_LONGEST_MS)
    assert slots.events == []
    assert due_ms(slots) == -1
    taken[3].abort()
    assert came(slots) is taken[3]
    assert slots.events == [_RECONNECTING, _RECONNECTED]


# --- attempts and events


@pytest.mark.behaviour("C9")
def test_every_attempt_says_how_it_went_until_there_are_no_more(slots):
    port = refused(slots)
    assert call(slots, port, attempts=3)
    until_events(slots, _RECONNECTING, _RECONNECT_FAILED)
    title = first(slots).title()
    slots.pass_time(_FIRST_MS)
    until_events(slots, *(_RECONNECTING, _RECONNECT_FAILED) * 2)
    slots.pass_time(2 * _FIRST_MS)
    until_events(slots, *(_RECONNECTING, _RECONNECT_FAILED) * 3, _GIVEN_UP)
    assert slots.errors == [
        f"call home to {title} failed: refused",
        f"call home to {title} given up: refused",
    ]
    slots.pass_time(_LONGEST_MS)
    slots.turns()
    assert len(slots.events) == 7
    assert slots.sessions.active == 0
    assert slots.manager.reserved == 0


@pytest.mark.behaviour("C9")
def test_a_connection_that_ends_is_dialled_again(slots):
    slot, peer, server = standing(slots)
    peer.close()
    slots.until_state(slot, states.OTHER_END_CLOSED)
    slots.pass_time(_LONGEST_MS)
    assert slots.events == [_RECONNECTING, _RECONNECTED]  # the controller has yet to let go
    slot.close()
    slots.turns()
    assert slots.events == [_RECONNECTING, _RECONNECTED]
    slots.pass_time(_FIRST_MS)
    again = came(slots)
    assert slots.events == [_RECONNECTING, _RECONNECTED] * 2
    peer = server.accept()
    peer.send(b"me again")
    assert slots.read_all(again, 8) == b"me again"
    assert slots.errors == []


@pytest.mark.behaviour("C9")
def test_a_success_ends_the_row_of_failures(slots):
    port = refused(slots)
    assert call(slots, port, attempts=2)
    until_events(slots, _RECONNECTING, _RECONNECT_FAILED)
    server = slots.net.server_on(port)
    slots.pass_time(_FIRST_MS)
    slot = came(slots)
    server.accept()
    slot.abort()
    slots.turns()
    assert first(slots).failures == 0
    slots.pass_time(_LONGEST_MS)
    came(slots)
    assert slots.events == [_RECONNECTING, _RECONNECT_FAILED] + [_RECONNECTING, _RECONNECTED] * 2


@pytest.mark.behaviour("C9", "N1")
def test_an_attempt_at_a_silent_peer_times_out(slots):
    assert call(slots, slots.net.silent_port(), attempts=1)
    slots.turns()
    slots.pass_time(CONNECT_TIMEOUT_MS - 1)
    assert slots.events == [_RECONNECTING]
    assert due_ms(slots) == 1
    slots.pass_time(1)
    assert slots.events == [_RECONNECTING, _RECONNECT_FAILED, _GIVEN_UP]
    assert slots.errors[0].endswith("given up: timed out")
    assert slots.sessions.active == 0


@pytest.mark.behaviour("C9", "D14")
@pytest.mark.parametrize("error", [ERR_RTE, ERR_MEM])
def test_an_attempt_that_the_stack_refuses_is_one_that_failed(slots, error):
    server = slots.net.server()
    slots.net.inject("connect", error)
    assert call(slots, server.port)
    slots.turn()
    assert slots.events == [_RECONNECTING, _RECONNECT_FAILED]
    slots.pass_time(_FIRST_MS)
    came(slots)


def no_memory(*_):
    raise MemoryError


@pytest.mark.behaviour("M2")
@only_stub
@pytest.mark.parametrize("name", [b"", b"peer.example"])
def test_an_attempt_that_there_is_no_memory_for_is_one_that_failed(slots, monkeypatch, name):
    server = slots.net.server()
    slots.known_names[b"peer.example"] = slots.net.peer_ip
    with monkeypatch.context() as full:
        full.setattr(slots.manager.stack, "connect", no_memory)
        full.setattr(slots.names, "ask", no_memory)
        assert call(slots, server.port, name=name)
        slots.turn()
    assert slots.events == [_RECONNECTING, _RECONNECT_FAILED]
    assert slots.errors[0].endswith("failed: out of memory")
    slots.pass_time(_FIRST_MS)
    came(slots)


@pytest.mark.behaviour("M2")
@only_stub
def test_a_failure_that_there_is_no_memory_to_tell_of_is_followed_by_an_attempt(slots, monkeypatch):
    server = slots.net.server()
    slots.net.inject("connect", ERR_RTE)
    with monkeypatch.context() as full:
        full.setattr(slots.sessions, "fail", no_memory)
        assert call(slots, server.port)
        with pytest.raises(MemoryError):
            slots.turn()
    slots.pass_time(_FIRST_MS)
    came(slots)


def pauses(slots, count):
    """How long the session waits after each of so many attempts."""
    found = []
    for _ in range(count):
        attempts = first(slots).counts[_RECONNECTING]
        slots.until(lambda: first(slots).state == callhome._WAITING)
        found.append(due_ms(slots))
        slots.pass_time(found[-1] - 1)
        assert first(slots).counts[_RECONNECTING] == attempts
        slots.pass_time(1)
    return found


@pytest.mark.behaviour("C9")
def test_the_pauses_double_up_to_a_minute(slots):
    assert call(slots, refused(slots))
    slots.turn()
    assert pauses(slots, 8) == [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]
    assert len(slots.errors) == 1  # the controller is not told again and again


@only_stub
@pytest.mark.behaviour("C9")
def test_a_peer_that_ends_every_connection_at_once_is_dialled_less_and_less(slots):
    slot, _, _ = standing(slots)
    waits = []
    for _ in range(4):
        slot.abort()
        slots.turns()
        waits.append(due_ms(slots))
        slots.pass_time(waits[-1])
        slots.until_state(slot, states.CONNECTED)
    assert waits == [1000, 2000, 4000, 8000]
    slots.pass_time(_STEADY_MS)
    slot.abort()
    slots.turns()
    assert due_ms(slots) == _FIRST_MS


@only_stub
def test_a_connection_that_stands_wakes_nobody(slots):
    standing(slots)
    slots.pass_time(_STEADY_MS)
    assert due_ms(slots) == -1


@pytest.mark.behaviour("C10")
def test_as_many_connections_as_were_asked_for(slots):
    slot, _, server = standing(slots, limit=2)
    slots.pass_time(_FIRST_MS)
    second = came(slots)
    server.accept()
    slots.pass_time(_LONGEST_MS)
    slots.turns()
    assert slots.busy() == sorted([slot.number, second.number])
    slot.abort()
    slots.turns()
    slots.pass_time(_LONGEST_MS)
    assert came(slots) is slot


# --- starting and stopping


def test_the_same_again_is_a_no_op_and_another_peer_is_refused(slots):
    port = slots.net.silent_port()
    assert call(slots, port)
    slots.turns()
    assert call(slots, port)
    assert not call(slots, port, name=b"other.example")
    assert slots.sessions.active == 1
    slots.turns()
    assert slots.events == [_RECONNECTING]


def test_there_is_an_end_of_sessions(slots):
    for port in range(1, callhome._SESSIONS + 1):
        assert call(slots, port)
    assert not call(slots, 100)
    assert call(slots, 1, limit=0)
    assert call(slots, 100)


def test_a_stop_of_port_0_ends_no_session(slots):
    assert call(slots, slots.net.silent_port())
    assert call(slots, 0, limit=0)
    assert slots.sessions.active == 1


@pytest.mark.parametrize(("port", "ip"), [(0, None), (80, 0)])
def test_nobody_to_call_is_refused(slots, port, ip):
    assert not call(slots, port, ip=ip)
    assert slots.sessions.active == 0


@pytest.mark.behaviour("D18", "C4")
def test_stopping_gives_the_attempt_and_its_slot_back(slots):
    port = slots.net.silent_port()
    assert call(slots, port)
    slots.turns()
    handle = first(slots).handle
    slots.sessions.stop_all()
    slots.turns()
    assert slots.stack.events(handle) == 0
    assert slots.manager.owners[handle & INDEX_MASK] is None
    assert slots.manager.reserved == 0
    assert slots.sessions.active == 0
    slots.pass_time(_LONGEST_MS)
    assert slots.events == [_RECONNECTING]


@pytest.mark.behaviour("C10", "D8")
def test_a_connection_outlives_its_session(slots):
    slot, peer, server = standing(slots)
    assert call(slots, server.port, limit=0)
    peer.send(b"go on")
    assert slots.read_all(slot, 5) == b"go on"
    slot.close()
    assert slots.ended(peer) == "fin"
    slots.pass_time(_LONGEST_MS)
    slots.turns()
    assert slots.events == [_RECONNECTING, _RECONNECTED]


@pytest.mark.behaviour("C10")
def test_the_connections_of_an_ended_session_are_not_the_next_ones(slots):
    old, old_peer, server = standing(slots)
    assert call(slots, server.port, limit=0)
    slot, _, _ = standing(slots)
    assert first(slots).port != server.port
    slot.abort()
    slots.turns()
    slots.pass_time(_FIRST_MS)
    assert came(slots) is slot
    old_peer.send(b"as ever")
    assert slots.read_all(old, 7) == b"as ever"


@pytest.mark.behaviour("C8", "C4")
def test_sessions_do_not_mix(slots):
    assert call(slots, slots.net.silent_port(), attempts=1)
    server = slots.net.server()
    assert call(slots, server.port)
    slot = came(slots)
    slots.pass_time(CONNECT_TIMEOUT_MS)
    assert first(slots) is None  # it was given up
    assert slots.sessions.entries[1].port == server.port
    server.accept().send(b"fine")
    assert slots.read_all(slot, 4) == b"fine"


# --- names


@pytest.mark.behaviour("C11", "C9")
def test_a_name_is_looked_up_for_every_attempt(slots):
    slots.known_names[b"printers.example"] = slots.net.peer_ip
    server = slots.net.server()
    assert call(slots, server.port, name=b"printers.example", ip=0)
    slot = came(slots)
    assert first(slots).title() == f"printers.example:{server.port}"
    del slots.known_names[b"printers.example"]
    slot.abort()
    slots.turns()
    slots.pass_time(_FIRST_MS)
    until_events(slots, _RECONNECTING, _RECONNECTED, _RECONNECTING, _RECONNECT_FAILED)
    assert slots.errors == [f"call home to printers.example:{server.port} failed: host not found"]


@pytest.mark.behaviour("C11", "D18")
def test_stopping_while_the_name_is_looked_up(slots):
    assert call(slots, 80, name=b"nobody.example", ip=0, attempts=1)
    slots.sessions.poll(slots.now)
    assert slots.manager.reserved == 1
    slots.sessions.stop_all()
    assert slots.manager.reserved == 0
    slots.turns()
    assert slots.events == [_RECONNECTING]
    assert slots.errors == []
