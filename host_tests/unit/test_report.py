"""What the REPL shows."""

import pytest
from fake_board import Bench
from images import NEW, MemorySlots

from spinet import VERSION_TEXT, report
from spinet import service as service_module
from spinet.debug import parts
from spinet.duet.personality import Personality
from spinet.tcp import callhome
from spinet.update import record
from spinet.wifi.networks import Network

SECRET = "plant3d-s3cret"
CONFIG = bytes(16) + b"Workshop".ljust(32, b"\0") + SECRET.encode().ljust(64, b"\0")


@pytest.fixture
def shown(monkeypatch, capsys):
    """shown(function) -> what it prints about a bench with one connection."""
    bench = Bench("module-clocked")
    bench.connected(port=8080)
    bench.link = bench.rig.link
    bench.personality = Personality.__new__(Personality)
    bench.personality.link, bench.personality.commands = bench.link, bench.commands
    monkeypatch.setattr(service_module, "current", bench)

    def run(function):
        assert function() is None
        return capsys.readouterr().out

    run.bench = bench
    return run


def test_slots(shown):
    lines = shown(report.slots).splitlines()
    assert len(lines) == 8
    assert "connected" in lines[0]
    assert "stack+controller" in lines[0]
    assert "8080 <- 127.0.0.1:" in lines[0]
    assert all("free" in line for line in lines[1:])


def test_every_state_has_its_name(shown):
    assert len(parts.STATES) == 8
    assert len(parts.WIFI_STATES) == 7
    slot = shown.bench.manager.slots[0]
    slot.abort()
    assert "closeReady" in shown(report.slots)


def test_listeners(shown):
    assert shown(report.listeners) == "port 8080 protocol 0: 1 of 8\n"


def test_update(shown):
    assert shown(report.update) == "one slot: an image can come by cable only\n"
    board = shown.bench.board
    board.the_slots = MemorySlots()
    runs = f"version {VERSION_TEXT} in slot 0, 64 KB each\n"
    assert shown(report.update) == runs + "last update: none\nover the network: off\n"
    record.save(board.the_update_store, record.SILENT, 1, NEW)
    assert shown(report.update).startswith(
        f"{runs}last update: {NEW} was taken back: it was asked for nothing"
    )


@pytest.mark.behaviour("C9")
def test_sessions(shown):
    assert shown(report.sessions) == ""
    shown.bench.sessions.call(0x070200C0, 8080, b"", 4, 1, 0)
    shown.bench.turn()
    assert shown(report.sessions) == (
        "home 192.0.2.7:8080 protocol 4: 0 of 1, dialling; "
        "reconnecting 1, reconnect failed 0, reconnected 0, no more attempts 0\n"
    )
    assert shown(report.sessions) in shown(lambda: parts.diagnostics(shown.bench))


def test_every_state_and_event_of_a_session_has_its_name():
    assert len(callhome.STATE_NAMES) == callhome._FULL + 1
    assert len(callhome.EVENT_NAMES) == callhome._GIVEN_UP + 1


def test_network(shown):
    shown.bench.error.set("oops")
    assert shown(report.network).splitlines() == [
        "WiFi idle, rssi -128",
        "0 reconnects",
        "host name spinet, not announced",
        "last error: oops",
        "0 networks remembered",
    ]


def test_network_of_a_station_and_of_an_access_point(shown):
    bench = shown.bench
    bench.radio.outcome_is = ""
    bench.networks.remember(Network(CONFIG))
    bench.wlan.station.start(b"Workshop", 0)
    text = shown(report.network)
    assert "WiFi connected" in text
    assert "network Workshop, channel 0, address 192.168.1.50" in text
    bench.wlan.stop()
    bench.networks.set_access_point(Network(b"\xc0\xa8\x04\x01" + CONFIG[4:]))
    bench.wlan.start_access_point()
    assert "2 stations" in shown(report.network)
    assert SECRET not in shown(report.all)


@pytest.mark.behaviour("M4")
def test_heap(shown):
    python, system = shown(report.heap).splitlines()
    assert python.startswith("Python's heap free 20000, in use ")
    assert system == "system's heap free 60000"


@pytest.mark.behaviour("L2")
def test_a_host_name_that_is_no_text(shown):
    """Nothing says that it is, and the diagnostics command must not end the service for it."""
    assert shown.bench.response(18, data=b"Dr\xfccker\x1b[2J".ljust(64, b"\0")) == 0
    assert "host name Dr\\xfccker\\x1b[2J, " in shown(report.network)


@pytest.mark.behaviour("D20")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Größe ☕".encode(), "Größe ☕"),
        (b"John\xe2\x80\x99s", "John\N{RIGHT SINGLE QUOTATION MARK}s"),
        ("\x1b[2J\x7f\x9b".encode(), "\\x1b[2J\\x7f\\x9b"),
        (b"no \xff UTF-8\n", "no \\xff UTF-8\\x0a"),
    ],
)
def test_a_network_of_any_name(shown, name, text):
    bench = shown.bench
    bench.networks.remember(Network(bytes(16) + name.ljust(96, b"\0")))
    bench.radio.outcome_is = ""
    bench.wlan.station.start(name, 0)
    bench.radio.finds = []
    bench.wlan.poll(0)
    assert f"network {text}, channel" in shown(report.network)
    bench.radio.outcome_is = "signal lost"
    bench.wlan.refresh(0)
    told = text + ": connection lost, auto-reconnecting"
    assert f"last error: {told}\n" in shown(report.network)
    assert told in shown(report.trace)
    for line in shown(report.all).splitlines():
        assert line.isprintable()


def test_counters(shown):
    shown.bench.response(99)
    shown.bench.response(0, version=1)
    text = shown(report.counters)
    assert "transactions 2, bad headers 1, cut 0" in text
    assert "unknown commands 1" in text


def test_diagnostics_is_all_of_it(shown):
    text = shown(lambda: parts.diagnostics(shown.bench))
    for part in (report.slots, report.listeners, report.network, report.counters):
        assert shown(part) in text
    assert "heap free" in text
    assert shown(report.all) == text


@pytest.mark.parametrize(
    "name", ["slots", "listeners", "sessions", "network", "counters", "heap", "all"]
)
def test_without_a_service(name, monkeypatch, capsys):
    monkeypatch.setattr(service_module, "current", None)
    getattr(report, name)()
    assert capsys.readouterr().out == "the service does not run\n"
