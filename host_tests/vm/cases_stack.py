"""No command takes more stack than the service's thread has on a chip.

Each command with a full table of networks, and what the loop does after it, in both roles. For the
emulated core, whose frames are the chip's.
"""

import gc

import memchip
from cases_garbage import FullBench, FullStore
from heap_scenarios import QuietBoard

from spinet import port, wire
from spinet.commands import COMMANDS

# Of the thread's stack: its first frames, the flash's file system below ours, MicroPython's margin.
LEFT = 4096
PASSES = 40  # of the loop after a command: what is deferred, a scan, the lines of a report
# (command, flags, length) where a command has other forms than the shortest.
FORMS = (
    (3, 0, 30),  # to a name
    (7, 8, 30),  # calling home
    (14, 0, 32),
    (22, 8, 0),
    (24, 0, 0),
    (25, 0, 0),
    (26, 0, 112),
    (26, 1, 100),
    (26, 2, 0),
    (26, 0, 112),
    (26, 3, 0),
    (8, 0, 0),  # unknown
    (16, 0, 0),
)


def requests():
    """Every command as it is shortest, then those forms; networkFactoryReset and -Stop are last."""
    rows = [(number, row) for number, row in enumerate(COMMANDS) if row and number not in (16, 17)]
    shortest = [(number, 0, row[1]) for number, row in rows]
    return tuple(shortest) + FORMS + ((17, 0, 0), (16, 0, 0))


def fill(bench):
    """A data phase that is a record, an address with a name, or a name, as the command takes it."""
    bench.network_named(0)
    wire.put_bytes(bench.spi.message, wire.DATA, b"\x7f\0\0\x01\0\0\x09\0\x08\0\0\0", 12)


def deepest(role, stack):
    """(bytes, command): what took most of so much stack. RuntimeError: it was too little."""
    kept = QuietBoard.store
    QuietBoard.store = lambda *_: FullStore()
    bench = FullBench(role)
    most = (0, None)
    try:
        for command, flags, length in requests():

            def ask(command=command, flags=flags, length=length):
                fill(bench)
                bench.transact(command, flags, length, 2048)
                bench.passes(PASSES)

            gc.collect()  # the rest of the heap is small here, and a report copies the trace whole
            most = max(most, (memchip.within(stack, ask), command))
    finally:
        QuietBoard.store = kept
        bench.service.shut()
    return most


def case_every_command_fits_when_the_module_drives_the_clock():
    print("deepest: %d bytes, in command %d" % deepest("module-clocked", port.SERVICE_STACK - LEFT))


def case_every_command_fits_when_the_controller_does():
    print(
        "deepest: %d bytes, in command %d"
        % deepest("controller-clocked", port.SERVICE_STACK - LEFT)
    )


def case_the_port_s_own_stack_would_not_do():
    try:
        deepest("module-clocked", 4096)
    except RuntimeError:
        return
    raise AssertionError("the limit is not felt")
