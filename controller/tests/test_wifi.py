"""Joining a network, and scanning."""

import asyncio
import time
from types import SimpleNamespace

import pytest
from fake_module import Answer
from fake_sim import Network
from own_port import own_port
from rig import eventually

from spinet_controller import sim, wifi
from spinet_controller.cli.listen import Listening
from spinet_controller.cli.serve import Serving, _hear
from spinet_controller.cli.session import first, joined
from spinet_controller.codes import Command, Response
from spinet_controller.errors import ModuleError, ModuleLost, NetworkLost, Refused
from spinet_controller.printer.plan import Naming, Ports
from spinet_controller.printer.store import FileStore
from spinet_controller.records import WirelessConfig
from spinet_controller.wifi import join, scan, switch

SIM_OPTIONS = SimpleNamespace(json=False, timeout=None, sim=None, spidev=None, serial_bus=None)
"""What the command line is told of a SIM that another program started."""


def names(rig):
    return [network[16:48].rstrip(b"\0") for network in rig.firmware.networks[1:]]


async def test_no_network_is_remembered_that_was_not_asked_for(rig):
    with pytest.raises(Refused, match="no data found for requested SSID"):
        await join(rig.module)
    assert names(rig) == []


async def test_what_is_remembered_is_joined(rig):
    await rig.module.network_add_ssid(WirelessConfig("Far away"))
    await join(rig.module)
    assert rig.firmware.wifi_state == 4
    assert names(rig) == [b"Far away"]


async def test_a_fallback_is_joined_where_nothing_is_remembered(rig):
    status = await join(rig.module, fallback=sim.NETWORK)
    assert status.ssid == "Workshop"
    (network,) = rig.firmware.networks[1:]
    assert network == WirelessConfig("Workshop", "spinet-sim").pack()


async def test_a_remembered_network_in_reach_is_joined(rig):
    await rig.module.network_add_ssid(WirelessConfig("Café"))
    await join(rig.module, fallback=sim.NETWORK)
    assert names(rig) == ["Café".encode()]


async def test_a_fallback_out_of_reach_is_not_remembered(rig):
    await rig.module.network_add_ssid(WirelessConfig("Far away"))
    await join(rig.module, fallback=WirelessConfig("Farther"))
    assert names(rig) == [b"Far away"]


async def test_on_the_virtual_bus_sims_network_is_there_to_fall_back_on(rig):
    await joined(SIM_OPTIONS, rig.module)
    assert names(rig) == [b"Workshop"]


@pytest.mark.parametrize("real", ["spidev", "serial_bus"])
async def test_a_real_module_has_no_network_to_fall_back_on(rig, real):
    with pytest.raises(Refused):
        await joined(SimpleNamespace(**{**vars(SIM_OPTIONS), real: "/dev/it"}), rig.module)
    assert names(rig) == []


@pytest.mark.behaviour("D20")
async def test_part_of_a_name_is_no_network_in_reach(rig):
    await rig.module.network_add_ssid(WirelessConfig("Far away\nWorkshop"))
    await join(rig.module, fallback=sim.NETWORK)
    assert b"Workshop" in names(rig)


async def test_networks_out_of_reach_do_not_keep_us_from_a_fallback(rig):
    await rig.module.network_add_ssid(WirelessConfig("Far away"))
    await join(rig.module, fallback=sim.NETWORK)
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
    with pytest.raises(Refused, match=r"is not on Home after 0\.1 s"):
        await join(rig.module, "Home", "correct horse")


@pytest.fixture
async def joining(rig):
    """A module that is told to join Home, and takes its time."""
    rig.firmware._join = lambda data: rig.firmware.tell(b"", state=3)
    task = asyncio.create_task(join(rig.module, "Home", "correct horse"))
    await eventually(lambda: rig.module.wifi_state == 3, "the attempt")
    return task


async def test_news_are_heard_while_a_network_is_joined(rig, joining):
    first, second = [], []
    rig.module.on_news = first.append
    rig.firmware.tell(b"call home given up")
    await eventually(lambda: "call home given up" in first, "the news")
    rig.module.on_news = second.append
    assert not joining.done()
    rig.firmware.tell(b"", state=4)
    await joining
    await eventually(lambda: None in second, "the news of a state")
    rig.firmware.tell(b"signal lost")
    await eventually(lambda: "signal lost" in second, "later news")
    assert "signal lost" not in first


async def test_the_reason_of_a_failure_is_told_to_who_joins_alone(rig, joining):
    heard = []
    rig.module.on_news = heard.append
    rig.firmware.tell(b"Home: wrong password", state=1)
    with pytest.raises(Refused, match="wrong password"):
        await joining
    rig.firmware.tell(b"signal lost")
    await eventually(lambda: "signal lost" in heard, "other news")
    assert "Home: wrong password" not in heard


