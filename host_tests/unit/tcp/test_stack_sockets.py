"""What the sockets stack adds to the contract: see contract/ for what every stack does."""

import errno
import fcntl
import socket
import termios
import threading
from array import array

import pytest
from slots import LOOPBACK, PATIENCE_MS, Slots, open_net, pattern, wait_until

from spinet import compat as spinet_port
from spinet import fields, states
from spinet.tcp import farewells, socket_calls, stack_sockets
from spinet.tcp.stack import (
    ERR_ABRT,
    ERR_CLSD,
    ERR_CONN,
    ERR_IF,
    ERR_MEM,
    ERR_RST,
    ERR_RTE,
    ERR_USE,
    ERR_VAL,
    ERR_WOULDBLOCK,
    EVENT_DATA,
    is_for_now,
    peer_is_gone,
)

both_calls = pytest.mark.parametrize("stack", ["sockets", "plain"], indirect=True)
with_hostnet = pytest.mark.parametrize("stack", ["sockets"], indirect=True)
without_hostnet = pytest.mark.parametrize("stack", ["plain"], indirect=True)


# --- errors


@pytest.mark.behaviour("D4", stack="sockets")
@pytest.mark.parametrize(
    "number", [errno.EAGAIN, errno.EINPROGRESS, errno.ENOMEM, errno.ENOBUFS, errno.EMFILE, 23]
)
def test_errors_that_pass_are_for_now(number):
    assert is_for_now(socket_calls.err_of(number))


@pytest.mark.behaviour("D3", stack="sockets")
@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ECONNRESET, ERR_RST),
        (errno.EPIPE, ERR_RST),
        (errno.ECONNREFUSED, ERR_RST),
        (errno.ECONNABORTED, ERR_ABRT),
        (errno.ETIMEDOUT, ERR_ABRT),
        (errno.ENOTCONN, ERR_CONN),
        (128, ERR_CONN),  # lwIP's own ENOTCONN
        (errno.ESHUTDOWN, ERR_CLSD),
    ],
)
def test_errors_that_mean_the_peer_is_gone(number, error):
    assert socket_calls.err_of(number) == error
    assert peer_is_gone(error)


@pytest.mark.behaviour("D3", stack="sockets")
@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENETUNREACH, ERR_RTE),
        (errno.EHOSTUNREACH, ERR_RTE),
        (errno.ENETDOWN, ERR_IF),
        (errno.EADDRINUSE, ERR_USE),
        (errno.EFAULT, ERR_VAL),
    ],
)
def test_errors_that_are_neither(number, error):
    assert socket_calls.err_of(number) == error
    assert not peer_is_gone(error)
    assert not is_for_now(error)


# --- receiving through the ring


@both_calls
def test_a_full_ring_stops_reading_and_the_peers_bytes_wait_in_the_computer(net):
    slots = Slots(net)
    slot, peer = slots.dialled()
    assert peer.send(pattern(10000)) == 10000
    slots.until(lambda: slot.readable() == 4096)
    assert net.stack.wait(1) == 0  # nothing to report until a read
    assert slots.read_all(slot, 10000) == pattern(10000)


@both_calls
@pytest.mark.behaviour("D6", "D13")
def test_a_reset_behind_a_full_ring_loses_nothing(net):
    slots = Slots(net)
    slot, peer = slots.dialled()
    peer.send(pattern(10000))
    slots.until(lambda: slot.readable() == 4096)
    peer.reset()
    slots.turns()
    assert slots.read_all(slot, 10000) == pattern(10000)
    slots.until_state(slot, states.OTHER_END_CLOSED)


@both_calls
@pytest.mark.behaviour("C12", "D13")
@pytest.mark.parametrize("size", [4096, 10000], ids=["exactly", "behind"])
def test_a_fin_behind_a_full_ring_comes_last(net, size):
    slots = Slots(net)
    slot, peer = slots.dialled()
    peer.send(pattern(size))
    peer.close()
    slots.until(lambda: slot.readable() == 4096)
    slots.turns()
    assert slot.state == states.CONNECTED
    assert slots.read_all(slot, size) == pattern(size)
    slots.until_state(slot, states.OTHER_END_CLOSED)


