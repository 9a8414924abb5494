"""Names of Kconfig, lines of sdkconfig files, and what Kconfig makes of them.

Facts about a name are its type and the ESP-IDF versions in which it was found, one name per line
of kconfig_names.txt: `LWIP_SO_LINGER bool 5.4.2 5.5.1`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

FACTS = Path(__file__).resolve().parent / "kconfig_names.txt"
REQUIREMENT = "esp-idf-kconfig==2.5.4"  # the generation that ESP-IDF 5.4 and 5.5 ask for

TYPES = {
    "bool": re.compile(r"[yn]"),
    "int": re.compile(r"-?[0-9]+"),
    "hex": re.compile(r"0[xX][0-9a-fA-F]+"),
    "string": re.compile(r'"[^"]*"'),
}
LINE = re.compile(r"CONFIG_(\w+)=(.*)")
ENTRY = re.compile(r"\s*(?:menu)?config\s+(\w+)\s*(?:#.*)?$")
TYPE = re.compile(r"\s*(bool|int|hex|string)\b")


class BadLine(Exception):
    """What is wrong with a line of an sdkconfig file."""


def settings(text: str) -> dict[str, str]:
    """{name: value} of an sdkconfig file; raises BadLine for what is neither that nor a comment."""
    found = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if not match:
            raise BadLine(f"{line!r} is not CONFIG_NAME=value")
        found[match[1]] = match[2]
    return found


def names(text: str) -> dict[str, str]:
    """{name: type} of a Kconfig file."""
    found = {}
    name = None
    for line in text.splitlines():
        entry = ENTRY.match(line)
        if entry:
            name = entry[1]
        kind = TYPE.match(line)
        if kind and name:
            found[name] = kind[1]
            name = None
    return found


def names_of(idf: Path) -> dict[str, str]:
    """{name: type} of all Kconfig files of ESP-IDF."""
    found = names((idf / "Kconfig").read_text())
    for path in sorted((idf / "components").glob("**/Kconfig*")):
        if path.is_file() and "test" not in path.parts:
            found.update(names(path.read_text()))
    return found


def complaint(name: str, value: str, known: dict[str, str]) -> str:
    """Why this line can have no effect; "" when nothing is wrong with it."""
    if name not in known:
        return f"CONFIG_{name} is no name of Kconfig"
    if not TYPES[known[name]].fullmatch(value):
        return f"CONFIG_{name}={value} is not of its type, {known[name]}"
    return ""


# ---- facts


def read_facts(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """{name: (type, versions)}."""
    facts = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, kind, *versions = line.split()
            facts[name] = (kind, tuple(versions))
    return facts


def merged_facts(old: str, used: set[str], known: dict[str, str], version: str) -> str:
    """The facts file with this version looked up: the names in use, and none besides."""
    facts = read_facts(old)
    lines = [line for line in old.splitlines() if line.startswith("#")]
    for name in sorted(used):
        kind, versions = facts.get(name, ("", ()))
        found = set(versions) - {version}
        if name in known:
            found.add(version)
            kind = known[name]
        if found:
            lines.append(" ".join([name, kind, *sorted(found)]))
    return "\n".join(lines) + "\n"


# ---- what Kconfig makes of it


def generate(
    idf: Path, version: str, target: str, defaults: list[Path], more: list[Path], into: Path
):
    """sdkconfig, sdkconfig.h and sdkconfig.cmake in `into`, by ESP-IDF's own Kconfig tool.

    `more`: folders of components that do not belong to ESP-IDF. Returns what the tool said.
    """
    into.mkdir(parents=True, exist_ok=True)
    folders = [idf / "components", *more]
    lists = {name: component_files(folders, name) for name in ("Kconfig", "Kconfig.projbuild")}
    for name, files in lists.items():
        (into / f"{name}.list").write_text("".join(f'source "{path}"\n' for path in files))
    combined = into / "sdkconfig.defaults"
    combined.write_text("\n".join(path.read_text() for path in defaults if path.is_file()))
    (into / "sdkconfig").unlink(missing_ok=True)
    command = [sys.executable, "-m", "kconfgen", "--kconfig", idf / "Kconfig"]
    command += ["--sdkconfig-rename", idf / "sdkconfig.rename", "--config", into / "sdkconfig"]
    command += ["--defaults", combined, "--output", "config", into / "sdkconfig"]
    command += ["--output", "header", into / "sdkconfig.h"]
    command += ["--output", "cmake", into / "sdkconfig.cmake"]
    renames = component_files(folders, "sdkconfig.rename")
    renames += component_files(folders, f"sdkconfig.rename.{target}")
    environment = os.environ | {
        "PYTHONPATH": str(into.parent / "kconfig-tool"),
        "IDF_PATH": str(idf),
        "IDF_TARGET": target,
        "IDF_TOOLCHAIN": "gcc",
        "IDF_ENV_FPGA": "",
        "IDF_VERSION": version,
        "IDF_INIT_VERSION": version,
        "COMPONENT_SDKCONFIG_RENAMES": " ".join(map(str, renames)),
        "COMPONENT_KCONFIGS_SOURCE_FILE": str(into / "Kconfig.list"),
        "COMPONENT_KCONFIGS_PROJBUILD_SOURCE_FILE": str(into / "Kconfig.projbuild.list"),
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def component_files(folders: list[Path], name: str) -> list[Path]:
    """That file of every component that has it."""
    return [path for folder in folders for path in sorted(folder.glob(f"*/{name}"))]


def without_effect(wanted: dict[str, str], made: dict[str, str]) -> list[str]:
    """The lines that Kconfig did not take as they are."""
    return [
        f"CONFIG_{name}={value} has no effect: Kconfig makes it {made.get(name, 'n')}"
        for name, value in wanted.items()
        if made.get(name, "n") != value
    ]
