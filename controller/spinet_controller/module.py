"""One module as an object: its commands, its sockets, its start and its end."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from ipaddress import IPv4Address
from ssl import SSLContext
from typing import Any, Self, TypeVar, Unpack
from weakref import WeakSet

from spinet_controller.codes import (
    ABOUT_A_CONNECTION,
    ABOUT_A_NETWORK,
    SOCKETS,
    Command,
    ConnState,
    LastError,
    Protocol,
    UpdateStep,
    WiFiState,
)
from spinet_controller.commands import Commands
from spinet_controller.errors import (
    HostNotFound,
    LinkTimeout,
    ListenFailed,
    ModuleLost,
    NoAnswer,
    Refused,
)
from spinet_controller.link import Fields, Link, Request
from spinet_controller.poller import Poller
from spinet_controller.records import ANY_ADDRESS, ListenOrConnect, wifi_state
from spinet_controller.server import CallHome, Server
from spinet_controller.sockets import Factory, SocketTransport
from spinet_controller.spi_bus import SpiBus
from spinet_controller.tls import Handshake, secured

_P = TypeVar("_P", bound=asyncio.BaseProtocol)
Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]
Hear = Callable[[str], object]

STREAM_LIMIT = 64 * 1024
"""Bytes a StreamReader holds before it pauses the transport (twice as many, at most)."""

_RELEASE = 1.0
"""Seconds in which the slots are released at the end, times the link's time scale."""

_LOOK = 0.02
"""Seconds between two looks at a connection that is closing."""

_OF_LISTENING = frozenset(
    {
        LastError.LISTEN_FAILED,
        LastError.CALL_FAILED,
        LastError.BAD_HOST_NAME,
        LastError.OUT_OF_MEMORY,
    }
)

NEWS_KEPT = 100
"""Last errors that wait for a reader of news; older ones are dropped."""


class News:
    """The last errors that a module tells from now on, for one reader: `async for text in news`.

    Made by `Module.news`; it ends when the module is closed.
    """

    def __init__(self) -> None:
        self._texts: asyncio.Queue[str | None] = asyncio.Queue()

    def tell(self, text: str | None) -> None:
        """Have this read; None is the end."""
        if self._texts.qsize() == NEWS_KEPT:
            self._texts.get_nowait()
        self._texts.put_nowait(text)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        text = await self._texts.get()
        if text is None:
            self.tell(None)
            raise StopAsyncIteration
        return text


