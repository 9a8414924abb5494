"""DNS messages: what is written is read, and nothing that is read does harm."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spinet.udp import dns

HOST = dns.name(b"Spinet", b"local")
RECORD = HOST + struct.pack(">HHIH", dns.A, 1, 0, 4) + b"abcd"


def header(questions=0, answers=0, authority=0):
    return struct.pack(">HHHHHH", 7, 0, questions, answers, authority, 0)


def question(owner):
    return owner + b"\0\1\0\1"


def test_what_is_written_is_read():
    asked = dns.question_bytes(dns.Question(HOST, dns.ANY, dns.IN | dns.UNICAST))
    record = dns.Record(HOST, dns.SRV, dns.IN, 120, bytes(4) + b"\0\x50" + HOST)
    data = dns.message_bytes(
        9, dns.RESPONSE, [asked], [dns.record_bytes(record, dns.IN | dns.FLUSH, 4)], [], []
    )
    message = dns.parse(data)
    assert (message.number, message.flags) == (9, dns.RESPONSE)
    assert message.questions[0].name == HOST  # byte for byte
    assert message.questions[0].key == HOST.lower()
    assert message.questions[0].klass == dns.IN | dns.UNICAST
    read = message.answers[0]
    assert (read.klass, read.ttl) == (dns.IN | dns.FLUSH, 4)
    assert read.key == record.key


def test_names_are_uncompressed_also_in_data():
    first = question(HOST)
    pointer = b"\xc0\x0c"
    target = b"\4_ftp" + pointer
    record = pointer + struct.pack(">HHIH", dns.PTR, dns.IN, 1, len(target)) + target
    message = dns.parse(header(1, 1) + first + record)
    assert message.answers[0].name == HOST
    assert message.answers[0].data == b"\4_ftp" + HOST


def test_names_have_no_case_in_keys_and_numbers_have_no_case_at_all():
    def place(port, host):
        return dns.Record(HOST, dns.SRV, dns.IN, 120, bytes(5) + port + host).key

    assert place(b"\x50", HOST) == place(b"\x50", HOST.upper())
    assert place(b"\x50", HOST) != place(b"\x70", HOST)  # ports 80 and 112: "P" and "p"
    text = [dns.Record(HOST, dns.TXT, dns.IN, 120, data).key for data in (b"\1a", b"\1A")]
    assert text[0] != text[1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        header()[:-1],
        header(1),
        header(1) + b"\0\0\1\0",
        header(1) + question(b"\xc0\x0c"),  # to itself
        header(1) + question(b"\xc0\x20"),  # forward
        header(1) + question(b"\1a\xc0\x0c"),  # back to where it began: for ever
        header(1) + b"\xc0",
        header(1) + question(b"\x40" + b"a" * 64 + b"\0"),  # a label is too long
        header(1) + question((b"\x3f" + b"a" * 63) * 4 + b"\0"),  # a name is
        header(1) + b"\5ab",
        header(0, 1) + HOST + struct.pack(">HHIH", 1, 1, 0, 5) + b"abcd",
        header(0, 1) + HOST + struct.pack(">HHIH", dns.SRV, 1, 0, 6) + bytes(6),
        header(0, 1) + HOST + struct.pack(">HHI", 1, 1, 0),
        # A record whose data ends before its name begins; there are bytes behind it.
        header(0, 2) + HOST + struct.pack(">HHIH", dns.SRV, 1, 0, 6) + bytes(6) + RECORD,
        header(dns._MAX_RECORDS + 1) + question(b"\0") * (dns._MAX_RECORDS + 1),
    ],
)
def test_malformed(data):
    with pytest.raises(dns.Malformed):
        dns.parse(data)


def test_as_many_records_as_are_read():
    data = header(dns._MAX_RECORDS) + question(b"\0") * dns._MAX_RECORDS
    assert len(dns.parse(data).questions) == dns._MAX_RECORDS


# Messages that are almost right, with pointers wherever they hurt.
piece = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"\xc0\x0c", b"\xc0\x0e", b"\xc1\x00", HOST, b"\4_tcp", b"\0"]),
    st.integers(0, 300).map(lambda n: struct.pack(">HHIH", dns.PTR, dns.IN, 1, n)),
)
counts = st.integers(0, 5)


@given(counts, counts, counts, st.lists(piece, max_size=24))
@example(1, 0, 0, [b"\xc0\x0c"])
def test_no_datagram_does_more_than_be_malformed(questions, answers, authority, pieces):
    data = header(questions, answers, authority) + b"".join(pieces)
    try:
        message = dns.parse(data)
    except dns.Malformed:
        return
    names = [entry.name for entry in message.questions + message.answers + message.authority]
    assert all(len(owner) <= 255 for owner in names)


@given(st.binary(max_size=600))
def test_noise(data):
    try:
        dns.parse(data)
    except dns.Malformed:
        return
