"""SIM's choice of a TCP stack, the TAP device that lwIP is on, and its end in a reset."""

import contextlib
import json
import socket
import subprocess
import sys

import pytest
from own_network import WITH_TAP, own_network
from project import ROOT
from raw_controller import DATA_READY, PATIENCE, RESET, listen_or_connect
from sim_process import LWIP_BINARY, ROLES, run_sim, start_sim
from sim_threads import TAKING, interrupt_thread, threads_of

__all__ = ["run_sim", "start_sim"]

SHOW = "import os; print(os.environ['SPINET_TAP'], os.environ['SPINET_ADDRESS'])"
WITHOUT_RIGHTS = ("setpriv", "--inh-caps=-all", "--bounding-set=-all")


@pytest.fixture
def network():
    with own_network():
        yield


def run(*command):
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT
    )


def devices():
    links = json.loads(run("ip", "-json", "link", "show").stdout)
    return sorted(link["ifname"] for link in links if link["ifname"] != "lo")


def test_lwip_is_as_near_to_the_chips_as_can_be_had():
    done = run(LWIP_BINARY, "-c", "import _spinet_lwip; print(_spinet_lwip.LWIP_VERSION)")
    assert (done.stdout, done.stderr) == ("2.2.1\n", "")


def test_counters_at_the_repl():
    begin = "import _spinet_lwip as lwip; lwip.start(4000, 10000, 3000); lwip.listen(0, 80, 4)"
    done = run(LWIP_BINARY, "-c", f"{begin}; print(*lwip.stats())")
    assert (done.stdout, done.stderr) == ("0 0 0 0 0 0 0 0 0 0 0 0 1 0 0\n", "")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--stack", "tcp"), "'tcp' is no stack: sockets or lwip"),
        (("--stack", "lwip"), "this SIM has no lwIP in it: make build STACK=lwip makes one"),
    ],
)
def test_a_stack_that_is_not_there_is_one_line(run_sim, arguments, problem):
    assert run_sim(*arguments) == (2, "", f"spinet-sim: {problem}\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--tap", "nobody0"), "lwIP needs an --address on the TAP device, as 10.0.0.2/24"),
        (("--tap", "t0", "--address", "10.0.0.2/99"), "'99' is not a number from 1 to 31"),
        (("--tap", "t0", "--address", "ten/24"), "'ten' is not an IPv4 address"),
    ],
)
def test_an_address_that_cannot_be_is_one_line(network, tmp_path, arguments, problem):
    done = run(LWIP_BINARY, "-m", "sim", "--state", tmp_path / "state", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"spinet-sim: {problem}\n"


def test_the_device_is_there_as_long_as_the_command(network):
    script = f"{SHOW}; import subprocess as s; print(s.run(['ip','-br','a'], stdout=1))"
    done = run(*WITH_TAP, sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr
    assert "spinet0 10.197.0.2/30" in done.stdout
    assert "10.197.0.1/30" in done.stdout
    assert devices() == []


def test_a_killed_command_leaves_no_device(network):
    process = subprocess.Popen([*WITH_TAP, "sleep", "60"], stderr=subprocess.PIPE, text=True)
    with contextlib.closing(process.stderr):
        assert "spinet0" in process.stderr.readline()
        assert devices() == ["spinet0"]
        process.kill()
        process.wait(60)
    assert devices() == []


def test_two_at_a_time_have_networks_of_their_own(network):
    done = run(*WITH_TAP, *WITH_TAP, sys.executable, "-c", SHOW)
    assert done.stdout == "spinet1 10.197.0.6/30\n"


def test_the_exit_code_is_the_command_s(network):
    assert run(*WITH_TAP, "sh", "-c", "exit 7").returncode == 7
    missing = run(*WITH_TAP, "no-such-command")
    assert missing.returncode == 1
    assert missing.stderr.endswith(
        "with_tap: cannot run no-such-command: No such file or directory\n"
    )


def test_without_root_it_is_one_line():
    done = run(*WITHOUT_RIGHTS, *WITH_TAP, "true")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "needs root" in done.stderr
    assert run(*WITHOUT_RIGHTS, *WITH_TAP, "--or-loopback", "true").returncode == 0


MODULE = ("10.197.0.2", 80)
LISTEN_OR_CONNECT, GET_STATUS, NETWORK_STATUS = 7, 6, 9
CONNECTED = 2


def test_signals_end_no_thread_of_lwips(network, start_sim):
    sim = start_sim(
        "module-clocked", "--repl", script=("-c", TAKING), binary=LWIP_BINARY, before=WITH_TAP
    )
    sim.power_on()
    assert sim.ask(LISTEN_OR_CONNECT, data=listen_or_connect(MODULE[1]))[0] == 0
    module = sim.process.pid
    others = threads_of(module)[1:]
    with socket.create_connection(MODULE, timeout=PATIENCE):
        pass
    for number, thread in enumerate(others * 4):
        sim.said(f"taken {number}")
        interrupt_thread(module, thread)
    with socket.create_connection(MODULE, timeout=PATIENCE):
        pass


def test_free_heap_is_the_system_s_that_connections_take_of(network, start_sim):
    sim = start_sim("module-clocked", binary=LWIP_BINARY, before=WITH_TAP)
    sim.power_on()
    assert sim.ask(LISTEN_OR_CONNECT, data=listen_or_connect(MODULE[1]))[0] == 0
    before = free_heap(sim)
    assert 0 < before < 72704  # SIM's model of an ESP32-C3's
    with socket.create_connection(MODULE, PATIENCE):
        while sim.ask(GET_STATUS, 0)[1][0] != CONNECTED:
            pass
        assert free_heap(sim) < before


def free_heap(sim):
    return int.from_bytes(sim.ask(NETWORK_STATUS)[1][4:8], "little")


@pytest.mark.behaviour("D18", stack="lwip")
@pytest.mark.parametrize("role", ROLES)
def test_a_reset_ends_every_connection_and_the_next_life_serves(network, start_sim, role):
    sim = start_sim(role, binary=LWIP_BINARY, before=WITH_TAP)
    sim.power_on()
    for _ in range(3):
        assert sim.ask(LISTEN_OR_CONNECT, data=listen_or_connect(MODULE[1]))[0] == 0
        with socket.create_connection(MODULE, PATIENCE) as peer:
            while sim.ask(GET_STATUS, 0)[1][0] != CONNECTED:
                pass
            sim.controller.until(sim.controller.idle)  # no rise of this life counts for the next
            sim.controller.pin(RESET, 0)
            with pytest.raises(ConnectionResetError):
                peer.recv(1)
            sim.controller.rises = 0
            sim.controller.pins[DATA_READY] = 0
            sim.controller.pin(RESET, 1)
            sim.controller.wait_boot()
