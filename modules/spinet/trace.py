"""The event trace: the latest events, in a ring of fixed size. Writing never allocates.

An event is five 16-bit numbers: ticks_ms (two of them), kind and slot, and two values:

    kind        slot   a                    b
    BOOT        -      -                    -            the service started
    STATE       slot   the new state        its generation
    PORTS       slot   local port           remote port
    PEER        slot   remote octets 1, 2   octets 3, 4
    ERROR       slot   -(lwIP's error)      the slot's state
    TIMEOUT     slot   the state            -
    LISTEN      -      port                 protocol
    UNLISTEN    -      port                 protocol
    WIFI        -      the new state        the old one
    CUT         socket the command          -            a transaction was abandoned
    BAD_HEADER  socket the command          -(response)
    MESSAGE     -      its number           -            a last error, see say()
    FAULT       -      -                    -            a bug of the firmware
    SESSION     -      callhome's event     port         calling home
    COMMAND     -      NINA's command       parameters   another one than the last
    BAD_FRAME   -      its first two bytes  its length   of NINA's protocol: no command
    RESYNC      -      the command          another      its reply was given up for that one
    LATE        -      the command          ms           its reply took so long

Only the service thread writes; any thread may copy them meanwhile (debug/trace_lines.py). The
ring outlives the service, so that it has the events before a reset of the link too.
"""

import micropython
from micropython import const

from spinet import compat, fields
from spinet.compat import ticks_ms

BOOT = const(1)
STATE = const(2)
PORTS = const(3)
PEER = const(4)
ERROR = const(5)
TIMEOUT = const(6)
LISTEN = const(7)
UNLISTEN = const(8)
WIFI = const(9)
CUT = const(10)
BAD_HEADER = const(11)
MESSAGE = const(12)
FAULT = const(13)
SESSION = const(14)
COMMAND = const(15)
BAD_FRAME = const(16)
RESYNC = const(17)
LATE = const(18)

NO_SLOT = const(255)
_EVENTS = const(512)  # 5 KB: about eighty connections
TEXTS = const(8)  # how many last errors are kept
EVENT_SIZE = const(10)  # bytes

# Before the events are two words: how many were ever written, and how many the ring holds.
HEADER = const(8)  # bytes
_COUNT = const(0)
_SIZE = const(1)


@micropython.viper
def note(kind: int, slot: int, a: int, b: int):
    """Write an event; only 16 bits of a and b are kept. Service thread only; allocates nothing."""
    slab = TRACE.slab
    words = ptr32(slab)
    count = words[_COUNT]
    now = int(ticks_ms())
    event = ptr16(slab)
    at = 4 + count % words[_SIZE] * 5
    event[at] = now & 0xFFFF
    event[at + 1] = now >> 16
    event[at + 2] = kind << 8 | slot & 0xFF
    event[at + 3] = a & 0xFFFF
    event[at + 4] = b & 0xFFFF
    words[_COUNT] = count + 1  # last, as a copy relies on it


def say(text):
    """Write a MESSAGE event: `text` (bytes, kept without a copy) became the last error."""
    note(MESSAGE, NO_SLOT, TRACE.keep(text), 0)


class Trace:
    """A ring of events. `slab` has room for them and for the header; None: allocate it."""

    def __init__(self, size=_EVENTS, slab=None):
        self.size = size
        self.slab = slab or bytearray(HEADER + EVENT_SIZE * size)
        fields.put_u32(self.slab, 4, size)
        self.texts = [b""] * TEXTS
        self.said = 0  # how many texts were ever kept

    def keep(self, text):
        """Keep a last error; returns its number."""
        number = self.said
        self.texts[number % TEXTS] = text
        self.said = number + 1
        return number

    def count(self):
        """How many events were ever written."""
        return int.from_bytes(self.slab[:4], "little")


TRACE = Trace(_EVENTS, compat.slab(compat.TRACE, HEADER + EVENT_SIZE * _EVENTS))
