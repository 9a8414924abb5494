"""NINA's target: READY, what a transfer of any length leaves, and what is taken back."""

import random

import pytest
from core_rig import (
    GPIO0,
    INVALID_ARG,
    INVALID_SIZE,
    INVALID_STATE,
    MISO,
    NINA_SIZE,
    NO_MEM,
    OK,
    READY,
    UNDRIVEN,
)

UNDER_WAY = NOTHING = -1
ARM, OVER, IDLE, SELECTED = "armed", "over", "idle", "selected"


@pytest.fixture(params=["ESP32", "ESP32-C3"])
def chip(request, make_chip):
    return make_chip(request.param)


@pytest.fixture
def target(chip):
    """A started target whose tx holds no zero."""
    assert chip.start_nina() == OK
    fill(chip)
    return chip


def fill(chip):
    chip.tx[:] = bytes(1 + i % 255 for i in range(NINA_SIZE))


def arm(target, n=0):
    assert target.c.nina_arm(n) == OK


def select(target, out, bits=None):
    """The controller's transfer, as one that waits for READY; what it got."""
    assert target.ready == 0, "nothing is armed"
    target.cs(0)
    assert target.ready == 1
    got = target.clock(out, bits)
    assert target.ready == 1
    target.cs(1)
    return got


def works(target):
    """A command and its reply."""
    command = bytes.fromhex("e03700ee")
    wakes = target.wakes
    arm(target)
    select(target, command)
    assert target.c.nina_received() == 4
    assert bytes(target.rx[:4]) == command
    target.tx[:12] = b"reply, reply"
    arm(target, 12)
    assert select(target, bytes(14)) == b"reply, reply\0\0"
    assert target.wakes == wakes + 2
    assert target.ready == 1
    return True


# --- READY


def test_ready_is_high_before_anything_else_and_stays_so(target):
    assert target.ready_trace() == "1"
    assert target.c.nina_received() == NOTHING
    assert target.c.fake_spi_mode() == 0


def test_ready_of_a_command_and_its_reply(target):
    assert works(target)
    assert target.ready_trace() == "10101"


def test_the_interrupt_of_cs_alone_raises_ready(target):
    arm(target)
    target.c.fake_hold_interrupts(True)
    target.cs(0)
    assert target.ready == 0
    target.c.fake_hold_interrupts(False)
    assert target.ready == 1, "no function was called since"
    assert target.c.nina_received() == UNDER_WAY


@pytest.mark.parametrize("pins_last", [False, True])
@pytest.mark.parametrize("n", [4, 64])
def test_interrupt_of_cs_that_comes_after_the_transfer(target, pins_last, n):
    target.c.fake_pins_interrupt_last(pins_last)
    arm(target)
    target.c.fake_hold_interrupts(True)
    target.cs(0)
    target.clock(b"x" * n)
    target.cs(1)
    target.c.fake_hold_interrupts(False)
    assert target.ready == 1
    assert target.c.nina_received() == n
    assert works(target)


@pytest.mark.parametrize("pins_last", [False, True])
def test_interrupt_of_cs_that_comes_after_it_was_armed_again(target, pins_last):
    target.c.fake_pins_interrupt_last(pins_last)
    arm(target)
    target.c.fake_hold_interrupts(True)
    target.cs(0)
    target.cs(1)
    target.c.fake_hold_interrupts(False)
    assert target.ready == 0, "else the controller waits for ever"
    select(target, b"abcd")
    assert target.c.nina_received() == 4


def test_controller_that_selects_as_ready_falls(target):
    target.c.fake_select_at_next_look()
    arm(target, 4)
    assert target.ready == 1
    assert target.clock(b"abcd") == bytes([1, 2, 3, 4])
    target.cs(1)
    assert target.c.nina_received() == 4
    assert works(target)


def test_selection_that_begins_while_the_end_of_the_last_is_served(target):
    arm(target)
    target.cs(0)
    target.clock(b"abcd")
    target.c.fake_hold_interrupts(True)
    target.cs(1)
    target.cs(0)
    target.c.fake_hold_interrupts(False)
    assert target.ready == 1
    assert target.c.nina_received() == 4
    assert target.clock(b"more") == bytes([UNDRIVEN] * 4)
    target.cs(1)
    assert bytes(target.rx[:8]) == b"abcd\0\0\0\0"
    assert works(target)


