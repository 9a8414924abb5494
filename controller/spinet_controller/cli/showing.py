"""Results for people (tables) and for scripts (JSON).

rich is imported where something is drawn: a script that wants JSON does not wait for it.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from spinet_controller.records import shown

if TYPE_CHECKING:
    from rich.progress import Progress


def show_json(document: object) -> None:
    """Print one JSON document on a line of its own; in ASCII, because a name may not be UTF-8."""
    click.echo(json.dumps(document))


def show_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None
) -> None:
    """Print a table; a column whose name ends in `>` is aligned right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.rstrip(">"), justify="right" if column.endswith(">") else "left")
    for row in rows:
        table.add_row(*(shown(str(value)) for value in row))
    Console(markup=False, emoji=False).print(table)  # a network may be called [red] or :cat:


def show_pairs(pairs: Sequence[tuple[str, object]]) -> None:
    """Print names and values in two columns."""
    width = max(len(name) for name, _value in pairs)
    for name, value in pairs:
        click.echo(f"{name:<{width}}  {shown(str(value))}")


def progress() -> "Progress":
    """Give a rich progress display on standard error; it shows itself on a terminal only."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=console,
        disable=not sys.stderr.isatty(),
        transient=True,
    )


def size(count: float) -> str:
    """Give a number of bytes in words."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
