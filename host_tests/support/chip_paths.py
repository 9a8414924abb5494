"""Where the chips' files are, and what they say of Python's heap."""

import re

from project import ROOT

BOARDS = ROOT / "boards"
CHIP = BOARDS / "chip"
NAMES = ("SPINET_ESP32", "SPINET_ESP32C3", "SPINET_ESP32S3")
NINA_NAMES = ("SPINET_NINA_ESP32", "SPINET_NINA_ESP32C3", "SPINET_NINA_W102")
_INCLUDE = re.compile(r'^#include "(.+)"$', re.MULTILINE)
_HEAP = re.compile(r"^#define MICROPY_GC_INITIAL_HEAP_SIZE \((\d+) \* 1024\)$", re.MULTILINE)


def chip_of(board):
    """The name of a board's chip, as MicroPython has it."""
    cmake = (BOARDS / board.split("/")[0] / "mpconfigboard.cmake").read_text()
    return re.search(r"IDF_TARGET (\w+)", cmake)[1].upper()


def heaps():
    """{board: bytes of Python's heap} as their files say."""
    files = sorted(BOARDS.glob("SPINET_*/mpconfigboard.h"))
    found = {path.parent.name: _HEAP.search(_with_included(path)) for path in files}
    return {board: int(match[1]) * 1024 for board, match in found.items()}


def _with_included(path):
    """A board's file, and that of the board that it includes."""
    text = path.read_text()
    return text + "".join((path.parent / name).read_text() for name in _INCLUDE.findall(text))


def smallest_heap():
    """Of any chip, without MicroPython's tables: three bits for each block of 16 bytes."""
    return min(heaps().values()) * 512 // 524
