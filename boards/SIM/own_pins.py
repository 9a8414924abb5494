"""The pins of a simulated NINA: those of an ESP32 on an AirLift board.

At the REPL, `from board import BOARD` and `BOARD.own_pins`: what the controller's program has set
is in `modes`, `levels` and `duties`, by pin; what is connected from outside is put into `driven`
and `analog`.
"""

from micropython import const

_PINS = tuple(range(20)) + (21, 22, 23, 25, 26, 27) + tuple(range(32, 40))
_LINK = (18, 14, 23, 5, 33, 0)
_FLASH = (6, 7, 8, 9, 10, 11)
_CONSOLE = (1, 3)
_FIRST_INPUT = const(34)  # from here on they have no driver and no pull-up
_CHANNELS = (36, 37, 38, 39, 32, 33, 34, 35)  # of the first ADC
_SECOND_ADC = (2, 4, 12, 13, 15, 25, 26, 27)  # WiFi needs it
_INPUT = const(0)
_OUTPUT = const(1)
_PULLED_UP = const(2)
_ATTENUATIONS = const(4)
_EBUSY = const(16)


class OwnPins:
    """See spinet/contracts/board.py, pins(). `driven`: levels, `analog`: 0 to 4095."""

    def __init__(self):
        self.modes = {}
        self.levels = {}
        self.duties = {}
        self.driven = {}
        self.analog = {}

    def reset(self):
        """As the chip leaves a reset. What is connected stays connected."""
        for settings in (self.modes, self.levels, self.duties):
            settings.clear()

    def set_mode(self, pin, mode):
        self._check(pin)
        if mode > _PULLED_UP or (mode == _OUTPUT and pin >= _FIRST_INPUT):
            raise ValueError("no such mode")
        self.duties.pop(pin, None)
        self.modes[pin] = mode

    def write(self, pin, level):
        self._check(pin)
        self.duties.pop(pin, None)
        self.levels[pin] = int(level != 0)

    def write_duty(self, pin, duty):
        self.set_mode(pin, _OUTPUT)
        self.duties[pin] = duty

    def read(self, pin):
        self._check(pin)
        mode = self.modes.get(pin, _INPUT)
        if mode == _OUTPUT:
            return self.levels.get(pin, 0)
        return self.driven.get(pin, int(mode == _PULLED_UP and pin < _FIRST_INPUT))

    def read_analog(self, pin, attenuation):
        self._check(pin)
        if pin in _SECOND_ADC:
            raise OSError(_EBUSY)
        if pin not in _CHANNELS or attenuation >= _ATTENUATIONS:
            raise ValueError("no analog input")
        return self.analog.get(pin, 0)

    def read_channel(self, channel):
        if channel >= len(_CHANNELS):
            raise ValueError("no such channel")
        return self.read_analog(_CHANNELS[channel], _ATTENUATIONS - 1)

    def _check(self, pin):
        if pin not in _PINS or pin in _LINK or pin in _FLASH or pin in _CONSOLE:
            raise ValueError("this pin is not the controller's")
