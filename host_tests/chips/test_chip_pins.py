"""A chip's pins for NINA's driver: NINA's commands, over stand-ins of `machine`'s classes."""

import importlib
import sys

import machine
import pytest

CHIPS = {
    "ESP32": {"free": (2, 25, 39), "taken": (1, 3, 6, 11, 27), "channels": {6: 34, 0: 36}},
    "ESP32C3": {"free": (2, 3, 8), "taken": (11, 12, 17, 18, 19, 20, 21, 27), "channels": {2: 2}},
    "ESP32S3": {"free": (2, 38, 48), "taken": (19, 20, 26, 37, 43, 44), "channels": {0: 1, 9: 10}},
}
OWN = (5, 27, None)
INPUT, OUTPUT, PULLED_UP = 0, 1, 2
PIN = 2


@pytest.fixture(params=CHIPS)
def chip(request, monkeypatch):
    text = f"Some board with {request.param}"
    monkeypatch.setattr(sys.implementation, "_machine", text, raising=False)
    return CHIPS[request.param]


@pytest.fixture
def pins(chip):
    return importlib.import_module("chip.pins").ChipPins(OWN)


def test_free_pins_are_used_and_the_boards_are_not(chip, pins):
    for pin in chip["free"]:
        pins.set_mode(pin, OUTPUT)
        pins.write(pin, 1)
        assert machine.Pin.made[pin].levels == [1]
    machine.Pin.made.clear()
    machine.ADC.raw.update(dict.fromkeys(machine.Pin.exist, 1))
    for pin in (*chip["taken"], 5):
        for use in (pins.set_mode, pins.write, pins.write_duty, pins.read_analog):
            with pytest.raises(ValueError, match="this pin is the board's"):
                use(pin, 1)
        with pytest.raises(ValueError, match="this pin is the board's"):
            pins.read(pin)
    assert machine.Pin.made == {}


def test_modes(pins):
    modes = {
        INPUT: (machine.Pin.IN, None),
        OUTPUT: (machine.Pin.OUT, None),
        PULLED_UP: (machine.Pin.IN, machine.Pin.PULL_UP),
    }
    for mode, wanted in modes.items():
        pins.set_mode(PIN, mode)
        pin = machine.Pin.made[PIN]
        assert (pin.mode, pin.pull) == wanted
    with pytest.raises(ValueError, match="no such mode"):
        pins.set_mode(PIN, 3)


def test_levels(pins):
    pins.write(PIN, 1)
    assert machine.Pin.made[PIN].mode == -1, "the level comes before the output"
    pins.set_mode(PIN, OUTPUT)
    assert pins.read(PIN) == 1
    pins.set_mode(PIN, INPUT)
    machine.Pin.made[PIN].drive(0)
    assert pins.read(PIN) == 0


def test_a_duty_ends_with_the_next_mode_or_level(pins):
    for ends in (pins.set_mode, pins.write):
        for duty, of_16_bits in ((0, 0), (128, 32896), (255, 65535)):
            pins.write_duty(PIN, duty)
            assert machine.PWM.running[PIN].duty == of_16_bits
        assert machine.PWM.running[PIN].freq == 1000
        pins.read(PIN)
        assert PIN in machine.PWM.running
        ends(PIN, 1)
        assert machine.PWM.running == {}
        assert machine.Pin.made[PIN].mode == machine.Pin.OUT


def test_no_channel_of_pwm_is_left(pins, chip):
    for pin in range(200, 200 + machine.PWM.CHANNELS):
        machine.PWM.running[pin] = None
    with pytest.raises(ValueError, match="out of PWM"):
        pins.write_duty(PIN, 1)
    del machine.PWM.running[200]
    pins.write_duty(PIN, 1)


def test_analog_inputs(chip, pins):
    for channel, pin in chip["channels"].items():
        machine.ADC.raw[pin] = 1234
        assert pins.read_analog(pin, 0) == 1234
        assert pins.read_channel(channel) == 1234
        with pytest.raises(ValueError, match="invalid"):
            pins.read_analog(pin, 4)
    with pytest.raises(ValueError, match="no such channel"):
        pins.read_channel(len(importlib.import_module("chip.pins")._CHANNELS["ESP32S3"]))


def test_a_channel_whose_pin_is_the_boards(chip, pins):
    """The chip has it, and a signal of the link is there."""
    machine.ADC.raw[chip["channels"][channel := min(chip["channels"])]] = 1
    taken = importlib.import_module("chip.pins").ChipPins((chip["channels"][channel],))
    with pytest.raises(ValueError, match="this pin is the board's"):
        taken.read_channel(channel)
