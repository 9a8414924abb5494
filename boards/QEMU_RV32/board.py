"""The emulated RISC-V core as a board: its link and its network are in memory.

There are no threads here, so the service runs when it is called: begin(), then turn(n).
"""

from cases_heap import MemoryBench

from spinet import service

BENCH = None  # the service with its peers and its controller; set by begin()
BOARD = None  # the service's board, as on a chip; set by begin()


def begin(role="module-clocked"):
    """Boot the firmware; the REPL's reports show it from now on."""
    global BENCH, BOARD
    BENCH = MemoryBench(role)
    BOARD = BENCH.board
    service.current = BENCH.service
    return BENCH


def turn(passes=1):
    """Run so many passes of the loop."""
    BENCH.passes(passes)
