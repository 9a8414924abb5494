"""A scripted radio for SIM: access points appear and vanish, refuse stations, and drop them.

A script has one event per line, at a time in seconds since SIM's start. docs/wifi.md has the whole
language:

    0   appears  Workshop password=correct-horse channel=6 rssi=-48
    60  vanishes Workshop
    90  appears  Workshop password=another-horse channel=11

The clock is an argument, so that tests can play hours at once.
"""

from radio import MAC, SimRadio

from spinet import network_status
from spinet.compat import ticks_diff, ticks_ms
from spinet.wifi import config
from spinet.wifi.station import LOGIN_REFUSED, WRONG_PASSWORD

NOT_FOUND = "network not found"
REFUSED = "refused by the access point"
SIGNAL_LOST = "signal lost"
REASONS = {  # ESP-IDF's
    LOGIN_REFUSED: 23,
    SIGNAL_LOST: 200,
    NOT_FOUND: 201,
    WRONG_PASSWORD: 202,
    REFUSED: 203,
}

# How long things take, in ms; `takes` in a script changes them.
TAKES = {
    "scan": 2000,
    "search": 2500,  # until the search for an absent access point ends
    "join": 300,  # until an access point accepts a station, or refuses it
    "handshake": 1200,  # until a wrong password is noticed
    "address": 700,  # until DHCP has answered
}
LOGIN = ("identity", "user")
SWITCHES = {"yes": True, "no": False}


class ScriptError(Exception):
    """A script has an error; the text says where and what."""


class AccessPoint:
    """A simulated access point. `drops` counts how often it dropped its stations."""

    def __init__(self, ssid, number):
        self.ssid = ssid
        self.mac = bytes((2, 0x53, 0x50, 1, 0, number))
        self.password = b""
        self.login = [b"", b""]  # anonymous identity and user that it wants; empty: any
        self.channel = 1
        self.rssi = -50
        self.refuses = False
        self.silent = False  # never answers a station
        self.dhcp = True
        self.hidden = False
        self.drops = 0

    def set(self, name, value):
        """One setting of a script. Raises ValueError."""
        if name == "password":
            self.password = _octets(value)
        elif name in LOGIN:
            self.login[LOGIN.index(name)] = _octets(value)
        elif name in ("channel", "rssi"):
            setattr(self, name, int(value))
        elif name in ("refuses", "silent", "dhcp", "hidden"):
            setattr(self, name, _switch(value))
        else:
            raise ValueError("'%s' is no setting of an access point" % name)

    def entry(self):
        """Its tuple, as in a radio's found()."""
        auth = network_status.AUTH_WPA2 if self.password else network_status.AUTH_OPEN
        return (self.ssid, self.mac, self.channel, self.rssi, auth, 3)

    def takes(self, network):
        """True when this remembered network has the password, as such or in its enterprise login,
        and that login has the identity and the user."""
        record = network.record
        if not config.eap(record):
            return not any(self.login) and self.password in (b"", config.password(record))
        given = [network.credential(i) for i in (0, 2, 3)]
        wanted = self.login + [self.password]
        return all(wanted[i] in (b"", given[i]) for i in range(3))


class Air:
    """Plays a script: the access points that are present at each time. Raises ScriptError."""

    def __init__(self, script, clock=ticks_ms):
        self._clock = clock
        self._last = clock()
        self.elapsed = 0  # ms since the start; it does not wrap as the clock does
        self.takes = dict(TAKES)
        self._known = {}  # name -> AccessPoint, for all that ever appeared
        self._present = []
        self._events = _events_of(script)
        self._rehearse()
        self.look()

    def _rehearse(self):
        """Play the whole script once, to find its errors before SIM starts."""
        for event in self._events:
            self._play(event)
        self.takes = dict(TAKES)
        self._known = {}
        self._present = []

    def look(self):
        """Play the events until now; returns the access points that are present."""
        now = self._clock()
        self.elapsed += ticks_diff(now, self._last)
        self._last = now
        while self._events and self._events[0].at <= self.elapsed:
            self._play(self._events.pop(0))
        return self._present

    def _play(self, event):
        try:
            getattr(self, "_" + event.verb)(event)
        except (ValueError, KeyError) as e:
            raise ScriptError("line %d: %s" % (event.line, e.args[0]))

    def _appears(self, event):
        there = self._known.get(event.name)
        if there is None:
            there = AccessPoint(_ssid(event.name.split("#")[0]), len(self._known) + 1)
            self._known[event.name] = there
        self._set(there, event)
        if there not in self._present:
            self._present.append(there)

    def _vanishes(self, event):
        there = self._there(event)
        there.drops += 1
        self._present.remove(there)

    def _drops(self, event):
        self._there(event).drops += 1

    def _changes(self, event):
        """Change settings. Stations stay connected, as with a real one, until `drops`."""
        self._set(self._there(event), event)

    def _takes(self, event):
        for name, value in event.settings:
            if name not in self.takes:
                raise ValueError("'%s' is nothing that takes time" % name)
            self.takes[name] = int(value)

    def _there(self, event):
        there = self._known.get(event.name)
        if there not in self._present:
            raise ValueError("'%s' is not there" % event.name)
        return there

    def _set(self, there, event):
        for name, value in event.settings:
            there.set(name, value)


