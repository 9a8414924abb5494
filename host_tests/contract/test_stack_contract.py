"""One contract, every stack: see spinet/stack.py."""

import threading
import time

import pytest
from slots import pattern

from spinet.tcp.stack import (
    ERR_CLSD,
    ERR_CONN,
    ERR_MEM,
    ERR_OK,
    ERR_RST,
    ERR_USE,
    ERR_WOULDBLOCK,
    EVENT_ACCEPT,
    EVENT_CLOSED,
    EVENT_CONNECTED,
    EVENT_DATA,
    EVENT_ERROR,
    EVENT_ROOM,
    INDEX_MASK,
    peer_is_gone,
)

LATER = 50  # ms: long enough to be told from "at once", short enough to wait for
BULK = 1 << 19


def in_a_thread(action):
    """Run the action while the caller waits; join() the result."""
    thread = threading.Thread(target=action)
    thread.start()
    return thread


# --- listening and accepting


def test_a_listener_has_a_positive_handle(user):
    h, _ = user.listen()
    assert h > 0


def test_a_port_can_be_listened_on_once(user):
    _, port = user.listen()
    assert user.stack.listen(0, port, 8) == ERR_USE


def test_there_is_an_end_of_listeners(user):
    """Eight at least; how many more is each stack's own matter, within the indexes there are."""
    handles = []
    while not handles or handles[-1] > 0:
        handles.append(user.stack.listen(0, user.net.free_port(), 8))
    assert 8 < len(handles) <= INDEX_MASK + 2
    assert handles[-1] == ERR_MEM


def test_accept_says_when_nobody_is_there(user):
    listener, _ = user.listen()
    assert user.stack.accept(listener) == ERR_WOULDBLOCK


def test_accept_gives_each_connection_a_handle_of_its_own(user):
    listener, port = user.listen()
    peers = [user.net.dial(port) for _ in range(2)]
    first, second = user.accept(listener), user.accept(listener)
    peers[0].send(b"first")
    peers[1].send(b"second")
    assert user.read_all(first, 5) == b"first"
    assert user.read_all(second, 6) == b"second"


def test_addresses_tell_both_ends(user):
    listener, port = user.listen()
    user.net.dial(port)
    into = bytearray(8)
    assert user.stack.addresses(user.accept(listener), into) == 0
    assert into[4:8] == user.net.peer_ip.to_bytes(4, "little")
    assert into[2] | into[3] << 8 > 0
    assert into[0] | into[1] << 8 == (port if user.net.tells_local_port else 0)


def test_the_tenth_connection_harms_none(user):
    """Sockets hold nine and say ERR_MEM. lwIP has more handles than PCBs: it hands out a tenth."""
    listener, port = user.listen()
    peers = []
    handles = []
    for _ in range(9):
        peers.append(user.net.dial(port))
        handles.append(user.accept(listener))
    user.net.dial(port)
    answers = []
    user.until(lambda: answers.append(user.stack.accept(listener)) or answers[-1] != ERR_WOULDBLOCK)
    assert (answers[-1] == ERR_MEM) == (user.net.connections_most == 9)
    for h, peer in zip(handles, peers, strict=True):
        peer.send(b"alive")
        assert user.read_all(h, 5) == b"alive"


def test_a_peer_that_reset_before_accept_is_still_handed_out(user):
    listener, port = user.listen()
    user.net.dial(port).reset()
    h = user.accept(listener)
    assert peer_is_gone(user.end(h))


def test_closing_a_listener_refuses_the_next(user):
    listener, port = user.listen()
    assert user.stack.close(listener) == 0
    assert user.net.is_refused(port)


def test_a_closed_listener_leaves_its_connections_alone(user):
    listener, port = user.listen()
    peer = user.net.dial(port)
    h = user.accept(listener)
    user.stack.close(listener)
    peer.send(b"still here")
    assert user.read_all(h, 10) == b"still here"


# --- connecting


@pytest.mark.behaviour("C2")
def test_connecting_ends_in_an_event(user):
    server = user.net.server()
    h = user.stack.connect(user.net.peer_ip, server.port)
    assert h > 0
    assert user.wait_events(h) & EVENT_CONNECTED
    peer = server.accept()
    peer.send(b"hello")
    assert user.read_all(h, 5) == b"hello"


