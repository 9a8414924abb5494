"""The data path on the real VM with its heap locked: each allocation raises MemoryError."""

import socket
import struct

import pytest
from own_network import WITH_TAP, own_network
from own_port import own_port
from project import ROOT
from raw_controller import PATIENCE, listen_or_connect
from sim_process import LWIP_BINARY, ROLES, SimProcess, start_sim

__all__ = ["start_sim"]

VM = ROOT / "host_tests" / "vm"
SCENARIOS = 17


def run_script(name, *arguments, **where):
    """What a script printed under the VM; fails with its trace when it ended badly."""
    process = SimProcess([str(VM / name), str(ROOT / "host_tests/support"), *arguments], **where)
    try:
        out = process.process.stdout.read()
        code = process.wait()
    finally:
        process.end()
    assert code == 0, "\n".join([out, *process.lines])
    return out


@pytest.mark.parametrize("role", ROLES)
def test_no_pass_of_the_loop_allocates(role):
    out = run_script("heap_memory.py", role)
    assert out.count("ok ") == SCENARIOS
    assert out.endswith("done\n")


@pytest.mark.parametrize("role", ROLES)
def test_no_pass_of_the_loop_allocates_with_lwip(role):
    with own_network():
        out = run_script("heap_memory.py", role, binary=LWIP_BINARY, before=WITH_TAP)
    assert out.count("ok ") == SCENARIOS
    assert out.endswith("done\n")


# --- over the virtual bus


@pytest.fixture(params=list(ROLES))
def locked(request, start_sim):
    """A module with a listener and two connections, whose heap is locked."""
    sim = start_sim(request.param, script=(str(VM / "heap_bus.py"),))
    sim.power_on()
    sim.tcp_port = own_port()
    assert sim.ask(7, data=listen_or_connect(sim.tcp_port))[0] == 0
    sim.peers = [dial(sim, 0), dial(sim, 1)]
    assert sim.ask(20)[0] == 0
    yield sim
    assert sim.ask(20)[0] == 0  # unlocked: it still lives
    assert sim.ask(9)[0] == 168
    for peer in sim.peers:
        peer.close()


def dial(sim, slot):
    peer = socket.create_connection(("127.0.0.1", sim.tcp_port))
    peer.settimeout(PATIENCE)
    status_is(sim, slot, 2)
    return peer


def status(sim, slot):
    """(state, bytes available, room) of a slot."""
    response, data = sim.ask(6, slot)
    assert response == 20
    return (data[0], *struct.unpack_from("<HH", data, 12))


def status_is(sim, slot, state):
    sim.ask_until(lambda _response, data: data[0] == state, 6, slot)


def read(sim, slot, n):
    got = b""
    while len(got) < n:
        got += sim.ask_until(lambda response, _data: response > 0, 4, slot)[1]
    return got


def receive(peer, n):
    got = b""
    while len(got) < n:
        got += peer.recv(65536)
    return got


TEXT = bytes(range(256)) * 32
MUCH = 64 << 20  # more than any two sockets hold


def test_both_directions(locked):
    for slot, peer in enumerate(locked.peers):
        peer.sendall(TEXT)
        assert read(locked, slot, len(TEXT)) == TEXT
        for at in range(0, len(TEXT), 2048):
            sent = 0
            while sent < 2048:
                sent += locked.ask(5, slot, flags=2, data=TEXT[at + sent : at + 2048])[0]
        assert receive(peer, len(TEXT)) == TEXT


def test_full_and_room_again(locked):
    peer = locked.peers[0]
    sent, full = 0, False
    while not full:  # an ACK that was late may make room after there was none
        accepted = locked.ask(5, 0, data=TEXT[:2048])[0]
        sent += accepted
        assert sent < MUCH
        full = accepted == 0 and status(locked, 0)[2] == 0
    receive(peer, sent // 2)
    locked.ask_until(lambda _response, data: data[14:16] != bytes(2), 6, 0)


def test_peers_that_leave(locked):
    first, second = locked.peers
    first.sendall(b"last words")
    first.shutdown(socket.SHUT_WR)
    assert read(locked, 0, 10) == b"last words"
    status_is(locked, 0, 3)
    assert locked.ask(2, 0)[0] == 0
    status_is(locked, 0, 0)
    second.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    second.close()
    status_is(locked, 1, 3)
    assert locked.ask(1, 1)[0] == 0
    status_is(locked, 1, 0)


def test_write_to_a_peer_that_reset(locked):
    peer = locked.peers[0]
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    locked.ask(5, 0, flags=2, data=TEXT[:2048])
    status_is(locked, 0, 3)


def test_close_after_write(locked):
    assert locked.ask(5, 0, flags=1, data=b"bye")[0] == 3
    assert receive(locked.peers[0], 3) == b"bye"
    locked.peers[0].close()
    status_is(locked, 0, 0)


def test_the_lock_holds(start_sim):
    sim = start_sim("module-clocked", script=(str(VM / "heap_bus.py"),))
    sim.power_on()
    sim.ask(20)
    with pytest.raises((EOFError, ConnectionResetError)):
        sim.ask(12)  # networkListSsids makes a list
    sim.said("MemoryError")
    sim.wait()
    sim.lines.clear()  # it was meant to be
