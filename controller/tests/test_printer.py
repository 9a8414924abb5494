"""The printer's site, through the module: aiohttp's server runs on our transports unchanged."""

import asyncio
import contextlib
import errno
import functools
import json
import os
import re
import socket
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import web
from fake_sim import Network
from own_port import own_port
from rig import PATIENCE, eventually, rigged

from spinet_controller.codes import Command
from spinet_controller.printer import serving, transfer
from spinet_controller.printer.plan import Naming, Ports
from spinet_controller.printer.serving import Printer
from spinet_controller.printer.status import ModuleReport, Rate, label
from spinet_controller.printer.store import FileStore
from spinet_controller.wifi import join


class Site:
    """A printer that is being served, and a client of it over real TCP.

    `notes` are what the printer said, `joins` the networks that the page asked for.
    """

    def __init__(self, rig, store, session, report):
        self.rig = rig
        self.store = store
        self.session = session
        self.report = report
        self.notes = []
        self.joins = []

    async def ask(self, method, path, **options):
        """Give (status, headers, body) of a request."""
        async with self.session.request(method, path, **options) as response:
            return response.status, response.headers, await response.read()

    async def raw(self, data, *, ended=False):
        """Send bytes as they are, and our FIN if so wanted; give all that came until the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.session._base_url.port)
        writer.write(data)
        if ended:
            writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            got = await _all_of(reader)
        writer.close()
        return got


@pytest.fixture(params=["module-clocked", "controller-clocked"])
async def site(request, tmp_path):
    async with shown(tmp_path, wiring=request.param) as site:
        yield site


@contextlib.asynccontextmanager
async def shown(folder, wiring="module-clocked", naming=None, **limits):
    """Give a Site whose printer serves nothing else; `limits` are more of Ports."""
    store = FileStore(folder)
    port = own_port()
    async with rigged(wiring) as rig:
        Network(rig.firmware)
        await join(rig.module)
        report = ModuleReport(rig.module)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            site = Site(rig, store, session, report)
            async with Printer(
                *(rig.module, store, report, Ports(port, **limits), naming or Naming()),
                note=site.notes.append,
                join=site.joins.append,
            ):
                yield site


BIG = bytes(n * 31 % 256 for n in range(700_001))


async def test_the_page_and_its_parts(site):
    for path, kind in (
        ("/", "text/html"),
        ("/style.css", "text/css"),
        ("/page.js", "text/javascript"),
        ("/networks.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
    ):
        status, headers, body = await site.ask("GET", path)
        assert (status, headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")
        assert headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b"")
        assert b"https://" not in body


async def test_a_file_goes_up_and_comes_down(site):
    status, headers, _ = await site.ask("PUT", "/files/part one.gcode", data=BIG)
    assert (status, headers["Location"]) == (201, "/files/part%20one.gcode")
    assert (site.store.path / "part one.gcode").read_bytes() == BIG
    status, headers, body = await site.ask("GET", "/files/part%20one.gcode")
    assert (status, body) == (200, BIG)
    assert headers["Content-Length"] == str(len(BIG))
    assert "part%20one.gcode" in headers["Content-Disposition"]


async def test_a_file_is_replaced(site):
    await site.ask("PUT", "/files/x", data=b"old and long")
    status, _, _ = await site.ask("PUT", "/files/x", data=b"new")
    assert status == 204
    assert (await site.ask("GET", "/files/x"))[2] == b"new"


async def test_an_empty_file(site):
    assert (await site.ask("PUT", "/files/empty", data=b""))[0] == 201
    status, headers, body = await site.ask("GET", "/files/empty")
    assert (status, headers["Content-Length"], body) == (200, "0", b"")


async def test_a_chunked_upload(site):
    async def chunks():
        for at in range(0, 50_000, 5000):
            yield BIG[at : at + 5000]

    assert (await site.ask("PUT", "/files/x", data=chunks()))[0] == 201
    assert (site.store.path / "x").read_bytes() == BIG[:50_000]


async def test_head_tells_without_sending(site):
    await site.ask("PUT", "/files/x", data=BIG[:5000])
    status, headers, body = await site.ask("HEAD", "/files/x")
    assert (status, headers["Content-Length"], body) == (200, "5000", b"")
    assert (await site.ask("GET", "/api/files"))[0] == 200


async def test_a_range(site):
    await site.ask("PUT", "/files/x", data=BIG)
    status, headers, body = await site.ask(
        "GET", "/files/x", headers={"Range": "bytes=1000-299999"}
    )
    assert (status, body) == (206, BIG[1000:300_000])
    assert headers["Content-Range"] == f"bytes 1000-299999/{len(BIG)}"


async def test_a_range_that_the_file_has_not(site):
    await site.ask("PUT", "/files/x", data=b"short")
    status, headers, _ = await site.ask("GET", "/files/x", headers={"Range": "bytes=5-"})
    assert (status, headers["Content-Range"]) == (416, "bytes */5")


async def test_a_number_too_long_to_read_is_no_range(site):
    await site.ask("PUT", "/files/x", data=b"short")
    header = {"Range": f"bytes={'9' * 5000}-"}
    status, _, body = await site.ask("GET", "/files/x", headers=header)
    assert (status, body) == (200, b"short")


async def test_parts_of_two_states_of_a_file_are_not_mixed(site):
    await site.ask("PUT", "/files/x", data=b"0123456789")
    _, headers, _ = await site.ask("HEAD", "/files/x")
    wanted = {"Range": "bytes=5-", "If-Range": headers["Last-Modified"]}
    status, _, body = await site.ask("GET", "/files/x", headers=wanted)
    assert (status, body) == (206, b"56789")
    os.utime(site.store.path / "x", (0, 0))
    status, headers, body = await site.ask("GET", "/files/x", headers=wanted)
    assert (status, body) == (200, b"0123456789")
    assert headers["Last-Modified"] == "Thu, 01 Jan 1970 00:00:00 GMT"


async def test_a_part_does_not_replace_the_file(site):
    await site.ask("PUT", "/files/x", data=b"0123456789")
    header = {"Content-Range": "bytes 8-11/12"}
    status, _, body = await site.ask("PUT", "/files/x", data=b"89ab", headers=header)
    assert (status, json.loads(body)["error"]) == (400, "a file is stored as a whole")
    assert (site.store.path / "x").read_bytes() == b"0123456789"


@pytest.mark.parametrize("rest", [OSError(errno.EIO, "Input/output error"), b""])
async def test_a_download_that_fails_half_way_ends_there(site, monkeypatch, caplog, rest):
    """Not with an answer in the middle of the file; `rest` is what its second piece is."""

    def broken(file, span, write):
        return transfer.send(Pieces(file, [BIG[:1000], rest]), span, write)

    (site.store.path / "x").write_bytes(BIG)
    monkeypatch.setattr("spinet_controller.printer.site.send", broken)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.session._base_url.port)
    writer.write(b"GET /files/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        got = await _all_of(reader)
    assert BIG.startswith(got.partition(b"\r\n\r\n")[2])
    assert "a download was cut off" in caplog.text
    assert "Traceback" not in caplog.text
    writer.close()


class Pieces:
    """A file whose reads give one of `pieces` after the other."""

    def __init__(self, file, pieces):
        self.seek = file.seek
        self._pieces = iter(pieces)

    def read(self, _most):
        piece = next(self._pieces)
        if isinstance(piece, OSError):
            raise piece
        return piece


async def _all_of(reader):
    """Give what came before the end, of any kind."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            got += piece
    return got


