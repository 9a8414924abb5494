"""The link driver of the module-clocked role: the module drives SCK and CS, as on Duet boards.

The controller raises TRANSFER_READY when its buffers are ready. A transaction is two transfers
under one CS: 8 header bytes; then the dword with response and param32, together with the data. The
protocol has three phases, but the last two can be one transfer, as the controller's buffer is
contiguous. This saves time: starting a transfer takes as long as half a kilobyte on the wire.
"""

from array import array

from micropython import const

from spinet import fastpath
from spinet.compat import ticks_diff, ticks_ms
from spinet.duet.transaction import StartUp
from spinet.duet.wire import RESPONSE
from spinet.fastpath import SIGNAL_EDGE, SIGNAL_LOOKED

_LEVEL_AFTER_MS = const(10)  # how often TRANSFER_READY's level is read when no edge came


class SpiMaster:
    """The module-clocked link driver. The pins have the methods of `machine.Pin`.

    `spi.exchange(tx, rx, offset, n)` transfers n bytes (a multiple of 4) of both buffers, from
    `offset` on, without allocating; it returns when they have crossed. If there is also
    `spi.exchange_last`, with the same arguments, it raises CS at the end: for transactions in which
    nothing is left to do before CS rises. `ticks()` is the clock in ms.
    """

    def __init__(self, spi, cs, data_ready, transfer_ready, ticks=ticks_ms):
        self._spi = spi
        self._cs = cs
        self._data_ready = data_ready
        self._transfer_ready = transfer_ready
        self._ticks = ticks
        self._start_up = StartUp(data_ready)
        self._started = False  # set by _go_on_starting(), cleared by start()
        # The edge, and when the level was last read: shared with the hot path.
        self._signals = array("I", [0] * fastpath.SIGNAL_WORDS)
        self._on_edge = self._edge_handler()
        self.recovered = 0  # transactions begun for a high level, as an edge was missed

    def start(self, now):
        """Begin the start-up signalling: the controller waits for two rising edges of DATA_READY.

        poll() continues it. A request before the second edge is found by its level.
        """
        self._started = False
        self._cs.value(1)
        self._start_up.begin(now)

    def _go_on_starting(self, now):
        left = self._start_up.poll(now)
        if left:
            return left
        self._started = True
        self._signals[SIGNAL_LOOKED] = now
        self._transfer_ready.irq(self._on_edge)
        self._data_ready.value(1)
        return _LEVEL_AFTER_MS

    def stop(self):
        """Serve no request any more."""
        self._transfer_ready.irq(None)
        self._signals[SIGNAL_EDGE] = 0

    def _edge_handler(self):
        signals = self._signals
        edge = SIGNAL_EDGE  # a local variable, as looking up an imported name takes longer

        def on_transfer_ready(pin):
            if not pin.value():
                return False
            signals[edge] = 1  # in interrupt context: only set a flag
            return True  # the wait has to end (SIM's bus uses this, machine.Pin ignores it)

        return on_transfer_ready

    def bind(self, kit):
        """Give the hot path the functions and words with which it serves this link."""
        kit[fastpath.KIT_ROLE] = fastpath.MODULE_CLOCKED
        kit[fastpath.KIT_SIGNALS] = self._signals
        kit[fastpath.KIT_EXCHANGE] = self._spi.exchange
        kit[fastpath.KIT_EXCHANGE_LAST] = getattr(self._spi, "exchange_last", self._spi.exchange)
        kit[fastpath.KIT_CS] = self._cs.value
        kit[fastpath.KIT_REQUESTED] = self._transfer_ready.value

    def idle(self):
        """True when the link is up and no request is known to wait."""
        return self._started and not self._signals[SIGNAL_EDGE]

    def poll(self, _link, now):
        """Check for a missed edge, every _LEVEL_AFTER_MS. It is set here; the hot path serves it.

        A controller that gave up a request leaves TRANSFER_READY high, so its next request makes no
        edge. Therefore a high level always counts, even when a controller never lowers the signal,
        and each transaction then finds a bad header.
        """
        if not self._started:
            return self._go_on_starting(now)
        signals = self._signals
        left = _LEVEL_AFTER_MS - ticks_diff(now, signals[SIGNAL_LOOKED])
        if left > 0:
            return left
        signals[SIGNAL_LOOKED] = now
        if not signals[SIGNAL_EDGE] and self._transfer_ready.value():
            signals[SIGNAL_EDGE] = 1
            self.recovered += 1
        return _LEVEL_AFTER_MS

    def conclude(self, link):
        """The first 8 bytes have crossed: do the rest of this transaction."""
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
    """`machine.SPI` with exchange(), for firmware without the project's C modules.

    `machine.SPI` takes no offset and length, so it needs slices of the buffers. Each slice is made
    when it is first needed, and kept: only a transfer of a new length allocates.
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
        """Transfer n bytes, from tx[offset:] and into rx[offset:]."""
        out, into = self._slices(tx, rx, offset, n)
        self._spi.write_readinto(out, into)

    def set_clock(self, frequency):
        """SCK in Hz."""
        self._spi.init(baudrate=frequency, polarity=0, phase=1)
