"""The event trace: what is recorded, and what can be read of it while it is written."""

import re

import pytest
from fake_board import Bench, FakeBoard
from fake_pins import MasterRig
from raw_controller import listen_or_connect

from spinet import report, states, trace
from spinet import service as service_module
from spinet.compat import ticks_add
from spinet.debug import parts, trace_lines
from spinet.duet import wire
from spinet.garbage import Garbage
from spinet.states import STATES, WIFI_STATES
from spinet.tcp import status
from spinet.tcp.stack import ERR_RST
from spinet.wifi.station import SOONEST_MS

SECRET = "plant3d-s3cret"
CONFIG = bytes(16) + b"Workshop".ljust(32, b"\0") + SECRET.encode().ljust(64, b"\0")


@pytest.fixture
def ring(monkeypatch):
    """An empty trace in the place of the firmware's."""
    ring = trace.Trace()
    monkeypatch.setattr(trace, "TRACE", ring)
    return ring


@pytest.fixture
def small(monkeypatch):
    """The same, with room for four events."""
    ring = trace.Trace(4)
    monkeypatch.setattr(trace, "TRACE", ring)
    return ring


@pytest.fixture
def bench(ring):
    return Bench("module-clocked")


def events(ring):
    """(kind, slot, a, b) of all events."""
    taken = trace_lines.Snapshot(ring)
    numbers = range(taken.first, taken.last)
    return [trace_lines._unpacked(taken.event(number))[1:] for number in numbers]


def states_of(ring, slot=0):
    return [STATES[a] for kind, at, a, _ in events(ring) if (kind, at) == (trace.STATE, slot)]


def kinds(ring):
    return [event[0] for event in events(ring)]


def test_every_state_of_a_connection(bench, ring):
    peer = bench.connected()
    peer.fin()
    bench.turn()
    bench.response(2, 0)
    bench.turn()
    assert states_of(ring) == [
        *("allocated", "connected", "otherEndClosed", "closePending", "closeReady", "free")
    ]


def test_who_the_peer_is(bench, ring):
    bench.connected(port=8080)
    record = bench.manager.slots[0].record
    assert (trace.PORTS, 0, 8080, status.remote_port(record)) in events(ring)
    assert (trace.PEER, 0, 127 << 8, 1) in events(ring)


def test_why_a_connection_ended(bench, ring):
    bench.connected().reset()
    bench.turn()
    assert (trace.ERROR, 0, -ERR_RST, states.CONNECTED) in events(ring)


def test_a_connection_attempt_that_times_out(bench, ring):
    bench.response(3, data=listen_or_connect(80, ip=0x0100007F))
    bench.manager.step(bench.manager.now + 8000)
    assert (trace.TIMEOUT, 0, states.CONNECTING, 0) in events(ring)


def test_a_close_that_nobody_acknowledges(bench, ring):
    bench.connected().freeze()
    bench.response(5, 0, flags=1, data=b"bye")
    bench.manager.step(bench.manager.now + 4000)
    assert (trace.TIMEOUT, 0, states.CLOSE_PENDING, 0) in events(ring)


def test_a_write_that_nobody_acknowledges(bench, ring):
    bench.connected().freeze()
    bench.response(5, 0, flags=2, data=b"hello")
    bench.manager.step(bench.manager.now + 1000)  # the first look at it
    bench.manager.step(bench.manager.now + 61000)
    assert (trace.TIMEOUT, 0, states.CONNECTED, 0) in events(ring)


def test_a_write_that_fails(bench, ring):
    bench.connected()
    bench.stack.inject("write", ERR_RST)
    bench.response(5, 0, flags=2, data=b"hello")
    assert (trace.ERROR, 0, -ERR_RST, states.CONNECTED) in events(ring)


def test_listeners(bench, ring):
    bench.response(7, data=listen_or_connect(21, protocol=1))
    bench.response(7, data=listen_or_connect(21, limit=0))
    listening = (trace.NO_SLOT, 21, 1)
    assert events(ring) == [(trace.LISTEN, *listening), (trace.UNLISTEN, *listening)]


def test_wifi(ring):
    board = FakeBoard()
    board.the_port = MasterRig(None).port
    wlan = service_module.Service(board).wlan
    wlan.station.start(b"", 0)
    wlan.stop()
    wlan.stop()
    changes = [
        (states.WIFI_CONNECTING, states.WIFI_IDLE),
        (states.WIFI_IDLE, states.WIFI_CONNECTING),
    ]
    assert events(ring) == [(trace.WIFI, trace.NO_SLOT, *change) for change in changes]


def test_a_bad_header_and_a_cut(bench, ring):
    bench.response(6, 3, version=1)
    bench.rig.link.cut()
    assert kinds(ring) == [trace.BAD_HEADER, trace.CUT]
    assert events(ring)[0] == (trace.BAD_HEADER, 3, 6, -wire._BAD_REQUEST_FORMAT_VERSION)


def test_of_bad_headers_in_a_row_the_first_is_told(bench, ring):
    """A board that never drops TRANSFER_READY brings one every 10 ms."""
    for _ in range(2):
        for _ in range(100):
            bench.response(6, 3, version=1)
        bench.response(6, 3)
    assert kinds(ring) == [trace.BAD_HEADER] * 2
    assert bench.rig.link.bad_headers == 200