async def test_what_others_put_into_the_folder_is_no_file(site):
    (site.store.path / "folder").mkdir()
    (site.store.path / "two\nlines").touch()
    for method in ("GET", "DELETE"):
        status, _, body = await site.ask(method, "/files/folder")
        assert (status, json.loads(body)["error"]) == (404, "there is no such file")
    _, _, body = await site.ask("GET", "/api/files")
    assert json.loads(body)["files"] == []


async def test_files_are_listed_and_deleted(site):
    for name in ("b", "a"):
        await site.ask("PUT", f"/files/{name}", data=b"12345")
    _, _, body = await site.ask("GET", "/api/files")
    listed = json.loads(body)["files"]
    assert [(file["name"], file["size"]) for file in listed] == [("a", 5), ("b", 5)]
    assert (await site.ask("DELETE", "/files/a"))[0] == 204
    assert (await site.ask("DELETE", "/files/a"))[0] == 404
    assert [file.name for file in site.store.list()] == ["b"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("name", ["", ".hidden", "a%2Fb", "..%2F..%2Fetc%2Fpasswd", "a%0Ab", "a/b"])
async def test_a_bad_name_is_refused_in_words(site, method, name):
    from yarl import URL

    path = URL(f"/files/{name}", encoded=True)
    status, _, body = await site.ask(method, path, data=b"x" if method == "PUT" else None)
    assert status == 400
    assert "file name" in json.loads(body)["error"]
    assert site.store.list() == []


@pytest.mark.parametrize(
    "name", ["%E9", "%ED%B2%80", "%C3", "%C3%28", "%", "100%.gcode", "%zz", "%4"]
)
async def test_a_name_that_is_badly_encoded_is_none(site, name):
    (site.store.path / name).touch()
    for method in ("GET", "PUT", "DELETE"):
        sent = HEAD.format(f"{method} /files/{name}") + LENGTH + "all of it"
        assert (await site.raw(sent.encode(), ended=True)).startswith(b"HTTP/1.1 400 ")
    assert [(file.name, file.size) for file in site.store.list()] == [(name, 0)]


async def test_what_is_not_there(site):
    for method, path, wanted in (
        ("GET", "/files/none", 404),
        ("GET", "/nowhere", 404),
        ("POST", "/files/x", 405),
        ("DELETE", "/", 405),
    ):
        status, headers, body = await site.ask(method, path)
        assert status == wanted
        assert json.loads(body)["error"]
        assert ("Allow" in headers) == (wanted == 405)


async def test_a_broken_upload_leaves_no_file(site):
    reader, writer = await asyncio.open_connection("127.0.0.1", site.session._base_url.port)
    writer.write(b"PUT /files/half HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n")
    writer.write(bytes(50_000))
    await writer.drain()
    await eventually(lambda: list(site.store.path.iterdir()), "the temporary file")
    writer.close()
    await eventually(lambda: not list(site.store.path.iterdir()), "its removal")
    del reader


STALLED = 0.2
"""Seconds, for clients that stand still; how long anything takes is not looked at."""

HEAD = "{} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
LENGTH = "Content-Length: 9\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        HEAD.format("PUT /files/half") + LENGTH,
        HEAD.format("PUT /files/half") + LENGTH + "half",
        HEAD.format("PUT /files/half") + CHUNKED + "4\r\nhalf\r\n",
        HEAD.format("POST /api/networks") + LENGTH + "{",
        HEAD.format("POST /api/join") + CHUNKED,
    ],
)
async def test_a_body_that_stands_still_is_given_up(tmp_path, sent):
    async with shown(tmp_path, stalled=STALLED) as site:
        got = await site.raw(sent.encode())
        head, _, body = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"\r\nConnection: close" in head
        assert json.loads(body)["error"] == "the request did not come to its end"
        assert not list(tmp_path.iterdir())


