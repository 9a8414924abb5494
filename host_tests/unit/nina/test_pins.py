"""NINA's commands of the module's own pins, 50 to 54, on SIM's pins."""

import pytest
from nina_bench import NinaBench, NinaBoard

LED = 26
INPUT, OUTPUT, PULLED_UP = 0, 1, 2
DONE, REFUSED = [b"\1"], [b"\0"]
NO_LEVEL = [b"\xff"]
LINK, FLASH, CONSOLE = (18, 14, 23, 5, 33, 0), range(6, 12), (1, 3)
NO_PINS = (20, 24, 28, 40, 255)
SENSOR, SENSORS_CHANNEL = 34, 6


@pytest.fixture
def bench(monkeypatch):
    return NinaBench(monkeypatch)


@pytest.fixture
def pins(bench):
    return bench.board.own_pins


def test_an_output(bench, pins):
    assert bench.ask(0x50, LED, OUTPUT) == DONE
    for level in (1, 0, 255):
        assert bench.ask(0x51, LED, level) == DONE
        assert pins.levels == {LED: int(level > 0)}
        assert bench.ask(0x53, LED) == [bytes([level > 0])]


def test_a_level_that_is_there_before_its_output(bench):
    """MicroPython's driver writes first."""
    assert bench.ask(0x51, LED, 1) == DONE
    assert bench.ask(0x53, LED) == [b"\0"]
    assert bench.ask(0x50, LED, OUTPUT) == DONE
    assert bench.ask(0x53, LED) == [b"\1"]


def test_an_input(bench, pins):
    assert bench.ask(0x50, LED, INPUT) == DONE
    assert bench.ask(0x53, LED) == [b"\0"]
    assert bench.ask(0x50, LED, PULLED_UP) == DONE
    assert bench.ask(0x53, LED) == [b"\1"]
    pins.driven[LED] = 0
    assert bench.ask(0x53, LED) == [b"\0"]


def test_a_duty(bench, pins):
    assert bench.ask(0x52, LED, 128) == DONE
    assert pins.duties == {LED: 128}
    assert bench.ask(0x51, LED, 1) == DONE  # it is a level again
    assert pins.duties == {}


def test_analog_values(bench, pins):
    """Four bytes for a pin and its attenuation, two for a channel."""
    pins.analog[SENSOR] = 1234
    assert bench.ask(0x54, SENSOR, 3) == [(1234).to_bytes(4, "little")]
    assert bench.ask(0x54, SENSORS_CHANNEL) == [(1234).to_bytes(2, "little")]


def test_what_is_no_analog_input(bench):
    for pin, attenuation in ((LED, 3), (21, 3), (SENSOR, 4), (LINK[0], 3)):
        assert bench.ask(0x54, pin, attenuation) == [b"\xff" * 4]  # -1, which is an error there
    assert bench.ask(0x54, 5) == [bytes(2)]  # the channel of READY's pin
    assert bench.ask(0x54, 255) == [bytes(2)]


@pytest.mark.parametrize("pin", [*LINK, *FLASH, *CONSOLE, *NO_PINS])
def test_pins_of_the_board_are_refused(bench, pins, pin):
    assert bench.ask(0x50, pin, OUTPUT) == REFUSED
    assert bench.ask(0x51, pin, 1) == REFUSED
    assert bench.ask(0x52, pin, 1) == REFUSED
    assert bench.ask(0x53, pin) == NO_LEVEL
    assert (pins.modes, pins.levels, pins.duties) == ({}, {}, {})


def test_a_mode_that_there_is_not(bench):
    assert bench.ask(0x50, LED, 3) == REFUSED
    assert bench.ask(0x50, SENSOR, OUTPUT) == REFUSED


def test_a_reset_ends_all_outputs(monkeypatch):
    board = NinaBoard()
    bench = NinaBench(monkeypatch, board)
    bench.ask(0x50, LED, OUTPUT)
    bench.ask(0x51, LED, 1)
    board.own_pins.driven[25] = 1
    bench.service.shut()
    bench = NinaBench(monkeypatch, board)
    assert bench.ask(0x53, LED) == [b"\0"]
    assert bench.ask(0x53, 25) == [b"\1"]


def test_too_few_parameters(bench):
    assert bench.ask(0x50, LED) is None
    assert bench.ask(0x54) is None


def test_the_version_in_octets(bench):
    (text,) = bench.ask(0x37)
    (octets,) = bench.ask(0x5E)
    assert ".".join(str(octet) for octet in octets[:3]).encode() + b"\0" == text
    assert len(octets) == 4
