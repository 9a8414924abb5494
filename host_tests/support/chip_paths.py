"""Where the chips' files are, and what they say of Python's heap and its collections."""

import re

from project import ROOT

BOARDS = ROOT / "boards"
CHIP = BOARDS / "chip"
NAMES = ("SPINET_ESP32", "SPINET_ESP32C3", "SPINET_ESP32S3")
NINA_NAMES = ("SPINET_NINA_ESP32", "SPINET_NINA_ESP32C3", "SPINET_NINA_W102")
_INCLUDE = re.compile(r'^#include "(.+)"$', re.MULTILINE)
_HEAP = re.compile(r"^#define MICROPY_GC_INITIAL_HEAP_SIZE \((\d+) \* 1024\)$", re.MULTILINE)
_WAITING = re.compile(r"^#define MICROPY_ALLOC_GC_STACK_SIZE \((\d+)\)$", re.MULTILINE)


def chip_of(board):
    """The name of a board's chip, as MicroPython has it."""
    cmake = (BOARDS / board.split("/")[0] / "mpconfigboard.cmake").read_text()
    return re.search(r"IDF_TARGET (\w+)", cmake)[1].upper()


def heaps():
    """{board: bytes of Python's heap} as their files say."""
    return {board: kb * 1024 for board, kb in _numbers(_HEAP).items()}


def waiting():
    """{board: blocks that may wait for the collector at once} as their files and SIM's say."""
    sim = (BOARDS / "SIM/mpconfigvariant.h").read_text()
    return {**_numbers(_WAITING), "SIM": int(_WAITING.search(sim)[1])}


def _numbers(pattern):
    files = sorted(BOARDS.glob("SPINET_*/mpconfigboard.h"))
    return {path.parent.name: int(pattern.search(_with_included(path))[1]) for path in files}


def _with_included(path):
    """A board's file, and that of the board that it includes."""
    text = path.read_text()
    return text + "".join((path.parent / name).read_text() for name in _INCLUDE.findall(text))


def smallest_heap():
    """Of any chip, without MicroPython's tables: three bits for each block of 16 bytes."""
    return min(heaps().values()) * 512 // 524
