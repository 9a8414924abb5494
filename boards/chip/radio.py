"""The chip's WiFi as a radio: see spinet/contracts/radio.py.

`network.WLAN` reports neither the access point it is connected to nor the PHY mode, and cannot
connect on a given channel. Its scan() takes seconds, so a thread calls it. Enterprise networks, the
country code, the access point and the name servers need the C module `_spinet_wifi`; without it,
joining an enterprise network fails with a last error that says so.
"""

import machine
import network
from micropython import const

from spinet import fields, network_status
from spinet.compat import WORKER_STACK, start_thread, ticks_add, ticks_diff, ticks_ms
from spinet.wifi import config
from spinet.wifi.station import LOGIN_REFUSED, WRONG_PASSWORD

try:
    import _spinet_wifi as wifi
except ImportError:
    wifi = None

# WLAN.status() returns the last attempt's reason until the new attempt has one. So a reason that is
# the same as the last one counts only after this time.
_STALE_MS = const(4000)

# ESP-IDF's reasons of a disconnection. Up to 67 they are those of 802.11, sent by the access point;
# from 200 on they are the driver's own. MicroPython reports 205 as 202.
FAILURES = {
    15: WRONG_PASSWORD,  # 4-way handshake time-out: the access point does not answer a wrong key
    23: LOGIN_REFUSED,
    200: "signal lost",
    network.STAT_NO_AP_FOUND: "network not found",
    network.STAT_WRONG_PASSWORD: WRONG_PASSWORD,
    204: WRONG_PASSWORD,  # handshake time-out, noticed by the driver
    210: "network has another kind of security",
    211: "network has another kind of security",
    212: "network not found",
}
_LAST_OF_80211 = const(67)
UNDER_WAY = (network.STAT_IDLE, network.STAT_CONNECTING)
_KNOWN_AUTH = const(8)  # the numbers of ESP-IDF and of the protocol are the same up to here

_WPA2 = const(3)
_OPEN = const(0)
_LEAST_POWER = const(8)  # in 0.25 dB: the driver refuses less, but controllers may send less
_CLIENTS = const(4)  # of the own access point, as controllers expect
NO_COUNTRY = "XX"  # the value of network.country() until it is set

# The index is eap_use()'s answer less one: the credential that the driver refused.
CREDENTIALS = ("anonymous identity", "CA certificate", "user", "password or key", "key password")


