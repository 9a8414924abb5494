"""The console in Debian's telnet, which runs in a terminal of its own."""

import contextlib
import os
import pty
import select
import socket
import subprocess
import time

import pytest
from own_network import own_network
from printer_process import PATIENCE, Printer, ended_in_order, read_all


class Terminal:
    """A program in a pseudo-terminal; what it shows is in `shown`."""

    def __init__(self, *command):
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.shown = ""

    def type(self, text):
        """Press keys."""
        os.write(self._master, text.encode())

    def until(self, text):
        """Read until a text is shown; give what came before it since the last time."""
        limit = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < limit, f"{text!r} is not in {self.shown!r}"
            if select.select([self._master], [], [], 0.1)[0]:
                self.shown += os.read(self._master, 4096).decode()
        before, self.shown = self.shown.split(text, 1)
        return before

    def code(self):
        """The exit code of a program that ends by itself."""
        return self._process.wait(PATIENCE)

    def end(self):
        """Kill what is left of it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(PATIENCE)
        os.close(self._master)


@pytest.fixture
def terminal(full_printer):
    """telnet, with its first prompt."""
    with contextlib.closing(_Closing(full_printer)) as running:
        running.terminal.until("> ")
        yield running.terminal


class _Closing:
    def __init__(self, printer):
        self.terminal = Terminal("telnet", printer.host, str(printer.ports["telnet"]))

    def close(self):
        self.terminal.end()


def test_a_session_in_a_terminal(full_printer, terminal):
    full_printer.make_file("telnet.gcode", 1234)
    terminal.type("M20\r")
    assert "        1234  telnet.gcode" in terminal.until("> ")
    terminal.type("status\r")
    assert "network Workshop, address" in terminal.until("> ")
    terminal.type("M30 telnet.gcode\r")
    assert "deleted telnet.gcode" in terminal.until("> ")
    assert not (full_printer.files / "telnet.gcode").exists()
    terminal.type("quit\r")
    terminal.until("Connection closed")
    assert terminal.code() == 0


# What PuTTY 0.78 sends first, and for the keys M 2 2 Backspace 0 Enter when every option is taken.
PUTTY = (
    b"\xff\xfb\x1f\xff\xfb \xff\xfb\x18\xff\xfb'\xff\xfd\x01\xff\xfb\x03\xff\xfd\x03M22\x7f0\r\0"
)


@pytest.mark.parametrize("stack", ["sockets", "lwip"])
@pytest.mark.parametrize("typed", [PUTTY, b"M20\r\n", b"M20"])
def test_what_was_said_before_a_half_close_is_answered(stack, typed, tmp_path):
    with own_network() if stack == "lwip" else contextlib.nullcontext():
        printer = Printer(stack, "module-clocked", tmp_path, serves=("telnet",))
        printer.make_file("part.gcode", 1234)
        there = (printer.host, printer.ports["telnet"])
        with socket.create_connection(there, PATIENCE) as client:
            client.sendall(typed)
            client.shutdown(socket.SHUT_WR)
            said = read_all(client)
        assert b"        1234  part.gcode\r\nok\r\n" in said
        assert b"Error" not in said
        assert b"\xff\xfb" not in said
        ended_in_order(printer)