@pytest.mark.parametrize("seed", range(5))
def test_ready_is_low_only_while_a_selection_would_be_taken(target, seed):
    dice = random.Random(seed)
    cs, armed = 1, False
    for _ in range(400):
        what = dice.choice(("arm", "cs", "cs", "clock", "disarm"))
        received = target.c.nina_received()
        if what == "arm":
            arm(target, dice.randrange(NINA_SIZE))
            armed = True
        elif what == "disarm":
            target.c.nina_disarm()
            armed = False
        elif what == "cs":
            cs = 1 - cs
            target.cs(cs)
            armed = armed and target.c.nina_received() == UNDER_WAY
        else:
            target.clock(bytes(dice.randrange(1, 9)))
            assert target.c.nina_received() == received, "only CS ends a transfer"
        assert target.ready == (0 if armed and cs else 1)
        if armed:
            assert target.c.nina_received() == UNDER_WAY
        assert target.c.fake_pin_drives(MISO) == -1 or not cs
    target.cs(1)
    assert works(target)


# --- lengths


@pytest.mark.behaviour("A14")
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 10, 14, 22, 1460, 4092, 4095, 4096])
def test_any_length_is_told_and_whole_dwords_are_kept(target, n):
    out = bytes(255 - i % 251 for i in range(n))
    arm(target)
    select(target, out)
    assert target.c.nina_received() == n
    whole = n // 4 * 4
    assert bytes(target.rx[:whole]) == out[:whole]
    assert not any(target.rx[whole + 4 :])
    assert target.wakes == 1


@pytest.mark.behaviour("A14")
@pytest.mark.parametrize("n", [4097, 4100, 6009, 8192])
def test_what_is_beyond_the_buffer_is_lost(target, n):
    out = bytes(255 - i % 251 for i in range(n))
    arm(target)
    select(target, out)
    assert target.c.nina_received() == NINA_SIZE
    assert bytes(target.rx) == out[:NINA_SIZE]
    assert works(target)


@pytest.mark.parametrize("n", [0, 1, 8, 12, 4092, 4096])
def test_what_is_not_armed_is_zeros(target, n):
    arm(target, n)
    sent = bytes(1 + i % 255 for i in range(n))
    assert select(target, bytes(NINA_SIZE)) == sent.ljust(NINA_SIZE, b"\0")


@pytest.mark.parametrize("n", [1, 5, 13])
def test_reply_that_is_clocked_short_is_over(target, n):
    arm(target, 12)
    assert select(target, bytes(n)) == bytes(range(1, n + 1))[:12].ljust(n, b"\0")
    assert target.c.nina_received() == n
    assert works(target)


@pytest.mark.behaviour("A13")
def test_command_in_the_place_of_a_reply_is_received(target):
    arm(target, 12)
    select(target, b"command.")
    assert target.c.nina_received() == 8
    assert bytes(target.rx[:8]) == b"command."


def test_one_byte_for_each_burst(target):
    arm(target, 4)
    target.cs(0)
    got = b"".join(target.clock(bytes([byte])) for byte in b"command.")
    target.cs(1)
    assert got == b"\1\2\3\4\0\0\0\0"
    assert bytes(target.rx[:8]) == b"command."


@pytest.mark.parametrize("bits", [0, 1, 7])
def test_without_a_byte_it_is_armed_again(target, bits):
    arm(target, 8)
    for _ in range(3):
        select(target, bytes(bits > 0), bits)
        assert target.c.nina_received() == UNDER_WAY
    assert target.wakes == 0
    assert target.ready_trace() == "10101010"
    assert select(target, b"abcdefgh") == bytes(range(1, 9))
    assert target.c.nina_received() == 8
    assert bytes(target.rx[:8]) == b"abcdefgh"


@pytest.mark.parametrize(("bits", "told"), [(9, 1), (31, 3), (33, 4), (39, 4)])
def test_byte_that_is_not_whole_does_not_count(target, bits, told):
    arm(target)
    select(target, b"abcde", bits)
    assert target.c.nina_received() == told


