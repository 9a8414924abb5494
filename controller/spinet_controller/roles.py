"""The electrical roles: two as state machines of one transaction, and NINA's.

A bus calls them with what the module did, in the order in which it did it, and gives each a
`wire` to answer through.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from spinet_controller.errors import BusError, BusViolation
from spinet_controller.records import MODULE_HEADER, padded
from spinet_controller.spi_bus import HEADER, LONGEST, PHASE_1, Pin, SpiBus

_TRANSFER_READY, _CS = Pin.TRANSFER_READY, Pin.CS


class State(Enum):
    """Where the present transaction is.

    IDLE: none. WAITING: for DATA_READY and CS to be high. OFFERED: TRANSFER_READY is up.
    SELECTED: CS is low and bytes move.
    """

    IDLE = 0
    WAITING = 1
    OFFERED = 2
    SELECTED = 3


_IDLE, _WAITING, _OFFERED, _SELECTED = State


class ClockedWire(Protocol):
    """What the module clocks."""

    def pin(self, pin: Pin, level: int) -> None:
        """Drive a pin of ours."""

    def answer(self, armed: bytes, length: int) -> None:
        """Shift `length` bytes out: what was armed, then 0x00."""


class ClockingWire(Protocol):
    """What we clock; the bus comes back with `shift(data)`."""

    def pin(self, pin: Pin, level: int) -> None:
        """Drive a pin of ours."""

    def clock(self, data: bytes) -> None:
        """Clock `data` out."""


class Machine(Protocol):
    """What a bus asks of each role."""

    def transact(
        self, request: bytes, data_length: Callable[[int], int], ended: Callable[[bytes], None]
    ) -> None:
        """See SpiBus."""

    def withdraw(self) -> None:
        """See SpiBus."""

    def data_ready(self, level: bool) -> None:
        """The module changed DATA_READY."""

    def cs(self, level: bool) -> None:
        """The module changed CS."""

    def clock(self, data: bytes | bytearray) -> None:
        """The module clocked `data` out."""

    def shift(self, data: bytes | bytearray) -> None:
        """The module shifted `data` out for a CLOCK of ours."""


class ModuleClocked:
    """The module drives SCK and CS: we arm one contiguous buffer and answer from it.

    Whether the module clocks 8, 4, n or 8, 4 + n bytes makes no difference here.
    """

    def __init__(self, bus: SpiBus, wire: ClockedWire, keep_transfer_ready: bool) -> None:
        self._bus = bus
        self._wire = wire
        self._keep = keep_transfer_ready
        self._state = _IDLE
        self._request = b""
        self._position = 0
        self._captured: list[bytes | bytearray] = []
        self._ended: Callable[[bytes], None] = lambda _reply: None
        self._fell_idle = False

    def transact(
        self, request: bytes, _data_length: Callable[[int], int], ended: Callable[[bytes], None]
    ) -> None:
        """Offer `request` at the first moment when DATA_READY and CS are high."""
        self._request = request
        self._ended = ended
        self._state = _WAITING
        self._offer_if_ready()

    def _offer_if_ready(self) -> None:
        if self._state is _WAITING and self._bus.data_ready and self._bus.cs:
            self._state = _OFFERED
            self._bus.mark_offered()
            self._wire.pin(_TRANSFER_READY, 1)

    def withdraw(self) -> None:
        """Disarm: a module that clocks later gets zeros, which no module takes for a request."""
        if self._state is _OFFERED or (self._keep and self._state is _SELECTED):
            self._wire.pin(_TRANSFER_READY, 0)
        self._state = _IDLE

    def data_ready(self, level: bool) -> None:
        """The module changed DATA_READY; a pulse while CS stayed high is news."""
        if not level:
            self._fell_idle = self._bus.cs
            return
        if self._fell_idle and self._bus.listener:
            self._bus.listener.news()
        self._offer_if_ready()

    def cs(self, level: bool) -> None:
        """The module selected us, or ended the transaction."""
        self._fell_idle = False
        if level:
            self._deselected()
        elif self._state is _OFFERED:
            self._selected()

    def _selected(self) -> None:
        self._state = _SELECTED
        self._bus.started = True
        self._position = 0
        self._captured = []
        if not self._keep:
            self._wire.pin(_TRANSFER_READY, 0)

    def _deselected(self) -> None:
        if self._state is not _SELECTED:
            self._offer_if_ready()
            return
        if self._keep:
            self._wire.pin(_TRANSFER_READY, 0)
        self._state = _IDLE
        self._ended(b"".join(self._captured))

    def clock(self, data: bytes | bytearray) -> None:
        """Answer the module's clock at once, and keep what it shifted out."""
        length = len(data)
        if self._state is not _SELECTED:
            self._wire.answer(b"", length)
            return
        start = self._position
        self._position = end = start + length
        self._captured.append(data)
        self._wire.answer(self._request[start:end], length)

    def shift(self, _data: bytes | bytearray) -> None:
        """Only the clocked side sends SHIFT."""
        raise BusViolation("a SHIFT from the module, which drives the clock in this role")


class _WeClock:
    """What the module must not do where we drive CS and SCK."""

    def cs(self, _level: bool) -> None:
        """The module never drives CS in this role."""
        raise BusViolation("a PIN frame for CS, which is the controller's in this role")

    def clock(self, _data: bytes | bytearray) -> None:
        """The module never drives SCK in this role."""
        raise BusViolation("a CLOCK from the module, which is clocked in this role")

    def _check_shift(self, length: int, clocked: int) -> None:
        """Refuse a SHIFT of `length` bytes when `clocked` bytes were clocked (0: none)."""
        if not clocked:
            raise BusViolation("a SHIFT without a CLOCK")
        if length != clocked:
            raise BusViolation(f"a SHIFT of {length} bytes for a CLOCK of {clocked}")


