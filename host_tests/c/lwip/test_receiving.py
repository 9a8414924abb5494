"""Reading, the receive window, and how the end of a stream shows."""

import contextlib
import fcntl
import random
import sys
import termios
import time

import pytest
from capture import SYN
from namespace import PATIENCE, reset
from netconn_rig import CLOSED, CLSD, CONNECTED, DATA, ERROR, OK, RST, WOULDBLOCK
from options import here

WINDOW = 2880
MSS = 1440
CLOSE_WAIT = 7


def pattern(length, seed=1):
    """Reproducible bytes."""
    return random.Random(seed).randbytes(length)


def last_window(capture):
    """The window that the module last offered."""
    return capture.sent(lambda segment: not segment.flags & SYN)[-1].window


@pytest.mark.behaviour("D6")
def test_idle_connection_would_block_for_ever(stack, pair):
    handle, peer = pair
    for _ in range(5):
        assert stack.read(handle) == (WOULDBLOCK, b"")
        stack.wait(20)
    peer.sendall(b"at last")
    stack.until(handle, DATA)
    assert stack.read(handle) == (7, b"at last")


def test_partial_reads_keep_order_and_count(stack, pair):
    handle, peer = pair
    sent = pattern(2500)
    peer.sendall(sent)
    stack.expect(lambda: stack.readable(handle) == 2500)
    received = b""
    for size in (1, 2, 3, 699, 1440, 2500):
        count, data = stack.read(handle, size)
        assert count == len(data) == min(size, 2500 - len(received))
        received += data
        assert stack.readable(handle) == 2500 - len(received)
    assert received == sent


def test_read_of_nothing(stack, pair):
    handle, peer = pair
    peer.sendall(b"x")
    stack.until(handle, DATA)
    assert stack.read(handle, 0) == (0, b"")
    assert stack.readable(handle) == 1


@pytest.mark.behaviour("C3")
def test_window_closes_until_credit_is_given(stack, pair, capture):
    handle, peer = pair
    peer.setblocking(False)
    peer.send(bytes(4 * WINDOW))
    stack.expect(lambda: stack.readable(handle) >= WINDOW - 1440)
    stack.expect(lambda: last_window(capture) < MSS)
    taken = stack.read(handle)[0]
    stack.write(handle, b"shows the window")
    peer.settimeout(PATIENCE)
    peer.recv(100)
    assert last_window(capture) < MSS, "reading alone must not open the window"
    capture.clear()
    assert stack.recved(handle, taken) == OK
    stack.expect(lambda: any(s.window >= taken for s in capture.sent()))


@pytest.mark.behaviour("C3")
def test_more_credit_than_was_read_is_not_given(stack, pair, capture):
    handle, peer = pair
    peer.sendall(bytes(2800))
    stack.expect(lambda: stack.readable(handle) == 2800)
    stack.read(handle, 2000)
    assert stack.recved(handle, 60000) == OK
    assert stack.recved(handle, 60000) == OK
    stack.write(handle, b"shows the window")
    peer.recv(100)
    assert last_window(capture) == WINDOW - 800


@pytest.mark.behaviour("C3")
@pytest.mark.parametrize("end", ["fin", "reset", "close", "abort"])
def test_after_any_end_the_next_transfer_has_the_full_window(stack, wire, capture, end):
    listener = stack.listen(80)
    stack.gather(0)
    before = stack.memory()["blocks"]
    for read in (0, 1, 1440, 2500):
        peer = wire.connect(80)
        handle = stack.accepted(listener)
        peer.sendall(bytes(2800))
        stack.expect(lambda h=handle: stack.readable(h) == 2800)
        stack.read(handle, read)
        if end in ("fin", "reset"):
            (peer.close if end == "fin" else lambda p=peer: reset(p))()
            stack.until(handle, CLOSED | ERROR)
        (stack.abort if end == "abort" else stack.close)(handle)
        peer.close()
    stack.expect(lambda: stack.memory()["netconns"] == 1 and stack.active_pcbs(-1) == 0)
    capture.clear()
    peer = wire.connect(80)
    handle = stack.accepted(listener)
    sent = pattern(100_000)
    peer.settimeout(0.01)
    received = transfer(stack, handle, peer, sent)
    assert received == sent
    assert max(segment.window for segment in capture.sent()) == WINDOW
    stack.abort(handle)
    stack.expect(lambda: stack.memory()["blocks"] - stack.memory()["time_wait"] <= before + 2)


def transfer(stack, handle, peer, data):
    """Send from the peer, read and credit here; the bytes that arrived."""
    received = bytearray()
    offset = 0
    while len(received) < len(data):
        if offset < len(data):
            with contextlib.suppress(TimeoutError):
                offset += peer.send(data[offset : offset + 4096])
        count, some = stack.read(handle)
        received += some
        stack.recved(handle, max(0, count))
        if count == WOULDBLOCK and offset == len(data):
            stack.gather()
    return bytes(received)


