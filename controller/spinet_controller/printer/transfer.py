"""Bytes between requests and the store, a piece at a time and off the event loop."""

import asyncio
import errno
import io
import os
import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

from aiohttp import web

_T = TypeVar("_T")

PIECE = 128 * 1024
"""Bytes moved to or from the disk at once; all that one transfer holds in memory."""


class BadRange(ValueError):
    """A Range header that asks for nothing the file has."""


@dataclass(frozen=True)
class Span:
    """Bytes `start` to `stop` (exclusive) of a file of `size` bytes."""

    start: int
    stop: int
    size: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.stop - self.start

    @property
    def content_range(self) -> str:
        """The value of a Content-Range header."""
        return f"bytes {self.start}-{self.stop - 1}/{self.size}"


_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def requested_span(header: str | None, size: int) -> Span | None:
    """Give the Span of a Range header; None when the whole file is to be sent.

    A header of another unit or form, or with several ranges, asks for the whole file.
    """
    match = _ONE_RANGE.fullmatch(header.strip()) if header else None
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        span = Span(max(0, size - int(last)), size, size)
    else:
        span = Span(int(first), min(int(last) + 1, size) if last else size, size)
    if span.length <= 0:
        raise BadRange(f"the file has {size} bytes")
    return span


async def in_time(request: web.Request, coming: Awaitable[_T], stalled: float) -> _T:
    """Await a part of a request's body; HTTPRequestTimeout when it does not come in that time."""
    try:
        async with asyncio.timeout(stalled):
            return await coming
    except TimeoutError:
        # aiohttp would wait for the rest once more, to discard it.
        request.content.set_exception(web.RequestPayloadError("it was given up"))
        raise web.HTTPRequestTimeout(reason="the request did not come to its end") from None


async def pieces(request: web.Request, stalled: float) -> AsyncIterator[bytes]:
    """Give a request's body as it comes, piece by piece; HTTPRequestTimeout as `in_time`."""
    while piece := await in_time(request, request.content.readany(), stalled):
        yield piece


async def receive(chunks: AsyncIterable[bytes], file: io.FileIO, free: Callable[[], int]) -> int:
    """Write what an asynchronous iterator gives into `file`; give the number of bytes.

    All that came is written, also when the iterator raises or we are cancelled. OSError (ENOSPC)
    when there is more of it than `free()` says is free.
    """
    received = 0
    pending = bytearray()
    try:
        async for chunk in chunks:
            pending += chunk
            received += len(chunk)
            if len(pending) >= PIECE:
                piece, pending = pending, bytearray()
                await in_thread(_write_all, file, piece, free)
    finally:
        if pending:
            await in_thread(_write_all, file, pending, free)
    return received


async def in_thread(work: Callable[..., _T], *arguments: Any) -> _T:
    """Run `work` in a thread. When cancelled, wait for it: it has a file in use."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _write_all(file: io.FileIO, data: bytearray, free: Callable[[], int]) -> None:
    if len(data) > free():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


async def send(file: BinaryIO, span: Span, write: Callable[[bytes], Awaitable[object]]) -> None:
    """Hand the bytes of `span` in pieces to the coroutine function `write`.

    A file that shrank meanwhile raises EOFError: the length was promised already.
    """
    await asyncio.to_thread(file.seek, span.start)
    left = span.length
    while left:
        piece = await asyncio.to_thread(file.read, min(left, PIECE))
        if not piece:
            raise EOFError("the file became shorter while it was sent")
        await write(piece)
        left -= len(piece)
