"""Pins, an SPI and an SPI target with a controller on the other side, on CPython and under the VM.

The controller is as strict as the boards in the field: it looks at DATA_READY and CS before it
asks, has one contiguous buffer for all phases, and takes all that the module shifts.
"""

from array import array

from raw_controller import data_phase, request

from spinet.duet.controller_clocked import SpiSlave
from spinet.duet.module_clocked import SpiMaster
from spinet.duet.transaction import Link
from spinet.duet.wire import DATA, FIRST_PHASE, RESPONSE
from spinet.fastpath import (
    KIT_COUNT,
    KIT_LOOP,
    KIT_PENDING,
    KIT_PLACES,
    KIT_READABLE,
    KIT_RECORDS,
    KIT_ROWS,
    KIT_RX,
    KIT_TICKS,
    KIT_TX,
    KIT_WAIT,
    LOOP_DUE,
    LOOP_PASSES,
    LOOP_TAKEN,
    LOOP_WORDS,
    ROW_CLOSED,
    ROW_CONNECTED,
    ROW_HANDLE,
    ROW_RSSI,
    ROW_WORDS,
    TAKEN_ZERO,
    WHY_DONE,
    WHY_FAILED,
    WHY_PLAIN,
    WHY_PORT,
    WHY_TIDY,
    turn,
)


class FakePin:
    """Shaped as `machine.Pin`; drive() is the other side. `trace` takes (name, level) of ours."""

    def __init__(self, name, level, trace):
        self._name = name
        self._level = level
        self._trace = trace
        self._handler = None

    def value(self, level=None):
        if level is None:
            return self._level
        if level != self._level:
            self._level = level
            self._trace.append((self._name, level))
        return None

    def irq(self, handler):
        self._handler = handler

    def drive(self, level, edge_seen=True):
        """The controller sets the level; edge_seen=False: the interrupt was lost."""
        changed = level != self._level
        self._level = level
        if changed and edge_seen:
            self.interrupt()

    def interrupt(self):
        """Its handler is called, at once or later than the edge."""
        if self._handler:
            self._handler(self)


class FakeSpi:
    """SPI master hardware wired to a controller that answers from one buffer."""

    def __init__(self, rig):
        self._rig = rig
        self.message = b""  # the controller's header and data
        self.lives_for = 1 << 16  # bytes until the controller dies: `dead_level` from then on
        self.dead_level = 0
        self.phases = []  # (offset, length) of each transfer
        self.shifted = b""  # what the module sent
        self.frequency = 0
        self.on_exchange = None  # called at the end of each, to let time pass

    def exchange(self, tx, rx, offset, n):
        assert self._rig.cs.value() == 0, "clocked without CS"
        assert n in range(4, 2053, 4), "a transfer is whole dwords"
        if self._rig.drops_request:
            self._rig.transfer_ready.drive(0)
        self.phases.append((offset, n))
        self._rig.trace.append(("clock", n))
        rx[offset : offset + n] = self._next(n)
        self.shifted += bytes(tx[offset : offset + n])
        if self.on_exchange:
            self.on_exchange()

    def _next(self, n):
        at = len(self.shifted)
        alive = bytes(self.message[at : min(at + n, self.lives_for)])
        filler = self.dead_level if at + n > self.lives_for else 0
        return alive + bytes([filler]) * (n - len(alive))

    def set_clock(self, frequency):
        self.frequency = frequency


class FakeTarget:
    """SPI target hardware: the controller clocks what was armed, and zeros past its end.

    It has read what it will shift as soon as it is armed, as DMA may.
    """

    def __init__(self, trace):
        self._trace = trace
        self.phases = []
        self._out = b""  # what it will shift
        self._into = None
        self._at = 0
        self._length = 0
        self._clocked = 0

    def arm(self, tx, rx, offset, n):
        assert n in range(4, 2049, 4), "a phase is whole dwords"
        self.phases.append((offset, n))
        self._out = bytes(tx[offset : offset + n])
        self._into = rx
        self._at = offset
        self._length = n
        self._clocked = 0

    def clocked(self):
        return self._clocked

    def disarm(self):
        self._length = self._clocked = 0

    def clock(self, out):
        """The controller clocks len(out) bytes; returns what it gets."""
        self._trace.append(("clock", len(out)))
        n = min(len(out), self._length - self._clocked)
        shifted = bytes(len(out))
        if n:
            at = self._at + self._clocked
            self._into[at : at + n] = out[:n]
            shifted = self._out[self._clocked : self._clocked + n] + bytes(len(out) - n)
            self._clocked += n
        return shifted


