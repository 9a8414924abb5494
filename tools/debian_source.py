"""Source packages of Debian: downloaded once, checked, and unpacked under build/.

They come from the mirrors that apt is set up with; no host is written down here. An interrupted
run leaves nothing that a later one takes for whole.

Needs nothing but Python's standard library, because it runs before the virtual environment.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from exit_code import exit_code

TIMEOUT_S = 60
CHUNK = 1 << 16


class FetchError(Exception):
    """Why there is no source, in one line that can be shown as it is."""


@dataclass(frozen=True)
class Package:
    """One archive. `tree` is the folder inside it, `advice` what else to do when it fails."""

    label: str
    pool: str
    archive: str
    sha256: str
    tree: str
    advice: str


class Progress:
    """One line on a terminal that is rewritten as bytes arrive; silent anywhere else."""

    INTERVAL_S = 0.1

    def __init__(self, label: str, total: int) -> None:
        self.label = label
        self.total = total
        self.done = 0
        self.shown = 0.0
        self.live = sys.stderr.isatty()

    def add(self, count: int) -> None:
        self.done += count
        if self.live and time.monotonic() - self.shown > self.INTERVAL_S:
            self.show()

    def show(self) -> None:
        self.shown = time.monotonic()
        part = f"{self.done * 100 // self.total:3d} %" if self.total else f"{self.done >> 10} KiB"
        print(f"\r{self.label} {part}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Wipe the line, whatever ended the transfer."""
        if self.live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def program(doc: str, fetch: Callable[[Path], None]) -> int:
    """A fetching program that is told its build folder and no more; returns its exit code."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--build", type=Path, default=Path("build"), help="where to unpack")
    build = parser.parse_args().build.resolve()
    return run(lambda: fetch(build))


def run(fetch: Callable[[], None]) -> int:
    """Run a fetching program's work; returns its exit code."""
    return exit_code(fetch, FetchError, stopped="stopped; the next run starts the download again")


def unpacked(
    package: Package,
    build: Path,
    source: Path,
    prepare: Callable[[Path], None],
    ready: Callable[[Path], bool] = Path.is_dir,
) -> Path:
    """Make `source` hold the package, unless ready(source) says that it does.

    `prepare` gets the unpacked tree before it appears under its name. Raises FetchError.
    """
    if ready(source):
        return source
    build.mkdir(parents=True, exist_ok=True)
    with (build / ".fetch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready(source):
            unpack(package, downloaded(package, build / "downloads"), source, prepare)
    return source


def downloaded(package: Package, folder: Path) -> Path:
    """The archive, checked, from the first mirror that gives it."""
    archive = folder / package.archive
    if archive.is_file() and sha256(archive) == package.sha256:
        return archive
    archive.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    refused = []
    for mirror in mirrors(package.advice):
        problem = download(package, mirror, archive)
        if not problem:
            return archive
        refused.append(problem)
    raise FetchError("; ".join(refused) + f"; try again later{package.advice}")


def download(package: Package, mirror: str, archive: Path) -> str:
    """Fetch the archive from one mirror; "" when it is there, else what went wrong.

    The bytes go to a name of their own and get the archive's name only once they are complete
    and have the right checksum, so an interrupted download is never taken for a whole one.
    """
    partial = archive.with_suffix(".part")
    url = f"{mirror.rstrip('/')}/{package.pool}/{package.archive}"
    try:
        transfer(f"Downloading {package.label}", url, partial)
    except (OSError, urllib.error.URLError) as error:
        return f"cannot download {package.archive}: {error}"
    if sha256(partial) != package.sha256:
        partial.unlink()
        return f"{package.archive} has not the checksum it should have"
    partial.replace(archive)
    return ""


def transfer(label: str, url: str, target: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
        progress = Progress(label, int(response.headers.get("Content-Length") or 0))
        try:
            with target.open("wb") as file:
                for chunk in chunks(response):
                    file.write(chunk)
                    progress.add(len(chunk))
        finally:
            progress.close()


def chunks(file) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in chunks(file):
            digest.update(chunk)
    return digest.hexdigest()


def mirrors(advice: str) -> list[str]:
    """The Debian mirrors that apt knows, each once, in apt's order."""
    known = apt_mirrors()
    if not known and os.geteuid() == 0 and shutil.which("apt-get"):
        # A machine whose package lists were never fetched names no mirror.
        subprocess.run(["apt-get", "update", "-qq"], check=False, stdout=sys.stderr)
        known = apt_mirrors()
    if not known:
        raise FetchError(f"apt names no Debian mirror: run apt-get update as root{advice}")
    return known


def apt_mirrors() -> list[str]:
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)"]
    try:
        listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    lines = (line.partition(" ") for line in listing.splitlines())
    return list(dict.fromkeys(uri for origin, _, uri in lines if origin == "Debian"))


def unpack(package: Package, archive: Path, source: Path, prepare: Callable[[Path], None]) -> None:
    """Unpack beside the final place and move there once complete."""
    print(f"Unpacking {package.label}", file=sys.stderr)
    half = source.with_name(f"{source.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    with tarfile.open(archive) as tar:
        # Early releases of Python 3.11 have no filters; the checksum vouches for the content.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(half)
    tree = half / package.tree
    prepare(tree)
    shutil.rmtree(source, ignore_errors=True)
    tree.rename(source)
    half.rmdir()
