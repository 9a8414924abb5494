"""`make mpy`: what the chips' compilers are given, and that they are heard when they refuse."""

import subprocess
import sys
from pathlib import Path

import pytest
from project import ROOT

NATIVE = {"xtensawin": 10, "rv32imc": 11}  # in the third byte of an .mpy, from bit 2 on
OLDEST, NEWEST = "1.25.0", "1.29.0"


def run(*arguments):
    command = [sys.executable, ROOT / "tools" / "compile_modules.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The folder of what `make mpy` makes of modules/, where no other test writes."""
    folder = tmp_path_factory.mktemp("mpy")
    done = run("--into", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("release", [OLDEST, NEWEST])
@pytest.mark.parametrize("architecture", list(NATIVE))
def test_every_module_is_there(compiled, release, architecture):
    wanted = {p.relative_to(ROOT / "modules") for p in (ROOT / "modules").rglob("*.py")}
    chip = {Path("chip", p.name) for p in (ROOT / "boards" / "chip").glob("*.py")}
    wanted |= chip - {Path("chip/manifest.py")}
    folder = compiled / release / architecture
    got = {p.relative_to(folder).with_suffix(".py") for p in folder.rglob("*.mpy")}
    assert got == wanted


@pytest.mark.parametrize("release", [OLDEST, NEWEST])
@pytest.mark.parametrize("architecture", list(NATIVE))
@pytest.mark.parametrize("module", ["fastpath", "duet/wire"])
def test_viper_is_machine_code_of_the_chip(compiled, release, architecture, module):
    header = (compiled / release / architecture / "spinet" / f"{module}.mpy").read_bytes()[:4]
    assert header[0] == ord("M")
    assert header[2] >> 2 & 0x0F == NATIVE[architecture]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("with (open('a') as f, open('b') as g):\n  match f:\n    case 1: pass\n", "SyntaxError"),
        (
            "import micropython\n@micropython.viper\ndef f(a: int, b):\n  return a + b\n",
            "ViperType",
        ),
    ],
)
def test_what_the_chips_cannot_do_is_said(tmp_path, source, why):
    (tmp_path / "bad.py").write_text(source)
    done = run("--modules", str(tmp_path), "--into", str(tmp_path / "mpy"))
    assert done.returncode == 1
    assert "refuses bad.py" in done.stderr
    assert why in done.stderr


def test_folder_without_modules(tmp_path):
    done = run("--modules", str(tmp_path), "--into", str(tmp_path / "mpy"))
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path} has no modules\n"
