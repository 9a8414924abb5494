"""Images as ESP-IDF makes them, for a chip of this number: one segment, the descriptor in front."""

import hashlib
import struct

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
