"""A network's record: the WirelessConfig that a controller sends and that is remembered.

ip u32 @0, gateway u32 @4, netmask u32 @8, channel u8 @12, security i8 @13, ssid 32 @16, password 64
@48 (enterprise: five u32 credential sizes), EAP protocol u8 @111.
"""

from micropython import const

from spinet.fields import get_text, get_u32

SSID_LENGTH = const(32)
_PASSWORD_LENGTH = const(64)
CREDENTIALS = const(5)
SIZE = const(112)
PUBLIC_SIZE = const(48)  # without the password: networkRetrieveSsidData


def ip(record):
    """ip, 0 for DHCP."""
    return get_u32(record, 0)


def gateway(record):
    """gateway."""
    return get_u32(record, 4)


def netmask(record):
    """netmask; 0 stands for 255.255.255.0."""
    return get_u32(record, 8) or 0x00FFFFFF


def channel(record):
    """channel, 0 for automatic."""
    return record[12]


def ssid(record):
    """ssid, as bytes."""
    return get_text(record, 16, SSID_LENGTH)


def deletes(record):
    """True for the record that deletes the own access point: its ssid begins with 0xFF."""
    return record[16] == 0xFF


def password(record):
    """password, as bytes: never put it into a report or a log."""
    return get_text(record, 48, _PASSWORD_LENGTH)


def credential_size(record, index):
    """Bytes announced for enterprise credential `index`, 0..4."""
    return get_u32(record, 48 + 4 * index)


def eap(record):
    """EAP protocol: 0 none (personal), 1 TLS, 2 PEAP-MSCHAPv2, 3 TTLS-MSCHAPv2.

    In a record with a PSK this byte is the PSK's last digit, an ASCII character above 3.
    """
    return record[111] if record[111] <= 3 else 0


def set_eap(record, protocol):
    """Mark the record as an enterprise network."""
    record[111] = protocol


def is_ssid(text):
    """Valid SSID of a network to join: 1..32 bytes of any kind."""
    return 1 <= len(text) <= SSID_LENGTH


def is_own_ssid(text):
    """Valid SSID of the own access point: 1..32 bytes without ASCII control characters."""
    return is_ssid(text) and all(c >= 32 and c != 127 for c in text)


def is_password(text):
    """Valid password: empty, 8..63 bytes of any kind, or a PSK."""
    return not text or 8 <= len(text) < _PASSWORD_LENGTH or is_psk(text)


def is_psk(text):
    """True for a pre-shared key: 64 hexadecimal digits in the place of a password."""
    return len(text) == _PASSWORD_LENGTH and all(_is_hex(c) for c in text)


def _is_hex(c):
    return 48 <= c <= 57 or 65 <= c <= 70 or 97 <= c <= 102
