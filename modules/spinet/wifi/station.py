"""The station: from networkStartClient to networkStop, with reconnections after lost links.

It is always in one *phase*, and each phase has one function that looks after it:
    off         no connection was asked for, or the attempt has failed
    scanning    to choose the access point
    joining     the radio tries to connect
    up          connected; watch() notices when the link is lost
    rejoining   the link was lost: the radio tries the same access point again
    pausing     after a failed attempt to reconnect, until the next scan
    failed      networkStartClient failed before SOONEST_MS were over; the controller is told then

The scan chooses an access point, and the first attempt is *pinned* to it; when that fails, the next
attempt lets the radio choose. A controller can neither stop attempts nor send another password
while they go on, so every phase except up has a time limit, and a refused password ends it at once.
The controller sees the state of Wlan and the last error. Service thread only.

A controller with NINA's protocol can do both. It sends the network with its password: start() is
*given* it. After a lost link such a network is sought without a time limit, and it is not
remembered.
"""

from micropython import const

from spinet import states
from spinet.compat import ticks_add, ticks_diff
from spinet.wifi import config

CONNECT_TIMEOUT_MS = const(40000)  # to connect, or to reconnect, with all scans and attempts
SCAN_TIMEOUT_MS = const(15000)  # a scan takes 3 s; one that takes 15 s will never end
REJOIN_TIMEOUT_MS = const(15000)  # for the same access point to come back
PAUSE_MS = const(2000)  # between attempts to reconnect
SOONEST_MS = const(2000)  # before a failure is told, as controllers try again at once

_OFF = const(0)
_SCANNING = const(1)
_JOINING = const(2)
_UP = const(3)
_REJOINING = const(4)
_PAUSING = const(5)
_FAILED = const(6)

UNKNOWN_NAME = "no data found for requested SSID"
NOTHING_KNOWN = "no known networks found"
SCAN_FAILED = "network scan failed"
TIMED_OUT = "connecting timed out"
NO_ADDRESS = "no address by DHCP"
LOST = "connection lost, auto-reconnecting"
RECONNECTED = "reconnected"

# Outcomes of a radio: the access point refuses the credentials, so no further attempt is made.
WRONG_PASSWORD = "wrong password"
LOGIN_REFUSED = "enterprise login refused"
REFUSALS = (WRONG_PASSWORD, LOGIN_REFUSED)


def strongest_first(found):
    """The networks that a radio found, in the order for the controller."""
    return sorted(found, key=_rssi, reverse=True)


def _rssi(found):
    return found[3]


