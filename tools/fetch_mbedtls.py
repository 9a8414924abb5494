#!/usr/bin/env python3
"""Make BUILD/mbedtls hold mbedTLS, from Debian's source package or a MicroPython checkout.

Where the release that is pinned here was replaced by a security update, the update is taken: the
suite's signed index names it. Nothing happens when the folder is there already.
"""

import re
import sys
from pathlib import Path

from debian_index import current
from debian_source import NotThere, Package, Submodule, program, unpacked

VERSION = "3.6.6"
SUITE = "trixie"
PACKAGE = Package(
    label=f"mbedTLS {VERSION}",
    pool="pool/main/m/mbedtls",
    archive=f"mbedtls_{VERSION}.orig.tar.bz2",
    sha256="8fb65fae8dcae5840f793c0a334860a411f884cc537ea290ce1c52bb64ca007a",
    tree=f"mbedtls-{VERSION}",
    submodule=Submodule(
        "lib/mbedtls",
        "include/mbedtls/build_info.h",
        re.compile(r'MBEDTLS_VERSION_STRING +"3\.6\.'),
    ),
)
STAMP = ".ready"  # written last; names the archive that is pinned


def fetch(build: Path) -> None:
    """mbedTLS in its folder under `build`; raises FetchError."""
    if is_ready(build / "mbedtls"):
        return
    try:
        unpack_from(PACKAGE, build)
    except NotThere as error:
        print(f"{error}; asking {SUITE} for what it has now", file=sys.stderr)
        unpack_from(current(PACKAGE, "mbedtls", SUITE), build)


def unpack_from(package: Package, build: Path) -> None:
    unpacked(package, build, build / "mbedtls", finish, is_ready)


def is_ready(source: Path) -> bool:
    """True when the folder is what this program would make today."""
    stamp = source / STAMP
    return stamp.is_file() and stamp.read_text() == PACKAGE.sha256


def finish(tree: Path) -> None:
    (tree / STAMP).write_text(PACKAGE.sha256)


if __name__ == "__main__":
    sys.exit(program(__doc__, fetch))
