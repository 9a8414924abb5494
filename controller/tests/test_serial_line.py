"""A module at a serial line: woken, asked, reset, and lost; the line is a pseudo-terminal."""

import asyncio
import os
import pty
import tty
from contextlib import asynccontextmanager

import pytest
from fake_module import HELLO, MODULE_CLOCKED, FakeModule
from rig import PATIENCE, PATIENT, eventually

from spinet_controller import Module, VirtualBus
from spinet_controller.errors import BusError, ModuleLost
from spinet_controller.serial_line import SerialLine

RESET_FALLS, RESET_RISES = b"\x01\x03\x01\x00\x00", b"\x01\x03\x01\x00\x01"


class Chip:
    """A chip at the other end: silent until RESET rises, then the fake module.

    `deaf` does not see so many rises. `says` is put into the line before HELLO, `last_words` as
    RESET falls. `resets` counts.
    """

    def __init__(self):
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.path = os.ttyname(self.slave)
        self.module = None
        self.deaf = 0
        self.says = b""
        self.last_words = b""
        self.resets = 0
        os.set_blocking(self.master, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.master, self._receive)

    def _receive(self):
        data = os.read(self.master, 4096)
        while data:
            data = self._rest(data)

    def _rest(self, data):
        """Act on what comes up to the next change of RESET; what is behind it."""
        acts = {RESET_FALLS: self._off, RESET_RISES: self._on}
        changes = [(data.find(frame), frame) for frame in acts if frame in data]
        if not changes:
            self._feed(data)
            return b""
        at, frame = min(changes)
        self._feed(data[:at])
        acts[frame]()
        return data[at + len(frame) :]

    def _feed(self, data):
        if self.module and data:
            self.module.data_received(data)

    def _off(self):
        self.resets += 1
        self.module = None
        self.write(self.last_words)

    def _on(self):
        if self.deaf:
            self.deaf -= 1
            return
        self.module = module = FakeModule(MODULE_CLOCKED)
        module.connection_made(self)
        if self.says:
            self.write(self.says)
        module.raw(HELLO, MODULE_CLOCKED, b"2.2-fake")
        module.boot()

    def write(self, data):
        """The fake module's transport."""
        os.write(self.master, data)

    def is_closing(self):
        return False

    def unplug(self):
        """The line's other end is gone, as a computer's that was unplugged."""
        self._loop.remove_reader(self.master)
        os.close(self.master)
        os.close(self.slave)
        self.master = None

    def close(self):
        if self.master is not None:
            self.unplug()


@pytest.fixture
async def chip():
    chip = Chip()
    yield chip
    chip.close()


@pytest.fixture
def quick(monkeypatch):
    """A module that says nothing is soon tried again."""
    monkeypatch.setattr("spinet_controller.serial_line.PATIENCE", 0.1)


@asynccontextmanager
async def joined(chip):
    """Give a Module on a bus, and the line by which it is there."""
    async with (
        VirtualBus(0) as bus,
        SerialLine(chip.path, port=bus.port) as line,
        Module(bus, time_scale=PATIENT) as module,
    ):
        yield module, line


async def test_a_module_is_woken_and_asked(chip):
    async with joined(chip) as (module, _):
        await module.boot()
        assert module.bus.version == "2.2-fake"
        await module.network_get_status()
    await eventually(lambda: chip.module is None, "held in reset without a controller")


async def test_what_the_line_still_held_is_no_hello(chip, quick):
    chip.last_words = b"\x02\x00\x08\x00 half a CLOCK"
    async with joined(chip) as (module, _), asyncio.timeout(PATIENCE):
        await module.link.came()
        await module.boot()
        assert not chip.module.violations


async def test_a_module_that_was_still_booting_is_woken_again(chip, quick):
    chip.deaf = 2
    async with joined(chip) as (module, _):
        await module.boot()
        assert chip.resets > 2


async def test_what_is_no_hello_is_another_try(chip, quick):
    chip.says = b"boot log\r\n"
    async with joined(chip) as (module, _):
        came = asyncio.ensure_future(module.link.came())
        await eventually(lambda: chip.resets > 1, "another reset")
        chip.says = b""
        await came  # nothing was lost meanwhile
        await module.boot()


async def test_a_reset_is_a_new_boot(chip):
    async with joined(chip) as (module, _):
        await module.boot()
        before = chip.module
        await module.link.reset()
        assert chip.module is not before
        await module.network_get_status()


async def test_a_module_that_starts_by_itself_is_lost_and_comes_back(chip):
    """Its HELLO is the second one of this connection."""
    async with joined(chip) as (module, _):
        await module.boot()
        chip._on()
        assert isinstance(await module.gone(), ModuleLost)
        await module.link.came()
        await module.boot()
        await module.network_get_status()


async def test_a_line_that_is_gone_is_said(chip):
    async with joined(chip) as (module, line):
        await module.boot()
        chip.unplug()
        async with asyncio.timeout(PATIENCE):
            assert str(await line.ended()) == f"the serial port {chip.path} is gone"


async def test_a_port_that_cannot_be_opened_is_said(tmp_path):
    with pytest.raises(BusError, match=r"cannot use .*/none: No such file or directory"):
        async with SerialLine(str(tmp_path / "none"), port=1):
            pass


async def test_a_line_is_one_controllers(chip):
    async with VirtualBus(0) as bus, SerialLine(chip.path, port=bus.port):
        with pytest.raises(BusError, match=f"cannot use {chip.path}"):
            async with SerialLine(chip.path, port=bus.port):
                pass
