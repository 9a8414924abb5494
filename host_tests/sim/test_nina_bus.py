"""SIM in NINA's role of the virtual bus, frame by frame: power, reset, rules, READY.

What a command does is nothing here; the one for the version stands for them all.
"""

import os
import time
from pathlib import Path

import pytest
from nina_controller import MOST, READY
from raw_controller import (
    CLOCK,
    CS,
    GPIO0,
    HELLO,
    PATIENCE,
    PIN,
    RESET,
    SHIFT,
    TRANSFER_READY,
    frame,
)
from sim_process import BINARY, INTERRUPT, LWIP_BINARY, is_running, run_sim, start_sim
from terminal import terminal

__all__ = ["run_sim", "start_sim", "terminal"]

UP, DOWN = b"\1", b"\0"
VERSION = bytes.fromhex("e0 37 00 ee")
ANSWER = bytes.fromhex("e0 b7 01 06 31 2e 38 2e 30 00 ee")
BOOT = [(PIN, READY, UP), (PIN, GPIO0, DOWN), (PIN, READY, DOWN)]

binaries = pytest.mark.parametrize("binary", [BINARY, LWIP_BINARY], ids=["sockets", "lwip"])


@pytest.fixture
def nina(start_sim):
    """A module that has booted."""
    sim = start_sim("nina")
    sim.power_on()
    return sim


def works(sim):
    assert sim.controller.command(VERSION) == ANSWER
    sim.controller.wait_ready()


@binaries
def test_a_boot_and_a_command_frame_by_frame(start_sim, binary):
    sim = start_sim("nina", binary=binary)
    version = sim.power_on()
    assert sim.controller.frames == [(HELLO, 2, version), *BOOT]
    assert sim.controller.command(VERSION, n=12) == ANSWER
    sim.controller.wait_ready()
    assert sim.controller.frames[4:] == [
        (PIN, READY, UP),
        (SHIFT, 0, bytes(4)),
        (PIN, READY, DOWN),
        (PIN, READY, UP),
        (SHIFT, 0, ANSWER + b"\0"),
        (PIN, READY, DOWN),
    ]


@pytest.mark.parametrize("split", [1, 3, MOST])
def test_in_any_pieces(nina, split):
    for _ in range(3):
        assert nina.controller.command(VERSION, n=64, split=split) == ANSWER


# --- power and reset


def test_power_off_and_on(nina):
    for selected in (False, True):
        if selected:
            nina.controller.select()
        nina.controller.power_off()
        nina.power_on()
        assert nina.controller.frames[1:] == BOOT
        works(nina)
    nina.said("the controller has closed the bus: power is off")


def test_reset(nina):
    controller = nina.controller
    controller.hold_reset()
    nina.said("held in reset by the controller")
    before = len(controller.frames)
    assert controller.selection(VERSION, wait=False) == bytes(4)
    controller.pin(RESET, 1)
    controller.wait_ready()
    assert controller.frames[before:] == [(SHIFT, 0, bytes(4)), *BOOT]
    works(nina)


def test_a_reset_pulse_in_one_segment(nina):
    controller = nina.controller
    controller.send(frame(PIN, RESET, DOWN) + frame(PIN, RESET, UP))
    controller.until(lambda: controller.pins[READY] == 1)
    controller.until(lambda: controller.frames[-3:] == BOOT)
    works(nina)


def test_power_lost_while_held_in_reset(nina):
    nina.controller.hold_reset()
    nina.said("held in reset")
    nina.controller.power_off()
    nina.power_on()
    works(nina)


def test_stopped_and_started_at_the_repl(start_sim, terminal):
    sim = start_sim(
        "nina", "--repl", script=("-i", "-m", "sim"), stdin=terminal.slave, stdout=terminal.slave
    )
    sim.power_on()
    controller = sim.controller
    terminal.type("from spinet import service; service.stop()")
    controller.until(lambda: controller.pins[READY] == 1)
    assert controller.selection(VERSION, wait=False) == bytes(4)
    terminal.text = ""
    terminal.type("import board; service.start(board.BOARD)")
    works(sim)


def test_pins_are_seen_and_driven_at_the_repl(start_sim, terminal):
    sim = start_sim(
        "nina", "--repl", script=("-i", "-m", "sim"), stdin=terminal.slave, stdout=terminal.slave
    )
    sim.power_on()
    sim.controller.command(bytes.fromhex("e0 52 02 01 1a 01 80 ee"))  # a duty
    terminal.type("from board import BOARD; p = BOARD.own_pins; p.analog[34] = 1234; p.duties")
    while "{26: 128}" not in terminal.text:
        terminal.read()
    answer = sim.controller.command(bytes.fromhex("e0 54 01 01 06 ee 00 00"))
    assert answer == bytes.fromhex("e0 d4 01 02 d2 04 ee")


