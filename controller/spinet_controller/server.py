"""A listener of the module as an asyncio server, and calling home as one."""

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Self

from spinet_controller.errors import SpinetError
from spinet_controller.sockets import Factory, SocketTransport

if TYPE_CHECKING:
    from spinet_controller.module import Module


class Server(asyncio.AbstractServer):
    """Like asyncio.Server: `close()` stops listening, connections that stand live on.

    Made by `Module.create_server` and `Module.start_server`. `port` is the module's,
    `connections` the transports that were accepted and are not lost yet. Their protocols are called
    in copies of the context that the server was made in. It has no sockets of this computer.
    """

    def __init__(self, module: "Module", port: int, new_protocol: Factory) -> None:
        self.port = port
        self.connections: set[SocketTransport] = set()
        self.context = copy_context()
        self.new_protocol = new_protocol
        self._module = module
        self._loop = asyncio.get_running_loop()
        self._stopping: asyncio.Task[None] | None = None
        self._serving = False
        self._closed: asyncio.Future[None] = self._loop.create_future()

    @property
    def sockets(self) -> tuple[()]:
        """As asyncio.Server's; always empty."""
        return ()

    def __repr__(self) -> str:
        return f"<Server port={self.port} serving={self._serving}>"

    async def listen(self, **options: Any) -> None:
        """Send networkListen; called once, by the module."""
        self._serving = True
        self._module.poller.add_server(self)
        try:
            await self._begin(**options)
        except BaseException:
            self.close()
            raise

    async def _begin(self, **options: Any) -> None:
        await self._module.network_listen(self.port, **options)

    async def _end(self) -> None:
        await self._module.network_listen(self.port, 0)

    def connection_made(self, transport: SocketTransport) -> None:
        """A transport was accepted (poller)."""
        self.connections.add(transport)

    def connection_gone(self, transport: SocketTransport) -> None:
        """A transport was lost (sockets)."""
        self.connections.discard(transport)

    def close(self) -> None:
        """Stop listening (networkListen with maxConnections 0)."""
        if not self._serving:
            return
        self._serving = False
        if self._module.poller.remove_server(self):
            self._stopping = self._loop.create_task(self._stop())
        else:
            self._stopped()

    async def _stop(self) -> None:
        try:
            await self._end()
        except SpinetError:
            pass
        finally:
            self._stopped()

    def _stopped(self) -> None:
        if not self._closed.done():
            self._closed.set_result(None)

    async def wait_closed(self) -> None:
        """Return when the module has stopped listening."""
        await asyncio.shield(self._closed)

    def close_clients(self) -> None:
        """Close every connection that was accepted and stands."""
        for transport in list(self.connections):
            transport.close()

    def abort_clients(self) -> None:
        """Abort every connection that was accepted and stands."""
        for transport in list(self.connections):
            transport.abort()

    def is_serving(self) -> bool:
        """True while listening."""
        return self._serving

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Give the event loop."""
        return self._loop

    async def start_serving(self) -> None:
        """Nothing to do: a server is made listening."""

    async def serve_forever(self) -> None:
        """Serve until cancelled; then stop listening."""
        try:
            await asyncio.shield(self._closed)
        finally:
            self.close()
            await self.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.wait_closed()


class CallHome(Server):
    """Serves connections that the module opens to `host`; `port` is the peer's.

    Made by `Module.create_call_home` and `Module.call_home`. Like a listener's its connections
    come by themselves; when one ends, the module dials again.
    """

    def __init__(self, module: "Module", host: str, port: int, new_protocol: Factory) -> None:
        super().__init__(module, port, new_protocol)
        self.host = host

    async def _begin(self, **options: Any) -> None:
        await self._module.network_call_home(self.host, self.port, **options)

    async def _end(self) -> None:
        await self._module.network_call_home(self.host, self.port, 0)
