"""NINA's preferences, 55 to 5D."""

import contextlib

import pytest
from flash import KINDS, Flash, PowerCut
from nina_bench import NinaBench, frame

from spinet.nina import preferences
from spinet.nina.frames import DATA_AT, SIZE
from spinet.nina.preferences import Preferences
from spinet.wifi import networks
from spinet.wifi.networks import Store

I8, U8, I16, U16, I32, U32, I64, U64, STRING, BLOB, NONE = range(11)
OK, FAILED = [b"\0"], [b"\1"]
NOTHING = [bytes(4)]
SPACE = b"settings"


@pytest.fixture
def bench(monkeypatch):
    return NinaBench(monkeypatch)


@pytest.fixture
def opened(bench):
    assert begin(bench) == OK
    return bench


def begin(bench, name=SPACE, *more):
    return bench.ask(0x55, name, *(more or (0,)))


def put(bench, key, kind, value):
    """How many bytes were stored; the third parameter has a length of two bytes."""
    octets = frame(0x5B, key, kind, padding=b"")[:-1]
    octets = octets.replace(b"\x5b\2", b"\x5b\3", 1)
    bench.send(octets + len(value).to_bytes(2, "big") + value + b"\xee")
    reply = bench.reply()
    assert reply[:4] == bytes((0xE0, 0xDB, 1, 4))
    return int.from_bytes(reply[4:8], "little")


def get(bench, key, kind):
    (value,) = bench.ask(0x5C, key, kind)
    return value


def number(reply):
    """The u32 of a reply."""
    (octets,) = reply
    assert len(octets) == 4
    return int.from_bytes(octets, "little")


def reboot(bench, monkeypatch):
    bench.service.shut()
    return NinaBench(monkeypatch, bench.board)


@pytest.mark.parametrize("kind", range(I8, STRING))
def test_integers_come_back_with_their_highest_byte_first(opened, kind):
    octets = bytes(range(1, 1 + (1, 1, 2, 2, 4, 4, 8, 8)[kind]))
    assert put(opened, b"key", kind, octets) == len(octets)
    assert get(opened, b"key", kind) == octets[::-1]
    assert opened.ask(0x5D, b"key") == [bytes((kind,))]
    assert number(opened.ask(0x59, b"key")) == len(octets)


def test_strings_and_octets(opened):
    assert put(opened, b"name", STRING, b"Workshop\0") == 8
    assert get(opened, b"name", STRING) == b"Workshop"
    assert number(opened.ask(0x59, b"name")) == 8
    octets = bytes(range(256)) * 8
    assert put(opened, b"octets", BLOB, octets) == 2048
    assert get(opened, b"octets", BLOB) == octets
    assert put(opened, b"empty", BLOB, b"") == 0
    assert opened.ask(0x5D, b"empty") == [bytes((BLOB,))]


def test_what_is_not_there(opened):
    put(opened, b"key", U8, b"\7")
    for key, kind in ((b"other", U8), (b"key", I8), (b"key", BLOB), (b"ke", U8)):
        assert get(opened, key, kind) == b""
    assert opened.ask(0x5D, b"other") == [bytes((NONE,))]
    assert opened.ask(0x59, b"other") == NOTHING
    assert opened.ask(0x58, b"other") == FAILED


def test_a_key_is_put_again_and_removed(opened):
    put(opened, b"a", U8, b"\1")
    put(opened, b"b", U8, b"\2")
    put(opened, b"a", STRING, b"longer\0")
    assert (get(opened, b"a", STRING), get(opened, b"b", U8)) == (b"longer", b"\2")
    assert opened.ask(0x58, b"a") == OK
    assert (opened.ask(0x5D, b"a"), get(opened, b"b", U8)) == ([bytes((NONE,))], b"\2")


def test_spaces_are_apart(opened):
    put(opened, b"key", U8, b"\1")
    assert begin(opened, b"other") == OK
    assert opened.ask(0x5D, b"key") == [bytes((NONE,))]
    put(opened, b"key", U8, b"\2")
    assert opened.ask(0x57) == OK
    assert opened.ask(0x5D, b"key") == [bytes((NONE,))]
    begin(opened)
    assert get(opened, b"key", U8) == b"\1"


def test_a_name_and_a_key_do_not_run_together(opened):
    begin(opened, b"ab")
    put(opened, b"c", U8, b"\1")
    begin(opened, b"a")
    for key in (b"bc", b"c"):
        assert opened.ask(0x5D, key) == [bytes((NONE,))]


def test_they_outlive_a_reset(opened, monkeypatch):
    put(opened, b"key", U8, b"\7")
    bench = reboot(opened, monkeypatch)
    assert bench.ask(0x5D, b"key") == [bytes((NONE,))]  # no program has begun
    begin(bench)
    assert get(bench, b"key", U8) == b"\7"