class ControllerClocked(_WeClock):
    """We drive SCK and CS; the module raises DATA_READY for each phase it has armed.

    DATA_READY falls as a phase ends, just before or just after we have its bytes. What
    counts as "armed again" is a rise after that fall, so a phase whose fall we have not
    seen yet is owed one.
    """

    def __init__(
        self, bus: SpiBus, wire: ClockingWire, keep_transfer_ready: bool, cs_per_phase: bool
    ) -> None:
        self._bus = bus
        self._wire = wire
        self._keep = keep_transfer_ready
        self._cs_per_phase = cs_per_phase
        self._state = _IDLE
        self._fall_owed = False
        self._pulsing = False
        self._clocking = 0
        self._request = b""
        self._reply = b""
        self._data_length: Callable[[int], int] = lambda _response: 0
        self._ended: Callable[[bytes], None] = lambda _reply: None
        self._phase_length = 0

    def transact(
        self, request: bytes, data_length: Callable[[int], int], ended: Callable[[bytes], None]
    ) -> None:
        """Start with the header phase as soon as the module has armed it."""
        self._request = request
        self._reply = b""
        self._data_length = data_length
        self._ended = ended
        self._phase_length = PHASE_1
        self._state = _WAITING
        self._go_on()

    def _go_on(self) -> None:
        """Clock the next phase when the module has armed it and no other is on the wire."""
        if self._state is _IDLE or self._clocking or self._fall_owed or not self._bus.data_ready:
            return
        if self._state is _WAITING:
            self._begin()
        self._select()
        start = len(self._reply)
        self._clocking = self._phase_length
        chunk = self._request[start : start + self._clocking].ljust(self._clocking, b"\0")
        self._wire.clock(chunk)

    def _begin(self) -> None:
        self._state = _SELECTED
        self._bus.mark_offered()
        self._bus.started = True
        self._wire.pin(_TRANSFER_READY, 1)

    def _select(self) -> None:
        if self._bus.cs:
            self._bus.cs = False
            self._wire.pin(_CS, 0)

    def _deselect(self) -> None:
        if not self._bus.cs:
            self._bus.cs = True
            self._wire.pin(_CS, 1)

    def withdraw(self) -> None:
        """Raise CS in the middle: the module goes back to waiting for a header."""
        if self._state is _SELECTED:
            self._finish()
        self._state = _IDLE
        self._fall_owed = False

    def _finish(self) -> None:
        if self._keep or len(self._reply) < PHASE_1:
            self._wire.pin(_TRANSFER_READY, 0)
        self._deselect()
        self._state = _IDLE

    def data_ready(self, level: bool) -> None:
        """The module changed DATA_READY: a phase ended, one is armed, or it has news.

        A pulse is a fall and a rise with no end of a phase between them. It may come while
        our first CLOCK is on its way: the module had not seen that yet.
        """
        if not level:
            unselected = self._state is not _SELECTED
            self._pulsing = not self._fall_owed and (unselected or self._clocking > 0)
            self._fall_owed = False
            return
        if self._pulsing and self._bus.listener:
            self._bus.listener.news()
        self._pulsing = False
        self._go_on()

    def shift(self, data: bytes | bytearray) -> None:
        """The phase on the wire is done; see whether another one follows."""
        self._check_shift(len(data), self._clocking)
        self._clocking = 0
        self._pulsing = False
        self._fall_owed = self._bus.data_ready
        if self._state is _SELECTED:
            self._phase_done(data)

    def _phase_done(self, data: bytes | bytearray) -> None:
        if not self._reply and not self._keep:
            self._wire.pin(_TRANSFER_READY, 0)
        self._reply += data
        if self._cs_per_phase:
            self._deselect()
        self._phase_length = self._next_phase_length()
        if self._phase_length:
            self._go_on()
            return
        self._finish()
        self._ended(self._reply)

    def _next_phase_length(self) -> int:
        """Give the bytes of the next phase, 0 when the transaction is complete."""
        if len(self._reply) == PHASE_1:
            return HEADER - PHASE_1
        if len(self._reply) > HEADER:
            return 0
        response: int = MODULE_HEADER.unpack(self._reply)[-1]
        return min(padded(self._data_length(response)), LONGEST - HEADER)


class ByProgram(_WeClock):
    """NINA's role: a program drives CS and clocks what it likes, DATA_READY is its READY.

    `changed()` is called when READY has changed.
    """

    def __init__(self, wire: ClockingWire, changed: Callable[[], None]) -> None:
        self._wire = wire
        self._changed = changed
        self._clocked: deque[tuple[int, Callable[[bytes | bytearray], None]]] = deque()

    def transact(
        self, _request: bytes, _data_length: Callable[[int], int], _ended: Callable[[bytes], None]
    ) -> None:
        """This module has no transactions of the link."""
        raise BusError("the module speaks NINA, and not the protocol of this link")

    def withdraw(self) -> None:
        """There is no transaction."""

    def exchange(self, data: bytes, shifted: Callable[[bytes | bytearray], None]) -> None:
        """Clock `data` out; `shifted(bytes)` is called once, with as many."""
        self._clocked.append((len(data), shifted))
        self._wire.clock(data)

    def shift(self, data: bytes | bytearray) -> None:
        """The oldest transfer is done."""
        self._check_shift(len(data), self._clocked[0][0] if self._clocked else 0)
        self._clocked.popleft()[1](data)

    def data_ready(self, _level: bool) -> None:
        """READY changed."""
        self._changed()

    def lost(self) -> None:
        """No SHIFT will come any more: what was clocked gave zeros."""
        while self._clocked:
            length, shifted = self._clocked.popleft()
            shifted(bytes(length))
