"""WiFi as the controller sees it, in one state: station, access point and scan.

The station's part is station.py; the radio is a board's (contracts/radio.py). All of this runs in
the service thread.
"""

from micropython import const

from spinet import network_status, states, trace
from spinet.compat import ticks_add, ticks_diff
from spinet.wifi.networks import is_access_point
from spinet.wifi.station import SCAN_FAILED, SCAN_TIMEOUT_MS, Station, strongest_first

_IDLE = states.WIFI_IDLE
WATCH_MS = const(20)  # how often is looked at what is under way

# For each state, the set of states that may follow, as a bit map.
LEGAL = bytes(
    (
        0,  # disabled: we are never
        1 << states.WIFI_CONNECTING | 1 << states.WIFI_ACCESS_POINT,  # idle
        1 << _IDLE,  # access point
        1 << states.WIFI_CONNECTED | 1 << _IDLE,  # connecting
        1 << states.WIFI_AUTO_RECONNECTING | 1 << _IDLE,  # connected
        # auto-reconnecting
        1 << states.WIFI_CONNECTED | 1 << states.WIFI_RECONNECTING | 1 << _IDLE,
        1 << states.WIFI_CONNECTED | 1 << _IDLE,  # reconnecting
    )
)


class Wlan:
    """The WiFi state that controllers see. `stir()`: there may be something to watch, or news."""

    def __init__(self, radio, networks, error, stir, debug=False):
        self.radio = radio
        self.networks = networks
        self.state = _IDLE  # written by set_state only
        self.rssi = network_status.NO_RSSI  # of the connected station; refreshed by refresh()
        self.changes = 0  # of the state, so far
        self.faults = 0  # illegal moves, in builds that do not raise
        self.station = Station(self, radio, networks, error)
        self._error = error  # the LastError
        self._stir = stir
        self._debug = debug
        self._told_state = _IDLE  # as the controller last got it when it asked
        self._scanning = False  # for the controller; the station's own scans are its business
        self._scan_due = 0  # when that scan is given up
        self._found = None  # what networkGetScanResult will get; None: no scan was started

    def set_state(self, state):
        """The one place where the state changes; called by the station and by the commands here."""
        before = self.state
        if state == before:
            return
        if not LEGAL[before] >> state & 1:
            self._fault(before, state)
        self.state = state
        self.changes += 1
        trace.note(trace.WIFI, trace.NO_SLOT, state, before)
        self._stir()
        if state != states.WIFI_CONNECTED:
            self.rssi = network_status.NO_RSSI

    def _fault(self, before, state):
        self.faults += 1
        if self._debug:
            raise ValueError("WiFi state %d after %d" % (state, before))

    # --- what the controller is told

    def has_news(self):
        """True while state or last error changed and the controller has not asked."""
        return self.state != self._told_state or self._error.is_news()

    def told(self, state, error):
        """networkGetLastError has brought the controller this state and this last error."""
        self._told_state = state
        self._error.told(error)

    # --- commands; the caller has checked the state

    def may_start(self):
        """True when start_client and start_access_point are allowed."""
        return self.state == _IDLE and not self._scanning

    def may_scan(self):
        """True in the states that allow a scan."""
        return self.state in (_IDLE, states.WIFI_CONNECTED)

    def start_client(self, ssid, now):
        """Join the network of this name (bytes), or with b"" the strongest one remembered."""
        self.station.start(ssid, now)

    def start_access_point(self):
        """Be the access point of entry 0."""
        network = self.networks.access_point()
        if network is None:
            self._error.set("no data found for access point")
        elif not is_access_point(network):
            self._error.set("invalid access point configuration")
        else:
            self._serve(network)

    def _serve(self, network):
        problem = self.radio.serve(network)
        if problem:
            self.radio.leave()
            self._error.set(problem)
        else:
            self.set_state(states.WIFI_ACCESS_POINT)

    def stop(self):
        """Off the air, whatever was going on."""
        self.radio.leave()
        self.station.stop()
        self._scanning = False
        self.set_state(_IDLE)

    def scan(self, now):
        """Begin a scan; the result of an earlier one is dropped."""
        self._found = None
        self._scanning = True
        self._stir()
        self._scan_due = ticks_add(now, SCAN_TIMEOUT_MS)
        self.radio.scan(b"")

    def scanning(self):
        """True while a scan is under way."""
        return self._scanning

    def scan_result(self):
        """What the last scan found, strongest first; None when none was made."""
        return self._found

    def drop_scan_result(self):
        """The controller has it."""
        self._found = None

    # --- time passes

    def poll(self, now):
        """A task: watch what is under way."""
        if not self.active():
            return -1
        self.step(now)
        return WATCH_MS if self.active() else -1

    def active(self):
        """True while step() has something to watch."""
        return self._scanning or self.station.active()

    def step(self, now):
        """Look after whatever is under way."""
        if self._scanning:
            self._step_scan(now)
        self.station.step(now)

    def _step_scan(self, now):
        found = self.radio.found()
        if found is not None:
            self._scanning = False
            self._take_found(found)
        elif ticks_diff(now, self._scan_due) >= 0:
            self._scanning = False
            self._error.set(SCAN_FAILED)

    def _take_found(self, found):
        problem = self.radio.scan_problem()
        if problem:
            self._error.set(problem)
        else:
            self._found = strongest_first(found)

    def refresh(self, now):
        """About once a second: the signal, and whether the link is still there.

        Not during a scan: the radio is off our channel then, and cannot begin anything anyway.
        """
        if self.state == states.WIFI_CONNECTED:
            self.rssi = self.radio.rssi()
            if not self._scanning:
                self.station.watch(now)

    def fill(self, status):
        """The WiFi part of a NetworkStatus."""
        status.reconnects = self.station.reconnects
        status.dhcp = 1 if self.station.using_dhcp else 0
        status.rssi = self.rssi
        if self.state == states.WIFI_CONNECTED:
            self.radio.link(status)
        elif self.state == states.WIFI_ACCESS_POINT:
            self.radio.link(status)
            status.clients = self.radio.clients()
