"""From single events to what lasted: states of slots, ports that were listened on, WiFi."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from spinet_controller.codes import SOCKETS, ConnState, WiFiState
from spinet_controller.event_trace import Event, EventTrace, Kind

DUMPED = 0.0  # the time of the dump; what is under way has lasted until then
LANE_WIFI = "WiFi"
LANE_LINK = "link"
SESSION_EVENTS = ("reconnecting", "reconnect failed", "reconnected", "no more attempts")


@dataclass
class Span:
    """A state that lasted from `start` to `end`, seconds."""

    start: float
    end: float
    title: str


@dataclass
class Mark:
    """Something that happened at a moment."""

    time: float
    kind: str  # error or note
    title: str


@dataclass
class Lane:
    """A slot, a port, WiFi or the link. `lives`: (from, to, text), one for each life of a slot."""

    name: str
    spans: list[Span] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    lives: list[tuple[float, float, str]] = field(default_factory=list)


def lanes_of(trace: EventTrace) -> list[Lane]:
    """Give the lanes of an EventTrace, those in which something happened, top to bottom."""
    story = _Story(trace)
    for event in trace.events:
        story.add(event)
    return story.finish(DUMPED)


def boots_of(trace: EventTrace) -> list[float]:
    """Give the times at which the service started."""
    return [event.time for event in trace.events if event.kind == Kind.BOOT]


def words(kind: type[IntEnum], number: int) -> str:
    """Give the name of a state as people write it."""
    try:
        name = kind(number).name
    except ValueError:
        return str(number)
    first, *rest = name.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)


@dataclass
class _Life:
    """Of a slot, from allocated to free. `dialled`: the module opened it."""

    start: float
    dialled: bool = False
    ports: tuple[int, int] = (0, 0)
    peer: str = ""

    def label(self) -> str:
        """The peer, as far as it was known."""
        if not self.peer:
            return "a connection"
        local, remote = self.ports
        if self.dialled:
            return f"\N{RIGHTWARDS ARROW} {self.peer}:{remote}"
        return f"{local} \N{LEFTWARDS ARROW} {self.peer}:{remote}"


class _Story:
    def __init__(self, trace: EventTrace) -> None:
        self._texts = trace.texts
        self._slots = [Lane(f"slot {number}") for number in range(SOCKETS)]
        self._lives: list[_Life | None] = [None] * SOCKETS  # those under way
        self._wifi = Lane(LANE_WIFI)
        self._link = Lane(LANE_LINK)
        self._ports: dict[int, Lane] = {}
        self._open: dict[str, Span] = {}  # lane name -> the Span that is under way
        self._do_with_slot: dict[int, Callable[[Event, int], None]] = {
            Kind.STATE: self._state,
            Kind.PORTS: self._local,
            Kind.PEER: self._peer,
            Kind.ERROR: self._error,
            Kind.TIMEOUT: self._timeout,
        }
        self._do: dict[int, Callable[[Event], None]] = {
            Kind.BOOT: self._boot,
            Kind.LISTEN: self._listen,
            Kind.UNLISTEN: self._unlisten,
            Kind.WIFI: self._wifi_state,
            Kind.CUT: self._cut,
            Kind.BAD_HEADER: self._bad_header,
            Kind.MESSAGE: self._message,
            Kind.FAULT: self._fault,
            Kind.SESSION: self._session,
        }

    def add(self, event: Event) -> None:
        """Take the next event; what a newer firmware's event means is not known."""
        do, do_with_slot = self._do.get(event.kind), self._do_with_slot.get(event.kind)
        if do:
            do(event)
        elif do_with_slot and event.slot is not None and event.slot < SOCKETS:
            do_with_slot(event, event.slot)

    def finish(self, time: float) -> list[Lane]:
        """End what is still under way; give the lanes."""
        self._end_all(time)
        ports = [self._ports[number] for number in sorted(self._ports)]
        lanes = [self._wifi, self._link, *ports, *self._slots]
        return [lane for lane in lanes if lane.spans or lane.marks]

    def _end_all(self, time: float) -> None:
        for lane in [self._wifi, *self._ports.values(), *self._slots]:
            self._end(lane, time)
        for number in range(SOCKETS):
            self._end_life(number, time)

    def _end(self, lane: Lane, time: float) -> None:
        span = self._open.pop(lane.name, None)
        if span:
            span.end = time

    def _begin(self, lane: Lane, time: float, title: str) -> None:
        self._end(lane, time)
        span = Span(time, time, title)
        self._open[lane.name] = span
        lane.spans.append(span)

    def _boot(self, event: Event) -> None:
        self._end_all(event.time)  # all that was, is no more

    # --- slots

    def _state(self, event: Event, slot: int) -> None:
        lane = self._slots[slot]
        state = words(ConnState, event.a)
        if event.a == ConnState.FREE:
            self._end(lane, event.time)
            self._end_life(slot, event.time)
            return
        life = self._lives[slot] = self._lives[slot] or _Life(event.time)
        life.dialled |= event.a == ConnState.CONNECTING
        self._begin(lane, event.time, state)

    def _end_life(self, number: int, time: float) -> None:
        life = self._lives[number]
        if life:
            self._slots[number].lives.append((life.start, time, life.label()))
        self._lives[number] = None

    def _local(self, event: Event, slot: int) -> None:
        life = self._lives[slot]
        if life:
            life.ports = (event.a, event.b)

    def _peer(self, event: Event, slot: int) -> None:
        life = self._lives[slot]
        if life:
            life.peer = f"{event.a >> 8}.{event.a & 255}.{event.b >> 8}.{event.b & 255}"

    def _error(self, event: Event, slot: int) -> None:
        title = f"error -{event.a} of the stack while {words(ConnState, event.b)}"
        self._slots[slot].marks.append(Mark(event.time, "error", title))

    def _timeout(self, event: Event, slot: int) -> None:
        title = f"time-out while {words(ConnState, event.a)}"
        self._slots[slot].marks.append(Mark(event.time, "error", title))

    # --- the rest

    def _port(self, number: int) -> Lane:
        return self._ports.setdefault(number, Lane(f"port {number}"))

    def _listen(self, event: Event) -> None:
        self._begin(self._port(event.a), event.time, f"listening, protocol {event.b}")

    def _unlisten(self, event: Event) -> None:
        self._end(self._port(event.a), event.time)

    def _wifi_state(self, event: Event) -> None:
        self._begin(self._wifi, event.time, words(WiFiState, event.a))

    def _note(self, event: Event, kind: str, title: str) -> None:
        self._link.marks.append(Mark(event.time, kind, title))

    def _cut(self, event: Event) -> None:
        self._note(event, "error", f"transaction cut, command {event.a}, socket {event.slot}")

    def _bad_header(self, event: Event) -> None:
        self._note(event, "error", f"header refused with -{event.b}, command {event.a}")

    def _message(self, event: Event) -> None:
        text = self._texts.get(event.a, "(no longer kept)")
        self._note(event, "note", f"last error: {text}")

    def _session(self, event: Event) -> None:
        known = event.a < len(SESSION_EVENTS)
        what = SESSION_EVENTS[event.a] if known else str(event.a)
        self._note(event, "note", f"calling home to port {event.b}: {what}")

    def _fault(self, event: Event) -> None:
        self._note(event, "error", "a fault of the firmware")
