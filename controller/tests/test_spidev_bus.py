"""The bus of a Raspberry Pi, and the whole link on it: gpiod as it is, the kernel below it a fake.

gpiod's own Python runs here, and what its C part would ask of the kernel is answered by `Chip` and
`Lines`. spidev is all C: `SpiDev` is what its source does.
"""

import asyncio
import errno
import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import gpiod
import pytest
from click.testing import CliRunner
from fake_module import CONTROLLER_CLOCKED, CS, DATA_READY, RESET, TRANSFER_READY, FakeModule
from fake_sim import Network
from own_port import own_port
from rig import PATIENCE, PATIENT, PORT, Acceptor, eventually

from spinet_controller import Module, link, raspberry_pi
from spinet_controller.cli.program import program
from spinet_controller.errors import BusError, ExtraMissing, LinkTimeout, ModuleLost
from spinet_controller.raspberry_pi import raspberry_pi_bus
from spinet_controller.spi_bus import Pin, Role

GPIO = {23: TRANSFER_READY, 24: DATA_READY, 25: CS, 22: RESET}
ACTIVE, INACTIVE = gpiod.line.Value.ACTIVE, gpiod.line.Value.INACTIVE


def refused(number):
    return OSError(number, os.strerror(number))


class Board(FakeModule):
    """The fake module with its pins soldered to ours rather than on the virtual bus.

    `looks` is when the kernel looks at DATA_READY after an edge, which is what it then tells:
    "at once", or "late", when all that was done in one go is over; "once" is late too, and finds
    one edge where there were several.
    """

    def __init__(self, looks="at once"):
        super().__init__(CONTROLLER_CLOCKED)
        self.looks = looks
        self.readable, self._writable = os.pipe()
        os.set_blocking(self.readable, False)
        self._unseen = 0
        self.found = []
        self._shifted_out = None
        self.transfers = []
        self.taken = {}
        self.no_cs_works = True

    def close(self):
        os.close(self.readable)
        os.close(self._writable)

    def boot(self):
        """Two rising edges, as far apart as a module's."""
        for number, level in enumerate((1, 0, 1)):
            asyncio.get_running_loop().call_later(0.01 * number, self.pin, DATA_READY, level)
        asyncio.get_running_loop().call_later(0.03, self._idle)

    def raw(self, kind, arg, payload, length=None):
        """What would be a frame is a wire here: a pin's edge, or the bytes of a transfer."""
        if kind != 1:
            self._shifted_out = payload
        elif self.looks == "at once":
            self._find(payload[0])
        else:
            self._unseen += 1
            if self._unseen == 1:
                asyncio.get_running_loop().call_soon(self._look)

    def _look(self):
        count, self._unseen = self._unseen, 0
        for _ in range(count if self.looks == "late" else 1):
            self._find(self.levels[DATA_READY])

    def _find(self, level):
        self.found.append(level)
        os.write(self._writable, b"!")

    def transfer(self, data):
        """SPI clocks these bytes out; give those that it shifts in."""
        self.transfers.append(len(data))
        self._clocked(data)
        return self._shifted_out


class Chip:
    """gpiod's C part for a chip, /dev/gpiochip0."""

    board = None

    def __init__(self, path):
        assert isinstance(path, str)
        if path != "/dev/gpiochip0":
            raise refused(errno.ENOENT)
        self._offsets = []

    def get_info(self):
        return gpiod.ChipInfo("gpiochip0", "pinctrl-bcm2711", 58)

    def line_offset_from_id(self, id):
        if not id.startswith("GPIO"):
            raise refused(errno.ENOENT)
        self._offsets.append(int(id[4:]))
        return self._offsets[-1]

    def get_line_name(self, offset):
        self._offsets.append(offset)
        return f"GPIO{offset}"

    def request_lines(self, line_cfg, consumer, event_buffer_size):
        assert isinstance(line_cfg, gpiod._ext.LineConfig)
        return Lines(self.board, self._offsets)

    def close(self):
        pass


