"""Where SIM differs from MicroPython's unix port: interrupted waits, Ctrl-C, imports."""

import ctypes
import os

import pytest
from sim_process import BINARY, INTERRUPT, LWIP_BINARY, SimProcess

LIBC = ctypes.CDLL(None, use_errno=True)

binaries = pytest.mark.parametrize("binary", [BINARY, LWIP_BINARY], ids=["sockets", "lwip"])


@pytest.fixture
def start(tmp_path):
    """start(binary, *arguments) -> SimProcess in an empty folder; all are ended."""
    started = []

    def run(binary, *arguments, **popen):
        popen.setdefault("cwd", tmp_path)
        started.append(SimProcess(arguments, binary, **popen))
        return started[-1]

    yield run
    for each in started:
        each.end()


def threads_of(pid):
    """Ids of its threads, the main thread's first."""
    return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))


def interrupt_thread(pid, thread):
    """SIGINT to one thread."""
    assert LIBC.tgkill(pid, thread, int(INTERRUPT)) == 0, os.strerror(ctypes.get_errno())


# --- a collection that is interrupted

# One thread holds objects that only its stack knows, so deep that to scan it takes a while;
# another collects all the time, and reuses what was freed. The main thread takes the interrupts.
COLLECTED = """
import _thread, gc, sys, time

DEEP, TIMES = 1000, 15
by_main = sys.argv[1] == "main"
over = []
kept = []

def hold(depth):
    mine = bytearray(b"%08d" % depth)
    if depth:
        hold(depth - 1)
    else:
        kept.append(True)
        while not over:
            time.sleep_ms(1)
    if mine != b"%08d" % depth:
        kept[0] = False

def holding():
    hold(DEEP)
    kept.append(True)

def collect():
    gc.collect()
    for _ in range(100):
        bytearray(b"________")

def collecting():
    while not over:
        collect()

_thread.stack_size(16 * 1024 * 1024)
_thread.start_new_thread(holding, ())
while not kept:
    time.sleep_ms(1)
if not by_main:
    _thread.start_new_thread(collecting, ())
work = collect if by_main else lambda: time.sleep_ms(1)
taken = 0
while taken < TIMES:
    try:
        print("taken", taken, file=sys.stderr)
        while True:
            work()
    except KeyboardInterrupt:
        taken += 1
over.append(True)
while len(kept) < 2:
    time.sleep_ms(1)
print("kept" if kept[0] else "lost", file=sys.stderr)
"""


@binaries
@pytest.mark.parametrize("collector", ["main", "other"])
def test_an_interrupted_collection_frees_nothing_that_is_in_use(start, binary, collector):
    vm = start(binary, "-c", COLLECTED, collector)
    for number in range(15):
        vm.said(f"taken {number}")
        main, *others = threads_of(vm.process.pid)
        interrupt_thread(vm.process.pid, main if collector == "main" else others[-1])
    vm.said("kept")
    assert vm.wait() == 0
