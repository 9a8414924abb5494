"""make firmware, flash, repl, deploy, monitor: what is missing is said in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
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


@pytest.fixture
def micropython(tmp_path):
    """make_checkout(minor): a checkout as far as it is looked at; its build fails with 7."""

    def make(minor=26):
        folder = tmp_path / "micropython"
        write(
            folder / "ports/esp32/Makefile",
            "all:\n\t@echo $(BOARD_DIR) $(USER_C_MODULES); exit 7\n",
        )
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
    says(build("SPINET_ESP32C3", MICROPY_DIR=micropython(25)), "IDF_PATH is not set")


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


def test_board_and_c_modules_are_given_to_the_port(micropython, idf, tmp_path):
    write(tmp_path / "bin/idf.py", "#!/bin/sh\n")
    (tmp_path / "bin/idf.py").chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = build(MICROPY_DIR=micropython(), IDF_PATH=idf(5), PATH=path)
    assert done.returncode == 2  # make's own, for the recipe's 7
    wanted = f"{ROOT}/boards/SPINET_ESP32 {ROOT}/firmware/micropython.cmake"
    assert wanted in done.stdout


def test_board_that_is_none():
    says(build("SPINET_C64"), "boards/ has SPINET_ESP32, SPINET_ESP32C3, SPINET_ESP32S3")


# --- the Makefile's own checks


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["firmware"], "BOARD is one of SPINET_ESP32 SPINET_ESP32C3 SPINET_ESP32S3, not ''"),
        (["budget"], "which chip?"),
        (["firmware", "BOARD=SIM"], "not 'SIM'"),
        (["flash", "PORT=/dev/null"], "which chip?"),
        (["flash", "BOARD=SPINET_ESP32"], "which serial port? for instance make flash PORT="),
        (["repl"], "which serial port? for instance make repl PORT="),
        (["deploy"], "which serial port? for instance make deploy PORT="),
        (["monitor", "PORT=/dev/no-such-port"], "there is no serial port /dev/no-such-port"),
        (["capture"], "which test? make capture TEST="),
        (["capture", "TEST=host_tests/no_such.py::test"], "there is no test host_tests/no_such.py"),
        (["run", "HTTP_PORT=65536"], "HTTP_PORT is a port from 1 to 65535, not '65536'"),
        (["sim", f"PORT={'9' * 20}"], "PORT is a port from 1 to 65535, not '99"),
    ],
)
def test_make_says_what_is_missing(arguments, text):
    says(run(["make", "--no-print-directory", *arguments]), text, code=2)


def test_flash_without_an_image():
    done = run(["make", "--no-print-directory", "flash", "BOARD=SPINET_ESP32", "PORT=/dev/null"])
    assert done.returncode == 2
    assert "there is no image to flash: make firmware BOARD=SPINET_ESP32" in done.stderr


# --- package.json, for mip


def test_package_has_every_module_and_nothing_that_is_not_there():
    urls = json.loads((ROOT / "package.json").read_text())["urls"]
    wanted = {
        f"spinet/{p.name}": f"modules/spinet/{p.name}"
        for p in (ROOT / "modules/spinet").iterdir()
        if p.suffix == ".py"
    }
    names = ("announcer", "chip", "radio")
    wanted |= {f"{name}.py": f"boards/chip/{name}.py" for name in names}
    assert dict(urls) == wanted
    assert all((ROOT / source).is_file() for source in wanted.values())
