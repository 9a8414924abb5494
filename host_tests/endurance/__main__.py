"""The command line of the long runs. Ends with 1 when anything is not as it has to be."""

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

HERE = Path(__file__).resolve().parent.parent
for folder in ("c/lwip", "support", "support/stubs", "../modules"):
    sys.path.insert(0, str((HERE / folder).resolve()))

from sim_process import ROLES  # noqa: E402  (found through the path above)

from endurance import churn, handshakes, interrupt, pauses, soak, transfer  # noqa: E402

SHOW_EVERY_S = 5


class Lines:
    """A line now and then, for a log."""

    def __init__(self, total):
        self._total = total
        self._shown = time.monotonic()

    def __call__(self, done):
        if time.monotonic() - self._shown > SHOW_EVERY_S:
            self._shown = time.monotonic()
            print(f"{done} of {self._total} done", file=sys.stderr)


BAR_EVERY_S = 0.2


class Bar:
    """A bar for a person. It is drawn between two steps of the run, by no thread."""

    def __init__(self, total, progress):
        self._progress = progress
        self._task = progress.add_task("", total=total)
        self._shown = time.monotonic()

    def __call__(self, done):
        if time.monotonic() - self._shown > BAR_EVERY_S:
            self._shown = time.monotonic()
            self._progress.update(self._task, completed=done)
            self._progress.refresh()


@contextlib.contextmanager
def progress_of(total):
    """What to call with how much is done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(total)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
        yield Bar(total, progress)


def positive(text):
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def arguments():
    parser = argparse.ArgumentParser(prog="endurance", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, defaults, text) in RUNS.items():
        command = commands.add_parser(name, help=text, description=text)
        for option, value in defaults.items():
            add_option(command, option, value)
        command.add_argument("--json", action="store_true", help="the report for a program")
    return parser.parse_args()


def add_option(command, option, value):
    """A number and its default; or words, of which the first is the default."""
    if isinstance(value, int):
        command.add_argument(f"--{option}", type=positive, default=value)
    else:
        command.add_argument(f"--{option}", choices=value, default=value[0])


RUNS = {
    "churn": (
        churn.run,
        {"cycles": 10000, "parallel": 32, "seed": 1},
        "connections that are closed, reset, half-open, vanish or do not read",
    ),
    "interrupt": (
        interrupt.run,
        {"cycles": 1000, "parallel": 4, "seed": 1},
        "transfers of 200 KB that the peer interrupts at a random byte",
    ),
    "transfer": (
        transfer.run,
        {"mib": 64, "loss": 50, "duplication": 20, "reordering": 20, "seed": 1},
        "MiB each way over a wire with faults, in per mille of the frames",
    ),
    "soak": (
        soak.run,
        {
            "transactions": 1000000,
            "seed": 1,
            "role": tuple(ROLES),
            "patience": 1,
            "controller": ("strict", "rrf"),
            "stack": ("sockets", "lwip"),
        },
        "transactions with SIM against the controller's time-outs, times a patience",
    ),
    "pauses": (
        pauses.run,
        {
            "pauses": 200,
            "seed": 1,
            "controller": ("rrf", "strict"),
            "role": tuple(ROLES),
        },
        "times that SIM is stopped for longer than a controller waits",
    ),
    "handshakes": (
        handshakes.run,
        {"handshakes": 500, "role": tuple(ROLES)},
        "handshakes of TLS 1.2 and 1.3 after which no memory may be missing",
    ),
}


def show(report):
    for name, value in report.items():
        if name == "commands":
            show_commands(value)
        elif name != "failures":
            print(f"{name:<22}{value}")
    for line in report["failures"]:
        print(f"FAILED: {line}")


def show_commands(commands):
    """A table: milliseconds until the pins were high, and from there to the end."""
    print(f"{'command':<30}" + "".join(f"{name:>11}" for name in next(iter(commands.values()), {})))
    for name, row in commands.items():
        print(f"{name:<30}" + "".join(f"{value:>11}" for value in row.values()))


def main():
    options = vars(arguments())
    command, as_json = options.pop("command"), options.pop("json")
    run, _, _ = RUNS[command]
    began = time.monotonic()
    with progress_of(next(iter(options.values()))) as advance:
        report = run(**options, advance=advance)
    report["seconds"] = round(time.monotonic() - began, 1)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        show(report)
    return 1 if report["failures"] else 0


def interrupted(error):
    """True for Ctrl-C, and for what the end of a run complains of that it left half done."""
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KeyboardInterrupt, Exception) as error:
        if not interrupted(error):
            raise
        sys.exit(130)
