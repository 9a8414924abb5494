"""What discovery tells its announcers as WiFi, name and listeners come and go."""

import pytest
from fake_board import FakeBoard, boot
from fake_pins import MasterRig
from raw_controller import listen_or_connect, request

from spinet import loop, states
from spinet.contracts.announcer import Silent
from spinet.loop import _HOUSEKEEPING_MS
from spinet.naming.discovery import _RETRY_MS, label
from spinet.service import Service
from spinet.wifi.networks import Network

CONFIG = b"\x0a\0\0\1" + bytes(12) + b"Workshop".ljust(96, b"\0")
ADDRESS = 0x3201A8C0  # what the scripted radio says


class Recorder(Silent):
    """An announcer that remembers what it was told."""

    def __init__(self):
        self.told = []
        self.due = -1
        self.polls = 0

    def start(self, host_name, ip, netmask):
        self.told.append(("start", host_name, ip))

    def service(self, kind, tcp_port):
        self.told.append((kind, tcp_port))

    def stop(self):
        self.told.append("stop")

    def poll(self, now):
        self.polls += 1
        return self.due


@pytest.mark.parametrize(
    ("given", "fit"),
    [
        (b"Spinet-3", b"Spinet-3"),
        (b"my printer!", b"my-printer"),
        (b"--a--", b"a"),
        ("Büro".encode(), b"B--ro"),
        (b"x" * 64, b"x" * 63),
        (b"\0", b"spinet"),
        (b"", b"spinet"),
    ],
)
def test_labels(given, fit):
    assert label(given) == fit


@pytest.fixture
def board():
    board = FakeBoard()
    board.the_announcer = Recorder()
    board.the_captive = Recorder()
    board.the_radio.outcome_is = ""
    return board


@pytest.fixture
def service(board):
    """A service whose controller is `rig`; its waits do not sleep, `sleeps` has what they asked."""
    rig = MasterRig(None)
    board.the_port = rig.port
    wait = board.the_stack.wait
    service = Service(board)
    service.sleeps = []

    def no_sleep(ms):
        service.sleeps.append(ms)
        return wait(0)

    board.the_stack.wait = no_sleep
    rig.link = service.link
    rig.serve = lambda after_ms=0: service.run_once()
    service.rig = rig
    boot(service)
    service.networks.remember(Network(CONFIG))
    service.networks.set_access_point(Network(CONFIG))
    return service


def ask(service, command, *args, **fields):
    response = service.rig.ask(request(command, *args, **fields))[0]
    service.run_once()
    return response


def told(announcer):
    """What it was told since the last time."""
    new = announcer.told[:]
    announcer.told.clear()
    return new


def test_a_station(service, board):
    assert ask(service, 14, data=b"Workshop") == 0
    assert told(board.the_announcer) == [("start", b"spinet", ADDRESS)]
    assert told(board.the_captive) == []


def test_an_access_point(service, board):
    assert ask(service, 15) == 0
    assert told(board.the_announcer) == [("start", b"spinet", ADDRESS)]
    assert told(board.the_captive) == [("start", b"spinet", ADDRESS)]
    ask(service, 16)
    assert told(board.the_announcer) == ["stop"]
    assert told(board.the_captive) == ["stop"]


@pytest.mark.behaviour("M2")
@pytest.mark.parametrize("what", ["start", "service"])
def test_what_there_was_no_memory_for_is_said_later(service, board, monkeypatch, what):
    now = 5000
    monkeypatch.setattr(loop, "ticks_ms", lambda: now)
    service.loop.bind()  # the clock is another

    def refuse(*_):
        raise MemoryError

    with monkeypatch.context() as full:
        full.setattr(board.the_announcer, what, refuse)
        ask(service, 7, data=listen_or_connect(80))
        ask(service, 14, data=b"Workshop")
        service.run_once()
    told(board.the_announcer)
    now += _RETRY_MS
    service.run_once()
    said = told(board.the_announcer)
    assert ("start", b"spinet", ADDRESS) in said
    assert service.discovery._ports[0] == 80


@pytest.mark.behaviour("M2")
def test_an_access_points_dns_that_there_was_no_memory_for_starts_later(
    service, board, monkeypatch
):
    now = 5000
    monkeypatch.setattr(loop, "ticks_ms", lambda: now)
    service.loop.bind()  # the clock is another

    def refuse():
        raise MemoryError

    with monkeypatch.context() as full:
        full.setattr(service.discovery, "_make_captive", refuse)
        ask(service, 13, data=CONFIG)
        ask(service, 15)
        service.run_once()
    assert told(board.the_captive) == []
    now += _RETRY_MS
    service.run_once()
    assert told(board.the_captive) == [("start", b"spinet", ADDRESS)]


