"""The rooms of the firmware: imports point one way, and no file outgrows its room."""

import ast

import pytest
from project import ROOT

FIRMWARE = ROOT / "modules/spinet"
# From the ground up. A module imports from its own row and from the rows before it.
ROWS = (
    ("", "version", "compat", "states", "fields", "network_status", "contracts"),
    ("trace",),
    ("last_error", "worker", "garbage"),
    ("fastpath",),
    ("tcp", "udp"),  # a stack is of both
    ("tls",),
    ("wifi", "naming", "update"),
    ("duet", "nina"),
    ("loop",),
    ("service",),
    ("debug", "report"),
)
RANK = {room: rank for rank, row in enumerate(ROWS) for room in row}
LATE = {("service", "debug")}  # imported when diagnostics are asked for, and not before
LONGEST = 450
LONGER = {"fastpath.py"}

FILES = sorted(FIRMWARE.rglob("*.py"))


def name_of(path):
    return path.relative_to(FIRMWARE).as_posix()


def room_of(path):
    """The package, or the file's own name at the top; "" for spinet/__init__.py."""
    first = path.relative_to(FIRMWARE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported(path):
    """The rooms that a file imports from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts == ["spinet"]:
                for alias in node.names:
                    yield alias.name if alias.name in RANK else ""
            elif parts[0] == "spinet":
                yield parts[1]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_one_way(path):
    room = room_of(path)
    wrong = {
        other for other in imported(path) if RANK[other] > RANK[room] and (room, other) not in LATE
    }
    assert not wrong


@pytest.mark.parametrize(
    "rooms",
    [("wifi", "naming"), ("wifi", "update"), ("naming", "update"), ("duet", "nina")],
    ids="-".join,
)
def test_rooms_of_a_row_are_apart(rooms):
    for room, other in (rooms, rooms[::-1]):
        assert not [p for p in FILES if room_of(p) == room and other in set(imported(p))]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_no_longer_than_can_be_kept_in_mind(path):
    assert name_of(path) in LONGER or len(path.read_text().splitlines()) <= LONGEST
