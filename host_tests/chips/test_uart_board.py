"""A chip's board whose link is its UART; the real controller is at the other end of the line."""

import array
import fcntl
import json
import os
import pty
import select
import subprocess
import sys
import termios
import threading
import time
import tty

import machine
import pytest

from spinet import service
from spinet.duet import wire
from spinet.loop import LinkLost

PATIENCE = 60
BOARD = "SPINET_ESP32C3/uart"
CONTROLLER = "from spinet_controller.cli.main import main; main()"
RESET_FALLS, RESET_RISES = b"\x01\x03\x01\x00\x00", b"\x01\x03\x01\x00\x01"
HELLO = b"\x04\x00"


class Uart:
    """`machine.UART` as far as it is used, at the master's end of a pseudo-terminal.

    As on a chip its reads give what is there, and its handler is called late, in another thread.
    """

    IRQ_RX = 1

    def __init__(self, number, baudrate, *, tx, rx, rxbuf):
        assert (number, tx, rx) == (1, 0, 1)
        assert rxbuf >= 4 + wire.MESSAGE_SIZE
        self.fd, self._slave = pty.openpty()
        tty.setraw(self._slave)  # held open: between two controllers the line stays
        self.path = os.ttyname(self._slave)
        self._handler = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._interrupts)
        self._thread.start()

    def irq(self, handler, trigger):
        assert trigger == self.IRQ_RX
        self._handler = handler

    def _interrupts(self):
        while not self._ended.wait(0.001):
            if self.any() and self._handler:
                self._handler(self)

    def any(self):
        waiting = array.array("i", [0])
        fcntl.ioctl(self.fd, termios.FIONREAD, waiting)
        return waiting[0]

    def readinto(self, into):
        return os.readv(self.fd, [into])

    def write(self, data):
        select.select([], [self.fd], [], PATIENCE)
        assert os.write(self.fd, data) == len(data)

    def close(self):
        self._ended.set()
        self._thread.join()
        os.close(self.fd)
        os.close(self._slave)


@pytest.fixture
def uart(monkeypatch):
    """The UART that the board file makes."""
    made = []

    def make(*arguments, **settings):
        made.append(Uart(*arguments, **settings))
        return made[-1]

    monkeypatch.setattr(machine, "UART", make, raising=False)
    yield lambda: made[0]
    for one in made:
        one.close()


@pytest.fixture
def board(uart, load_board, monkeypatch):
    board = load_board(BOARD)
    monkeypatch.setattr(time, "sleep_ms", lambda ms: time.sleep(ms / 1000))
    board.said = []
    board.say = board.said.append
    return board


@pytest.fixture
def serving(board):
    """The board, with the service in its thread as at boot."""
    service.start(board)
    yield board
    service.stop()


@pytest.fixture
def line(board, uart):
    """The other end, a controller's bytes in a test's hand."""
    fd = os.open(uart().path, os.O_RDWR | os.O_NOCTTY)
    yield fd
    os.close(fd)


def controller(uart, *arguments):
    command = [sys.executable, "-c", CONTROLLER, *arguments, "--serial-bus", uart().path]
    return subprocess.Popen([*command, "--json", "--time-scale", "100"], stdout=subprocess.PIPE)


def status(uart):
    out, _ = controller(uart, "status", "--timeout", str(PATIENCE)).communicate(timeout=PATIENCE)
    return json.loads(out)


def test_the_controller_asks_the_module(serving, uart):
    first = status(uart)
    assert first["role"] == "module-clocked"
    assert first["state"] == "idle"
    assert first["resetReason"] == "power up"
    assert status(uart)["resetReason"] == "turned on by main processor"


def read(line, n):
    got = b""
    while len(got) < n:
        assert select.select([line], [], [], PATIENCE)[0], f"{n} bytes, but {got}"
        got += os.read(line, n - len(got))
    return got


def until(line, end):
    """Read the module's bytes until they end so."""
    got = b""
    while not got.endswith(end):
        got += read(line, 1)


