"""The soak, short, and that it finds what it looks for: `make soak` is the full one.

The short ones give the module twenty times the controller's limits, as other tests may have the
processor at the same time; they show that all of it is exercised. The full one gives the limits.
"""

import os
import signal
import threading

import pytest
from interrupted import children, interrupt
from sim_process import ROLES

from endurance import soak
from endurance.limits import Stopwatch
from endurance.soak import TimedController
from spinet_controller.codes import Command

TRANSACTIONS = 3000
FEW = 300
PATIENCE = 600  # the limits are for `make soak`: here others may have the processor for seconds
STALL_S = 0.4


@pytest.mark.behaviour("L3", stack="sockets")
@pytest.mark.parametrize(
    ("role", "controller"), [*((role, "strict") for role in ROLES), ("module-clocked", "rrf")]
)
def test_no_time_out_is_missed_with_traffic_repl_and_scans(role, controller):
    report = soak.run(TRANSACTIONS, 1, role, PATIENCE, controller=controller)
    assert report["failures"] == []
    assert report["missed"] == 0
    counts = {name: row["count"] for name, row in report["commands"].items()}
    assert sum(counts.values()) == report["transactions"] >= TRANSACTIONS
    assert {"connRead", "connWrite", "connClose", "networkAddSsid"} <= set(counts)
    assert report["scans"] > 0
    assert report["repl"]["evaluated"] > 0
    assert len(report["connections"]) > 3


@pytest.mark.behaviour("L3", stack="lwip")
def test_no_time_out_is_missed_over_lwip():
    report = soak.run(TRANSACTIONS, 1, "module-clocked", PATIENCE, stack="lwip")
    assert (report["failures"], report["missed"]) == ([], 0)
    assert len(report["connections"]) > 3


@pytest.mark.behaviour("L3", stack="sockets")
def test_a_module_that_stalls_is_found(monkeypatch):
    stall = Stall()
    monkeypatch.setattr(TimedController, "pin", stall.pin(TimedController.pin))
    report = soak.run(FEW, 1, "module-clocked", 1, stall)
    stall.timer.join()
    assert report["missed"] >= 1
    assert any("of the controller's time-outs were missed" in line for line in report["failures"])


class Stall:
    """Stops the module between two transactions, for longer than a controller waits."""

    def __init__(self):
        self._before = children()
        self._stopped = None
        self.timer = None

    def __call__(self, done):
        if done >= FEW // 2 and not self._stopped:
            (pid,) = (int(pid) for pid in children() - self._before)
            os.kill(pid, signal.SIGSTOP)
            self._stopped = pid

    def pin(self, real):
        """The controller's pin(): the module goes on STALL_S after the next request."""

        def drive(controller, number, level):
            real(controller, number, level)
            if self._stopped and not self.timer:
                go_on = (self._stopped, signal.SIGCONT)
                self.timer = threading.Timer(STALL_S, os.kill, go_on)
                self.timer.start()

        return drive


def test_a_byte_that_changed_is_found(monkeypatch):
    monkeypatch.setattr(TimedController, "_decoded", spoiled(TimedController._decoded))
    report = soak.run(TRANSACTIONS, 1, "module-clocked", PATIENCE)
    assert "other bytes came to the controller" in report["failures"][0]


def spoiled(decoded):
    """The answers to connRead have another last byte."""

    def decode(self, shifted):
        state, response, data = decoded(self, shifted)
        if data and response not in (20, 168):
            data = data[:-1] + bytes([data[-1] ^ 1])
        return state, response, data

    return decode


def test_an_interrupted_run_leaves_no_process():
    interrupt(lambda advance: soak.run(FEW, 1, "module-clocked", PATIENCE, advance))


def test_a_limit_is_missed_when_it_is_reached():
    stopwatch = Stopwatch(1)
    stopwatch.note(Command.CONN_READ, 0.0999, 0.0999)
    stopwatch.note(Command.NETWORK_ADD_SSID, 0.0999, 0.4999)
    assert stopwatch.failures() == []
    stopwatch.note(Command.CONN_READ, 0.1, 0)
    stopwatch.note(Command.CONN_READ, 0, 0.1)
    stopwatch.note(Command.NETWORK_ADD_SSID, 0.1, 0.5)
    assert stopwatch.missed == 4
    assert stopwatch.failures()[-1] == "4 of the controller's time-outs were missed"


def test_patience_multiplies_the_limits():
    stopwatch = Stopwatch(20)
    stopwatch.note(Command.CONN_READ, 1.9, 1.9)
    assert stopwatch.missed == 0
    stopwatch.note(Command.CONN_READ, 2, 0)
    assert stopwatch.missed == 1


def test_a_miss_is_explained_when_the_wait_for_a_processor_was_longer_than_what_it_was_over():
    stopwatch = Stopwatch(1)
    stopwatch.note(Command.CONN_READ, 0, 0.15)
    stopwatch.explain(0.051, "busy")
    assert (stopwatch.missed, stopwatch.unexplained) == (1, 0)
    stopwatch.note(Command.CONN_READ, 0, 0.15)
    stopwatch.explain(0.049, "slow")
    assert (stopwatch.missed, stopwatch.unexplained) == (2, 1)
