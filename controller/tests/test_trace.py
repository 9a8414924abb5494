"""The event trace of the module: read from a console's output, and drawn."""

import json
import os
import pty
import struct
import threading

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from spinet_controller.cli.program import program
from spinet_controller.errors import ReplError, TraceError
from spinet_controller.event_trace import Event, EventTrace, Kind, parse_dump
from spinet_controller.repl import read_dump
from spinet_controller.trace_document import trace_document
from spinet_controller.trace_lives import lanes_of

FREE, CONNECTING, CONNECTED, ENDED, ABORTED, ALLOCATED = 0, 1, 2, 3, 4, 7


def sealed(data):
    return f"{data.hex()} {sum(data) & 0xFFFF:04x}"


def raw(ticks, kind, slot=255, a=0, b=0):
    return struct.pack("<IBBHH", ticks, slot, kind, a, b)


def dump(*events, now=5000, texts=None, total=None, per_line=2):
    lines = [f"~trace begin 1 {len(events) if total is None else total} {now} 2.3.0"]
    for first in range(0, len(events), per_line):
        lines.append(f"~trace events {first} {sealed(b''.join(events[first : first + per_line]))}")
    for number, text in (texts or {}).items():
        lines.append(f"~trace text {number} {sealed(text)}")
    return "\r\n".join([*lines, f"~trace end {len(events)}", ""])


LIFE = (
    raw(1000, Kind.BOOT),
    raw(1100, Kind.LISTEN, a=80),
    raw(1200, Kind.STATE, 0, ALLOCATED),
    raw(1200, Kind.STATE, 0, CONNECTED),
    raw(1200, Kind.PORTS, 0, 80, 50000),
    raw(1200, Kind.PEER, 0, 10 << 8, 7),
    raw(1300, Kind.ERROR, 0, 14, CONNECTED),
    raw(1300, Kind.STATE, 0, ENDED),
    raw(1400, Kind.STATE, 0, FREE),
    raw(1500, Kind.UNLISTEN, a=80),
)


# --- reading


def test_a_dump():
    trace = parse_dump(dump(*LIFE, texts={3: b"oops"}))
    assert trace.version == "2.3.0"
    assert trace.texts == {3: "oops"}
    assert trace.missing == 0
    assert trace.events[0] == Event(-4.0, Kind.BOOT, None, 0, 0)
    assert trace.events[4] == Event(-3.8, Kind.PORTS, 0, 80, 50000)


def test_among_everything_else_on_a_console():
    noisy = ">>> r.trace_dump()\nboot\n" + dump(*LIFE).replace("~trace end", "noise ~trace end")
    assert len(parse_dump(noisy).events) == len(LIFE)


def test_the_last_of_several():
    assert len(parse_dump(dump(*LIFE) + dump(LIFE[0])).events) == 1


@pytest.mark.parametrize(("ago", "seconds"), [(1000, -1.0), ((1 << 30) - 1000, -1073740.824)])
def test_ticks_that_wrap(ago, seconds):
    trace = parse_dump(dump(raw(500 - ago & 0x3FFFFFFF, Kind.BOOT), now=500))
    assert trace.events[0].time == seconds


def test_damaged_lines_are_counted_out():
    text = dump(*LIFE)
    line = text.splitlines()[2]
    for damaged in (line[:-8], line.replace("00", "01", 1), line + line, ""):
        trace = parse_dump(text.replace(line, damaged))
        assert (len(trace.events), trace.missing) == (8, 2)


def test_a_kind_that_is_not_known_yet():
    trace = parse_dump(dump(raw(1, 99, 3, 4, 5), raw(2, Kind.BOOT)))
    assert trace.events[0].kind == 99
    checked(trace_document(trace))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~trace end 3\n",
        "~trace begin 1\n",
        "~trace begin x 1 2 3\n",
        "~trace begin 2 0 0 3.0\n",
        f"~trace begin 1 0 {'9' * 5000} 3.0\n",
    ],
)
def test_no_dump(text):
    with pytest.raises(TraceError):
        parse_dump(text)


def test_a_number_too_long_to_read_is_a_damaged_line():
    assert parse_dump(f"~trace begin 1 4 100 3.0\n~trace text {'9' * 5000}  0000\n").missing == 4


@given(st.text(alphabet="~trace beginvsxd0123456789f \n", max_size=300))
def test_noise(text):
    try:
        parse_dump("~trace begin 1 4 100 2.3.0\n" + text)
    except TraceError:
        return


# --- what lasted


def lanes(*events, **more):
    return {lane.name: lane for lane in lanes_of(parse_dump(dump(*events, **more)))}


def spans(lane):
    return [(round(s.start, 3), round(s.end, 3), s.title) for s in lane.spans]