async def test_news_are_heard_while_a_network_is_left_for_another(rig):
    heard = []
    rig.module.on_news = heard.append
    rig.firmware._join = lambda data: rig.firmware.tell(b"", state=3)
    task = asyncio.create_task(switch(rig.module, "Home"))
    await eventually(lambda: rig.module.wifi_state == 3, "the attempt")
    rig.firmware.tell(b"signal lost")
    await eventually(lambda: "signal lost" in heard, "the news")
    rig.firmware.tell(b"", state=4)
    await task


async def test_what_a_connection_tells_meanwhile_ends_no_joining(rig, joining):
    heard = []
    rig.module.on_news = heard.append
    rig.firmware.tell(b"call home to a.test:80 given up: refused", state=1)
    await eventually(lambda: heard, "the news")
    rig.firmware.tell(b"", state=4)
    await joining


async def test_scan(rig):
    assert [network.ssid for network in await scan(rig.module)] == ["Workshop", "Café"]


async def test_a_scan_that_never_ends(rig, monkeypatch):
    monkeypatch.setattr(wifi, "SCAN_TIMEOUT", 0.1)
    rig.firmware.refuse[Command.NETWORK_GET_SCAN_RESULT] = Response.SCAN_IN_PROGRESS
    with pytest.raises(Refused, match=r"did not end its scan within 0\.1 s"):
        await scan(rig.module)


async def test_a_controller_that_stood_still_has_its_scan(rig, monkeypatch):
    monkeypatch.setattr(wifi, "SCAN_TIMEOUT", 1)
    sleep, still = asyncio.sleep, [2]

    async def stand_still(seconds):
        if still and seconds == wifi._LOOK:
            time.sleep(still.pop())
        await sleep(seconds)

    monkeypatch.setattr(wifi.asyncio, "sleep", stand_still)
    assert [network.ssid for network in await scan(rig.module)] == ["Workshop", "Café"]
    assert not still


async def test_wifi_that_never_stops(rig, monkeypatch):
    monkeypatch.setattr(wifi, "JOIN_TIMEOUT", 0.1)
    rig.firmware.wifi_state = 4
    rig.firmware.HANDLERS = {**rig.firmware.HANDLERS, 16: lambda *_: Answer(0)}
    with pytest.raises(Refused, match=r"did not stop WiFi within 0\.1 s"):
        await switch(rig.module, "Workshop")


async def test_a_scan_that_is_refused(rig):
    rig.firmware.refuse[Command.NETWORK_START_SCAN] = Response.WRONG_STATE
    with pytest.raises(ModuleError, match="not possible"):
        await scan(rig.module)


# -- a network that is lost


@pytest.fixture
def tells():
    """What the module's owner is told."""
    return []


