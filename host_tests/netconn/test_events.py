"""The wait primitive and the events that end it."""

import pytest
from namespace import reset
from netconn_rig import ACCEPT, CLOSED, CONNECTED, DATA, ERROR, ROOM

NAP_MS = 250  # a wait looks up this often by itself, for half-open connections
WIRE_MS = 60  # every frame is this late, so that an event comes while the wait is under way
PROMPT_MS = 220  # there and back on that wire, and clearly before the wait would look up by itself


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
    assert stack.wait(5000) == 1
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
    assert stack.wait(5000) == 1
    assert stack.wait(5000) == 1
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
    """The stack's time when the event came; fails when it does not."""
    for _ in range(20):
        if stack.events(handle) & bit:
            return stack.now()
        stack.wait(5000)
    raise AssertionError(f"event {bit} of {handle} did not come")


@pytest.fixture
def late_wire(stack):
    """A wire on which every frame is late."""
    stack.faults(0, 0, 0, 0, WIRE_MS, 0, 1)


def quickest(stack, handle, bit, provoke, tries=6):
    """The shortest time from provoking an event to the wait's end, in stack milliseconds."""
    times = []
    for _ in range(tries):
        while stack.pending():
            stack.gather(0)
        before = stack.now()
        provoke()
        times.append(until_seen(stack, handle, bit) - before)
    return min(times)


@pytest.mark.behaviour("C2")
@pytest.mark.usefixtures("late_wire")
def test_data_wakes_at_once(stack, pair):
    handle, peer = pair
    assert quickest(stack, handle, DATA, lambda: peer.sendall(b"x")) < PROMPT_MS


@pytest.mark.behaviour("C2")
@pytest.mark.usefixtures("late_wire")
def test_accept_wakes_at_once(stack, wire):
    listener = stack.listen(80)
    peers = []
    assert quickest(stack, listener, ACCEPT, lambda: peers.append(wire.connect(80)), 3) < PROMPT_MS


@pytest.mark.behaviour("C2")
@pytest.mark.usefixtures("late_wire")
def test_acknowledgement_wakes_at_once(stack, pair):
    handle, _ = pair
    assert quickest(stack, handle, ROOM, lambda: stack.write(handle, b"x" * 1440)) < PROMPT_MS


@pytest.mark.behaviour("C2")
@pytest.mark.usefixtures("late_wire")
@pytest.mark.parametrize(("end", "bit"), [("fin", CLOSED), ("reset", ERROR)])
def test_end_wakes_at_once(stack, wire, end, bit):
    listener = stack.listen(80)
    times = []
    for _ in range(3):
        peer = wire.connect(80)
        handle = stack.accepted(listener)
        provoke = peer.close if end == "fin" else lambda leaving=peer: reset(leaving)
        times.append(quickest(stack, handle, bit, provoke, 1))
        stack.close(handle)
    assert min(times) < PROMPT_MS


@pytest.mark.behaviour("C2")
@pytest.mark.usefixtures("late_wire")
def test_connected_wakes_at_once(stack, wire, peer_ip):
    server = wire.listen(9000)
    times = []
    for _ in range(3):
        before = stack.now()
        handle = stack.connect(peer_ip, 9000)
        times.append(until_seen(stack, handle, CONNECTED) - before)
        server.accept()[0].close()
        stack.abort(handle)
    assert min(times) < PROMPT_MS
