"""A socket of the module as an asyncio transport.

How a controller drives a socket (link protocol): read what is there, write what is accepted,
answer otherEndClosed with connClose once all is read, and aborted with connAbort. A peer's reset
is shown as otherEndClosed too, and told from a FIN by a connWrite, which is then refused. The link
protocol cannot close one direction only, so `can_write_eof()` is False; the other way round
works: a peer may end its direction and go on reading.
"""

import asyncio
import logging

# asyncio's own, which its types leave out.
from asyncio.base_events import _SendfileFallbackProtocol  # type: ignore[attr-defined]
from asyncio.constants import _SendfileMode
from asyncio.transports import _FlowControlMixin
from collections.abc import Callable, Iterable
from contextvars import Context
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from spinet_controller.codes import MAX_DATA, Command, ConnState, WriteFlag
from spinet_controller.errors import (
    ConnectionAborted,
    ConnectionBroken,
    ConnectionRefused,
    LinkTimeout,
    ModuleLost,
    SpinetError,
)
from spinet_controller.link import Request
from spinet_controller.records import CONN_STATUS, ConnStatus, ListenOrConnect

if TYPE_CHECKING:
    from spinet_controller.poller import Poller
    from spinet_controller.server import Server

log = logging.getLogger(__name__)

Factory = Callable[[], asyncio.BaseProtocol]
Opened = asyncio.Future["tuple[SocketTransport, asyncio.BaseProtocol]"]

STALLED_CLOSE = 20.0
"""Seconds without one accepted byte after which data is given up when we close. Otherwise
`set_stall_limit` decides."""

RETRY_WAIT = 0.02
"""Seconds after a transaction that the module never started."""

SHORTEST = 0.001
LONGEST = 0.020
LIVELY = 8
GROWTH = 1.5
"""Seconds between two looks at an idle socket: SHORTEST for the first LIVELY, then growing.
A peer that was just heard of is likely to be heard of again: an answer, the next key, a request."""

UNSEEN = 0.018
UNSEEN_WRITES = 16
"""A socket that is only written to is looked at after so many writes, and when no status of any
socket came for so many seconds. Several such sockets so take turns, and the lookout, which waits
for LONGEST, need not ask as well."""

_CONNECTED = int(ConnState.CONNECTED)
_OTHER_END_CLOSED = int(ConnState.OTHER_END_CLOSED)
_ABORTED = int(ConnState.ABORTED)
_NOT_OURS = tuple(
    int(state) for state in (ConnState.FREE, ConnState.CLOSE_PENDING, ConnState.CLOSE_READY)
)
"""States in which the module holds a socket alone, or neither side does."""


class Waits:
    """How long to wait, again and again, while nothing happens."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Something has happened."""
        self._looks = 0
        self._wait = SHORTEST

    def next(self) -> float:
        """Give the seconds until the next look."""
        wait = self._wait
        self._looks += 1
        if self._looks >= LIVELY:
            self._wait = min(wait * GROWTH, LONGEST)
        return wait


class Life(Enum):
    """Where a transport is. `OPENING` and `CLOSED` have no protocol to call."""

    OPENING = 0
    OPEN = 1
    CLOSING = 2
    BROKEN = 3
    CLOSED = 4


