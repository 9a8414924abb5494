"""`connect`: standard input and output through a connection that the module opens."""

import asyncio
import os
import sys
import threading

import click

from spinet_controller.cli.options import HOST, BusOptions, Number, bus_options
from spinet_controller.cli.session import joined, note, run_with_module
from spinet_controller.cli.showing import show_json
from spinet_controller.module import Module

PIECE = 64 * 1024


class Pipe:
    """Both directions of one connection; counts bytes.

    The link protocol cannot close one direction, so the end of our input is not seen by the
    peer: `quiet` seconds after the last byte of either side the connection is closed.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, quiet: float
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._quiet = quiet
        self._input_ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.sent = 0
        self.received = 0

    async def run(self) -> None:
        """Return when the peer has closed, or all is quiet after the end of our input."""
        # A thread, as standard input may be a file, a pipe or a terminal; a daemon, as
        # nothing can interrupt its read.
        threading.Thread(target=self._read_input, daemon=True).start()
        receiving = asyncio.create_task(self._receive())
        try:
            await asyncio.wait(
                [receiving, asyncio.create_task(self._quiet_after_input())],
                return_when=asyncio.FIRST_COMPLETED,
            )
            if receiving.done():
                receiving.result()
        finally:
            receiving.cancel()
            self._writer.close()
        await self._writer.wait_closed()

    async def _receive(self) -> None:
        while data := await self._reader.read(PIECE):
            self.received += len(data)
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

    async def _quiet_after_input(self) -> None:
        await self._input_ended.wait()
        before = None
        while before != (self.sent, self.received):
            before = (self.sent, self.received)
            await asyncio.sleep(self._quiet)

    def _read_input(self) -> None:
        # None where the shell closed it: an input that has ended.
        while data := sys.stdin and os.read(sys.stdin.fileno(), PIECE):
            sending = asyncio.run_coroutine_threadsafe(self._send(data), self._loop)
            if sending.exception():
                return
        self._loop.call_soon_threadsafe(self._input_ended.set)

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()
        self.sent += len(data)


@click.command()
@click.argument("host", type=HOST)
@click.argument("port", type=click.IntRange(1, 65535))
@click.option(
    "--quiet",
    type=Number(0),
    default=1.0,
    show_default=True,
    help="Seconds of silence after the end of input before closing.",
)
@bus_options
def connect(options: BusOptions, host: str, port: int, quiet: float) -> None:
    """Connect the module to HOST and PORT; standard input is sent, what comes is printed.

    HOST is an IPv4 address, or a name that the module looks up.
    """

    async def work(module: Module) -> Pipe:
        await joined(options, module)
        reader, writer = await module.open_connection(host, port, timeout=options.timeout)
        if options.verbose:
            address, _port = writer.get_extra_info("peername")
            note(f"connected to {address}:{port}")
        pipe = Pipe(reader, writer, quiet)
        await pipe.run()
        return pipe

    pipe = run_with_module(options, work)
    if options.json:
        show_json({"sent": pipe.sent, "received": pipe.received})
