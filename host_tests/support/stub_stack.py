"""A scriptable TCP stack for tests: the contract of `spinet.tcp.stack`, and peers without network.

It is modelled on lwIP as the chips run it: a send buffer of 5744 bytes, a receive window of the
same size that only recved() opens, "room" reported above 2881 free bytes only, an end that shows
in lwIP's order, stale handles refused and counted. Time does not pass in it, nothing is sent
again; what a test wants to go wrong it says with inject().
"""

import struct
import threading
from collections import deque

from stub_udp import StubUdp

from spinet.tcp.stack import (
    DATAGRAMS,
    ERR_ABRT,
    ERR_CLSD,
    ERR_CONN,
    ERR_MEM,
    ERR_OK,
    ERR_RST,
    ERR_USE,
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

CONNECTIONS = 9
LISTENERS = 9
SEND_BUFFER = 5744  # TCP_SND_BUF
WINDOW = 5744  # TCP_WND
ROOM_ABOVE = 2881  # free bytes of the send buffer from which on "room" is reported
PEER_WINDOW = 4096  # what a peer acknowledges before its application has read
CALLS_IN_A_TURN = 2000  # more than any handler needs between two waits


class Spinning(AssertionError):
    """The firmware asks the stack again and again for what cannot get better."""


class _Pcb:
    """One connection as the stack sees it. It outlives its handle while data is in flight."""

    def __init__(self, stack, local_port, remote_port):
        self.stack = stack
        self.local_port = local_port
        self.remote_port = remote_port
        self.handle = 0  # 0 before accept and after close or abort
        self.early = 0  # events from before accept handed it out
        self.alive = True  # there is a PCB: False after a reset
        self.connecting = False
        self.sent = bytearray()  # written by the firmware, not acknowledged
        self.fell_short = False  # a write did not get all it wanted: report room
        self.inbox = bytearray()  # received, not read
        self.end_mark = 0  # the error that read() shows after the last byte, once
        self.pending_error = 0  # the error that either path shows, once
        self.why = 0
        self.discard = False
        self.window = WINDOW  # what the peer may send
        self.unreported = 0  # read, but recved() has not been called for it
        self.closing = False  # closed by the firmware, still delivering
        self.linger_s = -1  # as chosen; but no time passes here

    def note(self, events):
        if self.handle:
            self.stack.note(self.handle, events)
        else:
            self.early |= events

    def breaks(self, error):
        """The PCB is gone: a reset, a time-out of the stack's."""
        if not self.alive:
            return
        self.alive = False
        self.sent.clear()
        self.end_mark = self.pending_error = self.why = error
        self.note(EVENT_ERROR | EVENT_DATA | EVENT_ROOM)

    def take_error(self):
        error, self.pending_error = self.pending_error, 0
        return error

    def drop_input(self):
        """Discarded bytes open the window as read ones do."""
        self.window += len(self.inbox) + self.unreported
        self.unreported = 0
        self.inbox.clear()


class StubPeer:
    """The other end of one connection, with an application that reads in received() only."""

    def __init__(self, pcb):
        self._pcb = pcb
        self._buffer = bytearray()  # acknowledged, not read by the application
        self.got = bytearray()  # everything the application has read
        self.ended = None  # how the firmware ended it: "fin" or "reset"
        self._gone = False
        self._frozen = False
        pcb.peer = self

    # --- what the peer does

    def send(self, data):
        """Send as much as the window allows; returns how much that was."""
        pcb = self._pcb
        n = min(len(data), pcb.window)
        if pcb.alive and not pcb.closing and n:
            pcb.window -= n
            pcb.inbox += data[:n]
            if pcb.discard:
                pcb.drop_input()
            pcb.note(EVENT_DATA)
        return n

    def fin(self):
        """Close the sending half; what the firmware sends is still read."""
        pcb = self._pcb
        if pcb.alive and not pcb.end_mark:
            pcb.end_mark = ERR_CLSD
            pcb.note(EVENT_CLOSED | EVENT_DATA)

    def close(self):
        """Close both halves: the next byte from the firmware is answered with a reset."""
        self._gone = True
        self.fin()

    def reset(self):
        self._gone = True
        self._pcb.breaks(ERR_RST)

    def received(self):
        """Read all there is; returns everything read so far."""
        while self._buffer:
            self.got += self._buffer
            self._buffer.clear()
            self.acknowledge()
        return bytes(self.got)

    def freeze(self):
        """Vanish: acknowledge nothing any more."""
        self._frozen = True

    def thaw(self):
        self._frozen = False
        self.acknowledge()

    # --- the peer's TCP

    def acknowledge(self):
        """Take from what is in flight what the peer's window allows."""
        pcb = self._pcb
        n = min(len(pcb.sent), PEER_WINDOW - len(self._buffer))
        if self._frozen or not pcb.alive:
            return
        if n and self._gone:
            pcb.breaks(ERR_RST)
            return
        self._buffer += pcb.sent[:n]
        del pcb.sent[:n]
        if pcb.closing and not pcb.sent and not self.ended:
            self.ended = "fin"
        elif pcb.fell_short and SEND_BUFFER - len(pcb.sent) > ROOM_ABOVE:
            pcb.fell_short = False
            pcb.note(EVENT_ROOM)


class _Listener:
    def __init__(self, handle, port, backlog):
        self.handle = handle
        self.port = port
        self.backlog = backlog
        self.queue = deque()  # of _Pcb, or of the error that accept() returns


class StubStack:
    """See `spinet.tcp.stack`, and the module's docstring for what is special here."""

    def __init__(self):
        self.stale = 0  # calls with handles that were already released
        self.released = []  # handles in the order of their close or abort
        self.writes = []  # (handle, bytes taken, more)
        self.calls = 0  # of read and write since the last wait
        self.credited = 0  # bytes that recved() has opened the window for
        self.unknown_in_flight = False  # as a stack that cannot know
        self.servers = {}  # port -> list of peers, None: silent; not there: refused
        self._objects = [None] * (CONNECTIONS + LISTENERS)
        self._handles = [0] * (CONNECTIONS + LISTENERS)
        self._generations = [0] * (CONNECTIONS + LISTENERS)
        self._events = [0] * (DATAGRAMS + 1)
        self.udp = StubUdp(lambda: self.note(DATAGRAMS, EVENT_DATA))
        self._overlooked = 0  # bit map: has events, but is not pending
        self._faults = {}
        self._next_port = 49152
        self._news = threading.Condition()
        self._woken = False

    # --- for tests

    def inject(self, call, *answers):
        """What the next calls do: an error, a limit on the count, or None for the usual."""
        self._faults.setdefault(call, deque()).extend(answers)

    def _fault(self, call):
        faults = self._faults.get(call)
        return faults.popleft() if faults else None

    def _error(self, call):
        fault = self._fault(call)
        return fault if fault is not None and fault < 0 else 0

    def dial(self, port):
        """A peer connects: its TCP's side of the handshake is complete. None when refused."""
        listener = self._listener_on(port)
        if listener is None or len(listener.queue) >= listener.backlog:
            return None
        pcb = _Pcb(self, port, self._ephemeral())
        peer = StubPeer(pcb)
        listener.queue.append(pcb)
        self.note(listener.handle, EVENT_ACCEPT)
        return peer

    def fail_accept(self, port, error):
        """An attempt that failed inside the stack: accept() returns the error."""
        listener = self._listener_on(port)
        listener.queue.append(error)
        self.note(listener.handle, EVENT_ACCEPT)

    def _listener_on(self, port):
        for each in self._objects:
            if isinstance(each, _Listener) and each.port == port:
                return each
        return None

    def _ephemeral(self):
        self._next_port += 1
        return self._next_port

    def answer(self, port):
        """The silent server answers every attempt that waits for it."""
        self.servers[port] = []
        self._resolve(port, self._establish)

    def refuse(self, port):
        """The silent server is gone: every attempt that waits for it is refused."""
        del self.servers[port]
        self._resolve(port, lambda pcb: pcb.breaks(ERR_RST))

    def _resolve(self, port, decide):
        for pcb in self.connections():
            if pcb.connecting and pcb.remote_port == port:
                decide(pcb)

    def connections(self):
        """Those that the firmware holds a handle of."""
        return [each for each in self._objects if isinstance(each, _Pcb)]

    def open_handles(self):
        """Of connections, not of listeners."""
        return [pcb.handle for pcb in self.connections()]

    def broken_off(self, handle, error):
        """The stack gives the connection up by itself: keepalive, retransmission."""
        self._object(handle).breaks(error)

    # --- handles

    def _object(self, h):
        index = h & INDEX_MASK
        if h <= 0 or index >= len(self._handles) or self._handles[index] != h:
            self.stale += 1
            return None
        return self._objects[index]

    def _take(self, first, last, thing):
        for index in range(first, last):
            if self._objects[index] is None:
                self._generations[index] += 1
                self._objects[index] = thing
                self._events[index] = 0
                self._handles[index] = self._generations[index] << INDEX_BITS | index
                thing.handle = self._handles[index]
                return thing.handle
        return ERR_MEM

    def _release(self, h):
        index = h & INDEX_MASK
        self._objects[index].handle = 0
        self._objects[index] = None
        self._handles[index] = 0
        self._events[index] = 0
        self.released.append(h)

    def note(self, h, events):
        """What a callback does: from any thread."""
        with self._news:
            self._events[h & INDEX_MASK] |= events
            self._overlooked &= ~(1 << (h & INDEX_MASK))
            self._news.notify()

    # --- the contract

    def listen(self, ip, port, backlog):
        error = self._error("listen")
        if error:
            return error
        if self._listener_on(port):
            return ERR_USE
        return self._take(CONNECTIONS, CONNECTIONS + LISTENERS, _Listener(0, port, backlog))

    def accept(self, h):
        listener = self._object(h)
        if listener is None:
            return ERR_CLSD
        error = self._error("accept")
        if error:
            return error
        if not listener.queue:
            return ERR_WOULDBLOCK
        pcb = listener.queue.popleft()
        return pcb if isinstance(pcb, int) else self._accepted(pcb)

    def _accepted(self, pcb):
        handle = self._take(0, CONNECTIONS, pcb)
        if handle < 0:
            self._reset(pcb)
        elif pcb.early:
            self.note(handle, pcb.early)
        return handle

    def connect(self, ip, port):
        error = self._error("connect")
        if error:
            return error
        pcb = _Pcb(self, self._ephemeral(), port)
        pcb.connecting = True
        handle = self._take(0, CONNECTIONS, pcb)
        if handle > 0 and port not in self.servers:
            pcb.breaks(ERR_RST)
        elif handle > 0 and self.servers[port] is not None:
            self._establish(pcb)
        return handle

    def _establish(self, pcb):
        pcb.connecting = False
        self.servers[pcb.remote_port].append(StubPeer(pcb))
        pcb.note(EVENT_CONNECTED | EVENT_ROOM)

    def addresses(self, h, into):
        pcb = self._object(h)
        if pcb is None:
            return ERR_CLSD
        into[0:8] = struct.pack("<HH4B", pcb.local_port, pcb.remote_port, 127, 0, 0, 1)
        return ERR_OK

    def readable(self, h):
        pcb = self._object(h)
        return len(pcb.inbox) if isinstance(pcb, _Pcb) else 0

    def read(self, h, buf, offset, n):
        self._count_call()
        pcb = self._object(h)
        if pcb is None:
            return ERR_CLSD
        fault = self._fault("read")
        if fault is not None and fault < 0:
            return self._fail(pcb, fault)
        if pcb.inbox:
            return self._give(pcb, buf, offset, min(n, len(pcb.inbox), fault or n))
        return self._empty(pcb)

    def _give(self, pcb, buf, offset, n):
        buf[offset : offset + n] = pcb.inbox[:n]
        del pcb.inbox[:n]
        pcb.unreported += n
        return n

    def _empty(self, pcb):
        """After the last byte: the mark of the end once, then the pending error, then CONN."""
        if pcb.end_mark > 0:
            return pcb.take_error() or ERR_CONN
        if pcb.end_mark:
            error, pcb.end_mark = pcb.end_mark, 1
            return error
        return ERR_WOULDBLOCK

    def _fail(self, pcb, error):
        """An error that was injected: one that is final ends the PCB as it would there."""
        if error in (ERR_RST, ERR_CLSD, ERR_ABRT, ERR_CONN):
            pcb.breaks(error)
            pcb.take_error()
        return error

    def recved(self, h, n):
        pcb = self._object(h)
        if pcb is None:
            return ERR_CLSD
        assert 0 < n <= pcb.unreported, "the window was opened for bytes that were not read"
        pcb.unreported -= n
        pcb.window += n
        self.credited += n
        return ERR_OK

    def write(self, h, buf, offset, n, more):
        self._count_call()
        pcb = self._object(h)
        if pcb is None:
            return ERR_CLSD
        fault = self._fault("write")
        if fault is not None and fault < 0:
            # For any reason "room" comes again: memory is freed, segments are acknowledged.
            pcb.note(EVENT_ROOM)
            return self._fail(pcb, fault)
        if not pcb.alive:
            return pcb.take_error() or ERR_CONN
        if pcb.connecting:
            return ERR_CONN
        room = SEND_BUFFER - len(pcb.sent)
        if fault is not None:
            room = min(room, fault)
            pcb.note(EVENT_ROOM)
        return self._queue(h, pcb, bytes(buf[offset : offset + min(n, room)]), n, more)

    def _queue(self, h, pcb, data, n, more):
        pcb.fell_short = pcb.fell_short or len(data) < n
        if not data:
            return ERR_WOULDBLOCK if n else 0
        pcb.sent += data
        self.writes.append((h, data, more))
        pcb.peer.acknowledge()
        return len(data)

    def _count_call(self):
        self.calls += 1
        if self.calls > CALLS_IN_A_TURN:
            raise Spinning(f"{self.calls} reads and writes without a wait")

    def in_flight(self, h):
        pcb = self._object(h)
        if pcb is None or not pcb.alive:
            return 0
        return -1 if self.unknown_in_flight else len(pcb.sent)

    def keepalive(self, h, *times):
        pcb = self._object(h)
        if pcb is None:
            return ERR_CLSD
        pcb.keepalive = times
        return 0

    def shutdown_rx(self, h):
        pcb = self._object(h)
        if pcb is None:
            return ERR_CLSD
        pcb.discard = True
        pcb.drop_input()
        return ERR_OK

    def linger(self, h, seconds):
        pcb = self._object(h)
        if pcb is None:
            return ERR_CLSD
        pcb.linger_s = seconds
        return ERR_OK

    def close(self, h):
        thing = self._object(h)
        if thing is None:
            return ERR_CLSD
        if isinstance(thing, _Pcb) and thing.linger_s == 0:
            return self.abort(h)
        self._release(h)
        if isinstance(thing, _Listener):
            for pcb in thing.queue:
                self._reset(pcb)
        elif thing.inbox:
            self._reset(thing)
        elif thing.alive and not thing.connecting:
            thing.closing = True
            thing.peer.acknowledge()
        return ERR_OK

    def abort(self, h):
        thing = self._object(h)
        if thing is None:
            return ERR_CLSD
        self._release(h)
        self._reset(thing)
        return ERR_OK

    def _reset(self, pcb):
        if isinstance(pcb, _Pcb) and pcb.alive:
            pcb.alive = False
            pcb.sent.clear()
            if not pcb.connecting:
                pcb.peer.ended = "reset"

    def error(self, h):
        pcb = self._object(h)
        return ERR_CLSD if pcb is None else pcb.why

    def events(self, h):
        if h != DATAGRAMS and self._object(h) is None:
            return 0
        with self._news:
            events = self._events[h & INDEX_MASK]
            self._events[h & INDEX_MASK] = 0
        return events

    def pending(self):
        return sum(1 << i for i, events in enumerate(self._events) if events) & ~self._overlooked

    def overlook(self, indexes):
        with self._news:
            self._overlooked |= indexes

    def wait(self, ms):
        self.calls = 0
        with self._news:
            self._news.wait_for(lambda: self._woken or self.pending(), ms / 1000)
            news = self._woken or self.pending() != 0
            self._woken = False
        return 1 if news else 0

    def wake(self):
        with self._news:
            self._woken = True
            self._news.notify()

    def shut(self):
        for h in self._handles:
            if h:
                self.abort(h)
