"""The SPI target's core: what is armed, what passes, how it ends, what is taken back."""

import pytest
from core_rig import (
    BEYOND,
    INVALID_ARG,
    INVALID_SIZE,
    INVALID_STATE,
    NO_MEM,
    NOT_SUPPORTED,
    OK,
    SIZE,
    UNDRIVEN,
)

pytestmark = pytest.mark.behaviour("L2", "L4")


# The chips, and whether a phase ends by counting SCK or by CS.
ROLES = {
    "ESP32, counting": ("ESP32", True),
    "ESP32, by CS": ("ESP32", False),
    "ESP32-S3, counting": ("ESP32-S3", True),
    "ESP32-C3, by CS": ("ESP32-C3", False),
}


@pytest.fixture(params=ROLES)
def role(request):
    return ROLES[request.param]


@pytest.fixture
def counts(role):
    return role[1]


@pytest.fixture
def target(make_chip, role):
    """A started target whose tx holds 0, 1, 2 ... 255, 0, ..."""
    name, counts = role
    chip = make_chip(name)
    assert chip.start_target(counts=counts) == OK
    chip.tx[:] = bytes(i & 0xFF for i in range(SIZE))
    return chip


def pattern(offset, n):
    return bytes(i & 0xFF for i in range(offset, offset + n))


def transfer(target, out):
    """The controller's transfer of one phase, CS included."""
    target.cs(0)
    shifted = target.clock(out)
    target.cs(1)
    return shifted


@pytest.mark.parametrize(("offset", "n"), [(0, 8), (8, 4), (12, 20), (12, 2048), (0, SIZE)])
def test_phase(target, offset, n):
    out = bytes(255 - i % 251 for i in range(n))
    assert target.c.target_arm(offset, n) == OK
    assert target.clocked() == 0
    assert target.wakes == 0
    assert transfer(target, out) == pattern(offset, n)
    assert target.clocked() == n
    assert target.wakes == 1
    assert bytes(target.rx[offset : offset + n]) == out
    assert not any(target.rx[:offset])
    assert not any(target.rx[offset + n :])


def test_phases_one_after_the_other(target):
    for offset, n in ((0, 8), (8, 4), (12, 2048), (0, 8)):
        assert target.c.target_arm(offset, n) == OK
        assert transfer(target, bytes(n)) == pattern(offset, n)
        assert target.clocked() == n
    assert target.wakes == 4


@pytest.mark.parametrize(
    ("offset", "n"),
    [(0, 0), (0, -4), (-4, 8), (0, 6), (2, 4), (0, SIZE + 4), (SIZE, 4), (12, 2052), (1 << 30, 4)],
)
def test_what_is_no_phase_is_refused_and_arms_nothing(target, offset, n):
    assert target.c.target_arm(offset, n) == INVALID_ARG
    assert transfer(target, bytes(4)) == bytes([UNDRIVEN] * 4)
    assert target.clocked() == 0


def test_nothing_is_armed_before_the_first_phase_or_after_one(target):
    assert transfer(target, bytes(4)) == bytes([UNDRIVEN] * 4)
    assert target.clocked() == 0
    target.c.target_arm(0, 4)
    transfer(target, bytes(4))
    assert transfer(target, b"more") == bytes([UNDRIVEN] * 4)
    assert target.clocked() == 4
    assert bytes(target.rx[:8]) == bytes(8)


def test_too_many_clocks_are_one_phase_and_touch_nothing(target):
    target.c.target_arm(8, 4)
    shifted = transfer(target, b"abcdefgh")
    assert shifted == pattern(8, 4) + bytes([BEYOND] * 4)
    assert target.clocked() == 4
    assert bytes(target.rx[8:16]) == b"abcd\0\0\0\0"


def test_chip_select_stays_low_over_several_phases(chip):
    assert chip.start_target(counts=True) == OK
    chip.tx[:12] = pattern(0, 12)
    chip.cs(0)
    for offset, n in ((0, 8), (8, 4)):
        chip.arm(None, None, offset, n)
        assert chip.clock(bytes(n)) == pattern(offset, n)
        assert chip.clocked() == n
    assert chip.wakes == 2


