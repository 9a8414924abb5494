"""Looks up host names, without making the loop wait.

getaddrinfo() waits for the network in every Python, so a worker calls it, one look-up at a time in
the whole process. The asker, in the service thread, has:

    asker.is_waiting(lookup)        True while the answer matters; called from both threads
    asker.found(lookup, ip)         the answer: ip is a u32 of the records, 0: there is no such host

Without an answer in _LOOKUP_MS the host counts as not found. A later answer is dropped, and so is
one that its asker no longer waits for.
"""

import socket

from micropython import const

from spinet import compat
from spinet.compat import sooner, ticks_add, ticks_diff
from spinet.fields import get_u32
from spinet.worker import Worker

_LOOKUP_MS = const(7500)  # lwIP asks its second name server after 7 s; less than a connect time-out

_UNANSWERED = const(-1)
_NAME_LENGTH = const(64)  # behind a ListenOrConnect (docs/link-protocol.md, Extensions)


def is_host_name(text):
    """Valid name of a host: 1..64 letters, digits, hyphens, dots and underscores."""
    return 1 <= len(text) <= _NAME_LENGTH and all(_is_of_name(c) for c in text)


def _is_of_name(c):
    return 97 <= c <= 122 or 65 <= c <= 90 or 45 <= c <= 46 or 48 <= c <= 57 or c == 95


def _spelled(text):
    """The address that a text spells, as a u32; _UNANSWERED: it is a name."""
    parts = text.split(b".")
    if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
        return _UNANSWERED
    return get_u32(bytes([int(part) for part in parts]), 0)


class Lookup:
    """One look-up, as a job for the worker. `key` and `port` are for the asker's use."""

    def __init__(self, name, asker, key, tcp_port, deadline, names):
        self.name = name
        self.asker = asker
        self.key = key
        self.port = tcp_port
        self.deadline = deadline
        self.ip = _spelled(name)  # the worker's thread writes a name's, once
        self._names = names

    def is_wanted(self):
        """True while the answer matters to the asker."""
        return self._names.is_open and self.asker.is_waiting(self)

    def work(self):
        """Look the name up, in the worker's thread."""
        if self.is_wanted():
            self._answer(self._names.resolve(self.name))

    def no_memory(self):
        """work() raised MemoryError: answer that the host was not found."""
        self._answer(0)

    def _answer(self, ip):
        self.ip = ip
        self._names.answered()


_worker = Worker(compat.WORKER_STACK)  # one for the process


class Names:
    """All look-ups of one Service. `bell` makes the loop call poll().

    `resolve(name)` returns an ip, 0 for none; it runs in the worker's thread and may wait.
    """

    def __init__(self, bell, resolve=None, worker=None):
        self.bell = bell
        self.resolve = resolve or address_of
        self.is_open = True  # until stop(); read in the worker's thread
        self.asked = []  # look-ups without an answer; written by the service thread
        self._worker = worker or _worker
        self._lock = None  # held while the bell is rung; made for the first look-up

    def ask(self, name, asker, key, tcp_port, now):
        """Begin to look up `name` (bytes); a later poll() calls asker.found(). A text that spells
        an address waits for no other look-up.

        Without memory for a thread, the look-up waits until the next one starts a thread.
        """
        self._lock = self._lock or compat.lock()
        lookup = Lookup(name, asker, key, tcp_port, ticks_add(now, _LOOKUP_MS), self)
        self.asked.append(lookup)
        self.bell.stir()
        if lookup.ip == _UNANSWERED:
            self._worker.retain(Lookup.is_wanted)
            self._worker.add(lookup)

    def answered(self):
        """In the worker's thread: have poll() called, unless stop() was called."""
        with self._lock:
            if self.is_open:
                self.bell.rouse()

    def poll(self, now):
        """A task: hand out the answers, and time out look-ups without one."""
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
        """Milliseconds until the first time-out; -1: there is no look-up."""
        soonest = -1
        for lookup in self.asked:
            soonest = sooner(soonest, max(0, ticks_diff(lookup.deadline, now)))
        return soonest

    def stop(self):
        """The end of the service: drop all look-ups, and ring the bell no more."""
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
            return get_u32(compat.address_peer(address), 2)
    return 0
