"""`make mip`: packages of compiled modules, and that every supported MicroPython reads them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from project import ROOT

from spinet.version import VERSION

NATIVE = {"xtensawin": 10, "rv32imc": 11}  # in the third byte of an .mpy, from bit 2 on


@pytest.fixture(scope="module")
def packages():
    """The folder of `make mip`."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools/make_mip.py"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return ROOT / "build" / "mip"


def everything():
    """What a board needs, as paths on the board."""
    top = ROOT / "modules"
    names = {path.relative_to(top) for path in (top / "spinet").rglob("*.py")}
    return names | {Path(f"chip/{name}.py") for name in ("__init__", "announcer", "radio")}


@pytest.mark.parametrize(
    ("kind", "suffix"), [*((name, ".mpy") for name in NATIVE), ("source", ".py")]
)
def test_a_package_has_every_module_and_nothing_else(packages, kind, suffix):
    package = json.loads((packages / kind / "package.json").read_text())
    wanted = {name.with_suffix(suffix) for name in everything()}
    assert sorted(package["urls"]) == sorted([name.as_posix()] * 2 for name in wanted)
    assert package["version"] == VERSION
    files = {p.relative_to(packages / kind) for p in (packages / kind).rglob("*" + suffix)}
    assert files == wanted


@pytest.mark.parametrize("architecture", list(NATIVE))
def test_viper_is_machine_code_of_the_chip(packages, architecture):
    header = (packages / architecture / "spinet/duet/wire.mpy").read_bytes()[:4]
    assert header[2] >> 2 & 0x0F == NATIVE[architecture]


def test_every_release_reads_what_the_newest_compiled(packages, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "tools/compile_modules.py", "--into", tmp_path],
        check=False,
        timeout=300,
    )
    assert done.returncode == 0
    header = (packages / "rv32imc/spinet/duet/wire.mpy").read_bytes()[:3]
    compiled = list(tmp_path.glob("*/rv32imc/spinet/duet/wire.mpy"))
    assert len(compiled) == 6
    assert {path.read_bytes()[:3] for path in compiled} == {header}
