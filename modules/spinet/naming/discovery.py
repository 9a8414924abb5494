"""What is announced: the module's name, and a service for each port that is listened on.

Announcers do it (contracts/announcer.py). Service thread only. poll() allocates nothing while
nothing is due and nothing has changed that must be announced.
"""

from micropython import const

from spinet import states
from spinet.compat import sooner, ticks_add, ticks_diff
from spinet.garbage import MUCH
from spinet.network_status import NetworkStatus

HOST_NAME = b"spinet"  # until the controller sets another
_RETRY_MS = const(2000)  # after a MemoryError
_MAX_LABEL = const(63)

# The index is the application protocol of a listener (docs/link-protocol.md, Records).
KINDS = (b"_http", b"_ftp", b"_telnet")


def label(host_name):
    """A label for a host name, made of this name (bytes): characters that a label may not have
    become hyphens, and hyphens at the ends are removed. b"spinet" when nothing is left."""
    fit = bytes(octet if _is_fit(octet) else 45 for octet in host_name)
    return fit.strip(b"-")[:_MAX_LABEL].strip(b"-") or HOST_NAME


def _is_fit(octet):
    return 48 <= octet <= 57 or 65 <= octet <= 90 or 97 <= octet <= 122


class Discovery:
    """Announces what changes: WiFi, the host name and the listeners.

    `make_announcers(stir)` is the board's announcers(): it returns an announcer, and a function
    that makes one more for access point mode. `stir()` makes the loop call poll().
    """

    def __init__(self, make_announcers, listeners, wlan, stir, garbage):
        self.host_name = HOST_NAME
        self.announcer, self._make_captive = make_announcers(self.note_due)
        self.captive = None  # made when access point mode is first entered
        self._listeners = listeners
        self._wlan = wlan
        self._stir = stir
        self._garbage = garbage
        self._noted = False  # poll() has something to do at once
        self._timed = False  # poll() has something to do at _due
        self._due = 0
        self._renamed = False
        self._wifi_changes = wlan.changes  # this and _port_changes: what was announced last
        self._port_changes = listeners.changes
        self._state = states.WIFI_IDLE  # the state in which the announcers were started
        self._ports = [0] * len(KINDS)  # the port announced for each protocol, 0: none
        self.announcer.named(self.host_name)

    def note_due(self):
        """An announcer has something to do, which will allocate."""
        self._noted = True
        self._garbage.spend(MUCH)
        self._stir()

    def set_host_name(self, name):
        """networkSetHostName: the module's name, as bytes."""
        if name != self.host_name:
            self.host_name = name
            self.announcer.named(name)
            self._renamed = True
            self.note_due()

    # --- telling

    def poll(self, now):
        """A task: announce what has changed, and poll the announcers when they are due."""
        if self._has_changed():
            self._garbage.spend(MUCH)
        elif not self._noted and not (self._timed and ticks_diff(now, self._due) >= 0):
            return max(0, ticks_diff(self._due, now)) if self._timed else -1
        self._noted = self._timed = False
        try:
            ms = self._tell(now)
        except MemoryError:  # some of it was announced: do all of it again later
            self._renamed = True
            self._port_changes = -1
            self._wait(now, _RETRY_MS)
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
        return sooner(first, second)

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
        """The module is about to leave the network: say goodbye while it is still connected."""
        if self._state != states.WIFI_IDLE:
            self._state = states.WIFI_IDLE
            if self.captive:
                self.captive.stop()
            self.announcer.stop()

    def _offer(self):
        """Tell the announcer each service whose port has changed."""
        for protocol in range(len(self._ports)):
            port = self._port_of(protocol)
            if port != self._ports[protocol]:
                self.announcer.service(KINDS[protocol], port)
                self._ports[protocol] = port

    def _port_of(self, protocol):
        """The first listener's port for this protocol without TLS, 0 for none."""
        for entry in self._listeners.entries:
            if entry and entry.protocol == protocol and not entry.tls:
                return entry.port
        return 0
