"""OSError as CircuitPython has it: made of a number alone, that is its `errno`.

CPython's has none then, and CircuitPython's libraries look at it. So programs, and what they import
that is not Python's own, are compiled with another function in the place of such calls.
"""

import ast
import builtins
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

_MADE = "_circuitpython_os_error"


def _os_error(*arguments: object) -> OSError:
    if len(arguments) == 1 and isinstance(number := arguments[0], int):
        return OSError(number, os.strerror(number))
    return OSError(*arguments)


class _Calls(ast.NodeTransformer):
    """Calls of OSError become calls of _os_error()."""

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "OSError":
            node.func.id = _MADE
        return node


def compiled(source: bytes, path: str) -> CodeType:
    """Compile a program or a module."""
    return compile(_Calls().visit(ast.parse(source, path)), path, "exec")


class _Loader(SourceFileLoader):
    """Keeps no compiled files, which CPython would take for its own."""

    def get_code(self, _fullname: str) -> CodeType:
        return compiled(self.get_data(self.path), self.path)


class _Finder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in sys.stdlib_module_names:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install() -> None:
    """From now on, modules are compiled so."""
    setattr(builtins, _MADE, _os_error)
    sys.meta_path.insert(0, _Finder())
