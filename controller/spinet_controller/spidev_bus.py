"""A real SPI bus in the controller-clocked role, as on a Raspberry Pi.

Two things are given as arguments, Spi and Pins, so that nothing here needs hardware to be tested.

The system looks some time after an edge. A pulse that was over by then is two edges to the level
that was there before, or one.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Protocol, Self

from spinet_controller.errors import ModuleLost
from spinet_controller.roles import ControllerClocked
from spinet_controller.spi_bus import Pin, Role, SpiBus


class Spi(Protocol):
    """Like `spidev.SpiDev`.

    CS is one of the pins, as it stays low between the phases; a chip select of SPI's own is not
    used.
    """

    def xfer2(self, values: list[int], /) -> Iterable[int]:
        """Clock bytes out; give those shifted in."""


class Pins(Protocol):
    """The four pins."""

    def drive(self, pin: Pin, level: int) -> None:
        """Set TRANSFER_READY, CS or RESET."""

    def data_ready(self) -> bool:
        """Give the level of DATA_READY."""

    def fileno(self) -> int:
        """Give the descriptor that gets readable at edges of DATA_READY."""

    def edges(self) -> Iterable[bool]:
        """Give, for each edge not yet seen, the level that the system found when it looked.

        True is high. It never waits.
        """


class SpidevBus(SpiBus):
    """The bus over `spi` and `pins`; use it as an async context manager, or open/close.

    A transfer blocks the event loop for as long as its bytes take (2 KiB at 10 MHz: 1.6 ms).
    `cs_per_phase` and `keep_transfer_ready` as with `VirtualBus`. A module that loses its
    power cannot be seen here: it stops answering.
    """

    def __init__(
        self, spi: Spi, pins: Pins, *, keep_transfer_ready: bool = False, cs_per_phase: bool = False
    ) -> None:
        super().__init__()
        self.role = Role.CONTROLLER_CLOCKED
        self._spi = spi
        self._pins = pins
        self._new_machine: Callable[[], ControllerClocked] = lambda: ControllerClocked(
            self, self, keep_transfer_ready, cs_per_phase
        )
        self._machine = self._new_machine()
        self._is_open = False
        self._edges: deque[bool] = deque()

    async def open(self) -> None:
        """Take the pins: TRANSFER_READY low, CS and RESET high."""
        for pin, level in ((Pin.TRANSFER_READY, 0), (Pin.CS, 1), (Pin.RESET, 1)):
            self._pins.drive(pin, level)
        self.data_ready = self._pins.data_ready()
        self._is_open = True
        self._report_modules()

    def _report_modules(self) -> None:
        """See SpiBus; a module that is wired is always there."""
        if self.present and self.listener:
            asyncio.get_running_loop().add_reader(self._pins.fileno(), self._take_edges)
            self.listener.module_came()

    async def close(self) -> None:
        """Let go of the pins; the module keeps its power."""
        if self.present:
            asyncio.get_running_loop().remove_reader(self._pins.fileno())
            self._is_open = False
            self.wake()
            if self.listener:
                self.listener.module_lost(ModuleLost("the bus was closed"))

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def present(self) -> bool:
        """True while it is open: the module's power cannot be seen."""
        return self._is_open

    # -- SpiBus -----------------------------------------------------------------------

    def transact(
        self, request: bytes, data_length: Callable[[int], int], ended: Callable[[bytes], None]
    ) -> None:
        """See SpiBus."""
        self.offered_at = None
        self.started = False
        self._machine.transact(request, data_length, ended)

    def withdraw(self) -> None:
        """See SpiBus."""
        self._machine.withdraw()

    def set_reset(self, held: bool) -> None:
        """See SpiBus."""
        self._take_edges()
        self.edges = 0
        self._pins.drive(Pin.RESET, 0 if held else 1)
        if not held:
            self._machine = self._new_machine()

    # -- the wire of the role ---------------------------------------------------------

    def pin(self, pin: Pin, level: int) -> None:
        """Drive a pin of ours."""
        self._pins.drive(pin, level)

    def clock(self, data: bytes) -> None:
        """Clock a phase; the role hears of it once this round of callbacks is over."""
        # A pulse from before CS fell would look like the end of this phase.
        self._take_edges()
        shifted = bytes(self._spi.xfer2(list(data)))
        asyncio.get_running_loop().call_soon(self._clocked, self._machine, shifted)

    def _clocked(self, machine: ControllerClocked, shifted: bytes) -> None:
        if machine is self._machine:
            machine.shift(shifted)

    def _take_edges(self) -> None:
        """Handle what has happened until now, in order; `clock` calls this in the middle of it."""
        self._edges.extend(level for level, _same in groupby(self._pins.edges()))
        while self._edges:
            self._edge(self._edges.popleft())
        if self._waiters:
            self.wake()

    def _edge(self, level: bool) -> None:
        if level == self.data_ready:  # it was another one in between
            self._changed(not level)
        self._changed(level)

    def _changed(self, level: bool) -> None:
        self.data_ready = level
        self.edges += level
        self._machine.data_ready(level)
