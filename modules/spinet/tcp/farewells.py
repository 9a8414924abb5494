"""Lingering close: sockets that wait for the peer's FIN after sending their own.

Closing a socket with unread bytes sends a reset, and on a reset the peer loses what it has not read
yet. So the FIN is sent first, and received bytes are discarded until the peer's FIN comes.
"""

from micropython import const

from spinet import compat
from spinet.tcp.socket_calls import err_of
from spinet.tcp.stack import is_for_now

_FAREWELLS = const(16)  # with one more, the oldest is dropped
_FAREWELL_MS = const(2000)
ROUNDS = const(8)  # reads for one event, so that a fast peer does not hold up the others


class _Farewell:
    """One such socket, or an unused entry."""

    def __init__(self, polling, calls, scratch):
        self._polling = polling
        self._calls = calls
        self._scratch = scratch
        self.sock = None  # None while there is none
        self.key = None
        self.ready = False  # set by the stack's wait(), cleared by step()
        self._deadline = 0
        self._resets = False  # at the deadline, reset if not all is acknowledged

    def begin(self, sock, key, linger_s):
        self.sock = sock
        self.key = key
        self.ready = True
        self._resets = linger_s > 0
        ms = linger_s * 1000 if self._resets else _FAREWELL_MS
        self._deadline = compat.ticks_add(compat.ticks_ms(), ms)
        self._polling.hand_over(key, self)

    def step(self):
        """False when it is over."""
        if self.ready and not self._discard():
            return False
        self.ready = False
        if compat.ticks_diff(compat.ticks_ms(), self._deadline) < 0:
            return True
        if self._resets and self._calls.in_flight(self.key) > 0:
            self._calls.reset_on_close(self.key)
        return False

    def _discard(self):
        """Read and drop what came; False after the peer's FIN or an error."""
        for _ in range(ROUNDS):
            got = self._calls.receive(self.key, self._scratch, 0, len(self._scratch))
            if got <= 0:
                return got != 0 and is_for_now(err_of(-got))
        return True

    def end(self):
        self._polling.unregister(self.key)
        self.sock.close()
        self.sock = None


class Farewells:
    """All such sockets. `active` is their number; while it is not 0, each wait ends with step()."""

    def __init__(self, polling, calls):
        scratch = bytearray(512)  # what is discarded goes here
        self.entries = [_Farewell(polling, calls, scratch) for _ in range(_FAREWELLS)]
        self.active = 0
        self._next = 0

    def begin(self, sock, key, linger_s):
        """Take over a socket whose FIN was sent. linger_s: as in the stack's linger(), not 0."""
        farewell = self.entries[self._next]
        self._next = (self._next + 1) % _FAREWELLS
        if farewell.sock is not None:
            self._end(farewell)
        farewell.begin(sock, key, linger_s)
        self.active += 1

    def step(self):
        """Read what came, and close those whose deadline has passed."""
        for farewell in self.entries:
            if farewell.sock is not None and not farewell.step():
                self._end(farewell)

    def end(self):
        """Close all."""
        for farewell in self.entries:
            if farewell.sock is not None:
                self._end(farewell)

    def _end(self, farewell):
        farewell.end()
        self.active -= 1
