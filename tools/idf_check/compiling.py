"""Our C, compiled for a chip as ESP-IDF would, and MicroPython's generated headers for it."""

import re
import subprocess
import sys
from pathlib import Path

from idf_check.parts import Parts

ATOMIC = re.compile(r"__atomic_\w+_[124]")


class Toolchain:
    """Debian's GCC and binutils for an instruction set, with a C library of Debian's."""

    def __init__(self, prefix: str, specs: str, machine: list[str]) -> None:
        self.gcc = f"{prefix}-gcc"
        self.nm = f"{prefix}-nm"
        self.machine = [*machine, f"--specs={specs}"]

    def is_instruction(self, name: str) -> bool:
        """True for a function that stands for an instruction which only the chip's own GCC has."""
        return self.gcc.startswith("xtensa") and bool(ATOMIC.fullmatch(name))


# The GCC for the ESP8266, an Xtensa without register windows. It accepts the other chips' headers.
XTENSA = Toolchain(
    "xtensa-lx106-elf",
    "/usr/lib/xtensa-lx106-elf/picolibc.specs",  # this GCC does not find it by its name
    ["-mlongcalls"],
)
RISCV = Toolchain(
    "riscv64-unknown-elf",
    "picolibc.specs",
    ["-march=rv32imc", "-mabi=ilp32"],
)
TOOLCHAINS = {"esp32": XTENSA, "esp32c3": RISCV, "esp32s3": XTENSA}
DIALECT = ["-std=gnu17", "-Os", "-ffunction-sections", "-fdata-sections", "-fno-jump-tables"]
STRICT = ["-Wall", "-Wextra", "-Werror"]
# Definitions that components of ESP-IDF pass on to the components that use them.
HANDED_ON = ["SOC_MMU_PAGE_SIZE=CONFIG_MMU_PAGE_SIZE", "SOC_XTAL_FREQ_MHZ=CONFIG_XTAL_FREQ"]
# Headers of the C library of Espressif's toolchain that Debian's lacks.
STAND_INS = Path(__file__).resolve().parent / "include"
# What is collected from the sources for MicroPython's headers.
COLLECTED = {
    "qstr": "qstrdefs.collected.h",
    "module": "moduledefs.collected",
    "root_pointer": "root_pointers.collected",
    "compress": "compressed.collected",
}


class CompileError(Exception):
    """What the compiler or a generator said."""


