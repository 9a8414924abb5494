"""As much of `machine` as a board uses: pins, ADC, PWM, an SPI and a watchdog, without hardware.

`cause` is what reset_cause() tells; `WDT.the_one` the watchdog that was started, if any.
"""

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5

cause = PWRON_RESET


def reset_cause():
    return cause


def unique_id():
    return b"\x02\0\0\0\0\x1d"


class Reset(BaseException):
    """reset() was called: no line after it runs."""


def reset():
    raise Reset


class WDT:
    """The chip's one watchdog: started anew, it has a new time-out and cannot be stopped."""

    the_one = None

    def __init__(self, id=0, timeout=5000):
        if id or timeout <= 0:
            raise ValueError("WDT timeout too short")
        self.timeout = timeout
        self.feeds = 0
        WDT.the_one = self

    def feed(self):
        self.feeds += 1


class Pin:
    """A pin that keeps what it is given; drive() is what happens on the other side.

    `made` has the pins by number, as they were last configured; `levels` is what we have driven.
    """

    made = {}  # noqa: RUF012 -- of the chip, so of the class
    exist = range(49)

    IN, OUT = 1, 3
    PULL_DOWN, PULL_UP = 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2

    def __new__(cls, number, *_args, **_settings):
        if number not in Pin.exist:
            raise ValueError("invalid pin")
        pin = Pin.made.get(number)
        if pin is None:
            pin = Pin.made[number] = super().__new__(cls)
            pin.number = number
            pin.mode = pin.pull = -1
            pin.levels = []
            pin._level = 0
            pin._handler = None
            pin._trigger = 0
        return pin

    def __init__(self, _number, mode=-1, pull=-1, *, value=None):
        self.init(mode, pull, value=value)
        if pull == Pin.PULL_UP and value is None:
            self._level = 1

    def init(self, mode=-1, pull=-1, *, value=None):
        self.mode = mode if mode != -1 else self.mode
        self.pull = pull if pull != -1 else self.pull
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is None:
            return self._level
        self._level = 1 if level else 0
        self.levels.append(self._level)
        return None

    def irq(self, handler=None, trigger=IRQ_RISING | IRQ_FALLING):
        self._handler = handler
        self._trigger = trigger

    def drive(self, level):
        edge = (level > self._level) * self.IRQ_RISING | (level < self._level) * self.IRQ_FALLING
        self._level = level
        if edge & self._trigger and self._handler:
            self._handler(self)


class ADC:
    """The first unit's inputs; `raw` has 12 bits."""

    raw = {}  # noqa: RUF012 -- of the chip

    def __init__(self, pin, *, atten):
        if pin.number not in ADC.raw or atten not in range(4):
            raise ValueError("invalid pin or attenuation")
        self._raw = ADC.raw[pin.number]
        self.atten = atten

    def read_u16(self):
        return self._raw << 4 | self._raw >> 8


class PWM:
    """PWM at a pin; `running` has them by number. There are so many channels."""

    CHANNELS = 6
    running = {}  # noqa: RUF012 -- of the chip

    def __init__(self, pin, *, freq, duty_u16):
        if len(PWM.running) == PWM.CHANNELS:
            raise ValueError("out of PWM channels")
        self.number = pin.number
        self.freq = freq
        self.duty_u16(duty_u16)
        PWM.running[pin.number] = self

    def duty_u16(self, duty):
        if not 0 <= duty <= 65535:
            raise ValueError("duty_u16")
        self.duty = duty

    def deinit(self):
        del PWM.running[self.number]


class SPI:
    """A controller of SPI whose MISO is its MOSI."""

    MSB, LSB = 0, 1

    def __init__(self, number, **settings):
        self.number = number
        self.settings = settings

    def init(self, **settings):
        self.settings.update(settings)

    def write_readinto(self, out, into):
        if len(out) != len(into):
            raise ValueError("buffers must be the same length")
        into[:] = bytes(out)
