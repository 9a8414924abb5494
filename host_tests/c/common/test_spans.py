"""buffer_span.h: C touches no memory that is not inside a buffer, whichever module it is."""

import subprocess

import pytest
from sim_process import BINARY, LWIP_BINARY

# Descriptors and handles that are none: an error where the bytes are inside.
SEND = BINARY, "import hostnet", "hostnet.send(-1, {buffer}, {offset}, {n})"
RECEIVE = BINARY, "import hostnet", "hostnet.recv(-1, {buffer}, {offset}, {n})"
WRITE = LWIP_BINARY, "import _spinet_lwip", "_spinet_lwip.write(0, {buffer}, {offset}, {n}, 1)"
READ = LWIP_BINARY, "import _spinet_lwip", "_spinet_lwip.read(0, {buffer}, {offset}, {n})"
TO = BINARY, "import hostnet", "hostnet.sendto(-1, bytes(6), {buffer}, {offset}, {n})"
FROM = BINARY, "import hostnet", "hostnet.recvfrom(-1, {buffer}, {offset}, {n}, bytearray(6))"
UDP_TO = (
    LWIP_BINARY,
    "import _spinet_lwip",
    "_spinet_lwip.udp.send(0, bytes(6), {buffer}, {offset}, {n})",
)
UDP_FROM = (
    LWIP_BINARY,
    "import _spinet_lwip",
    "_spinet_lwip.udp.receive(0, {buffer}, {offset}, {n}, bytearray(6))",
)
CALLS = pytest.mark.parametrize("call", [SEND, RECEIVE, WRITE, READ, TO, FROM, UDP_TO, UDP_FROM])
OUTSIDE = "offset and count outside the buffer"


def outcome(call, offset, n, buffer="bytearray(4)"):
    """What is returned, or the text of what is raised."""
    binary, imports, text = call
    call = text.format(buffer=buffer, offset=offset, n=n)
    program = f"{imports}\ntry: print({call})\nexcept Exception as e: print(e)"
    done = subprocess.run([binary, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@CALLS
@pytest.mark.parametrize(
    ("offset", "n"), [(-1, 2), (0, -1), (0, 5), (1, 4), (4, 1), (5, 0), (5, 1), (2, 2**63 - 1)]
)
def test_bytes_that_are_not_all_inside_are_refused(call, offset, n):
    refusals = {OUTSIDE, "a count of 0 would look like the end of the stream"}
    assert outcome(call, offset, n) in refusals


@CALLS
@pytest.mark.parametrize(("offset", "n"), [(0, 4), (3, 1), (1, 3)])
def test_bytes_up_to_the_end_are_not_refused(call, offset, n):
    assert int(outcome(call, offset, n)) < 0


@pytest.mark.parametrize("call", [SEND, WRITE])
def test_nothing_at_the_very_end_is_inside(call):
    assert outcome(call, 4, 0) != OUTSIDE


@pytest.mark.parametrize("call", [RECEIVE, READ])
def test_bytes_that_cannot_be_written_to_are_refused(call):
    assert outcome(call, 0, 4, "b'1234'") == "object with buffer protocol required"
