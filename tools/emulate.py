#!/usr/bin/env python3
"""Boot an image on Espressif's QEMU, with its REPL in this terminal.

The flash, the eFuses and all else that the emulated chip needs are in a temporary folder, which is
removed at the end.
"""

import argparse
import os
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from exit_code import exit_code

PROJECT = Path(__file__).resolve().parent.parent
# The chip that Espressif's QEMU calls so, for each board that can be emulated.
MACHINES = {"SPINET_ESP32C3": "esp32c3", "SPINET_NINA_ESP32C3": "esp32c3"}
IMAGE_MAGIC = 0xE9
MIB = 1 << 20
TABLE = 0x8000
PARTITION = struct.Struct("<2sBBII16sI")
PARTITION_MAGIC = b"\xaa\x50"
FILES = b"vfs"

# The eFuses of an ESP32-C3, as its QEMU reads them: the registers from RD_WR_DIS on.
EFUSES = 1024
MAC_AT = 0x18
MAC = bytes((0x02, 0x53, 0x50, 0x4E, 0x45, 0x54))  # locally administered
REVISION_AT = 0x26  # minor revision 3, the oldest that ESP-IDF starts on
REVISION = 3 << 2


class NotReady(Exception):
    """What is missing, in one line."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("board", help=", ".join(MACHINES))
    parser.add_argument("--qemu", required=True, help="Espressif's qemu-system-riscv32")
    parser.add_argument("--build", type=Path, default=PROJECT / "build", help="has firmware/BOARD")
    parser.add_argument(
        "--uart", type=Path, help="the virtual bus at UART1; a SIM that can make files"
    )
    parser.add_argument("--options", default="", help="more of QEMU's options")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    return exit_code(lambda: emulate(options), NotReady)


def emulate(options: argparse.Namespace) -> int:
    if options.board not in MACHINES:
        raise NotReady(f"{options.board} cannot be emulated, only {', '.join(MACHINES)}")
    qemu = check_qemu(options.qemu, MACHINES[options.board])
    image = options.build / "firmware" / options.board / "firmware.bin"
    if not image.is_file():
        raise NotReady(f"there is no image to boot: make firmware BOARD={options.board}")
    with tempfile.TemporaryDirectory(prefix="spinet-emulate-") as name:
        folder = Path(name)
        flash = flash_of(image.read_bytes())
        if options.uart:
            board = PROJECT / "boards" / options.board / "uart/board.py"
            add_file(flash, board, options.uart, folder)
        (folder / "flash").write_bytes(flash)
        (folder / "efuse").write_bytes(efuses())
        command = qemu_command(qemu, MACHINES[options.board], folder, bool(options.uart))
        return run([*command, *shlex.split(options.options)])


def check_qemu(name: str, machine: str) -> str:
    """The program's path. Raises NotReady unless it emulates that chip."""
    qemu = shutil.which(os.path.expanduser(name))
    if not qemu:
        raise NotReady(f"there is no program {name}; docs/hardware.md says where QEMU comes from")
    known = subprocess.run([qemu, "-M", "help"], capture_output=True, text=True, check=False).stdout
    if machine not in {line.split()[0] for line in known.splitlines() if line.strip()}:
        raise NotReady(f"{qemu} has no machine {machine}: it is not Espressif's QEMU")
    return qemu


def flash_of(image: bytes) -> bytearray:
    """The chip's whole flash with this image at its beginning. Raises NotReady."""
    if len(image) <= TABLE or image[0] != IMAGE_MAGIC:
        raise NotReady("firmware.bin is no image that begins at 0")
    size = MIB << (image[3] >> 4)
    if len(image) > size:
        raise NotReady(f"firmware.bin is larger than its flash of {size // MIB} MiB")
    return bytearray(image.ljust(size, b"\xff"))


def file_system(flash: bytes) -> tuple[int, int]:
    """Offset and size of the file system, by the partition table. Raises NotReady."""
    at = TABLE
    while flash[at : at + 2] == PARTITION_MAGIC:
        _, _, _, offset, size, label, _ = PARTITION.unpack_from(flash, at)
        if label.rstrip(b"\0") == FILES:
            return offset, size
        at += PARTITION.size
    raise NotReady("firmware.bin has no partition for files")


def add_file(flash: bytearray, source: Path, sim: Path, folder: Path) -> None:
    """Put a file system with that file into the flash. Raises NotReady."""
    if not source.is_file():
        raise NotReady(f"there is no {source} for the virtual bus")
    offset, size = file_system(flash)
    image = folder / "files"
    script = PROJECT / "tools/make_file_system.py"
    command = [sim, "-X", f"heapsize={4 * size}", script, str(size), source, image]
    if subprocess.run(command, check=False).returncode:
        raise NotReady(f"{sim} cannot make the file system")
    flash[offset : offset + size] = image.read_bytes()


def efuses() -> bytes:
    """A chip without keys, new enough, with a MAC address."""
    fuses = bytearray(EFUSES)
    fuses[MAC_AT : MAC_AT + len(MAC)] = reversed(MAC)
    fuses[REVISION_AT] = REVISION
    return bytes(fuses)


def qemu_command(qemu: str, machine: str, folder: Path, uart: bool) -> list[str]:
    """UART0 is this terminal, UART1 a pseudo-terminal or nothing.

    The timer groups' watchdogs are off: they count on while a busy computer keeps the chip waiting.
    """
    command = [qemu, "-M", machine, "-display", "none"]
    command += ["-drive", f"file={folder}/flash,if=mtd,format=raw"]
    command += ["-drive", f"file={folder}/efuse,if=none,format=raw,id=efuse"]
    command += ["-global", f"driver=nvram.{machine}.efuse,property=drive,value=efuse"]
    command += ["-global", f"driver=timer.{machine}.timg,property=wdt_disable,value=true"]
    return [*command, "-serial", "mon:stdio", "-serial", "pty" if uart else "null"]


def run(command: list[str]) -> int:
    """QEMU until it ends; its exit code. It ends with us, in order."""
    print("Ctrl-A X ends the emulation, Ctrl-C is the REPL's", flush=True)
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
