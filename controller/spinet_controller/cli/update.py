"""`update`: another image for the module. `update-owner`: who may send one over the network."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from spinet_controller import update as updating
from spinet_controller.cli.networks import wanted_password
from spinet_controller.cli.options import BusOptions, bus_options
from spinet_controller.cli.session import Session, note, run, run_alone, run_with_module
from spinet_controller.cli.showing import progress, show_json, show_pairs
from spinet_controller.codes import UPDATE_PORT
from spinet_controller.errors import BadImage, BadOwner
from spinet_controller.module import Module
from spinet_controller.over_network import NetworkModule, owner_certificate, owner_context
from spinet_controller.printer.status import Document, label
from spinet_controller.records import UpdateStatus, shown

_T = TypeVar("_T")


def _document(status: UpdateStatus) -> Document:
    return {
        "version": status.version,
        "slot": status.slot,
        "state": label(status.state),
        "lastUpdate": status.text,
    }


_LARGEST_FLASH = 1 << 25
"""Bytes of a file that are looked at."""


def _image(path: Path | None) -> updating.Image | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return updating.Image.of(file.read(_LARGEST_FLASH))
    except BadImage as error:
        raise click.ClickException(f"{path}: {error}") from None


class _Address(click.ParamType[tuple[str, int]]):
    """HOST, or HOST:PORT."""

    name = "host[:port]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Give host and port."""
        host, _colon, port = str(value).partition(":")
        if not host or (port and not (port.isdecimal() and 0 < int(port) < 1 << 16)):
            self.fail(f"{value!r} is no HOST or HOST:PORT", param, ctx)
        return host, int(port or UPDATE_PORT)


def _owner(read: Callable[[Path], _T], path: Path) -> _T:
    try:
        return read(path)
    except BadOwner as error:
        raise click.ClickException(str(error)) from None


def _key(path: Path) -> ssl.SSLContext:
    return owner_context(path, lambda: wanted_password(no_password=False, from_stdin=False))


_FILE: click.Path[Path] = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", required=False, type=_FILE)
@click.option("--force", is_flag=True, help="Also the version that runs already.")
@click.option(
    "--over-network",
    type=_Address(),
    metavar="HOST[:PORT]",
    help=f"Not by the bus, but to the module at this address.  [default port: {UPDATE_PORT}]",
)
@click.option("--owner", type=_FILE, help="The file of the owner's key, for --over-network.")
@bus_options
def update(
    options: BusOptions,
    file: Path | None,
    force: bool,
    over_network: tuple[str, int] | None,
    owner: Path | None,
) -> None:
    """Have the module run the image in FILE; without FILE, tell which one runs.

    FILE is the application that `make firmware` builds (micropython.bin), or one that holds it
    (firmware.bin). The module starts it, and goes back to the old one by itself when the new one
    does not answer. Connections end; remembered networks stay.
    """
    image = _image(file)

    async def body(session: Session) -> UpdateStatus:
        await session.boot(options.timeout)
        return await session.through_restarts(_work(session.module, image, force))

    if (over_network is None) != (owner is None):
        raise click.UsageError("--over-network and --owner go together")
    if over_network and owner:
        key = _owner(_key, owner)
        status = run_alone(options, _over_network(over_network, key, image, force))
    else:
        status = run(options, body)
    if options.json:
        show_json(_document(status))
    elif image:
        click.echo(f"the module runs {shown(status.version)}")
    else:
        show_pairs(
            [
                ("version", status.version),
                ("slot", f"{status.slot}, {label(status.state)}"),
                ("last update", status.text or "none"),
            ]
        )


async def _over_network(
    address: tuple[str, int], key: ssl.SSLContext, image: updating.Image | None, force: bool
) -> UpdateStatus:
    host, port = address
    async with NetworkModule(host, key, port=port) as module:
        return await _work(module, image, force)


async def _work(
    module: Module | NetworkModule, image: updating.Image | None, force: bool
) -> UpdateStatus:
    if image is None:
        return await updating.status(module)
    with progress() as bar:
        task = bar.add_task("update", total=len(image.data))
        return await updating.run(
            module, image, again=force, moved=lambda count: bar.advance(task, count)
        )


@click.command()
@click.argument("file", required=False, type=_FILE)
@click.option("--off", is_flag=True, help="From nobody any more.")
@bus_options
def update_owner(options: BusOptions, file: Path | None, off: bool) -> None:
    """Have the module take updates over the network as well, from its next start on.

    It takes them from the owner of the key whose certificate is in FILE. A key that is there, too,
    stays on this computer.
    """
    if (file is None) != off:
        raise click.UsageError("either FILE or --off")
    certificate = _owner(owner_certificate, file) if file else b""

    async def work(module: Module) -> None:
        await module.update_owner(certificate)

    run_with_module(options, work)
    note(f"updates over the network are {'off' if off else 'on'} from the module's next start on")