class Station:
    """One connection to an access point, or the search for one."""

    def __init__(self, wlan, radio, networks, error):
        self._wlan = wlan
        self._error = error  # the LastError
        self._radio = radio
        self._networks = networks
        self.network = None  # the network being joined, or connected to; set by _join()
        self.using_dhcp = False  # set by _join()
        self.reconnects = 0  # attempts after lost links, since networkStop
        self.cause = 0  # ESP-IDF's reason why the last attempt failed or the link was lost; 0: none
        self._wanted = b""  # the SSID that start() was given, b"": the strongest known
        self._given = None  # the Network that start() was given; None: a remembered one
        self._phase = _OFF
        self._deadline = 0  # of connecting, rejoining or reconnecting
        self._soonest = 0  # ticks: a failure of networkStartClient is told then at the earliest
        self._due = 0  # when the scan times out, or the pause is over
        self._pinned = False  # the attempt is only for the access point that the scan found
        self._reason = ""  # why the last attempt failed, since start() or since phase up

    # --- commands

    def start(self, ssid, now, network=None):
        """Join the network with this SSID (bytes), or with b"" the strongest remembered one.
        `network`: a Network with that SSID, to be joined in place of the remembered one."""
        self._wanted = ssid
        self._given = network
        self.cause = 0
        self._deadline = ticks_add(now, CONNECT_TIMEOUT_MS)
        self._soonest = ticks_add(now, SOONEST_MS)
        self._reason = ""
        self._wlan.set_state(states.WIFI_CONNECTING)
        self._seek(now)

    def stop(self):
        """Go to phase off; the caller stops the radio."""
        self._phase = _OFF
        self.network = None
        self.using_dhcp = False
        self.reconnects = 0

    def readdress(self, network):
        """The given network has other addresses: "" or why the radio cannot use them now."""
        self._given = network
        if self.network is None:
            return ""
        self._take(network)
        return self._radio.readdress(network)

    # --- time passes

    def active(self):
        """True while step() has something to look after."""
        return self._phase != _OFF and self._phase != _UP

    def needs_radio(self):
        """True while a scan would disturb the attempt that is under way."""
        return self._phase in (_SCANNING, _JOINING, _REJOINING)

    def step(self, now):
        """Do the phase's work, and check its time limit."""
        phase = self._phase
        if phase == _SCANNING:
            self._step_scanning(now)
        elif phase == _JOINING:
            self._step_joining(now)
        elif phase == _REJOINING:
            self._step_rejoining(now)
        elif phase == _PAUSING:
            self._step_pausing(now)
        elif phase == _FAILED:
            self._step_failed(now)
        if self.active() and ticks_diff(now, self._deadline) >= 0:
            self._run_out(now)

    def watch(self, now):
        """Check the link; called about once a second."""
        if self._phase == _UP and self._outcome() != "":
            self._lose(now)

    def _outcome(self):
        outcome = self._radio.outcome()
        if outcome:
            self.cause = self._radio.reason()
        return outcome

    # --- scanning

    def _seek(self, now):
        self._phase = _SCANNING
        self._due = ticks_add(now, SCAN_TIMEOUT_MS)
        self._radio.scan(self._wanted)
        self._step_scanning(now)

    def _step_scanning(self, now):
        found = self._radio.found()
        if found is not None:
            self._choose(strongest_first(found), now)
        elif ticks_diff(now, self._due) >= 0:
            self._fail(SCAN_FAILED, now)

    def _choose(self, found, now):
        if self._wanted:
            self._choose_by_name(found, now)
        else:
            self._choose_strongest(found, now)

    def _choose_by_name(self, found, now):
        network = self._given or self._networks.find(self._wanted)
        if network is None:
            self._end(UNKNOWN_NAME, now)
            return
        for entry in found:
            if entry[0] == self._wanted:
                self._join(network, entry, now)
                return
        self._join(network, None, now)  # it may be hidden: let the radio try

    def _choose_strongest(self, found, now):
        for entry in found:
            network = self._networks.find(entry[0])
            if network is not None:
                self._join(network, entry, now)
                return
        self._fail(self._radio.scan_problem() or NOTHING_KNOWN, now)

    # --- joining

    def _join(self, network, entry, now):
        """Begin an attempt. entry: the access point that a scan found; None: the radio chooses."""
        self._take(network)
        self._pinned = entry is not None
        self._phase = _JOINING
        self._radio.join(network, (entry[1], entry[2]) if entry else None)
        self._step_joining(now)

    def _take(self, network):
        self.network = network
        self.using_dhcp = config.ip(network.record) == 0

    def _step_joining(self, now):
        outcome = self._outcome()
        if outcome == "":
            self._arrive(now)
        elif outcome and self._pinned and outcome not in REFUSALS:
            self._join(self.network, None, now)
        elif outcome:
            self._fail(outcome, now)

    def _arrive(self, now):
        again = self._wlan.state != states.WIFI_CONNECTING
        self._phase = _UP
        self._reason = ""
        self._wlan.set_state(states.WIFI_CONNECTED)
        self._wlan.refresh(now)
        if again:
            self._error.set(self._named(RECONNECTED))

    # --- failures

    def _fail(self, reason, now):
        """An attempt has failed. While reconnecting another one follows, unless it was refused."""
        if self._wlan.state == states.WIFI_CONNECTING or reason in REFUSALS:
            self._end(reason, now)
            return
        self._reason = reason
        self._radio.pause()
        self._phase = _PAUSING
        self._due = ticks_add(now, PAUSE_MS)

    def _step_pausing(self, now):
        if ticks_diff(now, self._due) >= 0 and not self._wlan.scanning:
            self._reconnect(now)

    def _run_out(self, now):
        """The phase's time limit is reached."""
        reason = self._reason or TIMED_OUT
        if self.using_dhcp and self._radio.associated():
            reason = NO_ADDRESS
        if self._phase == _REJOINING:
            self._rejoin_failed(reason, now)
        elif self._given and self._wlan.state == states.WIFI_RECONNECTING:
            self._deadline = ticks_add(now, CONNECT_TIMEOUT_MS)
            self._fail(reason, now)
        else:
            self._end(reason, now)

    def _end(self, reason, now):
        """Make no more attempts."""
        self._radio.leave()
        self._reason = self._named(reason)
        self.network = None
        self.using_dhcp = False
        self._phase = _FAILED
        self._step_failed(now)

    def _step_failed(self, now):
        """Go idle and set the last error; after networkStartClient not before _soonest."""
        connecting = self._wlan.state == states.WIFI_CONNECTING
        if not connecting or ticks_diff(now, self._soonest) >= 0:
            self._phase = _OFF
            self._wlan.set_state(states.WIFI_IDLE)
            self._error.set(self._reason)

    def _named(self, reason):
        """The reason, with the network's SSID before it if it concerns one network."""
        if self.network is None or reason in (UNKNOWN_NAME, NOTHING_KNOWN):
            return reason
        return self.network.ssid + b": " + reason.encode()

    # --- lost links

    def _lose(self, now):
        self.reconnects += 1
        self._phase = _REJOINING
        self._deadline = ticks_add(now, REJOIN_TIMEOUT_MS)
        self._wlan.set_state(states.WIFI_AUTO_RECONNECTING)
        self._error.set(self._named(LOST))
        self._radio.rejoin()

    def _step_rejoining(self, now):
        outcome = self._outcome()
        if outcome == "":
            self._arrive(now)
        elif outcome in REFUSALS:
            self._end(outcome, now)
        elif outcome:
            self._rejoin_failed(outcome, now)

    def _rejoin_failed(self, reason, now):
        """Go on with a scan before each attempt, as the network may have changed its channel."""
        self._radio.pause()
        self._wlan.set_state(states.WIFI_RECONNECTING)
        self._error.set(self._named("auto-reconnect failed, reconnecting: " + reason))
        self._deadline = ticks_add(now, CONNECT_TIMEOUT_MS)
        self._reconnect(now)

    def _reconnect(self, now):
        self.reconnects += 1
        self._seek(now)
