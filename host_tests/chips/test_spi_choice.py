"""Which SPI a chip's board takes: our C where the image has it, else machine.SPI; each protocol and
role."""

import importlib
import sys

import machine
import pytest
from chip_paths import NAMES
from fake_board import boot
from fake_pins import FakeTarget
from nina_bench import FakeTarget as FakeNinaTarget
from nina_bench import frame, parameters
from raw_controller import request

from spinet.duet import wire
from spinet.duet.controller_clocked import SpiSlave
from spinet.duet.module_clocked import MachineSpi, SpiMaster
from spinet.nina import frames
from spinet.nina.spi_target import SelectedTarget
from spinet.service import Service

MESSAGE = 2060


class Buffers:
    """What both modules have: start() with its arguments, and one pair of buffers."""

    def __init__(self, size=MESSAGE):
        self.started = []
        self.pins_at_start = {}
        self._pair = (bytearray(size), bytearray(size))

    def start(self, *args):
        self.started.append(args)
        self.pins_at_start = dict(machine.Pin.made)

    def buffers(self):
        assert self.started
        return self._pair

    def check_pair(self, tx, rx):
        assert tx is self._pair[0], "the module transfers its own buffers and no others"
        assert rx is self._pair[1]


class Exchange(Buffers):
    """The spi_exchange module, with a controller behind it."""

    message = b""
    shifted = b""
    frequency = 0

    def exchange(self, tx, rx, offset, n):
        self.check_pair(tx, rx)
        assert n % 4 == 0
        at = len(self.shifted)
        rx[offset : offset + n] = (self.message[at : at + n] + bytes(n))[:n]
        self.shifted += bytes(tx[offset : offset + n])

    def set_clock(self, frequency):
        self.frequency = frequency


class Target(Buffers):
    """The spi_target module of a chip that can count, or cannot."""

    def __init__(self, counts):
        super().__init__()
        self.COUNTS = counts
        self._target = FakeTarget([])
        self.clocked = self._target.clocked
        self.disarm = self._target.disarm
        self.clock = self._target.clock

    def arm(self, tx, rx, offset, n):
        self.check_pair(tx, rx)
        self._target.arm(tx, rx, offset, n)


class NinaTarget(Buffers):
    """The nina_target module, and the controller's side of it."""

    def __init__(self):
        super().__init__(frames.SIZE)
        self._target = FakeNinaTarget(lambda: None)
        self.received = self._target.received
        self.disarm = self._target.disarm
        self.gpio0 = self._target.gpio0
        self.select = self._target.select

    def arm(self, tx, rx, n):
        self.check_pair(tx, rx)
        self._target.arm(tx, rx, n)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def exchange(monkeypatch):
    """An image with _spinet_spi_exchange."""
    module = Exchange()
    monkeypatch.setitem(sys.modules, "_spinet_spi_exchange", module)
    return module


@pytest.fixture
def target(monkeypatch):
    """An image with _spinet_spi_target, of a chip that can count."""
    module = Target(1)
    monkeypatch.setitem(sys.modules, "_spinet_spi_target", module)
    return module


@pytest.fixture
def nina_target(monkeypatch):
    """An image with _spinet_nina_target."""
    module = NinaTarget()
    monkeypatch.setitem(sys.modules, "_spinet_nina_target", module)
    return module


@pytest.fixture
def serve():
    """serve(board) -> a booted service; shut at the end."""
    services = []

    def serve(board):
        assert board.power_up(lambda: True)
        services.append(Service(board))
        boot(services[-1])
        return services[-1]

    yield serve
    for service in services:
        service.shut()


def controller_clocked(load_board, name, **options):
    wiring = load_board(name).wiring
    machine.Pin.made.clear()
    chip = importlib.import_module("chip")
    return chip.ChipBoard(wiring, chip.CONTROLLER_CLOCKED, **options)


def test_stock_firmware_has_machine_spi(load_board, serve, name):
    service = serve(load_board(name))
    assert isinstance(service.port._spi, MachineSpi)
    assert service.board.buffers is None


def test_our_exchange_serves_where_it_is(load_board, serve, name, exchange, monkeypatch):
    board = load_board(name)
    monkeypatch.delattr(importlib.import_module("chip"), "SPI")
    service = serve(board)
    assert isinstance(service.port, SpiMaster)
    w = board.wiring
    assert exchange.started == [(w.spi, w.sck, w.mosi, w.miso, 26666667, MESSAGE)]
    assert wire.MESSAGE_SIZE == MESSAGE
    exchange.message = request(23, param=0x1001)
    machine.Pin.made[w.transfer_ready].drive(1)
    service.run_once()
    assert exchange.shifted[0] == wire._FORMAT_VERSION
    assert exchange.shifted[8:12] == bytes(4)
    assert exchange.frequency == 40000000


