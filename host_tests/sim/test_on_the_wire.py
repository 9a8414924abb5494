"""The slots over real lwIP, judged by the frames on the wire and by lwIP's own lists of PCBs."""

import contextlib

import pytest
from capture import ACK, FIN, PSH, RST
from lwip_net import LwipNet, capture, has_come_back
from slots import MAX_DATA, Slots, pattern

from spinet import states
from spinet.fastpath import FLUSH_MS
from spinet.tcp.connection import _ACKNOWLEDGE_TIMEOUT_MS, _CLOSE_LIMIT_MS

MSS = 1440
WINDOW = 2 * MSS
ACTIVE = -1
SYN_SENT, ESTABLISHED = 2, 4

pytestmark = pytest.mark.parametrize("stack", ["lwip"], indirect=True)


@pytest.fixture
def frames(slots):
    """What crosses the wire during the test."""
    taken = capture()
    yield taken
    taken.close()


def data_of(segments):
    """What the peer gets from these segments, each byte once and in order."""
    stream = {}
    for segment in segments:
        for i, byte in enumerate(segment.data):
            stream[segment.sequence + i & 0xFFFFFFFF] = byte
    return bytes(stream.values())


def with_data(frames):
    """The module's segments that carry data."""
    return frames.sent(lambda segment: segment.data)


def pushes(frames):
    """For each of the module's segments with data, whether PSH is set."""
    return [bool(segment.flags & PSH) for segment in with_data(frames)]


def active(slots, state=ACTIVE):
    """How many PCBs lwIP has in this state (ACTIVE: in any but TIME-WAIT and listening)."""
    return slots.stack.core.call("active_pcbs", state)


# --- push


@pytest.mark.behaviour("D1")
def test_the_last_segment_of_a_pushed_write_has_psh(slots, frames):
    slot, peer = slots.dialled()
    slots.write(slot, pattern(MAX_DATA), push=True)
    slots.delivered(peer, MAX_DATA)
    assert data_of(with_data(frames)) == pattern(MAX_DATA)
    assert pushes(frames)[-1] is True
    assert not any(pushes(frames)[:-1])


@pytest.mark.behaviour("D1")
def test_no_segment_has_psh_when_nobody_pushed(slots, frames):
    slot, peer = slots.dialled()
    slot.write(pattern(2000), 0, 2000, False)
    slots.turns()
    slots.pass_time(FLUSH_MS)
    slots.delivered(peer, 2000)
    assert not any(pushes(frames))


@pytest.mark.behaviour("D1")
def test_small_writes_leave_in_one_segment_with_the_push(slots, frames):
    slot, peer = slots.dialled()
    for word in (b"Content-", b"Length"):
        slot.write(word, 0, len(word), False)
        slots.turns()
    assert with_data(frames) == []
    slots.write(slot, b": 0", push=True)
    slots.delivered(peer, 17)
    assert [(segment.data, bool(segment.flags & PSH)) for segment in with_data(frames)] == [
        (b"Content-Length: 0", True)
    ]


@pytest.mark.behaviour("D1")
def test_close_pushes_what_had_gathered(slots, frames):
    slot, peer = slots.dialled()
    slot.write(b"the end", 0, 7, False)
    slot.close()
    assert slots.ended(peer) == "fin"
    assert pushes(frames) == [True]


@pytest.mark.behaviour("D1")
def test_nothing_waits_longer_than_the_flush_time_out_behind_what_is_in_flight(slots, frames):
    slot, peer = slots.dialled()
    peer.vanish()
    for word in (b"first", b"second"):
        slot.write(word, 0, len(word), False)
        slots.pass_time(FLUSH_MS)
    frames.wait_for(lambda segment: segment.data == b"second")


@pytest.mark.behaviour("D1")
def test_a_write_that_fills_the_window_has_psh_only_at_its_pushed_end(slots, frames):
    slot, peer = slots.dialled()
    accepted = slots.fill(slot)
    assert slots.delivered(peer, len(accepted)) == accepted
    ends = [segment.sequence + len(segment.data) for segment in with_data(frames)]
    last = max(ends)
    for segment in with_data(frames):
        # Every connWrite of fill() is pushed: PSH is on whole ones' ends, and surely on the last.
        if segment.sequence + len(segment.data) == last:
            assert segment.flags & PSH


