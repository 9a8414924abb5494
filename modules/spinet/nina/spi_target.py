"""The link driver of NINA's protocol: the controller selects, clocks and releases.

The module is the SPI target. READY is low while a transfer is armed; it rises as CS falls, and a
transfer ends as CS rises: the target does both, at any time (contracts/link_driver.py
has its methods). A command is two transfers, the frame and its reply, with READY high in between.

A driver that has waited too long sends its next command in the reply's transfer. So each transfer
receives, and a command that comes in place of a reply is served.
"""

from array import array

from micropython import const

from spinet import fastpath
from spinet.compat import ticks_diff
from spinet.fastpath import PHASE_ANSWER, PHASE_HEADER, SIGNAL_ARMED, SIGNAL_PHASE
from spinet.nina import usual

_LOOK_MS = const(10)  # how often an answer is looked for; a stack's events are looked at at once


class SelectedTarget:
    """The link driver over a target (see contracts/link_driver.py).

    PHASE is what is armed: PHASE_HEADER for a command, PHASE_ANSWER with a reply. While ARMED is 0
    they mean: not started yet, and a command that waits for its answer.
    """

    def __init__(self, target):
        self._target = target
        self._signals = array("I", [0] * fastpath.SIGNAL_WORDS)
        self._deadline = 0  # ticks: when the command under way has to be answered

    def start(self, _now):
        """READY is high; the first poll() arms."""
        self._signals[SIGNAL_PHASE] = PHASE_HEADER
        self.stop()

    def stop(self):
        """Serve no command any more."""
        self._signals[SIGNAL_ARMED] = 0
        self._target.disarm()

    def bind(self, kit):
        """Give the hot path the functions and words with which it serves this link."""
        kit[fastpath.KIT_ROLE] = fastpath.SELECTED
        kit[fastpath.KIT_SIGNALS] = self._signals
        kit[fastpath.KIT_ARM] = self._target.arm
        kit[fastpath.KIT_CLOCKED] = self._target.received
        kit[fastpath.KIT_EXCHANGE] = usual.serve
        kit[usual.KIT_GPIO0] = self._target.gpio0

    def idle(self):
        """True while a command may come, and none has."""
        signals = self._signals
        ready = signals[SIGNAL_ARMED] and signals[SIGNAL_PHASE] == PHASE_HEADER
        return bool(ready) and self._target.received() < 0

    def poll(self, link, now):
        """Arm for the first command. All else is done by the hot path, or by serve(): at once when
        a transfer has ended, and as long as a command waits for its answer."""
        signals = self._signals
        if not signals[SIGNAL_ARMED]:
            if signals[SIGNAL_PHASE] == PHASE_ANSWER:
                return min(_LOOK_MS, max(0, ticks_diff(self._deadline, now)))
            self._arm(link, PHASE_HEADER, 0)
        return 0 if self._target.received() >= 0 else -1

    def serve(self, link, now):
        """Serve what the hot path left. Returns True: the loop has to tidy up."""
        signals = self._signals
        n = self._target.received()
        if not signals[SIGNAL_ARMED]:
            self._answer(link, now)
        elif signals[SIGNAL_PHASE] == PHASE_ANSWER:
            self._resync(link, n)
        else:
            link.execute(n)
            self._answer(link, now)
        return True

    def _resync(self, link, n):
        """Bytes like a command came in place of a reply. If it is one, the next pass serves
        it, as poll() says so."""
        if link.is_command(n):
            link.resync()
            self._signals[SIGNAL_PHASE] = PHASE_HEADER
        else:
            self._arm(link, PHASE_HEADER, 0)

    def _answer(self, link, now):
        if link.step(now):
            self._arm(link, PHASE_ANSWER, link.reply_length)
        else:
            self._signals[SIGNAL_PHASE] = PHASE_ANSWER
            self._signals[SIGNAL_ARMED] = 0
            self._deadline = link.deadline

    def _arm(self, link, phase, n):
        link.refresh()  # GPIO0 is right before READY falls
        self._signals[SIGNAL_PHASE] = phase
        self._signals[SIGNAL_ARMED] = 1
        self._target.arm(link.tx, link.rx, n)

    def signal(self):
        """No effect: this protocol signals no news."""

    def set_clock(self, _frequency):
        """No effect: the controller drives the clock."""
