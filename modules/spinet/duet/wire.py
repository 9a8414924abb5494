"""The link protocol's records, commands and codes, and the offsets of their fields.

Source: the link protocol as the controllers in the field speak it (docs/link-protocol.md).
Everything is little-endian. `message` is always one of the link's two buffers: a header of
HEADER_SIZE bytes, and the data phase behind it, at DATA. Constants that no other module uses begin
with an underscore, so that MicroPython keeps no names for them.
"""

import micropython
from micropython import const

from spinet.fields import get_text, get_u16, get_u32, put_bytes, put_u16, put_u32
from spinet.wifi.config import SIZE, SSID_LENGTH

_FORMAT_VERSION = const(0x3E)
_INVALID_VERSION = const(0xC9)  # no version of the protocol has this number

MAX_DATA = const(2048)
HOST_NAME_LENGTH = const(64)

HEADER_SIZE = const(12)
MESSAGE_SIZE = const(HEADER_SIZE + MAX_DATA)
FIRST_PHASE = const(8)  # header bytes that both sides exchange before the response is decided
RESPONSE = const(8)
DATA = const(12)

# Commands that transaction.py and commands.py treat specially; commands.COMMANDS has all
CONN_CREATE = const(3)
CONN_READ = const(4)
CONN_WRITE = const(5)
DIAGNOSTICS = const(20)

# Flags of a request
FLAG_CLOSE_AFTER_WRITE = const(0x01)
FLAG_PUSH = const(0x02)
FLAG_TLS = const(0x04)
FLAG_UNVERIFIED = const(0x08)  # connCreate with FLAG_TLS: accept any certificate of the server
FLAG_CA = const(0x01)  # networkSetTlsCert: the CA for outgoing TLS, not the module's certificate
FLAG_CALL_HOME = const(0x08)  # networkListen: dial out (docs/link-protocol.md, Extensions)

# Enterprise steps, in the flags of networkAddEnterpriseSsid
ENTERPRISE_SSID = const(0)
ENTERPRISE_CREDENTIAL = const(1)
ENTERPRISE_COMMIT = const(2)
ENTERPRISE_CANCEL = const(3)

MAX_TX_POWER = const(82)  # in 0.25 dB

# Response codes
UNKNOWN_COMMAND = const(-1)
_BAD_REQUEST_FORMAT_VERSION = const(-2)
TOO_MANY_SSIDS = const(-3)
WRONG_STATE = const(-4)
BAD_DATA_LENGTH = const(-5)
_TIMEOUT = const(-7)
BUSY = const(-8)
BUFFER_TOO_SMALL = const(-9)
_BAD_REPLY_FORMAT_VERSION = const(-10)
BAD_PARAMETER = const(-11)
NO_SCAN_STARTED = const(-12)
SCAN_IN_PROGRESS = const(-13)
UNKNOWN_ERROR = const(-14)
NO_TLS_CERT = const(-15)

PROTOCOL_FTP_DATA = const(3)  # an application protocol; discovery.KINDS has more of them

LISTEN_OR_CONNECT_SIZE = const(12)
_NETWORK_STATUS_SIZE = const(168)
SCAN_DATA_SIZE = const(45)


# --- the request header: formatVersion u8 @0, command u8 @1, socketNumber u8 @2, flags u8 @3,
# dataLength u16 @4, dataBufferAvailable u16 @6, param32 u32 @8


@micropython.viper
def request_error(message) -> int:
    """0 for a header that can be served, else the response code that refuses it."""
    header = ptr8(message)
    if header[0] != 0x3E:
        return -2
    if (header[4] | header[5] << 8) > 2048:
        return -5
    return 0


@micropython.viper
def request_length(message) -> int:
    """dataLength."""
    header = ptr8(message)
    return header[4] | header[5] << 8


@micropython.viper
def request_available(message) -> int:
    """dataBufferAvailable, at most MAX_DATA."""
    header = ptr8(message)
    n = header[6] | header[7] << 8
    return 2048 if n > 2048 else n


def request_socket(message):
    """socketNumber."""
    return message[2]


def request_param(message):
    """param32; it arrives with the response phase, not with the first 8 bytes."""
    return get_u32(message, 8)


def forget_request(message):
    """Invalidate the header in the buffer, so that it is not served a second time."""
    message[0] = _INVALID_VERSION


