"""What is stopped at a soft reset: the list. The emulated core tests the object that runs it."""

import ctypes
import subprocess

import pytest
from project import ROOT

CORE = ROOT / "firmware/common"
STRICT = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")
FUNCTION = ctypes.CFUNCTYPE(None)


class Stop(ctypes.Structure):
    """stop_t"""


Stop._fields_ = (("function", FUNCTION), ("next", ctypes.POINTER(Stop)))


class Stops:
    """The list, empty as after power-on; `ran` has the names of what was run."""

    def __init__(self, library):
        self._c = ctypes.CDLL(library)
        self._entries = {}
        self.ran = []

    def add(self, name, also=lambda: None):
        """Lists the entry of that name; what it runs calls also()."""

        def run():
            self.ran.append(name)
            also()

        if name not in self._entries:
            self._entries[name] = Stop(FUNCTION(run))
        self._c.stops_add(ctypes.byref(self._entries[name]))

    def run(self):
        self._c.stops_run()


@pytest.fixture
def stops(tmp_path):
    library = tmp_path / "stops.so"
    flags = (*STRICT, "-shared", "-fPIC")
    subprocess.run(("gcc", *flags, CORE / "stops.c", "-o", library), check=True)
    return Stops(library)


def test_the_latest_is_stopped_first(stops):
    for name in ("tcp", "spi", "wake"):
        stops.add(name)
    stops.run()
    assert stops.ran == ["wake", "spi", "tcp"]


@pytest.mark.parametrize("again", ["tcp", "spi"])
def test_who_starts_again_is_stopped_once(stops, again):
    stops.add("tcp")
    stops.add("spi")
    stops.add(again)
    stops.run()
    assert stops.ran == ["spi", "tcp"]


def test_only_what_was_started_since_is_stopped_at_the_next_reset(stops):
    stops.add("tcp")
    stops.add("spi")
    stops.run()
    stops.add("tcp")
    stops.run()
    assert stops.ran == ["spi", "tcp", "tcp"]


def test_a_reset_with_nothing_to_stop(stops):
    stops.run()
    stops.add("tcp")
    stops.run()
    stops.run()
    assert stops.ran == ["tcp"]


def test_what_is_stopped_may_start_something(stops):
    stops.add("tcp", also=lambda: stops.add("spi"))
    stops.run()
    assert stops.ran == ["tcp", "spi"]