async def test_a_download_that_stands_still_is_given_up(tmp_path):
    (tmp_path / "huge").write_bytes(bytes(32 << 20))
    async with shown(tmp_path, stalled=STALLED) as site:
        _reader, writer = await asyncio.open_connection(
            "127.0.0.1", site.session._base_url.port, limit=1024
        )
        writer.write(b"GET /files/huge HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await eventually(lambda: site.rig.commands(Command.CONN_ABORT), "its end")
        writer.close()


GET = b"GET /api/networks HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PUT = (HEAD.format("PUT /files/x") + LENGTH + "all of it").encode()


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (GET, [b"200 OK"]),
        (GET.replace(b"1.1", b"1.0"), [b"200 OK"]),
        (GET * 3, [b"200 OK"] * 3),
        (GET + b"GET /api/ne", [b"200 OK", b"400 Bad Request"]),
        (GET * 2 + b"no HTTP\r\n\r\n" + GET, [b"200 OK"] * 2 + [b"400 Bad Request"]),
        (GET * 40 + b"\0", [b"200 OK"] * 40 + [b"400 Bad Request"]),
        (PUT, [b"201 Created"]),
        (PUT + b"\0", [b"201 Created", b"400 Bad Request"]),
        (PUT + GET[:-1], [b"201 Created", b"400 Bad Request"]),
        (PUT[:-1], [b"400 Bad Request"]),
        ((HEAD.format("PUT /files/x") + CHUNKED + "9\r\nha").encode(), [b"400 Bad Request"]),
        ((HEAD.format("PUT /nowhere") + LENGTH + "a half").encode(), [b"404 Not Found"]),
        (b"no HTTP\r\n\r\n", [b"400 Bad Request"]),
        (b"G", [b"400 Bad Request"]),
        (b"GET /api/ne", [b"400 Bad Request"]),
        (GET[:-1], [b"400 Bad Request"]),
        (b"\r\n", []),
        (b"", []),
    ],
)
async def test_a_client_that_ends_its_direction_is_answered(
    site, monkeypatch, caplog, sent, answers
):
    monkeypatch.setattr(serving, "KEEP_ALIVE", 2 * PATIENCE)  # this is not how it ends
    got = await site.raw(sent, ended=True)
    assert re.findall(rb"HTTP/1\.\d (\d+ [^\r]+)\r\n", got) == answers
    stored = [file.name for file in site.store.list()]
    assert stored == (["x"] if b"201 Created" in answers else [])
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("late", range(1, 6))
async def test_a_head_that_comes_in_two_segments_with_no_http_behind_it(site, late):
    reader, writer = await asyncio.open_connection("127.0.0.1", site.session._base_url.port)
    writer.write(GET[:-late])
    await eventually(lambda: site.rig.poller.bytes_in == len(GET) - late, "the first segment")
    writer.write(GET[-late:] + b"no HTTP\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        got = await _all_of(reader)
    assert re.findall(rb"HTTP/1\.\d (\d+) ", got) == [b"200", b"400"]
    writer.close()


async def test_a_client_that_ends_its_direction_while_it_is_idle_is_left(site):
    reader, writer = await asyncio.open_connection("127.0.0.1", site.session._base_url.port)
    writer.write(GET)
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"\r\n\r\n")
        writer.write_eof()
        await reader.read()
    writer.close()


