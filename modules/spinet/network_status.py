"""The status that networkGetStatus answers with, and the numbers in it.

Source of the numbers: the link protocol (docs/link-protocol.md, Records).
"""

from micropython import const

# Why the module started
RESET_POWER_UP = const(0)
RESET_WATCHDOG = const(3)
RESET_SOFTWARE = const(4)
RESET_DEEP_SLEEP = const(5)
RESET_BY_CONTROLLER = const(6)
RESET_UNKNOWN = const(9)

# How a network is joined
AUTH_OPEN = const(0)
AUTH_WPA2 = const(3)
AUTH_WPA2_WPA3 = const(7)
AUTH_UNKNOWN = const(9)

NO_RSSI = const(-128)


class NetworkStatus:
    """Filled in by the board, the radio and the Wlan; sent by networkGetStatus."""

    def __init__(self):
        self.clear()

    def clear(self):
        """Set the values of a module without a network."""
        self.ip = 0  # u32, the lowest byte is the first octet
        self.netmask = 0
        self.gateway = 0
        self.free_heap = 0
        self.reset_reason = RESET_UNKNOWN
        self.flash_size = 0
        self.rssi = NO_RSSI
        self.clients = 0  # stations on the module's access point
        self.sleep_mode = 1  # 1 none, 2 light, 3 modem
        self.phy_mode = 0  # 1 B, 2 G, 3 N
        self.vcc = 0
        self.mac = b"\0\0\0\0\0\0"
        self.version = b""
        self.ssid = b""
        self.host_name = b""
        self.clock_register = 0
        self.reconnects = 0
        self.dhcp = 0
        self.auth = AUTH_UNKNOWN
        self.channel = 0
        self.ht_mode = 0  # 0 HT20, 1 above, 2 below
        self.ap_mac = b"\0\0\0\0\0\0"
