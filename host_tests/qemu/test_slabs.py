"""The rings and the trace in memory of C's: firmware/slabs, as the chips have it."""

RINGS = 8 * 4096
TRACE = 8 + 512 * 10


def run(emulator, program, *before):
    return emulator.mpremote(*before, "exec", program).split()


def test_rings_and_trace_are_not_on_the_heap(emulator):
    out = run(
        emulator,
        "import gc, counted, _spinet_slabs as slabs\n"
        "gc.collect(); before = gc.mem_alloc()\n"
        "running = counted.Controller(8)\n"
        "gc.collect(); print(gc.mem_alloc() - before, slabs.taken(), slabs.take(0, 32768))",
    )
    assert 0 < int(out[0]) < RINGS, "a whole service takes less than its rings"
    assert out[1:] == [str(RINGS + TRACE), "None"]


def test_the_next_service_has_them_again(emulator):
    out = run(
        emulator,
        "import counted, _spinet_slabs as slabs\n"
        "for _ in range(3): counted.Controller(1).service.shut()\n"
        "print(slabs.take(0, 32768) == bytes(32768))",
    )
    assert out == ["True"]


def test_a_second_manager_has_rings_of_its_own(emulator):
    out = run(
        emulator,
        "import _spinet_slabs as slabs\n"
        "from spinet.tcp.manager import ConnectionManager\n"
        "from memory_stack import MemoryStack\n"
        "stack = MemoryStack(1, 64)\n"
        "first = ConnectionManager(stack)\n"
        "second = ConnectionManager(stack)\n"
        "first.slots[0]._ring.memory[0] = 1; second.slots[0]._ring.memory[0] = 2\n"
        "second.shut()\n"  # gives back nothing of the first one's
        "print(first.slots[0]._ring.memory[0], slabs.take(0, 32768))\n"
        "first.shut()\n"
        "print(slabs.take(0, 32768)[0])",
    )
    assert out == ["1", "None", "0"]


def test_a_soft_reset_clears_them(emulator):
    run(
        emulator, "import _spinet_slabs as slabs; slabs.take(0, 32768)"
    )  # never given back to the chip's heap
    program = "from spinet import trace\nprint(trace.TRACE.count(), len(trace.TRACE.slab))\n"
    note = "for _ in range(3): trace.note(trace.BOOT, 255, 0, 0)\nprint(trace.TRACE.count())\n"
    first = run(emulator, program + note)
    assert first == ["0", str(TRACE), "3"]
    again = run(emulator, program + note + "import _spinet_slabs as slabs; print(slabs.taken())")
    assert again == [*first, str(TRACE + RINGS)]


def test_what_is_in_use_of_the_heap(emulator):
    """It is the VM's number, whatever the four blocks of a byte are, with nothing above them."""
    out = run(
        emulator,
        "import gc, _spinet_slabs as slabs\n"
        "from spinet import compat\n"
        "kept = [None] * 40\n"
        "def look(): return slabs.heap_used() == gc.mem_alloc()\n"
        "def all_sizes():\n"
        "  for i in range(40): kept[i] = bytearray(16 * i + 1); yield look()\n"
        "  for i in range(0, 40, 3): kept[i] = None\n"
        "  gc.collect(); yield look()\n"
        "  kept[0] = bytearray(gc.mem_free() // 2); yield look()\n"
        "print(all(all_sizes()), compat.heap_used is slabs.heap_used)\n",
    )
    assert out == ["True", "True"]


def test_what_is_asked_wrongly(emulator):
    out = run(
        emulator,
        "import _spinet_slabs as slabs\n"
        "print(slabs.take(7, 4), slabs.take(-1, 4), slabs.take(0, 0), slabs.take(0, -4))\n"
        "slabs.give_back(b'no slab')\n"
        "try: slabs.give_back(None)\n"
        "except TypeError: print('TypeError')",
    )
    assert out == ["None"] * 4 + ["TypeError"]
