#!/usr/bin/env python3
"""Find MicroPython's source, or fetch it once, and print the folder it is in.

A developer's own checkout, named by MICROPY_DIR, is preferred and only ever read. Without
one, the source package of Debian is downloaded from the mirrors that apt is set up with,
checked, and unpacked under build/, where later runs find it.

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
from collections.abc import Iterator
from pathlib import Path

VERSION = "1.25.0"
ARCHIVE = f"micropython_{VERSION}+ds.orig.tar.xz"
POOL = "pool/main/m/micropython"
SHA256 = "7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea"
TIMEOUT_S = 60
CHUNK = 1 << 16
OWN_CHECKOUT = "or set MICROPY_DIR to a MicroPython checkout"

# The port's makefile looks for this file before it freezes anything; Debian's package leaves
# the submodule out, and nothing of it is used here.
MPY_LIB_NOTE = Path("lib/micropython-lib/README.md")


class FetchError(Exception):
    """Why there is no source, in one line that can be shown as it is."""


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


def main() -> int:
    options = parse_arguments()
    try:
        source = micropython_source(options.build.resolve())
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the next run starts the download again", file=sys.stderr)
        return 130
    if options.record:
        record(options.record, f"{source}\n")
    else:
        print(source)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=Path("build"), help="where to unpack")
    parser.add_argument(
        "--record",
        type=Path,
        help="write the folder's name to this file, touching it only when the name changed",
    )
    return parser.parse_args()


def micropython_source(build: Path) -> Path:
    """The folder of MicroPython's source; raises FetchError."""
    own = os.environ.get("MICROPY_DIR")
    return own_checkout(own) if own else packaged_source(build)


def own_checkout(name: str) -> Path:
    source = Path(name).expanduser().resolve()
    if not (source / "ports/unix/Makefile").is_file():
        raise FetchError(f"MICROPY_DIR={name} is not a MicroPython checkout: it has no ports/unix")
    if " " in str(source):
        raise FetchError(f"MICROPY_DIR={name} has a space in it, which make cannot work with")
    return source


def packaged_source(build: Path) -> Path:
    """Debian's source, fetched and unpacked unless an earlier run has done it."""
    source = build / f"micropython-{VERSION}"
    if source.is_dir():
        return source
    build.mkdir(parents=True, exist_ok=True)
    with (build / ".fetch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not source.is_dir():
            unpack(downloaded(build / "downloads"), source)
    return source


def downloaded(folder: Path) -> Path:
    """The archive, checked, from the first mirror that gives it."""
    archive = folder / ARCHIVE
    if archive.is_file() and sha256(archive) == SHA256:
        return archive
    folder.mkdir(parents=True, exist_ok=True)
    refused = [attempt for mirror in mirrors() if (attempt := download(mirror, archive))]
    if not archive.is_file():
        raise FetchError("; ".join(refused) + f"; try again later, {OWN_CHECKOUT}")
    return archive


def download(mirror: str, archive: Path) -> str:
    """Fetch the archive from one mirror; "" when it is there, else what went wrong.

    The bytes go to a name of their own and get the archive's name only once they are complete
    and have the right checksum, so an interrupted download is never taken for a whole one.
    """
    if archive.is_file():
        return ""
    partial = archive.with_suffix(".part")
    try:
        transfer(f"{mirror.rstrip('/')}/{POOL}/{ARCHIVE}", partial)
    except (OSError, urllib.error.URLError) as error:
        return f"cannot download {ARCHIVE}: {error}"
    if sha256(partial) != SHA256:
        partial.unlink()
        return f"{ARCHIVE} has not the checksum it should have"
    partial.replace(archive)
    return ""


def transfer(url: str, target: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
        progress = Progress(
            f"Downloading MicroPython {VERSION}", int(response.headers.get("Content-Length") or 0)
        )
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


def mirrors() -> list[str]:
    """The Debian mirrors that apt knows, each once, in apt's order."""
    known = apt_mirrors()
    if not known and os.geteuid() == 0 and shutil.which("apt-get"):
        # A machine whose package lists were never fetched names no mirror.
        subprocess.run(["apt-get", "update", "-qq"], check=False, stdout=sys.stderr)
        known = apt_mirrors()
    if not known:
        raise FetchError(f"apt names no Debian mirror: run apt-get update as root, {OWN_CHECKOUT}")
    return known


def apt_mirrors() -> list[str]:
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)"]
    try:
        listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    lines = (line.partition(" ") for line in listing.splitlines())
    return list(dict.fromkeys(uri for origin, _, uri in lines if origin == "Debian"))


def unpack(archive: Path, source: Path) -> None:
    """Unpack beside the final place and move there once complete."""
    print(f"Unpacking MicroPython {VERSION}", file=sys.stderr)
    half = source.with_name(f"{source.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    with tarfile.open(archive, "r:xz") as tar:
        # Early releases of Python 3.11 have no filters; the checksum vouches for the content.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(half)
    tree = half / f"micropython-{VERSION}"
    note = tree / MPY_LIB_NOTE
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text("Not part of this source package; nothing of it is frozen here.\n")
    tree.rename(source)
    half.rmdir()


def record(path: Path, text: str) -> None:
    """Write text, but leave the file's time alone when it already says so."""
    if not path.is_file() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