class SocketTransport(_FlowControlMixin):
    """One socket of the module as an asyncio transport.

    `get_extra_info` knows `peername`, `sockname`, `socket_number` and `protocol_number`.
    It is made by the poller, in whose row it takes its turns: `due` is the loop time of its next
    look at the status, `queued` belongs to the poller. The protocol is called in `context`, as
    asyncio calls those of its own transports in the one that they were made in. The base class is
    asyncio's own, as `loop.sendfile` takes no other.
    """

    _sendfile_compatible = _SendfileMode.FALLBACK
    _start_tls_compatible = True

    # What the base class has besides its types.
    _loop: asyncio.AbstractEventLoop
    _extra: dict[str, Any]
    _protocol_paused: bool
    _maybe_pause_protocol: Callable[[], None]
    _maybe_resume_protocol: Callable[[], None]

    def __init__(
        self, poller: "Poller", socket: int, status: ConnStatus | None, context: Context
    ) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.queued = False
        self.due = 0.0
        self._poller = poller
        self._socket = socket
        self._call = context.run
        self._context = context
        self._protocol: asyncio.Protocol | asyncio.BufferedProtocol | None = None
        self._life = Life.OPENING
        self._opened: Opened | None = None
        self._factory: Factory | None = None
        self._held = b""
        self._on_lost: Callable[[SocketTransport], None] | None = None
        self._waits = Waits()
        self._out = bytearray()
        self._sending = 0
        self._room = True
        self._readable = True
        self._wrote_last = True
        self._unseen_writes = 0
        self._paused = False
        self._peer_ended = False
        self._doubtful = False
        self._eof_told = False
        self._progress_at = self._loop.time()
        self._stall_limit = float("inf")
        if status:
            self._describe(status)
        self._status_request = Request(
            *(Command.CONN_GET_STATUS, socket),
            available=ConnStatus.SIZE,
            done=self._status_came,
            failed=self._status_failed,
        )
        self._read_request = Request(
            *(Command.CONN_READ, socket),
            available=MAX_DATA,
            done=self._data_came,
            failed=self._transfer_failed,
        )

    def _describe(self, status: ConnStatus) -> None:
        self._extra["peername"] = (str(status.remote_ip), status.remote_port)
        self._extra["sockname"] = (self._poller.local_ip, status.local_port)
        self._extra["socket_number"] = self._socket
        self._extra["protocol_number"] = status.protocol

    def __repr__(self) -> str:
        peer = self._extra.get("peername")
        return f"<SocketTransport {self._socket} {self._life.name.lower()} peer={peer}>"

    # -- beginning --------------------------------------------------------------------

    def accepted(self, server: "Server") -> None:
        """A connection came in for `server`."""
        self._on_lost = server.connection_gone
        server.connection_made(self)
        self._begin(server.new_protocol)

    def opening(self, record: ListenOrConnect, factory: Factory, opened: Opened) -> None:
        """connCreate was answered; `opened` hears when the connection stands, or why not."""
        self._extra["peername"] = (str(record.remote_ip), record.port)
        self._factory = factory
        self._opened = opened
        opened.add_done_callback(self._opener_left)

    def _opener_left(self, opened: Opened) -> None:
        if opened.cancelled():
            self.abort()

    def _begin(self, factory: Factory) -> Exception | None:
        """Make the protocol and tell it; one that raises loses the connection.

        Gives what it raised, or None.
        """
        self._life = Life.OPEN
        try:
            protocol = self._call(factory)
            self.set_protocol(protocol)
            self._call(protocol.connection_made, self)
        except Exception as error:
            self._report("protocol.connection_made() raised", error)
            self._break(error)
            return error
        return None

    # -- turns: what to send next -----------------------------------------------------

    def next_request(self, now: float) -> Request | None:
        """Give the next transaction of this socket, or None when it can wait until `due`."""
        life = self._life
        if life is Life.CLOSED:
            return None
        if life is Life.OPEN or life is Life.CLOSING:
            request = self._transfer()
            if request is not None:
                return request
            if life is Life.CLOSING and not self._out:
                return self._farewell(Command.CONN_CLOSE)
        elif life is Life.BROKEN:
            return self._farewell(Command.CONN_ABORT)
        return self._status_request if now >= self.due else None

    def _may_read(self) -> bool:
        return self._readable and not self._paused and self._life is Life.OPEN

    def _may_write(self) -> bool:
        return self._room and (len(self._out) > 0 or self._doubtful)

    def _transfer(self) -> Request | None:
        """Read and write in turn, where there is something to read and room to write."""
        readable = self._may_read()
        if self._may_write() and (not readable or not self._wrote_last):
            return self._status_request if self._overlooked() else self._write_request()
        if readable:
            self._wrote_last = False
            return self._read_request
        return None

    def _overlooked(self) -> bool:
        """True when we only write, and have not seen for long whether the peer does as well."""
        if self._unseen_writes < UNSEEN_WRITES or self._life is not Life.OPEN:
            return False
        return self._loop.time() - self._poller.seen_at > UNSEEN

    def _write_request(self) -> Request:
        self._wrote_last = True
        self._unseen_writes += 1
        out = self._out
        with memoryview(out) as view:
            data = bytes(view[:MAX_DATA])
        self._sending = len(data)
        return Request(
            *(Command.CONN_WRITE, self._socket),
            flags=0 if len(out) > MAX_DATA else WriteFlag.PUSH,
            data=data,
            sized_by_response=True,
            done=self._data_accepted,
            failed=self._transfer_failed,
        )

    def _farewell(self, command: Command) -> Request:
        return Request(command, self._socket, done=self._let_go, failed=self._farewell_failed)

    def _again(self, wait: float | None = None) -> None:
        """Take a new place in the row; without `wait` the status is looked at as well."""
        self.due = self._loop.time() + wait if wait else 0.0
        self._poller.enqueue(self)

    # -- turns: what came back --------------------------------------------------------

    def _data_came(self, length: int, data: bytes) -> None:
        """A read that was not full has most likely taken all: the status tells, not another."""
        if length == MAX_DATA:
            self._again(SHORTEST)
        else:
            self._readable = False
            self._again()
        if length:
            self._waits.restart()
            self._poller.bytes_in += length
            self._deliver(data)

    def _deliver(self, data: bytes) -> None:
        if self._life is not Life.OPEN:
            return
        if self._paused:
            self._held += data
            return
        try:
            if isinstance(self._protocol, asyncio.BufferedProtocol):
                self._call(_feed, self._protocol, data)
            elif self._protocol is not None:
                self._call(self._protocol.data_received, data)
        except Exception as error:
            self._report("protocol.data_received() raised", error)
            self._break(error)

    def _data_accepted(self, accepted: int, _data: bytes) -> None:
        self._poller.bytes_out += accepted
        full = accepted < self._sending
        if self._life not in (Life.OPEN, Life.CLOSING):
            self._again()
            return
        if accepted:
            del self._out[:accepted]
            self._waits.restart()
            self._progress_at = self._loop.time()
        self._room = not full
        if self._doubtful:
            self._doubtful = False
            self._end_of_data(True)
        if accepted:
            self._again(None if full else SHORTEST)
        else:
            self._look_later()
        if self._protocol_paused:
            self._call(self._maybe_resume_protocol)

    def _status_came(self, _length: int, raw: bytes) -> None:
        state, *_mid, available, room, connected, closed = CONN_STATUS.unpack(raw)
        self._unseen_writes = 0
        self._poller.bitmaps_seen(connected, closed)
        if state in _NOT_OURS:
            self._gone(_ended_by_module(self._life))
        elif state == _ABORTED:
            self._aborted()
        elif self._life is Life.OPENING:
            self._opening_status(state, raw)
        else:
            self._living_status(state, available, room)

    def _aborted(self) -> None:
        if self._life is Life.OPENING:
            self._break(ConnectionRefused("the connection was not accepted"))
        else:
            self._break(ConnectionBroken("the connection was aborted"))

    def _opening_status(self, state: int, raw: bytes) -> None:
        if state in (_CONNECTED, _OTHER_END_CLOSED) and not self._poller.asking:
            self._stands(ConnStatus.unpack(raw))
        else:
            self._look_later()

    def _stands(self, status: ConnStatus) -> None:
        """The outgoing connection stands: make its protocol before anything can happen to it."""
        self._again()
        self._describe(status)
        opened, factory = self._opened, self._factory
        assert opened, "opening() was called"
        assert factory
        if opened.done():
            return
        error = self._begin(factory)
        if opened.done():
            return  # the opener left just now, and its callback aborts
        if error:
            opened.set_exception(error)
        else:
            opened.set_result((self, self.get_protocol()))

    def _living_status(self, state: int, available: int, room: int) -> None:
        """Note what there is to read and to write; wait longer when there is nothing."""
        self._readable = available > 0
        self._peer_ended = state == _OTHER_END_CLOSED
        # No room after the peer's end: a write is accepted, though nothing of it, while the peer
        # pauses. It is refused when the peer reset the connection.
        self._room = room > 0 or self._peer_ended
        self._end_of_data(room > 0)
        if self._may_read() or self._may_write():
            self._again(SHORTEST)
        else:
            self._look_later()
        self._give_up_when_stalled()

    def _look_later(self) -> None:
        self._again(self._waits.next())

    def _end_of_data(self, in_order: bool) -> None:
        """Tell the protocol once that the peer has ended and everything was read.

        Unless that end is known to be `in_order`, a write (an empty one, if need be) comes first.
        """
        unread = self._readable or self._held or self._paused
        if not self._peer_ended or unread or self._eof_told or self._life is not Life.OPEN:
            return
        if not in_order:
            self._doubtful = True
            return
        self._eof_told = True
        try:
            assert self._protocol is not None
            keep_open = self._call(self._protocol.eof_received)
        except Exception as error:
            self._report("protocol.eof_received() raised", error)
            self._break(error)
            return
        if not keep_open:
            self.close()

    def _give_up_when_stalled(self) -> None:
        if not self._out:
            return
        if self._loop.time() - self._progress_at > self._patience():
            self._break(ConnectionBroken("the peer takes no more data"))

    def _patience(self) -> float:
        """Give the seconds for which a peer may take nothing of what there is."""
        return STALLED_CLOSE if self._life is Life.CLOSING else self._stall_limit

    # -- turns: what went wrong -------------------------------------------------------

    def _status_failed(self, error: SpinetError) -> None:
        log.debug("%r: %s", self, error)
        if isinstance(error, ModuleLost):
            return
        self._again(RETRY_WAIT)

    def _transfer_failed(self, error: SpinetError) -> None:
        """A read or write with unknown effect breaks the stream; one that never began not."""
        if isinstance(error, ModuleLost):
            return
        if isinstance(error, LinkTimeout) and not error.started:
            self._again(RETRY_WAIT)
            self._readable = self._room = False
            return
        broken = ConnectionBroken(str(error))
        broken.__cause__ = error
        self._break(broken)

    def _farewell_failed(self, error: SpinetError) -> None:
        log.debug("%r: %s", self, error)
        if isinstance(error, LinkTimeout) and not error.started:
            self._again(RETRY_WAIT)
        elif not isinstance(error, ModuleLost):
            self._let_go(0, b"")

    # -- end --------------------------------------------------------------------------

    def close(self) -> None:
        """Send what is buffered, with push, then connClose; nothing more is received."""
        if self._life is Life.OPENING:
            self.abort()
        elif self._life is Life.OPEN:
            self._life = Life.CLOSING
            self._doubtful = False
            self._progress_at = self._loop.time()
            self._poller.wake(self)

    def abort(self) -> None:
        """Drop the connection and what is buffered at once (connAbort)."""
        self._break(None)

    def _force_close(self, error: Exception | None) -> None:
        """As `abort`, with what connection_lost is told; asyncio's TLS calls it."""
        self._break(error)

    def _break(self, error: Exception | None) -> None:
        """Give up: no more data either way, connAbort, and the protocol hears why."""
        if self._life in (Life.BROKEN, Life.CLOSED):
            return
        self._lose(error, Life.BROKEN)
        self._poller.wake(self)

    def _gone(self, error: Exception | None) -> None:
        """The module let go of the socket by itself: nothing may be sent to it."""
        if self._life is Life.CLOSED:
            return
        if self._life is not Life.BROKEN:
            self._lose(error, Life.CLOSED)
        self._life = Life.CLOSED
        self._poller.release(self._socket)

    def module_lost(self, error: SpinetError) -> None:
        """The module is gone (poller): the slot is not ours and not anybody's."""
        self._gone(error)

    def _let_go(self, _response: int, _data: bytes) -> None:
        """connClose or connAbort was answered: the slot may be another connection's already."""
        self._poller.release(self._socket)
        if self._life is Life.CLOSING:
            self._lose(None, Life.CLOSED)
        self._life = Life.CLOSED

    def _lose(self, error: Exception | None, life: Life) -> None:
        was_opening = self._life is Life.OPENING
        self._life = life
        self._out.clear()
        if not was_opening:
            self._loop.call_soon(self._tell_lost, error, context=self._context)
        elif self._opened and not self._opened.done():
            self._opened.set_exception(error or ConnectionAborted("aborted"))

    def _tell_lost(self, error: Exception | None) -> None:
        try:
            if self._protocol is not None:  # an empty queue, as aiohttp's, is false
                self._protocol.connection_lost(error)
        except Exception as raised:
            self._report("protocol.connection_lost() raised", raised)
        finally:
            self._protocol = None
            if self._on_lost:
                self._on_lost(self)

    # -- asyncio.Transport: protocol and reading --------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection to another protocol, which is told anew when to pause writing.

        The one of `loop.sendfile` knows: it has just looked at `_protocol_paused`.
        """
        if not isinstance(protocol, _SendfileFallbackProtocol):
            self._protocol_paused = False
        self._protocol = cast(asyncio.Protocol | asyncio.BufferedProtocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Give the present protocol; None after connection_lost, as asyncio's own do."""
        return cast(asyncio.BaseProtocol, self._protocol)

    def is_closing(self) -> bool:
        """True once closing or closed."""
        return self._life not in (Life.OPENING, Life.OPEN)

    def is_reading(self) -> bool:
        """True while data is delivered."""
        return self._life is Life.OPEN and not self._paused

    def pause_reading(self) -> None:
        """Deliver no more; unread data stays in the module and closes the peer's window."""
        self._paused = True

    def resume_reading(self) -> None:
        """Deliver again."""
        if self._paused:
            self._paused = False
            self._readable = not self._eof_told
            self._loop.call_soon(self._deliver_held)
            self._look_now()

    def _deliver_held(self) -> None:
        """Deliver what a connRead brought after reading had been paused."""
        if self._held:
            held, self._held = self._held, b""
            self._deliver(held)

    # -- asyncio.Transport: writing ---------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Buffer data and send it in turns; nothing accepted here is dropped in silence."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data must be bytes-like, not {type(data).__name__}")
        if self._life is not Life.OPEN or not data:
            return
        if not self._out:
            self._progress_at = self._loop.time()
            self._look_now()
        self._out += data
        self._maybe_pause_protocol()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Write the parts as one."""
        self.write(b"".join(list_of_data))

    def _look_now(self) -> None:
        self._waits.restart()
        self._poller.wake(self)

    def can_write_eof(self) -> bool:
        """False: the link protocol closes both directions or none."""
        return False

    def write_eof(self) -> None:
        """Not possible over the link protocol."""
        raise NotImplementedError("the link protocol cannot close one direction")

    def get_write_buffer_size(self) -> int:
        """Give the bytes the module has not accepted yet."""
        return len(self._out)

    def set_stall_limit(self, seconds: float) -> None:
        """Give up a peer that takes no byte of what is buffered for so long; at first, never."""
        self._stall_limit = seconds

    def _report(self, message: str, error: Exception) -> None:
        self._loop.call_exception_handler(
            {
                "message": message,
                "exception": error,
                "transport": self,
                "protocol": self._protocol,
            }
        )


def _ended_by_module(life: Life) -> SpinetError:
    if life is Life.OPENING:
        return ConnectionRefused("the connection failed")
    return ConnectionBroken("the module ended the connection")


def _feed(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    """Hand data to a BufferedProtocol in the pieces it has room for."""
    while data:
        with memoryview(protocol.get_buffer(len(data))) as room:
            taken = min(len(room), len(data))
            if not taken:
                raise RuntimeError("get_buffer() returned an empty buffer")
            room[:taken] = data[:taken]
        protocol.buffer_updated(taken)
        data = data[taken:]
