"""The event trace for people, and in the form that `spinet-controller trace` draws.

The latter are lines that a program can find among all other output of a console:

    ~trace begin 1 NUMBER-OF-EVENTS NOW-MS VERSION
    ~trace events FIRST HEX SUM       up to _EVENTS_PER_LINE of them, 10 bytes each
    ~trace text NUMBER HEX SUM        a last error
    ~trace end NUMBER-OF-EVENTS
SUM is the sum of the bytes before HEX encoding, modulo 65536, in hexadecimal.
"""

from binascii import hexlify

from micropython import const

from spinet import trace
from spinet.states import STATES, WIFI_STATES
from spinet.tcp.callhome import EVENT_NAMES
from spinet.version import VERSION_TEXT

_EVENTS_PER_LINE = const(8)
_FORMAT = const(1)
_MASK = const(0x3FFFFFFF)  # of ticks

_NAMES = {
    trace.BOOT: "the service starts",
    trace.STATE: "%s",
    trace.PORTS: "port %d, peer's port %d",
    trace.PEER: "peer %d.%d.%d.%d",
    trace.ERROR: "error -%d of the stack while %s",
    trace.TIMEOUT: "time-out while %s",
    trace.LISTEN: "listening on port %d, protocol %d",
    trace.UNLISTEN: "port %d is closed, protocol %d",
    trace.WIFI: "WiFi %s, was %s",
    trace.CUT: "transaction cut, command %d",
    trace.BAD_HEADER: "refused header, command %d, response -%d",
    trace.MESSAGE: "last error: %s",
    trace.FAULT: "a fault of the firmware",
    trace.SESSION: "calling home to port %d: %s",
    trace.COMMAND: "command %02x, %d parameters",
    trace.BAD_FRAME: "refused frame, %04x..., %d bytes",
    trace.RESYNC: "the reply to command %02x is dropped for command %02x",
    trace.LATE: "the reply to command %02x took %d ms",
}


def shown(data):
    """Bytes as text; a control character becomes \\xNN.

    When the bytes are not UTF-8, each byte above 0x7F becomes \\xNN too.
    """
    try:
        text = bytes(data).decode()
    except UnicodeError:
        text = "".join([chr(octet) if octet < 0x80 else "\\x%02x" % octet for octet in data])
    return "".join(["\\x%02x" % ord(c) if _is_control(ord(c)) else c for c in text])


def _is_control(c):
    return c < 0x20 or 0x7F <= c < 0xA0


def _name(names, number):
    return names[number] if number < len(names) else str(number)


def _values(kind, a, b, texts):
    """The values for the placeholders of _NAMES[kind]."""
    if kind == trace.STATE or kind == trace.TIMEOUT:
        return (_name(STATES, a),)
    if kind == trace.ERROR:
        return (a, _name(STATES, b))
    if kind == trace.WIFI:
        return (_name(WIFI_STATES, a), _name(WIFI_STATES, b))
    if kind == trace.PEER:
        return (a >> 8, a & 255, b >> 8, b & 255)
    if kind == trace.MESSAGE:
        return (shown(texts.get(a, b"(no longer kept)")),)
    if kind == trace.SESSION:
        return (b, _name(EVENT_NAMES, a))
    return (a, b)[: _NAMES[kind].count("%")]


def _unpacked(event):
    """(ticks, kind, slot, a, b) of an event's 10 bytes."""
    ticks = event[0] | event[1] << 8 | event[2] << 16 | event[3] << 24
    return ticks, event[5], event[4], event[6] | event[7] << 8, event[8] | event[9] << 8


class Snapshot:
    """A copy of the ring, taken while the service may write: events `first` to `last` (not
    included), and the texts that were kept."""

    def __init__(self, ring):
        self.last = ring.count()
        self._slab = bytes(ring.slab)  # one C call: no other thread runs during it
        texts = list(ring.texts)
        said = ring.said
        # Events written since `last`, and the one being written now, may have overwritten the
        # oldest: leave these out.
        self._size = ring.size
        self.first = min(max(0, ring.count() + 1 - ring.size), self.last)
        self.now = trace.ticks_ms()
        # By number, as MESSAGE events have it.
        kept = range(max(0, said - trace.TEXTS), said)
        self.texts = {number & 0xFFFF: texts[number % trace.TEXTS] for number in kept}

    def event(self, number):
        """One event's 10 bytes, as they were in the ring."""
        at = trace.HEADER + number % self._size * trace.EVENT_SIZE
        return self._slab[at : at + trace.EVENT_SIZE]


def lines():
    """One line per event, oldest first. Times are seconds before now, modulo the ticks' period of
    twelve days."""
    taken = Snapshot(trace.TRACE)
    for number in range(taken.first, taken.last):
        ticks, kind, slot, a, b = _unpacked(taken.event(number))
        where = "      " if slot == trace.NO_SLOT else "slot %d" % slot
        text = _NAMES[kind] % _values(kind, a, b, taken.texts)
        ago = taken.now - ticks & _MASK  # never negative: all events are in the past
        yield "%10.3f  %s  %s" % (-ago / 1000, where, text)


def _sealed(data):
    return "%s %04x" % (hexlify(data).decode(), sum(data) & 0xFFFF)


def dump_lines():
    """The trace as lines for a program."""
    taken = Snapshot(trace.TRACE)
    total = taken.last - taken.first
    yield "~trace begin %d %d %d %s" % (_FORMAT, total, taken.now, VERSION_TEXT)
    for first in range(taken.first, taken.last, _EVENTS_PER_LINE):
        last = min(first + _EVENTS_PER_LINE, taken.last)
        data = b"".join([taken.event(number) for number in range(first, last)])
        yield "~trace events %d %s" % (first - taken.first, _sealed(data))
    for number in sorted(taken.texts):
        yield "~trace text %d %s" % (number, _sealed(taken.texts[number]))
    yield "~trace end %d" % total