async def test_a_client_that_ends_its_direction_gets_all_of_a_file(site, monkeypatch):
    monkeypatch.setattr(serving, "KEEP_ALIVE", 2 * PATIENCE)
    (site.store.path / "x").write_bytes(BIG * 10)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.session._base_url.port)
    writer.write(GET.replace(b"api/networks", b"files/x"))
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"\r\n\r\n")
        writer.write_eof()
        assert await reader.read() == BIG * 10
    writer.close()


async def test_aiohttp_itself_still_closes_at_a_fin_of_the_peer():
    """Where this fails, Connection.eof_received of printer/serving.py may be needless."""
    asked = asyncio.get_running_loop().create_future()

    async def handler(request):
        asked.set_result(request)
        await request.content.read()

    protocol = web.RequestHandler(web.Server(handler), loop=asyncio.get_running_loop())
    protocol.connection_made(Mock(asyncio.Transport))
    protocol.data_received((HEAD.format("PUT /") + LENGTH).encode())
    await asked
    assert not protocol.eof_received()
    protocol.connection_lost(None)


async def test_aiohttp_itself_still_drops_requests_in_one_segment_with_what_is_none():
    """Where this fails, Connection.data_received of printer/serving.py is needless."""
    protocol = web.RequestHandler(web.Server(None), loop=asyncio.get_running_loop())
    protocol.connection_made(Mock(asyncio.Transport))
    protocol.data_received(GET * 2 + b"\0")
    assert len(protocol._messages) == 1
    protocol.connection_lost(None)


