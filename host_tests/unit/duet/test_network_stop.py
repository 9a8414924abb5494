"""networkStop in every state of WiFi and of a slot leaves nothing behind (D18)."""

import threading
from types import SimpleNamespace

import pytest
from fake_board import ON_AIR, FakeBoard, MemoryStore, ScriptedRadio, nothing
from fake_pins import make_rig
from raw_controller import request
from slots import Slots, StubNet, pattern

from spinet import fastpath, states
from spinet.contracts.announcer import Silent
from spinet.duet.commands import Commands
from spinet.garbage import Garbage
from spinet.last_error import LastError
from spinet.naming.discovery import Discovery
from spinet.tcp.callhome import NamedPeers, SessionTable
from spinet.wifi import station
from spinet.wifi.networks import Network, Networks
from spinet.wifi.wlan import Wlan

pytestmark = pytest.mark.behaviour("D18")

NETWORK_STOP = 16


class Module:
    """The command set over these slots, and a radio that does what tests say."""

    def __init__(self, slots):
        self.slots = slots
        self.radio = ScriptedRadio()
        networks = Networks(MemoryStore())
        networks.remember(Network(bytes(16) + b"Guest".ljust(32, b"\0") + bytes(64)))
        networks.set_access_point(
            Network(b"\1" + bytes(15) + b"Spinet".ljust(32, b"\0") + bytes(64))
        )
        self.board = FakeBoard()
        self.manager = slots.manager
        self.listeners = slots.listeners
        self.networks = networks
        self.error = error = LastError(nothing)
        self.wlan = Wlan(self.radio, networks, error, nothing, debug=True)
        self.sessions = SessionTable(slots.manager, slots.names, nothing, error.set)
        self.garbage = garbage = Garbage()
        silent = Silent(), Silent
        self.discovery = Discovery(
            lambda _stir: silent, slots.listeners, self.wlan, nothing, garbage
        )
        self.tls = None
        self.port = SimpleNamespace(set_clock=None)
        self.telling = SimpleNamespace(begin=nothing)
        named_peers = NamedPeers(slots.manager, slots.names, error.set)
        commands = Commands(self, self.sessions, named_peers)
        self.rig = make_rig("module-clocked", commands, slots.manager)

    def stop(self):
        assert self.rig.ask(request(NETWORK_STOP)) == (0, b"")
        self.slots.turn()

    def check_nothing_is_left(self, ports):
        slots = self.slots
        assert slots.busy() == []
        assert (
            slots.manager.rows[fastpath.ROW_CLOSED]
            == slots.manager.rows[fastpath.ROW_CONNECTED]
            == 0
        )
        assert not any(slot.handle for slot in slots.slots)
        assert slots.manager.owners == [None] * len(slots.manager.owners)
        assert slots.listeners.entries == [None] * 8
        assert all(slots.net.is_refused(port) for port in ports)
        assert self.wlan.state == states.WIFI_IDLE
        assert not self.wlan.active()
        assert self.radio.calls[-1] == "leave"


# --- what a slot can be in


def allocated(slots):
    slots.manager.allocate(0)


def connecting(slots):
    slots.connect(slots.net.silent_port())


def opened(slots):
    slots.connected()


def accepted(slots):
    slots.dialled()


def unread(slots):
    slot, peer = slots.dialled()
    peer.send(pattern(3000))
    slots.until(slot.readable)


def unsent(slots):
    slots.fill(slots.dialled()[0])


def other_end_closed(slots):
    slot, peer = slots.dialled()
    peer.fin()
    slots.until_state(slot, states.OTHER_END_CLOSED)


def aborted(slots):
    slots.dialled()[0].break_off()


def close_pending(slots):
    slot, _ = slots.dialled()
    slots.fill(slot)
    slot.close()
    assert slot.state == states.CLOSE_PENDING


def in_the_backlog(slots):
    port = slots.listen(limit=1)
    slots.dialled(port)
    slots.net.dial(port)
    slots.turns()


SLOT_STATES = (
    *(allocated, connecting, opened, accepted, unread, unsent),
    *(other_end_closed, aborted, close_pending, in_the_backlog),
)


def by_name(function):
    return function.__name__


@pytest.mark.parametrize("enter", SLOT_STATES, ids=by_name)
def test_slot_in_any_state(slots, enter):
    module = Module(slots)
    module.radio.outcome_is = ""
    module.wlan.station.start(b"Guest", 0)
    threads = set(threading.enumerate())  # one of an earlier test may end meanwhile
    enter(slots)
    ports = [entry.port for entry in slots.listeners.entries if entry]
    module.stop()
    module.check_nothing_is_left(ports)
    assert set(threading.enumerate()) <= threads
    slot, peer = slots.dialled()  # and it serves again
    slots.write(slot, b"serving")
    assert slots.delivered(peer, 7) == b"serving"


# --- what WiFi can be in


def idle(module):
    pass


def scanning(module):
    module.wlan.scan(0)


def choosing(module):
    module.wlan.station.start(b"", 0)


def joining(module):
    module.wlan.station.start(b"Guest", 0)


def connected(module):
    module.radio.outcome_is = ""
    joining(module)


def scanning_while_connected(module):
    connected(module)
    module.wlan.scan(0)


def auto_reconnecting(module):
    connected(module)
    module.radio.outcome_is = "signal lost"
    module.wlan.refresh(1000)


def reconnecting(module):
    auto_reconnecting(module)
    module.radio.outcome_is = "network not found"
    module.wlan.poll(1100)


def pausing(module):
    reconnecting(module)
    module.radio.outcome_is = "network not found"
    module.wlan.poll(1200)
    assert module.radio.calls[-1] == "pause"


def access_point(module):
    module.wlan.start_access_point()


WIFI_STATES = (
    *(idle, scanning, choosing, joining, connected, scanning_while_connected),
    *(auto_reconnecting, reconnecting, pausing, access_point),
)


@pytest.mark.parametrize("enter", SLOT_STATES, ids=by_name)
@pytest.mark.parametrize("wifi", WIFI_STATES, ids=by_name)
def test_wifi_in_any_state(wifi, enter):
    module = Module(Slots(StubNet()))
    wifi(module)
    enter(module.slots)
    ports = [entry.port for entry in module.slots.listeners.entries if entry]
    module.stop()
    module.check_nothing_is_left(ports)
    assert module.slots.stack.open_handles() == []


@pytest.mark.parametrize("wifi", WIFI_STATES, ids=by_name)
def test_what_comes_later_touches_nothing(wifi):
    module = Module(Slots(StubNet()))
    wifi(module)
    module.stop()
    module.radio.calls.clear()
    module.radio.finds = list(ON_AIR)
    module.radio.outcome_is = ""
    for now in (2000, 2000 + station.PAUSE_MS, 2000 + station.CONNECT_TIMEOUT_MS * 2):
        module.wlan.poll(now)
        module.wlan.refresh(now)
    assert module.radio.calls == []
    assert module.wlan.state == states.WIFI_IDLE
