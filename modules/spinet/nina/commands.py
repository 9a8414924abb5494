"""The commands of NINA's protocol: a table, and how a request gets to the part that serves it.

A part's method gets the request (the Exchange), and answers or calls its wait(). What has no row is
answered with the error frame, and so is a command with fewer parameters than its row says.
"""

import gc

from micropython import const

from spinet.garbage import LITTLE
from spinet.nina.bsd import Bsd
from spinet.nina.client import Client
from spinet.nina.clock import Clock
from spinet.nina.datagrams import Datagrams
from spinet.nina.module import Module
from spinet.nina.pins import Pins
from spinet.nina.preferences import Preferences
from spinet.nina.security import Security
from spinet.nina.server import Server
from spinet.nina.wifi import Wifi

# The parts, in the order of _PARTS
_OF_WIFI = const(0)
_OF_MODULE = const(1)
_OF_CLIENT = const(2)
_OF_SERVER = const(3)
_OF_BSD = const(4)
_OF_DATAGRAMS = const(5)
_OF_CLOCK = const(6)
_OF_PINS = const(7)
_OF_PREFERENCES = const(8)
_OF_SECURITY = const(9)
_PARTS = (Wifi, Module, Client, Server, Bsd, Datagrams, Clock, Pins, Preferences, Security)

# Number, the least number of parameters, the part, its method. 20 and 2A are in usual.py, and the
# usual cases of others.
COMMANDS = (
    (0x10, 1, _OF_WIFI, "join_open"),
    (0x11, 2, _OF_WIFI, "join"),
    (0x12, 3, _OF_WIFI, "join_with_index"),
    (0x14, 4, _OF_WIFI, "set_address"),
    (0x15, 3, _OF_WIFI, "set_dns"),
    (0x16, 1, _OF_WIFI, "set_host_name"),
    (0x17, 1, _OF_MODULE, "set_power"),
    (0x18, 2, _OF_WIFI, "start_access_point"),
    (0x19, 3, _OF_WIFI, "start_protected"),
    (0x1A, 1, _OF_MODULE, "set_debug"),
    (0x1B, 0, _OF_MODULE, "temperature"),
    (0x1E, 0, _OF_WIFI, "dns"),
    (0x1F, 0, _OF_WIFI, "reason"),
    (0x21, 0, _OF_WIFI, "address"),
    (0x22, 0, _OF_WIFI, "mac"),
    (0x23, 0, _OF_WIFI, "ssid"),
    (0x24, 0, _OF_WIFI, "bssid"),
    (0x25, 0, _OF_WIFI, "rssi"),
    (0x26, 0, _OF_WIFI, "encryption"),
    (0x27, 0, _OF_WIFI, "scan_result"),
    (0x28, 3, _OF_SERVER, "listen"),
    (0x29, 1, _OF_SERVER, "state"),
    (0x2B, 1, _OF_CLIENT, "available"),
    (0x2D, 4, _OF_CLIENT, "connect"),
    (0x2E, 1, _OF_CLIENT, "stop"),
    (0x2F, 1, _OF_CLIENT, "state"),
    (0x30, 0, _OF_WIFI, "disconnect"),
    (0x32, 1, _OF_WIFI, "found_rssi"),
    (0x33, 1, _OF_WIFI, "found_encryption"),
    (0x34, 1, _OF_CLIENT, "look_up"),
    (0x35, 0, _OF_CLIENT, "looked_up"),
    (0x36, 0, _OF_WIFI, "start_scan"),
    (0x37, 0, _OF_MODULE, "version"),
    (0x38, 1, _OF_SERVER, "stop"),
    (0x39, 1, _OF_DATAGRAMS, "send"),
    (0x3A, 1, _OF_CLIENT, "peer"),
    (0x3B, 0, _OF_CLOCK, "time"),
    (0x3C, 1, _OF_WIFI, "found_bssid"),
    (0x3D, 1, _OF_WIFI, "found_channel"),
    (0x3E, 2, _OF_DATAGRAMS, "ping"),
    (0x3F, 0, _OF_CLIENT, "new_socket"),
    (0x40, 1, _OF_SECURITY, "set_certificate"),
    (0x41, 1, _OF_SECURITY, "set_key"),
    (0x44, 2, _OF_CLIENT, "send"),
    (0x45, 2, _OF_CLIENT, "read"),
    (0x46, 2, _OF_DATAGRAMS, "append"),
    (0x4A, 1, _OF_WIFI, "set_identity"),
    (0x4B, 1, _OF_WIFI, "set_user"),
    (0x4C, 1, _OF_WIFI, "set_password"),
    (0x4F, 0, _OF_WIFI, "enable_login"),
    (0x50, 2, _OF_PINS, "set_mode"),
    (0x51, 2, _OF_PINS, "write"),
    (0x52, 2, _OF_PINS, "write_duty"),
    (0x53, 1, _OF_PINS, "read"),
    (0x54, 1, _OF_PINS, "read_analog"),
    (0x55, 1, _OF_PREFERENCES, "begin"),
    (0x56, 0, _OF_PREFERENCES, "end"),
    (0x57, 0, _OF_PREFERENCES, "clear"),
    (0x58, 1, _OF_PREFERENCES, "remove"),
    (0x59, 1, _OF_PREFERENCES, "length"),
    (0x5A, 0, _OF_PREFERENCES, "free"),
    (0x5B, 3, _OF_PREFERENCES, "put"),
    (0x5C, 2, _OF_PREFERENCES, "get"),
    (0x5D, 1, _OF_PREFERENCES, "type"),
    (0x5E, 0, _OF_MODULE, "version_octets"),
    (0x5F, 1, _OF_CLOCK, "set_time"),
    (0x70, 2, _OF_BSD, "socket"),
    (0x71, 1, _OF_BSD, "close"),
    (0x72, 0, _OF_BSD, "errno"),
    (0x73, 2, _OF_BSD, "bind"),
    (0x74, 2, _OF_BSD, "listen"),
    (0x75, 1, _OF_BSD, "accept"),
    (0x76, 3, _OF_BSD, "connect"),
    (0x77, 2, _OF_BSD, "send"),
    (0x78, 2, _OF_BSD, "receive"),
    (0x79, 4, _OF_BSD, "send_to"),
    (0x7A, 2, _OF_BSD, "receive_from"),
    (0x7B, 3, _OF_BSD, "ioctl"),
    (0x7C, 1, _OF_BSD, "poll"),
    (0x7D, 3, _OF_BSD, "set_option"),
    (0x7E, 3, _OF_BSD, "get_option"),
    (0x7F, 1, _OF_BSD, "peer"),
)
_LEAST = const(1)
_PART = const(2)
_METHOD = const(3)
_NONE = const(255)


