"""FTP through the module: Python's own client, and lines that no good client sends."""

import asyncio
import errno
import ftplib
import functools
import io
import os
import socket
import struct
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aioftp
import aioftp.server
import pytest
from fake_module import FREE
from own_port import own_port
from rig import PATIENCE, eventually
from served import served

from spinet_controller.printer import ftp, ftp_data
from spinet_controller.printer.plan import Ports

ALL = ["a.gcode", "b.stl", "two  blanks.gcode"]
BIG = bytes(n * 31 % 251 for n in range(300_001))


@pytest.fixture
async def printer(tmp_path, monkeypatch):
    """A printer with FTP; `printer.ftp_port` is where, `printer.ftp` the aioftp server."""
    port = own_port()
    started = []
    listen = ftp.FtpServer.listen

    async def noted(server):
        started.append(server)
        await listen(server)

    monkeypatch.setattr(ftp.FtpServer, "listen", noted)
    async with served(tmp_path / "files", Ports(own_port(), ftp=port)) as made:
        made.ftp_port = port
        (made.ftp,) = started
        yield made


def hurried(printer, seconds=0.01):
    """Give the sessions another idle clock, from the next command on.

    Gives a list that grows each time a clock ends.
    """
    ends = []
    for stream in printer.ftp.connections:
        stream.read_timeout = seconds
        stream.readline = functools.partial(noting_ends, type(stream).readline, stream, ends)
    return ends


async def noting_ends(readline, stream, ends):
    try:
        return await readline(stream)
    except TimeoutError:
        ends.append(stream)
        raise


@contextmanager
def logged_in(port, passive=True):
    """A session of ftplib's, for a thread."""
    with ftplib.FTP(timeout=PATIENCE) as session:
        session.connect("127.0.0.1", port)
        session.login("anybody", "anything")
        session.set_pasv(passive)
        yield session


async def ask(printer, work, **options):
    """Run `work(session)` in a thread; give what it gave."""

    def run():
        with logged_in(printer.ftp_port, **options) as session:
            return work(session)

    return await asyncio.to_thread(run)


def fetched(session, name, **options):
    parts = []
    session.retrbinary(f"RETR {name}", parts.append, **options)
    return b"".join(parts)


@pytest.mark.parametrize("passive", [True, False])
async def test_a_file_goes_up_and_comes_down(printer, passive):
    def work(session):
        session.storbinary("STOR part one.gcode", io.BytesIO(BIG))
        return fetched(session, "part one.gcode")

    assert await ask(printer, work, passive=passive) == BIG
    assert (printer.store.path / "part one.gcode").read_bytes() == BIG


async def test_each_passive_transfer_has_a_listener_of_its_own_for_one(printer, monkeypatch):
    listened = []
    listen = printer.rig.module.start_server

    async def noted(callback, port, **options):
        server = await listen(callback, port, **options)
        listened.append((port, options))
        return server

    monkeypatch.setattr(printer.rig.module, "start_server", noted)
    await ask(printer, lambda session: [session.nlst() for _ in range(3)])
    ports = {port for port, _options in listened}
    assert len(ports) == 3
    assert all(options["max_connections"] == 1 for _port, options in listened)
    assert ports.isdisjoint(printer.rig.module.poller.servers)


async def test_a_listing_in_every_form(printer):
    for name in ("b", "a.gcode"):
        (printer.store.path / name).write_bytes(b"12345")

    def work(session):
        lines = []
        session.retrlines("LIST -la", lines.append)
        facts = dict(session.mlsd())
        return lines, session.nlst(), facts, session.size("b"), session.sendcmd("MDTM b")

    lines, names, facts, size, changed = await ask(printer, work)
    assert [line.split()[0] for line in lines] == ["-rw-r--r--"] * 2
    assert [line.split()[4] for line in lines] == ["5", "5"]
    assert names == ["a.gcode", "b"]
    assert {name: fact["type"] for name, fact in facts.items()} == {"a.gcode": "file", "b": "file"}
    assert (size, len(changed)) == (5, len("213 20261121120000"))


async def test_names_that_no_line_can_hold_cost_no_listing(printer):
    for name in (b"plain", b"two\nlines", b"\xff"):
        with open(os.path.join(os.fsencode(printer.store.path), name), "w"):
            pass
    async with typed(printer) as lines:
        for command in ("LIST", "MLSD", "NLST"):
            reader, writer = await data_connection(await lines.ask("EPSV"))
            assert (await lines.ask(command)).startswith("150 ")
            (line,) = (await reader.read()).splitlines()
            assert line.endswith(b"plain")
            assert (await lines.answer()).startswith("226 ")
            writer.close()


