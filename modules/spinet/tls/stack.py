"""TLS over any stack: the contract of a stack, for connections that are encrypted.

The handles are those of the inner stack. A handle's events go to its TlsSession first, and reach
the slot like those of a plain connection: connected when the handshake is done, data when some was
decrypted, closed at the peer's close_notify or FIN. After the handshake, reading and writing
allocate nothing: a session takes its memory when it begins and returns it when it ends.

Everything runs in the service thread, except the steps of handshakes. A worker computes these, as
an RSA signature may take longer than a controller waits. The worker's thread releases the GIL while
mbedTLS computes, so nothing else may use the session's core until the answer was seen.

A *visitor* is an accepted connection in its handshake. It has no slot yet, but one is reserved.
"""

from micropython import const

from spinet import compat
from spinet.compat import sooner, ticks_add, ticks_diff
from spinet.garbage import MUCH
from spinet.tcp import stack as tcp
from spinet.tcp.stack import INDEX_MASK
from spinet.tls.session import FAILED, OPEN, OVER, PEER_LEFT, SHAKING, TlsSession
from spinet.worker import Worker

_HANDSHAKES = const(3)  # of visitors at a time: each takes memory before the peer has done anything
_HANDSHAKE_MS = const(8000)
_SILENT_MS = const(2000)  # for a visitor's first byte: a silent one keeps others waiting
_MEMORY = const(27648)  # of the system's heap, for a session; an eighth more during its handshake
_INBOX = const(2048)  # received ciphertext, not yet decrypted
_OUTBOX = const(2304)  # a connWrite in one record, with any cipher's overhead
_SPARES = const(8)  # pairs of boxes that are kept for later sessions


