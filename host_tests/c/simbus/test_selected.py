"""NINA's role in C: the thread answers CS and SCK while the service stands still.

The test is the controller, and tells the service each step it takes (conftest.py, selecting.c).
"""

import os
import random
import select
import time
from pathlib import Path

import pytest
from nina_controller import MOST, READY
from raw_controller import (
    CLOCK,
    CS,
    DATA_READY,
    GPIO0,
    HELLO,
    PIN,
    RESET,
    SHIFT,
    TRANSFER_READY,
    frame,
)

# As simbus/frames.h has them.
POWER_OFF, TOO_LONG, BAD_PIN, FOREIGN_PIN, UNASKED_SHIFT = -1, -4, -5, -6, -7
BAD_CLOCK, FOREIGN_HELLO, UNKNOWN_KIND, UNFINISHED, HELD_IN_RESET = -9, -10, -11, -12, -13

UP, DOWN = b"\1", b"\0"
TX = bytes(i + 1 & 0xFF for i in range(MOST))


def test_a_boot_frame_by_frame(module):
    assert module.controller.frames == [
        (HELLO, 2, b"v"),
        (PIN, READY, UP),
        (PIN, GPIO0, DOWN),
    ]
    assert module.step("arm") == 0
    module.settle()
    assert module.controller.frames[3:] == [(PIN, READY, DOWN)]


@pytest.mark.parametrize("split", [MOST, 1, [1, 2, 5]])
def test_a_selection_while_the_service_stands_still(module, split):
    """All that a controller sees comes before the service takes its next step."""
    module.step("arm", 6)
    sent = bytes(range(0x30, 0x3A))
    assert module.controller.selection(sent, split=split) == TX[:6] + bytes(4)
    module.settle()
    pins = [each for each in module.controller.frames[3:] if each[0] == PIN]
    assert pins == [(PIN, READY, DOWN), (PIN, READY, UP)]
    assert module.step("wait") == 0
    assert module.step("received") == 10
    assert bytes(module.step("byte", i) for i in range(11)) == sent + b"\0"


def test_ready_rises_before_what_is_clocked_at_once(module):
    """As WiFiNINA does, which waits for READY no longer than 5 ms."""
    module.step("arm", 4)
    assert module.controller.selection(bytes(4), wait=False) == TX[:4]
    assert module.controller.frames[3:] == [
        (PIN, READY, DOWN),
        (PIN, READY, UP),
        (SHIFT, 0, TX[:4]),
    ]


def test_a_transfer_ends_as_cs_rises(module):
    controller = module.controller
    module.step("arm", 8)
    controller.wait_ready()
    assert module.step("received") == -1
    controller.select()
    assert controller.clock(bytes(6)) == TX[:6]
    assert module.step("received") == -1
    controller.deselect()
    assert controller.clock(b"\xe0" * 2) == bytes(2)
    module.step("wait")
    assert module.step("received") == 6
    assert module.step("byte", 6) == 0


def test_a_selection_without_a_clock_arms_again(module):
    module.step("arm", 4)
    for _ in range(3):
        module.controller.selection(b"")
    module.controller.wait_ready()
    assert module.step("received") == -1
    assert module.controller.selection(bytes(4)) == TX[:4]


def test_more_than_a_transfer_can_take(module):
    module.step("arm", MOST)
    came = module.controller.selection(b"\xa5" * MOST + b"\x5a" * 5000, split=MOST - 1)
    assert came == TX + bytes(5000)
    module.step("wait")
    assert module.step("received") == MOST
    assert module.step("byte", MOST - 1) == 0xA5


def test_a_selection_is_swallowed_where_nothing_is_armed(module):
    assert module.controller.selection(b"\xe0" * 9, wait=False) == bytes(9)
    module.settle()
    assert module.step("received") == -1
    assert not [each for each in module.controller.frames[3:] if each[0] == PIN]


def test_what_is_armed_in_a_swallowed_selection_waits_for_the_next(module):
    controller = module.controller
    controller.select()
    assert controller.clock(bytes(2)) == bytes(2)  # CS was seen before this
    module.step("arm", 4)
    assert controller.clock(bytes(4)) == bytes(4)
    assert controller.pins[READY] == 1
    controller.deselect()
    assert controller.selection(bytes(4)) == TX[:4]
    module.step("wait")
    assert module.step("received") == 4


