"""A connection: what a slot's stack, its controller and the time that passes do to it.

Nothing in read, write, status or an event allocates.
"""

from micropython import const

from spinet import trace
from spinet.compat import ticks_add, ticks_diff
from spinet.fastpath import (
    KIT_WRITE,
    MARK_COUNT,
    MARK_FLUSH_AT,
    MARK_PUSHED,
    MARK_URGENT,
    ROW_OWED,
    ROW_WRITING,
    STORE_COUNT,
    STORE_OFFSET,
    STORE_PUSH,
    drain,
    store,
)
from spinet.states import (
    ABORTED,
    ALLOCATED,
    CLOSE_PENDING,
    CLOSE_READY,
    CONNECTED,
    CONNECTING,
    OTHER_END_CLOSED,
)
from spinet.tcp import status
from spinet.tcp.slot import Slot
from spinet.tcp.stack import (
    ERR_CLSD,
    ERR_CONN,
    EVENT_CLOSED,
    EVENT_CONNECTED,
    EVENT_ERROR,
    EVENT_ROOM,
    is_for_now,
    peer_is_gone,
)

CONNECT_TIMEOUT_MS = const(8000)  # of an outgoing attempt
ACKNOWLEDGE_TIMEOUT_MS = const(4000)  # a close waits this long for an acknowledgement
CLOSE_LIMIT_MS = const(30000)  # and this long in all, however slowly they trickle in
CLOSE_POLL_MS = const(10)  # how often in_flight is asked: no stack reports an acknowledgement


