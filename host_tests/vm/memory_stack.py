"""A TCP stack whose network is memory, for machines that have none: see spinet.tcp.stack.

Its peers are objects of the same program. Like a real stack it allocates for opening alone: its
starred methods and what a peer does run with the heap locked. wait() does not sleep.
"""

from spinet.fastpath import copy
from spinet.tcp.ring import rings
from spinet.tcp.stack import (
    ERR_CLSD,
    ERR_MEM,
    ERR_OK,
    ERR_RST,
    ERR_USE,
    ERR_VAL,
    ERR_WOULDBLOCK,
    EVENT_ACCEPT,
    EVENT_CLOSED,
    EVENT_CONNECTED,
    EVENT_DATA,
    EVENT_ERROR,
    EVENT_ROOM,
    INDEX_BITS,
    INDEX_MASK,
)

LISTENERS = 8
PEER_PORT = 50000
LOOPBACK = b"\x7f\x00\x00\x01"


def put(ring, buf, offset, n):
    """Append n bytes to a ring with room for them, in place as a stack does."""
    while n:
        run = min(n, ring.room())
        copy(ring.memory, buf, ring.head() << 16 | offset, run)
        ring.filled(run)
        offset += run
        n -= run


class Peer:
    """The other end of a connection. `ended` is "fin" or "reset" once we have ended it."""

    def __init__(self, stack):
        self._stack = stack
        self.entry = None  # from accept() or connect() on, until it is over
        self.pushed = False  # the last byte that came was meant to be pushed
        self.ended = ""

    def send(self, buf, offset, n):
        """Up to n bytes; how many the window had room for."""
        entry = self.entry
        n = min(n, entry.inbox.free())
        if not entry.discard:
            put(entry.inbox, buf, offset, n)
            self._stack.note(entry, EVENT_DATA)
        return n

    def take(self, buf, offset, n):
        """Receive and acknowledge up to n bytes."""
        if self.entry is None:
            return 0
        n = self.entry.outbox.get(buf, offset, n)
        if n:
            self._stack.note(self.entry, EVENT_ROOM)
        return n

    def finish(self):
        """Send FIN."""
        self.entry.finished = True
        self._stack.note(self.entry, EVENT_CLOSED)

    def reset(self):
        """Send RST: what was received before stays readable, nothing is in flight any more."""
        entry = self.entry
        self.entry = None
        entry.error = ERR_RST
        entry.outbox.clear()
        self._stack.note(entry, EVENT_ERROR)


class _Entry:
    """One handle: a connection, or a listener (without rings)."""

    def __init__(self, index, inbox, outbox):
        self.index = index
        self.inbox = inbox
        self.outbox = outbox
        self.generation = 0
        self.handle = 0  # 0 while unused
        self.events = 0
        self.error = 0
        self.finished = False  # the peer's FIN came
        self.discard = False
        self.port = 0  # ours
        self.peer_port = 0
        self.peer = None
        self.queue = []  # of a listener: peers that wait to be accepted