@pytest.mark.parametrize("shifted", [b"", b"\x03\x00\x08\x00half"])
def test_a_controller_that_died_in_a_transaction_is_followed_by_another(
    serving, uart, line, shifted
):
    os.write(line, RESET_FALLS + RESET_RISES)
    for level in (0, 1, 0, 1):
        until(line, bytes((1, 1, 1, 0, level)))
    os.write(line, b"\x01\x00\x01\x00\x01")
    until(line, b"\x02\x00\x08\x00")  # its CLOCK
    os.write(line, shifted)
    assert status(uart)["role"] == "module-clocked"


@pytest.mark.parametrize("left", [b"\x03\x00\x40\x00half", b"\x01\x03", b"\xff" * 5000])
def test_what_an_earlier_controller_left_is_skipped(uart, board, line, left):
    threading.Thread(target=os.write, args=(line, left)).start()
    service.start(board)
    try:
        assert status(uart)["role"] == "module-clocked"
    finally:
        service.stop()


def test_the_watchdog_is_fed_while_no_controller_is_there(board):
    looks = iter(range(3))
    machine.WDT(timeout=1)
    board._watchdog = machine.WDT.the_one
    assert not board.power_up(lambda: next(looks, None) is not None)
    assert machine.WDT.the_one.feeds


@pytest.fixture
def up(board, line):
    """The bus of a board that a controller has woken."""
    os.write(line, RESET_FALLS + RESET_RISES)
    assert board.power_up(lambda: True)
    kind, role, length, _ = read(line, 4)
    assert bytes((kind, role)) == HELLO
    read(line, length)
    return board.link_port()._spi if board.stack() else None


def test_the_longest_exchange(up, line):
    out, back = bytes(range(256)) * 9, bytes(reversed(range(256))) * 9
    n = 2052
    rx = bytearray(len(back))
    os.write(line, b"\x01\x00\x01\x00\x01" + bytes((3, 0, n & 0xFF, n >> 8)) + back[:n])
    up.exchange(out, rx, 8, n)
    assert read(line, 4 + n) == bytes((2, 0, n & 0xFF, n >> 8)) + out[8 : 8 + n]
    assert rx == bytes(8) + back[:n] + bytes(len(rx) - 8 - n)
    assert up.value() == 1


def test_pins_are_frames_when_they_change(up, line):
    for level in (0, 0, 1, 0):
        up.cs.value(level)
    up.data_ready.value(1)
    assert read(line, 20) == b"".join(
        bytes((1, pin, 1, 0, level)) for pin, level in ((2, 0), (2, 1), (2, 0), (1, 1))
    )
    assert (up.cs.value(), up.data_ready.value()) == (0, 1)


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (RESET_FALLS, "held in reset by the controller"),
        (b"\x01\x02\x01\x00\x00", "virtual bus: this pin is not the controller's"),
        (b"\x03\x00\x04\x00\x00", "virtual bus: a SHIFT without a CLOCK"),
        (b"\x07\x00\x00\x00\x00", "virtual bus: a frame that is not the controller's"),
        (b"\x01\x00\x02\x00\x01", "virtual bus: a frame that is not the controller's"),
    ],
)
def test_what_ends_the_link(up, uart, line, frame, why):
    os.write(line, frame)
    select.select([uart().fd], [], [], PATIENCE)
    with pytest.raises(LinkLost, match=why):
        up.value()
    assert not up.released


def test_a_shift_of_another_length(up, line):
    os.write(line, b"\x03\x00\x08\x00" + bytes(8))
    with pytest.raises(LinkLost, match="as long as its CLOCK"):
        up.exchange(bytes(12), bytearray(12), 0, 4)


def test_a_controller_that_does_not_answer(up, line, monkeypatch):
    clock = iter(range(0, 1 << 29, 1000))
    monkeypatch.setattr(sys.modules["chip.uart_board"], "ticks_ms", lambda: next(clock))
    with pytest.raises(LinkLost, match="does not answer"):
        up.exchange(bytes(12), bytearray(12), 0, 4)
