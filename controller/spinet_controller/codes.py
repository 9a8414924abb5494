"""The numbers of the link protocol under their published names."""

import re
from enum import Enum, IntEnum, IntFlag
from typing import Self, TypeVar

_E = TypeVar("_E", bound=IntEnum)

FORMAT_VERSION = 0x3E
SOCKETS = 8
MAX_DATA = 2048
MAX_SSIDS = 20

SSID_LENGTH = 32
PASSWORD_LENGTH = 64
HOST_NAME_LENGTH = 64

RSSI_UNKNOWN = -128


class Command(IntEnum):
    """Command numbers (link protocol, Commands). 8 is unused."""

    NULL = 0
    CONN_ABORT = 1
    CONN_CLOSE = 2
    CONN_CREATE = 3
    CONN_READ = 4
    CONN_WRITE = 5
    CONN_GET_STATUS = 6
    NETWORK_LISTEN = 7
    NETWORK_GET_STATUS = 9
    NETWORK_ADD_SSID = 10
    NETWORK_DELETE_SSID = 11
    NETWORK_LIST_SSIDS = 12
    NETWORK_CONFIGURE_ACCESS_POINT = 13
    NETWORK_START_CLIENT = 14
    NETWORK_START_ACCESS_POINT = 15
    NETWORK_STOP = 16
    NETWORK_FACTORY_RESET = 17
    NETWORK_SET_HOST_NAME = 18
    NETWORK_GET_LAST_ERROR = 19
    DIAGNOSTICS = 20
    NETWORK_RETRIEVE_SSID_DATA = 21
    NETWORK_SET_TX_POWER = 22
    NETWORK_SET_CLOCK_CONTROL = 23
    NETWORK_START_SCAN = 24
    NETWORK_GET_SCAN_RESULT = 25
    NETWORK_ADD_ENTERPRISE_SSID = 26
    NETWORK_ENABLE_TLS = 27
    NETWORK_SET_TLS_CERT = 28
    NETWORK_SET_TLS_KEY = 29
    NETWORK_CLEAR_TLS = 30
    MODULE_UPDATE = 64


class Response(IntEnum):
    """Response codes; positive answers are lengths or a socket number."""

    EMPTY = 0
    UNKNOWN_COMMAND = -1
    BAD_REQUEST_FORMAT_VERSION = -2
    TOO_MANY_SSIDS = -3
    WRONG_STATE = -4
    BAD_DATA_LENGTH = -5
    NETWORK_DISABLED = -6
    TIMEOUT = -7
    BUSY = -8
    BUFFER_TOO_SMALL = -9
    BAD_REPLY_FORMAT_VERSION = -10
    BAD_PARAMETER = -11
    NO_SCAN_STARTED = -12
    SCAN_IN_PROGRESS = -13
    UNKNOWN_ERROR = -14
    NO_TLS_CERT = -15


class ConnState(IntEnum):
    """Connection states, ConnStatus @0."""

    FREE = 0
    CONNECTING = 1
    CONNECTED = 2
    OTHER_END_CLOSED = 3
    ABORTED = 4
    CLOSE_PENDING = 5
    CLOSE_READY = 6
    ALLOCATED = 7


class WiFiState(IntEnum):
    """WiFi states, module header @1."""

    DISABLED = 0
    IDLE = 1
    RUNNING_AS_ACCESS_POINT = 2
    CONNECTING = 3
    CONNECTED = 4
    AUTO_RECONNECTING = 5
    RECONNECTING = 6


class Auth(IntEnum):
    """Authentication of a network."""

    OPEN = 0
    WEP = 1
    WPA = 2
    WPA2 = 3
    WPA_WPA2 = 4
    WPA2_ENTERPRISE = 5
    WPA3 = 6
    WPA2_WPA3 = 7
    WAPI = 8
    UNKNOWN = 9


class ResetReason(IntEnum):
    """Why the module started, NetworkStatus @8."""

    POWER_UP = 0
    HARDWARE_WATCHDOG = 1
    EXCEPTION = 2
    SOFTWARE_WATCHDOG = 3
    SOFTWARE_RESTART = 4
    DEEP_SLEEP_WAKE = 5
    TURNED_ON_BY_MAIN_PROCESSOR = 6
    BROWNOUT = 7
    SDIO = 8
    UNKNOWN = 9


class Protocol(IntEnum):
    """ListenOrConnect @4; from MQTT on the number is the controller's business."""

    HTTP = 0
    FTP = 1
    TELNET = 2
    FTP_DATA = 3
    MQTT = 4
    FTP_PASSIVE = 5


class Eap(IntEnum):
    """EAP protocol of an enterprise network, WirelessConfig @111."""

    NONE = 0
    TLS = 1
    PEAP_MSCHAPV2 = 2
    TTLS_MSCHAPV2 = 3


class WriteFlag(IntFlag):
    """Flags of connWrite; they count only when all of the data was accepted."""

    CLOSE = 0x01
    PUSH = 0x02


class ListenFlag(IntFlag):
    """Flags of networkListen."""

    TLS = 0x04
    CALL_HOME = 0x08


class ConnectFlag(IntFlag):
    """Flag of connCreate, an extension: the module speaks TLS to the peer."""

    TLS = 0x04


