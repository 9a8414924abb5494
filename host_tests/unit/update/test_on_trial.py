"""A service with a new image: kept by the first transaction of its protocol, or given up."""

import pytest
from images import NEW, MemorySlots, Restart
from nina_bench import NinaBench, NinaBoard

from spinet.update import record
from spinet.update.judgment import TRIAL_MS


@pytest.fixture
def bench(monkeypatch):
    board = NinaBoard()
    board.the_slots = MemorySlots()
    record.save(board.the_update_store, record.CHOSEN, 0, NEW)
    return NinaBench(monkeypatch, board)


def letter(bench):
    return record.load(bench.board.the_update_store)[0]


def test_a_command_of_nina_s_keeps_it(bench):
    bench.later(TRIAL_MS - 1000)
    bench.send(b"noise")
    assert bench.service.link.bad_frames == 1
    bench.later(200)
    assert bench.board.the_slots.calls == []
    bench.reply()  # the error frame
    bench.ask(0x37)
    bench.later(200)
    bench.later(200)
    assert bench.board.the_slots.calls == ["keep"]
    assert letter(bench) == record.KEPT
    bench.later(2 * TRIAL_MS)


def test_two_minutes_without_one(bench):
    with pytest.raises(Restart):
        bench.later(TRIAL_MS)
    assert letter(bench) == record.SILENT
