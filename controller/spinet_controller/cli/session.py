"""From a command line to a module that has booted, and back to nothing."""

import asyncio
import logging
import signal
import sys
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import click

from spinet_controller.bus import HOST, VirtualBus
from spinet_controller.errors import BusError, SpinetError
from spinet_controller.module import Module
from spinet_controller.raspberry_pi import SCK_HZ, raspberry_pi_bus
from spinet_controller.serial_line import SerialLine
from spinet_controller.sim import NETWORK, SimProcess
from spinet_controller.spi_bus import Role
from spinet_controller.wifi import join

INTERRUPTED = 130
_SIGNALS = {signal.SIGTERM: 143, signal.SIGHUP: 129}

LAST_WORDS = 5.0
"""Seconds for a SIM program whose bus is gone to be gone as well."""


class Session:
    """A module on the bus, and the program or serial port that it came by, None without one."""

    def __init__(self, options, module, source):
        self.options = options
        self.module = module
        self.source = source

    async def boot(self, timeout=None):
        """Wait for the module and its start-up; errors are SpinetErrors in plain words."""
        await self._while_source_lives(self._boot(timeout))

    async def _boot(self, timeout):
        try:
            async with asyncio.timeout(timeout):
                await self._arrival()
        except TimeoutError:
            raise BusError(self._nobody()) from None
        await self.module.boot()

    async def _arrival(self):
        """Return when a module has power; one that is wired has it, and is reset instead."""
        if self.options.spidev:
            await self.module.reset()
        else:
            await self.module.link.came()

    def _nobody(self):
        if self.options.spidev:
            return (
                f"no module on {self.options.spidev}: has it power, and is it wired as --gpio says?"
            )
        where = f"{HOST}:{self.module.bus.port}"
        if self.options.serial_bus:
            return f"no module answers at {self.options.serial_bus}"
        if self.source:
            return f"the module program did not connect to {where}"
        return f"no module on {where} yet: start one with `make sim PORT={self.module.bus.port}`"

    async def reset(self):
        """Reset the module, and wait for its start-up; errors as of `boot`."""
        await self._while_source_lives(self.module.reset())

    async def attend(self, work):
        """Await `work`; the loss of the module, or of its program, ends it and is raised."""
        return await self._while_source_lives(first(work, self.module.gone()))

    async def _while_source_lives(self, work):
        if self.source is None:
            return await work
        try:
            return await first(work, self.source.ended())
        except ConnectionError:
            if not self.module.bus.present:
                await self._raise_last_words()
            raise

    async def _raise_last_words(self):
        """Raise why the program ended, unless it lives and its module comes back."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await first(self.module.link.came(), self.source.ended())


async def joined(options, module, ssid=None, password=""):
    """Have the module on a network (wifi.join); a SIM has its own to fall back on."""
    fallback = None if options.spidev or options.serial_bus else NETWORK
    return await join(module, ssid, password, fallback=fallback)


async def first(work, watcher):
    """Give the result of `work`, unless `watcher` first returns an exception to raise."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(watcher)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            return tasks[0].result()
        raise tasks[1].result()
    finally:
        await _cancelled(tasks)


async def _cancelled(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        # Asked for, so that asyncio does not complain about a result nobody took.
        if not task.cancelled():
            task.exception()


@asynccontextmanager
async def opened(options):
    """Open the bus, and the serial port or the SIM program if one is wanted; give a Session."""
    async with AsyncExitStack() as stack:
        bus = await _opened_bus(options, stack)
        source = await _source(options, bus, stack)
        module = Module(bus, time_scale=options.time_scale)
        await stack.enter_async_context(module)
        yield Session(options, module, source)


async def _opened_bus(options, stack):
    try:
        return await stack.enter_async_context(_bus(options))
    except BusError as error:
        hint = "" if options.spidev else " (--bus-port chooses another port)"
        raise BusError(f"{error}{hint}") from error


def _bus(options):
    phases = {"cs_per_phase": options.cs_per_phase}
    if not options.spidev:
        port = 0 if options.serial_bus else options.bus_port
        return VirtualBus(port, role=_role(options), sck_hz=options.sck_hz, **phases)
    where = {"lines": options.gpio, "chip": options.gpio_chip}
    return raspberry_pi_bus(options.spidev, sck_hz=options.sck_hz or SCK_HZ, **where, **phases)


def _role(options):
    if options.role is None and options.sim:
        return Role.MODULE_CLOCKED
    return options.role


async def _source(options, bus, stack):
    if options.serial_bus:
        return await stack.enter_async_context(SerialLine(options.serial_bus, port=bus.port))
    if options.sim is None:
        return None
    state = options.state or stack.enter_context(tempfile.TemporaryDirectory(prefix="spinet-"))
    program = options.sim.resolve()
    hear = (lambda line: note(line, dim=True)) if options.verbose else None
    sim = SimProcess(program, port=bus.port, role=_role(options), state=state, hear=hear)
    return await stack.enter_async_context(sim)


def note(text, dim=False):
    """Tell a person something that is no result: one line on standard error."""
    click.secho(text, err=True, dim=dim)


def run(options, body):
    """Run `body(session)` with an opened session; end the process as a command line should."""
    _log_to_stderr(options.verbose)
    try:
        return asyncio.run(_main(options, body))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except _Ended as ended:
        sys.exit(ended.code)
    except (SpinetError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise click.ClickException(_one_line(error)) from error


def run_with_module(options, work):
    """Run `work(module)` on a module that has booted; a lost module ends it.

    The module's power goes with us, so what `work` has closed is given time to arrive.
    """

    async def body(session):
        await session.boot(options.timeout)
        result = await session.attend(work(session.module))
        await session.attend(session.module.settled())
        return result

    return run(options, body)


async def _main(options, body):
    ended = []
    _end_on_signals(asyncio.current_task(), ended)
    try:
        async with opened(options) as session:
            return await body(session)
    except asyncio.CancelledError:
        if ended:
            raise _Ended(_SIGNALS[ended[0]]) from None
        raise


class _Ended(Exception):
    """A signal ended the program in order."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


def _end_on_signals(task, ended):
    def end(number):
        ended.append(number)
        task.cancel()

    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, end, number)


def _log_to_stderr(verbose):
    level = logging.DEBUG if verbose else logging.ERROR
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    logging.getLogger("asyncio").setLevel(logging.ERROR)


def _one_line(error):
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(text.split())
