"""Networks to remember."""

from spinet.wifi.networks import Network


def record(ssid, password=b"secret-1"):
    return bytes(16) + ssid.ljust(32, b"\0") + password.ljust(64, b"\0")


def network(name, credentials=b""):
    """A personal network, or an enterprise one whose first credential this is."""
    raw = bytearray(record(name.encode()))
    if credentials:
        raw[48:112] = len(credentials).to_bytes(4, "little") + bytes(59) + bytes([2])
    return Network(raw, credentials)
