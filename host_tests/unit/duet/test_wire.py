"""Every record, command number and code of the link protocol, as bytes written by hand (L1)."""

import ast
import re
from pathlib import Path

import pytest
from fake_pins import conn_status

from spinet import network_status, states
from spinet.duet import commands, controller_clocked, module_clocked, wire
from spinet.network_status import NetworkStatus
from spinet.tcp import stack_sockets, status
from spinet.wifi import config, networks

pytestmark = pytest.mark.behaviour("L1")

COMMANDS = {
    "NULL": 0,
    "CONN_ABORT": 1,
    "CONN_CLOSE": 2,
    "CONN_CREATE": 3,
    "CONN_READ": 4,
    "CONN_WRITE": 5,
    "CONN_GET_STATUS": 6,
    "NETWORK_LISTEN": 7,
    "NETWORK_GET_STATUS": 9,
    "NETWORK_ADD_SSID": 10,
    "NETWORK_DELETE_SSID": 11,
    "NETWORK_LIST_SSIDS": 12,
    "NETWORK_CONFIGURE_ACCESS_POINT": 13,
    "NETWORK_START_CLIENT": 14,
    "NETWORK_START_ACCESS_POINT": 15,
    "NETWORK_STOP": 16,
    "NETWORK_FACTORY_RESET": 17,
    "NETWORK_SET_HOST_NAME": 18,
    "NETWORK_GET_LAST_ERROR": 19,
    "DIAGNOSTICS": 20,
    "NETWORK_RETRIEVE_SSID_DATA": 21,
    "NETWORK_SET_TX_POWER": 22,
    "NETWORK_SET_CLOCK_CONTROL": 23,
    "NETWORK_START_SCAN": 24,
    "NETWORK_GET_SCAN_RESULT": 25,
    "NETWORK_ADD_ENTERPRISE_SSID": 26,
    "NETWORK_ENABLE_TLS": 27,
    "NETWORK_SET_TLS_CERT": 28,
    "NETWORK_SET_TLS_KEY": 29,
    "NETWORK_CLEAR_TLS": 30,
}
RESPONSES = {
    "UNKNOWN_COMMAND": "ffffffff",
    "BAD_REQUEST_FORMAT_VERSION": "feffffff",
    "TOO_MANY_SSIDS": "fdffffff",
    "WRONG_STATE": "fcffffff",
    "BAD_DATA_LENGTH": "fbffffff",
    "TIMEOUT": "f9ffffff",
    "BUSY": "f8ffffff",
    "BUFFER_TOO_SMALL": "f7ffffff",
    "BAD_REPLY_FORMAT_VERSION": "f6ffffff",
    "BAD_PARAMETER": "f5ffffff",
    "NO_SCAN_STARTED": "f4ffffff",
    "SCAN_IN_PROGRESS": "f3ffffff",
    "UNKNOWN_ERROR": "f2ffffff",
    "NO_TLS_CERT": "f1ffffff",
}
NUMBERS = {
    "FORMAT_VERSION": 0x3E,
    "INVALID_VERSION": 0xC9,
    "SOCKETS": 8,
    "MAX_DATA": 2048,
    "SSID_LENGTH": 32,
    "PASSWORD_LENGTH": 64,
    "HOST_NAME_LENGTH": 64,
    "PEER_NAME_LENGTH": 64,
    "REMEMBERED_NETWORKS": 20,
    "HEADER_SIZE": 12,
    "MESSAGE_SIZE": 2060,
    "FIRST_PHASE": 8,
    "RESPONSE": 8,
    "DATA": 12,
    "FLAG_CLOSE_AFTER_WRITE": 1,
    "FLAG_PUSH": 2,
    "FLAG_TLS": 4,
    "FLAG_UNVERIFIED": 8,
    "FLAG_CA": 1,
    "FLAG_CALL_HOME": 8,
    "ENTERPRISE_SSID": 0,
    "ENTERPRISE_CREDENTIAL": 1,
    "ENTERPRISE_COMMIT": 2,
    "ENTERPRISE_CANCEL": 3,
    "MAX_TX_POWER": 82,
    "FREE": 0,
    "CONNECTING": 1,
    "CONNECTED": 2,
    "OTHER_END_CLOSED": 3,
    "ABORTED": 4,
    "CLOSE_PENDING": 5,
    "CLOSE_READY": 6,
    "ALLOCATED": 7,
    "WIFI_IDLE": 1,
    "WIFI_ACCESS_POINT": 2,
    "WIFI_CONNECTING": 3,
    "WIFI_CONNECTED": 4,
    "WIFI_AUTO_RECONNECTING": 5,
    "WIFI_RECONNECTING": 6,
    "PROTOCOL_FTP_DATA": 3,
    "RESET_POWER_UP": 0,
    "RESET_WATCHDOG": 3,
    "RESET_SOFTWARE": 4,
    "RESET_DEEP_SLEEP": 5,
    "RESET_BY_CONTROLLER": 6,
    "RESET_UNKNOWN": 9,
    "AUTH_OPEN": 0,
    "AUTH_WPA2": 3,
    "AUTH_WPA2_WPA3": 7,
    "AUTH_UNKNOWN": 9,
    "NO_RSSI": -128,
    "CREDENTIALS": 5,
    "LISTEN_OR_CONNECT_SIZE": 12,
    "CONN_STATUS_SIZE": 20,
    "NETWORK_STATUS_SIZE": 168,
    "WIRELESS_CONFIG_SIZE": 112,
    "WIRELESS_CONFIG_PUBLIC_SIZE": 48,
    "SCAN_DATA_SIZE": 45,
}


