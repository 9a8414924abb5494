"""The virtual bus from the controller's side: rules, pins, presence."""

import asyncio
import logging
import socket
import struct

import pytest
from fake_module import (
    CLOCK,
    CONTROLLER_CLOCKED,
    CS,
    DATA_READY,
    HELLO,
    MODULE_CLOCKED,
    PIN,
    RESET,
    SHIFT,
    TRANSFER_READY,
    FakeModule,
)
from rig import eventually, rigged

from spinet_controller import bus as bus_module
from spinet_controller.bus import VirtualBus
from spinet_controller.errors import BusError, BusViolation, LinkError, ModuleLost
from spinet_controller.frames import PIN_FRAMES, clock_frame
from spinet_controller.pacing import Pacer
from spinet_controller.spi_bus import BusListener, Role


class Listener(BusListener):
    """Notes what the bus reports."""

    def __init__(self):
        self.came = 0
        self.lost = []
        self.pulses = 0

    def module_came(self):
        self.came += 1

    def module_lost(self, error):
        self.lost.append(error)

    def news(self):
        self.pulses += 1


@pytest.fixture
async def bus():
    """An open bus with a Listener."""
    async with VirtualBus(0) as made:
        made.listener = Listener()
        yield made


async def plugged(bus, role=MODULE_CLOCKED, **options):
    """Plug a fake into the bus; give it once its HELLO was understood."""
    fake = await FakeModule(role, **options).plug_in(bus.port)
    await eventually(lambda: bus.edges == 2, "two edges")
    return fake


# -- presence ---------------------------------------------------------------------------


async def test_hello_tells_role_and_version(bus):
    await FakeModule(CONTROLLER_CLOCKED).plug_in(bus.port, b"9.9-test")
    await eventually(lambda: bus.present, "presence")
    assert (bus.role, bus.version) == (Role.CONTROLLER_CLOCKED, "9.9-test")
    assert bus.listener.came == 1


async def test_what_has_not_said_hello_is_not_reset(bus):
    _reader, writer = await asyncio.open_connection("127.0.0.1", bus.port)
    await eventually(lambda: bus._wire, "a connection")
    for held in (True, False):
        with pytest.raises(ModuleLost):
            bus.set_reset(held)
    assert not bus.present
    writer.write(bytes([HELLO, 0, 3, 0]) + b"1.0")
    await eventually(lambda: bus.present, "presence")
    assert bus.listener.came == 1
    writer.close()


async def test_a_module_that_comes_early_waits_for_the_listener():
    async with VirtualBus(0) as bus:
        plugging = asyncio.create_task(plugged(bus))
        await asyncio.sleep(0.05)
        assert not bus.present
        bus.listener = Listener()
        await plugging
        assert bus.listener.came == 1


async def test_a_connection_alone_is_no_module(bus):
    fake = await FakeModule().plug_in(bus.port, hello=False)
    fake.unplug()
    await fake.lost
    assert not bus.present
    assert bus.listener.lost == []


async def test_unplugging_is_a_loss_of_power(bus):
    fake = await plugged(bus)
    fake.unplug()
    await eventually(lambda: bus.listener.lost, "the loss")
    assert not bus.present
    assert "power" in str(bus.listener.lost[0])


async def test_a_new_connection_is_a_cold_boot(bus):
    fake = await plugged(bus)
    fake.unplug()
    await eventually(lambda: bus.listener.lost, "the loss")
    assert (bus.data_ready, bus.cs) == (False, True)
    await plugged(bus)
    assert bus.listener.came == 2


async def test_a_module_that_comes_back_at_once_is_no_second_one(bus):
    """Its end and its new connection are seen in the same moment."""
    hello = bytes([HELLO, 0, 1, 0]) + b"x"
    with socket.create_connection(("127.0.0.1", bus.port)) as first:
        first.sendall(hello)
        await eventually(lambda: bus.listener.came, "the module")
    with socket.create_connection(("127.0.0.1", bus.port)) as second:
        second.sendall(hello)
        await eventually(lambda: bus.listener.came == 2, "it again")
        assert len(bus.listener.lost) == 1


@pytest.mark.parametrize("hello", [True, False])
async def test_a_second_module_is_refused(bus, caplog, hello):
    await plugged(bus)
    second = await FakeModule().plug_in(bus.port, hello=hello)
    await second.lost
    assert "second module" in caplog.text
    assert bus.present
    assert bus.listener.lost == []


