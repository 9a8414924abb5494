"""The SPI cores, compiled for this computer over fakes of ESP-IDF's drivers.

SPI_SANITIZE=address: with the address sanitizer as well, which has to be loaded before Python is;
test_sanitized.py does that.
"""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE))

from core_rig import CoreChip  # noqa: E402  (the folder is put on the path just above)

SANITIZE = os.environ.get("SPI_SANITIZE", "undefined")


def build(counter):
    """The library, for a chip with a pulse counter ("1") or without ("0")."""
    folder = ROOT / "build" / "spi-rig" / f"{counter}-{SANITIZE}"
    folder.mkdir(parents=True, exist_ok=True)
    variables = (f"COUNTER={counter}", f"SANITIZE={SANITIZE}", f"BUILD={folder}")
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be building the same
        subprocess.run(["make", "-s", *variables], check=True, cwd=HERE)
    return folder / "spi.so"


@pytest.fixture(scope="session")
def libraries():
    """By what the chip has: True for a counter."""
    return {True: build("1"), False: build("0")}


@pytest.fixture
def make_chip(libraries, tmp_path):
    """make_chip(name) -> a chip. At the end none has broken a rule of the drivers."""
    chips = []

    def make(name):
        chips.append(CoreChip(libraries[name != "ESP32-C3"], tmp_path))
        chips[-1].c.fake_esp32(name == "ESP32")
        return chips[-1]

    yield make
    assert [chip.violation() for chip in chips] == [""] * len(chips)


@pytest.fixture
def chip(make_chip):
    """A chip with a counter."""
    return make_chip("ESP32-S3")
