"""Pins, and a processor to ask for its temperature."""

import time
from typing import NoReturn

from spinet_controller.circuitpython.wiring import Line


class Pin:
    """A pin of the board; `line` is the module's wire that is on it, if one is."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._in_use = False
        self.line: Line | None = None

    def __repr__(self) -> str:
        return f"board.{self._name}"

    def claim(self) -> None:
        """Called by what uses the pin from now on: ValueError when something does already."""
        if self._in_use:
            raise ValueError(f"{self._name} in use")
        self._in_use = True

    def release(self) -> None:
        """The pin can be used again."""
        self._in_use = False


class Processor:
    """Figures of a processor at rest."""

    frequency = 120_000_000
    temperature = 25.0
    voltage = 3.3
    uid = bytes(16)


cpu = Processor()


class Restart(BaseException):
    """The program is to begin anew."""


def reset() -> NoReturn:
    """Begin the program anew, as the board's reset does."""
    raise Restart


def delay_us(microseconds: int) -> None:
    """Wait so long."""
    time.sleep(microseconds / 1e6)
