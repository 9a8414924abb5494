#!/usr/bin/env python3
"""Say in one line what cannot be right of the values given to make, before anything is built.

What the programs themselves say as early is left to them.

Usage: check_values.py GOAL... NAME=VALUE...
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
BOARDS = sorted(path.parent.name for path in PROJECT.glob("boards/*/mpconfigboard.cmake"))
# Tests make network namespaces.
AS_ROOT = {"test", "behaviours", "churn", "interrupt", "transfer", "capture", "bench"}


def is_number(value: str) -> bool:
    return value.isascii() and value.isdigit()


def is_port(value: str) -> bool:
    return is_number(value) and len(value) < 6 and 1 <= int(value) <= 65535


def or_else(fits, *others: str):
    """True for these values as well."""
    return lambda value: value in others or fits(value)


def of(*choices: str):
    return choices.__contains__


NUMBER = "a number"
PORT = "a port from 1 to 65535"
ROLES = of("module-clocked", "controller-clocked")
# Goals, names, what a value is, and the function that says whether one is that.
KINDS = (
    ("build run sim soak", "STACK", "sockets or lwip", of("sockets", "lwip")),
    ("run sim soak pauses handshakes", "ROLE", "module-clocked or controller-clocked", ROLES),
    ("sim", "PROTOCOL", "duet or nina", of("duet", "nina")),
    ("run", "HTTP_PORT", PORT, is_port),
    ("run", "HTTPS_PORT FTP_PORT TELNET_PORT", PORT, or_else(is_port, "none", "0")),
    ("sim", "PORT", PORT, is_port),
    ("test", "WORKERS", NUMBER, is_number),
    ("soak pauses", "SEED TRANSACTIONS PAUSES", NUMBER, is_number),
    ("handshakes", "HANDSHAKES", NUMBER, is_number),
    ("soak pauses", "CONTROLLER", "strict or rrf", of("", "strict", "rrf")),
    ("bench", "BENCH_MIB", NUMBER, is_number),
    ("emulate", "BUS", "uart or nothing", of("", "uart")),
)


def complaints(goals: list[str], values: dict[str, str]) -> Iterator[str]:
    """What is wrong, the first first."""
    wanted = set(goals)
    for needing, names, kind, fits in KINDS:
        for name in names.split():
            if wanted & set(needing.split()) and not fits(values[name]):
                yield f"{name} is {kind}, not '{values[name]}'"
    if "sim" in wanted and values["PROTOCOL"] == "nina" and values["ROLE"] != "module-clocked":
        yield f"ROLE={values['ROLE']} is for PROTOCOL=duet: nina has one role only"
    if "capture" in wanted:
        yield from about_test(values["TEST"])
    needing_root = AS_ROOT | ({"soak"} if values["STACK"] == "lwip" else set())
    if os.geteuid() != 0 and wanted & (needing_root):
        yield "the tests of the lwIP stack make network namespaces: run sudo make " + goals[0]
    if wanted & {"firmware", "flash", "budget", "emulate"} and values["BOARD"] not in BOARDS:
        yield f"which chip? BOARD is one of {' '.join(BOARDS)}, not '{values['BOARD']}'"
    if "emulate" in wanted and not values["QEMU"]:
        where = 'docs/hardware.md, "On an emulated chip"'
        yield f"which emulator? QEMU names Espressif's qemu-system-riscv32; {where}"
    for goal in goals:
        if goal in ("flash", "repl", "deploy", "monitor"):
            yield from about_serial_port(goal, values["PORT"])


def about_test(name: str) -> Iterator[str]:
    instance = "make capture TEST=host_tests/sim/test_on_the_wire.py"
    if not name:
        yield f"which test? {instance}"
    elif not (PROJECT / name.partition("::")[0]).exists():
        yield f"there is no test {name}: for instance {instance}"


def about_serial_port(goal: str, name: str) -> Iterator[str]:
    if is_number(name):
        yield f"which serial port? for instance make {goal} PORT=/dev/ttyUSB0"
    elif not Path(name).exists():
        where = 'docs/hardware.md, "Which port"'
        yield f"there is no serial port {name}; is the board connected? {where}"


def main(arguments: list[str]) -> None:
    values = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    goals = [argument for argument in arguments if "=" not in argument]
    for complaint in complaints(goals, values):
        sys.exit(complaint)


if __name__ == "__main__":
    main(sys.argv[1:])
