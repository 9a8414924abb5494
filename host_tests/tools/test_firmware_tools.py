"""make firmware, flash, repl, deploy, monitor: what is missing is said in one line."""

import os
import subprocess
import sys

import pytest
from project import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import check_values

import spinet

HARDWARE = "docs/hardware.md names the supported versions"


def run(command, **environment):
    clean = {
        k: v for k, v in os.environ.items() if k not in ("MICROPY_DIR", "IDF_PATH", "MAKEFLAGS")
    }
    return subprocess.run(
        command,
        cwd=ROOT,
        env=clean | {k: str(v) for k, v in environment.items()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def build(board="SPINET_ESP32", **environment):
    return run(
        [sys.executable, "tools/build_firmware.py", board, "--build", "build"], **environment
    )


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# MicroPython's programs as far as the build calls them. makeimg.py joins what idf.py has built.
CHECKOUT = {
    "ports/esp32/Makefile": "",
    "ports/esp32/makeimg.py": (
        "import sys\n"
        "parts = [open(name).read() for name in sys.argv[1:5]]\n"
        'open(sys.argv[5], "w").write("".join(parts))\n'
    ),
    "mpy-cross/Makefile": "all:\n\techo '$(MAKEFLAGS)' >$(BUILD)/mpy-cross\n",
}
# Stands in for ESP-IDF's: notes how it was called, and builds into the folder behind -B.
IDF_PY = """#!/bin/sh
env >"$NOTES/environment"
pwd >"$NOTES/folder"
for argument; do echo "$argument"; [ "$before" = -B ] && into=$argument; before=$argument; done \\
    >"$NOTES/arguments"
ls "$into" >"$NOTES/found" 2>&1
mkdir -p "$into/bootloader" "$into/partition_table"
for part in sdkconfig bootloader/bootloader.bin partition_table/partition-table.bin \\
    micropython.bin; do printf "$part " >"$into/$part"; done
exit ${IDF_EXIT:-0}
"""


@pytest.fixture
def micropython(tmp_path):
    """make_checkout(minor): a checkout as far as it is looked at and called."""

    def make(minor=26):
        folder = tmp_path / "micropython"
        for name, text in CHECKOUT.items():
            write(folder / name, text)
        write(
            folder / "py/mpconfig.h",
            f"#define MICROPY_VERSION_MAJOR 1\n#define MICROPY_VERSION_MINOR {minor}\n",
        )
        return folder

    return make


@pytest.fixture
def idf(tmp_path):
    """make_idf(minor): ESP-IDF 5.minor as far as it is looked at."""

    def make(minor=4):
        folder = tmp_path / "idf"
        write(
            folder / "tools/cmake/version.cmake",
            f"set(IDF_VERSION_MAJOR 5)\nset(IDF_VERSION_MINOR {minor})\nset(IDF_VERSION_PATCH 2)\n",
        )
        return folder

    return make


def says(done, text, code=1):
    assert done.returncode == code, done.stdout + done.stderr
    assert text in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_micropython_is_asked_for():
    says(build(), f"MICROPY_DIR is not set: it names a MicroPython checkout; {HARDWARE}")


def test_what_is_no_checkout(tmp_path):
    says(build(MICROPY_DIR=tmp_path), "has no ports/esp32")


def test_old_micropython(micropython):
    says(build(MICROPY_DIR=micropython(24)), f"is MicroPython 1.24; {HARDWARE}")


@pytest.mark.parametrize("board", ["SPINET_ESP32", "SPINET_ESP32S3"])
def test_micropython_that_compiles_viper_wrongly_for_xtensa(micropython, board):
    done = build(board, MICROPY_DIR=micropython(25))
    says(done, "MicroPython 1.25 compiles viper wrongly for esp32")
    assert HARDWARE in done.stderr


def test_the_same_micropython_for_risc_v(micropython):
    folder = micropython(25)
    done = build("SPINET_ESP32C3", MICROPY_DIR=folder)
    says(done, f"run first: git -C {folder} submodule update --init lib/berkeley-db-1.xx")
    write(folder / "lib/berkeley-db-1.xx/README", "")
    says(build("SPINET_ESP32C3", MICROPY_DIR=folder), "IDF_PATH is not set")


def test_idf_is_asked_for(micropython):
    says(
        build(MICROPY_DIR=micropython()),
        f"IDF_PATH is not set: it names ESP-IDF's folder; {HARDWARE}",
    )


def test_what_is_no_idf(micropython, tmp_path):
    says(build(MICROPY_DIR=micropython(), IDF_PATH=tmp_path), "is not ESP-IDF")


@pytest.mark.parametrize("minor", [3, 6])
def test_idf_that_is_not_supported(micropython, idf, minor):
    done = build(MICROPY_DIR=micropython(), IDF_PATH=idf(minor))
    says(done, f"is ESP-IDF 5.{minor}; {HARDWARE}")


def test_idf_that_was_not_set_up(micropython, idf):
    says(build(MICROPY_DIR=micropython(), IDF_PATH=idf()), "export.sh in this shell first")


class Called:
    """A build with stand-ins, and how it called idf.py."""

    def __init__(self, done, notes, into):
        self.done = done
        self.into = into / "firmware"
        self.image = self.into / "SPINET_ESP32/firmware.bin"
        self._notes = notes

    def noted(self, what):
        """The lines of `arguments`, `environment` or `folder`; none when it was not called."""
        path = self._notes / what
        return path.read_text().splitlines() if path.is_file() else []

    def environment(self):
        return dict(line.split("=", 1) for line in self.noted("environment") if "=" in line)


@pytest.fixture
def called(micropython, idf, tmp_path):
    """called(**environment): build an image with stand-ins for MicroPython and ESP-IDF."""
    write(tmp_path / "bin/idf.py", IDF_PY)
    (tmp_path / "bin/idf.py").chmod(0o755)
    given = {"NOTES": tmp_path, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}

    def call(**environment):
        into = tmp_path / "into"
        command = [sys.executable, "tools/build_firmware.py", "SPINET_ESP32", "--build", into]
        checkout = {"MICROPY_DIR": micropython(), "IDF_PATH": idf(5)}
        return Called(run(command, **checkout, **given, **environment), tmp_path, into)

    return call


def test_idf_is_called_for_our_board_with_our_c(called, tmp_path):
    build = called()
    assert build.done.returncode == 0, build.done.stderr
    assert build.noted("folder") == [str(tmp_path / "micropython/ports/esp32")]
    assert build.noted("arguments") == [
        "-DMICROPY_BOARD=SPINET_ESP32",
        f"-DMICROPY_BOARD_DIR={ROOT}/boards/SPINET_ESP32",
        f"-DMICROPY_LIB_DIR={build.into}/no-micropython-lib",
        f"-DUSER_C_MODULES={ROOT}/firmware/micropython.cmake",
        f"-DPROJECT_VER={spinet.VERSION_TEXT}",
        "-B",
        f"{build.into}/SPINET_ESP32",
        "reconfigure",  # finds a C module that came since the last build
        "build",
    ]
    assert (build.into / "no-micropython-lib/README.md").is_file()  # MicroPython looks for it


def test_the_image_is_made_of_what_was_built(called):
    build = called()
    parts = "sdkconfig bootloader/bootloader.bin partition_table/partition-table.bin"
    assert build.image.read_text() == f"{parts} micropython.bin "
    assert f"The image is ready: {build.image}" in build.done.stdout


def test_mpy_cross_is_that_checkouts_and_built_beside_the_image(called, tmp_path):
    build = called()
    program = build.into / "mpy-cross/mpy-cross"
    assert build.environment()["MICROPY_MPYCROSS"] == str(program)
    assert program.is_file()
    assert not (tmp_path / "micropython/mpy-cross/build").exists()


def test_nothing_of_the_calling_make_reaches_the_builds(called):
    """BUILD, in MAKEFLAGS, once made MicroPython's mpy-cross build into the folder of the image."""
    ours = {"MAKEFLAGS": " -- BUILD=/elsewhere", "BUILD": "/elsewhere", "BOARD": "SIM"}
    build = called(**ours, MAKELEVEL=2, PORT=8765)
    assert not build.environment().keys() & {*ours, "MAKELEVEL", "PORT"}
    assert "/elsewhere" not in (build.into / "mpy-cross/mpy-cross").read_text()


def test_settings_of_an_earlier_build_are_not_kept(called, tmp_path):
    write(tmp_path / "into/firmware/SPINET_ESP32/sdkconfig", "stale")
    write(tmp_path / "into/firmware/SPINET_ESP32/build.ninja", "")
    assert called().noted("found") == ["build.ninja"]


def test_a_build_that_fails_ends_as_it_did(called):
    build = called(IDF_EXIT=7)
    assert build.done.returncode == 7
    assert not build.image.exists()


def test_mpy_cross_that_cannot_be_built(called, monkeypatch):
    monkeypatch.setitem(CHECKOUT, "mpy-cross/Makefile", "all:\n\texit 3\n")
    build = called()
    assert build.done.returncode == 1
    assert "Building mpy-cross: failed with exit status 2" in build.done.stderr
    assert build.done.stderr.strip().endswith("cannot be built")
    assert build.noted("arguments") == []


def test_board_that_is_none():
    says(
        build("SPINET_C64"),
        "boards/ has SPINET_ESP32, SPINET_ESP32C3, SPINET_ESP32S3, SPINET_NINA_",
    )


# --- the Makefile's own checks


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["firmware"], "BOARD is one of SPINET_ESP32 SPINET_ESP32C3 SPINET_ESP32S3 SPINET_NINA_"),
        (["budget"], "which chip?"),
        (["firmware", "BOARD=SIM"], "not 'SIM'"),
        (["emulate", "QEMU=qemu"], "which chip?"),
        (["emulate", "BOARD=SPINET_ESP32C3"], "which emulator? QEMU names Espressif's"),
        (["emulate", "BOARD=SPINET_ESP32C3", "QEMU=q", "BUS=spi"], "BUS is uart or nothing"),
        (["flash", "PORT=/dev/null"], "which chip?"),
        (["flash", "BOARD=SPINET_ESP32"], "which serial port? for instance make flash PORT="),
        (["repl"], "which serial port? for instance make repl PORT="),
        (["deploy"], "which serial port? for instance make deploy PORT="),
        (["monitor", "PORT=/dev/no-such-port"], "there is no serial port /dev/no-such-port"),
        (["capture"], "which test? make capture TEST="),
        (["capture", "TEST=host_tests/no_such.py::test"], "there is no test host_tests/no_such.py"),
        (["run", "HTTP_PORT=65536"], "HTTP_PORT is a port from 1 to 65535, not '65536'"),
        (["run", "FTP_PORT=nowhere"], "FTP_PORT is a port from 1 to 65535, not 'nowhere'"),
        (["run", "TELNET_PORT="], "TELNET_PORT is a port from 1 to 65535, not ''"),
        (["sim", f"PORT={'9' * 20}"], "PORT is a port from 1 to 65535, not '99"),
        (["sim", "PORT=0"], "PORT is a port from 1 to 65535, not '0'"),
        (["build", "STACK=lwip sockets"], "STACK is sockets or lwip, not 'lwip sockets'"),
        (["sim", "ROLE=it's"], "ROLE is module-clocked or controller-clocked, not 'it's'"),
        (["sim", "PROTOCOL=wifinina"], "PROTOCOL is duet or nina, not 'wifinina'"),
        (["sim", "PROTOCOL=nina", "ROLE=controller-clocked"], "nina has one role only"),
        (["test", "WORKERS=-1"], "WORKERS is a number, not '-1'"),
        (["soak", "PAUSES=many"], "PAUSES is a number, not 'many'"),
        (["handshakes", "HANDSHAKES=many"], "HANDSHAKES is a number, not 'many'"),
        (["pauses", "CONTROLLER=both"], "CONTROLLER is strict or rrf, not 'both'"),
    ],
)
def test_make_says_what_is_missing(arguments, text):
    says(run(["make", "--no-print-directory", *arguments]), text, code=2)


