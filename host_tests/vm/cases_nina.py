"""NINA's commands with the heap locked, over a network in memory: nothing of them allocates."""

import micropython
from cases_heap import MemoryNetwork
from heap_scenarios import EVEN, QuietBoard, check_time, expect

from spinet.compat import ticks_ms
from spinet.fastpath import copy
from spinet.nina.frames import SIZE
from spinet.nina.spi_target import SelectedTarget
from spinet.service import Service

PORT = 80
SERVER = 0  # the numbers as the module gives them
CLIENT = 1
ROUNDS = 5


class QuietTarget:
    """The SPI target; `shifted` is what the driver has read."""

    def __init__(self):
        self.shifted = bytearray(SIZE)
        self.nothing = bytearray(SIZE)
        self.armed = False
        self.level = -1
        self._tx = None
        self._rx = None
        self._n = 0
        self._came = -1

    def arm(self, tx, rx, n):
        self._tx = tx
        self._rx = rx
        self._n = n
        self._came = -1
        self.armed = True

    def received(self):
        return self._came

    def disarm(self):
        self._came = -1
        self.armed = False

    def gpio0(self, level):
        self.level = level

    def select(self, data, n):
        """The driver selects the module, and clocks n bytes."""
        copy(self._rx, data, 0, n)
        copy(self.shifted, self._tx, 0, n)
        self._came = n
        self.armed = False

    def read(self):
        self.select(self.nothing, self._n or 8)


class NinaBoard(QuietBoard):
    """The board of a module that its controller selects."""

    PROTOCOL = "nina"
    ROOTS = ""

    def __init__(self):
        super().__init__("selected", MemoryNetwork())
        self.target = QuietTarget()

    def link_port(self):
        return SelectedTarget(self.target)

    def pins(self):
        """No command of these is here."""


def frame(number, *params, wide=False):
    """A command as drivers send it; a parameter is bytes, or a number of one byte."""
    out = bytearray((0xE0, number, len(params)))
    for param in params:
        param = bytes((param,)) if isinstance(param, int) else param
        out += len(param).to_bytes(2 if wide else 1, "big") + param
    out.append(0xEE)
    return out + bytes(-len(out) & 3)


ONE = bytes((CLIENT,))
STATUS = frame(0x20)
STATE = frame(0x2F, CLIENT)
AVAILABLE = frame(0x2B, CLIENT)
POLL_SERVER = frame(0x2B, SERVER)
READS = (frame(0x45, ONE, b"\xb4\x05", wide=True), frame(0x78, CLIENT, b"\xb4\x05"))
POLL = frame(0x7C, CLIENT)
OPTION = frame(0x7E, CLIENT, b"\2\0\0\0", 4)
ERRNO = frame(0x72)
SENT = frame(0x2A, CLIENT)
WRITES = [frame(0x44, ONE, EVEN[:n], wide=True) for n in (0, 64, 1460, 2048)]
WRITES.append(frame(0x44, ONE, bytes(EVEN) + EVEN[:1000], wide=True))
SEND = frame(0x77, ONE, EVEN[:1000], wide=True)


class NinaBench:
    """The service, a driver, and a peer that is a client of the module's server."""

    def __init__(self):
        self.received = bytearray(SIZE)
        self.board = NinaBoard()
        self.target = self.board.target
        self.peer = None
        self.service = Service(self.board)
        self.service.commands.out_of_memory = self.not_again
        self.service.loop._out_of_memory = self.not_again
        self.service.start()
        while not self.service.port.idle():
            self.passes(1)
        expect(self.ask(frame(0x3F)), 0x0100 | SERVER)
        expect(self.ask(frame(0x28, b"\0\x50", SERVER, 0)), 0x0101)
        self.peer = self.service.stack.dial(PORT)
        self.passes(2)
        expect(self.ask(POLL_SERVER), 0x0200 | CLIENT)

    def not_again(self):
        """Commands and Loop catch a MemoryError, and would go on."""
        raise MemoryError

    def passes(self, n):
        for _ in range(n):
            self.service.stack.wake()
            self.service.run_once()

    def ask(self, command):
        """Two bytes of the reply: the first length, if it has one byte, and the first one after."""
        self.target.select(command, len(command))
        self.until_armed()
        self.target.read()
        self.until_armed()
        return self.target.shifted[3] << 8 | self.target.shifted[4]

    def until_armed(self):
        began = ticks_ms()
        while not self.target.armed:
            check_time(began, "READY stays high")
            self.take()
            self.passes(1)

    def take(self):
        """The peer receives."""
        if self.peer:
            self.peer.take(self.received, 0, SIZE)


# --- scenarios: everything in them runs with the heap locked


def polls(bench):
    expect(bench.ask(STATUS), 0x0100)
    expect(bench.ask(STATE), 0x0104)
    expect(bench.ask(AVAILABLE), 0x0200)
    expect(bench.ask(POLL_SERVER), 0x02FF)
    expect(bench.ask(POLL), 0x0102)
    expect(bench.ask(OPTION), 0x0400)
    expect(bench.ask(SENT), 0x0101)


def reads(bench):
    for command in READS:
        bench.peer.send(EVEN, 0, 1460)
        bench.passes(1)
        expect(bench.target.level, 1)
        expect(bench.ask(POLL), 0x0103)
        expect(bench.ask(command), 1460)
        expect(bench.target.level, 0)
        for i in range(1460):
            expect(bench.target.shifted[5 + i], EVEN[i])
        expect(bench.ask(command), 0)
    expect(bench.ask(ERRNO), 0x010B)


def writes(bench):
    for command in WRITES:
        expect(bench.ask(command) >> 8, 2)
        bench.passes(2)
        bench.take()
    expect(bench.ask(SEND), 0x0200 | 1000 >> 8)
    bench.passes(2)
    bench.take()


def given_up(bench):
    bench.target.select(STATUS, len(STATUS))
    bench.until_armed()
    bench.target.select(STATE, len(STATE))
    bench.until_armed()
    bench.target.read()
    bench.until_armed()
    expect(bench.target.shifted[4], 4)


def run_all(*scenarios):
    bench = NinaBench()
    for scenario in scenarios:
        micropython.heap_lock()
        try:
            for _ in range(ROUNDS):
                scenario(bench)
        finally:
            micropython.heap_unlock()
    bench.service.shut()


def case_nothing_allocates_while_bytes_move():
    run_all(polls, reads, writes)


def case_nothing_allocates_when_a_reply_is_given_up():
    run_all(given_up)
