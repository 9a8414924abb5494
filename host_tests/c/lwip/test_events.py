"""The wait primitive and the events that end it."""

import socket
import time

import pytest
from namespace import PATIENCE, reset
from netconn_rig import ACCEPT, CLOSED, CONNECTED, DATA, ERROR, ROOM

NAP_MS = 250  # a wait looks up this often by itself, for half-open connections
WIRE_MS = 60  # every frame is this late, so that an event comes while the wait is under way
FOREVER_MS = 1000 * PATIENCE  # for a wait that an event has to end


def slept_ms(stack, ms):
    """How long a wait lasted by the stack's clock, and what it returned."""
    before = stack.now()
    return stack.wait(ms), stack.now() - before


@pytest.mark.behaviour("C1")
def test_wait_lasts_its_full_time_when_nothing_happens(stack):
    for _ in range(3):
        result, ms = slept_ms(stack, 120)
        assert result == 0
        assert ms >= 120


@pytest.mark.behaviour("C1")
def test_wake_between_two_waits_is_not_lost_and_counts_once(stack):
    stack.wake()
    stack.wake()
    assert stack.wait(FOREVER_MS) == 1
    result, ms = slept_ms(stack, 120)
    assert (result, ms >= 120) == (0, True)


@pytest.mark.behaviour("C1")
def test_event_that_was_taken_does_not_end_the_next_wait(stack, pair):
    handle, peer = pair
    stack.gather(0)
    peer.sendall(b"x")
    until_seen(stack, handle, DATA)
    result, ms = slept_ms(stack, 120)
    assert (result, ms >= 120) == (0, True)


@pytest.mark.behaviour("C1")
def test_event_that_was_not_taken_ends_every_wait(stack, pair):
    handle, peer = pair
    stack.gather(0)
    peer.sendall(b"x")
    assert stack.wait(FOREVER_MS) == 1
    assert stack.wait(FOREVER_MS) == 1
    assert stack.pending() == 1 << (handle & 31)
    assert stack.events(handle) & DATA
    assert stack.pending() == 0


@pytest.mark.behaviour("C1")
def test_wake_from_another_thread_ends_a_wait_under_way(stack):
    for _ in range(5):
        stack.wake_after(30)
        assert stack.wait(-1) == 1


def test_wait_zero_only_looks(stack):
    assert stack.wait(0) == 0
    stack.wake()
    assert stack.wait(0) == 1


def until_seen(stack, handle, bit):
    """Wait until this event comes; the longest wait for it, in stack milliseconds."""
    longest = 0
    limit = time.monotonic() + PATIENCE
    stack.gather(0)  # what has come already is not waited for
    while not stack.seen(handle) & bit:
        assert time.monotonic() < limit, f"event {bit} of {handle} did not come"
        before = stack.now()
        stack.gather(FOREVER_MS)
        longest = max(longest, stack.now() - before)
    stack.until(handle, bit)  # it is there; now it is taken
    return longest


@pytest.fixture
def late_wire(stack):
    """A wire on which every frame is late."""
    stack.faults(0, 0, 0, 0, WIRE_MS, 0, 1)


def wakes_at_once(stack, provoke):
    """Whether the event that `provoke()` brings about ended a wait before that looked up by itself.

    A wait that is not ended lasts a nap at least, at each try. One that is ended can
    last as long on a busy computer, or the event came before the wait began, which shows nothing:
    then it is tried again.
    """
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        while stack.pending():
            stack.gather(0)
        if 0 < until_seen(stack, *provoke()) < NAP_MS:
            return True
    return False


@pytest.mark.behaviour("C2")
@pytest.mark.usefixtures("late_wire")
def test_data_wakes_at_once(stack, pair):
    handle, peer = pair

    def send():
        peer.sendall(b"x")
        return handle, DATA

    assert wakes_at_once(stack, send)


@pytest.mark.behaviour("C2")
@pytest.mark.usefixtures("late_wire")
def test_accept_wakes_at_once(stack, wire):
    listener = stack.listen(80)
    peers = []

    def dial():
        if peers:
            stack.abort(stack.accepted(listener))
        peers.append(wire.connect(80))
        return listener, ACCEPT

    assert wakes_at_once(stack, dial)


@pytest.mark.behaviour("C2")
@pytest.mark.usefixtures("late_wire")
def test_acknowledgement_wakes_at_once(stack, pair):
    handle, _ = pair

    def write():
        stack.write(handle, b"x" * 1440)
        return handle, ROOM

    assert wakes_at_once(stack, write)


@pytest.mark.behaviour("C2")
@pytest.mark.usefixtures("late_wire")
@pytest.mark.parametrize(("end", "bit"), [("fin", CLOSED), ("reset", ERROR)])
def test_end_wakes_at_once(stack, wire, end, bit):
    listener = stack.listen(80)
    ended = []

    def leave():
        if ended:
            stack.abort(ended.pop())
        peer = wire.connect(80)
        ended.append(stack.accepted(listener))
        (socket.socket.close if end == "fin" else reset)(peer)
        return ended[0], bit

    assert wakes_at_once(stack, leave)


@pytest.mark.behaviour("C2")
@pytest.mark.usefixtures("late_wire")
def test_connected_wakes_at_once(stack, wire, peer_ip):
    server = wire.listen(9000)
    connected = []

    def connect():
        if connected:
            server.accept()[0].close()
            stack.abort(connected.pop())
        connected.append(stack.connect(peer_ip, 9000))
        return connected[0], CONNECTED

    assert wakes_at_once(stack, connect)
