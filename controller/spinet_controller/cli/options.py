"""Options that every command has, and a kind of argument that some have."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click

from spinet_controller.bus import DEFAULT_PORT
from spinet_controller.raspberry_pi import GPIO_CHIP, LINES, Lines
from spinet_controller.records import ListenOrConnect
from spinet_controller.spi_bus import LINK_ROLES, Pin, Role

_ROLES = {role.label: role for role in LINK_ROLES}


@dataclass(frozen=True)
class BusOptions:
    """How to come to a module, and how to talk about it.

    `role` is None when any will do. `sim` is the program of a SIM board to start, `state`
    where that keeps what it remembers (None: nowhere, after the end). `timeout` is in seconds.
    With a `spidev` the module is on real SPI, its pins at the lines `gpio` of `gpio_chip`; with a
    `serial_bus` it has the virtual bus at that serial port.
    """

    bus_port: int
    spidev: str | None
    gpio: Lines
    gpio_chip: str
    cs_per_phase: bool
    serial_bus: str | None
    sim: Path | None
    state: Path | None
    role: Role | None
    sck_hz: float | None
    timeout: float
    time_scale: float
    json: bool
    verbose: bool


class Packable(Protocol):
    """A record."""

    def pack(self) -> bytes:
        """Give its bytes, or raise ValueError."""


def packable(record: Packable) -> None:
    """Check that the record can be sent; what cannot is wrong usage."""
    try:
        record.pack()
    except ValueError as error:
        raise click.UsageError(str(error)) from None


class Number(click.FloatRange):
    """A number of that range. NaN is none: no comparison with it is true, so every range has it."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Give the float."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class Host(click.ParamType[str]):
    """An IPv4 address, or a name for the module to look up."""

    name = "host"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Give the text; what can be neither is wrong usage."""
        try:
            ListenOrConnect.to(value, 0).pack()
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


HOST = Host()


class _Lines(click.ParamType[Lines]):
    """A GPIO for each pin, as PIN=LINE,...; those that are not named keep their default."""

    name = "pin=line,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Lines:
        if not isinstance(value, str):
            return LINES  # the default
        named = dict(self._pair(part, param, ctx) for part in value.split(","))
        return {**LINES, **named}

    def _pair(
        self, part: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Pin, int | str]:
        name, _equals, line = part.partition("=")
        if name not in _PINS or not line:
            self.fail(f"{part!r} is no {', '.join(_PINS)} with =LINE", param, ctx)
        return _PINS[name], int(line) if line.isdecimal() else line


_PINS = {pin.name.lower().replace("_", "-"): pin for pin in LINES}
_WIRING = ", ".join(f"{name}={LINES[pin]}" for name, pin in _PINS.items())


def _role(_context: click.Context, _option: click.Parameter, value: str | None) -> Role | None:
    return None if value is None else _ROLES[value]


_OPTIONS = (
    click.option(
        "--bus-port",
        type=click.IntRange(0, 65535),
        default=DEFAULT_PORT,
        show_default=True,
        help="TCP port of the virtual bus on 127.0.0.1; 0 takes a free one.",
    ),
    click.option("--spidev", help="SPI device of a module that is wired, such as /dev/spidev0.0."),
    click.option(
        "--gpio",
        type=_Lines(),
        default=LINES,
        help=f"GPIO numbers or names of its pins.  [default: {_WIRING}]",
    ),
    click.option("--gpio-chip", default=GPIO_CHIP, show_default=True, help="Where they are."),
    click.option(
        "--cs-per-phase", is_flag=True, help="Let CS rise after each phase, as an ESP32-C3 needs."
    ),
    click.option(
        "--serial-bus",
        metavar="PORT",
        help="The module has the virtual bus at this serial port or pseudo-terminal.",
    ),
    click.option(
        "--sim",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Start this SIM board program as the module, and end it at the end.",
    ),
    click.option(
        "--sim-state",
        "state",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where the SIM board keeps what it remembers.  [default: a folder that is removed]",
    ),
    click.option(
        "--role",
        type=click.Choice(list(_ROLES)),
        callback=_role,
        help="The side that clocks.  [default: module-clocked with --sim, else as the module]",
    ),
    click.option(
        "--sck-hz",
        type=Number(1000),
        help="SPI clock; on the virtual bus it is modelled.  [default with --spidev: 7 MHz]",
    ),
    click.option(
        "--timeout",
        type=Number(0, min_open=True),
        default=15.0,
        show_default=True,
        help="Seconds to wait for a module.",
    ),
    click.option(
        "--time-scale",
        type=Number(0.1),
        default=10.0,
        show_default=True,
        help="Multiply the time-outs of the link: a busy computer is late where a board is not.",
    ),
    click.option("--json", is_flag=True, help="Results as JSON on standard output."),
    click.option("-v", "--verbose", is_flag=True, help="Tell more, on standard error."),
)

_NAMES = BusOptions.__dataclass_fields__


def bus_options(command: Callable[..., object]) -> Callable[..., Any]:
    """Give a command the common options; it gets them as `options`, a BusOptions."""

    @functools.wraps(command)
    def gathered(**arguments: Any) -> object:
        common = BusOptions(**{name: arguments.pop(name) for name in _NAMES})
        if common.spidev and (common.sim or common.role is Role.MODULE_CLOCKED):
            raise click.UsageError("--spidev is for a module that is wired and clocked from here")
        if common.serial_bus and (common.sim or common.spidev):
            raise click.UsageError("--serial-bus is for a module that is there by nothing else")
        return command(common, **arguments)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered
