"""What is frozen has the values of other modules' constants, line by line where its source is."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from project import ROOT

sys.path.insert(0, str(ROOT / "tools"))

from fold_constants import fold

LIB = """from micropython import const
SIZE = const(4)
DOUBLE = const(SIZE * 2)
NEGATIVE = const(-7)
_OWN = const(1)
TEXT = const("text")
late = 5
def act(): return SIZE
"""


@pytest.fixture
def folded(tmp_path):
    """folded(source) -> the folded text of a module beside pack/lib.py."""

    def run(source, lib=LIB):
        tree = tmp_path / "tree"
        (tree / "pack").mkdir(parents=True, exist_ok=True)
        (tree / "pack/lib.py").write_text(lib)
        (tree / "pack/version.py").write_text('NUMBER = "1.2"\nTEXT = NUMBER + "-x"\n')
        (tree / "user.py").write_text(source)
        return (tmp_path / fold(tree, tmp_path / "out") / "user.py").read_text()

    return run


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("from pack.lib import SIZE\nx = SIZE\n", "pass\nx = 4\n"),
        ("from pack.lib import SIZE as N, act\nx = N\n", "from pack.lib import act\nx = 4\n"),
        ("from pack import lib\nx = lib.DOUBLE + 1\n", "pass\nx = 8 + 1\n"),
        ("from pack import lib\nx = lib.act(lib.SIZE)\n", "from pack import lib\nx = lib.act(4)\n"),
        ("from pack.lib import NEGATIVE\nx = 2 - NEGATIVE\n", "pass\nx = 2 - (-7)\n"),
        (
            "from pack.lib import (\n    SIZE,\n    act,\n)\nx = SIZE\n",
            "from pack.lib import act\n\n\n\nx = 4\n",
        ),
        ("from pack.lib import TEXT, late\nx = TEXT, late\n",) * 2,
        ("from pack import version\nx = version.TEXT\n", "pass\nx = '1.2-x'\n"),
        ("from pack.lib import SIZE\ndef f(SIZE): return SIZE\n",) * 2,
        ("from pack.lib import SIZE\nSIZE = 3\n",) * 2,
        ("from pack import lib\ndef f(lib): return lib.SIZE\n",) * 2,
        ("def f():\n    from pack.lib import SIZE\n    return SIZE\n",) * 2,
        ("s = '☕'; from pack.lib import SIZE; x = '☕', SIZE\n", "s = '☕'; pass; x = '☕', 4\n"),
    ],
)
def test_folding(folded, source, wanted):
    assert folded(source) == wanted


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("SIZE = const(4)\nx = SIZE\n", "pass\n\npass\nx = 4\n"),
        ("LESS = const(-4)  # why\nx = 2 - LESS\n", "pass\n\npass  # why\nx = 2 - (-4)\n"),
        ("ASKED = const(4)\nx = ASKED\n",) * 2,
        ("WORD = const(4)\nx = WORD\n",) * 2,
        ("_OWN = const(4)\nx = _OWN\n",) * 2,
        ("SIZE = const(4)\nSIZE = 5\n",) * 2,
        ("SIZE = const(4)\ndef f(SIZE): return SIZE\n",) * 2,
        (
            "SIZE = const(4)\nTWICE = const(SIZE * 2)\nx.TWICE\n",
            "pass\nTWICE = const(4 * 2)\nx.TWICE\n",
        ),
    ],
)
def test_a_constant_that_no_file_asks_for_is_left_out(tmp_path, source, wanted):
    head = "from micropython import const\n\n"
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/lib.py").write_text(head + source)
    (tmp_path / "tree/user.py").write_text(
        "def f():\n    from lib import ASKED\n    return ASKED\n"
    )
    (tmp_path / "other.py").write_text("run('print(lib.WORD)')")
    into = Path(fold(tmp_path / "tree", tmp_path / "out", [tmp_path / "other.py"]))
    if "const" in wanted:
        wanted = head + wanted
    assert (into / "lib.py").read_text() == wanted


def test_an_f_string_is_refused(folded):
    with pytest.raises(ValueError, match="f-string: x = 1"):
        folded("x = 1\ny = f'{x}'\n")


def test_what_did_not_change_keeps_its_time_and_what_is_gone_goes(folded, tmp_path):
    folded("x = 1\n")
    before = (tmp_path / "out/pack/lib.py").stat().st_mtime_ns
    (tmp_path / "out/gone.py").write_text("")
    folded("x = 2\n")
    assert (tmp_path / "out/pack/lib.py").stat().st_mtime_ns == before
    assert not (tmp_path / "out/gone.py").exists()
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*")) == [
        "lib.py",
        "user.py",
        "version.py",
    ]


def test_the_firmware_keeps_its_lines_and_lacks_no_name(tmp_path):
    into = fold(ROOT / "modules", tmp_path / "out")
    folded = sorted(path for path in (tmp_path / "out").rglob("*.py"))
    assert len(folded) == len(list((ROOT / "modules").rglob("*.py")))
    for path in folded:
        source = (ROOT / "modules" / path.relative_to(into)).read_text()
        text = path.read_text()
        assert len(text.splitlines()) == len(source.splitlines())
        assert _functions(text) == _functions(source)
    undefined = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821,F401"]
    builtin = "--config=builtins=['ptr8','ptr16','ptr32','uint']"
    said = subprocess.run([*undefined, builtin, into], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr


def _functions(text):
    return [
        (node.name, node.lineno)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
    ]


FROZEN_TOO = [ROOT / "boards", ROOT / "host_tests/vm"]  # they are frozen beside it, as they are


def test_all_that_is_imported_is_there(tmp_path):
    """A constant comes from the module that defines it, as no other has it any more."""
    others = [path for folder in FROZEN_TOO for path in folder.rglob("*.py")]
    into = Path(fold(ROOT / "modules", tmp_path / "out", others))
    there = {
        ".".join(path.relative_to(into).with_suffix("").parts): set(_names(path.read_text()))
        for path in into.rglob("*.py")
    }
    users = [path for folder in (into, *FROZEN_TOO) for path in folder.rglob("*.py")]
    lacking = [
        f"{path.name}: {node.module}.{alias.name}"
        for path in users
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module in there
        for alias in node.names
        if alias.name not in there[node.module]
    ]
    assert lacking == []


def _names(text):
    """What a module has at its top."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign):
            yield from (part.id for part in ast.walk(node) if isinstance(part, ast.Name))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom | ast.Import):
            yield from (alias.asname or alias.name for alias in node.names)
