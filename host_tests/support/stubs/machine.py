"""As much of `machine` as a board file uses: pins, an SPI and a watchdog, without hardware.

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

    IN, OUT = 1, 3
    PULL_DOWN, PULL_UP = 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2

    def __init__(self, number, mode=-1, pull=-1, *, value=None):
        self.number = number
        self.mode = mode
        self.pull = pull
        self._level = value or int(pull == Pin.PULL_UP)
        self.levels = [] if value is None else [value]
        self._handler = None
        self._trigger = 0
        Pin.made[number] = self

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
