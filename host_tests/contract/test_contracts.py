"""Every class that is used as a board, a radio, an announcer or a link driver keeps its contract.

The contracts are the pages in modules/spinet/contracts. Their classes are found by a method that no
other class has, so that a new fake is looked at as well. Sources are read and not imported, as most
of them run on a chip or on SIM alone.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("modules", "boards", "host_tests")
PAGES = ROOT / "modules/spinet/contracts"

# Contract: the method that tells its classes, and those that there are at least
CONTRACTS = {
    "board": ("link_port", {"Board", "ChipBoard", "UartBoard", "FakeBoard", "QuietBoard"}),
    "radio": ("scan_problem", {"SimRadio", "AirRadio", "ChipRadio", "ScriptedRadio"}),
    "announcer": ("service", {"Responder", "CaptiveDns", "Silent", "ChipAnnouncer", "Recorder"}),
    "partitions": ("choose", {"SimPartitions", "ChipPartitions"}),
    "link_driver": ("signal", {"SpiMaster", "SpiSlave", "SelectedTarget", "NoLink"}),
}
NOT_MEANT = {("link_driver", "SimProcess")}  # its signals are those of the operating system

ENTRY = re.compile(r"^    (\w+)(\(.*?\))?(?=  | [(\w]|$)", re.MULTILINE)


def shape(arguments):
    """(how many there are, what is given for those that may be left out)."""
    defaults = [ast.unparse(default) for default in arguments.defaults]
    return len(arguments.posonlyargs + arguments.args), defaults


def contract(name):
    """{method: shape; attribute: None}, as the page says."""
    page = ast.get_docstring(ast.parse((PAGES / f"{name}.py").read_text()), clean=False)
    return {
        entry: shape(ast.parse(f"def f{text}: pass").body[0].args) if text else None
        for entry, text in ENTRY.findall(page)
    }


class Source:
    """A class as its source has it."""

    def __init__(self, node, path):
        self.name = node.name
        self.where = f"{path.relative_to(ROOT)}: {node.name}"
        self.bases = [ast.unparse(base) for base in node.bases]
        self.methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
        stored = [part for part in ast.walk(node) if isinstance(getattr(part, "ctx", 0), ast.Store)]
        self.attributes = {getattr(part, "attr", getattr(part, "id", "")) for part in stored}

    def lineage(self, others):
        """Itself and its bases, as far as they are ours."""
        yield self
        for base in self.bases:
            if base in others:
                yield from others[base][0].lineage(others)


def sources():
    """{name: the classes of that name}."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    found.setdefault(node.name, []).append(Source(node, path))
    return found


CLASSES = sources()


def implementations(name):
    tells = CONTRACTS[name][0]
    for same in CLASSES.values():
        for source in same:
            family = list(source.lineage(CLASSES))
            meant = not any((name, each.name) in NOT_MEANT for each in family)
            if meant and any(tells in each.methods for each in family):
                yield source, family


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_page_is_read_as_it_is_meant(name):
    entries = contract(name)
    assert len(entries) >= 6
    assert CONTRACTS[name][0] in entries
    assert contract("radio")["join"] == (2, ["None"])
    assert contract("board")["DEBUG"] is None


@pytest.mark.parametrize("name", CONTRACTS)
def test_all_that_there_are_are_found(name):
    assert {source.name for source, _ in implementations(name)} >= CONTRACTS[name][1]


@pytest.mark.parametrize("name", CONTRACTS)
def test_each_has_what_its_contract_says(name):
    wrong = []
    for source, family in implementations(name):
        methods = {}
        for each in reversed(family):
            methods.update(each.methods)
        attributes = set().union(*(each.attributes for each in family))
        for entry, wanted in contract(name).items():
            if wanted is None:
                has = entry in attributes
            else:
                count, defaults = shape(methods[entry].args) if entry in methods else (0, [])
                has = (count - 1, defaults) == wanted
            if not has:
                wrong.append(f"{source.where}.{entry}")
    assert wrong == []