def test_calling_home(ring, capsys):
    board = FakeBoard()
    board.the_port = MasterRig(None).port
    sessions = service_module.Service(board).sessions
    assert sessions.call(0x0100007F, 1883, b"", 0, 1, 0)
    session = sessions.entries[0]
    session._tell(3)
    assert events(ring) == [(trace.SESSION, trace.NO_SLOT, 3, 1883)]
    report.trace()
    assert "calling home to port 1883: no more attempts" in capsys.readouterr().out


def test_a_fault(bench, ring):
    bench.manager._debug = False
    bench.manager.fault("oops")
    assert kinds(ring) == [trace.FAULT]


def test_last_errors_with_their_text(bench, ring):
    for number in range(trace.TEXTS + 1):
        bench.error.set(f"error {number}")
    lines = list(trace_lines.lines())
    assert lines[0].endswith("last error: (no longer kept)")
    assert lines[1].endswith("last error: error 1")
    assert lines[-1].endswith("last error: error 8")


def test_values_are_cut_to_their_field(ring):
    trace.note(trace.CUT, -1, -1, 0x12345)
    assert events(ring) == [(trace.CUT, 255, 0xFFFF, 0x2345)]


def test_the_ring_wraps(small):
    for number in range(10):
        trace.note(trace.STATE, 0, number, 0)
    # The place of the oldest is where the next event may be half written.
    assert [event[2] for event in events(small)] == [7, 8, 9]


def test_a_snapshot_has_nothing_that_is_overwritten_meanwhile(small, monkeypatch):
    for number in range(4):
        trace.note(trace.STATE, 0, number, 0)

    def write_on(slab):
        copy = bytearray(slab)
        half = 2 * trace.EVENT_SIZE
        copy[trace.HEADER + half :] = copy[trace.HEADER : -half]  # some of it is new already
        trace.note(trace.STATE, 0, 100, 0)
        trace.note(trace.STATE, 0, 101, 0)
        return bytes(copy)

    monkeypatch.setattr(trace_lines, "bytes", write_on, raising=False)
    taken = trace_lines.Snapshot(small)
    assert (taken.first, taken.last) == (3, 4)


def test_what_happened_a_week_ago_is_in_the_past(ring, monkeypatch):
    """Further back than half the time that ticks take to wrap."""
    monkeypatch.setattr(trace, "ticks_ms", lambda: 5000)
    trace.note(trace.BOOT, trace.NO_SLOT, 0, 0)
    monkeypatch.setattr(trace, "ticks_ms", lambda: 5000 + 604800250)
    (line,) = trace_lines.lines()
    assert line.split()[0] == "-604800.250"


def test_printed_for_people(bench, ring, capsys):
    bench.connected(port=8080)
    report.trace()
    lines = capsys.readouterr().out.splitlines()
    assert [line[12:].strip() for line in lines[:3]] == [
        "listening on port 8080, protocol 0",
        "slot 0  allocated",
        "slot 0  connected",
    ]
    assert "peer 127.0.0.1" in lines[-1]


def test_every_kind_has_its_words(ring, capsys):
    for kind in range(trace.BOOT, trace.LATE + 1):
        trace.note(kind, 1, 1, 2)
        trace.note(kind, 1, 0xFFFF, 0xFFFF)
    report.trace()
    assert len(capsys.readouterr().out.splitlines()) == 2 * trace.LATE
    assert len(STATES) == 8
    assert len(WIFI_STATES) == 7


def test_printed_for_programs(bench, ring, capsys):
    bench.connected()
    bench.error.set("oops")
    report.trace_dump()
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"~trace begin 1 6 \d+ \S+", lines[0])
    assert re.fullmatch(r"~trace events 0 [0-9a-f]{120} [0-9a-f]{4}", lines[1])
    assert lines[2] == "~trace text 0 6f6f7073 01c1"
    assert lines[3] == "~trace end 6"


def test_no_password_is_in_it(bench, ring, capsys):
    bench.response(10, data=CONFIG)
    bench.radio.outcome_is = "wrong password"
    bench.response(14, data=b"Workshop")
    bench.wlan.poll(ticks_add(bench.manager.now, SOONEST_MS))
    report.trace()
    report.trace_dump()
    text = capsys.readouterr().out
    assert "wrong password" in text
    assert SECRET not in text
    assert SECRET.encode().hex() not in text


def test_diagnostics_prints_it_a_line_at_a_time(ring, capsys, monkeypatch):
    printed = (lambda service: print("one"), lambda service: print("two"))
    monkeypatch.setattr(parts, "_PARTS", printed)
    telling = service_module.Telling(None, lambda: None, Garbage())
    for _ in range(20):
        trace.note(trace.BOOT, trace.NO_SLOT, 0, 0)
    telling.begin()
    shown = []
    waits = []
    while -1 not in waits:
        waits.append(telling.poll(0))
        shown.append(capsys.readouterr().out)
    assert not any(waits[:-1])  # the next step is due at once
    assert shown[:3] == ["", "one\n", "two\n"]  # the first step imports the reports
    assert all(text.count("\n") <= 1 for text in shown)
    assert shown[3].startswith("~trace begin 1 20 ")
    assert shown[-2:] == ["~trace end 20\n", ""]
