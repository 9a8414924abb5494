"""Which socket is served next: the eight slots of the module seen from the controller.

The link asks `next_request` whenever it is idle. Sockets with something to do are served in
turn, one transaction each, so none can slow the others. A socket with nothing to do is looked
at with connGetStatus after a wait that grows from SHORTEST to LONGEST and falls back to
SHORTEST as soon as anything happens (sockets.Waits). The bitmaps of every status tell of new
connections; when no socket's status did for a while, the lookout asks for one.
"""

import asyncio
import logging
from collections import deque
from contextvars import copy_context
from typing import Protocol

from spinet_controller.codes import (
    MAX_DATA,
    SOCKETS,
    Command,
    ConnectFlag,
    ConnState,
    WiFiState,
)
from spinet_controller.errors import ConnectionAborted, LinkError, SpinetError
from spinet_controller.link import Link, Request
from spinet_controller.records import (
    ANY_ADDRESS,
    CONN_STATUS,
    ConnStatus,
    ListenOrConnect,
    NetworkStatus,
)
from spinet_controller.server import Server
from spinet_controller.sockets import LONGEST, Factory, Opened, SocketTransport, Waits

log = logging.getLogger(__name__)

STRANGER_WAIT = 0.05
"""Seconds before a socket that belongs to none of our servers is looked at again."""

ADDRESS_WAIT = 0.05
"""Seconds after a networkGetStatus that went wrong until the next."""

_NEVER = float("inf")
_ON_A_NETWORK = (WiFiState.CONNECTED, WiFiState.RUNNING_AS_ACCESS_POINT)


class Served(Protocol):
    """What has a place in the row."""

    due: float
    queued: bool

    def next_request(self, now: float) -> Request | None:
        """Give the next transaction, or None when it can wait until `due`."""


class Lookout:
    """Asks for the bitmaps when no socket's own status brought them."""

    def __init__(self, poller: "Poller") -> None:
        self._poller = poller
        self._waits = Waits()
        self.due = _NEVER
        self.queued = False
        self._request = Request(
            Command.CONN_GET_STATUS,
            available=ConnStatus.SIZE,
            done=self._done,
            failed=self._failed,
        )

    def next_request(self, now: float) -> Request | None:
        """Give a request for socket 0's status when the bitmaps have become old."""
        return self._request if now >= self.due else None

    def bitmaps_came(self, now: float, strangers: int) -> None:
        """Look again after a wait that grows while no peer comes."""
        if strangers:
            self._waits.restart()
        self.due = now + self._waits.next() if self._poller.servers else _NEVER
        self._poller.note_due(self.due)

    def hurry(self, now: float) -> None:
        """A server has just been opened."""
        self._waits.restart()
        self.due = now

    def _done(self, _response: int, data: bytes) -> None:
        *_fields, connected, closed = CONN_STATUS.unpack(data)
        self._poller.bitmaps_seen(connected, closed)
        self._poller.enqueue(self)

    def _failed(self, error: SpinetError) -> None:
        log.debug("lookout: %s", error)
        self.due = self._poller.now() + LONGEST
        self._poller.enqueue(self)


