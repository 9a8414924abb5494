"""NINA's commands over the compiled target: SelectedTarget and the service behind it."""

import pytest
from core_rig import OK, READY
from nina_bench import NinaBench, NinaBoard, frame, parameters

VERSION = [b"1.8.0\0"]


class CoreTarget:
    """The core as SelectedTarget's target, and the driver's side of it; shaped as nina_bench's."""

    def __init__(self, chip):
        assert chip.start_nina() == OK
        self._chip = chip
        self.armed = None
        self.received = chip.c.nina_received
        self.disarm = chip.c.nina_disarm
        self.gpio0 = chip.c.nina_gpio0

    @property
    def ready(self):
        return self._chip.c.fake_pin_out(READY)

    def arm(self, tx, rx, n):
        self.armed = (tx, rx, n)
        assert self._chip.c.nina_arm(n) == OK

    def select(self, data, n=None):
        n = len(data) if n is None else n
        self._chip.cs(0)
        got = self._chip.clock((data + bytes(n))[:n])
        self._chip.cs(1)
        return got


@pytest.fixture(params=["ESP32", "ESP32-C3"])
def bench(request, make_chip, monkeypatch):
    chip = make_chip(request.param)
    board = NinaBoard()
    board.target = CoreTarget(chip)
    board.buffers = (chip.tx, chip.rx)
    bench = NinaBench(monkeypatch, board)
    yield bench
    bench.service.shut()


def test_commands_one_after_the_other(bench):
    for _ in range(20):
        assert bench.ask(0x37) == VERSION
        assert bench.ask(0x2F, 1) == [b"\0"]


@pytest.mark.behaviour("A14")
@pytest.mark.parametrize("padding", [b"", b"\xff", b"\xff\xff", bytes(3)])
def test_command_whose_end_dma_lost(bench, padding):
    (number,) = bench.ask(0x70, 1, 0)
    bench.send(frame(0x73, number, b"\0\x50", padding=padding))  # END is the ninth byte
    assert parameters(bench.reply()) == [b"\1"]
    assert bench.service.link.bad_frames == 0


@pytest.mark.behaviour("A13")
def test_command_in_the_place_of_a_reply(bench):
    bench.send(frame(0x20))
    bench.send(frame(0x37))
    assert parameters(bench.reply()) == VERSION
    assert bench.service.link.resyncs == 1


@pytest.mark.behaviour("A14")
@pytest.mark.parametrize("n", [1, 3, 6009, 8192])
def test_transfer_of_any_length_leaves_it_serving(bench, n):
    bench.send(b"\xe0" * n)
    assert bench.reply()[:4] == b"\xef\0\xee\0"
    assert bench.ask(0x37) == VERSION


@pytest.mark.behaviour("A13")
def test_reply_that_is_clocked_short_or_long(bench):
    for n in (3, 11, 14, 4096):
        bench.send(frame(0x37))
        assert bench.reply(n) == b"\xe0\xb7\x01\x061.8.0\0\xee".ljust(n, b"\0")[:n]


def test_chip_select_that_only_twitches(bench):
    for _ in range(3):
        bench.target.select(b"")
        bench.passes()
    assert bench.ask(0x37) == VERSION


def test_stop_and_start(bench):
    bench.send(frame(0x37))
    bench.service.port.stop()
    assert bench.target.ready == 1
    bench.service.port.start(0)
    bench.passes()
    assert bench.ask(0x2F, 1) == [b"\0"]
