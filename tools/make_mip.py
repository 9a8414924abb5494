#!/usr/bin/env python3
"""Packages of the modules for boards with MicroPython's own image: mpremote mip install.

For each architecture BUILD/mip/ARCHITECTURE has the modules as .mpy and a package.json that lists
them; BUILD/mip/source has them as they are. The newest release compiles them, which all from 1.25
on read: what PyPI has of 1.25 makes machine code for rv32imc that never returns.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from build_firmware import VERSION
from compile_modules import (
    ARCHITECTURES,
    PROJECT,
    CompileError,
    compile_one,
    cross_compiler,
    releases,
)
from exit_code import exit_code

SOURCE = "source"
CHIP = ("__init__.py", "announcer.py", "radio.py")  # of boards/chip; the board file is the user's


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=PROJECT / "build", help="where things go")
    parser.add_argument("--into", type=Path, help="where the packages go (BUILD/mip)")
    options = parser.parse_args()
    build = options.build.resolve()
    into = (options.into or build / "mip").resolve()
    return exit_code(lambda: make_all(build, into), CompileError)


def make_all(build: Path, into: Path) -> None:
    for kind in (*ARCHITECTURES, SOURCE):
        print(f"The package for {kind} is ready: {make(kind, build, into)}")


def modules() -> dict[Path, Path]:
    """What a package has, by the name that the board knows it by."""
    top = PROJECT / "modules"
    found = {path.relative_to(top): path for path in sorted((top / "spinet").rglob("*.py"))}
    return found | {Path("chip", name): PROJECT / "boards/chip" / name for name in CHIP}


def make(kind: str, build: Path, into: Path) -> Path:
    """Compile or copy, and list; the package.json. Raises CompileError."""
    folder = into / kind
    compiler = None if kind == SOURCE else cross_compiler(releases()[-1], build)
    shutil.rmtree(folder, ignore_errors=True)
    names = []
    for name, source in modules().items():
        target = name if kind == SOURCE else name.with_suffix(".mpy")
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        if compiler is None:
            shutil.copy(source, folder / target)
        else:
            compile_one(compiler, kind, source, folder / target, name)
        names.append(target.as_posix())
    listing = folder / "package.json"
    package = {"urls": [[name, name] for name in names], "deps": [], "version": VERSION}
    listing.write_text(json.dumps(package, indent=4) + "\n")
    return listing


if __name__ == "__main__":
    sys.exit(main())
