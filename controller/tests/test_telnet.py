"""The console over Telnet, and line by line."""

import asyncio
import contextlib
from contextlib import asynccontextmanager

import pytest
from fake_module import FREE
from own_port import own_port
from rig import PATIENCE, eventually
from served import served
from telnetlib3.server_base import BaseServer

from spinet_controller.printer import telnet
from spinet_controller.printer.console import LONGEST_LINE, TOO_LONG, Console
from spinet_controller.printer.plan import Ports


@pytest.fixture
async def printer(tmp_path):
    """A printer with Telnet; `printer.telnet_port` is where."""
    port = own_port()
    async with served(tmp_path / "files", Ports(own_port(), telnet=port)) as made:
        made.telnet_port = port
        yield made


class Terminal:
    """A client that negotiates nothing, as netcat."""

    def __init__(self, printer, reader, writer):
        self.printer = printer
        self.reader = reader
        self.writer = writer

    async def until(self, text):
        """Give what comes up to and with a text."""
        async with asyncio.timeout(PATIENCE):
            return (await self.reader.readuntil(text.encode())).decode("latin-1")

    async def send(self, data):
        """Send a segment; return when the printer has it."""
        poller = self.printer.rig.module.poller
        came = poller.bytes_in + len(data)
        self.writer.write(data)
        await eventually(lambda: poller.bytes_in >= came, "the segment's arrival")

    async def ask(self, line):
        """Give the lines of the answer."""
        self.writer.write(line.encode() + b"\r\n")
        return (await self.until(telnet.PROMPT)).removesuffix(telnet.PROMPT).split("\r\n")[:-1]


@asynccontextmanager
async def connected(printer):
    """Give a Terminal that has its first prompt."""
    reader, writer = await asyncio.open_connection("127.0.0.1", printer.telnet_port)
    terminal = Terminal(printer, reader, writer)
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


@pytest.mark.parametrize("line", ["POST /%s HTTP/1.1", "delete victim %s", "%s"])
@pytest.mark.parametrize("length", [1000, 300_000])
async def test_a_line_that_is_too_long_ends_the_session(printer, caplog, line, length):
    """Its beginning is not done, nor what is behind it: a browser's line may be this long too."""
    (printer.store.path / "victim").touch()
    async with connected(printer) as terminal:
        line = line % (" " * length if "victim" in line else "x" * length)
        terminal.writer.write(line.encode() + b"x\r\ndelete victim\r\n")
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                assert await terminal.reader.read() in (b"", f"{TOO_LONG}\r\n".encode())
    assert printer.store.exists("victim")
    assert "Traceback" not in caplog.text


async def test_a_line_that_is_just_not_too_long(printer):
    async with connected(printer) as terminal:
        answer = await terminal.ask("x" * LONGEST_LINE)
        assert answer == [f"Error: {'x' * 40} is not known here; try help"]
        terminal.writer.write(b"x" * (LONGEST_LINE + 1))
        await terminal.until(TOO_LONG)


# What PuTTY 0.78 sends first, and what it sends for the keys M 2 2 Backspace 0 Enter: with every
# option refused it edits the line itself, with every option taken it sends each key.
PUTTY_OFFERS = b"\xff\xfb\x1f\xff\xfb \xff\xfb\x18\xff\xfb'\xff\xfd\x01\xff\xfb\x03\xff\xfd\x03"
PUTTY_REFUSED = (b"M20\n",)
PUTTY_TAKEN = (b"M", b"2", b"2", b"\x7f", b"0", b"\r\0")
IAC, EC, EL = b"\xff", b"\xf7", b"\xf8"


