"""SIM with a script for its radio, as a process."""

import time

import pytest
from fake_board import ANY_NAMES
from nina_bench import frame, parameters
from raw_controller import PATIENCE, request
from sim_process import run_sim, start_sim

from spinet import states
from spinet.debug.trace_lines import shown
from spinet.duet import wire
from spinet.wifi.station import SOONEST_MS
from spinet_controller.event_trace import Kind, parse_dump

__all__ = ["run_sim", "start_sim"]

QUICK = "0 takes scan=30 join=10 search=50 handshake=30 address=10\n"
CONFIG = bytes(16) + b"Workshop".ljust(32, b"\0") + b"correct-horse".ljust(64, b"\0")


# SIM whose air has a clock of its own, which stands still until there is a file "go".
HELD = """
import os, sys, sim
from air import Air
from spinet.compat import ticks_diff, ticks_ms
began = []
def clock():
    if not began and "go" in os.listdir("."):
        began.append(ticks_ms())
    return ticks_diff(ticks_ms(), began[0]) if began else 0
sim.Air = lambda script: Air(script, clock)
sys.exit(sim.main(sys.argv[1:]))
"""
AT_ONCE = "0 takes scan=0 join=0 search=0 handshake=0 address=0\n"


@pytest.fixture
def start_in(start_sim, tmp_path):
    """start_in(air) -> a module that has booted in that air and remembers Workshop."""

    def start(air, takes=QUICK, **popen):
        (tmp_path / "air").write_text(takes + air)
        sim = start_sim("module-clocked", "--radio", "air", **popen)
        sim.power_on()
        assert sim.ask(10, data=CONFIG)[0] == 0
        return sim

    return start


def news_until(sim, condition):
    """What networkGetLastError brings, as soon as condition(state, error) holds for it."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        state, response, data = sim.controller.transact(request(19))
        error = data[: max(0, response - 1)].decode()
        if condition(state, error):
            return state, error
    raise AssertionError(f"the last news was of state {state}: {error!r}")


def states_since_boot(sim, console):
    """The WiFi states one after the other, from the module's trace: some last for a moment only."""
    assert sim.ask(20)[0] == 0
    sim.ask_until(lambda *_: "~trace end" in console.read_text(), 0)
    events = parse_dump(console.read_text()).events
    return [event.a for event in events if event.kind == Kind.WIFI]


def test_password_is_checked(start_in):
    sim = start_in("0 appears Workshop password=battery-staple")
    assert sim.ask(14, data=b"Workshop")[0] == 0
    news = news_until(sim, lambda _state, error: error)
    assert news == (states.WIFI_IDLE, "Workshop: wrong password")


@pytest.mark.parametrize("script", [(), ("--radio", "air")], ids=["simple", "scripted"])
def test_a_name_that_is_not_remembered_is_refused_after_a_scans_time(start_sim, tmp_path, script):
    (tmp_path / "air").write_text("0 takes scan=1\n")
    sim = start_sim("module-clocked", *script)
    sim.power_on()
    asked = time.monotonic()
    assert sim.ask(14, data=b"Nowhere")[0] == 0
    news = news_until(sim, lambda _state, error: error)
    assert news == (states.WIFI_IDLE, "no data found for requested SSID")
    assert time.monotonic() - asked > SOONEST_MS / 1000 - 0.1  # its clock has whole ms


def test_link_is_lost_and_found_again(start_in, tmp_path):
    """Two seconds after the loss was noticed the air is scanned again."""
    console = tmp_path / "console"
    with console.open("w") as stdout:
        sim = start_in(
            "0 appears Workshop password=correct-horse\n1 vanishes Workshop\n3 appears Workshop",
            takes=AT_ONCE,
            script=("-c", HELD),
            stdout=stdout,
        )
    assert sim.ask(14, data=b"Workshop")[0] == 0
    assert news_until(sim, lambda state, _error: state == states.WIFI_CONNECTED)[1] == ""
    (tmp_path / "go").touch()
    news = news_until(sim, lambda _state, error: "reconnected" in error)
    assert news == (states.WIFI_CONNECTED, "Workshop: reconnected")
    assert states_since_boot(sim, console) == [
        states.WIFI_CONNECTING,
        states.WIFI_CONNECTED,
        states.WIFI_AUTO_RECONNECTING,
        states.WIFI_RECONNECTING,
        states.WIFI_CONNECTED,
    ]
    reconnects = int.from_bytes(sim.ask(9)[1][152:156], "little")
    assert reconnects >= 2


@pytest.mark.behaviour("D20")
def test_networks_of_any_name(start_in, tmp_path):
    console = tmp_path / "console"
    air = ["".join(f"\\x{octet:02x}" for octet in name) for name in ANY_NAMES]
    with console.open("w") as stdout:
        sim = start_in(
            "\n".join(f"0 appears {name} password=\\xfflong-enough" for name in air), stdout=stdout
        )
    assert sim.ask(11, data=CONFIG[16:48])[0] == 0
    for name in ANY_NAMES:
        field = name.ljust(32, b"\0")
        config = bytes(16) + field + b"\xfflong-enough".ljust(64, b"\0")
        assert sim.ask(10, data=config)[0] == 0
        assert sim.ask(12)[1] == b"\n" + name + b"\n\0"
        assert sim.ask(14, data=field + b"\0")[0] == 0
        assert news_until(sim, lambda state, _error: state == states.WIFI_CONNECTED)[1] == ""
        assert sim.ask(9)[1][44:76] == field
        assert sim.ask(20)[0] == 0
        printed = f"network {shown(name)}, channel 1"
        sim.ask_until(lambda *_, printed=printed: printed in console.read_text(), 0)
        assert sim.ask(16)[0] == 0
        assert sim.ask(11, data=field)[0] == 0
        assert sim.ask(12)[1] == b"\n\0"


