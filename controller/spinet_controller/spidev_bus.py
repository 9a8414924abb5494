"""A real SPI bus in the controller-clocked role, as on a Raspberry Pi.

Two things are given as arguments, so that nothing here needs hardware to be tested:

`spi`   like `spidev.SpiDev`: `xfer2(values)` clocks bytes out and gives those shifted in. CS is one
        of the pins, as it stays low between the phases; a chip select of SPI's own is not used.
`pins`  `drive(pin, level)` sets TRANSFER_READY, CS and RESET; `data_ready()` gives DATA_READY's
        level; `fileno()` gets readable at its edges, and `edges()`, which never waits, gives for
        each of those not yet seen the level that the system found when it looked (True: high).

The system looks some time after an edge. A pulse that was over by then is two edges to the level
that was there before, or one.
"""

import asyncio
from collections import deque
from itertools import groupby

from spinet_controller.errors import ModuleLost
from spinet_controller.roles import ControllerClocked
from spinet_controller.spi_bus import Pin, Role, SpiBus


class SpidevBus(SpiBus):
    """The bus over `spi` and `pins`; use it as an async context manager, or open/close.

    A transfer blocks the event loop for as long as its bytes take (2 KiB at 10 MHz: 1.6 ms).
    `cs_per_phase` and `keep_transfer_ready` as with `VirtualBus`. A module that loses its
    power cannot be seen here: it stops answering.
    """

    def __init__(self, spi, pins, *, keep_transfer_ready=False, cs_per_phase=False):
        super().__init__()
        self.role = Role.CONTROLLER_CLOCKED
        self._spi = spi
        self._pins = pins
        self._new_machine = lambda: ControllerClocked(self, self, keep_transfer_ready, cs_per_phase)
        self._machine = self._new_machine()
        self._edges = deque()
        self._loop = None

    async def open(self):
        """Take the pins: TRANSFER_READY low, CS and RESET high."""
        self._loop = asyncio.get_running_loop()
        for pin, level in ((Pin.TRANSFER_READY, 0), (Pin.CS, 1), (Pin.RESET, 1)):
            self._pins.drive(pin, level)
        self.data_ready = self._pins.data_ready()
        self.present = True
        self._report_modules()

    def _report_modules(self):
        """See SpiBus; a module that is wired is always there."""
        if self.present and self.listener:
            self._loop.add_reader(self._pins.fileno(), self._take_edges)
            self.listener.module_came()

    async def close(self):
        """Let go of the pins; the module keeps its power."""
        if self.present:
            self._loop.remove_reader(self._pins.fileno())
            self.present = False
            self.wake()
            if self.listener:
                self.listener.module_lost(ModuleLost("the bus was closed"))

    async def __aenter__(self):
        await self.open()
        return self

    async def __aexit__(self, *_):
        await self.close()

    # -- SpiBus -----------------------------------------------------------------------

    def transact(self, request, data_length, ended):
        """See SpiBus."""
        self.offered_at = None
        self.started = False
        self._machine.transact(request, data_length, ended)

    def withdraw(self):
        """See SpiBus."""
        self._machine.withdraw()

    def set_reset(self, held):
        """See SpiBus."""
        self._take_edges()
        self.edges = 0
        self._pins.drive(Pin.RESET, 0 if held else 1)
        if not held:
            self._machine = self._new_machine()

    # -- the wire of the role ---------------------------------------------------------

    def mark_offered(self):
        """The role has begun a transaction."""
        self.offered_at = self._loop.time()

    def pin(self, pin, level):
        """Drive a pin of ours."""
        self._pins.drive(pin, level)

    def clock(self, data):
        """Clock a phase; the role hears of it once this round of callbacks is over."""
        # A pulse from before CS fell would look like the end of this phase.
        self._take_edges()
        shifted = bytes(self._spi.xfer2(list(data)))
        self._loop.call_soon(self._clocked, self._machine, shifted)

    def _clocked(self, machine, shifted):
        if machine is self._machine:
            machine.shift(shifted)

    def _take_edges(self):
        """Handle what has happened until now, in order; `clock` calls this in the middle of it."""
        self._edges.extend(level for level, _same in groupby(self._pins.edges()))
        while self._edges:
            self._edge(self._edges.popleft())
        if self._waiters:
            self.wake()

    def _edge(self, level):
        if level == self.data_ready:  # it was another one in between
            self._changed(not level)
        self._changed(level)

    def _changed(self, level):
        self.data_ready = level
        self.edges += level
        self._machine.data_ready(level)
