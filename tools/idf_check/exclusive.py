"""Drivers of ESP-IDF that end the program before main() when both are linked.

The older driver of such a pair has a constructor that looks for a function of the newer one, which
is weak there: it is only defined in a program that uses the newer driver too.
"""

import re
from pathlib import Path

from idf_check import symbols
from idf_check.compiling import Compiler
from idf_check.parts import Parts

# In preprocessed text. The function ends at the first closing brace that begins a line.
CONSTRUCTOR = re.compile(r"\(\(constructor\)\)\s*static void \w+\(void\)\s*\{(.*?)^\}", re.S | re.M)
WEAK = re.compile(r"extern __attribute__\(\(weak\)\) [\w ]*?\**(\w+)\(")


def complaints(parts: Parts, compiler: Compiler) -> list[str]:
    """A line for each such pair whose drivers are both used by this board's program."""
    pairs = list(pairs_of(parts, compiler))
    used = names_used(parts, compiler)
    found = []
    for path, older, newer in pairs:
        one, other = sorted(older & used.keys()), sorted(newer & used.keys())
        if one and other:
            users = f"{used[one[0]]} uses {one[0]}, {used[other[0]]} uses {other[0]}"
            found.append(f"{path.name} ends the program before main: {users}")
    return found


def pairs_of(parts: Parts, compiler: Compiler):
    """(the older driver's file, its functions, those of the newer one that it looks for)."""
    for component, files in parts.source.items():
        for path in map(Path, files):
            text = path.read_text("latin-1") if path.is_file() else ""
            if "((constructor))" in text and "((weak))" in text:
                seen = compiler.preprocessed(component, str(path)) or ""
                newer = {name for body in CONSTRUCTOR.findall(seen) for name in WEAK.findall(body)}
                yield path, symbols.defined_in_c(seen), newer


def names_used(parts: Parts, compiler: Compiler) -> dict[str, str]:
    """{name: the file that has it}, in the compiled files of ours and of MicroPython's port."""
    used = {}
    for module in [*parts.ours(), "main"]:
        for path in map(Path, parts.source[module]):
            if path.is_file() and (module != "main" or path.parent.name == "esp32"):
                seen = compiler.own_text(module, path)
                used |= dict.fromkeys(symbols.WORD.findall(seen), path.name)
    return used
