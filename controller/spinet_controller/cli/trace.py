"""`trace`: what happened in the module lately, as a document that browsers draw."""

import json
import sys
from pathlib import Path
from typing import TextIO

import click

from spinet_controller.cli.options import Number
from spinet_controller.cli.showing import show_json
from spinet_controller.errors import SpinetError, TraceError
from spinet_controller.event_trace import Event, EventTrace, Kind, parse_dump
from spinet_controller.printer.status import Document
from spinet_controller.trace_document import trace_document


@click.command(epilog="At the REPL: import spinet.report as r; r.trace() shows the same in words.")
@click.option("--port", help="Ask the REPL on this serial port or pseudo-terminal.")
@click.option(
    "--log",
    type=click.File("r", errors="replace"),
    help="Take it from a captured console; - is standard input.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("trace.json"),
    show_default=True,
    help="Where the document goes; - is standard output.",
)
@click.option("--last", type=Number(0, min_open=True), help="Only the last so many seconds.")
@click.option("--json", "as_json", is_flag=True, help="The events as they are, on standard output.")
def trace(
    port: str | None, log: TextIO | None, output: Path, last: float | None, as_json: bool
) -> None:
    """Show the life of each connection.

    The module keeps its latest events: states of its sockets, ports, WiFi, errors. Its REPL prints
    them with r.trace_dump(), and so does the diagnostics command on the module's console. This
    reads either and writes a file that https://ui.perfetto.dev draws: time runs to the right, and
    each socket has a lane with its connections and their states.
    """
    if (port is None) == (log is None):
        raise click.UsageError("say where the trace is: either --port PORT or --log FILE")
    try:
        found = parse_dump(log.read() if log else _read_port(port or ""))
        _keep_last(found, last)
        if as_json:
            show_json(_document(found))
        else:
            _write(found, output)
    except SpinetError as error:
        raise click.ClickException(str(error)) from error


def _read_port(port: str) -> str:
    from spinet_controller.repl import read_dump

    return read_dump(port)


def _keep_last(found: EventTrace, last: float | None) -> None:
    if last is not None:
        found.events = [event for event in found.events if event.time >= -last]
    if not found.events:
        raise TraceError("nothing has happened in the time that the trace covers")


def _document(found: EventTrace) -> Document:
    return {
        "version": found.version,
        "missing": found.missing,
        "events": [
            {
                "time": event.time,
                "kind": event.kind.name.lower() if isinstance(event.kind, Kind) else event.kind,
                "slot": event.slot,
                "values": [event.a, event.b],
                **_text_of(found, event),
            }
            for event in found.events
        ],
    }


def _text_of(found: EventTrace, event: Event) -> dict[str, str]:
    said = event.kind == Kind.MESSAGE and event.a in found.texts
    return {"text": found.texts[event.a]} if said else {}


def _write(found: EventTrace, output: Path) -> None:
    # Perfetto shows escapes as they are.
    document = json.dumps(trace_document(found), ensure_ascii=False) + "\n"
    if str(output) == "-":
        sys.stdout.write(document)
        return
    try:
        output.write_text(document, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}") from error
    lost = f", {found.missing} more were lost on the way" if found.missing else ""
    click.echo(f"{output}: {len(found.events)} events{lost}")