# --- the module header: formatVersion u8 @0, state u8 @1, zero u16 @2, dummy u32 @4,
# response i32 @8


@micropython.viper
def module_header(message, wifi_state: int):
    """Write the module header, all but the response."""
    header = ptr8(message)
    header[0] = 0x3E
    header[1] = wifi_state
    i = 2
    while i < 8:
        header[i] = 0
        i += 1


def header_state(message):
    """The WiFi state in the module header."""
    return message[1]


@micropython.viper
def put_response(message, response: int):
    """Write the response, i32 @8."""
    header = ptr8(message)
    header[8] = response
    header[9] = response >> 8
    header[10] = response >> 16
    header[11] = response >> 24


# --- ListenOrConnect (12): remoteIp u32 @0, protocol u8 @4, port u16 @6, maxConnections u16 @8;
# as extensions attempts u16 @10, and the peer's name from @12 to the end of the data phase


def peer_ip(message):
    """remoteIp, 0 for any."""
    return get_u32(message, DATA)


def peer_protocol(message):
    """protocol."""
    return message[DATA + 4]


def peer_port(message):
    """port."""
    return get_u16(message, DATA + 6)


def peer_limit(message):
    """maxConnections."""
    return get_u16(message, DATA + 8)


def peer_attempts(message):
    """attempts of a call home, 0 for no limit; padding in every other use of the record."""
    return get_u16(message, DATA + 10)


def peer_name(message, length):
    """The name behind the record in `length` bytes of data, b"" when there is none."""
    return get_text(message, DATA + LISTEN_OR_CONNECT_SIZE, length - LISTEN_OR_CONNECT_SIZE)


# --- NetworkStatus (168)


def put_network_status(message, status):
    """Write a NetworkStatus into the data phase; returns its size."""
    put_u32(message, DATA, status.ip)
    put_u32(message, DATA + 4, status.free_heap)
    put_u32(message, DATA + 8, status.reset_reason)
    put_u32(message, DATA + 12, status.flash_size)
    message[DATA + 16] = status.rssi & 0xFF
    message[DATA + 17] = status.clients
    message[DATA + 18] = status.sleep_mode & 3 | (status.phy_mode & 3) << 2
    message[DATA + 19] = 0
    put_u16(message, DATA + 20, status.vcc)
    put_bytes(message, DATA + 22, status.mac, 6)
    put_bytes(message, DATA + 28, status.version[:15], 16)
    put_bytes(message, DATA + 44, status.ssid, SSID_LENGTH)
    put_bytes(message, DATA + 76, status.host_name, HOST_NAME_LENGTH)
    put_u32(message, DATA + 140, status.clock_register)
    put_u32(message, DATA + 144, status.netmask)
    put_u32(message, DATA + 148, status.gateway)
    put_u32(message, DATA + 152, status.reconnects)
    message[DATA + 156] = status.dhcp
    message[DATA + 157] = status.auth
    message[DATA + 158] = status.channel & 15 | (status.ht_mode & 3) << 4
    message[DATA + 159] = 0
    put_bytes(message, DATA + 160, status.ap_mac, 6)
    put_u16(message, DATA + 166, 0)
    return _NETWORK_STATUS_SIZE


# --- WirelessConfig (112): see wifi/config.py


def sent_config(message):
    """The record in the data phase, as a memoryview of the buffer."""
    return memoryview(message)[DATA : DATA + SIZE]


# --- ScanData (45): rssi i8 @0, phy mode u8 @1, auth u8 @2, channel u8 @3, mac 6 @4, spare 2 @10,
# ssid 33 @12


def put_scan_data(message, index, found):
    """Write record `index` of the data phase; found: (ssid, mac, channel, rssi, auth, phy mode)."""
    ssid, mac, channel, rssi, auth, phy_mode = found
    at = DATA + index * SCAN_DATA_SIZE
    message[at] = rssi & 0xFF
    message[at + 1] = phy_mode
    message[at + 2] = auth
    message[at + 3] = channel
    put_bytes(message, at + 4, mac, 6)
    put_u16(message, at + 10, 0)
    put_bytes(message, at + 12, ssid[:SSID_LENGTH], 33)


# --- SPI clock words of networkSetClockControl


def clock_frequency(word):
    """SCK in Hz for a controller's clock word; an unknown word means 26.67 MHz."""
    return {0x1001: 40000000, 0x3403: 20000000, 0x3043: 20000000}.get(word, 26666667)
