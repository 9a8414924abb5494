"""Listeners, accepted and outgoing connections, handles."""

import socket
import struct
import time

import pytest
from namespace import MODULE, NOBODY, PATIENCE, PEERS, as_int, reset
from netconn_rig import (
    ARG,
    CLSD,
    CONNECTED,
    DATA,
    ERROR,
    MEM,
    OK,
    RST,
    TIMEOUT,
    USE,
    WOULDBLOCK,
    Rig,
)


def test_loopback_without_a_device(program):
    stack = Rig(program)
    listener = stack.listen(80)
    outgoing = stack.connect(as_int("127.0.0.1"), 80)
    incoming = stack.accepted(listener)
    stack.until(outgoing, CONNECTED)
    assert stack.write(outgoing, b"hello") == 5
    stack.until(incoming, DATA)
    assert stack.read(incoming) == (5, b"hello")
    assert stack.finish() == (0, "")


def test_accepted_connection_knows_its_addresses(stack, wire):
    listener = stack.listen(8080)
    peer = wire.connect(8080)
    handle = stack.accepted(listener)
    expected = struct.pack("<HH", 8080, peer.getsockname()[1]) + socket.inet_aton(PEERS[0])
    assert stack.addresses(handle) == expected
    assert stack.addresses(listener) == struct.pack("<HH", 8080, 0) + bytes(4)


def test_same_port_twice_is_refused_and_leaves_nothing(stack):
    stack.listen(80)
    before = stack.memory()
    assert stack.listen(80) == USE
    assert stack.memory() == before


def test_port_can_be_listened_on_again_at_once(stack, wire):
    listener = stack.listen(80)
    peer = wire.connect(80)
    handle = stack.accepted(listener)
    stack.close(handle)
    peer.close()
    stack.expect(lambda: stack.memory()["time_wait"] == 1)
    stack.close(listener)
    assert stack.listen(80) > 0


@pytest.mark.behaviour("D14")
def test_accept_without_a_free_entry_leaves_the_connection_waiting(stack, wire):
    listener = stack.listen(80)
    others = [stack.listen(1000 + i) for i in range(23)]
    peer = wire.connect(80)
    stack.until(listener, 1)
    assert stack.accept(listener) == MEM
    stack.close(others[0])
    assert stack.accept(listener) > 0
    peer.close()


def test_table_full(stack):
    handles = [stack.listen(1000 + i) for i in range(24)]
    assert min(handles) > 0
    before = stack.memory()
    assert stack.listen(2000) == MEM
    assert stack.connect(as_int(PEERS[0]), 9) == MEM
    assert stack.memory() == before


def test_connect_and_talk(stack, wire, peer_ip):
    server = wire.listen(9000)
    handle = stack.connect(peer_ip, 9000)
    stack.until(handle, CONNECTED)
    connection, address = server.accept()
    assert stack.addresses(handle) == struct.pack("<HH", address[1], 9000) + socket.inet_aton(
        PEERS[0]
    )
    assert stack.write(handle, b"ping") == 4
    assert connection.recv(10) == b"ping"
    connection.sendall(b"pong")
    stack.until(handle, DATA)
    assert stack.read(handle) == (4, b"pong")


def test_write_before_connected_would_block(stack, peer_ip):
    stack.peer_dead(peer_ip, 1)
    handle = stack.connect(peer_ip, 9000)
    assert stack.write(handle, b"early") == WOULDBLOCK
    assert stack.in_flight(handle) == 0


@pytest.mark.behaviour("D14")
def test_refused_connect_reports_reset(stack, peer_ip):
    handle = stack.connect(peer_ip, 9)
    stack.until(handle, ERROR)
    assert stack.error(handle) == RST
    assert stack.read(handle)[0] == RST
    assert stack.write(handle, b"x") == RST
    assert stack.close(handle) == OK
    assert stack.memory()["pcbs"] == 0


