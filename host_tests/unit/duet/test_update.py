"""moduleUpdate, step by step, as bytes on the link."""

import struct
from types import SimpleNamespace

import pytest
from fake_board import Bench
from images import NEW, SIM, MemorySlots, Restart, image, pieces
from tls_rig import certificate_of, owner_key

from spinet import VERSION_TEXT as VERSION
from spinet.duet import wire
from spinet.update import owner, record, steps

UPDATE = 64
BEGIN, PIECE, FINISH, RESTART, CANCEL, STATUS, OWNER = range(7)
AGAIN = 0x80
IDLE, ARRIVING, CHOSEN, ON_TRIAL = range(4)
IMAGE = image()


@pytest.fixture(params=["module-clocked", "controller-clocked"])
def bench(request):
    bench = Bench(request.param)
    bench.board.the_slots = MemorySlots()
    return bench


def begin(bench, data=IMAGE, flags=BEGIN, size=None):
    size = len(data) if size is None else size
    return bench.response(UPDATE, flags=flags, param=size, data=data[:288])


def send(bench, data=IMAGE):
    assert begin(bench, data) == 0
    for at, piece in pieces(data):
        assert bench.response(UPDATE, flags=PIECE, param=at, data=piece) == 0


def status(bench):
    """(state, slot, chip, received, size, room, version, text)."""
    response, data = bench.ask(UPDATE, flags=STATUS)
    assert response == len(data)
    *numbers, version = struct.unpack_from("<BBHIII32s", data)
    return *numbers, version.rstrip(b"\0").decode(), data[48:].decode()


def test_an_update(bench):
    assert status(bench) == (IDLE, 0, SIM, 0, 0, 65536, VERSION, "")
    assert begin(bench) == 0
    for at, piece in pieces(IMAGE):
        assert status(bench)[:5] == (ARRIVING, 0, SIM, at, len(IMAGE))
        assert bench.response(UPDATE, flags=FINISH) == wire.WRONG_STATE
        assert bench.response(UPDATE, flags=PIECE, param=at, data=piece) == 0
    assert bench.response(UPDATE, flags=FINISH) == 0
    assert bench.last_error() == ""
    assert bench.board.the_slots.calls == ["choose"]
    assert bench.board.the_slots.other.startswith(IMAGE)
    state, *_, text = status(bench)
    assert (state, text) == (CHOSEN, f"{NEW} starts with the next restart, on trial")
    with pytest.raises(Restart):
        bench.response(UPDATE, flags=RESTART)


def test_a_new_image_on_trial(bench):
    bench.board.the_slots.slot = 1
    record.save(bench.board.the_update_store, record.CHOSEN, 1, NEW)
    state, *_, text = status(bench)
    assert (state, text) == (
        ON_TRIAL,
        f"{NEW} is on trial until it is asked for something",
    )


@pytest.mark.parametrize("step", [PIECE, FINISH, RESTART, CANCEL])
def test_a_step_before_its_time(bench, step):
    assert bench.response(UPDATE, flags=step) == wire.WRONG_STATE


def test_steps_and_lengths_that_there_are_not(bench):
    assert bench.response(UPDATE, flags=7) == wire.BAD_PARAMETER
    assert bench.response(UPDATE, flags=STATUS | AGAIN) == wire.BAD_PARAMETER
    assert bench.response(UPDATE, flags=BEGIN, data=IMAGE[:287]) == wire.BAD_DATA_LENGTH
    assert bench.response(UPDATE, flags=STATUS, available=47) == wire.BUFFER_TOO_SMALL


def test_what_is_refused_is_told(bench):
    assert begin(bench, image(chip=9)) == 0
    assert bench.last_error() == "update: the image is for another chip"
    assert status(bench)[-1] == f"{NEW} was refused: the image is for another chip"
    assert bench.response(UPDATE, flags=PIECE, data=IMAGE[:2048]) == wire.WRONG_STATE
    assert begin(bench, image(VERSION)) == 0
    assert bench.last_error() == "update: this version runs already"
    assert begin(bench, image(VERSION), BEGIN | AGAIN) == 0
    assert bench.last_error() == ""
    assert begin(bench, size=65537) == 0
    assert bench.last_error() == "update: the image has 65537 bytes, the slot 65536"


