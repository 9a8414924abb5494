"""Start-up, reset, loss of power and the end of a module."""

import asyncio

import pytest
from fake_module import (
    CLOSE_PENDING,
    CONTROLLER_CLOCKED,
    CS,
    DATA_READY,
    MODULE_CLOCKED,
    FakeModule,
)
from rig import PATIENCE, PATIENT, PORT, Acceptor, eventually, rigged

from spinet_controller import Module, VirtualBus, link, wifi
from spinet_controller.codes import Command
from spinet_controller.errors import LinkTimeout, ModuleLost, Refused

ROLES = pytest.mark.parametrize("role", [MODULE_CLOCKED, CONTROLLER_CLOCKED])


@ROLES
async def test_boot_waits_for_two_edges_and_steady_pins(role):
    async with VirtualBus(0) as bus, Module(bus) as module:
        booting = asyncio.create_task(module.boot())
        fake = FakeModule(role)
        fake.auto_boot = False
        await fake.plug_in(bus.port)
        await eventually(lambda: bus.present, "HELLO")
        fake.pin(DATA_READY, 1)
        await eventually(lambda: bus.edges == 1, "one edge")
        await asyncio.sleep(2 * link.START_UP_STABLE)
        assert not booting.done()
        fake.pin(DATA_READY, 0)
        fake.pin(DATA_READY, 1)
        fake._idle()
        await booting
        await module.null()
        assert fake.violations == []


@pytest.mark.parametrize("pin", [DATA_READY, CS])
async def test_boot_waits_while_a_pin_is_low(pin):
    async with VirtualBus(0) as bus, Module(bus) as module:
        fake = await FakeModule().plug_in(bus.port)
        fake.pin(pin, 0)
        booting = asyncio.create_task(module.boot())
        await eventually(lambda: bus.edges == 2 and not (bus.data_ready and bus.cs), "the pin")
        await asyncio.sleep(2 * link.START_UP_STABLE)
        assert not booting.done()
        fake.pin(pin, 1)
        await booting


async def test_a_module_that_does_not_start_in_time():
    async with VirtualBus(0) as bus, Module(bus, time_scale=0.01) as module:
        fake = FakeModule()
        fake.auto_boot = False
        await fake.plug_in(bus.port)
        with pytest.raises(LinkTimeout, match=r"did not start within 0\.15 s"):
            await module.boot()


async def test_power_lost_during_start_up():
    async with VirtualBus(0) as bus, Module(bus) as module:
        fake = FakeModule()
        fake.auto_boot = False
        await fake.plug_in(bus.port)
        booting = asyncio.create_task(module.boot())
        await eventually(lambda: bus.present, "HELLO")
        fake.unplug()
        with pytest.raises(ModuleLost):
            await booting


async def test_a_module_that_breaks_the_bus_before_it_is_there():
    async with VirtualBus(0) as bus, Module(bus) as module:
        booting = asyncio.create_task(module.boot())
        fake = await FakeModule().plug_in(bus.port, hello=False)
        fake.raw(7, 0, b"")
        with pytest.raises(ModuleLost, match="unknown kind 7"):
            await booting


@pytest.mark.parametrize("wiring", ["module-clocked", "controller-clocked"])
async def test_reset_and_start_again(wiring):
    async with rigged(wiring) as rig:
        acceptor = Acceptor()
        await rig.module.create_server(acceptor, PORT)
        rig.slots[0].connect(PORT)
        peer = await acceptor.first()
        resetting = asyncio.create_task(rig.module.reset())
        assert isinstance(await peer.gone(), ModuleLost)
        rig.slots[0].free()
        await resetting
        assert rig.fake.resets == 1
        await rig.module.null()
        assert not rig.module._gone.done()


async def test_a_module_that_fell_silent_is_reset():
    async with rigged(time_scale=0.2) as rig:
        rig.fake.silent = True
        for _ in range(link.SILENCE):
            with pytest.raises(LinkTimeout):
                await rig.module.null()
        assert rig.module._gone.done()
        rig.fake.silent = False
        with rig.patient():
            await rig.module.reset()
            await rig.module.null()


