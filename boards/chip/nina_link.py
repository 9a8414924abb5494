"""A chip's link for NINA's protocol: its pins and its SPI target. See docs/hardware.md, NINA.

Only boards of this protocol import it. It needs an image with the project's C modules.
"""

import _spinet_nina_target as target
from machine import Pin


class NinaWiring:
    """GPIO numbers. `spi` is the number of the SPI, 1 or 2 as MicroPython counts them; `gpio0` and
    `led` may be None; `led_on` is the level that lights the LED. The driver's program may not use
    these pins, those of the flash, of the REPL and of USB, and the pins in `kept`.
    """

    def __init__(self, spi, sck, mosi, miso, cs, ready, gpio0=None, led=None, led_on=1, kept=()):
        self.spi = spi
        self.sck = sck
        self.mosi = mosi
        self.miso = miso
        self.cs = cs
        self.ready = ready
        self.gpio0 = gpio0
        self.led = led
        self.led_on = led_on
        self.kept = tuple(kept)

    def hold(self):
        """Drive READY high, as nothing is armed. ChipBoard calls this before all else."""
        Pin(self.ready, Pin.OUT, value=1)

    def own(self):
        """The pins that are not for the driver's program."""
        link = (self.sck, self.mosi, self.miso, self.cs, self.ready, self.gpio0, self.led)
        return link + self.kept

    def start(self):
        """(The link driver, its message buffers)."""
        from spinet.nina.frames import SIZE
        from spinet.nina.spi_target import SelectedTarget

        # Pins first: the SPI driver then sets CS up for itself. It makes it an output for a moment,
        # hence the level.
        Pin(self.cs, Pin.IN, Pin.PULL_UP, value=1)
        if self.gpio0 is not None:
            Pin(self.gpio0, Pin.IN, Pin.PULL_UP)
        pins = (self.sck, self.mosi, self.miso, self.cs, self.ready, self.gpio0)
        target.start(self.spi, *pins, SIZE)
        return SelectedTarget(target), target.buffers()