def test_chip_select_that_rises_late_ends_nothing(chip):
    # Counting: the next phase is armed when CS rises for the last one.
    assert chip.start_target(counts=True) == OK
    chip.arm(None, None, 0, 8)
    chip.cs(0)
    chip.clock(bytes(8))
    chip.arm(None, None, 8, 4)
    chip.cs(1)
    chip.cs(0)
    assert chip.clocked() == 0
    chip.clock(b"abcd")
    assert chip.clocked() == 4
    assert bytes(chip.rx[8:12]) == b"abcd"


def test_chip_select_that_toggles_faster_than_we_notice(chip):
    assert chip.start_target(counts=True) == OK
    chip.arm(None, None, 0, 8)
    chip.cs(0)
    chip.clock(bytes(8))
    chip.arm(None, None, 8, 4)
    chip.c.fake_hold_interrupts(True)
    chip.cs(1)
    chip.cs(0)
    chip.clock(b"ab")
    chip.cs(1)
    chip.cs(0)
    chip.clock(b"cd")
    chip.c.fake_hold_interrupts(False)
    assert chip.clocked() == 4
    assert bytes(chip.rx[8:12]) == b"abcd"


def test_chip_select_without_a_clock_ends_nothing(target):
    target.c.target_arm(0, 8)
    for _ in range(3):
        target.cs(0)
        target.cs(1)
    assert target.clocked() == 0
    assert target.wakes == 0
    assert transfer(target, b"abcdefgh") == pattern(0, 8)
    assert target.clocked() == 8
    assert bytes(target.rx[:8]) == b"abcdefgh"


def test_count_is_told_while_a_phase_is_under_way(chip):
    assert chip.start_target(counts=True) == OK
    chip.arm(None, None, 0, 8)
    chip.cs(0)
    chip.clock(bytes(3))
    assert chip.clocked() == 3
    chip.c.fake_hold_interrupts(True)
    chip.clock(bytes(5))
    assert chip.clocked() == 7, "rx is not whole before the interrupt has been there"
    assert chip.wakes == 0
    chip.c.fake_hold_interrupts(False)
    assert chip.clocked() == 8
    assert chip.wakes == 1


@pytest.mark.parametrize(("bits", "told"), [(1, 1), (24, 3), (40, 5), (61, 7), (62, 7)])
def test_rising_chip_select_cuts_a_phase_short(make_chip, bits, told):
    chip = make_chip("ESP32-C3")
    assert chip.start_target() == OK
    chip.arm(None, None, 0, 8)
    chip.cs(0)
    chip.clock(b"abcdefgh", bits)
    assert chip.clocked() == 0, "not known before CS rises"
    chip.cs(1)
    assert chip.clocked() == told
    assert chip.wakes == 1
    assert not any(chip.rx[8:])


@pytest.mark.parametrize("name", ["ESP32", "ESP32-C3"])
def test_what_is_clocked_after_a_short_phase_is_lost(make_chip, name):
    chip = make_chip(name)
    assert chip.start_target() == OK
    chip.arm(None, None, 0, 8)
    transfer(chip, b"abcd")
    assert transfer(chip, b"more") == bytes([UNDRIVEN] * 4)
    assert chip.clocked() == 4
    assert bytes(chip.rx[:8]) == b"abcd\0\0\0\0"


# --- taking back


@pytest.mark.parametrize("clocks", [0, 3, 7])
def test_disarmed_phase_takes_nothing_and_says_nothing(target, clocks):
    target.c.target_arm(0, 8)
    target.cs(0)
    target.clock(bytes(8)[:clocks])
    target.disarm()
    assert target.clocked() == 0
    assert target.clock(b"abcdefgh") == bytes([UNDRIVEN] * 8)
    target.cs(1)
    assert target.clocked() == 0
    assert target.wakes == 0
    assert not set(b"abcdefgh") & set(target.rx)


@pytest.mark.parametrize("clocks", [0, 3, 8])
def test_phase_after_a_disarmed_one(target, clocks):
    target.c.target_arm(0, 8)
    target.cs(0)
    target.clock(bytes(8)[:clocks])
    target.disarm()
    target.cs(1)
    wakes = target.wakes
    assert target.c.target_arm(12, 20) == OK
    assert transfer(target, b"x" * 20) == pattern(12, 20)
    assert target.clocked() == 20
    assert target.wakes == wakes + 1
    assert bytes(target.rx[12:32]) == b"x" * 20