async def test_a_reset_that_is_cancelled_lets_the_module_go(monkeypatch):
    monkeypatch.setattr(link, "RESET_PULSE", 1000)
    async with rigged() as rig:
        resetting = asyncio.create_task(rig.module.reset())
        await eventually(rig.module._gone.done, "the reset has begun")
        resetting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await resetting
        await rig.module.boot()
        await rig.module.null()
        assert rig.fake.resets == 1


async def test_a_reset_that_takes_the_power_with_it():
    async with rigged() as rig:
        rig.fake.auto_boot = False
        resetting = asyncio.create_task(rig.module.reset())
        await eventually(lambda: rig.fake.resets, "the reset")
        rig.fake.unplug()
        await rig.fake.lost
        again = await FakeModule().plug_in(rig.bus.port)
        await resetting
        await rig.module.null()
        assert again.violations == []


async def test_reset_without_a_module():
    async with VirtualBus(0) as bus, Module(bus) as module:
        with pytest.raises(ModuleLost):
            await module.reset()


async def test_after_a_loss_of_power_the_next_module_serves():
    async with rigged() as rig:
        lost = []
        rig.module.on_lost = lost.append
        await rig.module.create_server(Acceptor(), PORT)
        rig.fake.unplug()
        error = await rig.module.gone()
        assert lost == [error]
        again = await FakeModule().plug_in(rig.bus.port)
        await rig.module.boot()
        acceptor = Acceptor()
        async with await rig.module.create_server(acceptor, PORT):
            again.firmware.slots[0].connect(PORT)
            await acceptor.first()
        assert not rig.module._gone.done()
        assert again.violations == []


@pytest.mark.behaviour("D7")
@pytest.mark.parametrize("slots", [(0,), (7,), (2, 5)])
async def test_settled_is_when_the_last_close_has_gone_through(slots):
    async with rigged() as rig:
        for number in slots:
            rig.slots[number].state = CLOSE_PENDING
        settled = asyncio.create_task(rig.module.settled())
        for number in slots:
            await rig.next_transactions(20)
            assert not settled.done()
            rig.slots[number].free()
        await settled


async def test_connections_that_stand_are_settled():
    async with rigged() as rig:
        rig.slots[3].connect(PORT)
        await rig.module.settled()


async def test_close_leaves_nothing_on_the_module():
    async with rigged() as rig:
        acceptor = Acceptor()
        await rig.module.create_server(acceptor, PORT)
        rig.slots[0].connect(PORT)
        peer = await acceptor.first()
        await rig.module.close()
        assert await peer.gone() is None
        assert rig.firmware.listening == {}
        assert [slot.state for slot in rig.slots] == [0] * 8


async def test_close_does_not_wait_for_a_module_that_hangs():
    async with rigged() as rig:
        acceptor = Acceptor()
        await rig.module.create_server(acceptor, PORT)
        rig.slots[0].connect(PORT)
        await acceptor.first()
        rig.fake.silent = True
        rig.module.link.time_scale = 0.05
        async with asyncio.timeout(PATIENCE):
            await rig.module.close()