@pytest.mark.behaviour("N1")
@pytest.mark.parametrize("target", [PEERS[0], NOBODY], ids=["silent", "absent"])
def test_connect_times_out(stack, target):
    stack.start(0, 700, 0)
    stack.peer_dead(as_int(target), 1)
    handle = stack.connect(as_int(target), 9000)
    stack.until(handle, ERROR)
    assert stack.error(handle) == TIMEOUT
    assert stack.stats()["connect_timeouts"] == 1
    assert stack.memory()["pcbs"] == 0


@pytest.mark.behaviour("C11")
def test_connect_to_a_silent_peer_returns_at_once(stack):
    stack.peer_dead(as_int(NOBODY), 1)
    handle = stack.connect(as_int(NOBODY), 9000)
    assert handle > 0
    assert stack.wait(20) == 0


@pytest.mark.behaviour("C8")
def test_overlapping_attempts_do_not_mix(stack, wire, peer_ip):
    server = wire.listen(9000)
    stack.start(0, 60_000, 0)
    stack.peer_dead(peer_ip, 1)
    began = stack.now()
    old = stack.connect(peer_ip, 9000)
    stack.warp(10)
    assert stack.wait(8000) == 0
    stack.warp(1)
    new = stack.connect(peer_ip, 9000)
    stack.start(0, stack.now() - began, 0)  # the old one's time is over, the new one has seconds
    stack.until(old, ERROR)
    assert stack.error(old) == TIMEOUT
    assert stack.error(new) == OK
    assert not stack.seen(new) & ERROR
    stack.peer_dead(peer_ip, 0)
    stack.start(0, 60_000, 0)
    stack.until(new, CONNECTED)
    server.accept()[0].close()
    assert stack.error(old) == TIMEOUT


@pytest.mark.behaviour("C4")
def test_closed_attempt_is_touched_by_nothing_later(stack, wire, peer_ip):
    wire.listen(9000)
    stack.peer_dead(peer_ip, 1)
    handle = stack.connect(peer_ip, 9000)
    stack.close(handle)
    assert stack.memory()["pcbs"] == 0
    successor = stack.listen(80)
    assert successor & 31 == handle & 31
    stack.peer_dead(peer_ip, 0)
    assert stack.wait(300) == 0
    assert stack.events(successor) == 0


@pytest.mark.behaviour("C4")
def test_late_reset_of_a_closed_connection_reaches_nobody(stack, wire):
    listener = stack.listen(80)
    peer = wire.connect(80)
    handle = stack.accepted(listener)
    stack.close(handle)
    successor = stack.listen(81)
    assert successor & 31 == handle & 31
    stack.gather()
    reset(peer)
    stack.expect(lambda: stack.stats()["orphans"] == 0)
    assert stack.events(successor) == 0
    assert stack.error(successor) == OK


@pytest.mark.behaviour("N4")
@pytest.mark.behaviour("K4")
@pytest.mark.parametrize("end", ["close", "abort"])
def test_ended_handle_is_refused_everywhere(stack, pair, end):
    handle, _ = pair
    getattr(stack, end)(handle)
    stale = stack.stats()["stale"]
    calls = ("accept", "readable", "recved", "shutdown_rx", "in_flight")
    calls += ("close", "abort", "linger", "keepalive", "events", "error")
    results = [getattr(stack, name)(handle) for name in calls]
    results += [stack.read(handle)[0], stack.write(handle, b"x")]
    assert set(results) == {ARG}
    assert stack.stats()["stale"] == stale + len(results)


@pytest.mark.behaviour("K4")
def test_stale_handle_does_not_reach_the_entrys_next_owner(stack, pair):
    handle, _ = pair
    stack.close(handle)
    successor = stack.listen(81)
    assert successor & 31 == handle & 31
    assert successor != handle
    assert stack.close(handle) == ARG
    assert stack.abort(handle) == ARG
    assert stack.addresses(successor)[:2] == b"\x51\x00"