@both_calls
@pytest.mark.behaviour("D2")
def test_one_flood_does_not_hold_the_others_up(net):
    slots = Slots(net)
    port = slots.listen()
    flooded, flood = slots.dialled(port)
    slot, peer = slots.dialled(port)
    flooded.close()  # discards: nothing slows the flood down
    slots.turn()
    peer.send(b"me too")
    for _ in range(100):
        flood.send(bytes(65536))
        slots.turn()
    assert slots.read_all(slot, 6) == b"me too"


def is_heard(peer):
    """True when all that the peer sent has come."""
    waiting = array("i", [0])
    fcntl.ioctl(peer._sock, termios.TIOCOUTQ, waiting)
    return waiting[0] == 0


@both_calls
@pytest.mark.behaviour("D5", "D6")
def test_what_came_before_a_write_found_the_reset_is_still_readable(net):
    slots = Slots(net)
    slot, peer = slots.dialled()
    slots.turns()
    peer.send(b"farewell")
    wait_until(lambda: is_heard(peer), lambda: None)
    net.inject("write", ERR_RST)
    slots.write(slot, b"too late")
    assert slots.read_all(slot, 8) == b"farewell"
    slots.until_state(slot, states.OTHER_END_CLOSED)


# --- what plain sockets cannot know


@without_hostnet
@pytest.mark.behaviour("D7", "D5")
def test_without_in_flight_a_close_still_delivers_all(net):
    slots = Slots(net)
    slot, peer = slots.dialled()
    accepted = slots.fill(slot)
    slot.close()
    assert slots.delivered(peer, len(accepted)) == accepted
    assert slots.ended(peer) == "fin"
    slots.until_state(slot, states.FREE)


@without_hostnet
def test_the_local_port_is_the_listeners_when_a_socket_does_not_tell(net):
    slots = Slots(net)
    port = slots.listen()
    slot, _ = slots.dialled(port)
    assert int.from_bytes(slot.record[4:6], "little") == port


@without_hostnet
def test_a_socket_without_linger_ends_orderly_instead(net, monkeypatch):
    def knows_no_linger(*_args):
        raise OSError(errno.ENOPROTOOPT, "no such option")

    slots = Slots(net)
    slot, peer = slots.dialled()
    monkeypatch.setattr(stack_sockets.socket.socket, "setsockopt", knows_no_linger)
    slot.abort()
    slots.turn()
    assert slots.ended(peer) == "fin"


# --- waiting for other things


class Source:
    """Something else that ends a wait: one end of a socket pair."""

    def __init__(self):
        self.ready = False
        self.ours, self.theirs = socket.socketpair()
        self.key = self.ours.fileno()
        self.news = False
        self.calls = []
        self.then = None

    def before_wait(self):
        return self.news

    def on_ready(self):
        self.news = False
        self.calls.append(self.ours.recv(16) if self.ready_bytes() else b"")
        if self.then:
            self.then()

    def ready_bytes(self):
        return spinet_port.hostnet.inq(self.key) > 0

    def close(self):
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def source(net):
    source = Source()
    net.stack.watch(source)
    yield source
    source.close()


@with_hostnet
@pytest.mark.behaviour("C1")
def test_a_source_ends_a_wait_and_is_told_once(net, source):
    source.theirs.send(b"edge")
    assert net.stack.wait(PATIENCE_MS) == 1
    assert source.calls == [b"edge"]
    assert net.stack.wait(1) == 0
    assert len(source.calls) == 1


@with_hostnet
@pytest.mark.behaviour("C1")
def test_news_that_a_source_kept_back_does_not_wait(net, source):
    source.news = True
    assert net.stack.wait(PATIENCE_MS) == 1
    assert source.calls == [b""]


@with_hostnet
@pytest.mark.behaviour("N2")
def test_a_source_may_close_a_connection_that_has_events(net, source):
    slots = Slots(net)
    slot, peer = slots.dialled()
    source.then = slot.abort
    peer.send(b"data")
    source.theirs.send(b"reset")
    wait_until(lambda: source.calls, slots.turn)
    slots.turn()
    assert slot.state == states.FREE
    assert net.stack.stale == 0


@with_hostnet
def test_an_unwatched_source_is_left_alone(net, source):
    net.stack.unwatch(source)
    source.theirs.send(b"edge")
    assert net.stack.wait(1) == 0
    assert source.calls == []
    net.stack.watch(source)


# --- data


