"""The transactions that `make bench` counts, on the emulated core: see tools/bench_core.py.

A service with its link and its TCP stack in memchip, in C as on a chip, and a controller that asks
one thing for each pass of the loop. Each figure is what one pass costs, from the edge of
TRANSFER_READY to the end of the pass, in instructions.
"""

import gc

import memchip
import micropython
from radio import SimRadio

from spinet import wire
from spinet.service import Service
from spinet.spi_master import SpiMaster

PORT = 80
REPEATS = 20


class Stack:
    """memchip as a TCP stack."""

    def __init__(self):
        memchip.init()
        for name in (
            "listen accept connect addresses readable read recved writable write in_flight "
            "shutdown_rx keepalive close abort error events pending overlook wait wake"
        ).split():
            setattr(self, name, getattr(memchip, name))

    def shut(self):
        """Nothing to give back."""


class Spi:
    """memchip as the SPI."""

    def __init__(self):
        self.exchange = memchip.exchange

    def set_clock(self, _frequency):
        """No clock here."""


class NoStore:
    """Nothing was ever remembered."""

    def load(self):
        return b""


class Board:
    """What the service asks of a board; the other ends are memchip's."""

    DEBUG = False
    ip = netmask = gateway = 0

    def __init__(self):
        self.cs = memchip.Pin(1)
        self.data_ready = memchip.Pin(0)
        self.transfer_ready = memchip.Pin(0)

    def stack(self):
        return Stack()

    def link_port(self):
        return SpiMaster(Spi(), self.cs, self.data_ready, self.transfer_ready)

    def radio(self):
        return SimRadio(self)

    def store(self):
        return NoStore()

    def feed(self):
        """No watchdog."""


class Controller:
    """Asks, counts and keeps the service going."""

    def __init__(self):
        self.board = Board()
        self.service = Service(self.board)
        self.service.start()
        self.service.listeners.listen(0, PORT, 0, wire.SOCKETS)
        self.message = memchip.message()
        self.shifted = memchip.shifted()
        self.copied = 0  # of the last transaction's instructions
        self.passes(3)

    def passes(self, n):
        for _ in range(n):
            memchip.wake()
            self.service.run_once()

    def connect(self, n):
        """So many connections, in slots 0 to n - 1."""
        for _ in range(n):
            memchip.dial()
            self.passes(1)
        self.passes(2)

    def ask(self, command, socket=0, flags=0, length=0, available=2048):
        """One transaction in one pass; its instructions. The response is in response()."""
        message = self.message
        message[0] = 0x3E
        message[1] = command
        message[2] = socket
        message[3] = flags
        message[4] = length & 0xFF
        message[5] = length >> 8
        message[6] = available & 0xFF
        message[7] = available >> 8
        copied = memchip.copying()
        start = memchip.instructions()
        self.board.transfer_ready.drive(1)
        self.service.run_once()
        spent = memchip.instructions() - start & 0x3FFFFFFF
        self.copied = memchip.copying() - copied & 0x3FFFFFFF
        self.board.transfer_ready.drive(0)
        return spent

    def response(self):
        """What the module answered."""
        return self.shifted[8] | self.shifted[9] << 8


OVERHEAD = 0  # of counting itself; set by calibrate()


def calibrate():
    """What two readings of the counters and a call of the pin cost by themselves."""
    global OVERHEAD
    pin = memchip.Pin(0)
    start = memchip.instructions()
    pin.drive(1)
    OVERHEAD = memchip.instructions() - start & 0x3FFFFFFF


def expect(got, wanted):
    if got != wanted:
        raise ValueError("response %d instead of %d" % (got, wanted))


# --- what is counted: each yields (instructions, of them copying) again and again


def null(controller):
    yield controller.ask(0), controller.copied
    expect(controller.response(), 0)


def status(controller):
    yield controller.ask(6), controller.copied
    expect(controller.response(), 20)


def status_with_data(controller):
    """connGetStatus in the pass that hears of 2 KiB that arrived; they are read, uncounted."""
    memchip.arrive(0, 2048)
    yield controller.ask(6), controller.copied
    controller.ask(4)
    expect(controller.response(), 2048)


def read(controller):
    memchip.arrive(0, 2048)
    controller.passes(1)
    yield controller.ask(4), controller.copied
    expect(controller.response(), 2048)


def empty_read(controller):
    yield controller.ask(4), controller.copied
    expect(controller.response(), 0)


def write(controller):
    yield controller.ask(5, 0, 2, 2048), controller.copied
    expect(controller.response(), 2048)
    memchip.acknowledge(0)
    controller.passes(1)


def write_and_room(controller):
    """connWrite in the pass that hears that the last one was acknowledged."""
    controller.ask(5, 0, 2, 2048)
    memchip.acknowledge(0)
    yield controller.ask(5, 0, 2, 2048), controller.copied
    memchip.acknowledge(0)
    controller.passes(1)


def write_without_push(controller):
    yield controller.ask(5, 0, 0, 1440), controller.copied
    memchip.acknowledge(0)
    controller.passes(1)


def poll_of_eight(controller):
    """One connGetStatus for each of the eight sockets; the sum."""
    spent = 0
    for socket in range(8):
        spent += controller.ask(6, socket) - OVERHEAD
    yield spent + OVERHEAD, 0


def pair_on_each(controller, sockets):
    """Data for all sockets in turn: connGetStatus and connRead of one, as the others are busy."""
    for socket in range(sockets):
        memchip.arrive(socket, 2048)
        spent = controller.ask(6, socket) + controller.ask(4, socket) - OVERHEAD
        copied = controller.copied
        expect(controller.response(), 2048)
        yield spent, copied


def pair_with_one_busy(controller):
    yield from pair_on_each(controller, 1)


def pair_with_eight_busy(controller):
    yield from pair_on_each(controller, 8)


def accept_and_close(controller):
    """Not a transaction: the pass that accepts, then connClose; the sum is the yield's first."""
    memchip.finish(7)
    controller.passes(1)
    spent = controller.ask(2, 7)
    controller.passes(4)
    memchip.dial()
    start = memchip.instructions()
    controller.service.run_once()
    accepted = memchip.instructions() - start & 0x3FFFFFFF
    controller.passes(2)
    yield spent, accepted


COUNTED = (
    (null, 1),
    (status, 1),
    (status_with_data, 1),
    (empty_read, 1),
    (read, 1),
    (write, 1),
    (write_and_room, 1),
    (write_without_push, 1),
    (poll_of_eight, 8),
    (pair_with_one_busy, 1),
    (pair_with_eight_busy, 8),
    (accept_and_close, 8),
)


def count(scenario, sockets):
    """(median, most, of the median copying) of the instructions of a scenario."""
    controller = Controller()
    controller.connect(sockets)
    found = []
    for _ in range(REPEATS):
        for spent, copied in scenario(controller):
            found.append((spent - OVERHEAD, copied))
    found.sort()
    spent, copied = found[len(found) // 2]
    return spent, found[-1][0], copied


def main():
    """One line for each scenario, for whoever started this core."""
    calibrate()
    for scenario, sockets in COUNTED:
        gc.collect()
        print("counted", scenario.__name__, *count(scenario, sockets))
    print("counted all")
