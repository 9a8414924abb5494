"""Which SPI a chip's board takes: our C where the image has it, else machine.SPI; both roles."""

import importlib
import sys

import machine
import pytest
from chip_paths import NAMES
from fake_board import boot
from fake_pins import FakeTarget
from raw_controller import request

from spinet.duet import wire
from spinet.duet.controller_clocked import SpiSlave
from spinet.duet.module_clocked import MachineSpi, SpiMaster
from spinet.service import Service

MESSAGE = 2060


class Buffers:
    """What both modules have: start() with its arguments, and one pair of buffers."""

    def __init__(self):
        self.started = []
        self.pins_at_start = {}
        self._pair = (bytearray(MESSAGE), bytearray(MESSAGE))

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
    assert exchange.shifted[0] == wire.FORMAT_VERSION
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
    assert shifted[0] == wire.FORMAT_VERSION
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
