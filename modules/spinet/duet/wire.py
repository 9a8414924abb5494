"""The link protocol's records, commands and codes: the only place that knows an offset.

Source: the link protocol as the controllers in the field speak it (docs/link-protocol.md).
Everything is little-endian. `message` is always one of the link's two buffers: a header of
HEADER_SIZE bytes and the data phase behind it, at DATA. Constants that no other module uses begin
with an underscore: they take no memory.
"""

import micropython
from micropython import const

FORMAT_VERSION = const(0x3E)
INVALID_VERSION = const(0xC9)  # the value that nobody ever uses

SOCKETS = const(8)
MAX_DATA = const(2048)
SSID_LENGTH = const(32)
_PASSWORD_LENGTH = const(64)
HOST_NAME_LENGTH = const(64)
_PEER_NAME_LENGTH = const(64)  # behind a ListenOrConnect (docs/link-protocol.md, Extensions)
REMEMBERED_NETWORKS = const(20)  # entry 0, our own access point, is not one of them

HEADER_SIZE = const(12)
MESSAGE_SIZE = const(HEADER_SIZE + MAX_DATA)
FIRST_PHASE = const(8)  # header bytes that both sides exchange before the response is decided
RESPONSE = const(8)
DATA = const(12)

# Commands
NULL = const(0)
CONN_ABORT = const(1)
CONN_CLOSE = const(2)
CONN_CREATE = const(3)
CONN_READ = const(4)
CONN_WRITE = const(5)
CONN_GET_STATUS = const(6)
NETWORK_LISTEN = const(7)
NETWORK_GET_STATUS = const(9)
NETWORK_ADD_SSID = const(10)
NETWORK_DELETE_SSID = const(11)
NETWORK_LIST_SSIDS = const(12)
NETWORK_CONFIGURE_ACCESS_POINT = const(13)
NETWORK_START_CLIENT = const(14)
_NETWORK_START_ACCESS_POINT = const(15)
NETWORK_STOP = const(16)
NETWORK_FACTORY_RESET = const(17)
_NETWORK_SET_HOST_NAME = const(18)
NETWORK_GET_LAST_ERROR = const(19)
DIAGNOSTICS = const(20)
NETWORK_RETRIEVE_SSID_DATA = const(21)
_NETWORK_SET_TX_POWER = const(22)
_NETWORK_SET_CLOCK_CONTROL = const(23)
NETWORK_START_SCAN = const(24)
NETWORK_GET_SCAN_RESULT = const(25)
NETWORK_ADD_ENTERPRISE_SSID = const(26)
_NETWORK_ENABLE_TLS = const(27)
_NETWORK_SET_TLS_CERT = const(28)
_NETWORK_SET_TLS_KEY = const(29)
_NETWORK_CLEAR_TLS = const(30)

# Flags of a request
FLAG_CLOSE_AFTER_WRITE = const(0x01)
FLAG_PUSH = const(0x02)
FLAG_TLS = const(0x04)
FLAG_UNVERIFIED = const(0x08)  # connCreate, beside FLAG_TLS: whatever the server's certificate
FLAG_CA = const(0x01)  # networkSetTlsCert: what outgoing TLS believes, not what we show
FLAG_CALL_HOME = const(0x08)  # of networkListen: dial out (docs/link-protocol.md, Extensions)

# Enterprise steps, in the flags of networkAddEnterpriseSsid
ENTERPRISE_SSID = const(0)
ENTERPRISE_CREDENTIAL = const(1)
ENTERPRISE_COMMIT = const(2)
ENTERPRISE_CANCEL = const(3)

MAX_TX_POWER = const(82)  # in 0.25 dB

# Response codes
_EMPTY = const(0)
UNKNOWN_COMMAND = const(-1)
BAD_REQUEST_FORMAT_VERSION = const(-2)
TOO_MANY_SSIDS = const(-3)
WRONG_STATE = const(-4)
BAD_DATA_LENGTH = const(-5)
_NETWORK_DISABLED = const(-6)  # the controller's own
TIMEOUT = const(-7)
BUSY = const(-8)
BUFFER_TOO_SMALL = const(-9)
BAD_REPLY_FORMAT_VERSION = const(-10)
BAD_PARAMETER = const(-11)
NO_SCAN_STARTED = const(-12)
SCAN_IN_PROGRESS = const(-13)
UNKNOWN_ERROR = const(-14)
NO_TLS_CERT = const(-15)

