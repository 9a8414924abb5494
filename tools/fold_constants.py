"""Put the values of constants in the place of their names, in the sources that are frozen.

MicroPython's compiler folds `NAME = const(...)` within a module only. Used in another module, a
constant costs an entry in that module's dictionary, and a look-up each time. fold() writes a copy
of a source tree in which constants of other modules are numbers, and the texts of version.py are
where they are used. A constant that no file asks its module for is left out. Every line stays where
it is, so that tracebacks fit the source. The tree itself runs as it is, on any Python.
"""

import ast
import os
import re
import runpy
from pathlib import Path


def fold(tree, into, others=()):
    """Copy the Python files of the folder `tree` to `into`, folded; returns `into`. A word of these
    `others`, files that are used with the tree, is the name of no constant that is left out.

    A file that would not change is left alone, with its time. Raises ValueError for an f-string, in
    which Python 3.11 does not tell where a name is.
    """
    sources = {
        path.relative_to(tree): path.read_text() for path in sorted(Path(tree).rglob("*.py"))
    }
    parsed = {path: ast.parse(source) for path, source in sources.items()}
    constants = {_module_name(path): _constants_of(module) for path, module in parsed.items()}
    for path in sources:
        if path.name == "version.py":
            constants[_module_name(path)] = _texts_of(Path(tree) / path)
    folded = {path: _folded(source, parsed[path], constants) for path, source in sources.items()}
    asked = set().union(*map(_asked, folded.values()))
    asked.update(*(re.findall(r"\w+", Path(path).read_text()) for path in others))
    for path, text in folded.items():
        _write(Path(into) / path, _spared(text, asked))
    for path in Path(into).rglob("*.py"):
        if path.relative_to(into) not in sources:
            path.unlink()
    return str(into)


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        fresh = path.with_suffix(f".{os.getpid()}")  # other builds may read it at this moment
        fresh.write_text(text)
        fresh.replace(path)


def _module_name(path):
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _constants_of(module):
    """{name: number} of `NAME = const(...)` at the top of a module."""
    found = {}
    for node in module.body:
        if isinstance(node, ast.Assign) and _is_const(node.value):
            value = _number(node.value.args[0], found)
            if value is not None:
                found[node.targets[0].id] = value
    return found


def _texts_of(path):
    """{NAME: text} of a module that has nothing else."""
    return {name: text for name, text in runpy.run_path(path).items() if name.isupper()}


def _is_const(node):
    if not isinstance(node, ast.Call):
        return False
    return ast.unparse(node.func) in ("const", "micropython.const")


def _number(node, known):
    """The value of an expression of numbers and known constants, or None."""
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    allowed = (ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Load)
    if names - known.keys() or not all(isinstance(part, allowed) for part in ast.walk(node)):
        return None
    value = eval(compile(ast.Expression(node), "const", "eval"), {}, dict(known))
    return value if type(value) is int else None


def _folded(source, module, constants):
    """The source with the values of other modules' constants."""
    if any(isinstance(node, ast.JoinedStr) for node in ast.walk(module)):
        raise ValueError("a source that is frozen has an f-string: " + source.splitlines()[0])
    names, modules = _imported(module, constants)
    edits = []
    left = set()  # names that are still used
    for node in _nodes(module, lambda node: _value(node, names, modules) is not None):
        value = _value(node, names, modules)
        if value is not None:
            edits.append(
                (node, f"({value})" if isinstance(value, int) and value < 0 else repr(value))
            )
        elif isinstance(node, ast.Name):
            left.add(node.id)
    gone = (names.keys() | modules.keys()) - left
    edits += [(node, _without(node, gone)) for node in module.body if _brings(node, gone)]
    return _edited(source, edits)


def _asked(text):
    """The names for which a source asks a module or an object."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def _spared(text, asked):
    """A folded source without its constants that only itself uses: there they are numbers."""
    module = ast.parse(text)
    known = _constants_of(module)
    other = [n.id for n in ast.walk(module) if isinstance(n, ast.Name) and _is_changed(n)]
    other += [n.arg for n in ast.walk(module) if isinstance(n, ast.arg)]
    own = {
        name: value
        for name, value in known.items()
        if not name.startswith("_") and name not in asked and other.count(name) == 1
    }
    edits = []
    left = set()
    for node in module.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in own:
            edits.append((node, "pass"))
            continue
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id in own:
                edits.append((part, f"({own[part.id]})" if own[part.id] < 0 else str(own[part.id])))
            elif isinstance(part, ast.Name):
                left.add(part.id)
    if "const" not in left:
        brought = [node for node in module.body if _brings(node, {"const"})]
        edits += [(node, _without(node, {"const"})) for node in brought]
    return _edited(text, edits)


def _nodes(node, is_whole):
    """All nodes below this one, but for what is below a node that is_whole()."""
    yield node
    if not is_whole(node):
        for child in ast.iter_child_nodes(node):
            yield from _nodes(child, is_whole)


def _imported(module, constants):
    """({name: number}, {a module's name here: its constants}) of the imports at the top of a file,
    without names that mean something else somewhere in it."""
    names, modules = {}, {}
    for node in module.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                here = alias.asname or alias.name
                names[here] = constants.get(node.module, {}).get(alias.name)
                modules[here] = constants.get(f"{node.module}.{alias.name}")
    other = {n.id for n in ast.walk(module) if isinstance(n, ast.Name) and _is_changed(n)}
    other |= {n.arg for n in ast.walk(module) if isinstance(n, ast.arg)}
    names = {name: n for name, n in names.items() if n is not None and name not in other}
    return names, {name: known for name, known in modules.items() if known and name not in other}


def _is_changed(node):
    return not isinstance(node.ctx, ast.Load)


def _value(node, names, modules):
    """The number or text that a name, or a module's attribute, stands for; else None."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return modules.get(node.value.id, {}).get(node.attr)
    return None


def _brings(node, names):
    if not isinstance(node, ast.ImportFrom):
        return False
    return any((alias.asname or alias.name) in names for alias in node.names)


def _without(node, names):
    """An import without these names."""
    left = [alias for alias in node.names if (alias.asname or alias.name) not in names]
    return ast.unparse(ast.ImportFrom(node.module, left, node.level)) if left else "pass"


def _edited(source, edits):
    """Replace the text of each node. Lines that a node loses become empty ones behind it."""
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    text = source.encode()
    places = []
    for node, new in edits:
        first = starts[node.lineno - 1] + node.col_offset
        last = starts[node.end_lineno - 1] + node.end_col_offset
        places.append((first, last, new + "\n" * (node.end_lineno - node.lineno)))
    for first, last, new in sorted(places, reverse=True):
        text = text[:first] + new.encode() + text[last:]
    return text.decode()
