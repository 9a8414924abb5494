"""The module drives SCK and CS: when it begins, and what it makes of TRANSFER_READY."""

import pytest
from fake_board import Bench
from fake_pins import FakePin
from raw_controller import request

from spinet.duet.module_clocked import _LEVEL_AFTER_MS, MachineSpi

pytestmark = pytest.mark.behaviour("L2", "L4")


@pytest.fixture
def bench():
    return Bench("module-clocked")


@pytest.fixture
def rig(bench):
    return bench.rig


def test_cs_frames_the_two_transfers(rig):
    rig.trace.clear()
    rig.transact(request(6))
    assert rig.trace == [("cs", 0), ("clock", 8), ("clock", 24), ("cs", 1)]


def test_transfers_continue_in_one_buffer(rig):
    rig.transact(request(18, data=bytes(64)))
    assert rig.spi.phases == [(0, 8), (8, 68)]


def test_nothing_is_clocked_unasked(rig):
    rig.serve(1000)
    assert rig.spi.phases == []


def test_one_edge_is_one_transaction(rig):
    rig.drops_request = False
    rig.expect(request(0))
    rig.transfer_ready.drive(1)
    rig.serve()
    rig.serve(1)
    assert rig.link.count[0] == 1


def test_missed_edge_is_recovered_by_the_level_after_10_ms(rig):
    rig.expect(request(0))
    rig.serve(_LEVEL_AFTER_MS)
    rig.transfer_ready.drive(1, edge_seen=False)
    rig.serve(_LEVEL_AFTER_MS - 1)
    assert rig.link.count[0] == 0
    rig.serve(1)
    assert rig.link.count[0] == 1
    assert rig.port.recovered == 1
    assert _LEVEL_AFTER_MS == 10


def test_request_is_left_to_the_hot_path(rig):
    """To look at what is due serves nothing: the plain way would cost the controller its time."""
    rig.transfer_ready.drive(1)
    rig.port.poll(rig.link, rig.now + _LEVEL_AFTER_MS)
    assert rig.spi.phases == []
    assert not rig.port.idle()
    assert rig.port.recovered == 0


def test_level_is_told_to_the_hot_path(rig):
    rig.transfer_ready.drive(1, edge_seen=False)
    rig.port.poll(rig.link, rig.now + _LEVEL_AFTER_MS - 1)
    assert rig.port.idle()
    rig.port.poll(rig.link, rig.now + _LEVEL_AFTER_MS)
    assert not rig.port.idle()
    assert rig.port.recovered == 1
    assert rig.spi.phases == []


def test_loop_looks_at_the_level_in_time(rig):
    assert rig.port.poll(rig.link, rig.now) == 10


def test_withdrawn_request_is_not_served(rig):
    rig.transfer_ready.drive(1)
    rig.transfer_ready.drive(0)
    rig.serve()
    assert rig.spi.phases == []
    assert rig.link.count[0] == 0
    assert rig.port.idle()
    assert rig.ask(request(9))[0] == 168


def test_edge_during_a_transaction_is_the_next_one(rig):
    rig.expect(request(9))
    asked_again = []

    def complete(_request):
        if not asked_again:
            asked_again.append(True)
            rig.transfer_ready.drive(0)
            rig.expect(request(9))
            rig.transfer_ready.drive(1)

    rig.link.commands.complete = complete
    rig.transfer_ready.drive(1)
    rig.serve()
    assert rig.link.count[0] == 2


def test_busy_controller_does_not_keep_the_loop(rig):
    def ask_again(_request):
        rig.transfer_ready.drive(0)
        rig.expect(request(9))
        rig.transfer_ready.drive(1)

    rig.expect(request(9))
    rig.link.commands.complete = ask_again
    rig.transfer_ready.drive(1)
    for passes in range(1, 4):
        rig.run_once()  # which looks at the network too
        assert rig.link.count[0] == passes


def leave_it_high(rig):
    """The controller gave up: its pin stays high, and it has armed nothing."""
    rig.drops_request = False
    rig.spi.message = b"\xff" * 12
    rig.spi.shifted = b""
    rig.transfer_ready.drive(1)
    rig.serve()


@pytest.mark.behaviour("L5")
@pytest.mark.parametrize("looks", [0, 1, 10])
def test_link_that_was_late_heals_though_the_level_stays(rig, looks):
    leave_it_high(rig)
    for _ in range(looks):
        rig.serve(_LEVEL_AFTER_MS)
    assert rig.link.bad_headers == 1 + looks
    rig.expect(request(9))
    rig.serve(_LEVEL_AFTER_MS - 1)
    assert rig.spi.phases == []
    rig.serve(1)
    assert rig.decode(rig.spi.shifted)[2] == 168
    assert rig.port.recovered == looks + 1


