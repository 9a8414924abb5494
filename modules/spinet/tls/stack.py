"""TLS over any stack: the stack's contract for those of its handles whose bytes are encrypted.

A handle is the inner stack's own. Its events come here first (TlsSession is their owner) and reach
the slot as those of a plain connection would: connected when the handshake is done, data when some
was decrypted, closed at the peer's close_notify or FIN. After the handshake reading and writing
allocate nothing; a session takes its memory as it begins and gives it back as it ends.

Everything here runs in the service thread but the steps of handshakes. A worker computes those, as
an RSA signature may outlast a controller's wait. Its thread runs without the GIL while mbedTLS
computes, and nothing else may touch that session's core until the answer was looked at.
"""

from micropython import const

from spinet import compat
from spinet.compat import ticks_add, ticks_diff
from spinet.tcp.stack import (
    ERR_ABRT,
    ERR_CLSD,
    ERR_MEM,
    ERR_VAL,
    ERR_WOULDBLOCK,
    EVENT_CLOSED,
    EVENT_CONNECTED,
    EVENT_DATA,
    EVENT_ERROR,
    EVENT_ROOM,
    INDEX_MASK,
    is_for_now,
)
from spinet.worker import Worker

HANDSHAKES = const(3)  # of visitors, at a time: each costs memory before anybody knows who it is
HANDSHAKE_MS = const(8000)
SILENT_MS = const(2000)  # a visitor who has said nothing for so long keeps others waiting
MEMORY = const(24576)  # of the system's heap, for a session; as much again while it shakes hands
INBOX = const(2048)  # ciphertext on its way to be decrypted
OUTBOX = const(2304)  # a connWrite in one record, whatever the cipher adds
_SPARES = const(8)  # boxes that are kept for sessions to come
_ROUNDS = const(16)  # of reading and decrypting before others get a turn: more than one record

_CONNECTING = const(0)  # outgoing, SYN sent
_SHAKING = const(1)
_OPEN = const(2)
_FAILED = const(3)  # the slot was told, and has yet to let go
_OVER = const(4)

_NO_MEMORY = const(-0x7F00)  # MBEDTLS_ERR_SSL_ALLOC_FAILED, an answer of a step's


