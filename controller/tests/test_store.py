"""The printer's files: names, atomic uploads, ranges, pieces."""

import asyncio
import contextlib
import errno
import io
import os
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinet_controller.printer import transfer
from spinet_controller.printer.store import (
    BadName,
    BadOffset,
    BadTime,
    FileStore,
    checked_name,
    told_time,
)
from spinet_controller.printer.transfer import BadRange, Span, receive, requested_span, send


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path / "files")


def get(store, name):
    with store.open(name) as file:
        return file.read()


def put(store, name, data):
    with store.upload(name) as file:
        file.write(data)


def break_an_upload(store):
    """Begin to upload x, and fail half-way."""

    def half():
        with store.upload("x") as file:
            file.write(b"half")
            raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        half()


def test_a_file_is_stored_listed_and_deleted(store):
    put(store, "b.gcode", b"G28")
    put(store, "A.gcode", b"")
    assert [(file.name, file.size) for file in store.list()] == [("A.gcode", 0), ("b.gcode", 3)]
    assert get(store, "b.gcode") == b"G28"
    assert store.exists("b.gcode")
    store.delete("b.gcode")
    assert not store.exists("b.gcode")
    with pytest.raises(FileNotFoundError):
        store.delete("b.gcode")


def test_an_upload_that_breaks_leaves_no_file(store):
    break_an_upload(store)
    assert list(store.path.iterdir()) == []


def test_a_broken_upload_leaves_the_old_file(store):
    put(store, "x", b"old")
    break_an_upload(store)
    assert get(store, "x") == b"old"


def test_an_unfinished_upload_is_not_listed(store):
    with store.upload("x") as file:
        file.write(b"half")
        assert store.list() == []
        assert not store.exists("x")


def test_uploads_left_over_by_a_crash_are_removed(store):
    (store.path / ".upload-left").write_bytes(b"x")
    FileStore(store.path)
    assert list(store.path.iterdir()) == []


def test_folders_and_hidden_files_are_not_ours(store):
    (store.path / "folder").mkdir()
    (store.path / ".hidden").write_bytes(b"x")
    assert store.list() == []
    assert not store.exists("folder")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "a/b", "../x", "a\\b", "a\nb", "a\0b", "\x7f", "x" * 201, "\ud800"],
)
def test_names_that_no_file_may_have(store, name):
    with pytest.raises(BadName):
        store.exists(name)


@pytest.mark.parametrize("name", ["x", "a b.gcode", "Größe 1.stl", "x" * 200, "a..b", "-rf"])
def test_names_that_files_may_have(store, name):
    put(store, name, b"data")
    assert store.list()[0].name == name


@given(st.text(max_size=30))
def test_no_name_leads_out_of_the_folder(name):
    try:
        kept = checked_name(name)
    except BadName:
        return
    assert "/" not in kept
    assert not kept.startswith(".")


def test_free_space(store):
    assert store.free() > 0


# -- ranges -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=5-", 5, 100),
        ("bytes=5-1000", 5, 100),
        ("bytes=-10", 90, 100),
        ("bytes=-1000", 0, 100),
        (" bytes=99-99 ", 99, 100),
    ],
)
def test_ranges(header, start, stop):
    assert requested_span(header, 100) == Span(start, stop, 100)


