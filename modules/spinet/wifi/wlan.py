"""WiFi as the controller sees it: one state for station and access point, and the scan.

station.py has the station's part; the radio is the board's (contracts/radio.py). Service thread
only.
"""

from micropython import const

from spinet import network_status, states, trace
from spinet.compat import ticks_add, ticks_diff
from spinet.wifi.networks import is_access_point
from spinet.wifi.station import SCAN_FAILED, SCAN_TIMEOUT_MS, Station, strongest_first

_IDLE = states.WIFI_IDLE
WATCH_MS = const(20)  # how often an attempt or a scan is checked

# For each state, the set of states that may follow, as a bit map.
LEGAL = bytes(
    (
        0,  # disabled: never used
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
    """The WiFi state that controllers see. `stir()` is called when it changes or a scan begins."""

    def __init__(self, radio, networks, error, stir, debug=False):
        self.radio = radio
        self.networks = networks
        self.state = _IDLE  # written by set_state only
        self.rssi = network_status.NO_RSSI  # of the connected access point; set by refresh()
        self.changes = 0  # counts changes of the state
        self.faults = 0  # illegal state changes, in builds that do not raise
        self.station = Station(self, radio, networks, error)
        self._error = error  # the LastError
        self._stir = stir
        self._debug = debug
        self._told_state = _IDLE  # the state that networkGetLastError last showed the controller
        self.scanning = False  # a scan for the controller is under way, not one of the station's
        self._scan_due = 0  # when that scan times out
        self.found = None  # the last scan's networks, strongest first; None: there is no result

    def set_state(self, state):
        """Change the state; the only place that does. Called by the station and the commands."""
        before = self.state
        if state == before:
            return
        if not LEGAL[before] >> state & 1:
            self.faults += 1
            if self._debug:
                raise ValueError("WiFi state %d after %d" % (state, before))
        self.state = state
        self.changes += 1
        trace.note(trace.WIFI, trace.NO_SLOT, state, before)
        self._stir()
        if state != states.WIFI_CONNECTED:
            self.rssi = network_status.NO_RSSI

    # --- news for the controller

    def has_news(self):
        """True while the controller has not fetched the latest state or last error."""
        return self.state != self._told_state or self._error.is_news()

    def told(self, state, error):
        """networkGetLastError has sent this state and this last error to the controller."""
        self._told_state = state
        self._error.told(error)

    # --- commands; the caller has checked the state

    def may_start(self):
        """True when start_client and start_access_point are allowed."""
        return self.state == _IDLE and not self.scanning

    def may_scan(self):
        """True in the states that allow a scan."""
        return self.state in (_IDLE, states.WIFI_CONNECTED)

    def start_access_point(self):
        """Start the access point that entry 0 describes."""
        network = self.networks.access_point()
        if network is None:
            self._error.set("no data found for access point")
        elif not is_access_point(network):
            self._error.set("invalid access point configuration")
        else:
            self.serve(network)

    def serve(self, network):
        """Become this access point; a failure sets the last error and leaves the state."""
        problem = self.radio.serve(network)
        if problem:
            self.radio.leave()
            self._error.set(problem)
        else:
            self.set_state(states.WIFI_ACCESS_POINT)

    def stop(self):
        """End everything and switch the radio off."""
        self.radio.leave()
        self.station.stop()
        self.scanning = False
        self.set_state(_IDLE)

    def scan(self, now):
        """Begin a scan; the result of an earlier one is dropped."""
        self.found = None
        self.scanning = True
        self._stir()
        self._scan_due = ticks_add(now, SCAN_TIMEOUT_MS)
        self.radio.scan(b"")

    def drop_scan_result(self):
        """The controller has fetched the result."""
        self.found = None

    # --- time passes

    def poll(self, now):
        """A task: check the attempt or scan under way."""
        if not self.active():
            return -1
        if self.scanning:
            self._step_scan(now)
        self.station.step(now)
        return WATCH_MS if self.active() else -1

    def active(self):
        """True while an attempt or a scan is under way."""
        return self.scanning or self.station.active()

    def _step_scan(self, now):
        found = self.radio.found()
        if found is not None:
            self.scanning = False
            self._take_found(found)
        elif ticks_diff(now, self._scan_due) >= 0:
            self.scanning = False
            self._error.set(SCAN_FAILED)

    def _take_found(self, found):
        problem = self.radio.scan_problem()
        if problem:
            self._error.set(problem)
        else:
            self.found = strongest_first(found)

    def refresh(self, now):
        """Update the RSSI, and check the link; called about once a second.

        The link is not checked during a scan: the radio is on other channels then, and could not
        begin to reconnect anyway.
        """
        if self.state == states.WIFI_CONNECTED:
            self.rssi = self.radio.rssi()
            if not self.scanning:
                self.station.watch(now)

    def fill(self, status):
        """Fill in the WiFi part of a NetworkStatus."""
        status.reconnects = self.station.reconnects
        status.dhcp = 1 if self.station.using_dhcp else 0
        status.rssi = self.rssi
        if self.state == states.WIFI_CONNECTED:
            self.radio.link(status)
        elif self.state == states.WIFI_ACCESS_POINT:
            self.radio.link(status)
            status.clients = self.radio.clients()
