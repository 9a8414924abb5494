"""The controller package as others get it: sdist, wheel, and what they say of themselves."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from own_network import own_network
from project import ROOT
from raw_controller import PATIENCE
from sim_process import SimProcess

sys.path.insert(0, str(ROOT / "tools"))

from make_release import settled

import spinet
import spinet_controller

PACKAGE = ROOT / "controller"
DATE = {"SOURCE_DATE_EPOCH": "1700000000"}
PIP = (sys.executable, "-m", "pip", "--python")  # and the one to install for
READMES = (ROOT / "README.md", PACKAGE / "README.md")


def run(*command, **options):
    """Run to the end; give what was printed. What fails shows that."""
    done = subprocess.run(
        [*map(str, command)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def dist():
    """The folder with sdist and wheel, as `make dist` builds and checks them."""
    run("make", "-C", ROOT, "dist", env={**os.environ, "MAKEFLAGS": "", **DATE})
    return ROOT / "build" / "dist"


def test_built_again_its_bytes_are_the_same(dist, tmp_path):
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, PACKAGE]
    run(*command, env={**os.environ, **DATE})
    for wheel in dist.glob("*.whl"):
        assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()
    (archive,) = dist.glob("*.tar.gz")
    assert settled(tmp_path / archive.name, 1) == settled(archive, 1)


def pythons():
    """The Pythons from 3.11 to 3.14 that this computer has, ours first."""
    found = [sys.executable]
    for minor in sorted({11, 12, 13, 14} - {sys.version_info.minor}):
        name = f"python3.{minor}"
        with contextlib.suppress(FileNotFoundError):
            asked = subprocess.run(
                [name, "-c", "import ensurepip, sys; print(sys.executable)"],
                env={**os.environ, "PYENV_VERSION": f"3.{minor}"},  # else a shim of pyenv refuses
                capture_output=True,
                text=True,
            )
            found += asked.stdout.split("\n")[:1] if asked.returncode == 0 else []
    return found


@pytest.fixture(scope="module", params=pythons())
def installed(request, dist, tmp_path_factory):
    """The Python of an environment with the wheel, installed without an index by our own pip."""
    folder = tmp_path_factory.mktemp("empty")
    run(request.param, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    (wheel,) = dist.glob("*.whl")
    run(*PIP, python, "install", "--no-index", "--disable-pip-version-check", wheel)
    return python


def test_the_wheel_brings_no_other_package(installed):
    (found,) = run(*PIP, installed, "freeze").splitlines()
    assert found.startswith("spinet-controller @ ")


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_readmes_example_runs_with_the_wheel_alone(installed, readme, tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    with own_network():  # where its ports are free
        program = subprocess.Popen([str(installed), "-c", example], cwd=tmp_path)
        sim = SimProcess(
            [*("-m", "sim", "--port", "8765", "--role", "module-clocked", "--state", "state")],
            cwd=tmp_path,
        )
        try:
            assert greeting(program) == b"hello through SPI\n"
        finally:
            program.kill()
            program.wait(PATIENCE)
            sim.end()
    sim.check()


def greeting(program):
    """What the example's server sends, once it is there."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        assert program.poll() is None, "the example ended"
        with (
            contextlib.suppress(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", 8081), PATIENCE) as peer,
        ):
            return peer.makefile("rb").read()
        time.sleep(0.05)
    raise AssertionError("nothing listens")


def test_who_uses_the_wheel_gets_its_types(installed, tmp_path):
    (tmp_path / "wrong.py").write_text("from spinet_controller import Module\n\nModule(80)\n")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--python-executable", installed, "wrong.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert 'incompatible type "int"; expected "SpiBus"' in checked.stdout, checked.stdout


def test_the_command_line_says_which_extra_it_needs(installed):
    ended = subprocess.run(
        [installed, "-m", "spinet_controller"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert ended.returncode == 1
    assert ended.stderr == "error: click is missing: pip install 'spinet-controller[cli]'\n"


def test_the_sdist_has_every_file_of_the_package(dist):
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as sdist:
        packed = {Path(*Path(name).parts[1:]) for name in sdist.getnames()}
    files = {path.relative_to(PACKAGE) for path in PACKAGE.rglob("[!.]*") if path.is_file()}
    made = {path for path in files if path.suffix == ".pyc" or path.parts[0].endswith("egg-info")}
    assert files - made <= packed


def test_the_sdists_tests_need_nothing_else(dist, tmp_path):
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as sdist:
        sdist.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    run(sys.executable, "-m", "pytest", "--collect-only", "-q", cwd=folder, env=environment)


def test_firmware_package_and_changes_have_one_version():
    version = spinet_controller.__version__
    assert spinet.__version__ == version
    latest = re.search(r"^## \[(\S+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert latest[1] == version


def test_documents_show_this_version():
    shown = re.compile(r"Spinet (\d+\.\d+\.\d+)\b|(\d+\.\d+\.\d+)-spinet")
    paths = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    found = {a or b for path in paths for a, b in shown.findall(path.read_text())}
    assert found == {spinet.__version__}


def test_duet_boards_take_the_version_text():
    """Its first character is a digit of at least 2, and it has room in the status."""
    assert spinet.__version__ + "-spinet" == spinet.VERSION_TEXT
    assert "2" <= spinet.VERSION_TEXT[0] <= "9"
    assert len(spinet.VERSION_TEXT) <= 15
