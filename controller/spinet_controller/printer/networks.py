"""The networks of the module in the REST interface: what is remembered, in reach, joined.

    GET /api/networks           what is remembered, never a password
    POST /api/networks          {"ssid", "password"}: remember a network, 204
    POST /api/forget            {"ssid"}: 204
    POST /api/scan              what is in reach, strongest first
    POST /api/join              {"ssid"}: leave this network for that one, 202

Names and passwords are as in records.py; in JSON, a byte that is not UTF-8 is \\udc80 to \\udcff.
Joining ends every connection of the module, this one too; the printer is served again on the
other network, or on the old one when the other cannot be joined: `join` of /api/status has the
network while it is joined, and afterwards why it was not.
"""

import asyncio
import codecs
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web

from spinet_controller.errors import ModuleError, Refused
from spinet_controller.module import Module
from spinet_controller.printer.status import Document, label
from spinet_controller.printer.transfer import in_time
from spinet_controller.records import ANY_ADDRESS, WirelessConfig
from spinet_controller.wifi import scan

_T = TypeVar("_T")


class BadRequest(ValueError):
    """A request whose content makes no sense; the text says why, and quotes none of it."""


class Networks:
    """The handlers over one module; `join(ssid)` is called for a network that is remembered."""

    def __init__(self, module: Module, join: Callable[[str], object], stalled: float) -> None:
        self._module = module
        self._join = join
        self._stalled = stalled
        self._scanning = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """Give the routes of the application."""
        return [
            web.get("/api/networks", self.list),
            web.post("/api/networks", self.add),
            web.post("/api/forget", self.forget),
            web.post("/api/scan", self.scan),
            web.post("/api/join", self.join),
        ]

    async def _remembered(self) -> list[WirelessConfig]:
        _own, *known = await self._module.network_retrieve_ssid_data()
        return known

    async def list(self, _request: web.Request) -> web.Response:
        """GET /api/networks"""
        networks = [
            {"ssid": known.ssid, "address": "dhcp" if known.ip == ANY_ADDRESS else str(known.ip)}
            for known in await self._remembered()
        ]
        return web.json_response({"networks": networks})

    async def add(self, request: web.Request) -> web.Response:
        """POST /api/networks"""
        document = await self._document(request)
        config = WirelessConfig(_text(document, "ssid"), _text(document, "password", ""))
        try:
            config.pack()
        except ValueError as error:
            raise BadRequest(str(error)) from None
        await _done(self._module.network_add_ssid(config))
        return web.Response(status=204)

    async def _wanted(self, request: web.Request) -> str:
        """Give the name of the network in a request; 404 when it is not remembered."""
        ssid = _text(await self._document(request), "ssid")
        if ssid not in [known.ssid for known in await self._remembered()]:
            raise web.HTTPNotFound(reason="this network is not remembered")
        return ssid

    async def forget(self, request: web.Request) -> web.Response:
        """POST /api/forget"""
        ssid = await self._wanted(request)
        await _done(self._module.network_delete_ssid(ssid))
        return web.Response(status=204)

    async def scan(self, request: web.Request) -> web.Response:
        """POST /api/scan"""
        await self._document(request)
        async with self._scanning:
            found = await _done(scan(self._module))
        networks = [
            {"ssid": one.ssid, "rssi": one.rssi, "channel": one.channel, "auth": label(one.auth)}
            for one in found
        ]
        return web.json_response({"networks": networks})

    async def join(self, request: web.Request) -> web.Response:
        """POST /api/join"""
        self._join(await self._wanted(request))
        return web.Response(status=202)

    async def _document(self, request: web.Request) -> Document:
        """Give the JSON object of a request.

        Another content type is refused: a page of another site can send a form, but no JSON.
        """
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(reason="the content type must be application/json")
        if not _is_utf_8(request.charset or "utf-8"):
            raise BadRequest("JSON is UTF-8")
        try:
            document = json.loads(await in_time(request, request.read(), self._stalled))
        except (ValueError, RecursionError):
            raise BadRequest("this is no JSON") from None
        if not isinstance(document, dict):
            raise BadRequest("a JSON object is wanted")
        return document


def _is_utf_8(charset: str) -> bool:
    try:
        return codecs.lookup(charset).name == "utf-8"
    except (LookupError, ValueError):
        return False


def _text(document: Document, name: str, default: str | None = None) -> str:
    value = document.get(name, default)
    if not isinstance(value, str):
        raise BadRequest(f"{name} must be a text")
    return value


async def _done(work: Awaitable[_T]) -> _T:
    """Await `work`; what the module refuses is the request's fault."""
    try:
        return await work
    except (Refused, ModuleError) as error:
        raise BadRequest(str(error)) from None