def test_ctrl_c_ends_it_with_130(nina):
    nina.signal(INTERRUPT)
    assert nina.wait() == 130
    assert not is_running(nina.process.pid)
    nina.gone()


def test_boots_leave_nothing_behind(nina):
    def held():
        """The descriptors, and how many threads there are."""
        nina.controller.wait_ready()
        proc = f"/proc/{nina.process.pid}"
        return sorted(os.listdir(proc + "/fd")), len(os.listdir(proc + "/task"))

    before = held()
    for _ in range(5):
        nina.controller.reset()
        works(nina)
        nina.controller.power_off()
        nina.power_on()
        works(nina)
    assert held() == before


# --- rules


@pytest.mark.behaviour("L2")
@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (frame(9, 0, b"x"), "unknown frame kind"),
        (frame(PIN, CS, b"\2"), "0 or 1"),
        (frame(PIN, READY, UP), "not the controller's"),
        (frame(PIN, TRANSFER_READY, UP), "not the controller's"),
        (frame(SHIFT, 0, bytes(4)), "a SHIFT without a CLOCK"),
        (frame(HELLO, 0, b"me too"), "HELLO is the module's"),
        (frame(CLOCK, 0, b""), "CLOCK is for"),
    ],
)
def test_a_broken_rule_ends_the_connection_and_is_named(nina, data, rule):
    nina.controller.send(data)
    nina.gone()
    nina.said(rule)
    nina.power_on()
    works(nina)


# A module that gives a controller half a second for what it owes.
IMPATIENT = """
import sys, virtual_bus
virtual_bus.PATIENCE_MS = 500
import sim
sys.exit(sim.main(sys.argv[1:]))
"""


@pytest.mark.behaviour("L2")
@pytest.mark.parametrize("held", [False, True])
def test_a_frame_that_is_never_finished_ends_the_connection(start_sim, held):
    sim = start_sim("nina", script=("-c", IMPATIENT))
    sim.power_on()
    if held:
        sim.controller.hold_reset()
    sim.controller.send(frame(CLOCK, 0, bytes(8))[:11])
    sim.gone()
    sim.said("was never finished")
    sim.power_on()
    works(sim)


# --- READY

# A main thread that, at a word on stdin, keeps the GIL: sleep_us() does not give it away, as
# printing does before.
GIL_HELD = """
import sys, time, sim
sim.main(sys.argv[1:])
sys.stdin.readline()
print("held", file=sys.stderr)
while True:
    time.sleep_us(1000000000)
"""

# A module whose service stands still, as at a breakpoint, once it knows of a transfer.
AT_A_BREAKPOINT = """
import sys, time, simbus, virtual_bus
from micropython import const

received = simbus.Selected.received

class NinaBus(virtual_bus.NinaBus):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.received = self.stand_still

    def stand_still(self):
        n = self._bus.received()
        if n > 0:
            print("held", file=sys.stderr)
            while True:
                time.sleep(1)
        return n

virtual_bus.NinaBus = NinaBus
import sim
sys.exit(sim.main(sys.argv[1:]))
"""


def selections_are_answered(controller):
    """The one that is armed, and others."""
    assert controller.selection(VERSION) == bytes(4)
    for _ in range(100):
        assert controller.selection(VERSION, wait=False) == bytes(4)
    assert controller.pins[READY] == 1


def test_ready_rises_while_python_is_held(start_sim):
    """No thread of Python runs: the one that has the GIL sleeps in C."""
    sim = start_sim("nina", "--repl", script=("-c", GIL_HELD), stdin=-1)
    sim.power_on()
    print(file=sim.process.stdin, flush=True)
    sim.said("held")
    asleep_in = Path(f"/proc/{sim.process.pid}/wchan")
    limit = time.monotonic() + PATIENCE
    while "nanosleep" not in asleep_in.read_text():
        assert time.monotonic() < limit
        time.sleep(0.01)
    selections_are_answered(sim.controller)


def test_ready_rises_while_the_service_stands_still(start_sim):
    sim = start_sim("nina", script=("-c", AT_A_BREAKPOINT))
    sim.power_on()
    controller = sim.controller
    assert controller.selection(VERSION) == bytes(4)
    sim.said("held")
    for _ in range(100):
        assert controller.selection(VERSION, wait=False) == bytes(4)
    controller.hold_reset()
    assert controller.pins[READY] == 1


# --- options


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--protocol", "wifinina"), "'wifinina' is no protocol: duet or nina"),
        (("--protocol", "nina", "--role", "module-clocked"), "nina has one role only"),
    ],
)
def test_a_protocol_that_cannot_be(run_sim, arguments, said):
    code, out, err = run_sim(*arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_the_protocol_is_announced(nina):
    nina.said("(nina, sockets), waiting for a controller")


def test_an_sck_rate_can_be_modelled(start_sim):
    sim = start_sim("nina", "--sck-hz", "1000000")
    sim.power_on()
    works(sim)
