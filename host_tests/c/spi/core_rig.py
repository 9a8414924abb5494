"""The SPI cores over the fake drivers, loaded into this process: one chip for each object."""

import ctypes
import itertools
import shutil

SIZE = 2060  # a header and the longest data phase
NINA_SIZE = 4096
MISO, CS, READY, GPIO0 = 13, 10, 7, 0
OK, NO_MEM, INVALID_ARG, INVALID_STATE, INVALID_SIZE, NOT_SUPPORTED = (
    0,
    0x101,
    0x102,
    0x103,
    0x104,
    0x106,
)
UNDRIVEN = 0xFF  # MISO while it is not driven
BEYOND = 0xEE  # what the peripheral shifts past the end of a phase
SPOILT = 0xDB  # what DMA leaves of a dword that did not fill

WAKE = ctypes.CFUNCTYPE(None)
_copies = itertools.count()


class SlaveWiring(ctypes.Structure):
    """slave_wiring_t"""

    _fields_ = (
        ("host", ctypes.c_int),
        ("sck", ctypes.c_int),
        ("mosi", ctypes.c_int),
        ("miso", ctypes.c_int),
        ("cs", ctypes.c_int),
        ("size", ctypes.c_size_t),
        ("wake", WAKE),
    )


class NinaConfig(ctypes.Structure):
    """nina_config_t"""

    _fields_ = (("wiring", SlaveWiring), ("ready", ctypes.c_int), ("gpio0", ctypes.c_int))


class ExchangeConfig(ctypes.Structure):
    """exchange_config_t"""

    _fields_ = (
        ("host", ctypes.c_int),
        ("sck", ctypes.c_int),
        ("mosi", ctypes.c_int),
        ("miso", ctypes.c_int),
        ("frequency", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


def memory_at(address, size):
    """A writable memoryview of bytes over C's memory."""
    view = ctypes.pythonapi.PyMemoryView_FromMemory
    view.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
    view.restype = ctypes.py_object
    return view(address, size, 0x200)


class CoreChip:
    """A chip that has just been switched on; `wakes` counts how often the loop's wait was ended."""

    def __init__(self, library, folder):
        copy = folder / f"spi{next(_copies)}.so"  # a library is loaded once, a copy of it anew
        shutil.copy(library, copy)
        self.c = ctypes.CDLL(str(copy))
        for name in ("message_tx", "message_rx", "fake_controller_received", "slab_take"):
            getattr(self.c, name).restype = ctypes.c_void_p
        self.c.slab_take.argtypes = (ctypes.c_int, ctypes.c_size_t)
        self.c.slab_give_back.argtypes = (ctypes.c_void_p,)
        self.c.slab_give_back.restype = ctypes.c_bool
        self.c.slabs_taken.restype = self.c.message_size.restype = ctypes.c_size_t
        self.c.fake_first_violation.restype = self.c.fake_pin_trace.restype = ctypes.c_char_p
        self.wakes = 0
        self._wake = WAKE(self._on_wake)

    def _on_wake(self):
        self.wakes += 1

    # --- all of them

    @property
    def tx(self):
        return memory_at(self.c.message_tx(), self.c.message_size())

    @property
    def rx(self):
        return memory_at(self.c.message_rx(), self.c.message_size())

    def violation(self):
        """The first rule of the drivers that was broken; "" for none."""
        return self.c.fake_first_violation().decode()

    # --- the target

    def _wiring(self, host=1, size=SIZE, **pins):
        numbers = {"sck": 12, "mosi": 11, "miso": MISO, "cs": CS, **pins}
        return SlaveWiring(host=host, size=size, wake=self._wake, **numbers)

    def start_target(self, counts=False, **wiring):
        return self.c.target_start(ctypes.byref(self._wiring(**wiring)), counts)

    def arm(self, tx, rx, offset, n):
        """Shaped as SpiSlave's target: the buffers are the message buffers."""
        assert self.c.target_arm(offset, n) == OK

    def clocked(self):
        return self.c.target_clocked()

    def disarm(self):
        self.c.target_disarm()

    def cs(self, level):
        """The controller drives CS."""
        self.c.fake_controller_cs(level)

    def clock(self, out, bits=None):
        """The controller clocks a burst and returns what it got."""
        into = ctypes.create_string_buffer(len(out))
        self.c.fake_controller_clock(bytes(out), into, len(out) * 8 if bits is None else bits)
        return into.raw

    # --- NINA's target

    def start_nina(self, gpio0=GPIO0, size=NINA_SIZE, **wiring):
        config = NinaConfig(self._wiring(size=size, **wiring), READY, gpio0)
        return self.c.nina_start(ctypes.byref(config))

    @property
    def ready(self):
        return self.c.fake_pin_out(READY)

    def ready_trace(self):
        """Each level that READY was set to and that was another than the last, as "10101"."""
        return self.c.fake_pin_trace(READY).decode()

    # --- the exchange

    def start_exchange(self, frequency=26666667, host=1, size=SIZE, **pins):
        numbers = {"sck": 12, "mosi": 11, "miso": 13, **pins}
        config = ExchangeConfig(host=host, frequency=frequency, size=size, **numbers)
        return self.c.exchange_start(ctypes.byref(config))

    def transfers(self):
        """Lengths of the transfers since the controller's message; negative: polled."""
        return [self.c.fake_transfer(i) for i in range(self.c.fake_transfers())]

    def received(self, n):
        """The first bytes that the controller got."""
        return bytes(memory_at(self.c.fake_controller_received(), n))
