"""What defines a symbol that our objects need: ESP-IDF, MicroPython, the chip or the compiler."""

from pathlib import Path

from idf_check import symbols
from idf_check.compiling import TOOLCHAINS, CompileError, Compiler, run
from idf_check.parts import Parts

LIBRARIES = ("libgcc.a", "libc.a", "libm.a")


class Providers:
    """look_up() asks the cheap ones first."""

    def __init__(self, idf: Path, target: str, parts: Parts, compiler: Compiler) -> None:
        self._idf = idf
        self._target = target
        self._chain = TOOLCHAINS[target]
        self._parts = parts
        self._compiler = compiler

    def look_up(self, needed: set[str]) -> dict[str, str]:
        """{symbol: what defines it}, without undefined ones."""
        found = {}
        passes = (
            self._rom,
            self._registers,
            self._sources,
            self._archives,
            self._toolchain,
            self._headers,
            self._every_source,
        )
        for ask in passes:
            found |= ask(needed - found.keys())
        return found

    def _sources(self, needed: set[str], mentions=None) -> dict[str, str]:
        """Sources that the board's build has, as the preprocessor leaves them."""
        found = {}
        for component, files in self._parts.source.items():
            if component.startswith("usermod"):
                continue
            who = "MicroPython" if component == "main" else "ESP-IDF"
            for path in map(Path, files):
                wanted = needed - found.keys()
                text = path.read_text("latin-1") if path.is_file() else ""  # or the build makes it
                if wanted and (mentions or symbols.mentions)(text, wanted):
                    for name in wanted & self._defined(component, path, text):
                        found[name] = who
        return found

    def _every_source(self, needed: set[str]) -> dict[str, str]:
        """The same for names that macros make, so that no text has them: takes a minute."""
        return self._sources(needed, lambda text, wanted: bool(text)) if needed else {}

    def _defined(self, component: str, path: Path, text: str) -> set[str]:
        """What this file defines."""
        if path.suffix == ".S":
            return symbols.defined_in_assembler(text)
        seen = self._compiler.preprocessed(component, str(path))
        return symbols.defined_in_c(text if seen is None else seen)

    def _rom(self, needed: set[str]) -> dict[str, str]:
        # One file has the addresses, another the names that ESP-IDF gives them.
        return self._in_scripts(needed, "esp_rom", "the ROM")

    def _registers(self, needed: set[str]) -> dict[str, str]:
        """Of peripherals, as structures at an address."""
        return self._in_scripts(needed, "soc", "registers")

    def _in_scripts(self, needed: set[str], component: str, who: str) -> dict[str, str]:
        scripts = (self._idf / "components" / component / self._target / "ld").glob("*.ld")
        defined = symbols.defined_in_linker_script("".join(path.read_text() for path in scripts))
        return dict.fromkeys(needed & defined, who)

    def _archives(self, needed: set[str]) -> dict[str, str]:
        """Libraries that ESP-IDF brings without their sources, where their submodule is there."""
        archives = (self._idf / "components").glob(f"*/lib*/{self._target}/*.a")
        return self._in_archives(needed, list(archives), "ESP-IDF's libraries")

    def _headers(self, needed: set[str]) -> dict[str, str]:
        """Without the submodule of the WiFi libraries, what their headers promise has to do."""
        folder = self._idf / "components/esp_wifi"
        if any((folder / "lib").glob("**/*.a")):
            return {}
        text = "".join(path.read_text() for path in sorted((folder / "include").glob("*.h")))
        promised = needed & set(symbols.WORD.findall(symbols.NOISE.sub("", text)))
        return dict.fromkeys(promised, "esp_wifi's headers, its libraries were not fetched")

    def _toolchain(self, needed: set[str]) -> dict[str, str]:
        """Debian's stand in for those of Espressif's toolchain."""
        asked = (self._file_of(name) for name in LIBRARIES)
        return self._in_archives(needed, list(asked), "the compiler's libraries")

    def _file_of(self, library: str) -> Path:
        gcc = [self._chain.gcc, *self._chain.machine]
        return Path(run([*gcc, f"-print-file-name={library}"]).strip())

    def _in_archives(self, needed: set[str], archives: list[Path], who: str) -> dict[str, str]:
        defined = set()
        for path in archives:
            try:
                defined |= symbols.of_nm(run([self._chain.nm, path]))[0]
            except CompileError:
                continue  # not an archive of this instruction set
        return dict.fromkeys(needed & defined, who)