def test_what_is_clocked_while_cs_is_high_is_not_ours(module):
    controller = module.controller
    module.step("arm", 4)
    controller.wait_ready()
    assert controller.clock(b"\xe0" * 5) == bytes(5)
    assert controller.selection(b"\x37" * 4) == TX[:4]
    module.step("wait")
    assert module.step("received") == 4
    assert module.step("byte", 0) == 0x37


def test_another_transfer_is_armed_before_the_selection(module):
    module.step("arm", 4)
    module.step("rearm", 3)
    assert module.controller.selection(bytes(4)) == b"\xee\xee\xee\0"


def test_another_transfer_is_armed_in_mid_selection(module):
    controller = module.controller
    module.step("arm", 8)
    controller.wait_ready()
    controller.select()
    assert controller.clock(bytes(2)) == TX[:2]
    module.step("rearm", 3)
    assert controller.clock(bytes(2)) == bytes(2)
    controller.deselect()
    assert controller.selection(bytes(4)) == b"\xee\xee\xee\0"
    module.step("wait")
    assert module.step("received") == 4


def test_disarmed_before_the_selection(module):
    module.step("arm", 4)
    module.controller.wait_ready()
    module.step("disarm")
    module.controller.until(lambda: module.controller.pins[READY] == 1)
    assert module.controller.selection(bytes(4), wait=False) == bytes(4)
    module.settle()
    assert module.step("received") == -1


def test_disarmed_in_mid_selection(module):
    controller = module.controller
    module.step("arm", 8)
    controller.wait_ready()
    controller.select()
    assert controller.clock(bytes(2)) == TX[:2]
    module.step("disarm")
    assert controller.clock(bytes(2)) == bytes(2)
    controller.deselect()
    module.settle()
    assert controller.pins[READY] == 1
    assert module.step("received") == -1


def test_the_thread_comes_before_other_programs_where_the_system_lets_it(module):
    (bus,) = (
        task
        for task in Path(f"/proc/{module.process.pid}/task").iterdir()
        if (task / "comm").read_text() == "simbus\n"
    )
    had, policy = os.sched_getscheduler(int(bus.name)), os.sched_getscheduler(module.process.pid)
    try:
        os.sched_setscheduler(int(bus.name), os.SCHED_RR, os.sched_param(1))
        policy = os.SCHED_RR
    except PermissionError:
        pass
    assert had == policy


