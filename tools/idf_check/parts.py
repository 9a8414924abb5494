"""What a board is built of, as the CMake files of everybody involved say it (parts.cmake)."""

import subprocess
from collections import defaultdict
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent / "parts.cmake"
# Every component has these besides its own (ESP-IDF's build system, "common requirements").
COMMON = "cxx newlib freertos esp_hw_support heap log soc hal esp_rom esp_common esp_system"


class PartsError(Exception):
    """Why the CMake files could not be read, in one line."""


class Parts:
    """sdkconfig files, components and sources of one board.

    Each attribute is {name: [values]}: of a component, of the target `usermod_*`, or of `main`,
    which is MicroPython's port.
    """

    def __init__(self, text: str) -> None:
        lists = defaultdict(lambda: defaultdict(list))
        for line in text.splitlines():
            kind, name, value = line.split("\t")
            lists[kind][name].append(value)
        self.target = lists["target"]
        self.sdkconfig = lists["sdkconfig"]
        self.component = lists["component"]
        self.source = lists["source"]
        self.include = lists["include"]
        self.private = lists["private"]
        self.requires = lists["requires"]
        self.definition = lists["definition"]
        self.option = lists["option"]
        self.link = lists["link"]
        self.refused = lists["refused"]
        self._common = [*COMMON.split(), *lists["architecture"]["idf"]]

    def ours(self) -> list[str]:
        """The C modules of this project."""
        return sorted(name for name in self.source if name.startswith("usermod"))

    def seen_by(self, component: str) -> list[str]:
        """The components whose public headers this one finds, nearest first."""
        found, waiting = [], [component, *self._common]
        while waiting:
            name = waiting.pop(0)
            if name not in found:
                found.append(name)
                waiting += self.requires[name]
        return found

    def folders(self, component: str) -> list[str]:
        """The folders of headers that this component is compiled with."""
        folders = list(self.private[component])
        for name in self.seen_by(component):
            folders += self.include[name]
        return [folder for folder in dict.fromkeys(folders) if Path(folder).is_dir()]


def ask(what: str, output: Path, **given) -> Parts:
    """The answer of parts.cmake. Raises PartsError."""
    output.parent.mkdir(parents=True, exist_ok=True)
    values = {"WHAT": what, "OUTPUT": output, "SCRATCH": output.parent / "cmake", **given}
    command = ["cmake", *(f"-D{name}={value}" for name, value in values.items()), "-P", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PartsError(f"the CMake files cannot be read: {' '.join(done.stderr.split())}")
    return Parts(output.read_text())
