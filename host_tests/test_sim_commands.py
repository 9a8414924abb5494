"""The command set through the SIM binary, in both roles (L1, L4)."""

import socket

import pytest
from raw_controller import listen_or_connect
from sim_process import sim, start_sim

__all__ = ["sim", "start_sim"]

pytestmark = pytest.mark.behaviour("L4")

SECRET = b"plant3d-s3cret"
CONFIG = bytes(16) + b"Workshop".ljust(32, b"\0") + SECRET.ljust(64, b"\0")
LOOPBACK = 0x0100007F


def news(sim):
    """The last error's text."""
    response, data = sim.ask(19)
    return data[: max(0, response - 1)].decode()


def until(sim, condition, *request):
    """Ask until condition(response, data) holds."""
    for _ in range(5000):
        answer = sim.ask(*request)
        if condition(*answer):
            return answer
    raise AssertionError(f"last answer: {answer}")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.mark.behaviour("L1")
def test_network_status_byte_by_byte(sim):
    response, data = sim.ask(9)
    assert response == 168
    assert data[0:4] == bytes(4)
    assert int.from_bytes(data[4:8], "little") > 100_000
    assert data[8:12] == bytes(4)
    assert data[12:16] == bytes([0, 0, 0x40, 0])
    assert data[16:22] == bytes([0x80, 0, 1, 0, 0, 0])
    assert data[28:44] == b"2.3.0-spinet".ljust(16, b"\0")
    assert data[76:140] == b"spinet".ljust(64, b"\0")


@pytest.mark.behaviour("L1")
def test_join_and_status(sim):
    assert sim.ask(10, data=CONFIG)[0] == 0
    assert sim.ask(14, data=b"Workshop")[0] == 0
    state, response, data = sim.controller.transact(b"\x3e\x09" + bytes(4) + b"\0\x08" + bytes(4))
    until(sim, lambda _response, data: data[0:4] == bytes([127, 0, 0, 1]), 9)
    data = sim.ask(9)[1]
    assert data[44:53] == b"Workshop\0"
    assert data[16] == 256 - 48
    assert data[22:28] == bytes([2, 0x53, 0x50, 0, 0, 0x10])
    assert data[156:160] == bytes([1, 3, 1, 0])
    assert sim.ask(14)[0] == -4
    assert (state, response) in ((1, 168), (4, 168))


@pytest.mark.behaviour("L1")
def test_scan(sim):
    assert sim.ask(25)[0] == -12
    assert sim.ask(24)[0] == 0
    assert sim.ask(24)[0] == -13
    response, data = until(sim, lambda response, _data: response != -13, 25)
    assert response == 135
    assert data[0:4] == bytes([256 - 48, 3, 3, 1])
    assert data[12:45] == b"Workshop".ljust(33, b"\0")
    assert sim.ask(25)[0] == -12


@pytest.mark.behaviour("L2")
def test_refusals(sim):
    assert sim.ask(8)[0] == -1
    assert sim.ask(200)[0] == -1
    assert sim.ask(0, version=0xC9)[0] == -2
    assert sim.ask(5, length=2049)[0] == -5
    assert sim.ask(6, 8)[0] == -11
    assert sim.ask(7, flags=4, data=listen_or_connect(443))[0] == -4
    assert sim.ask(27)[0] == -15
    assert news(sim) == "TLS has no certificate and key"
    assert sim.ask(9)[0] == 168


def test_listen_twice_stop_and_a_port_that_is_taken(sim):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert sim.ask(7, data=listen_or_connect(taken.getsockname()[1]))[0] == 0
        assert news(sim) == "Listen failed"
    port = free_port()
    for _ in range(2):
        assert sim.ask(7, data=listen_or_connect(port))[0] == 0
        assert news(sim) == ""
    assert sim.ask(7, data=listen_or_connect(port, limit=0))[0] == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_connection_from_outside(sim):
    port = free_port()
    sim.ask(7, data=listen_or_connect(port, protocol=2))
    with socket.create_connection(("127.0.0.1", port)) as peer:
        _, data = until(sim, lambda _response, data: data[0] == 2, 6, 0)
        assert data[2] == 2
        assert int.from_bytes(data[4:6], "little") == port
        assert int.from_bytes(data[6:8], "little") == peer.getsockname()[1]
        assert data[8:12] == bytes([127, 0, 0, 1])
        peer.sendall(b"ping")
        assert until(sim, lambda response, _data: response, 4, 0)[1] == b"ping"
        assert sim.ask(5, 0, flags=3, data=b"pong")[0] == 4
        assert peer.recv(10) == b"pong"
        assert peer.recv(10) == b""


def test_connection_to_outside(sim):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert sim.ask(3, data=listen_or_connect(port, LOOPBACK, 4))[0] == 0
        peer, _ = server.accept()
        with peer:
            until(sim, lambda _response, data: data[0] == 2, 6, 0)
            assert sim.ask(16)[0] == 0  # networkStop
            with pytest.raises(ConnectionResetError):
                peer.recv(1)
    until(sim, lambda _response, data: data[0] == 0, 6, 0)


def test_passwords_are_nowhere(sim):
    sim.ask(10, data=CONFIG)
    sim.ask(20)
    answers = [sim.ask(command)[1] for command in (9, 12, 19, 21)]
    sim.end()
    printed = "\n".join(sim.lines)
    assert not any(SECRET in answer for answer in answers)
    assert SECRET.decode() not in printed
    assert SECRET in (sim.state / "networks").read_bytes()
