"""The frames of SIM's virtual bus: any bytes in any pieces, against a model in Python.

The C core runs under the address and undefined-behaviour sanitizers, in a process for each example.
"""

import struct
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from project import ROOT
from raw_controller import CLOCK, CS, GPIO0, HELLO, NINA, PIN, RESET, SHIFT, TRANSFER_READY, frame

CORE = ROOT / "boards" / "SIM" / "simbus"
PLAYER = ROOT / "host_tests/c/simbus" / "player.c"
MODULE, CONTROLLER = 0, 1
LONGEST = 4096
FILL = b"\x5a"

# As simbus/frames.h has them.
HANDLED, CLOCKED, EDGE = 1, 2, 3
TOO_LONG, BAD_PIN, FOREIGN_PIN = -4, -5, -6
UNASKED_SHIFT, SHIFT_LENGTH, BAD_CLOCK, FOREIGN_HELLO, UNKNOWN_KIND = -7, -8, -9, -10, -11
UNFINISHED = -12

UNHURRIED_MS = 600_000


@pytest.fixture(scope="module")
def player(tmp_path_factory):
    """The core with its player, every warning an error."""
    program = tmp_path_factory.mktemp("simbus") / "player"
    flags = ["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror"]
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = [PLAYER, CORE / "frames.c", "-I", CORE]
    subprocess.run(["gcc", *flags, *sanitize, *sources, "-o", program], check=True)
    return program


