"""Closing, aborting, lost peers, and the memory that they give back."""

import pytest
from capture import FIN
from capture import RST as RST_FLAG
from lwip_net import has_come_back
from namespace import PATIENCE, reset
from netconn_rig import ABRT, CLOSED, ERROR, OK

SYN_SENT, ESTABLISHED, FIN_WAIT_2 = 2, 4, 6
MINUTES = 300_000  # ms: how long lwIP itself holds on to a peer that does not answer
LONG = 60_000  # ms that a connection may take to close: the peer's end comes first, however late


def ends_of(capture):
    """(FINs, RSTs) that the module sent; a FIN that is repeated is one."""
    fins = capture.sent(lambda segment: segment.flags & FIN)
    return (
        len({segment.sequence + len(segment.data) for segment in fins}),
        len(capture.sent(lambda segment: segment.flags & RST_FLAG)),
    )


def is_empty(stack):
    """No connection, no netconn but the listener's, no segment."""
    memory = stack.memory()
    return (stack.active_pcbs(-1), memory["netconns"], memory["segments"]) == (0, 1, 0)


@pytest.mark.behaviour("D7")
@pytest.mark.behaviour("K1")
def test_close_sends_what_is_queued_then_fin(stack, pair, capture):
    handle, peer = pair
    stack.start(LONG, 0, 0)
    assert stack.write(handle, b"x" * 4000) == 4000
    assert stack.close(handle) == OK
    assert stack.memory()["netconns"] == 1
    received = b""
    while some := peer.recv(4096):
        received += some
    assert received == b"x" * 4000
    peer.close()
    stack.expect(lambda: is_empty(stack))
    assert ends_of(capture) == (1, 0)


@pytest.mark.behaviour("K1")
def test_close_after_the_peers_fin(stack, pair, capture):
    handle, peer = pair
    peer.close()
    stack.until(handle, CLOSED)
    stack.read(handle)
    stack.close(handle)
    stack.expect(lambda: is_empty(stack))
    assert ends_of(capture) == (1, 0)
    assert stack.memory()["time_wait"] == 0


@pytest.mark.behaviour("K1")
def test_close_after_a_reset(stack, pair, capture):
    handle, peer = pair
    reset(peer)
    stack.until(handle, ERROR)
    assert stack.close(handle) == OK
    assert is_empty(stack)
    assert ends_of(capture) == (0, 0)


@pytest.mark.behaviour("D5")
def test_unread_data_at_close_does_not_cost_the_peer_its_answer(stack, pair, capture):
    handle, peer = pair
    stack.start(LONG, 0, 0)
    peer.sendall(b"a request with a body that is not read" * 100)
    stack.expect(lambda: stack.readable(handle) > 2000)
    stack.write(handle, b"404")
    stack.close(handle)
    peer.sendall(b"and more of it" * 100)
    assert peer.recv(10) == b"404"
    assert peer.recv(10) == b""
    peer.close()
    stack.expect(lambda: is_empty(stack))
    assert ends_of(capture) == (1, 0)


@pytest.mark.behaviour("D7")
@pytest.mark.behaviour("T1")
@pytest.mark.parametrize("data", [0, 3000], ids=["idle", "in-flight"])
def test_close_to_a_vanished_peer_ends_in_time(stack, pair, capture, peer_ip, data):
    handle, _ = pair
    stack.start(LONG, 0, 0)
    stack.peer_dead(peer_ip, 1)
    if data:
        assert stack.write(handle, bytes(data)) == data
    began = stack.now()
    stack.close(handle)
    assert stack.stats()["orphans"] == 1
    stack.warp(30)
    stack.expect(lambda: is_empty(stack))
    assert stack.now() - began >= LONG
    assert stack.stats()["overtime"] == 1


@pytest.mark.behaviour("D7")
def test_close_to_a_closed_window_ends_in_time(stack, wire, capture):
    stack.start(1000, 0, 0)
    listener = stack.listen(80)
    peer = wire.connect(80, receive_buffer=2048)
    handle = stack.accepted(listener)
    while stack.write(handle, bytes(2048)) > 0:
        stack.gather(20)
    stack.close(handle)
    stack.expect(lambda: is_empty(stack))
    assert ends_of(capture)[1] >= 1
    with pytest.raises(ConnectionResetError):
        [peer.recv(4096) for _ in range(10)]


@pytest.mark.behaviour("D7")
def test_peer_that_has_everything_but_stays_open_is_not_reset(stack, pair, capture):
    handle, peer = pair
    stack.start(MINUTES, 0, 0)
    stack.write(handle, b"all")
    stack.close(handle)
    stack.expect(lambda: stack.active_pcbs(FIN_WAIT_2) == 1)
    stack.warp(100)
    stack.expect(lambda: is_empty(stack))
    assert ends_of(capture) == (1, 0)
    assert peer.recv(10) == b"all"
    assert peer.recv(10) == b""


