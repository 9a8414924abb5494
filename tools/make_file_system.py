"""A file system with one file, as MicroPython's ESP32 port mounts it. MicroPython runs this.

usage: make_file_system.py BYTES FILE IMAGE: FILE under its own name in IMAGE, of BYTES bytes.
"""

import sys

import vfs

BLOCK = 4096
BLOCK_COUNT, BLOCK_SIZE = 4, 5  # asked by ioctl()


class Flash:
    """A block device in memory; its blocks are erased before they are written."""

    def __init__(self, size):
        self.data = bytearray(b"\xff" * size)

    def readblocks(self, block, into, offset=0):
        at = block * BLOCK + offset
        into[:] = self.data[at : at + len(into)]

    def writeblocks(self, block, data, offset=0):
        at = block * BLOCK + offset
        self.data[at : at + len(data)] = data

    def ioctl(self, operation, _block):
        return {BLOCK_COUNT: len(self.data) // BLOCK, BLOCK_SIZE: BLOCK}.get(operation, 0)


def main(size, source, image):
    flash = Flash(int(size))
    vfs.VfsLfs2.mkfs(flash)
    with open(source, "rb") as file:
        content = file.read()
    files = vfs.VfsLfs2(flash)
    with files.open(source.rsplit("/", 1)[-1], "wb") as file:
        file.write(content)
    files.umount()
    with open(image, "wb") as file:
        file.write(flash.data)


main(*sys.argv[1:])
