"""Host names to addresses, without ever keeping the loop waiting.

Every Python's look-up waits for the network, so a worker does it, one at a time in the whole
process. The service thread asks and is answered:

    asker.is_waiting(lookup)        does the answer still matter? Asked from both threads
    asker.found(lookup, ip)         ip as a u32 of the records, 0: there is no such host

What the network does not answer in LOOKUP_MS is a host that was not found; what it answers later,
or for somebody who has gone meanwhile, is dropped.
"""

import socket

from micropython import const

from spinet import compat
from spinet.compat import ticks_add, ticks_diff
from spinet.worker import Worker

LOOKUP_MS = const(6000)  # less than the connect time-out, which it is a part of

_UNANSWERED = const(-1)
_NAME_LENGTH = const(64)  # behind a ListenOrConnect (docs/link-protocol.md, Extensions)


def is_host_name(text):
    """Valid name of a host: 1..64 letters, digits, hyphens, dots and underscores."""
    return 1 <= len(text) <= _NAME_LENGTH and all(_is_of_name(c) for c in text)


def _is_of_name(c):
    return 97 <= c <= 122 or 65 <= c <= 90 or 45 <= c <= 46 or 48 <= c <= 57 or c == 95


class Lookup:
    """One question, and a job for the worker. `key` and `port` are the asker's: what it is for."""

    def __init__(self, name, asker, key, tcp_port, deadline, names):
        self.name = name
        self.asker = asker
        self.key = key
        self.port = tcp_port
        self.deadline = deadline
        self.ip = _UNANSWERED  # written in the thread, once
        self._names = names

    def is_wanted(self):
        """True while the answer matters to the asker."""
        return self._names.is_open and self.asker.is_waiting(self)

    def work(self):
        """See Worker: in its thread."""
        if self.is_wanted():
            self._answer(self._names.resolve(self.name))

    def no_memory(self):
        """See Worker: in its thread."""
        self._answer(0)

    def _answer(self, ip):
        self.ip = ip
        self._names.answered()


_worker = Worker(compat.WORKER_STACK)  # the one of the process


class Names:
    """The questions of one life of the service. `bell` brings a poll() about.

    `resolve(name)` gives an ip, 0 for none, and may take its time: it runs in the thread.
    """

    def __init__(self, bell, resolve=None, worker=None):
        self.bell = bell
        self.resolve = resolve or address_of
        self.is_open = True  # until stop(); read in the thread
        self.asked = []  # lookups without an answer; written by the service thread
        self._worker = worker or _worker
        self._lock = None  # held while the bell is rung; made for the first question

    def ask(self, name, asker, key, tcp_port, now):
        """Begin to look `name` (bytes) up; asker.found() is called by a poll().

        Without memory for a thread now, the next question begins one.
        """
        self._lock = self._lock or compat.lock()
        lookup = Lookup(name, asker, key, tcp_port, ticks_add(now, LOOKUP_MS), self)
        self.asked.append(lookup)
        self.bell.stir()
        self._worker.retain(Lookup.is_wanted)
        self._worker.add(lookup)

    def answered(self):
        """In the thread: a poll() is to look at an answer, unless stop() was called."""
        with self._lock:
            if self.is_open:
                self.bell.rouse()

    def poll(self, now):
        """A task: hand out answers, and no for an answer where none came in time."""
        if self.asked:
            self._answer_all(now)
        return self._due_ms(now)

    def _answer_all(self, now):
        done = [each for each in self.asked if _is_done(each, now)]
        self.asked = [each for each in self.asked if each not in done]
        for lookup in done:
            if lookup.is_wanted():
                lookup.asker.found(lookup, max(0, lookup.ip))

    def _due_ms(self, now):
        """Until a name has taken too long."""
        soonest = -1
        for lookup in self.asked:
            due = max(0, ticks_diff(lookup.deadline, now))
            soonest = due if soonest < 0 else min(soonest, due)
        return soonest

    def stop(self):
        """The end of the service: no answer is waited for, and the bell is left alone."""
        self.asked = []
        if self._lock:
            with self._lock:
                self.is_open = False


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