def test_target_serves_the_controller_clocked_role(load_board, serve, name, target):
    board = controller_clocked(load_board, name)
    service = serve(board)
    assert isinstance(service.port, SpiSlave)
    w = board.wiring
    assert target.started == [(w.spi, w.sck, w.mosi, w.miso, w.cs, 1, MESSAGE)]
    assert {w.cs, w.data_ready, w.transfer_ready} <= set(target.pins_at_start), "pins come first"
    cs = machine.Pin.made[w.cs]
    assert (cs.mode, cs.pull) == (machine.Pin.IN, machine.Pin.PULL_UP)
    cs.drive(1)
    service.run_once()
    cs.drive(0)
    message = request(9)
    shifted = target.clock(message[:8])
    service.run_once()
    shifted += target.clock(message[8:12])
    assert shifted[0] == wire._FORMAT_VERSION
    assert shifted[8:12] == (168).to_bytes(4, "little")


def test_edge_of_cs_ends_the_wait(load_board, serve, name, target):
    service = serve(controller_clocked(load_board, name))
    machine.Pin.made[service.board.wiring.cs].drive(0)
    assert service.stack.wait(10000) == 1  # would last ten seconds


@pytest.mark.parametrize(
    ("can_count", "cs_per_phase", "counts"), [(1, False, 1), (1, True, 0), (0, False, 0)]
)
def test_when_it_counts(load_board, serve, target, can_count, cs_per_phase, counts):
    target.COUNTS = can_count
    serve(controller_clocked(load_board, "SPINET_ESP32S3", cs_per_phase=cs_per_phase))
    assert bool(target.started[0][5]) == bool(counts)


def test_role_that_the_image_cannot_play_is_said(load_board, exchange):
    with pytest.raises(ValueError, match="spi_target"):
        controller_clocked(load_board, "SPINET_ESP32")


def test_role_that_is_none_is_said(load_board, target):
    wiring = load_board("SPINET_ESP32").wiring
    with pytest.raises(ValueError, match="module-clocked or controller-clocked"):
        importlib.import_module("chip").ChipBoard(wiring, "both")


# --- NINA's protocol


# Adafruit's AirLift boards.
AIRLIFT = {"spi": 2, "sck": 18, "mosi": 14, "miso": 23, "cs": 5, "ready": 33, "gpio0": 0}


def nina_board(**pins):
    chip = importlib.import_module("chip")
    wiring = importlib.import_module("chip.nina_link").NinaWiring(**(AIRLIFT | pins))
    return chip.ChipBoard(wiring, protocol="nina")


def test_nina_target_serves_ninas_protocol(serve, nina_target):
    service = serve(nina_board())
    assert service.board.PROTOCOL == "nina"
    assert isinstance(service.port, SelectedTarget)
    assert nina_target.started == [(2, 18, 14, 23, 5, 33, 0, frames.SIZE)]
    assert service.board.buffers is nina_target.buffers()
    nina_target.select(frame(0x37))
    service.run_once()
    assert parameters(nina_target.select(b"", 12)) == [b"1.8.0\0"]


def test_pins_of_ninas_protocol_are_set_up_first(serve, nina_target):
    serve(nina_board())
    cs, ready, gpio0 = (nina_target.pins_at_start[number] for number in (5, 33, 0))
    pulled_up = (machine.Pin.IN, machine.Pin.PULL_UP)
    assert (cs.mode, cs.pull) == pulled_up
    assert (ready.mode, ready.levels) == (machine.Pin.OUT, [1])
    assert (gpio0.mode, gpio0.pull) == pulled_up, "the controller's until the first command"


def test_ready_is_high_before_the_board_does_anything_else(nina_target, monkeypatch):
    chip = importlib.import_module("chip")
    levels = []
    monkeypatch.setattr(machine, "reset_cause", lambda: levels.extend(machine.Pin.made[33].levels))
    monkeypatch.setattr(chip, "ChipRadio", lambda: levels.extend(machine.Pin.made[33].levels))
    nina_board()
    assert levels == [1, 1]


def test_gpio0_that_is_not_wired(serve, nina_target):
    serve(nina_board(gpio0=None))
    assert nina_target.started[0][6] is None
    assert 0 not in machine.Pin.made


def test_image_that_cannot_speak_ninas_protocol():
    with pytest.raises(ImportError, match="_spinet_nina_target"):
        nina_board()


def test_protocol_that_is_none_is_said(load_board):
    wiring = load_board("SPINET_ESP32").wiring
    with pytest.raises(ValueError, match="duet or nina"):
        importlib.import_module("chip").ChipBoard(wiring, protocol="arduino")
