"""Command number -> handlers: what each is answered, and what is done when.

A row of COMMANDS names up to three methods of Commands, all called with the request (a link.Link):
    answer    the header is here: decide the response; nothing else has happened yet
    complete  response and data phase have crossed the wire (bounded, still under CS)
    deferred  CS is high again: storage, WiFi; what goes wrong becomes the last error
and says how much data is taken: `least` to `most` bytes.
What the controller sends is in request.rx at wire.DATA, what it gets goes to request.tx there.

Source for numbers, lengths and codes: docs/link-protocol.md.
"""

import gc

from micropython import const

from spinet import compat, fields
from spinet.duet import wire
from spinet.tcp import resolver
from spinet.tls.credentials import TlsKeys
from spinet.wifi import config
from spinet.wifi.networks import EnterpriseEntry, Network, is_access_point

_CONN_READ = const(4)
_EMPTY = const(0)
_BAD_PARAMETER = const(-11)
_SOCKETS = const(8)
_PEER = const(12)
_PEER_MOST = const(77)  # with the longest name and its NUL
_RECORD = const(112)  # a WirelessConfig
_DATA = const(12)
_CONN_STATUS_SIZE = const(20)
_MAX_DATA = const(2048)

# The most bytes that a request allocates: LITTLE for the commands that a controller may send at any
# rate, MUCH for the others. (With full tables, on a computer; about half as much on a chip.)
LITTLE = const(1024)
MUCH = const(20480)
# connAbort, connClose, connRead, connWrite, connGetStatus; networkGetStatus, ...GetLastError,
# ...SetTxPower, ...SetClockControl and null
_TAKES_LITTLE = const(1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 9 | 1 << 19 | 3 << 22 | 1)

# By number, with the names of the protocol's own table, so that the two can be compared. All of it
# is constant, and so stays in flash.
COMMANDS = (
    # name, least and most data, answer, complete, deferred
    ("null", 0, _MAX_DATA, "_empty", None, None),
    ("connAbort", 0, _MAX_DATA, "_socket_only", "_abort", None),
    ("connClose", 0, _MAX_DATA, "_socket_only", "_close", None),
    ("connCreate", _PEER, _PEER_MOST, "_create", "_connect", None),
    ("connRead", 0, _MAX_DATA, "_read", None, None),
    ("connWrite", 0, _MAX_DATA, "_write", "_written", None),
    ("connGetStatus", 0, _MAX_DATA, "_conn_status", None, None),
    ("networkListen", _PEER, _PEER_MOST, "_may_listen", "_listen", None),
    None,
    ("networkGetStatus", 0, _MAX_DATA, "_network_status", None, None),
    ("networkAddSsid", _RECORD, _RECORD, "_take", None, "_add_ssid"),
    ("networkDeleteSsid", 32, 32, "_take", None, "_delete_ssid"),
    ("networkListSsids", 0, _MAX_DATA, "_list_ssids", None, None),
    ("networkConfigureAccessPoint", _RECORD, _RECORD, "_take", None, "_set_ap"),
    ("networkStartClient", 0, 33, "_may_start", None, "_start_client"),
    ("networkStartAccessPoint", 0, _MAX_DATA, "_may_start_ap", None, "_start_ap"),
    ("networkStop", 0, _MAX_DATA, "_empty", None, "_stop"),
    ("networkFactoryReset", 0, _MAX_DATA, "_factory_reset", None, None),
    ("networkSetHostName", 64, 64, "_take", "_set_host_name", None),
    ("networkGetLastError", 0, _MAX_DATA, "_last_error", None, None),
    ("diagnostics", 0, _MAX_DATA, "_empty", None, "_diagnostics"),
    ("networkRetrieveSsidData", 0, _MAX_DATA, "_retrieve_ssids", None, None),
    ("networkSetTxPower", 0, _MAX_DATA, "_set_tx_power", None, None),
    ("networkSetClockControl", 0, _MAX_DATA, "_empty", None, "_set_clock"),
    ("networkStartScan", 0, _MAX_DATA, "_may_scan", None, "_start_scan"),
    ("networkGetScanResult", 0, _MAX_DATA, "_scan_result", None, None),
    ("networkAddEnterpriseSsid", 0, _MAX_DATA, "_may_enterprise", None, "_add_enterprise"),
    ("networkEnableTls", 0, _MAX_DATA, "_enable_tls", None, None),
    ("networkSetTlsCert", 1, _MAX_DATA, "_take", None, "_set_tls_cert"),
    ("networkSetTlsKey", 1, _MAX_DATA, "_take", None, "_set_tls_key"),
    ("networkClearTls", 0, _MAX_DATA, "_empty", None, "_clear_tls"),
)
_COUNT = const(31)
_NAME = const(0)
_LEAST = const(1)
_MOST = const(2)
_ANSWER = const(3)
_COMPLETE = const(4)
_DEFERRED = const(5)