async def test_a_port_in_use_is_said(bus):
    with pytest.raises(BusError, match=f"port {bus.port} .* in use"):
        await VirtualBus(bus.port).open()


async def test_a_wrong_role_is_said():
    async with VirtualBus(0, role=Role.MODULE_CLOCKED) as bus:
        bus.listener = Listener()
        await FakeModule(CONTROLLER_CLOCKED).plug_in(bus.port)
        await eventually(lambda: bus.listener.lost, "the loss")
        assert "the module is controller-clocked" in str(bus.listener.lost[0])


async def test_transact_without_a_module(bus):
    with pytest.raises(ModuleLost):
        bus.transact(b"", lambda response: 0, lambda reply: None)


async def test_a_listener_that_raises_loses_the_module(bus):
    reported = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: reported.append(context["exception"]))
    mistake = RuntimeError("a bug")

    def came():
        raise mistake

    bus.listener.module_came = came
    fake = await FakeModule().plug_in(bus.port)
    await fake.lost
    await eventually(lambda: bus.listener.lost, "the loss")
    assert reported == [mistake]
    assert not bus.present


async def test_close_takes_the_power():
    bus = VirtualBus(0)
    bus.listener = Listener()
    await bus.open()
    fake = await plugged(bus)
    await bus.close()
    await fake.lost
    assert not bus.present


# -- rules ------------------------------------------------------------------------------

