"""The one-file image, of made-up parts that esptool itself wrote."""

import subprocess
import sys

import pytest
from idf_build import CHIPS, TABLE, IdfBuild, program
from project import ROOT

import spinet
from spinet.update import image
from spinet_controller.errors import BadImage
from spinet_controller.update import Image


def run(build):
    build.list_parts()
    command = [sys.executable, ROOT / "tools" / "make_image.py", build.folder]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(params=list(CHIPS))
def build(request, tmp_path):
    return IdfBuild(tmp_path, request.param)


@pytest.fixture
def c3(tmp_path):
    return IdfBuild(tmp_path, "esp32c3")


def refused(done, why):
    assert done.returncode == 1
    assert why in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_parts_lie_at_their_offsets_in_a_file_of_the_right_name(build):
    done = run(build)
    assert done.returncode == 0, done.stderr
    start = CHIPS[build.chip][1]
    flash = (build.folder / CHIPS[build.chip][3]).read_bytes()
    boot_loader = (build.folder / "bootloader.bin").read_bytes()
    assert flash[:start] == b"\xff" * start
    assert flash[start : start + len(boot_loader)] == boot_loader
    assert flash[start + len(boot_loader) : 0x8000].strip(b"\xff") == b""
    assert flash[0x8000 : 0x8000 + len(TABLE)] == TABLE
    assert flash[0x10000:] == (build.folder / "micropython.bin").read_bytes()


def test_image_of_a_nina_has_its_name(tmp_path):
    folder = tmp_path / "SPINET_NINA_W102"
    folder.mkdir()
    build = IdfBuild(folder, "esp32")
    done = run(build)
    assert done.stdout == f"The image to write at 0 is ready: {build.folder / 'nina.bin'}\n"
    assert (build.folder / "nina.bin").read_bytes()[0x1000:0x1001] == b"\xe9"


def test_an_update_is_taken_out_of_what_was_built(build):
    """By the controller's tool and by the module, whose chip's number is the header's."""
    run(build)
    alone = (build.folder / "micropython.bin").read_bytes()
    for name in ("micropython.bin", CHIPS[build.chip][3]):
        found = Image.of((build.folder / name).read_bytes())
        assert (found.data, found.version) == (alone, spinet.VERSION_TEXT)
        assert found.chip == CHIPS[build.chip][0].ROM_LOADER.IMAGE_CHIP_ID
        assert image.problem(alone[: image.HEAD], found.chip) is None
    with pytest.raises(BadImage, match="this is no image of an application"):
        Image.of((build.folder / "bootloader.bin").read_bytes())


@pytest.mark.parametrize("name", ["bootloader.bin", "micropython.bin"])
def test_damaged_program_is_refused(build, name):
    build.spoil(name, 100)
    refused(run(build), f"{name}: its checksum is wrong")


def test_damaged_hash_is_refused(c3):
    c3.spoil("micropython.bin", -1)
    refused(run(c3), "micropython.bin: its hash is wrong")


def test_program_for_another_chip_is_refused(c3):
    program("esp32s3", c3.folder / "micropython.bin", bytes(1000))
    refused(run(c3), "micropython.bin")


def test_what_is_no_program_is_refused(c3):
    (c3.folder / "micropython.bin").write_bytes(b"hello")
    refused(run(c3), "micropython.bin")


def test_what_is_no_table_is_refused(c3):
    c3.spoil("table.bin", 0)
    refused(run(c3), "table.bin is no partition table")


def test_overlap_is_refused(c3):
    c3.listing["partition-table"]["offset"] = "0x100"
    refused(run(c3), "partition-table at 0x100 overlaps")


def test_chip_that_no_duet_has(c3):
    c3.listing["extra_esptool_args"]["chip"] = "esp32c6"
    refused(run(c3), "chip esp32c6")


def test_folder_without_a_build(c3):
    (c3.folder / "table.bin").unlink()
    refused(run(c3), "no finished build of ESP-IDF")