@pytest.mark.parametrize(
    ("coded", "status"),
    [
        ("Content-Encoding: gzip\r\n" + LENGTH + "all of it", 415),
        ("Content-Encoding: x-unknown\r\n" + LENGTH + "all of it", 415),
        ("Content-Encoding: identity, br\r\n" + LENGTH + "all of it", 415),
        ("Content-Encoding: identity\r\nContent-Encoding: gzip\r\n" + LENGTH + "all of it", 415),
        ("Content-Encoding:\r\n" + LENGTH + "all of it", 201),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n9\r\nall of it\r\n0\r\n\r\n", 501),
        ("Content-Encoding: Identity\r\n" + LENGTH + "all of it", 201),
    ],
)
async def test_a_body_is_stored_as_it_is_or_refused(site, caplog, coded, status):
    got = await site.raw((HEAD.format("PUT /files/x") + coded).encode(), ended=True)
    assert got.startswith(f"HTTP/1.1 {status} ".encode())
    assert [file.size for file in site.store.list()] == ([9] if status == 201 else [])
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("charset", "known"),
    [
        *((name, True) for name in ("UTF8", "Utf-8", "utf_8", "U8", '"utf-8"', "cp65001", "")),
        *(
            (name, False)
            for name in ("test", '"test"', "latin1", "utf-16", "hex", "\xe9", "x" * 999)
        ),
    ],
)
async def test_what_json_is_encoded_in(site, caplog, charset, known):
    headers = {"Content-Type": f"application/json; charset={charset}"}
    status, _, body = await site.ask("POST", "/api/scan", data=b"{}", headers=headers)
    if known:
        assert status == 200
    else:
        assert (status, json.loads(body)["error"]) == (400, "JSON is UTF-8")
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("body", ["x\r\nhalf", "4\r\nhalf4\r\n", "4;\n\r\nhalf\r\n", "-4\r\n"])
@pytest.mark.parametrize("path", ["PUT /files/x", "POST /api/scan", "PUT /nowhere"])
async def test_chunks_that_are_none(site, caplog, monkeypatch, body, path):
    patient = functools.partialmethod(web.RequestHandler.__init__, lingering_time=3600)
    monkeypatch.setattr(web.RequestHandler, "__init__", patient)  # it would wait for the rest
    got = await site.raw((HEAD.format(path) + CHUNKED + body).encode(), ended=True)
    assert re.match(rb"HTTP/1\.[01] 40[04] ", got)
    assert not list(site.store.path.iterdir())
    assert "Traceback" not in caplog.text


async def test_a_file_that_is_larger_than_the_disk(site, monkeypatch):
    monkeypatch.setattr(site.store, "free", lambda: 1000)
    status, _, body = await site.ask("PUT", "/files/x", data=bytes(1001))
    assert (status, json.loads(body)["error"]) == (507, "the disk has no room for this file")
    assert site.store.list() == []


async def test_a_chunked_file_that_is_larger_than_the_disk(site, monkeypatch):
    async def chunks():
        for _ in range(10):
            yield bytes(transfer.PIECE)

    left = iter(range(3 * transfer.PIECE, 0, -transfer.PIECE))
    monkeypatch.setattr(site.store, "free", lambda: next(left, 0))
    status, _, body = await site.ask("PUT", "/files/x", data=chunks())
    assert (status, json.loads(body)["error"]) == (507, "the disk is full")
    assert not list(site.store.path.iterdir())


