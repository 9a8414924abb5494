"""What CircuitPython programs import, over a fake module, and the command that runs them."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest
from fake_nina import CLOCK, CS, GPIO0, PIN, RESET, SHIFT, FakeNina
from own_port import own_port
from rig import PATIENCE

from spinet_controller import circuitpython
from spinet_controller.circuitpython import analogio, board, micropython, rtc, supervisor
from spinet_controller.circuitpython.busio import SPI
from spinet_controller.circuitpython.digitalio import DigitalInOut, Direction, DriveMode, Pull
from spinet_controller.circuitpython.microcontroller import Restart, cpu, reset
from spinet_controller.circuitpython.wiring import Wiring, current
from spinet_controller.errors import BusError, ModuleLost, SimEnded

FAKE = Path(__file__).with_name("fake_nina.py")


def until(condition):
    """Wait until condition() is true; what it gives."""
    limit = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < limit
        time.sleep(0.005)
    return found


# -- pins and SPI


@pytest.fixture
def wiring():
    with Wiring(0) as wiring:
        yield wiring


@pytest.fixture
def plug(wiring):
    """plug(answer) -> a FakeNina that has power; what it saw wrong fails the test."""
    modules = []

    def plugged(answer=bytes, role=2):
        modules.append(FakeNina(wiring.port, answer, role).power_on())
        return modules[-1]

    yield plugged
    for module in modules:
        module.power_off()
        assert module.violations == []


@pytest.fixture
def pins(wiring):
    """CS and RESET, driven high, READY, and an SPI."""
    with (
        DigitalInOut(board.ESP_CS) as cs,
        DigitalInOut(board.ESP_BUSY) as ready,
        DigitalInOut(board.ESP_RESET) as reset_pin,
        SPI(board.SCK, board.MOSI, board.MISO) as spi,
    ):
        cs.switch_to_output(True)
        reset_pin.switch_to_output(True)
        assert spi.try_lock()
        yield cs, ready, reset_pin, spi


@contextlib.contextmanager
def selected(cs, ready):
    """One selection, as a driver makes it."""
    until(lambda: not ready.value)
    cs.value = False
    until(lambda: ready.value)
    yield
    cs.value = True


def test_a_command_and_its_reply(wiring, plug, pins):
    cs, ready, _, spi = pins
    module = plug(lambda command: b"re:" + command)
    with selected(cs, ready):
        spi.write(b"-hello-", start=1, end=6)
    reply = bytearray(10)
    with selected(cs, ready):
        spi.readinto(reply, start=1, end=4)
        spi.readinto(memoryview(reply)[4:], write_value=0xFF)
    assert reply == b"\0re:hello\0"
    until(lambda: len(module.seen) == 2)
    assert module.seen == [b"hello", b"\0\0\0" + b"\xff" * 6]


def test_bytes_go_both_ways_at_once(plug, pins):
    cs, ready, _, spi = pins
    plug()
    with selected(cs, ready):
        spi.write(b"abcd")
    came = bytearray(b"------")
    with selected(cs, ready):
        spi.write_readinto(b"0123456", came, out_start=2, out_end=6, in_start=1, in_end=5)
    assert came == b"-abcd-"
    with pytest.raises(ValueError, match="equal length"):
        spi.write_readinto(b"012", came)


def test_more_than_a_clock_frame_takes(plug, pins):
    cs, ready, _, spi = pins
    data = bytes(range(256)) * 40
    plug()
    with selected(cs, ready):
        spi.write(data)
    back = bytearray(len(data))
    with selected(cs, ready):
        spi.readinto(back)
    assert back == data


def test_a_selection_without_a_clock_changes_nothing(plug, pins):
    cs, ready, _, spi = pins
    module = plug()
    with selected(cs, ready):
        spi.write(b"")
    with selected(cs, ready):
        spi.write(b"command")
    until(lambda: module.seen == [b"command"])


def test_the_lines_of_the_module(plug, pins):
    cs, ready, reset_pin, _ = pins
    module = plug()
    until(lambda: not ready.value)
    reset_pin.value = False
    until(lambda: ready.value)
    reset_pin.value = True
    until(lambda: not ready.value)
    assert [level for level in module.levels_seen if level[0] == RESET] == [(RESET, 0), (RESET, 1)]
    with DigitalInOut(board.ESP_GPIO0) as gpio0:
        gpio0.switch_to_output(True)  # a boot strap, which SIM has no use for
        gpio0.switch_to_input()
        assert not gpio0.value
        module.pin(GPIO0, 1)
        until(lambda: gpio0.value)
    cs.direction = Direction.INPUT  # pulled up
    assert cs.direction is Direction.INPUT


class Waking(SimpleQueue):
    """Edges of which each has to come by itself, however long that takes."""

    def get(self, **_look):
        try:
            return super().get(timeout=PATIENCE)
        except Empty:
            raise AssertionError("no edge came") from None


def test_each_change_of_a_line_wakes_its_reader(wiring, plug, pins, monkeypatch):
    monkeypatch.setattr(wiring, "_edges", Waking())
    cs, ready, _, spi = pins
    plug()
    while ready.value:
        pass
    for _ in range(20):
        cs.value = False
        while not ready.value:
            pass
        spi.write(b"x")
        cs.value = True
        while ready.value:
            pass


def test_without_power_a_module_is_not_ready_and_shifts_zeros(plug, pins):
    cs, ready, _, spi = pins
    first = plug()
    until(lambda: not ready.value)
    first.power_off()
    until(lambda: ready.value)
    came = bytearray(b"noise")
    spi.readinto(came)
    assert came == bytes(5)
    second = plug()
    with selected(cs, ready):
        spi.write(b"after")
    until(lambda: second.seen == [b"after"])


def test_a_module_that_comes_finds_the_lines_as_they_are_driven(wiring, plug, pins):
    cs, _, reset_pin, _ = pins
    cs.value = False
    reset_pin.value = False
    module = plug()
    until(lambda: {(CS, 0), (RESET, 0)} <= set(module.levels_seen))


def test_a_bus_has_one_protocol(wiring, plug):
    plug(role=0)
    with pytest.raises(ModuleLost, match="the module is module-clocked, and nina was asked for"):
        wiring.wait_for_module(PATIENCE)


@pytest.mark.parametrize(
    ("frame", "rule"),
    [
        ((SHIFT, 0, b"x"), "a SHIFT without a CLOCK"),
        ((CLOCK, 0, b"x"), "a CLOCK from the module"),
        ((PIN, CS, b"\1"), "a PIN frame for CS"),
        ((PIN, RESET, b"\1"), "a PIN frame for pin 3"),
        ((PIN, GPIO0, b"\2"), "level 2"),
    ],
)
def test_a_broken_rule_ends_the_connection(frame, rule):
    told = []
    with Wiring(0, tell=told.append) as wiring:
        module = FakeNina(wiring.port).power_on()
        wiring.wait_for_module(PATIENCE)
        module.raw(*frame)
        module.wait()
        until(lambda: told)
    assert rule in told[0]


def test_a_shift_is_as_long_as_its_clock(wiring):
    module = FakeNina(wiring.port).power_on()
    wiring.wait_for_module(PATIENCE)
    module.shifts_too_much = True
    assert wiring.transfer(b"abc") == bytes(3)
    module.wait()


def test_a_port_in_use(wiring):
    with pytest.raises(BusError, match="is in use"), Wiring(wiring.port):
        pass
    assert current() is wiring


def test_a_sim_that_ends(tmp_path):
    program = tmp_path / "sim"
    program.write_text("#!/bin/sh\necho no room here\nexit 3\n")
    program.chmod(0o755)
    with (
        Wiring(0, sim=program) as wiring,
        pytest.raises(SimEnded, match=r"exit code 3.*no room here"),
    ):
        wiring.wait_for_module(PATIENCE)


# -- as strict as the real ones


def test_pins_are_used_by_one(pins):
    with pytest.raises(ValueError, match="ESP_CS in use"):
        DigitalInOut(board.ESP_CS)
    with pytest.raises(ValueError, match="MISO in use"):
        SPI(board.D2, board.D3, board.MISO)
    pins[0].deinit()
    with pytest.raises(ValueError, match="deinitialized"):
        assert pins[0].value
    with DigitalInOut(board.ESP_CS):
        pass


def test_spi_wants_its_lock(pins):
    spi = pins[3]
    assert not spi.try_lock()
    spi.configure(baudrate=8_000_000)
    assert spi.frequency == 8_000_000
    with pytest.raises(ValueError, match="mode 0"):
        spi.configure(phase=1)
    spi.unlock()
    for use in (lambda: spi.write(b"x"), lambda: spi.readinto(bytearray(1)), spi.configure):
        with pytest.raises(RuntimeError, match="requires lock"):
            use()


def test_pins_that_no_wire_is_on(wiring):
    with DigitalInOut(board.D13) as led, DigitalInOut(board.D12) as button:
        assert not button.value
        button.pull = Pull.UP
        assert button.value
        assert button.pull is Pull.UP
        for use in (lambda: setattr(button, "value", True), lambda: button.drive_mode):
            with pytest.raises(AttributeError):
                use()
        led.direction = Direction.OUTPUT
        assert not led.value
        led.value = True
        assert led.value
        led.drive_mode = DriveMode.OPEN_DRAIN
        with pytest.raises(AttributeError):
            led.pull = Pull.UP


def test_names_of_pins(wiring):
    assert repr(board.D5) == "board.D5"
    assert "SCK1" not in dir(board)
    with pytest.raises(AttributeError, match="no pin SCK1"):
        assert board.SCK1
    assert board.SPI() is board.SPI()
    board.SPI().deinit()


def test_what_is_not_there():
    with analogio.AnalogIn(board.A0) as light:
        assert light.value == 0
    assert 0 <= supervisor.ticks_ms() < 1 << 29
    assert supervisor.runtime.serial_connected
    assert micropython.const(7) == 7
    assert cpu.temperature == 25
    clock = rtc.RTC()
    clock.datetime = time.struct_time((2031, 5, 6, 7, 8, 9, 1, 126, -1))
    assert clock.datetime.tm_year == 2031
    for restart in (reset, supervisor.reload):
        with pytest.raises(Restart):
            restart()
    with pytest.raises(RuntimeError, match="there is no bus"):
        current()


# -- the command


class Command:
    """`python -m spinet_controller.circuitpython` in a folder; FakeNina is its module."""

    def __init__(self, folder, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "spinet_controller.circuitpython", *map(str, arguments)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def line(self):
        return self.process.stdout.readline()

    def ends(self):
        """(exit code, output, errors) when it has ended."""
        output, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output, errors


@pytest.fixture
def command(tmp_path):
    started = []

    def start(*arguments):
        started.append(Command(tmp_path, *arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


def plugged_into(port):
    """A FakeNina, once the bus is there."""

    def joined():
        with contextlib.suppress(ConnectionRefusedError):
            return FakeNina(port).power_on()

    return until(joined)


PROGRAM = """
import os
import sys
import board
import helper
from digitalio import DigitalInOut
print(__name__, sys.argv[1:], helper.WORD, os.getenv("NAME"), os.getenv("PORT"), os.getenv("NONE"))
ready = DigitalInOut(board.ESP_BUSY)
while ready.value:
    pass
