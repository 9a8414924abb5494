"""Packages that this one works without, and that its extras bring."""

from collections.abc import Iterator
from contextlib import contextmanager

from spinet_controller.errors import ExtraMissing


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import in this context what the extra `name` brings: ExtraMissing where it is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = f"{error.name} is missing: pip install 'spinet-controller[{name}]'"
        raise ExtraMissing(missing, name=error.name) from error
