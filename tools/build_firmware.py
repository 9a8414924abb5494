#!/usr/bin/env python3
"""Check what an image for a chip is built with, build it, and say where it is.

Needs a MicroPython checkout (MICROPY_DIR) and ESP-IDF (IDF_PATH, its export.sh sourced). Which
versions: docs/hardware.md.
"""

import argparse
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

from exit_code import exit_code

PROJECT = Path(__file__).resolve().parent.parent
RELEASED = runpy.run_path(str(PROJECT / "modules/spinet/version.py"))
VERSION = RELEASED["VERSION"]
VERSION_TEXT = RELEASED["VERSION_TEXT"]
OLDEST_MICROPYTHON = (1, 25)
# 1.25's viper stores another register than the value's at a constant index on Xtensa.
OLDEST_FOR_XTENSA = (1, 26)
XTENSA = ("esp32", "esp32s3")
# Before this release the port needs the submodule, also when a board switches btree off.
WITHOUT_SUBMODULES = (1, 26)
SUBMODULE = "lib/berkeley-db-1.xx"
IDF_VERSIONS = ((5, 4), (5, 5))
# Set by the make that called us; MicroPython's makefiles and CMake files would read them.
OUR_MAKES = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "BUILD", "BOARD", "PORT")
SEE = "docs/hardware.md names the supported versions"


class NotReady(Exception):
    """What is missing, in one line."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "board", help="a folder of boards/: SPINET_ESP32, SPINET_NINA_ESP32C3 and so on"
    )
    parser.add_argument("--build", type=Path, default=PROJECT / "build", help="where it goes")
    options = parser.parse_args()
    return exit_code(lambda: build(options.board, options.build.resolve()), NotReady)


def build(board: str, folder: Path) -> int:
    board_dir = PROJECT / "boards" / board
    if not (board_dir / "mpconfigboard.cmake").is_file():
        raise NotReady(f"there is no board {board}: boards/ has {', '.join(boards())}")
    micropython = micropython_checkout(os.environ.get("MICROPY_DIR", ""))
    check_viper(board, micropython)
    check_submodules(micropython)
    idf(os.environ.get("IDF_PATH", ""))
    into = folder / "firmware" / board
    environment = {name: text for name, text in os.environ.items() if name not in OUR_MAKES}
    environment["MICROPY_MPYCROSS"] = str(mpy_cross(micropython, into.parent, environment))
    port = micropython / "ports/esp32"
    (into / "sdkconfig").unlink(missing_ok=True)  # ESP-IDF would keep its values, not take ours
    for command in (idf_command(board, into), image_command(into)):
        done = subprocess.run(command, cwd=port, env=environment, check=False)
        if done.returncode:
            return done.returncode
    print(f"The image is ready: {into / 'firmware.bin'}")
    return 0


def mpy_cross(micropython: Path, into: Path, environment: dict[str, str]) -> Path:
    """The cross compiler of that checkout, built outside of it, in `into`."""
    into.mkdir(parents=True, exist_ok=True)
    (into / "micropython.source").write_text(f"{micropython}\n")
    command = ["tools/run_step.sh", "Building mpy-cross", into / "mpy-cross.log"]
    command += ["tools/build_micropython.sh", "mpy-cross", into]
    if subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode:
        raise NotReady(f"mpy-cross of {micropython} cannot be built")
    return into / "mpy-cross/mpy-cross"


def idf_command(board: str, into: Path) -> list[str]:
    """What MicroPython's makefile would call; that one would hand its BUILD on to other makes.

    Each build is configured anew: a C module that came since the last one is found only then.
    """
    lib = into.parent / "no-micropython-lib"  # empty, as none of it is frozen; see mpy_cross()
    given = {
        "MICROPY_BOARD": board,
        "MICROPY_BOARD_DIR": PROJECT / "boards" / board,
        "MICROPY_LIB_DIR": lib,
        "USER_C_MODULES": PROJECT / "firmware/micropython.cmake",
        # In the image's descriptor, by which an update knows it (modules/spinet/update/image.py)
        "PROJECT_VER": VERSION_TEXT,
    }
    return [
        "idf.py",
        *(f"-D{name}={value}" for name, value in given.items()),
        "-B",
        into,
        "reconfigure",
        "build",
    ]


def image_command(into: Path) -> list[str]:
    """MicroPython's own program that joins boot loader, table and firmware."""
    parts = ("sdkconfig", "bootloader/bootloader.bin", "partition_table/partition-table.bin")
    results = ("micropython.bin", "firmware.bin", "micropython.uf2")
    return [sys.executable, "makeimg.py", *(into / name for name in parts + results)]