class Poller:
    """The slots of one module and the order in which they are served.

    `slots[n]` is the transport that holds socket n, or None. `servers` maps a port to the
    Server that accepts its connections. `bytes_in` and `bytes_out` count payload. `seen_at` is
    the loop time of the latest status, `local_ip` the module's address, 0.0.0.0 without a network.
    While `asking` is not 0 it may be another one, and connections wait for it.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.slots: list[SocketTransport | None] = [None] * SOCKETS
        self.servers: dict[int, Server] = {}
        self.bytes_in = 0
        self.bytes_out = 0
        self.seen_at = 0.0
        self.local_ip = str(ANY_ADDRESS)
        self.asking = 0
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._held = 0
        self._ports_once_ours: set[int] = set()
        self._strangers_after = [0.0] * SOCKETS
        self._inspecting = 0
        self._hot: deque[Served] = deque()
        self._next_due = _NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._waking = False
        self._released: list[asyncio.Future[None]] = []
        self._lookout = Lookout(self)
        link.source = self
        link.on_state = self.ask_address

    # -- what the link asks -----------------------------------------------------------

    def next_request(self) -> Request | None:
        """Give the next request of the sockets in turn, or None and look again later."""
        now = self.now()
        if now >= self._next_due:
            self._collect_due(now)
        hot = self._hot
        while hot:
            served = hot.popleft()
            served.queued = False
            request = served.next_request(now)
            if request is not None:
                return request
            self.note_due(served.due)
        self._sleep_until(self._next_due)
        return None

    def _collect_due(self, now: float) -> None:
        self._next_due = _NEVER
        for served in (self._lookout, *self.slots):
            if served is None or served.queued:
                continue
            if served.due <= now:
                self.enqueue(served)
            else:
                self._next_due = min(self._next_due, served.due)

    def note_due(self, when: float) -> None:
        """A socket that is not in the row wants to be looked at by then."""
        if when < self._next_due:
            self._next_due = when

    def _sleep_until(self, when: float) -> None:
        if self._timer:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = None if when == _NEVER else self._loop.call_at(when, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.link.kick()

    def enqueue(self, served: Served) -> None:
        """Put a socket or the lookout at the end of the row, once."""
        if not served.queued:
            served.queued = True
            self._hot.append(served)

    def wake(self, served: Served) -> None:
        """Serve a socket as soon as the present round of callbacks is over.

        Several writes of one round so become one transaction.
        """
        self.enqueue(served)
        if not self._waking:
            self._waking = True
            self._loop.call_soon(self._woken)

    def _woken(self) -> None:
        self._waking = False
        self.link.kick()

    # -- the module's address ---------------------------------------------------------

    def ask_address(self) -> None:
        """The module may have another address: have it told before the next connection comes."""
        if self.link.wifi_state not in _ON_A_NETWORK:
            self.local_ip = str(ANY_ADDRESS)
            return
        self.asking += 1
        self._ask_address()

    def _ask_address(self) -> None:
        self.link.submit(
            Request(
                Command.NETWORK_GET_STATUS,
                available=MAX_DATA,
                done=self._address_came,
                failed=self._address_failed,
            )
        )

    def _address_came(self, _length: int, data: bytes) -> None:
        self.asking -= 1
        self.local_ip = str(NetworkStatus.unpack(data).ip)

    def _address_failed(self, error: SpinetError) -> None:
        log.debug("the module's address: %s", error)
        if isinstance(error, LinkError):
            self._loop.call_later(ADDRESS_WAIT, self._ask_address)
        else:
            self.asking -= 1

    # -- slots ------------------------------------------------------------------------

    def hold(self, socket: int, transport: SocketTransport) -> None:
        """A transport takes a slot; called before the next transaction can start."""
        self.slots[socket] = transport
        self._held |= 1 << socket

    def release(self, socket: int) -> None:
        """The controller lets go of a slot; from now on a connection in it is a new one."""
        self.slots[socket] = None
        self._held &= ~(1 << socket)
        released, self._released = self._released, []
        for waiter in released:
            if not waiter.done():
                waiter.set_result(None)

    async def slots_released(self) -> None:
        """Return when the controller holds no slot any more."""
        while self._held:
            waiter = self._loop.create_future()
            self._released.append(waiter)
            await waiter

    def abort_all(self) -> None:
        """Abort every connection that is held."""
        for transport in self.slots:
            if transport:
                transport.abort()

    def lost(self, error: SpinetError) -> None:
        """The module is gone, and with it every connection and listener."""
        self.servers.clear()
        self.local_ip = str(ANY_ADDRESS)
        self._hot.clear()
        self._inspecting = 0
        self._lookout.queued = False
        self._lookout.due = _NEVER
        for transport in self.slots:
            if transport:
                transport.module_lost(error)

    # -- new connections --------------------------------------------------------------

    def add_server(self, server: Server) -> None:
        """Accept connections to a server's port from now on."""
        self.servers[server.port] = server
        self._ports_once_ours.add(server.port)
        self._lookout.hurry(self.now())
        self.wake(self._lookout)

    def remove_server(self, server: Server) -> bool:
        """Accept no more; a connection that was already on its way is aborted.

        True when the module listens for this server: since a loss of the module it does not,
        or for another one on that port.
        """
        listens = self.servers.get(server.port) is server
        if listens:
            del self.servers[server.port]
        return listens

    def bitmaps_seen(self, connected: int, closed: int) -> None:
        """Look at each socket that lives and is not ours; every status calls this."""
        now = self.seen_at = self.now()
        strangers = (connected | closed) & ~self._held & ~self._inspecting
        self._lookout.bitmaps_came(now, strangers)
        if strangers and self._ports_once_ours:
            for socket in range(SOCKETS):
                if strangers >> socket & 1 and now >= self._strangers_after[socket]:
                    self._inspect(socket)

    def _inspect(self, socket: int) -> None:
        self._inspecting |= 1 << socket
        self.link.submit(
            Request(
                Command.CONN_GET_STATUS,
                socket,
                available=ConnStatus.SIZE,
                done=lambda _response, data: self._inspected(socket, ConnStatus.unpack(data)),
                failed=lambda error: self._not_inspected(socket, error),
            )
        )

    def _not_inspected(self, socket: int, error: SpinetError) -> None:
        log.debug("socket %d: %s", socket, error)
        self._inspecting &= ~(1 << socket)

    def _inspected(self, socket: int, status: ConnStatus) -> None:
        self._inspecting &= ~(1 << socket)
        if self.asking or status.state not in (
            ConnState.CONNECTED,
            ConnState.OTHER_END_CLOSED,
            ConnState.ABORTED,
        ):
            return
        server = self.servers.get(status.local_port)
        if server and status.state is not ConnState.ABORTED:
            self._accept(server, socket, status)
        elif status.local_port in self._ports_once_ours:
            self.drop(socket)
        else:
            self._strangers_after[socket] = self.now() + STRANGER_WAIT

    def _accept(self, server: Server, socket: int, status: ConnStatus) -> None:
        transport = SocketTransport(self, socket, status, server.context.copy())
        self.hold(socket, transport)
        self.enqueue(transport)
        transport.accepted(server)

    def drop(self, socket: int) -> None:
        """Abort a connection that no transport holds."""

        def failed(error: SpinetError) -> None:
            log.debug("connAbort of socket %d: %s", socket, error)

        request = Request(
            Command.CONN_ABORT, socket, done=lambda _response, _data: None, failed=failed
        )
        self.link.submit(request)

    # -- outgoing connections ---------------------------------------------------------

    def connect(
        self, record: ListenOrConnect, factory: Factory, opened: Opened, *, tls: bool = False
    ) -> None:
        """Send connCreate; `opened` is a future for (transport, protocol).

        The slot is held before the next transaction, so the new connection is never taken
        for a stranger. Its protocol is called in a copy of the present context.
        """
        context = copy_context()

        def created(socket: int, _data: bytes) -> None:
            transport = SocketTransport(self, socket, None, context)
            self.hold(socket, transport)
            self.enqueue(transport)
            transport.opening(record, factory, opened)

        def failed(error: SpinetError) -> None:
            if not opened.done():
                opened.set_exception(_as_connection_error(error))

        self.link.submit(
            Request(
                Command.CONN_CREATE,
                flags=ConnectFlag.TLS if tls else 0,
                data=record.pack(),
                done=created,
                failed=failed,
            )
        )


def _as_connection_error(error: SpinetError) -> ConnectionError:
    if isinstance(error, ConnectionError):
        return error
    assert isinstance(error, SpinetError)
    raised = ConnectionAborted(str(error))
    raised.__cause__ = error
    return raised
