"""The transactions that `make bench` counts, on the emulated core: see bench/core.py.

The service's link and TCP stack are in memchip, in C as on a chip. The controller sends one request
for each pass of the loop, or clocks one phase. Each figure is the cost of one pass in instructions,
from the end of one wait to the end of the next. Those of NINA's protocol are in counted_nina.py.
"""

import gc
import sys
from struct import pack

import memchip
from radio import SimRadio

from spinet import states
from spinet.contracts.announcer import Silent
from spinet.duet.controller_clocked import SpiSlave
from spinet.duet.module_clocked import SpiMaster
from spinet.service import Service

PORT = 80
CALLS = (
    "listen",
    "accept",
    "connect",
    "addresses",
    "readable",
    "read",
    "recved",
    "write",
    "in_flight",
    "shutdown_rx",
    "keepalive",
    "linger",
    "close",
    "abort",
    "error",
    "events",
    "pending",
    "overlook",
    "wait",
    "wake",
)


class Stack:
    """memchip as a TCP stack."""

    def __init__(self):
        memchip.init()
        self.udp = None  # this network has none
        for name in CALLS:
            setattr(self, name, getattr(memchip, name))

    def shut(self):
        """There is nothing to close."""


class Spi:
    """memchip as the SPI."""

    def __init__(self):
        self.exchange = memchip.exchange

    def set_clock(self, _frequency):
        """There is no clock."""


class Target:
    """memchip as the SPI target."""

    def __init__(self):
        self.arm = memchip.arm
        self.clocked = memchip.clocked
        self.disarm = memchip.disarm


class Store:
    """An empty store."""

    def load(self, whole=False):
        return b""


class Board:
    """The board; memchip is the controller and the network."""

    DEBUG = False
    PROTOCOL = "duet"
    ROOTS = ""
    OWNER = ""
    UPDATE_PORT = 21328
    ip = netmask = gateway = 0

    def __init__(self, is_target=False):
        self._is_target = is_target
        self.buffers = memchip.buffers()  # C has them on a chip, too
        self.cs = memchip.Pin(1)
        self.data_ready = memchip.Pin(0)
        self.transfer_ready = memchip.Pin(0)

    def power_up(self, wanted):
        return wanted()

    def stack(self):
        return Stack()

    def link_port(self):
        pins = self.cs, self.data_ready, self.transfer_ready
        return SpiSlave(Target(), *pins) if self._is_target else SpiMaster(Spi(), *pins)

    def radio(self):
        return SimRadio(self)

    def store(self, _name):
        return Store()

    def pins(self):
        """None: its protocol has no command for them."""

    def address_of(self, _name):
        return 0

    def partitions(self):
        """None: there is one slot."""

    def announcers(self, _manager, _stir):
        return Silent(), Silent

    def feed(self):
        """There is no watchdog."""

    def fill(self, status):
        """This hardware adds nothing."""

    def free_memory(self):
        """All memory is Python's."""
        return gc.mem_free(), 0

    def temperature(self):
        """None: there is no sensor."""

    def say(self, text):
        print(text)

    def crashed(self):
        """Does nothing: the exception reaches the caller of run()."""


def booted(board):
    """A service on this board whose link is up."""
    service = Service(board)
    service.start()
    while not service.port.idle():
        service.loop.run(1)
    return service


class Controller:
    """Plays steps to a service that has `sockets` connections, in slots 0 to sockets - 1."""

    def __init__(self, sockets, is_target=False):
        self.board = Board(is_target)
        self.service = booted(self.board)
        self.service.listeners.listen(0, PORT, 0, states.SOCKETS)
        if sockets:
            self.play([step(happens="d")] * sockets, 1)
            self.service.loop.run(2)

    def play(self, steps, times):
        """Play the steps so many times. memchip counts a pass when the next one begins."""
        self.prepare(steps)
        self.service.loop.run(times * len(steps))

    def prepare(self, steps):
        """Set the steps of the next passes."""
        memchip.play(self.board.transfer_ready, self.board.cs, b"".join(steps))

    def response(self):
        """The module's last response."""
        shifted = memchip.shifted()
        return shifted[8] | shifted[9] << 8


def step(command=-1, socket=0, flags=0, length=0, happens=" ", to=0, asks=1):
    """One step for memchip: a request (-1: none), and an event in the network before it."""
    asks = 0 if command < 0 else asks
    header = pack("<BBBBHH", 0x3E, command & 0xFF, socket, flags, length, 2048)
    return bare_step(header, 0, asks, happens, to)


def bare_step(header, length, asks, happens=" ", to=0, arrives=2048):
    """memchip's step_t. `length`: of a transfer whose end CS tells; `arrives`: bytes of an "a"."""
    return pack("<12sHHBBBB", header, length, arrives, asks, ord(happens), to, 0)


def expect(got, wanted):
    if got != wanted:
        raise ValueError("response %d instead of %d" % (got, wanted))


# Commands and flags
STATUS = 6
READ = 4
WRITE = 5
CLOSE = 2
PUSH = 2


def pairs(sockets):
    """For each socket: data arrives in the pass of a connGetStatus, then a connRead."""
    for socket in range(sockets):
        yield step(STATUS, socket, happens="a", to=socket)
        yield step(READ, socket)


def writes(sockets, flags, length):
    """For each socket: a connWrite; in its pass the socket's last one is acknowledged."""
    for socket in range(sockets):
        yield step(WRITE, socket, flags, length, "r", socket)


def opening():
    """The life of an accepted connection: accept, FIN, connClose."""
    return [step(happens="d"), step(STATUS, 0, happens="f", to=0), step(CLOSE), step()]


