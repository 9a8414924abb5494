"""The time of day: 3B and 5F. It is asked for by SNTP once a driver wants it, and then each hour.

Source: RFC 4330.
"""

from random import getrandbits

from micropython import const

from spinet.compat import ticks_add, ticks_diff
from spinet.udp.datagrams import peer
from spinet.udp.ports import DatagramPort

SERVER = b"pool.ntp.org"
_PORT = const(123)
_SIZE = const(48)
_ASKS = const(0x23)  # no leap warning, version 4, client
_SERVES = const(4)  # the mode of an answer
_UNSYNCHRONIZED = const(3)  # the leap indicator of a server that does not know the time
_STRATA = const(16)  # a server of this stratum or a higher one does not know it either
_BEFORE_1970 = const(2208988800)  # seconds from 1900
_FIRST_MS = const(2000)  # until the question is repeated; twice as long each time
_LONGEST_MS = const(64000)
_AGAIN_MS = const(3600000)
_WATCH_MS = const(60000)  # ticks wrap, so seconds are counted on in time


class Clock:
    """Serves these commands. `is_up()`: there is a network to ask in."""

    def __init__(self, manager, names, is_up, stir):
        self._manager = manager
        self._names = names
        self._is_up = is_up
        self._stir = stir
        self._wanted = False
        self._seconds = 0  # since 1970, at _since; 0: unknown
        self._since = 0  # ticks
        self._due = 0  # ticks: when to ask
        self._pause_ms = _FIRST_MS
        self._question = b""  # that was sent last; empty: none is under way
        self._server = b""  # the peer that was asked
        self._port = None

    # --- commands

    def time(self, request):
        if not self._wanted:
            self._wanted = True
            self._due = self._manager.now
            self._stir()
        request.begin_reply(1)
        request.put(self.seconds(), 4)

    def set_time(self, request):
        self._set(request.u(0), self._manager.now)
        request.answer_u8(0)

    # --- time passes

    def seconds(self):
        """Seconds since 1970; 0: unknown."""
        self._count_on(self._manager.now)
        return self._seconds

    def _set(self, seconds, now):
        self._seconds = seconds
        self._since = now

    def _count_on(self, now):
        passed = ticks_diff(now, self._since) // 1000
        if self._seconds and passed > 0:
            self._set(self._seconds + passed, ticks_add(self._since, passed * 1000))

    def poll(self, now):
        """A task: count on, and ask when it is time to."""
        self._count_on(now)
        if not self._wanted or not self._is_up():
            return _WATCH_MS
        left = ticks_diff(self._due, now)
        if left <= 0:
            left = self._pause_ms
            self._due = ticks_add(now, left)
            self._pause_ms = min(2 * left, _LONGEST_MS)
            self._names.ask(SERVER, self, 0, _PORT, now)
        return min(left, _WATCH_MS)

    # --- SNTP

    def is_waiting(self, _lookup):
        """See spinet.udp.names."""
        return True

    def found(self, _lookup, ip):
        """See spinet.udp.names."""
        if not ip:
            return
        try:
            self._port = self._port or DatagramPort(self._manager, self._take, 0)
        except OSError:
            return  # the question is repeated
        cookie = getrandbits(32).to_bytes(8, "big")  # the server sends it back
        self._question = bytes((_ASKS,)) + bytes(_SIZE - 9) + cookie
        self._server = peer(ip, _PORT)
        self._port.send(self._question, self._server)

    def _take(self, data, sender):
        if not self._is_answer(data, sender):
            return
        now = self._manager.now
        if not data[1]:  # a "kiss of death": the server wants to be asked less often
            self._question = b""
            self._pause_ms = _LONGEST_MS
            self._due = ticks_add(now, _LONGEST_MS)
        elif data[0] >> 6 != _UNSYNCHRONIZED and data[1] < _STRATA and any(data[40:48]):
            self._learn(int.from_bytes(data[40:44], "big"), now)

    def _is_answer(self, data, sender):
        question = self._question
        if len(data) < _SIZE or not question or sender != self._server:
            return False
        return data[24:32] == question[40:] and data[0] & 7 == _SERVES

    def _learn(self, seconds, now):
        # It wraps in 2036; what is left is right until 2106.
        self._set(seconds - _BEFORE_1970 & 0xFFFFFFFF, now)
        self._question = b""
        self._pause_ms = _FIRST_MS
        self._due = ticks_add(now, _AGAIN_MS)
        self._port.close()
        self._port = None