PASSES = 3  # what any one move of a controller's takes, and one more


def no_slots():
    """A kit for turn() where no socket is in use: Commands serve connRead and connWrite."""
    kit = [None] * KIT_PLACES
    kit[KIT_ROWS] = array("I", [0] * ROW_WORDS)
    kit[KIT_RECORDS] = [bytearray(20) for _ in range(8)]
    return kit


class Rig:
    """A link and its port on fake pins. `now` is the clock, in ms; serve() is a few passes."""

    def __init__(self, commands):
        self.trace = []
        self._manager = None  # of the slots that turn() serves; set by make_rig()
        self._kit = None
        self._loop = array("I", [0] * LOOP_WORDS)
        self.now = 1000
        self.drops_request = True  # this board drops TRANSFER_READY by hardware
        self.cs = FakePin("cs", 1, self.trace)
        self.data_ready = FakePin("data_ready", 0, self.trace)
        self.transfer_ready = FakePin("transfer_ready", 0, self.trace)
        self.link = Link(commands)

    def ticks(self):
        """The port's clock."""
        return self.now

    def _bind(self):
        """As the service does, but for the network, which Bench looks after."""
        kit = self._kit = self._manager.kit if self._manager else no_slots()
        kit[KIT_WAIT] = lambda _ms: None
        kit[KIT_TICKS] = lambda: self.ticks()
        kit[KIT_PENDING] = lambda: 0
        kit[KIT_LOOP] = self._loop
        kit[KIT_COUNT] = self.link.count
        kit[KIT_TX] = self.link.tx
        kit[KIT_RX] = self.link.rx
        self.port.bind(kit)

    def serve(self, after_ms=0):
        """Let time pass, then the loop has a few passes; it looks at the port after each."""
        self.now += after_ms
        self.link.refresh()
        if self._manager:
            self._manager.now = self.now
        for _ in range(PASSES):
            self.run_once()

    def run_once(self):
        """One pass, as the loop has it."""
        loop = self._loop
        loop[LOOP_PASSES] = 1
        why = None
        while why != WHY_DONE:
            loop[LOOP_DUE] = self.now
            why = turn(self._kit, loop[LOOP_PASSES], 0)
            if why == WHY_PLAIN:
                self.port.conclude(self.link)
            elif why == WHY_PORT:
                self.port.serve(self.link, self.now)
            elif why == WHY_TIDY:
                self.port.poll(self.link, self.now)
            elif why != WHY_DONE:
                self._failed(why, self._manager.slots[self.link.rx[2]])

    def _failed(self, why, slot):
        failed = slot.read_failed if why == WHY_FAILED else slot.write_failed
        failed(self._loop[LOOP_TAKEN] - TAKEN_ZERO)

    def boot(self):
        """Start the port, and run it until its start-up is over."""
        self._bind()
        self.port.start(self.now)
        while not self.port.idle():
            self.serve(1)

    def is_ready(self):
        """True while the controller may ask."""
        return self.data_ready.value() == 1 and self.cs.value() == 1

    def decode(self, shifted):
        """(version, state, response, data) of what the module sent."""
        value = int.from_bytes(shifted[8:12], "little")
        response = value - (1 << 32) if value >> 31 else value
        return shifted[0], shifted[1], response, shifted[12:]

    def ask(self, message):
        """A transaction that has to work: the response and the data."""
        version, _, response, data = self.decode(self.transact(message))
        assert version == 0x3E, "no module answers"
        return response, data[: max(0, response)]


def conn_status(record, available, rssi, closed, connected):
    """What connGetStatus brings of slot 5 with this record."""
    rig = make_rig("module-clocked", NoCommands())
    kit = rig._kit
    rows = kit[KIT_ROWS]
    rows[ROW_HANDLE + 5] = 1
    rows[ROW_RSSI] = rssi & 0xFF
    rows[ROW_CLOSED] = closed
    rows[ROW_CONNECTED] = connected
    kit[KIT_RECORDS][5] = record
    kit[KIT_READABLE] = [lambda _handle: available] * 8
    return rig.ask(request(6, 5))[1]


class NoCommands:
    """For requests that turn() serves."""

    def wifi_state(self):
        return 4