def play(player, role, length, pieces, patience_ms=UNHURRIED_MS):
    """(codes, bytes clocked in, bytes sent) of the C core; an empty piece outlasts its patience."""
    told = b"".join(struct.pack("<H", len(piece)) + piece for piece in pieces)
    done = subprocess.run(
        [player, str(role), str(length), str(patience_ms)],
        input=told,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    *codes, rx, sent = done.stdout.decode().splitlines()
    return [int(code) for code in codes], *(
        bytes.fromhex(line.partition(" ")[2]) for line in (rx, sent)
    )


class Model:
    """The rules of docs/virtual-bus.md, one frame at a time."""

    def __init__(self, role, length):
        self.role = role
        self.length = length
        self.levels = {RESET: 1}
        self.levels |= {GPIO0: None} if role == NINA else {TRANSFER_READY: 0}
        if role != MODULE:
            self.levels[CS] = 1
        self.expected = length if role == MODULE else 0
        self.armed = 0 if role == MODULE else length
        self.room = LONGEST if role == NINA else length
        self.rx = b""
        self.sent = b""
        if self.expected:
            self.sent = frame(CLOCK, 0, FILL * length) + frame(PIN, CS, b"\1")

    def handle(self, kind, arg, payload):
        """The code that the core gives for this frame."""
        if kind == PIN:
            return self._pin(arg, payload)
        if kind == SHIFT:
            return self._shift(payload)
        if kind == CLOCK:
            return self._clock(payload)
        return FOREIGN_HELLO if kind == HELLO else UNKNOWN_KIND

    def _pin(self, pin, payload):
        if payload not in (b"\0", b"\1"):
            return BAD_PIN
        if pin not in self.levels:
            return FOREIGN_PIN
        if self.levels[pin] in (payload[0], None):
            return HANDLED
        self.levels[pin] = payload[0]
        return EDGE + pin

    def _shift(self, payload):
        if not self.expected:
            return UNASKED_SHIFT
        if len(payload) != self.expected:
            return SHIFT_LENGTH
        self.rx, self.expected = payload, 0
        return HANDLED

    def _clock(self, payload):
        if self.role == MODULE or not payload:
            return BAD_CLOCK
        n = min(len(payload), self.armed)
        self.armed -= n
        self.rx = (self.rx + payload)[: self.room]
        self.sent += frame(SHIFT, 0, (FILL * n).ljust(len(payload), b"\0"))
        return CLOCKED

    def run(self, stream):
        """What the core should say to all of this."""
        codes, at = [], 0
        while len(stream) - at >= 4 and (not codes or codes[-1] >= 0):
            kind, arg, n = struct.unpack_from("<BBH", stream, at)
            if n > LONGEST:
                codes.append(TOO_LONG)
            elif len(stream) - at - 4 < n:
                break
            else:
                codes.append(self.handle(kind, arg, stream[at + 4 : at + 4 + n]))
            at += 4 + n
        return codes, self.rx.ljust(self.room, b"\0"), self.sent


# A frame is (kind, arg, payload); a number stands for a payload of so many bytes.
LEVELS = st.sampled_from([b"\0", b"\1", b"\2"])
PAYLOADS = st.one_of(LEVELS, st.binary(max_size=12), st.integers(0, LONGEST + 1))
FRAMES = st.one_of(
    st.tuples(st.just(PIN), st.sampled_from([TRANSFER_READY, CS]), LEVELS),
    st.tuples(st.just(PIN), st.integers(0, 5), LEVELS),
    st.tuples(st.sampled_from([CLOCK, SHIFT]), st.just(0), PAYLOADS),
    st.tuples(st.integers(0, 5), st.integers(0, 5), PAYLOADS),
)


def encoded(kind, arg, payload):
    """The bytes of one of FRAMES."""
    return frame(kind, arg, b"\xa5" * payload if isinstance(payload, int) else payload)


def cut(stream, places):
    """The stream in pieces that end at these places, wherever they fall."""
    ends = sorted({place % (len(stream) + 1) for place in places} | {len(stream)})
    return [stream[a:b] for a, b in zip([0, *ends], ends, strict=False) if a != b]


@given(
    role=st.sampled_from([MODULE, CONTROLLER, NINA]),
    length=st.one_of(st.integers(0, 12), st.integers(0, LONGEST)),
    frames=st.lists(FRAMES, max_size=12),
    places=st.lists(st.integers(0, 1 << 16), max_size=8),
    missing=st.integers(0, 8),
)
@example(MODULE, LONGEST, [(SHIFT, 0, LONGEST)], [1, 4, 5], 0)
@example(CONTROLLER, LONGEST, [(CLOCK, 0, LONGEST)] * 5, [3, 4101, 16397], 0)
@example(CONTROLLER, LONGEST, [(CLOCK, 0, 4089)] * 4 + [(CLOCK, 0, LONGEST)], [16385], 0)
@example(CONTROLLER, 8, [(CLOCK, 0, 5)] * 3, [], 0)
@example(NINA, 8, [(CLOCK, 0, 5)] * 3, [], 0)
@example(NINA, LONGEST, [(CLOCK, 0, 4095), (CLOCK, 0, 2), (CLOCK, 0, 2)], [], 0)
@example(NINA, 0, [(PIN, GPIO0, b"\1"), (PIN, TRANSFER_READY, b"\1")], [], 0)
@example(CONTROLLER, 0, [(CLOCK, 0, LONGEST + 1)], [], LONGEST + 1)
@example(MODULE, 0, [(PIN, TRANSFER_READY, b"\2")], [], 0)
def test_whatever_comes_in_whatever_pieces(player, role, length, frames, places, missing):
    stream = b"".join(encoded(*each) for each in frames)
    stream = stream[: max(0, len(stream) - missing)]
    codes, rx, sent = play(player, role, length, cut(stream, places))
    expected = Model(role, length).run(stream)
    assert codes == expected[0]
    assert (rx.hex(), sent.hex()) == (expected[1].hex(), expected[2].hex())


@pytest.mark.parametrize("role", [MODULE, CONTROLLER, NINA])
@pytest.mark.parametrize("n", [1, 3, 4, 4 + LONGEST - 1])
def test_a_frame_that_is_never_finished(player, role, n):
    """It is given up wherever it breaks off; how long nothing came before it does not count."""
    pin = frame(PIN, RESET, b"\0")
    begun = frame(CLOCK, 0, bytes(LONGEST))[:n]
    assert play(player, role, 0, [pin, b"", begun], 1)[0] == [EDGE + RESET]
    assert play(player, role, 0, [pin, begun, b""], 1)[0] == [EDGE + RESET, UNFINISHED]
    assert play(player, role, 0, [pin + begun, b"", begun], 1)[0] == [EDGE + RESET, UNFINISHED]


def test_a_frame_that_comes_byte_by_byte_is_given_up_as_well(player):
    begun = [b"\2", b"\0", b"\2", b"\0", b"x"]
    pieces = [piece for byte in begun for piece in (byte, b"")]
    assert play(player, CONTROLLER, 0, pieces, 1)[0] == [UNFINISHED]
