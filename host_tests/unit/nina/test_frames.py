"""NINA's frames, byte for byte, and other bytes in their place."""

from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nina_bench import NinaBench, frame

from spinet.nina import frames

LINES = (Path(__file__).parent / "vectors.txt").read_text().splitlines()
COMMANDS = [line[2:] for line in LINES if line.startswith(">")]
REPLIES = [line[2:] for line in LINES if line.startswith("<")]
WIDE = {0x44, 0x45, 0x46, 0x68, 0x77, 0x79, 0x4F}
WIDE_REPLY = {0x45, 0x4E, 0x5C, 0x78, 0x7A}


def parsed(data, n=None):
    """The parameters of a frame, as parse() finds them; None for BAD."""
    rx = bytearray(data.ljust(frames.SIZE, b"\xa5"))
    places = array("H", [0] * (2 * frames.PARAMS))
    count = frames.parse(rx, len(data) if n is None else n, places)
    if count == frames.BAD:
        return None
    pairs = zip(places[: 2 * count : 2], places[1 : 2 * count : 2], strict=True)
    return [bytes(rx[at : at + size]) for at, size in pairs]


def split(data, wide):
    """The parameters of a frame by a second, plainer reading."""
    at, found = 3, []
    for _ in range(data[2]):
        size = int.from_bytes(data[at : at + 1 + wide], "big")
        at += 1 + wide
        found.append(data[at : at + size])
        at += size
    return found


@pytest.mark.parametrize("text", COMMANDS)
def test_every_recorded_command_is_understood(text):
    data = bytes.fromhex(text)
    assert parsed(data) == split(data, data[1] in WIDE)


@pytest.mark.parametrize("command", [0x40, 0x41])
@pytest.mark.parametrize("size", [0, 3, 200, 256, 1299, 1699])
def test_a_certificate_is_longer_than_its_length_says(command, size):
    """The driver's length is one byte; what it leaves behind END is anything."""
    pem = bytes(32 + i % 95 for i in range(size))
    head = bytes((0xE0, command, 1, size & 0xFF))
    for padding in (b"", b"\xee", b"\0\xee\0"):
        assert parsed(head + pem + b"\xee" + padding) == [pem]
    assert parsed(head + pem) == [pem]  # END is lost
    assert parsed(head[:3]) is None


def test_an_enterprise_network_has_long_parameters():
    wanted = [b"\0", b"Campus", b"user", b"word", b"", bytes(300)]
    assert parsed(frame(0x40, *wanted, wide=True)) == wanted


@pytest.mark.parametrize("text", sorted(set(REPLIES)))
def test_every_recorded_reply_can_be_built_byte_for_byte(text):
    wanted = bytes.fromhex(text)  # without padding; drivers stop reading where they know enough
    tx = bytearray(b"\xa5" * frames.SIZE)
    n = build(tx, wanted)
    if wanted[0] == 0xEF:
        assert tx[:n] == b"\xef\0\xee\0"
        return
    assert n % 4 == 0
    assert tx[: len(wanted)] == wanted
    assert bytes(tx[len(wanted) : n]).lstrip(b"\xee").strip(b"\0") == b""


def build(tx, wanted):
    """The same reply by the functions of the firmware; its length."""
    if wanted[0] == 0xEF:
        return frames.error(tx)
    command = wanted[1] & 0x7F
    params = split(wanted, command in WIDE_REPLY)
    if command in WIDE_REPLY:
        at = frames.DATA_AT
        tx[at : at + len(params[0])] = params[0]
        return frames.data(tx, command, len(params[0]))
    at = frames.begin(tx, command, len(params))
    for param in params:
        at = frames.put_octets(tx, at, param, len(param))
    return frames.end(tx, at)


@pytest.mark.parametrize(
    ("number", "size", "octets"),
    [(0x1F90, 2, "90 1f"), (0x1F90, -2, "1f 90"), (0x0100007F, 4, "7f 00 00 01"), (255, 1, "ff")],
)
def test_numbers(number, size, octets):
    tx = bytearray(16)
    assert frames.put(tx, 3, number, size) == 4 + abs(size)
    assert tx[3 : 4 + abs(size)] == bytes([abs(size)]) + bytes.fromhex(octets)
    where = abs(size) << 16 | 4
    assert frames.value(tx, where, 1 if size < 0 else 0) == number


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_end_and_padding_may_be_missing(missing):
    data = frame(0x16, b"spin")
    assert parsed(data, len(data) - missing) == [b"spin"]


@pytest.mark.parametrize("n", range(11))
def test_a_command_that_was_cut_is_none(n):
    assert parsed(frame(0x11, b"home", b"secret12"), n) is None


def test_data_that_was_cut_is_what_came():
    data = frame(0x44, b"\1", bytes(range(200)), wide=True)
    assert parsed(data, 20) == [b"\1", bytes(range(12))]
    assert parsed(data, 7) is None  # its length is not whole


def test_enterprise_has_wide_lengths_with_six_parameters_only():
    six = [bytes([i]) * 300 for i in range(6)]
    assert parsed(frame(0x40, *six, wide=True)) == six
    assert parsed(frame(0x40, b"pem")) == [b"pem"]


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        yield NinaBench(patch)


def any_frame():
    params = st.lists(st.binary(max_size=70), max_size=12)
    commands = st.integers(0, 255)
    return st.builds(lambda c, p, w: frame(c, *p, wide=w), commands, params, st.booleans())


def spoilt(data):
    """Frames that are cut, or have one byte changed."""
    cut = st.integers(0, len(data)).map(lambda n: data[:n])
    changed = st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)).map(
        lambda at: data[: at[0]] + bytes([at[1]]) + data[at[0] + 1 :]
    )
    return st.one_of(st.just(data), cut, changed)


@pytest.mark.behaviour("A14")
@given(
    st.lists(
        st.one_of(any_frame().flatmap(spoilt), st.binary(max_size=8192)), min_size=1, max_size=8
    ),
    st.integers(0, 40),
)
def test_any_bytes_leave_the_module_serving(bench, blocks, n):
    for data in blocks:
        bench.target.select(data)
        bench.passes(1)
        for _ in range(3):  # what waits for its answer gets the time
            if bench.target.ready:
                bench.later(9000)
        bench.target.select(bytes(n))
        bench.passes(1)
    bench.target.select(bytes(4))
    bench.passes(1)
    assert bench.ask(0x37) == [b"1.8.0\0"]