def test_scan_shows_the_air(start_in):
    sim = start_in("0 appears One rssi=-80\n0 appears Two rssi=-30")
    assert sim.ask(24)[0] == 0
    response = wire.SCAN_IN_PROGRESS
    while response == wire.SCAN_IN_PROGRESS:
        response, data = sim.ask(25)
    assert response == 90
    assert [data[i + 12 : i + 15] for i in (0, 45)] == [b"Two", b"One"]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (b"0 explodes Home", "radio script 'air', line 1: 'explodes' is none of"),
        (b"\xff\xfe\x00", "radio script 'air' is no text"),
        (None, "cannot read the radio script 'air' (error 2)"),
    ],
)
def test_bad_script_is_one_line(run_sim, tmp_path, script, says):
    if script is not None:
        (tmp_path / "air").write_bytes(script)
    code, out, err = run_sim("--radio", "air")
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert says in err


# --- NINA's commands


@pytest.fixture
def nina_in(start_sim, tmp_path):
    """nina_in(air) -> a module that has booted in NINA's role and in that air."""

    def start(air, takes=QUICK, **popen):
        (tmp_path / "air").write_text(takes + air)
        sim = start_sim("nina", "--radio", "air", **popen)
        sim.power_on()
        return sim

    return start


def asked(sim, command, *params):
    """The parameters of the reply."""
    return parameters(sim.controller.command(frame(command, *params)))


def status_until(sim, wanted):
    """The answers of 20, each once as long as it lasts, until the one that is wanted."""
    limit = time.monotonic() + PATIENCE
    seen = asked(sim, 0x20)
    while seen[-1] != bytes([wanted]) and time.monotonic() < limit:
        answer = asked(sim, 0x20)[0]
        if answer != seen[-1]:
            seen.append(answer)
    return list(b"".join(seen))


def test_nina_is_told_why_a_join_failed(nina_in):
    sim = nina_in("0 appears Workshop password=battery-staple")
    assert asked(sim, 0x20) == [b"\0"]
    assert asked(sim, 0x12, b"Workshop", 0, b"correct-horse") == [b"\1"]
    assert status_until(sim, 4) == [1, 4]
    assert asked(sim, 0x1F) == [bytes([202])]
    assert asked(sim, 0x11, b"Workshop", b"battery-staple") == [b"\1"]
    assert status_until(sim, 3)[-2:] == [1, 3]


def test_nina_loses_its_network_and_finds_it_again(nina_in, tmp_path):
    sim = nina_in(
        "0 appears Workshop\n1 vanishes Workshop\n3 appears Workshop",
        takes=AT_ONCE,
        script=("-c", HELD),
    )
    assert asked(sim, 0x10, b"Workshop") == [b"\1"]
    status_until(sim, 3)
    (tmp_path / "go").touch()
    assert status_until(sim, 6) == [3, 6]
    assert asked(sim, 0x21, 255) == [bytes(4)] * 3
    assert status_until(sim, 3) == [6, 3]


def test_nina_is_told_everything_about_the_air(nina_in):
    sim = nina_in("0 appears One rssi=-80\n0 appears Two rssi=-30 channel=3 password=abcdefgh")
    assert asked(sim, 0x36) == [b"\1"]
    assert asked(sim, 0x27) == [b"Two", b"One"]
    assert asked(sim, 0x32, 0) == [(-30 & 0xFFFFFFFF).to_bytes(4, "little")]
    assert [asked(sim, 0x33, i) for i in (0, 1)] == [[b"\4"], [b"\7"]]
    assert asked(sim, 0x3D, 0) == [b"\3"]
    (bssid,) = asked(sim, 0x3C, 0)
    assert asked(sim, 0x16, b"weather") == [b"\1"]
    assert asked(sim, 0x15, 1, bytes([9, 9, 9, 9]), bytes(4)) == [b"\1"]
    assert asked(sim, 0x14, 3, *[bytes(4)] * 3) == [b"\0"]
    assert asked(sim, 0x11, b"Two", b"abcdefgh") == [b"\1"]
    status_until(sim, 3)
    assert asked(sim, 0x1E, 255) == [bytes([9, 9, 9, 9]), bytes(4)]
    assert asked(sim, 0x21, 255)[0] == bytes([127, 0, 0, 1])
    assert asked(sim, 0x23, 255) == [b"Two"]
    assert asked(sim, 0x24, 255) == [bssid]
    assert asked(sim, 0x26, 255) == [b"\4"]
    (mac,) = asked(sim, 0x22, 255)
    assert mac[::-1][:3] == b"\2SI"
    assert asked(sim, 0x30, 255) == [b"\1"]
    assert asked(sim, 0x25, 255) == [bytes(4)]
    assert asked(sim, 0x17, 1) == [b"\1"]
    assert sim.controller.command(frame(0x1B)) == bytes.fromhex("ef 00 ee")
