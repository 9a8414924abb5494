"""Where the chips' files are."""

from pathlib import Path

BOARDS = Path(__file__).resolve().parent.parent / "boards"
CHIP = BOARDS / "chip"
NAMES = ("SPINET_ESP32", "SPINET_ESP32C3", "SPINET_ESP32S3")