class TlsSession:
    """One connection's TLS. Owner of its handle's events, and called by TlsStack for its slot."""

    def __init__(self, table, handle, core, boxes):
        self.state = _CONNECTING  # written by TlsStack
        self.core = core  # the C session; the worker's while `stepping`
        self.boxes = boxes
        self.slot = None  # whom the events are for; None before there is a slot
        self.listener = None  # of a visitor whose handshake is under way
        self.began = 0  # when that handshake did
        self.deadline = 0  # of that handshake: of its first byte, then of its end
        self.stepping = False  # set by submit, cleared when the answer was seen
        self.answer = None  # of the last step; written in the worker's thread
        self.left = 0  # decrypted bytes that wait to be read
        self.ended = 0  # ERR_CLSD when all was read, else why it broke; 0 while neither
        self.noted = 0  # events for the slot that it has not been told
        self.again = False  # there may be more to decrypt
        self._table = table
        self._inner = table.inner
        self._handle = handle
        self._discard = False

    def handle(self):
        """The inner stack's handle."""
        return self._handle

    # --- a job of the worker's: one step of the handshake

    def work(self):
        """See Worker."""
        self.answer = self.core.step()
        self._table.wake()

    def no_memory(self):
        """See Worker."""
        self.answer = _NO_MEMORY
        self._table.wake()

    # --- events

    def on_events(self, events):
        """What the inner stack reports."""
        if self.state == _OPEN:
            self._on_open_events(events)
            self.deliver()
        elif self.state == _SHAKING:
            self._table.advance(self)
        elif self.state == _CONNECTING:
            self._on_connect_events(events)

    def _on_connect_events(self, events):
        if events & EVENT_CONNECTED:
            self._table.shake(self)
        elif events & EVENT_ERROR:
            self.slot.on_events(EVENT_ERROR)

    def _on_open_events(self, events):
        if events & EVENT_ERROR and (self._discard or self.ended):
            self._end(self._inner.error(self._handle))
        if events & EVENT_ROOM:
            self.flush(0)
            self._note(EVENT_ROOM)
        self.pump()

    def _note(self, event):
        self.noted |= event
        self._table.noted = True

    def deliver(self):
        """Tell the slot what was noted. It may let go of us in return."""
        if self.again:
            self.again = False
            self.pump()
        events = self.noted
        self.noted = 0
        if events and self.slot:
            self.slot.on_events(events)

    # --- from the peer

    def pump(self):
        """Decrypt until something can be read, nothing more is here, or it is over."""
        if self.left or self._discard or self.state != _OPEN:
            return
        for _ in range(_ROUNDS):
            left = self.core.look()
            if left > 0:
                self.left = left
                self._note(EVENT_DATA)
                break
            if left < 0:
                self._end(ERR_CLSD if left == compat.tls_session.PEER_ENDED else ERR_VAL)
                break
            if not self.feed():
                break
        else:
            self.again = True
            self._table.noted = True
        self.flush(0)  # an alert that came of it

    def feed(self):
        """Fill the inbox; True when anything came."""
        core = self.core
        room = core.in_room()
        if not room or self.ended:
            return False
        got = self._inner.read(self._handle, self.boxes[0], core.in_at(), room)
        if got > 0:
            core.fed(got)
            self._inner.recved(self._handle, got)
            return True
        if not is_for_now(got):
            self._end(got)
        return False

    def _end(self, reason):
        if self.ended == reason or self.broken():
            return
        self.ended = reason
        self._note(EVENT_CLOSED if reason == ERR_CLSD else EVENT_ERROR)

    def broken(self):
        """True once nothing can be sent any more."""
        return self.ended != 0 and self.ended != ERR_CLSD

    def read(self, buf, offset, n):
        """As the stack's read(), decrypted."""
        if self.state != _OPEN:
            return ERR_WOULDBLOCK
        if not self.left:
            self.pump()
            if not self.left:
                return self.ended or ERR_WOULDBLOCK
        got = self.core.open(buf, offset, n)
        self.left -= got
        self.pump()
        return got

    def discard(self):
        """What is unread and what still comes is thrown away."""
        self._discard = True
        self.left = 0
        return self._inner.shutdown_rx(self._handle)

    # --- to the peer

    def write(self, buf, offset, n, more):
        """As the stack's write(), encrypted."""
        if self.state != _OPEN:
            return ERR_WOULDBLOCK
        taken = 0
        while taken < n and not self.broken():
            sealed = self.core.seal(buf, offset + taken, n - taken)
            if sealed < 0:
                self._end(ERR_VAL)
            elif not sealed:
                return taken  # the inner stack reports when there is room
            else:
                taken += sealed
                self.flush(1 if more or taken < n else 0)
        return self.ended if self.broken() else taken

    def flush(self, more):
        """Move ciphertext from the outbox to the inner stack; how many bytes."""
        core = self.core
        moved = 0
        while core.out_count() and not self.broken():
            n = core.out_count()
            taken = self._inner.write(self._handle, self.boxes[1], core.out_at(), n, more)
            if taken < 0:
                if not is_for_now(taken):
                    # A FIN never fails a write: closed means more here than the peer's half.
                    self._end(ERR_ABRT if taken == ERR_CLSD else taken)
                return moved
            core.sent(taken)
            moved += taken
            if taken < n:
                return moved
        return moved

    def in_flight(self):
        """As the stack's in_flight(): what is in the outbox has not been sent either."""
        if self.broken():
            return 0
        waiting = self.core.out_count()
        inner = self._inner.in_flight(self._handle)
        return waiting + inner if inner >= 0 else waiting or -1


