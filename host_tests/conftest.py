"""The firmware's modules on CPython: stubs for what only a board has come first on the path."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "host_tests"

for folder in (
    ROOT / "modules",
    HERE / "support" / "stubs",
    HERE / "support",
    HERE,
    HERE / "vm",
    HERE / "c" / "lwip",
):
    sys.path.insert(0, str(folder))


import behaviour_table  # noqa: E402 -- found through the path above
import levels  # noqa: E402
import lwip_net  # noqa: E402
import pytest  # noqa: E402
from namespace import Namespace  # noqa: E402
from pcap import PcapFile  # noqa: E402
from sharing import SharedTests  # noqa: E402
from slots import Slots, open_net  # noqa: E402
from steady import (  # noqa: E402, F401 -- every test has them
    nothing_left_open,
    only_what_a_test_makes,
)


def pytest_addoption(parser):
    behaviour_table.add_options(parser)
    parser.addoption(
        "--controller",
        choices=("strict", "rrf"),
        default="strict",
        help="the controller of tests that run SIM module-clocked: strict, or as a Duet's",
    )
    parser.addoption(
        "--pcap", type=Path, metavar="FILE", help="keep the frames between lwIP and its peers"
    )


def pytest_configure(config):
    behaviour_table.register(config)
    for name, text in levels.LEVELS.items():
        config.addinivalue_line("markers", f"{name}: {text}")
    config.addinivalue_line("markers", "alone: needs no build and no root")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(levels.Progress(config))
    if config.option.pcap:
        Namespace.recording = PcapFile(config.option.pcap)


def pytest_unconfigure(config):
    """The wire that tests share is closed with the session, so that its last frames are kept."""
    lwip_net.close_wire()
    if config.option.pcap:
        Namespace.recording.close()
        print(f"{Namespace.recording.frames} frames are in {config.option.pcap}")


def pytest_collection_modifyitems(items):
    levels.add_markers(items)


def pytest_sessionfinish(session, exitstatus):
    levels.fail_skips(session, exitstatus)


@pytest.hookimpl(optionalhook=True)  # xdist's own
def pytest_xdist_make_scheduler(config, log):
    """What shares something dear to make stays together when workers share the tests."""
    return SharedTests(config, log)


@pytest.fixture(params=["stub", "sockets", "lwip"])
def stack(request):
    """The name of the TCP stack that a test runs on."""
    return request.param


@pytest.fixture
def net(stack, monkeypatch):
    """A stack and the peers it talks to; see slots.py."""
    net = open_net(stack, monkeypatch)
    yield net
    net.close()


@pytest.fixture
def slots(net):
    """The eight slots and the listeners over that stack, in a debug build."""
    slots = Slots(net)
    yield slots
    slots.names.stop()
