"""An analog input that measures nothing."""

from typing import Self

from spinet_controller.circuitpython.microcontroller import Pin


class AnalogIn:
    """A pin at 0 V."""

    reference_voltage = 3.3
    value = 0

    def __init__(self, pin: Pin) -> None:
        pin.claim()
        self._pin = pin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.deinit()

    def deinit(self) -> None:
        """Release the pin."""
        self._pin.release()
