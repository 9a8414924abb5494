"""The printer's web application (aiohttp): one page, and a REST interface to files and status.

    GET /                   the page
    /api/networks, /api/forget, /api/scan, /api/join    printer/networks.py
    GET /api/status         module, sockets, traffic, storage (JSON)
    GET /api/files          the files (JSON)
    GET|HEAD /files/NAME    a file; one Range is understood, and If-Range
    PUT /files/NAME         store a file: 201 when it is new, 204 when it replaced one
    DELETE /files/NAME      204

NAME is UTF-8, percent-encoded. Errors are JSON, `{"error": "one sentence"}`.
"""

import asyncio
import errno
import logging
import math
import mimetypes
import os
import re
from collections.abc import Mapping
from email.utils import formatdate
from importlib.resources import files
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from spinet_controller.errors import SpinetError
from spinet_controller.printer.networks import BadRequest, Networks
from spinet_controller.printer.plan import Naming
from spinet_controller.printer.status import Document, ModuleReport
from spinet_controller.printer.store import BadName, FileStore, told_time
from spinet_controller.printer.transfer import (
    BadRange,
    Span,
    pieces,
    receive,
    requested_span,
    send,
)

log = logging.getLogger(__name__)

_PAGE = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/networks.js": ("networks.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}

_SECURITY = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

_SAFE = ("GET", "HEAD", "OPTIONS")

_PORTS = {"http": 80, "https": 443}

_AUTHORITY = re.compile(r"(.*?)\.?(?::(\d{0,5}))?", re.ASCII | re.DOTALL)

_FULL = (errno.ENOSPC, errno.EDQUOT)


def refusal(status: int, text: str, **headers: str) -> web.Response:
    """Give an error response in JSON."""
    return web.json_response({"error": text}, status=status, headers=headers or None)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error in the same form, and never with a trace."""
    try:
        response = await handler(request)
    except (BadName, BadRequest) as error:
        return refusal(400, str(error))
    except web.RequestPayloadError:
        return refusal(400, "the body of the request is broken, or not whole")
    except FileNotFoundError:
        return refusal(404, "there is no such file")
    except web.HTTPException as error:
        return refusal(error.status, error.reason.lower(), **_kept(error.headers))
    except ConnectionError as error:
        # A peer that goes in the middle is its own business; this answer has no reader.
        log.debug("%s left: %s", request.remote, error)
        return refusal(400, "the connection was lost")
    except OSError as error:
        return _disk_refusal(error)
    except SpinetError as error:
        return refusal(503, str(error))
    return response


def own_only(naming: Naming, address: str) -> Middleware:
    """Refuse what a page of another site could have a browser send.

    Host must be a name of the printer: one of that site's may lead to the module's address (DNS
    rebinding). What changes something must have no Origin, or one of the printer's.
    """

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        if "Host" in request.headers and not naming.is_own(_parted(request.host)[0], address):
            raise web.HTTPMisdirectedRequest(reason="the printer has another name (--allow-host)")
        origin = request.headers.get("Origin")
        if origin and request.method not in _SAFE and not _is_own(origin, request, naming, address):
            raise web.HTTPForbidden(reason="a page of another site changes nothing here")
        return await handler(request)

    return checked


def _is_own(origin: str, request: web.Request, naming: Naming, address: str) -> bool:
    """True for a name of the printer with the port of Host, or the one that the request came to.

    A name of `others` may have any port, as only a proxy knows where it is reached.
    """
    scheme, _, authority = origin.lower().partition("://")
    default = _PORTS.get(scheme)
    name, port = _parted(authority, default)
    _host, its_port = _parted(request.headers.get("Host", ""), default)
    came_to = request.get_extra_info("sockname", ("", 0))[1]
    at_own = naming.is_own(name, address) and port in (its_port, came_to)
    return default is not None and (at_own or naming.is_other(name))


def _parted(authority: str, default: int | None = None) -> tuple[str, int | None]:
    """Give name, in lower case, and port of HOST or HOST:PORT."""
    match = _AUTHORITY.fullmatch(authority.lower())
    assert match, "it takes any text"
    name, port = match.groups()
    return name, int(port) if port else default


@web.middleware
async def decoded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a path that is no percent-encoded UTF-8: some of it would be taken as it stands."""
    path = request.rel_url.raw_path
    try:
        unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise BadRequest("a path is UTF-8, percent-encoded") from None
    if re.search("%(?![0-9A-Fa-f]{2})", path):
        raise BadRequest("in a path, % is followed by two hexadecimal digits")
    return await handler(request)


