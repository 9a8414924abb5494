"""A picture of an event trace: time runs to the right, a lane for each slot and port, as SVG.

Long pauses are cut out of the axis, so that what happens in milliseconds is seen in a trace of
hours. Everything has a title, which a browser shows under the pointer.
"""

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape

from spinet_controller.event_trace import EventTrace
from spinet_controller.trace_lives import DUMPED, Lane, Mark, boots_of, lanes_of

WIDTH = 1200
LEFT = 76  # where the lanes' names end
RIGHT = 20
TOP = 64
LANE = 26
BAR = 16
CUT = 26  # what a pause that was cut out takes
LETTER = 6.2  # mean width of a letter
TICKS = 10

LOOKS = {
    "allocated": "#c7ccd1",
    "connecting": "#f0b429",
    "connected": "#3f9c6c",
    "otherEndClosed": "#5b8fc9",
    "closePending": "#9b6fb0",
    "closeReady": "#4a4f57",
    "aborted": "#d1495b",
    "listening": "#b7d8c6",
    "wifi-connecting": "#f0b429",
    "wifi-connected": "#b7d8c6",
    "wifi-runningAsAccessPoint": "#b8cfe6",
}
OTHER = "#dddddd"
LEGEND = ("allocated", "connecting", "connected", "otherEndClosed", "closePending", "aborted")
MARKS = {"error": "#b00020", "note": "#8a6d00"}


@dataclass
class _Part:
    """A stretch of the axis in which something happens every now and then."""

    start: float
    end: float
    left: float = 0.0
    right: float = 0.0


class Axis:
    """Times to places. Pauses longer than `gap` seconds (0: none) take CUT."""

    def __init__(self, times: Iterable[float], gap: float, width: float) -> None:
        times = sorted(times)
        self.parts = [_Part(times[0], times[0])]
        for time in times[1:]:
            if gap and time - self.parts[-1].end > gap:
                self.parts.append(_Part(time, time))
            self.parts[-1].end = time
        shown = sum(part.end - part.start for part in self.parts)
        room = max(1.0, width - CUT * (len(self.parts) - 1))
        self.scale = room / shown if shown else 0.0  # pixels for a second
        self._place()
        self._ends = [part.end for part in self.parts]

    def _place(self) -> None:
        at = 0.0
        for part in self.parts:
            part.left = at
            part.right = at + (part.end - part.start) * self.scale
            at = part.right + CUT

    def x(self, time: float) -> float:
        """Give the place of a time; those in a pause are where the next part begins."""
        part = self.parts[min(bisect.bisect_left(self._ends, time), len(self.parts) - 1)]
        return part.left + max(0.0, min(time, part.end) - part.start) * self.scale

    def step(self) -> float:
        """Give a round number of seconds, so that there are about TICKS of them."""
        seconds = sum(part.end - part.start for part in self.parts) / TICKS
        for power in range(-3, 7):
            for factor in (1, 2, 5):
                if factor * 10.0**power >= seconds:
                    return factor * 10.0**power
        return seconds


def picture(trace: EventTrace, gap: float = 1.0) -> str:
    """Give the SVG text of an EventTrace that has events."""
    lanes = lanes_of(trace)
    times = [event.time for event in trace.events]
    axis = Axis([*times, DUMPED], gap, WIDTH - LEFT - RIGHT)
    bottom = TOP + LANE * len(lanes)
    body = [_title(trace), *_legend(), *_ticks(axis, bottom)]
    for number, lane in enumerate(lanes):
        body += _lane(lane, axis, TOP + number * LANE)
    body += [_boot(axis.x(time), bottom) for time in boots_of(trace)]
    height = bottom + 34
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="11">'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    )
    return "\n".join([head, *body, "</svg>"]) + "\n"


def _text(
    x: float, y: float, text: str, anchor: str = "start", fill: str = "#222222", size: float = 11
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" '
        f'font-size="{size}">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashed}/>'
    )


def _bar(x: float, y: float, width: float, look: str, title: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR}" rx="2" '
        f'fill="{LOOKS.get(look, OTHER)}"><title>{escape(title)}</title></rect>'
    )


def _title(trace: EventTrace) -> str:
    count = len(trace.events)
    seconds = trace.events[-1].time - trace.events[0].time
    text = f"Spinet {trace.version}: {count} events in {seconds:.3f} s"
    if trace.missing:
        text += f", {trace.missing} more were lost on the way here"
    return _text(LEFT, 18, text, size=13)


def _legend() -> Iterator[str]:
    x: float = LEFT
    for state in LEGEND:
        yield _bar(x, 28, 12, state, state)
        yield _text(x + 16, 40, state)
        x += 30 + LETTER * len(state)


def _ticks(axis: Axis, bottom: float) -> Iterator[str]:
    step = axis.step()
    first = axis.parts[0].start
    for i, part in enumerate(axis.parts):
        if i:
            pause = part.start - axis.parts[i - 1].end
            yield from _cut(LEFT + part.left - CUT / 2, bottom, f"{pause:.1f} s")
        number = -(-(part.start - first) // step)
        while first + number * step <= part.end:
            x = LEFT + part.left + (first + number * step - part.start) * axis.scale
            yield _line(x, TOP - 6, x, bottom, "#e4e4e4")
            yield _text(x, bottom + 14, _seconds(number * step), "middle", "#666666")
            number += 1


def _cut(x: float, bottom: float, title: str) -> tuple[str, ...]:
    """The mark of a pause that is left out."""
    return (
        _line(x - 3, TOP - 6, x - 3, bottom, "#999999", "2 3"),
        _line(x + 3, TOP - 6, x + 3, bottom, "#999999", "2 3"),
        _text(x, bottom + 28, title, "middle", "#999999", 10),
    )


def _seconds(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".") + " s"


def _lane(lane: Lane, axis: Axis, y: float) -> Iterator[str]:
    middle = y + LANE / 2
    yield _text(LEFT - 8, middle + 4, lane.name, "end")
    yield _line(LEFT, middle, WIDTH - RIGHT, middle, "#eeeeee")
    for span in lane.spans:
        x, end = LEFT + axis.x(span.start), LEFT + axis.x(span.end)
        title = f"{span.title}, {1000 * (span.end - span.start):.0f} ms"
        yield _bar(x, middle - BAR / 2, max(2.0, end - x), span.look, title)
    yield from _labels(lane, axis, middle)
    for mark in lane.marks:
        yield _mark(LEFT + axis.x(mark.time), middle, mark)


def _labels(lane: Lane, axis: Axis, middle: float) -> Iterator[str]:
    """Where there is room: a life's label reaches to where the next one begins."""
    starts = [LEFT + axis.x(label[0]) for label in lane.labels]
    for x, end, (_, _, text) in zip(starts, [*starts, WIDTH][1:], lane.labels, strict=True):
        if text and LETTER * len(text) + 9 <= end - x:
            yield _text(x + 7, middle + 4, text, fill="#111111")


def _mark(x: float, y: float, mark: Mark) -> str:
    colour = MARKS[mark.look]
    return (
        f'<path d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8" stroke="{colour}" stroke-width="2">'
        f"<title>{escape(mark.title)}</title></path>"
    )


def _boot(x: float, bottom: float) -> str:
    line = _line(LEFT + x, TOP - 6, LEFT + x, bottom, "#222222", "4 3")
    return f"<g>{line}<title>the service starts</title></g>"
