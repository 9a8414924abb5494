"""Port, controller-clocked: the controller drives SCK and CS; the module is the SPI target.

The phases are those of the module-clocked role, each one a transfer that the controller clocks:
we arm it, raise DATA_READY, and DATA_READY falls as the phase ends. CS may stay low for the
whole transaction or toggle for each phase. A rising edge of TRANSFER_READY begins a new
transaction wherever the last one was left.
"""

from micropython import const

from spinet.port import ticks_diff
from spinet.wire import DATA, FIRST_PHASE, RESPONSE

PHASE_TIMEOUT_MS = const(500)  # a controller that stops clocking for so long has died
BURST = const(16)  # transactions in a row before the loop looks at the network again

_HEADER = const(0)  # armed, waiting for a request
_RESPONSE = const(1)
_DATA = const(2)
_ENDING = const(3)  # all phases have passed, CS is still low


class SpiSlave:
    """The SPI target, CS, DATA_READY, TRANSFER_READY as arguments.

    `target.arm(tx, rx, offset, n)` gets a transfer ready, `target.clocked()` is how many bytes of
    it have passed, `target.disarm()` takes it back. None of them waits or allocates.
    """

    def __init__(self, target, cs, data_ready, transfer_ready):
        self._target = target
        self._cs = cs
        self._data_ready = data_ready
        self._transfer_ready = transfer_ready
        self._phase = _HEADER
        self._armed = 0  # bytes of the phase that is armed
        self._since = 0  # when it was armed, or when the last phase ended
        self._edge = False  # TRANSFER_READY rose in mid-transaction; set by the pin interrupt
        self._released = False  # CS rose within the phase; set by the pin interrupt
        self.restarts = 0  # transactions begun over because the controller did

    def start(self, now):
        """Start-up signalling, then the first header is armed."""
        self._cs.irq(self._on_cs)
        self._transfer_ready.irq(self._on_transfer_ready)
        self._edge = False
        self._data_ready.value(0)
        self._data_ready.value(1)
        self._data_ready.value(0)
        self._phase = _HEADER
        self._since = now
        self._armed = 0

    def stop(self):
        """Nothing is asked of us any more."""
        self._cs.irq(None)
        self._transfer_ready.irq(None)
        self._target.disarm()
        self._armed = 0

    def _on_cs(self, pin):
        # Where CS toggles, it may rise when the next phase is armed already: that ends nothing.
        if pin.value() and self._target.clocked():
            self._released = True

    def _on_transfer_ready(self, pin):
        # Decided here and not when the loop looks: by then a request's own header is under way.
        if pin.value() and self._abandoned():
            self._edge = True

    def bind(self, _kit):
        """The hot path is the other role's: here every phase is a pass of its own."""

    def due_ms(self, _now):
        """How long the loop may sleep before it has to look here again; -1: no limit."""
        if self._phase == _HEADER:
            return -1 if self._armed else 0  # the first header is armed by serve()
        return PHASE_TIMEOUT_MS

    def idle(self):
        """True between transactions."""
        return self._phase == _HEADER and self._cs.value() == 1 and self._target.clocked() == 0

    def serve(self, link, now):
        """Take every phase that has passed one step on; True if a transaction ended."""
        before = link.transactions
        if not self._armed and self._phase == _HEADER:
            self._next_header(link, now)
        for _ in range(4 * BURST):
            if not self._step(link, now):
                break
        return link.transactions != before

    def _step(self, link, now):
        """One move of the state machine; False when there is nothing to do yet."""
        if self._edge:
            self._edge = False
            return self._restart(link, now)
        if self._phase == _ENDING:
            return self._end_if_released(link, now)
        if self._target.clocked() >= self._armed:
            self._phase_ended(link, now)
            return True
        if self._partly_clocked() and self._released:
            return self._restart(link, now)  # CS rose in the middle of a phase
        if self._phase != _HEADER and ticks_diff(now, self._since) >= PHASE_TIMEOUT_MS:
            return self._restart(link, now)
        return False

    def _partly_clocked(self):
        return 0 < self._target.clocked() < self._armed

    def _abandoned(self):
        # An edge comes before the first byte of its request: with a whole header clocked it is
        # that header's own, and so it is while nothing has been clocked yet.
        return self._phase != _HEADER or self._partly_clocked()

    def _end_if_released(self, link, now):
        late = ticks_diff(now, self._since) >= PHASE_TIMEOUT_MS
        if not (self._cs.value() or late):
            return False
        link.finish()
        self._next_header(link, now)
        return True

    def _restart(self, link, now):
        self.restarts += 1
        self._target.disarm()
        if self._phase == _ENDING:
            link.finish()  # the controller has its answer; it only never raised CS
        elif self._phase != _HEADER:
            link.cut()
        self._next_header(link, now)
        return True

    def _next_header(self, link, now):
        self._data_ready.value(0)
        link.begin()
        self._arm(link, _HEADER, 0, FIRST_PHASE, now)

    def _arm(self, link, phase, offset, n, now):
        self._phase = phase
        self._armed = n
        self._since = now
        self._released = False
        self._target.arm(link.tx, link.rx, offset, n)
        self._data_ready.value(1)

    def _phase_ended(self, link, now):
        if self._phase == _HEADER:
            self._data_ready.value(0)
            link.answer()
            self._arm(link, _RESPONSE, RESPONSE, 4, now)
        elif self._phase == _RESPONSE and link.data_length:
            self._data_ready.value(0)
            link.responded()
            self._arm(link, _DATA, DATA, link.data_length, now)
        else:
            link.complete()  # before DATA_READY falls: what was asked for is done by then
            self._data_ready.value(0)
            self._phase = _ENDING
            self._since = now

    def signal(self):
        """Tell the controller that there is news: DATA_READY falls for about 2 us and rises."""
        if self.idle():
            self._data_ready.value(0)
            self._data_ready.value(1)

    def set_clock(self, _frequency):
        """The clock is the controller's."""
