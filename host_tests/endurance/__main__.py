"""The command line of the long runs. Ends with 1 when anything is not as it has to be."""

import argparse
import json
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
for folder in ("netconn", "stubs", "../modules"):
    sys.path.insert(0, str((HERE / folder).resolve()))

from endurance import churn, interrupt, transfer  # noqa: E402  (found through the path above)

SHOW_EVERY_S = 5


class Progress:
    """A line now and then, for whoever watches."""

    def __init__(self, total, unit):
        self._total = total
        self._unit = unit
        self._shown = time.monotonic()

    def __call__(self, done):
        if time.monotonic() - self._shown > SHOW_EVERY_S:
            self._shown = time.monotonic()
            print(f"{done} of {self._total} {self._unit}", file=sys.stderr)


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
            command.add_argument(f"--{option}", type=positive, default=value)
        command.add_argument("--json", action="store_true", help="the report for a program")
    return parser.parse_args()


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
}


def show(report):
    for name, value in report.items():
        if name != "failures":
            print(f"{name:<22}{value}")
    for line in report["failures"]:
        print(f"FAILED: {line}")


def main():
    options = vars(arguments())
    command, as_json = options.pop("command"), options.pop("json")
    run, _, _ = RUNS[command]
    began = time.monotonic()
    report = run(**options, advance=Progress(next(iter(options.values())), "done"))
    report["seconds"] = round(time.monotonic() - began, 1)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        show(report)
    return 1 if report["failures"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