class Connection(Slot):
    """What happens to one slot from its first event to its end."""

    def __init__(self, number, manager, ring):
        super().__init__(number, manager, ring)
        self._deadline = 0  # of connecting, or of the next acknowledgement while closing
        self._close_limit = 0
        self._patience_ms = 0  # of a close, for the next acknowledgement
        self._unacknowledged = 0  # in flight when last asked, while closing
        self._watched = False  # step_write() has begun to watch; it ends that itself

    # --- calling out

    def await_address(self):
        """allocated -> connecting: connect() or give_up() follow when the name was looked up."""
        self._deadline = ticks_add(self._manager.now, CONNECT_TIMEOUT_MS)
        self._manager.hasten(self._deadline)
        self._set_state(CONNECTING)

    def awaits_address(self):
        """True from await_address() until it is known where to connect to, or too late."""
        return self.state == CONNECTING and not self._handle

    def connect(self, ip, port):
        """-> connecting, or aborted when the stack refuses at once; 0, or its error.

        A look-up before it has had its part of the connect time-out.
        """
        handle = self._dial(ip, port)
        if handle < 0:
            self._set_state(ABORTED)
            return handle
        self._attach(handle)
        if self._secured:
            self._stack.serve(handle, self)
        if self.state == ALLOCATED:
            self._deadline = ticks_add(self._manager.now, CONNECT_TIMEOUT_MS)
            self._manager.hasten(self._deadline)
            self._set_state(CONNECTING)
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
        self._gone(ABORTED)

    # --- what the stack reports

    def on_events(self, events):
        """Whatever happened to this connection since the last time."""
        if events & EVENT_CONNECTED and self.state == CONNECTING:
            self._update_addresses()
            self._set_state(CONNECTED)
        if events & EVENT_ERROR:
            self._on_error(self._stack.error(self._handle))
        elif events & EVENT_CLOSED:
            self._on_peer_gone(ERR_CLSD)
        if events & EVENT_ROOM:
            self._on_room()

    def _on_room(self):
        """Something was acknowledged."""
        if self.state == CLOSE_PENDING:
            self.step_close(self._manager.now)
        elif self._marks[MARK_COUNT]:
            self._drain()
            self._publish()

    def _on_error(self, error):
        if is_for_now(error):
            return
        trace.note(trace.ERROR, self.number, -error, self.state)
        if self.state == CLOSE_PENDING:
            self._gone(CLOSE_READY)  # nothing is in flight any more
        elif self.state == CONNECTING or not peer_is_gone(error):
            self._gone(ABORTED)
        else:
            self._on_peer_gone(error)

    def _on_peer_gone(self, reason):
        """FIN or reset: the controller sees it when the last byte was read, not before."""
        if self.state == CONNECTED:
            if self._ending == 0 or self._ending == ERR_CLSD:
                self._end_with(reason)  # a FIN that is noticed after a reset brings nothing back
                self._publish()
            self._end_if_read()
        elif self.state == OTHER_END_CLOSED and reason != ERR_CLSD and self._handle:
            self._stack.abort(self._detach())  # a reset after the FIN

    def _end_if_read(self):
        if not self._ending or self._stack.readable(self._handle):
            return
        if self._ending != ERR_CLSD:
            self._stack.abort(self._detach())
        # After a FIN the peer may still be reading: the stack keeps its half.
        self._set_state(OTHER_END_CLOSED)

    # --- reading

    def readable(self):
        """Bytes that the controller can read."""
        return self._stack.readable(self._handle) if self._handle else 0

    def read(self, buf, offset, n):
        """Up to n received bytes into buf[offset:]; returns how many, 0 when there are none."""
        if self.state != CONNECTED:
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
        if not self._handle or not (self._ending == 0 or self._ending == ERR_CLSD):
            return False
        return self.state == CONNECTED or self.state == OTHER_END_CLOSED

    def cut_off(self):
        """True when everything was read and the stack has let go: nobody to write to."""
        return self.state == OTHER_END_CLOSED and not self._handle

    def space(self):
        """Bytes that a write will surely take."""
        return status.space(self.record)

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
        where = offset << STORE_OFFSET | n << STORE_COUNT
        if store(self._marks, self._ring.memory, buf, where | STORE_PUSH if push else where):
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
        if self.state == CLOSE_PENDING:
            self._gone(CLOSE_READY)
        elif peer_is_gone(error):
            # A FIN never fails a write: closed means more here than the peer's half.
            self._on_peer_gone(ERR_CONN if error == ERR_CLSD else error)
        else:
            self._gone(ABORTED)

    def _drain(self):
        """Move what may leave from the ring to the stack, as far as it has room."""
        write = self._kit[KIT_WRITE][self.number]
        taken = drain(self._marks, self._ring.memory, write, self._handle)
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
        if self._handle and (state == CONNECTED or state == OTHER_END_CLOSED):
            self._begin_close()
        elif self.held_by_controller():
            self._gone(CLOSE_READY)

    def _begin_close(self):
        manager = self._manager
        linger_s = manager.linger_s
        if linger_s == 0:
            self._gone(CLOSE_READY)
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
        self._set_state(CLOSE_PENDING)
        self.step_close(now)
        if self.state == CLOSE_PENDING:
            manager.hasten(ticks_add(now, CLOSE_POLL_MS))

    def abort(self):
        """connAbort: both let go at once, the peer gets a reset."""
        if self.held_by_controller() or self.state == CLOSE_PENDING:
            self._gone(CLOSE_READY)

    def break_off(self):
        """Received bytes were lost on their way to the controller: make that visible."""
        if self.state == CONNECTED or self.state == OTHER_END_CLOSED:
            self._gone(ABORTED)

    def step_close(self, now):
        """closePending: over when nothing is in flight, or when nobody acknowledges."""
        if self.state != CLOSE_PENDING:
            return
        if self._marks[MARK_COUNT]:
            self._drain()
            if self.state != CLOSE_PENDING:
                return  # the drain found it broken
        # -1: this stack cannot know, and finishes the delivery of what it took by itself.
        left = self._marks[MARK_COUNT] + max(0, self._stack.in_flight(self._handle))
        if not left:
            self._stack.close(self._detach())
            self._set_state(CLOSE_READY)
        elif self._acknowledged_in_time(left, now):
            return
        else:
            self._manager.unacknowledged_closes += 1
            trace.note(trace.TIMEOUT, self.number, self.state, 0)
            self._gone(CLOSE_READY)

    def _acknowledged_in_time(self, left, now):
        if left < self._unacknowledged or self._unacknowledged < 0:
            self._unacknowledged = left
            self._deadline = ticks_add(now, self._patience_ms)
        return ticks_diff(now, self._deadline) < 0 and ticks_diff(now, self._close_limit) < 0

    def step_connect(self, now):
        """connecting: give up after CONNECT_TIMEOUT_MS."""
        if self.state == CONNECTING and ticks_diff(now, self._deadline) >= 0:
            self._manager.connect_timeouts += 1
            trace.note(trace.TIMEOUT, self.number, self.state, 0)
            self._gone(ABORTED)

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
            self._gone(ABORTED)
            left = 0
        rows[owed] = left
        self._watched = left != 0
        if not left:
            rows[ROW_WRITING] &= ~(1 << self.number)

    def due_ms(self, now):
        """How long until one of the steps has something to do; -1: no time is set."""
        if self.state == CLOSE_PENDING:
            return CLOSE_POLL_MS
        if self.state == CONNECTING:
            return max(0, ticks_diff(self._deadline, now))
        if self._gathers():
            return max(0, ticks_diff(self._marks[MARK_FLUSH_AT], now))
        return -1
