"""The scenarios of heap_scenarios.py over a network in memory, in both roles."""

import micropython
from heap_scenarios import EVEN, SCENARIOS, Bench, run
from memory_stack import MemoryStack

micropython.alloc_emergency_exception_buf(512)  # for the trace of an allocation


class MemoryNetwork:
    """Two connections, all in this program."""

    ip = netmask = gateway = 0

    def stack(self):
        return MemoryStack(connections=2, ring=4096)


class MemoryBench(Bench):
    """The peer is an object of this program."""

    network = MemoryNetwork()
    PORTS = (80,)
    peer = None

    def connect_peer(self, _resets):
        self.peer = self.service.stack.dial(self.tcp_port)

    def send(self, n):
        return self.peer.send(EVEN, 0, n)

    def take(self, n):
        return self.peer.take(self.received, self.received_count, n)

    def finish(self):
        self.peer.finish()

    def reset(self):
        self.peer.reset()


def run_all(role):
    bench = MemoryBench(role)
    for scenario in SCENARIOS:
        run(bench, scenario)
    bench.service.shut()


def case_nothing_allocates_when_the_module_drives_the_clock():
    run_all("module-clocked")


def case_nothing_allocates_when_the_controller_does():
    run_all("controller-clocked")


def case_the_lock_would_show_it():
    def allocates(bench):
        bench.kept = bytearray(64)

    try:
        run(MemoryBench("module-clocked"), allocates)
    except MemoryError:
        return
    raise AssertionError("the heap is not locked")
