"""A slot: whose it is, and in which state.

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

Everything here runs in the service thread.
"""

from spinet import trace
from spinet.fastpath import (
    FACT_BROKEN,
    FACT_ENDING,
    FACT_FOREIGN,
    FACT_STATE,
    ROW_HANDLE,
    ROW_OWED,
    settle,
)
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

# The legal moves: for each state, the set of states that may follow, as a bit map.
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
    """One slot. `token` changes whenever the slot is freed: a stale one is noticed."""

    def __init__(self, number, manager, ring):
        self.number = number
        self.state = FREE  # written by _set_state only
        self.generation = 0  # counts the lives of this slot; written by free() only
        self.listener = None  # whose accept made it; until that listener stops
        self.record = bytearray(status.SIZE)
        self._manager = manager
        self._rows = manager.rows
        self._kit = manager.kit
        self._stack = manager.stack  # whose handle it is; there is one other, TLS
        self._facts = number  # what settle() is told besides the state
        self._secured = None  # what connect() over TLS believes, and whom; by secure() and free()
        self._ring = ring  # accepted from the controller, not yet taken by the stack
        self._handle = 0
        self._ending = 0  # why the peer is gone, while there is still data to read; else 0
        self._marks = ring.marks  # of the ring, and how its bytes are to leave
        self._moved_at = 0  # when the last acknowledgement was noticed
        status.clear(self.record, number)

    # --- states and owners

    def _set_state(self, state):
        """The only writer of `state`: knows the legal moves and keeps the manager's bit maps."""
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
        settle(self._rows, self._marks, self.record, self._facts | self.state << FACT_STATE)

    def held_by_controller(self):
        """True while the controller has to let go before the slot can be free."""
        return _HELD_BY_CONTROLLER >> self.state & 1 == 1

    def held_by_stack(self):
        """True while the stack has a connection for this slot."""
        return self._handle != 0

    def handle(self):
        """The stack's handle, 0 when it has let go."""
        return self._handle

    def token(self):
        """A reference to this life of the slot, for ConnectionManager.resolve()."""
        return self.generation << 3 | self.number

    def allocate(self, protocol):
        """free -> allocated: the controller's from here on, before any event can reach it."""
        if self._set_state(ALLOCATED):
            status.set_owner(self.record, self.number, protocol)

    def set_protocol(self, protocol):
        """The application protocol, once connCreate's data says which."""
        status.set_owner(self.record, self.number, protocol)

    def opened(self, handle, listener, stack):
        """allocated -> connected: accept() gave us this handle of that stack."""
        self._serve_by(stack)
        self._attach(handle)
        self.listener = listener
        listener.joined()
        if not status.address_local_port(self._manager.addresses):
            status.set_local_port(self.record, listener.port)
        self._set_state(CONNECTED)

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
        self._handle = 0
        self._rows[ROW_HANDLE + self.number] = 0
        self._manager.detach(handle)
        self._ring.clear()
        self._end_with(0)
        self._publish()
        return handle

    def _gone(self, state):
        """The stack lets go rudely, the slot moves on to `state`."""
        if self._handle:
            self._stack.abort(self._detach())
        self._set_state(state)

    def free(self):
        """closeReady -> free. Called by ConnectionManager.reap() only."""
        if self._set_state(FREE):
            self.generation += 1
            self.disowned()
            self._serve_by(self._manager.stack)
            self._secured = None
            status.clear(self.record, self.number)

    def disowned(self):
        """It counts for no listener any more."""
        if self.listener:
            self.listener.left()
            self.listener = None


def _trace_peer(number, record):
    # Each value by itself: so the frame is small enough not to come from the heap.
    a = status.local_port(record)
    b = status.remote_port(record)
    trace.note(trace.PORTS, number, a, b)
    a = status.peer_pair(record, 0)
    b = status.peer_pair(record, 2)
    trace.note(trace.PEER, number, a, b)
