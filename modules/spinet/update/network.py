"""Updates over the network, where the owner of the module has turned them on.

The owner's computer connects, and serves TLS on that connection by the owner's key: the module is
the client, and knows the owner's certificate. What follows are the steps of moduleUpdate, each with
an answer; docs/link-protocol.md has the bytes.

A connection of anyone else costs a handshake, and takes neither a slot nor the last error. One is
served at a time, and after a handshake that failed the next waits for a second.
"""

from micropython import const

from spinet import compat, trace
from spinet.compat import error_text, sooner, ticks_diff
from spinet.fields import get_u16, get_u32, put_bytes, put_u16
from spinet.garbage import MUCH
from spinet.tcp import stack as tcp
from spinet.update import owner, steps

_BACKLOG = const(2)
_HANDSHAKE_MS = const(8000)
_PAUSE_MS = const(1000)  # after a handshake that failed
_PARTING_MS = const(1000)  # for the last answer to arrive before a restart
_LOOKS = const(200)  # at a link that is not idle, one in a millisecond, before a step is done

# A step: flags u8 @0, length of the data u16 @2, number u32 @4; the data
# An answer: 0, or -(a code of the link protocol) u8 @0, length u16 @2; an UpdateStatus, or why
_STEP = const(8)
_ANSWER = const(4)
_MOST = const(2048)
_IN_WORDS = const(-14)  # UnknownError: the words say it
_OVER = const(-2)  # of Conversation.poll()


class Conversation:
    """The owner's steps, and their answers."""

    def __init__(self, service, the_steps, handle, judgment):
        self._port = service.port
        self._garbage = service.garbage
        self._tls = service.tls
        self._steps = the_steps
        self._handle = handle
        self._judgment = judgment
        self._frame = bytearray(_STEP + _MOST)  # a step, then its answer
        self._count = 0  # bytes of the step that have come
        self._looks = 0
        self.parting = False  # the module restarts when the peer has the answer

    def poll(self):
        """Read, or do the step that has come. 0: at once again; more: in so many ms; -1: when there
        is more to read; _OVER: the peer has ended, or talks nonsense."""
        wanted = _STEP
        if self._count >= _STEP:
            wanted += get_u16(self._frame, 2)
        if wanted > _STEP + _MOST:
            return _OVER
        if self._count < wanted:
            return self._read(wanted - self._count)
        if not self._port.idle() and self._looks < _LOOKS:
            self._looks += 1
            return 1
        return self._step(wanted - _STEP)

    def _read(self, n):
        got = self._tls.read(self._handle, self._frame, self._count, n)
        if got < 0:
            return -1 if tcp.is_for_now(got) else _OVER
        self._count += got
        return 0

    def _step(self, length):
        self._count = self._looks = 0
        self._garbage.spend(MUCH)
        if self._judgment:
            self._judgment.owner_came()
        code = self._steps.answer(self._frame[0], length, steps.NETWORK)
        n = 0 if code else self._do(length)
        if n < 0:
            n = -n
            code = _IN_WORDS
        self._frame[0] = -code
        put_u16(self._frame, 2, n)
        sent = self._tls.write(self._handle, self._frame, 0, _ANSWER + n, 0)
        return 0 if sent == _ANSWER + n else _OVER

    def _do(self, length):
        """Do it, and put what there is to say into the answer; its length, less than 0 when it is
        why the step failed."""
        frame = self._frame
        if self._steps.asks_status(frame[0]):
            return self._steps.status(frame, _ANSWER, _MOST)
        if frame[0] == steps.RESTART:
            self.parting = True
            return 0
        data = memoryview(frame)[_STEP : _STEP + length]
        try:
            why = self._steps.do(frame[0], get_u32(frame, 4), data, steps.NETWORK) or ""
        except OSError as e:
            why = "storage failed, " + error_text(e)
        except MemoryError:
            why = "out of memory"
        why = why.encode()
        put_bytes(frame, _ANSWER, why, len(why))
        return -len(why)

    def end(self):
        """What is not complete is dropped; the restart that was asked for comes now."""
        self._steps.left(steps.NETWORK)
        if self.parting:
            self._steps.do(steps.RESTART, 0, b"", steps.NETWORK)


