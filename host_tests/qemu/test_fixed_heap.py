"""Python's heap as large as the chips' smallest: boot, eight busy connections, a scan and a REPL
session have room, and what does not fit fails for its asker alone."""

import pytest
from chip_paths import NAMES, NINA_NAMES, heaps, smallest_heap

# Of boards/chip and MicroPython's own drivers, which the core has not.
NOT_HERE = 6144

BEGIN = """
import gc, counted
from spinet import service
gc.collect()
ballast = bytearray(gc.mem_alloc() + gc.mem_free() - {heap})
running = counted.Controller(8)
service.current = running.service
running.play(counted.mixed(), 20)
running.service.wlan.scan(0)
running.service.loop.run(50)
gc.collect()
print(gc.mem_alloc() - len(ballast), gc.mem_free())
"""
SCRIPT = "\n".join(
    f"def f{i}(a, b):\n    return a * {i} + b, 'a text of the {i}th function'" for i in range(30)
)


def test_every_board_says_how_large_python_s_heap_is():
    assert heaps().keys() == {*NAMES, *NINA_NAMES}


@pytest.fixture
def chip(emulator):
    """A service with eight connections, and as much heap as the smallest chip gives it."""
    heap = smallest_heap() - NOT_HERE
    used, free = emulator.mpremote("exec", BEGIN.format(heap=heap)).split()[-2:]
    print(f"of {heap} bytes {used} in use, {free} free")
    return emulator


@pytest.mark.behaviour("M2")
def test_a_session_at_the_repl_has_room_beside_eight_connections(chip):
    out = chip.mpremote("resume", "exec", "import spinet.report as r; r.all()")
    assert "7 connected" in out
    out = chip.mpremote("resume", "exec", SCRIPT + "\nprint(f29(2, 3)[0])")
    assert out == "61\n"
    out = chip.mpremote("resume", "exec", "running.play(counted.mixed(), 5); print(r.all())")
    assert "out of memory 0 times" in out


@pytest.mark.behaviour("M2")
def test_what_does_not_fit_fails_for_its_asker(chip):
    out = chip.mpremote(
        "resume",
        "exec",
        "import _spinet_slabs as slabs; taken = slabs.taken()\n"
        "try: bytearray(40000)\n"
        "except MemoryError: print('no memory', slabs.taken() - taken)\n"
        "running.play(counted.mixed(), 5)\n"
        "print(all([slot.state == 2 for slot in running.service.manager.slots]),"
        " running.service.commands.shortages)",
    )
    assert out.split("\n")[:2] == ["no memory 0", "True 0"]