def message(text=""):
    """A link's buffer that begins with these bytes; all else in it is old noise."""
    data = bytes.fromhex(text)
    return bytearray(data + bytes([0xA5]) * (2060 - len(data)))


# --- numbers


# Where a number is: in wire, or in the room that it belongs to.
HOMES = (wire, states, network_status, networks, config)
SIZES = {
    "CONN_STATUS_SIZE": status.SIZE,
    "WIRELESS_CONFIG_SIZE": config.SIZE,
    "WIRELESS_CONFIG_PUBLIC_SIZE": config.PUBLIC_SIZE,
    "PEER_NAME_LENGTH": commands._PEER_MOST - commands._PEER - 1,
}


def value(name):
    """Of a constant that is one module's own (with an underscore), or everybody's."""
    if name in SIZES:
        return SIZES[name]
    found = [vars(home)[n] for home in HOMES for n in (name, "_" + name) if n in vars(home)]
    assert len(set(found)) == 1, name
    return found[0]


@pytest.mark.parametrize(("name", "number"), NUMBERS.items())
def test_number(name, number):
    assert value(name) == number


def test_commands_have_their_numbers():
    rows = enumerate(commands.COMMANDS)
    names = {re.sub("([A-Z])", r"_\1", row[0]).upper(): number for number, row in rows if row}
    assert names == COMMANDS
    special = {name: number for name, number in COMMANDS.items() if hasattr(wire, name)}
    assert special == {name: getattr(wire, name) for name in special}


@pytest.mark.parametrize(("name", "octets"), RESPONSES.items())
def test_response_code_crosses_the_wire_as_these_bytes(name, octets):
    buf = message()
    wire.put_response(buf, value(name))
    assert buf[8:12].hex() == octets


@pytest.mark.parametrize(
    ("value", "octets"),
    [(0, "00000000"), (20, "14000000"), (168, "a8000000"), (2048, "00080000"), (7, "07000000")],
)
def test_response_that_is_a_length_or_a_socket(value, octets):
    buf = message()
    wire.put_response(buf, value)
    assert buf[8:12].hex() == octets


