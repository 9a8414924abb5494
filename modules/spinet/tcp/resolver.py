"""Host names to addresses, without ever keeping the loop waiting.

Every Python's look-up waits for the network, so it is done in a thread: one at a time in the whole
process, begun for the first name and over with the last. The service thread asks and is answered:

    asker.is_waiting(lookup)        does the answer still matter? Asked from both threads
    asker.found(lookup, ip)         ip as a u32 of the records, 0: there is no such host

What the network does not answer in LOOKUP_MS is a host that was not found; what it answers later,
or for somebody who has gone meanwhile, is dropped.
"""

import socket

from micropython import const

from spinet import compat
from spinet.compat import ticks_add, ticks_diff

LOOKUP_MS = const(6000)  # less than the connect time-out, which it is a part of

_UNANSWERED = const(-1)
_NAME_LENGTH = const(64)  # behind a ListenOrConnect (docs/link-protocol.md, Extensions)


def is_host_name(text):
    """Valid name of a host: 1..64 letters, digits, hyphens, dots and underscores."""
    return 1 <= len(text) <= _NAME_LENGTH and all(_is_of_name(c) for c in text)


def _is_of_name(c):
    return 97 <= c <= 122 or 65 <= c <= 90 or 45 <= c <= 46 or 48 <= c <= 57 or c == 95


class Lookup:
    """One question. `key` and `port` are the asker's, for him to know what he asked it for."""

    def __init__(self, name, asker, key, tcp_port, deadline):
        self.name = name
        self.asker = asker
        self.key = key
        self.port = tcp_port
        self.deadline = deadline
        self.ip = _UNANSWERED  # written by the thread, once

    def is_wanted(self):
        """True while the answer matters to the asker."""
        return self.asker.is_waiting(self)


class Worker:
    """The thread and what it has to do. There is one for the process: `_worker`."""

    def __init__(self):
        self._lock = None  # over the two below; made by the first to need it
        self._queue = []
        self._runs = False

    def add(self, lookup, names):
        """Have it looked up; from the service thread."""
        import _thread as threads  # not everywhere: who has no threads has no network either

        self._lock = self._lock or threads.allocate_lock()
        with self._lock:
            self._queue = [job for job in self._queue if job[0].is_wanted()]
            self._queue.append((lookup, names))
            begins = not self._runs
            self._runs = True
        if begins:
            self._begin()

    def _begin(self):
        try:
            compat.start_thread(self._run, (), compat.WORKER_STACK)
        except OSError:
            self._runs = False  # no memory for a thread now: the next name tries again

    def forget(self, names):
        """These are asked no more: when this returns, nobody is told of an answer for them."""
        if self._lock:
            with self._lock:
                names.is_open = False

    def _run(self):
        job = self._next()
        while job:
            self._look_up(*job)
            job = self._next()

    def _look_up(self, lookup, names):
        if names.is_open and lookup.is_wanted():
            try:
                lookup.ip = names.resolve(lookup.name)
            except MemoryError:  # a thread that ended here would leave _runs set for ever
                lookup.ip = 0
            with self._lock:
                if names.is_open:
                    names.wake()

    def _next(self):
        """The next job; without one the thread is over, and the next name begins another."""
        with self._lock:
            job = self._queue.pop(0) if self._queue else None
            self._runs = job is not None
        return job


_worker = Worker()


class Names:
    """The questions of one life of the service. `wake` brings a step() about, from any thread.

    `resolve(name)` gives an ip, 0 for none, and may take its time: it runs in the thread.
    """

    def __init__(self, wake, resolve=None, worker=None):
        self.wake = wake
        self.resolve = resolve or address_of
        self.is_open = True  # cleared by Worker.forget(), read by its thread
        self.asked = []  # lookups without an answer; written by the service thread
        self._worker = worker or _worker

    def ask(self, name, asker, key, tcp_port, now):
        """Begin to look `name` (bytes) up; asker.found() is called by a step()."""
        lookup = Lookup(name, asker, key, tcp_port, ticks_add(now, LOOKUP_MS))
        self.asked.append(lookup)
        self._worker.add(lookup, self)

    def step(self, now):
        """Hand out answers, and no for an answer where none came in time."""
        done = [each for each in self.asked if _is_done(each, now)]
        self.asked = [each for each in self.asked if each not in done]
        for lookup in done:
            if lookup.is_wanted():
                lookup.asker.found(lookup, max(0, lookup.ip))

    def due_ms(self, now):
        """How long until a name has taken too long; -1: none is asked for."""
        soonest = -1
        for lookup in self.asked:
            due = max(0, ticks_diff(lookup.deadline, now))
            soonest = due if soonest < 0 else min(soonest, due)
        return soonest

    def stop(self):
        """The end of the service: no answer is waited for any more."""
        self.asked = []
        self._worker.forget(self)


def _is_done(lookup, now):
    return lookup.ip >= 0 or ticks_diff(now, lookup.deadline) >= 0 or not lookup.is_wanted()


def address_of(name):
    """The IPv4 address of a host as a u32, 0 when there is none. Waits for the network."""
    try:
        found = socket.getaddrinfo(name, 0, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return 0
    for family, _, _, _, address in found:
        if family == socket.AF_INET:
            a, b, c, d = compat.address_octets(address)
            return a | b << 8 | c << 16 | d << 24
    return 0