@pytest.mark.parametrize("n", [-1, NINA_SIZE + 1, 1 << 30])
def test_what_is_no_length_is_refused_and_arms_nothing(target, n):
    assert target.c.nina_arm(n) == INVALID_ARG
    assert target.ready_trace() == "1"


# --- selections that nothing waits for


def swallow(target, out):
    """A controller that does not look at READY."""
    target.cs(0)
    assert target.clock(out) == bytes([UNDRIVEN] * len(out))
    target.cs(1)
    assert target.ready == 1


@pytest.mark.parametrize("moment", [IDLE, OVER, "disarmed"])
def test_selection_while_nothing_is_armed_changes_nothing(target, moment):
    if moment != IDLE:
        arm(target)
    if moment == OVER:
        select(target, b"abcd")
    if moment == "disarmed":
        target.c.nina_disarm()
    before = target.c.nina_received(), target.wakes, bytes(target.rx), target.ready_trace()
    swallow(target, b"xyz")
    swallow(target, b"xyzx")
    after = target.c.nina_received(), target.wakes, bytes(target.rx), target.ready_trace()
    assert after == before
    assert works(target)


@pytest.mark.behaviour("A13")
@pytest.mark.parametrize("clocked", [b"", b"a", b"abcd" * 20])
def test_selection_that_had_begun_when_it_was_armed_is_dropped(target, clocked):
    target.cs(0)
    target.clock(clocked)
    arm(target, 8)
    assert target.ready == 1, "the controller would take it for a transfer that is armed"
    assert target.clock(clocked) == bytes([UNDRIVEN] * len(clocked))
    target.cs(1)
    assert target.c.nina_received() == UNDER_WAY
    assert target.wakes == 0
    assert select(target, b"abcdefgh") == bytes(range(1, 9))
    assert target.c.nina_received() == 8
    assert bytes(target.rx[:8]) == b"abcdefgh"


def test_cs_that_is_low_from_the_start(chip):
    chip.cs(0)
    assert chip.start_nina() == OK
    arm(chip)
    assert chip.ready == 1
    chip.cs(1)
    assert chip.ready == 0
    assert works(chip)


# --- taking back


@pytest.mark.parametrize("clocks", [0, 3, 8])
def test_arming_takes_back_what_was_armed(target, clocks):
    arm(target, 8)
    target.cs(0)
    target.clock(bytes(clocks))
    fill(target)
    arm(target, 4)
    assert target.ready == 1
    target.cs(1)
    assert target.c.nina_received() == UNDER_WAY
    assert select(target, bytes(5)) == b"\1\2\3\4\0"


@pytest.mark.parametrize("moment", [IDLE, ARM, SELECTED, OVER])
def test_disarmed_at_any_moment(target, moment):
    lead_to(target, moment)
    target.c.nina_disarm()
    target.c.nina_disarm()
    assert target.ready == 1
    assert target.c.nina_received() == NOTHING
    assert target.c.fake_pin_drives(MISO) == -1
    target.cs(1)
    assert target.ready == 1
    swallow(target, b"xyzx")
    assert works(target)


def test_end_of_a_transfer_that_was_taken_back_meanwhile(target):
    arm(target)
    target.cs(0)
    target.clock(b"abcd")
    target.c.fake_hold_interrupts(True)
    target.cs(1)
    target.c.nina_disarm()
    target.c.fake_hold_interrupts(False)
    assert (target.c.nina_received(), target.wakes, target.ready) == (NOTHING, 0, 1)
    assert works(target)


# --- the other pins


@pytest.mark.behaviour("A20")
def test_miso_is_driven_from_the_rise_of_ready_to_that_of_cs(target):
    arm(target, 4)
    assert target.c.fake_pin_drives(MISO) == -1
    target.c.fake_hold_interrupts(True)
    target.cs(0)
    assert target.c.fake_pin_drives(MISO) == -1
    target.c.fake_hold_interrupts(False)
    assert target.c.fake_pin_drives(MISO) != -1
    target.cs(1)
    assert target.c.fake_pin_drives(MISO) == -1


