"""Sizes in a 32-bit ELF file: what an image or an object takes of which memory."""

import io
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section, SymbolTableSection

# Names of sections in ESP-IDF's linker scripts, by the memory that they are in. A placeholder takes
# no memory: it reserves addresses at which the memory of another section is visible as well.
PLACEHOLDER = "dummy"
CODE_IN_RAM = (".iram0.",)
DATA_IN_RAM = (".dram0.", ".noinit")


class BadElf(Exception):
    """Why a file is not one that can be read here."""


def taken(path: Path) -> dict[str, int]:
    """Of an object: {"text", "data", "bss"}, code and constants, with a first value, and zeroed."""
    sums = {"text": 0, "data": 0, "bss": 0}
    for section in allocated(path):
        written = section["sh_flags"] & SH_FLAGS.SHF_WRITE
        kind = "bss" if is_zeroed(section) else "data" if written else "text"
        sums[kind] += section["sh_size"]
    return sums


def static_ram(path: Path) -> dict[str, int]:
    """Of an image: {"code", "data", "bss"}, what it takes of RAM before it runs."""
    sums = {"code": 0, "data": 0, "bss": 0}
    for section in allocated(path):
        if section.name.startswith(CODE_IN_RAM):
            sums["code"] += section["sh_size"]
        elif section.name.startswith(DATA_IN_RAM):
            sums["bss" if is_zeroed(section) else "data"] += section["sh_size"]
    return sums


def symbol_sizes(path: Path) -> dict[str, int]:
    """{name: size} of an object's symbols."""
    return {
        symbol.name: symbol["st_size"]
        for section in sections(path)
        if isinstance(section, SymbolTableSection)
        for symbol in section.iter_symbols()
    }


def allocated(path: Path) -> list[Section]:
    """The sections that take memory of the chip."""
    return [
        section
        for section in sections(path)
        if section["sh_flags"] & SH_FLAGS.SHF_ALLOC and not section.name.endswith(PLACEHOLDER)
    ]


def is_zeroed(section: Section) -> bool:
    return section["sh_type"] == "SHT_NOBITS"


def sections(path: Path) -> list[Section]:
    """All of them, in order. Raises BadElf with the file's name."""
    try:
        file = ELFFile(io.BytesIO(path.read_bytes()))
        if file.elfclass == 32:
            return list(file.iter_sections())
    except ELFError as error:
        raise BadElf(f"{path} is no ELF file, or cut short: {error}") from error
    raise BadElf(f"{path} is not a 32-bit ELF file")
