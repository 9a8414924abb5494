"""make emulate: what it gives QEMU, in whose place a program stands that notes it."""

import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import time
import tty

import pytest
from project import ROOT
from sim_process import BINARY

BOARD = "SPINET_ESP32C3"
MIB = 1 << 20
PATIENCE = 60

# Answers -M help as Espressif's QEMU; else notes its arguments, what its drives hold and what its
# terminal brings. It ends at Ctrl-A x, as QEMU does, or at SIGTERM.
QEMU = """#!{python}
import json, os, shutil, signal, sys
notes = "{notes}"
if sys.argv[1:3] == ["-M", "help"]:
    print("Supported machines are:\\n{machine}   Espressif ESP32-C3 machine")
    sys.exit()
def ended(*_):
    open(notes + "/ended", "w").close()
    sys.exit()
signal.signal(signal.SIGTERM, ended)
for drive in [a for a in sys.argv if a.startswith("file=")]:
    name = drive.split(",")[0][5:]
    shutil.copy(name, notes)
with open(notes + "/new", "w") as file:
    json.dump(sys.argv[1:], file)
os.rename(notes + "/new", notes + "/arguments")
print("the REPL's", flush=True)
typed = b""
while not typed.endswith(b"\\x01x"):
    got = os.read(0, 64)
    if not got:
        signal.pause()
    typed += got
    open(notes + "/typed", "ab").write(got)
sys.exit({code})
"""


def image(size_code=2, label=b"vfs"):
    """As much of an image as is looked at: a header, and a table with the file system."""
    made = bytearray(b"\xa5" * 0x12000)
    made[:4] = bytes((0xE9, 3, 2, size_code << 4))
    entry = struct.pack("<2sBBII16sI", b"\xaa\x50", 1, 0x81, 0x200000, 0x100000, label, 0)
    first = struct.pack("<2sBBII16sI", b"\xaa\x50", 0, 0, 0x10000, 0x1F0000, b"factory", 0)
    made[0x8000 : 0x8000 + 96] = first + entry + bytes(32)
    return bytes(made)


class Emulation:
    """`make emulate`'s program with the stand-in, an image and the files that it noted."""

    def __init__(self, folder):
        self.build = folder / "build"
        self.notes = folder / "notes"
        self.temporary = folder / "temporary"
        for made in (self.build / "firmware" / BOARD, self.notes, self.temporary):
            made.mkdir(parents=True)
        self.image = self.build / "firmware" / BOARD / "firmware.bin"
        self.image.write_bytes(image())
        self.qemu = folder / "qemu-system-riscv32"
        self.stand_in()

    def stand_in(self, machine="esp32c3", code=0):
        program = QEMU.format(python=sys.executable, notes=self.notes, machine=machine, code=code)
        self.qemu.write_text(program)
        self.qemu.chmod(0o755)

    def command(self, *arguments, board=BOARD):
        command = [sys.executable, ROOT / "tools/emulate.py", board, "--build", self.build]
        return [*command, "--qemu", self.qemu, *arguments]

    def run(self, *arguments, keys=b"\x01x", **options):
        """To the end, these keys typed."""
        return subprocess.run(
            self.command(*arguments, **options),
            input=keys,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            env=os.environ | {"TMPDIR": str(self.temporary)},
        )

    def start(self, **options):
        """With the stand-in running."""
        process = subprocess.Popen(
            self.command(), env=os.environ | {"TMPDIR": str(self.temporary)}, **options
        )
        deadline = time.monotonic() + PATIENCE
        while not (self.notes / "arguments").exists():
            assert time.monotonic() < deadline, "QEMU was not started"
            time.sleep(0.01)
        return process

    def arguments(self):
        return json.loads((self.notes / "arguments").read_text())

    def noted(self, name):
        return (self.notes / name).read_bytes()

    def left_nothing(self):
        return not list(self.temporary.iterdir())


@pytest.fixture
def emulation(tmp_path):
    return Emulation(tmp_path)


def says(done, text):
    assert done.returncode == 1, done.stderr
    assert text in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_what_qemu_is_given(emulation):
    done = emulation.run("--options=-nic user,model=open_eth -d 'a b'")
    assert done.returncode == 0, done.stderr
    text = " ".join(re.sub(r"file=\S*/", "file=", given) for given in emulation.arguments())
    assert text == (
        "-M esp32c3 -display none -drive file=flash,if=mtd,format=raw"
        " -drive file=efuse,if=none,format=raw,id=efuse"
        " -global driver=nvram.esp32c3.efuse,property=drive,value=efuse"
        " -global driver=timer.esp32c3.timg,property=wdt_disable,value=true"
        " -serial mon:stdio -serial null -nic user,model=open_eth -d a b"
    )
    assert emulation.arguments()[-1] == "a b"
    assert b"the REPL's" in done.stdout
    assert emulation.left_nothing()


