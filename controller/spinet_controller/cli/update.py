"""`update`: another image for the module."""

from pathlib import Path

import click

from spinet_controller import update as updating
from spinet_controller.cli.options import BusOptions, bus_options
from spinet_controller.cli.session import Session, run
from spinet_controller.cli.showing import progress, show_json, show_pairs
from spinet_controller.errors import BadImage
from spinet_controller.printer.status import Document, label
from spinet_controller.records import UpdateStatus, shown


def _document(status: UpdateStatus) -> Document:
    return {
        "version": status.version,
        "slot": status.slot,
        "state": label(status.state),
        "lastUpdate": status.text,
    }


def _image(path: Path | None) -> updating.Image | None:
    if path is None:
        return None
    try:
        return updating.Image.of(path.read_bytes())
    except BadImage as error:
        raise click.ClickException(f"{path}: {error}") from None


@click.command()
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--force", is_flag=True, help="Also the version that runs already.")
@bus_options
def update(options: BusOptions, file: Path | None, force: bool) -> None:
    """Have the module run the image in FILE; without FILE, tell which one runs.

    FILE is the application that `make firmware` builds (micropython.bin), or one that holds it
    (firmware.bin). The module starts it, and goes back to the old one by itself when the new one
    does not answer. Connections end; remembered networks stay.
    """
    image = _image(file)

    async def body(session: Session) -> UpdateStatus:
        await session.boot(options.timeout)
        return await session.through_restarts(_work(session, image, force))

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


async def _work(session: Session, image: updating.Image | None, force: bool) -> UpdateStatus:
    if image is None:
        return await updating.status(session.module)
    with progress() as bar:
        task = bar.add_task("update", total=len(image.data))
        return await updating.run(
            session.module, image, again=force, moved=lambda count: bar.advance(task, count)
        )