class Event:
    """One line of a script."""

    def __init__(self, line, at, verb, name, settings):
        self.line = line
        self.at = at  # ms
        self.verb = verb
        self.name = name
        self.settings = settings  # (name, value) pairs


VERBS = ("appears", "vanishes", "drops", "changes", "takes")


def _events_of(script):
    events = []
    for i, line in enumerate(script.split("\n")):
        words = _words(line)
        if words and not words[0].startswith("#"):
            events.append(_event(i + 1, words))
            if len(events) > 1 and events[-2].at > events[-1].at:
                raise ScriptError("line %d: it is earlier than the line before" % (i + 1))
    return events


def _event(line, words):
    try:
        at = int(float(words[0]) * 1000)
    except (ValueError, OverflowError):  # the latter for inf
        raise ScriptError("line %d: '%s' is no time in seconds" % (line, words[0]))
    verb = words[1] if len(words) > 1 else ""
    if verb not in VERBS:
        raise ScriptError("line %d: '%s' is none of %s" % (line, verb, ", ".join(VERBS)))
    rest = words[2:]
    name = "" if verb == "takes" else _take_name(line, rest)
    return Event(line, at, verb, name, [_setting(line, word) for word in rest])


def _take_name(line, rest):
    if not rest:
        raise ScriptError("line %d: which access point?" % line)
    return rest.pop(0)


def _setting(line, word):
    name, equals, value = word.partition("=")
    if not equals:
        raise ScriptError("line %d: '%s' is no setting; they are name=value" % (line, word))
    return name, value


def _words(line):
    """Split at blanks; text between two " is one word."""
    words = []
    for i, part in enumerate(line.split('"')):
        if i % 2:
            words.append(part)
        else:
            words += part.split()
    return words


def _ssid(name):
    octets = _octets(name)
    if not config.is_ssid(octets) or 0 in octets:
        raise ValueError("'%s' can be no SSID" % name)
    return octets


def _octets(text):
    """The bytes of a name or a password, in which \\xNN stands for one byte."""
    plain, *rest = text.split("\\x")
    parts = [bytes((int(part[:2], 16),)) + part[2:].encode() for part in rest]
    return plain.encode() + b"".join(parts)


def _switch(value):
    if value not in SWITCHES:
        raise ValueError("'%s' is neither yes nor no" % value)
    return SWITCHES[value]


class AirRadio(SimRadio):
    """SIM's radio, with the access points of an Air."""

    def __init__(self, addresses, air, mac=MAC):
        super().__init__(addresses, mac)
        self._air = air
        self._only = None  # the MAC that the attempt is pinned to
        self._began = 0  # when the attempt or the scan began, as Air.elapsed
        self._on = None  # the access point that we are associated with
        self._drops = 0  # its `drops` at that time: if it has changed, we were dropped
        self._up = False  # associated, and with an address
        self._reason = 0  # of the last failure
        self._sought = b""

    # --- station

    def join(self, network, access_point=None):
        super().join(network)
        self._only = access_point[0] if access_point else None
        self.rejoin()

    def rejoin(self):
        self._on = None
        self._up = False
        self._air.look()
        self._began = self._air.elapsed

    def pause(self):
        self._on = None
        self._up = False

    def leave(self):
        super().leave()
        self.pause()

    def associated(self):
        return self._on is not None

    def reason(self):
        return self._reason

    def outcome(self):
        outcome = self._look()
        if outcome:
            self._reason = REASONS[outcome]
        return outcome

    def _look(self):
        present = self._air.look()
        passed = self._air.elapsed - self._began
        if self._on is None:
            return self._try_to_associate(present, passed)
        if self._on not in present or self._on.drops != self._drops:
            return SIGNAL_LOST
        if not self._up:
            fixed = config.ip(self._network.record) != 0
            self._up = fixed or (self._on.dhcp and passed >= self._air.takes["address"])
        return "" if self._up else None

    def _try_to_associate(self, present, passed):
        takes = self._air.takes
        there = self._choose(present)
        if there is None:
            return NOT_FOUND if passed >= takes["search"] else None
        if there.silent or passed < takes["join"]:
            return None
        if there.refuses:
            return REFUSED
        if not there.takes(self._network):
            logs_in = config.eap(self._network.record) or any(there.login)
            refusal = LOGIN_REFUSED if logs_in else WRONG_PASSWORD
            return refusal if passed >= takes["handshake"] else None
        self._on = there
        self._drops = there.drops
        return None

    def _choose(self, present):
        best = None
        for there in present:
            wanted = there.ssid == self._network.ssid and self._only in (None, there.mac)
            if wanted and (best is None or there.rssi > best.rssi):
                best = there
        return best

    # --- scan

    def scan(self, ssid):
        if not self._up:
            self.pause()
        self._sought = ssid
        self._air.look()
        self._began = self._air.elapsed

    def found(self):
        present = self._air.look()
        if self._air.elapsed - self._began < self._air.takes["scan"]:
            return None
        return [
            there.entry() for there in present if not there.hidden or there.ssid == self._sought
        ]

    # --- for SimRadio

    def _access_point(self):
        return self._on.entry() if self._on else super()._access_point()
