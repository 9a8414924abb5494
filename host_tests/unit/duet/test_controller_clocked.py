"""The controller drives SCK and CS: phases, what CS and TRANSFER_READY mean, how it starts over."""

import pytest
from fake_board import Bench
from raw_controller import request

from spinet import fastpath

pytestmark = pytest.mark.behaviour("L2", "L4")


@pytest.fixture(params=[False, True], ids=["CS low", "CS toggles"])
def bench(request):
    role = "controller-clocked, CS toggles" if request.param else "controller-clocked"
    return Bench(role)


@pytest.fixture
def rig(bench):
    return bench.rig


def test_data_ready_falls_after_each_phase_and_rises_for_the_next(rig):
    rig.trace.clear()
    rig.transact(request(6))
    step = [("data_ready", 0), ("data_ready", 1)]
    assert rig.trace == [("clock", 8), *step, ("clock", 4), *step, ("clock", 20), *step]


def test_no_new_header_while_cs_is_low():
    rig = Bench("controller-clocked").rig
    rig.transfer_ready.drive(1)
    rig.cs.drive(0)
    rig.phase(request(0)[:8])
    rig.phase(request(0)[8:])
    assert rig.data_ready.value() == 0
    rig.serve(1)
    assert rig.data_ready.value() == 0
    rig.cs.drive(1)
    rig.serve()
    assert rig.data_ready.value() == 1


def test_cs_that_never_rises_costs_a_time_out_and_no_deferred_work():
    bench = Bench("controller-clocked")
    bench.connected()
    bench.rig.die_after(request(16), 12)
    assert bench.manager.rows[fastpath.ROW_CONNECTED] == 1
    bench.rig.serve(500)
    assert bench.manager.rows[fastpath.ROW_CONNECTED] == 0
    assert bench.rig.link.cuts == 0


def test_cs_that_never_rises_before_the_next_request_costs_no_deferred_work():
    """The controller has its answer: what it asked for is done, not cut."""
    bench = Bench("controller-clocked")
    bench.connected()
    bench.rig.die_after(request(16), 12)
    assert bench.manager.rows[fastpath.ROW_CONNECTED] == 1
    bench.rig.begin_anew()
    assert bench.manager.rows[fastpath.ROW_CONNECTED] == 0
    assert bench.rig.link.cuts == 0
    bench.rig.let_go()
    assert bench.ask(9)[0] == 168


def test_over_clocked_header_reads_zeros(rig):
    rig.cs.drive(0)
    assert rig.target.clock(request(0)[:8] + b"\xaa" * 8)[8:] == bytes(8)
    rig.serve()
    rig.cs.drive(1)
    rig.begin_anew()
    rig.transfer_ready.drive(0)
    assert rig.ask(request(9))[0] == 168


def test_over_clocked_data_is_dropped(bench):
    peer = bench.connected()
    bench.rig.over_clock(request(5, flags=2, data=b"abcd"), b"more")
    bench.turn()
    assert peer.received() == b"abcd"


def test_nothing_armed_shifts_zeros(rig):
    rig.target.disarm()
    assert rig.target.clock(b"\xff" * 12) == bytes(12)


def test_partial_header_is_dropped_as_cs_rises(rig):
    rig.cut_short(request(0)[:3])
    assert rig.port.restarts == 1
    assert rig.ask(request(9))[0] == 168


def test_late_rise_of_cs_is_not_the_end_of_the_next_phase(rig):
    # The header's CS rises after the response was armed; the response comes in two bursts.
    message = request(6)
    rig.transfer_ready.drive(1)
    rig.cs.drive(0)
    shifted = rig.target.clock(message[:8])
    rig.serve()
    rig.cs.drive(1)
    rig.cs.drive(0)
    shifted += rig.target.clock(message[8:10])
    rig.serve()
    shifted += rig.target.clock(message[10:12])
    rig.serve()
    assert rig.port.restarts == 0
    assert rig.decode(shifted)[2] == 20


