"""A board without hardware: a scripted radio, a store in memory, the firmware on top of them."""

import itertools
from types import SimpleNamespace

from fake_pins import make_rig
from raw_controller import request
from stub_stack import StubStack

from spinet import fastpath, network_status
from spinet.contracts.announcer import Silent
from spinet.duet.commands import Commands
from spinet.fastpath import ROW_RSSI
from spinet.garbage import Garbage
from spinet.last_error import LastError
from spinet.naming.discovery import Discovery
from spinet.tcp.callhome import NamedPeers, SessionTable
from spinet.tcp.listener import ListenerTable
from spinet.tcp.manager import ConnectionManager
from spinet.udp.names import Names
from spinet.wifi.networks import Networks
from spinet.wifi.wlan import Wlan

ON_AIR = (
    (b"Guest", bytes([2, 0, 0, 0, 0, 3]), 11, -80, 0, 2),
    (b"Workshop", bytes([2, 0, 0, 0, 0, 1]), 1, -48, 3, 3),
    (b"Attic", bytes([2, 0, 0, 0, 0, 2]), 6, -67, 7, 3),
)

# What the air carries: 1 to 32 bytes of any kind but NUL, which ends a name on the link.
ANY_NAMES = (
    "Größe".encode(),
    "John\N{RIGHT SINGLE QUOTATION MARK}s iPhone".encode(),
    "☕🖨".encode(),
    b"trailing blank ",
    b"tab\t and line\n",
    b"\x1b[2J\x7f",
    b"no \xff UTF-8 \xc3",
    b"a" * 32,
    bytes(range(1, 33)),
    b"\xff" * 32,
)
PSK = b"0123456789abcdefABCDEF" + b"9" * 42


class MemoryStore:
    """What a file would hold; `fails` makes the disk refuse."""

    def __init__(self, data=b""):
        self.data = data
        self.fails = False
        self.saves = 0

    def load(self, whole=False):
        return self.data

    def save(self, data):
        if self.fails:
            raise OSError(28, "no space left")
        self.saves += 1
        self.data = bytes(data)

    def erase(self):
        if self.fails:
            raise OSError(5, "I/O error")
        self.data = b""


class ScriptedRadio:
    """Does what a test says: `outcome_is`, `finds`; `calls` is what it was asked to do."""

    def __init__(self):
        self.calls = []
        self.outcome_is = None  # None: still connecting
        self.finds = None  # None: still scanning
        self.serve_says = ""
        self.scan_problem_is = ""
        self.is_associated = False
        self.sees = []  # what a scan for one network finds, which is over at once
        self.strength = -55
        self.joined = None
        self.quarter_db = None
        self.reason_is = 0  # ESP-IDF's, of the failure that outcome_is tells
        self.readdress_says = ""
        self.servers = (0x0101A8C0, 0)
        self.own_mac = bytes([2, 0, 0, 0, 0, 0xAA])
        self.ap_mac = bytes([2, 0, 0, 0, 0, 1])
        self.saves_power = None

    def join(self, network, access_point=None):
        pin = f" on channel {access_point[1]}" if access_point else ""
        self.calls.append("join " + network.ssid.decode(errors="surrogateescape") + pin)
        self.joined = network

    def outcome(self):
        return self.outcome_is

    def reason(self):
        return self.reason_is

    def associated(self):
        return self.is_associated

    def rejoin(self):
        self.calls.append("rejoin")
        self.outcome_is = None

    def readdress(self, network):
        self.calls.append("readdress")
        self.joined = network
        return self.readdress_says

    def set_dns(self, first, second):
        self.servers = (first, second)

    def dns(self):
        return self.servers

    def pause(self):
        self.calls.append("pause")
        self.outcome_is = None

    def serve(self, network):
        self.calls.append("serve " + network.ssid.decode(errors="surrogateescape"))
        self.joined = network
        return self.serve_says

    def leave(self):
        self.calls.append("leave")

    def scan(self, ssid):
        self.calls.append("scan " + ssid.decode(errors="surrogateescape") if ssid else "scan")
        self.finds = self.sees if ssid else None

    def found(self):
        return self.finds

    def scan_problem(self):
        return self.scan_problem_is

    def rssi(self):
        return self.strength

    def clients(self):
        return 2

    def mac(self):
        return self.own_mac

    def power(self, quarter_db):
        self.quarter_db = quarter_db

    def save_power(self, on):
        self.saves_power = on

    def link(self, status):
        status.ip = 0x3201A8C0
        status.netmask = 0x00FFFFFF
        status.gateway = 0x0101A8C0
        status.ssid = self.joined.ssid
        status.ap_mac = self.ap_mac
        status.auth = network_status.AUTH_WPA2


