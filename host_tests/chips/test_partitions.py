"""A chip's two slots over MicroPython's esp32.Partition: what is erased, written, started, kept."""

import re

import machine
import pytest
from chip_paths import BOARDS, CHIP
from esp32 import Partition
from images import image, pieces

from spinet import VERSION_TEXT as VERSION
from spinet.update.transfer import Transfer
from spinet.wifi.networks import Store

C3 = 5
IMAGE = image(chip=C3)
SLOT = 0x10000


@pytest.fixture
def board(load_board):
    Partition.running = "ota_0"
    Partition.flash(ota_0=(0x10, IMAGE.ljust(SLOT)), ota_1=(0x11, bytes(SLOT)))
    return load_board("SPINET_ESP32C3")


def test_an_update(board):
    slots = board.partitions()
    assert (slots.chip, slots.slot, slots.size, slots.version) == (C3, 0, SLOT, VERSION)
    transfer = Transfer(slots, board.store("update"))
    assert transfer.begin(len(IMAGE), IMAGE[:288], False) is None
    for at, piece in pieces(IMAGE):
        transfer.take(at, memoryview(piece))
    assert transfer.finish() is None
    assert bytes(Partition.table["ota_1"][1]).startswith(IMAGE + b"\xff")
    assert Partition.booted_next == "ota_1"
    assert not Partition.kept
    with pytest.raises(machine.Reset):
        slots.restart()
    Partition.running = "ota_1"
    board.partitions().keep()
    assert Partition.kept
    assert board.partitions().slot == 1


def test_image_that_esp_idf_refuses(board):
    with pytest.raises(OSError, match="VALIDATE"):
        board.partitions().choose()


@pytest.mark.parametrize(
    "table",
    [{"factory": (0, bytes(SLOT))}, {"ota_0": (0x10, bytes(SLOT))}],
    ids=["a table of before", "one slot"],
)
def test_a_table_with_one_slot(board, table):
    Partition.running = next(iter(table))
    Partition.flash(**table)
    assert board.partitions() is None


def test_the_record_is_a_file(board):
    assert isinstance(board.store("update"), Store)


def test_the_table_has_two_slots_of_sim_s_size():
    """Slots begin at 64 KB, which the MMU wants; nothing overlaps, and 4 MiB hold it."""
    rows = [line.split(",") for line in (CHIP / "partitions.csv").read_text().splitlines()]
    parts = {row[0]: (int(row[3], 0), int(row[4], 0)) for row in rows if row[0][0] != "#"}
    ends = [at + size for at, size in parts.values()]
    assert list(parts.values()) == sorted(parts.values())
    assert all(end <= at for end, (at, _) in zip(ends, list(parts.values())[1:], strict=False))
    assert ends[-1] == 4 << 20
    assert parts["otadata"][1] == 2 * 4096
    size = re.search(
        r"^SLOT_SIZE = const\((\w+)\)", (BOARDS / "SIM/partitions.py").read_text(), re.M
    )
    for name in ("ota_0", "ota_1"):
        assert parts[name][0] % 0x10000 == 0
        assert parts[name][1] == int(size[1], 0)
