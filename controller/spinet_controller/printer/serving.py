"""What the printer serves, each on a port of the module: one context manager for all of it."""

import asyncio
import functools
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError, PayloadEncodingError
from aiohttp.log import server_logger

from spinet_controller.codes import Protocol
from spinet_controller.errors import ListenFailed, SpinetError
from spinet_controller.extras import extra
from spinet_controller.module import Module
from spinet_controller.printer.console import Console
from spinet_controller.printer.networks import Networks
from spinet_controller.printer.plan import Broker, Naming, Ports, mqtt_client_id
from spinet_controller.printer.site import Site
from spinet_controller.printer.status import ModuleReport
from spinet_controller.printer.store import FileStore
from spinet_controller.sockets import Factory, SocketTransport

if TYPE_CHECKING:
    from spinet_controller.printer.certificate import Identity

KEEP_ALIVE = 10.0
"""Seconds an idle connection may hold one of the module's few sockets."""

GOODBYE = 1.0
"""Seconds that requests under way get at the end."""


_PIECES = re.compile(rb"\A[\r\n]{1,4}|.*?\r\n\r\n|.+", re.DOTALL)
"""Splits what came behind each end of a head, also of a head that began in an earlier segment."""


class BadRequests(logging.Filter):
    """Keeps what is no HTTP out of the log: that is the peer's mistake, and it got its 400."""

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a record that only says that a request could not be understood."""
        raised = record.exc_info[1] if record.exc_info else None
        return not isinstance(raised, (HttpProcessingError, web.RequestPayloadError))


_NO_LOG: Any = None
"""aiohttp's types want a logger where its documents know None."""


class Connection(web.RequestHandler):
    """aiohttp's protocol, for peers that end their direction and for peers that stop reading.

    aiohttp's own would close the connection at the peer's FIN, with a request in its hands, and
    would wait without end for a peer that takes nothing of an answer. It would also drop the
    requests that came in one segment with something that is none.
    """

    __slots__ = ("_body", "_ended", "_stalled")

    def __init__(self, server: web.Server, stalled: float) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=_NO_LOG,
            auto_decompress=False,
            keepalive_timeout=KEEP_ALIVE,
        )
        self._stalled = stalled
        self._ended = False
        self._body: StreamReader | None = None  # of the latest request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the limit of the peer's pauses."""
        if isinstance(transport, SocketTransport):
            transport.set_stall_limit(self._stalled)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Parse no head together with what is behind it; aiohttp calls with b"" to go on."""
        for piece in _PIECES.findall(data) or [b""]:
            super().data_received(piece)
            self._look_at_body()

    def _look_at_body(self) -> None:
        """End a body when bytes came that cannot be part of it."""
        if self._messages:
            message, payload = self._messages[-1]
            if isinstance(message, RawRequestMessage):
                self._body = payload
            else:
                self._end_body("the body is malformed")

    def _end_body(self, reason: str) -> None:
        if self._body and not self._body.is_eof():
            self._body.set_exception(web.RequestPayloadError(reason))

    def _is_within_a_head(self) -> bool:
        try:
            return self._parser is not None and self._parser.feed_eof() is not None
        except PayloadEncodingError:
            return False
        except HttpProcessingError:
            return True

    # aiohttp's has None alone, where asyncio lets true leave the transport open.
    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer what came, then close. What is not whole will not become so."""
        if self._is_within_a_head():
            super().data_received(b"\0")  # an error anywhere in a head, which is answered 400
        if not self._request_in_progress and not self._messages:
            return False
        self._end_body("the peer ended its direction")
        self._ended = True
        if not self._messages:
            self.close()  # when the answer that is under way is sent
        return True

    def is_last(self) -> bool:
        """True when no other request follows the one that is being answered."""
        return self._ended and not self._messages


@asynccontextmanager
async def printer_site(
    module: Module,
    store: FileStore,
    report: ModuleReport,
    join: Callable[[str], object],
    stalled: float,
    naming: Naming,
) -> AsyncIterator[Factory]:
    """Give a factory of the site's protocols, for listeners; they are cleaned up in the end."""
    networks = Networks(module, join, stalled)
    site = Site(store, report, networks, stalled, naming, module.poller.local_ip)
    quiet = BadRequests()
    server_logger.addFilter(quiet)
    runner = web.AppRunner(site.application(), shutdown_timeout=GOODBYE)
    await runner.setup()
    assert runner.server, "setup() makes it"
    try:
        yield functools.partial(Connection, runner.server, stalled)
    finally:
        await runner.cleanup()
        server_logger.removeFilter(quiet)