class Lines:
    """gpiod's C part for requested lines; `settings` are what the kernel was told of each."""

    chip_name = "gpiochip0"
    settings = ()

    def __init__(self, board, offsets):
        if board.taken:
            raise refused(errno.EBUSY)
        self._board = board
        self.offsets = offsets
        self.fd = board.readable
        board.taken = dict(zip(offsets, Lines.settings, strict=True))
        for offset, settings in board.taken.items():
            if settings.direction is gpiod.line.Direction.OUTPUT:
                self._set(offset, settings.output_value)

    def release(self):
        self._board.taken = {}

    def get_values(self, offsets, values):
        levels = [self._board.levels[GPIO[offset]] for offset in offsets]
        values[:] = [ACTIVE if level else INACTIVE for level in levels]

    def set_values(self, values):
        for offset, value in values.items():
            if self._board.taken[offset].direction is not gpiod.line.Direction.OUTPUT:
                raise refused(errno.EPERM)
            self._set(offset, value)

    def _set(self, offset, value):
        level = {ACTIVE: 1, INACTIVE: 0}[value]
        if self._board.levels[GPIO[offset]] != level:
            self._board._controller_pin(GPIO[offset], level)

    def read_edge_events(self, max_events):
        found = self._board.found
        assert found, "this would wait for an edge, and stop everything else"
        assert self._board.taken[24].edge_detection is gpiod.line.Edge.BOTH
        count = min(max_events or 64, len(found))
        os.read(self.fd, count)
        levels, found[:count] = found[:count], []
        types = (gpiod._ext.EDGE_EVENT_TYPE_FALLING, gpiod._ext.EDGE_EVENT_TYPE_RISING)
        return [gpiod.EdgeEvent(types[level], 0, 24, 0, 0) for level in levels]


class SpiDev:
    """What spidev's C source does."""

    board = None

    def __init__(self):
        self._open = False
        self._set = {"mode": 0, "no_cs": False, "bits_per_word": 8, "max_speed_hz": 125_000_000}

    def open_path(self, path):
        if path != "/dev/spidev0.0":
            raise refused(errno.ENOENT)
        self._open = True

    def close(self):
        self._open = False

    def _setting(name, kind, allowed):  # noqa: N805 - makes a property of the class
        def settle(self, value):
            if type(value) is not kind:
                raise TypeError(f"The {name} attribute must be {kind.__name__}")
            if not self._open:
                raise refused(errno.EBADF)
            if not allowed(self, value):
                raise refused(errno.EINVAL)
            self._set[name] = value

        return property(lambda self: self._set[name], settle)

    mode = _setting("mode", int, lambda _self, value: value in range(4))
    no_cs = _setting("no_cs", bool, lambda self, value: self.board.no_cs_works or not value)
    bits_per_word = _setting("bits_per_word", int, lambda _self, value: 8 <= value <= 16)
    max_speed_hz = _setting("max_speed_hz", int, lambda _self, value: value > 0)

    def xfer2(self, values):
        if not self._open:
            raise refused(errno.EBADF)
        if len(values) > 4096:
            raise OverflowError("Argument list size exceeds 4096 bytes.")
        if not values or not all(type(value) is int for value in values):
            raise TypeError("Non-Int/Long value in arguments")
        assert (self.mode, self.bits_per_word) == (1, 8)
        values[:] = self.board.transfer(bytes(values))
        return values


@pytest.fixture(autouse=True)
def kernel(monkeypatch):
    """A machine with gpiod and spidev; the board is put on it by a test."""
    convert = gpiod.chip._line_settings_to_ext

    def noted(settings):
        Lines.settings = [*Lines.settings, settings]
        return convert(settings)

    monkeypatch.setattr(Lines, "settings", [])
    monkeypatch.setattr(gpiod.chip, "_line_settings_to_ext", noted)
    monkeypatch.setattr(gpiod._ext, "Chip", Chip)
    monkeypatch.setitem(sys.modules, "spidev", SimpleNamespace(SpiDev=SpiDev))