class TlsStack:
    """The contract (see `stack`) for the handles of TLS, and the handshakes that lead there.

    `wake()` is called in the worker's thread: step() has an answer to look at.
    """

    def __init__(self, manager, wake):
        self.inner = manager.stack
        self.identity = None  # what visitors are shown; written by TlsKeys
        self.on_accepted = None  # called with (listener, handle) for a slot; set by ListenerTable
        self.on_failure = None  # called with the reason when an outgoing handshake failed
        self.on_begin = None  # called as a session takes its memory; set by service
        self.noted = False  # some session has something to deliver
        self.failures = 0  # handshakes of visitors that came to nothing
        self.timeouts = 0  # that took too long
        self._manager = manager
        self._sessions = [None] * (INDEX_MASK + 1)  # by the handle's index
        self._shaking = []  # handshakes under way, those given up while a step runs included
        self._spare = [None] * _SPARES  # boxes of sessions that are over: the first _spares
        self._spares = 0
        self._spare_memory = getattr(self.inner, "spare", None)  # sockets cannot tell
        self._visitors = 0  # whose handshakes are under way; each has a slot reserved
        self.wake = wake
        self._worker = Worker(compat.HANDSHAKE_STACK)

    def sessions(self):
        """How many there are, for reports and tests."""
        return sum(1 for session in self._sessions if session)

    def visitors(self):
        """How many handshakes of visitors are under way."""
        return self._visitors

    # --- the contract

    def _session(self, h):
        session = self._sessions[h & INDEX_MASK] if h > 0 else None
        return session if session is not None and session.handle() == h else None

    def addresses(self, h, into):
        return self.inner.addresses(h, into)

    def keepalive(self, h, idle, interval, count):
        return self.inner.keepalive(h, idle, interval, count)

    def linger(self, h, seconds):
        return self.inner.linger(h, seconds)

    def readable(self, h):
        session = self._session(h)
        return session.left if session else 0

    def read(self, h, buf, offset, n):
        session = self._session(h)
        return session.read(buf, offset, n) if session else ERR_CLSD

    def recved(self, h, _n):
        """The window opened as the ciphertext was read; it is decrypted only when there is need."""
        return 0 if self._session(h) else ERR_CLSD

    def write(self, h, buf, offset, n, more):
        session = self._session(h)
        return session.write(buf, offset, n, more) if session else ERR_CLSD

    def in_flight(self, h):
        session = self._session(h)
        return session.in_flight() if session else 0

    def shutdown_rx(self, h):
        session = self._session(h)
        return session.discard() if session else ERR_CLSD

    def error(self, h):
        session = self._session(h)
        if session is None:
            return ERR_CLSD
        return session.ended if session.broken() else self.inner.error(h)

    def close(self, h):
        session = self._session(h)
        if session is None:
            return ERR_CLSD
        if session.state == _OPEN:
            session.core.finish()
            session.flush(0)
        self._release(session)
        return self.inner.close(h)

    def abort(self, h):
        session = self._session(h)
        if session is None:
            return ERR_CLSD
        # A reset would overtake the alert that says what was wrong.
        failed = session.state == _FAILED
        self._release(session)
        return self.inner.close(h) if failed else self.inner.abort(h)

    def _release(self, session):
        self._sessions[session.handle() & INDEX_MASK] = None
        session.state = _OVER
        session.slot = None
        if not session.stepping:
            self._recover(session)

    def _recover(self, session):
        """Take the session's memory back; nobody touches it any more."""
        session.core.end()
        if self._spares < _SPARES:
            self._spare[self._spares] = session.boxes
            self._spares += 1
        if session in self._shaking:
            self._shaking.remove(session)

    # --- beginning

    def connect(self, ip, tcp_port, trust, name):
        """A handle or an error; the handshake follows the TCP connection by itself.

        `name` is what the server's certificate must be made out to, unless trust has no CA.
        """
        handle = self.inner.connect(ip, tcp_port) if self._has_memory() else ERR_MEM
        if handle < 0:
            return handle
        if self._new(handle, trust, name) is None:
            self.inner.abort(handle)
            return ERR_MEM
        return handle

    def serve(self, handle, slot):
        """Events of this handle are for that slot from now on."""
        session = self._session(handle)
        session.slot = slot
        self._manager.attach(handle, session)
        session.pump()

    def may_begin(self):
        """True while another visitor's handshake may begin."""
        return self._visitors < HANDSHAKES and self._has_memory()

    def _has_memory(self):
        """False when the connections that are open may need what another session would take."""
        return self._spare_memory is None or self._spare_memory() >= MEMORY

    def begin(self, listener, handle):
        """A visitor was accepted: shake hands. False (and a reset) when there is no memory."""
        session = self._new(handle, self.identity, None)
        if session is None:
            self.inner.abort(handle)
            return False
        session.listener = listener
        session.began = self._manager.now
        session.deadline = ticks_add(session.began, SILENT_MS)
        listener.shaking += 1
        self._visitors += 1
        self._manager.reserve()
        self._manager.attach(handle, session)
        self.shake(session)
        return True

    def _take_boxes(self):
        if not self._spares:
            return bytearray(INBOX), bytearray(OUTBOX)
        self._spares -= 1
        return self._spare[self._spares]

    def _new(self, handle, context, name):
        core = None
        try:
            boxes = self._take_boxes()
            core = compat.tls_session.Session(context, boxes[0], boxes[1], name)
            session = TlsSession(self, handle, core, boxes)
        except MemoryError:
            if core:
                core.end()
            return None
        self._sessions[handle & INDEX_MASK] = session
        if self.on_begin:
            self.on_begin()
        return session

    # --- handshakes

    def shake(self, session):
        """TCP is connected: the first step, unless it is the visitor's to begin."""
        session.state = _SHAKING
        self._shaking.append(session)
        if session.feed() or not session.listener:
            self._submit(session)

    def _submit(self, session):
        session.deadline = ticks_add(session.began, HANDSHAKE_MS)
        session.stepping = True
        if not self._begin_step(session):
            session.stepping = False
            self._failed(session, "out of memory")

    def _begin_step(self, session):
        try:
            begun = self._worker.add(session)
        except MemoryError:
            return False
        if not begun:
            self._worker.finish()  # it waits for no other: the session is over
        return begun

    def advance(self, session):
        """Something came or there is room: go on, if it helps.

        What the last step left in the inbox was left for want of room in the outbox.
        """
        if session.stepping:
            return
        moved = session.flush(0)
        if session.feed() or moved:
            self._submit(session)
        elif session.ended:
            self._failed(session, "the peer left")

    def step(self, now):
        """Answers of the thread, time-outs, and what was noted while a slot was busy."""
        if self.noted:
            self.noted = False
            for session in self._sessions:
                if session is not None:
                    session.deliver()
        if self._shaking:
            for session in list(self._shaking):
                self._step_handshake(session, now)

    def _step_handshake(self, session, now):
        if session.answer is not None:
            self._answered(session)
        elif session.listener and ticks_diff(now, session.deadline) >= 0:
            self.timeouts += 1
            self._forget_visitor(session, self.inner.abort)

    def _answered(self, session):
        answer = session.answer
        session.answer = None
        session.stepping = False
        if session.state == _OVER:
            self._recover(session)
        elif answer < 0:
            self._failed(session, session.core.reason(answer))
        elif answer:
            self._done(session)
        else:
            self.advance(session)

    def _done(self, session):
        self._shaking.remove(session)
        session.state = _OPEN
        session.flush(0)
        if session.listener:
            listener = session.listener
            self._release_place(session)
            self.on_accepted(listener, session.handle())
        else:
            session.slot.on_events(EVENT_CONNECTED)
            session.pump()
        session.deliver()

    def _failed(self, session, reason):
        session.flush(0)  # the alert
        if session.listener:
            self.failures += 1
            self._forget_visitor(session, self.inner.close)
            return
        session.state = _FAILED
        session.ended = ERR_ABRT
        session.slot.on_events(EVENT_ERROR)
        self.on_failure("TLS: " + reason)  # last: there may be no memory for the text

    def _release_place(self, session):
        session.listener.shaking -= 1
        session.listener = None
        self._visitors -= 1
        self._manager.unreserve()

    def _forget_visitor(self, session, end):
        """It never got a slot: nobody is told."""
        self._release_place(session)
        self._manager.detach(session.handle())
        self._release(session)
        end(session.handle())

    def give_up(self, listener):
        """This listener stops: its handshakes are over."""
        for session in list(self._shaking):
            if session.listener is listener:
                self._forget_visitor(session, self.inner.abort)

    def due_ms(self, now):
        """How long the loop may sleep; -1: as long as it likes."""
        if self.noted:
            return 0
        soonest = -1
        for session in self._shaking:
            if session.listener:
                due = max(0, ticks_diff(session.deadline, now))
                soonest = due if soonest < 0 else min(soonest, due)
        return soonest

    def shut(self):
        """The end: no step runs any more, and all memory is given back."""
        self._worker.finish()
        for session in list(self._shaking):
            session.stepping = False
        for session in self._sessions:
            if session is not None:
                self._release(session)
                self.inner.abort(session.handle())
        for session in list(self._shaking):
            self._recover(session)
