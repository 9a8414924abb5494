"""The chip's WiFi as a radio: see spinet.wlan for what a radio is.

`network.WLAN` tells neither an access point's MAC nor its PHY mode, and knows no enterprise
networks. Its scan() takes seconds, so that it runs in a thread of its own.
"""

import network

from spinet import wire
from spinet.port import start_thread, ticks_add, ticks_diff, ticks_ms
from spinet.socket_calls import dotted

# WLAN.status() goes on giving the last attempt's reason until the new attempt has one: that value
# is believed only after this time.
STALE_MS = 4000

FAILURES = {
    network.STAT_WRONG_PASSWORD: "wrong password",
    network.STAT_NO_AP_FOUND: "network not found",
}
UNDER_WAY = (network.STAT_IDLE, network.STAT_CONNECTING)
KNOWN_AUTH = 8  # the numbers of ESP-IDF and of the protocol are the same up to here

WPA2 = 3
OPEN = 0


class ChipRadio:
    """Station and access point of one chip; one of them at a time."""

    def __init__(self):
        self._station = network.WLAN(network.STA_IF)
        self._access_point = network.WLAN(network.AP_IF)
        self._network = None  # the one we joined or serve
        self._serving = False
        self._refusal = ""  # why the attempt could not even begin
        self._stale = None  # the status that an earlier attempt left
        self._stale_until = 0
        self._static = False  # the station's address was set by hand
        self._tx_power = None  # in dBm, once the controller has said
        self._scans = 0  # counts them: a scan that was overtaken is not wanted any more
        self._found = None  # written by the thread of the scan, last

    # --- station

    def join(self, remembered):
        self._leave_access_point()
        self._network = remembered
        self._refusal = ""
        if wire.config_eap(remembered.record):
            self._refusal = "this firmware cannot join enterprise networks"
            return
        try:
            self._connect(remembered)
        except (OSError, RuntimeError) as e:
            self._refusal = "cannot connect: %s" % e

    def _connect(self, remembered):
        station = self._station
        station.active(True)
        self._stale = station.status()
        self._stale_until = ticks_add(ticks_ms(), STALE_MS)
        self._set_addresses(remembered.record)
        self._apply_power(station)
        station.connect(remembered.ssid, wire.config_password(remembered.record) or None)

    def _set_addresses(self, record):
        if wire.config_ip(record):
            self._station.ifconfig(_addresses(record))
            self._static = True
        elif self._static:
            self._station.ifconfig("dhcp")
            self._static = False

    def outcome(self):
        """None while it is under way, "" once connected, else why it failed."""
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
        return FAILURES.get(status) or "connecting failed (reason %d)" % status

    def rssi(self):
        try:
            return self._station.status("rssi")
        except (OSError, RuntimeError):
            return wire.NO_RSSI  # the access point has just gone

    # --- access point

    def serve(self, remembered):
        self._leave_station()
        self._network = remembered
        try:
            self._open(remembered)
        except (OSError, RuntimeError) as e:
            self._leave_access_point()
            return "cannot be an access point: %s" % e
        self._serving = True
        return ""

    def _open(self, remembered):
        record = remembered.record
        password = wire.config_password(record)
        access_point = self._access_point
        access_point.active(True)
        access_point.config(
            ssid=remembered.ssid,
            key=password,
            security=WPA2 if password else OPEN,
            channel=wire.config_channel(record) or 1,
        )
        access_point.ifconfig(_addresses(record))
        self._apply_power(access_point)

    def clients(self):
        return len(self._access_point.status("stations"))

    # --- both

    def leave(self):
        self._scans += 1
        self._leave_station()
        self._leave_access_point()
        self._network = None

    def _leave_station(self):
        if self._station.active():
            self._station.disconnect()
            self._station.active(False)

    def _leave_access_point(self):
        self._serving = False
        if self._access_point.active():
            self._access_point.active(False)

    def is_up(self):
        """True while others can reach us."""
        return self._serving or self._station.isconnected()

    def power(self, quarter_db):
        self._tx_power = quarter_db / 4
        for interface in (self._station, self._access_point):
            if interface.active():
                self._apply_power(interface)

    def _apply_power(self, interface):
        if self._tx_power is not None:
            interface.config(txpower=self._tx_power)

    def link(self, status):
        """Address, network and channel that the controller is told."""
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
            status.auth = wire.AUTH_WPA2 if self._has_password() else wire.AUTH_OPEN

    def _has_password(self):
        return bool(wire.config_password(self._network.record))

    # --- scan

    def scan(self):
        self._found = None
        self._scans += 1
        start_thread(self._scan, (self._scans,))

    def found(self):
        return self._found

    def _scan(self, number):
        try:
            self._station.active(True)
            found = [_found(entry) for entry in self._station.scan() if entry[0]]
        except (OSError, RuntimeError):
            found = []  # the radio is busy connecting
        if number == self._scans:
            self._found = found


def _found(entry):
    ssid, mac, channel, rssi, auth, _ = entry
    return (ssid, mac, channel, rssi, auth if auth <= KNOWN_AUTH else wire.AUTH_UNKNOWN, 0)


def _addresses(record):
    """What ifconfig() takes: address, netmask, gateway, name server."""
    gateway = dotted(wire.config_gateway(record))
    return (
        dotted(wire.config_ip(record)),
        dotted(wire.config_netmask(record)),
        gateway,
        gateway,
    )


def _u32(dotted):
    a, b, c, d = (int(octet) for octet in dotted.split("."))
    return a | b << 8 | c << 16 | d << 24