def test_an_edge_counts_even_after_an_idle_level(rig):
    leave_it_high(rig)
    rig.transfer_ready.drive(0)
    assert rig.ask(request(9))[0] == 168


def passes(rig, ms):
    """A function that takes `ms` of the rig's time."""

    def take(*_):
        rig.now += ms

    return take


@pytest.mark.behaviour("L5")
@pytest.mark.parametrize("header", [request(0), b"\xff" * 12])
def test_level_is_looked_at_10_ms_after_the_end_of_a_transaction(rig, header):
    rig.drops_request = False
    rig.expect(header)
    rig.spi.on_exchange = passes(rig, 6)
    rig.transfer_ready.drive(1)
    rig.serve()
    assert rig.port.poll(rig.link, rig.now) == _LEVEL_AFTER_MS
    rig.serve(_LEVEL_AFTER_MS - 1)
    assert rig.link.count[0] == 1
    assert rig.port.poll(rig.link, rig.now) == 1
    rig.serve(1)
    assert rig.link.count[0] == 2


@pytest.mark.behaviour("L5")
def test_what_is_deferred_is_done_within_those_10_ms(rig):
    rig.expect(request(9))
    rig.link.commands.deferred = passes(rig, 4)
    rig.transfer_ready.drive(1)
    rig.serve()
    rig.transfer_ready.drive(1, edge_seen=False)
    assert rig.port.poll(rig.link, rig.now) == _LEVEL_AFTER_MS - 4
    rig.serve(_LEVEL_AFTER_MS - 5)
    assert rig.link.count[0] == 1
    rig.serve(1)
    assert rig.link.count[0] == 2


@pytest.mark.behaviour("L5")
def test_what_is_deferred_for_long_delays_no_look_further(rig):
    rig.expect(request(9))
    rig.link.commands.deferred = passes(rig, 300)
    rig.transfer_ready.drive(1)
    rig.run_once()
    rig.transfer_ready.drive(1, edge_seen=False)
    assert rig.port.poll(rig.link, rig.now) == _LEVEL_AFTER_MS
    assert not rig.port.idle()


def test_news_is_a_short_low_on_data_ready(rig):
    rig.trace.clear()
    rig.port.signal()
    assert rig.trace == [("data_ready", 0), ("data_ready", 1)]


def test_waiting_request_is_no_idle_link(rig):
    assert rig.port.idle()
    rig.transfer_ready.drive(1)
    assert not rig.port.idle()


def test_stopped_port_hears_no_edge(rig):
    rig.port.stop()
    rig.transfer_ready.drive(1)
    assert rig.port.idle()


def test_clock_is_passed_on(rig):
    rig.port.set_clock(40_000_000)
    assert rig.spi.frequency == 40_000_000


# --- machine.SPI


class StockSpi:
    """`machine.SPI` as far as it is used: no length argument, no CS."""

    def __init__(self):
        self.settings = {}
        self.sent = []

    def write_readinto(self, out, into):
        assert len(out) == len(into)
        self.sent.append(bytes(out))
        into[:] = bytes(reversed(bytes(out)))

    def init(self, **settings):
        self.settings = settings


def test_machine_spi_transfers_the_slice_and_nothing_else():
    stock = StockSpi()
    tx, rx = bytearray(b"0123456789ab"), bytearray(12)
    MachineSpi(stock).exchange(tx, rx, 4, 4)
    assert stock.sent == [b"4567"]
    assert rx == b"\0\0\0\0" + b"7654" + b"\0\0\0\0"


def test_machine_spi_keeps_its_slices():
    port = MachineSpi(StockSpi())
    tx, rx = bytearray(12), bytearray(12)
    assert port._slices(tx, rx, 0, 8) is port._slices(tx, rx, 0, 8)


def test_machine_spi_sets_mode_1():
    stock = StockSpi()
    MachineSpi(stock).set_clock(20_000_000)
    assert stock.settings == {"baudrate": 20_000_000, "polarity": 0, "phase": 1}


def test_fake_pins_are_no_kinder_than_the_real_ones():
    trace = []
    pin = FakePin("p", 0, trace)
    edges = []
    pin.irq(lambda p: edges.append(p.value()))
    pin.drive(1)
    pin.drive(1)
    pin.drive(0, edge_seen=False)
    assert edges == [1]
    assert trace == []