@pytest.mark.parametrize(("code", "mib"), [(2, 4), (3, 8)])
def test_the_flash_is_the_image_and_erased_behind_it(emulation, code, mib):
    emulation.image.write_bytes(image(code))
    emulation.run()
    flash = emulation.noted("flash")
    assert flash == image(code).ljust(mib * MIB, b"\xff")


def test_the_efuses_have_a_mac_address_and_a_revision(emulation):
    emulation.run()
    efuse = emulation.noted("efuse")
    assert len(efuse) == 1024
    mac, words = efuse[0x18:0x1E][::-1], struct.unpack_from("<4I", efuse, 0x18)
    assert mac[0] & 3 == 2  # one station's, no group's
    assert words[3] >> 18 & 7 == 3  # WAFER_VERSION_MINOR
    assert not any(efuse[:0x18] + efuse[0x28:])


BOARD_OF = """
import sys, vfs
with open(sys.argv[1], "rb") as file:
    file.seek(0x200000)
    data = file.read(0x100000)
class Flash:
    def readblocks(self, block, into, offset=0):
        into[:] = data[block * 4096 + offset : block * 4096 + offset + len(into)]
    def writeblocks(self, *_):
        raise OSError("written to")
    def ioctl(self, operation, _):
        return {4: len(data) // 4096, 5: 4096}.get(operation)
files = vfs.VfsLfs2(Flash())
print(list(name for name, *_ in files.ilistdir("")))
print(files.open("board.py", "r").read(), end="")
"""


def test_the_board_file_is_in_the_flash(emulation, tmp_path):
    done = emulation.run("--uart", BINARY)
    assert done.returncode == 0, done.stderr
    assert emulation.arguments()[-2:] == ["-serial", "pty"]
    script = tmp_path / "board_of.py"
    script.write_text(BOARD_OF)
    found = subprocess.run(
        [BINARY, script, emulation.notes / "flash"], capture_output=True, text=True, check=True
    )
    board = (ROOT / "boards" / BOARD / "uart/board.py").read_text()
    assert found.stdout == f"['board.py']\n{board}"
    assert emulation.noted("flash")[:0x200000] == image().ljust(0x200000, b"\xff")
    assert emulation.left_nothing()


def test_ctrl_c_is_the_repls_and_ctrl_a_x_ends_it(emulation):
    """At a terminal, which QEMU has in raw mode: nothing of a signal is seen."""
    main, terminal = pty.openpty()
    tty.setraw(terminal)
    process = emulation.start(stdin=terminal, stdout=terminal, stderr=terminal)
    os.write(main, b"\x03r.all()\r\x01x")
    while select.select([main], [], [], 0.01)[0] or process.poll() is None:
        if select.select([main], [], [], 0.01)[0]:
            os.read(main, 4096)
    assert process.wait(PATIENCE) == 0
    os.close(main)
    os.close(terminal)
    assert emulation.noted("typed") == b"\x03r.all()\r\x01x"
    assert emulation.left_nothing()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGTERM, 143)]
)
def test_a_signal_ends_both(emulation, number, code):
    process = emulation.start(
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert (emulation.notes / "ended").exists()
    assert emulation.left_nothing()


def test_an_emulator_that_fails_ends_as_it_did(emulation):
    emulation.stand_in(code=9)
    assert emulation.run().returncode == 9
    assert emulation.left_nothing()


def test_another_qemu_is_told(emulation):
    emulation.stand_in(machine="virt")
    says(emulation.run(), "has no machine esp32c3: it is not Espressif's QEMU")


def test_no_qemu_is_told(emulation):
    emulation.qemu.unlink()
    says(emulation.run(), f"there is no program {emulation.qemu}; docs/hardware.md says where")


def test_no_image_is_told(emulation):
    emulation.image.unlink()
    says(emulation.run(), f"there is no image to boot: make firmware BOARD={BOARD}")


@pytest.mark.parametrize("content", [b"", b"\xe9" * 100, b"\x00" * 0x9000])
def test_what_is_no_image_is_told(emulation, content):
    emulation.image.write_bytes(content)
    says(emulation.run(), "is no image that begins at 0")


def test_an_image_larger_than_its_flash_is_told(emulation):
    emulation.image.write_bytes(image(0).ljust(MIB + 1, b"x"))
    says(emulation.run(), "is larger than its flash of 1 MiB")


def test_an_image_without_files_is_told(emulation):
    emulation.image.write_bytes(image(label=b"nvs"))
    says(emulation.run("--uart", BINARY), "has no partition for files")


def test_a_board_that_cannot_be_emulated_is_told(emulation):
    says(emulation.run(board="SPINET_ESP32S3"), "cannot be emulated, only SPINET_ESP32C3")
