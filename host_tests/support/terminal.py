"""A user at a terminal of SIM's."""

import os
import pty

import pytest


class Terminal:
    """The user's end of a pty."""

    def __init__(self):
        self._master, self.slave = pty.openpty()
        self.text = ""

    def type(self, line):
        """Type a line at the prompt; what came before the prompt would be lost."""
        while ">>> " not in self.text:
            self.read()
        os.write(self._master, line.encode() + b"\r")

    def read(self):
        self.text += os.read(self._master, 4096).decode()

    def close(self):
        os.close(self._master)
        os.close(self.slave)


@pytest.fixture
def terminal():
    term = Terminal()
    yield term
    term.close()