async def test_a_disk_that_fills_up_meanwhile(site, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("spinet_controller.printer.transfer._write_all", full)
    status, _, body = await site.ask("PUT", "/files/x", data=bytes(1000))
    assert (status, json.loads(body)["error"]) == (507, "the disk is full")
    assert list(site.store.path.iterdir()) == []


async def test_a_disk_that_fails(site, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(site.store, "open", broken)
    status, _, body = await site.ask("GET", "/files/x")
    assert (status, json.loads(body)["error"]) == (500, "the file could not be read or written")


async def test_the_status(site):
    await site.ask("PUT", "/files/x", data=bytes(3000))
    _, _, body = await site.ask("GET", "/api/status")
    status = json.loads(body)
    assert status["module"]["state"] == "connected"
    assert (status["module"]["ip"], status["module"]["ssid"]) == ("127.0.0.1", "Workshop")
    assert status["module"]["freeHeap"] == 98304
    assert status["sockets"]["limit"] == 8
    assert status["sockets"]["used"] == len(status["sockets"]["open"]) >= 1
    assert status["sockets"]["open"][0]["peer"].startswith("127.0.0.1:")
    assert status["traffic"]["bytesIn"] > 3000
    assert status["traffic"]["failures"] == 0
    assert (status["storage"]["files"], status["storage"]["bytes"]) == (1, 3000)


async def test_a_status_that_the_module_does_not_give(site):
    site.rig.firmware.refuse[9] = -14
    _, _, body = await site.ask("GET", "/api/status")
    assert "unknown error" in json.loads(body)["module"]["error"]


async def test_the_status_has_the_last_error_and_what_is_served(site):
    _, _, body = await site.ask("GET", "/api/status")
    status = json.loads(body)
    assert status["lastError"] is None
    assert list(status["services"]) == ["HTTP"]
    site.report._clock = lambda: 1000.0
    site.report.heard("lost Workshop")
    _, _, body = await site.ask("GET", "/api/status")
    assert json.loads(body)["lastError"] == {"text": "lost Workshop", "secondsAgo": 0}


async def test_the_status_has_what_became_of_joining(site):
    async def told():
        return json.loads((await site.ask("GET", "/api/status"))[2])["join"]

    assert await told() is None
    site.report.joining("Attic")
    assert await told() == {"ssid": "Attic", "error": None}
    site.report.not_joined("wrong password")
    assert await told() == {"ssid": "Attic", "error": "wrong password"}
    site.report.joining("Attic")
    site.report.joined()
    assert await told() is None


# -- which requests may ask -------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("spinet-printer", 200),
        ("Spinet-Printer.local.", 200),
        ("spinet-printer-2.local:{port}", 200),
        ("proxy.example", 200),
        ("192.0.2.1", 421),
        ("rebound.example:{port}", 421),
        ("spinet-printer.example", 421),
        ("spinet-printer.local.example", 421),
        ("spinet-printer-.local", 421),
        ("127.0.0.1.example", 421),
        ("", 421),
        (" \t", 421),
        ("[::1]", 421),
        ("a@127.0.0.1", 421),
    ],
)
@pytest.mark.parametrize("method", ["GET /", "PUT /files/x", "GET /nowhere"])
async def test_only_the_names_of_the_printer_are_answered(tmp_path, method, host, status):
    naming = Naming(others=("Proxy.Example",))
    async with shown(tmp_path, naming=naming) as site:
        host = host.format(port=site.session._base_url.port)
        head = f"{method} HTTP/1.1\r\nHost: {host}\r\n"
        got = await site.raw((head + LENGTH + "all of it").encode(), ended=True)
        wanted = {200: {"GET /": 200, "PUT /files/x": 201, "GET /nowhere": 404}[method], 421: 421}
        assert got.startswith(f"HTTP/1.1 {wanted[status]} ".encode())
        assert site.store.exists("x") == (b" 201 " in got[:16])


async def test_a_target_with_a_name_says_more_than_host(site):
    for name, status in (("127.0.0.1", b"200"), ("rebound.example", b"421")):
        got = await site.raw(GET.replace(b"/api", f"http://{name}/api".encode(), 1), ended=True)
        assert got.split()[1] == status


async def test_a_client_that_names_no_host_is_no_browser(site):
    assert (await site.raw(b"GET /api/files HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.0 200 ")


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:{port}", None, 201),
        ("127.0.0.1:{port}", "http://127.0.0.1:{port}", 201),
        ("127.0.0.1:{port}", "https://127.0.0.1:{port}", 201),
        ("127.0.0.1:{port}", "http://localhost:{port}", 201),
        ("localhost:9000", "http://localhost:9000", 201),
        ("spinet-printer", "http://Spinet-Printer", 201),
        ("spinet-printer", "http://spinet-printer:80", 201),
        ("spinet-printer", "https://spinet-printer:443", 201),
        ("spinet-printer.:80", "http://spinet-printer", 201),
        ("spinet-printer:443", "https://spinet-printer", 201),
        ("spinet-printer", "https://spinet-printer.local:{port}", 201),
        ("127.0.0.1:{port}", "https://proxy.example", 201),
        ("127.0.0.1:{port}", "https://proxy.example:8444", 201),
        ("proxy.example", "http://127.0.0.1:{port}", 201),
        ("127.0.0.1:{port}", "http://127.0.0.1:1", 403),
        ("127.0.0.1:{port}", "http://127.0.0.1", 403),
        ("spinet-printer", "http://spinet-printer:443", 403),
        ("127.0.0.1:{port}", "http://rebound.example", 403),
        ("127.0.0.1:{port}", "http://rebound.example:{port}", 403),
        ("127.0.0.1:{port}", "https://proxy.example.rebound.example", 403),
        ("127.0.0.1:{port}", "ftp://127.0.0.1:{port}", 403),
        ("127.0.0.1:{port}", "127.0.0.1:{port}", 403),
        ("127.0.0.1:{port}", "null", 403),
        ("127.0.0.1:{port}", "http://", 403),
    ],
)
async def test_only_the_pages_of_the_printer_change_something(tmp_path, host, origin, status):
    async with shown(tmp_path, naming=Naming(others=("Proxy.example",))) as site:
        port = site.session._base_url.port
        headers = {"Host": host.format(port=port)}
        if origin:
            headers["Origin"] = origin.format(port=port)
        assert (await site.ask("PUT", "/files/x", data=b"x", headers=headers))[0] == status
        assert site.store.exists("x") == (status == 201)
        for method, path in (("DELETE", "/files/x"), ("POST", "/api/scan")):
            got, _, _ = await site.ask(method, path, json={}, headers=headers)
            assert (got == 403) == (status == 403)
        assert (await site.ask("GET", "/api/files", headers=headers))[0] == 200


