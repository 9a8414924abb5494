"""`make capture`: the frames of a test as a pcap file."""

import os
import subprocess
import sys

import capture
import pcap
import pytest
from namespace import MODULE, PEERS
from project import ROOT

WIRE_TEST = "host_tests/sim/test_on_the_wire.py::test_close_pushes_what_had_gathered"
CORE_TEST = "host_tests/c/lwip/test_sending.py::test_push_is_on_the_last_segment_only"


@pytest.mark.parametrize(
    ("test", "said"), [(WIRE_TEST, b"the end"), (CORE_TEST, bytes(1441))], ids=["slots", "core"]
)
def test_a_captured_test_can_be_read_back(tmp_path, test, said):
    file = tmp_path / "frames.pcap"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        f"--pcap={file}",
        f"-ocache_dir={tmp_path}/cache",
    ]
    done = subprocess.run(
        [*command, test], cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stdout + done.stderr
    frames = pcap.read(file)
    assert f"{len(frames)} frames are in {file}" in done.stdout
    times = [seconds for seconds, _ in frames]
    assert times == sorted(times)
    segments = [segment for _, frame in frames if (segment := capture.parse(frame))]
    assert said in b"".join(segment.data for segment in segments if segment.from_module)
    assert any(segment.flags & capture.SYN and not segment.from_module for segment in segments)
    assert {MODULE, PEERS[0]} <= {address for _, frame in frames for address in ends(frame)}


def ends(frame):
    """The IPv4 addresses of a frame, dotted."""
    if frame[12:14] != b"\x08\x00":
        return []
    return [".".join(map(str, frame[at : at + 4])) for at in (26, 30)]


def test_what_is_no_capture_is_refused(tmp_path):
    file = tmp_path / "text"
    file.write_bytes(b"not a capture, but as long as a header")
    with pytest.raises(ValueError, match="not a pcap file"):
        pcap.read(file)
