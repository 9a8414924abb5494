"""One pass after another of the whole service with the heap locked, over an in-memory link.

A bench is the service, its controller and one peer; what the peer is made of is the subclass's
business: real sockets (heap_memory.py) or memory (cases_heap.py). The peer works without
allocating too. Anything that asks for memory raises MemoryError, and the trace says where.
"""

import micropython
from radio import SimRadio

from spinet import VERSION_TEXT, compat, fields, states
from spinet.compat import ticks_diff, ticks_ms
from spinet.contracts.announcer import Silent
from spinet.duet import wire
from spinet.duet.controller_clocked import SpiSlave
from spinet.duet.module_clocked import SpiMaster
from spinet.fastpath import PHASE_PAYLOAD, SIGNAL_PHASE, copy
from spinet.service import Service
from spinet.wifi.networks import Network

RECEIVED = 16384  # what a bench remembers of what its peer received
PATIENCE_MS = 60000  # of a wait for the peer or for lwIP's thread
LOOPBACK = 0x0100007F
NOBODYS_PORT = 9
UNNAMED = Network(bytes(112))
EVEN = bytearray(2048)
for i in range(2048):
    EVEN[i] = i * 7 & 0xFF


class QuietPin:
    """A pin that remembers its level and its handler."""

    def __init__(self, level):
        self.level = level
        self.handler = None

    def value(self, level=None):
        if level is not None:
            self.level = level
        return self.level

    def irq(self, handler):
        self.handler = handler

    def drive(self, level):
        changed = level != self.level
        self.level = level
        if changed and self.handler:
            self.handler(self)


class QuietLink:
    """Both sides of the SPI: `message` is the controller's, `shifted` what the module sent."""

    def __init__(self):
        self.message = bytearray(wire.HEADER_SIZE + wire.MAX_DATA)
        self.shifted = bytearray(wire.HEADER_SIZE + wire.MAX_DATA)
        self._tx = None
        self._rx = None
        self._at = 0
        self._armed = 0
        self._clocked = 0

    def exchange(self, tx, rx, offset, n):
        copy(rx, self.message, offset << 16 | offset, n)
        copy(self.shifted, tx, offset << 16 | offset, n)

    def set_clock(self, _frequency):
        """No clock here."""

    def arm(self, tx, rx, offset, n):
        self._tx = tx
        self._rx = rx
        self._at = offset
        self._armed = n
        self._clocked = 0

    def clocked(self):
        return self._clocked

    def disarm(self):
        self._armed = 0
        self._clocked = 0

    def clock(self):
        """The controller clocks the whole phase that is armed; its length."""
        n = self._armed
        self.exchange(self._tx, self._rx, self._at, n)
        self._clocked = n
        return n


class NoStore:
    """Nothing was ever remembered."""

    def load(self, whole=False):
        return b""


class QuietBoard:
    """The board of this bench; also the controller."""

    DEBUG = True
    PROTOCOL = "duet"
    ROOTS = ""
    OWNER = ""
    UPDATE_PORT = 21328
    buffers = None

    def __init__(self, role, network):
        self.role = role
        self.network = network
        self.spi = QuietLink()
        self.cs = QuietPin(1)
        self.data_ready = QuietPin(0)
        self.transfer_ready = QuietPin(0)

    def power_up(self, wanted):
        return wanted()

    def stack(self):
        return self.network.stack()

    def link_port(self):
        made = SpiSlave if self.role == "controller-clocked" else SpiMaster
        return made(self.spi, self.cs, self.data_ready, self.transfer_ready)

    def radio(self):
        return SimRadio(self.network)

    def store(self, _name):
        return NoStore()

    def pins(self):
        """None: its protocol has no command for them."""

    def address_of(self, _name):
        return 0

    def partitions(self):
        """None: there is one slot."""

    def announcers(self, _manager, _stir):
        return Silent(), Silent

    def fill(self, status):
        """As of a board of 4 MiB."""
        status.version = VERSION_TEXT.encode()
        status.flash_size = 4 << 20
        status.free_heap = self.free_memory()[1]

    def free_memory(self):
        """Python has all there is."""
        return compat.heap_free(), 0

    def temperature(self):
        """None: there is no sensor."""

    def say(self, text):
        """On the console."""
        print(text)

    def feed(self):
        """There is no watchdog."""

    def crashed(self):
        """The caller of run() sees the exception."""

    def relax(self):
        """There is no watchdog."""