@pytest.mark.behaviour("C2")
def test_a_refused_attempt_ends_in_an_error(user):
    h = user.stack.connect(user.net.peer_ip, user.net.free_port())
    assert user.wait_events(h) & EVENT_ERROR
    assert user.stack.error(h) == ERR_RST


@pytest.mark.behaviour("C11")
def test_connecting_to_a_silent_peer_returns_at_once(user):
    h = user.stack.connect(user.net.peer_ip, user.net.silent_port())
    assert h > 0
    assert user.turn() == 0
    assert user.stack.events(h) == 0


def test_an_attempt_neither_reads_nor_writes(user):
    h = user.stack.connect(user.net.peer_ip, user.net.silent_port())
    assert user.read(h) == ERR_WOULDBLOCK
    assert user.write(h, b"early") in (ERR_WOULDBLOCK, ERR_CONN)


@pytest.mark.behaviour("C8")
def test_the_failure_of_an_old_attempt_is_reported_for_that_attempt(user):
    port = user.net.free_port()
    old = user.stack.connect(user.net.peer_ip, port)
    user.until(lambda: user.stack.pending() >> (old & INDEX_MASK) & 1)  # refused, not looked at
    server = user.net.server_on(port)
    new = user.stack.connect(user.net.peer_ip, port)
    assert user.until_events(old, EVENT_ERROR) & EVENT_CONNECTED == 0
    assert user.until_events(new, EVENT_CONNECTED) & EVENT_ERROR == 0
    server.accept().send(b"for the new one")
    assert user.read_all(new, 15) == b"for the new one"


@pytest.mark.behaviour("C4")
def test_an_attempt_that_was_given_up_reports_nothing_to_its_successor(user):
    port = user.net.free_port()
    old = user.stack.connect(user.net.peer_ip, port)
    assert user.stack.abort(old) == 0
    new = user.stack.connect(user.net.peer_ip, user.net.silent_port())
    assert new & INDEX_MASK == old & INDEX_MASK
    user.turn()
    assert user.stack.events(new) == 0
    assert user.stack.error(new) == 0


# --- reading


def test_reading_gives_what_was_sent_in_order(user):
    h, peer = user.accepted()
    peer.send(pattern(5000))
    assert user.read_all(h, 5000) == pattern(5000)


def test_reading_takes_at_most_what_was_asked_for(user):
    h, peer = user.accepted()
    peer.send(b"abcdef")
    user.until(lambda: user.stack.readable(h) == 6)
    assert user.read(h, 4) == b"abcd"
    assert user.stack.readable(h) == 2
    assert user.read(h, 4) == b"ef"


def test_reading_lands_at_the_offset(user):
    h, peer = user.accepted()
    peer.send(b"xyz")
    user.until(lambda: user.stack.readable(h) == 3)
    buf = bytearray(8)
    assert user.stack.read(h, buf, 4, 3) == 3
    assert buf == b"\0\0\0\0xyz\0"


@pytest.mark.behaviour("D6")
def test_an_idle_connection_would_block_and_is_not_broken(user):
    h, _ = user.accepted()
    for _ in range(3):
        assert user.read(h) == ERR_WOULDBLOCK
        user.turn()
    assert user.stack.error(h) == 0