@pytest.mark.behaviour("D13")
def test_fin_shows_after_the_last_byte(stack, pair):
    handle, peer = pair
    peer.sendall(b"all of it")
    peer.close()
    stack.until(handle, CLOSED)
    assert stack.error(handle) == OK
    assert stack.read(handle, 4) == (4, b"all ")
    assert stack.read(handle) == (5, b"of it")
    for _ in range(3):
        assert stack.read(handle)[0] == CLSD


@pytest.mark.behaviour("D13")
def test_half_closed_peer_still_gets_data(stack, pair):
    handle, peer = pair
    peer.shutdown(1)
    stack.until(handle, CLOSED)
    assert stack.read(handle)[0] == CLSD
    for chunk in (b"a" * 3000, b"b" * 3000, b"c"):
        stack.write_all(handle, chunk)
        received = b""
        while len(received) < len(chunk):
            received += peer.recv(4096)
        assert received == chunk
    stack.close(handle)
    assert peer.recv(1) == b""


@pytest.mark.behaviour("D6")
def test_data_before_a_reset_is_readable_and_the_error_stays(stack, pair):
    handle, peer = pair
    peer.sendall(b"behind")
    stack.until(handle, DATA)
    reset(peer)
    stack.until(handle, ERROR)
    assert stack.read(handle, 3) == (3, b"beh")
    assert stack.read(handle) == (3, b"ind")
    for _ in range(3):
        assert stack.read(handle)[0] == RST
        assert stack.write(handle, b"x") == RST
        assert stack.error(handle) == RST


def test_small_segments_fill_the_chain_and_then_the_mailbox(stack, pair, capture):
    handle, peer = pair
    sent = fill_mailbox(peer, capture)
    stack.expect(lambda: stack.readable(handle) == len(sent))
    sent += fill_mailbox(peer, capture)
    stack.expect(lambda: unacknowledged(peer) == 0)
    reset(peer)
    stack.until(handle, ERROR)
    received = b""
    while (some := stack.read(handle)[1]) != b"":
        received += some
    assert received == sent


def unacknowledged(peer):
    """Bytes that the module has not acknowledged."""
    answer = fcntl.ioctl(peer, termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


def test_full_mailbox_loses_nothing(stack, pair):
    handle, peer = pair
    peer.setsockopt(6, 1, 1)
    for i in range(40):
        peer.send(bytes([i]))
        time.sleep(0.002)
    peer.close()
    assert stack.read_all(handle) == (CLSD, bytes(range(40)))


def open_outgoing(stack, wire, peer_ip):
    """(handle, peer) of a connection from here."""
    server = wire.listen(9000)
    handle = stack.connect(peer_ip, 9000)
    stack.until(handle, CONNECTED)
    return handle, server.accept()[0]


def fill_mailbox(peer, capture):
    """One segment for each place of the receive mailbox; the bytes."""
    places = here(["DEFAULT_TCP_RECVMBOX_SIZE"])["DEFAULT_TCP_RECVMBOX_SIZE"]
    peer.setsockopt(6, 1, 1)  # TCP_NODELAY
    for i in range(places):
        peer.send(bytes([i]))
        capture.wait_for(lambda s, byte=bytes([i]): not s.from_module and s.data == byte)
    return bytes(range(places))


@pytest.mark.behaviour("C12")
@pytest.mark.parametrize("kind", ["accepted", "waiting", "outgoing"])
def test_a_fin_shows_when_the_mailbox_is_full(stack, wire, capture, peer_ip, kind):
    listener = stack.listen(80)
    if kind == "outgoing":
        handle, peer = open_outgoing(stack, wire, peer_ip)
    else:
        peer = wire.connect(80)
        handle = stack.accepted(listener) if kind == "accepted" else None
    sent = fill_mailbox(peer, capture)
    peer.shutdown(1)
    stack.expect(lambda: stack.active_pcbs(CLOSE_WAIT) == 1)
    handle = handle or stack.accept(listener)
    stack.until(handle, CLOSED)
    assert stack.read(handle) == (len(sent), sent)
    assert [stack.read(handle)[0] for _ in range(3)] == [CLSD] * 3
    assert stack.write(handle, b"an answer") == 9
    assert peer.recv(20) == b"an answer"


@pytest.mark.behaviour("C3")
def test_shutdown_rx_drops_credits_and_still_sees_the_end(stack, pair, capture):
    handle, peer = pair
    peer.sendall(bytes(2500))
    stack.expect(lambda: stack.readable(handle) == 2500)
    assert stack.shutdown_rx(handle) == OK
    assert stack.readable(handle) == 0
    peer.sendall(bytes(200_000))
    assert stack.readable(handle) == 0
    assert stack.write(handle, b"and still") == 9
    assert peer.recv(20) == b"and still"
    peer.close()
    stack.until(handle, CLOSED)
    # What opens it by less than a segment is not told to the peer.
    stack.expect(lambda: last_window(capture) > WINDOW - MSS)
    assert stack.read(handle)[0] == CLSD