@pytest.mark.parametrize(
    ("goals", "stack", "asked"),
    [
        (["lint"], "lwip", None),
        (["lint", "test"], "sockets", "sudo make lint"),
        (["soak"], "sockets", None),
        (["soak"], "lwip", "sudo make soak"),
    ],
)
def test_who_makes_network_namespaces_is_root(monkeypatch, goals, stack, asked):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    usual = {"WORKERS": "0", "ROLE": "module-clocked", "CONTROLLER": "", "STACK": stack}
    usual |= dict.fromkeys(("SEED", "TRANSACTIONS", "PAUSES"), "1")
    said = list(check_values.complaints(goals, usual))
    assert [line.rpartition("run ")[2] for line in said] == [asked] * bool(asked)


def test_make_run_chooses_ports_and_a_network():
    chosen = ("HTTP_PORT=8001", "HTTPS_PORT=none", "FTP_PORT=8003", "TELNET_PORT=8004")
    done = run(["make", "--dry-run", "--no-print-directory", "run", *chosen, "SSID=Our guests"])
    options = "--port 8001 --https-port none --ftp-port 8003 --telnet-port 8004 "
    told = " ".join(done.stdout.replace("\\\n", " ").split())
    assert options in told
    assert '--ssid "$SSID"' in told


@pytest.mark.parametrize(
    ("chosen", "option"),
    [
        (["ROLE=controller-clocked"], "--role controller-clocked"),
        (["PROTOCOL=nina"], "--protocol nina"),
    ],
)
def test_make_sim_chooses_a_link(chosen, option):
    done = run(["make", "--dry-run", "--no-print-directory", "sim", "PORT=8001", *chosen])
    assert f"-m sim --port 8001 {option} $after" in done.stdout


def test_flash_without_an_image():
    done = run(["make", "--no-print-directory", "flash", "BOARD=SPINET_ESP32", "PORT=/dev/null"])
    assert done.returncode == 2
    assert "there is no image to flash: make firmware BOARD=SPINET_ESP32" in done.stderr
