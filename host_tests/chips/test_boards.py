"""Each chip's board file: its pins, and a Service that boots on it."""

import importlib
import itertools
import sys
from unittest import mock

import esp32
import machine
import network
import pytest
from chip_paths import NAMES
from fake_board import boot
from raw_controller import request
from tls_rig import Authority

from spinet import compat, loop
from spinet.duet import wire
from spinet.duet.module_clocked import SpiMaster
from spinet.loop import _HOUSEKEEPING_MS
from spinet.network_status import NetworkStatus
from spinet.service import Service
from spinet.tcp.stack_sockets import SocketStack

# The link protocol, Roles: SCK, MOSI, MISO, CS, DATA_READY, TRANSFER_READY, LED.
PINS = {
    "SPINET_ESP32": (18, 23, 19, 5, 0, 4, 32),
    "SPINET_ESP32C3": (4, 6, 5, 7, 9, 10, 8),
    "SPINET_ESP32S3": (12, 11, 13, 10, 0, 8, 6),
}


REGIONS = esp32.idf_heap_info(esp32.HEAP_DATA)


class ControllerSpi(machine.SPI):
    """An SPI whose other side is a controller with this message in its buffer."""

    message = b""
    shifted = b""

    def write_readinto(self, out, into):
        at = len(self.shifted)
        n = len(out)
        assert n % 4 == 0
        assert n == len(into)
        into[:] = (self.message[at : at + n] + bytes(n))[:n]
        self.shifted += bytes(out)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def board(name, load_board):
    return load_board(name)


@pytest.fixture
def spi(board, monkeypatch):
    """The SPI of the board, and all that was made of its kind."""
    made = []

    def make(number, **settings):
        made.append(ControllerSpi(number, **settings))
        return made[-1]

    make.MSB = machine.SPI.MSB
    monkeypatch.setattr(importlib.import_module("chip"), "SPI", make)
    return made


@pytest.fixture
def service(board, spi):
    """A booted service on that board."""
    assert board.power_up(lambda: True)
    service = Service(board)
    boot(service)
    yield service
    service.shut()


class Clock:
    """ticks_ms for the service."""

    now = 5000

    def __call__(self):
        return self.now


def pin(name, which):
    return machine.Pin.made[PINS[name][which]]


def ask(service, spi, name, message):
    """One transaction: the module's answer after its header, and the response."""
    spi.message = message
    spi.shifted = b""
    pin(name, 5).drive(1)
    service.run_once()
    pin(name, 5).drive(0)
    assert spi.shifted[0] == wire._FORMAT_VERSION
    return int.from_bytes(spi.shifted[8:12], "little", signed=True), spi.shifted[12:]


def test_pins_are_those_of_the_protocol(board, name):
    w = board.wiring
    pins = (w.sck, w.mosi, w.miso, w.cs, w.data_ready, w.transfer_ready, w.led)
    assert pins == PINS[name]


def test_certificate_and_key_outlive_a_reset(board, spi, name, tmp_path):
    certificate, key = Authority(tmp_path).issue("module", "DNS:module.test")

    def answers_after_boot(*messages):
        assert board.power_up(lambda: True)
        service = Service(board)
        boot(service)
        answers = [ask(service, spi[-1], name, message)[0] for message in messages]
        service.shut()
        return answers

    assert answers_after_boot(request(28, data=certificate), request(29, data=key)) == [0, 0]
    assert answers_after_boot(request(27), request(30)) == [0, 0]
    assert answers_after_boot(request(27)) == [wire.NO_TLS_CERT]


def test_spi_is_mode_1_msb_first_at_the_frequency_of_the_start(service, spi, name):
    settings = spi[0].settings
    assert (settings["polarity"], settings["phase"]) == (0, 1)
    assert settings["firstbit"] == machine.SPI.MSB
    assert settings["baudrate"] == 26666667
    pins = tuple(settings[which].number for which in ("sck", "mosi", "miso"))
    assert pins == PINS[name][:3]
    assert isinstance(service.port, SpiMaster)


def test_directions_and_levels_at_boot(service, name):
    cs, data_ready, transfer_ready = (pin(name, which) for which in (3, 4, 5))
    assert (cs.mode, cs.value()) == (machine.Pin.OUT, 1)
    assert data_ready.mode == machine.Pin.OUT
    assert (transfer_ready.mode, transfer_ready.pull) == (machine.Pin.IN, machine.Pin.PULL_DOWN)


def test_two_rising_edges_tell_the_controller(service, name):
    levels = pin(name, 4).levels
    rises = sum(1 for a, b in itertools.pairwise(levels) if (a, b) == (0, 1))
    assert rises == 2
    assert levels[-1] == 1


