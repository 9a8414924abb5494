"""Where the chips' files are, and what they say of Python's heap."""

import re

from project import ROOT

BOARDS = ROOT / "boards"
CHIP = BOARDS / "chip"
NAMES = ("SPINET_ESP32", "SPINET_ESP32C3", "SPINET_ESP32S3")
_HEAP = re.compile(r"^#define MICROPY_GC_INITIAL_HEAP_SIZE \((\d+) \* 1024\)$", re.MULTILINE)


def heaps():
    """{board: bytes of Python's heap} as their files say."""
    files = sorted(BOARDS.glob("SPINET_*/mpconfigboard.h"))
    found = {path.parent.name: _HEAP.search(path.read_text()) for path in files}
    return {board: int(match[1]) * 1024 for board, match in found.items()}


def smallest_heap():
    """Of any chip, without MicroPython's tables: three bits for each block of 16 bytes."""
    return min(heaps().values()) * 512 // 524