def test_gpio0_is_the_controllers_until_the_first_command(target):
    target.c.nina_gpio0(True)
    arm(target)
    swallowed = target.c.fake_pin_drives(GPIO0)
    select(target, b"", 0)
    assert swallowed == target.c.fake_pin_drives(GPIO0) == -1
    select(target, b"abcd")
    arm(target)
    for level in (1, 0, 1):
        target.c.nina_gpio0(bool(level))
        assert target.c.fake_pin_drives(GPIO0) == level
    target.c.nina_disarm()
    assert target.c.fake_pin_drives(GPIO0) == 1


def test_gpio0_that_is_not_wired(chip):
    assert chip.start_nina(gpio0=-1) == OK
    chip.c.nina_gpio0(True)
    assert works(chip)
    assert chip.c.fake_pin_drives(GPIO0) == -1


# --- starting and stopping


def lead_to(target, moment):
    if moment != IDLE:
        arm(target)
    if moment in (SELECTED, OVER):
        target.cs(0)
        target.clock(b"abcd")
    if moment == OVER:
        target.cs(1)


@pytest.mark.parametrize("moment", [IDLE, ARM, SELECTED, OVER])
@pytest.mark.parametrize("by", ["start", "stop", "soft reset"])
def test_restart_at_any_moment(target, moment, by):
    lead_to(target, moment)
    buffers = target.c.message_tx(), target.c.message_rx()
    if by != "start":
        target.c.nina_stop()
        target.c.nina_stop()
        assert target.c.fake_things_held() == 0
        assert target.ready == 1
        assert target.c.fake_pin_drives(MISO) == -1
    if by == "soft reset":
        target.c.fake_machine_pins_deinit()
    target.cs(1)
    target.cs(0)
    target.cs(1)
    assert target.start_nina() == OK
    assert target.ready == 1
    assert target.c.nina_received() == NOTHING
    assert (target.c.message_tx(), target.c.message_rx()) == buffers
    assert works(target)
    target.c.nina_stop()
    assert target.c.fake_things_held() == 0
    assert target.c.fake_blocks() == 2, "the message buffers stay, and nothing else"


def test_pins_that_micropython_took_back_before_it_was_stopped(target):
    arm(target)
    target.c.fake_machine_pins_deinit()
    target.c.nina_stop()
    assert target.ready == 1
    assert target.start_nina() == OK
    assert works(target)


def test_nothing_works_before_start_and_nothing_breaks(chip):
    assert chip.c.nina_arm(0) == INVALID_STATE
    assert chip.c.nina_received() == NOTHING
    chip.c.nina_disarm()
    chip.c.nina_gpio0(True)
    chip.c.nina_stop()
    assert [chip.c.fake_pin_drives(pin) for pin in (READY, GPIO0, MISO)] == [-1] * 3
    assert chip.ready_trace() == ""


@pytest.mark.parametrize("at", range(1, 5))
def test_out_of_memory_at_start(chip, at):
    chip.c.fake_run_out_at(at)
    error = chip.start_nina()
    chip.c.fake_run_out_at(0)
    assert error == (NO_MEM if at <= 3 else OK)
    assert chip.ready == 1
    if error:
        assert chip.c.fake_things_held() == 0
        assert chip.c.nina_arm(0) == INVALID_STATE
        assert chip.start_nina() == OK
    assert works(chip)


def test_without_micropythons_interrupt_service(chip):
    chip.c.fake_without_isr_service(True)
    assert chip.start_nina() == INVALID_STATE
    assert chip.ready == 1
    chip.c.fake_without_isr_service(False)
    assert chip.c.fake_things_held() == 0
    assert chip.start_nina() == OK
    assert works(chip)


@pytest.mark.parametrize("wrong", [{"host": 0}, {"host": 3}, {"cs": 40}, {"sck": -1}, {"miso": 99}])
def test_pins_and_hosts_that_the_driver_refuses(chip, wrong):
    assert chip.start_nina(**wrong) == INVALID_ARG
    assert chip.ready == 1
    assert chip.c.fake_things_held() == 0
    assert chip.start_nina() == OK


def test_size_of_the_buffers_does_not_change(chip):
    assert chip.start_target() == OK
    chip.c.target_stop()
    assert chip.start_nina() == INVALID_SIZE
    assert chip.ready == 1


def test_host_that_is_taken(chip):
    assert chip.start_exchange(size=NINA_SIZE) == OK
    assert chip.start_nina() == INVALID_STATE
    assert chip.start_nina(host=2) == OK
    assert works(chip)
