"""From a command line to a module that has booted, and back to nothing."""

import asyncio
import functools
import logging
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Protocol, TypeVar

import click

from spinet_controller.bus import HOST, VirtualBus
from spinet_controller.cli.options import BusOptions
from spinet_controller.errors import BusError, SpinetError
from spinet_controller.module import Module
from spinet_controller.raspberry_pi import SCK_HZ, raspberry_pi_bus
from spinet_controller.records import NetworkStatus, shown
from spinet_controller.serial_line import SerialLine
from spinet_controller.sim import NETWORK, SimProcess
from spinet_controller.spi_bus import Role
from spinet_controller.spidev_bus import SpidevBus
from spinet_controller.wifi import join

INTERRUPTED = 130
_SIGNALS = {signal.SIGTERM: 143, signal.SIGHUP: 129}

LAST_WORDS = 5.0
"""Seconds for a SIM program whose bus is gone to be gone as well."""


_T = TypeVar("_T")


class _Source(Protocol):
    async def ended(self) -> Exception:
        """Return why the module's program or serial port is gone, once it is."""


class Session:
    """A module on the bus, and the program or serial port that it came by, None without one."""

    def __init__(self, options: BusOptions, module: Module, source: _Source | None) -> None:
        self.options = options
        self.module = module
        self.source = source

    async def boot(self, timeout: float | None = None) -> None:
        """Wait for the module and its start-up; errors are SpinetErrors in plain words."""
        await self._while_source_lives(self._boot(timeout))

    async def _boot(self, timeout: float | None) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._arrival()
        except TimeoutError:
            raise BusError(self._nobody()) from None
        await self.module.boot()

    async def _arrival(self) -> None:
        """Return when a module has power; one that is wired has it, and is reset instead."""
        if self.options.spidev:
            await self.module.reset()
        else:
            await self.module.link.came()

    def _nobody(self) -> str:
        bus = self.module.bus
        if not isinstance(bus, VirtualBus):
            return (
                f"no module on {self.options.spidev}: has it power, and is it wired as --gpio says?"
            )
        where = f"{HOST}:{bus.port}"
        if self.options.serial_bus:
            return f"no module answers at {self.options.serial_bus}"
        if self.source:
            return f"the module program did not connect to {where}"
        return f"no module on {where} yet: start one with `make sim PORT={bus.port}`"

    async def reset(self) -> None:
        """Reset the module, and wait for its start-up; errors as of `boot`."""
        await self._while_source_lives(self.module.reset())

    async def attend(self, work: Awaitable[_T]) -> _T:
        """Await `work`; the loss of the module, or of its program, ends it and is raised."""
        return await self._while_source_lives(first(work, self.module.gone()))

    async def through_restarts(self, work: Awaitable[_T]) -> _T:
        """Await `work`, which may restart the module; the loss of its program ends it."""
        return await self._while_source_lives(work)

    async def _while_source_lives(self, work: Awaitable[_T]) -> _T:
        if self.source is None:
            return await work
        try:
            return await first(work, self.source.ended())
        except ConnectionError:
            if not self.module.bus.present:
                await self._raise_last_words(self.source)
            raise

    async def _raise_last_words(self, source: _Source) -> None:
        """Raise why the program ended, unless it lives and its module comes back."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await first(self.module.link.came(), source.ended())


async def joined(
    options: BusOptions, module: Module, ssid: str | None = None, password: str = ""
) -> NetworkStatus:
    """Have the module on a network (wifi.join); a SIM has its own to fall back on."""
    fallback = None if options.spidev or options.serial_bus else NETWORK
    return await join(module, ssid, password, fallback=fallback)


async def first(work: Awaitable[_T], watcher: Awaitable[Exception]) -> _T:
    """Give the result of `work`, unless `watcher` first returns an exception to raise."""
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(watcher)
    tasks: tuple[asyncio.Future[Any], ...] = (working, watching)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise watching.result()
    finally:
        await _cancelled(tasks)


async def _cancelled(tasks: Iterable[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        # Asked for, so that asyncio does not complain about a result that was not taken.
        if not task.cancelled():
            task.exception()


@asynccontextmanager
async def opened(options: BusOptions) -> AsyncIterator[Session]:
    """Open the bus, and the serial port or the SIM program if one is wanted; give a Session."""
    async with AsyncExitStack() as stack:
        bus = await _opened_bus(options, stack)
        source = await _source(options, bus, stack)
        module = Module(bus, time_scale=options.time_scale)
        await stack.enter_async_context(module)
        yield Session(options, module, source)


async def _opened_bus(options: BusOptions, stack: AsyncExitStack) -> VirtualBus | SpidevBus:
    try:
        return await stack.enter_async_context(_bus(options))
    except BusError as error:
        hint = "" if options.spidev else " (--bus-port chooses another port)"
        raise BusError(f"{error}{hint}") from error


def _bus(options: BusOptions) -> AbstractAsyncContextManager[VirtualBus | SpidevBus]:
    if options.spidev:
        return raspberry_pi_bus(
            options.spidev,
            lines=options.gpio,
            chip=options.gpio_chip,
            sck_hz=options.sck_hz or SCK_HZ,
            cs_per_phase=options.cs_per_phase,
        )
    return VirtualBus(
        0 if options.serial_bus else options.bus_port,
        role=_role(options),
        sck_hz=options.sck_hz,
        cs_per_phase=options.cs_per_phase,
    )


def _role(options: BusOptions) -> Role | None:
    if options.role is None and options.sim:
        return Role.MODULE_CLOCKED
    return options.role


async def _source(
    options: BusOptions, bus: VirtualBus | SpidevBus, stack: AsyncExitStack
) -> _Source | None:
    if not isinstance(bus, VirtualBus):
        return None
    if options.serial_bus:
        return await stack.enter_async_context(SerialLine(options.serial_bus, port=bus.port))
    if options.sim is None:
        return None
    state = options.state or stack.enter_context(tempfile.TemporaryDirectory(prefix="spinet-"))
    program = options.sim.resolve()
    hear = functools.partial(note, dim=True) if options.verbose else None
    role = options.role or Role.MODULE_CLOCKED
    sim = SimProcess(program, port=bus.port, role=role, state=state, hear=hear)
    return await stack.enter_async_context(sim)


def note(text: str, dim: bool = False) -> None:
    """Tell a person something that is no result: one line on standard error."""
    click.secho(text, err=True, dim=dim)


def run(options: BusOptions, body: Callable[[Session], Coroutine[Any, Any, _T]]) -> _T:
    """Run `body(session)` with an opened session; end the process as a command line should."""

    async def work() -> _T:
        async with opened(options) as session:
            return await body(session)

    return run_alone(options, work())


def run_alone(options: BusOptions, work: Coroutine[Any, Any, _T]) -> _T:
    """Run `work` without a bus; end the process as a command line should."""
    _log_to_stderr(options.verbose)
    try:
        return asyncio.run(_main(work))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except _Ended as ended:
        sys.exit(ended.code)
    except (SpinetError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise click.ClickException(_one_line(error)) from error


def run_with_module(options: BusOptions, work: Callable[[Module], Awaitable[_T]]) -> _T:
    """Run `work(module)` on a module that has booted; a lost module ends it.

    The module's power goes with us, so what `work` has closed is given time to arrive.
    """

    async def body(session: Session) -> _T:
        await session.boot(options.timeout)
        result = await session.attend(work(session.module))
        await session.attend(session.module.settled())
        return result

    return run(options, body)


async def _main(work: Coroutine[Any, Any, _T]) -> _T:
    ended: list[signal.Signals] = []
    _end_on_signals(asyncio.current_task(), ended)
    try:
        return await work
    except asyncio.CancelledError:
        if ended:
            raise _Ended(_SIGNALS[ended[0]]) from None
        raise


class _Ended(Exception):
    """A signal ended the program in order."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _end_on_signals(task: asyncio.Task[Any] | None, ended: list[signal.Signals]) -> None:
    assert task, "run() runs a task"

    def end(number: signal.Signals) -> None:
        ended.append(number)
        task.cancel()

    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, end, number)


def _log_to_stderr(verbose: bool) -> None:
    level = logging.DEBUG if verbose else logging.ERROR
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    logging.getLogger("asyncio").setLevel(logging.ERROR)


def _one_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return shown(" ".join(text.split()))
