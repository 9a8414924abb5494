#!/usr/bin/env python3
"""Check our C and our sdkconfig files against ESP-IDF's and MicroPython's sources.

Needs no Espressif toolchain: Debian's RISC-V and Xtensa GCC compile our C, warnings as errors.
Nothing of ESP-IDF is compiled; what our objects need is looked up in its sources, as preprocessed
with the board's configuration.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import build_firmware
from build_firmware import NotReady
from exit_code import exit_code
from idf_check import exclusive, kconfig, symbols
from idf_check.compiling import TOOLCHAINS, CompileError, Compiler, run
from idf_check.parts import Parts, PartsError, ask
from idf_check.providers import Providers

PROJECT = Path(__file__).resolve().parent.parent
LWIP_TRIED = ("2.1.3", "2.2.0")  # with ESP-IDF's changes
SIM_OPTIONS = PROJECT / "boards/SIM/lwip/lwipopts.h"
OPTION = re.compile(r"^#define (\w+) ([^/\n]+?) *(?:/\*.*)?$", re.MULTILINE)
SIZES = str(PROJECT / "tools/idf_check/sizes.c")  # for make budget
PIP = ("-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check")


def main() -> int:
    options = parse_arguments()
    failures = (NotReady, PartsError, CompileError, kconfig.BadLine)
    return exit_code(lambda: Check(options).run(), *failures)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=PROJECT / "build", help="where things go")
    parser.add_argument(
        "--record", action="store_true", help="note the Kconfig names that were found"
    )
    return parser.parse_args()


class Check:
    """One run: what is at hand, then each board's configuration, then the C."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._micropython = build_firmware.micropython_checkout(os.environ.get("MICROPY_DIR", ""))
        self._idf, self._version = build_firmware.idf_sources(os.environ.get("IDF_PATH", ""))
        self._extra = extra_components(self._micropython)
        self._into = options.build.resolve() / "check-idf"
        self._record = options.record
        self._boards = {board: self._ask("board", board) for board in build_firmware.boards()}
        self._wrong = []

    def run(self) -> int:
        fetch_kconfig_tool(self._into / "kconfig-tool")
        known = kconfig.names_of(self._idf)
        print(f"ESP-IDF {self._version}, {len(known)} names of Kconfig")
        self._check_lwip()
        for board in self._boards:
            self._check_settings(board, known)
        if self._record:
            self._write_facts(known)
        for board in self._boards:
            self._check_code(board)
        for line in self._wrong:
            print(line, file=sys.stderr)
        return 1 if self._wrong else 0

    def _check_lwip(self) -> None:
        version = lwip_version(self._idf)
        print(f"lwIP {version}; tried: {', '.join(LWIP_TRIED)}")
        if version not in LWIP_TRIED:
            self._wrong.append(f"lwIP {version} was never tried; {build_firmware.SEE}")

    # ---- configuration

    def _check_settings(self, board: str, known: dict[str, str]) -> None:
        defaults = list(map(Path, self._boards[board].sdkconfig["board"]))
        absent = [path for path in defaults if not path.is_file()]
        self._wrong += [f"{board}: MicroPython has no {path}" for path in absent]
        said = self._generate(board, defaults)
        if said.returncode:
            raise NotReady(f"Kconfig fails for {board}: {' '.join(said.stderr.split())}")
        made = kconfig.settings((self._into / board / "sdkconfig").read_text())
        wanted = settings_of(defaults)
        wrong = [kconfig.complaint(name, value, known) for name, value in wanted.items()]
        wrong += [] if any(wrong) else kconfig.without_effect(wanted, made)
        self._wrong += [f"{board}: {line}" for line in wrong if line]
        print(f"{board}: {len(wanted)} settings of ours, {sum(map(bool, wrong))} of them wrong")

    def _generate(self, board: str, defaults: list[Path]):
        target = self._target(board)
        into = self._into / board
        return kconfig.generate(self._idf, self._version, target, defaults, self._extra, into)

    def _target(self, board: str) -> str:
        """ESP-IDF's name of the board's chip."""
        return self._boards[board].target["board"][0]

    def _write_facts(self, known: dict[str, str]) -> None:
        used = {name for path in our_settings() for name in kconfig.settings(path.read_text())}
        old = build_firmware.read(kconfig.FACTS)
        kconfig.FACTS.write_text(kconfig.merged_facts(old, used, known, self._version))

    def _ask(self, what: str, board: str) -> Parts:
        return ask(
            what,
            self._into / board / f"{what}.txt",
            IDF_PATH=self._idf,
            MICROPY_DIR=self._micropython,
            MICROPY_BOARD_DIR=PROJECT / "boards" / board,
            FIRMWARE=PROJECT / "firmware" / "micropython.cmake",
            SDKCONFIG_CMAKE=self._into / board / "sdkconfig.cmake",
            EXTRA_COMPONENTS=";".join(map(str, self._extra)),
        )

    # ---- code

    def _check_code(self, board: str) -> None:
        parts = self._ask("parts", board)
        for name, why in parts.refused.items():
            print(f"{board}: left out: {name}: {why[0].strip()}")
        folder = self._into / board
        target = self._target(board)
        compiler = Compiler(parts, TOOLCHAINS[target], folder, folder / "genhdr")
        try:
            compiler.generate(self._micropython)
        except CompileError as error:
            self._wrong.append(f"{board}: MicroPython's generated headers: {error}")
            return
        objects = self._compile(board, parts, compiler)
        if objects:
            providers = Providers(self._idf, target, parts, compiler)
            options = [option for name in parts.ours() for option in parts.link[name]]
            self._check_symbols(board, providers, objects, TOOLCHAINS[target], options)
        self._wrong += [f"{board}: {line}" for line in exclusive.complaints(parts, compiler)]

    def _compile(self, board: str, parts: Parts, compiler: Compiler) -> list[Path]:
        """Every file of ours; none when one of them does not compile."""
        into = self._into / board / "objects"
        shutil.rmtree(into, ignore_errors=True)
        objects, refused = [], 0
        for module in parts.ours():
            (into / module).mkdir(parents=True)
            for source in parts.source[module]:
                target = into / module / f"{Path(source).stem}.o"
                try:
                    compiler.compile(module, source, target)
                except CompileError as error:
                    self._wrong.append(f"{board}: {error}")
                    refused += 1
                objects.append(target)
        compiler.compile("main", SIZES, into / "sizes.o")
        self._check_options(board, compiler, into)
        print(f"{board}: {len(objects)} C files of ours, {refused} of them do not compile")
        return [] if refused else objects

    def _check_options(self, board: str, compiler: Compiler, into: Path) -> None:
        """What SIM claims to have as the chips have it, they have."""
        source = into / "options.c"
        source.write_text(same_options(SIM_OPTIONS.read_text()))
        try:
            compiler.compile("main", str(source), into / "options.o")
        except CompileError as error:
            self._wrong.append(f"{board}: lwIP's options: {error}")

    def _check_symbols(self, board, providers: Providers, objects, chain, options) -> None:
        defined, asked = symbols.of_nm(run([chain.nm, *objects]))
        self._wrong += [f"{board}: {line}" for line in symbols.unpaired(defined, options)]
        needed = {name for name in asked if not chain.is_instruction(name)}
        found = providers.look_up(needed)
        kinds = sorted(Counter(found.values()).items())
        print(f"{board}: symbols from {', '.join(f'{kind}: {number}' for kind, number in kinds)}")
        lacking = sorted(needed - found.keys())
        self._wrong += [f"{board}: nothing defines {name}" for name in lacking]
        print(f"{board}: {len(needed)} symbols needed, {len(lacking)} of them nowhere")


