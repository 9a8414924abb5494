"""What the link and a bus know of each other: pins, and one transaction at a time.

A bus drives the electrical side of a transaction in its role; the link says which bytes and
judges what came back. Two buses exist: `bus.VirtualBus` (module on a TCP connection) and
`spidev_bus.SpidevBus` (Raspberry Pi). Both are used from the thread of the event loop only.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import IntEnum

from spinet_controller.codes import MAX_DATA
from spinet_controller.errors import ModuleLost

PHASE_1 = 8
PHASE_2 = 4
HEADER = PHASE_1 + PHASE_2
LONGEST = HEADER + MAX_DATA


class Role(IntEnum):
    """The side that drives SCK and CS, numbered as in the virtual bus's HELLO.

    In the role `NINA` the controller does, and the module speaks another protocol: that of
    `spinet_controller.circuitpython`.
    """

    MODULE_CLOCKED = 0
    CONTROLLER_CLOCKED = 1
    NINA = 2

    @property
    def label(self) -> str:
        """The role as it is written on a command line."""
        return self.name.lower().replace("_", "-")


LINK_ROLES = (Role.MODULE_CLOCKED, Role.CONTROLLER_CLOCKED)
"""The roles of the link that Module speaks."""


class Pin(IntEnum):
    """The signals beside SPI's own, numbered as in the virtual bus's PIN frames.

    GPIO0 is the module's, and in NINA's role only; the link has the others.
    """

    TRANSFER_READY = 0
    DATA_READY = 1
    CS = 2
    RESET = 3
    GPIO0 = 4


class BusListener(ABC):
    """What a bus reports, all from the event loop."""

    @abstractmethod
    def module_came(self) -> None:
        """A module has power; it has not booted yet."""

    @abstractmethod
    def module_lost(self, error: ModuleLost) -> None:
        """The module is gone; a transaction under way gets no other end."""

    @abstractmethod
    def news(self) -> None:
        """DATA_READY was pulsed outside a transaction: the module has news."""


class SpiBus(ABC):
    """The controller's pins and its one transaction primitive.

    Public state, written by the bus alone:
    `role`        which side clocks; None until it is known
    `data_ready`  level of the module's pin
    `cs`          level of CS, in both roles
    `edges`       rising edges of DATA_READY since power-up or reset
    `offered_at`  loop time at which the present request was offered, None before
    `started`     True once the module takes part in the present transaction
    """

    role: Role | None = None
    data_ready = False
    cs = True
    edges = 0
    offered_at: float | None = None
    started = False

    _listener: BusListener | None = None

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    @property
    @abstractmethod
    def present(self) -> bool:
        """Whether a module has power."""

    @property
    def listener(self) -> BusListener | None:
        """A BusListener, set by the link; a module that is there before is reported then."""
        return self._listener

    @listener.setter
    def listener(self, listener: BusListener | None) -> None:
        self._listener = listener
        self._report_modules()

    @abstractmethod
    def _report_modules(self) -> None:
        """Called when there is a listener, and by the bus when it is open.

        Once both are true, what comes is reported.
        """

    @abstractmethod
    def transact(
        self, request: bytes, data_length: Callable[[int], int], ended: Callable[[bytes], None]
    ) -> None:
        """Exchange `request` (12 header bytes, then data) as soon as the pins allow it.

        `data_length(response)` tells how many bytes the data phase has; the bus asks only
        where it clocks itself. `ended(reply)` is called once, when CS has risen, with
        everything the module shifted out: 8 + 4 bytes and the data phase.
        """

    @abstractmethod
    def withdraw(self) -> None:
        """Give up the present transaction: `ended` is not called any more."""

    @abstractmethod
    def set_reset(self, held: bool) -> None:
        """Hold the module in reset, or let it go; counting of edges starts again."""

    def mark_offered(self) -> None:
        """Called by the role when the request is on offer to the module."""
        self.offered_at = asyncio.get_running_loop().time()

    async def pins_changed(self) -> None:
        """Return after the next change of a pin of the module, or of its presence."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def wake(self) -> None:
        """End every `pins_changed()`: something is to be looked at again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
