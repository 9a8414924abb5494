"""The link driver of NINA's protocol: the controller selects, clocks and releases.

The module is the SPI target. READY is low while a transfer is armed; it rises as CS falls, and a
transfer ends as CS rises: the target does both, at any time (contracts/link_driver.py
has its methods). A command is two transfers, the frame and its reply, with READY high in between.

A driver that has waited too long sends its next command into the reply. So each transfer receives,
and a command that comes in the place of a reply is served.
"""

from micropython import const

from spinet import fastpath
from spinet.compat import ticks_diff

_OFF = const(0)
_COMMAND = const(1)  # armed for a command
_WORKING = const(2)  # a command waits for its answer; nothing is armed
_REPLY = const(3)  # armed with a reply
_LOOK_MS = const(10)  # how often an answer is looked for; a stack's events are looked at at once
_AWAY = (0x00, 0xFF)  # what drivers send while they read


class SelectedTarget:
    """The link driver over a target (see contracts/link_driver.py)."""

    def __init__(self, target):
        self._target = target
        self._state = _OFF
        self._deadline = 0  # ticks: when the command under way has to be answered

    def start(self, _now):
        """READY is high; the first look() arms."""
        self._state = _OFF
        self._target.disarm()

    def stop(self):
        """Serve no command any more."""
        self._state = _OFF
        self._target.disarm()

    def bind(self, kit):
        """The hot path serves nothing of this protocol."""
        kit[fastpath.KIT_ROLE] = 0

    def due_ms(self, now):
        """How many ms the loop may wait before it has to call look(); -1: no limit."""
        if self._state == _WORKING:
            return min(_LOOK_MS, max(0, ticks_diff(self._deadline, now)))
        return 0 if self._state == _OFF else -1

    def idle(self):
        """True while a command may come, and none has."""
        return self._state == _COMMAND and self._target.received() < 0

    def look(self, link, now):
        """Serve what came, or look for the answer."""
        if self._state == _OFF:
            self._arm(link, _COMMAND, 0)
        elif self._state == _WORKING:
            self._answer(link, now)
        else:
            n = self._target.received()
            if n >= 0:
                self._serve(link, n, now)
            elif self._state == _COMMAND:
                self._target.gpio0(link.commands.has_input())

    def _serve(self, link, n, now):
        """A transfer of n bytes has ended."""
        if self._state == _REPLY:
            if link.is_command(n):
                link.resync(n)
                self._answer(link, now)
            else:
                self._arm(link, _COMMAND, 0)
        elif n == 0 or link.rx[0] in _AWAY:  # a read where there was no reply
            self._arm(link, _COMMAND, 0)
        else:
            link.execute(n)
            self._answer(link, now)

    def _answer(self, link, now):
        if link.step(now):
            self._arm(link, _REPLY, link.reply_length)
        else:
            self._state = _WORKING
            self._deadline = link.deadline

    def _arm(self, link, state, n):
        self._target.gpio0(link.commands.has_input())  # before READY falls
        self._target.arm(link.tx, link.rx, n)
        self._state = state

    def signal(self):
        """This protocol has no news."""

    def set_clock(self, _frequency):
        """No effect: the controller drives the clock."""
