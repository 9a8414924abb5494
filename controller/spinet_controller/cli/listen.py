"""`listen` and `call-home`: connections come to the module, or it goes to them; what they send
is shown, or echoed."""

import asyncio
from typing import Any

import click

from spinet_controller.cli.options import HOST, BusOptions, bus_options
from spinet_controller.cli.session import first, joined, note, run_with_module
from spinet_controller.cli.showing import show_json
from spinet_controller.cli.streams import closed
from spinet_controller.codes import LastError
from spinet_controller.errors import SpinetError
from spinet_controller.module import Module
from spinet_controller.wifi import stay


class GivenUp(SpinetError):
    """The module calls home no more."""


class Listening:
    """Counts connections and tells what happens on each."""

    def __init__(self, options: BusOptions, echo: bool, count: int | None) -> None:
        self._options = options
        self._echo = echo
        self._left = count
        self._opened = 0
        self._given_up: str | None = None
        self._unheard: BrokenPipeError | None = None
        self._enough = asyncio.Event()

    async def listen(self, module: Module, port: int) -> None:
        """Serve all peers until `count` connections have ended, or for ever."""
        network = await joined(self._options, module)
        async with await module.start_server(self._connected, port):
            self._tell("listening", f"listening on {network.ip}:{port}", port=port)
            await self._end(module)

    async def call_home(self, module: Module, host: str, port: int, attempts: int) -> None:
        """The same for connections that the module opens; GivenUp when it does so no more."""
        await joined(self._options, module)
        module.on_news = self._hear
        async with await module.call_home(self._connected, host, port, attempts=attempts):
            self._tell("calling", f"calling {host}:{port}", host=host, port=port)
            await self._end(module)
        if self._given_up:
            raise GivenUp(self._given_up)

    async def _end(self, module: Module) -> None:
        """Wait until there is nothing more to do; BrokenPipeError when its output is closed."""
        await first(self._enough.wait(), stay(module, self._tell_network))
        if self._unheard:
            raise self._unheard

    def _hear(self, text: str | None) -> None:
        if text and LastError.of(text) is LastError.CALL_GIVEN_UP:
            self._given_up = text
            self._enough.set()
        elif text:
            self._tell("news", f"the module says: {text}", text=text)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._opened += 1
        number = self._opened
        host, port = writer.get_extra_info("peername")
        self._tell("connected", f"[{number}] {host}:{port} connected", number)
        try:
            await self._converse(number, reader, writer)
            self._tell("ended", f"[{number}] ended", number)
        except ConnectionError as error:
            self._tell("broken", f"[{number}] broken: {error}", number)
        finally:
            await closed(writer)
            self._one_less()

    async def _converse(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65536):
            text = data.decode("utf-8", "backslashreplace")
            line = f"[{number}] {len(data)} bytes: {text.rstrip()}"
            self._tell("data", line, number, bytes=len(data), text=text)
            if self._echo:
                writer.write(data)
                await writer.drain()

    def _tell_network(self, text: str) -> None:
        self._tell("network", text, text=text)

    def _one_less(self) -> None:
        if self._left is not None:
            self._left -= 1
            if not self._left:
                self._enough.set()

    def _tell(self, *said: Any, **facts: Any) -> None:
        try:
            self._show(*said, **facts)
        except BrokenPipeError as error:
            self._unheard = error
            self._enough.set()

    def _show(self, event: str, line: str, number: int | None = None, **facts: Any) -> None:
        if self._options.json:
            connection = {} if number is None else {"connection": number}
            show_json({"event": event, **connection, **facts})
        elif event in ("listening", "calling", "network", "news"):
            note(line)
        else:
            click.echo(line)


_ECHO = click.option("--echo", is_flag=True, help="Send everything back.")
_COUNT = click.option("--count", type=click.IntRange(1), help="End after so many connections.")


@click.command()
@click.argument("port", type=click.IntRange(1, 65535))
@_ECHO
@_COUNT
@bus_options
def listen(options: BusOptions, port: int, echo: bool, count: int | None) -> None:
    """Listen on PORT of the module and show what comes."""
    listening = Listening(options, echo, count)
    run_with_module(options, lambda module: listening.listen(module, port))


@click.command("call-home")
@click.argument("host", type=HOST)
@click.argument("port", type=click.IntRange(1, 65535))
@_ECHO
@_COUNT
@click.option(
    "--attempts",
    type=click.IntRange(0, 0xFFFF),
    default=0,
    help="Give up when so many in a row have failed.  [default: never]",
)
@bus_options
def call_home(
    options: BusOptions, host: str, port: int, echo: bool, count: int | None, attempts: int
) -> None:
    """Have the module connect to HOST and PORT, again and again, and show what comes.

    HOST is an IPv4 address, or a name that the module looks up.
    """
    listening = Listening(options, echo, count)
    run_with_module(options, lambda module: listening.call_home(module, host, port, attempts))
