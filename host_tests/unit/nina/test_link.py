"""A command's way through NINA's link: READY, frames, errors, and what drivers do to them."""

import pytest
from nina_bench import NinaBench, frame

from spinet import report, service


@pytest.fixture
def bench(monkeypatch):
    return NinaBench(monkeypatch)


def test_a_command_is_two_transfers(bench):
    bench.send(frame(0x37))
    assert bench.reply() == bytes.fromhex("e0 b7 01 06 31 2e 38 2e 30 00 ee 00")
    assert bench.target.ready == 0
    assert bench.target.armed[2] == 0  # for the next command
    assert bench.ask(0x37) == [b"1.8.0\0"]


@pytest.mark.behaviour("A13")
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


@pytest.mark.behaviour("A13")
def test_a_command_in_the_place_of_a_reply_is_served(bench):
    bench.send(frame(0x20))
    bench.send(frame(0x37))  # the driver has given up the reply to 20
    assert bench.reply()[1] == 0xB7
    assert bench.service.link.resyncs == 1
    assert bench.ask(0x37) == [b"1.8.0\0"]


@pytest.mark.parametrize("n", [1, 3, 14, 4096])
@pytest.mark.behaviour("A13")
def test_a_reply_that_is_read_short_or_long_is_over(bench, n):
    bench.send(frame(0x37))
    got = bench.reply(n)
    assert got == (bytes.fromhex("e0 b7 01 06 31 2e 38 2e 30 00 ee") + bytes(4096))[:n]
    assert bench.ask(0x37) == [b"1.8.0\0"]


def test_reports_say_the_protocol_and_the_numbers(bench, capsys, monkeypatch):
    monkeypatch.setattr(service, "current", bench.service)
    bench.stack.servers[8080] = []
    number = bench.ask(0x3F)[0][0]
    bench.ask(0x2D, b"\x7f\0\0\1", b"\x1f\x90", number, 0)
    server = bench.ask(0x3F)[0][0]
    bench.ask(0x28, b"\0\x50", server, 0)
    bench.stack.dial(80)
    bench.passes()
    report.all()
    text = capsys.readouterr().out
    assert "protocol nina\ncommands 4, unknown 0, bad frames 0" in text
    lines = [line for line in text.splitlines() if line[:1].isdigit() and "room" in line]
    assert lines[0].endswith(f"  socket {number}")
    assert lines[1].endswith(f" of server {server}")
    bench.send(frame(0x20))
    bench.send(frame(0x37))
    bench.reply()
    bench.send(b"nonsense")
    bench.reply()
    report.trace()
    text = capsys.readouterr().out
    assert "command 3f, 0 parameters" in text
    assert "the reply to command 20 is dropped for command 37" in text
    assert "refused frame, 6e6f..., 8 bytes" in text