@pytest.mark.behaviour("C12")
def test_without_a_place_for_a_fin_lwip_would_end_our_side_too(stack, pair):
    """What the core's receive callback guards against, made visible, as the chips' lwIP has it."""
    handle, peer = pair
    stack.full(handle)
    peer.shutdown(1)
    assert peer.recv(1) == b""


@pytest.mark.behaviour("C13")
@pytest.mark.parametrize("first", ["we", "both"])
def test_the_end_of_an_overdue_connection_is_the_stacks(stack, pair, peer_ip, first):
    handle, peer = pair
    stack.start(LONG, 0, 0)
    stack.peer_dead(peer_ip, int(first == "both"))
    stack.close(handle)
    if first == "both":
        peer.shutdown(1)
    else:
        assert peer.recv(1) == b""
        stack.expect(lambda: stack.active_pcbs(FIN_WAIT_2) == 1)
    stack.overdue()
    stack.peer_dead(peer_ip, 0)
    peer.close()
    stack.expect(lambda: stack.active_pcbs(-1) == 0)
    assert stack.memory()["time_wait"] == 1
    assert stack.stats()["overtime"] == 0


@pytest.mark.behaviour("T1")
@pytest.mark.parametrize("data", [0, 3000], ids=["idle", "in-flight"])
def test_abort_gives_everything_back_at_once(stack, pair, capture, peer_ip, data):
    handle, _ = pair
    if data:
        stack.peer_dead(peer_ip, 1)
        stack.write(handle, bytes(data))
    assert stack.abort(handle) == OK
    assert is_empty(stack)
    if not data:
        capture.wait_for(lambda segment: segment.flags & RST_FLAG)


@pytest.mark.behaviour("T1")
def test_abort_during_connect(stack, peer_ip):
    stack.peer_dead(peer_ip, 1)
    handle = stack.connect(peer_ip, 9000)
    assert stack.active_pcbs(SYN_SENT) == 1
    stack.abort(handle)
    assert stack.memory()["pcbs"] == 0


@pytest.mark.behaviour("T3")
def test_linger_zero_resets_at_once(stack, pair):
    handle, peer = pair
    stack.linger(handle, 0)
    stack.close(handle)
    assert is_empty(stack)
    with pytest.raises(ConnectionResetError):
        peer.recv(1)


@pytest.mark.behaviour("T3")
def test_linger_seconds_try_an_orderly_end_first(stack, pair, capture, peer_ip):
    handle, _ = pair
    stack.start(100 * MINUTES, 0, 0)
    stack.linger(handle, LONG // 1000)
    stack.peer_dead(peer_ip, 1)
    stack.write(handle, b"unheard")
    began = stack.now()
    stack.close(handle)
    assert stack.active_pcbs(-1) == 1
    stack.warp(30)
    stack.expect(lambda: is_empty(stack))
    assert stack.now() - began >= LONG
    assert stack.stats()["overtime"] == 1


@pytest.mark.behaviour("T4")
def test_keepalive_finds_a_silent_peer(stack, pair, peer_ip):
    handle, _ = pair
    assert stack.keepalive(handle, 5, 1, 3) == OK
    stack.peer_dead(peer_ip, 1)
    lost = stack.lost()
    stack.warp(10)
    stack.until(handle, ERROR)
    assert stack.error(handle) == ABRT
    assert stack.lost() - lost == 4, "three times it is asked, then it is reset"


@pytest.mark.behaviour("T4")
@pytest.mark.parametrize("half_closed", [False, True])
def test_keepalive_leaves_an_answering_peer_alone(stack, pair, half_closed):
    handle, peer = pair
    stack.keepalive(handle, 1, 1, 6)
    if half_closed:
        peer.shutdown(1)
        stack.until(handle, CLOSED)
        stack.read(handle)
    stack.warp(4)
    began = stack.now()
    while stack.now() - began < 10000:
        stack.gather(500)
    assert stack.error(handle) == OK
    assert stack.active_pcbs(-1) == 1


@pytest.mark.behaviour("T1")
def test_without_the_time_out_lwip_would_hold_on_for_minutes(stack, pair, peer_ip):
    """What the core guards against, made visible: the same close with an hour to linger."""
    handle, _ = pair
    stack.linger(handle, 3600)
    stack.peer_dead(peer_ip, 1)
    stack.write(handle, bytes(3000))
    stack.close(handle)
    stack.warp(300)
    began = stack.now()
    stack.expect(lambda: stack.active_pcbs(-1) == 0, 2 * PATIENCE)
    assert stack.now() - began > MINUTES


@pytest.mark.behaviour("T2")
def test_lose_and_reconnect_ends_where_it_began(stack, wire, peer_ip):
    server = wire.listen(9000)
    before = None
    for cycle in range(60):
        handle = stack.connect(peer_ip, 9000)
        stack.until(handle, 2)
        peer = server.accept()[0]
        stack.write(handle, bytes(3000))
        stack.peer_dead(peer_ip, 1)
        stack.write(handle, bytes(2000))
        stack.abort(handle)
        reset(peer)
        stack.peer_dead(peer_ip, 0)
        if cycle == 10:
            before = stack.memory()
    stack.expect(lambda: has_come_back(stack.memory(), before))
