"""Flash whose power is cut: after any number of steps, under three kinds of file systems.

Every byte written and every change of a directory is a step, and the power can go before it. Only
`files` outlives a cut. The kinds are no kinder than the real ones:
    littlefs   a file's new contents appear when it is closed, renaming is one commit
    fat        bytes appear one by one; renaming over a file removes it first
    fat-late   the same, but a file's length is told when it is closed: until then it has none
"""

import errno
import os

KINDS = ("littlefs", "fat", "fat-late")


class PowerCut(BaseException):
    """Nothing more happens. No `except Exception` of the firmware may catch it."""


class Flash:
    """open(), stat(), remove() and rename() as the firmware uses them."""

    def __init__(self, kind):
        self.kind = kind
        self.files = {}
        self.steps = 0
        self.cut_at = None  # the step before which the power goes
        self.full_at = None  # bytes that a file can have

    def step(self):
        if self.steps == self.cut_at:
            raise PowerCut
        self.steps += 1

    def power_on(self, cut_at=None):
        self.steps = 0
        self.cut_at = cut_at

    def _must_exist(self, path):
        if path not in self.files:
            raise OSError(errno.ENOENT, "no such file")

    def open(self, path, mode):
        if mode == "rb":
            self._must_exist(path)
            return Reader(self.files[path])
        assert mode == "wb"
        self.step()
        if self.kind != "littlefs" or path not in self.files:
            self.files[path] = b""
        return Writer(self, path)

    def stat(self, path):
        self._must_exist(path)
        return os.stat_result((0, 0, 0, 0, 0, 0, len(self.files[path]), 0, 0, 0))

    def remove(self, path):
        self._must_exist(path)
        self.step()
        del self.files[path]

    def rename(self, before, after):
        self._must_exist(before)
        if self.kind != "littlefs" and after in self.files:
            self.step()
            del self.files[after]
        self.step()
        self.files[after] = self.files.pop(before)


class Reader:
    """An open file."""

    def __init__(self, data):
        self._data = data

    def __enter__(self):
        return self

    def __exit__(self, *_what):
        pass

    def read(self, n):
        return self._data[:n]


class Writer:
    """A file that is being written."""

    def __init__(self, flash, path):
        self._flash = flash
        self._path = path
        self._data = b""

    def __enter__(self):
        return self

    def __exit__(self, kind, *_what):
        if kind is not PowerCut:
            self._flash.step()
            self._flash.files[self._path] = self._data

    def write(self, data):
        flash = self._flash
        for byte in bytes(data):
            flash.step()
            if len(self._data) == flash.full_at:
                raise OSError(errno.ENOSPC, "no space left")
            self._data += bytes([byte])
            if flash.kind == "fat":
                flash.files[self._path] = self._data
        return len(data)
