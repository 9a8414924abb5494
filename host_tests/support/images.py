"""Images as ESP-IDF makes them, for a chip of this number: one segment, the descriptor in front."""

import hashlib
import struct

from spinet import VERSION_TEXT

SIM = 0x5350
NEW = "9.1.0-spinet"


def image(version=NEW, chip=SIM, size=6000, project="micropython"):
    """`size` bytes, some more at the end of a line of 16 and for the hash."""
    descriptor = struct.pack("<I4x8x32s32s", 0xABCD5432, version.encode(), project.encode())
    body = descriptor.ljust(256, b"\0")
    body += bytes(i * 7 & 0xFF for i in range(max(0, size - 24 - 8 - 256 - 48)))
    head = struct.pack("<BBBBI8x", 0xE9, 1, 2, 0x20, 0x40080000)
    head = head[:12] + struct.pack("<H", chip) + bytes(9) + b"\1"
    whole = head + struct.pack("<II", 0x3F400020, len(body)) + body
    whole += bytes(-len(whole) % 16 - 1 & 15) + b"\xef"
    return whole + hashlib.sha256(whole).digest()


def pieces(data):
    """(offset, piece) of what crosses the link."""
    return [(at, data[at : at + 2048]) for at in range(0, len(data), 2048)]


class Restart(BaseException):
    """The module restarts itself."""


class MemorySlots:
    """Two slots; the other one is a bytearray."""

    def __init__(self):
        self.chip = SIM
        self.version = VERSION_TEXT
        self.slot = 0
        self.size = 65536
        self.other = bytearray(self.size)
        self.calls = []

    def erase(self, at):
        self.other[at : at + 4096] = b"\xff" * 4096

    def write(self, at, data):
        assert self.other[at : at + len(data)] == b"\xff" * len(data)
        self.other[at : at + len(data)] = data

    def read(self, at, into):
        into[:] = self.other[at : at + len(into)]

    def choose(self):
        self.calls.append("choose")

    def keep(self):
        self.calls.append("keep")

    def restart(self):
        raise Restart
