"""Where SIM differs from MicroPython's unix port: interrupted waits, Ctrl-C, imports."""

import os
import signal
import time

import pytest
from raw_controller import CLOCK, CS, SHIFT, TRANSFER_READY, frame
from sim_process import BINARY, INTERRUPT, LWIP_BINARY, SimProcess, stand_still, start_sim
from sim_threads import TAKING, interrupt_thread, threads_of
from terminal import terminal

__all__ = ["start_sim", "terminal"]

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


# --- the heap

FIXED = """
import gc
gc.collect()
whole = gc.mem_alloc() + gc.mem_free()
try:
    bytearray(whole)
    print("it grew")
except MemoryError:
    pass
kept = []
try:
    while True:
        kept.append(bytearray(1000))
except MemoryError:
    n = len(kept) * 1000
    kept = None
print(n > whole - 500000, n < whole, gc.mem_alloc() + gc.mem_free() - whole)
"""


@pytest.mark.behaviour("M2")
@binaries
def test_the_heap_keeps_the_size_that_it_was_given(start, binary):
    """SIM's heap would grow by itself as that of MicroPython's ESP32 port."""
    sim = start(binary, "-X", "heapsize=1M", "-c", FIXED)
    assert sim.process.stdout.read() == "True True 0\n"


# --- a collection that is interrupted

# One thread's stack alone refers to some objects, and is so deep that its scan takes a while.
# Another collects all the time, and reuses what was freed. The main thread takes the interrupts.
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


def test_an_interrupted_shift_takes_its_time(start_sim):
    """At 8000 bit/s 1000 bytes take a second, however many signals the waiting thread gets."""
    options = ("--repl", "--sck-hz", "8000")
    sim = start_sim("controller-clocked", *options, script=("-c", TAKING))
    sim.power_on()
    controller = sim.controller
    controller.pin(TRANSFER_READY, 1)
    controller.pin(CS, 0)
    began = time.monotonic()
    controller.send(frame(CLOCK, 0, bytes(1000)))
    for number in range(10):
        sim.said(f"taken {number}")
        interrupt_thread(sim.process.pid, threads_of(sim.process.pid)[1])
    controller.until(lambda: controller.frames[-1][0] == SHIFT)
    assert time.monotonic() - began >= 1


# --- Ctrl-C

BUSY = "import sys; print('busy', file=sys.stderr); exec('while True: pass')"


def interrupt_twice(process):
    """Send two SIGINTs, the second before anything was done about the first.

    One is for the process and one for its main thread: two of a kind would be one.
    """
    stand_still(process)
    interrupt_thread(process.pid, process.pid)
    process.send_signal(INTERRUPT)
    process.send_signal(signal.SIGCONT)


@binaries
def test_a_second_ctrl_c_before_the_first_was_taken_ends_a_program_with_130(start, binary):
    vm = start(binary, "-c", BUSY)
    vm.said("busy")
    interrupt_twice(vm.process)
    assert vm.wait() == 130
    assert vm.lines == ["busy"]


@binaries
def test_a_second_ctrl_c_ends_a_module_with_130(start_sim, binary):
    sim = start_sim("module-clocked", binary=binary)
    sim.power_on()
    interrupt_twice(sim.process)
    assert sim.wait() == 130


def test_ctrl_c_is_raised_in_a_line_of_the_repl(start, terminal):
    vm = start(BINARY, stdin=terminal.slave, stdout=terminal.slave)
    terminal.type(BUSY)
    vm.said("busy")
    terminal.text = ""
    vm.signal(INTERRUPT)
    vm.said("KeyboardInterrupt")
    terminal.type("print('went on', file=sys.stderr)")
    vm.said("went on")


# --- imports


@pytest.fixture
def strays(tmp_path):
    """A folder in which much of what a module imports has a namesake, next to a clone."""
    for name in ("board", "main", "only_here", "os", "sim", "socket", "time", "virtual_bus"):
        (tmp_path / f"{name}.py").write_text(f"raise ValueError('{name} of the current folder')")
    (tmp_path / "spinet" / "modules" / "spinet").mkdir(parents=True)
    return tmp_path


@binaries
def test_a_module_imports_nothing_of_the_current_folder(strays, start_sim, binary):
    sim = start_sim("module-clocked", binary=binary)
    sim.power_on()
    assert sim.ask(9)[0] == 168


def test_what_only_the_current_folder_has_is_not_there(strays, start):
    vm = start(BINARY, "-c", "import only_here")
    assert vm.wait() == 1
    assert "no module named 'only_here'" in vm.lines[-1]


def test_a_folder_that_is_named_is_imported_from(strays, start):
    vm = start(BINARY, "-c", "import only_here", env={**os.environ, "MICROPYPATH": ".:.frozen"})
    assert vm.wait() == 1
    assert "only_here of the current folder" in vm.lines[-1]
