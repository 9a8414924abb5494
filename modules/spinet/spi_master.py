"""Port, module-clocked: the module drives SCK and CS, as on Duet boards.

The controller raises TRANSFER_READY when its buffers are ready; a transaction is three
transfers under one CS: 8 header bytes, the dword with response and param32, the data.
"""

from micropython import const

from spinet.port import ticks_diff
from spinet.wire import DATA, FIRST_PHASE, RESPONSE

LEVEL_AFTER_MS = const(10)  # without an edge, TRANSFER_READY's level is looked at this often
BURST = const(16)  # transactions in a row before the loop looks at the network again


class SpiMaster:
    """SPI, CS, DATA_READY, TRANSFER_READY as arguments, shaped as `machine.Pin`'s.

    `spi.exchange(tx, rx, offset, n)` clocks n bytes (a multiple of 4) of both buffers, from
    `offset` on, without allocating; it returns when they have passed.
    """

    def __init__(self, spi, cs, data_ready, transfer_ready):
        self._spi = spi
        self._cs = cs
        self._data_ready = data_ready
        self._transfer_ready = transfer_ready
        self._edge = False  # set by the pin interrupt, cleared as a transaction starts
        self._level_counts = True  # a level may stand for a missed edge; see _recovered()
        self._looked = 0  # when the last transaction ended or the level was last looked at
        self.recovered = 0  # transactions begun for an edge that was missed
        self.withdrawn = 0  # edges whose request was gone when we came to it

    def start(self, now):
        """Start-up signalling: the controller waits for two rising edges of DATA_READY."""
        self._looked = now
        self._cs.value(1)
        self._transfer_ready.irq(self._on_transfer_ready)
        for _ in range(2):
            self._data_ready.value(0)
            self._data_ready.value(1)

    def stop(self):
        """Nothing is asked of us any more."""
        self._transfer_ready.irq(None)
        self._edge = False

    def _on_transfer_ready(self, pin):
        if pin.value():
            self._edge = True  # in interrupt context: a flag and nothing else

    def due_ms(self, _now):
        """How long the loop may sleep before it has to look here again."""
        return LEVEL_AFTER_MS

    def idle(self):
        """True when no request is known to wait."""
        return not self._edge

    def serve(self, link, now):
        """Run the transactions that are asked for, at most BURST; True if there were any."""
        served = 0
        while served < BURST and self._requested(now):
            self._transact(link)
            self._looked = now
            served += 1
        return served != 0

    def _requested(self, now):
        if self._edge:
            self._edge = False
            if self._transfer_ready.value():
                return True
            self.withdrawn += 1
            return False
        return ticks_diff(now, self._looked) >= LEVEL_AFTER_MS and self._recovered(now)

    def _recovered(self, now):
        # Some boards never drop TRANSFER_READY by themselves. A level that brought us a
        # transaction with no valid header is such a board idling: it counts again only
        # after it has been seen low, or after a good transaction.
        self._looked = now
        if not self._transfer_ready.value():
            self._level_counts = True
            return False
        if self._level_counts:
            self.recovered += 1
        return self._level_counts

    def _transact(self, link):
        spi = self._spi
        tx = link.tx
        rx = link.rx
        link.begin()
        self._cs.value(0)
        spi.exchange(tx, rx, 0, FIRST_PHASE)
        link.answer()
        spi.exchange(tx, rx, RESPONSE, 4)
        if link.data_length:
            spi.exchange(tx, rx, DATA, link.data_length)
        link.complete()
        self._cs.value(1)
        self._level_counts = not link.refused
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
