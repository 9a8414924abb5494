"""What people read for the link protocol's state numbers (link protocol, Records)."""

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