class CertFlag(IntFlag):
    """Flag of networkSetTlsCert, an extension: whom outgoing TLS trusts."""

    CA = 0x01


class EnterpriseStage(IntEnum):
    """Stages of networkAddEnterpriseSsid, sent in the flags field."""

    SSID = 0
    CREDENTIAL = 1
    COMMIT = 2
    CANCEL = 3


class UpdateStep(IntEnum):
    """Steps of moduleUpdate, an extension, sent in the flags field."""

    BEGIN = 0
    PIECE = 1
    FINISH = 2
    RESTART = 3
    CANCEL = 4
    STATUS = 5
    OWNER = 6


UPDATE_PORT = 21328
"""TCP port of a module that takes updates over the network."""

UPDATE_AGAIN = 0x80
"""Flag beside UpdateStep.BEGIN: the image may have the version that runs."""


class UpdateState(IntEnum):
    """What an update is at, UpdateStatus @0."""

    IDLE = 0
    ARRIVING = 1
    CHOSEN = 2
    ON_TRIAL = 3


class ClockWord(IntEnum):
    """param32 of networkSetClockControl that a controller has a reason to send."""

    MHZ_26 = 0x2001
    MHZ_40 = 0x1001
    MHZ_20 = 0x3403


class LastError(Enum):
    """What a last error is about; the link has only its words, which match these patterns.

    Those about a network come first, as its name, in front of the words, may be anything.
    """

    WRONG_PASSWORD = "(.*): wrong password"
    NETWORK_NOT_FOUND = "(.*): network not found|no known networks found"
    NETWORK_UNKNOWN = "no data found for requested SSID"
    NETWORK_LOST = "(.*): (?:connection lost, |auto-reconnect failed, ).*"
    NETWORK_BACK = "(.*): reconnected"
    NETWORK_FAILED = (
        "(.*): (?:network has another kind of security|enterprise login .*|connecting timed out"
        "|no address by DHCP|signal lost|network scan failed|cannot scan.*|cannot connect.*"
        r"|refused by the access point \(.*|connecting failed \(.*"
        "|this firmware cannot join enterprise networks)|network scan failed|cannot scan.*"
    )
    LISTEN_FAILED = "Listen failed"
    CALL_FAILED = "Call home failed"
    CALL_UNANSWERED = "call home to (.*) failed: .*"
    CALL_GIVEN_UP = "call home to (.*) given up: .*"
    BAD_HOST_NAME = "bad host name"
    HOST_NOT_FOUND = "host not found: ([A-Za-z0-9._-]+)"
    CONNECTION_FAILED = "Connection creation failed"
    HANDSHAKE_FAILED = "TLS: .*"
    BAD_SSID = "bad SSID|bad enterprise SSID"
    BAD_PASSWORD = "bad password"
    BAD_CREDENTIAL = "bad enterprise credential|enterprise (?:credentials too long|SSID not saved)"
    SSID_TABLE_FULL = "SSID table full"
    SSID_NOT_FOUND = "SSID not found"
    NO_ACCESS_POINT = "no data found for access point"
    BAD_ACCESS_POINT = "(?:bad|invalid) access point configuration|cannot be an access point: .*"
    BAD_CERTIFICATE = "TLS certificate: .*"
    BAD_KEY = "TLS key: .*"
    BAD_CA = "TLS CA: .*"
    NO_TLS = "TLS is not in this firmware"
    UPDATE_REFUSED = "update: .*"
    CLOCK_REFUSED = "SPI clock refused, .*"
    STORAGE_FAILED = "(?:storage|factory reset) failed, .*"
    OUT_OF_MEMORY = "out of memory"

    @classmethod
    def of(cls, text: str) -> Self | None:
        """Give the LastError that all of a text is, else None."""
        return next((kind for kind in cls if kind._match(text)), None)

    def subject(self, text: str) -> str:
        """Give the name of the network or host that a text of this kind is about, else ""."""
        match = self._match(text)
        return match[1] or "" if match and match.re.groups else ""

    def _match(self, text: str) -> re.Match[str] | None:
        return re.fullmatch(self.value, text, re.DOTALL)


ABOUT_A_NETWORK = frozenset(
    {
        LastError.WRONG_PASSWORD,
        LastError.NETWORK_NOT_FOUND,
        LastError.NETWORK_UNKNOWN,
        LastError.NETWORK_LOST,
        LastError.NETWORK_BACK,
        LastError.NETWORK_FAILED,
    }
)
ABOUT_A_CONNECTION = frozenset(
    {
        LastError.LISTEN_FAILED,
        LastError.CALL_FAILED,
        LastError.CALL_UNANSWERED,
        LastError.CALL_GIVEN_UP,
        LastError.BAD_HOST_NAME,
        LastError.HOST_NOT_FOUND,
        LastError.CONNECTION_FAILED,
        LastError.HANDSHAKE_FAILED,
    }
)
"""Last errors that no command left which is about something else."""


def named(enum: type[_E], value: int) -> _E | int:
    """Give `enum(value)`, or the plain integer when a newer module sends an unknown one."""
    try:
        return enum(value)
    except ValueError:
        return value