# -- networks ---------------------------------------------------------------------------


async def networks(site):
    _, _, body = await site.ask("GET", "/api/networks")
    return [network["ssid"] for network in json.loads(body)["networks"]]


async def test_networks_are_remembered_and_forgotten(site):
    before = await networks(site)
    network = {"ssid": "Café / 5", "password": "a-good-word"}
    assert (await site.ask("POST", "/api/networks", json=network))[0] == 204
    assert await networks(site) == [*before, "Café / 5"]
    assert (await site.ask("POST", "/api/forget", json={"ssid": "Café / 5"}))[0] == 204
    assert await networks(site) == before
    assert (await site.ask("POST", "/api/forget", json={"ssid": "Café"}))[0] == 404


@pytest.mark.behaviour("D20")
@pytest.mark.parametrize(
    "raw", [b"no \xff UTF-8", b"..", b" \t\r\n ", b"\xf0\x9f\x98\x80", b"\xff" * 32]
)
async def test_networks_of_any_name_and_password(site, raw):
    ssid = raw.decode("utf-8", "surrogateescape")
    network = {"ssid": ssid, "password": "\udcff" * 63}
    assert (await site.ask("POST", "/api/networks", json=network))[0] == 204
    assert (await networks(site))[-1] == ssid
    assert site.rig.firmware.networks[-1][16:111] == raw.ljust(32, b"\0") + b"\xff" * 63
    assert (await site.ask("POST", "/api/join", json={"ssid": ssid}))[0] == 202
    assert site.joins == [ssid]
    site.rig.firmware._forget = lambda _data: site.rig.firmware.tell(raw + b": cannot be forgotten")
    status, _, body = await site.ask("POST", "/api/forget", json={"ssid": ssid})
    assert status == 400
    assert json.loads(body)["error"].isprintable()
    del site.rig.firmware._forget
    assert (await site.ask("POST", "/api/forget", json={"ssid": ssid}))[0] == 204
    assert ssid not in await networks(site)


async def test_a_password_is_in_no_answer_and_no_log(site, caplog):
    caplog.set_level("DEBUG")
    secret = "tell-nobody-of-it"
    answers = []
    for ssid, password in (("Attic", secret), ("Attic" * 20, secret), ("Attic", secret * 9)):
        document = {"ssid": ssid, "password": password}
        answers.append(await site.ask("POST", "/api/networks", json=document))
        answers.append(await site.ask("POST", "/api/networks", data=json.dumps(document)))
    answers += [await site.ask("GET", path) for path in ("/api/networks", "/api/status")]
    assert [status for status, _, _ in answers] == [204, 415, 400, 415, 400, 415, 200, 200]
    told = [str(answer) for answer in answers] + site.notes + [caplog.text]
    assert not [text for text in told if secret in text]
    assert secret.encode() in bytes(site.rig.firmware.networks[-1])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("[", "this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        ('{"ssid": ' + "9" * 5000 + "}", "this is no JSON"),
        ("[]", "a JSON object is wanted"),
        ("{}", "ssid must be a text"),
        ('{"ssid": "A", "password": 7}', "password must be a text"),
        ('{"ssid": "\\ud800"}', "an SSID is no text"),
    ],
)
async def test_what_is_no_network_is_refused_in_words(site, body, reason):
    headers = {"Content-Type": "application/json"}
    status, _, answer = await site.ask("POST", "/api/networks", data=body, headers=headers)
    assert (status, json.loads(answer)["error"]) == (400, reason)
    assert site.rig.commands(10) <= 1  # the one that the rig joined


