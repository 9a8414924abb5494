"""Source packages of Debian: fetched once, checked, and unpacked under build/.

An archive comes from where SOURCES says, which is a folder or a Debian mirror, else from the mirror
that apt names; no host is written down here. A submodule of the checkout that MICROPY_DIR names is
copied instead. An interrupted run leaves nothing that a later one takes for whole.

Needs nothing but Python's standard library, because it runs before the virtual environment.
"""

import argparse
import fcntl
import hashlib
import os
import re
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
NEED_PACKAGES = Path(__file__).resolve().parent / "need_packages.sh"
# Where python-apt says where Debian is: every Ubuntu has it, but for the smallest containers.
TEMPLATES = Path("/usr/share/python-apt/templates")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class FetchError(Exception):
    """Why there is no source, in one line that can be shown as it is."""


class NotThere(FetchError):
    """Debian mirrors were asked, and none gave the archive."""


@dataclass(frozen=True)
class Submodule:
    """The same source in a MicroPython checkout; the right one's header has `version` in it."""

    folder: str
    header: str
    version: re.Pattern[str]

    def checked_out(self) -> Path | None:
        """Its folder in the checkout that MICROPY_DIR names, if that is the right version."""
        folder = Path(os.environ.get("MICROPY_DIR", "")).expanduser().resolve() / self.folder
        header = folder / self.header
        fits = header.is_file() and self.version.search(header.read_text(encoding="latin-1"))
        return folder if fits else None

    def advice(self) -> str:
        """What else to do where nothing is checked out yet; "" without a checkout."""
        checkout = os.environ.get("MICROPY_DIR")
        if not checkout or (Path(checkout).expanduser() / self.folder / self.header).is_file():
            return ""
        return f", or run git -C {checkout} submodule update --init {self.folder}"


@dataclass(frozen=True)
class Package:
    """One archive. `tree` is the folder inside it, `submodule` where else the source may be."""

    label: str
    pool: str
    archive: str
    sha256: str
    tree: str
    submodule: Submodule | None = None

    def advice(self) -> str:
        """What to do when the archive cannot be had."""
        more = ", MICROPY_DIR a MicroPython checkout"
        if self.submodule:
            more = self.submodule.advice()
        return f"SOURCES may name a Debian mirror or a folder with {self.archive}{more}"


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
        """Wipe the line, after success and failure."""
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
            fill(package, build / "downloads", source, prepare)
    return source


def fill(package: Package, folder: Path, source: Path, prepare: Callable[[Path], None]) -> None:
    """Copy or unpack beside the final place and move there once complete."""
    half = source.with_name(f"{source.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    tree = half / package.tree
    own = package.submodule.checked_out() if package.submodule else None
    if own:
        print(f"Copying {own}", file=sys.stderr)
        shutil.copytree(own, tree, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    else:
        unpack(package.label, downloaded(package, folder), half)
    prepare(tree)
    shutil.rmtree(source, ignore_errors=True)
    tree.rename(source)
    half.rmdir()


def unpack(label: str, archive: Path, into: Path) -> None:
    print(f"Unpacking {label}", file=sys.stderr)
    with tarfile.open(archive) as tar:
        # Early releases of Python 3.11 have no filters; the checksum vouches for the content.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(into)


def downloaded(package: Package, folder: Path) -> Path:
    """The archive, checked, from the first place that gives it."""
    archive = folder / package.archive
    if archive.is_file() and sha256(archive) == package.sha256:
        return archive
    archive.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    refused = []
    kind = FetchError
    try:
        for url in places(package):
            problem = download(package, url, archive)
            if not problem:
                return archive
            refused.append(problem)
        kind = NotThere
    except FetchError as error:
        refused.append(str(error))
    raise kind(f"{'; '.join(refused)}; {package.advice()}")


def places(package: Package) -> Iterator[str]:
    """URLs that the archive may be at. Raises FetchError where apt names no mirror."""
    folder = os.environ.get("SOURCES", "")
    if folder and "://" not in folder:
        yield (Path(folder).expanduser().resolve() / package.archive).as_uri()
    for mirror in mirrors():
        yield f"{mirror}/{package.pool}/{package.archive}"


def download(package: Package, url: str, archive: Path) -> str:
    """Fetch the archive from one place; "" when it is there, else what went wrong.

    The bytes go to a name of their own and get the archive's name only once they are complete
    and have the right checksum, so an interrupted download is never taken for a whole one.
    """
    partial = archive.with_suffix(".part")
    try:
        transfer(f"Downloading {package.label}", url, partial)
    except (OSError, urllib.error.URLError) as error:
        return f"cannot fetch {url}: {error}"
    if sha256(partial) != package.sha256:
        partial.unlink()
        return f"{url} has not the checksum it should have"
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


def mirrors() -> Iterator[str]:
    """Debian mirrors, SOURCES' before apt's. Raises FetchError where apt names none."""
    named = os.environ.get("SOURCES", "")
    if "://" in named:
        yield named.rstrip("/")
    for mirror in apt_mirrors():
        yield mirror.rstrip("/")


def apt_mirrors() -> list[str]:
    """The Debian mirrors that apt knows, each once; on Ubuntu and its like python-apt's."""
    if not shutil.which("apt-get"):
        raise FetchError("there is no apt here that names a Debian mirror")
    known = index_targets()
    if not known and not template():
        # A machine whose package lists were never fetched names no mirror.
        if os.geteuid() != 0:
            raise FetchError("apt has no package lists yet: run sudo apt-get update")
        subprocess.run(["apt-get", "update", "-qq"], check=False, stdout=sys.stderr)
        known = index_targets()
    debian = dict.fromkeys(uri for origin, _, uri in known if origin == "Debian")
    return list(debian) or [template_mirror()]


def index_targets() -> list[tuple[str, str, str]]:
    """(origin, " ", URI) of each package list that apt has fetched."""
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)"]
    listing = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    return [line.partition(" ") for line in listing.splitlines()]


def template_mirror() -> str:
    """Where Debian is, as python-apt has it; as root its package is installed if need be."""
    needed = [f"{TEMPLATES}=python-apt-common", f"{CERTIFICATES}=ca-certificates"]
    command = [NEED_PACKAGES, "the sources", *needed]
    done = subprocess.run(
        command, check=False, stdout=sys.stderr, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise FetchError(f"apt names no Debian mirror; {done.stderr.strip()}")
    file = template()
    found = file and re.search(r"^BaseURI: (\S+)$", file.read_text(), re.MULTILINE)
    if not found:
        raise FetchError(f"apt names no Debian mirror, nor does anything in {TEMPLATES}")
    return found[1]


def template() -> Path | None:
    """What python-apt has of Debian: releases write the file's name in two ways."""
    return next((file for file in TEMPLATES.glob("*.info") if file.stem.lower() == "debian"), None)
