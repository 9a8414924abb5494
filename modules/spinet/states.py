"""The states of a slot and of WiFi: the numbers that a controller sees, and the names for people.

Source: the link protocol (docs/link-protocol.md, Records).
"""

from micropython import const

SOCKETS = const(8)  # slots

# States of a slot
FREE = const(0)
CONNECTING = const(1)
CONNECTED = const(2)
OTHER_END_CLOSED = const(3)
ABORTED = const(4)
CLOSE_PENDING = const(5)
CLOSE_READY = const(6)
ALLOCATED = const(7)

# States of WiFi
WIFI_IDLE = const(1)
WIFI_ACCESS_POINT = const(2)
WIFI_CONNECTING = const(3)
WIFI_CONNECTED = const(4)
WIFI_AUTO_RECONNECTING = const(5)
WIFI_RECONNECTING = const(6)

STATES = (
    "free",
    "connecting",
    "connected",
    "otherEndClosed",
    "aborted",
    "closePending",
    "closeReady",
    "allocated",
)
WIFI_STATES = (
    "disabled",
    "idle",
    "running as access point",
    "connecting",
    "connected",
    "auto-reconnecting",
    "reconnecting",
)