def test_wire_has_no_constant_that_these_tests_do_not_know():
    known = {*RESPONSES, *NUMBERS}
    there = {name.lstrip("_") for home in HOMES[:3] for name in vars(home) if name.isupper()}
    assert there - {"STATES", "WIFI_STATES", "SIZE"} - {*COMMANDS} <= known
    assert known - there <= {*SIZES, "PASSWORD_LENGTH", "CREDENTIALS", "REMEMBERED_NETWORKS"}


# --- copies: hot files redeclare what they need

HOT_FILES = (commands, module_clocked, controller_clocked)


def copies(module):
    """The file's own `_NAME = const(number)` whose name wire.py has as well."""
    for node in ast.parse(Path(module.__file__).read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id.startswith("_"):
            name = node.targets[0].id
            if any(hasattr(home, n) for home in (wire, states) for n in (name, name[1:])):
                yield name


@pytest.mark.parametrize("module", HOT_FILES)
def test_copied_constants_are_those_of_wire(module):
    for name in copies(module):
        if (module, name) in NOT_COPIES:
            continue
        assert getattr(module, name) == value(name[1:]), name


# The phases of the port have names of their own meaning.
NOT_COPIES = {(controller_clocked, "_RESPONSE"), (controller_clocked, "_DATA")}


def test_the_copies_are_found():
    assert {"_MAX_DATA"} <= set(copies(commands))


def test_slots_and_stack_agree_about_their_number():
    assert stack_sockets._CONNECTIONS == states.SOCKETS + 1  # and an update over the network


# --- request header

#          version, command 5, socket 3, flags 3; length 0x07FF, available 0x0102; param
REQUEST = "3e 05 03 03 ff 07 02 01 78 56 34 12"


def test_request_header():
    buf = message(REQUEST)
    assert wire.request_error(buf) == 0
    assert wire.request_socket(buf) == 3
    assert wire.request_length(buf) == 2047
    assert wire.request_available(buf) == 258
    assert wire.request_param(buf) == 0x12345678


def test_available_is_never_more_than_a_data_phase():
    assert wire.request_available(message("3e 04 00 00 00 00 ff ff")) == 2048
    assert wire.request_available(message("3e 04 00 00 00 00 00 08")) == 2048
    assert wire.request_available(message("3e 04 00 00 00 00 ff 07")) == 2047


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ("3e 05 00 00 00 08 00 00", 0),
        ("3e 05 00 00 01 08 00 00", -5),
        ("3e 05 00 00 ff ff 00 00", -5),
        ("3d 05 00 00 00 00 00 00", -2),
        ("3f 05 00 00 01 08 00 00", -2),
        ("c9 00 00 00 00 00 00 00", -2),
        ("00 00 00 00 00 00 00 00", -2),
        ("ff ff ff ff ff ff ff ff", -2),
    ],
)
def test_header_that_cannot_be_served(header, error):
    assert wire.request_error(message(header)) == error


def test_forgotten_request_is_refused():
    buf = message(REQUEST)
    wire.forget_request(buf)
    assert wire.request_error(buf) == -2


# --- module header


def test_module_header():
    buf = message()
    wire.module_header(buf, 4)
    wire.put_response(buf, -3)
    assert buf[:12].hex(" ") == "3e 04 00 00 00 00 00 00 fd ff ff ff"
    assert buf[12] == 0xA5


# --- ListenOrConnect


def test_listen_or_connect():
    #                         10.1.2.3     proto pad  port   max    pad
    buf = message("00" * 12 + "0a 01 02 03  04   ff   90 1f  08 00  ff ff")
    assert wire.peer_ip(buf) == 0x0302010A
    assert wire.peer_protocol(buf) == 4
    assert wire.peer_port(buf) == 8080
    assert wire.peer_limit(buf) == 8


# --- ConnStatus


def conn_record():
    record = bytearray(20)
    status.clear(record, 5)
    record[0] = 2
    status.set_owner(record, 5, 1)
    #                                          21     50000  192.168.1.10
    status.set_addresses(record, bytes.fromhex("15 00 50 c3 c0 a8 01 0a"))
    return record


