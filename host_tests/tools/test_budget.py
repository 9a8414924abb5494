"""`make budget`: sizes out of ELF files and settings, and what is said when builds are missing."""

import re
import subprocess
import sys

import pytest
from project import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import budget
import elf

MOST_AT_BOOT = 39600  # docs/performance.md has what it is made of

CODE = """
int table[10];
int start = 7;
char size_of_tcp_pcb[208];
char size_of_netconn[52];
char size_of_tcp_pcb_listen[76];
int f(int a) { return a + start + table[0]; }
"""


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """A BUILD folder with objects of the chips' kind, as make check-idf leaves them."""
    folder = tmp_path_factory.mktemp("build")
    into = folder / "check-idf/SPINET_ESP32C3/objects"
    (into / "usermod_x").mkdir(parents=True)
    compile_c(CODE, into / "usermod_x/x.o")
    compile_c(CODE, into / "sizes.o")
    return folder


def compile_c(text, target):
    command = ["riscv64-unknown-elf-gcc", "-march=rv32imc", "-mabi=ilp32", "-Os", "-fno-common"]
    subprocess.run([*command, "-x", "c", "-c", "-", "-o", target], input=text.encode(), check=True)


def ended(board, build):
    return subprocess.run(
        [sys.executable, ROOT / "tools/budget.py", board, "--build", build],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def run(board, build):
    done = ended(board, build)
    assert done.returncode == 0, done.stderr
    return done.stdout


def row(text, start):
    (line,) = [line for line in text.splitlines() if line.strip().startswith(start)]
    return line.strip().removeprefix(start).split()


def test_what_an_object_takes(objects):
    path = objects / "check-idf/SPINET_ESP32C3/objects/usermod_x/x.o"
    said = subprocess.run(["riscv64-unknown-elf-size", path], capture_output=True, check=True)
    text, data, bss = map(int, said.stdout.split()[6:9])
    assert elf.taken(path) == {"text": text, "data": data, "bss": bss}
    assert (data, bss) == (4, 40 + 208 + 52 + 76)


def test_sizes_of_symbols(objects):
    sizes = elf.symbol_sizes(objects / "check-idf/SPINET_ESP32C3/objects/sizes.o")
    assert (sizes["size_of_tcp_pcb"], sizes["table"]) == (208, 40)


@pytest.mark.parametrize("length", [0, 3, 40, 300])
def test_what_is_no_elf_file(objects, tmp_path, length):
    whole = (objects / "check-idf/SPINET_ESP32C3/objects/sizes.o").read_bytes()
    for data in (b"\x7fELF\x02\x01" + whole[6:], whole[:length], b"x" * length):
        (tmp_path / "file").write_bytes(data)
        with pytest.raises(elf.BadElf):
            elf.sections(tmp_path / "file")


# The sections of an image as ESP-IDF's linker scripts make them, with the flags that they have.
SECTIONS = {
    ".iram0.vectors": ("ax", "progbits", 10),
    ".iram0.text": ("ax", "progbits", 200),
    ".dram0.dummy": ("aw", "nobits", 200),
    ".dram0.data": ("aw", "progbits", 3000),
    ".noinit": ("aw", "nobits", 4),
    ".dram0.bss": ("aw", "nobits", 50000),
    ".flash.text": ("ax", "progbits", 600000),
    ".flash_rodata_dummy": ("aw", "nobits", 700000),
    ".flash.rodata": ("aw", "progbits", 80000),
    ".rtc.text": ("ax", "progbits", 16),
}


def image_with(sections, target):
    lines = [f'.section {n},"{f}",@{k}\n.space {size}\n' for n, (f, k, size) in sections.items()]
    command = ["riscv64-unknown-elf-gcc", "-march=rv32imc", "-mabi=ilp32"]
    command += ["-x", "assembler", "-c", "-", "-o", target]
    subprocess.run(command, input="".join(lines).encode(), check=True)


def test_constants_in_flash_and_placeholders_are_no_ram(tmp_path):
    image_with(SECTIONS, tmp_path / "image.elf")
    found = elf.static_ram(tmp_path / "image.elf")
    assert found == {"code": 210, "data": 3000, "bss": 50004}


def test_without_any_build_the_commands_are_named(tmp_path):
    out = run("SPINET_ESP32C3", tmp_path)
    assert row(out, "firmware image") == ["-", "not", "known", "make", "firmware"]
    assert row(out, "our modules, before freezing") == ["-", "not", "known", "make", "mpy"]
    assert row(out, "Python: the service") == ["-", "not", "known", "make", "qemu"]
    assert row(out, "rings, trace") == ["-", "not", "known", "make", "qemu"]
    assert row(out, "PCB and netconn") == ["-", "not", "known", "make", "check-idf"]


def test_settings_are_computed_with(objects):
    wanted = budget.settings_of("SPINET_ESP32C3")
    out = run("SPINET_ESP32C3", objects)
    pcbs = wanted["LWIP_MAX_ACTIVE_TCP"] * 208
    assert row(out, "lwIP's connections, at most")[:3] == [*f"{pcbs:,}".split(","), "computed"]
    assert row(out, "PCB and netconn")[:2] == ["260", "measured"]
    unread = 8 * wanted["LWIP_TCP_WND_DEFAULT"]
    assert f"{unread:,}".replace(",", " ") in out


def test_each_chip_has_objects_of_its_own(objects):
    assert row(run("SPINET_ESP32C3", objects), "our C: bss")[:2] == ["376", "measured"]
    assert row(run("SPINET_ESP32", objects), "our C: bss")[:3] == ["-", "not", "known"]


def test_an_image_is_measured_once_it_is_there(tmp_path):
    image = tmp_path / "firmware/SPINET_ESP32C3"
    image.mkdir(parents=True)
    (image / "micropython.bin").write_bytes(bytes(0x180000))
    image_with(SECTIONS, image / "micropython.elf")
    out = run("SPINET_ESP32C3", tmp_path)
    assert row(out, "firmware image")[:4] == ["1", "572", "864", "measured"]
    assert row(out, "left of its partition")[:3] == ["262", "144", "computed"]
    assert row(out, "whole image: code in RAM")[:2] == ["210", "measured"]
    assert row(out, "whole image: data")[:3] == ["3", "000", "measured"]
    assert row(out, "whole image: bss")[:3] == ["50", "004", "measured"]


def test_what_tls_takes(tmp_path):
    assert "TLS's public roots" not in run("SPINET_ESP32C3", tmp_path)
    out = run("SPINET_NINA_ESP32C3", tmp_path)
    assert row(out, "TLS's public roots") == ["-", "not", "known", "make", "firmware"]
    roots = tmp_path / "firmware/SPINET_NINA_ESP32C3/x509_crt_bundle"
    roots.parent.mkdir(parents=True)
    roots.write_bytes(bytes(68983))
    out = run("SPINET_NINA_ESP32C3", tmp_path)
    assert row(out, "TLS's public roots")[:3] == ["68", "983", "measured"]
    assert row(out, "TLS, twice in its handshake")[:3] == ["27", "648", "computed"]


def test_the_emulated_core_tells_the_heap(tmp_path):
    (tmp_path / "qemu").mkdir()
    image = ROOT / "build/qemu/firmware.elf"
    assert image.exists(), "the image for the emulated core is not built: make qemu"
    (tmp_path / "qemu/firmware.elf").symlink_to(image)
    out = run("SPINET_ESP32C3", tmp_path)
    size = row(out, "Python: the service")
    assert size[-6:] == ["measured", "emulated", "core,", "RV32,", "Python", "heap"]
    assert row(out, "spinet.duet.wire")[-3:] == ["measured", "emulated", "core"]
    slabs = row(out, "rings, trace")
    assert slabs[-6:] == ["measured", "emulated", "core,", "the", "chip's", "heap"]
    assert int("".join(slabs[:-6])) == 8 * 4096 + 8 + 10 * 512


def test_python_s_heap_at_boot():
    """What an image has on it is known to a byte, and grows only when this number is raised."""
    found = budget.heap_at_boot(ROOT / "build/qemu/firmware.elf")
    boot = found["all"]["boot"]
    assert boot / 2 < sum(found["module"].values()) + sum(found["object"].values()) <= boot
    assert boot <= MOST_AT_BOOT, found
    assert not [name for name in found["module"] if "update" in name or "partitions" in name]


@pytest.mark.parametrize("name", ["usermod_x/x.o", "sizes.o"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    path = tmp_path / "check-idf/SPINET_ESP32C3/objects" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    done = ended("SPINET_ESP32C3", tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"{path} is no ELF file, or cut short: ")
    assert len(done.stderr.splitlines()) == 1


def test_partition_is_the_one_of_the_board_s_table(tmp_path):
    assert budget.partition_size("partitions.csv") == 0x1C0000
    for board in budget.ARCHITECTURES:
        cmake = (ROOT / "boards" / board / "mpconfigboard.cmake").read_text()
        named = re.search(r"SPINET_PARTITION_TABLE (.+)\)", cmake)
        assert budget.SMALLER_FLASH.get(board) == (named and named[1])
    assert row(run("SPINET_NINA_W102", tmp_path), "partition")[:3] == ["1", "900", "544"]


def test_board_that_is_none():
    done = subprocess.run(
        [sys.executable, ROOT / "tools/budget.py", "SIM"], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"invalid choice: 'SIM'" in done.stderr
