"""A SIM program as a child process: started, heard, ended, and its death told."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from rig import PATIENCE, eventually

from spinet_controller import Module, VirtualBus, sim
from spinet_controller.errors import SimEnded
from spinet_controller.sim import SimProcess
from spinet_controller.spi_bus import LINK_ROLES, Role

FAKE_SIM = Path(__file__).with_name("fake_sim.py")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def lines():
    return []


@pytest.fixture
def process(tmp_path, lines):
    """Make a SimProcess of the fake for a bus."""

    def made(bus, program=FAKE_SIM, role=Role.MODULE_CLOCKED):
        return SimProcess(program, port=bus.port, role=role, state=tmp_path, hear=lines.append)

    return made


@pytest.mark.parametrize("role", LINK_ROLES)
async def test_a_program_joins_the_bus_and_is_ended(process, lines, role):
    async with VirtualBus(0) as bus, Module(bus) as module:
        async with process(bus, role=role) as running:
            await module.boot()
            assert bus.role is role
            pid = running._process.pid
            await eventually(lambda: lines, "its output")
        assert not alive(pid)
        assert lines == ["fake-sim: starting"]


async def test_a_death_is_told_with_the_last_words(process, monkeypatch):
    monkeypatch.setenv("FAKE_SIM", "dies")
    async with VirtualBus(0) as bus, Module(bus), process(bus) as running:
        text = str(await running.ended())
        assert "exit code 3" in text
        assert "my last words" in text


async def test_a_program_killed_by_a_signal(process):
    async with VirtualBus(0) as bus, Module(bus), process(bus) as running:
        running._process.send_signal(signal.SIGKILL)
        assert "SIGKILL" in str(await running.ended())


async def test_a_program_that_ignores_sigterm_is_killed(process, monkeypatch):
    monkeypatch.setenv("FAKE_SIM", "stubborn")
    monkeypatch.setattr(sim, "PATIENCE", 0.1)
    async with VirtualBus(0) as bus, Module(bus) as module:
        async with process(bus) as running:
            await module.boot()
            pid = running._process.pid
        assert not alive(pid)


async def test_a_second_interrupt_kills_a_program_that_ignores_the_first(process, monkeypatch):
    monkeypatch.setenv("FAKE_SIM", "stubborn")
    monkeypatch.setattr(sim, "PATIENCE", 3600)
    async with VirtualBus(0) as bus, Module(bus) as module:
        running = await process(bus).__aenter__()
        await module.boot()
        ending = asyncio.create_task(running.__aexit__())
        await asyncio.sleep(0)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        async with asyncio.timeout(PATIENCE):
            assert "SIGKILL" in str(await running.ended())


async def test_a_program_that_cannot_be_started(process, tmp_path):
    text = tmp_path / "text"
    text.write_text("no program")
    async with VirtualBus(0) as bus:
        with pytest.raises(SimEnded, match=r"cannot start .*text: Permission denied"):
            await process(bus, program=text).__aenter__()


async def test_a_very_long_line_does_no_harm(tmp_path, lines):
    noisy = tmp_path / "noisy"
    noisy.write_text(f"#!{sys.executable}\nprint('x' * 200000)\nprint('end')\n")
    noisy.chmod(0o755)
    role = Role.MODULE_CLOCKED
    async with SimProcess(noisy, port=1, role=role, state=tmp_path, hear=lines.append) as running:
        assert "end" in str(await running.ended())
    assert lines[-1] == "end"


async def test_ctrl_c_of_a_terminal_does_not_reach_it(process):
    async with VirtualBus(0) as bus, Module(bus), process(bus) as running:
        await asyncio.sleep(0)
        assert os.getpgid(running._process.pid) != os.getpgid(0)
