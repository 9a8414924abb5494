"""The eight slots: each one a connection's state machine with two owners.

A slot is held by the stack (it has a handle), by the controller, or by both, and is free when
neither holds it. Which of them holds it can be read from the state:

    state            stack   controller
    free             no      no           waiting for a peer or for connCreate
    allocated        no      yes          taken, nothing opened yet
    connecting       maybe   yes          SYN sent; or not yet: the peer's name is looked up
    connected        yes     yes          also while unread data of a peer that left is here
    otherEndClosed   maybe   yes          the peer is gone and everything was read
    aborted          no      yes          broken; the controller has yet to notice
    closePending     yes     no           the controller closed; data is still in flight
    closeReady       no      no           over; reap() frees it at its one place in the loop

Everything here runs in the service thread. Nothing in read, write, status or an event allocates.
"""

from array import array

import micropython
from micropython import const

from spinet import compat, states, trace
from spinet.compat import ticks_add, ticks_diff
from spinet.duet import wire
from spinet.fastpath import (
    ALL_SLOTS,
    FACT_BROKEN,
    FACT_ENDING,
    FACT_FOREIGN,
    FACT_STATE,
    KIT_MARKS,
    KIT_MEMORY,
    KIT_PLACES,
    KIT_READABLE,
    KIT_RECORDS,
    KIT_ROWS,
    KIT_WRITE,
    MARK_COUNT,
    MARK_FLUSH_AT,
    MARK_PUSHED,
    MARK_URGENT,
    ROW_CLOSED,
    ROW_CONNECTED,
    ROW_DELIVER,
    ROW_HANDLE,
    ROW_INTEREST,
    ROW_OCCUPIED,
    ROW_OVER,
    ROW_OWED,
    ROW_OWNED,
    ROW_SEEN,
    ROW_SOONEST,
    ROW_TIMED,
    ROW_WORDS,
    ROW_WRITING,
    STORE_COUNT,
    STORE_OFFSET,
    STORE_PUSH,
    drain,
    settle,
    store,
)
from spinet.tcp import status
from spinet.tcp.ring import RING_SIZE, rings
from spinet.tcp.stack import (
    ERR_CLSD,
    ERR_CONN,
    EVENT_CLOSED,
    EVENT_CONNECTED,
    EVENT_ERROR,
    EVENT_ROOM,
    EVENTS_ALL,
    INDEX_MASK,
    is_for_now,
    peer_is_gone,
)

CONNECT_TIMEOUT_MS = const(8000)  # of an outgoing attempt
ACKNOWLEDGE_TIMEOUT_MS = const(4000)  # a close waits this long for an acknowledgement
CLOSE_LIMIT_MS = const(30000)  # and this long in all, however slowly they trickle in
WRITE_TIMEOUT_MS = const(60000)  # nothing is acknowledged for this long: nobody is there
WATCH_MS = const(1000)  # how often that is looked at
KEEP_IDLE_S = const(60)  # silence of a connection before the stack asks whether the peer lives
KEEP_INTERVAL_S = const(10)
KEEP_COUNT = const(3)  # questions without an answer
LINGER_DEFAULT = const(-1)  # a close takes the times above
CLOSE_POLL_MS = const(10)  # how often in_flight is asked: no stack reports an acknowledgement

_NO_HANDLE = const(0)

_FREE = const(0)
_CONNECTING = const(1)
_CONNECTED = const(2)
_OTHER_END_CLOSED = const(3)
_ABORTED = const(4)
_CLOSE_PENDING = const(5)
_CLOSE_READY = const(6)
_ALLOCATED = const(7)