RULES = {
    "a frame of unknown kind 9": (MODULE_CLOCKED, (9, 0, b"")),
    "a PIN frame of 2 bytes": (MODULE_CLOCKED, (PIN, DATA_READY, b"\0\1")),
    "a PIN frame with level 2": (MODULE_CLOCKED, (PIN, DATA_READY, b"\2")),
    "a PIN frame for pin 0": (MODULE_CLOCKED, (PIN, TRANSFER_READY, b"\1")),
    "a PIN frame for pin 3": (MODULE_CLOCKED, (PIN, RESET, b"\1")),
    "a PIN frame for pin 4": (MODULE_CLOCKED, (PIN, 4, b"\1")),
    "a SHIFT from the module": (MODULE_CLOCKED, (SHIFT, 0, b"x")),
    "a second HELLO": (MODULE_CLOCKED, (HELLO, 0, b"1.0")),
    "a CLOCK frame of 0 bytes": (MODULE_CLOCKED, (CLOCK, 0, b"")),
    "a CLOCK from the module": (CONTROLLER_CLOCKED, (CLOCK, 0, b"x")),
    "a SHIFT without a CLOCK": (CONTROLLER_CLOCKED, (SHIFT, 0, b"x")),
    "a PIN frame for CS": (CONTROLLER_CLOCKED, (PIN, CS, b"\0")),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.behaviour("L2")
async def test_a_broken_rule_ends_the_connection_and_is_named(bus, caplog, rule):
    caplog.set_level(logging.WARNING)
    role, frame = RULES[rule]
    fake = await plugged(bus, role)
    fake.raw(*frame)
    await eventually(lambda: bus.listener.lost, "the loss")
    await fake.lost
    (error,) = bus.listener.lost
    assert isinstance(error.__cause__, BusViolation)
    assert rule in str(error)
    assert rule in caplog.text


@pytest.mark.parametrize(
    ("frame", "rule"),
    [
        ((PIN, DATA_READY, b"\1"), "before HELLO"),
        ((HELLO, 3, b"1.0"), "unknown role 3"),
        (
            (HELLO, 2, b"1.0"),
            "the module is nina, and module-clocked or controller-clocked was asked for",
        ),
        ((HELLO, 0, b"\xff"), "not ASCII"),
    ],
)
async def test_hello_comes_first_and_is_right(bus, frame, rule):
    fake = await FakeModule().plug_in(bus.port, hello=False)
    fake.raw(*frame)
    await fake.lost
    await eventually(lambda: bus.listener.lost, "the loss")
    assert rule in str(bus.listener.lost[0])
    assert not bus.present


@pytest.mark.parametrize("sent", [b"", b"\4", struct.pack("<BBH", HELLO, 0, 3) + b"2."])
async def test_a_connection_that_never_says_hello_is_ended(bus, caplog, monkeypatch, sent):
    monkeypatch.setattr(bus_module, "PATIENCE", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", bus.port)
    writer.write(sent)
    await eventually(lambda: bus.listener.lost, "the loss")
    assert await reader.read() == b""
    writer.close()
    assert "a HELLO that was not finished within 0.1 s" in caplog.text
    monkeypatch.undo()
    await plugged(bus)


@pytest.mark.parametrize("n", [1, 4, 11])
async def test_a_frame_that_is_never_finished_ends_the_connection(bus, caplog, monkeypatch, n):
    """However slowly the rest of it comes."""
    fake = await plugged(bus)
    monkeypatch.setattr(bus_module, "PATIENCE", 0.1)
    whole = clock_frame(bytes(4096))
    fake.transport.write(whole[:n])
    for byte in whole[n:]:
        if fake.lost.done():
            break
        await asyncio.sleep(0.01)
        fake.transport.write(bytes([byte]))
    assert "a frame that was not finished within 0.1 s" in caplog.text


async def test_a_frame_in_pieces_has_its_time_from_its_first_byte(bus):
    fake = await plugged(bus)
    wire = bus._wire
    assert wire._overdue is None
    low = PIN_FRAMES[DATA_READY, 0]
    fake.transport.write(low[:2])
    await eventually(lambda: wire._overdue, "the beginning")
    began = wire._overdue
    fake.transport.write(low[2:4])
    await eventually(lambda: wire._reader._filled == 4, "more of it")
    assert wire._overdue is began
    fake.transport.write(low[4:] + low[:1])
    await eventually(lambda: not bus.data_ready, "its end")
    assert began.cancelled()
    assert wire._overdue is not began
    fake.transport.write(low[1:])
    await eventually(lambda: wire._overdue is None, "the end of the next")


async def test_a_shift_of_another_length_than_its_clock(bus):
    fake = await plugged(bus, CONTROLLER_CLOCKED, hasty=True)
    bus.transact(bytes(12), lambda response: 0, lambda reply: None)
    await eventually(lambda: fake.levels[TRANSFER_READY], "the offer")
    fake.raw(SHIFT, 0, bytes(7))
    await eventually(lambda: bus.listener.lost, "the loss")
    assert "a SHIFT of 7 bytes for a CLOCK of 8" in str(bus.listener.lost[0])


async def test_the_next_module_works_after_a_broken_rule(bus):
    fake = await plugged(bus)
    fake.raw(9, 0, b"")
    await fake.lost
    await eventually(lambda: not bus.present, "the end")
    await plugged(bus)


# -- pins -------------------------------------------------------------------------------


async def test_both_edges_of_a_pulse_count_though_they_come_together(bus):
    fake = await plugged(bus)
    for _ in range(3):
        fake.pulse()
    await eventually(lambda: bus.edges == 5, "edges")
    assert bus.listener.pulses == 4  # the pulse of the start-up is one as well


async def test_a_level_that_did_not_change_is_no_edge(bus):
    fake = await plugged(bus)
    fake.pin(DATA_READY, 1)
    fake.pulse()
    await eventually(lambda: bus.edges == 3, "edges")


async def test_clocks_of_a_module_that_selected_nobody_get_zeros(bus):
    fake = await plugged(bus)
    answers = []
    fake._shifted = answers.append
    fake.raw(CLOCK, 0, b"\xff" * 5)
    await eventually(lambda: answers, "the SHIFT")
    assert answers == [bytes(5)]


async def test_clocks_past_the_armed_bytes_get_zeros(bus):
    fake = await plugged(bus)
    answers, replies = [], []
    fake.start = lambda: None
    fake._shifted = answers.append
    bus.transact(b"abcdefghijkl", lambda response: 0, replies.append)
    await eventually(lambda: fake.levels[TRANSFER_READY], "the offer")
    fake.pin(CS, 0)
    for length in (5, 9, 4):
        fake.raw(CLOCK, 0, bytes([length]) * length)
    fake.pin(CS, 1)
    await eventually(lambda: replies and len(answers) == 3, "the end")
    assert answers == [b"abcde", b"fghijkl\0\0", bytes(4)]
    assert replies == [b"\5" * 5 + b"\t" * 9 + b"\4" * 4]


@pytest.mark.parametrize("pin", [DATA_READY, CS])
async def test_nothing_is_offered_while_a_pin_of_the_module_is_low(bus, pin):
    fake = await plugged(bus)
    fake.start = lambda: None
    fake.pin(pin, 0)
    await eventually(lambda: not (bus.data_ready and bus.cs), "the low pin")
    bus.transact(bytes(12), lambda response: 0, lambda reply: None)
    assert bus.offered_at is None
    fake.pin(pin, 1)
    await eventually(lambda: fake.levels[TRANSFER_READY], "the offer")
    assert fake.violations == []


async def test_a_withdrawn_offer_is_answered_with_zeros(bus):
    fake = await plugged(bus)
    answers = []
    fake.start = lambda: None
    fake._shifted = answers.append
    bus.transact(b"x" * 12, lambda response: 0, lambda reply: pytest.fail("it was withdrawn"))
    bus.withdraw()
    fake.pin(CS, 0)
    fake.raw(CLOCK, 0, bytes(8))
    fake.pin(CS, 1)
    await eventually(lambda: answers and bus.cs, "the answer")
    assert answers == [bytes(8)]
    assert fake.levels[TRANSFER_READY] == 0


async def test_reset_is_a_pin(bus):
    fake = await plugged(bus)
    bus.set_reset(True)
    await eventually(lambda: fake.resets == 1, "the reset")
    assert bus.edges == 0
    bus.set_reset(False)
    await eventually(lambda: bus.edges == 2, "start-up")


@pytest.mark.behaviour("L2")
async def test_a_clock_that_crosses_a_reset_gets_no_answer(bus):
    fake = await plugged(bus)
    answers = []
    fake._shifted = answers.append
    bus.set_reset(True)
    fake.raw(CLOCK, 0, bytes(8))
    fake.pulse()
    await eventually(lambda: bus.edges, "the pulse after it")
    bus.set_reset(False)
    await eventually(lambda: bus.edges == 2, "start-up")
    assert answers == []


# -- the clock rate ---------------------------------------------------------------------


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def cross(pacer, length):
    """Let bytes cross, with nothing else to do meanwhile."""
    pacer.begin(length)
    pacer.wait()


def test_a_pacer_waits_for_the_time_of_the_bytes():
    clock = Clock()
    cross(Pacer(1_000_000, clock, clock.sleep), 2048)
    assert clock.slept == [pytest.approx(2048 * 8 / 1e6)]


def test_a_pacer_adds_up_what_is_too_short_to_sleep():
    clock = Clock()
    pacer = Pacer(8_000_000, clock, clock.sleep)
    for _ in range(500):
        cross(pacer, 4)
    assert sum(clock.slept) == pytest.approx(500 * 4 / 1e6, rel=0.1)
    assert len(clock.slept) < 20


def test_a_pacer_counts_from_when_the_bytes_came():
    clock = Clock()
    pacer = Pacer(8_000_000, clock, clock.sleep)
    pacer.begin(1000)
    clock.now += 0.0004  # computing
    assert pacer.busy()
    pacer.wait()
    assert clock.slept == [pytest.approx(0.0006)]
    assert not pacer.busy()


def test_a_wire_that_waited_for_us_is_not_made_up_for():
    clock = Clock()
    pacer = Pacer(8_000_000, clock, clock.sleep)
    pacer.begin(1000)
    clock.now += 0.005
    pacer.wait()
    cross(pacer, 1000)
    assert clock.slept == [pytest.approx(0.001)]


def test_what_a_sleep_lasted_too_long_outlives_short_bytes():
    clock = LateClock(0.0001)
    pacer = Pacer(8_000_000, clock, clock.sleep)
    for length in (1000, 8, 1000):
        cross(pacer, length)
    assert clock.slept[1] == pytest.approx(0.0011 - 0.000092)


class LateClock(Clock):
    """Its sleeps end later than they should."""

    def __init__(self, late):
        super().__init__()
        self.late = late

    def sleep(self, seconds):
        super().sleep(seconds + self.late)


def held_for(clock, holds, between):
    """Seconds that so many times one millisecond last, with work between them."""
    pacer = Pacer(8_000_000, clock, clock.sleep)
    start = clock.now
    for _ in range(holds):
        cross(pacer, 1000)
        clock.now += between
    return clock.now - start


@pytest.mark.parametrize("between", [0, 0.0001, 0.0005])
def test_sleeps_that_last_too_long_do_not_slow_the_wire(between):
    lasted = held_for(LateClock(0.0001), 100, between)
    assert lasted == pytest.approx(100 * (0.001 + between), abs=0.0002)


def test_a_computer_that_stood_still_is_not_made_up_for():
    assert held_for(LateClock(0.05), 100, 0) > 2


@pytest.mark.parametrize("wiring", ["module-clocked", "controller-clocked"])
async def test_every_clocked_byte_is_counted(wiring):
    async with rigged(wiring) as rig:
        before = rig.bus.bytes_clocked
        await rig.module.conn_get_status(0)
        assert rig.bus.bytes_clocked - before == 8 + 4 + 20


class Busy:
    """A pacer that notes when bytes begin to cross, and when they have; `turn` comes between."""

    def __init__(self, turn=lambda: None):
        self.notes = []
        self.crossing = False
        self.turn = turn

    def begin(self, length):
        self.crossing = True
        self.notes.append(length)
        asyncio.get_running_loop().call_soon(self._others)

    def _others(self):
        self.notes.append("a turn of others")
        self.turn()

    def busy(self):
        return self.crossing

    def wait(self):
        self.crossing = False
        self.notes.append("crossed")


@pytest.fixture
def writes(monkeypatch):
    """What each write to the connection was."""
    real, noted = bus_module._Wire._sent, []

    def noting(wire, data):
        noted.append(data)
        return real(wire, data)

    monkeypatch.setattr(bus_module._Wire, "_sent", noting)
    return noted


@pytest.mark.parametrize("wiring", ["module-clocked", "controller-clocked"])
async def test_others_have_a_turn_while_bytes_cross(wiring):
    async with rigged(wiring) as rig:
        rig.bus.pacer = Busy()
        await rig.module.conn_get_status(0)
        notes = rig.bus.pacer.notes
        assert [note for note in notes if isinstance(note, int)] == [8, 4, 20]
        assert notes[:3] == [8, "a turn of others", "crossed"]


SHIFT_8, SHIFT_4 = b"\3\0\x08\0", b"\3\0\x04\0"
RAISED = b"\1\0\1\0\1"
RESET_HELD = b"\1\3\1\0\0"


async def test_nothing_is_sent_before_the_bytes_have_crossed(rig, writes):
    rig.bus.pacer = Busy(lambda: writes.append("a turn of others"))
    await rig.module.null()
    raised, turn, shifted, *_ = writes
    assert (raised, turn) == (RAISED, "a turn of others")
    assert SHIFT_8 in shifted


async def test_what_is_sent_while_bytes_cross_stays_behind_them(quick_rig, writes):
    bus = quick_rig.bus
    bus.pacer = Busy(lambda: bus.set_reset(True))
    with pytest.raises(LinkError):
        await quick_rig.module.null()
    together = next(sent for sent in writes if RESET_HELD in sent)
    assert together.index(SHIFT_8) < together.index(RESET_HELD)


async def test_an_answer_and_the_next_request_are_one_write(writes):
    async with rigged("early-cs") as rig:
        await asyncio.gather(rig.module.null(), rig.module.null())
    both = [sent for sent in writes if SHIFT_4 in sent and RAISED in sent]
    assert len(both) == 1
    assert both[0].index(SHIFT_4) < both[0].index(RAISED)


async def test_the_last_answer_is_sent_before_the_power_goes(writes):
    async with rigged("early-cs") as rig:
        rig.bus.pacer = Busy()
        await rig.module.null()
        assert SHIFT_4 not in writes[-1]
        await rig.bus.close()
        assert SHIFT_4 in writes[-1]


async def test_what_comes_after_what_had_no_room_stays_behind_it(rig, monkeypatch):
    real = bus_module._Wire._sent
    monkeypatch.setattr(bus_module._Wire, "_sent", lambda wire, data: real(wire, data[:3]))
    rig.bus.set_reset(True)
    rig.bus.set_reset(False)
    await eventually(lambda: rig.fake.resets == 1 and rig.bus.edges == 2, "the reset")


async def test_what_the_system_has_no_room_for_follows(each_rig, monkeypatch):
    real = bus_module._Wire._sent
    monkeypatch.setattr(bus_module._Wire, "_sent", lambda wire, data: real(wire, data[:7]))
    status = await each_rig.module.conn_get_status(0)
    assert status.socket == 0
    await asyncio.gather(each_rig.module.null(), each_rig.module.null())


async def test_a_real_rate_still_works():
    async with VirtualBus(0, sck_hz=1e6) as bus:
        bus.listener = Listener()
        await plugged(bus)
        replies = asyncio.get_running_loop().create_future()
        bus.transact(struct.pack("<BBHHHI", 0x3E, 0, 0, 0, 0, 0), lambda r: 0, replies.set_result)
        assert len(await replies) == 12
