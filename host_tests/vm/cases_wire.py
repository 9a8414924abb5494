"""What viper does with the header, where integers are as wide as the machine."""

from fake_pins import conn_status

from spinet.duet import wire
from spinet.network_status import NetworkStatus
from spinet.tcp import status

CODES = ((0, "00000000"), (-1, "ffffffff"), (-5, "fbffffff"), (-15, "f1ffffff"), (2048, "00080000"))


def hex_of(data):
    return "".join("%02x" % byte for byte in data)


def case_request_header():
    buf = bytearray(b"\x3e\x05\x03\x03\xff\x07\x02\x01\x78\x56\x34\x12")
    assert wire.request_error(buf) == 0
    assert wire.request_length(buf) == 2047
    assert wire.request_available(buf) == 258
    assert wire.request_param(buf) == 0x12345678


def case_refused_headers():
    for header, error in (
        (b"\x3e\x05\0\0\x01\x08\0\0", -5),
        (b"\x3e\x05\0\0\xff\xff\0\0", -5),
        (b"\x3e\x05\0\0\x00\x08\0\0", 0),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", -2),
        (b"\0\0\0\0\0\0\0\0", -2),
    ):
        assert wire.request_error(bytearray(header)) == error


def case_available_is_capped():
    assert wire.request_available(bytearray(b"\x3e\x04\0\0\0\0\xff\xff")) == 2048


def case_responses():
    for code, octets in CODES:
        buf = bytearray(16)
        wire.put_response(buf, code)
        assert hex_of(buf[8:12]) == octets, code


def case_conn_status():
    record = bytearray(20)
    status.clear(record, 5)
    record[0] = 2
    status.set_owner(record, 5, 1)
    status.set_addresses(record, b"\x15\x00\x50\xc3\xc0\xa8\x01\x0a")
    record[14] = 0x23
    record[15] = 0x01
    told = conn_status(record, 0x0456, -61, 0x42, 0xA1)
    assert hex_of(told) == "020501c3150050c3c0a8010a56042301a1004200"


def case_conn_status_at_its_limits():
    record = bytearray(20)
    record[15] = 0x08
    told = conn_status(record, 4096, -128, 0xFF, 0xFF)
    assert hex_of(told[:4]) == "00000080"
    assert hex_of(told[12:]) == "00100008ff00ff00"


def case_status_of_the_network():
    buf = bytearray(200)
    status = NetworkStatus()
    status.ip = 0xFFFFFFFE
    status.version = b"2.3.0-spinet"
    assert wire.put_network_status(buf, status) == 168
    assert hex_of(buf[12:16]) == "feffffff"
    assert bytes(buf[40:56]) == b"2.3.0-spinet\0\0\0\0"