@pytest.fixture(params=["at once", "late", "once"])
async def board(request, monkeypatch):
    made = Board(request.param)
    monkeypatch.setattr(Chip, "board", made)
    monkeypatch.setattr(SpiDev, "board", made)
    yield made
    assert not made.violations, made.violations
    assert made.taken == {}
    made.close()


@pytest.fixture(params=[False, True], ids=["cs-held", "cs-per-phase"])
async def module(request, board):
    """A module that was reset and has started."""
    async with (
        raspberry_pi_bus(cs_per_phase=request.param) as bus,
        Module(bus, time_scale=PATIENT) as made,
    ):
        await made.reset()
        yield made


async def test_the_pins_at_rest(board):
    board.levels[DATA_READY] = 1
    async with raspberry_pi_bus() as bus, Module(bus):
        levels = {pin: board.levels[pin] for pin in (Pin.TRANSFER_READY, Pin.CS, Pin.RESET)}
        assert levels == {Pin.TRANSFER_READY: 0, Pin.CS: 1, Pin.RESET: 1}
        assert bus.role is Role.CONTROLLER_CLOCKED
        assert bus.data_ready
        # The module's strapping pin is not pulled down, and its button may pull EN low.
        assert board.taken[24].bias is gpiod.line.Bias.PULL_UP
        assert board.taken[22].drive is gpiod.line.Drive.OPEN_DRAIN


@pytest.mark.parametrize("works", [True, False])
async def test_spi_has_no_chip_select_where_its_driver_can_do_without(board, works):
    board.no_cs_works = works
    async with raspberry_pi_bus(sck_hz=1e6) as bus:
        spi = bus._spi
        assert (spi.mode, spi.no_cs, spi.max_speed_hz) == (1, works, 1_000_000)
    with pytest.raises(OSError, match="Bad file descriptor"):
        spi.xfer2([0])


async def test_lines_by_name(board):
    lines = raspberry_pi.LINES | {Pin.CS: "GPIO25"}
    async with raspberry_pi_bus(lines=lines) as bus, Module(bus, time_scale=PATIENT) as module:
        await module.reset()
        await module.null()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"spidev": "/dev/spidev9.0"}, "cannot use /dev/spidev9.0 for SPI: No such file"),
        ({"chip": "/dev/gpiochip9"}, "cannot use the GPIO of /dev/gpiochip9: No such file"),
        ({"lines": dict.fromkeys(Pin, 24)}, "two pins on one line"),
        ({"lines": raspberry_pi.LINES | {Pin.CS: "nowhere"}}, "gpiochip0: No such file"),
    ],
)
async def test_what_cannot_be_used(board, options, reason):
    with pytest.raises(BusError, match=reason):
        async with raspberry_pi_bus(**options):
            pass


async def test_pins_that_another_program_has(board):
    async with raspberry_pi_bus():
        with pytest.raises(BusError, match="busy"):
            async with raspberry_pi_bus():
                pass


@pytest.mark.parametrize("name", ["spidev", "gpiod"])
async def test_a_package_that_is_missing(board, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExtraMissing, match=rf"{name} is missing: pip install .*\[pi\]"):
        async with raspberry_pi_bus():
            pass


async def test_a_transaction_is_one_transfer_for_each_phase(board, module):
    await module.conn_get_status(0)
    assert board.transfers == [8, 4, 20]
    assert (board.levels[CS], board.levels[TRANSFER_READY]) == (1, 0)


async def test_commands_and_sockets(board, module):
    await module.network_set_host_name("printer")
    assert board.firmware.host_name.startswith(b"printer\0")
    acceptor = Acceptor()
    data = bytes(range(256)) * 40
    async with await module.create_server(acceptor, PORT):
        slot = board.firmware.slots[0].connect(PORT)
        slot.feed(data)
        peer = await acceptor.first()
        peer.transport.write(data)
        await eventually(lambda: len(slot.sent) == len(peer.received) == len(data), "all moved")
    assert (slot.sent, peer.received) == (data, data)


async def test_news(board, module):
    heard = asyncio.get_running_loop().create_future()
    module.on_news = heard.set_result
    board.firmware.tell(b"signal lost")
    assert await heard == "signal lost"


