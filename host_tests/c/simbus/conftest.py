"""A module in NINA's role in C (selecting.c), told each step that its service takes.

Under the address and undefined-behaviour sanitizers; SIMBUS_SANITIZE=thread: under ThreadSanitizer.
"""

import os
import select
import subprocess

import pytest
from nina_controller import NinaController
from project import ROOT
from raw_controller import PATIENCE

CORE = ROOT / "boards" / "SIM" / "simbus"
SERVICE = ROOT / "host_tests/c/simbus" / "selecting.c"
SANITIZE = os.environ.get("SIMBUS_SANITIZE", "address,undefined")
UNHURRIED_MS = 600_000


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The core with its service, every warning an error."""
    path = tmp_path_factory.mktemp("selected") / "selecting"
    flags = ["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"]
    sanitize = [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all"]
    sources = [SERVICE, CORE / "selected.c", CORE / "frames.c", "-I", CORE]
    subprocess.run(["gcc", *flags, *sanitize, *sources, "-o", path], check=True)
    return path


class Module:
    """The process and its controller; a method for each step of the service."""

    def __init__(self, program, patience_ms=UNHURRIED_MS, sck_hz=0):
        self.controller = NinaController()
        self.process = subprocess.Popen(
            [program, str(patience_ms), str(sck_hz)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def begin(self, word, number=0):
        """Have the service take a step."""
        print(word, number, file=self.process.stdin)

    def ended(self):
        """What the step gave."""
        assert select.select([self.process.stdout], [], [], PATIENCE)[0], "the service is stuck"
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return int(line)

    def step(self, word, number=0):
        """Have the service take a step: what it gives."""
        self.begin(word, number)
        return self.ended()

    def power_on(self):
        """Connect; the frames of a boot have come."""
        self.begin("start", self.controller.port)
        assert self.controller.accept() == b"v"
        assert self.ended() == 0
        assert self.step("cycle") == 0
        self.settle()

    def settle(self):
        """All that the module has sent was received: this is clocked while CS is high."""
        assert self.controller.clock(b"\0") == b"\0"
        self.controller.frames.pop()

    def close(self):
        self.controller.close()
        try:
            _, errors = self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()  # where it is stuck
        assert (self.process.returncode, errors) == (0, "")


@pytest.fixture
def make(program):
    """make(**settings) -> Module; no sanitizer may have spoken at its end."""
    made = []

    def module(**settings):
        made.append(Module(program, **settings))
        return made[-1]

    yield module
    for each in made:
        each.close()


@pytest.fixture
def module(make):
    """A module that has power; nothing is armed."""
    made = make()
    made.power_on()
    return made
