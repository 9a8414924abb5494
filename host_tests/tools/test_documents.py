"""What the documents name is there: files, make's targets, and names of the sources."""

import re
import subprocess
from fnmatch import fnmatch

import pytest
from project import ROOT

PLACES = ("*.md", "docs/*.md", "*/README.md", "firmware/*/README.md", "boards/**/README.md")
DOCUMENTS = sorted({path for place in PLACES for path in ROOT.glob(place)})
# Where a file may be that is named without its folder.
ROOMS = (
    *("", "docs", "modules", "modules/spinet", "boards", "boards/chip", "boards/SIM"),
    *("host_tests", "host_tests/support", "controller/spinet_controller"),
)
MADE = ("build/",)  # not in the tree
# What is not the project's own.
ELSEWHERE = {
    "boot.py": "a file of the board's owner",
    "code.py": "a program's name in CircuitPython",
    "gc.mem_free()": "CircuitPython's",
    "_boot.py": "MicroPython's",
    "lib/mbedtls": "in MicroPython's checkout",
    "lib/lwip": "the same",
    "lib/berkeley-db-1.xx": "the same",
    "ports/esp32/managed_components": "ESP-IDF's component manager makes it",
    "dialout": "a group of Debian's",
    "gpiodetect": "a program of libgpiod's",
    "strace": "a program",
    "perf": "a program",
    "spi_slave_disable()": "of ESP-IDF's driver",
}
FILE = re.compile(r"^[\w./*-]*(?:/[\w.*-]*|\.(?:py|c|h|md|mk|svg|toml|json))$")
NAME = re.compile(r"^[A-Za-z_][\w.]*(?:\(\))?$")


def tree():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


@pytest.fixture(scope="module")
def words():
    """Every word of the sources."""
    found = set()
    for name in tree():
        if not name.endswith((".md", ".svg")):
            found |= set(re.findall(r"\w+", (ROOT / name).read_text(errors="ignore")))
            found |= set(re.findall(r"\w+", name))
    return found


@pytest.fixture(scope="module")
def targets():
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def spans(document):
    """What is in backticks, outside of blocks of code."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    return [span for span in re.findall(r"`([^`\n]+)`", text) if span not in ELSEWHERE]


def is_known(name, words):
    """True for names of the sources; one that ends in _ is how several begin."""
    if name.endswith("_") and not name.endswith("__"):
        return any(word.startswith(name) for word in words)
    return set(re.findall(r"\w+", name)) <= words


def is_there(name, document):
    for room in (*ROOMS, document.parent.relative_to(ROOT).as_posix()):
        if name.startswith(("/", ".")) or any((ROOT / room).glob(name.rstrip("/"))):
            return True
    return any(fnmatch(path, "*/" + name) for path in tree())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_there(document):
    files = [s for s in spans(document) if FILE.match(s) and not s.startswith(MADE)]
    assert [name for name in files if not is_there(name, document)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_are_there(document, words):
    names = [s for s in spans(document) if NAME.match(s) and not FILE.match(s)]
    assert [name for name in names if not is_known(name, words)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_targets_are_there(document, targets):
    named = set(re.findall(r"(?:`|^ +)make ([a-z][a-z-]*)", document.read_text(), re.MULTILINE))
    assert named - targets == set()