def test_listeners_come_and_go(service, board):
    ask(service, 7, data=listen_or_connect(8080))
    ask(service, 7, data=listen_or_connect(21, protocol=1))
    ask(service, 7, data=listen_or_connect(23, protocol=2))
    assert told(board.the_announcer) == [(b"_http", 8080), (b"_ftp", 21), (b"_telnet", 23)]
    ask(service, 7, data=listen_or_connect(21, limit=0))
    assert told(board.the_announcer) == [(b"_ftp", 0)]


def test_protocols_without_a_name_are_not_announced(service, board):
    ask(service, 7, data=listen_or_connect(1883, protocol=4))
    ask(service, 7, data=listen_or_connect(30000, protocol=3, limit=1))
    assert told(board.the_announcer) == []


def test_a_port_with_tls_is_no_plain_one(service, board):
    table = service.listeners
    table.listen(0, 443, 0, 8)
    table.entries[0].tls = True  # as if its certificate had been there
    table.listen(0, 8080, 0, 8)
    service.run_once()
    assert told(board.the_announcer) == [(b"_http", 8080)]


def test_the_first_of_two_ports_stands_for_its_protocol(service, board):
    ask(service, 7, data=listen_or_connect(80))
    ask(service, 7, data=listen_or_connect(8080))
    assert told(board.the_announcer) == [(b"_http", 80)]
    ask(service, 7, data=listen_or_connect(80, limit=0))
    assert told(board.the_announcer) == [(b"_http", 8080)]


def test_a_new_name(service, board):
    ask(service, 18, data=b"printer".ljust(64, b"\0"))
    assert told(board.the_announcer) == []
    ask(service, 14, data=b"Workshop")
    assert told(board.the_announcer) == [("start", b"printer", ADDRESS)]
    ask(service, 18, data=b"printer".ljust(64, b"\0"))
    assert told(board.the_announcer) == []
    ask(service, 18, data=b"other".ljust(64, b"\0"))
    assert told(board.the_announcer) == ["stop", ("start", b"other", ADDRESS)]


def test_goodbye_is_said_while_the_radio_is_on(service, board):
    ask(service, 14, data=b"Workshop")
    board.the_announcer.stop = lambda: board.the_radio.calls.append("goodbye")
    ask(service, 16)
    assert board.the_radio.calls[-2:] == ["goodbye", "leave"]


def test_the_end_of_the_service_is_a_goodbye(service, board):
    ask(service, 14, data=b"Workshop")
    told(board.the_announcer)
    service.shut()
    assert told(board.the_announcer) == ["stop"]


def test_stopping_what_never_began(service, board):
    ask(service, 16)
    assert told(board.the_announcer) == []


def test_sleep_ends_when_an_announcer_is_due(service, board, monkeypatch):
    now = service.housekeeping._kept = service.manager.now
    monkeypatch.setattr(loop, "ticks_ms", lambda: now)
    service.loop.bind()  # the clock is another
    service.port.poll = lambda _link, _now: -1
    service.run_once()
    assert service.sleeps[-1] == _HOUSEKEEPING_MS
    board.the_announcer.due = 70
    board.the_captive.due = 30
    service.discovery.captive = board.the_captive  # as of an access point
    service.discovery.note_due()
    service.run_once()
    polls = board.the_announcer.polls
    service.run_once()
    assert service.sleeps[-1] == 30
    assert board.the_announcer.polls == polls  # it is not time yet
    board.the_captive.due = -1
    now += 30
    service.run_once()
    assert board.the_announcer.polls == polls + 1
    service.run_once()
    assert service.sleeps[-1] == 70


def test_idle_announcers_are_not_stepped(service, board):
    service.run_once()
    polls = board.the_announcer.polls
    service.run_once()
    assert board.the_announcer.polls == polls


def test_the_name_it_came_to_is_in_the_report(service, board, capsys):
    from spinet.debug import parts

    board.the_announcer.name = lambda: "spinet-2"
    parts.diagnostics(service)
    assert "announced as spinet-2.local" in capsys.readouterr().out


@pytest.mark.parametrize(
    "lost",
    [[states.WIFI_AUTO_RECONNECTING], [states.WIFI_AUTO_RECONNECTING, states.WIFI_RECONNECTING]],
    ids=["for a moment", "for longer"],
)
def test_a_lost_link(service, board, lost):
    ask(service, 14, data=b"Workshop")
    told(board.the_announcer)
    for state in lost:
        service.wlan.set_state(state)
    service.run_once()
    assert told(board.the_announcer) == ["stop"]
    service.wlan.set_state(states.WIFI_CONNECTED)
    service.run_once()
    assert told(board.the_announcer) == [("start", b"spinet", ADDRESS)]
