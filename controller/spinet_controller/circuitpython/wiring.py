"""The virtual bus for a program that blocks: levels of pins, and transfers of bytes.

The bus runs on a thread of its own, since a CircuitPython program sleeps and polls on its own
terms, or runs asyncio. A wire that nothing drives is pulled up.
"""

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack
from enum import Enum
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Self

from spinet_controller.bus import VirtualBus
from spinet_controller.errors import ModuleLost
from spinet_controller.frames import LONGEST_CLOCK
from spinet_controller.roles import ByProgram, ClockingWire, Machine
from spinet_controller.sim import SimProcess
from spinet_controller.spi_bus import BusListener, Pin, Role

LOOK = 0.005
"""Seconds for which a level that has not changed since it was last read is waited for."""


class Line(Enum):
    """The wires between a board and its module beside SPI's own."""

    CS = "ESP_CS"
    READY = "ESP_BUSY"
    RESET = "ESP_RESET"
    GPIO0 = "ESP_GPIO0"


_DRIVEN = {Line.CS: Pin.CS, Line.RESET: Pin.RESET}


class _Bus(VirtualBus):
    """The bus in NINA's role, used from its event loop only. `data_ready` is READY's level."""

    def __init__(self, port: int, changed: Callable[[], None]) -> None:
        super().__init__(port, role=Role.NINA)
        self.data_ready = True
        self.gpio0 = False
        self._changed = changed
        self._levels = {Pin.CS: True, Pin.RESET: True}
        self._program: ByProgram | None = None

    def drive(self, pin: Pin, level: bool) -> None:
        """Drive CS or RESET; a module that comes later finds them so."""
        self._levels[pin] = level
        if self.present:
            self._drive(pin, level)

    def _drive(self, pin: Pin, level: bool) -> None:
        assert self._wire
        if pin is Pin.CS:
            self._wire.pin(pin, level)
            return
        self._gone()
        self.set_reset(not level)

    def drive_all(self) -> None:
        """Tell a module that has come what the program drives low."""
        for pin, level in self._levels.items():
            if not level:
                self._drive(pin, level)

    def exchange(self, data: bytes, shifted: Callable[[bytes | bytearray], None]) -> None:
        """Clock `data` out; zeros come in where no module runs."""
        if self._program:
            self._program.exchange(data, shifted)
        else:
            shifted(bytes(len(data)))

    def wire_lost(self, error: BaseException | None) -> None:
        """See VirtualBus."""
        self._gone()
        super().wire_lost(error)
        self.data_ready = True

    def _gone(self) -> None:
        """The module does not run any more, and drives nothing."""
        if self._program:
            self._program.lost()
        self._program = None
        self.gpio0 = False
        self.data_ready = True
        self._changed()

    def _new_machine(self, wire: ClockingWire) -> Machine:
        self.data_ready = True
        self._program = ByProgram(wire, self._changed)
        return self._program

    def _pin(self, machine: Machine, pin: int, level: int) -> None:
        if pin == Pin.GPIO0 and level <= 1:
            self.gpio0 = level == 1
            self._changed()
        else:
            super()._pin(machine, pin, level)


class Wiring(BusListener):
    """A board's wires to its module, as a context manager that has the bus while it is open.

    `port` is the virtual bus's, 0 for any. With `sim`, the program of a SIM board, the module is
    ours as well. `tell(text)` is called from the bus's thread when the module is gone. BusError
    where the port cannot be had.
    """

    def __init__(
        self,
        port: int,
        *,
        sim: Path | None = None,
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._sim = sim
        self._tell = tell
        # Not an Event: what a signal's handler raises in one can leave it locked, for the bus too.
        self._edges: SimpleQueue[None] = SimpleQueue()
        self._bus = _Bus(port, self._changed)
        self._opened: Future[None] = Future()
        self._came: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._loop: asyncio.AbstractEventLoop  # these two from __enter__ on
        self._over: asyncio.Event

    def __enter__(self) -> Self:
        global _current
        self._thread.start()
        self._opened.result()
        _current = self
        return self

    def __exit__(self, *_: object) -> None:
        global _current
        _current = None
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    @property
    def port(self) -> int:
        """The bus's port."""
        return self._bus.port

    def wait_for_module(self, seconds: float | None = None) -> None:
        """Return when a module has power; TimeoutError when none comes in time.

        ModuleLost for a module of another protocol, SimEnded for a SIM that ends.
        """
        self._came.result(seconds)

    def drive(self, line: Line, level: bool) -> None:
        """Drive a line; those that are the module's it does not hear of."""
        if line in _DRIVEN:
            self._loop.call_soon_threadsafe(self._bus.drive, _DRIVEN[line], level)

    def level(self, line: Line) -> bool:
        """Read a line of the module's.

        Programs read in a loop until it changes: they sleep here, and wake when it does.
        """
        with contextlib.suppress(Empty):
            self._edges.get(timeout=LOOK)
        return self._bus.gpio0 if line is Line.GPIO0 else self._bus.data_ready

    def _changed(self) -> None:
        """A line of the module's has another level, for a program that waits for that."""
        if self._edges.empty():
            self._edges.put(None)

    def transfer(self, data: bytes) -> bytes:
        """Clock `data` out; give as many bytes, that came in meanwhile."""
        return b"".join(
            self._exchanged(data[at : at + LONGEST_CLOCK])
            for at in range(0, len(data), LONGEST_CLOCK)
        )

    def _exchanged(self, piece: bytes) -> bytes | bytearray:
        shifted: SimpleQueue[bytes | bytearray] = SimpleQueue()
        self._loop.call_soon_threadsafe(self._bus.exchange, piece, shifted.put)
        return shifted.get()

    async def _serve(self) -> None:
        """Have the bus until __exit__."""
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._bus)
                if self._sim:
                    await self._start(self._sim, stack)
            except Exception as error:
                self._opened.set_exception(error)
                return
            self._bus.listener = self
            self._opened.set_result(None)
            await self._over.wait()
            self._bus.listener = None

    async def _start(self, program: Path, stack: AsyncExitStack) -> None:
        state = stack.enter_context(tempfile.TemporaryDirectory(prefix="spinet-"))
        sim = SimProcess(program.resolve(), port=self.port, role=Role.NINA, state=state)
        await stack.enter_async_context(sim)
        watch = asyncio.create_task(self._watch(sim))
        stack.callback(watch.cancel)

    async def _watch(self, sim: SimProcess) -> None:
        error = await sim.ended()
        if self._came.done():
            self._tell(str(error))
        else:
            self._came.set_exception(error)

    def module_came(self) -> None:
        """See BusListener."""
        self._bus.drive_all()
        if not self._came.done():
            self._came.set_result(None)

    def module_lost(self, error: ModuleLost) -> None:
        """See BusListener."""
        if self._came.done():
            self._tell(str(error))
        else:
            self._came.set_exception(error)

    def news(self) -> None:
        """See BusListener; NINA has none."""


_current: Wiring | None = None


def current() -> Wiring:
    """Give the Wiring that is open; RuntimeError when there is none."""
    if _current is None:
        raise RuntimeError(
            "there is no bus: run this with python -m spinet_controller.circuitpython"
        )
    return _current
