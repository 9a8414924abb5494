"""The printer's files: one folder, flat, and nothing half-written ever visible in it."""

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

LONGEST_NAME = 200
"""Bytes of a name in UTF-8."""

_FIRST, _LAST = -30_610_224_000, 253_402_300_799
"""Of the years with four digits, in seconds since 1970."""

_GRAIN = 2
"""Seconds that the coarsest file system (FAT) takes for one."""

_UPLOAD = ".upload-"
_PART = _UPLOAD + "part-"


class BadName(ValueError):
    """A name that no file may have; the text says why."""


class BadOffset(ValueError):
    """A place in a file that it does not have."""


class BadTime(ValueError):
    """A time that the disk has no room for."""


def checked_name(name: str) -> str:
    """Give `name` back when a file may have it, else raise BadName."""
    if not name or name.startswith("."):
        raise BadName("a file name must not be empty or begin with a dot")
    if any(mark in name for mark in "/\\") or not name.isprintable():
        raise BadName("a file name must not hold slashes or control characters")
    if len(name.encode()) > LONGEST_NAME:
        raise BadName(f"a file name has at most {LONGEST_NAME} bytes")
    return name


def told_time(seconds: float) -> float:
    """Give the time of a file as HTTP and FTP can tell it: its year has four digits."""
    return min(max(seconds, _FIRST), _LAST)


def _is_good(name: str) -> bool:
    try:
        checked_name(name)
    except BadName:
        return False
    return True


@dataclass(frozen=True)
class StoredFile:
    """One file: name, size in bytes, time of last change in seconds since 1970."""

    name: str
    size: int
    modified: float


StoredFiles = list[StoredFile]


class FileStore:
    """The folder `path`; calls that may take long are for a worker thread."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        for left_over in self.path.glob(_UPLOAD + "*"):
            left_over.unlink()

    def list(self) -> StoredFiles:
        """Give the StoredFiles in the order of their names.

        What others put into the folder under a name that no file may have is not among them.
        """
        found = []
        for entry in os.scandir(self.path):
            if entry.is_file() and _is_good(entry.name):
                # A file may be deleted between the listing and the question.
                with suppress(FileNotFoundError):
                    status = entry.stat()
                    found.append(StoredFile(entry.name, status.st_size, told_time(status.st_mtime)))
        return sorted(found, key=lambda stored: stored.name.casefold())

    def free(self) -> int:
        """Give the bytes that are free on the disk."""
        return shutil.disk_usage(self.path).free

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading; FileNotFoundError when it is not there."""
        return open(self._file(name), "rb")

    def delete(self, name: str) -> None:
        """Delete a file, and what an interrupted upload of its name left; or that alone.

        FileNotFoundError when neither is there.
        """
        if self.exists(name) or not self.has_part(name):
            self._file(name).unlink()
        self._part(name).unlink(missing_ok=True)

    def rename(self, name: str, new_name: str) -> None:
        """Give a file another name, which may be another file's."""
        os.replace(self._place(name), self._place(new_name))
        self._part(new_name).unlink(missing_ok=True)

    def stat(self, name: str) -> os.stat_result:
        """Give os.stat's result, in whole seconds; FileNotFoundError when it is not there."""
        status = self._file(name).stat()
        return os.stat_result((*status[:7], *map(told_time, status[7:10])))

    def touch(self, name: str, seconds: float) -> int:
        """Say when a file was changed; give the seconds that the disk has then.

        FileNotFoundError when it is not there, BadTime when the disk has no room for that.
        """
        file = self._file(name)
        before = file.stat()
        os.utime(file, (seconds, seconds))
        kept = int(file.stat().st_mtime)
        if abs(kept - seconds) > _GRAIN:  # the file system took what it can hold, in silence
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
            raise BadTime("the disk has no room for that time")
        return kept

    def size(self, name: str) -> int:
        """Give the bytes of a file, or of the part when there is no file of that name.

        FileNotFoundError when there is neither.
        """
        found = self._place(name) if self.exists(name) else self._begun(name)
        return found.stat().st_size

    def has_part(self, name: str) -> bool:
        """True when an interrupted upload of that name left a part."""
        return self._part(name).is_file()

    def exists(self, name: str) -> bool:
        """True when there is a file of that name."""
        return self._place(name).is_file()

    def _file(self, name: str) -> Path:
        place = self._place(name)
        if not place.is_file():
            raise FileNotFoundError(f"there is no file {name}")
        return place

    def _place(self, name: str) -> Path:
        return self.path / checked_name(name)

    def _part(self, name: str) -> Path:
        return self.path / (_PART + checked_name(name))

    def _begun(self, name: str) -> Path:
        part = self._part(name)
        return part if part.is_file() else self._file(name)

    @contextmanager
    def upload(self, name: str, *, keep_part: bool = False) -> Iterator[io.FileIO]:
        """Give a file to write into, which gets its name only when the block ends well.

        What a broken one left is removed; with `keep_part` it stays, unless the disk is what
        failed: out of sight, until an upload of that name is complete or the store is made anew.
        """
        place = self._place(name)
        handle, temporary = tempfile.mkstemp(prefix=_UPLOAD, dir=self.path)
        try:
            with open(handle, "wb", buffering=0) as file:
                yield file
            os.chmod(temporary, 0o644)
            os.replace(temporary, place)
            self._part(name).unlink(missing_ok=True)
        except BaseException as error:
            if keep_part and not _is_of_disk(error) and os.path.getsize(temporary):
                os.replace(temporary, self._part(name))
            else:
                os.unlink(temporary)
            raise

    @contextmanager
    def resume(self, name: str, offset: int | None = None) -> Iterator[io.FileIO]:
        """Give a file as upload() does, at its end: its first `offset` bytes are there already.

        They are those of a part that was kept, else of the file of that name. Without an `offset`
        all of the file are there, else all of the part, as size() tells. A file that grows leaves
        no part: it would not end where the file does.
        BadOffset when there are fewer, FileNotFoundError when there are none.
        """
        grows = offset is None and self.exists(name)
        begun = self._place(name) if grows else self._begun(name)
        with open(begun, "rb") as source, self.upload(name, keep_part=not grows) as file:
            _copy(source, file, offset)
            yield file


def _is_of_disk(error: BaseException) -> bool:
    """True for a failure of the disk's; those of connections are OSErrors too."""
    return isinstance(error, OSError) and not isinstance(error, (ConnectionError, TimeoutError))


def _copy(source: IO[bytes], target: IO[bytes], length: int | None) -> None:
    if source.seek(0, 2) < (length or 0):
        raise BadOffset("the file is shorter than that")
    source.seek(0)
    with open(target.fileno(), "wb", closefd=False) as whole:  # it may take a part at once
        shutil.copyfileobj(source, whole)
    target.truncate(length)
    target.seek(0, 2)
