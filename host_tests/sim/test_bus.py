"""SIM on the virtual bus, frame by frame, in both roles."""

import os
import socket
import subprocess
import time

import pytest
from raw_controller import (
    CLOCK,
    CS,
    DATA_READY,
    HELLO,
    PATIENCE,
    PIN,
    RESET,
    SHIFT,
    TRANSFER_READY,
    frame,
    request,
)
from sim_process import (
    BINARY,
    INTERRUPT,
    ROLES,
    TERMINATE,
    is_running,
    reset,
    run_sim,
    sim,
    start_sim,
)
from terminal import terminal

from spinet.version import VERSION_TEXT

__all__ = ["run_sim", "sim", "start_sim", "terminal"]

UP, DOWN = b"\1", b"\0"


def status_works(sim):
    response, data = sim.ask(9)
    assert response == 168
    assert data[28:32] == b"2.3."


# --- power on


@pytest.mark.parametrize("role", ROLES)
def test_cold_boot_frame_by_frame(start_sim, role):
    sim = start_sim(role)
    version = sim.power_on()
    assert version == VERSION_TEXT.encode()
    frames = sim.controller.frames
    assert frames[0] == (HELLO, ROLES[role], version)
    assert frames[1:] == boot_of(role)


def boot_of(role):
    """The frames of a start-up."""
    cs = [(PIN, CS, UP)] if role == "module-clocked" else []
    return cs + [(PIN, DATA_READY, level) for level in (DOWN, UP, DOWN, UP)]


ONCE_MORE = """
import virtual_bus
class Clock:
    slept = []
    sleep_ms = slept.append
virtual_bus.time = Clock
bus = virtual_bus.DuetBus("127.0.0.1", %d, 0, "x")
for _ in range(3):
    bus.connect(lambda: True)
    bus.drop()
print(Clock.slept)
"""


def test_a_module_that_lost_its_power_waits_before_it_comes_again():
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = [str(BINARY), "-c", ONCE_MORE % server.getsockname()[1]]
        done = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout.strip() == "[100, 100]"


def test_reset_reason_after_power_up(sim):
    assert sim.ask(9)[1][8:12] == bytes(4)


def test_power_off_and_on_is_a_cold_boot(sim):
    sim.ask(18, data=b"lost".ljust(64, b"\0"))
    for _ in range(3):
        sim.controller.power_off()
        sim.power_on()
        data = sim.ask(9)[1]
        assert data[8:12] == bytes(4)
        assert data[76:83] == b"spinet\0"


def test_reset_pulse_reboots_in_place(sim):
    reset(sim)
    assert sim.ask(9)[1][8] == 6
    assert [f for f in sim.controller.frames if f[0] == HELLO] == [
        (HELLO, ROLES[sim.role], VERSION_TEXT.encode())
    ]


@pytest.mark.behaviour("L6")
def test_start_up_edges_last(sim):
    """Counted from the end of the reset: the frames may come late, but not early."""
    controller = sim.controller
    controller.pin(RESET, 0)
    sim.said("held in reset")
    controller.rises = 0
    began = time.monotonic()
    controller.pin(RESET, 1)
    for rise, least_ms in ((1, 20), (2, 60)):
        controller.until(lambda rise=rise: controller.rises >= rise)
        assert time.monotonic() - began >= least_ms / 1000
    status_works(sim)


@pytest.mark.parametrize("level", [DOWN, UP])
def test_reset_within_the_start_up(sim, level):
    controller = sim.controller
    controller.power_off()
    controller.accept()
    controller.until(lambda: controller.frames[-1] == (PIN, DATA_READY, level))
    reset(sim)
    assert sim.ask(9)[1][8] == 6


@pytest.mark.parametrize("level", [DOWN, UP])
def test_power_lost_within_the_start_up(sim, level):
    controller = sim.controller
    for _ in range(3):
        controller.power_off()
        controller.accept()
        controller.until(lambda: controller.frames[-1] == (PIN, DATA_READY, level))
    controller.power_off()
    sim.power_on()
    status_works(sim)


def test_reset_pulse_in_one_segment(sim):
    sim.controller.send(frame(PIN, RESET, DOWN) + frame(PIN, RESET, UP))
    sim.controller.rises = 0
    sim.controller.pins[DATA_READY] = 0
    sim.controller.wait_boot()
    status_works(sim)


