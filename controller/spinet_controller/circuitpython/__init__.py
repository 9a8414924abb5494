"""CircuitPython programs for `adafruit_esp32spi`, run on this computer with SIM as their module.

`python -m spinet_controller.circuitpython code.py` runs one as it is. What CircuitPython has built
in and such programs import is here, a module of the same name for each, above the virtual bus:

    analogio, neopixel_write, rtc       what is not there: voltage, pixels, a settable clock
    busio, digitalio                    SPI and pins
    board, microcontroller              the names of pins
    supervisor, micropython             the rest
    dialect                             where the language differs
    wiring                              the virtual bus, for a program that blocks
    settings                            os.getenv() with settings.toml

The libraries are those of PyPI. docs/nina.md says how they are installed.
"""

import sys
from importlib import import_module

from spinet_controller.circuitpython import dialect

STAND_INS = (
    "analogio",
    "board",
    "busio",
    "digitalio",
    "microcontroller",
    "micropython",
    "neopixel_write",
    "rtc",
    "supervisor",
)
"""What a program imports from here."""


def install() -> None:
    """Let `import board` and the like find what is here, before all else that is installed.

    What is imported from now on is compiled as CircuitPython's.
    """
    dialect.install()
    for name in STAND_INS:
        sys.modules[name] = import_module(f"{__name__}.{name}")