@pytest.mark.behaviour("L6")
def test_a_controller_that_polls_sees_both_edges(board, name, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(loop, "ticks_ms", clock)
    board.power_up(lambda: True)
    service = Service(board)
    seen = boot(service, clock, pin(name, 4))
    service.shut()
    assert [level for level, _ in seen] == [0, 1, 0, 1]
    assert all(ms >= 20 for _, ms in seen[:3])


def test_edge_ends_the_wait_and_is_served(service, spi, name):
    pin(name, 5).drive(1)
    assert service.stack.wait(10000) == 1  # would last ten seconds
    pin(name, 5).drive(0)
    service.run_once()
    response, data = ask(service, spi[0], name, request(9))
    assert response == 168
    assert data[12:16] == (4 << 20).to_bytes(4, "little")
    assert data[28:29] >= b"2"
    assert data[4:8] == (131072).to_bytes(4, "little")


def test_clock_command_reaches_the_spi(service, spi, name):
    assert ask(service, spi[0], name, request(23, param=0x1001))[0] == 0
    assert spi[0].settings["baudrate"] == 40000000
    assert spi[0].settings["phase"] == 1


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (machine.PWRON_RESET, 0),
        (machine.WDT_RESET, 3),
        (machine.HARD_RESET, 4),
        (machine.SOFT_RESET, 4),
        (machine.DEEPSLEEP_RESET, 5),
        (0, 9),
    ],
)
def test_reset_reason(name, load_board, monkeypatch, cause, reason):
    monkeypatch.setattr(machine, "cause", cause)
    board = load_board(name)
    board.power_up(lambda: True)
    status = NetworkStatus()
    board.fill(status)
    assert status.reset_reason == reason
    board.power_up(lambda: True)  # service.stop() and start() at the REPL
    board.fill(status)
    assert status.reset_reason == 4


@pytest.mark.behaviour("M4")
@pytest.mark.parametrize("slabs", [object(), None])
def test_each_free_byte_is_in_one_of_two_heaps(board, monkeypatch, slabs):
    """MicroPython's own image adds the largest free block of the system's heap to Python's."""
    _, free, largest, _ = REGIONS[0]
    monkeypatch.setattr(compat, "slabs", slabs)
    monkeypatch.setattr(compat, "heap_free", lambda: 30000 + (0 if slabs else largest))
    assert board.free_memory() == (30000, free)
    monkeypatch.setattr(compat, "heap_free", None)  # it takes long, and a status does not have it
    status = NetworkStatus()
    board.fill(status)
    assert status.free_heap == free


def test_temperature_is_in_degrees_celsius(board, monkeypatch):
    assert board.temperature() == esp32.mcu_temperature()
    monkeypatch.setattr(esp32, "raw_temperature", lambda: 122, raising=False)  # the ESP32's
    assert round(board.temperature()) == 50


def test_watchdog_is_started_at_boot_and_fed_by_the_loop(service, monkeypatch):
    assert machine.WDT.the_one.timeout == 30000
    feeds = machine.WDT.the_one.feeds
    now = service.manager.now
    monkeypatch.setattr(loop, "ticks_ms", lambda: now + _HOUSEKEEPING_MS)
    service.loop.bind()
    monkeypatch.setattr(service.loop, "_plan", lambda _now, _ms: None)
    service.run_once()
    assert machine.WDT.the_one.feeds == feeds + 1


def test_no_boot_and_no_watchdog_when_nobody_wants_it(board):
    assert not board.power_up(lambda: False)
    assert machine.WDT.the_one is None


def test_relax_gives_the_person_at_the_repl_an_hour(board):
    board.power_up(lambda: True)
    board.relax()
    assert machine.WDT.the_one.timeout == 3600000


def test_led(board, name):
    led = pin(name, 6)
    board.power_up(lambda: True)
    assert led.value() == 0
    for _ in range(4):
        board.feed()
    assert led.levels[-4:] == [1, 0, 1, 0]
    network.AIR[b"Open"] = network.InReach()
    station = network.WLAN(network.STA_IF)
    station.active(True)
    station.connect(b"Open")
    station.settle()
    for _ in range(3):
        board.feed()
    assert led.levels[-3:] == [1, 1, 1]


def test_bug_restarts_the_chip(board, capsys):
    with pytest.raises(machine.Reset):
        board.crashed()
    assert "restarting" in capsys.readouterr().out


def test_sockets_serve_where_our_c_is_not(board):
    stack = board.stack()
    assert isinstance(stack, SocketStack)
    stack.shut()


def test_our_c_serves_where_it_is(name, load_board, monkeypatch):
    monkeypatch.setitem(sys.modules, "_spinet_lwip", mock.MagicMock())
    assert type(load_board(name).stack()).__name__ == "LwipStack"


def test_other_wiring_without_a_led():
    chip = importlib.import_module("chip")
    wiring = chip.Wiring(1, sck=1, mosi=2, miso=3, cs=21, data_ready=22, transfer_ready=25)
    board = chip.ChipBoard(wiring)
    board.power_up(lambda: True)
    board.feed()
    assert machine.Pin.made == {}