def test_a_connections_life():
    found = lanes(*LIFE)
    assert list(found) == ["port 80", "slot 0"]
    assert spans(found["slot 0"]) == [
        (-3.8, -3.8, "allocated"),
        (-3.8, -3.7, "connected"),
        (-3.7, -3.6, "otherEndClosed"),
    ]
    assert [life[2] for life in found["slot 0"].lives] == ["80 \u2190 10.0.0.7:50000"]
    assert [mark.title for mark in found["slot 0"].marks] == [
        "error -14 of the stack while connected"
    ]
    assert spans(found["port 80"]) == [(-3.9, -3.5, "listening, protocol 0")]


def test_an_outgoing_one():
    found = lanes(
        raw(1, Kind.STATE, 2, ALLOCATED),
        raw(2, Kind.STATE, 2, CONNECTING),
        raw(2, Kind.PORTS, 2, 0, 1883),
        raw(2, Kind.PEER, 2, 10 << 8, 7),
        raw(9, Kind.TIMEOUT, 2, CONNECTING),
        raw(9, Kind.STATE, 2, ABORTED),
    )
    assert [life[2] for life in found["slot 2"].lives] == ["\u2192 10.0.0.7:1883"]
    assert found["slot 2"].marks[0].title == "time-out while connecting"


def test_what_is_still_under_way_reaches_to_the_end():
    found = lanes(*LIFE[:4], raw(4000, Kind.MESSAGE, a=1), texts={1: b"oops"})
    assert spans(found["slot 0"])[-1] == (-3.8, 0.0, "connected")
    assert found["link"].marks[0].title == "last error: oops"


def test_a_restart_ends_everything():
    found = lanes(*LIFE[:4], raw(2000, Kind.BOOT), raw(4000, Kind.BOOT))
    assert spans(found["slot 0"])[-1] == (-3.8, -3.0, "connected")


def test_wifi_and_the_link():
    found = lanes(
        raw(1, Kind.WIFI, a=3, b=1),
        raw(2, Kind.WIFI, a=4, b=3),
        raw(3, Kind.CUT, 0, 5),
        raw(4, Kind.BAD_HEADER, 200, 9, 2),
        raw(5, Kind.FAULT),
        raw(6, Kind.SESSION, a=1, b=1883),
    )
    assert [span.title for span in found["WiFi"].spans] == ["connecting", "connected"]
    assert len(found["link"].marks) == 4
    assert found["link"].marks[3].title == "calling home to port 1883: reconnect failed"


# --- the document


def checked(document):
    """Give the events of a document by their phase; it has all that the format asks for.

    Source: "Trace Event Format". A viewer draws a slice within another of its thread where that one
    comes first, and has no place for one that only overlaps.
    """
    json.dumps(document, allow_nan=False)
    phases = {"M": [], "X": [], "i": []}
    for event in document["traceEvents"]:
        phases[event["ph"]].append(event)
        assert isinstance(event["name"], str)
        assert (event["pid"], isinstance(event["tid"], int)) == (1, True)
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name", "thread_sort_index")
        else:
            assert isinstance(event["ts"], int)
            assert event["ts"] >= 0
        if event["ph"] == "i":
            assert event["s"] in ("t", "p")
    named = {event["tid"] for event in phases["M"] if event["name"] == "thread_name"}
    assert {event["tid"] for event in phases["X"]} <= named
    for thread in named:
        nested([event for event in phases["X"] if event["tid"] == thread])
    return phases


def nested(slices):
    """As a viewer reads them: by their time, those of the same time as they come."""
    under_way = []
    for one in sorted(slices, key=lambda event: event["ts"]):
        assert one["dur"] >= 0
        end = one["ts"] + one["dur"]
        while under_way and under_way[-1] <= one["ts"] and under_way[-1] < end:
            under_way.pop()
        assert not under_way or end <= under_way[-1]
        under_way.append(end)


def document(*events, **more):
    return checked(trace_document(parse_dump(dump(*events, **more))))


def test_a_connection_with_its_states_within():
    phases = document(*LIFE, texts={1: b"<&>"})
    slices = [(e["cat"], e["name"], e["ts"], e["dur"]) for e in phases["X"]]
    assert slices == [
        ("state", "listening, protocol 0", 100_000, 400_000),
        ("connection", "80 \u2190 10.0.0.7:50000", 200_000, 200_000),
        ("state", "allocated", 200_000, 0),
        ("state", "connected", 200_000, 100_000),
        ("state", "otherEndClosed", 300_000, 100_000),
    ]
    marks = [(e["cat"], e["name"], e["ts"], e["s"]) for e in phases["i"]]
    assert marks == [
        ("error", "error -14 of the stack while connected", 300_000, "t"),
        ("boot", "the service starts", 0, "p"),
    ]
    names = [e["args"]["name"] for e in phases["M"] if "name" in e["args"]]
    assert names == ["Spinet 2.3.0", "port 80", "slot 0"]


