"""Commands of WiFi: joining, addresses, what is in the air.

A join is not remembered. When the link is lost, the station seeks the network again until the
driver joins another one or disconnects; meanwhile each of the driver's own joins begins anew.
"""

from micropython import const

from spinet import states
from spinet.fields import put_u32
from spinet.network_status import NetworkStatus
from spinet.wifi import config
from spinet.wifi.networks import Network, is_access_point

# Answers of 20
_NEVER_JOINED = const(0)
_FAILED = const(4)
_LOST = const(6)
_SERVES = const(7)
_HAS_STATIONS = const(8)
_SERVES_NOT = const(9)
# The index is Wlan's state; that of idle is kept in Wifi.
_STATUS = bytes((_NEVER_JOINED, _NEVER_JOINED, _SERVES, 1, 3, _LOST, _LOST))

_OWN_IP = const(0x0104A8C0)  # 192.168.4.1, as a record has it
_OWN_NETMASK = const(0x00FFFFFF)

# Where a record's credentials have what the drivers give; a certificate of the CA is at 1.
_ANONYMOUS_ID = const(0)
_USER = const(2)
_PASSWORD = const(3)
_PEAP = const(2)  # as a record has it: PEAP with MSCHAPv2
_NINA_PEAP = const(0)  # the only method of 40

_CONNECTION_FAIL = const(205)  # ESP-IDF's reason for a failure that it gave no reason for

# The index is a network's authentication (ESP-IDF's): open, WEP, WPA, WPA2, mixed, and others
_ENCRYPTIONS = bytes((7, 5, 2, 4, 4, 255, 255, 4, 255, 255))
_UNKNOWN = const(255)
_NO_MAC = bytes(6)

_MOST_FOUND = const(10)  # MicroPython's driver has room for so many names,
_LONGEST_NAME = const(31)  # and each of them for so many bytes

_OK = const(1)
_NOT_OK = const(0)
_ADDRESS_OK = const(0)
_ADDRESS_NOT_OK = const(1)


