"""`listen`: accept connections on the module, and show or echo what they send."""

import asyncio

import click

from spinet_controller.cli.options import bus_options
from spinet_controller.cli.session import note, run_with_module
from spinet_controller.cli.showing import show_json
from spinet_controller.cli.streams import closed
from spinet_controller.wifi import join


class Listening:
    """Counts connections and tells what happens on each."""

    def __init__(self, options, echo, count):
        self._options = options
        self._echo = echo
        self._left = count
        self._opened = 0
        self._enough = asyncio.Event()

    async def until_enough(self, module, port):
        """Serve until `count` connections have ended, or for ever."""
        network = await join(module)
        module.poller.local_ip = str(network.ip)
        async with await module.start_server(self._connected, port):
            self._tell("listening", f"listening on {network.ip}:{port}", port=port)
            await self._enough.wait()

    async def _connected(self, reader, writer):
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

    async def _converse(self, number, reader, writer):
        while data := await reader.read(65536):
            text = data.decode("utf-8", "backslashreplace")
            line = f"[{number}] {len(data)} bytes: {text.rstrip()}"
            self._tell("data", line, number, bytes=len(data), text=text)
            if self._echo:
                writer.write(data)
                await writer.drain()

    def _one_less(self):
        if self._left is not None:
            self._left -= 1
            if not self._left:
                self._enough.set()

    def _tell(self, event, line, number=None, **facts):
        if self._options.json:
            connection = {} if number is None else {"connection": number}
            show_json({"event": event, **connection, **facts})
        elif event == "listening":
            note(line)
        else:
            click.echo(line)


@click.command()
@click.argument("port", type=click.IntRange(1, 65535))
@click.option("--echo", is_flag=True, help="Send everything back.")
@click.option("--count", type=click.IntRange(1), help="End after so many connections.")
@bus_options
def listen(options, port, echo, count):
    """Listen on PORT of the module and show what comes."""

    async def work(module):
        await Listening(options, echo, count).until_enough(module, port)

    run_with_module(options, work)
