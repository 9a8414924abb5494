"""What the network is told of us: our name, and a service for each port that is listened on.

An announcer tells it; the board gives one, and what makes one more for access point mode. It has:
    named(host_name)               the controller's name (bytes) for us, before any start() with it
    start(host_name, ip, netmask)  we are on the network: the name (any bytes), u32s of the records
    service(kind, port)            offer b"_http", ... on this port; 0: no longer
    stop()                         we leave the network; the services stay those that were said
    name()                         the name that it came to, "" while there is none
    step(now), due_ms(now)         as ConnectionManager's; -1: nothing is due
    on_active                      to be called when due_ms() has become sooner
Everything in the service thread. The note_ methods may be called in the middle of a TCP event:
they allocate nothing, and neither does step() when nothing changed that is to be told, or while
nothing is due.
"""

from micropython import const

from spinet import states
from spinet.compat import ticks_add, ticks_diff
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

    on_active = None

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

    def step(self, _now):
        """Nothing to do."""

    def due_ms(self, _now):
        """Never."""
        return -1


class Discovery:
    """Follows WiFi, the host name and the listeners. `active`: step() has something to do."""

    def __init__(self, announcer, make_captive, listeners, wlan):
        self.announcer = announcer
        self.captive = None  # from the first time on that we are an access point
        self._make_captive = make_captive
        announcer.on_active = self.note_due
        self.on_due = None  # called when step() has something to do at once; set by service
        self.active = False  # set by the note_ methods, cleared by step()
        self._noted = False  # the same: step() has something to do at once
        self._due = 0  # else ticks when it has; meaningful while active
        self.host_name = HOST_NAME  # bytes, as the controller set it
        announcer.named(HOST_NAME)
        self._listeners = listeners
        self._wlan = wlan
        self._moved = False  # WiFi or the name changed
        self._listed = False  # ports came or went
        self._state = states.WIFI_IDLE  # as it was announced in
        self._ports = [0] * len(KINDS)  # announced, by protocol

    # --- what changed

    def note_due(self):
        """An announcer has something to do."""
        self.active = True
        self._noted = True
        if self.on_due:
            self.on_due()

    def note_listeners(self):
        """Ports came or went."""
        self._listed = True
        self.note_due()

    def note_wifi(self):
        """The WiFi state or our address changed."""
        self._moved = True
        self.note_due()

    def set_host_name(self, name):
        """networkSetHostName: the name (bytes) we are to be known by."""
        if name != self.host_name:
            self.host_name = name
            self.announcer.named(name)
            self.note_wifi()

    # --- telling

    def step(self, now):
        """Called in each pass while active: tell what changed, and what else is due."""
        if not self._noted and ticks_diff(self._due, now) > 0:
            return
        self.active = self._noted = False
        try:
            self._tell(now)
        except MemoryError:  # some of it was said: all of it again, later
            self._moved = self._listed = self.active = True
            self._due = ticks_add(now, RETRY_MS)
            raise

    def _tell(self, now):
        if self._moved:
            self._moved = False
            self._move()
        if self._listed:
            self._listed = False
            self._offer()
        self.announcer.step(now)
        if self.captive:
            self.captive.step(now)
        self._look_ahead(now)

    def due_ms(self, now):
        """How long until step() has something to do, while active."""
        return 0 if self._noted else max(0, ticks_diff(self._due, now))

    def _look_ahead(self, now):
        first = self.announcer.due_ms(now)
        second = self.captive.due_ms(now) if self.captive else -1
        soonest = min(first, second) if first >= 0 and second >= 0 else max(first, second)
        if soonest >= 0:
            self.active = True
            self._due = ticks_add(now, soonest)

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
                self.captive.on_active = self.note_due
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
