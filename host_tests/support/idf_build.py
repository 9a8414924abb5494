"""What ESP-IDF leaves of a build, of made-up parts that esptool itself wrote."""

import json
import struct

from esptool.bin_image import (
    ELFSection,
    ESP32C3FirmwareImage,
    ESP32FirmwareImage,
    ESP32S3FirmwareImage,
)

import spinet

# chip: (esptool's class, where the boot loader begins, an address in RAM, the file's name)
CHIPS = {
    "esp32": (ESP32FirmwareImage, 0x1000, 0x3FFB0000, "DuetWiFiModule_32.bin"),
    "esp32c3": (ESP32C3FirmwareImage, 0, 0x3FC80000, "DuetWiFiModule_32C3.bin"),
    "esp32s3": (ESP32S3FirmwareImage, 0, 0x3FC88000, "DuetWiFiModule_32S3.bin"),
}
TABLE = b"\xaa\x50" + bytes(30)


def program(chip, path, data):
    """A program of one segment with these bytes, checksum and hash included."""
    image = CHIPS[chip][0]()
    image.segments = [ELFSection(b"data", CHIPS[chip][2], data, 0)]
    image.entrypoint = CHIPS[chip][2]
    image.save(str(path))


def described(version):
    """An esp_app_desc_t as far as it is read: magic, secure_version, 8 bytes, version."""
    return struct.pack("<IIII32s", 0xABCD5432, 0, 0, 0, version.encode()).ljust(256, b"\0")


class IdfBuild:
    """A folder as ESP-IDF leaves it."""

    def __init__(self, folder, chip, version=spinet.VERSION_TEXT):
        self.folder = folder
        self.chip = chip
        program(chip, folder / "bootloader.bin", b"\x11" * 1000)
        program(chip, folder / "micropython.bin", described(version) + b"\x22" * 1000)
        (folder / "table.bin").write_bytes(TABLE)
        self.listing = {
            "bootloader": {"offset": hex(CHIPS[chip][1]), "file": "bootloader.bin"},
            "partition-table": {"offset": "0x8000", "file": "table.bin"},
            "app": {"offset": "0x10000", "file": "micropython.bin"},
            "extra_esptool_args": {"chip": chip},
        }

    def list_parts(self):
        (self.folder / "flasher_args.json").write_text(json.dumps(self.listing))

    def spoil(self, name, at):
        path = self.folder / name
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)
