"""The virtual bus, the controller's side: one module on a TCP connection of this computer.

Source: virtual-bus document. Initial levels are those of an unpowered board: DATA_READY and
TRANSFER_READY low, CS (pulled up) and RESET high.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Self

from spinet_controller.errors import BusError, BusViolation, ModuleLost, PowerLost
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
from spinet_controller.roles import ControllerClocked, Machine, ModuleClocked
from spinet_controller.spi_bus import LINK_ROLES, Pin, Role, SpiBus

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
DEFAULT_PORT = 8765

PATIENCE = 30.0
"""Seconds in which a frame has to be whole, and a new connection has to say HELLO."""


class _Wire:
    """The connection of one module; frames out are gathered while frames in are handled.

    A bare socket on the event loop: two of its wake-ups make one transaction, and a transport would
    cost some microseconds more in each.
    """

    def __init__(self, bus: "VirtualBus", sock: socket.socket) -> None:
        self._bus = bus
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(bus.frame)
        self._out: list[bytes] = []
        self._unsent = b""  # what the system had no room for
        self._handling = False
        self._overdue: asyncio.TimerHandle | None = self._loop.call_later(
            PATIENCE, self._never_finished, "a HELLO"
        )
        self.ended = False  # set by end(); the bus has not yet heard of it
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.add_reader(sock, self._receive)

    def _receive(self) -> None:
        try:
            count = self._sock.recv_into(self._reader.room())
        except BlockingIOError:
            return
        except OSError as error:
            self.end(error)
            return
        if count:
            self._handle(count)
        else:
            self.end(None)

    def _handle(self, count: int) -> None:
        self._handling = True
        try:
            finished = self._reader.received(count)
        except BusViolation as violation:
            self.end(violation)
        except Exception as error:
            self.end(error)  # half of the frames are handled: there is no way on from here
            raise
        else:
            if self._overdue or self._reader.unfinished:
                self._watch_unfinished(finished)
        finally:
            self._handling = False
        self._send_gathered()

    def _watch_unfinished(self, finished: bool) -> None:
        """A frame has PATIENCE from its first byte on, however slowly the rest comes."""
        if finished and self._overdue:
            self._overdue.cancel()
            self._overdue = None
        if self._reader.unfinished and not self._overdue and not self.ended:
            self._overdue = self._loop.call_later(PATIENCE, self._never_finished, "a frame")

    def _never_finished(self, what: str) -> None:
        self._overdue = None
        self.end(BusViolation(f"{what} that was not finished within {PATIENCE:g} s"))

    def close(self) -> None:
        """Close, and send what waits: the module may need it to end its last transaction."""
        if self._out:
            self._write()
        self.end(ModuleLost("the bus was closed"))

    def end(self, error: BaseException | None) -> None:
        """Close because of `error`, or of the module when None; what waits to be sent is dropped.

        The bus hears of it when the present callbacks are over.
        """
        if self.ended:
            return
        self.ended = True
        self._out.clear()
        if self._overdue:
            self._overdue.cancel()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        self._loop.call_soon(self._bus.wire_lost, error)

    def pin(self, pin: Pin, level: int) -> None:
        """Drive one of our pins."""
        self._send(PIN_FRAMES[pin, level])

    def clock(self, data: bytes) -> None:
        """Clock `data` out."""
        self._bus.crossing(len(data))
        self._send(clock_frame(data))

    def answer(self, armed: bytes, length: int) -> None:
        """Shift `length` bytes out: what was armed, then 0x00."""
        self._bus.crossing(length)
        self._send(shift_frame(armed, length))

    def _send(self, frame: bytes) -> None:
        """Send a frame, together with the others that answer the same input."""
        if self.ended:
            return
        self._out.append(frame)
        if not self._handling:
            self._send_gathered()

    def _send_gathered(self) -> None:
        """Send now, or when the bytes that are on the modelled wire have crossed it.

        Until then everybody else has a turn, as beside DMA.
        """
        pacer = self._bus.pacer
        if pacer and pacer.busy():
            self._loop.call_soon(self._crossed, pacer)
        elif self._out:
            self._write()

    def _crossed(self, pacer: Pacer) -> None:
        pacer.wait()
        if self._out:
            self._write()

    def _write(self) -> None:
        data = b"".join(self._out)
        self._out.clear()
        if self._unsent:
            self._unsent += data
            return
        sent = self._sent(data)
        if sent < len(data):
            self._unsent = data[sent:]
            self._loop.add_writer(self._sock, self._write_unsent)

    def _write_unsent(self) -> None:
        self._unsent = self._unsent[self._sent(self._unsent) :]
        if not self._unsent:
            self._loop.remove_writer(self._sock)

    def _sent(self, data: bytes) -> int:
        """Give how many bytes the system took; of a broken connection reading tells."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)


