"""The tests' levels: a marker for each folder, how far a run is in each, and that none is skipped.

README.md beside the folders says what each level needs.
"""

import os
from collections import Counter

import pytest

LEVELS = {
    "unit": "firmware modules on CPython, over stubs and fakes",
    "chips": "the chips' board files, over stubs of MicroPython's modules",
    "contract": "what every TCP stack has to keep",
    "c": "the C, compiled for this computer",
    "vm": "the firmware on SIM's MicroPython",
    "sim": "SIM as a process, on its virtual bus",
    "qemu": "the firmware on an emulated RISC-V core",
    "e2e": "what `make run` starts, under other people's programs",
    "endurance": "the long runs, short",
    "tools": "what make's targets run",
    "controller": "the controller package",
}
NOTHING_NEEDED = ("unit", "chips", "contract")  # but for the rig of the C, on the lwIP stack


def level_of(nodeid):
    """The level of a test, by its folder."""
    first, second = nodeid.split("/")[:2]
    return second if first == "host_tests" else "controller"


def add_markers(items):
    """Each test is marked with its level, and with `alone` when it needs no build and no root."""
    for item in items:
        level = level_of(item.nodeid)
        item.add_marker(level)
        on_lwip = hasattr(item, "callspec") and item.callspec.params.get("stack") == "lwip"
        if level in NOTHING_NEEDED and not on_lwip:
            item.add_marker("alone")


class Progress:
    """The pytest plugin: says what there is to run, when the last test of a level has run, and what
    is left then."""

    def __init__(self, config):
        self._config = config
        self._left = Counter()

    def pytest_collection_finish(self, session):
        """Without workers."""
        self._count(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node, ids):
        """With them: each collects the same."""
        self._count(ids)

    def _count(self, ids):
        if not self._left:  # a worker in the place of one that crashed collects once more
            self._left = Counter(level_of(nodeid) for nodeid in ids)
            self._say("to run:")

    def pytest_runtest_logreport(self, report):
        """A part of a test is over; the teardown is the last."""
        if report.when != "teardown":
            return
        level = level_of(report.nodeid)
        self._left[level] -= 1
        if not self._left[level]:
            self._say(f"{level} is done; left:")

    def _say(self, what):
        left = [f"{name} {self._left[name]}" for name in LEVELS if self._left[name]]
        text = f"{what} {', '.join(left) or 'nothing'}"
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        terminal.ensure_newline()
        terminal.write_line(text)


def fail_skips(session, exitstatus):
    """In CI a skipped test is a failure: what it lacks has to be installed there."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and os.environ.get("CI") and terminal and terminal.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
