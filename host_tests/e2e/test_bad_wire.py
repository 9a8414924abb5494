"""The whole system on lwIP over a wire that loses, doubles and reorders frames."""

import hashlib
import os
import subprocess

import pytest
from own_network import own_network
from printer_process import Printer, pattern

SIZE = int(os.environ.get("SPINET_BAD_WIRE_MIB", "0")) << 20 or 300_000
WARP = "20"  # lwIP's retransmissions; the computer's own stay in real time


def curl(*arguments):
    """Run curl; its exit code."""
    return subprocess.run(["curl", "--silent", "--fail", *arguments], check=False).returncode


@pytest.fixture
def printer_with(tmp_path):
    """Start a printer whose lwIP has these faults."""
    started = []

    def start(faults):
        started.append(
            Printer("lwip", "module-clocked", tmp_path, SPINET_FAULTS=faults, SPINET_WARP=WARP)
        )
        return started[-1]

    with own_network():
        yield start
        for printer in started:
            printer.stop()


@pytest.mark.behaviour("D5", stack="lwip")
def test_files_cross_a_bad_wire_unchanged_both_ways(printer_with, tmp_path):
    printer = printer_with("drop=50,duplicate=20,reorder=20")
    source = tmp_path / "source"
    source.write_bytes(pattern(SIZE))
    assert curl("--upload-file", str(source), printer.url + "/files/x") == 0
    assert curl("--output", str(tmp_path / "back"), printer.url + "/files/x") == 0
    wanted = hashlib.sha256(source.read_bytes()).digest()
    assert hashlib.sha256((printer.files / "x").read_bytes()).digest() == wanted
    assert hashlib.sha256((tmp_path / "back").read_bytes()).digest() == wanted


def test_nothing_crosses_a_wire_that_loses_everything(printer_with):
    printer = printer_with("drop=1000")
    assert curl("--max-time", "1", printer.url + "/") == 28  # curl's time-out