def test_nothing_is_erased_behind_an_image(bench):
    slots = bench.board.the_slots
    slots.size = 4096
    send(bench, image(size=4096))
    assert bench.response(UPDATE, flags=PIECE, param=4096) == 0
    assert slots.other[4096:] == bytes(len(slots.other) - 4096)


def test_a_damaged_image(bench):
    send(bench, IMAGE[:3000] + b"?" + IMAGE[3001:])
    assert bench.response(UPDATE, flags=FINISH) == 0
    assert bench.last_error() == "update: the image is damaged: its hash is another"
    assert bench.response(UPDATE, flags=RESTART) == wire.WRONG_STATE
    assert bench.board.the_slots.calls == []


def test_cancel(bench):
    send(bench)
    assert bench.response(UPDATE, flags=CANCEL) == 0
    assert status(bench)[0] == IDLE
    assert status(bench)[-1] == f"{NEW} was cancelled"


def test_flash_that_fails(bench, monkeypatch):
    """The piece is not counted, so that it can come again."""
    begin(bench)

    def erase(_at):
        raise OSError(5, "I/O error")

    monkeypatch.setattr(bench.board.the_slots, "erase", erase)
    bench.response(UPDATE, flags=PIECE, data=IMAGE[:2048])
    assert bench.last_error().startswith("storage failed, ")
    assert status(bench)[3] == 0
    monkeypatch.undo()
    send(bench)
    bench.response(UPDATE, flags=FINISH)
    assert status(bench)[0] == CHOSEN


def test_one_slot(bench):
    bench.board.the_slots = None
    assert status(bench) == (IDLE, 0, 0xFFFF, 0, 0, 0, VERSION, "")
    assert begin(bench) == wire.WRONG_STATE


def test_codes_are_the_protocol_s():
    assert steps._WRONG_STATE == wire.WRONG_STATE
    assert steps._BAD_DATA_LENGTH == wire.BAD_DATA_LENGTH
    assert steps._BUFFER_TOO_SMALL == wire.BUFFER_TOO_SMALL
    assert steps._BAD_PARAMETER == wire.BAD_PARAMETER


def test_the_owner_of_updates_over_the_network(bench, tmp_path):
    """The controller turns them on and off, from the next boot on; so does a factory reset."""
    key = owner_key(tmp_path)
    certificate = certificate_of(key).encode()
    assert bench.response(UPDATE, flags=OWNER, data=certificate) == 0
    assert bench.last_error() == ""
    assert owner.of(bench.board) == certificate
    assert bench.response(UPDATE, flags=OWNER, data=key.read_bytes()) == 0
    assert bench.last_error().startswith("update: the owner's key must stay with the owner")
    assert bench.response(UPDATE, flags=OWNER, data=b"?") == 0
    assert bench.last_error().startswith("update: the owner's certificate: ")
    assert owner.of(bench.board) == certificate
    assert bench.response(UPDATE, flags=OWNER) == 0
    assert owner.of(bench.board) == b""
    bench.response(UPDATE, flags=OWNER, data=certificate)
    bench.response(17)
    assert owner.of(bench.board) == b""
    bench.board.the_slots = None
    bench.commands._parts[1]._updates = None
    assert bench.response(UPDATE, flags=OWNER, data=certificate) == wire.WRONG_STATE


def test_an_image_that_comes_over_the_network(bench):
    """The link's controller is told that it has to wait, and disturbs nothing."""
    bench.updates = SimpleNamespace(steps=steps.Steps(bench.board))  # as service.py has it
    both = bench.updates.steps
    begin(bench)
    other = memoryview(image("9.2.0-spinet"))
    both.left(steps.NETWORK)
    assert status(bench)[0] == ARRIVING
    assert bench.response(UPDATE, flags=CANCEL) == 0
    assert both.do(BEGIN, len(other), other[:288], steps.NETWORK) is None
    assert begin(bench) == 0
    assert bench.last_error() == "update: another image is on its way"
    assert bench.response(UPDATE, flags=PIECE, data=IMAGE[:2048]) == wire.WRONG_STATE
    assert status(bench)[:5] == (ARRIVING, 0, SIM, 0, len(other))
    both.left(steps.NETWORK)
    assert begin(bench) == 0
    assert bench.last_error() == ""


def test_nothing_of_it_is_there_before(bench):
    """The command makes what it needs."""
    assert bench.commands._parts[1]._updates is None
    status(bench)
    assert bench.commands._parts[1]._updates is not None
