"""The module's event trace, as its REPL and its diagnostics report print it for programs.

The form is that of the firmware's trace_report: lines that begin with ~trace, wherever they are in
a console's output. Five 16-bit numbers make an event; what they mean depends on its kind.
"""

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from spinet_controller.errors import TraceError
from spinet_controller.records import shown

FORMAT = 1
NO_SLOT = 255
EVENT = struct.Struct("<IBBHH")  # ticks in ms, slot, kind, a, b
PERIOD = 1 << 30  # of the module's ticks

_LINE = re.compile(r"~trace (begin|events|text|end) ([^\r\n]*)")
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)  # noise may have digits by the thousand
_SEALED = re.compile(r"([0-9]{1,18}) ([0-9a-f]*) ([0-9a-f]{4})")


class Kind(IntEnum):
    """What an event is about, with its two values."""

    BOOT = 1
    STATE = 2  # new state, generation
    PORTS = 3  # local, remote
    PEER = 4  # octets 1 and 2, 3 and 4
    ERROR = 5  # -(lwIP's error), state
    TIMEOUT = 6  # state
    LISTEN = 7  # port, protocol
    UNLISTEN = 8  # port, protocol
    WIFI = 9  # new state, old state
    CUT = 10  # command
    BAD_HEADER = 11  # command, -(response)
    MESSAGE = 12  # number of a text
    FAULT = 13
    SESSION = 14  # what happened, port
    COMMAND = 15  # of NINA's protocol, as are the next three: command, parameters
    BAD_FRAME = 16  # its first two bytes, its length
    RESYNC = 17  # the command whose reply was dropped, the command for which it was
    LATE = 18  # command, ms


@dataclass(frozen=True)
class Event:
    """`time` is in seconds before the dump, so zero or less. `slot` is None where there is none.

    `kind` is a Kind, or a number that this package does not know yet.
    """

    time: float
    kind: int
    slot: int | None
    a: int
    b: int


@dataclass
class EventTrace:
    """`missing` events were lost on the way here. `texts` are last errors by their number."""

    version: str
    events: list[Event]
    texts: dict[int, str] = field(default_factory=dict)
    missing: int = 0


def parse_dump(text: str) -> EventTrace:
    """Give the EventTrace of the last dump in a console's output. Raises TraceError."""
    lines = _LINE.findall(text)
    starts = [i for i, (what, _) in enumerate(lines) if what == "begin"]
    if not starts:
        raise TraceError("there is no trace in this: r.trace_dump() at the REPL prints one")
    (_, head), *rest = lines[starts[-1] :]
    total, now, version = _head(head)
    events, texts = _body(rest, now)
    return EventTrace(version, events, texts, max(0, total - len(events)))


def _head(text: str) -> tuple[int, int, str]:
    words = text.split()
    if len(words) != 4 or not all(map(_NUMBER.fullmatch, words[:3])):
        raise TraceError(f"the trace's first line is damaged: {text!r}")
    number, total, now = (int(word) for word in words[:3])
    if number != FORMAT:
        raise TraceError(f"the trace has format {number}, this program knows format {FORMAT}")
    return total, now, words[3]


def _body(lines: Iterable[tuple[str, str]], now: int) -> tuple[list[Event], dict[int, str]]:
    """Damaged lines are left out: a console's lines may run into each other."""
    batches: dict[int, bytes] = {}
    texts: dict[int, str] = {}
    for what, rest in lines:
        sealed = _SEALED.fullmatch(rest.strip())
        data = _unsealed(sealed) if sealed else None
        if not sealed or data is None:
            continue
        if what == "events" and len(data) % EVENT.size == 0:
            batches[int(sealed[1])] = data
        elif what == "text":
            texts[int(sealed[1])] = shown(data.decode("utf-8", "surrogateescape"))
    data = b"".join(batches[first] for first in sorted(batches))
    return [_event(values, now) for values in EVENT.iter_unpack(data)], texts


def _unsealed(sealed: re.Match[str]) -> bytes | None:
    if len(sealed[2]) % 2:
        return None
    data = bytes.fromhex(sealed[2])
    return data if sum(data) & 0xFFFF == int(sealed[3], 16) else None


def _event(values: tuple[int, ...], now: int) -> Event:
    ticks, slot, kind, a, b = values
    elapsed = (now - ticks) % PERIOD  # all of it is past, so the whole period counts
    known = Kind(kind) if kind in Kind.__members__.values() else kind
    return Event(-elapsed / 1000, known, None if slot == NO_SLOT else slot, a, b)
