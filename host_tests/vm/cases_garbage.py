"""There is never more garbage than HEADROOM and what one request allocates, however fast requests
come. The clock stands still, so nothing is done because its time has come."""

import gc

from cases_heap import MemoryBench
from heap_scenarios import NoStore, QuietBoard

from spinet import fields, garbage, loop
from spinet.duet import wire
from spinet.wifi.networks import REMEMBERED_NETWORKS

ROUNDS = 300
ANY_RATE = (0, 6, 9, 19)  # commands that are asked all the time


class FullStore(NoStore):
    """Accepts what is to be stored, and keeps nothing."""

    def save(self, _data):
        """It works."""

    def erase(self):
        """It works."""


class FullBench(MemoryBench):
    """A module with as many networks as it can remember."""

    def __init__(self, role):
        super().__init__(role)
        self.live = 0
        self.most = 0
        for i in range(REMEMBERED_NETWORKS):
            self.ask(10, self.network_named(i))

    def network_named(self, i):
        """Put the record of network `i` into the request; gives its length."""
        name = b"%d of networks with 32 characters" % (100 + i)
        fields.put_bytes(self.spi.message, wire.DATA, bytes(112), 112)
        fields.put_bytes(self.spi.message, wire.DATA + 16, name, 32)
        return 112

    def ask(self, command, length=0):
        """One request, as soon as the one before is over."""
        before = gc.mem_alloc()
        self.transact(command, 0, length, 2048)
        after = gc.mem_alloc()
        self.most = max(self.most, after - self.live)
        if after - before > (garbage.LITTLE if command in ANY_RATE else garbage.MUCH):
            raise AssertionError("command %d took %d bytes" % (command, after - before))


ASKED = ((9, 0), (12, 0), (21, 0), (18, 64), (10, 112), (19, 0))


def garbage_of(bench):
    """The most that there was at the end of any request."""
    gc.collect()
    bench.live = gc.mem_alloc()
    bench.most = 0
    for _ in range(ROUNDS):
        bench.ask(9)
    for command, length in ASKED:
        bench.network_named(0)
        for _ in range(ROUNDS // 10):
            bench.ask(command, length)
    bench.ask(20)
    bench.passes(50)  # in which the report is printed
    return bench.most


def check_bound(role):
    kept = loop.ticks_ms, QuietBoard.store
    QuietBoard.store = lambda *_: FullStore()
    bench = FullBench(role)
    now = loop.ticks_ms()
    loop.ticks_ms = lambda: now
    bench.service.loop.bind()
    try:
        most = garbage_of(bench)
    finally:
        loop.ticks_ms, QuietBoard.store = kept
        bench.service.shut()
    if not 0 < most <= garbage.HEADROOM + garbage.MUCH:
        raise AssertionError("%d bytes of garbage" % most)


def case_garbage_has_a_bound_when_the_module_drives_the_clock():
    check_bound("module-clocked")


def case_garbage_has_a_bound_when_the_controller_does():
    check_bound("controller-clocked")