@web.middleware
async def no_codings(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a body that is not sent as it is: what is stored is what was sent."""
    codings = ",".join(request.headers.getall("Content-Encoding", [])).lower().split(",")
    if any(coding.strip() not in ("", "identity") for coding in codings):
        raise web.HTTPUnsupportedMediaType(reason="a body is taken without Content-Encoding")
    if request.headers.get("Transfer-Encoding", "chunked").lower() != "chunked":
        raise web.HTTPNotImplemented(reason="of transfer codings only chunked is known")
    return await handler(request)


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in ("Allow", "Content-Range") if name in headers}


def _disk_refusal(error: OSError) -> web.Response:
    if error.errno in _FULL:
        return refusal(507, "the disk is full")
    log.warning("disk: %s", error)
    return refusal(500, "the file could not be read or written")


class Site:
    """The handlers over one FileStore, one ModuleReport and one Networks.

    A request whose body stands still for `stalled` seconds is answered 408. Host and Origin of
    requests must be of `naming` and `address`.
    """

    def __init__(
        self,
        store: FileStore,
        report: ModuleReport,
        networks: Networks,
        stalled: float,
        naming: Naming,
        address: str,
    ) -> None:
        self._store = store
        self._report = report
        self._networks = networks
        self._stalled = stalled
        self._own_only = own_only(naming, address)

    def application(self) -> web.Application:
        """Give the aiohttp application."""
        middlewares = [errors_as_json, self._own_only, decoded, no_codings]
        application = web.Application(middlewares=middlewares)
        application.on_response_prepare.append(self._prepare)
        application.add_routes(self._routes())
        return application

    async def _prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_SECURITY)
        # An idle connection would keep a peer out that waits in the module's backlog, and what
        # may still come of a body that was not wanted is no request.
        whole = request.content.is_eof()
        protocol: Any = request.protocol  # a Connection of serving
        if self._report.crowded() or not whole or protocol.is_last():
            response.force_close()
            response.headers["Connection"] = "close"

    def _routes(self) -> list[web.RouteDef]:
        page = [web.get(path, _page_handler(*entry)) for path, entry in _PAGE.items()]
        # Names with slashes are caught here as well, and refused in words.
        name = "/files/{name:(?s:.*)}"
        return [
            *page,
            web.get("/api/status", self.status),
            web.get("/api/files", self.list),
            web.get(name, self.download),
            web.put(name, self.upload),
            web.delete(name, self.delete),
            *self._networks.routes(),
        ]

    async def status(self, _request: web.Request) -> web.Response:
        """GET /api/status"""
        document = await self._report.document()
        document["storage"] = await asyncio.to_thread(self._storage)
        return web.json_response(document)

    def _storage(self) -> Document:
        stored = self._store.list()
        return {
            "files": len(stored),
            "bytes": sum(file.size for file in stored),
            "free": self._store.free(),
        }

    async def list(self, _request: web.Request) -> web.Response:
        """GET /api/files"""
        stored = await asyncio.to_thread(self._store.list)
        listed = [{"name": f.name, "size": f.size, "modified": f.modified} for f in stored]
        return web.json_response({"files": listed})

    async def upload(self, request: web.Request) -> web.Response:
        """PUT /files/NAME: all of it, or nothing."""
        if "Content-Range" in request.headers:
            # Taken for all of it, the part would replace the file.
            return refusal(400, "a file is stored as a whole")
        name = request.match_info["name"]
        existed = self._store.exists(name)
        if (request.content_length or 0) > self._store.free():
            return refusal(507, "the disk has no room for this file")
        with self._store.upload(name) as file:
            body = pieces(request, self._stalled)
            received = await receive(body, file, self._store.free)
        log.info("stored %s, %d bytes", name, received)
        location = {"Location": f"/files/{quote(name)}"}
        return web.Response(status=204 if existed else 201, headers=location)

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /files/NAME"""
        await asyncio.to_thread(self._store.delete, request.match_info["name"])
        return web.Response(status=204)

    async def download(self, request: web.Request) -> web.StreamResponse:
        """GET and HEAD /files/NAME"""
        name = request.match_info["name"]
        with await asyncio.to_thread(self._store.open, name) as file:
            response, span = _prepared(request, name, os.fstat(file.fileno()))
            await response.prepare(request)
            if request.method != "HEAD":
                await _send_body(request, response, file, span)
        return response


async def _send_body(
    request: web.Request, response: web.StreamResponse, file: BinaryIO, span: Span
) -> None:
    """Send what the head has promised; only the end of the connection can take it back."""
    try:
        await send(file, span, response.write)
    except (OSError, EOFError) as error:
        level = logging.DEBUG if isinstance(error, ConnectionError) else logging.WARNING
        log.log(level, "a download was cut off: %s", error)
        if request.transport:
            request.transport.abort()


def _prepared(
    request: web.Request, name: str, status: os.stat_result
) -> tuple[web.StreamResponse, Span]:
    """Give a response with the headers of a download, and the Span to send."""
    size = status.st_size
    headers = {
        "Last-Modified": formatdate(math.ceil(told_time(status.st_mtime)), usegmt=True),
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Type": mimetypes.guess_type(name)[0] or "application/octet-stream",
        "Cache-Control": "no-cache",
    }
    try:
        span = requested_span(_range(request, headers["Last-Modified"]), size)
    except BadRange as error:
        raise _unsatisfiable(size) from error
    if span:
        headers["Content-Range"] = span.content_range
    response = web.StreamResponse(status=206 if span else 200, headers=headers)
    span = span or Span(0, size, size)
    response.content_length = span.length
    return response, span


def _range(request: web.Request, modified: str) -> str | None:
    """Give the Range header, None where If-Range says that the client has parts of another file."""
    if request.headers.get("If-Range", modified) != modified:
        return None
    return request.headers.get("Range")


def _unsatisfiable(size: int) -> web.HTTPException:
    return web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})


def _page_handler(name: str, content_type: str) -> Handler:
    body = files(__package__).joinpath("page", name).read_bytes()

    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=body,
            content_type=content_type,
            charset="utf-8",
            headers={"Cache-Control": "no-cache"},
        )

    return handler
