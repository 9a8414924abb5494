"""The table of commands, and the dispatch of a request to its handlers.

A row of COMMANDS names a part (of _PARTS) and up to three of its methods, all called with the
request (a transaction.Link):
    answer    the header has arrived: decide the response; nothing else has happened yet
    complete  response and data phase have crossed the wire; CS is still low, so be brief
    deferred  CS is high again: storage, WiFi; a failure becomes the last error
The row also has the least and the most bytes of data that the command takes. Instead of a method,
`answer` may be None (an empty response) or _TAKE (an empty response, and all data is accepted).
The controller's data is in request.rx at wire.DATA; data for the controller goes into request.tx
at wire.DATA.

Source for numbers, lengths and codes: docs/link-protocol.md.
"""

import gc

from micropython import const

from spinet import compat
from spinet.duet import wire
from spinet.duet.enterprise import Enterprise
from spinet.duet.module import Module
from spinet.duet.networks import RememberedNetworks
from spinet.duet.sockets import Sockets
from spinet.duet.wifi import Wifi
from spinet.garbage import LITTLE, MUCH
from spinet.tls.credentials import TlsKeys

_PEER = const(12)
_PEER_MOST = const(77)  # with the longest name and its NUL
_RECORD = const(112)  # a WirelessConfig
_MAX_DATA = const(2048)

# The commands that a controller may send at any rate:
# connAbort, connClose, connRead, connWrite, connGetStatus; networkGetStatus, ...GetLastError,
# ...SetTxPower, ...SetClockControl and null
_TAKES_LITTLE = const(1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 9 | 1 << 19 | 3 << 22 | 1)

_OF_SOCKETS = const(0)
_OF_MODULE = const(1)
_OF_NETWORKS = const(2)
_OF_WIFI = const(3)
_OF_ENTERPRISE = const(4)
_PARTS = (Sockets, Module, RememberedNetworks, Wifi, Enterprise)
_TAKE = const("take")

# The index is the command number. The names are those of the protocol's table, so that the two can
# be compared. The tuple is constant, so it stays in flash.
COMMANDS = (
    # name, least and most data, part, answer, complete, deferred
    ("null", 0, _MAX_DATA, _OF_SOCKETS, None, None, None),
    ("connAbort", 0, _MAX_DATA, _OF_SOCKETS, "socket_only", "abort", None),
    ("connClose", 0, _MAX_DATA, _OF_SOCKETS, "socket_only", "close", None),
    ("connCreate", _PEER, _PEER_MOST, _OF_SOCKETS, "create", "connect", None),
    ("connRead", 0, _MAX_DATA, _OF_SOCKETS, "read", None, None),
    ("connWrite", 0, _MAX_DATA, _OF_SOCKETS, "write", "written", None),
    ("connGetStatus", 0, _MAX_DATA, _OF_SOCKETS, "conn_status", None, None),
    ("networkListen", _PEER, _PEER_MOST, _OF_SOCKETS, "may_listen", "listen", None),
    None,
    ("networkGetStatus", 0, _MAX_DATA, _OF_MODULE, "network_status", None, None),
    ("networkAddSsid", _RECORD, _RECORD, _OF_NETWORKS, _TAKE, None, "add_ssid"),
    ("networkDeleteSsid", 32, 32, _OF_NETWORKS, _TAKE, None, "delete_ssid"),
    ("networkListSsids", 0, _MAX_DATA, _OF_NETWORKS, "list_ssids", None, None),
    ("networkConfigureAccessPoint", _RECORD, _RECORD, _OF_NETWORKS, _TAKE, None, "set_ap"),
    ("networkStartClient", 0, 33, _OF_WIFI, "may_start", None, "start_client"),
    ("networkStartAccessPoint", 0, _MAX_DATA, _OF_WIFI, "may_start_ap", None, "start_ap"),
    ("networkStop", 0, _MAX_DATA, _OF_WIFI, None, None, "stop"),
    ("networkFactoryReset", 0, _MAX_DATA, _OF_NETWORKS, "factory_reset", None, None),
    ("networkSetHostName", 64, 64, _OF_MODULE, _TAKE, "set_host_name", None),
    ("networkGetLastError", 0, _MAX_DATA, _OF_MODULE, "last_error", None, None),
    ("diagnostics", 0, _MAX_DATA, _OF_MODULE, None, None, "diagnostics"),
    ("networkRetrieveSsidData", 0, _MAX_DATA, _OF_NETWORKS, "retrieve_ssids", None, None),
    ("networkSetTxPower", 0, _MAX_DATA, _OF_MODULE, "set_tx_power", None, None),
    ("networkSetClockControl", 0, _MAX_DATA, _OF_MODULE, None, None, "set_clock"),
    ("networkStartScan", 0, _MAX_DATA, _OF_WIFI, "may_scan", None, "start_scan"),
    ("networkGetScanResult", 0, _MAX_DATA, _OF_WIFI, "scan_result", None, None),
    ("networkAddEnterpriseSsid", 0, _MAX_DATA, _OF_ENTERPRISE, "may_add", None, "add"),
    ("networkEnableTls", 0, _MAX_DATA, _OF_MODULE, "enable_tls", None, None),
    ("networkSetTlsCert", 1, _MAX_DATA, _OF_MODULE, _TAKE, None, "set_tls_cert"),
    ("networkSetTlsKey", 1, _MAX_DATA, _OF_MODULE, _TAKE, None, "set_tls_key"),
    ("networkClearTls", 0, _MAX_DATA, _OF_MODULE, None, None, "clear_tls"),
)
_COUNT = const(31)
_MODULE_UPDATE = const(64)  # an extension: the numbers up to it are left to the protocol
_NAME = const(0)
_LEAST = const(1)
_MOST = const(2)
_PART = const(3)
_ANSWER = const(4)
_COMPLETE = const(5)
_DEFERRED = const(6)


