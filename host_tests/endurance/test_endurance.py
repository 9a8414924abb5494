"""The long runs, short: `make churn`, `make interrupt` and `make transfer` are the full ones."""

import os
import pty
import re
import signal
import subprocess
import sys

import pytest
from project import ROOT

from endurance import churn, handshakes, interrupt, transfer

CHURNED = 1500
INTERRUPTED = 100


@pytest.mark.behaviour("N5", "D17", "D9", stack="lwip")
def test_churn_leaves_everything_where_it_began_and_a_probe_served():
    report = churn.run(CHURNED, 32, 1)
    assert report["failures"] == []
    assert sum(report["done"].values()) == CHURNED
    assert set(report["done"]) >= set(churn.SHARES)
    assert report["probeServed"] > 0


@pytest.mark.behaviour("K2", stack="lwip")
def test_interrupted_transfers_leave_nothing():
    report = interrupt.run(INTERRUPTED, 4, 1)
    assert report["failures"] == []
    assert sum(report["done"].values()) == INTERRUPTED
    assert len(report["done"]) == len(interrupt.WAYS) * len(interrupt.DIRECTIONS)


@pytest.mark.behaviour("K2", stack="lwip")
def test_a_seed_draws_the_same_interruptions_again():
    first, again, other = (interrupt.run(8, parallel, seed) for parallel, seed in RUNS)
    assert first["points"] == again["points"] != other["points"]
    assert first["done"] == again["done"]


RUNS = ((1, 7), (4, 7), (4, 8))


@pytest.mark.behaviour("D5", stack="lwip")
def test_everything_arrives_over_a_bad_wire():
    report = transfer.run(1, 50, 20, 20, 1)
    assert report["failures"] == []
    assert report["framesLost"] > 0


@pytest.mark.behaviour("T2")
def test_handshakes_of_every_kind_leave_nothing():
    report = handshakes.run(16, "module-clocked")
    assert report["failures"] == []
    assert sum(report["handshakes"].values()) == 16
    assert len(report["handshakes"]) == 6


@pytest.mark.parametrize("run", ["churn", "interrupt"])
def test_ctrl_c_ends_it_in_order(run):
    """As at a terminal, which signals the whole group."""
    terminal, its_end = pty.openpty()
    command = [sys.executable, "-m", "endurance", run, "--cycles", "100000000"]
    environment = os.environ | {"PYTHONPATH": ROOT / "host_tests", "TERM": "xterm"}
    process = subprocess.Popen(command, stderr=its_end, env=environment, start_new_session=True)
    os.close(its_end)
    seen = b""
    while not re.search(rb"[1-9]\d*/\d", seen):  # beside the bar: some are done
        seen += os.read(terminal, 4096)
    os.killpg(process.pid, signal.SIGINT)
    seen += rest_of(terminal)
    assert (process.wait(PATIENCE_S), b"Traceback" in seen) == (130, False), seen.decode()


def rest_of(terminal):
    """What is printed there until all its writers have ended."""
    seen = b""
    try:
        while data := os.read(terminal, 4096):
            seen += data
    except OSError:
        os.close(terminal)  # EIO: the other end is closed
    return seen


PATIENCE_S = 60