def test_arming_takes_back_what_was_armed(target):
    target.c.target_arm(0, 8)
    target.cs(0)
    target.clock(bytes(3))
    assert target.c.target_arm(8, 4) == OK
    target.cs(1)
    assert transfer(target, bytes(4)) == pattern(8, 4)
    assert target.clocked() == 4


def test_disarming_twice_or_after_the_end(target):
    target.disarm()
    target.c.target_arm(0, 8)
    transfer(target, bytes(8))
    target.disarm()
    target.disarm()
    assert target.clocked() == 0
    target.c.target_arm(0, 8)
    transfer(target, bytes(8))
    assert target.clocked() == 8


def test_end_of_a_phase_that_was_taken_back_meanwhile(target):
    target.c.target_arm(0, 8)
    target.c.fake_hold_interrupts(True)
    transfer(target, bytes(8))
    target.disarm()
    target.c.fake_hold_interrupts(False)
    assert target.clocked() == 0
    assert target.wakes == 0
    assert target.c.target_arm(0, 8) == OK
    assert transfer(target, bytes(8)) == pattern(0, 8)
    assert target.clocked() == 8


# --- starting and stopping


@pytest.mark.parametrize("moment", ["idle", "armed", "under way", "over"])
def test_restart_at_any_moment(target, counts, moment):
    if moment != "idle":
        target.c.target_arm(0, 8)
    if moment in ("under way", "over"):
        target.cs(0)
        target.clock(bytes(8 if moment == "over" else 3))
    buffers = target.c.message_tx(), target.c.message_rx()
    if moment != "armed":  # start() stops what runs; here it has been told to, twice
        target.c.target_stop()
        target.c.target_stop()
        assert target.c.fake_things_held() == 0
    target.cs(1)
    assert target.start_target(counts=counts) == OK
    assert (target.c.message_tx(), target.c.message_rx()) == buffers
    assert target.clocked() == 0
    assert target.c.target_arm(12, 4) == OK
    assert transfer(target, bytes(4)) == pattern(12, 4)
    assert target.clocked() == 4
    target.c.target_stop()
    assert target.c.fake_things_held() == 0
    assert target.c.fake_blocks() == 2, "the message buffers stay, and nothing else"


def test_nothing_works_before_start_and_nothing_breaks(chip):
    assert chip.c.target_arm(0, 8) == INVALID_STATE
    assert chip.clocked() == 0
    chip.disarm()
    chip.c.target_stop()


@pytest.mark.parametrize("at", range(1, 8))
def test_out_of_memory_at_start(chip, at):
    chip.c.fake_run_out_at(at)
    error = chip.start_target(counts=True)
    chip.c.fake_run_out_at(0)
    assert error == (NO_MEM if at <= 6 else OK)
    if error:
        assert chip.c.fake_things_held() == 0
        assert chip.c.target_arm(0, 8) == INVALID_STATE
        assert chip.start_target(counts=True) == OK
    assert chip.c.fake_blocks() == 2


def test_out_of_memory_leaves_no_half_of_the_buffers(chip):
    chip.c.fake_run_out_at(2)
    assert chip.start_target() == NO_MEM
    assert chip.c.fake_blocks() == 0
    assert chip.c.message_tx() is None


@pytest.mark.parametrize("wrong", [{"host": 0}, {"host": 3}, {"cs": 40}, {"sck": -1}, {"miso": 99}])
def test_pins_and_hosts_that_the_driver_refuses(chip, wrong):
    assert chip.start_target(**wrong) == INVALID_ARG
    assert chip.c.fake_things_held() == 0
    assert chip.start_target() == OK


def test_host_that_is_taken(chip):
    assert chip.start_exchange(host=1) == OK
    assert chip.start_target(host=1) == INVALID_STATE
    assert chip.start_target(host=2) == OK


def test_counting_where_there_is_no_counter(make_chip):
    chip = make_chip("ESP32-C3")
    assert chip.start_target(counts=True) == NOT_SUPPORTED
    assert chip.c.fake_things_held() == 0
    assert chip.start_target(counts=False) == OK


@pytest.mark.parametrize("size", [0, 10, 2064])
def test_size_of_the_buffers_is_dwords_and_does_not_change(chip, size):
    chip.start_exchange()
    assert chip.start_target(host=2, size=size) == INVALID_SIZE
