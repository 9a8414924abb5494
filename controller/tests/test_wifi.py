"""Joining a network, and scanning."""

import inspect

import pytest
from fake_module import Answer

from spinet_controller import wifi
from spinet_controller.codes import Command, Response
from spinet_controller.errors import ModuleError
from spinet_controller.records import WirelessConfig
from spinet_controller.wifi import Refused, checked, join, scan, switch


def names(rig):
    return [network[16:48].rstrip(b"\0") for network in rig.firmware.networks[1:]]


async def test_sims_network_is_joined_where_nothing_is_remembered(rig):
    status = await join(rig.module)
    assert status.ssid == "Workshop"
    (network,) = rig.firmware.networks[1:]
    assert network == WirelessConfig("Workshop", "spinet-sim").pack()


async def test_a_remembered_network_in_reach_is_joined(rig):
    await rig.module.network_add_ssid(WirelessConfig("Café"))
    await join(rig.module)
    assert names(rig) == ["Café".encode()]


@pytest.mark.behaviour("D20")
async def test_part_of_a_name_is_no_network_in_reach(rig):
    await rig.module.network_add_ssid(WirelessConfig("Far away\nWorkshop"))
    await join(rig.module)
    assert b"Workshop" in names(rig)


async def test_networks_out_of_reach_do_not_keep_us_from_sims(rig):
    await rig.module.network_add_ssid(WirelessConfig("Far away"))
    await join(rig.module)
    assert names(rig) == [b"Far away", b"Workshop"]


async def test_a_network_of_choice_is_remembered_and_joined(rig):
    await join(rig.module, "Home", "correct horse")
    assert rig.firmware.networks[1] == WirelessConfig("Home", "correct horse").pack()
    assert rig.firmware.wifi_state == 4


@pytest.mark.parametrize("state", [2, 4])
async def test_a_module_that_is_up_is_left_as_it_is(rig, state):
    rig.firmware.wifi_state = state
    await join(rig.module)
    assert rig.commands(Command.NETWORK_START_CLIENT) == 0


async def test_the_modules_reason_is_told(rig):
    rig.firmware._join = lambda data: rig.firmware.tell(b"wrong password")
    with pytest.raises(Refused, match="the module says: wrong password"):
        await join(rig.module, "Home", "correct horse")


async def test_a_reason_that_comes_later_is_told_as_well(rig):
    rig.firmware._join = lambda data: setattr(rig.firmware, "wifi_state", 3)

    def fails(*_):
        rig.firmware.tell(b"no answer", state=1)
        rig.firmware.HANDLERS = {**rig.firmware.HANDLERS, 0: lambda *_: Answer(0)}
        return Answer(0)

    started = rig.firmware.HANDLERS[14]

    def start(firmware, *args):
        firmware.HANDLERS = {**firmware.HANDLERS, 0: fails}
        return started(firmware, *args)

    rig.firmware.HANDLERS = {**rig.firmware.HANDLERS, 14: start}
    with pytest.raises(Refused, match="no answer"):
        await join(rig.module, "Home", "correct horse")


async def test_a_network_that_is_never_reached(rig, monkeypatch):
    monkeypatch.setattr(wifi, "JOIN_TIMEOUT", 0.1)
    rig.firmware._join = lambda data: setattr(rig.firmware, "wifi_state", 3)
    with pytest.raises(Refused, match=r"did not join Home within 0\.1 s"):
        await join(rig.module, "Home", "correct horse")


async def test_news_go_back_to_their_listener(rig):
    def listener(_text):
        return None

    rig.module.on_news = listener
    await join(rig.module)
    assert rig.module.on_news is listener


async def test_a_deferred_command_that_failed(rig):
    rig.firmware.last_error = b"an older error"
    with pytest.raises(Refused, match="SSID not found"):
        await checked(rig.module, rig.module.network_delete_ssid("Nowhere"))
    await checked(rig.module, rig.module.network_add_ssid(WirelessConfig("Home")))


async def test_a_command_that_is_never_begun_leaves_no_coroutine(rig):
    rig.firmware.refuse[Command.NETWORK_GET_LAST_ERROR] = Response.UNKNOWN_ERROR
    command = rig.module.network_delete_ssid("Home")
    with pytest.raises(ModuleError):
        await rig.module.outcome(command)
    assert inspect.getcoroutinestate(command) == inspect.CORO_CLOSED
    assert rig.commands(Command.NETWORK_DELETE_SSID) == 0


async def test_scan(rig):
    assert [network.ssid for network in await scan(rig.module)] == ["Workshop", "Café"]


async def test_a_scan_that_never_ends(rig, monkeypatch):
    monkeypatch.setattr(wifi, "SCAN_TIMEOUT", 0.1)
    rig.firmware.refuse[Command.NETWORK_GET_SCAN_RESULT] = Response.SCAN_IN_PROGRESS
    with pytest.raises(Refused, match=r"did not end its scan within 0\.1 s"):
        await scan(rig.module)


async def test_wifi_that_never_stops(rig, monkeypatch):
    monkeypatch.setattr(wifi, "JOIN_TIMEOUT", 0.1)
    rig.firmware.wifi_state = 4
    rig.firmware.HANDLERS = {**rig.firmware.HANDLERS, 16: lambda *_: Answer(0)}
    with pytest.raises(Refused, match=r"did not stop WiFi within 0\.1 s"):
        await switch(rig.module, "Workshop")


async def test_a_scan_that_is_refused(rig):
    rig.firmware.refuse[Command.NETWORK_START_SCAN] = Response.WRONG_STATE
    with pytest.raises(wifi.SpinetError, match="not possible"):
        await scan(rig.module)
