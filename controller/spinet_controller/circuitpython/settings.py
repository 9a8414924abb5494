"""settings.toml, which CircuitPython's `os.getenv()` reads."""

import os
import tomllib
from pathlib import Path
from typing import Any

from spinet_controller.errors import SpinetError


class BadSettings(SpinetError):
    """settings.toml cannot be read, or is no TOML."""


def install(path: Path) -> None:
    """Let `os.getenv()` find what the file has, behind this computer's environment.

    Numbers stay numbers. A file that is not there has nothing.
    """
    if not (settings := _read(path)):
        return
    of_environment = os.getenv

    def getenv(key: str, default: Any = None) -> Any:
        return of_environment(key, settings.get(key, default))

    os.getenv = getenv


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadSettings(f"{path}: {error}") from error