# The legal moves: for each state, the set of states that may follow, as a bit map.
_LEGAL = bytes(
    (
        1 << _ALLOCATED,  # free
        1 << _CONNECTED | 1 << _ABORTED | 1 << _CLOSE_READY,  # connecting
        1 << _OTHER_END_CLOSED | 1 << _ABORTED | 1 << _CLOSE_PENDING | 1 << _CLOSE_READY,
        1 << _ABORTED | 1 << _CLOSE_PENDING | 1 << _CLOSE_READY,  # otherEndClosed
        1 << _CLOSE_READY,  # aborted
        1 << _CLOSE_READY,  # closePending
        1 << _FREE,  # closeReady
        1 << _CONNECTING | 1 << _CONNECTED | 1 << _ABORTED | 1 << _CLOSE_READY,  # allocated
    )
)

_HELD_BY_CONTROLLER = const(
    1 << _ALLOCATED | 1 << _CONNECTING | 1 << _CONNECTED | 1 << _OTHER_END_CLOSED | 1 << _ABORTED
)


class IllegalMove(Exception):
    """A state change or a reference that only a bug of ours can cause (debug builds)."""


class Connection:
    """One slot. `token` changes whenever the slot is freed: a stale one is noticed."""

    def __init__(self, number, manager, ring):
        self.number = number
        self.state = states.FREE  # written by _set_state only
        self.generation = 0  # counts the lives of this slot; written by _free only
        self.listener = None  # whose accept made it; until that listener stops
        self.record = bytearray(status.SIZE)
        self._manager = manager
        self._rows = manager.rows
        self._kit = manager.kit
        self._stack = manager.stack  # whose handle it is; there is one other, TLS
        self._facts = number  # what settle() is told besides the state
        self._secured = None  # what connect() over TLS believes, and whom; by secure() and free()
        self._ring = ring  # accepted from the controller, not yet taken by the stack
        self._handle = _NO_HANDLE
        self._ending = (
            0  # why the peer is gone, while there is still data to read; 0 while it is not
        )
        self._marks = ring.marks  # of the ring, and how its bytes are to leave
        self._deadline = 0  # of connecting, or of the next acknowledgement while closing
        self._close_limit = 0
        self._patience_ms = 0  # of a close, for the next acknowledgement
        self._unacknowledged = 0  # in flight when last asked, while closing
        self._moved_at = 0  # when the last acknowledgement was noticed
        self._watched = False  # step_write() has begun to watch; it ends that itself
        status.clear(self.record, number)

    # --- states and owners

    def _set_state(self, state):
        """The only writer of `state`: knows the legal moves and keeps the manager's bit maps."""
        if not _LEGAL[self.state] & 1 << state:
            self._manager.fault("slot %d: %d -> %d" % (self.number, self.state, state))
            return False
        self.state = state
        settle(self._kit, self._facts | state << FACT_STATE)
        trace.note(trace.STATE, self.number, state, self.generation)
        if state == _CONNECTED or state == _CONNECTING:
            _trace_peer(self.number, self.record)
        return True

    def _end_with(self, reason):
        """The only writer of `_ending`."""
        if reason == self._ending:
            return
        self._ending = reason
        self._facts &= ~(FACT_ENDING | FACT_BROKEN)
        if reason:
            self._facts |= FACT_ENDING if reason == ERR_CLSD else FACT_ENDING | FACT_BROKEN

    def _serve_by(self, stack):
        """The only writer of `_stack`: what the slot is asked for goes to that one."""
        if stack is not self._stack:
            self._stack = stack
            self._facts ^= FACT_FOREIGN
            self._manager.use(self.number, stack)

    def _publish(self):
        """Tell what the hot path goes by; called wherever one of these has changed."""
        settle(self._kit, self._facts | self.state << FACT_STATE)

    def held_by_controller(self):
        """True while the controller has to let go before the slot can be free."""
        return _HELD_BY_CONTROLLER >> self.state & 1 == 1

    def held_by_stack(self):
        """True while the stack has a connection for this slot."""
        return self._handle != _NO_HANDLE

    def handle(self):
        """The stack's handle, 0 when it has let go."""
        return self._handle

    def token(self):
        """A reference to this life of the slot, for ConnectionManager.resolve()."""
        return self.generation << 3 | self.number

    def allocate(self, protocol):
        """free -> allocated: the controller's from here on, before any event can reach it."""
        if self._set_state(_ALLOCATED):
            status.set_owner(self.record, self.number, protocol)

    def set_protocol(self, protocol):
        """The application protocol, once connCreate's data says which."""
        status.set_owner(self.record, self.number, protocol)

    def opened(self, handle, listener, stack):
        """allocated -> connected: accept() gave us this handle of that stack."""
        self._serve_by(stack)
        self._attach(handle)
        self.listener = listener
        listener.connections += 1
        if not status.address_local_port(self._manager.addresses):
            status.set_local_port(self.record, listener.port)
        self._set_state(_CONNECTED)

    def await_address(self):
        """allocated -> connecting: connect() or give_up() follow when the name was looked up."""
        self._deadline = ticks_add(self._manager.now, CONNECT_TIMEOUT_MS)
        self._manager.hasten(self._deadline)
        self._set_state(_CONNECTING)

    def awaits_address(self):
        """True from await_address() until it is known where to connect to, or too late."""
        return self.state == _CONNECTING and self._handle == _NO_HANDLE

    def connect(self, ip, port):
        """-> connecting, or aborted when the stack refuses at once; 0, or its error.

        A look-up before it has had its part of the connect time-out.
        """
        handle = self._dial(ip, port)
        if handle < 0:
            self._set_state(_ABORTED)
            return handle
        self._attach(handle)
        if self._secured:
            self._stack.serve(handle, self)
        if self.state == _ALLOCATED:
            self._deadline = ticks_add(self._manager.now, CONNECT_TIMEOUT_MS)
            self._manager.hasten(self._deadline)
            self._set_state(_CONNECTING)
        return 0

    def _dial(self, ip, port):
        if self._secured:
            trust, name = self._secured
            return self._stack.connect(ip, port, trust, name)
        return self._stack.connect(ip, port)

    def secure(self, tls, trust, name):
        """connect() is to be over this TlsStack: connected when the handshake is done."""
        self._serve_by(tls)
        self._secured = (trust, name)

    def give_up(self):
        """allocated or connecting -> aborted: there is no way to the peer."""
        self._gone(_ABORTED)

    def _attach(self, handle):
        manager = self._manager
        self._handle = handle
        self._rows[ROW_HANDLE + self.number] = handle
        self._rows[ROW_OWED + self.number] = 0
        self._moved_at = manager.now
        manager.attach(handle, self)
        self._stack.keepalive(
            handle, manager.keep_idle_s, manager.keep_interval_s, manager.keep_count
        )
        self._update_addresses()

    def _update_addresses(self):
        addresses = self._manager.addresses
        self._stack.addresses(self._handle, addresses)
        status.set_addresses(self.record, addresses)

    def _detach(self):
        """Later events find nobody here. Returns the handle, for the stack's close or abort."""
        handle = self._handle
        self._handle = _NO_HANDLE
        self._rows[ROW_HANDLE + self.number] = _NO_HANDLE
        self._manager.detach(handle)
        self._ring.clear()
        self._end_with(0)
        self._publish()
        return handle

    def _gone(self, state):
        """The stack lets go rudely, the slot moves on to `state`."""
        if self._handle != _NO_HANDLE:
            self._stack.abort(self._detach())
        self._set_state(state)

    def free(self):
        """closeReady -> free. Called by ConnectionManager.reap() only."""
        if self._set_state(_FREE):
            self.generation += 1
            self.disowned()
            self._serve_by(self._manager.stack)
            self._secured = None
            status.clear(self.record, self.number)

    def disowned(self):
        """It counts for no listener any more."""
        if self.listener:
            self.listener.connections -= 1
            self.listener = None

    # --- what the stack reports

    def on_events(self, events):
        """Whatever happened to this connection since the last time."""
        if events & EVENT_CONNECTED and self.state == _CONNECTING:
            self._update_addresses()
            self._set_state(_CONNECTED)
        if events & EVENT_ERROR:
            self._on_error(self._stack.error(self._handle))
        elif events & EVENT_CLOSED:
            self._on_peer_gone(ERR_CLSD)
        if events & EVENT_ROOM:
            self._on_room()

    def _on_room(self):
        """Something was acknowledged."""
        if self.state == _CLOSE_PENDING:
            self.step_close(self._manager.now)
        elif self._marks[MARK_COUNT]:
            self._drain()
            self._publish()

    def _on_error(self, error):
        if is_for_now(error):
            return
        trace.note(trace.ERROR, self.number, -error, self.state)
        if self.state == _CLOSE_PENDING:
            self._gone(_CLOSE_READY)  # nothing is in flight any more
        elif self.state == _CONNECTING or not peer_is_gone(error):
            self._gone(_ABORTED)
        else:
            self._on_peer_gone(error)

    def _on_peer_gone(self, reason):
        """FIN or reset: the controller sees it when the last byte was read, not before."""
        if self.state == _CONNECTED:
            if self._ending == 0 or self._ending == ERR_CLSD:
                self._end_with(reason)  # a FIN that is noticed after a reset brings nothing back
                self._publish()
            self._end_if_read()
        elif self.state == _OTHER_END_CLOSED and reason != ERR_CLSD and self._handle:
            self._stack.abort(self._detach())  # a reset after the FIN

    def _end_if_read(self):
        if not self._ending or self._stack.readable(self._handle):
            return
        if self._ending != ERR_CLSD:
            self._stack.abort(self._detach())
        # After a FIN the peer may still be reading: the stack keeps its half.
        self._set_state(_OTHER_END_CLOSED)

    # --- reading

    def readable(self):
        """Bytes that the controller can read."""
        return self._stack.readable(self._handle) if self._handle else 0

    def read(self, buf, offset, n):
        """Up to n received bytes into buf[offset:]; returns how many, 0 when there are none."""
        if self.state != _CONNECTED:
            return 0
        stack = self._stack
        got = stack.read(self._handle, buf, offset, n)
        if got > 0:
            stack.recved(self._handle, got)
            self._end_if_read()
            return got
        self.read_failed(got)
        return 0

    def read_failed(self, error):
        """The stack had no bytes, but this error; one that is for now means nothing, nor does 0."""
        if error < 0 and not is_for_now(error):
            self._on_error(error)

    # --- writing

    def _may_send(self):
        """True while the peer can still get something: a FIN of its own does not end that."""
        if self._handle == _NO_HANDLE or not (self._ending == 0 or self._ending == ERR_CLSD):
            return False
        return self.state == _CONNECTED or self.state == _OTHER_END_CLOSED

    def cut_off(self):
        """True when everything was read and the stack has let go: nobody to write to."""
        return self.state == _OTHER_END_CLOSED and self._handle == _NO_HANDLE

    def space(self):
        """Bytes that a write will surely take."""
        return min(self._ring.free(), wire.MAX_DATA) if self._may_send() else 0

    def write(self, buf, offset, n, push):
        """Take all of buf[offset:offset + n], which space() promised. push: nothing may wait.

        False when the connection broke meanwhile: the controller will see it in the state.
        """
        if not self._may_send():
            return False
        if n > self._ring.free():
            self._manager.fault("slot %d: write beyond its space" % self.number)
            return False
        self._rows[ROW_OWED + self.number] += n
        self._rows[ROW_WRITING] |= 1 << self.number
        where = self.number | offset << STORE_OFFSET | n << STORE_COUNT
        if store(self._kit, buf, where | STORE_PUSH if push else where, self._manager.now):
            self._drain()
        self._publish()
        return self._may_send()

    def write_failed(self, error):
        """The stack took none of the ring's bytes, or not all, for this error."""
        if not is_for_now(error):
            self._on_write_error(error)

    def _gathers(self):
        """True while bytes wait that nobody asked to push."""
        return self._marks[MARK_COUNT] > self._marks[MARK_URGENT]

    def _on_write_error(self, error):
        trace.note(trace.ERROR, self.number, -error, self.state)
        if self.state == _CLOSE_PENDING:
            self._gone(_CLOSE_READY)
        elif peer_is_gone(error):
            # A FIN never fails a write: closed means more here than the peer's half.
            self._on_peer_gone(ERR_CONN if error == ERR_CLSD else error)
        else:
            self._gone(_ABORTED)

    def _drain(self):
        """Move what may leave from the ring to the stack, as far as it has room."""
        taken = drain(self._kit, self.number)
        if taken < 0:
            self.write_failed(taken)

    def step_flush(self, now):
        """What has gathered for FLUSH_MS leaves, full segment or not."""
        marks = self._marks
        if self._handle and self._gathers() and ticks_diff(now, marks[MARK_FLUSH_AT]) >= 0:
            marks[MARK_URGENT] = marks[MARK_COUNT]
            self._drain()
            self._publish()

    # --- ending

    def close(self):
        """connClose: the controller lets go; what is in flight is still delivered."""
        state = self.state
        if self._handle and (state == _CONNECTED or state == _OTHER_END_CLOSED):
            self._begin_close()
        elif self.held_by_controller():
            self._gone(_CLOSE_READY)

    def _begin_close(self):
        manager = self._manager
        linger_s = manager.linger_s
        if linger_s == 0:
            self._gone(_CLOSE_READY)
            return
        self._patience_ms = ACKNOWLEDGE_TIMEOUT_MS if linger_s < 0 else linger_s * 1000
        limit = CLOSE_LIMIT_MS if linger_s < 0 else self._patience_ms
        self._stack.linger(self._handle, linger_s)
        self._stack.shutdown_rx(self._handle)
        self._end_with(0)
        marks = self._marks
        marks[MARK_PUSHED] = marks[MARK_URGENT] = marks[MARK_COUNT]
        self._unacknowledged = -1  # the first look sets the deadline
        now = manager.now
        self._close_limit = ticks_add(now, limit)
        self._set_state(_CLOSE_PENDING)
        self.step_close(now)
        if self.state == _CLOSE_PENDING:
            manager.hasten(ticks_add(now, CLOSE_POLL_MS))

    def abort(self):
        """connAbort: both let go at once, the peer gets a reset."""
        if self.held_by_controller() or self.state == _CLOSE_PENDING:
            self._gone(_CLOSE_READY)

    def break_off(self):
        """Received bytes were lost on their way to the controller: make that visible."""
        if self.state == _CONNECTED or self.state == _OTHER_END_CLOSED:
            self._gone(_ABORTED)

    def step_close(self, now):
        """closePending: over when nothing is in flight, or when nobody acknowledges."""
        if self.state != _CLOSE_PENDING:
            return
        if self._marks[MARK_COUNT]:
            self._drain()
            if self.state != _CLOSE_PENDING:
                return  # the drain found it broken
        # -1: this stack cannot know, and finishes the delivery of what it took by itself.
        left = self._marks[MARK_COUNT] + max(0, self._stack.in_flight(self._handle))
        if not left:
            self._stack.close(self._detach())
            self._set_state(_CLOSE_READY)
        elif self._acknowledged_in_time(left, now):
            return
        else:
            self._manager.unacknowledged_closes += 1
            trace.note(trace.TIMEOUT, self.number, self.state, 0)
            self._gone(_CLOSE_READY)

    def _acknowledged_in_time(self, left, now):
        if left < self._unacknowledged or self._unacknowledged < 0:
            self._unacknowledged = left
            self._deadline = ticks_add(now, self._patience_ms)
        return ticks_diff(now, self._deadline) < 0 and ticks_diff(now, self._close_limit) < 0

    def step_connect(self, now):
        """connecting: give up after CONNECT_TIMEOUT_MS."""
        if self.state == _CONNECTING and ticks_diff(now, self._deadline) >= 0:
            self._manager.connect_timeouts += 1
            trace.note(trace.TIMEOUT, self.number, self.state, 0)
            self._gone(_ABORTED)

    def step_write(self, now):
        """connected and written to: give up when the peer acknowledges nothing for the time-out."""
        manager = self._manager
        rows = self._rows
        owed = ROW_OWED + self.number
        left = 0
        if self._may_send():
            left = self._marks[MARK_COUNT] + max(0, self._stack.in_flight(self._handle))
        if not self._watched or left < rows[owed]:
            self._moved_at = now
        elif left and ticks_diff(now, self._moved_at) >= manager.write_timeout_ms:
            manager.write_timeouts += 1
            trace.note(trace.TIMEOUT, self.number, self.state, 0)
            self._gone(_ABORTED)
            left = 0
        rows[owed] = left
        self._watched = left != 0
        if not left:
            rows[ROW_WRITING] &= ~(1 << self.number)

    def due_ms(self, now):
        """How long until one of the steps has something to do; -1: no time is set."""
        if self.state == _CLOSE_PENDING:
            return CLOSE_POLL_MS
        if self.state == _CONNECTING:
            return max(0, ticks_diff(self._deadline, now))
        if self._gathers():
            return max(0, ticks_diff(self._marks[MARK_FLUSH_AT], now))
        return -1


