"""Port, module-clocked: the module drives SCK and CS, as on Duet boards.

The controller raises TRANSFER_READY when its buffers are ready; a transaction is two transfers
under one CS: 8 header bytes, then the dword with response and param32 together with the data. The
controller's buffer is contiguous, so it cannot tell; and each transfer costs as much as half a
kilobyte takes on the wire.
"""

from array import array

from micropython import const

from spinet import fastpath
from spinet.compat import ticks_diff, ticks_ms
from spinet.duet.transaction import StartUp
from spinet.duet.wire import RESPONSE
from spinet.fastpath import SIGNAL_EDGE, SIGNAL_LOOKED

LEVEL_AFTER_MS = const(10)  # without an edge, TRANSFER_READY's level is looked at this often


class SpiMaster:
    """SPI, CS, DATA_READY, TRANSFER_READY as arguments, shaped as `machine.Pin`'s.

    `spi.exchange(tx, rx, offset, n)` clocks n bytes (a multiple of 4) of both buffers, from
    `offset` on, without allocating; it returns when they have passed. Where there is also
    `spi.exchange_last`, with the same arguments, CS rises by itself as they have: for transactions
    that owe the controller nothing but bytes. `ticks()` is the clock in ms.
    """

    def __init__(self, spi, cs, data_ready, transfer_ready, ticks=ticks_ms):
        self._spi = spi
        self._cs = cs
        self._data_ready = data_ready
        self._transfer_ready = transfer_ready
        self._ticks = ticks
        self._start_up = StartUp(data_ready)
        self._started = False  # set by _go_on_starting(), cleared by start()
        # The edge, and when the level was last looked at: shared with the hot path.
        self._signals = array("I", [0] * fastpath.SIGNAL_WORDS)
        self._on_edge = self._edge_handler()
        self.recovered = 0  # transactions begun for an edge that was missed
        self.withdrawn = 0  # edges whose request was gone when we came to it

    def start(self, now):
        """Start-up signalling: the controller waits for two rising edges of DATA_READY.

        look() continues it. A request that comes before the second edge is found by its level.
        """
        self._started = False
        self._cs.value(1)
        self._start_up.begin(now)

    def _go_on_starting(self, now):
        if self._start_up.is_over(now):
            self._started = True
            self._signals[SIGNAL_LOOKED] = now
            self._transfer_ready.irq(self._on_edge)
            self._data_ready.value(1)

    def stop(self):
        """Nothing is asked of us any more."""
        self._transfer_ready.irq(None)
        self._signals[SIGNAL_EDGE] = 0

    def _edge_handler(self):
        signals = self._signals
        edge = SIGNAL_EDGE  # a variable of the handler's own is found sooner than an imported name

        def on_transfer_ready(pin):
            if not pin.value():
                return False
            signals[edge] = 1  # in interrupt context: a flag and nothing else
            return True  # the loop has to look; who calls this may not care

        return on_transfer_ready

    def bind(self, kit):
        """Give the hot path what it serves this link with."""
        kit[fastpath.KIT_ROLE] = fastpath.MODULE_CLOCKED
        kit[fastpath.KIT_SIGNALS] = self._signals
        kit[fastpath.KIT_EXCHANGE] = self._spi.exchange
        kit[fastpath.KIT_EXCHANGE_LAST] = getattr(self._spi, "exchange_last", self._spi.exchange)
        kit[fastpath.KIT_CS] = self._cs.value
        kit[fastpath.KIT_REQUESTED] = self._transfer_ready.value

    def due_ms(self, now):
        """How long the loop may sleep before it has to look here again."""
        if not self._started:
            return self._start_up.due_ms(now)
        return max(0, LEVEL_AFTER_MS - ticks_diff(now, self._signals[SIGNAL_LOOKED]))

    def idle(self):
        """True when the link is up and no request is known to wait."""
        return self._started and not self._signals[SIGNAL_EDGE]

    def look(self, _link, now):
        """See whether an edge was missed; what asks for a transaction is left to the hot path."""
        signals = self._signals
        if not self._started:
            self._go_on_starting(now)
        elif not signals[SIGNAL_EDGE] and self._level_asks(now):
            signals[SIGNAL_EDGE] = 1

    def _level_asks(self, now):
        """A controller that gave up leaves TRANSFER_READY high, and its next request makes no edge.

        So a high level always counts, even where a board never drops the signal and answers each
        look with a bad header.
        """
        signals = self._signals
        if ticks_diff(now, signals[SIGNAL_LOOKED]) < LEVEL_AFTER_MS:
            return False
        signals[SIGNAL_LOOKED] = now
        if not self._transfer_ready.value():
            return False
        self.recovered += 1
        return True

    def withdraw(self):
        """The request behind an edge was gone when we came to it."""
        self.withdrawn += 1

    def conclude(self, link):
        """The first 8 bytes have passed: the rest of this transaction."""
        link.showed()
        link.answer()
        self._spi.exchange(link.tx, link.rx, RESPONSE, 4 + link.data_length)
        link.complete()
        self._cs.value(1)
        self._signals[SIGNAL_LOOKED] = self._ticks()  # before deferred work, which may take long
        link.finish()

    def signal(self):
        """Tell the controller that there is news: DATA_READY falls for about 2 us and rises."""
        self._data_ready.value(0)
        self._data_ready.value(1)

    def set_clock(self, frequency):
        """SCK in Hz, from the next transaction on."""
        self._spi.set_clock(frequency)


class MachineSpi:
    """`machine.SPI` as SpiMaster wants it: for firmware without our C.

    `machine.SPI` takes no length, so the slices are made ahead: three for the phases that always
    come, the others as they are first needed and kept (a connWrite of a new length allocates
    once).
    """

    def __init__(self, spi):
        self._spi = spi
        self._views = {}  # (offset << 12 | n) -> slices of both buffers

    def _slices(self, tx, rx, offset, n):
        key = offset << 12 | n
        if key not in self._views:
            end = offset + n
            self._views[key] = (memoryview(tx)[offset:end], memoryview(rx)[offset:end])
        return self._views[key]

    def exchange(self, tx, rx, offset, n):
        """Clock n bytes out of tx and into rx, both from offset on."""
        out, into = self._slices(tx, rx, offset, n)
        self._spi.write_readinto(out, into)

    def set_clock(self, frequency):
        """SCK in Hz."""
        self._spi.init(baudrate=frequency, polarity=0, phase=1)
