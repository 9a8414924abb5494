"""The printer's site on a port of the module."""

from contextlib import asynccontextmanager

from aiohttp import web

from spinet_controller.codes import Protocol
from spinet_controller.printer.site import Site
from spinet_controller.printer.status import ModuleReport

KEEP_ALIVE = 10.0
"""Seconds an idle connection may hold one of the module's few sockets."""

GOODBYE = 1.0
"""Seconds that requests under way get at the end."""


@asynccontextmanager
async def printer_site(module, store, port):
    """Serve the site while the block runs; give the Server."""
    application = Site(store, ModuleReport(module)).application()
    runner = web.AppRunner(
        application,
        access_log=None,
        keepalive_timeout=KEEP_ALIVE,
        shutdown_timeout=GOODBYE,
    )
    await runner.setup()
    try:
        async with await module.create_server(
            runner.server, port, protocol=Protocol.HTTP
        ) as server:
            yield server
    finally:
        await runner.cleanup()
