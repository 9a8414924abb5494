"""An event trace as a document for Perfetto: JSON in the Trace Event Format.

Source: "Trace Event Format" of the Chromium project. Each lane is a thread. The life of a slot is a
slice, with its states as slices within; marks are instants. Times are whole microseconds since the
first event.
"""

from typing import Any

from spinet_controller.event_trace import EventTrace
from spinet_controller.trace_lives import Lane, boots_of, lanes_of

MODULE = 1
"""The number of the only process; its lanes have the numbers behind it."""

_UNIT = 1_000_000


def trace_document(trace: EventTrace) -> dict[str, Any]:
    """Give the document of an EventTrace that has events, as `json.dump` takes it."""
    first = trace.events[0].time
    events = [_name("process_name", MODULE, f"Spinet {trace.version}")]
    for thread, lane in enumerate(lanes_of(trace), MODULE + 1):
        events.append(_name("thread_name", thread, lane.name))
        events.append(_metadata("thread_sort_index", thread, sort_index=thread))
        events += _of_lane(lane, thread, first)
    events += [
        _instant("boot", MODULE, "the service starts", time, first) for time in boots_of(trace)
    ]
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"version": trace.version, "missing": trace.missing},
    }


def _of_lane(lane: Lane, thread: int, first: float) -> list[dict[str, Any]]:
    """A slice that begins along with the slices within comes before them."""
    lives = [_slice("connection", thread, *life, first) for life in lane.lives]
    states = [_slice("state", thread, s.start, s.end, s.title, first) for s in lane.spans]
    marks = [_instant(mark.kind, thread, mark.title, mark.time, first) for mark in lane.marks]
    return lives + states + marks


def _slice(
    kind: str, thread: int, start: float, end: float, name: str, first: float
) -> dict[str, Any]:
    begun = _since(first, start)
    lasted = _since(first, end) - begun
    return {**_event("X", kind, thread, name), "ts": begun, "dur": lasted}


def _instant(kind: str, thread: int, name: str, time: float, first: float) -> dict[str, Any]:
    scope = "p" if thread == MODULE else "t"
    return {**_event("i", kind, thread, name), "ts": _since(first, time), "s": scope}


def _name(what: str, thread: int, name: str) -> dict[str, Any]:
    return _metadata(what, thread, name=name)


def _metadata(what: str, thread: int, **values: Any) -> dict[str, Any]:
    return {**_event("M", "__metadata", thread, what), "args": values}


def _event(phase: str, kind: str, thread: int, name: str) -> dict[str, Any]:
    return {"ph": phase, "cat": kind, "pid": MODULE, "tid": thread, "name": name}


def _since(first: float, time: float) -> int:
    return round((time - first) * _UNIT)
