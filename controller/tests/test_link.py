"""One transaction at a time: time-outs, broken replies, response codes, news."""

import asyncio
import struct
import time

import pytest
from fake_module import DATA_READY, TRANSFER_READY, FakeModule
from rig import HURRIED, eventually, rigged

from spinet_controller import Module, VirtualBus, errors, link
from spinet_controller.codes import Command, Response, WiFiState
from spinet_controller.errors import BadReply, LinkTimeout, ModuleError, ModuleLost
from spinet_controller.link import FAST, SILENCE, Request

BOTH_ROLES = pytest.mark.parametrize("wiring", ["module-clocked", "controller-clocked"])


@BOTH_ROLES
@pytest.mark.parametrize(
    ("length", "phases"), [(1, [8, 4, 4]), (4, [8, 4, 4]), (2047, [8, 4, 2048])]
)
@pytest.mark.behaviour("L4")
async def test_data_to_the_module_goes_in_whole_dwords(wiring, length, phases):
    async with rigged(wiring) as rig:
        slot = rig.slots[0].connect(80)
        assert await rig.module.conn_write(0, b"z" * length) == length
        assert bytes(slot.sent) == b"z" * length
        assert rig.fake.phases in (phases, [])


@pytest.mark.behaviour("L4")
async def test_data_of_the_module_is_cut_to_its_length(each_rig):
    each_rig.slots[0].connect(80).feed(b"five!")
    assert await each_rig.module.conn_read(0) == b"five!"


@pytest.mark.behaviour("L4")
async def test_a_full_data_phase_both_ways(each_rig):
    data = bytes(range(256)) * 8
    slot = each_rig.slots[0].connect(80)
    slot.feed(data)
    assert await each_rig.module.conn_read(0) == data
    assert await each_rig.module.conn_write(0, data) == 2048
    assert bytes(slot.sent) == data


async def test_many_calls_take_their_turns(each_rig):
    numbers = [n % 8 for n in range(40)]
    found = await asyncio.gather(*map(each_rig.module.conn_get_status, numbers))
    assert [status.socket for status in found] == numbers


async def test_a_cancelled_request_is_not_sent(rig):
    rig.fake.silent = True
    first = asyncio.create_task(rig.module.null())
    second = asyncio.create_task(rig.module.diagnostics())
    await eventually(lambda: rig.fake.levels[TRANSFER_READY], "the offer")
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    rig.fake.silent = False
    rig.fake.start()
    await first
    await rig.module.null()
    assert rig.log == [Command.NULL, Command.NULL]


async def test_the_answer_to_a_cancelled_call_is_dropped(rig):
    rig.fake.silent = True
    call = asyncio.create_task(rig.module.null())
    await eventually(lambda: rig.fake.levels[TRANSFER_READY], "the offer")
    call.cancel()
    rig.fake.silent = False
    rig.fake.start()
    await rig.module.diagnostics()
    assert rig.log == [Command.NULL, Command.DIAGNOSTICS]


# -- response codes ---------------------------------------------------------------------

NAMED = {
    cls.code: cls for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, ModuleError) and cls is not ModuleError
}  # fmt: skip


def test_every_negative_code_has_its_exception():
    assert set(NAMED) == set(Response) - {Response.EMPTY}


@pytest.mark.parametrize("code", NAMED, ids=lambda code: code.name)
@pytest.mark.behaviour("L1")
async def test_a_negative_response_is_a_typed_exception(rig, code):
    rig.firmware.refuse[Command.NETWORK_STOP] = code
    with pytest.raises(NAMED[code], match="networkStop: ") as raised:
        await rig.module.network_stop()
    assert raised.value.code == code
    assert rig.fake.phases == [8, 4]
    await rig.module.null()


async def test_a_code_that_nobody_knows(each_rig):
    each_rig.firmware.refuse[Command.NULL] = -99
    with pytest.raises(ModuleError, match="unknown response code -99"):
        await each_rig.module.null()


@pytest.mark.behaviour("L2")
async def test_no_data_follows_a_refused_request(each_rig):
    each_rig.firmware.refuse[Command.NETWORK_SET_HOST_NAME] = Response.BAD_DATA_LENGTH
    with pytest.raises(errors.BadDataLength):
        await each_rig.module.network_set_host_name("x")
    await each_rig.module.null()


# -- broken replies ---------------------------------------------------------------------


def version_of(number):
    """Give a mangle that changes the format version of the header phase."""
    return lambda data: bytes([number]) + data[1:] if data[:1] == b"\x3e" else data


@BOTH_ROLES
async def test_a_wrong_format_version(wiring):
    async with rigged(wiring) as rig:
        rig.fake.mangle = version_of(0xC9)
        with pytest.raises(BadReply, match="0xc9"):
            await rig.module.null()
        rig.fake.mangle = None
        await rig.module.null()
        assert rig.module.link.failures == 1


