"""A connection: a slot with reading, writing, closing and time-outs.

Reading, writing, status and events never allocate.
"""

from micropython import const

from spinet import fastpath, states, trace
from spinet.compat import ticks_add, ticks_diff
from spinet.fastpath import MARK_COUNT, MARK_URGENT
from spinet.tcp import stack as tcp
from spinet.tcp import status
from spinet.tcp.slot import Slot
from spinet.tcp.stack import ERR_CLSD, is_for_now, peer_is_gone

CONNECT_TIMEOUT_MS = const(8000)  # of an outgoing attempt
_ACKNOWLEDGE_TIMEOUT_MS = const(4000)  # a close waits this long for each acknowledgement
_CLOSE_LIMIT_MS = const(30000)  # and this long in all
_CLOSE_POLL_MS = const(10)  # how often a close asks in_flight(): stacks report no acknowledgements


class Connection(Slot):
    """A slot's connection, from connCreate or accept to its end."""

    def __init__(self, number, manager, ring):
        super().__init__(number, manager, ring)
        self._deadline = 0  # of connecting, or of the next acknowledgement while closing
        self._close_limit = 0  # ticks: when a close ends in any case
        self._patience_ms = 0  # how long a close waits for the next acknowledgement
        self._unacknowledged = 0  # while closing: in flight at the last check; -1: not checked yet
        self._watched = False  # step_write() found unacknowledged bytes the last time

    # --- calling out

    def await_address(self):
        """allocated -> connecting; after the look-up, connect() or give_up() follows."""
        self._deadline = ticks_add(self._manager.now, CONNECT_TIMEOUT_MS)
        self._manager.hasten(self._deadline)
        self._set_state(states.CONNECTING)

    def awaits_address(self):
        """True from await_address() to connect(), give_up() or the connect time-out."""
        return self.state == states.CONNECTING and not self.handle

    def connect(self, ip, port):
        """-> connecting, or aborted when the stack refuses at once; returns 0 or its error.

        After a look-up the connect time-out goes on; it is not started again.
        """
        handle = self._dial(ip, port)
        if handle < 0:
            self.refusal = handle
            self._set_state(states.ABORTED)
            return handle
        self._attach(handle)
        if self._secured:
            self._stack.serve(handle, self)
        if self.state == states.ALLOCATED:
            self._deadline = ticks_add(self._manager.now, CONNECT_TIMEOUT_MS)
            self._manager.hasten(self._deadline)
            self._set_state(states.CONNECTING)
        return 0

    def _dial(self, ip, port):
        if self._secured:
            trust, name = self._secured
            return self._stack.connect(ip, port, trust, name)
        return self._stack.connect(ip, port)

    def secure(self, tls, trust, name):
        """Let connect() use this TlsStack: connected when the handshake is done."""
        self._serve_by(tls)
        self._secured = (trust, name)

    def give_up(self):
        """allocated or connecting -> aborted: the connection cannot be made."""
        self.refusal = tcp.ERR_RTE
        self._gone(states.ABORTED)

    # --- events of the stack

    def on_events(self, events):
        """Handle the events of this connection since the last call."""
        if events & tcp.EVENT_CONNECTED and self.state == states.CONNECTING:
            self._update_addresses()
            self._set_state(states.CONNECTED)
        if events & tcp.EVENT_ERROR:
            self._on_error(self._stack.error(self.handle))
        elif events & tcp.EVENT_CLOSED:
            self._on_peer_gone(ERR_CLSD)
        if events & tcp.EVENT_ROOM:
            self._on_room()

    def _on_room(self):
        """The stack has room again, as something was acknowledged."""
        if self.state == states.CLOSE_PENDING:
            self._step_close(self._manager.now)
        elif self._marks[MARK_COUNT]:
            self._drain()
            self._publish()

    def _on_error(self, error):
        if is_for_now(error):
            return
        trace.note(trace.ERROR, self.number, -error, self.state)
        if self.state == states.CLOSE_PENDING:
            self._gone(states.CLOSE_READY)  # nothing more can be delivered
        elif self.state == states.CONNECTING:
            self.refusal = error
            self._gone(states.ABORTED)
        elif not peer_is_gone(error):
            self._gone(states.ABORTED)
        else:
            self._on_peer_gone(error)

    def _on_peer_gone(self, reason):
        """FIN or reset: the controller sees it only when it has read the last byte."""
        if self.state == states.CONNECTED:
            if self._ending == 0 or self._ending == ERR_CLSD:
                self._end_with(reason)  # a reset replaces a FIN, never the other way round
                self._publish()
            self._end_if_read()
        elif self.state == states.OTHER_END_CLOSED and reason != ERR_CLSD and self.handle:
            self._stack.abort(self._detach())  # a reset after the FIN

    def _end_if_read(self):
        if not self._ending or self._stack.readable(self.handle):
            return
        if self._ending != ERR_CLSD:
            self._stack.abort(self._detach())
        # After a FIN the peer may still read: keep the handle, to send.
        self._set_state(states.OTHER_END_CLOSED)

    # --- reading

    def readable(self):
        """Bytes that the controller can read."""
        return self._stack.readable(self.handle) if self.handle else 0

    def read(self, buf, offset, n):
        """Read up to n bytes into buf[offset:]; returns how many, 0 when there are none."""
        if self.state != states.CONNECTED:
            return 0
        stack = self._stack
        got = stack.read(self.handle, buf, offset, n)
        if got > 0:
            stack.recved(self.handle, got)
            self._end_if_read()
            return got
        self.read_failed(got)
        return 0

    def read_failed(self, error):
        """The stack's read() returned this; 0 and temporary errors have no effect."""
        if error < 0 and not is_for_now(error):
            self._on_error(error)

    # --- writing

    def may_send(self):
        """True while bytes can be sent to the peer, also after the peer's FIN."""
        if not self.handle or not (self._ending == 0 or self._ending == ERR_CLSD):
            return False
        return self.state == states.CONNECTED or self.state == states.OTHER_END_CLOSED

    def cut_off(self):
        """True when everything was read and there is no handle: nothing can be written."""
        return self.state == states.OTHER_END_CLOSED and not self.handle

    def space(self):
        """Bytes that a write is certain to accept."""
        return status.space(self.record)

    def write(self, buf, offset, n, push):
        """Accept all of buf[offset:offset + n]; n is at most space(). push: send all at once.

        False when the connection is broken; the controller sees that in the state.
        """
        if not self.may_send():
            return False
        if n > self._ring.free():
            self._manager.fault("slot %d: write beyond its space" % self.number)
            return False
        self._rows[fastpath.ROW_OWED + self.number] += n
        self._rows[fastpath.ROW_WRITING] |= 1 << self.number
        where = offset << fastpath.STORE_OFFSET | n << fastpath.STORE_COUNT
        if push:
            where |= fastpath.STORE_PUSH
        if fastpath.store(self._marks, self._ring.memory, buf, where):
            self._drain()
        self._publish()
        return self.may_send()

    def write_failed(self, error):
        """The stack's write() returned this error; temporary ones have no effect."""
        if not is_for_now(error):
            self._on_write_error(error)

    def _gathers(self):
        """True while bytes wait for a full segment or FLUSH_MS, as they were not pushed."""
        return self._marks[MARK_COUNT] > self._marks[MARK_URGENT]

    def _on_write_error(self, error):
        trace.note(trace.ERROR, self.number, -error, self.state)
        if self.state == states.CLOSE_PENDING:
            self._gone(states.CLOSE_READY)
        elif peer_is_gone(error):
            # A peer's FIN does not fail a write: here ERR_CLSD means that the PCB is gone.
            self._on_peer_gone(tcp.ERR_CONN if error == ERR_CLSD else error)
        else:
            self._gone(states.ABORTED)

    def _drain(self):
        """Move the bytes that may leave from the ring to the stack, as far as it has room."""
        write = self._kit[fastpath.KIT_WRITE][self.number]
        taken = fastpath.drain(self._marks, self._ring.memory, write, self.handle)
        if taken < 0:
            self.write_failed(taken)

    def _step_flush(self, now):
        """Send bytes that have waited for FLUSH_MS, even if they do not fill a segment."""
        marks = self._marks
        if self.handle and self._gathers() and ticks_diff(now, marks[fastpath.MARK_FLUSH_AT]) >= 0:
            marks[MARK_URGENT] = marks[MARK_COUNT]
            self._drain()
            self._publish()

    # --- ending

    def close(self):
        """connClose: the controller releases the slot; what is in flight is still delivered."""
        state = self.state
        if self.handle and (state == states.CONNECTED or state == states.OTHER_END_CLOSED):
            self._begin_close()
        elif self.held_by_controller():
            self._gone(states.CLOSE_READY)

    def _begin_close(self):
        manager = self._manager
        linger_s = manager.linger_s
        if linger_s == 0:
            self._gone(states.CLOSE_READY)
            return
        self._patience_ms = _ACKNOWLEDGE_TIMEOUT_MS if linger_s < 0 else linger_s * 1000
        limit = _CLOSE_LIMIT_MS if linger_s < 0 else self._patience_ms
        self._stack.linger(self.handle, linger_s)
        self._stack.shutdown_rx(self.handle)
        self._end_with(0)
        marks = self._marks
        marks[fastpath.MARK_PUSHED] = marks[MARK_URGENT] = marks[MARK_COUNT]
        self._unacknowledged = -1  # the first check sets the deadline
        now = manager.now
        self._close_limit = ticks_add(now, limit)
        self._set_state(states.CLOSE_PENDING)
        self._step_close(now)
        if self.state == states.CLOSE_PENDING:
            manager.hasten(ticks_add(now, _CLOSE_POLL_MS))

    def abort(self):
        """connAbort: release the slot at once, and reset the connection."""
        if self.held_by_controller() or self.state == states.CLOSE_PENDING:
            self._gone(states.CLOSE_READY)

    def break_off(self):
        """Bytes from or to the controller were lost: abort, so that the controller sees it."""
        if self.state == states.CONNECTED or self.state == states.OTHER_END_CLOSED:
            self._gone(states.ABORTED)

    def _step_close(self, now):
        """closePending: end when nothing is in flight, or when acknowledgements time out."""
        if self.state != states.CLOSE_PENDING:
            return
        if self._marks[MARK_COUNT]:
            self._drain()
            if self.state != states.CLOSE_PENDING:
                return  # _drain() found that the connection is broken
        # in_flight() -1: unknown to this stack, which delivers the rest by itself after close().
        left = self._marks[MARK_COUNT] + max(0, self._stack.in_flight(self.handle))
        if not left:
            self._stack.close(self._detach())
            self._set_state(states.CLOSE_READY)
        elif self._acknowledged_in_time(left, now):
            return
        else:
            self._manager.unacknowledged_closes += 1
            trace.note(trace.TIMEOUT, self.number, self.state, 0)
            self._gone(states.CLOSE_READY)

    def _acknowledged_in_time(self, left, now):
        if left < self._unacknowledged or self._unacknowledged < 0:
            self._unacknowledged = left
            self._deadline = ticks_add(now, self._patience_ms)
        return ticks_diff(now, self._deadline) < 0 and ticks_diff(now, self._close_limit) < 0

    def _step_connect(self, now):
        """connecting: give up after CONNECT_TIMEOUT_MS."""
        if self.state == states.CONNECTING and ticks_diff(now, self._deadline) >= 0:
            self._manager.connect_timeouts += 1
            trace.note(trace.TIMEOUT, self.number, self.state, 0)
            self.refusal = tcp.ERR_TIMEOUT
            self._gone(states.ABORTED)

    def step_write(self, now):
        """Abort when the peer has acknowledged nothing for the write time-out."""
        manager = self._manager
        rows = self._rows
        owed = fastpath.ROW_OWED + self.number
        left = 0
        if self.may_send():
            left = self._marks[MARK_COUNT] + max(0, self._stack.in_flight(self.handle))
        if not self._watched or left < rows[owed]:
            self._moved_at = now
        elif left and ticks_diff(now, self._moved_at) >= manager.write_timeout_ms:
            manager.write_timeouts += 1
            trace.note(trace.TIMEOUT, self.number, self.state, 0)
            self._gone(states.ABORTED)
            left = 0
        rows[owed] = left
        self._watched = left != 0
        if not left:
            rows[fastpath.ROW_WRITING] &= ~(1 << self.number)

    # --- time passes

    def poll(self, now):
        """Do what is due. Returns the milliseconds until more is; -1: nothing has a time."""
        self._step_connect(now)
        self._step_flush(now)
        self._step_close(now)
        if self.state == states.CLOSE_PENDING:
            return _CLOSE_POLL_MS
        if self.state == states.CONNECTING:
            return max(0, ticks_diff(self._deadline, now))
        if self._gathers():
            return max(0, ticks_diff(self._marks[fastpath.MARK_FLUSH_AT], now))
        return -1
