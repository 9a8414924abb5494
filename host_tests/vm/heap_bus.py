"""SIM's service in the main thread; each `diagnostics` command locks or unlocks its heap.

    micropython heap_bus.py [options of SIM]
The controller is a test on the computer, over the real virtual bus. What asks for memory meanwhile
raises MemoryError, and that ends the process with a traceback.
"""

import sys

import micropython
import sim

from spinet.duet.commands import Commands
from spinet.loop import LinkLost
from spinet.service import Service, Telling


def toggle(_telling):
    """Called after CS rose, in the thread that serves."""
    if micropython.heap_locked():
        micropython.heap_unlock()
    else:
        micropython.heap_lock()


def not_again(_commands):
    """The commands and the parts of the service catch the first, and would go on."""
    raise MemoryError


def main():
    micropython.alloc_emergency_exception_buf(512)
    board = sim.make_board(sim.options_of(sys.argv[1:]))
    board.power_up(lambda: True)
    Telling.begin = toggle
    Commands.out_of_memory = not_again
    service = Service(board)
    service.start()
    try:
        while True:
            service.run_once()
    except LinkLost:
        micropython.heap_unlock() if micropython.heap_locked() else None
        print("power is off")


main()
