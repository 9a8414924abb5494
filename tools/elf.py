"""Sizes in a 32-bit little-endian ELF file: what an image or an object takes of which memory."""

import struct

MAGIC = b"\x7fELF\x01\x01"
NOBITS, SYMBOLS = 8, 2
WRITE, ALLOC = 1, 2


class BadElf(Exception):
    """Why a file is not one that can be read here."""


class Section:
    """One section: its name, kind, flags and size in bytes; `data` is in the file."""

    def __init__(self, name: str, kind: int, flags: int, size: int, data: bytes) -> None:
        self.name = name
        self.kind = kind
        self.flags = flags
        self.size = size
        self.data = data


def sections(data: bytes) -> list[Section]:
    """All of them, in order. Raises BadElf."""
    if data[:6] != MAGIC:
        raise BadElf("not a 32-bit ELF file")
    try:
        (table,) = struct.unpack_from("<I", data, 0x20)
        entry, count, names = struct.unpack_from("<HHH", data, 0x2E)
        heads = [struct.unpack_from("<IIIIII", data, table + entry * i) for i in range(count)]
        strings = heads[names][4]
        return [section(data, head, strings) for head in heads]
    except (struct.error, IndexError, ValueError) as error:
        raise BadElf(f"cut short: {error}") from error


def section(data: bytes, head: tuple, strings: int) -> Section:
    name, kind, flags, _, offset, size = head
    inside = b"" if kind == NOBITS else data[offset : offset + size]
    return Section(text_at(data, strings + name), kind, flags, size, inside)


def text_at(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()


def taken(found: list[Section]) -> dict[str, int]:
    """{"text", "data", "bss"}: bytes for code and constants, with a first value, and zeroed."""
    sums = {"text": 0, "data": 0, "bss": 0}
    for part in found:
        if part.flags & ALLOC:
            sums[kind_of(part)] += part.size
    return sums


def kind_of(part: Section) -> str:
    if part.kind == NOBITS:
        return "bss"
    return "data" if part.flags & WRITE else "text"


def symbol_sizes(found: list[Section]) -> dict[str, int]:
    """{name: size} of an object's symbols."""
    sizes = {}
    for i, part in enumerate(found):
        if part.kind == SYMBOLS:
            strings = found[i + 1].data
            for at in range(0, part.size, 16):
                name, _, size = struct.unpack_from("<III", part.data, at)
                sizes[text_at(strings, name)] = size
    return sizes