class MemoryStack:
    """The contract of spinet.tcp.stack; dial() and `servers` are the network's side of it.

    Each connection has two rings: `buffers`, or new ones of `ring` bytes.
    """

    def __init__(self, connections=8, ring=2048, buffers=None):
        buffers = buffers or rings(2 * connections, ring)
        self._connections = connections
        self._entries = [
            _Entry(i, buffers[2 * i], buffers[2 * i + 1]) for i in range(connections)
        ] + [_Entry(connections + i, None, None) for i in range(LISTENERS)]
        self._pending = 0
        self.udp = None  # this network has none
        self._woken = False
        self.servers = {}  # port -> peers of outgoing connections; any other port refuses

    # --- the network

    def dial(self, port):
        """A peer whose connection waits to be accepted; None without a listener there."""
        for entry in self._entries[self._connections :]:
            if entry.handle and entry.port == port:
                peer = Peer(self)
                entry.queue.append(peer)
                self.note(entry, EVENT_ACCEPT)
                return peer
        return None

    def note(self, entry, events):
        """Something happened to it."""
        entry.events |= events
        self._pending |= 1 << entry.index

    # --- handles

    def _entry(self, h):
        index = h & INDEX_MASK
        if h <= 0 or index >= len(self._entries) or self._entries[index].handle != h:
            return None
        return self._entries[index]

    def _occupy(self, first, last):
        for i in range(first, last):
            entry = self._entries[i]
            if not entry.handle:
                entry.generation += 1
                entry.handle = entry.generation << INDEX_BITS | i
                entry.error = 0
                entry.finished = entry.discard = False
                return entry
        return None

    def _release(self, entry, how):
        if entry.peer is not None:
            entry.peer.ended = entry.peer.ended or how
            entry.peer.entry = None
            entry.peer = None
        if entry.inbox is not None:
            entry.inbox.clear()
            entry.outbox.clear()
        entry.handle = 0
        entry.events = 0
        self._pending &= ~(1 << entry.index)
        return ERR_OK

    # --- opening

    def listen(self, _ip, port, _backlog):
        for entry in self._entries[self._connections :]:
            if entry.handle and entry.port == port:
                return ERR_USE
        entry = self._occupy(self._connections, len(self._entries))
        if entry is None:
            return ERR_MEM
        entry.port = port
        entry.queue.clear()
        return entry.handle

    def accept(self, h):
        listener = self._entry(h)
        if listener is None:
            return ERR_CLSD
        if not listener.queue:
            return ERR_WOULDBLOCK
        entry = self._occupy(0, self._connections)
        if entry is None:
            return ERR_MEM
        self._join(entry, listener.queue.pop(0), listener.port, PEER_PORT + entry.index)
        return entry.handle

    def _join(self, entry, peer, port, peer_port):
        entry.peer = peer
        peer.entry = entry
        entry.port = port
        entry.peer_port = peer_port

    def connect(self, _ip, port):
        entry = self._occupy(0, self._connections)
        if entry is None:
            return ERR_MEM
        peer = Peer(self)
        self._join(entry, peer, PEER_PORT - 1 - entry.index, port)
        if port in self.servers:
            self.servers[port].append(peer)
            self.note(entry, EVENT_CONNECTED | EVENT_ROOM)
        else:
            peer.reset()
        return entry.handle

    def addresses(self, h, into):
        entry = self._entry(h)
        if entry is None:
            return ERR_CLSD
        into[0] = entry.port & 0xFF
        into[1] = entry.port >> 8
        into[2] = entry.peer_port & 0xFF
        into[3] = entry.peer_port >> 8
        for i in range(4):
            into[4 + i] = LOOPBACK[i]
        return ERR_OK

    # --- moving bytes

    def readable(self, h):
        entry = self._entry(h)
        return entry.inbox.count if entry else 0

    def read(self, h, buf, offset, n):
        entry = self._entry(h)
        if entry is None:
            return ERR_CLSD
        got = entry.inbox.get(buf, offset, n)
        if got:
            return got
        return entry.error or (ERR_CLSD if entry.finished else ERR_WOULDBLOCK)

    def recved(self, h, _n):
        return ERR_OK if self._entry(h) else ERR_CLSD

    def write(self, h, buf, offset, n, more):
        entry = self._entry(h)
        if entry is None:
            return ERR_CLSD
        if entry.error:
            return entry.error
        taken = min(n, entry.outbox.free())
        put(entry.outbox, buf, offset, taken)
        entry.peer.pushed = taken == n and not more
        return taken

    def in_flight(self, h):
        entry = self._entry(h)
        return entry.outbox.count if entry else 0

    # --- ending

    def shutdown_rx(self, h):
        entry = self._entry(h)
        if entry is None:
            return ERR_CLSD
        entry.discard = True
        entry.inbox.clear()
        return ERR_OK

    def close(self, h):
        entry = self._entry(h)
        return self._release(entry, "fin") if entry else ERR_CLSD

    def abort(self, h):
        entry = self._entry(h)
        return self._release(entry, "reset") if entry else ERR_CLSD

    def shut(self):
        for entry in self._entries:
            if entry.handle:
                self._release(entry, "reset")

    # --- events

    def error(self, h):
        entry = self._entry(h)
        return entry.error if entry else ERR_CLSD

    def events(self, h):
        entry = self._entry(h)
        if entry is None:
            return 0
        events = entry.events
        entry.events = 0
        self._pending &= ~(1 << entry.index)
        return events

    def pending(self):
        return self._pending

    def overlook(self, indexes):
        self._pending &= ~indexes

    def linger(self, _h, _seconds):
        """No time passes here."""
        return ERR_VAL

    def keepalive(self, _h, _idle, _interval, _count):
        return 0  # a peer in memory is never silent

    def wait(self, _ms):
        woken = self._woken or self._pending != 0
        self._woken = False
        return 1 if woken else 0

    def wake(self):
        self._woken = True
