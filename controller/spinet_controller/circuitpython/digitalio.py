"""Pins that are high or low: those that a wire of the module is on, and others."""

from enum import Enum
from typing import Self

from spinet_controller.circuitpython.microcontroller import Pin
from spinet_controller.circuitpython.wiring import current


class Direction(Enum):
    """Which way a pin goes."""

    INPUT = 0
    OUTPUT = 1


class Pull(Enum):
    """What an input does that nothing drives."""

    UP = 1
    DOWN = 2


class DriveMode(Enum):
    """How an output is high."""

    PUSH_PULL = 0
    OPEN_DRAIN = 1


class DigitalInOut:
    """A pin, an input at first. What no wire of the module is on reads as it is pulled."""

    def __init__(self, pin: Pin) -> None:
        pin.claim()
        self._pin: Pin | None = pin
        self._wiring = current()
        self.switch_to_input()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.deinit()

    def deinit(self) -> None:
        """Release the pin."""
        if self._pin:
            self.switch_to_input()
            self._pin.release()
        self._pin = None

    def _mine(self) -> Pin:
        if self._pin is None:
            raise ValueError("Object has been deinitialized and can no longer be used.")
        return self._pin

    def switch_to_input(self, pull: Pull | None = None) -> None:
        """Drive the pin no more; a wire of the module is pulled up."""
        self._direction = Direction.INPUT
        self._pull = pull
        self._drive(True)

    def switch_to_output(
        self, value: bool = False, drive_mode: DriveMode = DriveMode.PUSH_PULL
    ) -> None:
        """Drive the pin."""
        self._direction = Direction.OUTPUT
        self._drive_mode = drive_mode
        self._drive(bool(value))

    def _drive(self, level: bool) -> None:
        self._level = level
        if line := self._mine().line:
            self._wiring.drive(line, level)

    @property
    def direction(self) -> Direction:
        """Which way the pin goes; an output is low at first."""
        return self._direction

    @direction.setter
    def direction(self, direction: Direction) -> None:
        if direction is Direction.OUTPUT:
            self.switch_to_output()
        else:
            self.switch_to_input()

    @property
    def value(self) -> bool:
        """The pin's level."""
        line = self._mine().line
        if self._direction is Direction.OUTPUT:
            return self._level
        return self._wiring.level(line) if line else self._pull is Pull.UP

    @value.setter
    def value(self, level: bool) -> None:
        if self._direction is Direction.INPUT:
            raise AttributeError("Cannot set value when direction is input.")
        self._drive(bool(level))

    @property
    def pull(self) -> Pull | None:
        """How an input is pulled."""
        if self._direction is Direction.OUTPUT:
            raise AttributeError("Pull not used when direction is output.")
        return self._pull

    @pull.setter
    def pull(self, pull: Pull | None) -> None:
        if self._direction is Direction.OUTPUT:
            raise AttributeError("Pull not used when direction is output.")
        self._pull = pull

    @property
    def drive_mode(self) -> DriveMode:
        """How an output is high."""
        if self._direction is Direction.INPUT:
            raise AttributeError("Drive mode not used when direction is input.")
        return self._drive_mode

    @drive_mode.setter
    def drive_mode(self, drive_mode: DriveMode) -> None:
        if self._direction is Direction.INPUT:
            raise AttributeError("Drive mode not used when direction is input.")
        self._drive_mode = drive_mode
