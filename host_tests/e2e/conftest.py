"""One running system for each role, shared by the tests of this folder."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from printer_process import SIM, Printer

ROLES = ("module-clocked", "controller-clocked")


@pytest.fixture(scope="session", params=ROLES)
def printer(request, tmp_path_factory):
    """A printer in both roles. Its output is shown when a test of it fails."""
    assert SIM.exists(), "make build first"
    running = Printer(request.param, tmp_path_factory.mktemp("printer"))
    yield running
    code = running.stop()
    text = "".join(running.output)
    assert "Traceback" not in text, text
    assert code == 130, text