def test_module_is_silent_while_held_in_reset(sim):
    controller = sim.controller
    controller.pin(RESET, 0)
    sim.said("held in reset")
    before = len(controller.frames)
    if sim.role == "controller-clocked":
        controller.send(frame(CLOCK, 0, bytes(8)))
        assert controller.receive() == (SHIFT, 0, bytes(8))
        before += 1
    controller.pin(TRANSFER_READY, 1)
    controller.pin(TRANSFER_READY, 0)
    controller.pin(RESET, 1)
    controller.rises = 0
    controller.pins[DATA_READY] = 0
    controller.wait_boot()
    assert controller.frames[before:] == boot_of(sim.role)
    assert sim.ask(9)[1][8] == 6


def test_power_lost_while_held_in_reset(sim):
    sim.controller.pin(RESET, 0)
    sim.said("held in reset")
    sim.controller.power_off()
    sim.power_on()
    assert sim.ask(9)[1][8] == 0


@pytest.mark.parametrize("cut", ["asked", "mid-frame"])
def test_power_lost_in_mid_transaction(sim, cut):
    sim.controller.pin(TRANSFER_READY, 1)
    if cut == "mid-frame":
        sim.controller.send(frame(PIN, TRANSFER_READY, DOWN)[:3])
    sim.controller.power_off()
    sim.power_on()
    status_works(sim)


# --- rules


def after_hello(sim, data):
    """Break a rule: the module closes the bus, says why, and comes back."""
    sim.controller.send(data)
    sim.gone()
    sim.power_on()
    status_works(sim)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (frame(9, 0, b"x"), "unknown frame kind"),
        (frame(0, 0), "unknown frame kind"),
        (b"\x02\x00\x01\x10", "at most 4096"),
        (frame(PIN, TRANSFER_READY, b""), "one byte"),
        (frame(PIN, TRANSFER_READY, b"\1\1"), "one byte"),
        (frame(PIN, TRANSFER_READY, b"\2"), "0 or 1"),
        (frame(PIN, DATA_READY, UP), "not the controller's"),
        (frame(PIN, 4, UP), "not the controller's"),
        (frame(SHIFT, 0, bytes(4)), "a SHIFT without a CLOCK"),
        (frame(HELLO, 0, b"me too"), "HELLO is the module's"),
        (frame(CLOCK, 0, b""), "CLOCK is for"),
    ],
)
@pytest.mark.behaviour("L2")
def test_broken_rule_ends_the_connection_and_is_named(sim, data, rule):
    after_hello(sim, data)
    sim.said(rule)


@pytest.mark.parametrize(
    ("data", "rule"),
    [(frame(CLOCK, 0, bytes(8)), "CLOCK is for"), (frame(PIN, CS, UP), "not the controller's")],
)
def test_module_clocked_owns_sck_and_cs(start_sim, data, rule):
    sim = start_sim("module-clocked")
    sim.power_on()
    after_hello(sim, data)
    sim.said(rule)


@pytest.mark.parametrize("n", [0, 4, 12])
@pytest.mark.behaviour("L2")
def test_shift_of_another_length(start_sim, n):
    sim = start_sim("module-clocked")
    sim.power_on()
    sim.controller.pin(TRANSFER_READY, 1)
    sim.controller.until(lambda: sim.controller.frames[-1][0] == CLOCK)
    after_hello(sim, frame(SHIFT, 0, bytes(n)))
    sim.said("as long as its CLOCK")


# A module that gives a controller half a second for what it owes.
IMPATIENT = """
import sys, virtual_bus
virtual_bus.PATIENCE_MS = 500
import sim
sys.exit(sim.main(sys.argv[1:]))
"""


def given_up(sim):
    """The module closes the bus, says that a frame was not finished, and comes back."""
    sim.gone()
    sim.said("was never finished")
    sim.power_on()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.behaviour("L2")
def test_a_frame_that_is_never_finished_ends_the_connection(start_sim, role, held):
    sim = start_sim(role, script=("-c", IMPATIENT))
    sim.power_on()
    for n in (3, 4, 11):
        if held:
            sim.controller.pin(RESET, 0)
        sim.controller.send(frame(CLOCK, 0, bytes(8))[:n])
        given_up(sim)