class Bench:
    """The service, one peer and the controller, all in this thread.

    A subclass has network (stack(), ip, netmask, gateway), PORTS, connect_peer(resets) and,
    without allocating:
    send(n) of EVEN, take() into `received` (how many bytes came), finish(), reset().
    """

    def __init__(self, role):
        self.received = bytearray(RECEIVED)  # the largest first: the core's heap is small
        self.board = QuietBoard(role, self.network)
        self.spi = self.board.spi
        self.service = Service(self.board)
        self.service.commands.out_of_memory = self.not_again
        self.service.loop._out_of_memory = self.not_again
        self.service.start()
        while not self.service.port.idle():
            self.passes(1)
        self.tcp_port = self._listen()
        self.received_count = 0
        self.response = 0

    def not_again(self):
        """The commands and the parts of the service catch a MemoryError, and would go on."""
        raise MemoryError

    def _listen(self):
        for tcp_port in self.PORTS:
            if self.service.listeners.listen(0, tcp_port, 0, 8):
                return tcp_port
        raise OSError("no port is free")

    def passes(self, n):
        """n passes of the loop; the wake stands for the pin interrupt that would end the wait."""
        for _ in range(n):
            self.service.stack.wake()
            self.service.run_once()

    def new_peer(self, resets=False):
        """A fresh connection in slot 0, both ends ready. The heap is not locked here."""
        self.service.manager.terminate_all()
        self.passes(1)
        self.connect_peer(resets)
        self.received_count = 0
        began = ticks_ms()
        while self.slot().state != states.CONNECTED:
            check_time(began, "the peer was not accepted")
            self.passes(1)

    def slot(self):
        return self.service.manager.slots[0]

    # --- from here on nothing may allocate

    def request(self, command, flags, length, available):
        message = self.spi.message
        message[0] = 0x3E
        message[1] = command
        message[2] = 0
        message[3] = flags
        fields.put_u16(message, 4, length)
        fields.put_u16(message, 6, available)
        for at in range(8, 12):
            message[at] = 0

    def transact(self, command, flags, length, available):
        """One transaction in one pass of the loop; the response."""
        self.request(command, flags, length, available)
        self.board.transfer_ready.drive(1)
        if self.board.role == "controller-clocked":
            self.board.cs.drive(0)
            self.spi.clock()
            self.passes(1)
            self.spi.clock()
            self.passes(1)
            if self.spi._armed and self.service.port._signals[SIGNAL_PHASE] == PHASE_PAYLOAD:
                self.spi.clock()
                self.passes(1)
            self.board.cs.drive(1)
        self.passes(1)
        self.board.transfer_ready.drive(0)
        response = self.spi.shifted
        self.response = response[8] | response[9] << 8
        if response[11] & 0x80:
            self.response -= 0x10000
        return self.response

    def status(self):
        """connGetStatus; the state."""
        if self.transact(6, 0, 0, 2048) != 20:
            raise ValueError("connGetStatus")
        return self.spi.shifted[12]

    def readable(self):
        """bytesAvailable, asked for until there are some."""
        n = 0
        began = ticks_ms()
        while not n:
            check_time(began, "no data arrives")
            self.status()
            n = self.spi.shifted[24] | self.spi.shifted[25] << 8
        return n

    def wait_for_room(self, n):
        """Until a connWrite of so many bytes will be taken whole."""
        room = -1
        began = ticks_ms()
        while room < n:
            check_time(began, "there is no room")
            self.status()
            room = self.spi.shifted[26] | self.spi.shifted[27] << 8

    def send_from_peer(self, n):
        if self.send(n) != n:
            raise ValueError("the peer could not send")

    def take_at_peer(self):
        """All that is there, appended to `received`."""
        n = self.take(RECEIVED - self.received_count)
        if n > 0:
            self.received_count += n
        return n

    def peer_receives(self, n):
        began = ticks_ms()
        while self.received_count < n:
            check_time(began, "the peer misses bytes")
            self.take_at_peer()
            self.passes(1)

    def write(self, n, flags):
        copy(self.spi.message, EVEN, wire.DATA << 16, n)
        return self.transact(5, flags, n, 0)


def same(buf, at, n):
    for i in range(n):
        if buf[at + i] != EVEN[i & 2047]:
            raise ValueError("bytes differ")


def expect(got, wanted):
    if got != wanted:
        raise ValueError("%d instead of %d" % (got, wanted))


def check_time(began, problem):
    """Give up what has taken too long."""
    if ticks_diff(ticks_ms(), began) > PATIENCE_MS:
        raise ValueError(problem)


def expect_state(bench, wanted):
    began = ticks_ms()
    while bench.status() != wanted:
        check_time(began, "a state never came")


# --- scenarios: everything in them runs with the heap locked


def status(bench):
    expect_state(bench, states.CONNECTED)
    expect(bench.transact(0, 0, 0, 0), 0)


def read(bench):
    for _ in range(4):
        bench.send_from_peer(2048)
        got = 0
        while got < 2048:
            bench.readable()
            n = bench.transact(4, 0, 0, 2048)
            for i in range(n):
                expect(bench.spi.shifted[12 + i], EVEN[got + i])
            got += n