print("ready")
"""


def test_a_program_is_run_as_it_is(tmp_path, command):
    (tmp_path / "code.py").write_text(PROGRAM)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "helper.py").write_text("WORD = 'helped'\n")
    (tmp_path / "settings.toml").write_text('NAME = "Café"\nPORT = 8080\n')
    running = command("--bus-port", port := own_port(), "code.py", "one", "--two")
    module = plugged_into(port)
    words = "__main__ ['one', '--two'] helped Café 8080 None\nready\n"
    code, output, _ = running.ends()
    assert (code, output) == (0, words)
    module.wait()


def test_a_program_with_a_sim_of_its_own(tmp_path, command):
    (tmp_path / "code.py").write_text("print('runs')")
    assert command("--sim", FAKE, "code.py").ends() == (0, "runs\n", "")


def test_other_pins(tmp_path, command):
    (tmp_path / "code.py").write_text(PROGRAM.replace("ESP_BUSY", "D11"))
    (tmp_path / "helper.py").write_text("WORD = None")
    _, output, _ = command("--pins", "D13,D11,D12", "--sim", FAKE, "code.py").ends()
    assert output.endswith("ready\n")


def test_what_a_program_raises(tmp_path, command):
    (tmp_path / "code.py").write_text("def fails():\n    raise OSError('so it is')\n\nfails()\n")
    code, _, errors = command("--sim", FAKE, "code.py").ends()
    assert code == 1
    first, *_, last = errors.splitlines()
    assert (first, last) == ("Traceback (most recent call last):", "OSError: so it is")
    assert errors.count("File") == 2  # no line of ours
    (tmp_path / "code.py").write_text("import adafruit_unheard_of")
    code, _, errors = command("--sim", FAKE, "code.py").ends()
    assert errors.splitlines()[-1].startswith("spinet: adafruit_unheard_of is not installed: ")
    (tmp_path / "code.py").write_text("import sys\nsys.exit(5)")
    assert command("--sim", FAKE, "code.py").ends() == (5, "", "")


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "words"),
    [
        (["nowhere.py"], "", 2, "there is no file nowhere.py"),
        (["--pins", "D1,D2", "code.py"], "", 2, "three or four pins"),
        (["--pins", "D1,D2,X3", "code.py"], "", 1, "spinet: this board has no pin X3"),
        (["--pins", "D1,D2,D1", "code.py"], "", 2, "a pin of its own for each wire"),
        (["--bus-port", "99999", "code.py"], "", 1, "spinet: a port is 0 to 65535, not 99999"),
        (["--bus-port", "-1", "code.py"], "", 1, "spinet: a port is 0 to 65535, not -1"),
        (["--sim", "nowhere", "code.py"], "", 1, "spinet: cannot start "),
        (["code.py"], "no = TOML = at all", 1, "settings.toml: "),
        ([], "", 2, "code.py"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, command, arguments, settings, code, words):
    (tmp_path / "code.py").touch()
    (tmp_path / "settings.toml").write_text(settings)
    ended, output, errors = command(*arguments).ends()
    assert (ended, output) == (code, "")
    assert words in errors.splitlines()[-1]
    assert "Traceback" not in errors


def test_a_port_that_is_taken(tmp_path, command):
    (tmp_path / "code.py").touch()
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, _, errors = command("--bus-port", other.getsockname()[1], "code.py").ends()
    assert (code, errors.count("\n")) == (1, 1)
    assert "is in use" in errors


def test_a_module_is_waited_for(tmp_path, command):
    (tmp_path / "code.py").write_text("print('runs')")
    running = command("--bus-port", port := own_port(), "code.py")
    assert running.process.stderr.readline().startswith(
        f"spinet: waiting for a module on port {port}"
    )
    module = plugged_into(port)
    assert running.ends()[:2] == (0, "runs\n")
    module.wait()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
@pytest.mark.parametrize("doing", ["time.sleep(1000)", "while True: ready.value"])
def test_a_signal_leaves_nothing_behind(tmp_path, command, number, code, doing):
    (tmp_path / "code.py").write_text(
        "import time, board, digitalio\n"
        "ready = digitalio.DigitalInOut(board.ESP_BUSY)\n"
        f"print('runs')\n{doing}"
    )
    running = command("--bus-port", port := own_port(), "--sim", FAKE, "code.py")
    assert running.line() == "runs\n"
    tasks = Path(f"/proc/{running.process.pid}/task").iterdir()
    sims = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    assert len(sims) == 1
    running.process.send_signal(number)
    assert running.ends()[::2] == (code, "")
    assert not Path(f"/proc/{sims[0]}").exists()
    socket.create_server(("127.0.0.1", port)).close()


def test_a_program_that_restarts_the_board(tmp_path, command):
    (tmp_path / "code.py").write_text(
        "import os, supervisor\n"
        "if os.path.exists('been'):\n    print('again')\nelse:\n"
        "    open('been', 'w').close()\n    print('first')\n    supervisor.reload()\n"
    )
    assert command("--sim", FAKE, "code.py").ends() == (0, "first\nagain\n", "")


OS_ERRORS = """
import errno
def number(*arguments):
    return OSError(*arguments).errno
numbers = [OSError(errno.EAGAIN).errno, OSError("words").errno, OSError(5, "words").errno]
print(*numbers, number(6), number(7, "words"), OSError("words"), isinstance(OSError(5), OSError))
"""


def test_an_os_error_made_of_a_number_has_it(tmp_path, command):
    (tmp_path / "code.py").write_text(OS_ERRORS + "import helper")
    (tmp_path / "helper.py").write_text(OS_ERRORS)
    words = "11 None 5 6 7 words True\n"
    for _ in range(2):  # no compiled file is left
        assert command("--sim", FAKE, "code.py").ends() == (0, words * 2, "")
    done = subprocess.run([sys.executable, tmp_path / "helper.py"], capture_output=True, text=True)
    assert done.stdout == "None None 5 None 7 words True\n"


def test_help_names_the_options(command):
    code, output, _ = command("--help").ends()
    assert code == 0
    for option in ("--bus-port", "--sim", "--pins", "code.py"):
        assert option in output


def test_programs_find_what_is_here_first(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    for name in circuitpython.STAND_INS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    circuitpython.install()
    import board as found

    assert found is board
