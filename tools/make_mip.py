#!/usr/bin/env python3
"""Packages of compiled modules for boards with MicroPython's own image: mpremote mip install.

package.json at the top lists the modules; each goes to BUILD/mip/ARCHITECTURE as .mpy, beside a
package.json of its own. The newest release compiles them, which all from 1.25 on read: what PyPI
has of 1.25 makes machine code for rv32imc that never returns.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from compile_modules import (
    ARCHITECTURES,
    PROJECT,
    CompileError,
    compile_one,
    cross_compiler,
    releases,
)
from exit_code import exit_code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=PROJECT / "build", help="where things go")
    parser.add_argument("--into", type=Path, help="where the packages go (BUILD/mip)")
    options = parser.parse_args()
    build = options.build.resolve()
    into = (options.into or build / "mip").resolve()
    return exit_code(lambda: make_all(build, into), CompileError)


def make_all(build: Path, into: Path) -> None:
    for architecture in ARCHITECTURES:
        print(f"The package for {architecture} is ready: {make(architecture, build, into)}")


def make(architecture: str, build: Path, into: Path) -> Path:
    """Compile and list; the package.json. Raises CompileError."""
    package = json.loads((PROJECT / "package.json").read_text())
    compiler = cross_compiler(releases()[-1], build)
    folder = into / architecture
    shutil.rmtree(folder, ignore_errors=True)
    names = []
    for name, source in package["urls"]:
        target = Path(name).with_suffix(".mpy")
        compile_one(compiler, architecture, PROJECT / source, folder / target, Path(name))
        names.append(target.as_posix())
    package["urls"] = [[name, name] for name in names]
    listing = folder / "package.json"
    listing.write_text(json.dumps(package, indent=4) + "\n")
    return listing


if __name__ == "__main__":
    sys.exit(main())
