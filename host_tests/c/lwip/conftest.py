"""Has the rig built, once per way of locking, and gives each test its own namespace and stack."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import lwip_net
from capture import Capture
from namespace import MODULE, NETMASK, Namespace, as_int
from netconn_rig import Rig

# With the locking another thread runs the handles' lives and their events, at another time. How
# bytes travel is the same code in the same thread's hands, and runs with core locking on alone.
RUN_BOTH_WAYS = {
    *("test_churn", "test_datagrams", "test_ending", "test_events", "test_opening", "test_ping"),
}
LOCKING = {"unlocked": "0", "locked": "1"}


def pytest_generate_tests(metafunc):
    """With core locking on, and where it matters off as well."""
    if "program" in metafunc.fixturenames:
        both = Path(metafunc.module.__file__).stem in RUN_BOTH_WAYS
        ways = list(LOCKING) if both else ["locked"]
        metafunc.parametrize("program", ways, indirect=True, scope="session")


@pytest.fixture(scope="session")
def program(request):
    """The rig, built without or with core locking (and with sanitizers unless told otherwise)."""
    return lwip_net.program(LOCKING[request.param])


@pytest.fixture
def wire():
    """A namespace whose peers are ordinary sockets."""
    namespace = Namespace()
    yield namespace
    namespace.close()


@pytest.fixture
def stack(program, wire):
    """A stack on that wire. At the end it must stop cleanly and no sanitizer have spoken."""
    rig = Rig(program, wire.tap_fd, MODULE, NETMASK)
    try:
        yield rig
        code, errors = rig.finish()
    finally:
        rig.kill()
    assert errors == ""
    assert code == 0


@pytest.fixture
def capture(wire):
    """What crosses the wire, from before the test's first line."""
    taken = Capture(wire)
    yield taken
    taken.close()


@pytest.fixture
def pair(stack, wire):
    """An accepted connection and its peer: (handle, socket); the listener stays."""
    listener = stack.listen(80)
    peer = wire.connect(80)
    yield stack.accepted(listener), peer
    peer.close()


@pytest.fixture
def peer_ip():
    """The first peer's address as the core takes it."""
    return as_int("10.77.0.1")