CLOCKS = 2  # asks: what memchip's controller does
LETS_GO = 3
BY_PHASES = "controller-clocked: "  # names of controller-clocked cases begin with this
NINA = "NINA: "  # and names of NINA's with this


def phases(count, *request, **happens):
    """A transaction of so many phases, then CS rises; each is a pass."""
    yield step(*request, asks=CLOCKS, **happens)
    for _ in range(count - 1):
        yield step(0, asks=CLOCKS)
    yield step(0, asks=LETS_GO)


def phased_pair():
    """As pairs(1), in phases."""
    yield from phases(3, STATUS, happens="a")
    yield from phases(3, READ)


# What is counted: (name, connections, steps, the response of the last request)
COUNTED = (
    ("null", 1, [step(0)], 0),
    ("connGetStatus", 1, [step(STATUS)], 20),
    ("connRead of nothing", 1, [step(READ)], 0),
    ("connRead 2048", 1, [step(happens="a"), step(READ)], 2048),
    ("connWrite 2048, push", 1, [step(happens="r"), step(WRITE, 0, PUSH, 2048)], 2048),
    ("connWrite 1440", 1, [step(happens="r"), step(WRITE, 0, 0, 1440)], 1440),
    ("connWrite 2048, no push", 1, [step(happens="r"), step(WRITE, 0, 0, 2048)], 2048),
    ("poll over eight idle sockets", 8, [step(STATUS, i) for i in range(8)], 20),
    ("pairs, 1 socket busy", 1, list(pairs(1)), 2048),
    ("pairs, 8 sockets busy", 8, list(pairs(8)), 2048),
    ("writes, 1 socket busy", 1, list(writes(1, PUSH, 2048)), 2048),
    ("writes, 8 sockets busy", 8, list(writes(8, PUSH, 2048)), 2048),
    ("accept, end, close", 0, opening(), 0),
    ("controller-clocked: null", 1, list(phases(2, 0)), 0),
    ("controller-clocked: pair", 1, list(phased_pair()), 2048),
    ("controller-clocked: write", 1, list(phases(3, WRITE, 0, PUSH, 2048, happens="r")), 2048),
)
TIMES = 200
GARBAGE = 200  # bytes for each ten rounds of the mixture
PER_MS = 123000  # instructions that a C3 executes in a millisecond: 160 MHz, 1.3 cycles each
MIXED = 100000


def controller_of(name, sockets):
    """The controller of a case, and its service with so many connections."""
    if name.startswith(NINA):
        from counted_nina import NinaController

        return NinaController(sockets)
    return Controller(sockets, name.startswith(BY_PHASES))


def count(name, sockets, steps, response):
    """Print one line for each step: passes, instructions, those for copying, the most in a pass;
    then one line with the bytes allocated in all passes."""
    gc.collect()
    controller = controller_of(name, sockets)
    controller.play(steps, TIMES)
    expect(controller.response(), response)
    controller.service.loop.run(1)
    for i in range(len(steps)):
        print("counted", name, i, *memchip.spent(i), sep="\t")
    controller.prepare(steps)
    free = gc.mem_free()
    controller.service.loop.run(TIMES * len(steps))
    print("allocated", name, free - gc.mem_free(), sep="\t")
    controller.service.shut()


def mixed():
    """The steps of a busy module: eight sockets read and write; one is closed and accepted anew."""
    steps = []
    for socket in range(8):
        steps.append(step(STATUS, socket, happens="a", to=socket))
        steps.append(step(READ, socket))
        steps.append(step(WRITE, socket, PUSH, 2048, "r", socket))
        steps.append(step(0))
    steps.append(step(WRITE, 3, 0, 700, "r", 3))
    steps.append(step(WRITE, 3, PUSH, 100))
    steps.append(step(STATUS, 7, happens="f", to=7))
    steps.append(step(CLOSE, 7, happens="r", to=7))
    steps.append(step(9))
    steps.append(step(STATUS, 7, happens="d"))
    return steps


def longest():
    """Print the most instructions of any pass of the mixture, and those of a collection."""
    gc.collect()
    controller = Controller(8)
    steps = mixed()
    controller.play(steps, 2)
    controller.prepare(steps)
    for _ in range(MIXED // len(steps) // 10):
        controller.service.loop.run(10 * len(steps))
        bytearray(GARBAGE)  # garbage, as use of the REPL makes
    most = max(memchip.spent(i)[3] for i in range(len(steps)))
    passes = sum(memchip.spent(i)[0] for i in range(len(steps)))
    start = memchip.instructions()
    gc.collect()
    collecting = memchip.instructions() - start & 0x3FFFFFFF
    print("longest", passes, most, collecting, gc.mem_alloc(), sep="\t")


def nina():
    """COUNTED, then NINA's. Imported last, as what only NINA needs would be on Duet's heap."""
    from counted_nina import COUNTED_NINA

    return COUNTED + COUNTED_NINA


def trace(number, times):
    """For an emulator that records after a line of input: play one of nina() so many times."""
    name, sockets, steps, _ = COUNTED[number] if number < len(COUNTED) else nina()[number]
    controller = controller_of(name, sockets)
    controller.play(steps, times)  # before the recording, for what only the first time does
    print("traced ready")
    sys.stdin.readline()
    controller.play(steps, times)
    print("traced done")


def main():
    """Print all lines for bench/core.py."""
    memchip.pace(PER_MS)
    for one in COUNTED:
        count(*one)
    longest()
    for one in nina()[len(COUNTED) :]:
        count(*one)
    print("counted all")
