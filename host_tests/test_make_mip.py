"""`make mip`: packages of compiled modules, and that every supported MicroPython reads them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
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


@pytest.mark.parametrize("architecture", list(NATIVE))
def test_package_has_the_modules_of_the_source_package(packages, architecture):
    source = json.loads((ROOT / "package.json").read_text())
    package = json.loads((packages / architecture / "package.json").read_text())
    wanted = [str(Path(name).with_suffix(".mpy")) for name, _ in source["urls"]]
    assert package["urls"] == [[name, name] for name in wanted]
    assert package["version"] == source["version"]
    files = {
        p.relative_to(packages / architecture) for p in (packages / architecture).rglob("*.mpy")
    }
    assert files == set(map(Path, wanted))


@pytest.mark.parametrize("architecture", list(NATIVE))
def test_viper_is_machine_code_of_the_chip(packages, architecture):
    header = (packages / architecture / "spinet/wire.mpy").read_bytes()[:4]
    assert header[2] >> 2 & 0x0F == NATIVE[architecture]


def test_every_release_reads_what_the_newest_compiled(packages, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "tools/compile_modules.py", "--into", tmp_path],
        check=False,
        timeout=300,
    )
    assert done.returncode == 0
    header = (packages / "rv32imc/spinet/wire.mpy").read_bytes()[:3]
    compiled = list(tmp_path.glob("*/rv32imc/spinet/wire.mpy"))
    assert len(compiled) == 6
    assert {path.read_bytes()[:3] for path in compiled} == {header}