class TlsStack:
    """The contract (see `stack`) for TLS connections, and their handshakes.

    `bell` makes the loop call poll(), when the worker has an answer.
    """

    def __init__(self, manager, bell, error, garbage):
        self.inner = manager.stack
        self._error = error
        self._garbage = garbage
        self.identity = None  # certificate and key, as an Identity of the C module
        self.noted = False  # some session has events to deliver
        self.failures = 0  # handshakes of visitors that failed
        self.timeouts = 0  # handshakes of visitors that took too long
        self._manager = manager
        self._sessions = [None] * (INDEX_MASK + 1)  # by the handle's index
        self._shaking = []  # handshakes under way, also those given up while a step runs
        self._spare = [None] * _SPARES  # pairs of boxes for later sessions: the first _spares
        self._spares = 0
        self._spare_memory = getattr(self.inner, "spare", None)  # SocketStack has none
        self.visitors = 0  # their number; each has a slot reserved
        self.bell = bell
        self._worker = Worker(compat.HANDSHAKE_STACK)
        self.addresses = self.inner.addresses
        self.keepalive = self.inner.keepalive
        self.linger = self.inner.linger

    def sessions(self):
        """The number of sessions, for reports and tests."""
        return sum(1 for session in self._sessions if session)

    # --- the contract

    def _session(self, h):
        session = self._sessions[h & INDEX_MASK] if h > 0 else None
        return session if session is not None and session.handle == h else None

    def readable(self, h):
        session = self._session(h)
        return session.left if session else 0

    def read(self, h, buf, offset, n):
        session = self._session(h)
        return session.read(buf, offset, n) if session else tcp.ERR_CLSD

    def recved(self, h, _n):
        """The window was opened when the ciphertext was read, which is only when it is needed."""
        return 0 if self._session(h) else tcp.ERR_CLSD

    def write(self, h, buf, offset, n, more):
        session = self._session(h)
        return session.write(buf, offset, n, more) if session else tcp.ERR_CLSD

    def in_flight(self, h):
        session = self._session(h)
        return session.in_flight() if session else 0

    def shutdown_rx(self, h):
        session = self._session(h)
        return session.discard() if session else tcp.ERR_CLSD

    def error(self, h):
        session = self._session(h)
        if session is None:
            return tcp.ERR_CLSD
        return session.ended if session.broken() else self.inner.error(h)

    def close(self, h):
        session = self._session(h)
        if session is None:
            return tcp.ERR_CLSD
        if session.state == OPEN:
            session.core.finish()
            session.flush(0)
        self._release(session)
        return self.inner.close(h)

    def abort(self, h):
        session = self._session(h)
        if session is None:
            return tcp.ERR_CLSD
        # A reset would discard the alert that tells the peer what was wrong.
        failed = session.state == FAILED
        self._release(session)
        return self.inner.close(h) if failed else self.inner.abort(h)

    def _release(self, session):
        self._sessions[session.handle & INDEX_MASK] = None
        session.state = OVER
        session.slot = None
        if not session.stepping:
            self._recover(session)

    def _recover(self, session):
        """Take the session's memory back; no step of it runs any more."""
        session.core.end()
        if self._spares < _SPARES:
            self._spare[self._spares] = session.boxes
            self._spares += 1
        if session in self._shaking:
            self._shaking.remove(session)

    def show(self, identity):
        """Use this Identity for visitors from now on; None: there is none."""
        self.identity = identity

    # --- beginning

    def connect(self, ip, tcp_port, trust, name):
        """A handle or an error; the handshake follows when TCP has connected.

        `name` is the name that the server's certificate must have, unless trust has no CA.
        """
        handle = self.inner.connect(ip, tcp_port) if self._has_memory() else tcp.ERR_MEM
        if handle < 0:
            return handle
        if self.new(handle, trust, name, self._error) is None:
            self.inner.abort(handle)
            return tcp.ERR_MEM
        return handle

    def serve(self, handle, slot):
        """Deliver this handle's events to that slot from now on."""
        session = self._session(handle)
        session.slot = slot
        self._manager.attach(handle, session)
        session.pump()

    def may_begin(self):
        """True while another visitor's handshake may begin."""
        return self.visitors < _HANDSHAKES and self._has_memory()

    def _has_memory(self):
        """False when another session would take memory that open connections may need."""
        return self._spare_memory is None or self._spare_memory() >= _MEMORY

    def begin(self, listener, handle):
        """Begin an accepted connection's handshake. False (and a reset) without memory."""
        session = self.new(handle, self.identity, None, None)
        if session is None:
            self.inner.abort(handle)
            return False
        session.listener = listener
        session.began = self._manager.now
        session.deadline = ticks_add(session.began, _SILENT_MS)
        listener.count_handshakes(1)
        self.visitors += 1
        self._manager.reserve()
        self._manager.attach(handle, session)
        self.shake(session)
        self.bell.stir()  # for its deadline
        return True

    def _take_boxes(self):
        if not self._spares:
            return bytearray(_INBOX), bytearray(_OUTBOX)
        self._spares -= 1
        return self._spare[self._spares]

    def new(self, handle, context, name, error):
        """A session on this handle; None without memory. serve() and shake() have to follow. `name`
        is as for connect(), "" for any; error.set() gets why a client's session fails."""
        core = None
        try:
            boxes = self._take_boxes()
            core = compat.tls_session.Session(context, boxes[0], boxes[1], name)
            session = TlsSession(self, handle, core, boxes, error)
        except MemoryError:
            if core:
                core.end()
            return None
        self._sessions[handle & INDEX_MASK] = session
        self._garbage.spend(MUCH)
        return session

    # --- handshakes

    def shake(self, session):
        """TCP is connected. Begin the first step, for a visitor only if its first bytes came."""
        session.state = SHAKING
        self._shaking.append(session)
        if session.feed() or not session.listener:
            self._submit(session)

    def _submit(self, session):
        session.deadline = ticks_add(session.began, _HANDSHAKE_MS)
        session.stepping = True
        try:
            if self._worker.add(session):
                return
            self._worker.finish()  # take it out of the queue: this session fails
        except MemoryError:
            pass
        session.no_memory()

    def advance(self, session):
        """The peer sent something, or there is room to send: begin the next step if it can do more.

        When the last step left bytes in the inbox, it lacked room in the outbox.
        """
        if session.stepping:
            return
        moved = session.flush(0)
        if session.feed() or moved:
            self._submit(session)
        elif session.ended:
            session.stepping = True  # as if in a step: a task tells of it, as that takes memory
            session.answer = PEER_LEFT
            self.bell.stir()

    def deliver(self):
        """Deliver all noted events to their slots."""
        self.noted = False
        for session in self._sessions:
            if session is not None:
                if session.state == OPEN and session.answer is not None:
                    self._broke(session)
                session.deliver()

    def _broke(self, session):
        """What came is no TLS, or a server refuses us: a client of TLS 1.3 learns that only now."""
        reason = session.core.reason(session.answer)
        session.answer = None
        session.end(tcp.ERR_VAL)
        if session.error:
            session.error.set("TLS: " + reason)

    def poll(self, now):
        """A task: handle the worker's answers, and time-outs."""
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
            listener.shaken_hands(session.handle)
        else:
            session.slot.on_events(tcp.EVENT_CONNECTED)
            session.pump()
        session.deliver()

    def _failed(self, session, reason):
        session.flush(0)  # send the alert
        if session.listener:
            self.failures += 1
            self._forget_visitor(session, self.inner.close)
            return
        session.state = FAILED
        session.ended = tcp.ERR_ABRT
        session.slot.on_events(tcp.EVENT_ERROR)
        session.error.set("TLS: " + reason)  # last, as it may raise MemoryError

    def _release_place(self, session):
        session.listener.count_handshakes(-1)
        session.listener = None
        self.visitors -= 1
        self._manager.unreserve()

    def _forget_visitor(self, session, end):
        """End a visitor; it never had a slot, so the controller does not see it."""
        self._release_place(session)
        self._manager.detach(session.handle)
        self._release(session)
        end(session.handle)

    def give_up(self, listener):
        """This listener stops: end its handshakes."""
        for session in list(self._shaking):
            if session.listener is listener:
                self._forget_visitor(session, self.inner.abort)

    def _due_ms(self, now):
        soonest = -1
        for session in self._shaking:
            if session.listener:
                soonest = sooner(soonest, max(0, ticks_diff(session.deadline, now)))
        return soonest

    def shut(self):
        """End: wait for the step under way, reset all sessions, return all memory."""
        self._worker.finish()
        for session in list(self._shaking):
            session.stepping = False
        for session in self._sessions:
            if session is not None:
                self._release(session)
                self.inner.abort(session.handle)
        for session in list(self._shaking):
            self._recover(session)