@pytest.mark.parametrize("command", ["LIST", "NLST", "MLSD"])
@pytest.mark.parametrize(
    ("argument", "names"),
    [
        ("", ALL),
        ("/", ALL),
        (".", ALL),
        ("-la", ALL),
        ("*.gcode", ["a.gcode", "two  blanks.gcode"]),
        ("-la *.gcode", ["a.gcode", "two  blanks.gcode"]),
        ("/?.gcode", ["a.gcode"]),
        ("two  blanks.gcode", ["two  blanks.gcode"]),
        ("-l", ["-l"]),
        ("-dash.gcode", ["-dash.gcode"]),
        ("-la -l", ["-l"]),
        (" blank", [" blank"]),
        ("Gr\u00f6\u00dfe.stl", ["Gr\u00f6\u00dfe.stl"]),
        ("[x]", ["[x]"]),
        ("none", None),
        ("*.none", None),
        ("folder/*", None),
        ("-la none", None),
    ],
)
async def test_what_a_listing_lists(printer, command, argument, names):
    for name in {*ALL, *(names or ())}:
        (printer.store.path / name).touch()
    async with typed(printer) as lines:
        reader, writer = await data_connection(await lines.ask("EPSV"))
        answer = await lines.ask(f"{command} {argument}".rstrip())
        if names is None:
            assert answer.startswith("550 ")
        else:
            assert answer.startswith("150 ")
            listed = (await reader.read()).decode().splitlines()
            expected = sorted({*ALL, *names}) if names is ALL else names
            assert len(listed) == len(expected)
            assert all(line.endswith(name) for line, name in zip(listed, expected, strict=True))
            assert (await lines.answer()).startswith("226 ")
        writer.close()


async def test_files_are_renamed_and_deleted(printer):
    (printer.store.path / "old").write_bytes(b"x")

    def work(session):
        session.rename("old", "new")
        names = session.nlst()
        session.delete("new")
        return names, session.nlst(), session.pwd()

    assert await ask(printer, work) == (["new"], [], "/")


async def test_transfers_go_on_where_they_were_interrupted(printer):
    (printer.store.path / "half").write_bytes(BIG[:100_000])

    def work(session):
        session.storbinary("STOR half", io.BytesIO(BIG[100_000:]), rest=100_000)
        rest = fetched(session, "half", rest=299_000)
        session.storbinary("APPE half", io.BytesIO(b"more"))
        return rest

    assert await ask(printer, work) == BIG[299_000:]
    assert (printer.store.path / "half").read_bytes() == BIG + b"more"


@pytest.mark.parametrize("between", ["EPSV", "PASV", "TYPE I", "NOOP", "SIZE x"])
async def test_an_offset_is_the_next_transfers_whatever_comes_between(printer, between):
    (printer.store.path / "x").write_bytes(BIG[:1000])
    async with typed(printer) as lines:
        opened = await lines.ask("EPSV")
        assert (await lines.ask("REST 700")).startswith("350 ")
        assert (await lines.ask(between))[0] == "2"
        if between in ("EPSV", "PASV"):
            opened = await lines.ask("EPSV")
        _reader, writer = await data_connection(opened)
        assert (await lines.ask("STOR x")).startswith("150 ")
        writer.write(BIG[700:2000])
        writer.close()
        assert (await lines.answer()).startswith("226 ")
        assert (printer.store.path / "x").read_bytes() == BIG[:2000]
        assert await stored_as(printer, lines, b"anew") == "226"
        assert (printer.store.path / "x").read_bytes() == b"anew"


async def stored_as(printer, lines, data, command="STOR x"):
    """Send a file; give the code of the last answer."""
    _reader, writer = await data_connection(await lines.ask("EPSV"))
    answer = await lines.ask(command)
    if answer.startswith("150 "):
        writer.write(data)
        writer.close()
        answer = await lines.answer()
    writer.close()
    return answer[:3]


@pytest.mark.parametrize("transfer", ["LIST", "STOR .x", "RETR none", "REST x"])
async def test_an_offset_is_one_transfers(printer, transfer):
    (printer.store.path / "x").write_bytes(BIG[:1000])
    async with typed(printer) as lines:
        reader, writer = await data_connection(await lines.ask("EPSV"))
        assert (await lines.ask("REST 700")).startswith("350 ")
        if (await lines.ask(transfer)).startswith("150 "):
            await reader.read()
            assert (await lines.answer()).startswith("226 ")
        writer.close()
        assert await stored_as(printer, lines, b"anew") == "226"
    assert (printer.store.path / "x").read_bytes() == b"anew"


async def test_aioftp_alone_forgets_an_offset():
    server = aioftp.Server()
    await server.start("127.0.0.1")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.server_port)
    lines = Lines(reader, writer)
    await lines.answer()
    for line in ("USER anonymous", "REST 700", "SYST"):
        assert (await lines.ask(line))[0] in "23"
    (connection,) = server.connections.values()
    assert connection.restart_offset == 0
    writer.close()
    await server.close()


async def test_an_offset_that_the_file_does_not_have(printer):
    (printer.store.path / "short").write_bytes(b"12")

    def work(session):
        with pytest.raises(ftplib.error_perm, match="554 the file is shorter"):
            session.storbinary("STOR short", io.BytesIO(b"x"), rest=9)
        return fetched(session, "short", rest=9)

    assert await ask(printer, work) == b""
    assert (printer.store.path / "short").read_bytes() == b"12"


@pytest.mark.parametrize("name", [".hidden", "../up", "a/b", "x" * 201, "a\\b"])
async def test_a_bad_name_is_refused_in_words(printer, name):
    def work(session):
        with pytest.raises(ftplib.error_perm, match=r"553 a file name|550"):
            session.storbinary(f"STOR {name}", io.BytesIO(b"x"))
        session.nlst()

    if name == "../up":  # the root has nothing above it
        await ask(printer, lambda session: session.storbinary("STOR ../up", io.BytesIO(b"x")))
        assert [file.name for file in printer.store.list()] == ["up"]
    else:
        await ask(printer, work)
        assert printer.store.list() == []


