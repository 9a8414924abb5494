"""Objects get what they need in their constructor, and none writes another's attributes."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = sorted(path for folder in ("modules", "boards") for path in (ROOT / folder).rglob("*.py"))

# What others are to fill in: the status that boards and radios tell, the request that is answered.
RECORDS = {"status", "request"}
# Of modules, which are no objects of ours.
OF_MODULES = {
    "boards/QEMU_RV32/board.py: service.current",
    "boards/QEMU_RV32/boot_heap.py: builtins.__import__",
    "boards/SIM/sim.py: board.BOARD",
}


def stores(tree):
    """(object, attribute) of each attribute that is written, the object as in the source."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield ast.unparse(node.value), node.attr


def own(tree):
    """Attributes that an object writes of itself there."""
    return {attribute for owner, attribute in stores(tree) if owner == "self"}


def room(path):
    """The package that a file is in; the files beside the packages are a room each."""
    return path if path.parent.name == "spinet" else path.parent


def test_attributes_are_written_in_the_room_of_their_class():
    found = set()
    of_room = {}
    for path in SOURCES:
        of_room.setdefault(room(path), set()).update(own(ast.parse(path.read_text())))
    for path in SOURCES:
        for owner, attribute in stores(ast.parse(path.read_text())):
            if owner not in {"self", *RECORDS} and attribute not in of_room[room(path)]:
                found.add(f"{path.relative_to(ROOT)}: {owner}.{attribute}")
    assert found == OF_MODULES


def begun(node):
    """What is there of a class without bases once its constructor is through."""
    functions = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    there = {
        target.id for item in node.body if isinstance(item, ast.Assign) for target in item.targets
    }
    for name in ("__init__", "clear"):  # which constructors call
        there |= own(functions[name]) if name in functions else set()
    return there


def test_every_attribute_is_there_from_the_constructor_on():
    late = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.bases:
                late += [f"{path}: {node.name}.{name}" for name in own(node) - begun(node)]
    assert late == []
