#!/usr/bin/env python3
"""Print what a board takes of flash and RAM, from what the builds at hand say.

Measured is what was read off an image, an object, a compiled module or a running firmware; computed
is what follows from settings. A build that is not there is named.
"""

import argparse
import collections
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import elf
from exit_code import exit_code
from idf_check import kconfig

PROJECT = Path(__file__).resolve().parent.parent
ARCHITECTURES = {
    "SPINET_ESP32": "xtensawin",
    "SPINET_ESP32C3": "rv32imc",
    "SPINET_ESP32S3": "xtensawin",
    "SPINET_NINA_ESP32": "xtensawin",
    "SPINET_NINA_ESP32C3": "rv32imc",
    "SPINET_NINA_W102": "xtensawin",
}
SMALLER_FLASH = {"SPINET_NINA_W102": "partitions-2mb.csv"}
PARTITIONS = ("factory", "ota_0")
CONNECTIONS = 8
POINTER = 4  # bytes
PATIENCE = 60.0
QEMU = ["qemu-system-riscv32", "-machine", "virt", "-bios", "none", "-semihosting"]
QEMU += ["-nographic", "-monitor", "null", "-serial", "pty", "-kernel"]
BOOT = "import boot_heap; boot_heap.tell()"  # boards/QEMU_RV32 has it


class Row:
    """One line of the table. `size` is None where nothing at hand says it; `source` then does."""

    def __init__(self, what: str, size: int | None, how: str, source: str) -> None:
        self.what = what
        self.size = size
        self.how = how
        self.source = source


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("board", choices=sorted(ARCHITECTURES))
    parser.add_argument("--build", type=Path, default=PROJECT / "build", help="where builds are")
    options = parser.parse_args()
    return exit_code(lambda: tell(options.board, options.build.resolve()), elf.BadElf)


def tell(board: str, build: Path) -> None:
    print(rendered(board, Budget(board, build).table()))


class Budget:
    """The rows of one board, in the table's order."""

    def __init__(self, board: str, build: Path) -> None:
        self._board = board
        self._build = build
        self._settings = settings_of(board)
        self._sizes = sizes_of(build / "check-idf" / board / "objects")
        self._heap = heap_at_boot(build / "qemu/firmware.elf")

    def table(self) -> dict[str, list[Row]]:
        """{heading: rows}."""
        return {
            "flash": self._flash(),
            "static RAM": self._static(),
            "heap at boot": self._boot(),
            "Python heap at boot, by module": self._parts("module"),
            "Python heap at boot, by class of the service's objects": self._parts("object"),
            "for each connection": self._connection(),
            "all connections at once": self._crowd(),
        }

    def _flash(self) -> list[Row]:
        image = self._build / "firmware" / self._board / "micropython.bin"
        rows = [measured("firmware image", size_of(image), image.name, "make firmware")]
        table = SMALLER_FLASH.get(self._board, "partitions.csv")
        size = partition_size(table)
        if image.is_file():
            left = size - size_of(image)
            rows.append(Row("left of its partition", left, "computed", f"boards/chip/{table}"))
        rows.append(Row("partition", size, "computed", f"boards/chip/{table}"))
        if "MBEDTLS_CERTIFICATE_BUNDLE" in lines_of(self._board):
            roots = image.parent / "x509_crt_bundle"
            rows.append(measured("TLS's public roots", size_of(roots), roots.name, "make firmware"))
        architecture = ARCHITECTURES[self._board]
        folders = sorted((self._build / "mpy").glob(f"*/{architecture}"), key=release_of)
        modules = sum(p.stat().st_size for p in folders[-1].rglob("*.mpy")) if folders else None
        source = f".mpy of {folders[-1].parent.name}" if folders else ""
        rows.append(measured("our modules, before freezing", modules, source, "make mpy"))
        rows.append(self._object_row("our C: code and constants", "text"))
        return rows

    def _object_row(self, what: str, kind: str) -> Row:
        return measured(what, self._sizes.get(kind), "objects of make check-idf", "make check-idf")

    def _static(self) -> list[Row]:
        image = self._build / "firmware" / self._board / "micropython.elf"
        found = elf.static_ram(image) if image.is_file() else {}
        kinds = {
            "whole image: code in RAM": "code",
            "whole image: data": "data",
            "whole image: bss": "bss",
        }
        return [
            *(measured(k, found.get(v), image.name, "make firmware") for k, v in kinds.items()),
            self._object_row("our C: data", "data"),
            self._object_row("our C: bss", "bss"),
        ]

    def _boot(self) -> list[Row]:
        found = self._heap.get("all", {})
        modules = sum(self._heap["module"].values()) if self._heap else None
        service = found["boot"] - modules if self._heap else None
        where = "emulated core, RV32, Python heap"
        return [
            measured("Python: modules", modules, where, "make qemu"),
            measured("Python: the service", service, where, "make qemu"),
            measured(
                "rings, trace", found.get("slabs"), "emulated core, the chip's heap", "make qemu"
            ),
            self._pool("lwIP's connections", "LWIP_MAX_ACTIVE_TCP", "tcp_pcb"),
            self._pool("lwIP's listeners", "LWIP_MAX_LISTENING_TCP", "tcp_pcb_listen"),
        ]

    def _parts(self, kind: str) -> list[Row]:
        found = self._heap.get(kind, {})
        return [measured(name, found[name], "emulated core", "") for name in sorted(found)]

    def _pool(self, what: str, setting: str, structure: str) -> Row:
        """lwIP takes them one by one from the chip's heap, up to this many."""
        one = self._sizes.get(f"size_of_{structure}")
        if one is None:
            return measured(what, None, "", "make check-idf")
        number = self._settings[setting]
        return Row(f"{what}, at most", one * number, "computed", f"{number} x {one}, {setting}")

    def _connection(self) -> list[Row]:
        pcb = self._sizes.get("size_of_tcp_pcb")
        netconn = self._sizes.get("size_of_netconn")
        known = None if pcb is None else pcb + netconn
        mailbox = self._settings["LWIP_TCP_RECVMBOX_SIZE"]
        return [
            measured("PCB and netconn", known, "lwIP's headers", "make check-idf"),
            Row("its mailbox", mailbox * POINTER, "computed", "LWIP_TCP_RECVMBOX_SIZE pointers"),
            Row("TLS, twice in its handshake", tls_memory(), "computed", "_MEMORY of tls/stack.py"),
            *self._full(1),
        ]

    def _full(self, connections: int) -> list[Row]:
        both = (
            ("LWIP_TCP_SND_BUF_DEFAULT", "sent, unacknowledged"),
            ("LWIP_TCP_WND_DEFAULT", "unread"),
        )
        return [
            Row(f"{what}, at most", connections * self._settings[name], "computed", name)
            for name, what in both
        ]

    def _crowd(self) -> list[Row]:
        return self._full(CONNECTIONS)


