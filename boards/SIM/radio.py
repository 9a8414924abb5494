"""SIM's radio: a station that connects at once, to the network that its TCP stack has.

Every remembered network is in reach, and a scan shows three more. See spinet/contracts/radio.py.
"""

from spinet import network_status
from spinet.compat import ticks_add, ticks_diff, ticks_ms
from spinet.duet import wire
from spinet.wifi import config

SCAN_MS = 150  # not 0, so that controllers see "scan in progress"

# ssid, mac, channel, rssi, auth, phy mode
ON_AIR = (
    (b"Attic", b"\x02\x53\x50\x00\x00\x02", 6, -67, network_status.AUTH_WPA2_WPA3, 3),
    (b"Workshop", b"\x02\x53\x50\x00\x00\x01", 1, -48, network_status.AUTH_WPA2, 3),
    (b"Guest", b"\x02\x53\x50\x00\x00\x03", 11, -80, network_status.AUTH_OPEN, 2),
)
# Any other remembered network. A constant, as rssi() is called once a second: a new tuple each time
# would be garbage.
UNNAMED = (b"", b"\x02\x53\x50\x00\x00\xff", 1, -50, network_status.AUTH_WPA2, 3)
MAC = b"\x02\x53\x49\x00\x00\x00"


class SimRadio:
    """A radio over a network of sim_stacks, with this MAC (6 bytes)."""

    def __init__(self, addresses, mac=MAC):
        self._addresses = addresses
        self._mac = mac
        self._network = None  # the network that is joined or served
        self._serving = False
        self._scan_done = 0
        self.tx_power = wire.MAX_TX_POWER
        self.saves_power = False
        self._dns = (0, 0)  # the controller's name servers

    def join(self, network, access_point=None):
        self._network = network
        self._serving = False

    def outcome(self):
        """Always connected."""
        return ""

    def reason(self):
        """Nothing fails."""
        return 0

    def associated(self):
        return True

    def rejoin(self):
        """Never called, as no link is lost here."""

    def readdress(self, network):
        """SIM keeps its network's address."""
        self._network = network
        return ""

    def set_dns(self, first, second):
        self._dns = (first, second)

    def dns(self):
        return self._dns if any(self._dns) else self._addresses.name_servers()

    def pause(self):
        """Never called, as no attempt fails here."""

    def serve(self, network):
        self._network = network
        self._serving = True
        return ""

    def leave(self):
        self._network = None

    def scan(self, ssid):
        """Begin a scan. One for a single network is over at once, so that joining is quick."""
        self._scan_done = ticks_add(ticks_ms(), 0 if ssid else SCAN_MS)

    def found(self):
        return ON_AIR if ticks_diff(ticks_ms(), self._scan_done) >= 0 else None

    def scan_problem(self):
        return ""

    def rssi(self):
        return self._access_point()[3]

    def clients(self):
        """No station joins a simulated access point."""
        return 0

    def mac(self):
        return self._mac

    def power(self, quarter_db):
        self.tx_power = quarter_db

    def save_power(self, on):
        self.saves_power = on

    def _access_point(self):
        for entry in ON_AIR:
            if self._network and entry[0] == self._network.ssid:
                return entry
        return UNNAMED

    def link(self, status):
        """Fill in the network's part of a NetworkStatus."""
        _, mac, channel, _, auth, phy_mode = self._access_point()
        record = self._network.record
        status.ssid = self._network.ssid
        status.mac = self._mac
        status.ip = self._addresses.ip
        status.netmask = self._addresses.netmask
        status.gateway = self._addresses.gateway
        status.auth = auth
        status.phy_mode = phy_mode
        status.channel = config.channel(record) or channel if self._serving else channel
        status.ap_mac = self._mac if self._serving else mac
