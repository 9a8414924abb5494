"""A command's way through NINA's link: READY, frames, errors, and what drivers do to them."""

import pytest
from nina_bench import NinaBench, frame


@pytest.fixture
def bench(monkeypatch):
    return NinaBench(monkeypatch)


def test_a_command_is_two_transfers(bench):
    bench.send(frame(0x37))
    assert bench.reply() == bytes.fromhex("e0 b7 01 06 31 2e 38 2e 30 00 ee 00")
    assert bench.target.ready == 0
    assert bench.target.armed[2] == 0  # for the next command
    assert bench.ask(0x37) == [b"1.8.0\0"]


@pytest.mark.parametrize("text", ["e0 47 01 01 01 ee", "e0 b7 00 ee", "37 00 ee", "e0", "e0 37"])
def test_what_is_no_command_is_answered_with_the_error_frame(bench, text):
    bench.send(bytes.fromhex(text))
    assert bench.reply() == bytes.fromhex("ef 00 ee 00")
    assert bench.ask(0x37) == [b"1.8.0\0"]


@pytest.mark.parametrize("octet", [0x00, 0xFF])
def test_a_read_without_a_reply_is_no_command(bench, octet):
    bench.send(bytes([octet]) * 8)
    assert bench.target.armed[2] == 0  # no error frame: for a command
    assert bench.ask(0x37) == [b"1.8.0\0"]


def test_a_command_in_the_place_of_a_reply_is_served(bench):
    bench.send(frame(0x20))
    bench.send(frame(0x37))  # the driver has given up the reply to 20
    assert bench.reply()[1] == 0xB7
    assert bench.service.link.resyncs == 1
    assert bench.ask(0x37) == [b"1.8.0\0"]


@pytest.mark.parametrize("n", [1, 3, 14, 4096])
def test_a_reply_that_is_read_short_or_long_is_over(bench, n):
    bench.send(frame(0x37))
    got = bench.reply(n)
    assert got == (bytes.fromhex("e0 b7 01 06 31 2e 38 2e 30 00 ee") + bytes(4096))[:n]
    assert bench.ask(0x37) == [b"1.8.0\0"]
