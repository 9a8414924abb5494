"""The firmware on an emulated RISC-V core, reached by mpremote as a board is."""

import re
import subprocess
import sys
import threading

import pytest
from project import ROOT

IMAGE = ROOT / "build" / "qemu" / "firmware.elf"
PATIENCE = 600.0
MACHINE = ["-machine", "virt", "-bios", "none", "-semihosting"]
LINES = ["-nographic", "-monitor", "null", "-serial", "pty"]


class Emulator:
    """One emulated core, its serial port a pseudo-terminal; end() is the power switch."""

    options = (*MACHINE, *LINES)

    def __init__(self):
        assert IMAGE.exists(), "the image for the emulated core is not built: make qemu"
        self._process = subprocess.Popen(
            ["qemu-system-riscv32", *self.options, "-kernel", str(IMAGE)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # An emulator that says nothing is killed, which ends the read.
        guard = threading.Timer(PATIENCE, self._process.kill)
        guard.start()
        line = self._process.stdout.readline()
        guard.cancel()
        named = re.search(r"redirected to (\S+)", line)
        if not named:
            self.end()
        assert named, f"no serial port, but: {line}"
        self.port = named[1]

    def mpremote(self, *arguments):
        """What mpremote prints for these commands; it has to succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "mpremote", "connect", self.port, *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.replace("\r", "")

    def is_running(self):
        return self._process.poll() is None

    def end(self):
        """Power off."""
        if self.is_running():
            self._process.kill()
        self._process.wait(PATIENCE)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def emulator():
    """A core that has booted; each test begins with a soft reset, as mpremote does."""
    emulator = Emulator()
    yield emulator
    emulator.end()
