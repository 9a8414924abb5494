"""The pins of a chip that NINA's driver may use: all but the board's own.

Only boards of that protocol import it.
"""

import sys

from machine import ADC, PWM, Pin
from micropython import const

# By chip, as the name of a MicroPython image ends: the pins of the flash, of the REPL's UART and of
# USB; and those of the first ADC's channels.
_TAKEN = {
    "ESP32": (1, 3, 6, 7, 8, 9, 10, 11),
    "ESP32C3": (11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21),
    "ESP32S3": (19, 20, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 43, 44),
}
_CHANNELS = {
    "ESP32": (36, 37, 38, 39, 32, 33, 34, 35),
    "ESP32C3": (0, 1, 2, 3, 4),
    "ESP32S3": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
}

_MODES = ((Pin.IN, None), (Pin.OUT, None), (Pin.IN, Pin.PULL_UP))
_PWM_HZ = const(1000)  # nina-fw's
_ATTENUATION = const(3)  # of a channel: up to some 3.1 V, as in nina-fw
_EXTENDED = const(257)  # a duty of 8 bits becomes one of 16


class ChipPins:
    """See spinet/contracts/board.py, pins(). `own`: the board's pins."""

    def __init__(self, own):
        chip = sys.implementation._machine.split()[-1]
        self._own = own + _TAKEN[chip]
        self._channels = _CHANNELS[chip]
        self._pwm = {}

    def set_mode(self, pin, mode):
        if mode >= len(_MODES):
            raise ValueError("no such mode")
        self._digital(pin).init(*_MODES[mode])

    def write(self, pin, level):
        """A pin whose mode is not set yet is given the level that it will have as an output."""
        driven = pin in self._pwm
        number = self._digital(pin)
        if driven:
            number.init(Pin.OUT)
        number.value(level)

    def write_duty(self, pin, duty):
        if pin not in self._pwm:
            self._pwm[pin] = PWM(Pin(self._check(pin), Pin.OUT), freq=_PWM_HZ, duty_u16=0)
        self._pwm[pin].duty_u16(duty * _EXTENDED)

    def read(self, pin):
        return Pin(self._check(pin)).value()

    def read_analog(self, pin, attenuation):
        return ADC(Pin(self._check(pin)), atten=attenuation).read_u16() >> 4

    def read_channel(self, channel):
        if channel >= len(self._channels):
            raise ValueError("no such channel")
        return self.read_analog(self._channels[channel], _ATTENUATION)

    def _digital(self, pin):
        """The pin, with no PWM on it any more."""
        checked = Pin(self._check(pin))
        pwm = self._pwm.pop(pin, None)
        if pwm:
            pwm.deinit()
        return checked

    def _check(self, pin):
        if pin in self._own:
            raise ValueError("this pin is the board's")
        return pin