@pytest.mark.behaviour("L2")
def test_an_answer_that_is_never_finished_ends_the_connection(start_sim):
    sim = start_sim("module-clocked", script=("-c", IMPATIENT))
    sim.power_on()
    sim.controller.pin(TRANSFER_READY, 1)
    sim.controller.until(lambda: sim.controller.frames[-1][0] == CLOCK)
    sim.controller.send(frame(SHIFT, 0, bytes(8))[:11])
    given_up(sim)


def test_a_controller_may_stand_still_for_20_s(start_sim):
    """In the middle of a frame, and of a transaction; the connection is the same afterwards."""
    clocked, clocking = start_sim("module-clocked"), start_sim("controller-clocked")
    for each in (clocked, clocking):
        each.power_on()
    clocked.controller.pin(TRANSFER_READY, 1)
    clocked.controller.until(lambda: clocked.controller.frames[-1][0] == CLOCK)
    clocked.controller.pin(TRANSFER_READY, 0)
    answer = frame(SHIFT, 0, request(0)[:8])
    low = frame(PIN, TRANSFER_READY, DOWN)
    clocked.controller.send(answer[:6])
    clocking.controller.send(low[:4])
    time.sleep(20)
    clocked.controller.send(answer[6:])
    clocking.controller.send(low[4:])
    clocked.controller.until(lambda: clocked.controller.frames[-1] == (CLOCK, 0, bytes(4)))
    clocked.controller.send(frame(SHIFT, 0, bytes(4)))
    for each in (clocked, clocking):
        status_works(each)


# --- transactions


def test_module_clocked_transaction_frame_by_frame(start_sim):
    sim = start_sim("module-clocked")
    sim.power_on()
    before = len(sim.controller.frames)
    sim.ask(6, 3)
    status = bytes([0, 3, 0, 0x80]) + bytes(16)
    head = bytes([0x3E, 1, 0, 0, 0, 0, 0, 0])
    assert sim.controller.frames[before:] == [
        (PIN, CS, DOWN),
        (CLOCK, 0, head),
        (CLOCK, 0, bytes([20, 0, 0, 0]) + status),
        (PIN, CS, UP),
    ]


def to_last_clock(sim, message):
    """A transaction up to the CLOCK that brings the response, which is not answered yet."""
    controller = sim.controller
    controller.until(controller.idle)
    controller.pin(TRANSFER_READY, 1)
    controller.until(lambda: controller.frames[-1][0] == CLOCK)
    controller.pin(TRANSFER_READY, 0)
    controller.send(frame(SHIFT, 0, message[:8]))
    controller.receive()
    return controller.frames[-1]


def test_cs_rises_with_the_last_byte(start_sim):
    """Behind the CLOCK, not behind the SHIFT that answers it: the bytes pass at the same time."""
    sim = start_sim("module-clocked")
    sim.power_on()
    assert to_last_clock(sim, request(0)) == (CLOCK, 0, bytes(4))
    assert sim.controller.receive() == (PIN, CS, UP)
    sim.controller.send(frame(SHIFT, 0, bytes(4)))
    status_works(sim)


def test_cs_stays_low_until_what_came_is_kept(start_sim):
    sim = start_sim("module-clocked")
    sim.power_on()
    data = b"spare".ljust(64, b"\0")
    assert to_last_clock(sim, request(18, data=data))[0] == CLOCK
    sim.controller.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        sim.controller.receive()
    sim.controller.sock.settimeout(PATIENCE)
    sim.controller.send(frame(SHIFT, 0, bytes(4) + data))
    assert sim.controller.receive() == (PIN, CS, UP)
    assert sim.ask(9)[1][76:82] == b"spare\0"


@pytest.mark.behaviour("L2")
def test_request_of_before_is_forgotten_with_the_power(start_sim):
    """A new connection begins with the levels of a board without power."""
    sim = start_sim("module-clocked")
    sim.power_on()
    assert to_last_clock(sim, request(0))[0] == CLOCK
    sim.controller.pin(TRANSFER_READY, 1)
    sim.controller.power_off()
    sim.power_on()
    sim.controller.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        sim.controller.receive()
    sim.controller.sock.settimeout(PATIENCE)
    status_works(sim)


