"""A listener of the module as an asyncio server, and calling home as one."""

import asyncio
from contextvars import copy_context

from spinet_controller.errors import SpinetError


class Server(asyncio.AbstractServer):
    """Like asyncio.Server: `close()` stops listening, connections that stand live on.

    Made by `Module.create_server` and `Module.start_server`. `port` is the module's,
    `connections` the transports that were accepted and are not lost yet. Their protocols are called
    in copies of the context that the server was made in. It has no sockets of this computer.
    """

    def __init__(self, module, port, new_protocol):
        self.port = port
        self.connections = set()
        self.context = copy_context()
        self.new_protocol = new_protocol
        self._module = module
        self._loop = asyncio.get_running_loop()
        self._stopping = None
        self._serving = False
        self._closed = self._loop.create_future()

    @property
    def sockets(self):
        """As asyncio.Server's; always empty."""
        return ()

    def __repr__(self):
        return f"<Server port={self.port} serving={self._serving}>"

    async def listen(self, **options):
        """Send networkListen; called once, by the module."""
        self._serving = True
        self._module.poller.add_server(self)
        try:
            await self._begin(**options)
        except BaseException:
            self.close()
            raise

    async def _begin(self, **options):
        await self._module.network_listen(self.port, **options)

    async def _end(self):
        await self._module.network_listen(self.port, 0)

    def connection_made(self, transport):
        """A transport was accepted (poller)."""
        self.connections.add(transport)

    def connection_gone(self, transport):
        """A transport was lost (sockets)."""
        self.connections.discard(transport)

    def close(self):
        """Stop listening (networkListen with maxConnections 0)."""
        if not self._serving:
            return
        self._serving = False
        if self._module.poller.remove_server(self):
            self._stopping = self._loop.create_task(self._stop())
        else:
            self._stopped()

    async def _stop(self):
        try:
            await self._end()
        except SpinetError:
            pass
        finally:
            self._stopped()

    def _stopped(self):
        if not self._closed.done():
            self._closed.set_result(None)

    async def wait_closed(self):
        """Return when the module has stopped listening."""
        await asyncio.shield(self._closed)

    def close_clients(self):
        """Close every connection that was accepted and stands."""
        for transport in list(self.connections):
            transport.close()

    def abort_clients(self):
        """Abort every connection that was accepted and stands."""
        for transport in list(self.connections):
            transport.abort()

    def is_serving(self):
        """True while listening."""
        return self._serving

    def get_loop(self):
        """Give the event loop."""
        return self._loop

    async def start_serving(self):
        """Nothing to do: a server is made listening."""

    async def serve_forever(self):
        """Serve until cancelled; then stop listening."""
        try:
            await asyncio.shield(self._closed)
        finally:
            self.close()
            await self.wait_closed()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.close()
        await self.wait_closed()


class CallHome(Server):
    """Serves connections that the module opens to `host`; `port` is the peer's.

    Made by `Module.create_call_home` and `Module.call_home`. Like a listener's its connections
    come by themselves; when one ends, the module dials again.
    """

    def __init__(self, module, host, port, new_protocol):
        super().__init__(module, port, new_protocol)
        self.host = host

    async def _begin(self, **options):
        await self._module.network_call_home(self.host, self.port, **options)

    async def _end(self):
        await self._module.network_call_home(self.host, self.port, 0)
