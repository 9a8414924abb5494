"""NINA's time: 3B and 5F, over SNTP."""

import itertools

import pytest
from nina_bench import NinaBench

from spinet.udp.names import Names

HOST = 0x0A00A8C0
UNIX = 1_796_000_000
SINCE_1900 = UNIX + 2208988800


@pytest.fixture
def bench(monkeypatch):
    """A joined module, whose names are found at once."""
    asked = []

    def ask(self, name, asker, key, tcp_port, now):
        asked.append(name)
        if bench.reachable:
            asker.found(None, HOST)

    monkeypatch.setattr(Names, "ask", ask)
    bench = NinaBench(monkeypatch)
    bench.asked = asked
    bench.reachable = True
    bench.server = bench.stack.udp.peer(HOST, 123)
    bench.board.the_radio.sees = []
    bench.board.the_radio.outcome_is = ""
    bench.ask(0x10, b"net")
    bench.later(100)
    return bench


def time(bench):
    reply = bench.ask(0x3B)
    assert [len(param) for param in reply] == [4]
    return int.from_bytes(reply[0], "little")


def question(bench):
    """(what the server got, the port that it came from), None: nothing."""
    return bench.server.receive()


def answer(asked, seconds=SINCE_1900, first=0x24, stratum=2, **spoilt):
    """The server's answer to a question."""
    octets = bytearray(48)
    octets[0], octets[1] = first, stratum
    octets[24:32] = spoilt.get("cookie", asked[40:])
    octets[40:44] = (seconds & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(octets[: spoilt.get("size", 48)])


@pytest.mark.behaviour("A15")
def test_the_time_is_0_until_the_server_has_answered(bench):
    assert bench.asked == []
    assert time(bench) == 0
    bench.passes()
    assert bench.asked == [b"pool.ntp.org"]
    asked, port = question(bench)
    assert len(asked) == 48
    assert asked[0] == 0x23
    assert time(bench) == 0
    bench.server.send(answer(asked), port)
    bench.passes()
    assert time(bench) == UNIX
    bench.later(90_500)
    assert time(bench) == UNIX + 90
    bench.later(500)
    assert time(bench) == UNIX + 91


def test_a_module_with_nothing_to_do_sleeps(bench):
    """Before the time is wanted, and between two questions."""
    tasks = bench.service.loop.tasks
    assert all(task.poll(bench.now) != 0 for task in tasks)
    time(bench)
    bench.passes()
    assert all(task.poll(bench.now) != 0 for task in tasks)


def test_the_time_goes_on_while_ticks_wrap(bench):
    time(bench)
    bench.passes()
    asked, port = question(bench)
    bench.server.send(answer(asked), port)
    bench.passes()
    bench.reachable = False
    for _ in range(14 * 24 * 60):  # two weeks, a minute at a time; ticks wrap after twelve days
        bench.now = bench.now + 60_000 & 0x3FFFFFFF
        bench.passes(1)
    assert time(bench) == UNIX + 14 * 86400


@pytest.mark.parametrize(
    "spoilt",
    [
        {"first": 0x23},  # no server
        {"first": 0xE4},  # it does not know the time
        {"stratum": 16},
        {"seconds": 0},
        {"cookie": bytes(8)},  # to another question
        {"size": 47},
    ],
)
def test_an_answer_that_is_none_is_not_taken(bench, spoilt):
    time(bench)
    bench.passes()
    asked, port = question(bench)
    bench.server.send(answer(asked, **spoilt), port)
    bench.passes()
    assert time(bench) == 0
    bench.server.send(answer(asked), port)
    bench.passes()
    assert time(bench) == UNIX


@pytest.mark.parametrize("peer", [(HOST, 124), (HOST + 1, 123)])
def test_nobody_else_is_believed(bench, peer):
    time(bench)
    bench.passes()
    asked, port = question(bench)
    bench.stack.udp.peer(*peer).send(answer(asked), port)
    bench.passes()
    assert time(bench) == 0
    bench.server.send(answer(asked), port)
    bench.passes()
    assert time(bench) == UNIX


def test_a_server_that_wants_fewer_questions_gets_them(bench):
    time(bench)
    bench.passes()
    asked, port = question(bench)
    bench.server.send(answer(asked, stratum=0), port)
    bench.passes()
    bench.server.send(answer(asked), port)
    bench.passes()
    assert time(bench) == 0
    for _ in range(2):
        bench.later(62_000)
        assert question(bench) is None
        bench.later(2_000)
        asked, port = question(bench)
    bench.server.send(answer(asked), port)
    bench.passes()
    assert time(bench) == UNIX


def test_questions_are_repeated_after_longer_and_longer_pauses(bench):
    time(bench)
    times = []
    for _ in range(300):
        if question(bench):
            times.append(bench.now)
        bench.later(1000)
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert pauses == [2000, 4000, 8000, 16000, 32000, 64000, 64000, 64000][: len(pauses)]
    assert len(pauses) >= 6


def test_the_time_is_asked_for_again_after_an_hour(bench):
    time(bench)
    bench.passes()
    asked, port = question(bench)
    bench.server.send(answer(asked), port)
    bench.passes()
    for _ in range(59):
        bench.later(60_000)
    assert question(bench) is None
    bench.later(60_000)
    again, port = question(bench)
    assert again[40:] != asked[40:]
    bench.server.send(answer(again, SINCE_1900 + 4000), port)
    bench.passes()
    assert time(bench) == UNIX + 4000
    assert question(bench) is None


def test_without_a_network_nothing_is_asked(bench):
    bench.ask(0x30)
    time(bench)
    bench.later(100_000)
    assert bench.asked == []
    bench.ask(0x10, b"net")
    bench.later(100)
    bench.later(60_000)
    assert bench.asked


def test_after_2036_the_seconds_begin_anew(bench):
    time(bench)
    bench.passes()
    asked, port = question(bench)
    bench.server.send(answer(asked, 2**32 + 5), port)
    bench.passes()
    assert time(bench) == 2**32 + 5 - 2208988800


def test_a_driver_may_set_the_time(bench):
    assert bench.ask(0x5F, UNIX.to_bytes(4, "little")) == [b"\0"]
    bench.later(2000)
    assert time(bench) == UNIX + 2