def test_controller_clocked_transaction_frame_by_frame(start_sim):
    sim = start_sim("controller-clocked")
    sim.power_on()
    before = len(sim.controller.frames)
    sim.ask(6, 3)
    sim.controller.until(sim.controller.idle)
    step = [(PIN, DATA_READY, DOWN), (PIN, DATA_READY, UP)]
    assert sim.controller.frames[before:] == [
        (SHIFT, 0, bytes([0x3E, 1, 0, 0, 0, 0, 0, 0])),
        *step,
        (SHIFT, 0, bytes([20, 0, 0, 0])),
        *step,
        (SHIFT, 0, bytes([0, 3, 0, 0x80]) + bytes(16)),
        *step,
    ]


def test_nothing_is_clocked_unasked(start_sim):
    sim = start_sim("module-clocked")
    sim.power_on()
    before = len(sim.controller.frames)
    sim.controller.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        sim.controller.receive()
    assert len(sim.controller.frames) == before


@pytest.mark.behaviour("L2")
def test_level_recovers_an_edge_that_came_before_the_boot(start_sim):
    sim = start_sim("module-clocked")
    sim.controller.accept()
    sim.controller.pin(TRANSFER_READY, 1)  # while the module is still booting
    sim.controller.until(lambda: sim.controller.pins.get(CS) == 0)
    for _ in range(2):
        sim.controller.until(lambda: sim.controller.frames[-1][0] == CLOCK)
        n = len(sim.controller.frames[-1][2])
        sim.controller.send(frame(SHIFT, 0, request(0)[: n if n == 8 else 4]))
        sim.controller.frames.append((0, 0, b""))
    sim.controller.pin(TRANSFER_READY, 0)
    sim.controller.until(lambda: sim.controller.pins[CS] == 1)
    status_works(sim)


@pytest.mark.behaviour("L2")
@pytest.mark.parametrize("n", [1, 8, 9, 100, 4088])
def test_over_clocking_reads_zeros(start_sim, n):
    sim = start_sim("controller-clocked")
    sim.power_on()
    controller = sim.controller
    controller.pin(TRANSFER_READY, 1)
    controller.pin(CS, 0)
    shifted = controller.clock(request(0)[:8] + bytes(n))
    assert shifted == bytes([0x3E, 1]) + bytes(6 + n)
    controller.pin(TRANSFER_READY, 0)
    controller.pin(CS, 1)
    controller.pin(TRANSFER_READY, 1)
    controller.pin(TRANSFER_READY, 0)
    status_works(sim)


@pytest.mark.behaviour("L4")
def test_cs_toggling_for_each_phase(start_sim):
    sim = start_sim("controller-clocked")
    sim.power_on()
    for _ in range(50):
        _, response, data = sim.controller.transact_toggling(request(9))
        assert (response, data[28:32]) == (168, b"2.3.")


@pytest.mark.behaviour("L4")
@pytest.mark.parametrize("toggle", [False, True])
def test_phases_clocked_in_pieces(start_sim, toggle):
    sim = start_sim("controller-clocked")
    sim.power_on()
    whole = sim.controller.clock
    sim.controller.clock = lambda out: b"".join(
        whole(out[at : at + 3]) for at in range(0, len(out), 3)
    )
    for _ in range(10):
        _, response, data = sim.controller._drive_clock(request(9), toggle_cs=toggle)
        assert (response, data[28:32]) == (168, b"2.3.")
        sim.controller.until(sim.controller.idle)


@pytest.mark.behaviour("L2")
@pytest.mark.parametrize("n", [3, 8, 10, 12, 40])
def test_controller_clocked_edge_begins_anew(start_sim, n):
    sim = start_sim("controller-clocked")
    sim.power_on()
    controller = sim.controller
    message = request(18, data=b"n" * 64)
    controller.pin(TRANSFER_READY, 1)
    controller.pin(CS, 0)
    for first, last in ((0, 8), (8, 12), (12, 76)):
        if n > first:
            controller.until(lambda: controller.pins[DATA_READY] == 1)
            controller.clock(message[first : min(last, n)])
            if n >= last:
                controller.until(lambda: controller.pins[DATA_READY] == 0)
    controller.pin(TRANSFER_READY, 0)
    controller.pin(CS, 1)
    controller.pins[DATA_READY] = 0
    controller.pin(TRANSFER_READY, 1)
    controller.pin(TRANSFER_READY, 0)
    status_works(sim)
    assert sim.ask(9)[1][76:83] == b"spinet\0"


