"""The tests' levels: which is whose, and what is said of them. A skip is no pass in CI, and what a
test leaves open is no pass anywhere."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import levels
import pytest
from project import ROOT

CONFTEST = """
import levels

def pytest_sessionfinish(session, exitstatus):
    levels.fail_skips(session, exitstatus)
"""
SKIPS = """
import pytest

def test_one():
    pass

def test_other():
    pytest.skip("there is no oscilloscope")
"""

LEAKS = """
import socket

from steady import nothing_left_open, only_what_a_test_makes

def test_leak():
    holder = [socket.socket()]
    holder.append(holder)  # so that only a collection finds it

def test_next():
    pass
"""


def run_pytest(file, *options, **environment):
    """Run pytest on this file in its folder; give what it printed, and its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-o", f"cache_dir={file.parent}", *options, file],
        cwd=file.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT / "host_tests/support")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout, done.returncode


@pytest.mark.parametrize(
    ("nodeid", "level"),
    [
        ("host_tests/unit/duet/test_wire.py::test_a[x/y]", "unit"),
        ("host_tests/e2e/test_page.py::test_a", "e2e"),
        ("controller/tests/test_cli.py::test_a", "controller"),
    ],
)
def test_a_folder_is_a_level(nodeid, level):
    assert levels.level_of(nodeid) == level


def test_every_folder_of_tests_is_a_known_level():
    folders = {path.relative_to(ROOT / "host_tests").parts[0] for path in files_of_tests()}
    assert folders | {"controller"} == set(levels.LEVELS)


def files_of_tests():
    return (ROOT / "host_tests").rglob("test_*.py")


def test_it_is_said_when_a_level_is_done_and_what_is_left():
    said = []
    terminal = SimpleNamespace(ensure_newline=lambda: None, write_line=said.append)
    plugins = SimpleNamespace(get_plugin=lambda _name: terminal)
    progress = levels.Progress(SimpleNamespace(pluginmanager=plugins))
    ids = ["host_tests/unit/test_a.py::test_a", "host_tests/sim/test_b.py::test_b"]
    for _worker in range(2):
        progress.pytest_xdist_node_collection_finished(None, [*ids, ids[1] + "[again]"])
    for when in ("setup", "call", "teardown"):
        progress.pytest_runtest_logreport(SimpleNamespace(nodeid=ids[0], when=when))
    progress.pytest_xdist_node_collection_finished(None, ids)  # one that replaces a crashed one
    progress.pytest_runtest_logreport(SimpleNamespace(nodeid=ids[1], when="teardown"))
    assert said == ["to run: unit 1, sim 2", "unit is done; left: sim 2"]
    progress.pytest_runtest_logreport(SimpleNamespace(nodeid=ids[1], when="teardown"))
    assert said[2:] == ["sim is done; left: nothing"]


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_a_skip_fails_in_ci_and_says_why_elsewhere(tmp_path, ci, status):
    Path(tmp_path, "conftest.py").write_text(CONFTEST)
    file = tmp_path / "test_skips.py"
    file.write_text(SKIPS)
    said, code = run_pytest(file, "-rs", CI=ci)
    assert code == status
    assert "there is no oscilloscope" in said


def test_what_a_test_leaves_open_fails_that_test(tmp_path):
    file = tmp_path / "test_leaks.py"
    file.write_text(LEAKS)
    said, code = run_pytest(file, "-c", str(ROOT / "pyproject.toml"))
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "2 passed, 1 error" in said
    assert "ERROR at teardown of test_leak" in said
    assert "unclosed <socket" in said