@with_hostnet
@pytest.mark.behaviour("D5", stack="sockets")
def test_an_urgent_byte_is_a_byte_like_any_other(net):
    """FTP clients send the last one of ABOR so; lwIP's stream has it in its place."""
    slots = Slots(net)
    slot, peer = slots.dialled()
    peer.send(b"ABOR\r")
    peer.send_urgent(b"\n")
    peer.send(b"NOOP\r\n")
    assert slots.read_all(slot, 12) == b"ABOR\r\nNOOP\r\n"


# --- addresses and the end


@both_calls
def test_ip_0_is_the_address_that_the_stack_was_given(net):
    port = net.free_port()
    assert net.stack.listen(0, port, 8) > 0
    with socket.socket() as elsewhere:
        assert elsewhere.connect_ex(("127.0.0.2", port)) == errno.ECONNREFUSED


@both_calls
def test_a_narrower_address_is_bound(net):
    port = net.free_port()
    assert net.stack.listen(0x0200007F, port, 8) > 0
    assert net.is_refused(port)
    with socket.create_connection(("127.0.0.2", port)):
        pass


def test_an_ip_is_written_first_octet_lowest():
    assert fields.dotted(0x0100007F) == "127.0.0.1"


@pytest.mark.parametrize(
    "address", [("10.1.2.3", 8080), b"\x02\x00\x1f\x90\x0a\x01\x02\x03" + bytes(8)]
)
def test_addresses_of_both_shapes_are_read(address):
    assert spinet_port.address_peer(address) == b"\x90\x1f\x0a\x01\x02\x03"


@pytest.mark.parametrize("stack", ["sockets", "plain"])
@pytest.mark.behaviour("D18")
def test_a_stack_that_is_shut_leaves_nothing_open(stack, monkeypatch):
    net = open_net(stack, monkeypatch)
    slots = Slots(net)
    port = slots.listen()
    _, peer = slots.dialled(port)
    slots.connect(net.silent_port())
    net.stack.shut()
    assert slots.ended_without_turns(peer) == "reset"
    assert net.is_refused(port)
    assert all(entry.sock is None for entry in net.stack._entries)
    net.hang_up()


@both_calls
@pytest.mark.behaviour("C1")
def test_many_wakes_from_many_threads_are_never_lost(net):
    for _ in range(50):
        thread = threading.Thread(target=net.stack.wake)
        thread.start()
        assert net.stack.wait(PATIENCE_MS) == 1
        thread.join()
    assert net.stack.wait(1) == 0


@both_calls
@pytest.mark.behaviour("K4", "C4")
def test_a_handle_of_a_former_life_is_refused_and_counted(net):
    slots = Slots(net)
    slot, _ = slots.dialled()
    old = slot.handle
    slot.abort()
    slots.turn()
    slots.dialled()
    assert net.stack.write(old, b"x", 0, 1, 0) == ERR_CLSD
    assert net.stack.stale == 1


@both_calls
def test_generations_come_round_without_a_handle_of_0(net):
    for entry in net.stack._entries:
        entry.generation = stack_sockets._GENERATIONS
    slots = Slots(net)
    slot, peer = slots.dialled()
    assert slot.handle > 0
    peer.send(b"round")
    assert slots.read_all(slot, 5) == b"round"


@both_calls
@pytest.mark.behaviour("D14")
def test_a_stack_without_entries_refuses_an_attempt(net):
    port = net.silent_port()
    handles = [net.stack.connect(LOOPBACK, port) for _ in range(10)]
    assert handles[9] == ERR_MEM
    assert net.stack.abort(handles[0]) == 0
    assert net.stack.connect(LOOPBACK, port) > 0


@with_hostnet
@pytest.mark.behaviour("D4")
def test_a_poll_that_finds_nothing_after_all_ends_nothing(net):
    slots = Slots(net)
    slot, peer = slots.dialled()
    net.inject("read", ERR_WOULDBLOCK, ERR_MEM)
    peer.send(b"third time")
    assert slots.read_all(slot, 10) == b"third time"
    assert net.stack.error(slot.handle) == 0
    assert not net.stack.events(slot.handle) & ~EVENT_DATA


# --- after a close: FIN is sent, and what still comes is discarded until the peer's


@pytest.fixture
def clock(monkeypatch):
    """The stack's clock stands still: no farewell is over before a test says so."""
    now = spinet_port.ticks_ms()
    monkeypatch.setattr(spinet_port, "ticks_ms", lambda: now)