class NetworkUpdates:
    """A task: listens, and has one connection at a time. `judgment` is that of an image on trial,
    or None."""

    def __init__(self, service, judgment):
        self._service = service
        self.steps = steps.Steps(service.board)
        self._judgment = judgment
        self._manager = service.manager
        self._tls = service.tls
        self._trust = None
        self._listener = 0  # the stack's handles, 0: none
        self._handle = 0
        self._talk = None  # a Conversation; None: the connection is not known to be the owner's
        self._waiting = False  # somebody may be in the backlog
        self._paused = False  # a handshake failed within the last second
        self._ended = False  # the connection is over
        self._since = 0  # ticks: of the accept, the last step, or the end
        self._told = ""  # why the last one was refused
        self._listen()

    def _listen(self):
        board = self._service.board
        try:
            self._trust = compat.tls_session.Trust(owner.of(board))
        except ValueError as e:
            self.set(str(e))
            return
        handle = self._manager.stack.listen(0, board.UPDATE_PORT, _BACKLOG)
        if handle < 0:
            self.set("cannot listen, error %d" % handle)
            return
        self._listener = handle
        self._manager.attach(handle, self)

    def set(self, text):
        """Trace why a visitor was refused; once in a row, as there may be many."""
        if text != self._told:
            self._told = text
            trace.say(("update over the network: " + text).encode())

    def told(self):
        """For a report: where it listens, and why it refused the last visitor."""
        where = "port %d" % self._service.board.UPDATE_PORT if self._listener else "it failed"
        return where + (", refused: " + self._told if self._told else "")

    def on_events(self, events):
        """Handle events, of the listener and of the connection alike."""
        if events & tcp.EVENT_ACCEPT:
            self._waiting = True
        if events & tcp.EVENT_CONNECTED:
            self._since = self._manager.now
            self._talk = Conversation(self._service, self.steps, self._handle, self._judgment)
        if events & tcp.EVENT_ERROR:
            self._ended = True
        self._service.bell.stir()

    def poll(self, now):
        """A task: accept, converse, end."""
        self.steps.poll(now)
        passed = ticks_diff(now, self._since)
        if self._paused and passed >= _PAUSE_MS:
            self._paused = False
        if not self._handle:
            return self._accept(now, passed) if self._waiting else -1
        left = self._patience() - passed
        if self._ended or left <= 0:
            self._end(now)
            return 0
        return self._converse(now, left) if self._talk else left

    def _patience(self):
        if self._talk:
            return _PARTING_MS if self._talk.parting else steps.SILENT_MS
        return _HANDSHAKE_MS

    def _accept(self, now, passed):
        if self._paused:
            return _PAUSE_MS - passed
        handle = self._take() if self._tls.may_begin() else tcp.ERR_MEM
        if handle > 0:
            self._since = now
            self._welcome(handle)
        return 0 if handle > 0 else -1

    def _welcome(self, handle):
        """Begin the handshake; events, and why it failed, come here."""
        session = self._tls.new(handle, self._trust, "", self)
        if session is None:
            self._manager.stack.abort(handle)
            return
        self._handle = handle
        self._tls.serve(handle, self)
        self._tls.shake(session)

    def _take(self):
        """The next of the backlog, or an error."""
        handle = self._manager.stack.accept(self._listener)
        if handle == tcp.ERR_WOULDBLOCK:
            self._waiting = False
        return handle

    def _converse(self, now, left):
        ms = self._talk.poll()
        if ms == _OVER:
            self._ended = True
            return 0
        if ms == 0 and not self._talk.parting:
            self._since = now
        if ms and self._waiting:
            self._turn_away()
        return sooner(ms, left)

    def _turn_away(self):
        """Others are reset while the owner's connection is there: it tells that we are busy."""
        handle = self._take()
        if handle > 0:
            self._manager.stack.abort(handle)

    def _end(self, now):
        talk = self._talk
        handle = self._handle
        self._talk = None
        self._handle = 0
        self._ended = False
        self._since = now
        self._manager.detach(handle)
        if talk:
            self._told = ""
            self._tls.close(handle)
            talk.end()
        else:
            self._paused = True
            self._tls.abort(handle)
