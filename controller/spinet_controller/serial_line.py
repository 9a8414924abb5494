"""The virtual bus over a serial port or pseudo-terminal: a chip whose link is its UART.

Neither side of such a line can see the other come or go, so RESET is their beginning: it is held
until the module is silent, and let go. From HELLO on, frames are passed on between the line and the
bus.
"""

import asyncio
import os
from typing import TYPE_CHECKING, Self

from spinet_controller.bus import HOST
from spinet_controller.errors import BusError
from spinet_controller.extras import extra
from spinet_controller.frames import HELLO, PIN_FRAMES
from spinet_controller.spi_bus import Pin

if TYPE_CHECKING:
    from serial import Serial

BAUD = 921600
PIECE = 4096

SILENCE = 0.2
"""Seconds without a byte: what was on its way when RESET was pulled has come."""

PATIENCE = 3.0
"""Seconds from RESET's rise to HELLO; a module that is still booting is then reset again."""


class SerialLine:
    """A module at `path`, joined to the bus at `port`; use it as an async context manager.

    BusError when the serial port cannot be used, ExtraMissing without the extra `cli`. `ended()`
    returns a BusError when the port is gone.
    """

    def __init__(self, path: str, *, port: int, baud: int = BAUD) -> None:
        self._path = path
        self._port = port
        self._baud = baud
        self._task: asyncio.Task[None]  # these three from __aenter__ on
        self._reader: asyncio.StreamReader
        self._line: asyncio.WriteTransport

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        serial = self._opened()
        self._reader = asyncio.StreamReader()
        self._line, _ = await loop.connect_write_pipe(asyncio.Protocol, serial)
        await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._reader), os.fdopen(os.dup(serial.fileno()))
        )
        self._task = asyncio.create_task(self._keep_joined())
        return self

    def _opened(self) -> "Serial":
        with extra("cli"):
            from serial import Serial, SerialException
        try:
            return Serial(self._path, self._baud, timeout=0, exclusive=True)
        except (SerialException, OSError, ValueError) as error:
            told = isinstance(error, OSError) and error.errno
            why = os.strerror(told) if told else error
            raise BusError(f"cannot use {self._path}: {why}") from error

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self._reset(0)  # without us the module has no power
        self._line.close()

    async def ended(self) -> BusError:
        """Give a BusError when the serial port has gone."""
        await asyncio.wait([self._task])
        return BusError(f"the serial port {self._path} is gone")

    def _reset(self, level: int) -> None:
        self._line.write(PIN_FRAMES[Pin.RESET, level])

    async def _keep_joined(self) -> None:
        """Join the module to the bus, again each time that the bus has lost it."""
        while not self._reader.at_eof():
            first = await self._woken()
            if first and first[0] == HELLO:
                await self._pass_on(first)

    async def _woken(self) -> bytes:
        """Reset the module; its first bytes, none when it said nothing in time."""
        self._reset(0)
        while await self._read(SILENCE):
            pass
        self._reset(1)
        return await self._read(PATIENCE)

    async def _read(self, seconds: float) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                return await self._reader.read(PIECE)
        except TimeoutError:
            return b""

    async def _pass_on(self, first: bytes) -> None:
        reader, writer = await asyncio.open_connection(HOST, self._port)
        back = asyncio.create_task(self._pass_back(reader))
        forth = asyncio.create_task(self._pass_forth(first, writer))
        try:
            await asyncio.wait([back, forth], return_when=asyncio.FIRST_COMPLETED)
        finally:
            back.cancel()
            forth.cancel()
            await asyncio.wait([back, forth])
            writer.close()

    async def _pass_forth(self, piece: bytes, writer: asyncio.StreamWriter) -> None:
        while piece:
            writer.write(piece)
            await writer.drain()
            piece = await self._reader.read(PIECE)

    async def _pass_back(self, reader: asyncio.StreamReader) -> None:
        while piece := await reader.read(PIECE):
            self._line.write(piece)
