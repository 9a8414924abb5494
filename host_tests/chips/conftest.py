"""The chips' board files on CPython, over stubs of what MicroPython's ESP32 port has."""

import importlib
import sys
import time

import machine
import network
import pytest
from chip_paths import BOARDS, chip_of

MODULES = (
    "board",
    "chip",
    "chip.announcer",
    "chip.nina_link",
    "chip.partitions",
    "chip.pins",
    "chip.radio",
    "chip.uart_board",
    "spinet.tcp.stack_lwip",
)


@pytest.fixture(autouse=True)
def power_on(monkeypatch, tmp_path):
    """A chip as it is at power-up: nothing configured, nothing imported."""
    network.power_on()
    monkeypatch.setattr(machine, "cause", machine.PWRON_RESET)
    monkeypatch.setattr(sys.implementation, "_machine", "Some board with ESP32", raising=False)
    monkeypatch.setattr(machine.WDT, "the_one", None)
    monkeypatch.setattr(machine.Pin, "made", {})
    monkeypatch.setattr(machine.PWM, "running", {})
    monkeypatch.setattr(machine.ADC, "raw", {})
    monkeypatch.setattr(time, "sleep_ms", lambda ms: None, raising=False)
    monkeypatch.syspath_prepend(BOARDS)
    yield
    forget()


def forget():
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def load_board(monkeypatch, tmp_path):
    """load_board(name) -> the BOARD of its file, as main.py imports it."""

    def load(name):
        forget()
        machine_text = f"{name} with {chip_of(name)}"
        monkeypatch.setattr(sys.implementation, "_machine", machine_text)
        monkeypatch.syspath_prepend(BOARDS / name)
        board = importlib.import_module("board")
        monkeypatch.setattr(importlib.import_module("chip"), "FOLDER", f"{tmp_path}/")
        return board.BOARD

    return load
