"""The virtual bus, the controller's side: one module on a TCP connection of this computer.

Source: virtual-bus document. Initial levels are those of an unpowered board: DATA_READY and
TRANSFER_READY low, CS (pulled up) and RESET high.
"""

import asyncio
import errno
import logging

from spinet_controller.errors import BusError, BusViolation, ModuleLost
from spinet_controller.frames import (
    CLOCK,
    HELLO,
    PIN,
    PIN_FRAMES,
    FrameReader,
    clock_frame,
    shift_frame,
)
from spinet_controller.pacing import Pacer
from spinet_controller.roles import ControllerClocked, ModuleClocked
from spinet_controller.spi_bus import Pin, Role, SpiBus

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
DEFAULT_PORT = 8765


class _Wire(asyncio.BufferedProtocol):
    """The connection of one module; frames out are gathered while frames in are handled.

    Callbacks on a buffer of our own: four of these wake-ups make one transaction.
    """

    def __init__(self, bus):
        self._bus = bus
        self._transport = None
        self._out = []
        self._handling = False
        self._reader = FrameReader(bus.frame)
        self._error = None

    def connection_made(self, transport):
        self._transport = transport
        self._bus.wire_made(self)

    def refuse(self):
        """Close a second connection without hearing it."""
        self._error = BusError("a second module")
        self._transport.abort()

    def get_buffer(self, _hint):
        return self._reader.room()

    def buffer_updated(self, count):
        if self._error:
            return
        self._handling = True
        try:
            self._reader.received(count)
        except BusViolation as violation:
            self.end(violation)
        finally:
            self._handling = False
        self._flush()

    def connection_lost(self, exc):
        self._bus.wire_lost(self, self._error or exc)

    def end(self, error):
        """Close because of `error`; frames that wait to be sent are dropped."""
        self._error = error
        self._out.clear()
        self._transport.abort()

    def pin(self, pin, level):
        """Drive one of our pins."""
        self._send(PIN_FRAMES[pin, level])

    def clock(self, data):
        """Clock `data` out."""
        self._hold(len(data))
        self._send(clock_frame(data))

    def answer(self, armed, length):
        """Shift `length` bytes out: what was armed, then 0x00."""
        self._hold(length)
        self._send(shift_frame(armed, length))

    def _hold(self, length):
        """Let the time pass that `length` bytes take on the wire, when one is modelled."""
        self._bus.bytes_clocked += length
        if self._bus.pacer:
            self._flush()
            self._bus.pacer.hold(length)

    def _send(self, frame):
        """Send a frame, together with the others that answer the same input."""
        if self._error:
            return
        self._out.append(frame)
        if not self._handling:
            self._flush()

    def _flush(self):
        if self._out:
            self._transport.write(b"".join(self._out))
            self._out.clear()


