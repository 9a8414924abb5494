"""Python's heap as large as the chips' smallest: boot, eight busy connections, a scan and a REPL
session have room, and what does not fit fails for its asker alone."""

import pytest
from chip_paths import NAMES, NINA_NAMES, heaps, smallest_heap, waiting

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
# What an image can have loaded at once, at most.
ALL = """
import counted, counted_nina, gc, memchip
from spinet import report, service
from spinet.duet.update import Updates
from spinet.update import judgment
counted_nina.NinaController(1).service.shut()
running = counted.Controller(8, True)
service.current = running.service
report.all()
print(memchip.waited(), memchip.WAITING)
"""
SCRIPT = "\n".join(
    f"def f{i}(a, b):\n    return a * {i} + b, 'a text of the {i}th function'" for i in range(30)
)


def test_every_board_says_how_large_python_s_heap_is():
    assert heaps().keys() == {*NAMES, *NINA_NAMES}


def test_a_collection_goes_through_the_heap_once(emulator):
    """A block that waits for the collector has a place, with some to spare for a user's modules."""
    waited, places = map(int, emulator.mpremote("exec", ALL).split()[-2:])
    assert waited < places - 32
    assert waiting() == dict.fromkeys([*NAMES, *NINA_NAMES, "SIM"], places)


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
