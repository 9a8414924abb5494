"""The store as aioftp sees files: one folder, with nothing in it but files."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn

import aioftp
from aioftp.pathio import universal_exception

from spinet_controller.printer.store import FileStore

ROOT = Path("/")

_FOLDER = os.stat_result((stat.S_IFDIR | 0o755, 0, 0, 1, 0, 0, 0, 0, 0, 0))


class StoreFiles(aioftp.AbstractPathIO[Path]):
    """A FileStore behind aioftp's paths. Bytes of files do not come this way (printer/ftp.py)."""

    def __init__(
        self,
        store: FileStore,
        timeout: float | None = None,
        connection: Any = None,
        state: Any = None,
    ) -> None:
        super().__init__(timeout, connection, state)
        self._store = store

    @staticmethod
    def _name(path: Path) -> str:
        return str(path)[1:]

    async def exists(self, path: Path) -> bool:
        """True for the root and for each file."""
        return path == ROOT or await self.is_file(path)

    async def is_dir(self, path: Path) -> bool:
        """True for the root."""
        return path == ROOT

    async def is_file(self, path: Path) -> bool:
        """True for each file."""
        try:
            return self._store.exists(self._name(path))
        except ValueError:
            return False

    @universal_exception
    async def stat(self, path: Path) -> os.stat_result:
        """Give what os.stat would."""
        return _FOLDER if path == ROOT else self._store.stat(self._name(path))

    async def list(self, path: Path) -> AsyncIterator[Path]:
        """Give the paths of all files, of the one, or of those that match a pattern."""
        if await self.is_file(path):
            yield path
            return
        for stored in await asyncio.to_thread(self._store.list):
            if path == ROOT or fnmatchcase(stored.name, self._name(path)):
                yield ROOT / stored.name

    async def _none(self, *_arguments: Any, **_options: Any) -> NoReturn:
        """Refuse what a flat store, or this way to it, does not have."""
        raise NotImplementedError("there are no folders")

    mkdir = rmdir = unlink = rename = _open = seek = write = read = close = _none
