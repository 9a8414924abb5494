"""A slot: its owners and its state.

A slot is held by the stack (it has a handle), by the controller, or by both; it is free when
neither holds it. The state tells which of them hold it:

    state            stack   controller
    free             no      no           waiting for a peer or for connCreate
    allocated        no      yes          taken, nothing opened yet
    connecting       maybe   yes          SYN sent; or the peer's name is still being looked up
    connected        yes     yes          also after the peer's end, while data is unread
    otherEndClosed   maybe   yes          the peer has ended, and everything was read
    aborted          no      yes          broken; the controller has not closed it yet
    closePending     yes     no           the controller closed; data is still in flight
    closeReady       no      no           over; reap() will free it

Service thread only.
"""

from spinet import fastpath, trace
from spinet.fastpath import FACT_BROKEN, FACT_ENDING, FACT_STATE, settle
from spinet.states import (
    ABORTED,
    ALLOCATED,
    CLOSE_PENDING,
    CLOSE_READY,
    CONNECTED,
    CONNECTING,
    FREE,
    OTHER_END_CLOSED,
)
from spinet.tcp import status
from spinet.tcp.stack import ERR_CLSD

# For each state, the set of states that may follow, as a bit map.
_LEGAL = bytes(
    (
        1 << ALLOCATED,  # free
        1 << CONNECTED | 1 << ABORTED | 1 << CLOSE_READY,  # connecting
        1 << OTHER_END_CLOSED | 1 << ABORTED | 1 << CLOSE_PENDING | 1 << CLOSE_READY,
        1 << ABORTED | 1 << CLOSE_PENDING | 1 << CLOSE_READY,  # otherEndClosed
        1 << CLOSE_READY,  # aborted
        1 << CLOSE_READY,  # closePending
        1 << FREE,  # closeReady
        1 << CONNECTING | 1 << CONNECTED | 1 << ABORTED | 1 << CLOSE_READY,  # allocated
    )
)

_HELD_BY_CONTROLLER = (
    1 << ALLOCATED | 1 << CONNECTING | 1 << CONNECTED | 1 << OTHER_END_CLOSED | 1 << ABORTED
)


class Slot:
    """One slot. token() changes each time the slot is freed, so that a stale one is noticed."""

    def __init__(self, number, manager, ring):
        self.number = number
        self.state = FREE  # written by _set_state only
        self.generation = 0  # counts how often the slot was freed; written by free() only
        self.listener = None  # the Listener or Session that it belongs to, until that stops
        self.refusal = 0  # the error for which connecting failed; 0: it did not
        self.record = bytearray(status.SIZE)
        self._manager = manager
        self._rows = manager.rows
        self._kit = manager.kit
        self._stack = manager.stack  # the stack of the handle: the manager's, or the TlsStack
        self._facts = number  # the argument of settle(), without the state
        self._secured = None  # (trust, name) for connect() over TLS; set by secure() and free()
        self._ring = ring  # bytes accepted from the controller, not yet taken by the stack
        self.handle = 0  # the stack's, 0 without one; written by _attach() and _detach() only
        self._ending = 0  # the error of the peer's end, while data is unread; else 0
        self._marks = ring.marks  # the ring's positions, and when its bytes have to leave
        self._moved_at = 0  # ticks of the last acknowledgement
        status.clear(self.record, number)

    # --- states and owners

    def _set_state(self, state):
        """Change the state, if the move is legal, and update the bit maps. Only this function
        writes `state`."""
        if not _LEGAL[self.state] & 1 << state:
            self._manager.fault("slot %d: %d -> %d" % (self.number, self.state, state))
            return False
        self.state = state
        settle(self._rows, self._marks, self.record, self._facts | state << FACT_STATE)
        trace.note(trace.STATE, self.number, state, self.generation)
        if state == CONNECTED or state == CONNECTING:
            _trace_peer(self.number, self.record)
        return True

    def _end_with(self, reason):
        """Set `_ending`. Only this function writes it."""
        if reason == self._ending:
            return
        self._ending = reason
        self._facts &= ~(FACT_ENDING | FACT_BROKEN)
        if reason:
            self._facts |= FACT_ENDING if reason == ERR_CLSD else FACT_ENDING | FACT_BROKEN

    def _serve_by(self, stack):
        """Use this stack from now on. Only this function writes `_stack`."""
        if stack is not self._stack:
            self._stack = stack
            self._facts ^= fastpath.FACT_FOREIGN
            self._manager.use(self.number, stack)

    def _publish(self):
        """Update the words of the hot path; called when something has changed that they show."""
        settle(self._rows, self._marks, self.record, self._facts | self.state << FACT_STATE)

    def held_by_controller(self):
        """True while the controller holds the slot."""
        return _HELD_BY_CONTROLLER >> self.state & 1 == 1

    def token(self):
        """A reference to the slot, valid until it is freed; for ConnectionManager.resolve()."""
        return self.generation << 3 | self.number

    def allocate(self, protocol):
        """free -> allocated: the controller holds it, before it has a handle and gets events."""
        if self._set_state(ALLOCATED):
            status.set_owner(self.record, self.number, protocol)

    def set_protocol(self, protocol):
        """Set the application protocol, when connCreate's data has come."""
        status.set_owner(self.record, self.number, protocol)

    def opened(self, handle, listener, stack):
        """allocated -> connected: `handle` is that of an accepted connection of `stack`."""
        self._serve_by(stack)
        self._attach(handle)
        self.listener = listener
        listener.count(1)
        if not status.local_port(self.record):
            status.set_local_port(self.record, listener.port)
        self._set_state(CONNECTED)

    def _attach(self, handle):
        manager = self._manager
        self.handle = handle
        self._rows[fastpath.ROW_HANDLE + self.number] = handle
        self._rows[fastpath.ROW_OWED + self.number] = 0
        self._moved_at = manager.now
        manager.attach(handle, self)
        self._stack.keepalive(
            handle, manager.keep_idle_s, manager.keep_interval_s, manager.keep_count
        )
        self._update_addresses()

    def _update_addresses(self):
        addresses = self._manager.addresses
        self._stack.addresses(self.handle, addresses)
        status.set_addresses(self.record, addresses)

    def _detach(self):
        """Release the handle: no more events. Returns it, for the stack's close() or abort()."""
        handle = self.handle
        self.handle = 0
        self._rows[fastpath.ROW_HANDLE + self.number] = 0
        self._manager.detach(handle)
        self._ring.clear()
        self._end_with(0)
        self._publish()
        return handle

    def _gone(self, state):
        """Reset the connection, if there is one, and change to `state`."""
        if self.handle:
            self._stack.abort(self._detach())
        self._set_state(state)

    def free(self):
        """closeReady -> free. Called by ConnectionManager.reap() only."""
        if self._set_state(FREE):
            self.generation += 1
            self.disowned()
            self._serve_by(self._manager.stack)
            self._secured = None
            self.refusal = 0
            status.clear(self.record, self.number)

    def disowned(self):
        """Leave the listener, if there is one."""
        if self.listener:
            self.listener.count(-1)
            self.listener = None


def _trace_peer(number, record):
    # One value at a time: a larger frame would be allocated on the heap.
    a = status.local_port(record)
    b = status.remote_port(record)
    trace.note(trace.PORTS, number, a, b)
    a = status.peer_pair(record, 0)
    b = status.peer_pair(record, 2)
    trace.note(trace.PEER, number, a, b)
