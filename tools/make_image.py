#!/usr/bin/env python3
"""One file of boot loader, partition table and firmware from 0 on: for Duet's `M997 S1`, for
esptool at 0, and for Arduino's updater.

Every part lies at its own offset, the gaps are 0xFF. The parts and offsets are those of ESP-IDF's
flasher_args.json; boot loader and firmware pass esptool's own image check first.
"""

import argparse
import json
import struct
import sys
from pathlib import Path

from esptool.bin_image import LoadFirmwareImage
from esptool.util import FatalError
from exit_code import exit_code

# For NINA's boards, and as Duet boards look for it on their SD card.
NINA_BOARDS = "SPINET_NINA_"
NINA_NAME = "nina.bin"
NAMES = {
    "esp32": "DuetWiFiModule_32.bin",
    "esp32c3": "DuetWiFiModule_32C3.bin",
    "esp32s3": "DuetWiFiModule_32S3.bin",
}
TABLE_MAGIC = b"\xaa\x50"
PROGRAMS = ("bootloader", "app")


class BadParts(Exception):
    """Why these parts make no image, in one line."""


class Part:
    """A piece of the flash: its name, offset and bytes."""

    def __init__(self, name: str, offset: int, path: Path) -> None:
        self.name = name
        self.offset = offset
        self.path = path
        self.data = path.read_bytes()

    def end(self) -> int:
        return self.offset + len(self.data)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where ESP-IDF built: has flasher_args.json")
    options = parser.parse_args()
    return exit_code(lambda: tell(options.folder), BadParts)


def tell(folder: Path) -> None:
    target = make(folder)
    use = "to write at 0" if target.name == NINA_NAME else "for M997 S1"
    print(f"The image {use} is ready: {target}")


def make(folder: Path) -> Path:
    """Check the parts and write the image beside them; its path. Raises BadParts."""
    chip, parts = parts_of(folder)
    for part in parts:
        check(chip, part)
    target = folder / (NINA_NAME if folder.name.startswith(NINA_BOARDS) else NAMES[chip])
    target.write_bytes(joined(parts))
    return target


def parts_of(folder: Path) -> tuple[str, list[Part]]:
    """The chip, and the parts in the order of their offsets. Raises BadParts."""
    try:
        listing = json.loads((folder / "flasher_args.json").read_text())
        chip = listing["extra_esptool_args"]["chip"]
        parts = [
            Part(name, int(listing[name]["offset"], 0), folder / listing[name]["file"])
            for name in ("bootloader", "partition-table", "app")
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadParts(f"{folder} is no finished build of ESP-IDF: {error}") from error
    if chip not in NAMES:
        raise BadParts(f"no Duet board has a module with the chip {chip}")
    return chip, sorted(parts, key=lambda part: part.offset)


def check(chip: str, part: Part) -> None:
    """Raises BadParts for a part that the chip would not start."""
    if part.name in PROGRAMS:
        check_program(chip, part)
    elif part.data[:2] != TABLE_MAGIC:
        raise BadParts(f"{part.path} is no partition table")


def check_program(chip: str, part: Part) -> None:
    try:
        image = LoadFirmwareImage(chip, str(part.path))
    except (FatalError, struct.error) as error:  # the latter for one that is cut short
        raise BadParts(f"{part.path}: {' '.join(str(error).split())}") from error
    if image.checksum != image.calculate_checksum():
        raise BadParts(f"{part.path}: its checksum is wrong")
    if image.append_digest and image.stored_digest != image.calc_digest:
        raise BadParts(f"{part.path}: its hash is wrong")
    if image.chip_id != image.ROM_LOADER.IMAGE_CHIP_ID:
        raise BadParts(f"{part.path} is for another chip than {chip}")


def joined(parts: list[Part]) -> bytes:
    """The flash from 0 to the end of the last part. Raises BadParts when two overlap."""
    flash = b""
    for part in parts:
        if part.offset < len(flash):
            raise BadParts(f"{part.name} at {part.offset:#x} overlaps what lies before it")
        flash += b"\xff" * (part.offset - len(flash)) + part.data
    return flash


if __name__ == "__main__":
    sys.exit(main())
