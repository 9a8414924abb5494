"""Libraries that connect and listen by asyncio, through a module: `with through(module)`.

They end in `loop.create_connection` and `loop.create_server` of the running loop. In the block, and
in tasks and connections that begin there, these two are the module's; elsewhere they are as before.
"""

import asyncio
import ssl as ssl_module
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import IPv4Address
from typing import Any

from spinet_controller.module import Module
from spinet_controller.records import ANY_ADDRESS

_way: ContextVar[tuple[Module | None, bool]] = ContextVar("spinet_way", default=(None, False))
_Opening = Callable[..., Awaitable[Any]]
_TLS_OPTIONS = ("ssl_handshake_timeout", "ssl_shutdown_timeout")


@contextmanager
def through(module: Module, *, call_home: bool = False) -> Iterator[Module]:
    """In this block asyncio connects and listens through `module`, for every library.

    A host name is looked up by the module. What has a socket already stays this computer's; what
    a module cannot do, such as connecting from a certain address, raises ValueError. With
    `call_home` a server's host and port are a peer's, which the module calls and serves.
    """
    _reroute(asyncio.get_running_loop())
    token = _way.set((module, call_home))
    try:
        yield module
    finally:
        _way.reset(token)


def _reroute(loop: asyncio.AbstractEventLoop) -> None:
    """Have a loop ask which way to take; it keeps doing so, as connections outlive a block."""
    routes = vars(loop)
    if "create_connection" not in routes:
        routes["create_connection"] = _connecting(loop.create_connection)
        routes["create_server"] = _listening(loop.create_server)


def _connecting(directly: _Opening) -> _Opening:
    async def create_connection(
        protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        module, _ = _way.get()
        if module is None or options.get("sock"):
            return await directly(protocol_factory, host, port, **options)
        if options.get("local_addr"):
            raise ValueError("a module connects from its own address")
        ssl = options.get("ssl")
        return await module.create_connection(
            *(protocol_factory, str(host), int(port)),
            ssl=ssl_module.create_default_context() if ssl is True else ssl,
            server_hostname=options.get("server_hostname"),
            **_tls_times(options),
        )

    return create_connection


def _listening(directly: _Opening) -> _Opening:
    async def create_server(
        protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        module, call_home = _way.get()
        if module is None or options.get("sock"):
            return await directly(protocol_factory, host, port, **options)
        if call_home:
            if options.get("ssl"):
                raise ValueError("a module that calls home speaks no TLS")
            return await module.create_call_home(protocol_factory, str(host), int(port))
        if not options.get("start_serving", True):
            raise ValueError("a module serves as soon as it listens")
        return await module.create_server(
            *(protocol_factory, int(port or 0)),
            ip=_own_address(host),
            ssl=options.get("ssl"),
            **_tls_times(options),
        )

    return create_server


def _own_address(host: str | None) -> IPv4Address:
    if host in (None, "", "::"):
        return ANY_ADDRESS
    try:
        return IPv4Address(host)
    except ValueError:
        raise ValueError(f"a module listens on an IPv4 address of its own, not {host!r}") from None


def _tls_times(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in _TLS_OPTIONS if name in options}
