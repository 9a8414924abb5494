"""SIM with a script for its radio, as a process."""

import time

import pytest
from raw_controller import PATIENCE, request
from sim_process import run_sim, start_sim

from spinet import wire

__all__ = ["run_sim", "start_sim"]

QUICK = "0 takes scan=30 join=10 search=50 handshake=30 address=10\n"
CONFIG = bytes(16) + b"Workshop".ljust(32, b"\0") + b"correct-horse".ljust(64, b"\0")


@pytest.fixture
def start_in(start_sim, tmp_path):
    """start_in(script) -> a module that has booted in that air and remembers Workshop."""

    def start(script):
        (tmp_path / "air").write_text(QUICK + script)
        sim = start_sim("module-clocked", "--radio", "air")
        sim.power_on()
        assert sim.ask(10, data=CONFIG)[0] == 0
        return sim

    return start


def news_until(sim, state):
    """What networkGetLastError brings until this state is reached: [(state, error)]."""
    seen = []
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        now, response, data = sim.controller.transact(request(19))
        error = data[: max(0, response - 1)].decode()
        if error or not seen or seen[-1][0] != now:
            seen.append((now, error))
        if now == state:
            return seen
    raise AssertionError(f"state {state} was never reached: {seen}")


def test_password_is_checked(start_in):
    sim = start_in("0 appears Workshop password=battery-staple")
    assert sim.ask(14, data=b"Workshop")[0] == 0
    seen = news_until(sim, wire.WIFI_CONNECTING) + news_until(sim, wire.WIFI_IDLE)
    assert seen[-1] == (wire.WIFI_IDLE, "Workshop: wrong password")


def test_link_is_lost_and_found_again(start_in):
    sim = start_in(
        "0 appears Workshop password=correct-horse\n3 vanishes Workshop\n4.5 appears Workshop"
    )
    assert sim.ask(14, data=b"Workshop")[0] == 0
    seen = news_until(sim, wire.WIFI_CONNECTED)
    assert seen[-1] == (wire.WIFI_CONNECTED, "")
    seen = news_until(sim, wire.WIFI_RECONNECTING) + news_until(sim, wire.WIFI_CONNECTED)
    assert wire.WIFI_AUTO_RECONNECTING in [state for state, _ in seen]
    assert seen[-1] == (wire.WIFI_CONNECTED, "Workshop: reconnected")
    reconnects = int.from_bytes(sim.ask(9)[1][152:156], "little")
    assert reconnects >= 2


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
        (b"\xff\xfe\x00", "radio script 'air'"),
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