@pytest.mark.parametrize("nonsense", [0, -1, 31, 25, 2**29 - 1, -(2**31)])
def test_nonsense_handles_are_refused(stack, nonsense):
    assert stack.close(nonsense) == ARG
    assert stack.events(nonsense) == ARG


def test_handles_are_small_positive_integers(stack):
    for _ in range(50):
        handle = stack.listen(80)
        assert 0 < handle < 2**29
        stack.close(handle)


@pytest.mark.behaviour("K3")
def test_reset_right_after_the_handshake_is_handed_out(stack, wire):
    listener = stack.listen(80)
    peer = wire.connect(80)
    stack.until(listener, 1)
    reset(peer)
    stack.expect(lambda: stack.active_pcbs(-1) == 0)
    handle = stack.accept(listener)
    assert handle > 0
    assert stack.events(handle) & ERROR
    assert stack.error(handle) == RST
    assert stack.read(handle)[0] == RST
    assert stack.write(handle, b"x") == RST
    assert stack.close(handle) == OK


@pytest.mark.behaviour("K3")
@pytest.mark.behaviour("D13")
def test_data_and_fin_before_accept_are_reported(stack, wire):
    listener = stack.listen(80)
    peer = wire.connect(80)
    peer.sendall(b"early bird")
    peer.close()
    stack.expect(lambda: stack.active_pcbs(7) == 1)  # CLOSE-WAIT
    handle = stack.accept(listener)
    assert stack.events(handle) & (4 | 16) == 4 | 16
    assert stack.read_all(handle) == (CLSD, b"early bird")


@pytest.mark.behaviour("K3")
def test_data_then_reset_before_accept(stack, wire):
    listener = stack.listen(80)
    peer = wire.connect(80)
    peer.sendall(b"last words")
    stack.until(listener, 1)
    stack.gather(100)
    reset(peer)
    stack.expect(lambda: stack.active_pcbs(-1) == 0)
    handle = stack.accept(listener)
    assert stack.read_all(handle) == (RST, b"last words")


@pytest.mark.behaviour("C5")
@pytest.mark.parametrize("end", ["close", "abort"])
def test_listener_ended_with_connections_waiting(stack, wire, end):
    listener = stack.listen(80, 6)
    peers = [wire.connect(80) for _ in range(5)]
    stack.until(listener, 1)
    reset(peers[0])
    getattr(stack, end)(listener)
    for peer in peers[1:]:
        with pytest.raises(ConnectionResetError):
            peer.recv(1)
    assert stack.memory()["pcbs"] == 0
    assert stack.memory()["netconns"] == 0


@pytest.mark.behaviour("D18")
def test_stop_leaves_nothing(stack, wire, peer_ip):
    before = stack.memory()
    listener = stack.listen(80)
    peers = [wire.connect(80) for _ in range(4)]
    handles = [stack.accepted(listener) for _ in peers[:3]]
    stack.write(handles[0], b"in flight")
    stack.close(handles[1])
    stack.connect(as_int(NOBODY), 1)
    stack.stop()
    # The fourth is not accepted: lwIP itself ends it, if it was in mid-handshake.
    limit = time.monotonic() + PATIENCE
    while stack.memory()["pcbs"] and time.monotonic() < limit:
        time.sleep(0.01)
    now = stack.memory()
    assert (now["pcbs"], now["netconns"], now["segments"]) == (0, 0, 0)
    assert before["netconns"] == 0
    assert stack.stats()["entries"] == 0


@pytest.mark.behaviour("D8")
def test_connection_outlives_its_listener(stack, pair):
    handle, peer = pair
    stack.close(32)  # the listener: first entry, first generation
    assert stack.write(handle, b"still here") == 10
    assert peer.recv(20) == b"still here"
    stack.close(handle)
    assert peer.recv(1) == b""


def test_module_address_is_the_configured_one(stack, pair):
    assert pair[1].getpeername() == (MODULE, 80)
