"""Whole transactions: SpiSlave and the commands over the compiled target core."""

import fake_pins
import pytest
from core_link import WIRINGS, CoreRig
from fake_board import Bench
from raw_controller import request

pytestmark = pytest.mark.behaviour("L2", "L4")


@pytest.fixture(params=WIRINGS)
def wiring(request):
    return WIRINGS[request.param]


@pytest.fixture(params=["ESP32", "another"])
def chip(request, make_chip, wiring):
    if request.param == "ESP32":
        return make_chip("ESP32")
    return make_chip("ESP32-S3" if wiring.counts else "ESP32-C3")


@pytest.fixture
def bench(chip, wiring, monkeypatch):
    """The firmware's commands on that chip, booted."""
    monkeypatch.setitem(fake_pins.RIGS, "core", lambda commands: CoreRig(commands, chip, wiring))
    return Bench("core")


@pytest.fixture
def rig(bench):
    return bench.rig


@pytest.mark.parametrize("n", [1, 3, 4, 100, 2047, 2048])
def test_bytes_both_ways(bench, n):
    peer = bench.connected()
    data = bytes(i * 7 & 0xFF for i in range(n))
    assert bench.response(5, flags=2, data=data) == n
    bench.turn()
    assert peer.received() == data
    peer.send(data[::-1])
    bench.turn()
    assert bench.ask(4) == (n, data[::-1])


def test_many_transactions(bench, chip):
    wakes = chip.wakes
    for i in range(50):
        assert bench.response(9) == 168
        assert bench.response(18, data=bytes([65 + i % 26]) * 63 + b"\0") == 0
        assert bench.response(0) == 0
    assert bench.rig.link.count[0] == 150
    assert bench.rig.link.bad_headers == 0
    assert bench.rig.port.restarts == 0
    assert chip.wakes - wakes == 50 * (3 + 3 + 2), "each phase ends one wait of the loop"


def test_answer_is_in_the_buffer_before_the_phase_is_armed(bench):
    # The driver's DMA has fetched it by then; what comes later is not sent.
    assert bench.ask(9)[1][12:16] == (4 << 20).to_bytes(4, "little")


@pytest.mark.parametrize("n", [3, 8, 10, 12, 40])
def test_controller_that_died_and_begins_anew(bench, chip, n):
    rig = bench.rig
    rig.die_after(request(18, data=b"n" * 64), n)
    rig.begin_anew()
    assert rig.port.restarts == 1
    rig.let_go()
    assert rig.ask(request(9))[0] == 168
    assert bench.discovery.host_name == b"spinet"


@pytest.mark.parametrize("n", [8, 10, 12, 40])
def test_controller_that_died_and_is_given_up(bench, n):
    rig = bench.rig
    rig.die_after(request(18, data=b"n" * 64), n)
    rig.serve(500)
    assert rig.port.restarts == 1
    rig.let_go()
    assert rig.ask(request(9))[0] == 168
    assert bench.discovery.host_name == b"spinet"


def test_header_that_cs_cut_short(rig):
    rig.cut_short(request(0)[:3])
    assert rig.port.restarts == 1
    assert rig.ask(request(9))[0] == 168


def test_chip_select_that_only_twitches(rig):
    for _ in range(3):
        rig.cs.drive(0)
        rig.cs.drive(1)
        rig.serve()
    assert rig.port.restarts == 0
    assert rig.ask(request(9))[0] == 168


def test_over_clocked_data_is_dropped(bench):
    peer = bench.connected()
    bench.rig.over_clock(request(5, flags=2, data=b"abcd"), b"more")
    bench.turn()
    assert peer.received() == b"abcd"


def test_stop_and_start_in_the_middle(bench, chip, wiring):
    rig = bench.rig
    rig.die_after(request(18, data=b"n" * 64), 40)
    rig.port.stop()
    assert chip.start_target(counts=wiring.counts) == 0
    rig.cs.drive(1)
    rig.transfer_ready.drive(0)
    rig.boot()
    assert rig.ask(request(9))[0] == 168