def test_sck_rate_can_be_modelled(start_sim):
    sim = start_sim("controller-clocked", "--sck-hz", "1000000")
    sim.power_on()
    status_works(sim)


@pytest.mark.behaviour("L4")
def test_thousand_transactions(sim):
    for _ in range(1000):
        assert sim.ask(6, 1)[0] == 20


# --- news


def test_news_is_pulsed_until_it_is_fetched(sim):
    sim.ask(11, data=b"Nowhere".ljust(32, b"\0"))
    controller = sim.controller
    controller.until(controller.idle)
    controller.rises = 0
    controller.until(lambda: controller.rises >= 3)
    response, data = sim.ask(19)
    assert data[:response] == b"SSID not found\0"
    controller.until(controller.idle)
    controller.rises = 0
    controller.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        controller.receive()
    assert controller.rises == 0


# --- state


def test_networks_are_kept_across_restarts(start_sim):
    config = bytes(16) + b"Workshop".ljust(32, b"\0") + b"password".ljust(64, b"\0")
    first = start_sim("module-clocked")
    first.power_on()
    assert first.ask(10, data=config)[0] == 0
    assert first.ask(12)[1] == b"\nWorkshop\n\0"
    first.end()
    second = start_sim("controller-clocked")
    second.power_on()
    assert second.ask(12)[1] == b"\nWorkshop\n\0"
    assert second.ask(17)[0] == 0
    assert second.ask(12)[1] == b"\n\0"


# --- options and signals


@pytest.mark.parametrize(
    "arguments",
    [
        ("--role", "foo"),
        ("--port", "x"),
        ("--port", "0"),
        ("--port", "65536"),
        ("--port", "-1"),
        ("--port",),
        ("--host", "example"),
        ("--address", "1.2.3"),
        ("--sck-hz", "fast"),
        ("--state", "/dev/null/x"),
        ("--nonsense",),
        ("extra",),
    ],
)
def test_bad_option_is_one_line_and_exit_2(run_sim, arguments):
    code, out, err = run_sim(*arguments)
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("spinet-sim: ")


def test_option_with_an_equals_sign(run_sim):
    assert run_sim("--role=foo")[0] == 2


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(run_sim, option):
    code, out, err = run_sim(option)
    assert (code, err) == (0, "")
    for name in ("--port", "--host", "--role", "--address", "--state", "--sck-hz", "--repl"):
        assert name in out


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("joined", [False, True])
def test_ctrl_c_ends_it_with_130(start_sim, role, joined):
    sim = start_sim(role)
    if joined:
        sim.power_on()
    else:
        sim.said("waiting for a controller")
    sim.signal(INTERRUPT)
    assert sim.wait() == 130
    assert not is_running(sim.process.pid)
    if joined:
        sim.gone()


@pytest.mark.parametrize("role", ROLES)
def test_sigterm_ends_it(start_sim, role):
    sim = start_sim(role)
    sim.power_on()
    sim.signal(TERMINATE)
    assert sim.wait() != 0
    sim.gone()


# --- the REPL beside the module


@pytest.mark.parametrize("role", ROLES)
def test_repl_answers_while_transactions_go_on(start_sim, terminal, role):
    sim = start_sim(
        role, "--repl", script=("-i", "-m", "sim"), stdin=terminal.slave, stdout=terminal.slave
    )
    sim.power_on()
    terminal.type("import spinet.report as r; r.slots(); print('that', 'was all')")
    os.set_blocking(terminal._master, False)
    limit = time.monotonic() + PATIENCE
    while "that was all" not in terminal.text:
        assert sim.ask(6, 0)[0] == 20
        assert time.monotonic() < limit, terminal.text
        try:
            terminal.read()
        except BlockingIOError:
            continue
    assert terminal.text.count("free") >= 8
    status_works(sim)
