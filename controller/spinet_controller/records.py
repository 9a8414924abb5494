"""The wire from the controller's side: every record of the link protocol, byte-exact.

The only file that knows an offset. All integers are little-endian; an IPv4 address is the
four bytes of its dotted form, first byte first. Text fields are padded with NUL.

Names and passwords are bytes on the wire and str here, decoded from UTF-8. A byte that is not UTF-8
becomes U+DC80 to U+DCFF (surrogateescape, as in command-line arguments), so nothing is lost.
"""

import re
import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, Self

from spinet_controller.codes import (
    FORMAT_VERSION,
    HOST_NAME_LENGTH,
    PASSWORD_LENGTH,
    SSID_LENGTH,
    Auth,
    ConnState,
    Eap,
    ResetReason,
    UpdateState,
    WiFiState,
    named,
)

ANY_ADDRESS = IPv4Address(0)

Raw = bytes | bytearray | memoryview
"""What records are read from."""


def padded(length: int) -> int:
    """Round `length` up to whole dwords, as every phase is on the wire."""
    return (length + 3) & ~3


def _text(raw: Raw) -> str:
    return bytes(raw).split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _field(text: str, size: int, what: str, longest: int | None = None) -> bytes:
    """Encode `text` into `size` bytes, padded; ValueError when it has more than `longest`."""
    longest = size if longest is None else longest
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # A surrogate that stands for no byte; the error would quote a password.
        raise ValueError(f"{what} is no text") from None
    if b"\0" in raw or len(raw) > longest:
        raise ValueError(f"{what} is longer than {longest} bytes or holds a NUL")
    return raw.ljust(size, b"\0")


def shown(text: str) -> str:
    r"""Give `text` for people: \xNN for a control character, and for a byte that is no UTF-8."""
    return "".join(
        f"\\x{ord(letter) & 0xFF:02x}" if unicodedata.category(letter) in ("Cc", "Cs") else letter
        for letter in text
    )


def _address(raw: Raw) -> IPv4Address:
    return IPv4Address(bytes(raw))


def _mac(raw: Raw) -> str:
    return ":".join(f"{byte:02x}" for byte in raw)


REQUEST_HEADER = struct.Struct("<BBBBHHI")
"""formatVersion, command, socketNumber, flags, dataLength, dataBufferAvailable, param32."""


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """What the controller sends first; 12 bytes, 8 in the first phase and 4 in the second."""

    command: int
    socket: int = 0
    flags: int = 0
    data_length: int = 0
    data_buffer_available: int = 0
    param32: int = 0
    format_version: int = FORMAT_VERSION

    SIZE = REQUEST_HEADER.size

    def pack(self) -> bytes:
        """Give the 12 bytes."""
        return REQUEST_HEADER.pack(
            self.format_version,
            self.command,
            self.socket,
            self.flags,
            self.data_length,
            self.data_buffer_available,
            self.param32,
        )


MODULE_HEADER = struct.Struct("<BB2xIi")
"""formatVersion, state, two zero bytes, dummy, response."""


@dataclass(frozen=True, slots=True)
class ModuleHeader:
    """What the module sends first, 12 bytes; `response` comes in the second phase."""

    format_version: int
    state: int
    response: int

    SIZE = MODULE_HEADER.size

    @classmethod
    def unpack(cls, raw: Raw) -> Self:
        """Read the header from the first 12 bytes of `raw`."""
        version, state, _dummy, response = MODULE_HEADER.unpack_from(raw)
        return cls(version, state, response)


