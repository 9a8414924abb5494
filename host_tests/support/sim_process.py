"""SIM as a process, joined to a RawController: `sim` for both roles, `start_sim` for the rest.

The role "nina" is the third one of the bus, whose controller is a NinaController.

A process that printed a traceback fails its test, also one that saw nothing wrong.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from nina_controller import NinaController
from project import ROOT
from raw_controller import (
    CONTROLLER_CLOCKED,
    DATA_READY,
    MODULE_CLOCKED,
    PATIENCE,
    RESET,
    RawController,
    request,
)
from rrf_controller import CONTROLLERS, UNHURRIED

BINARY = ROOT / "build" / "sim" / "micropython"
LWIP_BINARY = ROOT / "build" / "sim-lwip" / "micropython"
# SIM, with each last error, as the trace has it, on stderr.
TELLING = """
import sys
import sim
from spinet import trace

say = trace.say

def told(text):
    say(text)
    sim.say("trace: " + trace.TRACE.texts[(trace.TRACE.said - 1) % len(trace.TRACE.texts)].decode())

trace.say = told
sys.exit(sim.main(sys.argv[1:]))
"""
ROLES = {"module-clocked": MODULE_CLOCKED, "controller-clocked": CONTROLLER_CLOCKED}


def stand_still(process):
    """Stop a process, and wait until each of its threads is stopped."""
    process.send_signal(signal.SIGSTOP)
    limit = time.monotonic() + PATIENCE
    tasks = Path(f"/proc/{process.pid}/task")
    while any(
        task.read_text().rpartition(")")[2].split()[0] != "T" for task in tasks.glob("*/stat")
    ):
        assert time.monotonic() < limit, "the process does not stop"
        time.sleep(0.001)


class SimProcess:
    """One process of a SIM binary; what it says on stderr is collected line by line.

    `before` is a command that runs it.
    """

    def __init__(self, arguments, binary=BINARY, before=(), **popen):
        assert binary.exists(), "SIM is not built: make build, make build STACK=lwip"
        popen.setdefault("stdin", subprocess.DEVNULL)
        popen.setdefault("stdout", subprocess.PIPE)
        self.process = subprocess.Popen(
            [*before, str(binary), *arguments], stderr=subprocess.PIPE, text=True, **popen
        )
        self.lines = []
        self._news = threading.Condition()
        self._fell_silent = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._fell_silent = True
            self._news.notify_all()

    def said(self, text):
        """Wait until a line with this text is there; a process that ended says no more."""

        def there():
            return any(text in line for line in self.lines)

        with self._news:
            self._news.wait_for(lambda: there() or self._fell_silent, PATIENCE)
        assert there(), f"'{text}' was never said, but: {self.lines}"

    def wait(self):
        """The exit code of a process that ends by itself."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def signal(self, number):
        self.process.send_signal(number)

    def stand_still(self):
        """Stop all of its threads, until SIGCONT."""
        stand_still(self.process)

    def end(self):
        """Kill what is left of it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def check(self):
        """Fail when it printed a traceback."""
        assert not any("Traceback" in line for line in self.lines), "\n".join(self.lines)


class Sim(SimProcess):
    """A serving module and its controller; transactions are the controller's."""

    def __init__(self, role, folder, *options, script=("-m", "sim"), controller=None, **popen):
        self.role = role
        nina = role == "nina"
        self.controller = controller or (NinaController() if nina else RawController())
        self.state = folder / "state"
        super().__init__(
            [
                *script,
                *("--port", str(self.controller.port)),
                *(("--protocol", "nina") if nina else ("--role", role)),
                *("--state", str(self.state)),
                *options,
            ],
            cwd=folder,
            **popen,
        )

    def power_on(self):
        """Take the module and wait until it has booted; its version text."""
        version = self.controller.accept()
        self.controller.wait_boot()
        return version

    def ask(self, command, *args, **fields):
        """One transaction: (response, data)."""
        _, response, data = self.controller.transact(request(command, *args, **fields))
        return response, data

    def ask_until(self, condition, command, *args, **fields):
        """Ask again and again until condition(response, data) holds; that answer."""
        limit = time.monotonic() + PATIENCE
        while not condition(*(answer := self.ask(command, *args, **fields))):
            assert time.monotonic() < limit, f"last answer: {answer}"
        return answer

    def gone(self):
        """Read on until the module has closed the bus."""
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                self.controller.receive()

    def end(self):
        super().end()
        self.controller.close()


@pytest.fixture
def start_sim(tmp_path, pytestconfig):
    """start_sim(role, *options) -> Sim; all are ended and looked at.

    Module-clocked, `controller` is the name of its controller, one of CONTROLLERS; by default that
    of pytest's option.
    """
    started = []

    def start(role, *options, controller=None, **popen):
        if role == "module-clocked":
            popen["controller"] = make_controller(controller or pytestconfig.option.controller)
        started.append(Sim(role, tmp_path, *options, **popen))
        return started[-1]

    yield start
    for each in started:
        each.end()
    for each in started:
        each.check()


@pytest.fixture(params=list(ROLES))
def sim(request, start_sim):
    """A module that has booted, in each role."""
    started = start_sim(request.param)
    started.power_on()
    return started


def make_controller(name):
    """A controller that waits for as long as a busy computer may take."""
    controller = CONTROLLERS[name]()
    controller.patience = UNHURRIED
    return controller


@pytest.fixture
def run_sim(tmp_path):
    """run_sim(*arguments) -> (exit code, stdout, stderr) of a process that ends by itself."""

    def run(*arguments):
        done = subprocess.run(
            [str(BINARY), "-m", "sim", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def is_running(pid):
    """True while a process has this id."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


INTERRUPT, TERMINATE = signal.SIGINT, signal.SIGTERM


def reset(sim):
    """Pulse RESET and wait for the new boot."""
    controller = sim.controller
    controller.pin(RESET, 0)
    controller.pin(RESET, 1)
    controller.rises = 0
    controller.pins[DATA_READY] = 0
    controller.wait_boot()
