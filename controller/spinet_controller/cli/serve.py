"""`serve`: the virtual printer."""

import asyncio
import tempfile
from contextlib import contextmanager
from pathlib import Path

import click

from spinet_controller.cli.options import bus_options
from spinet_controller.cli.session import note, run
from spinet_controller.cli.showing import show_json
from spinet_controller.errors import LinkError, ModuleLost, SpinetError
from spinet_controller.printer.store import FileStore
from spinet_controller.wifi import join

HTTP_PORT = 8080


class NotServing(SpinetError):
    """The module stopped listening."""


@click.command()
@click.option(
    "--port",
    "http_port",
    type=click.IntRange(1, 65535),
    default=HTTP_PORT,
    show_default=True,
    help="TCP port of the site, on the module.",
)
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
@click.option("--host-name", default="spinet-printer", show_default=True, help="The module's name.")
@bus_options
def serve(options, http_port, files, ssid, password, host_name):
    """Serve the virtual printer through the module, until Ctrl-C.

    A module that loses its power, or is started again, is served again when it comes back.
    """
    printer = Printer(options, http_port, host_name, (ssid, password))
    with _folder(files) as folder:
        run(options, lambda session: printer.serve(session, FileStore(folder)))


@contextmanager
def _folder(wanted):
    if wanted:
        yield wanted
        return
    with tempfile.TemporaryDirectory(prefix="spinet-files-") as temporary:
        note(f"files are kept in {temporary} until the end; --files DIR keeps them for good")
        yield temporary


class Printer:
    """The start-up sequence of a printer's main board, and what follows it."""

    def __init__(self, options, port, host_name, network):
        self._options = options
        self._port = port
        self._host_name = host_name
        self._network = network

    async def serve(self, session, store):
        """Serve until cancelled; only a module that we started is not waited for again."""
        await session.boot(self._options.timeout)
        while True:
            try:
                await session.attend(self._serve_once(session.module, store))
            except (ModuleLost, LinkError) as lost:
                if session.sim:
                    raise
                note(f"{lost}; waiting for the module to come back")
                await session.boot()

    async def _serve_once(self, module, store):
        await module.network_get_status()
        await module.network_set_host_name(self._host_name)
        network = await join(module, *self._network)
        module.poller.local_ip = str(network.ip)
        broken = asyncio.get_running_loop().create_future()
        module.on_news = lambda text: _hear(text, broken)
        # Here, as aiohttp takes longer to import than most commands take to run.
        from spinet_controller.printer.serving import printer_site

        async with printer_site(module, store, self._port):
            self._announce(network)
            await broken

    def _announce(self, network):
        url = f"http://{network.ip}:{self._port}/"
        if self._options.json:
            show_json({"url": url, "network": network.ssid})
        else:
            click.echo(f"the printer is at {url} (network {network.ssid or 'unnamed'})")


def _hear(text, broken):
    """Take the module's news: a failed listen ends the service, the rest is told."""
    if not text:
        return
    if "listen" in text.lower() and not broken.done():
        broken.set_exception(NotServing(f"the module says: {text}"))
    else:
        note(f"the module says: {text}")