def _row(command):
    """The row of a command, None for an unknown one."""
    if command < _COUNT:
        return COMMANDS[command]
    if command == _MODULE_UPDATE:
        return ("moduleUpdate", 0, _MAX_DATA, _OF_MODULE, "update", None, "update")
    return None


class Commands:
    """Serves requests, each by the part that its row names.

    `service` gives its parts; without a `tls` the firmware has no TLS. `service.port.set_clock(hz)`
    is the link driver's, `service.telling.begin()` prints the diagnostics.
    """

    def __init__(self, service, sessions, named_peers):
        manager = service.manager
        listeners = service.listeners
        networks = service.networks
        discovery = service.discovery
        wlan = service.wlan
        error = service.error
        tls = service.tls
        board = service.board
        keys = TlsKeys(tls, board.store("tls"))
        enterprise = Enterprise(networks, error)
        set_clock = service.port.set_clock
        report = service.telling.begin
        self._sockets = Sockets(manager, listeners, sessions, named_peers, tls, keys, error)
        self._parts = (
            self._sockets,
            Module(service, wlan, keys, listeners, error, discovery, set_clock, report),
            RememberedNetworks(networks, enterprise, keys, listeners, error, board),
            Wifi(wlan, manager, listeners, sessions, discovery),
            enterprise,
        )
        self._wlan = wlan
        self._error = error
        self._garbage = service.garbage
        self.unknown = 0  # requests with an unknown command
        self.shortages = 0  # requests that failed for lack of memory

    def wifi_state(self):
        """The state byte of the module header."""
        return self._wlan.state

    def answer(self, request):
        """The response to a request whose header is good; sets request.accepted."""
        command = request.command
        row = _row(command)
        if row is None:
            self.unknown += 1
            request.refused = True
            return wire.UNKNOWN_COMMAND
        self._garbage.spend(LITTLE if _TAKES_LITTLE >> command & 1 else MUCH)
        length = request.length
        if length < row[_LEAST] or length > row[_MOST]:
            response = wire.BAD_DATA_LENGTH
        else:
            response = self._answer(row, request)
        if response < 0:
            request.refused = True
        return response

    def _answer(self, row, request):
        answer = row[_ANSWER]
        if answer is None:
            return 0
        if answer == _TAKE:
            return request.take()
        try:
            return self._call(row, answer, request)
        except MemoryError:
            self.out_of_memory()
            request.accepted = 0
            return wire.UNKNOWN_ERROR

    def _call(self, row, name, request):
        part = row[_PART]  # the class's function: a bound method would be allocated
        return getattr(_PARTS[part], name)(self._parts[part], request)

    def out_of_memory(self):
        """A request failed for lack of memory: set the last error, and go on."""
        self.shortages += 1
        gc.collect()  # the failed request left garbage
        self._error.set(b"out of memory")

    def complete(self, request):
        """Response and data phase have crossed the wire."""
        row = _row(request.command)
        if row[_COMPLETE]:
            try:
                self._call(row, row[_COMPLETE], request)
            except MemoryError:
                self.out_of_memory()
                if request.command == wire.CONN_CREATE:
                    self._sockets.undo_create()

    def deferred(self, request):
        """CS is high again."""
        row = _row(request.command)
        if row[_DEFERRED]:
            if request.command != wire.DIAGNOSTICS:  # it prints the last error and sets none
                self._error.forget()
            try:
                self._call(row, row[_DEFERRED], request)
            except OSError as e:
                self._error.set("storage failed, " + compat.error_text(e))
            except MemoryError:
                self.out_of_memory()

    def cut(self, request):
        """The transaction was cut. Data may be lost that the controller takes for delivered, so a
        connection that lost some is broken visibly."""
        command = request.command
        if command == wire.CONN_CREATE and request.response >= 0:
            self._sockets.undo_create()
        elif command == wire.CONN_READ and request.response > 0:
            self._sockets.break_off(request)  # what was read for it is lost
        elif request.answered and request.accepted:
            self._cut_after_response(request)

    def _cut_after_response(self, request):
        """The response accepted the controller's data, but not all of the data came."""
        if request.command == wire.CONN_WRITE:
            self._sockets.break_off(request)
        else:
            self._error.set(_row(request.command)[_NAME] + " was cut short")