CALLS = {
    "a command": lambda module: module.null(),
    "a deferred command": lambda module: module.network_delete_ssid("Home"),
    "boot": lambda module: module.boot(),
    "reset": lambda module: module.reset(),
    "settled": lambda module: module.settled(),
    "a server": lambda module: module.create_server(Acceptor(), PORT),
    "calling home": lambda module: module.create_call_home(Acceptor(), "192.0.2.7", PORT),
    "a connection": lambda module: module.open_connection("192.0.2.7", PORT),
    "a scan": lambda module: wifi.scan(module),
    "joining": lambda module: wifi.join(module, "Home"),
    "the loss of a network": lambda module: wifi.network_lost(module),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_module_that_was_closed_is_of_no_use(call):
    async with rigged() as rig:
        await rig.module.close()
        rig.fake.silent = True  # the time-out would come late, if at all
        transactions = rig.fake.transactions
        with pytest.raises(ModuleLost, match="the link was closed"):
            async with asyncio.timeout(PATIENCE):
                await CALLS[call](rig.module)
        await rig.module.close()
        assert isinstance(await rig.module.gone(), ModuleLost)
        assert (rig.fake.transactions, rig.poller.servers) == (transactions, {})


@pytest.mark.parametrize("plugged_in", [False, True])
async def test_closing_ends_what_waits_for_a_module(plugged_in):
    async with VirtualBus(0) as bus:
        module = Module(bus, time_scale=PATIENT)
        fake = FakeModule()
        fake.auto_boot = False
        if plugged_in:
            await fake.plug_in(bus.port)
            await eventually(lambda: bus.present, "HELLO")
        waiting = [asyncio.create_task(module.boot()), asyncio.create_task(module.gone())]
        await asyncio.sleep(0)
        await module.close()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(ModuleLost, match="the link was closed"):
                await waiting[0]
            assert "the link was closed" in str(await waiting[1])


async def test_a_closing_that_is_cancelled_closes_all_the_same():
    async with rigged() as rig:
        await rig.module.create_server(Acceptor(), PORT)
        rig.fake.silent = True
        closing = asyncio.create_task(rig.module.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        with pytest.raises(ModuleLost, match="the link was closed"):
            await rig.module.null()


async def test_nothing_is_heard_of_a_module_that_was_closed():
    async with rigged() as rig:
        lost = []
        rig.module.on_lost = lost.append
        await rig.module.close()
        rig.firmware.tell(b"signal lost")
        await eventually(lambda: rig.bus.edges == 3, "the pulse")
        rig.fake.unplug()
        await eventually(lambda: not rig.bus.present, "the loss of power")
        assert [str(error) for error in lost] == ["the link was closed"]
        assert rig.commands(Command.NETWORK_GET_LAST_ERROR) == 0


@pytest.mark.behaviour("D19")
async def test_no_network_is_lost_with_its_module():
    async with rigged() as rig:
        rig.firmware.wifi_state = 4
        await rig.module.null()
        losing = asyncio.create_task(wifi.network_lost(rig.module))
        await asyncio.sleep(0)
        rig.fake.unplug()
        with pytest.raises(ModuleLost):
            async with asyncio.timeout(PATIENCE):
                await losing


# -- news


async def told(rig, *texts):
    """Have the module tell these, one after the other."""
    for text in texts:
        rig.firmware.tell(text.encode())
        await eventually(lambda: not rig.firmware.last_error, "the fetch")


async def test_several_may_read_the_news():
    async with rigged() as rig:
        heard, texts = [], [f"news {number}" for number in range(3)]
        rig.module.on_news = heard.append
        readers = [rig.module.news(), rig.module.news()]
        waiting = asyncio.create_task(anext(readers[0]))
        await told(rig, *texts)
        assert await waiting == texts[0]
        late = rig.module.news()
        await told(rig, "late")
        await eventually(lambda: "late" in heard, "all news")
        await rig.module.close()
        assert [text async for text in readers[0]] == [*texts[1:], "late"]
        assert [text async for text in readers[1]] == [*texts, "late"]
        assert [text async for text in late] == ["late"]
        assert [text async for text in rig.module.news()] == []
        assert [text async for text in late] == []


async def test_what_a_call_raises_is_no_news():
    async with rigged() as rig:
        reader = rig.module.news()
        with pytest.raises(Refused):
            await rig.module.network_delete_ssid("Nowhere")
        await rig.module.close()
        assert [text async for text in reader] == []


async def test_a_reader_that_is_gone_or_does_not_read_keeps_little(monkeypatch):
    monkeypatch.setattr("spinet_controller.module.NEWS_KEPT", 2)
    async with rigged() as rig:
        heard = []
        rig.module.on_news = heard.append
        reader, gone = rig.module.news(), rig.module.news()
        del gone
        assert len(rig.module._readers) == 1
        await told(rig, "one", "two", "three")
        await eventually(lambda: "three" in heard, "all news")
        assert [await anext(reader), await anext(reader)] == ["two", "three"]
