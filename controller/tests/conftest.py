"""Fixtures: a rig for one way of wiring controller and fake module, or for each."""

import pytest
from rig import HURRIED, WIRINGS, rigged
from steady import nothing_left_open, only_what_a_test_makes  # noqa: F401 -- every test has them


@pytest.fixture
async def rig():
    """A rig wired as a Duet is: the module clocks."""
    async with rigged() as made:
        yield made


@pytest.fixture(params=WIRINGS)
async def each_rig(request):
    """A rig for each way of wiring."""
    async with rigged(request.param) as made:
        yield made


@pytest.fixture
async def quick_rig():
    """A rig whose link time-outs are a fifth of the protocol's."""
    async with rigged(time_scale=HURRIED) as made:
        yield made
