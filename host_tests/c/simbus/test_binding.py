"""simbus as Python has it: what it does without a connection, and what it refuses."""

import socket
from subprocess import PIPE

import pytest
from nina_controller import NinaController
from raw_controller import HELLO, PATIENCE, frame
from sim_process import SimProcess

CONNECTION = """
import gc, simbus, socket, sys

class Lost(Exception):
    pass

def lost(code):
    raise Lost(code)

def ends_with(function, *arguments):
    try:
        function(*arguments)
    except Exception as e:
        print(repr(e))

sock = socket.socket()
sock.connect(socket.getaddrinfo("127.0.0.1", int(sys.argv[1]))[0][-1])
"""
BUS = """
bus = simbus.Bus(0, 0, lost)
bus.connected(sock.fileno(), 1000, b"v")
transfer_ready, data_ready, cs, reset = bus.pins()
"""
SELECTED = """
bus = simbus.Selected(0, lost)
bus.connected(sock.fileno(), 1000, b"v")
"""


@pytest.fixture
def run(tmp_path):
    """run(lines): on the VM, after `bus`; (the lines it printed, all that came over the bus)."""

    def play(lines, bus=BUS):
        script = tmp_path / "script.py"
        script.write_text(CONNECTION + bus + lines)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(PATIENCE)
            vm = SimProcess([str(script), str(listener.getsockname()[1])])
            try:
                connection, _ = listener.accept()
                with connection, connection.makefile("rb") as stream:
                    connection.settimeout(PATIENCE)
                    came = stream.read()
                printed = vm.process.stdout.read().splitlines()
                assert vm.wait() == 0, vm.lines
            finally:
                vm.end()
        return printed, came

    return play


def test_a_pin_is_driven_over_the_connection(run):
    printed, came = run("data_ready.value(1)\nprint(data_ready.value())")
    assert printed == ["1"]
    assert came == frame(HELLO, 0, b"v") + b"\x01\x01\x01\x00\x01"


@pytest.mark.parametrize("use", ["data_ready.value, 1", "bus.exchange, tx, rx, 0, 8"])
def test_without_a_connection_nothing_goes_to_its_descriptor(run, use):
    lines = "tx = bytearray(8)\nrx = bytearray(8)\nbus.disconnected()\n"
    printed, came = run(f"{lines}ends_with({use})\nprint('went on')")
    assert printed == ["Lost(-1,)", "went on"]
    assert came == frame(HELLO, 0, b"v")


def test_who_is_told_of_a_lost_connection_has_to_raise(run):
    lines = "bus = simbus.Bus(0, 0, print)\nbus.disconnected()\n"
    printed, _ = run(f"{lines}ends_with(bus.pins()[1].value, 1)")
    assert printed == ["-1", "RuntimeError('on_lost has to raise',)"]


@pytest.mark.parametrize("n", [0, -1, 4097])
def test_a_transfer_has_a_length(run, n):
    printed, came = run(f"ends_with(bus.exchange, bytes(8), bytearray(8), 0, {n})")
    assert printed == ["ValueError('a transfer has 1 to 4096 bytes',)"]
    assert came == frame(HELLO, 0, b"v")


@pytest.mark.parametrize(
    "use",
    [
        "bytes(8), bytearray(8), 4, 5",
        "bytes(4), bytearray(8), 0, 5",
        "bytes(8), bytearray(4), 0, 5",
        "bytes(8), bytearray(8), -1, 4",
        "bytes(8), bytes(8), 0, 8",
    ],
)
@pytest.mark.parametrize("transfer", ["exchange", "exchange_last", "arm"])
def test_a_transfer_stays_within_its_buffers(run, transfer, use):
    printed, came = run(f"ends_with(bus.{transfer}, {use})")
    assert len(printed) == 1
    assert printed[0].startswith(("ValueError", "TypeError"))
    assert came == frame(HELLO, 0, b"v")


@pytest.mark.parametrize(
    "use",
    [
        "bytes(8), bytearray(4096), 9",
        "bytes(8), bytearray(4095), 8",
        "bytes(8), bytes(4096), 8",
        "bytes(8), bytearray(4096), -1",
        "bytes(4097), bytearray(4097), 4097",
    ],
)
def test_a_selections_transfer_stays_within_its_buffers(run, use):
    printed, came = run(f"ends_with(bus.arm, {use})", SELECTED)
    assert len(printed) == 1
    assert printed[0].startswith(("ValueError", "TypeError"))
    assert came == frame(HELLO, 2, b"v")


@pytest.mark.parametrize("use", ["arm, bytes(8), bytearray(4096), 8", "gpio0, 1", "power_cycle"])
def test_without_a_connection_nothing_is_armed(run, use):
    lines = "bus.disconnected()\nbus.disarm()\nprint(bus.received())\n"
    printed, came = run(f"{lines}ends_with(bus.{use})", SELECTED)
    assert printed == ["-1", "Lost(-1,)"]
    assert came == frame(HELLO, 2, b"v")


def test_a_bus_that_is_forgotten_ends_its_thread(run):
    """The collector takes it, although its thread has not seen an end of the connection."""
    lines = """
import os
def threads():
    return len(list(os.ilistdir("/proc/self/task")))
print(threads())
for _ in range(1000):
    bus = None
    gc.collect()
    if threads() == 1:
        break
    [0] * 20  # where the forgotten bus was named
print(threads())
"""
    assert run(lines, SELECTED)[0] == ["2", "1"]


ARMED = """
bus.arm(memoryview(bytearray(b"Z" * 5000))[100:], bytearray(4096), 4096)
for _ in range(100):
    bytearray(b"x" * 4096)
    gc.collect()
print("armed", file=sys.stderr)
sys.stdin.readline()
"""


def test_what_is_armed_is_kept():
    """The collector leaves it alone, though nothing but the transfer has it. A pointer into the
    middle of a buffer, as C has it, would not do."""
    controller = NinaController()
    vm = SimProcess(["-c", CONNECTION + SELECTED + ARMED, str(controller.port)], stdin=PIPE)
    try:
        controller.accept()
        vm.said("armed")
        assert controller.selection(n=4096) == b"Z" * 4096
    finally:
        controller.close()
        vm.end()
    vm.check()