@pytest.mark.behaviour("C3")
def test_the_window_opens_for_what_was_read(user):
    h, peer = user.accepted()
    sent = received = 0
    data = pattern(256) * (BULK // 256)

    def transfer():
        nonlocal sent, received
        sent += peer.send(data[sent : sent + 8192])
        got = user.read(h, 700)
        received += len(got) if isinstance(got, bytes) else 0
        return received == BULK

    user.until(transfer)


@pytest.mark.behaviour("C3")
def test_the_window_opens_for_what_was_discarded(user):
    h, peer = user.accepted()
    peer.send(bytes(2500))
    user.until(lambda: user.stack.readable(h) == 2500)
    assert user.stack.shutdown_rx(h) == 0
    sent = 0

    def transfer():
        nonlocal sent
        sent += peer.send(bytes(8192))
        return sent >= BULK

    user.until(transfer)
    assert user.stack.readable(h) == 0


# --- writing


def test_writing_delivers_what_was_taken(user):
    h, peer = user.accepted()
    assert user.write(h, b"hello") == 5
    user.until(lambda: peer.received() == b"hello")


def test_writing_starts_at_the_offset(user):
    h, peer = user.accepted()
    assert user.stack.write(h, b"0123456789", 3, 4, 0) == 4
    user.until(lambda: peer.received() == b"3456")


@pytest.mark.behaviour("D2", "C2")
def test_a_full_stack_takes_a_part_then_nothing_then_reports_room(user):
    h, peer = user.accepted()
    taken = user.fill(h)
    while (more := user.write(h, b"more")) > 0:
        taken += more  # the peer's own stack has taken some meanwhile
    assert more in (0, ERR_WOULDBLOCK)
    user.stack.events(h)
    user.until(lambda: (peer.received(), user.look(h))[1] & EVENT_ROOM)
    user.until(lambda: len(peer.received()) == taken)
    assert user.write(h, b"more") == 4


def test_in_flight_counts_until_it_is_acknowledged(user):
    h, peer = user.accepted()
    taken = user.fill(h)
    if not user.net.knows_in_flight:
        assert user.stack.in_flight(h) == -1
        return
    assert 0 < user.stack.in_flight(h) <= taken
    user.until(lambda: (peer.received(), user.stack.in_flight(h))[1] == 0)
    assert len(peer.received()) == taken


# --- ends


@pytest.mark.behaviour("D13")
def test_a_fin_comes_after_the_data(user):
    h, peer = user.accepted()
    peer.send(b"last words")
    peer.fin()
    assert user.until_events(h, EVENT_CLOSED) & EVENT_ERROR == 0
    assert user.stack.readable(h) == 10
    assert user.read(h, 4) == b"last"
    assert user.read(h) == b" words"
    assert user.end(h) == ERR_CLSD


def test_after_a_fin_the_other_half_still_works(user):
    h, peer = user.accepted()
    peer.fin()
    assert user.end(h) == ERR_CLSD
    assert user.write(h, b"goodbye") == 7
    user.until(lambda: peer.received() == b"goodbye")


@pytest.mark.behaviour("D6")
def test_after_a_reset_the_data_is_still_readable(user):
    h, peer = user.accepted()
    peer.send(b"kept")
    user.until(lambda: user.stack.readable(h) == 4)
    peer.reset()
    assert user.until_events(h, EVENT_ERROR)
    assert peer_is_gone(user.stack.error(h))
    assert user.read(h) == b"kept"
    assert peer_is_gone(user.end(h))


@pytest.mark.behaviour("C2")
def test_a_reset_after_a_fin_is_an_error(user):
    h, peer = user.accepted()
    peer.fin()
    user.until_events(h, EVENT_CLOSED)
    assert user.end(h) == ERR_CLSD
    peer.reset()
    user.until_events(h, EVENT_ERROR)
    assert user.stack.error(h) == ERR_RST


def test_writing_after_a_reset_says_so_and_never_succeeds(user):
    h, peer = user.accepted()
    peer.reset()
    user.until_events(h, EVENT_ERROR)
    assert peer_is_gone(user.write(h, b"x"))
    assert peer_is_gone(user.write(h, b"x"))
    assert user.stack.in_flight(h) == 0


def test_a_writer_learns_that_the_peer_closed_for_good(user):
    h, peer = user.accepted()
    peer.close()
    user.until_events(h, EVENT_CLOSED)
    answers = []
    user.until(lambda: answers.append(user.write(h, b"x")) or answers[-1] < 0)
    assert peer_is_gone(answers[-1])


def test_close_delivers_then_ends(user):
    h, peer = user.accepted()
    user.write(h, b"to the last byte")
    assert user.stack.close(h) == 0
    user.until(lambda: (peer.received(), peer.ended)[1])
    assert (peer.received(), peer.ended) == (b"to the last byte", "fin")


def test_abort_resets(user):
    h, peer = user.accepted()
    assert user.stack.abort(h) == 0
    user.until(lambda: (peer.received(), peer.ended)[1])
    assert peer.ended == "reset"


@pytest.mark.behaviour("T3")
def test_close_without_time_to_linger_resets(user):
    h, peer = user.accepted()
    assert user.stack.linger(h, 0) == ERR_OK
    user.stack.close(h)
    user.until(lambda: (peer.received(), peer.ended)[1])
    assert peer.ended == "reset"


@pytest.mark.behaviour("T3")
@pytest.mark.parametrize("seconds", [-1, 30])
def test_close_with_time_to_linger_delivers_then_ends(user, seconds):
    h, peer = user.accepted()
    can = user.stack.linger(h, 0) == user.stack.linger(h, seconds) == ERR_OK
    assert can or (user.net.kind == "plain" and seconds > 0)
    user.stack.linger(h, -1 if not can else seconds)
    assert user.write(h, b"last words") == 10
    user.stack.close(h)
    user.until(lambda: (peer.received(), peer.ended)[1])
    assert (peer.got, peer.ended) == (b"last words", "fin")


@pytest.mark.behaviour("T3", "C4")
def test_the_time_to_linger_ends_with_its_handle(user):
    old, _ = user.accepted()
    user.stack.linger(old, 0)
    user.stack.abort(old)
    h, peer = user.accepted()
    user.stack.close(h)
    user.until(lambda: (peer.received(), peer.ended)[1])
    assert peer.ended == "fin"


@pytest.mark.behaviour("T4")
def test_no_silence_is_too_long_when_nobody_is_to_ask(user):
    h, peer = user.accepted()
    assert user.stack.keepalive(h, 5, 1, 3) == user.stack.keepalive(h, 0, 0, 0)
    peer.send(b"alive")
    assert user.read_all(h, 5) == b"alive"


# --- events and waiting


@pytest.mark.behaviour("C1")
def test_an_event_between_two_waits_is_not_lost(user):
    listener, port = user.listen()
    user.turn(0)
    user.net.dial(port)
    assert user.wait_events(listener) & EVENT_ACCEPT


@pytest.mark.behaviour("C1")
def test_a_wake_between_two_waits_is_not_lost(user):
    user.stack.wake()
    user.wait_for_news()


@pytest.mark.behaviour("C1")
def test_a_wait_after_a_wait_that_timed_out_lasts_its_full_time(user):
    user.stack.wake()
    user.wait_for_news()
    assert user.stack.wait(1) == 0
    start = time.monotonic()
    assert user.stack.wait(LATER) == 0
    assert time.monotonic() - start >= LATER / 1000 - 0.002  # never shorter; clocks have grains


@pytest.mark.behaviour("C1")
def test_wakes_are_one_wake(user):
    for _ in range(3):
        user.stack.wake()
    user.wait_for_news()
    assert user.stack.wait(1) == 0


@pytest.mark.behaviour("C1")
def test_another_thread_ends_a_wait(user):
    thread = in_a_thread(user.stack.wake)
    user.wait_for_news()
    thread.join()


@pytest.mark.behaviour("C1")
def test_events_that_nobody_fetched_do_not_let_the_next_wait_sleep(user):
    listener, port = user.listen()
    user.net.dial(port)
    user.wait_for_news()
    user.wait_for_news()
    assert user.stack.events(listener) & EVENT_ACCEPT


@pytest.mark.behaviour("C1")
def test_events_are_told_once(user):
    listener, port = user.listen()
    user.net.dial(port)
    assert user.wait_events(listener) & EVENT_ACCEPT
    assert user.stack.events(listener) == 0
    assert user.stack.pending() == 0


@pytest.mark.behaviour("C2")
@pytest.mark.parametrize(
    ("act", "event"),
    [
        (lambda peer: peer.send(b"x"), EVENT_DATA),
        (lambda peer: peer.fin(), EVENT_CLOSED),
        (lambda peer: peer.reset(), EVENT_ERROR),
    ],
    ids=["data", "fin", "reset"],
)
def test_what_a_peer_does_ends_a_wait(user, act, event):
    h, peer = user.accepted()
    user.turn(0)
    user.stack.events(h)
    thread = in_a_thread(lambda: act(peer))
    assert user.wait_events(h) & event
    thread.join()


@pytest.mark.behaviour("C2")
def test_a_connection_that_comes_ends_a_wait(user):
    listener, port = user.listen()
    thread = in_a_thread(lambda: user.net.dial(port))
    assert user.wait_events(listener) & EVENT_ACCEPT
    thread.join()


@pytest.mark.behaviour("C2", "D15")
def test_a_drained_listener_reports_the_next(user):
    listener, port = user.listen()
    for _ in range(3):
        user.net.dial(port)
        assert user.wait_events(listener) & EVENT_ACCEPT
        assert user.accept(listener) > 0
        assert user.stack.accept(listener) == ERR_WOULDBLOCK


@pytest.mark.behaviour("C1")
def test_a_broken_connection_does_not_wake_for_ever(user):
    h, peer = user.accepted()
    peer.reset()
    user.until_events(h, EVENT_ERROR)
    user.turn()
    user.stack.events(h)
    assert user.turn() == 0


@pytest.mark.behaviour("C1")
def test_a_backlog_that_has_to_wait_does_not_wake_for_ever(user):
    listener, port = user.listen()
    user.net.dial(port)
    user.wait_events(listener)
    assert user.turn() == 0
    assert user.accept(listener) > 0


# --- handles that are over


@pytest.mark.behaviour("N4")
@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_released_handle_is_refused_and_counted(user, end):
    h, _ = user.accepted()
    stack = user.stack
    assert getattr(stack, end)(h) == 0
    calls = [
        lambda: stack.read(h, bytearray(4), 0, 4),
        lambda: stack.write(h, b"dead", 0, 4, 0),
        lambda: stack.recved(h, 1),
        lambda: stack.shutdown_rx(h),
        lambda: stack.addresses(h, bytearray(8)),
        lambda: stack.error(h),
        lambda: stack.close(h),
        lambda: stack.abort(h),
        lambda: stack.accept(h),
    ]
    assert [call() for call in calls] == [ERR_CLSD] * len(calls)
    assert stack.readable(h) == stack.events(h) == stack.in_flight(h) == 0
    assert stack.stale == len(calls) + 3


@pytest.mark.behaviour("C4")
def test_a_released_handle_does_not_reach_its_successor(user):
    listener, port = user.listen()
    user.net.dial(port)
    old = user.accept(listener)
    user.stack.abort(old)
    peer = user.net.dial(port)
    new = user.accept(listener)
    assert new & INDEX_MASK == old & INDEX_MASK
    assert new != old
    assert user.stack.abort(old) == ERR_CLSD
    peer.send(b"untouched")
    assert user.read_all(new, 9) == b"untouched"


@pytest.mark.behaviour("C4")
@pytest.mark.parametrize("end", ["close", "abort"])
def test_what_a_peer_does_after_the_end_reports_nothing(user, end):
    h, peer = user.accepted()
    getattr(user.stack, end)(h)
    peer.send(b"too late")
    peer.reset()
    user.turn()
    assert user.stack.pending() == 0


@pytest.mark.behaviour("C4", "C1")
def test_events_of_the_old_are_gone_with_it(user):
    listener, port = user.listen()
    peer = user.net.dial(port)
    old = user.accept(listener)
    peer.send(b"old")
    user.until(lambda: user.stack.pending() >> (old & INDEX_MASK) & 1)
    user.stack.abort(old)
    assert user.stack.pending() >> (old & INDEX_MASK) & 1 == 0
    user.net.dial(port)
    new = user.accept(listener)
    assert user.stack.readable(new) == 0
    assert user.read(new) == ERR_WOULDBLOCK


@pytest.mark.behaviour("C5")
def test_accept_events_of_a_closed_listener_are_gone_with_it(user):
    listener, port = user.listen()
    user.net.dial(port)
    user.until(lambda: user.stack.pending())
    user.stack.close(listener)
    assert user.stack.pending() == 0
    successor, _ = user.listen()
    assert successor & INDEX_MASK == listener & INDEX_MASK
    user.turn()
    assert user.stack.events(successor) == 0
    assert user.stack.accept(successor) == ERR_WOULDBLOCK
    assert user.stack.accept(listener) == ERR_CLSD


# --- what may fail while opening


@pytest.mark.behaviour("D14")
@pytest.mark.parametrize("call", ["socket", "listen"])
def test_a_listener_that_cannot_be_is_an_error(user, call):
    user.net.inject("listen" if user.net.kind == "stub" else call, ERR_MEM)
    port = user.net.free_port()
    assert user.stack.listen(0, port, 8) == ERR_MEM
    assert user.stack.listen(0, port, 8) > 0


@pytest.mark.behaviour("D14")
@pytest.mark.parametrize("call", ["socket", "connect"])
def test_an_attempt_that_cannot_be_is_an_error(user, call):
    user.net.inject("connect" if user.net.kind == "stub" else call, ERR_MEM)
    server = user.net.server()
    assert user.stack.connect(user.net.peer_ip, server.port) == ERR_MEM
    assert user.stack.connect(user.net.peer_ip, server.port) > 0


@pytest.mark.behaviour("D14")
def test_an_accept_that_fails_is_an_error_and_the_next_one_works(user):
    listener, port = user.listen()
    user.net.dial(port)
    user.wait_events(listener)
    user.net.inject("accept", ERR_MEM)
    assert user.stack.accept(listener) == ERR_MEM
    assert user.accept(listener) > 0