class Printer:
    """Everything that is served through one module, until the block ends.

    `note(text)` is told what is not served, and why: only the site must be. `join(ssid)` is
    called when the page asks for another network. `report.services` says what is served.
    """

    def __init__(
        self,
        module: Module,
        store: FileStore,
        report: ModuleReport,
        ports: Ports,
        naming: Naming,
        *,
        note: Callable[[str], object],
        join: Callable[[str], object],
    ) -> None:
        self._module = module
        self._store = store
        self._report = report
        self._ports = ports
        self._naming = naming
        self._note = note
        self._join = join
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._report.services = {}
            await self._serve(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _serve(self, stack: AsyncExitStack) -> None:
        module, ports = self._module, self._ports
        site = await stack.enter_async_context(
            printer_site(
                *(module, self._store, self._report, self._join, ports.stalled, self._naming)
            )
        )
        try:
            server = await module.create_server(site, ports.http, protocol=Protocol.HTTP)
        except ListenFailed as error:
            raise ListenFailed(_reason(error, "--port", "HTTP")) from error
        await stack.enter_async_context(server)
        self._is_served("HTTP", "http", ports.http)
        for name, port, serve in (
            ("HTTPS", ports.https, lambda: self._https(stack, site)),
            ("FTP", ports.ftp, lambda: self._ftp(stack)),
            ("Telnet", ports.telnet, lambda: self._telnet(stack)),
        ):
            if port:
                await self._tried(name, port, serve)
        if ports.broker:
            await self._mqtt(stack, ports.broker)

    def _is_served(self, name: str, scheme: str, port: int) -> None:
        self._report.services[name] = f"{scheme}://{self._module.poller.local_ip}:{port}/"

    async def _tried(self, name: str, port: int, serve: Callable[[], Awaitable[None]]) -> None:
        """Serve something that the printer can do without."""
        try:
            await serve()
        except (OSError, SpinetError, ValueError) as error:
            if not self._module.bus.present:
                raise
            self._note(f"{name} is not served: {_reason(error, f'--{name.lower()}-port', name)}")
        else:
            self._is_served(name, name.lower(), port)

    async def _https(self, stack: AsyncExitStack, site: Factory) -> None:
        identity = await asyncio.to_thread(self._identity)
        module = self._module
        await module.network_set_tls_cert(identity.cert)
        await module.network_set_tls_key(identity.key)
        await module.network_enable_tls()
        server = await module.create_server(
            site, self._ports.https, protocol=Protocol.HTTP, tls=True
        )
        await stack.enter_async_context(server)
        self._note(f"the certificate of HTTPS is {identity.path}")

    def _identity(self) -> "Identity":
        with extra("printer"):
            from spinet_controller.printer import certificate

        if self._naming.files:
            return certificate.given(*self._naming.files)
        if self._naming.folder is None:
            raise ValueError("there is no folder to keep a certificate in")
        return certificate.kept(
            self._naming.folder, self._naming.label, self._module.poller.local_ip
        )

    async def _ftp(self, stack: AsyncExitStack) -> None:
        with extra("printer"):
            from spinet_controller.printer.ftp import ftp_server

        await stack.enter_async_context(ftp_server(self._module, self._store, self._ports.ftp))

    def _console(self) -> Console:
        return Console(self._module, self._report, self._store)

    async def _telnet(self, stack: AsyncExitStack) -> None:
        with extra("printer"):
            from spinet_controller.printer.telnet import telnet_server

        await stack.enter_async_context(
            telnet_server(self._module, self._console(), self._ports.telnet)
        )

    async def _mqtt(self, stack: AsyncExitStack, broker: Broker) -> None:
        with extra("printer"):
            from spinet_controller.printer.mqtt import MqttLink

        topic = self._naming.topic
        network = await self._module.network_get_status()
        link = MqttLink(
            *(self._module, broker, topic, mqtt_client_id(network.mac)),
            *(self._console(), self._report),
            note=self._note,
        )
        task = asyncio.create_task(link.run())
        stack.push_async_callback(_ended, task)
        scheme = "mqtts" if broker.tls else "mqtt"
        self._report.services["MQTT"] = f"{scheme}://{broker.host}:{broker.port}/{quote(topic)}"


def _reason(error: Exception, option: str, name: str) -> str:
    """Give the text of an error; where a port cannot be had, with what chooses another."""
    hint = f"; {option} chooses another (make run: {name.upper()}_PORT)"
    return f"{error}{hint if isinstance(error, ListenFailed) else ''}"


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()  # it ends in no other way, unless there is a mistake in it