def _trace_peer(number, record):
    # Each value by itself: so the frame is small enough not to come from the heap.
    a = status.local_port(record)
    b = status.remote_port(record)
    trace.note(trace.PORTS, number, a, b)
    a = status.peer_pair(record, 0)
    b = status.peer_pair(record, 2)
    trace.note(trace.PEER, number, a, b)


@micropython.viper
def _lowest_clear(map: int) -> int:
    """The number of the lowest bit that is 0."""
    number = 0
    while map >> number & 1:
        number += 1
    return number


@micropython.viper
def _clear_bits(map: int) -> int:
    """How many slots have no bit there."""
    count = 0
    number = 0
    while number < 8:
        count += 1 - (map >> number & 1)
        number += 1
    return count


class ConnectionManager:
    """The eight slots over one stack. `debug`: a bug raises; else it is counted and ignored."""

    def __init__(self, stack, debug=False, buffers=None):
        self.stack = stack
        self.rows = array("I", [0] * ROW_WORDS)  # what the hot path goes by
        self.now = 0  # ticks at the start of this pass of the loop; written by service
        self.addresses = bytearray(8)  # scratch of Connection._update_addresses
        self.faults = 0  # bugs noticed in a release build
        self.stale = 0  # references to a life of a slot that is over
        self.connect_timeouts = 0
        self.unacknowledged_closes = 0
        self.write_timeouts = 0
        # How a silent peer is found out; anyone may set these, for connections to come.
        self.write_timeout_ms = WRITE_TIMEOUT_MS
        self.keep_idle_s = KEEP_IDLE_S
        self.keep_interval_s = KEEP_INTERVAL_S
        self.keep_count = KEEP_COUNT
        # What a close does, from the next one on: 0 resets at once, n tries for n seconds in all.
        self.linger_s = LINGER_DEFAULT
        self.reserved = 0  # free slots that are promised; written by reserve() and unreserve()
        self.freed = 0  # slots and promises given back so far; written by reap()
        self.returned = 0  # promises given back since the last reap()
        self._watched_at = 0  # ticks when writes were last looked at
        self._debug = debug
        self.owners = [None] * (INDEX_MASK + 1)  # stack index -> Connection or Listener
        self._plain = (stack.readable, stack.read, stack.recved, stack.write)
        # Of each slot's stack, for the hot path; see use().
        self.calls = [[call] * states.SOCKETS for call in self._plain]
        self._slab = None if buffers else compat.slab(compat.RINGS, states.SOCKETS * RING_SIZE)
        buffers = buffers or rings(states.SOCKETS, RING_SIZE, self._slab)
        self.kit = [None] * KIT_PLACES  # what the hot path calls and works on; see Service.bind()
        self.slots = [Connection(i, self, buffers[i]) for i in range(states.SOCKETS)]
        self.kit[KIT_ROWS] = self.rows
        self.kit[KIT_RECORDS] = [slot.record for slot in self.slots]
        self.kit[KIT_READABLE : KIT_WRITE + 1] = self.calls
        self.kit[KIT_MARKS] = [ring.marks for ring in buffers]
        self.kit[KIT_MEMORY] = [ring.memory for ring in buffers]

    def fault(self, text):
        """A bug of ours: loud in a debug build, counted in a release build."""
        self.faults += 1
        trace.note(trace.FAULT, trace.NO_SLOT, 0, 0)
        if self._debug:
            raise IllegalMove(text)

    @property
    def connected(self):
        """Bit map of the slots that are connected, as ConnStatus wants it."""
        return self.rows[ROW_CONNECTED]

    @property
    def closed(self):
        """Bit map of those in otherEndClosed or aborted."""
        return self.rows[ROW_CLOSED]

    @property
    def occupied(self):
        """Bit map of those that are not free."""
        return self.rows[ROW_OCCUPIED]

    @property
    def over(self):
        """Bit map of those that reap() will free."""
        return self.rows[ROW_OVER]

    def hasten(self, when):
        """Somebody has a deadline then; step() is called in time for it."""
        rows = self.rows
        if not rows[ROW_TIMED] or ticks_diff(when, rows[ROW_SOONEST]) < 0:
            rows[ROW_SOONEST] = when

    def use(self, number, stack):
        """The hot path calls this stack for that slot."""
        if stack is self.stack:
            calls = self._plain
        else:
            calls = (stack.readable, stack.read, stack.recved, stack.write)
        for i in range(len(calls)):
            self.calls[i][number] = calls[i]

    # --- slots

    def allocate(self, protocol):
        """A slot that was free, now allocated; None when all are taken or promised."""
        if not self.has_free_slot():
            return None
        slot = self.slots[_lowest_clear(self.rows[ROW_OCCUPIED])]
        slot.allocate(protocol)
        return slot

    def has_free_slot(self):
        """True when allocate() would succeed."""
        occupied = self.rows[ROW_OCCUPIED]
        if not self.reserved:
            return occupied != ALL_SLOTS
        return _clear_bits(occupied) > self.reserved

    def reserve(self):
        """Promise a free slot to a connection that is yet to stand; False when there is none."""
        if not self.has_free_slot():
            return False
        self.reserved += 1
        return True

    def unreserve(self):
        """As before reserve(); whoever waits for a slot is served after the next reap()."""
        self.reserved -= 1
        self.returned += 1

    def living(self, token):
        """The slot of a token() while that life of it lasts, else None: nobody's fault."""
        slot = self.slots[token & 7]
        return slot if slot.generation == token >> 3 and slot.state != _FREE else None

    def resolve(self, token):
        """The slot of a token(), or None when that life of it is over."""
        slot = self.slots[token & 7]
        if slot.generation == token >> 3 and slot.state != _FREE:
            return slot
        self.stale += 1
        self.fault("stale reference to slot %d" % slot.number)
        return None

    def adopt(self, handle, listener, tls=None):
        """A freshly accepted handle becomes a connection; None (and a reset) without a slot."""
        stack = tls or self.stack
        slot = self.allocate(listener.protocol)
        if slot is None:
            stack.abort(handle)
            return None
        slot.opened(handle, listener, stack)
        return slot

    def disown(self, listener):
        """This listener is gone; its connections live on without it."""
        for slot in self.slots:
            if slot.listener is listener:
                slot.disowned()

    def shut(self):
        """The end: nobody uses the slots any more, nor what the rings are in."""
        if self._slab:
            compat.give_back(self._slab)
            self._slab = None

    def terminate_all(self):
        """networkStop: every connection is reset; the loop frees the slots."""
        for slot in self.slots:
            slot.abort()

    # --- events

    def attach(self, handle, owner):
        """Events of this handle go to owner.on_events()."""
        index = handle & INDEX_MASK
        self.owners[index] = owner
        self.rows[ROW_OWNED + index] = handle
        self.rows[ROW_INTEREST + index] = EVENTS_ALL
        self.rows[ROW_SEEN + index] = 0

    def detach(self, handle):
        """Events of this handle go nowhere."""
        index = handle & INDEX_MASK
        self.owners[index] = None
        self.rows[ROW_OWNED + index] = 0
        self.rows[ROW_SEEN + index] = 0

    def dispatch(self):
        """Hand out what the stack has recorded. Handlers may close, open and stop anything."""
        self.rows[ROW_DELIVER] = self.stack.pending()
        self.deliver()

    def deliver(self):
        """Hand out the events of the indexes in DELIVER: what was seen, and what came since."""
        rows = self.rows
        left = rows[ROW_DELIVER]
        rows[ROW_DELIVER] = 0
        index = 0
        while left:
            if left & 1:
                self._deliver(rows, index)
            left >>= 1
            index += 1

    def _deliver(self, rows, index):
        handle = rows[ROW_OWNED + index]
        if not handle:
            self.stack.overlook(1 << index)  # somebody else's: no wait shall end for it again
            return
        events = rows[ROW_SEEN + index] | self.stack.events(handle) & rows[ROW_INTEREST + index]
        rows[ROW_SEEN + index] = 0
        if events:
            self.owners[index].on_events(events)

    def step(self, now):
        """Time passes: flush, give up, finish closing."""
        if self.rows[ROW_TIMED]:
            self._step_timed(now)
        if ticks_diff(now, self._watched_at) >= WATCH_MS:
            self._watched_at = now
            for slot in self.slots:
                if self.rows[ROW_WRITING] >> slot.number & 1:
                    slot.step_write(now)

    def _step_timed(self, now):
        for slot in self.slots:
            if self.rows[ROW_TIMED] >> slot.number & 1:
                slot.step_connect(now)
                slot.step_flush(now)
                slot.step_close(now)
        self.rows[ROW_SOONEST] = ticks_add(now, max(0, self.due_ms(now)))

    def step_if_due(self, now):
        """step(), when there is something for it to do."""
        rows = self.rows
        if (rows[ROW_TIMED] and ticks_diff(now, rows[ROW_SOONEST]) >= 0) or (
            ticks_diff(now, self._watched_at) >= WATCH_MS  # always: ticks wrap while nobody writes
        ):
            self.step(now)

    def reap(self):
        """Free what nobody holds: the only place where a slot becomes free.

        Returns how many are free now that were not: slots, and promises given back.
        """
        count = self.returned
        over = self.rows[ROW_OVER]
        if not over and not count:
            return 0
        self.returned = 0
        number = 0
        while over:
            if over & 1:
                self.slots[number].free()
                count += 1
            over >>= 1
            number += 1
        self.freed += count
        return count

    def due_ms(self, now):
        """How long the loop may sleep; -1: as long as it likes."""
        soonest = -1
        timed = self.rows[ROW_TIMED]
        if timed:
            for slot in self.slots:
                due = slot.due_ms(now) if timed >> slot.number & 1 else -1
                if due >= 0 and (soonest < 0 or due < soonest):
                    soonest = due
        return soonest

    def summary(self):
        """Both bit maps, as wire.put_conn_status() takes them."""
        return self.closed << 8 | self.connected