class VirtualBus(SpiBus):
    """Listens for a module and is its bus; use it as an async context manager, or open/close.

    `role` None takes whichever role the module says; another value refuses a module that
    says something else. `keep_transfer_ready` holds TRANSFER_READY up until CS rises, as
    boards do that do not drop it by hardware. `cs_per_phase` toggles CS for every phase
    where the controller clocks. `bytes_clocked` counts what crossed the wire.
    """

    def __init__(
        self,
        port=DEFAULT_PORT,
        *,
        role=None,
        sck_hz=None,
        keep_transfer_ready=False,
        cs_per_phase=False,
    ):
        self.port = port
        self.version = None
        self.bytes_clocked = 0
        self.pacer = Pacer(sck_hz) if sck_hz else None
        self._wanted_role = role
        self._keep_transfer_ready = keep_transfer_ready
        self._cs_per_phase = cs_per_phase
        self._server = None
        self._taking = False
        self._wire = None
        self._machine = None
        self._held_in_reset = False
        self._waiters = []
        self._loop = None

    async def open(self):
        """Start listening; a port in use raises BusError. The real port is then in `port`."""
        self._loop = asyncio.get_running_loop()
        self._taking = True  # a module that keeps trying may come before create_server returns
        try:
            self._server = await self._loop.create_server(lambda: _Wire(self), HOST, self.port)
        except OSError as error:
            raise BusError(_listen_failed(self.port, error)) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self):
        """Stop listening and take the power from the module."""
        if self._server:
            self._server.close()
        self._taking = False
        if self._wire:
            self._wire.end(ModuleLost("the bus was closed"))
            while self._wire:
                await self.pins_changed()

    async def __aenter__(self):
        await self.open()
        return self

    async def __aexit__(self, *_):
        await self.close()

    @property
    def present(self):
        """True while a module that said HELLO is connected."""
        return self._machine is not None

    def transact(self, request, data_length, ended):
        """See SpiBus; without a module it raises ModuleLost."""
        if self._machine is None:
            raise ModuleLost("no module is connected")
        self.offered_at = None
        self.started = False
        self._machine.transact(request, data_length, ended)

    def withdraw(self):
        """See SpiBus."""
        if self._machine:
            self._machine.withdraw()

    def set_reset(self, held):
        """See SpiBus; the pin of a module that is not there cannot be moved."""
        if self._wire is None:
            raise ModuleLost("no module is connected")
        self.edges = 0
        self._held_in_reset = held
        self._wire.pin(Pin.RESET, 0 if held else 1)
        if not held:
            self._machine = self._new_machine()

    async def pins_changed(self):
        """See SpiBus."""
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def mark_offered(self):
        """Called by the role when the request is on offer to the module."""
        self.offered_at = self._loop.time()

    def _wake(self):
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def wire_made(self, wire):
        """A connection was made; only one module has a place, and none once we are closed."""
        if not self._taking:
            wire.refuse()
            return
        if self._wire:
            log.warning("a second module tried to connect to the bus and was refused")
            wire.refuse()
            return
        self._wire = wire
        self._held_in_reset = False
        self.data_ready = False
        self.cs = True
        self.edges = 0

    def wire_lost(self, wire, error):
        """The connection is gone: the module has no power any more."""
        if wire is not self._wire:
            return
        self._wire = None
        self.data_ready = False
        present, self._machine = self.present, None
        lost = _as_loss(error)
        if isinstance(error, BusError):
            log.warning("the bus connection was ended: %s", error)
        self._wake()
        if present or isinstance(error, BusError):
            self.listener.module_lost(lost)

    def frame(self, kind, arg, payload):
        """Handle one frame of the module; the hot ones come first."""
        machine = self._machine
        if machine is None:
            self._hello(kind, arg, payload)
        elif kind == PIN:
            self._pin(arg, payload[0])
        elif kind == HELLO:
            raise BusViolation("a second HELLO")
        elif self._held_in_reset:
            # It crossed our RESET on the way: nobody waits for the other half any more.
            return
        elif kind == CLOCK:
            machine.clock(payload)
        else:
            machine.shift(payload)

    def _hello(self, kind, role, payload):
        if kind != HELLO:
            raise BusViolation(f"a frame of kind {kind} before HELLO")
        if role not in (Role.MODULE_CLOCKED, Role.CONTROLLER_CLOCKED):
            raise BusViolation(f"a HELLO with unknown role {role}")
        if not payload.isascii():
            raise BusViolation("a HELLO whose version text is not ASCII")
        self.role = Role(role)
        self._check_role()
        self.version = payload.decode("ascii")
        self._machine = self._new_machine()
        self._wake()
        self.listener.module_came()

    def _check_role(self):
        if self._wanted_role is not None and self.role != self._wanted_role:
            raise BusViolation(
                f"the module is {self.role.label}, and {self._wanted_role.label} was asked for"
            )

    def _new_machine(self):
        if self.role is Role.MODULE_CLOCKED:
            return ModuleClocked(self, self._wire, self._keep_transfer_ready)
        return ControllerClocked(self, self._wire, self._keep_transfer_ready, self._cs_per_phase)

    def _pin(self, pin, level):
        if level > 1:
            raise BusViolation(f"a PIN frame with level {level} (0 or 1 expected)")
        if pin == Pin.DATA_READY:
            self._data_ready_is(level == 1)
        elif pin == Pin.CS:
            self._cs_is(level == 1)
        else:
            raise BusViolation(f"a PIN frame for pin {pin}, which is not the module's")
        if self._waiters:
            self._wake()

    def _data_ready_is(self, level):
        if level == self.data_ready:
            return
        self.data_ready = level
        if level:
            self.edges += 1
        if not self._held_in_reset:
            self._machine.data_ready(level)

    def _cs_is(self, level):
        if self.role is Role.MODULE_CLOCKED:
            if level == self.cs:
                return
            self.cs = level
        self._machine.cs(level)


def _listen_failed(port, error):
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {HOST} is in use: is another controller running?"
    return f"cannot listen on {HOST}:{port}: {error.strerror}"


def _as_loss(error):
    if isinstance(error, ModuleLost):
        return error
    broken = isinstance(error, BusError)
    lost = ModuleLost(str(error) if broken else "the module closed the bus (power lost)")
    lost.__cause__ = error
    return lost
