"""One connection's TLS: decrypts received bytes, encrypts sent ones, passes the events on.

Service thread only, except for the steps of the handshake: see tls/stack.py.
"""

from micropython import const

from spinet import compat
from spinet.tcp import stack as tcp
from spinet.tcp.stack import is_for_now

_ROUNDS = const(16)  # reads in a row before others get a turn: more than one record

_NO_MEMORY = const(-0x7F00)  # MBEDTLS_ERR_SSL_ALLOC_FAILED, as an answer of step()
PEER_LEFT = const(-0x7280)  # MBEDTLS_ERR_SSL_CONN_EOF, as another

_CONNECTING = const(0)  # outgoing, SYN sent
SHAKING = const(1)
OPEN = const(2)
FAILED = const(3)  # the slot was told, and has not released the handle yet
OVER = const(4)


class TlsSession:
    """One connection's TLS. It gets the handle's events; TlsStack passes on the slot's calls."""

    def __init__(self, table, handle, core, boxes, error):
        self.state = _CONNECTING  # written by TlsStack
        self.core = core  # the C session; only the worker uses it while `stepping`
        self.boxes = boxes
        self.slot = None  # gets the events; None during an accepted connection's handshake
        self.error = error  # its set() gets why it failed; None for a visitor's
        self.listener = None  # of an accepted connection, during its handshake
        self.began = 0  # ticks: when that handshake began
        self.deadline = 0  # of that handshake: first for the peer's first byte, then for its end
        self.stepping = False  # a step is submitted, and its answer not yet seen
        self.answer = None  # of the last step, written in the worker's thread; then why it broke
        self.left = 0  # decrypted bytes that can be read
        self.ended = 0  # ERR_CLSD after the peer's end, an error if it broke, else 0
        self.noted = 0  # events that were not delivered to the slot yet
        self.again = False  # there may be more to decrypt
        self._table = table
        self._inner = table.inner
        self.handle = handle  # the inner stack's
        self._discard = False

    # --- a job for the worker: one step of the handshake

    def work(self):
        """Compute a step, in the worker's thread."""
        self.answer = self.core.step()
        self._table.bell.rouse()

    def no_memory(self):
        """There is no memory for the step: it failed."""
        self.answer = _NO_MEMORY
        self._table.bell.rouse()

    # --- events

    def on_events(self, events):
        """Handle events of the inner stack."""
        if self.state == OPEN:
            self._on_open_events(events)
            self.deliver()
        elif self.state == SHAKING:
            self._table.advance(self)
        elif self.state == _CONNECTING:
            self._on_connect_events(events)

    def _on_connect_events(self, events):
        if events & tcp.EVENT_CONNECTED:
            self._table.shake(self)
        elif events & tcp.EVENT_ERROR:
            self.slot.on_events(tcp.EVENT_ERROR)

    def _on_open_events(self, events):
        if events & tcp.EVENT_ERROR and (self._discard or self.ended):
            self.end(self._inner.error(self.handle))
        if events & tcp.EVENT_ROOM:
            self.flush(0)
            self._note(tcp.EVENT_ROOM)
        self.pump()

    def _note(self, event):
        self.noted |= event
        self._table.noted = True

    def deliver(self):
        """Deliver the noted events to the slot. It may release this session in return."""
        if self.again:
            self.again = False
            self.pump()
        events = self.noted
        self.noted = 0
        if events and self.slot:
            self.slot.on_events(events)

    # --- from the peer

    def pump(self):
        """Decrypt until something can be read, nothing more has come, or the connection ended."""
        if self.left or self._discard or self.state != OPEN:
            return
        for _ in range(_ROUNDS):
            left = self.core.look()
            if left > 0:
                self.left = left
                self._note(tcp.EVENT_DATA)
                break
            if left == compat.tls_session.PEER_ENDED:
                self.end(tcp.ERR_CLSD)
                break
            if left < 0:
                self.answer = left
                self._table.noted = True
                break
            if not self.feed():
                break
        else:
            self.again = True
            self._table.noted = True
        self.flush(0)  # decrypting may have produced an alert

    def feed(self):
        """Read ciphertext into the inbox; True when any came."""
        core = self.core
        room = core.in_room()
        if not room or self.ended:
            return False
        got = self._inner.read(self.handle, self.boxes[0], core.in_at(), room)
        if got > 0:
            core.fed(got)
            self._inner.recved(self.handle, got)
            return True
        if not is_for_now(got):
            self.end(got)
        return False

    def end(self, reason):
        """Note that the connection has ended: ERR_CLSD for the peer's end, or an error."""
        if self.ended == reason or self.broken():
            return
        self.ended = reason
        self._note(tcp.EVENT_CLOSED if reason == tcp.ERR_CLSD else tcp.EVENT_ERROR)

    def broken(self):
        """True when nothing can be sent any more."""
        return self.ended != 0 and self.ended != tcp.ERR_CLSD

    def read(self, buf, offset, n):
        """As the stack's read(), decrypted."""
        if self.state != OPEN:
            return tcp.ERR_WOULDBLOCK
        if not self.left:
            self.pump()
            if not self.left:
                return self.ended or tcp.ERR_WOULDBLOCK
        got = self.core.open(buf, offset, n)
        self.left -= got
        self.pump()
        return got

    def discard(self):
        """Discard what is unread and what will still arrive."""
        self._discard = True
        self.left = 0
        return self._inner.shutdown_rx(self.handle)

    # --- to the peer

    def write(self, buf, offset, n, more):
        """As the stack's write(), encrypted."""
        if self.state != OPEN:
            return tcp.ERR_WOULDBLOCK
        taken = 0
        while taken < n and not self.broken():
            sealed = self.core.seal(buf, offset + taken, n - taken)
            if sealed < 0:
                self.end(tcp.ERR_VAL)
            elif not sealed:
                return taken  # the inner stack reports when there is room
            else:
                taken += sealed
                self.flush(1 if more or taken < n else 0)
        return self.ended if self.broken() else taken

    def flush(self, more):
        """Move ciphertext from the outbox to the inner stack; returns how many bytes."""
        core = self.core
        moved = 0
        while core.out_count() and not self.broken():
            n = core.out_count()
            taken = self._inner.write(self.handle, self.boxes[1], core.out_at(), n, more)
            if taken < 0:
                if not is_for_now(taken):
                    # A peer's FIN does not fail a write: here ERR_CLSD means that the PCB is gone.
                    self.end(tcp.ERR_ABRT if taken == tcp.ERR_CLSD else taken)
                return moved
            core.sent(taken)
            moved += taken
            if taken < n:
                return moved
        return moved

    def in_flight(self):
        """As the stack's in_flight(); the outbox counts as unsent."""
        if self.broken():
            return 0
        waiting = self.core.out_count()
        inner = self._inner.in_flight(self.handle)
        return waiting + inner if inner >= 0 else waiting or -1
