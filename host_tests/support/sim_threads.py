"""SIM's threads, one at a time."""

import ctypes
import os

from sim_process import INTERRUPT

LIBC = ctypes.CDLL(None, use_errno=True)

# A main program that counts its interrupts.
TAKING = """
import sim, sys, time
sim.main(sys.argv[1:])
taken = 0
while True:
    try:
        sys.stderr.write("taken %d\\n" % taken)  # in one: the service says something as well
        while True:
            time.sleep_ms(10)
    except KeyboardInterrupt:
        taken += 1
"""


def threads_of(pid):
    """Ids of its threads, the main thread's first."""
    return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))


def interrupt_thread(pid, thread):
    """SIGINT to one thread."""
    assert LIBC.tgkill(pid, thread, int(INTERRUPT)) == 0, os.strerror(ctypes.get_errno())
