"""What the REPL shows."""

import pytest
from fake_board import Bench

from spinet import report
from spinet import service as service_module


@pytest.fixture
def shown(monkeypatch, capsys):
    """shown(function) -> what it prints about a bench with one connection."""
    bench = Bench("module-clocked")
    bench.connected(port=8080)
    bench.link = bench.rig.link
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
    assert len(report.STATES) == 8
    assert len(report.WIFI_STATES) == 7
    slot = shown.bench.manager.slots[0]
    slot.abort()
    assert "closeReady" in shown(report.slots)


def test_listeners(shown):
    assert shown(report.listeners) == "port 8080 protocol 0: 1 of 8\n"


def test_network(shown):
    shown.bench.wlan.fail("oops")
    assert shown(report.network).splitlines() == [
        "WiFi idle, rssi -128",
        "last error: oops",
        "0 networks remembered",
    ]


def test_counters(shown):
    shown.bench.response(99)
    shown.bench.response(0, version=1)
    text = shown(report.counters)
    assert "transactions 2, bad headers 1, cut 0" in text
    assert "unknown commands 1" in text


def test_diagnostics_is_all_of_it(shown):
    text = shown(lambda: report.diagnostics(shown.bench))
    for part in (report.slots, report.listeners, report.network):
        assert shown(part) in text


@pytest.mark.parametrize("name", ["slots", "listeners", "network", "counters"])
def test_without_a_service(name, monkeypatch, capsys):
    monkeypatch.setattr(service_module, "current", None)
    getattr(report, name)()
    assert capsys.readouterr().out == "the service does not run\n"