async def test_a_full_disk_is_told(printer, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("spinet_controller.printer.transfer._write_all", full)

    def work(session):
        with pytest.raises(ftplib.error_temp, match="452 the disk is full"):
            session.storbinary("STOR x", io.BytesIO(BIG))
        return session.nlst()

    assert await ask(printer, work) == []


async def test_what_is_not_there(printer):
    def work(session):
        for command in ("RETR none", "SIZE none", "MDTM none", "DELE none", "CWD none"):
            session.sendcmd("PASV")
            with pytest.raises(ftplib.error_perm, match="550"):
                session.sendcmd(command)
        with pytest.raises(ftplib.error_perm, match="550 there are no folders"):
            session.mkd("folder")

    await ask(printer, work)


# -- line by line -------------------------------------------------------------------------


class Lines:
    """A control connection, typed by hand."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    async def answer(self):
        async with asyncio.timeout(PATIENCE):
            return (await self.reader.readline()).decode().rstrip()

    async def ask(self, line):
        self.writer.write(line if isinstance(line, bytes) else line.encode() + b"\r\n")
        return await self.answer()


@asynccontextmanager
async def typed(printer):
    """Give Lines that have been greeted and let in."""
    reader, writer = await asyncio.open_connection("127.0.0.1", printer.ftp_port)
    lines = Lines(reader, writer)
    assert (await lines.answer()).startswith("220 ")
    assert (await lines.ask("USER me")).startswith("230 ")
    yield lines
    writer.close()


async def data_connection(answer):
    """Connect to where the answer to EPSV says."""
    port = int(answer.split("|")[3])
    return await asyncio.open_connection("127.0.0.1", port)


def reset(writer):
    """End a connection as a killed client does."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def idle(printer, sockets=1):
    """True when no more than so many sockets are held."""
    return sum(1 for slot in printer.rig.slots if slot.state != FREE) <= sockets


async def test_nothing_works_before_the_log_in(printer):
    reader, writer = await asyncio.open_connection("127.0.0.1", printer.ftp_port)
    lines = Lines(reader, writer)
    await lines.answer()
    for command in ("PASV", "EPSV", "PORT 127,0,0,1,9,9", "STOR x", "LIST", "SIZE x", "DELE x"):
        assert (await lines.ask(command)).startswith("503 "), command
    writer.close()


@pytest.mark.parametrize(
    "name", ["-dash", "two  blanks", " blank", "blank ", "Gr\u00f6\u00dfe", "*"]
)
async def test_a_name_is_a_name_in_every_command(printer, name):
    def work(session):
        session.encoding = "utf-8"
        session.storbinary(f"STOR {name}", io.BytesIO(b"12345"))
        answers = [session.size(name), session.sendcmd(f"MFMT 20260102030405 {name}")]
        answers.append(session.sendcmd(f"MDTM {name}"))
        answers += [fetched(session, name), session.nlst(name)]
        session.rename(name, name + "2")
        session.delete(name + "2")
        return answers

    assert await ask(printer, work) == [
        *(5, f"213 Modify=20260102030405; {name}", "213 20260102030405", b"12345", [name])
    ]
    assert printer.store.list() == []


@pytest.mark.parametrize(
    ("command", "code"),
    [
        *(("TYPE A", 200), ("TYPE A N", 200), ("type a n", 200), ("TYPE I", 200)),
        *(("TYPE L 8", 200), ("TYPE E", 504), ("TYPE A T", 504), ("TYPE L 7", 504)),
        *(("MODE S", 200), ("MODE B", 504), ("MODE C", 504), ("STRU F", 200), ("STRU R", 504)),
        *(("STRU P", 504), ("ALLO 100", 202), ("ALLO 100 R 10", 202)),
        *(("XPWD", 257), ("XCWD /", 250), ("XCWD none", 550), ("XCUP", 250), ("XMKD x", 550)),
        *(("XRMD x", 550), ("MFMT 20260102030405 none", 550), ("MFMT x none", 501)),
        *(("MFMT 20261302030405 none", 501), ("MFMT", 501)),
    ],
)
async def test_commands_that_say_what_is_so_anyway(printer, command, code):
    async with typed(printer) as lines:
        assert (await lines.ask(command)).split()[0] == str(code)
        assert (await lines.ask("NOOP")).startswith("200 ")


def test_what_aioftp_would_do_itself_is_not_ours_to_do():
    """Each that fails says that something of FtpServer has become needless."""
    stock = aioftp.Server().commands_mapping
    assert not {*ftp._OURS, *ftp._X_COMMANDS, "mode", "stru"} & stock.keys()
    assert not {"moved", "ready", "quitting"} & {*vars(aioftp.Server), *vars(aioftp.Server())}


async def test_aioftp_alone_takes_no_type_with_two_words():
    answers = []
    session = aioftp.server.Connection(logged=True, response=lambda *answer: answers.append(answer))
    await aioftp.Server().type(session, "A N")
    assert answers[0][0] == "502"


@pytest.mark.parametrize("what", [TimeoutError, b""])
async def test_aioftp_alone_ends_a_session_in_mid_transfer(what):
    class Stream:
        async def readline(self):
            if what:
                raise what
            return what

    with pytest.raises((TimeoutError, ConnectionResetError)):
        await aioftp.Server().parse_command(Stream())


@pytest.mark.parametrize(
    "line",
    [
        "POST / HTTP/1.1",
        "GET /x?y HTTP/1.0",
        "OPTIONS * HTTP/1.1",
        "PRI * HTTP/2",
        "Host: printer:2121",
        "host:printer",
        "\x16\x03\x01\x02\0\x01",
    ],
)
async def test_a_browser_that_a_page_sends_here_is_not_served(printer, line):
    (printer.store.path / "victim").touch()
    async with typed(printer) as lines:
        lines.writer.write(line.encode() + b"\r\nDELE victim\r\n")
        assert (await lines.answer()).startswith("221 ")
        assert await lines.answer() == ""
    assert printer.store.exists("victim")


async def test_an_abort_ends_the_transfer_and_not_the_session(printer):
    async with typed(printer) as lines:
        reader, writer = await data_connection(await lines.ask("EPSV"))
        assert (await lines.ask("STOR part")).startswith("150 ")
        writer.write(BIG[:50_000])
        part = printer.store.path
        arrived = lambda: [f for f in part.iterdir() if f.stat().st_size]  # noqa: E731
        writer.write(BIG[50_000:])
        await eventually(arrived, "bytes in the temporary file")
        assert (await lines.ask(b"\xff\xf4\xff\xf2ABOR\r\n")).startswith("426 ")
        assert (await lines.answer()).startswith("226 ")
        assert (await lines.ask("NOOP")).startswith("200 ")
        assert (await lines.ask("ABOR")).startswith("226 ")
        assert not (printer.store.path / "part").exists()
        assert int((await lines.ask("SIZE part")).split()[1]) > 0
        await eventually(lambda: idle(printer), "the data connection's end")
        writer.close()
        del reader


async def test_a_data_connection_that_is_reset_ends_the_transfer_only(printer):
    (printer.store.path / "x").write_bytes(b"the older file")
    async with typed(printer) as lines:
        _reader, writer = await data_connection(await lines.ask("EPSV"))
        assert (await lines.ask("STOR x")).startswith("150 ")
        writer.write(BIG[:1000])
        await writer.drain()
        reset(writer)
        assert (await lines.answer()).startswith("426 ")
        assert (await lines.ask("NOOP")).startswith("200 ")
    assert (printer.store.path / "x").read_bytes() == b"the older file"
    assert "Traceback" not in "".join(printer.notes)


async def test_a_data_connection_that_nobody_opens(printer, monkeypatch):
    monkeypatch.setattr(ftp_data, "CONNECT", 0.05)
    async with typed(printer) as lines:
        await lines.ask("EPSV")
        assert (await lines.ask("LIST")).startswith("150 ")
        assert (await lines.answer()).startswith("425 ")
        await lines.ask(f"EPRT |1|127.0.0.1|{own_port()}|")
        assert (await lines.ask("LIST")).startswith("150 ")
        assert (await lines.answer()).startswith("425 ")
        assert (await lines.ask("LIST")).startswith("425 PASV")


async def test_an_upload_that_stalls_is_a_part_that_can_be_resumed(printer, monkeypatch):
    (printer.store.path / "x").write_bytes(b"the old file")
    async with typed(printer) as lines:
        _reader, writer = await data_connection(await lines.ask("EPSV"))
        writer.write(BIG[:200_000])
        assert (await lines.ask("STOR x")).startswith("150 ")
        files = printer.store.path
        await eventually(lambda: sum(_sizes(files)) > 1000, "bytes on the disk")
        monkeypatch.setattr(ftp_data, "STALLED", 0.05)
        writer.write(BIG[200_000:200_001])
        assert (await lines.answer()).startswith("426 ")
        await eventually(lambda: idle(printer), "the data connection's end")
        writer.close()
        assert (printer.store.path / "x").read_bytes() == b"the old file"
        assert await lines.ask("SIZE x") == "213 12"
        (there,) = (path.stat().st_size for path in files.iterdir() if path.name != "x")
        assert 0 < there <= 200_001

    monkeypatch.undo()
    rest = io.BytesIO(BIG[there:])
    await ask(printer, lambda session: session.storbinary("STOR x", rest, rest=there))
    assert (printer.store.path / "x").read_bytes() == BIG
    assert [path.name for path in printer.store.path.iterdir()] == ["x"]


@asynccontextmanager
async def torn(printer, data=b"new"):
    """Give Lines, and leave a part of x beside a whole one."""
    (printer.store.path / "x").write_bytes(b"the old file")
    async with typed(printer) as lines:
        _reader, writer = await data_connection(await lines.ask("EPSV"))
        assert (await lines.ask("STOR x")).startswith("150 ")
        writer.write(data)
        (connection,) = printer.ftp.connections.values()
        await eventually(lambda: connection.ours.bytes == len(data), "the part")
        assert (await lines.ask("ABOR")).startswith("426 ")
        assert (await lines.answer()).startswith("226 ")
        writer.close()
        yield lines


async def test_the_whole_file_is_what_is_told_and_sent_while_there_is_one(printer):
    async with torn(printer) as lines:
        assert await lines.ask("SIZE x") == "213 12"
        assert (await lines.ask("MLST x")).startswith("250-")
        assert "Size=12;" in await lines.answer()
        assert (await lines.answer()).startswith("250 ")
        assert (await lines.ask("MDTM x")).startswith("213 ")
    assert await ask(printer, lambda session: fetched(session, "x")) == b"the old file"


async def test_an_upload_goes_on_with_the_part_beside_a_whole_file(printer):
    async with torn(printer) as lines:
        assert await stored_as(printer, lines, b"x", "APPE x") == "554"
        assert (await lines.ask("REST 4")).startswith("350 ")
        assert await stored_as(printer, lines, b"x") == "554"
        assert (printer.store.path / "x").read_bytes() == b"the old file"
        assert (await lines.ask("REST 3")).startswith("350 ")
        assert await stored_as(printer, lines, b"er") == "226"
    assert (printer.store.path / "x").read_bytes() == b"newer"


@pytest.mark.parametrize(("command", "offset"), [("STOR x", 0), ("STOR x", 3), ("APPE x", 0)])
async def test_an_upload_breaks_off_another_of_that_name(printer, command, offset):
    """A client that lost its connection comes back before the printer has seen that."""
    (printer.store.path / "x").write_bytes(b"the old file")
    async with typed(printer) as lost, typed(printer) as back:
        _reader, writer = await data_connection(await lost.ask("EPSV"))
        assert (await lost.ask("STOR x")).startswith("150 ")
        writer.write(b"new")
        connection = next(iter(printer.ftp.connections.values()))
        await eventually(lambda: connection.ours.bytes == 3, "what was sent")
        assert (await back.ask(f"REST {offset}")).startswith("350 ")
        code = await stored_as(printer, back, b"er", command)
        assert (await lost.answer()).startswith("426 ")
        assert (await lost.ask("NOOP")).startswith("200 ")
        writer.close()
    stored = {("STOR x", 0): b"er", ("STOR x", 3): b"newer"}.get((command, offset))
    assert (printer.store.path / "x").read_bytes() == (stored or b"the old file")
    assert code == ("226" if stored else "554")
    assert len(list(printer.store.path.iterdir())) == (1 if stored else 2)


@pytest.mark.parametrize("asks", [False, True])
async def test_who_appends_goes_on_with_a_part_only_when_told_of_it(printer, asks):
    async with torn(printer) as lines:
        (printer.store.path / "x").unlink()
        assert (await lines.ask("RETR x")).startswith("550 ")
    async with typed(printer) as lines:
        if asks:
            assert await lines.ask("SIZE x") == "213 3"
        assert await stored_as(printer, lines, b"er", "APPE x") == "226"
    assert (printer.store.path / "x").read_bytes() == (b"newer" if asks else b"er")
    assert [path.name for path in printer.store.path.iterdir()] == ["x"]


@pytest.mark.parametrize("whole", [False, True])
async def test_delete_leaves_nothing_of_a_name(printer, whole):
    async with torn(printer) as lines:
        if not whole:
            (printer.store.path / "x").unlink()
        assert (await lines.ask("DELE x")).startswith("250 ")
        assert list(printer.store.path.iterdir()) == []
        for command in ("DELE x", "SIZE x", "DELE .x", "DELE /"):
            assert (await lines.ask(command)).startswith("550 ")


@pytest.mark.parametrize("name", [".hidden", "a/b", "x" * 201, "a\\b", "/", "\0"])
async def test_a_bad_new_name_is_refused_in_words(printer, name):
    (printer.store.path / "x").touch()
    async with typed(printer) as lines:
        assert (await lines.ask("RNFR x")).startswith("350 ")
        assert (await lines.ask(f"RNTO {name}")).startswith("553 a file name")
        assert (await lines.ask("RNTO y")).startswith("250")
    assert [file.name for file in printer.store.list()] == ["y"]


async def test_a_new_name_may_be_another_files(printer):
    """As of lftp that sends a file under another name first."""
    (printer.store.path / "x.part").write_bytes(b"new")
    async with torn(printer) as lines:
        assert (await lines.ask("RNTO x")).startswith("503 ")
        assert (await lines.ask("RNFR x.part")).startswith("350 ")
        assert (await lines.ask("RNTO x")).startswith("250 ")
        assert (await lines.ask("RNTO x")).startswith("503 ")
        assert (await lines.ask("RNFR x")).startswith("350 ")
        assert [path.name for path in printer.store.path.iterdir()] == ["x"]
        assert (printer.store.path / "x").read_bytes() == b"new"
        (printer.store.path / "x").unlink()
        assert (await lines.ask("RNTO y")).startswith("550 ")


async def test_aioftp_alone_refuses_another_files_name():
    class Files:
        async def exists(self, _path):
            return True

    answers = []
    session = aioftp.server.Connection(
        logged=True,
        user=aioftp.User(),
        current_directory=Path("/"),
        path_io=Files(),
        rename_from=Path("/x"),
        response=lambda *answer: answers.append(answer),
    )
    await aioftp.Server().rnto(session, "y")
    assert answers == [("550", "path already exists")]


@pytest.mark.parametrize(
    "stamp",
    [
        *("20260102030460", "20260102030461", "2026010203040", "202601020304", "20261"),
        *("10000010203040506", "09990102030405", "00010102030405", "202601020304.5", ""),
        *("\uff12\uff10\uff12\uff1601020304050", "2026 1 2 3 4 5", "99999999999999"),
    ],
)
async def test_a_time_that_is_none_is_refused(printer, stamp):
    (printer.store.path / "x").touch()
    before = (printer.store.path / "x").stat().st_mtime_ns
    async with typed(printer) as lines:
        assert (await lines.ask(f"MFMT {stamp} x")).startswith("501 ")
    assert (printer.store.path / "x").stat().st_mtime_ns == before


@pytest.mark.parametrize("last", ["20260102030405", "99991231235959", "10000101000000"])
async def test_what_is_said_of_a_time_is_so(printer, last):
    """As much as the disk here can hold."""
    (printer.store.path / "x").touch()
    async with typed(printer) as lines:
        before = await lines.ask("MDTM x")
        answer = await lines.ask(f"MFMT {last} x")
        now = await lines.ask("MDTM x")
    assert (answer, now) in (
        (f"213 Modify={last}; x", f"213 {last}"),
        ("504 the disk has no room for that time", before),
    )


async def test_a_time_that_the_disk_does_not_let_be_changed_costs_no_session(printer, monkeypatch):
    def refused(*_, **__):
        raise PermissionError

    (printer.store.path / "x").touch()
    monkeypatch.setattr(os, "utime", refused)
    async with typed(printer) as lines:
        assert (await lines.ask("MFMT 20260102030405 x")).startswith("451 ")
        assert (await lines.ask("NOOP")).startswith("200 ")


@pytest.mark.parametrize("seconds", [10**15, -(10**15)])
async def test_a_file_of_a_far_time_costs_no_session(printer, monkeypatch, seconds):
    stat = Path.stat

    def far(path, **options):
        return os.stat_result((*stat(path, **options)[:7], seconds, seconds, seconds))

    (printer.store.path / "x").touch()
    monkeypatch.setattr(Path, "stat", far)
    year = "9999" if seconds > 0 else "1000"
    async with typed(printer) as lines:
        assert (await lines.ask("MDTM x")).startswith(f"213 {year}")
        assert (await lines.ask("MLST x")).startswith("250-")
        assert f"Modify={year}" in await lines.answer()
        await lines.answer()
        reader, writer = await data_connection(await lines.ask("EPSV"))
        assert (await lines.ask("LIST")).startswith("150 ")
        assert (await reader.read()).endswith(b" x\r\n")
        assert (await lines.answer()).startswith("226 ")
        writer.close()


async def all_of(lines, command):
    """Give the lines of an answer that has several."""
    said = [await lines.ask(command)]
    while not said[-1].startswith(said[0][:3] + " "):
        said.append(await lines.answer())
    return said


async def test_the_status_of_a_session(printer):
    (printer.store.path / "x").write_bytes(b"12345")
    async with typed(printer) as lines:
        assert " no transfer is under way" in await all_of(lines, "STAT")
        _reader, writer = await data_connection(await lines.ask("EPSV"))
        assert (await lines.ask("STOR y")).startswith("150 ")
        writer.write(BIG)
        (connection,) = printer.ftp.connections.values()
        await eventually(lambda: connection.ours.bytes == len(BIG), "all that was sent")
        told = await all_of(lines, "STAT")
        assert f" a transfer is under way, {len(BIG)} bytes so far" in told
        head, line, end = await all_of(lines, b"\xff\xf4\xff\xf2STAT x\r\n")
        assert (head, end, line.split()[4]) == ("213-Files:", "213 End", "5")
        writer.close()
        assert (await lines.answer()).startswith("226 ")
        assert len(await all_of(lines, "STAT /")) == 2 + 2
        assert (await lines.ask("STAT none")).startswith("550 ")
        (printer.store.path / "x").unlink()
        (printer.store.path / "y").unlink()
        assert len(await all_of(lines, "STAT /")) == 2


async def test_help_tells_the_commands(printer):
    async with typed(printer) as lines:
        head, *rows, end = await all_of(lines, "HELP")
        assert (head, end) == ("214-Commands:", "214 End")
        told = " ".join(rows).split()
        assert {name.lower() for name in told} == printer.ftp.commands_mapping.keys()
        for name in told:
            assert (await lines.ask(f"HELP {name}")).startswith("214 ")
        assert (await lines.ask("HELP none")).startswith("502 ")


def _sizes(folder):
    return [path.stat().st_size for path in folder.iterdir()]


async def test_a_download_that_nobody_reads_is_given_up(printer, monkeypatch):
    monkeypatch.setattr(ftp_data, "STALLED", 0.05)
    with (printer.store.path / "endless").open("wb") as file:
        file.truncate(1 << 36)
    async with typed(printer) as lines:
        _reader, writer = await data_connection(await lines.ask("EPSV"))
        assert (await lines.ask("RETR endless")).startswith("150 ")
        assert (await lines.answer()).startswith("426 ")
        reset(writer)


async def test_the_end_of_a_download_that_nobody_reads_is_given_up(printer, monkeypatch):
    """All of it is in the transport's buffer, which waits for the module to take it."""
    (printer.store.path / "x").write_bytes(BIG[:60_000])
    async with typed(printer) as lines:
        port = int((await lines.ask("EPSV")).split("|")[3])
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        peers = lambda: [slot.peer for slot in printer.rig.slots if slot.peer]  # noqa: E731
        await eventually(lambda: len(peers()) == 2, "the data connection")
        for peer in peers():
            held = peer.transport.get_extra_info("socket")
            held.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        monkeypatch.setattr(ftp_data, "STALLED", 0.05)
        assert (await lines.ask("RETR x")).startswith("150 ")
        assert (await lines.answer()).startswith("426 ")
        assert (await lines.ask("NOOP")).startswith("200 ")
        sock.close()


async def test_the_idle_clock_stands_while_a_transfer_moves(printer):
    async with typed(printer) as lines:
        _reader, writer = await data_connection(await lines.ask("EPSV"))
        assert (await lines.ask("STOR x")).startswith("150 ")
        expired = hurried(printer)
        assert (await lines.ask("NOOP")).startswith("200 ")  # from now on
        for number in range(5):
            seen = len(expired)
            await eventually(lambda seen=seen: len(expired) > seen, "the clock's end")
            writer.write(bytes([number]))
        hurried(printer, ftp.IDLE)
        writer.close()
        assert (await lines.answer()).startswith("226 ")
        assert (await lines.ask("NOOP")).startswith("200 ")
        assert (printer.store.path / "x").read_bytes() == bytes(range(5))


async def test_a_session_that_is_idle_ends_also_after_a_transfer(printer):
    async with typed(printer) as lines:
        reader, writer = await data_connection(await lines.ask("EPSV"))
        assert (await lines.ask("LIST")).startswith("150 ")
        assert (await lines.answer()).startswith("226 ")
        hurried(printer)
        assert (await lines.ask("NOOP")).startswith("200 ")
        assert await lines.answer() == ""
        writer.close()
        del reader


@pytest.mark.parametrize("first_seen", ["session", "data"])
async def test_who_is_killed_in_mid_upload_leaves_no_file_of_that_name(printer, first_seen):
    async with typed(printer) as lines:
        _reader, writer = await data_connection(await lines.ask("EPSV"))
        assert (await lines.ask("STOR x")).startswith("150 ")
        writer.write(BIG[:1000])
        release = asyncio.Event()
        if first_seen == "data":
            (stream,) = printer.ftp.connections
            stream.readline = functools.partial(after, release, stream.readline)
            assert (await lines.ask("NOOP")).startswith("200 ")
        lines.writer.close()  # in the order of a process's descriptors
        writer.close()
        await eventually(lambda: idle(printer), "the data connection's end")
        release.set()
    await eventually(lambda: idle(printer, 0), "free sockets")
    assert printer.store.list() == []


async def after(event, work):
    await event.wait()
    return await work()


async def test_what_was_said_before_a_half_close_is_answered(printer):
    (printer.store.path / "x").write_bytes(b"12345")
    reader, writer = await asyncio.open_connection("127.0.0.1", printer.ftp_port)
    writer.write(b"USER me\r\nEPSV\r\nSIZE x\r\nMKD y\r\n")
    writer.write_eof()
    async with asyncio.timeout(PATIENCE):
        answers = (await reader.read()).decode().splitlines()
    assert [answer[:3] for answer in answers] == ["220", "230", "229", "213", "550", "221"]
    writer.close()


@pytest.mark.parametrize("last", [b"", b"DELE x"])
async def test_a_download_ends_in_order_after_a_half_close(printer, last):
    with (printer.store.path / "x").open("wb") as file:
        file.truncate(8 << 20)
    async with typed(printer) as lines:
        reader, writer = await data_connection(await lines.ask("EPSV"))
        assert (await lines.ask("RETR x")).startswith("150 ")
        (connection,) = printer.ftp.connections.values()
        lines.writer.write(last)
        lines.writer.write_eof()
        await eventually(lambda: connection.ours.left, "the end of the client's direction")
        async with asyncio.timeout(PATIENCE):
            assert len(await reader.read()) == 8 << 20
        assert (await lines.answer()).startswith("226 ")
        assert (await lines.answer()).startswith("221 ")
        assert await lines.answer() == ""
        writer.close()
    assert printer.store.exists("x")


async def test_an_upload_after_a_half_close_is_a_part(printer):
    async with typed(printer) as lines:
        _reader, writer = await data_connection(await lines.ask("EPSV"))
        assert (await lines.ask("STOR x")).startswith("150 ")
        lines.writer.write_eof()
        (connection,) = printer.ftp.connections.values()
        await eventually(lambda: connection.ours.left, "the end of the client's direction")
        writer.write(BIG)
        writer.close()
        assert (await lines.answer()).startswith("426 ")
        assert (await lines.answer()).startswith("221 ")
    async with typed(printer) as lines:
        assert await lines.ask("SIZE x") == f"213 {len(BIG)}"
        assert (await lines.ask("MDTM x")).startswith("550 ")


async def test_a_reset_of_the_session_ends_its_transfer(printer, caplog):
    with (printer.store.path / "x").open("wb") as file:
        file.truncate(1 << 36)
    async with typed(printer) as lines:
        reader, writer = await data_connection(await lines.ask("EPSV"))
        assert (await lines.ask("RETR x")).startswith("150 ")
        reset(lines.writer)
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionError):
                while await reader.read(1 << 20):
                    pass
        await eventually(lambda: idle(printer, 0), "free sockets")
        writer.close()
    assert "exception" not in caplog.text


