"""`bench`: how fast bytes move through the module, measured against plain loopback."""

import asyncio
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import click

from spinet_controller.cli.options import BusOptions, Number, bus_options
from spinet_controller.cli.session import joined, run_with_module
from spinet_controller.cli.showing import progress, show_json, show_table
from spinet_controller.cli.streams import closed
from spinet_controller.errors import SpinetError
from spinet_controller.module import Module
from spinet_controller.printer.status import Document

MIB = 1 << 20
PIECE = 64 * 1024
PATTERN = bytes(range(251)) * (PIECE // 251 + 1)
WIRE_HZ = 26_666_667
"""The clock at which a module starts; one byte takes eight of its periods."""

PLAIN_MOST = 32 * MIB
"""Bytes that are enough to know how fast plain loopback is."""

RECEIVE, SEND, ECHO = b"r", b"s", b"e"
DIRECTIONS = {"receive": RECEIVE, "send": SEND, "echo": ECHO}


class WrongData(SpinetError):
    """Bytes came out of the module other than they went in."""


@dataclass(frozen=True)
class Result:
    """One transfer: bytes of payload (echo counts both ways), seconds, transactions."""

    count: int
    seconds: float
    transactions: int = 0

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return self.count / self.seconds


async def _send_pattern(
    writer: asyncio.StreamWriter, count: int, moved: Callable[[int], object]
) -> int:
    """Write `count` bytes of the pattern; give their checksum."""
    checksum = 0
    while count:
        piece = PATTERN[: min(count, PIECE)]
        checksum = zlib.crc32(piece, checksum)
        writer.write(piece)
        await writer.drain()
        count -= len(piece)
        moved(len(piece))
    return checksum


async def _take(reader: asyncio.StreamReader, count: int, moved: Callable[[int], object]) -> int:
    """Read `count` bytes; give their checksum."""
    checksum = 0
    while count:
        piece = await reader.read(min(count, PIECE))
        if not piece:
            raise WrongData(f"the connection ended {count} bytes early")
        checksum = zlib.crc32(piece, checksum)
        count -= len(piece)
        moved(len(piece))
    return checksum


def _nothing(_count: int) -> None:
    """What shows no progress."""


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The controller's end of a transfer: one byte of direction, eight of length, data."""
    try:
        await _transfer(reader, writer)
    except (WrongData, asyncio.IncompleteReadError, ConnectionError):
        return  # the peer's end, ask(), was interrupted, or says itself what became of it
    finally:
        await closed(writer)


async def _transfer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    direction = await reader.readexactly(1)
    count = int.from_bytes(await reader.readexactly(8), "big")
    if direction == SEND:
        await _send_pattern(writer, count, _nothing)
    elif direction == RECEIVE:
        checksum = await _take(reader, count, _nothing)
        writer.write(checksum.to_bytes(4, "big"))
    else:
        await _echo(reader, writer, count)
    await writer.drain()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
    while count:
        piece = await reader.read(min(count, PIECE))
        if not piece:
            return
        writer.write(piece)
        await writer.drain()
        count -= len(piece)


async def ask(
    host: str, port: int, direction: bytes, count: int, moved: Callable[[int], object]
) -> None:
    """The peer's end of a transfer, over this computer's own TCP; checks every byte."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(direction + count.to_bytes(8, "big"))
        sent, seen = await _PEERS[direction](reader, writer, count, moved)
    finally:
        writer.close()
    if sent != seen:
        raise WrongData("the bytes that came out are not those that went in")


async def _peer_sends(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    count: int,
    moved: Callable[[int], object],
) -> tuple[int, int]:
    sent = await _send_pattern(writer, count, moved)
    return sent, int.from_bytes(await reader.readexactly(4), "big")


async def _peer_receives(
    reader: asyncio.StreamReader,
    _writer: asyncio.StreamWriter,
    count: int,
    moved: Callable[[int], object],
) -> tuple[int, int]:
    seen = await _take(reader, count, moved)
    return _pattern_checksum(count), seen


async def _peer_echoes(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    count: int,
    moved: Callable[[int], object],
) -> tuple[int, int]:
    sending = asyncio.create_task(_send_pattern(writer, count, _nothing))
    seen = await _take(reader, count, moved)
    return await sending, seen


_PEERS = {RECEIVE: _peer_sends, SEND: _peer_receives, ECHO: _peer_echoes}


def _pattern_checksum(count: int) -> int:
    checksum = 0
    while count:
        piece = min(count, PIECE)
        checksum = zlib.crc32(PATTERN[:piece], checksum)
        count -= piece
    return checksum


async def _timed(
    host: str, port: int, direction: bytes, count: int, moved: Callable[[int], object] = _nothing
) -> Result:
    started = time.perf_counter()
    await ask(host, port, direction, count, moved)
    payload = 2 * count if direction == ECHO else count
    return Result(payload, time.perf_counter() - started)


async def plain_loopback(count: int) -> dict[str, Result]:
    """Give a Result for each direction without any module."""
    count = min(count, PLAIN_MOST)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return {
            name: await _timed("127.0.0.1", port, direction, count)
            for name, direction in DIRECTIONS.items()
        }


async def through_module(
    options: BusOptions, module: Module, port: int, count: int
) -> dict[str, Result]:
    """Give a Result for each direction through the module."""
    network = await joined(options, module)
    results = {}
    async with await module.start_server(answer, port):
        with progress() as shown:
            for name, direction in DIRECTIONS.items():
                task = shown.add_task(name, total=count)
                before = module.link.transactions
                moved = partial(shown.advance, task)
                result = await _timed(str(network.ip), port, direction, count, moved)
                used = module.link.transactions - before
                results[name] = Result(result.count, result.seconds, used)
    return results


def _document(name: str, result: Result, plain: Result) -> Document:
    wire = WIRE_HZ / 8
    return {
        "direction": name,
        "bytes": result.count,
        "seconds": round(result.seconds, 3),
        "bytesPerSecond": round(result.rate),
        "transactions": result.transactions,
        "bytesPerTransaction": round(result.count / result.transactions),
        "ofWire": round(result.rate / wire, 3),
        "ofLoopback": round(result.rate / plain.rate, 5),
    }


def _row(entry: Document) -> tuple[object, ...]:
    return (
        entry["direction"],
        f"{entry['bytes'] / MIB:.1f}",
        f"{entry['seconds']:.2f}",
        f"{entry['bytesPerSecond'] / MIB:.2f}",
        entry["transactions"],
        entry["bytesPerTransaction"],
        f"{entry['ofWire']:.0%}",
        f"{entry['ofLoopback']:.2%}",
    )


_COLUMNS = ("", "MiB>", "s>", "MiB/s>", "transactions>", "bytes each>", "wire>", "loopback>")
_TITLE = "Shares of a 26.67 MHz wire, and of plain loopback"


@click.command()
@click.option(
    "--size",
    type=Number(0.01, 4096),
    default=8.0,
    show_default=True,
    help="MiB in each direction.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8090,
    show_default=True,
    help="TCP port on the module.",
)
@bus_options
def bench(options: BusOptions, size: float, port: int) -> None:
    """Measure receiving, sending and echoing through the module, with every byte checked.

    "receive" is from a peer to the controller, "send" the other way; "echo" counts both.
    """
    count = int(size * MIB)

    async def work(module: Module) -> tuple[dict[str, Result], dict[str, Result]]:
        return await plain_loopback(count), await through_module(options, module, port, count)

    plain, measured = run_with_module(options, work)
    entries = [_document(name, result, plain[name]) for name, result in measured.items()]
    if options.json:
        show_json(entries)
    else:
        show_table(_COLUMNS, [_row(entry) for entry in entries], _TITLE)