class Module(Commands):
    """The module at the other end of `bus`; every command of the protocol is a method.

    `time_scale` multiplies the link's time-outs. Callbacks, all optional: `on_news(text)`
    when the module said that something changed (None: only its state), `on_lost(error)` when
    it is gone. Make it inside a running event loop; close it, or use `async with`.
    """

    def __init__(self, bus: SpiBus, *, time_scale: float = 1.0) -> None:
        super().__init__(Link(bus, time_scale=time_scale))
        self.bus = bus
        self.poller = Poller(self.link)
        self.on_news: Callable[[str | None], object] | None = None
        self.on_lost: Callable[[ModuleLost], object] | None = None
        self._hearers: list[Hear] = []
        self._readers: WeakSet[News] = WeakSet()
        self._loop = asyncio.get_running_loop()
        self._gone: asyncio.Future[ModuleLost] = self._loop.create_future()
        self._watching = asyncio.Lock()
        self._trusted: bytes | None = None  # the CA that the module took since it started
        self._trust_changes = 0  # how often it was given another, or lost it
        self._trusting = asyncio.Lock()  # from giving it until connCreate is queued behind it
        self.link.on_news = self._news
        self.link.on_lost = self._lost

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def wifi_state(self) -> WiFiState | int:
        """The WiFiState of the latest transaction."""
        return wifi_state(self.link.wifi_state)

    # -- start and end ----------------------------------------------------------------

    async def boot(self) -> None:
        """Return when a module has power and has started.

        There is no limit to waiting for its power. LinkTimeout when it has not started 15 s after
        that, ModuleLost when its power goes meanwhile.
        """
        await self.link.came()
        await self.link.started_up()
        if self._gone.done():
            self._gone = self._loop.create_future()

    async def reset(self) -> None:
        """Reset the module by its pin and wait until it has started again; errors as `boot`."""
        await self.link.reset()
        if self._gone.done():
            self._gone = self._loop.create_future()

    async def update_restart(self) -> None:
        """Have the module start the image that it has chosen, and wait until it has started.

        One that does not start is reset, which has the boot loader go back at once. WrongState when
        none was chosen; further errors as of `boot`.
        """
        try:
            await self.link.restarted(Request(Command.MODULE_UPDATE, flags=UpdateStep.RESTART))
        except LinkTimeout:
            await self.reset()
        if self._gone.done():
            self._gone = self._loop.create_future()

    async def gone(self) -> ModuleLost:
        """Return the ModuleLost as soon as the module is lost."""
        return await asyncio.shield(self._gone)

    @property
    def lost(self) -> ModuleLost | None:
        """The ModuleLost of a module that is gone, else None."""
        return self._gone.result() if self._gone.done() else None

    async def settled(self) -> None:
        """Return when nothing is under way any more on connections that were closed.

        The peers have their bytes then, or the module has given them up. Await it, after the
        writers' wait_closed(), where the module is to lose its power; on the virtual bus it does
        when the controller goes.
        """
        for socket in range(SOCKETS):
            while (await self.conn_get_status(socket)).state == ConnState.CLOSE_PENDING:
                await asyncio.sleep(_LOOK)

    async def close(self) -> None:
        """Stop the servers, abort what is open, and let go of the link.

        All that is asked of the module afterwards raises ModuleLost.
        """
        try:
            await self._let_go()
        finally:
            self.link.close()
            for reader in self._readers:
                reader.tell(None)

    async def _let_go(self) -> None:
        for server in list(self.poller.servers.values()):
            server.close()
            await server.wait_closed()
        self.poller.abort_all()
        if self.bus.present:
            await self._slots_released()

    async def _slots_released(self) -> None:
        try:
            async with asyncio.timeout(_RELEASE * self.link.time_scale):
                await self.poller.slots_released()
        except TimeoutError:
            self.poller.lost(LinkTimeout("the module does not answer", False))

    def _news(self, text: str | None) -> None:
        self.poller.ask_address()
        if text:
            self._tell(text)
        elif self.on_news:
            self.on_news(None)

    def _tell(self, text: str | None) -> None:
        """Tell a last error, if there is one."""
        taken = [hear(text) for hear in self._hearers if text]
        if not text or any(taken):
            return
        for reader in self._readers:
            reader.tell(text)
        if self.on_news:
            self.on_news(text)

    def news(self) -> News:
        """Give a News: what `on_news` is told from now on, for as many readers as want it."""
        reader = News()
        if self.link.closed:
            reader.tell(None)
        else:
            self._readers.add(reader)
        return reader

    @contextmanager
    def hearing(self, hear: Hear) -> Iterator[None]:
        """Meanwhile call `hear(text)` with each last error; true keeps it from all others."""
        self._hearers.append(hear)
        try:
            yield
        finally:
            self._hearers.remove(hear)

    def _lost(self, error: ModuleLost) -> None:
        self._forget_trust()
        self.poller.lost(error)
        if not self._gone.done():
            self._gone.set_result(error)
        if self.on_lost:
            self.on_lost(error)

    # -- servers ----------------------------------------------------------------------

    async def create_server(
        self,
        protocol_factory: Factory,
        port: int,
        *,
        protocol: int = Protocol.HTTP,
        max_connections: int = SOCKETS,
        ip: IPv4Address = ANY_ADDRESS,
        tls: bool = False,
        ssl: SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Server:
        """Listen on a port of the module; each connection gets `protocol_factory()`.

        With `tls` the module speaks TLS, with an SSLContext as `ssl` this end does. Gives a Server.
        A port the module cannot listen on raises ListenFailed.
        """
        if not 0 < port <= 0xFFFF or max_connections < 1:
            raise ValueError("a server needs a port of 1..65535 and at least one connection")
        if port in self.poller.servers:
            raise ListenFailed(f"a server for port {port} is open already")
        if tls and ssl:
            raise ValueError("either the module speaks TLS or the controller")
        if ssl:
            protocol_factory = secured(
                *(protocol_factory, ssl),
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )
        server = Server(self, port, protocol_factory)
        await server.listen(max_connections=max_connections, protocol=protocol, ip=ip, tls=tls)
        return server

    async def start_server(
        self,
        client_connected_cb: Connected,
        port: int,
        *,
        limit: int = STREAM_LIMIT,
        **options: Any,
    ) -> Server:
        """As `create_server`, with `client_connected_cb(reader, writer)` for each connection."""

        factory = self._stream_factory(client_connected_cb, limit)
        return await self.create_server(factory, port, **options)

    def _stream_factory(
        self, client_connected_cb: Connected, limit: int
    ) -> Callable[[], asyncio.StreamReaderProtocol]:
        def factory() -> asyncio.StreamReaderProtocol:
            reader = asyncio.StreamReader(limit=limit, loop=self._loop)
            return asyncio.StreamReaderProtocol(reader, client_connected_cb, loop=self._loop)

        return factory

    # -- deferred commands ------------------------------------------------------------

    async def _defer(
        self, command: Command, checked: bool, *, cannot: str = "", **fields: Unpack[Fields]
    ) -> None:
        """Send a deferred command; raise what it found wrong (Commands)."""
        request = Request(command, **fields)
        if not checked:
            await self.link.call(request)
            return
        text = await self._outcome(request)
        if text and cannot:
            raise ListenFailed(f"the module cannot {cannot}: {text}")
        if text:
            raise Refused.by_last_error(text)

    async def _outcome(self, request: Request) -> str | None:
        """Send a deferred command; give the last error that it left, None when it left none.

        One at a time, so that an error is told to whom it belongs, whether it was asked for or
        came as news. Errors that the command cannot have left are told as news.
        """
        heard = []

        def hear(text: str) -> bool:
            left = _may_leave(request.command, LastError.of(text))
            if left:
                heard.append(text)
            return left

        try:
            async with self._watching:
                self._tell(await self.network_get_last_error())
                with self.hearing(hear):
                    await self.link.call(request)
                    self._tell(await self.network_get_last_error())
            return heard.pop() if heard else None
        finally:
            for other in heard:
                self._tell(other)

    # -- calling home -----------------------------------------------------------------

    async def create_call_home(
        self,
        protocol_factory: Factory,
        host: str,
        port: int,
        *,
        protocol: int = Protocol.HTTP,
        max_connections: int = 1,
        attempts: int = 0,
    ) -> CallHome:
        """Have the module connect to a peer; each connection gets `protocol_factory()`.

        As `create_server`, but the module dials `host`, an IPv4 address or a name, and dials
        again when the connection is over. Gives a CallHome. ListenFailed when the module cannot;
        that the peer does not answer is news.
        """
        if not 0 < port <= 0xFFFF or max_connections < 1:
            raise ValueError("calling home needs a port of 1..65535 and at least one connection")
        if port in self.poller.servers:
            raise ListenFailed(f"a server for port {port} is open already")
        server = CallHome(self, host, port, protocol_factory)
        await server.listen(max_connections=max_connections, protocol=protocol, attempts=attempts)
        return server

    async def call_home(
        self,
        client_connected_cb: Connected,
        host: str,
        port: int,
        *,
        limit: int = STREAM_LIMIT,
        **options: Any,
    ) -> CallHome:
        """As `create_call_home`, with `client_connected_cb(reader, writer)` for each connection."""
        factory = self._stream_factory(client_connected_cb, limit)
        return await self.create_call_home(factory, host, port, **options)

    # -- outgoing connections ---------------------------------------------------------

    async def create_connection(
        self,
        protocol_factory: Callable[[], _P],
        host: str,
        port: int,
        *,
        protocol: int = Protocol.HTTP,
        timeout: float | None = None,
        tls: bool = False,
        server_name: str = "",
        ca: bytes | str | None = None,
        ssl: SSLContext | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, _P]:
        """Connect the module to a peer by IPv4 address or name; give `(transport, protocol)`.

        With `tls` the module speaks TLS to the peer, whose certificate must be from the CA `ca`
        (PEM, bytes or str; None: the one the module has already) and for the peer's name, which
        is `server_name` where `host` is an address. Refused when the module does not take the CA.
        With an SSLContext as `ssl` this end speaks TLS, to `server_hostname`, `host` if None, as
        asyncio's own create_connection does.
        NoAnswer, a TimeoutError, after `timeout` seconds; ConnectionRefused, or ConnectionAborted
        when no socket is free, both a ConnectionError; HostNotFound for a name of which the module
        cannot find the address.
        """
        if tls and ssl:
            raise ValueError("either the module speaks TLS or the controller")
        if ssl:
            handshake = Handshake(
                *(protocol_factory, ssl, host if server_hostname is None else server_hostname),
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )
            plain, _ = await self.create_connection(
                handshake.factory, host, port, protocol=protocol, timeout=timeout
            )
            opened_tls: tuple[asyncio.Transport, _P] = await handshake.done(plain)
            return opened_tls
        record = ListenOrConnect.to(host, port, protocol, server_name=server_name)
        opened: asyncio.Future[tuple[SocketTransport, Any]] = self._loop.create_future()
        async with self._trusting if ca is not None else nullcontext():
            if ca is not None:
                await self._trust(ca)
            self.poller.connect(record, protocol_factory, opened, tls=tls)
        heard: list[str] = []
        try:
            with self.hearing(heard.append):
                async with asyncio.timeout(timeout):
                    return await opened
        except ConnectionRefusedError as error:
            if record.host_name:
                await self._raise_host_not_found(record.host_name, heard, error)
            raise
        except TimeoutError:
            _abandon(opened)
            raise NoAnswer(f"no answer from {host}:{port} within {timeout:g} s") from None
        except BaseException:
            _abandon(opened)
            raise

    async def _raise_host_not_found(self, name: str, heard: list[str], error: Exception) -> None:
        """What the slot does not tell is in the last error, or was heard meanwhile as news."""
        with self.hearing(heard.append):
            self._tell(await self.network_get_last_error())
        for text in heard:
            if LastError.HOST_NOT_FOUND.subject(text) == name:
                raise HostNotFound(text) from error

    async def _trust(self, ca: bytes | str) -> None:
        """Have the module trust this CA; Refused when it does not take it."""
        ca = ca.encode() if isinstance(ca, str) else ca
        while ca != self._trusted:  # again where it was given another meanwhile
            changes = self._trust_changes + 1
            await self.network_set_tls_ca(ca)
            if self._trust_changes == changes:
                self._trusted = ca

    def _forget_trust(self) -> None:
        self._trusted = None
        self._trust_changes += 1

    async def network_set_tls_ca(self, pem: bytes | str, *, checked: bool = True) -> None:
        """Store the CA that outgoing TLS trusts (networkSetTlsCert with CertFlag.CA; deferred)."""
        self._forget_trust()
        await super().network_set_tls_ca(pem, checked=checked)

    async def network_clear_tls(self, *, checked: bool = True) -> None:
        """Forget certificate, key and CA (networkClearTls)."""
        self._forget_trust()
        await super().network_clear_tls(checked=checked)

    async def network_factory_reset(self, *, checked: bool = True) -> None:
        """Forget everything, the CA as well (networkFactoryReset)."""
        self._forget_trust()
        await super().network_factory_reset(checked=checked)

    async def open_connection(
        self, host: str, port: int, *, limit: int = STREAM_LIMIT, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As `create_connection`, giving `(StreamReader, StreamWriter)`."""
        reader = asyncio.StreamReader(limit=limit, loop=self._loop)
        transport, protocol = await self.create_connection(
            lambda: asyncio.StreamReaderProtocol(reader, loop=self._loop),
            *(host, port),
            **options,
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, self._loop)


def _may_leave(command: Command, kind: LastError | None) -> bool:
    """False when this command never leaves a last error of that kind; None is an unknown one."""
    if command is Command.NETWORK_LISTEN:
        return kind in _OF_LISTENING
    if command in (Command.NETWORK_START_CLIENT, Command.NETWORK_START_ACCESS_POINT):
        return kind not in ABOUT_A_CONNECTION
    return kind not in ABOUT_A_CONNECTION | ABOUT_A_NETWORK


def _abandon(opened: asyncio.Future[tuple[SocketTransport, _P]]) -> None:
    """Abort a connection that came to stand while its opener was being cancelled."""
    if opened.done() and not opened.cancelled() and not opened.exception():
        opened.result()[0].abort()
