"""One module as an object: its commands, its sockets, its start and its end."""

import asyncio

from spinet_controller.codes import SOCKETS, Protocol
from spinet_controller.commands import Commands
from spinet_controller.errors import HostNotFound, LinkTimeout
from spinet_controller.link import Link
from spinet_controller.poller import Poller
from spinet_controller.records import ANY_ADDRESS, ListenOrConnect, wifi_state
from spinet_controller.server import CallHome, Server

STREAM_LIMIT = 64 * 1024
"""Bytes a StreamReader holds before it pauses the transport (twice as many, at most)."""


class Module(Commands):
    """The module at the other end of `bus`; every command of the protocol is a method.

    `time_scale` multiplies the link's time-outs. Callbacks, all optional: `on_news(text)`
    when the module said that something changed (None: only its state), `on_lost(error)` when
    it is gone. Make it inside a running event loop; close it, or use `async with`.
    """

    def __init__(self, bus, *, time_scale=1.0):
        super().__init__(Link(bus, time_scale=time_scale))
        self.bus = bus
        self.poller = Poller(self.link)
        self.on_news = None
        self.on_lost = None
        self._latest_news = None
        self._loop = asyncio.get_running_loop()
        self._gone = self._loop.create_future()
        self.link.on_news = self._news
        self.link.on_lost = self._lost

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    @property
    def wifi_state(self):
        """The WiFiState of the latest transaction."""
        return wifi_state(self.link.wifi_state)

    # -- start and end ----------------------------------------------------------------

    async def boot(self):
        """Return when a module has power and has started; errors as `Link.started_up`."""
        await self.link.came()
        await self.link.started_up()
        if self._gone.done():
            self._gone = self._loop.create_future()

    async def reset(self):
        """Reset the module by its pin and wait until it has started again."""
        await self.link.reset()
        if self._gone.done():
            self._gone = self._loop.create_future()

    async def gone(self):
        """Return the ModuleLost as soon as the module is lost."""
        return await asyncio.shield(self._gone)

    async def close(self):
        """Stop the servers, abort what is open, and let go of the link."""
        for server in list(self.poller.servers.values()):
            server.close()
            await server.wait_closed()
        self.poller.abort_all()
        if self.bus.present:
            await self._slots_released()
        self.link.close()

    async def _slots_released(self):
        try:
            async with asyncio.timeout(1):
                await self.poller.slots_released()
        except TimeoutError:
            self.poller.lost(LinkTimeout("the module does not answer", False))

    def _news(self, text):
        self._latest_news = text or self._latest_news
        if self.on_news:
            self.on_news(text)

    def _lost(self, error):
        self.poller.lost(error)
        if not self._gone.done():
            self._gone.set_result(error)
        if self.on_lost:
            self.on_lost(error)

    # -- servers ----------------------------------------------------------------------

    async def create_server(
        self,
        protocol_factory,
        port,
        *,
        protocol=Protocol.HTTP,
        max_connections=SOCKETS,
        ip=ANY_ADDRESS,
        tls=False,
    ):
        """Listen on a port of the module; each connection gets `protocol_factory()`.

        Gives a Server. A port the module cannot listen on raises OSError.
        """
        if not 0 < port <= 0xFFFF or max_connections < 1:
            raise ValueError("a server needs a port of 1..65535 and at least one connection")
        if port in self.poller.servers:
            raise OSError(f"a server for port {port} is open already")
        server = Server(self, port, protocol_factory)
        await server.listen(max_connections=max_connections, protocol=protocol, ip=ip, tls=tls)
        return server

    async def start_server(self, client_connected_cb, port, *, limit=STREAM_LIMIT, **options):
        """As `create_server`, with `client_connected_cb(reader, writer)` for each connection."""

        factory = self._stream_factory(client_connected_cb, limit)
        return await self.create_server(factory, port, **options)

    def _stream_factory(self, client_connected_cb, limit):
        def factory():
            reader = asyncio.StreamReader(limit=limit, loop=self._loop)
            return asyncio.StreamReaderProtocol(reader, client_connected_cb, loop=self._loop)

        return factory

    async def check_listen(self, port):
        """Raise OSError when the last error says that a listen failed.

        networkListen answers 0 even then (link protocol); other news is passed on.
        """
        text = await self.network_get_last_error()
        if text and "listen" in text.lower():
            raise OSError(f"the module cannot listen on port {port}: {text}")
        if text:
            self._news(text)

    # -- calling home -----------------------------------------------------------------

    async def create_call_home(
        self,
        protocol_factory,
        host,
        port,
        *,
        protocol=Protocol.HTTP,
        max_connections=1,
        attempts=0,
    ):
        """Have the module connect to a peer; each connection gets `protocol_factory()`.

        As `create_server`, but the module dials `host`, an IPv4 address or a name, and dials
        again when the connection is over. Gives a CallHome. OSError when the module cannot;
        that the peer does not answer is news.
        """
        if not 0 < port <= 0xFFFF or max_connections < 1:
            raise ValueError("calling home needs a port of 1..65535 and at least one connection")
        if port in self.poller.servers:
            raise OSError(f"a server for port {port} is open already")
        server = CallHome(self, host, port, protocol_factory)
        await server.listen(max_connections=max_connections, protocol=protocol, attempts=attempts)
        return server

    async def call_home(self, client_connected_cb, host, port, *, limit=STREAM_LIMIT, **options):
        """As `create_call_home`, with `client_connected_cb(reader, writer)` for each connection."""
        factory = self._stream_factory(client_connected_cb, limit)
        return await self.create_call_home(factory, host, port, **options)

    async def check_call_home(self, host, port):
        """Raise OSError when the last error says that it was refused; other news is passed on."""
        text = await self.network_get_last_error()
        if text in ("Call home failed", "bad host name"):
            raise OSError(f"the module cannot call {host}:{port}: {text}")
        if text:
            self._news(text)

    # -- outgoing connections ---------------------------------------------------------

    async def create_connection(
        self, protocol_factory, host, port, *, protocol=Protocol.HTTP, timeout=None
    ):
        """Connect the module to a peer by IPv4 address or name; give `(transport, protocol)`.

        TimeoutError after `timeout` seconds, ConnectionError when it fails or when no socket
        is free, HostNotFound for a name that the module cannot find the address of.
        """
        record = ListenOrConnect.to(host, port, protocol)
        opened = self._loop.create_future()
        self.poller.connect(record, protocol_factory, opened)
        try:
            async with asyncio.timeout(timeout):
                return await opened
        except ConnectionRefusedError as error:
            if record.host_name:
                await self._raise_host_not_found(record.host_name, error)
            raise
        except BaseException:
            _abandon(opened)
            raise

    async def _raise_host_not_found(self, name, error):
        """What the slot does not tell is in the last error, or was told as news just now."""
        text = await self.network_get_last_error()
        if text:
            self._news(text)
        if self._latest_news == f"host not found: {name}":
            raise HostNotFound(self._latest_news) from error

    async def open_connection(self, host, port, *, limit=STREAM_LIMIT, **options):
        """As `create_connection`, giving `(StreamReader, StreamWriter)`."""
        reader = asyncio.StreamReader(limit=limit, loop=self._loop)
        transport, protocol = await self.create_connection(
            lambda: asyncio.StreamReaderProtocol(reader, loop=self._loop),
            *(host, port),
            **options,
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, self._loop)


def _abandon(opened):
    """Abort a connection that came to stand while its opener was being cancelled."""
    if opened.done() and not opened.cancelled() and not opened.exception():
        opened.result()[0].abort()