async def test_a_transaction_that_ends_early(rig):
    rig.fake.ends_early = True
    with pytest.raises(BadReply, match="after 8 bytes"):
        await rig.module.null()
    rig.fake.ends_early = False
    await rig.module.null()


async def test_less_data_than_the_response_says(rig):
    rig.slots[0].connect(80).feed(b"abc")
    rig.fake.mangle = lambda data: struct.pack("<i", 300) if data == b"\3\0\0\0" else data
    with pytest.raises(BadReply, match="4 bytes of data for a response of 300"):
        await rig.module.conn_read(0)


@BOTH_ROLES
async def test_a_response_beyond_a_data_phase(wiring):
    async with rigged(wiring) as rig:
        rig.slots[0].connect(80).feed(b"abc")
        rig.fake.mangle = lambda data: struct.pack("<i", 2049) if data == b"\3\0\0\0" else data
        with pytest.raises(BadReply):
            await rig.module.conn_read(0)
        rig.fake.violations.clear()  # the lie makes the fake see phases that are too long


async def test_more_accepted_than_sent(rig):
    rig.slots[0].connect(80)
    rig.fake.mangle = lambda data: struct.pack("<i", 3) if data == b"\2\0\0\0" else data
    with pytest.raises(BadReply, match="3 bytes accepted of 2"):
        await rig.module.conn_write(0, b"ab")


async def test_a_record_that_is_too_short(rig):
    rig.firmware.status_length = 100
    with pytest.raises(BadReply, match="at least 140"):
        await rig.module.network_get_status()


# -- time-outs --------------------------------------------------------------------------


async def test_a_module_that_does_not_start(quick_rig):
    rig = quick_rig
    rig.fake.silent = True
    with pytest.raises(LinkTimeout, match=r"NULL: not answered within 0\.02 s") as raised:
        await rig.module.null()
    assert not raised.value.started
    await eventually(lambda: rig.fake.levels[TRANSFER_READY] == 0, "the withdrawal")
    rig.fake.silent = False
    await rig.still_works()


@pytest.mark.parametrize("phase", [1, 2])
@pytest.mark.parametrize("wiring", ["module-clocked", "module-clocked-kept", "controller-clocked"])
@pytest.mark.behaviour("L2")
async def test_a_module_that_stops_half_way(wiring, phase):
    async with rigged(wiring) as rig:
        rig.fake.silent_from, rig.fake.fell_silent = phase, rig.hurry
        with pytest.raises(LinkTimeout) as raised:
            await rig.module.network_get_status()
        assert raised.value.started
        await eventually(lambda: rig.fake.levels[TRANSFER_READY] == 0, "the withdrawal")
        rig.fake.fell_silent = lambda: None
        rig.fake.give_up()
        await rig.still_works()


@BOTH_ROLES
async def test_data_ready_that_stays_low(wiring):
    async with rigged(wiring, time_scale=HURRIED) as rig:
        rig.fake.pin(DATA_READY, 0)
        await eventually(lambda: not rig.bus.data_ready, "the low pin")
        with pytest.raises(LinkTimeout, match="DATA_READY stayed low") as raised:
            await rig.module.null()
        assert not raised.value.started
        rig.fake.pin(DATA_READY, 1)
        await rig.still_works()


async def test_storage_commands_get_more_time():
    async with rigged(time_scale=0.02) as rig:
        rig.fake.silent = True
        with pytest.raises(LinkTimeout, match=r"within 0\.01 s"):
            await rig.module.network_retrieve_ssid_data()
        with pytest.raises(LinkTimeout, match=r"within 0\.3 s"):
            await rig.module.network_factory_reset(checked=False)


async def test_our_own_delay_is_not_the_modules_fault():
    async with rigged(time_scale=1.0) as rig:
        link = rig.module.link
        rig.fake.silent = True
        call = asyncio.create_task(rig.module.null())
        await eventually(lambda: rig.fake.levels[TRANSFER_READY], "the offer")
        time.sleep(2 * FAST)
        await eventually(lambda: link._forgiven_at or call.done(), "the late look")
        with rig.patient():
            rig.fake.silent = False
            rig.fake.start()
            await call


async def test_a_module_that_never_answers_is_lost(quick_rig):
    rig = quick_rig
    rig.fake.silent = True
    lost = asyncio.create_task(rig.module.gone())
    for _ in range(SILENCE):
        with pytest.raises(LinkTimeout):
            await rig.module.null()
    assert "does not answer any more" in str(await lost)
    rig.fake.silent = False
    await rig.still_works()


