"""The one-file image, of made-up parts that esptool itself wrote."""

import json
import subprocess
import sys

import pytest
from esptool.bin_image import (
    ELFSection,
    ESP32C3FirmwareImage,
    ESP32FirmwareImage,
    ESP32S3FirmwareImage,
)
from project import ROOT

# chip: (esptool's class, where the boot loader begins, an address in RAM, the file's name)
CHIPS = {
    "esp32": (ESP32FirmwareImage, 0x1000, 0x3FFB0000, "DuetWiFiModule_32.bin"),
    "esp32c3": (ESP32C3FirmwareImage, 0, 0x3FC80000, "DuetWiFiModule_32C3.bin"),
    "esp32s3": (ESP32S3FirmwareImage, 0, 0x3FC88000, "DuetWiFiModule_32S3.bin"),
}
TABLE = b"\xaa\x50" + bytes(30)


def program(chip, path, fill):
    """A program of one segment, checksum and hash included."""
    image = CHIPS[chip][0]()
    image.segments = [ELFSection(b"data", CHIPS[chip][2], bytes([fill]) * 1000, 0)]
    image.entrypoint = CHIPS[chip][2]
    image.save(str(path))


class Build:
    """A folder as ESP-IDF leaves it."""

    def __init__(self, folder, chip):
        self.folder = folder
        self.chip = chip
        program(chip, folder / "bootloader.bin", 0x11)
        program(chip, folder / "micropython.bin", 0x22)
        (folder / "table.bin").write_bytes(TABLE)
        self.listing = {
            "bootloader": {"offset": hex(CHIPS[chip][1]), "file": "bootloader.bin"},
            "partition-table": {"offset": "0x8000", "file": "table.bin"},
            "app": {"offset": "0x10000", "file": "micropython.bin"},
            "extra_esptool_args": {"chip": chip},
        }

    def make(self):
        (self.folder / "flasher_args.json").write_text(json.dumps(self.listing))
        return run(self.folder)

    def spoil(self, name, at):
        path = self.folder / name
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)


def run(folder):
    command = [sys.executable, ROOT / "tools" / "make_image.py", folder]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(params=list(CHIPS))
def build(request, tmp_path):
    return Build(tmp_path, request.param)


@pytest.fixture
def c3(tmp_path):
    return Build(tmp_path, "esp32c3")


def refused(done, why):
    assert done.returncode == 1
    assert why in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_parts_lie_at_their_offsets_in_a_file_of_the_right_name(build):
    done = build.make()
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
    build = Build(folder, "esp32")
    done = build.make()
    assert done.stdout == f"The image to write at 0 is ready: {build.folder / 'nina.bin'}\n"
    assert (build.folder / "nina.bin").read_bytes()[0x1000:0x1001] == b"\xe9"


@pytest.mark.parametrize("name", ["bootloader.bin", "micropython.bin"])
def test_damaged_program_is_refused(build, name):
    build.spoil(name, 100)
    refused(build.make(), f"{name}: its checksum is wrong")


def test_damaged_hash_is_refused(c3):
    c3.spoil("micropython.bin", -1)
    refused(c3.make(), "micropython.bin: its hash is wrong")


def test_program_for_another_chip_is_refused(c3):
    program("esp32s3", c3.folder / "micropython.bin", 0x22)
    refused(c3.make(), "micropython.bin")


def test_what_is_no_program_is_refused(c3):
    (c3.folder / "micropython.bin").write_bytes(b"hello")
    refused(c3.make(), "micropython.bin")


def test_what_is_no_table_is_refused(c3):
    c3.spoil("table.bin", 0)
    refused(c3.make(), "table.bin is no partition table")


def test_overlap_is_refused(c3):
    c3.listing["partition-table"]["offset"] = "0x100"
    refused(c3.make(), "partition-table at 0x100 overlaps")


def test_chip_that_no_duet_has(c3):
    c3.listing["extra_esptool_args"]["chip"] = "esp32c6"
    refused(c3.make(), "chip esp32c6")


def test_folder_without_a_build(tmp_path):
    refused(run(tmp_path), "no finished build of ESP-IDF")
