"""The link driver of the controller-clocked role: the controller drives SCK and CS.

The module is the SPI target. Each phase of a transaction is a transfer that the controller clocks:
the module arms the transfer and raises DATA_READY; when the phase has crossed, DATA_READY falls. CS
may stay low for the whole transaction, or rise after each phase. A rising edge of TRANSFER_READY
begins a new transaction, even if the last one is not complete.
"""

from array import array

from spinet import fastpath
from spinet.compat import ticks_diff
from spinet.duet.transaction import StartUp
from spinet.duet.wire import FIRST_PHASE
from spinet.fastpath import (
    PHASE_HEADER,
    SIGNAL_ARMED,
    SIGNAL_PHASE,
    SIGNAL_RELEASED,
    SIGNAL_UNDER_WAY,
)


class SpiSlave:
    """The controller-clocked link driver. The pins have the methods of `machine.Pin`.

    `target.arm(tx, rx, offset, n)` prepares a transfer, `target.clocked()` is the number of its
    bytes that have crossed, `target.disarm()` cancels it. None of them waits or allocates.
    """

    def __init__(self, target, cs, data_ready, transfer_ready):
        self._target = target
        self._cs = cs
        self._data_ready = data_ready
        self._transfer_ready = transfer_ready
        # The phase, the armed transfer, and the edges of the pins: shared with the hot path.
        self._signals = array("I", [0] * fastpath.SIGNAL_WORDS)
        self._start_up = StartUp(data_ready)
        self.restarts = 0  # transactions that were given up, so that a new one could begin

    def start(self, now):
        """Begin the start-up signalling; serve() continues it, then arms the first header."""
        signals = self._signals
        self._cs.irq(self._cs_handler())
        self._transfer_ready.irq(self._edge_handler())
        for i in range(fastpath.SIGNAL_WORDS):
            signals[i] = 0
        signals[fastpath.SIGNAL_SINCE] = now
        self._start_up.begin(now)

    def stop(self):
        """Serve no request any more."""
        self._cs.irq(None)
        self._transfer_ready.irq(None)
        self._target.disarm()
        self._signals[SIGNAL_ARMED] = self._signals[fastpath.SIGNAL_TO_ARM] = 0

    # Both interrupt handlers return True when the wait has to end (SIM's bus uses this, machine.Pin
    # ignores it). They run at every edge of each transaction, so they are closures: a local
    # variable is found faster than an attribute.

    def _cs_handler(self):
        signals = self._signals
        clocked = self._target.clocked

        def on_cs(pin):
            # When CS rises after each phase, the next phase may be armed already. No byte of that
            # has crossed, so this edge does not end it.
            if not pin.value():
                return False
            passed = clocked()
            if passed or signals[SIGNAL_PHASE] != PHASE_HEADER:
                signals[SIGNAL_UNDER_WAY] = 1
            if passed:
                signals[SIGNAL_RELEASED] = 1
            return passed != 0

        return on_cs

    def _edge_handler(self):
        signals = self._signals
        clocked = self._target.clocked

        def on_transfer_ready(pin):
            # The first edge after the header was armed belongs to that header's request, even if
            # this handler runs so late that the answer is armed already. On a chip handlers may run
            # late, but they run in the order of the interrupts, and CS rises after this edge.
            if not pin.value():
                return False
            own = not signals[SIGNAL_UNDER_WAY]
            signals[SIGNAL_UNDER_WAY] = 1
            if own or (signals[SIGNAL_PHASE] == PHASE_HEADER and not clocked()):
                return False
            signals[fastpath.SIGNAL_EDGE] = 1
            return True

        return on_transfer_ready

    def bind(self, kit):
        """Give the hot path the functions and words with which it serves this link."""
        kit[fastpath.KIT_ROLE] = fastpath.CONTROLLER_CLOCKED
        kit[fastpath.KIT_SIGNALS] = self._signals
        kit[fastpath.KIT_ARM] = self._target.arm
        kit[fastpath.KIT_CLOCKED] = self._target.clocked
        kit[fastpath.KIT_CS] = self._cs.value
        kit[fastpath.KIT_DATA_READY] = self._data_ready.value

    def idle(self):
        """True between transactions."""
        signals = self._signals
        if signals[SIGNAL_PHASE] != PHASE_HEADER or signals[fastpath.SIGNAL_TO_ARM]:
            return False
        return bool(signals[SIGNAL_ARMED] and self._cs.value()) and self._target.clocked() == 0

    def poll(self, link, now):
        """Give up a phase that is late. All else is done by the hot path, or by serve()."""
        if self._signals[SIGNAL_PHASE] == PHASE_HEADER:
            return -1 if self._signals[SIGNAL_ARMED] else self._start_up.poll(now)
        if self._late(now):
            self.serve(link, now)
        return fastpath.PHASE_TIMEOUT_MS

    def serve(self, link, now):
        """Decide what follows the phase that has crossed or was cut; turn() arms it.

        True when the loop has to tidy up: a command was done or cut, or the link is not up yet.
        """
        signals = self._signals
        if signals[fastpath.SIGNAL_SERVED_HOT]:
            self._take_over(link)
        if not signals[SIGNAL_ARMED]:
            return self._start_up.poll(now) > 0 or self._next_header(link)
        if signals[fastpath.SIGNAL_EDGE]:
            signals[fastpath.SIGNAL_EDGE] = 0
            return self._restart(link)
        if signals[SIGNAL_PHASE] == fastpath.PHASE_ENDING:
            return self._end_if_released(link, now)
        if self._target.clocked() >= signals[SIGNAL_ARMED]:
            return self._phase_ended(link, now)
        if self._released_too_soon() or self._late(now):
            return self._restart(link)
        return False

    def _take_over(self, link):
        """Take over a transaction that the hot path has begun."""
        signals = self._signals
        signals[fastpath.SIGNAL_SERVED_HOT] = 0
        link.recall(signals[fastpath.SIGNAL_SIZE], signals[SIGNAL_PHASE] != fastpath.PHASE_ANSWER)

    def _released_too_soon(self):
        """CS rose in the middle of a phase."""
        return self._signals[fastpath.SIGNAL_RELEASED] != 0 and self._target.clocked() > 0

    def _late(self, now):
        """True when a phase has lasted PHASE_TIMEOUT_MS; a header may take any time."""
        signals = self._signals
        waited = ticks_diff(now, signals[fastpath.SIGNAL_SINCE])
        return signals[SIGNAL_PHASE] != PHASE_HEADER and waited >= fastpath.PHASE_TIMEOUT_MS

    def _end_if_released(self, link, now):
        if not (self._cs.value() or self._late(now)):
            return False
        link.finish()
        self._next_header(link)
        return True

    def _restart(self, link):
        self.restarts += 1
        self._target.disarm()
        if self._signals[SIGNAL_PHASE] == fastpath.PHASE_ENDING:
            link.finish()  # the controller has the whole answer, but did not raise CS
        elif self._signals[SIGNAL_PHASE] != PHASE_HEADER:
            link.cut()
        self._next_header(link)
        return True

    def _next_header(self, link):
        self._data_ready.value(0)
        link.begin()
        return self._next(PHASE_HEADER, FIRST_PHASE)

    def _next(self, phase, n):
        """Have turn() arm this phase of n bytes. Returns False: there is nothing to tidy up."""
        signals = self._signals
        signals[SIGNAL_PHASE] = phase
        signals[fastpath.SIGNAL_TO_ARM] = n
        return False

    def _phase_ended(self, link, now):
        signals = self._signals
        phase = signals[SIGNAL_PHASE]
        if phase == PHASE_HEADER:
            self._data_ready.value(0)
            link.answer()
            return self._next(fastpath.PHASE_ANSWER, 4)
        if phase == fastpath.PHASE_ANSWER and link.data_length:
            self._data_ready.value(0)
            link.responded()
            return self._next(fastpath.PHASE_PAYLOAD, link.data_length)
        link.complete()  # before DATA_READY falls, so that the command is done by then
        self._data_ready.value(0)
        signals[SIGNAL_PHASE] = fastpath.PHASE_ENDING
        signals[fastpath.SIGNAL_SINCE] = now
        return True

    def signal(self):
        """Tell the controller that there is news: DATA_READY falls for about 2 us and rises."""
        if self.idle():
            self._data_ready.value(0)
            self._data_ready.value(1)

    def set_clock(self, _frequency):
        """No effect: the controller drives the clock."""
