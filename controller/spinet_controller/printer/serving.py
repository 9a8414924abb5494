"""The printer's site on a port of the module."""

import logging
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.log import server_logger

from spinet_controller.codes import Protocol
from spinet_controller.printer.site import Site
from spinet_controller.printer.status import ModuleReport

KEEP_ALIVE = 10.0
"""Seconds an idle connection may hold one of the module's few sockets."""

GOODBYE = 1.0
"""Seconds that requests under way get at the end."""


class BadRequests(logging.Filter):
    """Keeps what is no HTTP out of the log: that is the peer's mistake, and it got its 400."""

    def filter(self, record):
        """False for a record that only says that a request could not be understood."""
        raised = record.exc_info[1] if record.exc_info else None
        return not isinstance(raised, HttpProcessingError)


@asynccontextmanager
async def printer_site(module, store, port):
    """Serve the site while the block runs; give the Server."""
    application = Site(store, ModuleReport(module)).application()
    quiet = BadRequests()
    server_logger.addFilter(quiet)
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
        server_logger.removeFilter(quiet)
