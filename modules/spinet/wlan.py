"""Station and access point: one state machine over a radio.

A radio (a board's business) has:
    join(network)       begin to connect to a remembered Network
    outcome()           None while it is under way, "" once connected, else why it failed
    serve(network)      run as this access point; "" or why it failed
    leave()             off the air
    scan()              begin a scan;  found(): None while it runs, else a list of tuples
                        (ssid, mac, channel, rssi, auth, phy mode), in any order
    link(status)        fill in ip, netmask, gateway, rssi, mac, ssid, ... of a wire.NetworkStatus
    clients()           stations on our access point
    power(quarter_db)   transmit power
Nothing in it waits. All of this runs in the service thread; step() is called by the loop.
"""

from spinet import trace, wire
from spinet.port import ticks_add, ticks_diff

CONNECT_TIMEOUT_MS = 40000


class Wlan:
    """The WiFi state that controllers see, and the last error that they fetch."""

    def __init__(self, radio, networks):
        self.radio = radio
        self.networks = networks
        self.state = wire.WIFI_IDLE  # written by _set_state only
        self.last_error = b""
        self.rssi = wire.NO_RSSI  # of the connected station; refreshed by step()
        self.reconnects = 0
        self.using_dhcp = False
        self.on_change = None  # called as on_change(before, after); set by whoever wants to know
        self._told_state = wire.WIFI_IDLE  # as the controller last asked for it
        self._told_error = True  # False while last_error is news
        self._deadline = 0  # of a connection attempt
        self._scanning = False
        self._scan_for_client = False  # the scan is ours, to choose a network
        self._found = None  # what networkGetScanResult will get; None: no scan was started

    def _set_state(self, state):
        before = self.state
        self.state = state
        if state != wire.WIFI_CONNECTED:
            self.rssi = wire.NO_RSSI
        if self.on_change:
            self.on_change(before, state)

    # --- what the controller is told

    def fail(self, text):
        """This is the last error now."""
        self.last_error = text.encode()
        self._told_error = False
        trace.say(self.last_error)

    def forget_error(self):
        """A new command begins: what it does wrong is the last error from now on."""
        self.last_error = b""

    def has_news(self):
        """True while state or last error changed and the controller has not asked."""
        return self.state != self._told_state or bool(self.last_error and not self._told_error)

    def told(self):
        """networkGetLastError: state and error are no news any more, the error is cleared."""
        self._told_state = self.state
        self._told_error = True
        self.last_error = b""

    # --- commands; the caller has checked the state

    def may_start(self):
        """True when start_client and start_access_point are allowed."""
        return self.state == wire.WIFI_IDLE and not self._scanning

    def may_scan(self):
        """True in the states that allow a scan."""
        return self.state in (wire.WIFI_IDLE, wire.WIFI_CONNECTED)

    def start_client(self, ssid, now):
        """Join the network of this name (bytes), or with b"" the strongest one remembered."""
        if not ssid:
            self._scan_for_client = True
            self._scanning = True
            self._deadline = ticks_add(now, CONNECT_TIMEOUT_MS)
            self._set_state(wire.WIFI_CONNECTING)
            self.radio.scan()
            return
        network = self.networks.find(ssid)
        if network is None:
            self.fail("no data found for requested SSID")
            return
        self._join(network, now)

    def _join(self, network, now):
        self.using_dhcp = wire.config_ip(network.record) == 0
        self._deadline = ticks_add(now, CONNECT_TIMEOUT_MS)
        self._set_state(wire.WIFI_CONNECTING)
        self.radio.join(network)
        self._step_connecting(now)

    def start_access_point(self):
        """Be the access point of entry 0."""
        network = self.networks.access_point()
        if network is None:
            self.fail("no data found for access point")
            return
        problem = self.radio.serve(network)
        if problem:
            self.fail(problem)
        else:
            self._set_state(wire.WIFI_ACCESS_POINT)

    def stop(self):
        """Off the air, whatever was going on."""
        self.radio.leave()
        self.using_dhcp = False
        self.reconnects = 0
        self._scanning = False
        self._scan_for_client = False
        self._set_state(wire.WIFI_IDLE)

    def scan(self):
        """Begin a scan; the result of an earlier one is dropped."""
        self._found = None
        self._scanning = True
        self.radio.scan()

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

    def active(self):
        """True while step() has something to watch."""
        return self._scanning or self.state == wire.WIFI_CONNECTING

    def step(self, now):
        """Look after whatever is under way."""
        if self._scanning:
            self._step_scan(now)
        if self.state == wire.WIFI_CONNECTING and not self._scanning:
            self._step_connecting(now)

    def _step_scan(self, now):
        found = self.radio.found()
        if found is None:
            return
        self._scanning = False
        strongest_first = sorted(found, key=_rssi, reverse=True)
        if self._scan_for_client:
            self._scan_for_client = False
            self._join_strongest(strongest_first, now)
        else:
            self._found = strongest_first

    def _join_strongest(self, found, now):
        network = self.networks.strongest([entry[0] for entry in found])
        if network is None:
            self._set_state(wire.WIFI_IDLE)
            self.fail("no known networks found")
        else:
            self._join(network, now)

    def _step_connecting(self, now):
        outcome = self.radio.outcome()
        if outcome is None:
            if ticks_diff(now, self._deadline) >= 0:
                self._give_up("connecting timed out")
        elif outcome:
            self._give_up(outcome)
        else:
            self._set_state(wire.WIFI_CONNECTED)
            self.refresh()

    def _give_up(self, reason):
        self.radio.leave()
        self._set_state(wire.WIFI_IDLE)
        self.fail(reason)

    def refresh(self):
        """Ask the radio how strong the signal is; called about once a second."""
        if self.state == wire.WIFI_CONNECTED:
            self.rssi = self.radio.rssi()

    def fill(self, status):
        """The radio's part of a wire.NetworkStatus."""
        status.reconnects = self.reconnects
        status.dhcp = 1 if self.using_dhcp else 0
        status.rssi = self.rssi
        self.radio.link(status)
        if self.state == wire.WIFI_ACCESS_POINT:
            status.clients = self.radio.clients()


def _rssi(found):
    return found[3]
