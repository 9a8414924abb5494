"""Which names a piece of C, assembler or linker script defines for others to link with."""

import re

TOKEN = re.compile(
    r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z_]\w*|[{}()\[\];=,]|\S', re.DOTALL
)
NOISE = re.compile(r"/\*.*?\*/|//[^\n]*|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$", re.DOTALL | re.MULTILINE)
WORD = re.compile(r"[A-Za-z_]\w*")
OPENING, CLOSING = "([", ")]"
# Followed by parentheses that are no parameters.
ATTRIBUTES = {"__attribute__", "__attribute", "__asm__", "asm", "_Alignas", "__declspec"}
NEVER = {"typedef", "static"}
INLINE = {"inline", "__inline", "__inline__"}
ALIAS = {"alias", "__alias__"}
TAGGED = {"struct", "union", "enum"}
WRAP = "__wrap_"
ROM = re.compile(r"^\s*(?:PROVIDE\s*\(\s*)?(\w+)\s*=\s*(\w+)", re.MULTILINE)
LABEL = re.compile(r"^\s*\.(?:global|globl|weak)\s+(\w+)", re.MULTILINE)


def defined_in_c(text: str) -> set[str]:
    """The functions and variables with external linkage that it defines.

    Best of preprocessed text; of text as written, only what no macro makes or hides.
    """
    names = set()
    for statement, has_body in statements(NOISE.sub("", text)):
        name = defined_by(statement, has_body)
        if name:
            names.add(name)
    return names


def statements(text: str):
    """(tokens, whether a body in braces ends it) of everything outside of braces."""
    tokens, depth, parentheses = [], 0, 0
    ended = False
    for token in TOKEN.findall(text):
        if token == "{":
            if not depth and not parentheses:
                ended = is_function(tokens)
            depth += 1
        elif token == "}":
            depth -= 1
            if not depth and ended:
                yield tokens, True
                tokens, ended = [], False
        elif depth:
            continue
        elif token == ";" and not parentheses:
            yield tokens, False
            tokens = []
        else:
            parentheses += (token in OPENING) - (token in CLOSING)
            tokens.append(token)


def is_function(tokens: list[str]) -> bool:
    """A brace after these tokens opens a function's body, rather than values or members."""
    return "=" not in tokens and declared(plain(tokens))[1]


def defined_by(tokens: list[str], has_body: bool) -> str:
    """The name that is defined by this statement; "" when it is none to link with."""
    rest = plain(tokens)
    if not rest or NEVER & set(rest) or (rest[0] in TAGGED and len(rest) <= 2):
        return ""
    name, is_called = declared(rest)
    if has_body:
        # inline without extern is nothing that others can link with
        return "" if INLINE & set(rest) and "extern" not in rest else name
    if is_called:
        return name if ALIAS & set(tokens) else ""
    return "" if "extern" in rest and "=" not in rest else name


def plain(tokens: list[str]) -> list[str]:
    """Without attributes."""
    kept, i = [], 0
    while i < len(tokens):
        if tokens[i] in ATTRIBUTES:
            i = after_parentheses(tokens, i + 1)
        else:
            kept.append(tokens[i])
            i += 1
    return kept


def declared(tokens: list[str]) -> tuple[str, bool]:
    """(the name that is declared, whether parameters follow it)."""
    name, pointer = "", False
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if token == "(" and name and following == "*":
            pointer = True
        elif token == "(" and name:
            return name, not pointer
        if token in ("=", "[", ","):
            break
        if WORD.fullmatch(token):
            name = token
    return name, False


def after_parentheses(tokens: list[str], i: int) -> int:
    """The index after the pair of parentheses that begins at i, with what is between."""
    depth = 0
    while i < len(tokens):
        depth += (tokens[i] == "(") - (tokens[i] == ")")
        i += 1
        if not depth:
            break
    return i


def mentions(text: str, names: set[str]) -> bool:
    """Whether one of these may be defined there: a macro may add the last part of a name."""
    stems = {name.rpartition("_")[0] for name in names if name.startswith("__")}
    return bool((names | stems) & set(WORD.findall(text)))


def defined_in_assembler(text: str) -> set[str]:
    """Its global labels."""
    return set(LABEL.findall(text))


def defined_in_linker_script(text: str) -> set[str]:
    """The functions of the ROM, or registers: names of addresses, and other names for those."""
    given = dict(ROM.findall(text))
    return {name for name in given if is_address(name, given)}


def is_address(name: str, given: dict[str, str]) -> bool:
    """Following its names to the end leads to a number."""
    for _ in given:
        if name not in given:
            break
        name = given[name]
    return name.startswith("0x")


def of_nm(text: str) -> tuple[set[str], set[str]]:
    """(defined, needed) of what nm prints of one or more objects.

    With --wrap the linker takes NAME for __real_NAME, so NAME is what is needed; and so it is for a
    __wrap_NAME, which would stand in for nothing.
    """
    defined, needed = set(), set()
    for line in text.splitlines():
        kind, _, name = line.strip().rpartition(" ")
        kind = kind[-1:]
        if kind in ("U", "w"):
            needed.add(name.removeprefix("__real_"))
        elif kind in "TDBRVWCG" and kind:
            defined.add(name)
    needed |= {name.removeprefix(WRAP) for name in defined if name.startswith(WRAP)}
    return defined, needed - defined


def unpaired(defined: set[str], options: list[str]) -> list[str]:
    """What is wrong: functions __wrap_NAME and options -Wl,--wrap=NAME need each other."""
    parts = {part for option in options for part in option.split(",")}
    asked = {part.removeprefix("--wrap=") for part in parts if part.startswith("--wrap=")}
    there = {name.removeprefix(WRAP) for name in defined if name.startswith(WRAP)}
    return [
        *(f"no option of the linker's says --wrap={name}" for name in sorted(there - asked)),
        *(f"nothing defines {WRAP}{name}" for name in sorted(asked - there)),
    ]
