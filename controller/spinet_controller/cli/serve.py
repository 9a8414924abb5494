"""`serve`: the virtual printer."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import click

from spinet_controller.cli.options import BusOptions, bus_options, packable
from spinet_controller.cli.serve_options import service_options
from spinet_controller.cli.session import Session, first, joined, note, run
from spinet_controller.cli.showing import show_json, show_pairs
from spinet_controller.codes import LastError
from spinet_controller.errors import (
    ExtraMissing,
    LinkError,
    ModuleLost,
    NetworkLost,
    PowerLost,
    Refused,
    SpinetError,
)
from spinet_controller.extras import extra
from spinet_controller.module import Module
from spinet_controller.printer.plan import Naming, Ports
from spinet_controller.printer.status import ModuleReport
from spinet_controller.printer.store import FileStore
from spinet_controller.records import NetworkStatus, WirelessConfig, shown
from spinet_controller.wifi import network_lost, rejoin, switch

FLUSH = 1.0
"""Seconds for what was answered to reach its peers before the network is left."""


class NotServing(SpinetError):
    """The module stopped listening."""


@click.command()
@click.option(
    "--files",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where files are stored.  [default: a folder that is removed]",
)
@click.option("--ssid", help="Network to join.  [default: a remembered one, or SIM's]")
@click.option(
    "--password",
    envvar="SPINET_PASSWORD",
    default="",
    help="Its password; better in the environment variable SPINET_PASSWORD.",
)
@service_options
@bus_options
def serve(
    options: BusOptions,
    ports: Ports,
    naming: Naming,
    files: Path | None,
    ssid: str | None,
    password: str,
) -> None:
    """Serve the virtual printer through the module, until Ctrl-C.

    A module that loses its power, or is started again, is served again when it comes back; one
    that loses its network is made to join it again.
    What cannot be served, because its port is taken or the module has no TLS, is reported and
    left out; only the site must be served.
    """
    packable(WirelessConfig(ssid or "", password))
    _need_printer()
    if password and ssid is None:
        note(
            "the password (SPINET_PASSWORD) is not used: --ssid names its network (make run: SSID)"
        )
    printer = Serving(options, ports, naming, (ssid, password))
    with _folder(files) as folder:
        run(options, lambda session: printer.serve(session, FileStore(folder)))


def _need_printer() -> None:
    """Import the printer, or say what is missing.

    Not at the top: aiohttp takes longer to import than most commands take to run.
    """
    try:
        with extra("printer"):
            import spinet_controller.printer.serving  # noqa: F401
    except ExtraMissing as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    if wanted:
        yield wanted
        return
    with tempfile.TemporaryDirectory(prefix="spinet-files-") as temporary:
        note(f"files are kept in {temporary} until the end; --files DIR keeps them for good")
        yield Path(temporary)


class Serving:
    """The start-up sequence of a printer's main board, and what follows it."""

    def __init__(
        self, options: BusOptions, ports: Ports, naming: Naming, network: tuple[str | None, str]
    ) -> None:
        self._options = options
        self._ports = ports
        self._naming = naming
        self._network = network
        self._was_joined = False

    async def serve(self, session: Session, store: FileStore) -> NoReturn:
        """Serve until cancelled; a module that is lost is waited for.

        A module that we started is only waited for after a loss of power. When its program hangs
        or breaks a rule it would not come back, so the error is raised.
        """
        await session.boot(self._options.timeout)
        while True:
            try:
                await session.attend(self._serve_module(session.module, store))
            except (ModuleLost, LinkError) as lost:
                if session.options.sim and not isinstance(lost, PowerLost):
                    raise
                await _returned(session, lost)

    async def _serve_module(self, module: Module, store: FileStore) -> NoReturn:
        await module.network_get_status()
        await module.network_set_host_name(self._naming.host_name)
        report = ModuleReport(module)
        ssid, _password = self._network
        network = await self._join(module, ssid, report)
        while True:
            try:
                wanted = await self._serve_network(module, store, report, network)
                network = await _switched(module, wanted, network.ssid, report)
                ssid = network.ssid
            except NetworkLost as lost:
                note(f"{lost}; joining again")
                network = await rejoin(module, ssid, lambda text: _tell(text, report))

    async def _join(self, module: Module, ssid: str | None, report: ModuleReport) -> NetworkStatus:
        """Join as the options say. For a module that came back, try until it works."""
        try:
            network = await joined(self._options, module, *self._network)
        except Refused as error:
            if not self._was_joined:
                raise
            _tell(str(error), report)
            network = await rejoin(module, ssid, lambda text: _tell(text, report))
        self._was_joined = True
        return network

    async def _serve_network(
        self, module: Module, store: FileStore, report: ModuleReport, network: NetworkStatus
    ) -> str:
        """Serve on one network until it is lost; give the name that the page wants instead."""
        wanted = asyncio.get_running_loop().create_future()
        module.on_news = lambda text: _hear(text, report, wanted)
        from spinet_controller.printer.serving import Printer

        def join(ssid: str) -> None:
            if not wanted.done():
                report.joining(ssid)
                wanted.set_result(ssid)

        printer = Printer(*(module, store, report, self._ports, self._naming), note=note, join=join)
        async with printer:
            self._announce(network, report.services)
            return await first(wanted, network_lost(module))

    def _announce(self, network: NetworkStatus, services: dict[str, str]) -> None:
        others = {name: where for name, where in services.items() if name != "HTTP"}
        if self._options.json:
            document = {"url": services["HTTP"], "network": network.ssid, "services": services}
            show_json(document)
            return
        name = shown(network.ssid) or "unnamed"
        click.echo(f"the printer is at {services['HTTP']} (network {name})")
        if others:
            show_pairs([(f"  {name}", where) for name, where in others.items()])


async def _returned(session: Session, lost: ModuleLost | LinkError | None) -> None:
    """Wait for the module to come back, and to stay for long enough to start."""
    while lost:
        note(f"{lost}; waiting for the module to come back")
        try:
            await session.boot()
            return
        except (ModuleLost, LinkError) as error:
            lost = error


async def _switched(
    module: Module, wanted: str, present: str, report: ModuleReport
) -> NetworkStatus:
    """Have the module on the wanted network, or on the present one again; give its status."""
    with suppress(TimeoutError):
        async with asyncio.timeout(FLUSH):
            await module.poller.slots_released()
    module.on_news = None
    try:
        network = await switch(module, wanted)
        report.joined()
        return network
    except Refused as error:
        report.not_joined(str(error))
        _tell(str(error), report)
        return await rejoin(module, present, lambda text: _tell(text, report))


def _tell(text: str, report: ModuleReport) -> None:
    note(text)
    report.heard(text)


def _hear(text: str | None, report: ModuleReport, wanted: asyncio.Future[str]) -> None:
    """Take the module's news: a failed listen ends the service, the rest is told and shown."""
    if not text:
        return
    report.heard(text)
    if LastError.of(text) is LastError.LISTEN_FAILED and not wanted.done():
        wanted.set_exception(NotServing(f"the module says: {text}"))
    else:
        note(f"the module says: {text}")