def close_while_sending(slots, port):
    """A connection that was closed while its peer goes on sending; returns the peer."""
    slot, peer = slots.dialled(port)
    slots.write(slot, b"last page")
    slot.close()
    slots.until_state(slot, states.FREE)
    peer.send(pattern(3000))
    slots.turns()
    return peer


@with_hostnet
@pytest.mark.usefixtures("clock")
@pytest.mark.behaviour("D7", "D5")
def test_bytes_that_come_after_a_close_do_not_turn_it_into_a_reset(net):
    slots = Slots(net)
    peer = close_while_sending(slots, slots.listen())
    peer.send(pattern(3000))
    assert slots.ended(peer) == "fin"
    assert peer.received() == b"last page"


@with_hostnet
@pytest.mark.usefixtures("clock")
def test_a_farewell_ends_with_the_peers_fin(net):
    slots = Slots(net)
    peer = close_while_sending(slots, slots.listen())
    assert net.stack.farewells.active == 1
    peer.close()
    slots.until(lambda: net.stack.farewells.active == 0)


@with_hostnet
@pytest.mark.usefixtures("clock")
def test_a_peer_that_never_ends_is_dropped_in_the_end(net, monkeypatch):
    slots = Slots(net)
    close_while_sending(slots, slots.listen())
    late = spinet_port.ticks_ms() + farewells._FAREWELL_MS
    monkeypatch.setattr(spinet_port, "ticks_ms", lambda: late)
    slots.turn()
    assert net.stack.farewells.active == 0


@with_hostnet
@pytest.mark.usefixtures("clock")
@pytest.mark.behaviour("D14")
def test_more_farewells_than_there_is_room_for_drop_the_oldest(net):
    slots = Slots(net)
    port = slots.listen()
    peers = [close_while_sending(slots, port) for _ in range(farewells._FAREWELLS + 1)]
    assert net.stack.farewells.active == farewells._FAREWELLS
    assert slots.busy() == []
    for peer in peers:
        peer.close()
    slots.until(lambda: net.stack.farewells.active == 0)


def silent_farewell(slots, seconds, data=None):
    """A peer that reads nothing and has been closed with so much time to linger.

    Without `data` it has been sent as much as this computer takes.
    """
    slot, peer = slots.dialled()
    handle = slot.handle
    slots.stack.linger(handle, seconds)
    if data is None:
        slots.fill(slot)
    else:
        slots.write(slot, data)
    slots.stack.close(handle)
    return peer


def pass_farewell_time(monkeypatch, net, ms):
    late = spinet_port.ticks_ms() + ms
    monkeypatch.setattr(spinet_port, "ticks_ms", lambda: late)
    net.stack.wait(0)


@with_hostnet
@pytest.mark.usefixtures("clock")
@pytest.mark.behaviour("T3")
@pytest.mark.parametrize(("seconds", "end"), [(7, "reset"), (-1, "fin")])
def test_what_is_undelivered_when_the_time_to_linger_is_over_is_reset(
    net, monkeypatch, seconds, end
):
    peer = silent_farewell(Slots(net), seconds)
    assert net.stack.farewells.active == 1
    pass_farewell_time(monkeypatch, net, 7000)
    assert net.stack.farewells.active == 0
    wait_until(lambda: (peer.received(), peer.ended)[1], lambda: None)
    assert peer.ended == end


@with_hostnet
@pytest.mark.usefixtures("clock")
@pytest.mark.behaviour("T3")
def test_a_peer_that_has_everything_is_not_reset(net, monkeypatch):
    slots = Slots(net)
    peer = silent_farewell(slots, 7, b"all of it")
    slots.until(lambda: spinet_port.hostnet.outq(net.stack.farewells.entries[0].key) == 0)
    resets = []
    net.stack._calls.reset_on_close = resets.append
    pass_farewell_time(monkeypatch, net, 7000)
    assert net.stack.farewells.active == 0
    assert slots.ended(peer) == "fin"
    assert (peer.got, resets) == (b"all of it", [])


@with_hostnet
@pytest.mark.usefixtures("clock")
@pytest.mark.behaviour("T3")
def test_a_long_time_to_linger_is_longer_than_a_farewell(net, monkeypatch):
    silent_farewell(Slots(net), 7, b"")
    pass_farewell_time(monkeypatch, net, farewells._FAREWELL_MS)
    assert net.stack.farewells.active == 1