async def test_a_good_transaction_ends_the_count_of_silence(quick_rig):
    rig = quick_rig
    for _ in range(SILENCE + 5):
        rig.fake.silent = True
        with pytest.raises(LinkTimeout):
            await rig.module.null()
        rig.fake.silent = False
        await rig.still_works()
    assert not rig.module._gone.done()


# -- loss -------------------------------------------------------------------------------


@BOTH_ROLES
async def test_a_loss_fails_what_runs_and_what_waits(wiring):
    async with rigged(wiring) as rig:
        rig.fake.silent_from = 1
        calls = [asyncio.create_task(rig.module.network_get_status()) for _ in range(3)]
        await eventually(lambda: rig.bus.started, "the start")
        rig.fake.unplug()
        for call in calls:
            with pytest.raises(ModuleLost, match="power"):
                await call
        with pytest.raises(ModuleLost):
            await rig.module.null()


async def test_a_request_without_a_module_fails_at_once(rig):
    rig.fake.unplug()
    await rig.module.gone()
    with pytest.raises(ModuleLost):
        await rig.module.link.call(Request(Command.NULL))


# -- state and news ---------------------------------------------------------------------


async def test_every_header_tells_the_state(rig):
    for state in (WiFiState.CONNECTED, WiFiState.IDLE):
        rig.firmware.wifi_state = state
        await rig.module.null()
        assert rig.module.wifi_state is state


async def test_news_are_fetched(each_rig):
    rig = each_rig
    heard = asyncio.get_running_loop().create_future()
    rig.module.on_news = lambda text: heard.done() or (text and heard.set_result(text))
    rig.firmware.tell(b"no known networks found")
    assert await heard == "no known networks found"


async def test_news_without_an_error_are_a_change_of_state(rig):
    heard = []
    rig.module.on_news = heard.append
    rig.firmware.tell(b"", state=WiFiState.CONNECTED)
    await eventually(lambda: heard, "the news")
    assert heard == [None]
    assert rig.module.wifi_state is WiFiState.CONNECTED


@pytest.mark.parametrize("busy_low", [False, True, "early"])
async def test_being_ready_again_is_no_news(rig, busy_low):
    rig.fake.busy_low = busy_low
    for _ in range(10):
        await rig.module.null()
    assert rig.commands(Command.NETWORK_GET_LAST_ERROR) == 0


@pytest.mark.parametrize("wiring", ["controller-clocked", "controller-clocked-cs-per-phase"])
async def test_phases_are_no_news(wiring):
    async with rigged(wiring) as rig:
        for _ in range(10):
            await rig.module.network_get_status()
        assert rig.commands(Command.NETWORK_GET_LAST_ERROR) == 0


async def test_a_pulse_that_crosses_the_start_of_a_transaction():
    async with rigged("controller-clocked") as rig:
        heard = []
        rig.module.on_news = heard.append

        def crossing():
            rig.fake.selected = lambda: None
            for level in (0, 1):
                rig.fake.pin(DATA_READY, level)

        rig.fake.selected = crossing
        status = await rig.module.network_get_status()
        assert status.version_text == "2.2-fake"
        await eventually(lambda: heard, "the news")


async def test_many_pulses_are_one_fetch(rig, monkeypatch):
    monkeypatch.setattr(link, "NEWS_INTERVAL", 1000)
    for _ in range(50):
        rig.fake.pulse()
    await eventually(lambda: rig.bus.edges >= 52, "the pulses")
    await eventually(lambda: rig.commands(Command.NETWORK_GET_LAST_ERROR), "the fetch")
    await rig.module.null()
    assert rig.commands(Command.NETWORK_GET_LAST_ERROR) == 1


async def test_news_are_fetched_at_a_limited_rate(rig, monkeypatch):
    monkeypatch.setattr(link, "NEWS_INTERVAL", 1000)
    begun = asyncio.get_running_loop().time()
    rig.fake.pulse()
    await eventually(lambda: rig.commands(Command.NETWORK_GET_LAST_ERROR), "the fetch")
    rig.fake.pulse()
    await eventually(lambda: rig.module.link._news_timer, "the next fetch")
    assert rig.module.link._news_timer.when() >= begun + 1000


async def test_the_edges_of_a_start_up_are_no_news():
    async with VirtualBus(0) as bus, Module(bus) as module:
        fake = await FakeModule().plug_in(bus.port)
        await module.boot()
        await module.null()
        assert fake.firmware.log == [Command.NULL]


async def test_a_callback_that_raises_does_not_end_the_link(rig):
    rig.expected_reports = 1
    request = Request(Command.NULL, done=lambda response, data: 1 // 0)
    rig.module.link.submit(request)
    await rig.module.null()
    assert "link callback" in rig.reported[0]["message"]
