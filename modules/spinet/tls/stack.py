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
from spinet.garbage import MUCH
from spinet.tcp.stack import (
    ERR_ABRT,
    ERR_CLSD,
    ERR_MEM,
    EVENT_CONNECTED,
    EVENT_ERROR,
    INDEX_MASK,
)
from spinet.tls.session import FAILED, OPEN, OVER, SHAKING, TlsSession
from spinet.worker import Worker

HANDSHAKES = const(3)  # of visitors, at a time: each costs memory before anybody knows who it is
HANDSHAKE_MS = const(8000)
SILENT_MS = const(2000)  # a visitor who has said nothing for so long keeps others waiting
MEMORY = const(24576)  # of the system's heap, for a session; as much again while it shakes hands
INBOX = const(2048)  # ciphertext on its way to be decrypted
OUTBOX = const(2304)  # a connWrite in one record, whatever the cipher adds
_SPARES = const(8)  # boxes that are kept for sessions to come


class TlsStack:
    """The contract (see `stack`) for the handles of TLS, and the handshakes that lead there.

    `bell`: poll() has something to look at, as the worker's thread has an answer.
    """

    def __init__(self, manager, bell, error, garbage):
        self.inner = manager.stack
        self._error = error
        self._garbage = garbage
        self.identity = None  # what visitors are shown
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
        self.bell = bell
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
        if session.state == OPEN:
            session.core.finish()
            session.flush(0)
        self._release(session)
        return self.inner.close(h)

    def abort(self, h):
        session = self._session(h)
        if session is None:
            return ERR_CLSD
        # A reset would overtake the alert that says what was wrong.
        failed = session.state == FAILED
        self._release(session)
        return self.inner.close(h) if failed else self.inner.abort(h)

    def _release(self, session):
        self._sessions[session.handle() & INDEX_MASK] = None
        session.state = OVER
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

    def show(self, identity):
        """To visitors, from now on; None: to none."""
        self.identity = identity

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
        listener.handshake_began()
        self._visitors += 1
        self._manager.reserve()
        self._manager.attach(handle, session)
        self.shake(session)
        self.bell.stir()  # it has a deadline
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
        self._garbage.spend(MUCH)
        return session

    # --- handshakes

    def shake(self, session):
        """TCP is connected: the first step, unless it is the visitor's to begin."""
        session.state = SHAKING
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

    def deliver(self):
        """Tell the slots what was noted while they were busy."""
        self.noted = False
        for session in self._sessions:
            if session is not None:
                session.deliver()

    def poll(self, now):
        """A task: answers of the worker, and time-outs."""
        if not self._shaking:
            return -1
        for session in list(self._shaking):
            self._step_handshake(session, now)
        return self._due_ms(now)

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
        if session.state == OVER:
            self._recover(session)
        elif answer < 0:
            self._failed(session, session.core.reason(answer))
        elif answer:
            self._done(session)
        else:
            self.advance(session)

    def _done(self, session):
        self._shaking.remove(session)
        session.state = OPEN
        session.flush(0)
        if session.listener:
            listener = session.listener
            self._release_place(session)
            listener.shaken_hands(session.handle())
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
        session.state = FAILED
        session.ended = ERR_ABRT
        session.slot.on_events(EVENT_ERROR)
        self._error.set("TLS: " + reason)  # last: there may be no memory for the text

    def _release_place(self, session):
        session.listener.handshake_ended()
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

    def _due_ms(self, now):
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
