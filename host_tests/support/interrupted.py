"""A run that is interrupted."""

from pathlib import Path

import pytest


def interrupt(run):
    """Interrupt a run, which takes its `advance`; none of the processes that it started is left."""
    before = children()

    def advance(_done):
        assert children() - before
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(advance)
    assert children() == before


def children():
    """The processes that this one has started and not yet waited for."""
    lists = Path("/proc/self/task").glob("*/children")
    return {pid for each in lists for pid in each.read_text().split()}
