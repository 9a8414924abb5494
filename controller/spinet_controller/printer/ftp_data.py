"""Where FTP's data connections come from: the module listens for one, or opens one."""

import asyncio
import itertools
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import AddressValueError, IPv4Address
from typing import Any, Self
from typing import Protocol as Shape

from spinet_controller.codes import Protocol
from spinet_controller.module import Module
from spinet_controller.printer.plan import STALLED
from spinet_controller.printer.transfer import PIECE
from spinet_controller.server import Server

CONNECT = 10.0
"""Seconds for a data connection to be made."""

FIRST, LAST = 49152, 65535
"""Ports for passive transfers (IANA's dynamic ones)."""

_TRIES = 8
_order = itertools.cycle(range(FIRST, LAST + 1))
for _ in range(random.randrange(LAST - FIRST)):
    next(_order)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Tally(Shape):
    """What counts the bytes of a transfer."""

    bytes: int


class BadAddress(ValueError):
    """Nowhere to connect to; the text says why."""


class PassivePort:
    """A listener of the module for one connection of `peer`, an IPv4 address.

    A listener of protocol 3 (link protocol) would end with a stranger's connection. This one goes
    on: while a stranger's is being aborted, the client's waits in the module's backlog.
    """

    def __init__(self, module: Module, peer: str) -> None:
        self._module = module
        self._peer = peer
        self._came: asyncio.Future[Streams] | None = asyncio.get_running_loop().create_future()
        self._server: Server  # from opened() on

    @classmethod
    async def opened(cls, module: Module, peer: str) -> Self:
        """Listen on a fresh port; OSError when none of several can be had."""
        port = cls(module, peer)
        for tries_left in reversed(range(_TRIES)):
            try:
                await port._listen(next(_order))
                return port
            except OSError:
                if not tries_left:
                    raise
        return port

    async def _listen(self, number: int) -> None:
        self._server = await self._module.start_server(
            self._accepted, number, protocol=Protocol.FTP_PASSIVE, max_connections=1
        )

    @property
    def number(self) -> int:
        """The port."""
        return self._server.port

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (
            self._came is None
            or self._came.done()
            or writer.get_extra_info("peername")[0] != self._peer
        ):
            writer.transport.abort()
        else:
            self._came.set_result((reader, writer))
            self._server.close()

    async def connection(self) -> Streams:
        """Give the (reader, writer) of the connection; TimeoutError when none comes."""
        assert self._came, "asked for once"
        async with asyncio.timeout(CONNECT):
            came = await asyncio.shield(self._came)
        self._came = None
        return came

    def close(self) -> None:
        """Listen no more; a connection that was not asked for is aborted."""
        self._server.close()
        if self._came is None:
            return
        if self._came.done() and not self._came.cancelled():
            self._came.result()[1].transport.abort()
        self._came.cancel()


class ActivePort:
    """A peer's address, which the module connects to when a transfer begins."""

    def __init__(self, module: Module, host: str, port: int) -> None:
        self._module = module
        self._host = host
        self._port = port

    @classmethod
    def of_port(cls, module: Module, text: str, peer: str) -> Self:
        """From what PORT says: six numbers. Only `peer` itself is connected to."""
        numbers = text.split(",")
        if len(numbers) != 6 or not all(re.fullmatch(r"\d{1,3}", number) for number in numbers):
            raise BadAddress("PORT wants six numbers")
        high, low = map(int, numbers[4:])
        return cls._checked(module, ".".join(numbers[:4]), high << 8 | low, peer)

    @classmethod
    def of_eprt(cls, module: Module, text: str, peer: str) -> Self:
        """From what EPRT says: |1|address|port|."""
        parts = text.split(text[:1]) if text else []
        if len(parts) != 5 or parts[1] != "1" or not re.fullmatch(r"\d{1,5}", parts[3]):
            raise BadAddress("EPRT wants |1|address|port|")
        return cls._checked(module, parts[2], int(parts[3]), peer)

    @classmethod
    def _checked(cls, module: Module, host: str, port: int, peer: str) -> Self:
        try:
            address = IPv4Address(host)
        except AddressValueError as error:
            raise BadAddress("that is no IPv4 address") from error
        if str(address) != peer:
            # Else anybody could have the module connect to anywhere.
            raise BadAddress("the module connects to the client only")
        if not 1024 <= port <= 0xFFFF:
            raise BadAddress("the module connects to ports from 1024 on")
        return cls(module, host, port)

    async def connection(self) -> Streams:
        """Open it; give (reader, writer)."""
        return await self._module.open_connection(
            *(self._host, self._port), protocol=Protocol.FTP_DATA, timeout=CONNECT
        )

    def close(self) -> None:
        """There is nothing to close."""


def flowing(stream: asyncio.StreamReader | asyncio.StreamWriter, tally: Tally) -> Any:
    """Give a StreamReader as an iterator of pieces, a StreamWriter as a coroutine function.

    Both count in `tally.bytes` what they move, and raise TimeoutError when nothing moves for long.
    """
    if isinstance(stream, asyncio.StreamReader):
        return _pieces(stream, tally)
    return _into(stream, tally)


async def _pieces(reader: asyncio.StreamReader, tally: Tally) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(STALLED):
            piece = await reader.read(PIECE)
        if not piece:
            return
        tally.bytes += len(piece)
        yield piece


def _into(writer: asyncio.StreamWriter, tally: Tally) -> Callable[[bytes], Awaitable[None]]:
    async def write(piece: bytes) -> None:
        writer.write(piece)
        await _while_it_moves(writer, writer.drain())
        tally.bytes += len(piece)

    return write


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close a StreamWriter when its peer has taken everything; TimeoutError as of flowing()."""
    writer.close()
    await _while_it_moves(writer, writer.wait_closed())


async def _while_it_moves(writer: asyncio.StreamWriter, work: Awaitable[None]) -> None:
    """Await `work`; TimeoutError when nothing leaves the writer's buffer for long."""
    working = asyncio.ensure_future(work)
    try:
        left: int | None = None
        while left != (left := writer.transport.get_write_buffer_size()):
            if (await asyncio.wait([working], timeout=STALLED))[0]:
                await working
                return
        raise TimeoutError("the peer takes nothing")
    finally:
        working.cancel()