class MasterRig(Rig):
    """The module drives SCK and CS."""

    role = "module-clocked"

    def __init__(self, commands):
        super().__init__(commands)
        self.spi = self.wire_side = FakeSpi(self)
        pins = self.cs, self.data_ready, self.transfer_ready
        self.port = SpiMaster(self.spi, *pins, ticks=lambda: self.ticks())

    def transact(self, message):
        """What the module shifts out for this message."""
        assert self.is_ready(), "the module is not ready"
        self.expect(message)
        self.transfer_ready.drive(1)
        self.serve()
        self.transfer_ready.drive(0)
        return self.spi.shifted

    def expect(self, message):
        """The controller's buffers are ready."""
        self.spi.message = bytes(message)
        self.spi.shifted = b""
        self.spi.phases = []
        self.spi.lives_for = 1 << 16

    def die_after(self, message, n, level=0):
        """The controller is dead after n bytes: its line stays at one level."""
        self.expect(message)
        self.spi.lives_for = n
        self.spi.dead_level = level
        self.transfer_ready.drive(1)
        self.serve()
        self.transfer_ready.drive(0)


class SlaveRig(Rig):
    """The controller drives SCK and CS; `toggles` CS for each phase, or keeps it low."""

    role = "controller-clocked"

    def __init__(self, commands, toggles=False, piece=4096):
        super().__init__(commands)
        self.toggles = toggles
        self.piece = piece  # bytes of one burst of SCK: a slow controller makes several
        self.target = self.wire_side = FakeTarget(self.trace)
        self.port = SpiSlave(self.target, self.cs, self.data_ready, self.transfer_ready)

    def transact(self, message):
        """What the module shifts out for this message."""
        assert self.is_ready(), "the module is not ready"
        self.target.phases = self.target.phases[-1:]  # the header that is armed
        self.transfer_ready.drive(1)
        shifted = self._phases(message)
        self.let_go()
        return shifted

    def let_go(self):
        """The controller asks for nothing more."""
        self.cs.drive(1)
        self.transfer_ready.drive(0)
        self.serve()

    def _phases(self, message):
        shifted = self.phase(message[:FIRST_PHASE]) + self.phase(message[RESPONSE:DATA])
        n = data_phase(message, self.decode(shifted)[2])
        if n and self.data_ready.value():  # else the controller gives up: the module takes none
            out = message[DATA : DATA + n]
            shifted += self.phase(out + bytes(n - len(out)))
        return shifted

    def phase(self, out):
        """Clock one phase when DATA_READY says so."""
        assert self.data_ready.value() == 1, "no phase is armed"
        if self.toggles:
            self.cs.drive(1)  # late: the phase that follows is armed already
        self.cs.drive(0)
        shifted = b""
        for at in range(0, len(out), self.piece):
            shifted += self.target.clock(out[at : at + self.piece])
            self.serve()
        return shifted

    def die_after(self, message, n, level=0):
        """The controller clocks n bytes, phase by phase, and is never heard of again."""
        self.transfer_ready.drive(1)
        for first, last in ((0, 8), (8, 12), (12, len(message))):
            out = message[first : min(last, n)]
            if out:
                self.phase(out)

    def begin_anew(self):
        """The controller was started again, and asks for a transaction."""
        self.transfer_ready.drive(0)
        self.transfer_ready.drive(1)
        self.serve()

    def cut_short(self, out):
        """CS rises before the phase is whole."""
        self.cs.drive(0)
        self.target.clock(out)
        self.serve()
        self.cs.drive(1)
        self.serve()

    def over_clock(self, message, more):
        """A transaction whose data phase the controller clocks too far."""
        self.transfer_ready.drive(1)
        for out in (message[:FIRST_PHASE], message[RESPONSE:DATA], message[DATA:] + more):
            self.phase(out)
        self.let_go()


RIGS = {
    "module-clocked": MasterRig,
    "controller-clocked": SlaveRig,
    "controller-clocked, CS toggles": lambda commands: SlaveRig(commands, toggles=True),
    "controller-clocked, in pieces": lambda commands: SlaveRig(commands, True, 3),
}


def make_rig(role, commands, manager=None):
    """A rig that has booted; with the manager of the slots that the commands are about."""
    rig = RIGS[role](commands)
    rig._manager = manager
    rig.boot()
    return rig