def test_cs_pulse_inside_a_phase_is_the_end_of_it(rig):
    # The loop did not look while CS was high.
    rig.cs.drive(0)
    rig.target.clock(request(0)[:3])
    rig.cs.drive(1)
    rig.cs.drive(0)
    rig.serve()
    assert rig.port.restarts == 1
    rig.cs.drive(1)
    assert rig.ask(request(9))[0] == 168


@pytest.mark.parametrize("n", [3, 8, 10, 12, 40])
def test_edge_of_transfer_ready_begins_anew(bench, n):
    rig = bench.rig
    rig.die_after(request(18, data=b"n" * 64), n)
    rig.begin_anew()
    assert rig.port.restarts == 1
    rig.let_go()
    assert rig.ask(request(9))[0] == 168
    assert bench.discovery.host_name == b"spinet"


def test_edge_seen_after_its_own_header_is_no_new_beginning(rig):
    message = request(9)
    rig.cs.drive(0)
    rig.transfer_ready.drive(1)
    shifted = rig.target.clock(message[:8])  # all before the loop looks
    rig.serve()
    assert rig.port.restarts == 0
    assert rig.decode(shifted + rig.target.clock(message[8:12]))[2] == 168


@pytest.mark.behaviour("L5")
@pytest.mark.parametrize("message", [request(0), request(9), request(18, data=bytes(64))])
def test_link_that_was_late_heals_though_no_edge_comes(rig, message):
    """The controller gave up behind its header and left TRANSFER_READY high; the answer came late.

    Its next requests make no edge, and meet what was armed for the one before.
    """
    rig.transfer_ready.drive(1)
    rig.cs.drive(0)
    rig.target.clock(message[:8])
    rig.cs.drive(1)
    rig.serve()
    for _ in range(3):
        rig.cs.drive(0)
        answered = rig.target.clock(request(9)[:8])[0] == 0x3E
        if answered:
            break
        rig.cs.drive(1)
        rig.serve()
    assert answered
    rig.serve()
    shifted = rig.target.clock(request(9)[8:12])
    assert int.from_bytes(shifted, "little") == 168


def test_time_out_holds_for_each_phase_from_its_arming(rig):
    rig.transfer_ready.drive(1)
    rig.phase(request(9)[:8])
    rig.serve(499)
    rig.phase(request(9)[8:12])
    rig.serve(499)
    assert rig.port.restarts == 0
    rig.serve(1)
    assert rig.port.restarts == 1


def test_header_is_left_to_the_hot_path(rig):
    """To look at what is due answers nothing that goes as it should."""
    rig.transfer_ready.drive(1)
    rig.cs.drive(0)
    rig.target.clock(request(9)[:8])
    rig.port.poll(rig.link, rig.now + 100_000)
    assert rig.target.phases[-1] == (0, 8)
    assert rig.port.restarts == 0


def test_waiting_for_a_request_never_times_out(rig):
    rig.serve(100_000)
    assert rig.port.restarts == 0
    assert rig.port.poll(rig.link, rig.now) == -1


def test_loop_wakes_for_the_time_out(rig):
    rig.phase(request(9)[:8])
    assert rig.port.poll(rig.link, rig.now) == 500


def test_news_pulse_only_while_nothing_is_under_way(rig):
    rig.trace.clear()
    rig.port.signal()
    assert rig.trace == [("data_ready", 0), ("data_ready", 1)]
    rig.transfer_ready.drive(1)
    rig.cs.drive(0)
    rig.trace.clear()
    rig.port.signal()
    assert rig.trace == []
    rig.target.clock(request(9)[:3])
    rig.port.signal()
    assert rig.trace == [("clock", 3)]


def test_stopped_port_shifts_zeros(rig):
    rig.port.stop()
    assert rig.target.clock(b"\xff" * 8) == bytes(8)


def test_clock_of_the_controller_is_none_of_our_business(rig):
    rig.port.set_clock(40_000_000)
    assert rig.ask(request(9))[0] == 168