def test_conn_status():
    record = conn_record()
    record[14:16] = b"\x23\x01"
    told = conn_status(record, 0x0456, -61, 0x42, 0xA1)
    assert told.hex(" ") == "02 05 01 c3 15 00 50 c3 c0 a8 01 0a 56 04 23 01 a1 00 42 00"


def test_conn_status_of_a_free_slot():
    record = conn_record()
    status.clear(record, 5)
    assert conn_status(record, 0, -128, 0, 0).hex() == "00050080" + "00" * 16


def test_conn_status_at_its_limits():
    record = conn_record()
    record[14:16] = b"\x00\x08"
    told = conn_status(record, 0x1000, -1, 0xFF, 0xFF)
    assert told[12:].hex(" ") == "00 10 00 08 ff 00 ff 00"
    assert told[3] == 0xFF


def test_local_port_alone_and_what_reports_read():
    record = conn_record()
    status.set_local_port(record, 0x1F90)
    assert record[4:8].hex(" ") == "90 1f 50 c3"
    assert (status.local_port(record), status.remote_port(record)) == (8080, 50000)
    assert status.peer_ip(record) == 0x0A01A8C0


# --- NetworkStatus


def full_status():
    status = NetworkStatus()
    status.ip = 0x0A01A8C0
    status.netmask = 0x00FFFFFF
    status.gateway = 0x0101A8C0
    status.free_heap = 0x00012345
    status.reset_reason = 6
    status.flash_size = 0x00400000
    status.rssi = -61
    status.clients = 3
    status.sleep_mode = 2
    status.phy_mode = 3
    status.vcc = 0x0CE4
    status.mac = bytes.fromhex("020304050607")
    status.version = b"2.3.0-spinet"
    status.ssid = b"Attic"
    status.host_name = b"duet"
    status.clock_register = 0x2001
    status.reconnects = 7
    status.dhcp = 1
    status.auth = 7
    status.channel = 11
    status.ht_mode = 2
    status.ap_mac = bytes.fromhex("0a0b0c0d0e0f")
    return status


NETWORK_STATUS = (
    "c0a8010a 45230100 06000000 00004000 c3 03 0e 00 e40c 020304050607"
    + b"2.3.0-spinet".hex()
    + "00" * 4
    + b"Attic".hex()
    + "00" * 27
    + b"duet".hex()
    + "00" * 60
    + "01200000 ffffff00 c0a80101 07000000 01 07 2b 00 0a0b0c0d0e0f 0000"
)


def test_network_status():
    buf = message()
    assert wire.put_network_status(buf, full_status()) == 168
    assert buf[12:180].hex() == bytes.fromhex(NETWORK_STATUS).hex()
    assert buf[180] == 0xA5


def test_version_text_always_ends_with_a_nul():
    buf = message()
    status = NetworkStatus()
    status.version = b"2.3.0-a-long-version"
    wire.put_network_status(buf, status)
    assert buf[40:56] == b"2.3.0-a-long-ve\0"


def test_names_of_full_length_fill_their_fields():
    buf = message()
    status = NetworkStatus()
    status.ssid = b"s" * 32
    status.host_name = b"h" * 64
    wire.put_network_status(buf, status)
    assert buf[56:88] == b"s" * 32
    assert buf[88:152] == b"h" * 64


def test_status_of_a_module_that_is_idle():
    buf = message()
    wire.put_network_status(buf, NetworkStatus())
    assert buf[12:32].hex(" ") == ("00 00 00 00 00 00 00 00 09 00 00 00 00 00 00 00 80 00 01 00")


# --- WirelessConfig


def wireless_config():
    return bytes.fromhex(
        "c0a80132 c0a80101 ffff0000 06 fd 0000"
        + b"Workshop".hex()
        + "00" * 24
        + b"hunter2hunter2".hex()
        + "00" * 50
    )