def test_what_was_lost_is_told():
    found = trace_document(parse_dump(dump(LIFE[0], total=4)))
    assert found["otherData"] == {"version": "2.3.0", "missing": 3}


def test_names_from_the_network_are_text():
    phases = document(raw(1, Kind.MESSAGE, a=1), texts={1: b"<script>\xff&"})
    assert [e["name"] for e in phases["i"]] == ["last error: <script>\\xff&"]


# As the module has them: whole milliseconds, before now, within half a period of its clock.
TIMES = st.integers(-(1 << 29), 0).map(lambda ms: ms / 1000)


KINDS = st.sampled_from([*Kind, 15])
NUMBERS = st.integers(0, 0xFFFF)
SLOTS = st.one_of(st.none(), st.integers(0, 254))


@given(st.lists(st.builds(Event, TIMES, KINDS, SLOTS, NUMBERS, NUMBERS), min_size=1))
def test_any_story_can_be_drawn(events):
    trace = EventTrace("2.3.0", sorted(events, key=lambda event: event.time))
    checked(trace_document(trace))


# --- the command


def run(*arguments, stdin=None):
    return CliRunner().invoke(program, ["trace", *map(str, arguments)], input=stdin)


def test_from_a_log(tmp_path):
    log, out = tmp_path / "log", tmp_path / "life.json"
    log.write_text(dump(*LIFE))
    done = run("--log", log, "-o", out)
    assert (done.exit_code, done.output) == (0, f"{out}: 10 events\n")
    checked(json.loads(out.read_text()))


def test_through_pipes():
    done = run("--log", "-", "-o", "-", stdin=dump(*LIFE))
    assert done.exit_code == 0
    checked(json.loads(done.output))
    assert "80 \u2190 10.0.0.7:50000" in done.output


def test_as_json():
    text = dump(raw(4000, Kind.MESSAGE, a=1), texts={1: b"oops"})
    document = json.loads(run("--log", "-", "--json", stdin=text).output)
    assert document["events"] == [
        {"time": -1.0, "kind": "message", "slot": None, "values": [1, 0], "text": "oops"}
    ]


def test_only_the_latest():
    done = run("--log", "-", "--last", "3.55", "--json", stdin=dump(*LIFE))
    assert len(json.loads(done.output)["events"]) == 1


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "text"),
    [
        ((), None, 2, "either --port PORT or --log FILE"),
        (("--port", "x", "--log", "-"), "", 2, "either --port PORT or --log FILE"),
        (("--log", "/nowhere/log"), None, 2, "No such file"),
        (("--log", "-"), "no such thing", 1, "there is no trace in this"),
        (("--log", "-"), dump(), 1, "nothing has happened"),
        (("--log", "-", "--last", "1"), dump(*LIFE), 1, "nothing has happened"),
        (("--log", "-", "-o", "/nowhere/x.json"), dump(*LIFE), 1, "cannot write /nowhere/x.json"),
        (("--port", "/nowhere/tty"), None, 1, "cannot use /nowhere/tty"),
    ],
)
def test_what_cannot_be(arguments, stdin, code, text):
    done = run(*arguments, stdin=stdin)
    assert done.exit_code == code
    assert text in done.output
    assert "Traceback" not in done.output


# --- a REPL


class Repl:
    """The other end of a pseudo-terminal: echoes, and answers a command's line."""

    def __init__(self, answer):
        self.master, slave = pty.openpty()
        self.port = os.ttyname(slave)
        self._slave = slave
        self._answer = answer
        self.heard = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while b"trace_dump()\r" not in self.heard:
            self.heard += os.read(self.master, 100)
        os.write(self.master, b">>> " + self.heard + b"\n" + self._answer.encode())

    def close(self):
        os.close(self._slave)
        os.close(self.master)


@pytest.fixture
def repl(request):
    repl = Repl(request.param)
    yield repl
    repl.close()


@pytest.mark.parametrize("repl", [dump(*LIFE)], indirect=True)
def test_from_a_repl(repl):
    assert len(parse_dump(read_dump(repl.port)).events) == len(LIFE)
    assert repl.heard.startswith(b"\r\x03")  # a line that was left is ended first


@pytest.mark.parametrize("repl", ["ImportError: no module named 'spinet'\r\n>>> "], indirect=True)
def test_a_repl_of_something_else(repl):
    with pytest.raises(ReplError, match="no module named 'spinet'"):
        read_dump(repl.port)


@pytest.mark.parametrize("repl", ["~trace begin 1 400 1 2\r\n"], indirect=True)
def test_a_repl_that_falls_silent(repl):
    with pytest.raises(ReplError, match="no trace came"):
        read_dump(repl.port, patience=0.2)