# --- the window


@pytest.mark.behaviour("C3")
def test_the_window_shuts_until_the_controller_reads_and_opens_fully_then(slots, frames):
    slot, peer = slots.dialled()
    sent = peer.send(pattern(2 * WINDOW))
    slots.until(lambda: slot.readable() == WINDOW)
    slots.until(lambda: frames.sent()[-1].window == 0)
    assert slots.read_all(slot, sent) == pattern(sent)
    slots.until(lambda: frames.sent()[-1].window >= WINDOW - 2 * MSS)
    peer.send(pattern(100))
    slots.read_all(slot, 100)
    slots.until(lambda: frames.sent()[-1].window >= WINDOW - MSS)


@pytest.mark.behaviour("C3")
@pytest.mark.parametrize("end", ["close", "reset", "fin"])
def test_after_partial_reads_and_remote_ends_the_next_has_the_whole_window(slots, frames, end):
    port = slots.listen()
    for _ in range(12):
        slot, peer = slots.dialled(port)
        peer.send(pattern(5000))
        slots.until(slot.readable)
        slots.read(slot, 700)
        getattr(peer, end)()
        slots.turns(1)
        slot.close()
        slots.until_state(slot, states.FREE)
        peer.close()
    slots.until(lambda: active(slots) == 0)
    frames.clear()
    slot, peer = slots.dialled(port)
    peer.send(pattern(2 * WINDOW))
    slots.until(lambda: slot.readable() == WINDOW)
    assert max(segment.window for segment in frames.sent()) == WINDOW
    assert active(slots) == active(slots, ESTABLISHED) == 1


@pytest.mark.behaviour("C3")
def test_a_closing_connection_lets_the_peer_finish_its_request(slots, frames):
    slot, peer = slots.dialled()
    peer.send(pattern(2 * WINDOW))
    slots.until(lambda: slot.readable() == WINDOW)
    slots.write(slot, b"404")
    slot.close()
    assert slots.ended(peer) == "fin"
    assert peer.received() == b"404"
    assert frames.sent(lambda segment: segment.flags & RST) == []


# --- closing


def close_late(slots):
    """From now on closed connections stay in the stack for a minute, so that a test can look."""
    slots.stack.core.call("start", 60_000, 0, 0)


@pytest.mark.behaviour("D7")
def test_fin_comes_after_the_last_accepted_byte_was_acknowledged(slots, frames):
    slot, peer = slots.dialled()
    accepted = slots.fill(slot)
    slot.close()
    slots.turns()
    assert frames.sent(lambda segment: segment.flags & (FIN | RST)) == []
    assert slots.delivered(peer, len(accepted)) == accepted
    assert slots.ended(peer) == "fin"
    slots.until_state(slot, states.FREE)
    assert data_of(with_data(frames)) == accepted
    assert frames.sent(lambda segment: segment.flags & RST) == []


@pytest.mark.behaviour("D7", "T1")
@pytest.mark.parametrize("data", [b"", b"in flight"])
def test_closing_to_a_vanished_peer_gives_all_back_in_time(slots, frames, data):
    close_late(slots)
    slot, peer = slots.dialled()
    before = slots.stack.core.memory()
    peer.vanish()
    if data:
        slots.write(slot, data)
    slot.close()
    slots.pass_time(_ACKNOWLEDGE_TIMEOUT_MS - 1)
    assert active(slots) == 1
    assert (slot.state == states.CLOSE_PENDING) == bool(data)
    slots.pass_time(1)
    assert slot.state == states.FREE
    if data:
        assert active(slots) == 0
        frames.wait_for(lambda segment: segment.from_module and segment.flags & RST)
        after = slots.stack.core.memory()
        assert after["netconns"] == before["netconns"] - 1
        assert after["segments"] == 0
    else:
        slots.stack.core.call("warp", 100)  # the stack has to give up on its FIN
        slots.until(lambda: active(slots) == 0)


