"""The printer's console over Telnet: telnetlib3's protocol on sockets of the module.

Nothing is promised: every option is refused, so a client shows and edits its line by itself. A
client that sends each key all the same, or Telnet's EC and EL, finds them understood.
"""

import asyncio
import codecs
import functools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from telnetlib3.server_base import BaseServer
from telnetlib3.telopt import EC, EL, IP

from spinet_controller.codes import Protocol
from spinet_controller.module import Module
from spinet_controller.printer.console import LONGEST_LINE, TOO_LONG, Console, is_of_a_browser
from spinet_controller.server import Server

SESSIONS = 2
"""At the same time, of the module's eight sockets."""

IDLE = 300
"""Seconds without a byte after which a session is ended."""

PROMPT = "> "

_PIECE = 4096
_OPTIONS = {bytes([number]) for number in range(256)}

# Keys, as a terminal sends them.
_RUBOUT, _KILL = "\x7f", "\x15"
_ERASING = "\b" + _RUBOUT
_KILLING = "\x03" + _KILL

_TLS = "\x16"
"""Begins a handshake, which a browser sends and which may have anything in it; no key of use."""


@asynccontextmanager
async def telnet_server(module: Module, console: Console, port: int) -> AsyncIterator[Server]:
    """Serve the console over Telnet while the block runs; OSError when it cannot listen."""
    _hush()
    factory = functools.partial(
        PlainServer, shell=functools.partial(session, console), encoding=False
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


def _hush() -> None:
    """What clients send that is no Telnet is their mistake, and no news to us."""
    for name in ("server_base", "stream_writer", "stream_reader"):
        logging.getLogger(f"telnetlib3.{name}").setLevel(logging.CRITICAL)


class PlainServer(BaseServer):
    """Telnet without an option. A client that has said all gets its answers before the end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse all options; commands that edit the line become keys, in their place."""
        super().connection_made(transport)
        assert self.writer
        self.writer.always_wont = self.writer.always_dont = _OPTIONS
        for command, key in ((EC, _RUBOUT), (EL, _KILL), (IP, _KILL)):
            self.writer.set_iac_callback(command, functools.partial(self._press, key))

    def _press(self, key: str, _command: bytes) -> None:
        assert self.reader
        self.reader.feed_data(key.encode())

    # telnetlib3's has None alone, where asyncio lets true leave the transport open.
    def eof_received(self) -> bool:  # type: ignore[override]
        """Leave our direction open, where BaseServer would close it."""
        assert self.reader
        self.reader.feed_eof()
        return True


async def session(
    console: Console, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer lines until the client quits or leaves."""
    writer.write(f"The virtual printer's console; help shows what it knows.\r\n{PROMPT}".encode())
    try:
        async for line in lines(reader):
            if is_of_a_browser(line) or line.strip().lower() in ("quit", "exit"):
                break
            if len(line) > LONGEST_LINE:
                writer.write(f"{TOO_LONG}\r\n".encode())
                break
            answer = await console.answer(line)
            shown = answer.replace("\n", "\r\n") + "\r\n" if answer else ""
            writer.write((shown + PROMPT).encode("utf-8", "replace"))
            async with asyncio.timeout(IDLE):
                await writer.drain()
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.close()


async def lines(reader: asyncio.StreamReader) -> AsyncIterator[str]:
    """Give lines without their ends, edited; TimeoutError after IDLE seconds without a byte.

    A line ends with CR, LF or both. Lines end where TLS begins, and with one that is too long.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    line: list[str] = []
    before = ""
    while True:
        async with asyncio.timeout(IDLE):
            data = await reader.read(_PIECE)
        for letter in decoder.decode(data, final=not data):
            if letter == _TLS and not line:
                return
            if letter == "\r" or (letter == "\n" and before != "\r"):
                yield "".join(line)
                line.clear()
            else:
                _edit(line, letter)
            before = letter
            if len(line) > LONGEST_LINE:
                yield "".join(line)
                return
        if not data:
            break
    if line:
        yield "".join(line)


def _edit(line: list[str], letter: str) -> None:
    if letter in _ERASING:
        del line[-1:]
    elif letter in _KILLING:
        line.clear()
    elif letter not in "\n\0":
        line.append(letter)
