"""What the documents name is there: files, make's targets, and names of the sources."""

import functools
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
from project import ROOT

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
    "loop.start_tls()": "asyncio's",
    "WiFi.begin()": "Arduino's",
    "getTime()": "Arduino's",
    "ntptime": "a library for MicroPython",
    "setTime()": "Arduino's",
    "LEDR": "the same, and MicroPython's",
    "SCK1": "a pin's name in CircuitPython",
    "MOSI1": "the same",
    "MISO1": "the same",
    "adafruit_bus_device": "a library for CircuitPython",
    "label.local": "a name on the network",
}
FILE = re.compile(r"^[\w./*-]*(?:/[\w.*-]*|\.(?:py|c|h|md|mk|svg|toml|json))$")
NAME = re.compile(r"^[A-Za-z_][\w.]*(?:\(\))?$")


@functools.cache
def tree():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


DOCUMENTS = [ROOT / name for name in tree() if name.endswith(".md")]


@pytest.fixture(scope="module")
def sources():
    """The text of every source, by its name."""
    names = [name for name in tree() if not name.endswith((".md", ".svg", ".png"))]
    return {name: (ROOT / name).read_text(errors="ignore") for name in names}


@pytest.fixture(scope="module")
def words(sources):
    """Every word of the sources, and of their names."""
    return {word for item in sources.items() for text in item for word in re.findall(r"\w+", text)}


@pytest.fixture(scope="module")
def targets():
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def spans(document):
    """What is in backticks, outside of blocks of code; calls without their arguments."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    found = [re.sub(r"\(.*\)$", "()", span) for span in re.findall(r"`([^`\n]+)`", text)]
    return [span for span in found if span not in ELSEWHERE]


def is_known(name, words):
    """True for names of the sources; one that ends in _ is how several begin."""
    if name.endswith("_") and not name.endswith("__"):
        return any(word.startswith(name) for word in words)
    return set(re.findall(r"\w+", name)) <= words


def is_of(name, owner, sources):
    """True when `owner` is a module or a class and has `name`, or a source has owner.name."""
    for path, text in sources.items():
        is_owner = Path(path).stem == owner.lower() or f"\nclass {owner}" in text
        if f"{owner}.{name}" in text or (is_owner and name in text):
            return True
    return False


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
def test_what_is_named_with_its_owner_is_the_owners(document, sources):
    names = [s for s in spans(document) if NAME.match(s) and not FILE.match(s)]
    dotted = [(s, *re.findall(r"\w+", s)[-2:]) for s in names if "." in s]
    assert [s for s, owner, name in dotted if not is_of(name, owner, sources)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_targets_are_there(document, targets):
    named = set(re.findall(r"(?:`|^ +)make ([a-z][a-z-]*)", document.read_text(), re.MULTILINE))
    assert named - targets == set()
