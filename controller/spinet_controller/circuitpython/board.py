"""The names of a board's pins, those of several boards at once.

A program finds the module at ESP_CS, ESP_BUSY, ESP_RESET and ESP_GPIO0, or at the pins that
`--pins` names.
"""

from spinet_controller.circuitpython import busio as _busio
from spinet_controller.circuitpython.microcontroller import Pin as _Pin
from spinet_controller.circuitpython.wiring import Line as _Line

board_id = "spinet_sim"

_NAMES = (
    *("SCK", "MOSI", "MISO", "SCL", "SDA", "TX", "RX", "NEOPIXEL", "LED", "LIGHT", "BUTTON"),
    *("ESP_CS", "ESP_BUSY", "ESP_RESET", "ESP_GPIO0", "ESP_TX", "ESP_RX"),
    *(f"D{number}" for number in range(32)),
    *(f"A{number}" for number in range(8)),
    *(f"GP{number}" for number in range(29)),
)
PINS = {name: _Pin(name) for name in _NAMES}
globals().update(PINS)

_spi: list[_busio.SPI] = []


def __getattr__(name: str) -> _Pin:
    raise AttributeError(f"this board has no pin {name}")


def SPI() -> _busio.SPI:  # noqa: N802 -- CircuitPython's name
    """Give the SPI at SCK, MOSI and MISO, the same one each time."""
    if not _spi:
        _spi.append(_busio.SPI(PINS["SCK"], PINS["MOSI"], PINS["MISO"]))
    return _spi[0]


def wire(names: dict[_Line, str]) -> None:
    """Connect the module's lines to the pins of these names; ValueError for an unknown one."""
    for pin in PINS.values():
        pin.line = None
    for line, name in names.items():
        if name not in PINS:
            raise ValueError(f"this board has no pin {name}")
        PINS[name].line = line


wire({line: line.value for line in _Line})
