"""`churn`: connections opened and ended in every way, fast and in parallel (behaviour N5)."""

import asyncio
import random
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable

import click

from spinet_controller.cli.options import BusOptions, bus_options
from spinet_controller.cli.session import joined, run_with_module
from spinet_controller.cli.showing import progress, show_json, show_pairs
from spinet_controller.cli.streams import closed
from spinet_controller.codes import SOCKETS, ConnState
from spinet_controller.module import Module
from spinet_controller.printer.status import Document

CYCLE_TIMEOUT = 20.0
SETTLE_TIMEOUT = 10.0
"""Seconds for one cycle, and for all slots to be free afterwards."""

_LOOK = 0.05
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_PAYLOAD = bytes(range(256)) * 12


class Broken(Exception):
    """A cycle that did not go as its kind says."""


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The controller's end: a line with the kind of the cycle, then what that asks for."""
    try:
        kind = (await reader.readline()).strip()
        if kind == b"abort":
            writer.transport.abort()
            return
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        # A reset peer is what this is about; the slot's way home is the transport's.
        return
    finally:
        await closed(writer)


async def _close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An orderly end after an exchange."""
    await _exchange(reader, writer)


async def _reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A reset while data is on its way."""
    writer.write(_PAYLOAD)
    _reset_on_close(writer)


async def _abort(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The controller aborts; the peer sees an end of some kind, and no data."""
    try:
        if await reader.read(1):
            raise Broken("data after an abort")
    except ConnectionError:
        return


async def _half_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The peer ends its direction first, and still gets all it sent."""
    writer.write(_PAYLOAD)
    writer.write_eof()
    if await reader.read(-1) != _PAYLOAD:
        raise Broken("the echo was not what was sent")


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_PAYLOAD)
    if await reader.readexactly(len(_PAYLOAD)) != _PAYLOAD:
        raise Broken("the echo was not what was sent")


def _reset_on_close(writer: asyncio.StreamWriter) -> None:
    peer = writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


KINDS = {"close": _close, "reset": _reset, "abort": _abort, "half-open": _half_open}


class Churn:
    """`cycles` connections to `host`, `parallel` at once, their kinds drawn by `seed`."""

    def __init__(self, host: str, port: int, cycles: int, parallel: int, seed: int) -> None:
        self._address = (host, port)
        drawn = random.Random(seed)
        self._kinds = iter([drawn.choice(list(KINDS)) for _ in range(cycles)])
        self._parallel = parallel
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    async def run(self, advance: Callable[[], object]) -> None:
        """Run all cycles; `advance()` after each."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._parallel):
                group.create_task(self._worker(advance))

    async def _worker(self, advance: Callable[[], object]) -> None:
        for kind in self._kinds:
            await self._cycle(kind)
            advance()

    async def _cycle(self, kind: str) -> None:
        try:
            async with asyncio.timeout(CYCLE_TIMEOUT):
                await self._connection(kind)
            self.done[kind] += 1
        except (OSError, EOFError, Broken, TimeoutError) as error:
            self.failed[kind] += 1
            self.reasons[f"{kind}: {str(error) or type(error).__name__}"] += 1

    async def _connection(self, kind: str) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            writer.write(kind.encode() + b"\n")
            await KINDS[kind](reader, writer)
        finally:
            writer.close()


async def slots_not_free(module: Module) -> list[int]:
    """Give the numbers of the sockets that are not free within SETTLE_TIMEOUT."""
    give_up_at = time.monotonic() + SETTLE_TIMEOUT
    while True:
        states = [(await module.conn_get_status(number)).state for number in range(SOCKETS)]
        taken = [number for number in range(SOCKETS) if states[number] != ConnState.FREE]
        if not taken or time.monotonic() > give_up_at:
            return taken
        await asyncio.sleep(_LOOK)


async def _churn(
    options: BusOptions, module: Module, port: int, cycles: int, parallel: int, seed: int
) -> Document:
    network = await joined(options, module)
    churn = Churn(str(network.ip), port, cycles, parallel, seed)
    started = time.perf_counter()
    async with await module.start_server(answer, port):
        with progress() as shown:
            task = shown.add_task("cycles", total=cycles)
            await churn.run(lambda: shown.advance(task))
    seconds = time.perf_counter() - started
    return {
        "cycles": cycles,
        "parallel": parallel,
        "seed": seed,
        "seconds": round(seconds, 2),
        "cyclesPerSecond": round(cycles / seconds, 1),
        "done": dict(churn.done),
        "failed": dict(churn.failed),
        "reasons": dict(churn.reasons),
        "slotsNotFree": await slots_not_free(module),
        "linkFailures": module.link.failures,
    }


def _show(document: Document) -> None:
    failed = sum(document["failed"].values())
    taken = document["slotsNotFree"]
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(document["done"].items()))
    pairs = [
        ("cycles", f"{document['cycles']}, {document['parallel']} at once"),
        ("rate", f"{document['cyclesPerSecond']} a second"),
        ("went well", kinds or "none"),
        ("failed", failed),
        ("link failures", document["linkFailures"]),
        ("slots not free", ", ".join(map(str, taken)) or "none"),
    ]
    pairs += [("", f"{count} x {reason}") for reason, count in document["reasons"].items()]
    show_pairs(pairs)


@click.command()
@click.option("--cycles", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--parallel", type=click.IntRange(1, 256), default=16, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Draws the kinds of ends.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8091,
    show_default=True,
    help="TCP port on the module.",
)
@bus_options
def churn(options: BusOptions, cycles: int, parallel: int, seed: int, port: int) -> None:
    """Open and end connections fast: closed, reset, aborted, half-open.

    Ends with 1 when a cycle failed or a slot of the module is not free afterwards.
    """
    document = run_with_module(
        options, lambda module: _churn(options, module, port, cycles, parallel, seed)
    )
    if options.json:
        show_json(document)
    else:
        _show(document)
    sys.exit(1 if document["failed"] or document["slotsNotFree"] else 0)