def test_wireless_config():
    record = wireless_config()
    assert len(record) == 112
    assert config.ip(record) == 0x3201A8C0
    assert config.gateway(record) == 0x0101A8C0
    assert config.netmask(record) == 0x0000FFFF
    assert config.channel(record) == 6
    assert config.ssid(record) == b"Workshop"
    assert config.password(record) == b"hunter2hunter2"
    assert config.eap(record) == 0


def test_netmask_zero_stands_for_a_class_c():
    assert config.netmask(bytes(112)) == 0x00FFFFFF


def test_enterprise_record():
    sizes = "01000000 02010000 03000000 04000000 00000100"
    record = bytearray(bytes(48) + bytes.fromhex(sizes) + bytes(44))
    assert [config.credential_size(record, i) for i in range(5)] == [1, 258, 3, 4, 65536]
    config.set_eap(record, 2)
    assert record[111] == 2
    assert config.eap(record) == 2


@pytest.mark.parametrize(
    ("ssid", "valid"),
    [
        (b"", False),
        (b"a", True),
        (b"a" * 32, True),
        (b"a" * 33, False),
        (b"tab\t", True),
        ("ü".encode(), True),
        (b"\xff", True),
    ],
)
@pytest.mark.behaviour("D20")
def test_valid_ssid(ssid, valid):
    assert config.is_ssid(ssid) == valid


@pytest.mark.parametrize(
    ("ssid", "valid"),
    [
        (b"", False),
        (b" ", True),
        (b"\x1f", False),
        (b"\x7f", False),
        (b"\x80\xff", True),
        ("ü".encode(), True),
        (b"a" * 32, True),
    ],
)
@pytest.mark.behaviour("D20")
def test_valid_ssid_of_our_own(ssid, valid):
    assert config.is_own_ssid(ssid) == valid


@pytest.mark.parametrize(
    ("password", "valid"),
    [
        (b"", True),
        (b"a" * 7, False),
        (b"a" * 8, True),
        (b"z" * 63, True),
        (b"a" * 64, True),
        (b"0123456789abcdefABCDEF" + b"9" * 42, True),
        (b"a" * 63 + b"g", False),
        (b"a" * 63 + b"/", False),
        (b"a" * 63 + b":", False),
        (b"a" * 63 + b"@", False),
        (b"a" * 63 + b"G", False),
        (b"a" * 63 + b"`", False),
        (b"a" * 65, False),
        (b"1234567\n", True),
        (b"\xff" * 8, True),
    ],
)
@pytest.mark.behaviour("D20")
def test_valid_password(password, valid):
    assert config.is_password(password) == valid


# --- ScanData


def test_scan_data_is_packed_back_to_back():
    buf = message()
    wire.put_scan_data(buf, 0, (b"Attic", bytes.fromhex("020304050607"), 6, -67, 7, 3))
    wire.put_scan_data(buf, 1, (b"s" * 32, bytes.fromhex("0a0b0c0d0e0f"), 11, -1, 0, 2))
    first = "bd 03 07 06 020304050607 0000" + b"Attic".hex() + "00" * 28
    second = "ff 02 00 0b 0a0b0c0d0e0f 0000" + b"s".hex() * 32 + "00"
    assert buf[12:102].hex() == bytes.fromhex(first + second).hex()
    assert buf[102] == 0xA5


# --- clock words


@pytest.mark.parametrize(
    ("word", "frequency"),
    [
        (0x1001, 40_000_000),
        (0x2001, 26_666_667),
        (0x2402, 26_666_667),
        (0x2002, 26_666_667),
        (0x3403, 20_000_000),
        (0x3043, 20_000_000),
        (0, 26_666_667),
        (0xFFFFFFFF, 26_666_667),
    ],
)
def test_clock_word(word, frequency):
    assert wire.clock_frequency(word) == frequency
