"""`spinet-controller trace` with a real module: its REPL on a pseudo-terminal, and its console."""

import contextlib
import json
import os
import pty
import socket
import subprocess
import sys
import threading
import tty
from pathlib import Path

import pytest
from own_port import own_port
from raw_controller import PATIENCE, listen_or_connect
from sim_process import start_sim

__all__ = ["start_sim"]

TOOL = Path(sys.executable).with_name("spinet-controller")


def trace(*arguments):
    """The events that the tool found."""
    done = subprocess.run(
        [TOOL, "trace", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["missing"] == 0
    return document["events"]


def one_connection(sim):
    """A connection that the controller closes; its local port."""
    port = own_port()
    assert sim.ask(7, data=listen_or_connect(port))[0] == 0
    with socket.create_connection(("127.0.0.1", port)):
        state_is(sim, 2)
        sim.ask(1, 0)
        state_is(sim, 0)
    return port


def state_is(sim, state):
    sim.ask_until(lambda _response, data: data[0] == state, 6, 0)


def check(events, port):
    kinds = [event["kind"] for event in events]
    assert kinds[0] == "boot"
    states = [e["values"][0] for e in events if e["kind"] == "state" and e["slot"] == 0]
    assert states == [7, 2, 6, 0]
    listened = next(event for event in events if event["kind"] == "listen")
    assert listened["values"] == [port, 0]
    assert next(event for event in events if event["kind"] == "ports")["values"][0] == port


class Cable:
    """Two pseudo-terminals joined: a program is on one, and what opens `port` on the other.

    Programs on it are ended before it is closed.
    """

    def __init__(self):
        self._masters, self._slaves = zip(*(pty.openpty() for _ in range(2)), strict=True)
        tty.setraw(self._slaves[1])  # a cable has no echo
        self.program = self._slaves[0]
        self.port = os.ttyname(self._slaves[1])
        self._carriers = [
            threading.Thread(target=self._carry, args=ends, daemon=True)
            for ends in (self._masters, self._masters[::-1])
        ]
        for carrier in self._carriers:
            carrier.start()

    def _carry(self, here, there):
        with contextlib.suppress(OSError):
            while True:
                os.write(there, os.read(here, 4096))

    def close(self):
        for end in self._slaves:
            os.close(end)
        for carrier in self._carriers:
            carrier.join(PATIENCE)  # else it would read from the next file of its number
            assert not carrier.is_alive()
        for end in self._masters:
            os.close(end)


@pytest.fixture
def cable():
    cable = Cable()
    yield cable
    cable.close()


def test_from_the_repl_while_it_serves(cable, start_sim):
    sim = start_sim(
        "module-clocked",
        "--repl",
        script=("-i", "-m", "sim"),
        stdin=cable.program,
        stdout=cable.program,
    )
    sim.power_on()
    port = one_connection(sim)
    check(trace("--port", cable.port), port)
    assert one_connection(sim)  # the service has not noticed


def test_from_the_console_after_diagnostics(start_sim, tmp_path):
    log = tmp_path / "console"
    with log.open("w") as console:
        sim = start_sim("module-clocked", stdout=console)
    sim.power_on()
    port = one_connection(sim)
    assert sim.ask(20)[0] == 0
    for _ in range(50):
        assert sim.ask(0)[0] == 0  # it goes on serving while it prints, a line in each pass
    sim.ask(16)
    sim.ask_until(lambda *_: "~trace end" in log.read_text(), 0)
    check(trace("--log", str(log)), port)
