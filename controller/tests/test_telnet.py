"""The console over Telnet, and line by line."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from fake_module import FREE
from own_port import own_port
from rig import PATIENCE, eventually
from served import served

from spinet_controller.printer import telnet
from spinet_controller.printer.console import Console
from spinet_controller.printer.plan import Ports


@pytest.fixture
async def printer(tmp_path, monkeypatch):
    """A printer with Telnet; `printer.telnet_port` is where."""
    monkeypatch.setattr(telnet, "NEGOTIATION", 0.05)
    port = own_port()
    async with served(tmp_path / "files", Ports(own_port(), telnet=port)) as made:
        made.telnet_port = port
        yield made


class Terminal:
    """A client that negotiates nothing, as netcat."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    async def until(self, text):
        """Give what comes up to and with a text."""
        async with asyncio.timeout(PATIENCE):
            return (await self.reader.readuntil(text.encode())).decode("latin-1")

    async def ask(self, line):
        """Give the lines of the answer."""
        self.writer.write(line.encode() + b"\r\n")
        return (await self.until(telnet.PROMPT)).removesuffix(telnet.PROMPT).split("\r\n")[:-1]


@asynccontextmanager
async def connected(printer):
    """Give a Terminal that has its first prompt."""
    reader, writer = await asyncio.open_connection("127.0.0.1", printer.telnet_port)
    terminal = Terminal(reader, writer)
    await terminal.until(telnet.PROMPT)
    yield terminal
    writer.close()


async def test_a_session(printer):
    (printer.store.path / "part.gcode").write_bytes(b"12345")
    async with connected(printer) as terminal:
        assert (await terminal.ask("M20")) == ["           5  part.gcode", "ok"]
        assert (await terminal.ask("delete part.gcode")) == ["deleted part.gcode", "ok"]
        assert (await terminal.ask("")) == []
        terminal.writer.write(b"quit\r\n")
        assert await terminal.reader.read() == b""
    await eventually(lambda: all(slot.state == FREE for slot in printer.rig.slots), "its end")


async def test_no_name_moves_the_cursor_and_no_error_tells_where_files_are(printer):
    (printer.store.path / "\x1b[2Jx").touch()
    (printer.store.path / "folder").mkdir()
    async with connected(printer) as terminal:
        assert (await terminal.ask("M20")) == ["no files", "ok"]
        assert (await terminal.ask("delete folder")) == ["Error: there is no such file"]


async def test_clients_that_leave_in_the_middle(printer, caplog):
    for end in ("close", "abort"):
        async with connected(printer) as terminal:
            terminal.writer.write(b"M20\r\n")
            getattr(terminal.writer.transport, end)()
    await eventually(lambda: all(slot.state == FREE for slot in printer.rig.slots), "free sockets")
    async with connected(printer) as terminal:
        assert (await terminal.ask("help"))[-1] == "ok"
    assert "Traceback" not in caplog.text


async def test_bytes_that_are_no_text(printer, caplog):
    async with connected(printer) as terminal:
        terminal.writer.write(b"\xff\xff\xc3(\0\x1b[2J\r\n")
        answer = await terminal.until(telnet.PROMPT)
        assert "Error:" in answer
        assert "\x1b" not in answer
        assert (await terminal.ask("help"))[-1] == "ok"
    assert "Traceback" not in caplog.text


async def test_a_line_without_an_end(printer, caplog):
    async with connected(printer) as terminal:
        terminal.writer.write(b"x" * 300_000 + b"\r\n")
        await terminal.until("Error:")
    assert "Traceback" not in caplog.text


# -- the console itself -------------------------------------------------------------------


@pytest.fixture
def console(printer):
    return Console(printer.rig.module, printer.report, printer.store)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("", ""),
        ("  ", ""),
        ("M30 none", "Error: there is no such file"),
        ("M30 ../../etc/passwd", "Error: a file name must not be empty or begin with a dot"),
        ("m20", "no files\nok"),
        ("M115", "FIRMWARE_NAME: Spinet virtual printer MODULE_FIRMWARE: 2.2-fake\nok"),
        ("G28 X", "Error: G28 is not known here; try help"),
        ("M122", "the module prints its report on its own console\nok"),
    ],
)
async def test_answers(console, line, answer):
    assert await console.answer(line) == answer


async def test_the_status(console):
    lines = (await console.answer("status")).split("\n")
    assert lines == [
        "WiFi is connected",
        "network Workshop, address 127.0.0.1, -55 dBm",
        "0 of 8 sockets are in use",
        "ok",
    ]


async def test_what_the_module_refuses_is_an_error(console, printer):
    printer.rig.firmware.refuse[9] = -14
    assert (await console.answer("M115")).startswith("Error: ")
    assert "unknown error" in (await console.answer("status")).lower()