class ChipRadio:
    """Station and access point of a chip, never both at once."""

    def __init__(self):
        self._station = network.WLAN(network.STA_IF)
        self._access_point = network.WLAN(network.AP_IF)
        self._network = None  # the network that is joined or served
        self._serving = False
        self._pinned_to = bytes(6)  # the access point's MAC, if join() was given it
        self._refusal = ""  # why the attempt could not begin
        self._stale = None  # the status that an earlier attempt left
        self._stale_until = 0
        self._static = False  # the station has a static address
        self._tx_power = None  # in dBm, once the controller has set it
        self._power_mode = None  # WLAN's pm, once the controller has set it
        self._reason = 0  # the status that outcome() has seen last
        self._dns = (0, 0)  # the controller's name servers
        self._scans = 0  # counts scans, to tell the latest from superseded ones
        self._result = (0, None, "")  # of the last scan that ended: (its number, found, problem)

    # --- station

    def join(self, remembered, access_point=None):
        """Begin to connect. The driver takes no channel, so that of access_point is not used."""
        self._leave_access_point()
        self._network = remembered
        try:
            self._activate(self._station)
            self._refusal = self._log_in(remembered)
            if not self._refusal:
                self._connect(remembered, access_point)
        except (OSError, RuntimeError, MemoryError) as e:
            self._refusal = "cannot connect: %s" % e

    def _activate(self, interface):
        interface.active(True)
        if wifi and network.country() != NO_COUNTRY:
            wifi.set_country(network.country())
        self._apply_power(interface)

    def _log_in(self, remembered):
        """Give the driver the credentials of an enterprise network; "" or what is wrong."""
        protocol = config.eap(remembered.record)
        if wifi is None:
            return "this firmware cannot join enterprise networks" if protocol else ""
        if not protocol:
            wifi.eap_clear()  # or the driver would use the last network's credentials
            return ""
        credentials = [remembered.credential(i) for i in range(config.CREDENTIALS)]
        refused = wifi.eap_use(protocol, credentials)
        return _refused_login(refused) if refused else ""

    def _connect(self, remembered, access_point):
        self._set_addresses(remembered.record)
        # Station makes further attempts: the port would retry for ever, and hide most reasons.
        self._station.config(reconnects=0)
        self._apply_power_mode()
        self._begin()
        password = b"" if config.eap(remembered.record) else _password(remembered)
        bssid = access_point[0] if access_point else None
        self._pinned_to = bssid or bytes(6)
        self._station.connect(remembered.ssid, password or None, bssid=bssid)

    def _begin(self):
        """An attempt begins: until _stale_until, status() may be the last one's."""
        self._refusal = ""
        self._stale = self._station.status()
        self._stale_until = ticks_add(ticks_ms(), _STALE_MS)

    def rejoin(self):
        self._begin()
        try:
            self._station.connect()  # without arguments: the same network again
        except (OSError, RuntimeError, MemoryError) as e:
            self._refusal = "cannot connect: %s" % e

    def pause(self):
        try:
            self._station.disconnect()
        except (OSError, RuntimeError):
            pass  # it is off, or not connected

    def associated(self):
        return self.rssi() != network_status.NO_RSSI

    def _set_addresses(self, record):
        if config.ip(record):
            self._station.ifconfig(_addresses(record))
            self._static = True
        elif self._static:
            self._station.ifconfig("dhcp")
            self._static = False

    def readdress(self, remembered):
        self._network = remembered
        try:
            self._set_addresses(remembered.record)
        except (OSError, RuntimeError) as e:
            return "cannot use the address: %s" % e
        return ""

    def set_dns(self, first, second):
        self._dns = (first, second)

    def dns(self):
        if any(self._dns):
            return self._dns
        return (wifi.dns(0), wifi.dns(1)) if wifi else (_u32(self._station.ifconfig()[3]), 0)

    def outcome(self):
        """None while it is under way, "" once connected, else why it failed."""
        self._reason = 0
        if self._refusal:
            return self._refusal
        if self._station.isconnected():
            return ""
        status = self._station.status()
        if status in UNDER_WAY:
            return None
        if status == self._stale and ticks_diff(self._stale_until, ticks_ms()) > 0:
            return None
        self._stale = None
        self._reason = status
        return FAILURES.get(status) or _other_failure(status)

    def reason(self):
        return self._reason

    def rssi(self):
        try:
            return self._station.status("rssi")
        except (OSError, RuntimeError):
            return network_status.NO_RSSI  # not associated any more

    # --- access point

    def serve(self, remembered):
        self._leave_station()
        self._network = remembered
        try:
            self._open(remembered)
        except (OSError, RuntimeError, MemoryError) as e:
            self._leave_access_point()
            return "cannot be an access point: %s" % e
        self._serving = True
        return ""

    def _open(self, remembered):
        record = remembered.record
        password = _password(remembered)
        access_point = self._access_point
        self._activate(access_point)
        access_point.config(
            ssid=remembered.ssid,
            key=password,
            security=_WPA2 if password else _OPEN,
            channel=config.channel(record) or 1,
            max_clients=_CLIENTS,
        )
        ip = fields.dotted(config.ip(record))
        access_point.ifconfig((ip, fields.dotted(config.netmask(record)), ip, ip))

    def clients(self):
        return len(self._access_point.status("stations"))

    # --- both

    def leave(self):
        self._scans += 1
        self._leave_station()
        self._leave_access_point()
        if wifi:
            wifi.eap_clear()
        self._network = None

    def _leave_station(self):
        if self._station.active():
            self.pause()
            self._station.active(False)

    def _leave_access_point(self):
        self._serving = False
        if self._access_point.active():
            self._access_point.active(False)

    def is_up(self):
        """True while the module is connected, or serves as access point."""
        return self._serving or self._station.isconnected()

    def power(self, quarter_db):
        self._tx_power = max(quarter_db, _LEAST_POWER) / 4
        for interface in (self._station, self._access_point):
            if interface.active():
                self._apply_power(interface)

    def _apply_power(self, interface):
        if self._tx_power is not None:
            interface.config(txpower=self._tx_power)

    def save_power(self, on):
        self._power_mode = self._station.PM_PERFORMANCE if on else self._station.PM_NONE
        try:
            self._apply_power_mode()
        except (OSError, RuntimeError):
            pass  # it is off, or connecting: the next attempt applies it

    def _apply_power_mode(self):
        if self._power_mode is not None:
            self._station.config(pm=self._power_mode)

    def mac(self):
        """The chip's own MAC while the driver tells none."""
        mac = self._station.config("mac")
        return mac if any(mac) else machine.unique_id()

    def link(self, status):
        """Fill in the network's part of a NetworkStatus."""
        interface = self._access_point if self._serving else self._station
        ip, netmask, gateway, _ = interface.ifconfig()
        status.ip = _u32(ip)
        status.netmask = _u32(netmask)
        status.gateway = _u32(gateway)
        status.mac = interface.config("mac")
        status.channel = interface.config("channel")
        status.ssid = self._network.ssid
        if self._serving:
            status.ap_mac = status.mac
            status.auth = (
                network_status.AUTH_WPA2 if _password(self._network) else network_status.AUTH_OPEN
            )
        else:
            self._fill_access_point(status)

    def _fill_access_point(self, status):
        status.ap_mac = self._pinned_to
        if wifi:
            mac = bytearray(6)
            auth = wifi.access_point(mac)
            if auth >= 0:
                status.ap_mac = bytes(mac)
                status.auth = _known_auth(auth)

    # --- scan

    def scan(self, ssid):
        """Begin a scan, always for all networks: MicroPython's scan() takes no name."""
        self._scans += 1
        if not self._station.isconnected():
            self.pause()  # the driver does not scan while it tries to connect
        try:
            self._activate(self._station)  # not in the thread, which may run after leave()
            start_thread(self._scan, (self._scans,), WORKER_STACK)
        except (OSError, RuntimeError, MemoryError) as e:
            self._result = self._scans, [], "cannot scan: %s" % e

    def found(self):
        number, found, _ = self._result
        return found if number == self._scans else None

    def scan_problem(self):
        return self._result[2]

    def _scan(self, number):
        """In the thread. A superseded scan does nothing, as it could disturb a later attempt."""
        found = []
        problem = ""
        try:
            if number == self._scans:
                found = [_found(entry) for entry in self._station.scan() if entry[0]]
        except (OSError, RuntimeError, MemoryError) as e:
            problem = "cannot scan: %s" % e
        if number == self._scans:
            self._result = number, found, problem


def _other_failure(reason):
    if reason <= _LAST_OF_80211:
        return "refused by the access point (reason %d)" % reason
    return "connecting failed (reason %d)" % reason


def _refused_login(code):
    """code: of eap_use(); 1..5 is a refused credential, above that another error."""
    if code <= len(CREDENTIALS):
        return "enterprise login is unusable: bad " + CREDENTIALS[code - 1]
    return "enterprise login is unusable (error %d)" % code


def _password(remembered):
    return config.password(remembered.record)


def _found(entry):
    ssid, mac, channel, rssi, auth, _ = entry
    return (
        ssid,
        mac,
        channel,
        rssi,
        _known_auth(auth),
        0,
    )


def _known_auth(auth):
    return auth if auth <= _KNOWN_AUTH else network_status.AUTH_UNKNOWN


def _addresses(record):
    """The argument of ifconfig(): address, netmask, gateway, name server."""
    gateway = fields.dotted(config.gateway(record))
    return (
        fields.dotted(config.ip(record)),
        fields.dotted(config.netmask(record)),
        gateway,
        gateway,
    )


def _u32(dotted):
    a, b, c, d = (int(octet) for octet in dotted.split("."))
    return a | b << 8 | c << 16 | d << 24