async def test_answers_come_in_order_when_commands_come_early(printer):
    with (printer.store.path / "x").open("wb") as file:
        file.truncate(8 << 20)
    async with typed(printer) as lines:
        reader, writer = await data_connection(await lines.ask("EPSV"))
        lines.writer.write(b"RETR x\r\nPASV\r\nNOOP\r\n")
        assert (await lines.answer()).startswith("150 ")
        async with asyncio.timeout(PATIENCE):
            assert len(await reader.read()) == 8 << 20
        writer.close()
        assert [(await lines.answer())[:3] for _ in range(3)] == ["226", "227", "200"]


async def test_who_says_goodbye_gets_the_rest_of_a_transfer(printer):
    (printer.store.path / "x").write_bytes(BIG)
    async with typed(printer) as lines:
        reader, writer = await data_connection(await lines.ask("EPSV"))
        assert (await lines.ask("RETR x")).startswith("150 ")
        lines.writer.write(b"QUIT\r\n")
        async with asyncio.timeout(PATIENCE):
            assert await reader.read() == BIG
        assert (await lines.answer()).startswith("226 ")
        assert (await lines.answer()).startswith("221 ")
        writer.close()


@pytest.mark.parametrize("command", ["STOR x", "RETR secret"])
async def test_a_stranger_gets_no_data_connection(printer, command):
    (printer.store.path / "secret").write_bytes(BIG)
    async with typed(printer) as lines:
        answer = await lines.ask("EPSV")
        port = int(answer.split("|")[3])
        local = ("127.0.0.2", 0)
        stranger, intruding = await asyncio.open_connection("127.0.0.1", port, local_addr=local)
        intruding.write(b"the stranger's")
        reader, writer = await data_connection(answer)
        assert (await lines.ask(command)).startswith("150 ")
        if command == "STOR x":
            writer.write(BIG)
        else:
            async with asyncio.timeout(PATIENCE):
                assert await reader.read() == BIG
        writer.close()
        assert (await lines.answer()).startswith("226 ")
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionError):
                assert await stranger.read() == b""
        intruding.close()
    if command == "STOR x":
        assert (printer.store.path / "x").read_bytes() == BIG


