#!/usr/bin/env python3
"""Write docs/api.md, the reference of the controller library, from its docstrings.

What is in it, and in which order, is CONTENTS here: everything that the package exports, and what
has a module of its own because it imports another library. `--check` writes nothing and fails when
the page is not what would be written.
"""

import ast
import enum
import inspect
import sys
import textwrap
from importlib import import_module
from pathlib import Path

import spinet_controller
from spinet_controller.codes import Command

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"

CONTENTS = {
    "The module": ["Module", "News"],
    "Servers and connections": ["Server", "CallHome", "SocketTransport"],
    "Buses": ["VirtualBus", "raspberry_pi_bus", "SerialLine", "SimProcess", "Role", "Pin"],
    "Networks: `wifi`": ["wifi"],
    "Update: `update`": [
        "update",
        "update.Image",
        "NetworkModule",
        "over_network.owner_context",
        "over_network.owner_certificate",
    ],
    "Other libraries": [
        "through",
        "aiohttp_connector.ModuleConnector",
        "httpcore_backend.ModuleBackend",
    ],
    "Records": [
        "WirelessConfig",
        "EnterpriseNetwork",
        "NetworkStatus",
        "ScanData",
        "ConnStatus",
        "UpdateStatus",
        "shown",
    ],
    "Numbers": [
        "WiFiState",
        "ConnState",
        "Auth",
        "Eap",
        "EnterpriseStage",
        "Protocol",
        "ResetReason",
        "ClockWord",
        "UpdateState",
        "Response",
        "LastError",
    ],
    "Exceptions: `errors`": ["errors"],
}

_LISTED = {name for names in CONTENTS.values() for name in names}

# Called by the package itself, or by asyncio.
INTERNAL = {
    "Server": {"listen", "connection_made", "connection_gone", "get_loop", "start_serving"},
    "SocketTransport": {
        *("accepted", "opening", "next_request", "module_lost", "set_protocol", "get_protocol"),
        *("can_write_eof", "write_eof"),
    },
    "VirtualBus": {
        *("crossing", "mark_offered", "wire_lost", "frame", "transact", "withdraw", "set_reset"),
        *("wake", "pins_changed", "present", "listener"),
    },
    "News": {"tell"},
}
# Made by the library: their constructors are its own.
GIVEN = {"News", "Server", "CallHome", "SocketTransport"}

HEAD = """# The controller library's reference

`make api` writes this page from the docstrings of `controller/`. How the parts go together is in
[controller.md](controller.md). Names without a module in front are in `spinet_controller` itself.
"""


def page():
    """Give the text of the page; RuntimeError when something exported is missing, or too much."""
    listed = [name for names in CONTENTS.values() for name in names]
    exported = set(spinet_controller.__all__)
    if differing := exported ^ {name for name in listed if "." not in name}:
        raise RuntimeError(f"not both exported and in CONTENTS: {', '.join(sorted(differing))}")
    parts = [HEAD]
    for title, names in CONTENTS.items():
        parts.append(f"## {title}\n")
        for name in names:
            parts += _entry(name)
    return "\n".join(parts)


def _found(name):
    module, _, last = name.rpartition(".")
    return getattr(import_module(f"spinet_controller.{module}".rstrip(".")), last)


def _entry(name):
    found = _found(name)
    if inspect.ismodule(found):
        return _of_module(name, found)
    heading = [f"### {name}\n"]
    if isinstance(found, enum.EnumMeta):
        return [*heading, _text(found), _members(found)]
    call = [] if name in GIVEN else [f"`{_call(name.rpartition('.')[2], found)}`\n"]
    if not inspect.isclass(found):
        return [*heading, *call, _text(found)]
    return [*heading, *call, _text(found), *_methods(name, found)]


def _of_module(name, module):
    """The functions of a module, or the exceptions of `errors`."""
    own = [m for m in vars(module).values() if getattr(m, "__module__", "") == module.__name__]
    lines = [_text(module)]
    for member in own:
        if getattr(member, "__name__", "_").startswith("_"):
            continue
        if f"{name}.{member.__name__}" in _LISTED:
            continue  # it has an entry of its own
        if inspect.isclass(member):
            lines.append(_of_exception(f"{name}.{member.__name__}", member))
        elif module is not spinet_controller.errors:
            lines.append(_item(_call(f"{name}.{member.__name__}", member), member))
    return [*lines, ""]


def _of_exception(name, kind):
    bases = [base.__name__ for base in kind.__mro__[1:] if not base.__name__.startswith("_")]
    bases = bases[: bases.index("Exception")]
    return _item(name, kind, f" ({', '.join(bases)})" if bases else "")


def _methods(name, cls):
    lines = []
    for method, member in _public(cls):
        if method not in INTERNAL.get(name, ()):
            call = method if isinstance(member, property) else _call(method, member)
            lines.append(_item(call, member))
    return [*lines, ""]


def _public(cls):
    """Give the names of public methods and properties, and the members.

    Those of bases count where a base has no entry of its own.
    """
    seen = {}
    bases = [base for base in cls.__mro__ if base.__module__.startswith("spinet_controller")]
    entries = [base for base in bases[1:] if base.__name__ in spinet_controller.__all__]
    for base in reversed(bases):
        for name, member in vars(base).items():
            if not name.startswith("_") and (inspect.isfunction(member) or _is_property(member)):
                seen[name] = member
    return [(n, m) for n, m in seen.items() if not any(hasattr(base, n) for base in entries)]


def _is_property(member):
    return isinstance(member, property)


def _item(call, member, more=""):
    text = _text(member).rstrip("\n").replace("\n", "\n  ").replace("\n  \n", "\n\n")
    return f"- `{call}`{more}: {text}"


def _call(name, found):
    """Give how a function or class is used, with its parameters."""
    work = inspect.unwrap(found)
    if inspect.isgeneratorfunction(work):
        return f"with {name}{_signature(found)}".partition(" ->")[0]
    if inspect.isasyncgenfunction(work):
        return f"async with {name}{_signature(found)}".partition(" ->")[0]
    return f"{'await ' if inspect.iscoroutinefunction(found) else ''}{name}{_signature(found)}"


def _members(kind):
    names = ", ".join(f"`{member.name}`" for member in kind)
    return f"{names}\n"


def _text(found):
    if isinstance(found, type) and found.__base__ is spinet_controller.errors.ModuleError:
        return f"Response {found.code}: {found(Command.NULL).meaning}.\n"
    text = inspect.getdoc(found)
    if not text:
        raise RuntimeError(f"{found} has no docstring")
    return text + "\n"


def _signature(found):
    """Give the parameters as the source has them."""
    node = ast.parse(textwrap.dedent(inspect.getsource(found))).body[0]
    if isinstance(node, ast.ClassDef):
        made = [part for part in node.body if getattr(part, "name", "") == "__init__"]
        if not made:
            return f"({', '.join(ast.unparse(part) for part in _fields(node))})"
        (node,) = made
        node.returns = None
    node.args.args = [argument for argument in node.args.args if argument.arg != "self"]
    gives = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(node.args)}){gives}"


def _fields(node):
    """Those of a dataclass that its constructor takes."""
    return [part for part in node.body if isinstance(part, ast.AnnAssign) and _is_field(part)]


def _is_field(part):
    return not ast.unparse(part.annotation).startswith("ClassVar")


def main():
    text = page()
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.read_text() == text else "docs/api.md is not up to date: make api")
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