@pytest.mark.parametrize("header", [None, "", "bytes=-", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b"])
def test_headers_that_ask_for_everything(header):
    assert requested_span(header, 100) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=-0", "bytes=9-5", "bytes=500-600"])
def test_ranges_that_the_file_has_not(header):
    with pytest.raises(BadRange):
        requested_span(header, 100)


def test_a_content_range():
    assert Span(5, 10, 100).content_range == "bytes 5-9/100"


# -- pieces -----------------------------------------------------------------------------


def interrupted(upload, data):
    """Write, and fail."""
    with contextlib.suppress(ConnectionError), upload as file:
        file.write(data)
        raise ConnectionError


def listed(store):
    return [file.name for file in store.list()]


def test_a_part_is_kept_out_of_sight_for_who_wants_to_resume(store):
    interrupted(store.upload("x", keep_part=True), b"half")
    assert (listed(store), store.size("x")) == ([], 4)
    interrupted(store.resume("x"), b" and")
    assert (listed(store), store.size("x")) == ([], 8)
    with store.resume("x") as file:
        file.write(b" half")
    assert (store.path / "x").read_bytes() == b"half and half"
    interrupted(store.upload("x", keep_part=True), b"")
    assert (store.path / "x").read_bytes() == b"half and half"
    assert [path.name for path in store.path.iterdir()] == ["x"]


def test_a_part_stands_beside_the_file_that_it_was_to_replace(store):
    put(store, "x", b"the old file")
    interrupted(store.upload("x", keep_part=True), b"new")
    assert (store.path / "x").read_bytes() == b"the old file"
    assert store.size("x") == len(b"the old file")
    with store.resume("x", 3) as file:
        file.write(b"er")
    assert (store.path / "x").read_bytes() == b"newer"
    assert store.size("x") == len(b"newer")


def test_an_interrupted_append_leaves_the_file_as_it_was(store):
    put(store, "x", b"1234")
    interrupted(store.resume("x"), b"5")
    assert (store.path / "x").read_bytes() == b"1234"
    assert not store.has_part("x")
    with store.resume("x") as file:
        file.write(b"6")
    assert (store.path / "x").read_bytes() == b"12346"


def test_a_part_is_deleted_by_its_name(store):
    interrupted(store.upload("x", keep_part=True), b"half")
    assert store.has_part("x")
    store.delete("x")
    assert list(store.path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        store.delete("x")
    with pytest.raises(FileNotFoundError), store.resume("x"):
        pass


FULL_YEAR = 15_032_385_535
"""The last second that an ext4 with inodes of 256 bytes can hold."""


@pytest.fixture
def small_years(monkeypatch):
    """A file system that takes other times, in silence, for those that it cannot hold."""
    utime = os.utime

    def clamped(path, times=None, **exactly):
        utime(path, times and tuple(min(time, FULL_YEAR) for time in times), **exactly)

    monkeypatch.setattr(os, "utime", clamped)


def test_a_time_that_the_disk_cannot_hold_changes_nothing(store, small_years):
    put(store, "x", b"1")
    os.utime(store.path / "x", ns=(5_000_000_001, 7_000_000_001))
    with pytest.raises(BadTime):
        store.touch("x", FULL_YEAR + 86_400)
    status = (store.path / "x").stat()
    assert (status.st_atime_ns, status.st_mtime_ns) == (5_000_000_001, 7_000_000_001)
    assert store.touch("x", FULL_YEAR) == store.stat("x").st_mtime == FULL_YEAR


@pytest.mark.parametrize("seconds", [-(10**15), -1.5, 0, 1e9, 10**15])
def test_a_time_that_is_told_has_a_year_of_four_digits(seconds):
    told = told_time(seconds)
    assert 1000 <= time.gmtime(told).tm_year <= 9999
    assert told == seconds or abs(seconds) == 10**15


@pytest.mark.parametrize("end", ["upload", "rename", "delete", "restart"])
def test_nothing_is_left_of_a_part_once_it_is_of_no_use(store, end):
    put(store, "x", b"old")
    put(store, "y", b"another")
    interrupted(store.upload("x", keep_part=True), b"half")
    if end == "upload":
        put(store, "x", b"new")
    elif end == "rename":
        store.rename("y", "x")
    elif end == "delete":
        store.delete("x")
    else:
        FileStore(store.path)
    assert {path.name for path in store.path.iterdir()} == {"x", "y"} - {
        {"rename": "y", "delete": "x"}.get(end)
    }


def test_a_full_disk_keeps_no_part(store):
    def full():
        with store.upload("x", keep_part=True) as file:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        full()
    assert list(store.path.iterdir()) == []


def test_resuming_from_an_offset_cuts_what_is_behind(store):
    put(store, "x", b"0123456789")
    with store.resume("x", 4) as file:
        file.write(b"ab")
    assert (store.path / "x").read_bytes() == b"0123ab"
    with pytest.raises(BadOffset), store.resume("x", 7):
        pass
    with pytest.raises(FileNotFoundError), store.resume("y", 1):
        pass
    assert (store.path / "x").read_bytes() == b"0123ab"


def test_a_file_is_renamed(store):
    put(store, "x", b"1")
    put(store, "y", b"2")
    store.rename("x", "y")
    assert [(file.name, file.size) for file in store.list()] == [("y", 1)]
    with pytest.raises(BadName):
        store.rename("y", "../z")


def plenty():
    """Room on the disk."""
    return 1 << 30


async def pieces(*chunks):
    """What arrives, as a StreamReader's iterators give it."""
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


class Sink:
    """A file that notes the size of each write, and takes no more than `most` at once."""

    def __init__(self, most=1 << 30):
        self.most = most
        self.sizes = []
        self.data = bytearray()

    def write(self, data):
        taken = bytes(data[: self.most])
        self.sizes.append(len(taken))
        self.data += taken
        return len(taken)


async def test_a_body_is_written_in_pieces(monkeypatch):
    monkeypatch.setattr(transfer, "PIECE", 10)
    sink = Sink()
    assert await receive(pieces(b"abcd", b"efgh", b"ijkl", b"mn"), sink, plenty) == 14
    assert bytes(sink.data) == b"abcdefghijklmn"
    assert sink.sizes == [12, 2]


async def test_a_disk_that_takes_little_at_once():
    sink = Sink(most=3)
    await receive(pieces(b"abcdefgh"), sink, plenty)
    assert bytes(sink.data) == b"abcdefgh"


async def test_what_came_before_the_end_is_written_too():
    async def broken():
        yield b"abc"
        yield b"de"
        raise ConnectionResetError

    sink = Sink()
    with pytest.raises(ConnectionResetError):
        await receive(broken(), sink, plenty)
    assert bytes(sink.data) == b"abcde"


async def test_who_is_cancelled_waits_for_the_disk(monkeypatch):
    started, may_end = threading.Event(), threading.Event()

    class Slow(Sink):
        def write(self, data):
            started.set()
            assert may_end.wait(10)
            return super().write(data)

    monkeypatch.setattr(transfer, "PIECE", 1)
    sink = Slow()
    receiving = asyncio.create_task(receive(pieces(b"abc"), sink, plenty))
    await asyncio.to_thread(started.wait, 10)
    receiving.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not receiving.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    assert bytes(sink.data) == b"abc"


class Response:
    def __init__(self):
        self.pieces = []

    async def write(self, data):
        self.pieces.append(bytes(data))


async def test_a_file_is_sent_in_pieces(monkeypatch):
    monkeypatch.setattr(transfer, "PIECE", 4)
    response = Response()
    await send(io.BytesIO(b"0123456789"), Span(1, 10, 10), response.write)
    assert response.pieces == [b"1234", b"5678", b"9"]


async def test_a_file_that_shrinks_while_it_is_sent():
    with pytest.raises(EOFError):
        await send(io.BytesIO(b"0123"), Span(0, 10, 10), Response().write)
