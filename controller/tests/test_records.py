"""Every record of the link protocol, byte for byte (behaviour L1)."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinet_controller import codes, records
from spinet_controller.codes import Auth, ConnState, Eap, ResetReason

pytestmark = pytest.mark.behaviour("L1")


def raw(text):
    return bytes.fromhex(text)


def test_the_request_header():
    header = records.RequestHeader(
        command=5,
        socket=3,
        flags=2,
        data_length=0x0123,
        data_buffer_available=0x0800,
        param32=0x11223344,
    )
    assert header.pack() == raw("3e050302 2301 0008 44332211")


def test_the_module_header():
    header = records.ModuleHeader.unpack(raw("3e04 0000 efbeadde f5ffffff"))
    assert header == records.ModuleHeader(0x3E, 4, -11)


def test_listen_or_connect():
    record = records.ListenOrConnect(8080, IPv4Address("192.168.1.2"), 3, 1)
    packed = raw("c0a80102 03 00 901f 0100 0000")
    assert record.pack() == packed
    assert records.ListenOrConnect.unpack(packed) == record


def test_listen_or_connect_to_a_name():
    record = records.ListenOrConnect.to("broker-1.example", 1883, 4, 1, 5)
    packed = raw("00000000 04 00 5b07 0100 0500") + b"broker-1.example"
    assert record.pack() == packed
    assert records.ListenOrConnect.unpack(packed) == record
    assert records.ListenOrConnect.unpack(packed + b"\0") == record


@pytest.mark.parametrize("host", ["192.0.2.7", IPv4Address("192.0.2.7")])
def test_listen_or_connect_to_an_address(host):
    record = records.ListenOrConnect.to(host, 80)
    assert record == records.ListenOrConnect(80, IPv4Address("192.0.2.7"))
    assert len(record.pack()) == 12


@pytest.mark.parametrize("name", ["a", "a.", "x_1.local", "x" * 63, "x" * 32 + "." + "y" * 31])
def test_listen_or_connect_takes_names(name):
    record = records.ListenOrConnect.to(name, 80)
    assert records.ListenOrConnect.unpack(record.pack()) == record


@pytest.mark.parametrize(
    "name",
    [
        "two words",
        "a/b",
        "x" * 64,
        "n\u00e4me",
        "a\n",
        ".",
        "a..b",
        ".a",
        "x" * 32 + "." + "y" * 32,
    ],
)
def test_listen_or_connect_refuses_what_can_be_no_name(name):
    with pytest.raises(ValueError, match="can be no host name"):
        records.ListenOrConnect.to(name, 80).pack()


@pytest.mark.parametrize(
    "wrong", [{"port": 65536}, {"port": -1}, {"max_connections": 65536}, {"attempts": 65536}]
)
def test_listen_or_connect_refuses_numbers_that_do_not_fit(wrong):
    with pytest.raises(ValueError, match="16-bit"):
        records.ListenOrConnect(**{"port": 80, **wrong}).pack()


def test_conn_status():
    packed = raw("02 05 00 b0 5000 409c c0000207 3412 0008 2100 8000")
    status = records.ConnStatus.unpack(packed)
    assert status == records.ConnStatus(
        state=ConnState.CONNECTED, socket=5, protocol=0, rssi=-80, local_port=80,
        remote_port=40000, remote_ip=IPv4Address("192.0.2.7"), bytes_available=0x1234,
        write_buffer_space=2048, connected_sockets=0x21, other_end_closed_sockets=0x80,
    )  # fmt: skip


def test_an_unknown_connection_state_stays_a_number():
    assert records.ConnStatus.unpack(raw("09") + bytes(19)).state == 9


NETWORK_HEAD = (
    raw("c0a80001 00800100 05000000 00004000 c6 02 0d 00 e40c 0a0b0c0d0e0f")
    + b"2.3.0".ljust(16, b"\0")
    + b"Workshop".ljust(32, b"\0")
    + b"printer".ljust(64, b"\0")
)
NETWORK_TAIL = raw("01200000 ffffff00 c0a800fe 07000000 01 03 1b 00 0a0b0c0d0e10 0000")


def test_network_status():
    status = records.NetworkStatus.unpack(NETWORK_HEAD + NETWORK_TAIL)
    assert status == records.NetworkStatus(
        ip=IPv4Address("192.168.0.1"), free_heap=0x18000,
        reset_reason=ResetReason.DEEP_SLEEP_WAKE, flash_size=4 << 20, rssi=-58, num_clients=2,
        sleep_mode=1, phy_mode=3, vcc=3300, mac="0a:0b:0c:0d:0e:0f", version_text="2.3.0",
        ssid="Workshop", host_name="printer", clock_reg=0x2001,
        netmask=IPv4Address("255.255.255.0"), gateway=IPv4Address("192.168.0.254"),
        num_reconnects=7, using_dhcp=True, auth=Auth.WPA2, channel=11, ht_mode=1,
        ap_mac="0a:0b:0c:0d:0e:10",
    )  # fmt: skip


@pytest.mark.parametrize("length", [140, 152, 167])
def test_network_status_of_an_older_module(length):
    status = records.NetworkStatus.unpack((NETWORK_HEAD + NETWORK_TAIL)[:length])
    assert status.host_name == "printer"
    assert (status.channel, status.auth) == (0, Auth.UNKNOWN)


def test_network_status_of_a_newer_module():
    longer = NETWORK_HEAD + NETWORK_TAIL + bytes(40)
    assert records.NetworkStatus.unpack(longer).channel == 11


def test_a_network_status_that_is_too_short():
    with pytest.raises(ValueError, match="at least 140"):
        records.NetworkStatus.unpack(NETWORK_HEAD[:139])


WIRELESS_48 = raw("0a000002 0a000001 ffffff00 06 ff 0000") + b"Attic".ljust(32, b"\0")


def attic(password=""):
    return records.WirelessConfig(
        "Attic", password, IPv4Address("10.0.0.2"), IPv4Address("10.0.0.1"),
        IPv4Address("255.255.255.0"), channel=6, security=-1,
    )  # fmt: skip


def test_wireless_config():
    packed = attic("secret-word").pack()
    assert packed == WIRELESS_48 + b"secret-word".ljust(64, b"\0")
    assert len(packed) == 112
    assert records.WirelessConfig.unpack(packed) == attic("secret-word")


def test_wireless_configs_without_their_passwords():
    found = records.WirelessConfig.unpack_all(bytes(48) + WIRELESS_48)
    assert found == [records.WirelessConfig(""), attic()]


def test_an_enterprise_network():
    network = records.EnterpriseNetwork(attic(), Eap.TLS, (b"anon", b"c" * 300, b"cert", b"key"))
    packed = network.pack()
    assert packed[:48] == WIRELESS_48
    assert packed[48:68] == raw("04000000 2c010000 04000000 03000000 00000000")
    assert packed[68:111] == bytes(43)
    assert packed[111:] == raw("01")


@pytest.mark.parametrize(
    "shown",
    [
        repr(attic("secret-word")),
        str(attic("secret-word")),
        repr(records.EnterpriseNetwork(attic("secret-word"), Eap.TLS, (b"secret-word",))),
    ],
)
def test_no_password_is_ever_shown(shown):
    assert "secret" not in shown


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda text: records.WirelessConfig(text).pack(), "s" * 33),
        (lambda text: records.WirelessConfig("x", text).pack(), "p" * 65),
        (records.pack_ssid, "s" * 33),
        (records.pack_host_name, "h" * 64),
        (records.pack_start_client, "s" * 33),
        (records.pack_ssid, "\N{SNOWMAN}" * 11),
        (records.pack_ssid, "a\0b"),
    ],
)
def test_text_that_does_not_fit_its_field(make, text):
    with pytest.raises(ValueError, match="longer than"):
        make(text)


def test_text_that_just_fits():
    assert records.pack_ssid("s" * 32) == b"s" * 32
    assert records.pack_start_client("s" * 32) == b"s" * 32 + b"\0"
    assert records.WirelessConfig("s" * 32, "f" * 64).pack()[16:] == b"s" * 32 + b"f" * 64
    assert records.pack_host_name("") == bytes(64)
    assert records.pack_start_client("Attic") == b"Attic\0"
    assert records.pack_start_client(None) == b""


SCAN_RECORD = raw("d8 03 03 06 020000000003 0000") + b"Workshop".ljust(33, b"\0")


def test_scan_data():
    second = raw("b9 02 00 0b 020000000004 a5a5") + b"Caf\xc3\xa9".ljust(33, b"\0")
    first, last = records.ScanData.unpack_all(SCAN_RECORD + second)
    assert first == records.ScanData("Workshop", -40, Auth.WPA2, 6, 3, "02:00:00:00:00:03")
    assert last == records.ScanData("Café", -71, Auth.OPEN, 11, 2, "02:00:00:00:00:04")


def test_scan_data_that_ends_in_the_middle_of_a_record():
    with pytest.raises(ValueError, match="no whole number"):
        records.ScanData.unpack_all(SCAN_RECORD + b"\0")


def test_names_and_errors():
    assert records.unpack_names(b"\nAttic\nWorkshop\n\0") == ["", "Attic", "Workshop"]
    assert records.unpack_error(b"no known networks found\0") == "no known networks found"
    assert records.unpack_error(b"") is None


@pytest.mark.parametrize(("length", "whole"), [(0, 0), (1, 4), (4, 4), (5, 8), (2047, 2048)])
def test_phases_are_whole_dwords(length, whole):
    assert records.padded(length) == whole


def test_the_command_table_has_its_gap_at_8():
    assert sorted(codes.Command) == [*range(8), *range(9, 31), 64]
    assert sorted(codes.Response, reverse=True) == list(range(0, -16, -1))


# All that the wire can carry: any bytes but NUL.
names = st.binary(max_size=32).map(
    lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)


@pytest.mark.behaviour("D20")
@given(ssid=names, password=names, channel=st.integers(0, 255), security=st.integers(-128, 127))
def test_a_wireless_config_survives_the_wire(ssid, password, channel, security):
    config = records.WirelessConfig(ssid, password, channel=channel, security=security)
    assert records.WirelessConfig.unpack(config.pack()) == config
    assert records.pack_start_client(ssid) == records.pack_ssid(ssid).rstrip(b"\0") + b"\0"
    scanned = bytes(12) + records.pack_ssid(ssid) + b"\0"
    assert records.ScanData.unpack(scanned).ssid == ssid


@pytest.mark.behaviour("D20")
@given(st.binary(max_size=64))
def test_errors_are_for_people(raw):
    text = records.unpack_error(raw) or ""
    assert not [
        c for c in text if ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000
    ]


def test_a_name_of_a_network_in_an_error():
    assert records.unpack_error(b"Gr\xc3\xb6\xff\x1b: no\0") == "Grö\\xff\\x1b: no"


@given(st.binary(min_size=140, max_size=200))
def test_any_network_status_can_be_read(data):
    records.NetworkStatus.unpack(data)


@given(st.binary(min_size=20, max_size=20))
def test_any_conn_status_can_be_read(data):
    records.ConnStatus.unpack(data)