class Wifi:
    """Serves these commands over the Wlan."""

    def __init__(self, wlan, discovery, manager):
        self._wlan = wlan
        self._radio = wlan.radio
        self._discovery = discovery
        self._manager = manager
        self._idle = _NEVER_JOINED  # the answer of 20 while Wlan is idle
        self._network = None  # the Network of the last join; None after a disconnect
        self._login = [b""] * config.CREDENTIALS  # of 4A, 4B and 4C
        self._login_for = None  # the SSID that it is for since 4F, b"": the next one; None: without
        self._addresses = bytes(12)  # ip, gateway, netmask of a record: for the next join, too
        self._status = NetworkStatus()  # reused
        self._scan_waits = False  # a scan is to begin once the station does not need the radio
        self._found = ()  # of the last scan, the networks that 27 told

    # --- joining

    def join_open(self, request):
        self._join(request, b"")

    def join(self, request):
        self._join(request, request.octets(1))

    def join_with_index(self, request):
        self._join(request, request.octets(2))

    def _join(self, request, key):
        ssid = request.octets(0)
        if not _is_joinable(ssid, key):
            request.answer_u8(_NOT_OK)
            return
        network = _network(ssid, key, self._addresses)
        if not key and self._login_for in (b"", ssid):
            self._login_for = ssid
            network = _enterprise(network, self._login)
        self._join_network(network)
        request.answer_u8(_OK)

    def _join_network(self, network):
        if not self._is_joining(network):
            self._leave()
            self._network = network
            self._idle = _FAILED
            self._wlan.station.start(network.ssid, self._manager.now, network)

    def _is_joining(self, network):
        """True when an attempt for just this is under way: drivers that are impatient repeat it."""
        if self._wlan.state != states.WIFI_CONNECTING:
            return False
        now = self._network
        if now is None:
            return False
        return now.record == network.record and now.credentials == network.credentials

    def _leave(self):
        self._manager.terminate_all()
        self._discovery.leave()  # while the module is still on the air
        self._wlan.stop()
        self._network = None

    def disconnect(self, request):
        self._leave()
        self._idle = _NEVER_JOINED
        request.answer_u8(_OK)

    def status(self):
        """The answer of 20."""
        state = self._wlan.state
        if state == states.WIFI_ACCESS_POINT and self._radio.clients():
            return _HAS_STATIONS
        return self._idle if state == states.WIFI_IDLE else _STATUS[state]

    def reason(self, request):
        failed = self.status() in (_FAILED, _LOST)
        request.answer_u8((self._wlan.station.cause or _CONNECTION_FAIL) if failed else 0)

    # --- enterprise networks

    def set_identity(self, request):
        self._keep(request, _ANONYMOUS_ID)

    def set_user(self, request):
        self._keep(request, _USER)

    def set_password(self, request):
        self._keep(request, _PASSWORD)

    def _keep(self, request, index):
        self._login[index] = request.octets(0)
        request.answer_u8(_OK)

    def enable_login(self, request):
        """CircuitPython's driver has named the network before, as an open one."""
        if request.params:
            request.refuse()  # another command, of WiFiNINA
            return
        network = self._network
        self._login_for = network.ssid if network else b""
        if network:
            self._join_network(_enterprise(network, self._login))
        request.answer_u8(_OK)

    def join_enterprise(self, request):
        """40 in WiFiNINA's form."""
        ssid = request.octets(1)
        served = request.u(0) == _NINA_PEAP and _is_joinable(ssid, b"")
        if served:
            login = (
                request.octets(4),
                request.octets(5),
                request.octets(2),
                request.octets(3),
                b"",
            )
            self._join_network(_enterprise(_network(ssid, b"", self._addresses), login))
        request.answer_u8(_OK if served else _NOT_OK)

    # --- the own access point

    def start_access_point(self, request):
        self._serve(request, b"", 1)

    def start_protected(self, request):
        self._serve(request, request.octets(1), 2)

    def _serve(self, request, key, i):
        """Parameter i is the channel. CircuitPython's driver sends as many zeros."""
        size = request.size(i)
        channel = size if size > 1 else request.u(i) or 1
        addresses = self._addresses
        if not config.ip(addresses):
            addresses = _addresses(_OWN_IP, _OWN_IP, _OWN_NETMASK)
        ssid = request.octets(0)
        network = _network(ssid, key, addresses, channel)
        served = _is_joinable(ssid, key) and is_access_point(network)
        if served:
            self._leave()
            self._wlan.serve(network)
            served = self._wlan.state == states.WIFI_ACCESS_POINT
        if not served:
            self._idle = _SERVES_NOT
        request.answer_u8(_OK if served else _NOT_OK)

    # --- names and addresses

    def set_host_name(self, request):
        self._discovery.set_host_name(request.octets(0))
        request.answer_u8(_OK)

    def set_address(self, request):
        self._addresses = _addresses(request.u(1), request.u(2), request.u(3))
        problem = ""
        if self._network is not None:
            record = self._addresses + self._network.record[12:]
            self._network = Network(record, self._network.credentials)
            problem = self._wlan.station.readdress(self._network)
        request.answer_u8(_ADDRESS_NOT_OK if problem else _ADDRESS_OK)

    def set_dns(self, request):
        self._radio.set_dns(request.u(1), request.u(2))
        request.answer_u8(_OK)

    def dns(self, request):
        first, second = self._radio.dns()
        request.begin_reply(2)
        request.put(first, 4)
        request.put(second, 4)

    def address(self, request):
        status = self._filled()
        request.begin_reply(3)
        request.put(status.ip, 4)
        request.put(status.netmask, 4)
        request.put(status.gateway, 4)

    def mac(self, request):
        request.answer_octets(_reversed(self._radio.mac()))

    # --- the access point that we are on

    def _filled(self):
        status = self._status
        status.clear()
        self._wlan.fill(status)
        return status

    def ssid(self, request):
        request.answer_octets(self._filled().ssid)

    def bssid(self, request):
        request.answer_octets(_reversed(self._filled().ap_mac))

    def rssi(self, request):
        connected = self._wlan.state == states.WIFI_CONNECTED
        _answer_i32(request, self._wlan.rssi if connected else 0)

    def encryption(self, request):
        request.answer_u8(_ENCRYPTIONS[self._filled().auth])

    # --- what is in the air

    def start_scan(self, request):
        self._found = ()
        self._scan_waits = True
        self._begin_scan()
        request.answer_u8(_OK)

    def _begin_scan(self):
        if self._scan_waits and not self._wlan.station.needs_radio():
            self._scan_waits = False
            self._wlan.scan(self._manager.now)

    def scan_result(self, request):
        request.wait(self._step_scan_result)
        self._step_scan_result(request)

    def _step_scan_result(self, request):
        self._begin_scan()
        if (self._scan_waits or self._wlan.scanning) and not request.expired:
            return
        self._take_found()
        if not self._found:
            request.answer_none()
            return
        request.begin_reply(len(self._found))
        for entry in self._found:
            request.put_octets(entry[0])

    def _take_found(self):
        """Names that the drivers have no room for are left out: cut, nothing could join them."""
        found = self._wlan.found
        if found is not None:
            fit = [entry for entry in found if 1 <= len(entry[0]) <= _LONGEST_NAME]
            self._found = fit[:_MOST_FOUND]
            self._wlan.drop_scan_result()

    def _entry(self, request):
        """The network that the command names; None when there is none."""
        i = request.u(0)
        return self._found[i] if i < len(self._found) else None

    def found_rssi(self, request):
        entry = self._entry(request)
        _answer_i32(request, entry[3] if entry else 0)

    def found_encryption(self, request):
        entry = self._entry(request)
        request.answer_u8(_ENCRYPTIONS[entry[4]] if entry else _UNKNOWN)

    def found_bssid(self, request):
        entry = self._entry(request)
        request.answer_octets(_reversed(entry[1] if entry else _NO_MAC))

    def found_channel(self, request):
        entry = self._entry(request)
        request.answer_u8(entry[2] if entry else 0)


def _answer_i32(request, number):
    request.begin_reply(1)
    request.put(number, 4)


def _reversed(mac):
    """The drivers turn it round again."""
    return bytes(reversed(mac))


def _is_joinable(ssid, key):
    """True when a record can hold both. The radio judges the key: WEP's are short."""
    if not config.is_ssid(ssid) or 0 in ssid or 0 in key:
        return False
    return len(key) < 64 or config.is_psk(key)


def _network(ssid, key, addresses, channel=0):
    record = bytearray(config.SIZE)
    record[0:12] = addresses
    record[12] = channel
    record[16 : 16 + len(ssid)] = ssid
    record[48 : 48 + len(key)] = key
    return Network(record)


def _enterprise(network, login):
    """The same network, to be logged in to. `login`: the credentials as in a record."""
    record = bytearray(network.record)
    for i in range(config.CREDENTIALS):
        put_u32(record, 48 + 4 * i, len(login[i]))
    config.set_eap(record, _PEAP)
    return Network(record, b"".join(login))


def _addresses(ip, gateway, netmask):
    """Addresses as in a record. Without a gateway it is host 1, as Arduino's config() has it."""
    if ip and not gateway:
        gateway = ip & 0xFFFFFF | 1 << 24
    octets = bytearray(12)
    put_u32(octets, 0, ip)
    put_u32(octets, 4, gateway)
    put_u32(octets, 8, netmask)
    return bytes(octets)