@pytest.mark.behaviour("D7")
def test_a_closed_window_holds_a_closing_slot_no_longer_than_the_time_out(slots, frames):
    slot, _ = slots.dialled()
    slots.fill(slot)
    slot.close()
    slots.pass_time(_ACKNOWLEDGE_TIMEOUT_MS - 1)
    assert slot.state == states.CLOSE_PENDING
    slots.pass_time(1)
    assert slot.state == states.FREE
    assert active(slots) == 0
    frames.wait_for(lambda segment: segment.from_module and segment.flags & RST)
    assert slots.manager.unacknowledged_closes == 1


@pytest.mark.behaviour("D7")
def test_a_pcb_that_lwip_freed_ends_the_wait_at_once(slots, frames):
    slot, peer = slots.dialled()
    slots.fill(slot)
    slot.close()
    assert active(slots) == 1
    peer.reset()
    slots.until_state(slot, states.FREE)
    assert slots.now == 0
    assert active(slots) == 0


def in_flight(slots, slot):
    """What the stack has of this slot; nothing when it has let go."""
    return slots.stack.in_flight(slot.handle) if slot.handle else 0


def read_some(peer):
    """A little of what the peer has, as an application does that is slow."""
    with contextlib.suppress(BlockingIOError):
        peer._sock.recv(1000)


