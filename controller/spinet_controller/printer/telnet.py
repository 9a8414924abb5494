"""The printer's console over Telnet: telnetlib3's server protocol on sockets of the module."""

import functools
import logging
from contextlib import asynccontextmanager

from telnetlib3.server import TelnetServer

from spinet_controller.codes import Protocol

SESSIONS = 2
"""At the same time, of the module's eight sockets."""

IDLE = 300
"""Seconds after which a session without a line is ended."""

NEGOTIATION = 1.0
"""Seconds that a client may take to say what terminal it is; a plain TCP client never does."""

LONGEST_LINE = 1000

PROMPT = "> "


@asynccontextmanager
async def telnet_server(module, console, port):
    """Serve the console over Telnet while the block runs; OSError when it cannot listen."""
    _hush()
    factory = functools.partial(
        TelnetServer,
        shell=functools.partial(session, console),
        line_mode=True,
        timeout=IDLE,
        connect_maxwait=NEGOTIATION,
        encoding_errors="replace",
    )
    server = await module.create_server(
        factory, port, protocol=Protocol.TELNET, max_connections=SESSIONS
    )
    try:
        yield server
    finally:
        server.close_clients()
        server.close()
        await server.wait_closed()


def _hush():
    """What clients send that is no Telnet is their mistake, and no news to us."""
    for name in ("server", "server_base", "stream_writer", "stream_reader"):
        logging.getLogger(f"telnetlib3.{name}").setLevel(logging.CRITICAL)


async def session(console, reader, writer):
    """Answer lines until the client quits or leaves."""
    writer.write("The virtual printer's console; help shows what it knows.\r\n")
    try:
        while (line := await _asked(reader, writer)) is not None:
            if answer := await console.answer(line):
                writer.write(answer.replace("\n", "\r\n") + "\r\n")
                await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def _asked(reader, writer):
    """Give the next line; None at the end."""
    writer.write(PROMPT)
    line = await reader.readline()
    if not line or line.strip().lower() in ("quit", "exit"):
        return None
    return line[:LONGEST_LINE].strip()