def boards() -> list[str]:
    """The boards that are built with ESP-IDF."""
    return sorted(path.parent.name for path in (PROJECT / "boards").glob("*/mpconfigboard.cmake"))


def micropython_checkout(name: str) -> Path:
    """A MicroPython checkout that is new enough. Raises NotReady."""
    if not name:
        raise NotReady(f"MICROPY_DIR is not set: it names a MicroPython checkout; {SEE}")
    folder = Path(name).expanduser().resolve()
    if not (folder / "ports/esp32/Makefile").is_file():
        raise NotReady(f"MICROPY_DIR={name} is not a MicroPython checkout: it has no ports/esp32")
    version = micropython_version(folder)
    if version < OLDEST_MICROPYTHON:
        raise NotReady(f"MICROPY_DIR={name} is MicroPython {dotted(version)}; {SEE}")
    return folder


def check_submodules(micropython: Path) -> None:
    """Raises NotReady when a source is missing that this release takes from a git submodule."""
    needed = micropython_version(micropython) < WITHOUT_SUBMODULES
    if needed and not (micropython / SUBMODULE / "README").is_file():
        raise NotReady(f"run first: git -C {micropython} submodule update --init {SUBMODULE}")


def micropython_version(folder: Path) -> tuple[int, ...]:
    """(major, minor) of a checkout."""
    text = read(folder / "py/mpconfig.h")
    return numbers(text, "#define MICROPY_VERSION_MAJOR", "#define MICROPY_VERSION_MINOR")


def check_viper(board: str, micropython: Path) -> None:
    """Raises NotReady when this release compiles viper wrongly for the board's processor."""
    target = re.search(
        r"IDF_TARGET (\w+)", read(PROJECT / "boards" / board / "mpconfigboard.cmake")
    )
    version = micropython_version(micropython)
    if target[1] in XTENSA and version < OLDEST_FOR_XTENSA:
        raise NotReady(
            f"MicroPython {dotted(version)} compiles viper wrongly for {target[1]}; {SEE}"
        )


def idf(name: str) -> None:
    """Raises NotReady unless ESP-IDF is there, supported, and set up in this shell."""
    idf_sources(name)
    if not shutil.which("idf.py"):
        raise NotReady(f"idf.py is not on the path: run . {name}/export.sh in this shell first")


def idf_sources(name: str) -> tuple[Path, str]:
    """ESP-IDF's folder and its whole version. Raises NotReady unless it is supported."""
    if not name:
        raise NotReady(f"IDF_PATH is not set: it names ESP-IDF's folder; {SEE}")
    folder = Path(name).expanduser().resolve()
    text = read(folder / "tools/cmake/version.cmake")
    version = numbers(text, *(rf"set\(IDF_VERSION_{part}" for part in ("MAJOR", "MINOR", "PATCH")))
    if not text:
        raise NotReady(f"IDF_PATH={name} is not ESP-IDF: it has no tools/cmake/version.cmake")
    if version[:2] not in IDF_VERSIONS:
        raise NotReady(f"IDF_PATH={name} is ESP-IDF {dotted(version[:2])}; {SEE}")
    return folder, dotted(version)


def read(path: Path) -> str:
    """Its text, "" when there is no such file."""
    return path.read_text() if path.is_file() else ""


def numbers(text: str, *before: str) -> tuple[int, ...]:
    """The number that follows each of these patterns, 0 where there is none."""
    found = (re.search(pattern + r"\s+\(?(\d+)", text) for pattern in before)
    return tuple(int(match[1]) if match else 0 for match in found)


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


if __name__ == "__main__":
    sys.exit(main())
