"""What a chip tells its system's mDNS, with our C module in the image and without."""

import sys
import threading
import time
from types import ModuleType

import network
import pytest
from chip_paths import NAMES
from slots import wait_until

from spinet import VERSION_TEXT, compat
from spinet.naming.discovery import KINDS

PATIENCE = 60


class Component(ModuleType):
    """The C module `_spinet_mdns`: every call waits for a task, here until a test lets it."""

    def __init__(self):
        super().__init__("_spinet_mdns")
        self.calls = []
        self.error = 0
        self.gate = threading.Event()
        self.gate.set()
        self._news = threading.Condition()

    def _call(self, *call):
        assert self.gate.wait(PATIENCE)
        with self._news:
            self.calls.append(call)
            self._news.notify_all()
        return self.error

    def name(self, label):
        return self._call("name", label)

    def offer(self, kind, port, product, version):
        assert (product, version) == ("Spinet", VERSION_TEXT)
        return self._call("offer", kind, port)

    def withdraw(self, kind):
        return self._call("withdraw", kind)

    def until(self, *calls):
        """Wait until these and no others were made, in this order."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.calls) >= len(calls), PATIENCE)
        assert self.calls == list(calls)
        self.calls.clear()


@pytest.fixture
def component(monkeypatch):
    component = Component()
    monkeypatch.setitem(sys.modules, "_spinet_mdns", component)
    return component


@pytest.fixture
def announcer(load_board):
    board = load_board(NAMES[0])
    announcer, _ = board.announcers(None, None)
    announcer.said = []
    announcer._say = announcer.said.append
    return announcer


HTTP, FTP, _ = KINDS


def test_names_and_services(component, announcer):
    announcer.named(b"My Printer")
    announcer.service(HTTP, 80)
    announcer.start(b"My Printer", 0, 0)
    component.until(("name", "My-Printer"), ("offer", "_http", 80))
    announcer.service(FTP, 21)
    announcer.service(HTTP, 8080)
    announcer.service(FTP, 0)
    component.until(("offer", "_ftp", 21), ("offer", "_http", 8080), ("withdraw", "_ftp"))
    assert announcer.name() == "My-Printer"
    announcer.stop()
    component.until(("withdraw", "_http"))
    assert announcer.name() == ""


def test_services_come_back_with_the_network(component, announcer):
    announcer.named(b"a")
    announcer.service(HTTP, 80)
    for _ in range(2):
        announcer.start(b"a", 0, 0)
        announcer.stop()
    once = (("name", "a"), ("offer", "_http", 80), ("withdraw", "_http"))
    component.until(*once, *once)


def test_nothing_waits_for_the_component(component, announcer):
    component.gate.clear()
    announcer.start(b"a", 0, 0)
    announcer.service(HTTP, 80)  # would wait for long
    announcer.service(FTP, 21)
    component.gate.set()
    component.until(("name", "spinet"), ("offer", "_http", 80), ("offer", "_ftp", 21))


def test_a_refusal_is_said(component, announcer):
    component.error = 258
    announcer.start(b"a", 0, 0)
    announcer.service(HTTP, 80)
    component.until(("name", "spinet"), ("offer", "_http", 80))
    assert announcer.said[0] == "mDNS refuses spinet: error 258"


def test_no_memory_for_a_thread(component, announcer, monkeypatch):
    def refuse(function, arguments, stack):
        raise OSError(12)

    with monkeypatch.context() as full:
        full.setattr(compat, "start_thread", refuse)
        announcer.start(b"a", 0, 0)
    assert announcer.said == ["no memory for mDNS"]
    announcer.service(HTTP, 80)
    component.until(("name", "spinet"), ("offer", "_http", 80))


@pytest.mark.behaviour("M2")
def test_no_memory_for_a_job_does_not_end_the_thread(component, announcer, monkeypatch):
    def refuse(*_):
        raise MemoryError

    component.gate.clear()
    with monkeypatch.context() as full:
        full.setattr(component, "offer", refuse)
        announcer.service(HTTP, 80)
        announcer.start(b"a", 0, 0)
        component.gate.set()
        wait_until(lambda: announcer.said, lambda: time.sleep(0.01))
    assert announcer.said == ["no memory for mDNS"]
    announcer.service(FTP, 21)
    component.until(("name", "spinet"), ("offer", "_ftp", 21))


@pytest.mark.parametrize(
    ("given", "host"),
    [
        (b"printer", "printer"),
        (b"", "spinet"),
        (b"x" * 31 + b"-y", "x" * 31),
        (b"x" * 64, "x" * 32),
    ],
)
def test_stock_firmware_has_the_host_name(announcer, given, host):
    announcer.named(given)
    assert network.hostname() == host
    announcer.service(HTTP, 80)
    announcer.start(given, 0, 0)
    announcer.service(FTP, 21)
    announcer.stop()
    assert announcer.poll(0) == -1
