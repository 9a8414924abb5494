"""TLS that the controller speaks, over a socket of the module: asyncio's own, as on its loops."""

import asyncio
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from ssl import SSLContext
from typing import Any

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


def secured(factory: ProtocolFactory, context: SSLContext, **times: Any) -> ProtocolFactory:
    """Give a protocol factory that serves `factory`'s protocols over TLS.

    `times` may have `ssl_handshake_timeout` and `ssl_shutdown_timeout`, seconds.
    """
    loop: Any = asyncio.get_running_loop()
    never: Any = None  # a server's handshake has no waiter
    return lambda: SSLProtocol(loop, factory(), context, never, server_side=True, **times)


class Handshake:
    """An outgoing connection's: `factory` is for the connection, `done()` gives what is above."""

    def __init__(
        self,
        factory: ProtocolFactory,
        context: SSLContext,
        server_hostname: str,
        **times: Any,
    ) -> None:
        self._loop: Any = asyncio.get_running_loop()
        self._factory = factory
        self._context = context
        self._options = {"server_hostname": server_hostname, **times}
        self._over: asyncio.Future[Any] = self._loop.create_future()
        self._opened: Any = None

    def factory(self) -> SSLProtocol:
        """Make the protocol of the plain connection."""
        protocol = self._factory()
        tls = SSLProtocol(self._loop, protocol, self._context, self._over, **self._options)
        above: Any = tls
        self._opened = above._get_app_transport(), protocol
        return tls

    async def done(self, plain: asyncio.Transport) -> Any:
        """Give `(transport, protocol)` once both ends agree; raises ssl.SSLError or OSError.

        Otherwise `plain`, the transport below, is aborted.
        """
        try:
            await self._over
        except BaseException:
            plain.abort()
            raise
        return self._opened