_LISTEN_OR_CONNECT = struct.Struct("<4sBxHHH")
assert _LISTEN_OR_CONNECT.size == 12
_LABEL = r"[A-Za-z0-9_-]{1,63}"
_PEER_NAME = re.compile(rf"(?=.{{1,64}}\Z){_LABEL}(\.{_LABEL})*\.?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ListenOrConnect:
    """Data of connCreate and networkListen: 12 bytes, and the name of a peer that has one.

    `remote_ip` is the peer of connCreate and of a call home, 0.0.0.0 when `host_name` tells
    it; of networkListen it is the address to listen on, 0.0.0.0 for any. `max_connections` 0
    stops a listener. `attempts` of a call home may fail in a row, 0 for any number.
    """

    port: int
    remote_ip: IPv4Address = ANY_ADDRESS
    protocol: int = 0
    max_connections: int = 0
    attempts: int = 0
    host_name: str = ""

    SIZE = _LISTEN_OR_CONNECT.size

    @classmethod
    def to(
        cls,
        host: str,
        port: int,
        protocol: int = 0,
        max_connections: int = 0,
        attempts: int = 0,
        server_name: str = "",
    ) -> Self:
        """Give the record for a peer by IPv4 address or by name.

        A peer by address may have a `server_name`, which its certificate is for.
        """
        try:
            ip, name = IPv4Address(host), server_name
        except ValueError:
            ip, name = ANY_ADDRESS, host
        return cls(port, ip, protocol, max_connections, attempts, name)

    def pack(self) -> bytes:
        """Give the bytes; a number out of range, or what can be no name, raises ValueError."""
        numbers = (self.port, self.max_connections, self.attempts)
        if not all(0 <= number <= 0xFFFF for number in numbers):
            raise ValueError("port, max_connections and attempts are 16-bit numbers")
        if not 0 <= self.protocol <= 0xFF:
            raise ValueError(f"protocol {self.protocol} is no 8-bit number")
        if self.host_name and not _PEER_NAME.fullmatch(self.host_name):
            raise ValueError(f"{self.host_name!r} can be no host name")
        record = _LISTEN_OR_CONNECT.pack(
            self.remote_ip.packed,
            *(self.protocol, self.port, self.max_connections, self.attempts),
        )
        return record + self.host_name.encode()

    @classmethod
    def unpack(cls, raw: Raw) -> Self:
        """Read the record back."""
        ip, protocol, *numbers = _LISTEN_OR_CONNECT.unpack_from(raw)
        port, max_connections, attempts = numbers
        name = _text(raw[cls.SIZE :])
        return cls(port, _address(ip), protocol, max_connections, attempts, name)


CONN_STATUS = struct.Struct("<BBBbHH4sHHHH")
"""The 20 bytes of ConnStatus, for the poller, which reads them without an object."""
assert CONN_STATUS.size == 20


@dataclass(frozen=True, slots=True)
class ConnStatus:
    """Answer of connGetStatus, 20 bytes; the bitmaps have bit n set for socket n."""

    state: ConnState | int
    socket: int
    protocol: int
    rssi: int
    local_port: int
    remote_port: int
    remote_ip: IPv4Address
    bytes_available: int
    write_buffer_space: int
    connected_sockets: int
    other_end_closed_sockets: int

    SIZE = CONN_STATUS.size

    @classmethod
    def unpack(cls, raw: Raw) -> Self:
        """Read the record from the first 20 bytes of `raw`."""
        state, socket, protocol, rssi, local, remote, ip, *rest = CONN_STATUS.unpack_from(raw)
        return cls(
            named(ConnState, state), socket, protocol, rssi, local, remote, _address(ip), *rest
        )


_UPDATE_STATUS = struct.Struct("<BBHIII32s")
_NETWORK_STATUS = struct.Struct("<4sIIIbBBxH6s16s32s64s")
_NETWORK_STATUS_TAIL = struct.Struct("<I4s4sIBBBx6s2x")
NETWORK_STATUS_LEAST = _NETWORK_STATUS.size
NETWORK_STATUS_SIZE = NETWORK_STATUS_LEAST + _NETWORK_STATUS_TAIL.size
assert (NETWORK_STATUS_LEAST, NETWORK_STATUS_SIZE) == (140, 168)

SLEEP_MODES = {1: "none", 2: "light", 3: "modem"}
PHY_MODES = {1: "B", 2: "G", 3: "N"}
HT_MODES = {0: "HT20", 1: "HT40 above", 2: "HT40 below"}


@dataclass(frozen=True, slots=True)
class NetworkStatus:
    """Answer of networkGetStatus: 168 bytes, of which older modules send only the first 140.

    Fields behind @140 keep their defaults when the module did not send them.
    `free_heap` and `flash_size` are bytes, `vcc` millivolts, `rssi` dBm (-128: none).
    """

    ip: IPv4Address
    free_heap: int
    reset_reason: ResetReason | int
    flash_size: int
    rssi: int
    num_clients: int
    sleep_mode: int
    phy_mode: int
    vcc: int
    mac: str
    version_text: str
    ssid: str
    host_name: str
    clock_reg: int = 0
    netmask: IPv4Address = ANY_ADDRESS
    gateway: IPv4Address = ANY_ADDRESS
    num_reconnects: int = 0
    using_dhcp: bool = False
    auth: Auth | int = Auth.UNKNOWN
    channel: int = 0
    ht_mode: int = 0
    ap_mac: str = "00:00:00:00:00:00"

    @classmethod
    def unpack(cls, raw: Raw) -> Self:
        """Read a status of any length from 140 bytes on, else ValueError."""
        if len(raw) < NETWORK_STATUS_LEAST:
            raise ValueError(f"a NetworkStatus has at least 140 bytes, not {len(raw)}")
        head = cls._head(raw)
        tail = bytes(raw[NETWORK_STATUS_LEAST:NETWORK_STATUS_SIZE])
        if len(tail) < _NETWORK_STATUS_TAIL.size:
            return cls(*head)
        return cls(*head, *cls._tail(tail))

    @staticmethod
    def _head(raw: Raw) -> tuple[Any, ...]:
        ip, heap, reason, flash, rssi, clients, modes, vcc, mac, version, ssid, host = (
            _NETWORK_STATUS.unpack_from(raw)
        )
        return (
            *(_address(ip), heap, named(ResetReason, reason), flash, rssi, clients),
            *(modes & 3, modes >> 2 & 3, vcc, _mac(mac)),
            *(_text(version), _text(ssid), _text(host)),
        )

    @staticmethod
    def _tail(raw: Raw) -> tuple[Any, ...]:
        clock, mask, gateway, reconnects, dhcp, auth, radio, ap_mac = _NETWORK_STATUS_TAIL.unpack(
            raw
        )
        return (
            *(clock, _address(mask), _address(gateway), reconnects, bool(dhcp)),
            *(named(Auth, auth), radio & 15, radio >> 4 & 3, _mac(ap_mac)),
        )


_WIRELESS_CONFIG = struct.Struct("<4s4s4sBb2x32s64s")
_WIRELESS_CONFIG_SHOWN = struct.Struct("<4s4s4sBb2x32s")
CREDENTIALS = 5
_CREDENTIAL_SIZES = struct.Struct("<5I")
_EAP_PROTOCOL_AT = 111
assert (_WIRELESS_CONFIG.size, _WIRELESS_CONFIG_SHOWN.size) == (112, 48)


@dataclass(frozen=True, slots=True)
class WirelessConfig:
    """One remembered network, 112 bytes; the first 48 are what networkRetrieveSsidData shows.

    `ip` 0.0.0.0 asks for DHCP, `netmask` 0.0.0.0 means 255.255.255.0, `channel` 0 is
    automatic. An SSID has 1 to 32 bytes. A password is empty, has 8 to 63 bytes, or is a PSK of 64
    hexadecimal digits; it is not in repr, and is empty in what the module gives.
    """

    ssid: str
    password: str = field(default="", repr=False)
    ip: IPv4Address = ANY_ADDRESS
    gateway: IPv4Address = ANY_ADDRESS
    netmask: IPv4Address = ANY_ADDRESS
    channel: int = 0
    security: int = 0

    SIZE = _WIRELESS_CONFIG.size
    SHOWN = _WIRELESS_CONFIG_SHOWN.size

    def _shown(self) -> bytes:
        if not (0 <= self.channel <= 0xFF and -0x80 <= self.security <= 0x7F):
            raise ValueError(f"channel {self.channel} or security {self.security} is no byte")
        return _WIRELESS_CONFIG_SHOWN.pack(
            *(self.ip.packed, self.gateway.packed, self.netmask.packed),
            *(self.channel, self.security, _field(self.ssid, SSID_LENGTH, "an SSID")),
        )

    def pack(self) -> bytes:
        """Give the 112 bytes of a personal network."""
        return self._shown() + _field(self.password, PASSWORD_LENGTH, "a password")

    def pack_enterprise(self, eap: int, credential_sizes: Sequence[int]) -> bytes:
        """Give the 112 bytes with five credential sizes in place of the password."""
        if len(credential_sizes) != CREDENTIALS:
            raise ValueError(f"a network with EAP has at most {CREDENTIALS} credentials")
        sizes = _CREDENTIAL_SIZES.pack(*credential_sizes)
        room = _EAP_PROTOCOL_AT - self.SHOWN
        return self._shown() + sizes.ljust(room, b"\0") + bytes([eap])

    @classmethod
    def unpack(cls, raw: Raw) -> Self:
        """Read 48 bytes (no password) or 112."""
        ip, gateway, mask, channel, security, ssid = _WIRELESS_CONFIG_SHOWN.unpack_from(raw)
        password = _text(raw[cls.SHOWN : cls.SIZE])
        addresses = (_address(ip), _address(gateway), _address(mask))
        return cls(_text(ssid), password, *addresses, channel, security)

    @classmethod
    def unpack_all(cls, raw: Raw) -> list[Self]:
        """Read the answer of networkRetrieveSsidData: entry 0 is our own access point."""
        return [cls.unpack(raw[at : at + cls.SHOWN]) for at in range(0, len(raw), cls.SHOWN)]


@dataclass(frozen=True, slots=True)
class EnterpriseNetwork:
    """A network with EAP: five credentials in the order of the protocol, empty when not used.

    Anonymous identity, CA certificate, then for PEAP and TTLS identity and password, for
    TLS user certificate, private key and its password. None of them takes part in repr.
    """

    config: WirelessConfig
    eap: Eap
    credentials: tuple[bytes, ...] = field(repr=False)

    def pack(self) -> bytes:
        """Give the 112 bytes of the first stage."""
        sizes = [len(credential) for credential in self.credentials]
        return self.config.pack_enterprise(self.eap, sizes + [0] * (CREDENTIALS - len(sizes)))


_SCAN_DATA = struct.Struct("<bBBB6s2x33s")
assert _SCAN_DATA.size == 45


@dataclass(frozen=True, slots=True)
class ScanData:
    """One network that a scan found; 45 bytes, packed back to back."""

    ssid: str
    rssi: int
    auth: Auth | int
    channel: int
    phy_mode: int
    mac: str

    SIZE = _SCAN_DATA.size

    @classmethod
    def unpack(cls, raw: Raw) -> Self:
        """Read one record of 45 bytes."""
        rssi, phy, auth, channel, mac, ssid = _SCAN_DATA.unpack(raw)
        return cls(_text(ssid), rssi, named(Auth, auth), channel, phy, _mac(mac))

    @classmethod
    def unpack_all(cls, raw: Raw) -> list[Self]:
        """Read the answer of networkGetScanResult; a broken record raises ValueError."""
        if len(raw) % cls.SIZE:
            raise ValueError(f"{len(raw)} bytes are no whole number of ScanData records")
        return [cls.unpack(raw[at : at + cls.SIZE]) for at in range(0, len(raw), cls.SIZE)]


def pack_ssid(ssid: str) -> bytes:
    """Give the 32 bytes of networkDeleteSsid."""
    return _field(ssid, SSID_LENGTH, "an SSID")


def pack_start_client(ssid: str | None) -> bytes:
    """Give the data of networkStartClient: the SSID and a NUL, or nothing for None."""
    return b"" if ssid is None else pack_ssid(ssid).rstrip(b"\0") + b"\0"


def pack_host_name(name: str) -> bytes:
    """Give the 64 bytes of networkSetHostName."""
    return _field(name, HOST_NAME_LENGTH, "a host name", HOST_NAME_LENGTH - 1)


def unpack_names(raw: Raw) -> list[str]:
    """Read networkListSsids: our own access point first ("" when unset), then the networks.

    A name with a newline in it comes out as two.
    """
    return _text(raw).split("\n")[:-1]


def unpack_error(raw: Raw) -> str | None:
    """Read networkGetLastError, as people read it; None when nothing was wrong."""
    return shown(_text(raw)) or None


def wifi_state(value: int) -> WiFiState | int:
    """Name the state byte of a module header."""
    return named(WiFiState, value)


@dataclass(frozen=True)
class UpdateStatus:
    """Answer of moduleUpdate's step STATUS, an extension: 48 bytes, then a text.

    `slot` (0 or 1) has the image that runs, of `version`, for the chip with the number `chip` in
    images' headers. `received` bytes of `size` have come of the one that arrives; one has at most
    `room`, 0 where the module has no second slot. `text` tells how the last update ended, "" when
    there was none.
    """

    state: UpdateState | int
    slot: int
    chip: int
    received: int
    size: int
    room: int
    version: str
    text: str

    @classmethod
    def unpack(cls, raw: Raw) -> Self:
        """Read a status, else struct.error."""
        state, slot, chip, *sizes, version = _UPDATE_STATUS.unpack_from(raw)
        received, size, room = sizes
        numbers = named(UpdateState, state), slot, chip, received, size, room
        return cls(*numbers, _text(version), _text(raw[_UPDATE_STATUS.size :]))
