"""The board files of NINA's protocol: their pins, and which of them the driver may use."""

import sys
from unittest import mock

import machine
import pytest
from chip_paths import BOARDS, NINA_NAMES

# SCK, MOSI, MISO, CS, READY, GPIO0: as nina-fw has them on Adafruit's and on Arduino's boards.
PINS = {
    "SPINET_NINA_ESP32": (18, 14, 23, 5, 33, 0),
    "SPINET_NINA_ESP32C3": (4, 6, 5, 7, 10, 9),
    "SPINET_NINA_W102": (18, 12, 23, 5, 33, 0),
}
# The LEDs of such boards, and one that only its chip has.
FREE = {
    "SPINET_NINA_ESP32": (25, 26, 27, 12),
    "SPINET_NINA_ESP32C3": (8, 3),
    "SPINET_NINA_W102": (25, 26, 27, 14),
}


@pytest.fixture(params=NINA_NAMES)
def name(request):
    return request.param


@pytest.fixture
def board(name, load_board, monkeypatch):
    monkeypatch.setitem(sys.modules, "_spinet_nina_target", mock.MagicMock())
    return load_board(name)


def test_pins_are_those_of_the_drivers_boards(board, name):
    w = board.wiring
    assert board.PROTOCOL == "nina"
    assert (w.sck, w.mosi, w.miso, w.cs, w.ready, w.gpio0) == PINS[name]
    assert machine.Pin.made[w.ready].levels == [1]


def test_leds_are_the_controllers_and_the_link_is_not(board, name):
    pins = board.pins()
    for pin in FREE[name]:
        pins.set_mode(pin, 1)
    for pin in (*PINS[name], *((16, 17) if name == "SPINET_NINA_ESP32" else ())):
        with pytest.raises(ValueError, match="this pin is the board's"):
            pins.set_mode(pin, 1)


def test_image_and_board_agree(name):
    """What esptool, Python and ESP-IDF are told of the chip."""
    cmake = (BOARDS / name / "mpconfigboard.cmake").read_text()
    of_chip = cmake.rpartition("/../")[2].partition("/")[0]
    assert (BOARDS / of_chip / "mpconfigboard.h").is_file()
    assert f'"../{of_chip}/mpconfigboard.h"' in (BOARDS / name / "mpconfigboard.h").read_text()
