"""As much of `machine` as a board file uses: pins and an SPI, without hardware behind them."""

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5


def reset_cause():
    return PWRON_RESET


class Pin:
    """A pin that keeps what it is given; drive() is what happens on the other side."""

    IN, OUT = 1, 3
    PULL_DOWN, PULL_UP = 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2

    def __init__(self, number, mode=-1, pull=-1, *, value=None):
        self.number = number
        self.mode = mode
        self.pull = pull
        self._level = value or 0
        self._handler = None
        self._trigger = 0

    def value(self, level=None):
        if level is None:
            return self._level
        self._level = 1 if level else 0
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