async def test_what_the_module_refuses_is_told(site):
    site.rig.firmware._remember = lambda _data: site.rig.firmware.tell(b"no room for another")
    status, _, body = await site.ask("POST", "/api/networks", json={"ssid": "Attic"})
    assert status == 400
    assert json.loads(body)["error"] == "the module says: no room for another"


async def test_a_scan(site):
    _, _, body = await site.ask("POST", "/api/scan", json={})
    found = json.loads(body)["networks"]
    assert [network["ssid"] for network in found] == ["Workshop", "Café"]
    assert found[0] == {"ssid": "Workshop", "rssi": -40, "channel": 6, "auth": "wpa2"}


async def test_two_scans_at_once_wait_for_each_other(site):
    answers = await asyncio.gather(*(site.ask("POST", "/api/scan", json={}) for _ in range(2)))
    assert [status for status, _, _ in answers] == [200, 200]


async def test_only_a_remembered_network_is_joined(site):
    status, _, body = await site.ask("POST", "/api/join", json={"ssid": "Attic"})
    assert (status, json.loads(body)["error"]) == (404, "this network is not remembered")
    await site.ask("POST", "/api/networks", json={"ssid": "Attic"})
    assert (await site.ask("POST", "/api/join", json={"ssid": "Attic"}))[0] == 202
    assert site.joins == ["Attic"]


async def test_a_link_that_fails_is_told_as_what_it_is(site):
    site.rig.firmware.refuse[21] = -10
    status, _, body = await site.ask("GET", "/api/networks")
    assert status == 503
    assert "version" in json.loads(body)["error"]


async def test_many_clients_at_once(site):
    data = {f"file {n}": BIG[n * 1000 : n * 1000 + 40_000] for n in range(12)}

    async def both_ways(name):
        await site.ask("PUT", f"/files/{name}", data=data[name])
        return (await site.ask("GET", f"/files/{name}"))[2]

    assert await asyncio.gather(*map(both_ways, data)) == list(data.values())


async def test_a_crowded_module_keeps_no_idle_connection(site):
    assert "Connection" not in (await site.ask("GET", "/api/files"))[1]
    for slot in site.rig.slots[2:]:
        slot.connect(1)
        site.rig.poller.hold(slot.number, Idle())
    assert (await site.ask("GET", "/api/files"))[1]["Connection"] == "close"
    for slot in site.rig.slots[2:]:
        site.rig.poller.release(slot.number)


class Idle:
    """A transport that does nothing."""

    queued = False
    due = float("inf")


def peers_of(rig):
    """The fake network's ends of its connections."""
    return [slot.peer for slot in rig.slots if slot.peer]


async def test_nothing_of_a_file_is_held_in_memory(site):
    """A reader that stops is given no more than the buffers hold."""
    (site.store.path / "huge").write_bytes(bytes(32 << 20))
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", site.session._base_url.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
    await eventually(lambda: peers_of(site.rig), "the connection's acceptance")
    for peer in peers_of(site.rig):
        held = peer.transport.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    writer.write(b"GET /files/huge HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await reader.readline()
    waiting = lambda: max(  # noqa: E731 - said once, used twice
        (slot.get_write_buffer_size() for slot in site.rig.poller.slots if slot), default=0
    )
    await eventually(lambda: waiting() > 64 * 1024, "a full buffer")
    await site.rig.next_transactions(50)
    assert waiting() < 1 << 20
    writer.close()


# -- small parts ------------------------------------------------------------------------


def test_a_rate_is_taken_over_at_least_a_second():
    now = [10.0]
    rate = Rate(lambda: now[0])
    now[0] = 10.5
    assert rate.of(1000) == 0
    now[0] = 12.0
    assert rate.of(3000) == 1500
    now[0] = 12.5
    assert rate.of(99999) == 1500


def test_labels():
    from spinet_controller.codes import WiFiState

    assert label(WiFiState.RUNNING_AS_ACCESS_POINT) == "running as access point"
    assert label(17) == "17"