class FakeBoard:
    """What `spinet.service` asks of a board, less the link."""

    DEBUG = True
    PROTOCOL = "duet"
    ROOTS = ""
    OWNER = ""
    UPDATE_PORT = 21328
    buffers = None

    def __init__(self):
        self.the_stack = StubStack()
        self.the_store = MemoryStore()
        self.the_tls_store = MemoryStore()
        self.the_preferences = MemoryStore()
        self.the_update_store = MemoryStore()
        self.the_owner_store = MemoryStore()
        self.hosts = {}  # names that need no look-up
        self.the_slots = None  # contracts/partitions.py; None: one slot
        self.the_radio = ScriptedRadio()
        self.the_announcer = Silent()
        self.the_captive = Silent()
        self.the_port = None  # set by a test that runs a service on this board
        self.said = []
        self.feeds = 0
        self.celsius = None  # None: without a sensor

    def power_up(self, wanted):
        return wanted()

    def stack(self):
        return self.the_stack

    def pins(self):
        """None: its protocol has no command for them."""

    def store(self, name):
        stores = {"networks": self.the_store, "tls": self.the_tls_store}
        stores |= {"preferences": self.the_preferences, "update": self.the_update_store}
        stores["owner"] = self.the_owner_store
        return stores[name]

    def address_of(self, name):
        return self.hosts.get(name, 0)

    def partitions(self):
        return self.the_slots

    def radio(self):
        return self.the_radio

    def link_port(self):
        return self.the_port

    def announcers(self, _manager, _stir):
        return self.the_announcer, lambda: self.the_captive

    def fill(self, status):
        status.version = b"2.3.0-test"
        status.reset_reason = network_status.RESET_BY_CONTROLLER
        status.flash_size = 4 << 20

    def free_memory(self):
        return 20000, 60000

    def temperature(self):
        return self.celsius

    def feed(self):
        self.feeds += 1

    def say(self, text):
        self.said.append(text)

    def crashed(self):
        self.said.append("crashed")


def boot(service, clock=None, polled=None):
    """Start a service and run it until its start-up is over, on `clock` or in real time.

    Returns what a controller sees that polls the pin `polled` once in each pass: a list of (level,
    how often in a row).
    """
    service.start()
    seen = []
    while not service.port.idle():
        if clock:
            clock.now += 1
        service.run_once()
        if polled:
            seen.append(polled.value())
    return [(level, len(list(group))) for level, group in itertools.groupby(seen)]


def nothing():
    """For what calls back where no loop runs."""


class Bench:
    """The firmware's commands on a FakeBoard, and a controller that asks through a rig."""

    def __init__(self, role, data=b"", radio=None):
        self.board = FakeBoard()
        self.board.the_radio = radio or self.board.the_radio
        self.stack = self.board.the_stack
        self.store = self.board.the_store
        self.store.data = data
        self.radio = self.board.the_radio
        self.networks = Networks(self.store)
        self.error = LastError(nothing)
        self.updates = None
        self.wlan = Wlan(self.radio, self.networks, self.error, nothing, debug=True)
        self.manager = ConnectionManager(self.stack, debug=True)
        self.listeners = ListenerTable(self.manager, nothing)
        self.tls = None
        self.names = Names(self.manager, self.board, self.radio, nothing)
        self.sessions = SessionTable(self.manager, self.names, nothing, self.error.set)
        self.garbage = Garbage()
        self.discovery = Discovery(
            lambda _stir: (Silent(), Silent), self.listeners, self.wlan, nothing, self.garbage
        )
        self.on_clock = self.on_report = None  # what a test has networkSetClockControl and
        # diagnostics do
        self.port = SimpleNamespace(set_clock=lambda hz: self.on_clock and self.on_clock(hz))
        self.telling = SimpleNamespace(begin=lambda: self.on_report and self.on_report())
        named_peers = NamedPeers(self.manager, self.names, self.error.set)
        self.commands = Commands(self, self.sessions, named_peers)
        self.rig = make_rig(role, self.commands, self.manager)
        self.manager.now = self.rig.now

    def ask(self, command, *args, **fields):
        """One transaction that has to work: (response, data)."""
        self.manager.rows[ROW_RSSI] = self.wlan.rssi & 0xFF  # the service does
        return self.rig.ask(request(command, *args, **fields))

    def response(self, command, *args, **fields):
        """Just the response."""
        return self.ask(command, *args, **fields)[0]

    def last_error(self):
        """The text that networkGetLastError brings, "" for none."""
        response, data = self.ask(19)
        assert response == len(data)
        assert not data or data[-1] == 0
        return data[:-1].decode()

    def turn(self):
        """What the loop does between two transactions."""
        self.stack.wait(0)
        self.manager.rows[fastpath.ROW_DELIVER] = self.stack.pending()
        self.manager.deliver()
        self.manager.hasten(self.manager.now)
        self.manager.step(self.manager.now)
        self.manager.reap()
        self.listeners.accept_waiting()
        self.names.poll(self.manager.now)
        self.sessions.poll(self.manager.now)

    def connected(self, port=80):
        """A peer whose connection is accepted in slot 0."""
        self.listeners.listen(0, port, 0, 8)
        peer = self.stack.dial(port)
        self.turn()
        return peer
