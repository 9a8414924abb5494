"""The tests' levels: which is whose, what is said of them, and that a skip is no pass in CI."""

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
    progress.pytest_xdist_node_collection_finished(None, [*ids, ids[1] + "[again]"])
    for when in ("setup", "call", "teardown"):
        progress.pytest_runtest_logreport(SimpleNamespace(nodeid=ids[0], when=when))
    progress.pytest_runtest_logreport(SimpleNamespace(nodeid=ids[1], when="teardown"))
    assert said == ["unit is done; left: sim 2"]


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_a_skip_fails_in_ci_and_says_why_elsewhere(tmp_path, ci, status):
    Path(tmp_path, "conftest.py").write_text(CONFTEST)
    Path(tmp_path, "test_skips.py").write_text(SKIPS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        env=os.environ | {"CI": ci, "PYTHONPATH": str(ROOT / "host_tests/support")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert "there is no oscilloscope" in done.stdout
