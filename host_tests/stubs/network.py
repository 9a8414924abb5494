"""As much of `network` as a radio on a chip uses: one interface that nobody is in reach of."""

STA_IF, AP_IF = 0, 1
STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 1000, 1001, 1010
STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD = 201, 202


class WLAN:
    """A station or access point that finds nothing and joins nothing."""

    def __init__(self, interface=STA_IF):
        self.interface = interface
        self._active = False
        self._status = STAT_IDLE

    def active(self, on=None):
        if on is None:
            return self._active
        self._active = bool(on)
        return self._active

    def connect(self, ssid, key=None):
        if not self._active:
            raise OSError("Wifi Not Started")
        self._status = STAT_NO_AP_FOUND

    def disconnect(self):
        self._status = STAT_IDLE

    def isconnected(self):
        return self._status == STAT_GOT_IP

    def status(self, what=None):
        return [] if what == "stations" else self._status

    def scan(self):
        if not self._active:
            raise OSError("Wifi Not Started")
        return []