class Commands:
    """Serves requests. `board` has what only the hardware knows: see boards/SIM/board.py."""

    def __init__(self, manager, listeners, wlan, networks, board, error, tls=None):
        self._manager = manager
        self._error = error  # the LastError
        self._listeners = listeners
        self._wlan = wlan
        self._networks = networks
        self._board = board
        self._tls = tls  # the TlsStack; None in a firmware without TLS
        self._keys = TlsKeys(tls, board.store("tls"))
        self._enterprise = EnterpriseEntry(networks)
        self._host_name = b"spinet"
        self.sessions = None  # a SessionTable; set by service
        self.named_peers = None  # NamedPeers; set by service
        self._told_error = b""  # what networkGetLastError tells in the transaction under way
        self._token = 0  # of the slot that the transaction under way is about, for connCreate
        self.report = None  # called by the diagnostics command; set by service
        self.on_host_name = None  # called with the new name; set by service, as is
        self.on_leaving = None  # called by networkStop, while we are still on the air
        self.set_clock = None  # called with a frequency in Hz; set by service
        self.unknown = 0  # commands that we do not know
        self.shortages = 0  # what there was no memory for
        self.allocated = 0  # the most that was allocated, in bytes, since the service cleared this
        self._status = wire.NetworkStatus()  # kept, as networkGetStatus may come at any rate
        if tls:
            tls.on_failure = error.set

    def wifi_state(self):
        """The state byte of the module header."""
        return self._wlan.state

    # --- the link's side

    def answer(self, request):
        """The response to a request whose header is good; sets request.accepted."""
        command = request.command
        row = COMMANDS[command] if command < _COUNT else None
        if row is None:
            self.unknown += 1
            request.refused = True
            return wire.UNKNOWN_COMMAND
        self.allocated += LITTLE if _TAKES_LITTLE >> command & 1 else MUCH
        length = request.length
        if length < row[_LEAST] or length > row[_MOST]:
            response = wire.BAD_DATA_LENGTH
        else:
            response = self._answer(row, request)
        if response < 0:
            request.refused = True
        return response

    def _answer(self, row, request):
        try:
            return getattr(Commands, row[_ANSWER])(self, request)
        except MemoryError:
            self.out_of_memory()
            request.accepted = 0
            return wire.UNKNOWN_ERROR

    def out_of_memory(self):
        """Something could not be done: the controller is told, and the loop goes on."""
        self.shortages += 1
        gc.collect()  # what was begun is garbage
        self._error.set(b"out of memory")

    def complete(self, request):
        """Response and data phase have crossed the wire."""
        complete = COMMANDS[request.command][_COMPLETE]
        if complete:
            try:
                getattr(Commands, complete)(self, request)
            except MemoryError:
                self.out_of_memory()
                if request.command == wire.CONN_CREATE:
                    self._undo_create()

    def deferred(self, request):
        """CS is high again."""
        deferred = COMMANDS[request.command][_DEFERRED]
        if deferred:
            if request.command != wire.DIAGNOSTICS:  # which tells of it, and leaves none itself
                self._error.forget()
            self._do(deferred, request)

    def _do(self, deferred, request):
        try:
            getattr(Commands, deferred)(self, request)
        except OSError as e:
            self._error.set("storage failed, " + compat.error_text(e))
        except MemoryError:
            self.out_of_memory()

    def cut(self, request):
        """The controller left in the middle: what it may take for done must not look sound."""
        command = request.command
        if command == wire.CONN_CREATE and request.response >= 0:
            self._undo_create()
        elif command == wire.CONN_READ and request.response > 0:
            self._manager.slots[request.socket].break_off()  # what was read for it is lost
        elif request.answered and request.accepted:
            self._cut_after_response(request)

    def _cut_after_response(self, request):
        """The controller was told that its data is accepted, and the data never came."""
        if request.command == wire.CONN_WRITE:
            self._manager.slots[request.socket].break_off()
        else:
            self._error.set(COMMANDS[request.command][_NAME] + " was cut short")

    # --- sockets

    def _empty(self, _request):
        return _EMPTY

    def _socket_only(self, request):
        return _EMPTY if request.socket < _SOCKETS else _BAD_PARAMETER

    def _abort(self, request):
        self._manager.slots[request.socket].abort()

    def _close(self, request):
        self._manager.slots[request.socket].close()

    def _create(self, request):
        refusal = self._create_refusal(request)
        if refusal:
            return refusal
        slot = self._manager.allocate(0)
        if slot is None:
            return wire.BUSY
        self._token = slot.token()
        request.accepted = request.length
        return slot.number

    def _create_refusal(self, request):
        """0 unless it is to be TLS, which lacks what it needs."""
        if not request.flags & wire.FLAG_TLS:
            return 0
        verifiable = request.flags & wire.FLAG_UNVERIFIED or self._keys.has_ca()
        return 0 if self._tls and verifiable else wire.WRONG_STATE

    def _connect(self, request):
        slot = self._manager.resolve(self._token)
        if slot is None:
            return
        message = request.rx
        slot.set_protocol(wire.peer_protocol(message))
        name = wire.peer_name(message, request.length)
        if request.flags & wire.FLAG_TLS and not self._secure(slot, request, name):
            slot.give_up()
        elif name and not wire.peer_ip(message):
            self.named_peers.connect(slot, name, wire.peer_port(message))
        elif slot.connect(wire.peer_ip(message), wire.peer_port(message)) < 0:
            self._error.set("Connection creation failed")

    def _secure(self, slot, request, name):
        """The slot's connection is to be TLS; False, and a last error, when that cannot be."""
        if name and not resolver.is_host_name(name):
            self._error.set("bad host name")
            return False
        trust = self._keys.trust(not request.flags & wire.FLAG_UNVERIFIED)
        if trust is None:
            self._error.set("TLS: out of memory")
            return False
        slot.secure(self._tls, trust, (name or wire.peer_dotted(request.rx)).decode())
        return True

    def _undo_create(self):
        slot = self._manager.resolve(self._token)
        if slot is not None:
            slot.abort()

    def _read(self, request):
        if request.socket >= _SOCKETS:
            return _BAD_PARAMETER
        slot = self._manager.slots[request.socket]
        return slot.read(request.tx, _DATA, request.available)

    def _write(self, request):
        if request.socket >= _SOCKETS:
            return _BAD_PARAMETER
        slot = self._manager.slots[request.socket]
        if slot.cut_off():
            return wire.WRONG_STATE  # not 0: there will never be room again
        request.accepted = min(request.length, slot.space())
        return request.accepted

    def _written(self, request):
        slot = self._manager.slots[request.socket]
        flags = request.flags if request.accepted == request.length else 0
        closing = flags & wire.FLAG_CLOSE_AFTER_WRITE
        if request.accepted or flags:
            push = flags & (wire.FLAG_PUSH | wire.FLAG_CLOSE_AFTER_WRITE) != 0
            slot.write(request.rx, _DATA, request.accepted, push)
        if closing:
            slot.close()

    def _conn_status(self, request):
        if request.socket >= _SOCKETS:
            return _BAD_PARAMETER
        manager = self._manager
        slot = manager.slots[request.socket]
        amounts = slot.space() << 16 | slot.readable()
        summary = self._wlan.rssi << 16 | manager.summary()
        wire.put_conn_status(request.tx, slot.record, amounts, summary)
        return _CONN_STATUS_SIZE

    def _may_listen(self, request):
        if request.flags & wire.FLAG_TLS and not self._may_listen_tls(request):
            return wire.WRONG_STATE
        if request.length > _PEER and not request.flags & wire.FLAG_CALL_HOME:
            return wire.BAD_DATA_LENGTH
        return self._take(request)

    def _may_listen_tls(self, request):
        return self._keys.enabled() and not request.flags & wire.FLAG_CALL_HOME

    def _listen(self, request):
        if request.flags & wire.FLAG_CALL_HOME:
            self._call_home(request)
            return
        message = request.rx
        protocol = wire.peer_protocol(message)
        started = self._listeners.listen(
            wire.peer_ip(message),
            wire.peer_port(message),
            protocol,
            wire.peer_limit(message),
            request.flags & wire.FLAG_TLS != 0,
            protocol == wire.PROTOCOL_FTP_DATA,  # which has a new port for every transfer
        )
        if not started:
            self._error.set("Listen failed")

    def _call_home(self, request):
        message = request.rx
        name = wire.peer_name(message, request.length)
        if name and not resolver.is_host_name(name):
            self._error.set("bad host name")
            return
        started = self.sessions.call(
            wire.peer_ip(message),
            wire.peer_port(message),
            name,
            wire.peer_protocol(message),
            wire.peer_limit(message),
            wire.peer_attempts(message),
        )
        if not started:
            self._error.set("Call home failed")

    def _take(self, request):
        """Accept the whole data phase."""
        request.accepted = request.length
        return _EMPTY

    # --- status

    def _network_status(self, request):
        status = self._status
        status.clear()
        self._board.fill(status)
        status.host_name = self._host_name
        self._wlan.fill(status)
        return status.encode(request.tx)

    def _last_error(self, request):
        text = self._error.text
        if not text:
            response = 0
        elif len(text) + 1 > request.available:
            response = wire.BUFFER_TOO_SMALL
        else:
            fields.put_bytes(request.tx, _DATA, text, len(text) + 1)
            response = len(text) + 1
        self._told_error = text
        request.once = self._last_error_told
        return response

    def _last_error_told(self, request):
        self._wlan.told(request.shown, self._told_error)

    def _set_host_name(self, request):
        self._host_name = fields.get_text(request.rx, _DATA, wire.HOST_NAME_LENGTH)
        if self.on_host_name:
            self.on_host_name(self._host_name)

    def host_name(self):
        """As the controller set it, bytes."""
        return self._host_name

    def _diagnostics(self, _request):
        if self.report:
            self.report()

    def _set_tx_power(self, request):
        if request.flags > wire.MAX_TX_POWER:
            return _BAD_PARAMETER
        self._wlan.radio.power(request.flags)
        return _EMPTY

    def _set_clock(self, request):
        if self.set_clock:
            try:
                self.set_clock(wire.clock_frequency(wire.request_param(request.rx)))
            except OSError as e:
                self._error.set("SPI clock refused, " + compat.error_text(e))

    # --- remembered networks

    def _sent_record(self, request):
        return memoryview(request.rx)[_DATA : _DATA + config.SIZE]

    def _personal_network(self, request):
        """The network that the controller sent, or None: the last error says what is wrong."""
        record = self._sent_record(request)
        password = config.password(record)
        if not config.is_ssid(config.ssid(record)):
            self._error.set("bad SSID")
        elif not config.is_password(password):
            self._error.set("bad password")
        else:
            network = bytearray(record)
            if not config.is_psk(password):
                config.set_eap(network, 0)  # behind every password: it need not be 0 here
            return Network(network)
        return None

    def _add_ssid(self, request):
        network = self._personal_network(request)
        if network and not self._networks.remember(network):
            self._error.set("SSID table full")

    def _delete_ssid(self, request):
        if not self._networks.forget(fields.get_text(request.rx, _DATA, config.SSID_LENGTH)):
            self._error.set("SSID not found")

    def _set_ap(self, request):
        if config.deletes(self._sent_record(request)):
            self._networks.set_access_point(None)
            return
        network = self._personal_network(request)
        if network is None:
            return
        if is_access_point(network):
            self._networks.set_access_point(network)
        else:
            self._error.set("bad access point configuration")

    def _list_ssids(self, request):
        own = self._networks.access_point()
        names = [own.ssid if own else b""]
        names += [network.ssid for network in self._networks.remembered()]
        text = b"".join(name + b"\n" for name in names) + b"\0"
        if len(text) > request.available:
            return wire.BUFFER_TOO_SMALL
        fields.put_bytes(request.tx, _DATA, text, len(text))
        return len(text)

    def _retrieve_ssids(self, request):
        size = config.PUBLIC_SIZE
        if request.available < size:
            return wire.BUFFER_TOO_SMALL
        own = self._networks.access_point()
        records = [own.record if own else b""]
        records += [network.record for network in self._networks.remembered()]
        fitting = records[: request.available // size]
        for i, record in enumerate(fitting):
            fields.put_bytes(request.tx, _DATA + i * size, record[:size], size)
        return len(fitting) * size

    def _factory_reset(self, request):
        self._error.forget()
        self._enterprise.cancel()
        self._erase(self._clear_tls, request)
        self._erase(self._erase_networks, request)
        return _EMPTY

    def _erase(self, erase, request):
        try:
            erase(request)
        except OSError as e:
            self._error.set("factory reset failed, " + compat.error_text(e))

    def _erase_networks(self, _request):
        self._networks.erase()

    def _may_enterprise(self, request):
        step = request.flags
        enterprise = self._enterprise
        if step > wire.ENTERPRISE_CANCEL:
            return _BAD_PARAMETER
        if step == wire.ENTERPRISE_CANCEL:
            return _EMPTY
        if (step == wire.ENTERPRISE_SSID) == enterprise.pending():
            return wire.WRONG_STATE if enterprise.pending() else self._refusal(request)
        if step == wire.ENTERPRISE_SSID and request.length != config.SIZE:
            return wire.BAD_DATA_LENGTH
        return self._take(request) if step != wire.ENTERPRISE_COMMIT else _EMPTY

    def _refusal(self, request):
        """Why the SSID step came to nothing: the next step is told, once."""
        request.once = self._refusal_told
        return self._enterprise.refusal or wire.WRONG_STATE

    def _refusal_told(self, _request):
        self._enterprise.refusal = 0

    def _add_enterprise(self, request):
        step = request.flags
        if step == wire.ENTERPRISE_SSID:
            self._begin_enterprise(request)
        elif step == wire.ENTERPRISE_CREDENTIAL:
            chunk = memoryview(request.rx)[_DATA : _DATA + request.length]
            if not self._enterprise.add(wire.request_param(request.rx), chunk):
                self._error.set("bad enterprise credential")
        elif step == wire.ENTERPRISE_CANCEL:
            self._enterprise.cancel()
        elif not self._enterprise.commit():
            self._error.set("enterprise SSID not saved")

    def _begin_enterprise(self, request):
        record = self._sent_record(request)
        protocol = wire.request_param(request.rx)
        if not (config.is_ssid(config.ssid(record)) and 1 <= protocol <= 3):
            self._enterprise.refusal = _BAD_PARAMETER
            self._error.set("bad enterprise SSID")
        elif not self._enterprise.begin(record, protocol):
            full = self._enterprise.refusal == wire.TOO_MANY_SSIDS
            self._error.set("SSID table full" if full else "enterprise credentials too long")

    # --- WiFi

    def _may_start(self, request):
        return self._take(request) if self._wlan.may_start() else wire.WRONG_STATE

    def _may_start_ap(self, _request):
        return _EMPTY if self._wlan.may_start() else wire.WRONG_STATE

    def _start_client(self, request):
        ssid = fields.get_text(request.rx, _DATA, request.length)
        self._wlan.start_client(ssid, self._manager.now)

    def _start_ap(self, _request):
        self._wlan.start_access_point()

    def _stop(self, _request):
        self._manager.terminate_all()
        self._listeners.stop_all()
        self.sessions.stop_all()
        if self.on_leaving:
            self.on_leaving()
        self._wlan.stop()

    def _may_scan(self, _request):
        if not self._wlan.may_scan():
            return wire.WRONG_STATE
        return wire.SCAN_IN_PROGRESS if self._wlan.scanning() else _EMPTY

    def _start_scan(self, _request):
        self._wlan.scan(self._manager.now)

    def _scan_result(self, request):
        if self._wlan.scanning():
            return wire.SCAN_IN_PROGRESS
        found = self._wlan.scan_result()
        if found is None:
            return wire.NO_SCAN_STARTED
        fitting = found[: request.available // wire.SCAN_DATA_SIZE]
        for i, entry in enumerate(fitting):
            wire.put_scan_data(request.tx, i, entry)
        request.once = self._scan_result_told
        return len(fitting) * wire.SCAN_DATA_SIZE

    def _scan_result_told(self, _request):
        self._wlan.drop_scan_result()

    # --- TLS

    def _enable_tls(self, _request):
        wrong = self._keys.enable()
        self._tell(wrong)
        return wire.NO_TLS_CERT if wrong else _EMPTY

    def _tell(self, wrong):
        if wrong:
            self._error.set(wrong)

    def _sent_text(self, request):
        return bytes(memoryview(request.rx)[_DATA : _DATA + request.length])

    def _set_tls_cert(self, request):
        ca = request.flags & wire.FLAG_CA
        take = self._keys.set_ca if ca else self._keys.set_certificate
        self._tell(take(self._sent_text(request)))

    def _set_tls_key(self, request):
        self._tell(self._keys.set_key(self._sent_text(request)))

    def _clear_tls(self, _request):
        self._listeners.stop_tls()
        self._keys.clear()
