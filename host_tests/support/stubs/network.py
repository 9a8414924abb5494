"""As much of `network` as a radio on a chip uses, with MicroPython's ESP32 port's own habits.

There is one object per interface. Nothing waits: connect() begins, and settle() is the time that
passes until it has an outcome. The reason of the last disconnection stays, and status() tells it,
until a connection has an address. `AIR` is what is in reach: name -> InReach.
"""

import hashlib

STA_IF, AP_IF = 0, 1
STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 1000, 1001, 1010
STAT_BEACON_TIMEOUT, STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD = 200, 201, 202
ASSOC_LEAVE = 8

AIR = {}


class InReach:
    """An access point that others run."""

    def __init__(
        self,
        password="",
        mac=b"\2\0\0\0\0\1",
        channel=6,
        rssi=-60,
        auth=3,
        refuses=0,
        has_dhcp=True,
    ):
        self.refuses = refuses  # the reason with which it turns stations away
        self.has_dhcp = has_dhcp
        self.password = password
        self.mac = mac
        self.channel = channel
        self.rssi = rssi
        self.auth = auth

    def psk(self, ssid):
        """The PSK for its password: 64 hexadecimal digits, or none without a password."""
        if not self.password:
            return b""
        return hashlib.pbkdf2_hmac("sha1", self.password.encode(), ssid, 4096, 32).hex().encode()


def _octets(text):
    """As mp_obj_str_get_data(), for str and bytes; None counts as not given."""
    if text is None:
        return b""
    if not isinstance(text, (str, bytes)):
        raise TypeError("can't convert to str")
    return text.encode() if isinstance(text, str) else text


class _Interface:
    """What both interfaces can do."""

    MAC = b"\2\0\0\0\0\0"

    def __init__(self):
        self._active = False
        self.addresses = ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")
        self.settings = {"channel": 1}

    def active(self, on=None):
        if on is not None:
            self._active = bool(on)
        return self._active

    def _started(self):
        if not self._active:
            raise OSError("Wifi Not Started")

    def ifconfig(self, addresses=None):
        if addresses is not None:
            self.addresses = addresses
        return self.addresses

    def config(self, *what, **settings):
        if what:
            return self.MAC if what[0] == "mac" else self.settings[what[0]]
        if not settings.keys() <= self.CAN_SET:
            raise ValueError("unknown config param")
        self._started()
        if not 8 <= settings.get("txpower", 8) * 4 <= 84:  # esp_wifi_set_max_tx_power's range
            raise RuntimeError("Wifi Unknown Error 0x0102")
        self.settings.update(settings)
        return None


class Station(_Interface):
    """WLAN(STA_IF)."""

    CAN_SET = frozenset({"txpower", "channel", "reconnects", "pm"})
    PM_NONE, PM_PERFORMANCE, PM_POWERSAVE = 0, 1, 2

    def __init__(self):
        super().__init__()
        self._asked = None  # (ssid, key, bssid) of the last attempt
        self._requested = False  # connect() until disconnect()
        self._tries = 0  # disconnections since connect()
        self._associated = False
        self._connected = False
        self._reason = 0

    def connect(self, ssid=None, key=None, *, bssid=None):
        self._started()
        if self._requested and not self._tries and not self._connected:
            raise OSError("Wifi Internal State Error")  # it is connecting
        if ssid is not None:
            self._asked = (_octets(ssid)[:32], _octets(key)[:64], bssid)  # the driver's fields
        self._requested = True
        self._tries = 0

    def settle(self):
        """The attempt has its outcome."""
        ssid, key, bssid = self._asked
        there = AIR.get(ssid)
        if there is None or bssid not in (None, there.mac):
            self.lose(STAT_NO_AP_FOUND)
        elif there.refuses:
            self.lose(there.refuses)
        elif key not in (there.password.encode(), there.psk(ssid)):
            self.lose(STAT_WRONG_PASSWORD)
        else:
            self._associated = True
            self.settings["channel"] = there.channel
            self._address(there)

    def _address(self, there):
        if self.addresses in ("dhcp", ("0.0.0.0",) * 4):
            if not there.has_dhcp:
                return
            self.addresses = ("192.168.1.50", "255.255.255.0", "192.168.1.1", "192.168.1.1")
        self._connected = True
        self._reason = 0

    def lose(self, reason):
        """Disconnected; the port tries again as often as `reconnects` says, for ever without."""
        self._associated = False
        self._connected = False
        self._reason = reason
        self._tries += 1

    def disconnect(self):
        self._started()
        self._requested = False
        if self._associated:
            self.lose(ASSOC_LEAVE)

    def active(self, on=None):
        if on is not None and not on:
            self._associated = False
            self._connected = False
        return super().active(on)

    def isconnected(self):
        return self._connected

    def status(self, what=None):
        if what == "rssi":
            if not self._associated:
                raise OSError("Wifi Not Connected")
            return AIR[self._asked[0]].rssi
        if self._connected:
            return STAT_GOT_IP
        if self._reason in (STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD, 210, 211, 212):
            return self._reason
        if self._reason == ASSOC_LEAVE:
            return STAT_IDLE
        if self._requested and self._tries <= self.settings.get("reconnects", self._tries):
            return STAT_CONNECTING
        return self._reason or STAT_IDLE

    def scan(self):
        if not self._active:
            raise OSError("STA must be active")
        return [(s, a.mac, a.channel, a.rssi, a.auth, False) for s, a in AIR.items()]


class AccessPoint(_Interface):
    """WLAN(AP_IF)."""

    CAN_SET = frozenset({"ssid", "key", "security", "channel", "txpower", "max_clients", "hidden"})
    MAC = b"\2\0\0\0\0\2"

    def __init__(self):
        super().__init__()
        self.stations = []

    def config(self, *what, **settings):
        # The port cuts both, the key to a byte less than the driver would take.
        for name, size in (("ssid", 32), ("key", 63)):
            if name in settings:
                settings[name] = _octets(settings[name])[:size]
        if settings.get("security") and not 8 <= len(settings.get("key", b"")) <= 63:
            raise OSError("Wifi Invalid Password")
        return super().config(*what, **settings)

    def isconnected(self):
        return bool(self.stations)

    def status(self, what=None):
        return list(self.stations) if what == "stations" else None


_interfaces = {}
_country = "XX"
_names = {}


def hostname(name=None):
    """The name that DHCP is told; the port refuses more than 32 characters."""
    if name is not None:
        if len(name) > 32:
            raise ValueError
        _names["host"] = name
    return _names.get("host", "mpy-esp32")


def power_on():
    """A chip that has just been switched on, and no network in reach."""
    AIR.clear()
    _names.clear()
    _interfaces.clear()
    country("XX")
    _interfaces.update({STA_IF: Station(), AP_IF: AccessPoint()})


def country(code=None):
    """As any port has it; this one keeps it to itself."""
    global _country
    if code is not None:
        _country = code
    return _country


def WLAN(interface=STA_IF):  # noqa: N802 -- a class there
    return _interfaces[interface]


power_on()
