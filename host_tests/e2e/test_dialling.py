"""`spinet-controller call-home` and `connect` with a SIM module of their own, on both stacks."""

import contextlib
import json
import os
import random
import socket
import subprocess
import time

import pytest
from own_network import WITH_TAP, own_network
from printer_process import COMMAND, PATIENCE, SIMS, UNHURRIED

# with_tap.py gives lwIP the second address of its network and this computer the first.
ON_TAP = ("sh", "-c", 'exec "$@" "${SPINET_ADDRESS%.*}.1" "$PEER_PORT"', "sh")


@pytest.fixture(params=["sockets", "lwip"])
def stack(request):
    with own_network() if request.param == "lwip" else contextlib.nullcontext():
        yield request.param


@pytest.fixture
def server(stack):
    """This computer's end, which the module dials."""
    with socket.create_server(("0.0.0.0" if stack == "lwip" else "127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        yield server


@contextlib.contextmanager
def dialling(stack, server, word, *options, stdin=subprocess.DEVNULL):
    """spinet-controller, whose module dials this computer's end."""
    port = str(server.getsockname()[1])
    module = ("--sim", SIMS[stack], "--bus-port", "0", *UNHURRIED)
    command = [COMMAND, word, *module, *options]
    process = subprocess.Popen(
        [*WITH_TAP, *ON_TAP, *command] if stack == "lwip" else [*command, "127.0.0.1", port],
        env={**os.environ, "PEER_PORT": port},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)


@pytest.mark.behaviour("C9", "C10")
def test_a_service_that_calls_home_comes_again_when_its_connection_ends(stack, server):
    with dialling(stack, server, "call-home", "--echo", "--count", "2", "--json") as process:
        for text in (b"hello", b"hello again"):
            peer, _ = server.accept()
            with peer:
                peer.settimeout(PATIENCE)
                peer.sendall(text)
                peer.shutdown(socket.SHUT_WR)
                assert peer.makefile("rb").read() == text
        out, err = process.communicate(timeout=PATIENCE)
    events = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0, err
    assert [event["text"] for event in events if event["event"] == "data"] == [
        "hello",
        "hello again",
    ]


@pytest.mark.behaviour("C9")
def test_a_peer_that_is_not_there_is_told_and_given_up(stack, server):
    server.listen(0)
    server.shutdown(socket.SHUT_RDWR)  # the port stays ours, and refuses
    with dialling(stack, server, "call-home", "--attempts", "2") as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (1, "")
    assert "the module says: call home to " in err
    assert err.splitlines()[-1].startswith("error: call home to ")
    assert err.endswith(" given up: refused\n")


@pytest.mark.behaviour("D7")
def test_what_was_sent_arrives_before_the_module_loses_its_power(stack, server, tmp_path):
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    data = random.Random(7).randbytes(15000)
    (tmp_path / "input").write_bytes(data)
    received = b""
    with (
        (tmp_path / "input").open("rb") as source,
        dialling(stack, server, "connect", "--quiet", "0.05", stdin=source) as process,
    ):
        peer, _ = server.accept()
        with peer:
            peer.settimeout(PATIENCE)
            while some := peer.recv(500):
                received += some
                time.sleep(0.05)  # the rest is with the module when there is no more input
        out, err = process.communicate(timeout=PATIENCE)
    assert received == data
    assert (process.returncode, out) == (0, ""), err