async def test_a_phase_that_is_never_armed(board, module):
    board.silent_from = 1
    board.fell_silent = lambda: setattr(module.link, "time_scale", 0.2)
    with pytest.raises(LinkTimeout) as raised:
        await module.null()
    assert raised.value.started
    assert (board.levels[CS], board.levels[TRANSFER_READY]) == (1, 0)
    board.fell_silent = lambda: None
    board.give_up()
    module.link.time_scale = PATIENT
    await module.null()


async def test_a_closed_bus_has_no_module(board):
    opening = raspberry_pi_bus()
    bus = await opening.__aenter__()
    async with Module(bus) as module:
        await opening.__aexit__(None, None, None)
        with pytest.raises(ModuleLost, match="closed"):
            await module.null()


@pytest.mark.parametrize("board", ["at once"], indirect=True)
async def test_edges_of_before_the_end_of_a_reset_are_no_start(board, module):
    board.auto_boot = False
    module.bus.set_reset(True)
    for level in (1, 0, 1, 0):
        board.pin(DATA_READY, level)
    module.bus.set_reset(False)  # nothing has looked at the edges yet
    await asyncio.sleep(0.01)
    assert module.bus.edges == 0


async def test_the_pages_script_serves_a_file(board, monkeypatch, tmp_path):
    Network(board.firmware)
    monkeypatch.setattr(link, "START_UP_TIMEOUT", PATIENCE)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hello.txt").write_text("hello through SPI")
    page = Path(__file__).with_name("raspberry-pi.md").read_text()
    (script,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    port, names = own_port(), {}
    exec(script.replace(", 80)", f", {port})").replace("asyncio.run(main())", ""), names)
    serving = asyncio.create_task(names["main"]())
    async with aiohttp.ClientSession() as client:
        while True:
            try:
                async with client.get(f"http://127.0.0.1:{port}/hello.txt") as answer:
                    assert await answer.text() == "hello through SPI"
                break
            except aiohttp.ClientConnectionError:
                assert not serving.done(), serving.result()
                await asyncio.sleep(0.01)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


# -- the command line -------------------------------------------------------------------


@pytest.fixture
def wired(monkeypatch):
    """Plug a board into the event loop that the command line starts; give its fake."""
    made = []

    class Plugged(Chip):
        @property
        def board(self):
            return made[0]

    class PluggedSpi(SpiDev):
        def __init__(self):
            super().__init__()
            made.append(Board("once"))

        @property
        def board(self):
            return made[0]

    monkeypatch.setattr(gpiod._ext, "Chip", Plugged)
    monkeypatch.setitem(sys.modules, "spidev", SimpleNamespace(SpiDev=PluggedSpi))
    yield made
    for board in made:
        assert not board.violations, board.violations
        board.close()


WIRED = ["--spidev", "/dev/spidev0.0", "--time-scale", "100", "--timeout", str(PATIENCE)]


def test_status_of_a_module_on_a_wire(wired):
    result = CliRunner().invoke(program, ["status", "--json", *WIRED, "--gpio", "cs=GPIO25"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.output)
    assert (document["role"], document["version"]) == ("controller-clocked", "2.2-fake")
    assert wired[0].resets == 1


def test_a_wire_with_no_module(wired, monkeypatch):
    monkeypatch.setattr(Board, "boot", lambda self: None)
    arguments = ["status", "--spidev", "/dev/spidev0.0", "--timeout", "0.1"]
    result = CliRunner().invoke(program, arguments)
    assert result.exit_code == 1
    assert "no module on /dev/spidev0.0: has it power" in result.output


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--gpio", "cs"], "'cs' is no transfer-ready, data-ready, cs, reset with =LINE"),
        (["--gpio", "led=3"], "'led=3' is no transfer-ready"),
        (["--role", "module-clocked"], "a module that is wired and clocked from here"),
        (["--sim", __file__], "a module that is wired and clocked from here"),
    ],
)
def test_what_no_wire_can_be(options, text):
    result = CliRunner().invoke(program, ["status", *WIRED, *options])
    assert result.exit_code == 2
    assert text in " ".join(result.output.split())