@pytest.fixture
async def lost(rig, monkeypatch):
    """A module whose network is lost; the controller's pauses are short."""
    monkeypatch.setattr(wifi, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(wifi, "LONGEST_PAUSE", 0.02)
    await join(rig.module, "Home", "correct horse")
    rig.firmware.lose_network(b"Home: network not found")
    return rig


def fails(rig, times, reason):
    """The next `times` attempts to join fail, those after them work."""
    joins, left = rig.firmware._join, [reason] * times
    rig.firmware._join = lambda data: rig.firmware.fail_to_join(left.pop()) if left else joins(data)


@pytest.mark.behaviour("D19")
async def test_a_network_is_lost_when_the_module_has_given_up(lost):
    error = await wifi.network_lost(lost.module)
    assert isinstance(error, NetworkLost)
    assert lost.firmware.wifi_state == 1


@pytest.mark.behaviour("D19")
async def test_a_lost_network_is_joined_again_when_it_is_there(lost, tells):
    fails(lost, 3, b"Home: network not found")
    await wifi.network_lost(lost.module)
    status = await wifi.rejoin(lost.module, "Home", tells.append)
    assert status.ssid == "Workshop"  # as the fake always says
    assert lost.firmware.wifi_state == 4
    assert lost.commands(Command.NETWORK_START_CLIENT) == 1 + 4
    assert lost.commands(Command.NETWORK_ADD_SSID) == 1
    assert tells == ["the module says: Home: network not found; trying again"]


async def test_pauses_between_attempts_grow(lost, tells, monkeypatch):
    slept = []
    sleep = asyncio.sleep

    async def noted(seconds):
        if seconds >= 100:
            slept.append(seconds)
            seconds = 0
        await sleep(seconds)

    monkeypatch.setattr(wifi.asyncio, "sleep", noted)
    monkeypatch.setattr(wifi, "FIRST_PAUSE", 100)
    monkeypatch.setattr(wifi, "LONGEST_PAUSE", 500)
    fails(lost, 5, b"Home: wrong password")
    await wifi.network_lost(lost.module)
    await wifi.rejoin(lost.module, "Home", tells.append)
    assert slept == [100, 200, 400, 500, 500]


async def test_what_the_module_tries_by_itself_is_waited_for(lost):
    await join(lost.module)
    assert lost.firmware.wifi_state == 4


async def test_news_during_an_attempt_reach_their_listener(lost):
    heard, started = [], []
    firmware, joins = lost.firmware, lost.firmware._join
    lost.module.on_news = heard.append
    await wifi.network_lost(lost.module)
    firmware._join = lambda data: (started.append(data), firmware.tell(b"", state=3))
    task = asyncio.create_task(wifi.rejoin(lost.module, "Home", heard.append))
    await eventually(lambda: started and lost.module.wifi_state == 3, "an attempt")
    transactions = lost.fake.transactions
    await eventually(
        lambda: lost.fake.transactions > transactions + 2, "the end of networkStartClient"
    )
    firmware.tell(b"call home given up")
    await eventually(lambda: not firmware.last_error, "the news to be fetched")
    joins(*started)
    await task
    assert "call home given up" in heard


@pytest.mark.behaviour("D19")
async def test_a_module_is_kept_on_its_network(lost, tells):
    task = asyncio.create_task(wifi.stay(lost.module, tells.append))
    await eventually(lambda: len(tells) == 2, "the first return")
    lost.firmware.lose_network(b"Home: wrong password")
    await eventually(lambda: len(tells) == 4, "the second")
    again = "the module is on Workshop again, at 127.0.0.1"
    assert tells == ["the module lost its network; joining again", again] * 2
    task.cancel()


LOST = "connection lost, auto-reconnecting"


@pytest.mark.behaviour("D20")
@pytest.mark.parametrize("name", ["Listening Post", "Listen failed"])
async def test_a_printer_goes_on_whatever_its_network_is_called(name):
    wanted = asyncio.get_running_loop().create_future()
    _hear(f"{name}: {LOST}", SimpleNamespace(heard=str), wanted)
    assert not wanted.done()


@pytest.mark.behaviour("D20")
async def test_calling_home_goes_on_whatever_the_network_is_called():
    listening = Listening(SimpleNamespace(json=False), echo=False, count=None)
    listening._hear(f"never given up: {LOST}")
    assert not listening._enough.is_set()
    listening._hear("call home to 192.0.2.7:80 given up: refused")
    assert listening._enough.is_set()


class Session:
    """What Serving uses of a session; a test sets the result of `gone` to lose the module."""

    def __init__(self, module):
        self.options = SIM_OPTIONS
        self.module = module
        self.gone = None

    async def boot(self, _timeout=None):
        pass

    async def attend(self, work):
        self.gone = asyncio.get_running_loop().create_future()
        return await first(work, self.gone)


async def test_a_module_that_came_back_is_brought_onto_its_network_however_long_it_takes(
    rig, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(wifi, "FIRST_PAUSE", 0.01)
    Network(rig.firmware)
    ports, options = Ports(own_port()), SIM_OPTIONS
    session = Session(rig.module)
    serving = Serving(options, ports, Naming(), ("Workshop", "spinet-sim"))
    task = asyncio.create_task(serving.serve(session, FileStore(tmp_path)))
    said = []
    await eventually(lambda: "printer is at" in said_so_far(capsys, said), "the first start")
    rig.firmware.wifi_state = 1
    fails(rig, 3, b"Workshop: network not found")
    said.clear()
    session.gone.set_result(ModuleLost("the module is gone"))
    await eventually(lambda: "printer is at" in said_so_far(capsys, said), "the next start")
    assert said_so_far(capsys, said).count("Workshop: network not found; trying again") == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def said_so_far(capsys, said):
    """Everything that was printed so far; `said` keeps it."""
    said += capsys.readouterr()
    return "".join(said)


async def test_a_first_join_that_fails_ends_the_printer(rig, tmp_path):
    fails(rig, 1, b"Workshop: wrong password")
    options = SIM_OPTIONS
    serving = Serving(options, Ports(own_port()), Naming(), ("Workshop", "spinet-sim"))
    with pytest.raises(Refused, match="wrong password"):
        await serving.serve(Session(rig.module), FileStore(tmp_path))
