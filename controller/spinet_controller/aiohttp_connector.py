"""aiohttp's client through a module: `aiohttp.ClientSession(connector=ModuleConnector(module))`."""

import asyncio
import ssl
from typing import Any

import aiohttp

from spinet_controller.module import Module


class ModuleConnector(aiohttp.BaseConnector):
    """Opens a session's connections through `module`, which looks up the names.

    TLS is asyncio's: `ssl` is for requests that have none of their own, True for the usual context,
    False for one that trusts everybody. `options` are BaseConnector's. A proxy raises ValueError.
    """

    def __init__(self, module: Module, *, ssl: Any = True, **options: Any) -> None:
        super().__init__(**options)
        self._module = module
        self._ssl = ssl

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> Any:
        if req.proxy:
            raise ValueError("a module's connector takes no proxy")
        wanted = self._ssl if req.ssl is True else req.ssl
        try:
            async with asyncio.timeout(timeout.sock_connect):
                transport, protocol = await self._module.create_connection(
                    *(self._factory, req.host, req.port),
                    ssl=_context(wanted) if req.is_ssl() else None,
                    server_hostname=req.server_hostname if req.is_ssl() else None,
                )
        except ssl.CertificateError as error:
            raise aiohttp.ClientConnectorCertificateError(req.connection_key, error) from error
        except ssl.SSLError as error:
            raise aiohttp.ClientConnectorSSLError(req.connection_key, error) from error
        except TimeoutError:
            raise
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        if isinstance(wanted, aiohttp.Fingerprint):
            _check(wanted, transport)
        return protocol


def _context(wanted: Any) -> ssl.SSLContext:
    if isinstance(wanted, ssl.SSLContext):
        return wanted
    context = ssl.create_default_context()
    if wanted is not True:  # False, or a fingerprint that is checked afterwards
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _check(fingerprint: aiohttp.Fingerprint, transport: asyncio.Transport) -> None:
    try:
        fingerprint.check(transport)
    except aiohttp.ServerFingerprintMismatch:
        transport.abort()
        raise