@pytest.mark.behaviour("D7")
def test_a_peer_that_acknowledges_a_byte_now_and_then_is_given_up_at_the_limit(slots):
    slot, peer = slots.dialled()
    slots.fill(slot)
    slot.close()
    peer.thaw()
    for _ in range(_CLOSE_LIMIT_MS // (_ACKNOWLEDGE_TIMEOUT_MS - 1)):
        left = in_flight(slots, slot)
        slots.until(
            lambda left=left: (read_some(peer), in_flight(slots, slot) < left)[1] or not left
        )
        slots.pass_time(_ACKNOWLEDGE_TIMEOUT_MS - 1)
    slots.pass_time(_ACKNOWLEDGE_TIMEOUT_MS - 1)
    assert slot.state == states.FREE


@pytest.mark.behaviour("T1")
@pytest.mark.parametrize("many", [1, 8])
def test_aborting_gives_all_back_before_it_returns(slots, many):
    port = slots.listen()
    before = slots.stack.core.memory()
    for _ in range(many):
        slot, peer = slots.dialled(port)
        peer.vanish()
        slots.write(slot, pattern(MAX_DATA))
    for slot in slots.slots[:many]:
        slot.abort()
    assert active(slots) == 0
    after = slots.stack.core.memory()
    assert {**after, "blocks": 0} == {**before, "blocks": 0}
    slots.until(lambda: has_come_back(slots.stack.core.memory(), before))


@pytest.mark.behaviour("T1", "C11")
def test_giving_up_an_attempt_frees_its_pcb(slots):
    slot = slots.connect(slots.net.silent_port())
    assert active(slots, SYN_SENT) == 1
    slot.abort()
    assert active(slots) == 0


# --- silent peers


def ask_early(slots, interval_s):
    """Keepalive in seconds of the stack's clock, which runs ten times faster."""
    slots.manager.keep_idle_s, slots.manager.keep_count = 5, 3
    slots.manager.keep_interval_s = interval_s
    slots.stack.core.call("warp", 10)


def probes(frames):
    """The module's segments without data that repeat what was acknowledged."""
    segments = frames.sent(lambda segment: segment.flags == ACK and not segment.data)
    highest = max((segment.sequence for segment in segments), default=0)
    return [segment for segment in segments if segment.sequence == highest - 1]


@pytest.mark.behaviour("T4")
@pytest.mark.parametrize("opened_by", ["dialled", "connected"])
def test_a_silent_peer_is_found_out(slots, frames, opened_by):
    ask_early(slots, 1)
    slot, peer = getattr(slots, opened_by)()
    peer.send(b"last sign of life")
    slots.read_all(slot, 17)
    peer.vanish()
    slots.until_state(slot, states.OTHER_END_CLOSED)
    assert len(probes(frames)) >= 3
    assert active(slots) == 0


@pytest.mark.behaviour("T4", "D6")
def test_a_peer_that_answers_probes_is_left_alone(slots, frames):
    ask_early(slots, 10)  # an answer may be late
    slot, peer = slots.dialled()
    peer.send(b"hello")
    slots.read_all(slot, 5)
    slots.until(lambda: len(probes(frames)) >= 3)
    assert slot.state == states.CONNECTED


# --- lost links


CYCLES = 200


def lose_peer(slots, peer):
    """The peer is gone without a word."""
    peer.vanish()


def lose_link(slots, peer):
    """The module's own link is down, and its stack is told."""
    slots.stack.core.call("link", 0)


def lose_and_reconnect(slots, server, lose):
    """One cycle: connect, lose the link with data in flight, give up."""
    slot = slots.connect(server.port)
    slots.until_state(slot, states.CONNECTED)
    peer = server.accept()
    slots.write(slot, pattern(MAX_DATA))
    lose(slots, peer)
    slots.write(slot, pattern(MAX_DATA))
    slot.close()
    limit = slots.now + _CLOSE_LIMIT_MS + _ACKNOWLEDGE_TIMEOUT_MS
    while slot.state != states.FREE:  # as long as acknowledgements come that were on their way
        assert slots.now < limit
        slots.pass_time(_ACKNOWLEDGE_TIMEOUT_MS)
    peer.bury()
    slots.stack.core.call("link", 1)


@pytest.mark.behaviour("T2")
@pytest.mark.parametrize("lose", [lose_peer, lose_link])
def test_lost_links_leave_everything_where_it_began(slots, lose):
    server = slots.net.server()
    for _ in range(3):
        lose_and_reconnect(slots, server, lose)
    before = slots.stack.core.memory()
    for _ in range(CYCLES):
        lose_and_reconnect(slots, server, lose)
    slots.until(lambda: has_come_back(slots.stack.core.memory(), before))
    assert active(slots) == 0
    assert slots.busy() == []


# --- the PCBs


@pytest.mark.behaviour("D17")
def test_a_new_one_is_accepted_while_closed_ones_hold_all_pcbs(slots):
    close_late(slots)
    port = slots.listen()
    for _ in range(14):
        slot, peer = slots.dialled(port)
        peer.vanish()
        slot.close()  # nothing in flight: lwIP alone keeps the PCB, for its FIN
        slots.until_state(slot, states.FREE)
    slot, peer = slots.dialled(port)
    slots.write(slot, b"still serving")
    assert slots.delivered(peer, 13) == b"still serving"
    slot = slots.connect(slots.net.server().port)
    slots.until_state(slot, states.CONNECTED)


@pytest.mark.behaviour("D18")
def test_network_stop_leaves_no_pcb(slots):
    port = slots.listen()
    slots.listen()
    closing, _ = slots.dialled(port)
    slots.fill(closing)
    closing.close()
    slots.dialled(port)
    slots.net.dial(port)
    slots.connect(slots.net.silent_port())
    slots.manager.terminate_all()
    slots.listeners.stop_all()
    slots.turn()
    assert slots.busy() == []
    slots.until(lambda: active(slots) == 0)  # a handshake may have been under way
    assert slots.stack.core.memory()["netconns"] == 0


# --- both ways of locking


@pytest.mark.behaviour("C6", "C7")
@pytest.mark.parametrize("locking", ["0", "1"], ids=["thread", "core-lock"])
def test_the_stack_is_touched_only_where_lwip_allows_it(locking, stack):
    """lwIP asserts in every function of its own that it is called under the lock (lwipopts.h)."""
    from lwip_net import program

    net = LwipNet(program(locking))
    slots = Slots(net)
    port = slots.listen()
    pairs = [slots.dialled(port) for _ in range(4)]
    for slot, peer in pairs:
        slots.write(slot, pattern(MAX_DATA))
        peer.send(pattern(3000))
        assert slots.read_all(slot, 3000) == pattern(3000)
    pairs[0][0].close()
    pairs[1][0].abort()
    pairs[2][1].reset()
    pairs[3][1].vanish()
    slots.turns()
    slots.listeners.stop_all()
    slots.manager.terminate_all()
    slots.turn()
    net.close()
