"""Measures what is on Python's heap after an ESP32-C3 image has booted: see tools/budget.py.

The image's own files are frozen here beside the emulated core's (manifest.py) and run as on the
chip: _boot.py, then main.py with the C3's board.py. Stand-ins replace its C modules; they are made
before the measurement. Not included are the locks (some 90 bytes each) and the flash file system.
"""

import builtins
import gc
import sys

import _spinet_slabs as slabs
import memchip

FILES_HERE = ("select", "socket", "time")  # Python here, C on a chip
IMAGE = (".frozen/SPINET_ESP32C3",)
MAIN_STACK = 16384  # bytes, of the main task and the REPL in MicroPython's ESP32 port
STACK = 40000  # bytes: more than on a chip, as each nested import measures the heap
PASSES = 20  # of the loop, with its link up


class StandIn:
    """A C module, or an object of one. An attribute that it was not given does nothing."""

    def __init__(self, **given):
        for name in given:
            setattr(self, name, given[name])

    def __getattr__(self, _name):
        return _nothing


def _nothing(*_args, **_keywords):
    return None


class Kept(StandIn):
    """A C type whose objects are static: numbered, and not on the heap."""

    def __call__(self, number=0, *_args, **_keywords):
        return self.kept[number]


class Flash(StandIn):
    """The flash, with an empty file system."""

    def stat(self, _path):
        raise OSError(2)


class Lwip(StandIn):
    """The TCP stack: memchip has those of its functions that transfer bytes."""

    def __getattr__(self, name):
        return getattr(memchip, name, _nothing)


def stand_ins():
    """{name: module}; numbers are the chip's where they matter."""
    memchip.init()
    pins = [memchip.Pin(0) for _ in range(22)]
    flash = [Flash()]
    regions = ((0, 100000, 0, 0),)
    buffers = memchip.buffers()
    return {
        "_spinet_lwip": Lwip(start=_nothing, spare=_nothing),
        "_spinet_mdns": StandIn(),
        "_spinet_spi_exchange": StandIn(buffers=lambda: buffers),
        "_spinet_spi_target": StandIn(COUNTS=True),
        "_spinet_tls": StandIn(),
        "_spinet_wifi": StandIn(),
        "_thread": StandIn(allocate_lock=StandIn),
        "esp": StandIn(flash_size=lambda: 4 << 20),
        "esp32": StandIn(
            HEAP_DATA=4,
            Partition=StandIn(TYPE_DATA=1, find=lambda *_, **__: flash),
            idf_heap_info=lambda _kind: regions,
        ),
        "machine": StandIn(
            Pin=Kept(kept=pins, IN=1, OUT=3, PULL_UP=2, PULL_DOWN=1),
            WDT=Kept(kept=[StandIn()]),
            PWRON_RESET=1,
            HARD_RESET=2,
            WDT_RESET=3,
            DEEPSLEEP_RESET=4,
            SOFT_RESET=5,
            reset_cause=lambda: 1,
        ),
        "network": StandIn(
            WLAN=Kept(kept=[StandIn(), StandIn()]),
            STA_IF=0,
            AP_IF=1,
            STAT_IDLE=1000,
            STAT_CONNECTING=1001,
            STAT_NO_AP_FOUND=201,
            STAT_WRONG_PASSWORD=202,
        ),
    }


def used():
    """Bytes in use on the heap, after a collection."""
    gc.collect()
    return gc.mem_alloc()


_within = 0  # bytes of nested measurements in the one under way


def measured(kind, name, function):
    """Wrap a function (or class): each call prints the bytes that it took, without those of nested
    measured calls."""

    def call(*args, **keywords):
        global _within
        outer = _within
        _within = 0
        before = used()
        result = function(*args, **keywords)
        taken = used() - before
        if taken != _within:
            print("heap", kind, name, taken - _within, sep="\t")
        _within = outer + taken
        return result

    return call


def imported(*args):
    """As __import__, and print what each module took."""
    return measured("module", args[0], _import)(*args)


_import = builtins.__import__


def measure_classes():
    """Measure all objects that classes of the firmware make from now on."""
    for module in list(sys.modules.values()):
        for name in dir(module) if hasattr(module, "__file__") else ():
            found = getattr(module, name)
            if isinstance(found, type) and hasattr(found, "__init__"):
                setattr(module, name, measured("object", name, found))


def boot():
    """Boot as main.py does, but without a thread."""
    builtins.__import__ = imported
    begin = used()
    imported("_boot")
    main = imported("main")
    taken = used() - begin
    measure_classes()
    begin = used() - taken
    main.BOARD.power_up(main.service.running)
    running = main.service.Service(main.BOARD)
    running.start()
    while not running.port.idle():
        running.loop.run(1)
    running.loop.run(PASSES)
    builtins.__import__ = _import
    print("heap", "all", "boot", used() - begin, sep="\t")
    print("heap", "all", "slabs", slabs.taken(), sep="\t")


def prepare():
    """Install the stand-ins, and put the image's frozen files first in sys.path."""
    for name in FILES_HERE:
        _import(name)
    sys.modules.update(stand_ins())
    sys.path[:0] = IMAGE


def tell():
    """One line for each module and object: heap, its kind, its name, its bytes."""
    prepare()
    memchip.within(STACK, boot)


def stack(left):
    """Bytes of the main task's stack that the imports of a boot use, with `left` bytes less stack.

    Raises RuntimeError when they need more.
    """
    prepare()
    return memchip.within(MAIN_STACK - left, lambda: (_import("_boot"), _import("main")))
