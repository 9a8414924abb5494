"""The C under the chips' announcer: its core over an mDNS component that remembers; its binding."""

import ctypes
import re
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CORE = ROOT / "firmware" / "mdns"
STRICT = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")


class Text(ctypes.Structure):
    _fields_ = (("product", ctypes.c_char_p), ("version", ctypes.c_char_p))


TEXT = Text(b"Spinet", b"2.3.0")


@pytest.fixture
def core(tmp_path):
    """A component that is not started, and the core over it."""
    library = tmp_path / "core.so"
    sources = (CORE / "mdns_services.c", HERE / "component.c")
    flags = (*STRICT, "-shared", "-fPIC", f"-I{HERE}", f"-I{CORE}")
    subprocess.run(("gcc", *flags, *sources, "-o", library), check=True)
    core = ctypes.CDLL(library)
    core.told.restype = ctypes.c_char_p
    return core


def told(core):
    return core.told().decode().splitlines()


def test_a_name_is_that_of_the_services_too(core):
    assert core.services_name(b"printer") == 0
    assert told(core) == ["printer printer"]


def test_services(core):
    core.services_name(b"printer")
    assert core.services_offer(b"_http", 80, ctypes.byref(TEXT)) == 0
    assert core.services_offer(b"_ftp", 21, ctypes.byref(TEXT)) == 0
    assert told(core)[1:] == [
        "80 _http._tcp product=Spinet version=2.3.0",
        "21 _ftp._tcp product=Spinet version=2.3.0",
    ]


def test_a_service_that_moves(core):
    core.services_name(b"printer")
    core.services_offer(b"_http", 80, ctypes.byref(TEXT))
    assert core.services_offer(b"_http", 8080, ctypes.byref(TEXT)) == 0
    assert told(core)[1:] == ["8080 _http._tcp product=Spinet version=2.3.0"]


def test_a_service_that_ends(core):
    core.services_name(b"printer")
    core.services_offer(b"_http", 80, ctypes.byref(TEXT))
    assert core.services_withdraw(b"_http") == 0
    assert core.services_withdraw(b"_http") == 0
    assert told(core)[1:] == []


def test_errors_are_the_components(core):
    assert core.services_offer(b"_http", 80, ctypes.byref(TEXT)) == 0x102  # it was never started
    assert core.services_name(b"") == 0x102


def test_the_binding_compiles_against_micropython(tmp_path):
    """Names that SIM's image has not are given numbers: only the compiler's opinion is wanted."""
    source = CORE / "modmdns.c"
    known = (ROOT / "build" / "sim" / "genhdr" / "qstrdefs.generated.h").read_text()
    names = set(re.findall(r"MP_QSTR_\w+", source.read_text()))
    missing = sorted(name for name in names if f"({name}," not in known)
    extra = tmp_path / "names.h"
    extra.write_text(
        "enum { " + ", ".join(f"{n} = 9{i:03}" for i, n in enumerate(missing)) + " };\n"
    )
    micropython = Path((ROOT / "build" / "micropython.source").read_text().split()[0])
    port = micropython / "ports" / "unix"
    include = (micropython, port, ROOT / "build" / "sim", ROOT / "boards" / "SIM", CORE)
    flags = [f"-I{folder}" for folder in include]
    flags += ["-include", extra, "-fsyntax-only"]
    done = subprocess.run(
        ("gcc", *STRICT, *flags, source), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
