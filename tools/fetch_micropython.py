#!/usr/bin/env python3
"""Find MicroPython's source, or fetch it once, and print the folder it is in.

A developer's own checkout, named by MICROPY_DIR, is preferred and only ever read. Without
one, Debian's source package is fetched (see debian_source.py) and unpacked under build/, where
later runs find it.
"""

import argparse
import os
import sys
from pathlib import Path

from debian_source import FetchError, Package, run, unpacked

VERSION = "1.25.0"
PACKAGE = Package(
    label=f"MicroPython {VERSION}",
    pool="pool/main/m/micropython",
    archive=f"micropython_{VERSION}+ds.orig.tar.xz",
    sha256="7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea",
    tree=f"micropython-{VERSION}",
)

# The port's makefile looks for this file before it freezes anything; Debian's package leaves
# the submodule out, and nothing of it is used here.
MPY_LIB_NOTE = Path("lib/micropython-lib/README.md")


def main() -> int:
    options = parse_arguments()
    return run(lambda: tell(options))


def tell(options: argparse.Namespace) -> None:
    source = micropython_source(options.build.resolve())
    if options.record:
        record(options.record, f"{source}\n")
    else:
        print(source)


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
    if own:
        return own_checkout(own)
    return unpacked(PACKAGE, build, build / f"micropython-{VERSION}", add_note)


def own_checkout(name: str) -> Path:
    source = Path(name).expanduser().resolve()
    if not (source / "ports/unix/Makefile").is_file():
        raise FetchError(f"MICROPY_DIR={name} is not a MicroPython checkout: it has no ports/unix")
    if " " in str(source):
        raise FetchError(f"MICROPY_DIR={name} has a space in it, which make cannot work with")
    return source


def add_note(tree: Path) -> None:
    note = tree / MPY_LIB_NOTE
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text("Not part of this source package; nothing of it is frozen here.\n")


def record(path: Path, text: str) -> None:
    """Write text, but leave the file's time alone when it already says so."""
    if not path.is_file() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