# Connection states
FREE = const(0)
CONNECTING = const(1)
CONNECTED = const(2)
OTHER_END_CLOSED = const(3)
ABORTED = const(4)
CLOSE_PENDING = const(5)
CLOSE_READY = const(6)
ALLOCATED = const(7)

# WiFi states
_WIFI_DISABLED = const(0)
WIFI_IDLE = const(1)
WIFI_ACCESS_POINT = const(2)
WIFI_CONNECTING = const(3)
WIFI_CONNECTED = const(4)
WIFI_AUTO_RECONNECTING = const(5)
WIFI_RECONNECTING = const(6)

# Application protocols that mean something to us; the others are the controller's business
_PROTOCOL_HTTP = const(0)
_PROTOCOL_FTP = const(1)
_PROTOCOL_TELNET = const(2)
PROTOCOL_FTP_DATA = const(3)

# Reset reasons
RESET_POWER_UP = const(0)
RESET_WATCHDOG = const(3)
RESET_SOFTWARE = const(4)
RESET_DEEP_SLEEP = const(5)
RESET_BY_CONTROLLER = const(6)
RESET_UNKNOWN = const(9)

# Authentication
AUTH_OPEN = const(0)
AUTH_WPA2 = const(3)
AUTH_WPA2_WPA3 = const(7)
AUTH_UNKNOWN = const(9)

NO_RSSI = const(-128)
CREDENTIALS = const(5)

_LISTEN_OR_CONNECT_SIZE = const(12)
CONN_STATUS_SIZE = const(20)
_NETWORK_STATUS_SIZE = const(168)
WIRELESS_CONFIG_SIZE = const(112)
WIRELESS_CONFIG_PUBLIC_SIZE = const(48)  # without the password: networkRetrieveSsidData
SCAN_DATA_SIZE = const(45)


@micropython.viper
def get_u16(buf, at: int) -> int:
    """The u16 at buf[at]."""
    source = ptr8(buf)
    return source[at] | source[at + 1] << 8


def get_u32(buf, at):
    """The u32 at buf[at]; a heap object on a chip when it has more than 30 bits."""
    return get_u16(buf, at) | get_u16(buf, at + 2) << 16


@micropython.viper
def put_u16(buf, at: int, value: int):
    """Write a u16 at buf[at]; of a wider value its lower half."""
    target = ptr8(buf)
    target[at] = value
    target[at + 1] = value >> 8


def put_u32(buf, at, value):
    """Write a u32 at buf[at]."""
    put_u16(buf, at, value)
    put_u16(buf, at + 2, value >> 16)


def put_bytes(buf, at, data, size):
    """Write at most size bytes of data at buf[at] and zeros up to size."""
    _put_bytes(buf, data, at << 16 | size, min(len(data), size))


@micropython.viper
def _put_bytes(buf, data, where: int, n: int):
    # where: at << 16 | size, as viper takes four arguments
    target = ptr8(buf)
    at = where >> 16
    last = at + (where & 0xFFFF)
    if n:  # nothing has no address
        source = ptr8(data)
        i = 0
        while i < n:
            target[at] = source[i]
            at += 1
            i += 1
    while at < last:
        target[at] = 0
        at += 1


def get_text(buf, at, size):
    """The bytes of a NUL-terminated field of that size, without the NUL."""
    end = at
    while end < at + size and buf[end]:
        end += 1
    return bytes(buf[at:end])


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


def request_flags(message):
    """flags."""
    return message[3]


def request_param(message):
    """param32; it arrives with the response phase, so not before that."""
    return get_u32(message, 8)


def forget_request(message):
    """Mark the buffer so that a header nobody sent is not taken for the last one."""
    message[0] = INVALID_VERSION


# --- the module header: formatVersion u8 @0, state u8 @1, zero u16 @2, dummy u32 @4,
# response i32 @8


@micropython.viper
def module_header(message, wifi_state: int):
    """Write the module header but for the response."""
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
# as extensions attempts u16 @10 and the peer's name @12, as long as the data phase


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