def lwip_version(idf: Path) -> str:
    """Of the lwIP that this ESP-IDF has, which is a submodule of it."""
    header = idf / "components/lwip/lwip/src/include/lwip/init.h"
    text = build_firmware.read(header)
    if not text:
        raise NotReady(f"{idf} has no lwIP: git -C {idf} submodule update --init --recursive")
    parts = ("MAJOR", "MINOR", "REVISION")
    return build_firmware.dotted(
        build_firmware.numbers(text, *(f"#define LWIP_VERSION_{part}" for part in parts))
    )


def same_options(text: str) -> str:
    """C that compiles where lwIP has the options of this lwipopts.h, but for its last section."""
    options = OPTION.findall(text.partition("/* ---- only here")[0])
    return '#include "lwip/priv/tcp_priv.h"\n' + "".join(
        f'_Static_assert({name} == ({value}), "{value} in SIM");\n' for name, value in options
    )


def settings_of(files: list[Path]) -> dict[str, str]:
    """What those of the files say that are ours."""
    wanted = {}
    for path in files:
        if PROJECT in path.parents and path in our_settings():
            wanted |= kconfig.settings(path.read_text())
    return wanted


def our_settings() -> list[Path]:
    return sorted((PROJECT / "boards").glob("*/sdkconfig.*"))


def extra_components(micropython: Path) -> list[Path]:
    """Folders of the components that ESP-IDF's component manager brings, where they are."""
    named = os.environ.get("EXTRA_COMPONENTS", "")
    folders = [Path(named).expanduser().resolve()] if named else []
    if any(not folder.is_dir() for folder in folders):
        raise NotReady(f"EXTRA_COMPONENTS={named} is no folder")
    managed = micropython / "ports/esp32/managed_components"
    return [*folders, managed] if managed.is_dir() else folders


def fetch_kconfig_tool(folder: Path) -> None:
    """ESP-IDF's Kconfig tool from PyPI, once."""
    if folder.is_dir():
        return
    print(f"Fetching {kconfig.REQUIREMENT}")
    half = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    command = [sys.executable, *PIP, "--target", half, kconfig.REQUIREMENT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it did not say why"]
        raise NotReady(f"cannot fetch {kconfig.REQUIREMENT}: {said[-1]}")
    half.rename(folder)


if __name__ == "__main__":
    sys.exit(main())