async def test_a_port_that_was_not_used_is_closed(printer):
    async with typed(printer) as lines:
        first = await lines.ask("EPSV")
        _reader, writer = await data_connection(first)
        await eventually(lambda: not idle(printer), "the connection's acceptance")
        second = await lines.ask("EPSV")
        assert first != second
        await eventually(lambda: idle(printer), "the end of the first")
        assert (await lines.ask("QUIT")).startswith("221 ")
        await eventually(lambda: idle(printer, 0), "the session's end")
        writer.close()
    ports = {int(answer.split("|")[3]) for answer in (first, second)}
    assert ports.isdisjoint(printer.rig.module.poller.servers)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("PORT 127,0,0,2,200,1", "501 the module connects to the client only"),
        ("PORT 127,0,0,1,0,22", "501 the module connects to ports from 1024 on"),
        ("PORT 127,0,0,1,200", "501 PORT wants six numbers"),
        ("PORT 127,0,0,999,200,1", "501 that is no IPv4 address"),
        ("EPRT |2|::1|2000|", "501 EPRT wants |1|address|port|"),
        ("EPRT", "501 EPRT wants |1|address|port|"),
        ("EPRT |1|10.0.0.1|2000|", "501 the module connects to the client only"),
        (f"EPRT |1|127.0.0.1|{'9' * 5000}|", "501 EPRT wants |1|address|port|"),
        ("REST \u00b2", "501 REST wants a number of bytes"),
        (f"REST {'9' * 5000}", "501 REST wants a number of bytes"),
        ("EPSV 2", "522 only IPv4 is spoken here: (1)"),
        ("OPTS NONSENSE", "501 no such option"),
        ("NONSENSE", "502 'nonsense' not implemented"),
    ],
)
async def test_what_is_refused_in_a_line(printer, command, answer):
    async with typed(printer) as lines:
        assert await lines.ask(command) == answer
        assert (await lines.ask("NOOP")).startswith("200 ")
    assert printer.rig.commands(3) == 0