def measured(what: str, size: int | None, source: str, otherwise: str) -> Row:
    """A row of something read off; `otherwise` is the command that would make it."""
    if size is None:
        return Row(what, None, "not known", otherwise)
    return Row(what, size, "measured", source)


# ---- where the numbers come from


def lines_of(board: str) -> dict[str, str]:
    """{name: value} of our sdkconfig files."""
    found = {}
    for path in (
        PROJECT / "boards/chip/sdkconfig.chip",
        PROJECT / "boards" / board / "sdkconfig.board",
    ):
        found |= kconfig.settings(path.read_text())
    return found


def settings_of(board: str) -> dict[str, int]:
    """The numbers among them."""
    return {name: int(value) for name, value in lines_of(board).items() if value.isdigit()}


def tls_memory() -> int:
    """Of the chip's heap, for a session; it is not begun without."""
    text = (PROJECT / "modules/spinet/tls/stack.py").read_text()
    return int(re.search(r"^_MEMORY = const\((\d+)\)", text, re.MULTILINE)[1])


def partition_size(table: str) -> int:
    """Of the firmware's partition in this table."""
    for line in (PROJECT / "boards/chip" / table).read_text().splitlines():
        fields = [field.strip() for field in line.split(",")]
        if fields[0] in PARTITIONS:
            return int(fields[4], 0)
    raise ValueError(f"{table} has no partition for the firmware")


def size_of(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def release_of(folder: Path) -> tuple[int, ...]:
    """Of BUILD/mpy/RELEASE/ARCHITECTURE."""
    return tuple(int(part) for part in folder.parent.name.split("."))


def sizes_of(folder: Path) -> dict[str, int]:
    """Sums of our objects, and the sizes of lwIP's structures beside them; {} without objects."""
    sums = {}
    for path in sorted(folder.glob("usermod_*/*.o")):
        for kind, size in elf.taken(path).items():
            sums[kind] = sums.get(kind, 0) + size
    if (folder / "sizes.o").is_file():
        sums |= elf.symbol_sizes(folder / "sizes.o")
    return sums


def heap_at_boot(image: Path) -> dict[str, dict[str, int]]:
    """{kind: {name: bytes}} as the emulated core counts them, "all" for their sums; {} without its
    image or emulator."""
    if not image.is_file() or not shutil.which(QEMU[0]):
        return {}
    core = subprocess.Popen(
        [*QEMU, image], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    guard = threading.Timer(PATIENCE, core.kill)
    guard.start()
    try:
        port = re.search(r"redirected to (\S+)", core.stdout.readline())
        said = on_core(port[1]) if port else ""
    finally:
        guard.cancel()
        core.kill()
        core.wait()
        core.stdout.close()
    found = collections.defaultdict(collections.Counter)
    for kind, name, taken in re.findall(r"^heap\t(.+)\t(.+)\t(-?\d+)\r?$", said, re.MULTILINE):
        found[kind][name] += int(taken)
    return dict(found)


def on_core(port: str) -> str:
    """What the program of the measurement prints there; it ends with the core at the latest."""
    command = [sys.executable, "-m", "mpremote", "connect", port, "exec", BOOT]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


# ---- the table


def rendered(board: str, table: dict[str, list[Row]]) -> str:
    lines = [f"{board}: bytes"]
    for heading, rows in table.items():
        lines.append(heading)
        for row in rows:
            size = "-" if row.size is None else f"{row.size:,}".replace(",", " ")
            lines.append(f"  {row.what:<33}{size:>11}  {row.how:<10} {row.source}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