def read_in_one_pass(bench):
    # Data, its event and the connRead meet in one pass of the loop; lwIP gets it in two segments.
    bench.send_from_peer(2048)
    got = 0
    began = ticks_ms()
    while got < 2048:
        check_time(began, "the data did not come")
        n = bench.transact(4, 0, 0, 2048)
        for i in range(n):
            expect(bench.spi.shifted[12 + i], EVEN[got + i])
        got += n


def write(bench):
    for _ in range(4):
        bench.wait_for_room(2048)
        expect(bench.write(2048, 0), 2048)
    bench.peer_receives(8192)
    same(bench.received, 0, 8192)


def write_and_push(bench):
    for i in range(4):
        expect(bench.write(2048, 2), 2048)
        bench.peer_receives(2048 * (i + 1))
    same(bench.received, 0, 8192)


def write_odd_and_push(bench):
    expect(bench.write(1001, 2), 1001)
    bench.peer_receives(1001)
    same(bench.received, 0, 1001)


def room(bench):
    # A peer that does not read: everything fills, then everything is taken.
    sent = 0
    for _ in range(10000):
        n = bench.write(2048, 0)
        sent += n
        if not n:
            break
    else:
        raise ValueError("never full")
    taken = 0
    began = ticks_ms()
    while taken < sent:
        check_time(began, "the peer misses bytes")
        bench.received_count = 0
        if bench.take_at_peer() > 0:
            taken += bench.received_count
        bench.passes(1)
    expect(taken, sent)


def peer_closes(bench):
    bench.send_from_peer(100)
    bench.finish()
    bench.readable()
    expect_state(bench, states.CONNECTED)
    expect(bench.transact(4, 0, 0, 2048), 100)
    expect_state(bench, states.OTHER_END_CLOSED)
    expect(bench.transact(2, 0, 0, 0), 0)
    expect_state(bench, states.FREE)


def peer_resets(bench):
    bench.reset()
    expect_state(bench, states.OTHER_END_CLOSED)
    expect(bench.transact(2, 0, 0, 0), 0)
    expect_state(bench, states.FREE)


def peer_resets_after_data(bench):
    bench.send_from_peer(100)
    bench.readable()
    bench.reset()
    bench.passes(3)
    expect_state(bench, states.CONNECTED)
    expect(bench.transact(4, 0, 0, 2048), 100)
    expect_state(bench, states.OTHER_END_CLOSED)


def peer_resets_while_closing(bench):
    bench.write(2048, 0)
    expect(bench.transact(2, 0, 0, 0), 0)
    bench.reset()
    expect_state(bench, states.FREE)


def close_after_write(bench):
    expect(bench.write(2048, 1), 2048)
    bench.peer_receives(2048)
    expect_state(bench, states.FREE)


def abort(bench):
    expect(bench.transact(1, 0, 0, 0), 0)
    expect_state(bench, states.FREE)


def refused(bench):
    expect(bench.transact(99, 0, 0, 0), -1)
    expect(bench.transact(5, 0, 2049, 0), -5)


def news(bench):
    bench.service.wlan._told_state = -1
    bench.service.personality.news._told -= 1000
    bench.passes(2)


def housekeeping(bench):
    bench.service.wlan.radio.join(UNNAMED)
    bench.service.wlan.state = states.WIFI_CONNECTED
    bench.service.wlan.station._phase = 3  # up: the link is watched
    bench.service.housekeeping._kept -= 2000
    bench.service.garbage._base = -100000  # a collection is due
    bench.passes(2)
    expect(bench.service.wlan.rssi, -50)
    expect_state(bench, states.CONNECTED)


def calling_home(bench):
    # An attempt may allocate; the loop that waits for the next one may not.
    micropython.heap_unlock()
    sessions = bench.service.sessions
    sessions.call(LOOPBACK, NOBODYS_PORT, b"", 0, 1, 0)
    sessions.entries[0]._streak = 6  # the next one is a minute away
    began = ticks_ms()
    while not sessions.entries[0].failures:
        check_time(began, "no refusal came")
        bench.passes(1)
    micropython.heap_lock()
    bench.passes(10)
    expect(sessions.entries[0].failures, 1)
    bench.send_from_peer(100)
    bench.readable()
    expect(bench.transact(4, 0, 0, 2048), 100)
    sessions.stop_all()
    bench.passes(1)


SCENARIOS = (
    status,
    read,
    read_in_one_pass,
    write,
    write_and_push,
    write_odd_and_push,
    room,
    peer_closes,
    peer_resets,
    peer_resets_after_data,
    peer_resets_while_closing,
    close_after_write,
    abort,
    refused,
    news,
    housekeeping,
    calling_home,
)


def run(bench, scenario):
    """One scenario with a fresh peer and the heap locked."""
    bench.new_peer(scenario.__name__.startswith("peer_resets"))
    micropython.heap_lock()
    try:
        scenario(bench)
    finally:
        micropython.heap_unlock()