@pytest.mark.parametrize("words", [b"\xff\xfe\xfd\r\n", b"STOR \xff\xc3(\r\n", b"\r\n", b"\0\r\n"])
async def test_bytes_that_are_no_text_cost_no_session(printer, words, caplog):
    async with typed(printer) as lines:
        assert (await lines.ask(words))[:1] in ("5", "4")
        assert (await lines.ask("NOOP")).startswith("200 ")
    assert "exception" not in caplog.text


async def test_a_line_without_an_end_ends_the_session(printer, caplog):
    async with typed(printer) as lines:
        lines.writer.write(b"x" * 200_000)
        assert (await lines.answer()).startswith("221 ")
    assert "exception" not in caplog.text


async def test_who_leaves_without_a_word_leaves_no_trace(printer, caplog):
    for _ in range(5):
        async with typed(printer) as lines:
            await lines.ask("EPSV")
            lines.writer.transport.abort()
        await eventually(lambda: idle(printer, 0), "free sockets")  # sessions are few
    assert "exception" not in caplog.text


async def test_answers_that_nobody_reads_hold_up_no_end(printer):
    class Gone:
        async def write(self, _data):
            raise ConnectionResetError

    server = ftp.FtpServer(printer.rig.module, printer.store, 21)
    answers = asyncio.Queue()
    for text in ("one", "two", "three"):
        answers.put_nowait(("200", text))
    writing = asyncio.create_task(server.response_writer(Gone(), answers))
    async with asyncio.timeout(PATIENCE):
        await answers.join()
    writing.cancel()


async def test_a_fourth_session_is_refused(printer):
    async with typed(printer), typed(printer), typed(printer) as third:
        reader, writer = await asyncio.open_connection("127.0.0.1", printer.ftp_port)
        assert (await Lines(reader, writer).answer()).startswith("421 ")
        assert (await third.ask("NOOP")).startswith("200 ")
        writer.close()
    assert ftp.SESSIONS == 3


async def test_a_module_without_a_port_to_listen_on(printer, monkeypatch):
    async with typed(printer) as lines:
        printer.rig.firmware._listen = lambda _data: printer.rig.firmware.tell(b"Listen failed")
        assert (await lines.ask("PASV")).startswith("425 ")
        assert printer.rig.commands(7) == 2 + 2 * ftp_data._TRIES  # each is stopped as well


async def test_a_port_that_is_taken_leaves_ftp_out(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = Ports(own_port(), ftp=taken.getsockname()[1])
        async with served(tmp_path, ports) as made:
            assert made.said("FTP is not served: the module cannot listen on port")
            assert list(made.report.services) == ["HTTP"]