class VirtualBus(SpiBus):
    """Listens for a module and is its bus; use it as an async context manager, or open/close.

    `role` None takes whichever role of the link the module says; another value refuses a module
    that says something else. `keep_transfer_ready` holds TRANSFER_READY up until CS rises, as
    boards do that do not drop it by hardware. `cs_per_phase` toggles CS for every phase
    where the controller clocks. `bytes_clocked` counts what crossed the wire, a byte each way
    at once. ValueError for a port that is none of 0 to 65535.
    """

    def __init__(
        self,
        port: int = DEFAULT_PORT,
        *,
        role: Role | None = None,
        sck_hz: float | None = None,
        keep_transfer_ready: bool = False,
        cs_per_phase: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= port <= 65535:
            raise ValueError(f"a port is 0 to 65535, not {port}")
        self.port = port
        self.version: str | None = None
        self.bytes_clocked = 0
        self.pacer = Pacer(sck_hz) if sck_hz else None
        self._wanted_role = role
        self._keep_transfer_ready = keep_transfer_ready
        self._cs_per_phase = cs_per_phase
        self._server: socket.socket | None = None
        self._wire: _Wire | None = None
        self._machine: Machine | None = None
        self._held_in_reset = False

    async def open(self) -> None:
        """Start listening; a port in use raises BusError. The real port is then in `port`."""
        try:
            self._server = socket.create_server((HOST, self.port))
        except OSError as error:
            raise BusError(_listen_failed(self.port, error)) from error
        self._server.setblocking(False)
        self.port = self._server.getsockname()[1]
        self._report_modules()

    async def close(self) -> None:
        """Stop listening and take the power from the module."""
        if self._server:
            asyncio.get_running_loop().remove_reader(self._server)
            self._server.close()
            self._server = None
        if self._wire:
            self._wire.close()
            while self._wire:
                await self.pins_changed()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _report_modules(self) -> None:
        """See SpiBus; until then a module waits to be accepted."""
        if self._server and self.listener:
            asyncio.get_running_loop().add_reader(self._server, self._accept)

    @property
    def present(self) -> bool:
        """True while a module that said HELLO is connected."""
        return self._machine is not None

    def transact(
        self, request: bytes, data_length: Callable[[int], int], ended: Callable[[bytes], None]
    ) -> None:
        """See SpiBus; without a module it raises ModuleLost."""
        if self._machine is None:
            raise ModuleLost("no module is connected")
        self.offered_at = None
        self.started = False
        self._machine.transact(request, data_length, ended)

    def withdraw(self) -> None:
        """See SpiBus."""
        if self._machine:
            self._machine.withdraw()

    def set_reset(self, held: bool) -> None:
        """See SpiBus; the pin of a module that is not there cannot be moved."""
        if self._wire is None or self._machine is None:
            raise ModuleLost("no module is connected")
        self.edges = 0
        self._held_in_reset = held
        self._wire.pin(Pin.RESET, 0 if held else 1)
        if not held:
            self._machine = self._new_machine(self._wire)

    def crossing(self, length: int) -> None:
        """Called by the wire when so many bytes are clocked."""
        self.bytes_clocked += length
        if self.pacer:
            self.pacer.begin(length)

    def _accept(self) -> None:
        """A connection was made; only one module has a place, the others are not heard."""
        if self._wire and self._wire.ended:
            return  # its place is free in a moment, and we are called again
        assert self._server
        try:
            sock, _ = self._server.accept()
        except OSError:
            return  # it is gone again
        if self._wire:
            log.warning("a second module tried to connect to the bus and was refused")
            sock.close()
            return
        self._wire = _Wire(self, sock)
        self._held_in_reset = False
        self.data_ready = False
        self.cs = True
        self.edges = 0

    def wire_lost(self, error: BaseException | None) -> None:
        """The connection is gone: the module has no power any more."""
        self._wire = None
        self.data_ready = False
        present, self._machine = self.present, None
        lost = _as_loss(error)
        if isinstance(error, BusError):
            log.warning("the bus connection was ended: %s", error)
        self.wake()
        if self.listener and (present or isinstance(error, BusError)):
            self.listener.module_lost(lost)

    def frame(self, kind: int, arg: int, payload: bytearray) -> None:
        """Handle one frame of the module; the hot ones come first."""
        machine = self._machine
        if machine is None:
            self._hello(kind, arg, payload)
        elif kind == PIN:
            self._pin(machine, arg, payload[0])
        elif kind == HELLO:
            raise BusViolation("a second HELLO")
        elif self._held_in_reset:
            # It crossed our RESET on the way: the other half is not waited for any more.
            return
        elif kind == CLOCK:
            machine.clock(payload)
        else:
            machine.shift(payload)

    def _hello(self, kind: int, role: int, payload: bytearray) -> None:
        if kind != HELLO:
            raise BusViolation(f"a frame of kind {kind} before HELLO")
        if role not in list(Role):
            raise BusViolation(f"a HELLO with unknown role {role}")
        if not payload.isascii():
            raise BusViolation("a HELLO whose version text is not ASCII")
        self.role = Role(role)
        self._check_role(self.role)
        self.version = payload.decode("ascii")
        assert self._wire, "no frame comes without it"
        self._machine = self._new_machine(self._wire)
        self.wake()
        if self.listener:
            self.listener.module_came()

    def _check_role(self, role: Role) -> None:
        wanted = LINK_ROLES if self._wanted_role is None else (self._wanted_role,)
        if role not in wanted:
            asked = " or ".join(each.label for each in wanted)
            raise BusViolation(f"the module is {role.label}, and {asked} was asked for")

    def _new_machine(self, wire: _Wire) -> Machine:
        if self.role is Role.MODULE_CLOCKED:
            return ModuleClocked(self, wire, self._keep_transfer_ready)
        return ControllerClocked(self, wire, self._keep_transfer_ready, self._cs_per_phase)

    def _pin(self, machine: Machine, pin: int, level: int) -> None:
        if level > 1:
            raise BusViolation(f"a PIN frame with level {level} (0 or 1 expected)")
        if pin == Pin.DATA_READY:
            self._data_ready_is(machine, level == 1)
        elif pin == Pin.CS:
            self._cs_is(machine, level == 1)
        else:
            raise BusViolation(f"a PIN frame for pin {pin}, which is not the module's")
        if self._waiters:
            self.wake()

    def _data_ready_is(self, machine: Machine, level: bool) -> None:
        if level == self.data_ready:
            return
        self.data_ready = level
        if level:
            self.edges += 1
        if not self._held_in_reset:
            machine.data_ready(level)

    def _cs_is(self, machine: Machine, level: bool) -> None:
        if self.role is Role.MODULE_CLOCKED:
            if level == self.cs:
                return
            self.cs = level
        machine.cs(level)


def _listen_failed(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {HOST} is in use: is another controller running?"
    return f"cannot listen on {HOST}:{port}: {error.strerror}"


def _as_loss(error: BaseException | None) -> ModuleLost:
    if isinstance(error, ModuleLost):
        return error
    if isinstance(error, BusError):
        lost = ModuleLost(str(error))
    else:
        lost = PowerLost("the module closed the bus (power lost)")
    lost.__cause__ = error
    return lost
