"""What the network is told of us: our name, and a service for each port that is listened on.

Announcers tell it (contracts/announcer.py). Service thread only. poll() allocates nothing while
nothing is due and nothing has changed that is to be told.
"""

from micropython import const

from spinet import states
from spinet.compat import ticks_add, ticks_diff
from spinet.garbage import MUCH
from spinet.network_status import NetworkStatus

HOST_NAME = b"spinet"  # until the controller sets another
RETRY_MS = const(2000)  # after a want of memory
_MAX_LABEL = const(63)

# By the application protocol that a listener was started with (link protocol, Records).
KINDS = (b"_http", b"_ftp", b"_telnet")


def label(host_name):
    """What of a name (bytes) is fit to be a host name's label; b"spinet" when nothing is."""
    fit = bytes(octet if _is_fit(octet) else 45 for octet in host_name)
    return fit.strip(b"-")[:_MAX_LABEL].strip(b"-") or HOST_NAME


def _is_fit(octet):
    return 48 <= octet <= 57 or 65 <= octet <= 90 or 97 <= octet <= 122


class Silent:
    """An announcer that tells nobody anything: for boards and tests without one."""

    def named(self, _host_name):
        """Nobody is told."""

    def start(self, _host_name, _ip, _netmask):
        """Nobody is told."""

    def service(self, _kind, _tcp_port):
        """Nobody is told."""

    def stop(self):
        """Nobody was told."""

    def name(self):
        """None."""
        return ""

    def poll(self, _now):
        """Nothing has a time."""
        return -1


class Discovery:
    """Follows WiFi, the host name and the listeners.

    `make_announcers(stir)` gives the board's announcer, and what makes one more for access point
    mode. `stir()` brings a poll() about.
    """

    def __init__(self, make_announcers, listeners, wlan, stir, garbage):
        self.host_name = HOST_NAME
        self.announcer, self._make_captive = make_announcers(self.note_due)
        self.captive = None  # from the first time on that we are an access point
        self._listeners = listeners
        self._wlan = wlan
        self._stir = stir
        self._garbage = garbage
        self._noted = False  # poll() has something to do at once
        self._timed = False  # else it has when _due comes
        self._due = 0
        self._renamed = False
        self._wifi_changes = wlan.changes  # as it was announced
        self._port_changes = listeners.changes
        self._state = states.WIFI_IDLE  # as it was announced in
        self._ports = [0] * len(KINDS)  # announced, by protocol
        self.announcer.named(self.host_name)

    def note_due(self):
        """An announcer has something to do, and allocates."""
        self._noted = True
        self._garbage.spend(MUCH)
        self._stir()

    def set_host_name(self, name):
        """networkSetHostName: the name (bytes) we are to be known by."""
        if name != self.host_name:
            self.host_name = name
            self.announcer.named(name)
            self._renamed = True
            self.note_due()

    # --- telling

    def poll(self, now):
        """Tell what has changed, and what else is due."""
        if self._has_changed():
            self._garbage.spend(MUCH)
        elif not self._noted and not (self._timed and ticks_diff(now, self._due) >= 0):
            return max(0, ticks_diff(self._due, now)) if self._timed else -1
        self._noted = self._timed = False
        try:
            ms = self._tell(now)
        except MemoryError:  # some of it was said: all of it again, later
            self._renamed = True
            self._port_changes = -1
            self._wait(now, RETRY_MS)
            raise
        self._wait(now, ms)
        return ms

    def _has_changed(self):
        return (
            self._renamed
            or self._wifi_changes != self._wlan.changes
            or self._port_changes != self._listeners.changes
        )

    def _wait(self, now, ms):
        self._timed = ms >= 0
        if ms >= 0:
            self._due = ticks_add(now, ms)

    def _tell(self, now):
        if self._renamed or self._wifi_changes != self._wlan.changes:
            self._wifi_changes = self._wlan.changes
            self._renamed = False
            self._move()
        if self._port_changes != self._listeners.changes:
            self._port_changes = self._listeners.changes
            self._offer()
        first = self.announcer.poll(now)
        second = self.captive.poll(now) if self.captive else -1
        return min(first, second) if first >= 0 and second >= 0 else max(first, second)

    def _move(self):
        self.leave()
        state = self._wlan.state
        if state != states.WIFI_CONNECTED and state != states.WIFI_ACCESS_POINT:
            return
        status = NetworkStatus()
        self._wlan.fill(status)
        self._state = state
        self.announcer.start(self.host_name, status.ip, status.netmask)
        if state == states.WIFI_ACCESS_POINT:
            if self.captive is None:
                self.captive = self._make_captive()
            self.captive.start(self.host_name, status.ip, status.netmask)

    def leave(self):
        """We are going off the network: say goodbye while somebody hears it."""
        if self._state != states.WIFI_IDLE:
            self._state = states.WIFI_IDLE
            if self.captive:
                self.captive.stop()
            self.announcer.stop()

    def _offer(self):
        """The announcer learns which port each kind is on, as far as it does not know."""
        for protocol in range(len(self._ports)):
            port = self._port_of(protocol)
            if port != self._ports[protocol]:
                self.announcer.service(KINDS[protocol], port)
                self._ports[protocol] = port

    def _port_of(self, protocol):
        """The first port without TLS that is listened on for it, 0 for none."""
        for entry in self._listeners.entries:
            if entry and entry.protocol == protocol and not entry.tls:
                return entry.port
        return 0