@pytest.mark.parametrize("keys", [PUTTY_REFUSED, PUTTY_TAKEN])
async def test_putty_is_promised_nothing_and_understood(printer, keys):
    async with connected(printer) as terminal:
        terminal.writer.write(PUTTY_OFFERS)
        answers = {b"\xff\xfc" + option for option in (b"\x01", b"\x03")}
        answers |= {b"\xff\xfe" + option for option in (b"\x1f", b" ", b"\x18", b"'", b"\x03")}
        async with asyncio.timeout(PATIENCE):
            assert {await terminal.reader.readexactly(3) for _ in range(7)} == answers
        for _ in range(2):
            for key in keys:
                await terminal.send(key)
            assert await terminal.until(telnet.PROMPT) == f"no files\r\nok\r\n{telnet.PROMPT}"


@pytest.mark.parametrize("end", [b"\r\n", b"\r\0", b"\r", b"\n"])
async def test_a_line_may_end_in_any_way_and_in_two_segments(printer, end):
    async with connected(printer) as terminal:
        for _ in range(3):
            for part in (b"M20" + end[:1], end[1:]):
                await terminal.send(part)
            assert await terminal.until(telnet.PROMPT) == f"no files\r\nok\r\n{telnet.PROMPT}"


@pytest.mark.parametrize(
    "typed",
    [
        b"M21\b0",
        b"M21\x7f0",
        b"M21" + IAC + EC + b"0",
        b"X\b\b\bM20",
        b"delete x" + IAC + EL + b"M20",
        b"delete x\x15M20",
        b"delete x\x03M20",
        b"M2\xc3\xbc\x7f0",
        b"M\x0020",
    ],
)
@pytest.mark.parametrize("slowly", [False, True])
async def test_a_line_is_edited(printer, typed, slowly):
    async with connected(printer) as terminal:
        for part in (bytes([octet]) for octet in typed) if slowly else (typed,):
            await terminal.send(part)
        assert await terminal.ask("") == ["no files", "ok"]


async def test_what_was_said_before_a_half_close_is_answered(printer):
    (printer.store.path / "x").write_bytes(b"12345")
    reader, writer = await asyncio.open_connection("127.0.0.1", printer.telnet_port)
    writer.write(b"M20\r\nM30 x\r\nM20")
    writer.write_eof()
    async with asyncio.timeout(PATIENCE):
        said = (await reader.read()).decode()
    assert said.split(telnet.PROMPT)[1:] == [
        *("           5  x\r\nok\r\n", "deleted x\r\nok\r\n", "no files\r\nok\r\n", "")
    ]
    writer.close()


@pytest.mark.parametrize("line", ["POST / HTTP/1.1", "Host: printer:2323", "\x16\x03\x01\x02"])
async def test_a_browser_that_a_page_sends_here_is_not_served(printer, line):
    (printer.store.path / "victim").touch()
    async with connected(printer) as terminal:
        terminal.writer.write(line.encode() + b"\r\ndelete victim\r\n")
        async with asyncio.timeout(PATIENCE):
            assert await terminal.reader.read() == b""
    assert printer.store.exists("victim")


async def test_who_says_nothing_for_long_is_let_go(printer, monkeypatch):
    async with connected(printer) as terminal:
        monkeypatch.setattr(telnet, "IDLE", 0.01)
        assert await terminal.ask("") == []
        async with asyncio.timeout(PATIENCE):
            assert await terminal.reader.read() == b""


class Transport(asyncio.Transport):
    """What a protocol of telnetlib3's writes."""

    def __init__(self):
        super().__init__()
        self.said = b""
        self.closed = False

    def write(self, data):
        self.said += data

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed


async def test_what_telnetlib3_would_do_itself_is_not_ours_to_do():
    """Each that fails says that something of PlainServer, or lines(), has become needless."""
    stock, transport = BaseServer(encoding=False), Transport()
    stock.connection_made(transport)
    stock.data_received(b"\xff\xfd\x01M20\r")
    assert b"\xff\xfb\x01" in transport.said  # WILL ECHO
    assert await stock.reader.readline() == b"M20\r"
    stock.data_received(b"\nx\x7f\r\n")
    assert await stock.reader.readline() == b"\n"
    assert await stock.reader.readline() == b"x\x7f\r\n"
    stock.eof_received()
    assert transport.closed


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
