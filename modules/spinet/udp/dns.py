"""Parses and builds DNS messages (RFC 1035, RFC 6762): for mDNS, the captive DNS and look-ups.

A name is bytes as on the wire, uncompressed, with its closing zero. It keeps the case that it came
in, as an answer repeats its question's name byte for byte; names are compared by `key`, in lower
case. Input from the network is bounded: a name in its length, a compression pointer must point
strictly backwards, and a message has at most _MAX_RECORDS.
"""

import struct

from micropython import const

GROUP = const(0xFB0000E0)  # 224.0.0.251, of multicast DNS
MULTICAST_PORT = const(5353)

A = const(1)
CNAME = const(5)
PTR = const(12)
TXT = const(16)
SRV = const(33)
NSEC = const(47)
ANY = const(255)

IN = const(1)
CLASS_MASK = const(0x7FFF)
FLUSH = const(0x8000)  # in a record's class: the cache-flush bit, the record set is complete
UNICAST = const(0x8000)  # in a question's class: a unicast answer is wanted

RESPONSE = const(0x8000)  # flags of a message
AUTHORITATIVE = const(0x0400)
TRUNCATED = const(0x0200)
OPCODE_MASK = const(0x7800)
RECURSION_DESIRED = const(0x0100)

_MAX_RECORDS = const(64)  # questions and records in one message
_HEADER = const(12)
_MAX_NAME = const(255)
_MAX_LABEL = const(63)


class Malformed(ValueError):
    """Not a DNS message, or one with too many records."""


class Question:
    """A question. `kind` is its type; `key` is the name in lower case."""

    def __init__(self, name, kind, klass):
        self.name = name
        self.kind = kind
        self.klass = klass
        self.key = name.lower()


class Record:
    """A resource record. `data` is uncompressed; records with the same `key` (name, kind, data) are
    the same."""

    def __init__(self, name, kind, klass, ttl, data):
        self.name = name
        self.kind = kind
        self.klass = klass
        self.ttl = ttl
        self.data = data
        self.key = (name.lower(), kind, _without_case(data, kind))


_NAMED = (CNAME, PTR, SRV)  # the data ends with a name
_PLACE = const(6)  # bytes of an SRV's priority, weight and port, which come before the name


def _without_case(data, kind):
    """A record's data with the name at its end in lower case; numbers have no case."""
    if kind not in _NAMED:
        return data
    fixed = _PLACE if kind == SRV else 0
    return data[:fixed] + data[fixed:].lower()


class Message:
    """A parsed message. The additional section is not parsed, as nothing here needs it."""

    def __init__(self, number, flags):
        self.number = number
        self.flags = flags
        self.questions = []
        self.answers = []
        self.authority = []


def name(*labels):
    """A name made of these labels (bytes, at most 63 each)."""
    return b"".join([bytes((len(label),)) + label for label in labels]) + b"\0"


def parse(data, most=_MAX_RECORDS):
    """Parse a message. Raises Malformed, also for more than `most` questions and records."""
    if len(data) < _HEADER:
        raise Malformed("short header")
    number, flags, questions, answers, authority, _ = struct.unpack_from(">HHHHHH", data)
    if questions + answers + authority > most:
        raise Malformed("too many records")
    message = Message(number, flags)
    at = _HEADER
    for _ in range(questions):
        at = _read_question(data, at, message.questions)
    for _ in range(answers):
        at = _read_record(data, at, message.answers)
    for _ in range(authority):
        at = _read_record(data, at, message.authority)
    return message


def _read_question(data, at, into):
    owner, at = _read_name(data, at)
    if at + 4 > len(data):
        raise Malformed("short question")
    into.append(Question(owner, *struct.unpack_from(">HH", data, at)))
    return at + 4


def _read_record(data, at, into):
    owner, at = _read_name(data, at)
    if at + 10 > len(data):
        raise Malformed("short record")
    kind, klass, ttl, length = struct.unpack_from(">HHIH", data, at)
    end = at + 10 + length
    if end > len(data):
        raise Malformed("short record data")
    into.append(Record(owner, kind, klass, ttl, _read_data(data, at + 10, end, kind)))
    return end


def _read_data(data, at, end, kind):
    """A record's data; a name at its end is uncompressed."""
    if kind not in _NAMED:
        return bytes(data[at:end])
    fixed = _PLACE if kind == SRV else 0
    if at + fixed >= end:
        raise Malformed("short record data")
    return bytes(data[at : at + fixed]) + _read_name(data, at + fixed)[0]


def _read_name(data, at):
    """(the name, the offset behind it). Raises Malformed."""
    labels = []
    length = 1
    limit = at  # a pointer must point before the start of this run of labels
    after = 0  # the offset behind the first pointer, where the caller reads on
    while True:
        if at >= len(data):
            raise Malformed("short name")
        size = data[at]
        if size >= 0xC0:
            target = _pointer(data, at, limit)
            after = after or at + 2
            at = limit = target
        elif size:
            length += size + 1
            labels.append(_label_at(data, at, size, length))
            at += size + 1
        else:
            return b"".join(labels) + b"\0", after or at + 1


def _pointer(data, at, limit):
    if at + 2 > len(data):
        raise Malformed("short pointer")
    target = (data[at] & 0x3F) << 8 | data[at + 1]
    if target >= limit:
        raise Malformed("a pointer that does not go back")
    return target


def _label_at(data, at, size, length):
    if size > _MAX_LABEL or length > _MAX_NAME or at + size >= len(data):
        raise Malformed("bad label")
    return bytes(data[at : at + size + 1])


def question_bytes(question):
    """The question as on the wire."""
    return question.name + struct.pack(">HH", question.kind, question.klass)


def record_bytes(record, klass, ttl, asked=None):
    """The record as on the wire, with this class and time to live, and with the name `asked`, which
    is the question's spelling of it."""
    fixed = struct.pack(">HHIH", record.kind, klass, ttl, len(record.data))
    return (asked or record.name) + fixed + record.data


def message_bytes(number, flags, questions, answers, authority, additional):
    """A whole message; the sections are lists of bytes."""
    counts = (len(questions), len(answers), len(authority), len(additional))
    header = struct.pack(">HHHHHH", number, flags, *counts)
    return b"".join([header] + questions + answers + authority + additional)