class Compiler:
    """The compiler with all that one component, or our modules, are compiled with."""

    def __init__(self, parts: Parts, toolchain: Toolchain, sdkconfig: Path, genhdr: Path) -> None:
        self._parts = parts
        self._toolchain = toolchain
        self._config = sdkconfig
        self._genhdr = genhdr

    def flags(self, component: str, folder_option: str = "-isystem") -> list[str]:
        """For a component of ESP-IDF, or `main`, with the definitions that ESP-IDF gives to all."""
        return self._flags(component, ("idf", component), folder_option)

    def our_flags(self, module: str) -> list[str]:
        """For one of our modules as it is linked: strict, with headers and definitions of its own.

        The linked copy is compiled for the program, which is not a component of ESP-IDF. It has
        ESP-IDF's definitions only where our CMake files pass them on.
        """
        own = [f"-I{folder}" for folder in self._parts.include[module]]
        # MicroPython's headers leave parameters unused, as it is compiled without -Wextra.
        return [*STRICT, *own, *self._flags("main", ("usermod", "main", module))]

    def _flags(self, component: str, defining, folder_option: str = "-isystem") -> list[str]:
        folders = [self._config, self._genhdr.parent, *self._parts.folders(component), STAND_INS]
        defined = [name for part in defining for name in self._parts.definition[part]]
        return [
            *self._toolchain.machine,
            *DIALECT,
            *(f"-D{name}" for name in [*HANDED_ON, *defined]),
            *(part for folder in folders for part in (folder_option, folder)),
        ]

    def compile(self, module: str, source: str, target: Path) -> None:
        """One file of ours. Raises CompileError with what the compiler said."""
        run([self._toolchain.gcc, *self.our_flags(module), "-c", source, "-o", target])

    def preprocessed(self, component: str, source: str) -> str | None:
        """The text as the compiler sees it; None when it lacks a header."""
        return self._preprocessed(self.flags(component), source)

    def own_text(self, module: str, source: Path) -> str:
        """The same for a file of ours or of MicroPython's port; "" when it lacks a header."""
        flags = self.flags("main") if module == "main" else self.our_flags(module)
        return self._preprocessed(flags, str(source)) or ""

    def _preprocessed(self, flags: list[str], source: str) -> str | None:
        command = [self._toolchain.gcc, *flags, "-w", "-E", "-P", source]
        done = subprocess.run(command, capture_output=True, check=False)
        return None if done.returncode else done.stdout.decode("latin-1")

    # ---- MicroPython's genhdr

    def generate(self, micropython: Path) -> None:
        """genhdr as MicroPython's build makes it, of py/ and our modules. Raises CompileError."""
        self._genhdr.mkdir(parents=True, exist_ok=True)
        tool = Generators(micropython / "py", self._genhdr)
        tool.write("makeversionhdr.py", self._genhdr / "mpversion.h")
        sources = [s for s in self._parts.source["main"] if Path(s).parent.name == "py"]
        # Of a system's header the preprocessor says so in the middle of what it defines.
        flags = [*self.flags("main", "-I"), "-w", "-DNO_QSTR"]
        for module in self._parts.ours():
            flags += [f"-I{folder}" for folder in self._parts.include[module]]
            sources += self._parts.source[module]
        tool.scan([self._toolchain.gcc, "-E"], flags, sources)
        for mode in COLLECTED:
            tool.collect(mode)
        self._write_qstrs(micropython, tool, flags)
        tool.make("makemoduledefs.py", "moduledefs.collected", "moduledefs.h")
        tool.make("make_root_pointers.py", "root_pointers.collected", "root_pointers.h")
        tool.make("makecompresseddata.py", "compressed.collected", "compressed.data.h")

    def _write_qstrs(self, micropython: Path, tool, flags) -> None:
        """The lists pass the preprocessor, but for the names themselves."""
        lists = [micropython / "py/qstrdefs.h", micropython / "ports/esp32/qstrdefsport.h"]
        text = "".join(path.read_text() for path in [*lists, self._genhdr / "qstrdefs.collected.h"])
        quoted = "\n".join(f'"{s}"' if s.startswith("Q(") else s for s in text.splitlines())
        out = run([self._toolchain.gcc, "-E", *flags, "-"], quoted)
        names = (s[1:-1] if s.startswith('"Q(') else s for s in out.splitlines())
        (self._genhdr / "qstrdefs.preprocessed.h").write_text("\n".join(names) + "\n")
        tool.make("makeqstrdata.py", "qstrdefs.preprocessed.h", "qstrdefs.generated.h")


class Generators:
    """MicroPython's own programs that make headers."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder

    def write(self, program: str, *arguments) -> str:
        return run([sys.executable, self._programs / program, *arguments])

    def make(self, program: str, source: str, target: str) -> None:
        (self._folder / target).write_text(self.write(program, self._folder / source))

    def scan(self, preprocessor, flags, sources) -> None:
        command = ["pp", *preprocessor, "output", self._folder / "qstr.i.last"]
        command += ["cflags", *flags, "cxxflags", *flags, "sources", *sources]
        self.write("makeqstrdefs.py", *command)

    def collect(self, mode: str) -> None:
        into = self._folder / mode
        scanned = self._folder / "qstr.i.last"
        self.write("makeqstrdefs.py", "split", mode, scanned, into, "_")
        self.write("makeqstrdefs.py", "cat", mode, "_", into, self._folder / COLLECTED[mode])


def run(command, text: str = "") -> str:
    """What it prints. Raises CompileError with what it said when it fails."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompileError((done.stderr or done.stdout).strip())
    return done.stdout
