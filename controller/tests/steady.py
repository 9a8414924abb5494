"""What every test runs under, the firmware's and the controller's: for a conftest to import."""

import gc
import signal

import pytest
from hypothesis import HealthCheck, settings

# A shell starts what it runs in the background with SIGINT ignored, and programs hand that on to
# theirs: those that tests end with Ctrl-C would not end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples each time; `--hypothesis-profile wild` goes looking for new ones. Neither looks
# at a clock: a computer that stood still has made no test slow.
TIMELESS = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("steady", derandomize=True, database=None, **TIMELESS)
settings.register_profile("wild", max_examples=2000, **TIMELESS)
settings.load_profile("steady")


@pytest.fixture(scope="session", autouse=True)
def only_what_a_test_makes():
    """A collection passes over what was there before the test, which makes it quick."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_left_open(only_what_a_test_makes):
    """What a test leaves open is found here, and so fails that test and no later one."""
    yield
    gc.collect()
    gc.freeze()