def dotted(ip):
    """The u32 of a record as text, first octet lowest: 0x0100007F is 127.0.0.1."""
    return ".".join(str(ip >> shift & 0xFF) for shift in (0, 8, 16, 24))


def peer_dotted(message):
    """remoteIp as text, in bytes."""
    return ".".join(str(octet) for octet in message[DATA : DATA + 4]).encode()


def peer_attempts(message):
    """attempts of a call home, 0 for ever; of every other record it is padding."""
    return get_u16(message, DATA + 10)


def peer_name(message, length):
    """The name behind the record in `length` bytes of data, b"" when there is none."""
    return get_text(message, DATA + _LISTEN_OR_CONNECT_SIZE, length - _LISTEN_OR_CONNECT_SIZE)


def is_peer_name(text):
    """Valid name of a peer: 1..64 letters, digits, hyphens, dots and underscores."""
    return 1 <= len(text) <= _PEER_NAME_LENGTH and all(_is_of_name(c) for c in text)


def _is_of_name(c):
    return 97 <= c <= 122 or 65 <= c <= 90 or 45 <= c <= 46 or 48 <= c <= 57 or c == 95


# --- ConnStatus (20): state u8 @0, socketNumber u8 @1, protocol u8 @2, rssi i8 @3,
# localPort u16 @4,
# remotePort u16 @6, remoteIp u32 @8, bytesAvailable u16 @12, writeBufferSpace u16 @14,
# connectedSockets u16 @16, otherEndClosedSockets u16 @18. Each slot keeps one, patched as things
# happen; what changes all the time is written when it is asked for.


def status_owner(record, number, protocol):
    """Set the slot's number and protocol."""
    record[1] = number
    record[2] = protocol


@micropython.viper
def status_addresses(record, addresses):
    """Set ports and remote address from the 8 bytes of stack.addresses()."""
    target = ptr8(record)
    source = ptr8(addresses)
    i = 0
    while i < 8:
        target[4 + i] = source[i]
        i += 1


def set_local_port(record, port):
    """Set the local port, where the stack could not tell it."""
    put_u16(record, 4, port)


@micropython.viper
def status_clear(record, number: int):
    """The record of a free slot."""
    target = ptr8(record)
    i = 0
    while i < 20:
        target[i] = 0
        i += 1
    target[1] = number


def status_ports(record):
    """Local and remote port."""
    return get_u16(record, 4), get_u16(record, 6)


@micropython.viper
def status_local_port(record) -> int:
    """The local port."""
    source = ptr8(record)
    return source[4] | source[5] << 8


@micropython.viper
def status_remote_port(record) -> int:
    """The remote port."""
    source = ptr8(record)
    return source[6] | source[7] << 8


@micropython.viper
def status_peer_pair(record, first: int) -> int:
    """Two of the remote address's octets, from octet `first` on: the earlier one is the higher."""
    source = ptr8(record)
    return source[8 + first] << 8 | source[9 + first]


def status_peer_octets(record):
    """The remote address's four octets."""
    return bytes(record[8:12])


@micropython.viper
def put_conn_status(message, record, amounts: int, summary: int):
    """The whole ConnStatus into the data phase.

    amounts: writeBufferSpace << 16 | bytesAvailable. summary: rssi << 16 (signed)
    | otherEndClosedSockets << 8 | connectedSockets.
    """
    target = ptr8(message)
    source = ptr8(record)
    i = 0
    while i < 12:
        target[12 + i] = source[i]
        i += 1
    target[15] = summary >> 16
    target[24] = amounts
    target[25] = amounts >> 8
    target[26] = amounts >> 16
    target[27] = amounts >> 24
    target[28] = summary
    target[29] = 0
    target[30] = summary >> 8
    target[31] = 0


@micropython.viper
def address_local_port(addresses) -> int:
    """The local port in the 8 bytes of stack.addresses()."""
    source = ptr8(addresses)
    return source[0] | source[1] << 8


# --- NetworkStatus (168)