def _rows():
    """For each command, its row's index in COMMANDS, or _NONE."""
    rows = bytearray([_NONE] * 128)
    for i in range(len(COMMANDS)):
        rows[COMMANDS[i][0]] = i
    return rows


class Commands:
    """Serves requests, each by the part that its row names. `parts`: in the order of _PARTS."""

    def __init__(self, parts, garbage, error):
        self._parts = parts
        self._garbage = garbage
        self._error = error
        self._rows = _rows()
        self.unknown = 0  # requests with an unknown command, or with too few parameters
        self.shortages = 0  # requests that failed for lack of memory

    def status(self):
        """The answer of 20."""
        return self._parts[_OF_WIFI].status()

    def look(self):
        """Tell the hot path what commands may have changed of UDP sockets."""
        self._parts[_OF_DATAGRAMS].look()

    def serve(self, request):
        """Answer the request, or have it wait."""
        number = self._rows[request.command]
        row = COMMANDS[number] if number != _NONE else None
        if row is None or request.params < row[_LEAST]:
            self.unknown += 1
            request.refuse()
            return
        part = row[_PART]
        if part <= _OF_MODULE or part >= _OF_PINS:
            self._garbage.spend(LITTLE)
        try:
            # The class's function: a bound method would be allocated.
            getattr(_PARTS[part], row[_METHOD])(self._parts[part], request)
        except MemoryError:
            self._fail(request)

    def go_on(self, request, step):
        """Look whether a request that waits can be answered."""
        try:
            step(request)
        except MemoryError:
            self._fail(request)

    def _fail(self, request):
        self.out_of_memory()
        request.refuse()

    def out_of_memory(self):
        """A request or a task failed for lack of memory: set the last error, and go on."""
        self.shortages += 1
        gc.collect()  # the failed request left garbage
        self._error.set(b"out of memory")