@pytest.mark.parametrize("seed", range(3))
def test_a_service_and_its_controller_at_the_same_time(module, seed):
    """What comes is whole, and what goes is what came before, in any pieces."""
    draw = random.Random(seed)
    controller = module.controller
    module.begin("echo", 201)
    before = b""
    for _ in range(200):
        out = draw.randbytes(draw.choice([1, 4, 12, 100, MOST]))
        came = controller.selection(out, split=max(1, len(out) // draw.randint(1, 5)))
        assert came == before[: len(out)].ljust(len(out), b"\0")
        before = out
        if draw.random() < 0.3:
            assert controller.clock(bytes(3)) == bytes(3)
        if draw.random() < 0.3:
            controller.selection(b"")
    controller.power_off()
    assert module.ended() == POWER_OFF


def test_gpio0_is_the_modules(module):
    module.controller.pin(GPIO0, 1)  # as around a reset
    for level in (1, 0):
        assert module.step("gpio0", level) == 0
    module.settle()
    assert module.controller.frames[3:] == [(PIN, GPIO0, UP), (PIN, GPIO0, DOWN)]


# --- power and reset


def test_reset_while_the_service_stands_still(module):
    controller = module.controller
    module.step("arm", 4)
    controller.wait_ready()
    controller.hold_reset()  # READY is high
    assert controller.selection(bytes(4), wait=False) == bytes(4)
    assert module.step("wait") == HELD_IN_RESET
    assert module.step("arm", 4) == HELD_IN_RESET
    assert module.step("gpio0", 1) == HELD_IN_RESET
    module.settle()
    assert controller.pins[READY] == 1


def test_a_pulse_of_reset_is_not_missed(module):
    controller = module.controller
    module.step("arm", 4)
    controller.send(frame(PIN, RESET, DOWN) + frame(PIN, RESET, UP))
    module.settle()
    assert module.step("out") == 0
    assert module.step("wait") == HELD_IN_RESET
    module.step("settle")
    assert module.step("out") == 1
    assert module.step("cycle") == 0
    module.step("arm", 4)
    assert controller.selection(bytes(4)) == TX[:4]


def test_the_end_of_a_reset_rings(module):
    module.controller.hold_reset()
    assert module.step("wait") == HELD_IN_RESET
    module.step("settle")
    assert module.step("out") == 0
    module.begin("wait")
    module.controller.pin(RESET, 1)
    assert module.ended() == 0
    assert module.step("out") == 1


def test_a_reset_in_mid_selection(module):
    controller = module.controller
    module.step("arm", 8)
    controller.wait_ready()
    controller.select()
    controller.clock(bytes(2))
    controller.hold_reset()
    controller.pin(RESET, 1)
    assert module.step("wait") == HELD_IN_RESET
    module.step("settle")
    module.step("cycle")
    module.step("arm", 4)
    assert controller.clock(bytes(2)) == bytes(2)
    controller.deselect()
    assert controller.selection(bytes(4)) == TX[:4]


@pytest.mark.parametrize("selected", [False, True])
def test_power_lost(module, selected):
    module.step("arm", 8)
    module.controller.wait_ready()
    if selected:
        module.controller.select()
    module.controller.power_off()
    assert module.step("wait") == POWER_OFF
    assert module.step("received") == -1
    for step in ("arm", "gpio0", "cycle"):
        assert module.step(step) == POWER_OFF
    assert module.step("disarm") == 0
    assert module.step("stop") == 0
    module.power_on()
    module.step("arm", 4)
    assert module.controller.selection(bytes(4)) == TX[:4]


def test_power_cycles_leave_nothing_behind(module):
    def held():
        proc = Path(f"/proc/{module.process.pid}")
        return [sorted(os.listdir(proc / name)) for name in ("fd", "task")]

    before = held()
    for _ in range(50):
        module.step("arm", 4)
        assert module.step("stop") == 0
        module.controller.power_off()
        module.power_on()
    assert held()[0] == before[0]
    assert len(held()[1]) == len(before[1])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(9, 0, b"x"), UNKNOWN_KIND),
        (b"\x02\x00\x01\x10", TOO_LONG),
        (frame(PIN, CS, b""), BAD_PIN),
        (frame(PIN, GPIO0, b"\2"), BAD_PIN),
        (frame(PIN, DATA_READY, UP), FOREIGN_PIN),
        (frame(PIN, TRANSFER_READY, UP), FOREIGN_PIN),
        (frame(PIN, 5, UP), FOREIGN_PIN),
        (frame(SHIFT, 0, bytes(4)), UNASKED_SHIFT),
        (frame(HELLO, 0, b"me too"), FOREIGN_HELLO),
        (frame(CLOCK, 0, b""), BAD_CLOCK),
    ],
)
def test_a_broken_rule(module, data, code):
    module.step("arm", 4)
    module.controller.send(data)
    assert module.step("wait") == code
    assert module.step("arm", 4) == code


@pytest.mark.parametrize("n", [1, 4, 11])
def test_a_frame_that_is_never_finished(make, n):
    module = make(patience_ms=1)
    module.power_on()
    module.step("arm", 4)
    module.controller.send(frame(CLOCK, 0, bytes(8))[:n])
    assert module.step("wait") == UNFINISHED


# --- an SCK rate


def test_a_shift_takes_its_time(make):
    module = make(sck_hz=100_000)
    module.power_on()
    module.step("arm", 500)
    began = time.monotonic()
    assert module.controller.selection(bytes(500), split=250) == TX[:500]
    assert time.monotonic() - began >= 500 * 8 / 100_000


def test_the_service_goes_on_while_a_shift_takes_its_time(make):
    """Nine hours for this one; the end comes at once."""
    module = make(sck_hz=1)
    module.begin("start", module.controller.port)
    module.controller.accept()
    assert module.ended() == 0
    module.step("cycle")
    module.step("arm", 4)
    module.controller.wait_ready()
    module.controller.select()
    module.controller.send(frame(CLOCK, 0, bytes(MOST)))
    assert module.step("gpio0", 1) == 0
    module.controller.until(lambda: module.controller.pins[GPIO0] == 1)
    assert module.step("received") == -1
    assert module.step("stop") == 0
    assert not [each for each in module.controller.frames if each[0] == SHIFT]


def test_the_end_for_a_controller_that_takes_nothing(module):
    """The thread may wait for room by then."""
    flood = frame(CLOCK, 0, bytes(MOST)) * 8
    sock = module.controller.sock
    sock.setblocking(False)
    while select.select([], [sock], [], 0.5)[1]:
        sock.send(flood)
    assert module.step("stop") == 0