class NetworkStatus:
    """What networkGetStatus tells; encode() knows where it goes. Plain attributes, set by wlan."""

    def __init__(self):
        self.clear()

    def clear(self):
        """As of a module that is on no network."""
        self.ip = 0  # u32, first octet lowest
        self.netmask = 0
        self.gateway = 0
        self.free_heap = 0
        self.reset_reason = RESET_UNKNOWN
        self.flash_size = 0
        self.rssi = NO_RSSI
        self.clients = 0  # stations on our access point
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

    def encode(self, message):
        """Write the record into the data phase; returns its size."""
        put_u32(message, DATA, self.ip)
        put_u32(message, DATA + 4, self.free_heap)
        put_u32(message, DATA + 8, self.reset_reason)
        put_u32(message, DATA + 12, self.flash_size)
        message[DATA + 16] = self.rssi & 0xFF
        message[DATA + 17] = self.clients
        message[DATA + 18] = self.sleep_mode & 3 | (self.phy_mode & 3) << 2
        message[DATA + 19] = 0
        put_u16(message, DATA + 20, self.vcc)
        put_bytes(message, DATA + 22, self.mac, 6)
        put_bytes(message, DATA + 28, self.version[:15], 16)
        put_bytes(message, DATA + 44, self.ssid, SSID_LENGTH)
        put_bytes(message, DATA + 76, self.host_name, HOST_NAME_LENGTH)
        put_u32(message, DATA + 140, self.clock_register)
        put_u32(message, DATA + 144, self.netmask)
        put_u32(message, DATA + 148, self.gateway)
        put_u32(message, DATA + 152, self.reconnects)
        message[DATA + 156] = self.dhcp
        message[DATA + 157] = self.auth
        message[DATA + 158] = self.channel & 15 | (self.ht_mode & 3) << 4
        message[DATA + 159] = 0
        put_bytes(message, DATA + 160, self.ap_mac, 6)
        put_u16(message, DATA + 166, 0)
        return _NETWORK_STATUS_SIZE


# --- WirelessConfig (112): ip u32 @0, gateway u32 @4, netmask u32 @8, channel u8 @12, security i8
# @13, ssid 32 @16, password 64 @48 (enterprise: five u32 credential sizes), EAP protocol u8 @111


def config_ip(record):
    """ip, 0 for DHCP."""
    return get_u32(record, 0)


def config_gateway(record):
    """gateway."""
    return get_u32(record, 4)


def config_netmask(record):
    """netmask; 0 stands for 255.255.255.0."""
    return get_u32(record, 8) or 0x00FFFFFF


def config_channel(record):
    """channel, 0 for automatic."""
    return record[12]


def config_ssid(record):
    """ssid, as bytes."""
    return get_text(record, 16, SSID_LENGTH)


def config_deletes(record):
    """True for the record that deletes our own access point: its ssid begins with 0xFF."""
    return record[16] == 0xFF


def config_password(record):
    """password, as bytes: never to be shown."""
    return get_text(record, 48, _PASSWORD_LENGTH)


def config_credential_size(record, index):
    """Bytes announced for enterprise credential `index`, 0..4."""
    return get_u32(record, 48 + 4 * index)


def config_eap(record):
    """EAP protocol: 0 none (personal), 1 TLS, 2 PEAP-MSCHAPv2, 3 TTLS-MSCHAPv2.

    In a record with a PSK the byte is its last digit, which is none of these.
    """
    return record[111] if record[111] <= 3 else 0


def set_config_eap(record, protocol):
    """Mark the record as an enterprise network."""
    record[111] = protocol


def is_ssid(text):
    """Valid SSID of a network to join: 1..32 bytes of any kind."""
    return 1 <= len(text) <= SSID_LENGTH


def is_own_ssid(text):
    """Valid SSID of our own access point: the same, without ASCII's control characters."""
    return is_ssid(text) and all(c >= 32 and c != 127 for c in text)


def is_password(text):
    """Valid password: empty, 8..63 bytes of any kind, or a PSK."""
    return not text or 8 <= len(text) < _PASSWORD_LENGTH or is_psk(text)


def is_psk(text):
    """True for a pre-shared key: 64 hexadecimal digits in the place of a password."""
    return len(text) == _PASSWORD_LENGTH and all(_is_hex(c) for c in text)


def _is_hex(c):
    return 48 <= c <= 57 or 65 <= c <= 70 or 97 <= c <= 102


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
