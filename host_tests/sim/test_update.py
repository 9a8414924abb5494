"""Updates of a SIM process, over its bus: by the library and by the command line, with cuts."""

import json
import subprocess
import sys

import pytest
from images import NEW, image, pieces
from project import ROOT
from sim_process import BINARY, start_sim

from spinet import VERSION_TEXT as VERSION
from spinet_controller import Module, Role, SimProcess, UpdateState, VirtualBus, update
from spinet_controller.records import WirelessConfig

__all__ = ["start_sim"]

PATIENT = 10.0
"""The link's time scale: this computer may stand still."""
IMAGE = image(size=20000)
OTHER = update.Image.of(image("9.2.0-spinet"))
PROGRAM = "from spinet_controller.cli.main import main; main()"

# SIM whose trial is over when there is a file "late".
HURRIED = """
import os, sys, sim
from spinet.update import judgment
poll = judgment.Judgment.poll
def polled(self, now):
    if "late" in os.listdir("."):
        self._asked = lambda: False
        poll(self, now)
        now += 120000
    return poll(self, now)
judgment.Judgment.poll = polled
sys.exit(sim.main(sys.argv[1:]))
"""


async def status_after_power(bus, module):
    """Cut the power; what the module says when it is back."""
    bus._wire.close()
    await module.gone()
    await module.boot()
    return await module.update_status()


@pytest.mark.parametrize("role", [Role.MODULE_CLOCKED, Role.CONTROLLER_CLOCKED])
async def test_an_update_and_power_cuts(tmp_path, role):
    """Half of one, all of it, and the next; power goes in between."""
    async with (
        VirtualBus(0, role=role) as bus,
        SimProcess(BINARY, port=bus.port, role=role, state=tmp_path),
        Module(bus, time_scale=PATIENT) as module,
    ):
        await module.boot()
        await module.network_add_ssid(WirelessConfig("Attic", "correct horse"))
        await module.update_begin(len(IMAGE), IMAGE[:288])
        for at, piece in pieces(IMAGE)[:5]:
            await module.update_piece(at, piece)
        assert (await module.update_status()).received == 5 * 2048
        now = await status_after_power(bus, module)
        assert (now.state, now.version, now.received) == (UpdateState.IDLE, VERSION, 0)
        assert now.text.startswith(f"{NEW} was not complete")

        moved = []
        now = await update.run(module, update.Image.of(IMAGE), moved=moved.append)
        assert sum(moved) == len(IMAGE)
        assert (now.slot, now.version, now.text) == (1, NEW, f"{NEW} was kept")
        assert (await module.network_get_status()).version_text == NEW
        now = await status_after_power(bus, module)
        assert (now.slot, now.version) == (1, NEW)

        await module.update_begin(len(OTHER.data), OTHER.data[:288])
        for at, piece in pieces(OTHER.data):
            await module.update_piece(at, piece)
        await module.update_finish()
        await module.update_restart()
        await module.reset()  # it may be kept by then, or not
        now = await module.update_status()
        assert now.version in (NEW, OTHER.version)
        assert ("was kept" in now.text) == (now.version == OTHER.version)
        known = [config.ssid for config in await module.network_retrieve_ssid_data()]
        assert "Attic" in known


def test_no_controller_for_two_minutes(start_sim, tmp_path):
    """It restarts by itself and runs the old one, and says why."""
    (tmp_path / "program.py").write_text(HURRIED)
    sim = start_sim("module-clocked", script=("program.py",))
    sim.power_on()
    whole = IMAGE
    assert sim.ask(64, flags=0, param=len(whole), data=whole[:288])[0] == 0
    for at, piece in pieces(whole):
        assert sim.ask(64, flags=1, param=at, data=piece)[0] == 0
    assert sim.ask(64, flags=2)[0] == 0
    (tmp_path / "late").touch()
    assert sim.ask(64, flags=3)[0] == 0
    sim.said("running version " + NEW)
    sim.said("running version " + VERSION)
    (tmp_path / "late").unlink()
    sim.controller.wait_boot()
    text = sim.ask_until(lambda response, _data: response > 48, 64, flags=5)[1][48:]
    assert b"it was asked for nothing within two minutes" in text


def run(tmp_path, *arguments):
    """`spinet-controller update` with a SIM of its own: (exit code, stdout, stderr)."""
    options = ["--sim", BINARY, "--bus-port", "0", "--sim-state", tmp_path / "state"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "update", *arguments, *options, "--time-scale", "10"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_line(tmp_path):
    (tmp_path / "new.bin").write_bytes(b"\xff" * 0xF000 + IMAGE)
    code, out, err = run(tmp_path, tmp_path / "new.bin")
    assert (code, out) == (0, f"the module runs {NEW}\n"), err
    code, out, err = run(tmp_path, tmp_path / "new.bin")
    assert (code, out, err) == (1, "", f"error: version {NEW} runs already\n")
    code, out, _ = run(tmp_path, "--json")
    assert json.loads(out) == {
        "version": NEW,
        "slot": 1,
        "state": "idle",
        "lastUpdate": f"{NEW} was kept",
    }
