"""One running system for each stack and role, shared by the tests of this folder."""

import contextlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from own_network import own_network
from printer_process import SIMS, Printer, ended_in_order

# The roles differ in nothing that a stack could see: one is enough for the second stack.
SYSTEMS = (
    ("sockets", "module-clocked"),
    ("sockets", "controller-clocked"),
    ("lwip", "module-clocked"),
)


@pytest.fixture(scope="session", params=SYSTEMS, ids="-".join)
def printer(request, tmp_path_factory):
    """A printer on both stacks. Its output is shown when a test of it fails.

    With lwIP, all that runs meanwhile runs in a network of its own, curl and the browser too.
    """
    stack, role = request.param
    assert SIMS[stack].exists(), "make build, make build STACK=lwip first"
    with own_network() if stack == "lwip" else contextlib.nullcontext():
        running = Printer(stack, role, tmp_path_factory.mktemp("printer"))
        yield running
        ended_in_order(running)


@pytest.fixture(params=["sockets", "lwip"])
def hurried_printer(request, tmp_path):
    """A printer on both stacks that gives clients up that stand still for half a second."""
    with own_network() if request.param == "lwip" else contextlib.nullcontext():
        running = Printer(request.param, "module-clocked", tmp_path, options=("--stalled", "0.5"))
        yield running
        ended_in_order(running)


@pytest.fixture(scope="module")
def full_printer(tmp_path_factory):
    """A printer on this computer's sockets that serves FTP, Telnet and HTTPS as well.

    One for each module: between two of them the network may become another (see `printer`).
    """
    running = Printer(
        *("sockets", "module-clocked", tmp_path_factory.mktemp("full")),
        serves=("https", "ftp", "telnet"),
    )
    yield running
    ended_in_order(running)