def test_reading_alone(bench):
    assert begin(bench, SPACE, 1) == FAILED
    begin(bench)
    put(bench, b"key", U8, b"\7")
    assert bench.ask(0x56) == [b"\1"]
    assert begin(bench, SPACE, 1) == OK
    assert put(bench, b"key", U8, b"\1") == 0
    assert bench.ask(0x57) == FAILED
    assert bench.ask(0x58, b"key") == FAILED
    assert get(bench, b"key", U8) == b"\7"


def test_no_program_has_begun(bench):
    for _ in range(2):
        assert put(bench, b"key", U8, b"\1") == 0
        assert bench.ask(0x57) == FAILED
        assert get(bench, b"key", U8) == b""
        assert number(bench.ask(0x5A)) == 0
        begin(bench)
        bench.ask(0x56)
    assert bench.board.the_preferences.saves == 0


def test_names_and_partitions(bench):
    for name in (b"", b"n" * 16):
        assert begin(bench, name) == FAILED
    assert begin(bench, SPACE, 0, b"nvs") == OK
    assert begin(bench, SPACE, 0, b"other") == FAILED
    assert put(bench, b"key", U8, b"\1") == 0
    assert bench.ask(0x55, SPACE) == OK
    for key in (b"", b"k" * 16):
        assert put(bench, key, U8, b"\1") == 0
    assert put(bench, b"k" * 15, U8, b"\1") == 1


def test_a_type_that_there_is_not(opened):
    opened.send(bytes.fromhex("e0 5b 03 01 6b 01 0a 00 01 07 ee"))
    assert opened.reply()[:5] == bytes.fromhex("e0 db 01 01 fe")
    assert put(opened, b"key", U16, b"\7") == 0


def test_it_is_full(opened):
    free = number(opened.ask(0x5A))
    assert free == preferences.MOST // 32
    entry = 5 + len(SPACE) + 1
    assert put(opened, b"k", BLOB, bytes(preferences.MOST - entry + 1)) == 0
    assert number(opened.ask(0x5A)) == free
    assert put(opened, b"k", BLOB, bytes(preferences.MOST - entry)) == preferences.MOST - entry
    assert number(opened.ask(0x5A)) == 0
    assert put(opened, b"l", U8, b"\1") == 0
    assert len(get(opened, b"k", BLOB)) == preferences.MOST - entry
    opened.ask(0x58, b"k")
    assert put(opened, b"l", U8, b"\1") == 1


def test_the_disk_refuses(opened):
    put(opened, b"key", U8, b"\1")
    opened.board.the_preferences.fails = True
    assert put(opened, b"key", U8, b"\2") == 0
    assert opened.ask(0x58, b"key") == FAILED
    assert opened.ask(0x57) == FAILED
    assert get(opened, b"key", U8) == b"\1"


def test_a_value_that_is_cut_is_not_stored(opened):
    """The frame announces more than came."""
    opened.send(bytes.fromhex("e0 5b 03 01 6b 01 09 01 00 07 ee"))
    assert opened.reply()[0] == 0xEF
    assert opened.ask(0x5D, b"k") == [bytes((NONE,))]


class Request:
    """A command without a link."""

    def __init__(self, *params):
        self.params = len(params)
        self.octets = params.__getitem__
        self.u = params.__getitem__
        self.tx = bytearray(SIZE)
        self.value = None

    def answer_u8(self, value):
        self.value = value

    def answer_data(self, n):
        self.value = bytes(self.tx[DATA_AT : DATA_AT + n])

    def begin_reply(self, count):
        assert count == 1

    def put(self, value, size):
        assert size == 4
        self.value = value


@pytest.mark.parametrize("kind", KINDS)
def test_the_power_goes_at_any_step_of_a_change(monkeypatch, kind):
    """What was there before is there, or what is new; never neither."""
    flash = Flash(kind)
    monkeypatch.setattr(networks, "open", flash.open, raising=False)
    monkeypatch.setattr(networks, "os", flash)

    def asked(part, method, *params):
        request = Request(*params)
        getattr(part, method)(request)
        return request.value

    def booted(cut_at=None):
        flash.power_on()
        part = Preferences(Store("/preferences"))
        assert asked(part, "begin", SPACE, 0) == 0
        flash.power_on(cut_at=cut_at)
        return part

    assert asked(booted(), "put", b"key", U32, b"old!") == 4
    before = dict(flash.files)
    seen = []
    while b"new!" not in seen:
        flash.files = dict(before)
        changing = booted(cut_at=len(seen))
        with contextlib.suppress(PowerCut):
            asked(changing, "put", b"key", U32, b"new!")
        seen.append(asked(booted(), "get", b"key", U32)[::-1])
    assert set(seen) == {b"old!", b"new!"}
