"""The firmware's machine code of the ESP32-C3's instruction set, and a REPL session on it."""

import re

import pytest
from chip_paths import smallest_heap
from tls_rig import Authority, openssl

from spinet import compat, report

CASES = {
    "cases_ring": 3,
    "cases_wire": 7,
    "cases_link": 3,
    "cases_slots": 9,
    "cases_heap": 3,
    "cases_garbage": 2,
    "cases_nina": 2,
    "cases_stack": 1,
}
SLOTS = "import spinet.report as r; r.slots()"


@pytest.mark.parametrize("module", list(CASES))
def test_cases(emulator, module):
    out = emulator.mpremote("exec", f"import run; run.main(['{module}'])")
    assert f"{CASES[module]} cases, 0 failed" in out, out


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    """What cases_stack.PEMS is."""
    authority = Authority(tmp_path_factory.mktemp("tls"))
    made = {"ca": authority.pem}
    for kind in ("ec", "rsa"):
        names = authority.issue("module.test", "DNS:module.test", kind=kind)
        made[kind], made[kind + " key"] = names
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-days", "3650", "-subj", "/CN=owner"),
        *("-keyout", str(authority.path("key", "owner"))),
        *("-out", str(authority.path("pem", "owner"))),
    )
    for name, suffix in (("owner", "pem"), ("owner key", "key")):
        made[name] = authority.path(suffix, "owner").read_bytes()
    return made


@pytest.mark.behaviour("M1")
@pytest.mark.parametrize("role", ["module-clocked", "controller-clocked"])
def test_every_stack_has_room_to_spare(emulator, pems, role):
    # What is deeper than a stack less what is to be left of it raises RuntimeError there.
    reports = re.findall(r">>> r\.(\w+)\(\)", report.__doc__)
    play = f"c.play_all({role!r}, {smallest_heap()}, {reports})"
    out = emulator.mpremote("exec", f"import cases_stack as c; c.PEMS.update({pems!r}); {play}")
    taken = dict(re.findall(r"^deepest ([^\t]+)\t(\d+)", out, re.M))
    threads = {f"thread of {size}" for size in (compat.HANDSHAKE_STACK, compat.WORKER_STACK)}
    assert taken.keys() == {"command", "service", "report", *threads}, out
    assert all(int(n) > 1024 for n in taken.values()), out


@pytest.mark.behaviour("M1")
def test_a_boot_leaves_room_to_spare_on_the_main_task_s_stack(emulator):
    out = emulator.mpremote("exec", "import boot_heap; print(boot_heap.stack(4096))")
    assert 4096 < int(out) < 12288


def test_it_is_the_instruction_set_and_word_size_of_the_chip(emulator):
    out = emulator.mpremote("exec", "import sys; print(sys.implementation._mpy >> 10, sys.maxsize)")
    assert out.split() == ["11", str(2**31 - 1)]  # rv32imc; 32 bits


def test_clock_goes_by_milliseconds_without_allocating(emulator):
    out = emulator.mpremote(
        "exec",
        "import time, machine, micropython\n"
        "def look():\n"
        "  micropython.heap_lock()\n"
        "  try: time.ticks_diff(time.ticks_add(time.ticks_ms(), 5), 7)\n"
        "  finally: micropython.heap_unlock()\n"
        "def timer(): return machine.mem32[0x0200BFFC] << 32 | machine.mem32[0x0200BFF8]\n"
        "look()\n"
        "a = timer() // 10000; b = time.ticks_ms(); c = timer() // 10000\n"
        "print(a <= b <= c)",
    )
    assert out == "True\n"


def test_clock_wraps(emulator):
    out = emulator.mpremote(
        "exec",
        "import time\n"
        "late = 0x3FFFFFFF; soon = time.ticks_add(late, 6)\n"
        "print(soon, time.ticks_diff(soon, late), time.ticks_diff(late, soon))",
    )
    assert out == "5 6 -6\n"


def test_tasks_with_nothing_to_do_take_few_frames_from_the_heap(emulator):
    """Two frames of 80 bytes at most: those of two tasks."""
    out = emulator.mpremote(
        "exec",
        "import counted, micropython\n"
        "loop = counted.Controller(8).service.loop; loop.run(50)\n"
        "def taken():\n"
        "  before = micropython.mem_total(); loop._poll()\n"
        "  return micropython.mem_total() - before\n"
        "print(taken())",
    )
    assert int(out) <= 160


def test_report_before_anything_runs(emulator):
    assert emulator.mpremote("exec", SLOTS) == "the service does not run\n"


def test_session_beside_a_service(emulator):
    emulator.mpremote(
        "exec", "import board; b = board.begin(); b.new_peer(); b.send_from_peer(100)"
    )
    lines = emulator.mpremote("resume", "exec", SLOTS).splitlines()
    assert len(lines) == 8
    assert lines[0].split()[:4] == ["0", "connected", "stack+controller", "80"]
    assert lines[0].split()[-4:] == ["in", "100", "room", "2048"]
    assert all(line.split()[1:3] == ["free", "-"] for line in lines[1:])
    out = emulator.mpremote("resume", "exec", "import spinet.report as r; r.listeners()")
    assert out == "port 80 protocol 0: 1 of 8\n"


def test_a_module_that_there_was_no_memory_for_is_loaded_once_there_is(emulator):
    """However far its import came: modules are imported where a request first needs them."""
    out = emulator.mpremote(
        "exec",
        "import gc, memchip, sys\n"
        "from spinet import service\n"
        "def attempt(room):\n"
        "  spare = bytearray(room)\n"
        "  kept = None\n"
        "  try:\n"
        "    while True: kept = [kept, bytearray(48)]\n"
        "  except MemoryError: pass\n"
        "  spare = None\n"
        "  try: import spinet.report\n"
        "  except MemoryError: return 1\n"
        "  finally:\n"  # taken apart, as a collection may find its head on the stack
        "    while kept: kept[1], kept[0], kept = None, None, kept[0]\n"
        "  return 0\n"
        "failed = 0\n"
        "for room in range(64, 1600, 64):\n"
        "  failed += attempt(room)\n"
        "  memchip.within(8192, gc.collect)\n"  # where nothing of an attempt is left on the stack
        "  for name in ('report', 'debug', 'debug.parts', 'debug.trace_lines'):\n"
        "    sys.modules.pop('spinet.' + name, None)\n"
        "from spinet import report\n"
        "print(failed, report.parts.STATES[0])",
    )
    failed, word = out.split()
    assert int(failed) > 5
    assert word == "free"


def test_a_module_is_changed_live_and_put_back(emulator):
    emulator.mpremote("exec", "import board; board.begin()")
    emulator.mpremote(
        "resume",
        "exec",
        "from spinet.debug import parts as p; p.STATES = ('open for you',) + p.STATES[1:]",
    )
    assert "open for you" in emulator.mpremote("resume", "exec", SLOTS)
    assert emulator.mpremote("exec", SLOTS) == "the service does not run\n"  # a soft reset
    out = emulator.mpremote("exec", "import board; board.begin()\n" + SLOTS)
    assert "open for you" not in out
    assert "0 free" in out


def test_each_soft_reset_stops_what_runs_in_c(emulator):
    start = "import memchip; print(memchip.wait(0)); memchip.init(); memchip.wake()"
    said = [emulator.mpremote("exec", start) for _ in range(4)]  # each begins with a soft reset
    assert said == ["0\n"] * 4


def test_the_core_outlives_it_all(emulator):
    assert emulator.is_running()
