"""The firmware's modules on CPython: stubs for what only a board has come first on the path."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

for folder in (ROOT / "modules", ROOT / "host_tests" / "stubs", ROOT / "host_tests"):
    sys.path.insert(0, str(folder))
