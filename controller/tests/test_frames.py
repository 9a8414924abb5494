"""Frames of the virtual bus, cut from a stream that may hold anything (behaviour L2)."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinet_controller.errors import BusViolation
from spinet_controller.frames import PIN_FRAMES, FrameReader, clock_frame, shift_frame
from spinet_controller.spi_bus import Pin

pytestmark = pytest.mark.behaviour("L2")


def frame(kind, arg, payload, length=None):
    return struct.pack("<BBH", kind, arg, len(payload) if length is None else length) + payload


def feed(reader, data):
    """Put data into a reader in the pieces it has room for."""
    while data:
        room = reader.room()
        piece = data[: len(room)]
        room[: len(piece)] = piece
        reader.received(len(piece))
        data = data[len(piece) :]


def read(*pieces):
    """Give the frames that a reader finds in the pieces."""
    found = []
    reader = FrameReader(lambda *parts: found.append(parts))
    for piece in pieces:
        feed(reader, piece)
    return found


def test_the_frames_we_send():
    assert PIN_FRAMES[Pin.TRANSFER_READY, 1] == bytes.fromhex("01 00 0100 01")
    assert PIN_FRAMES[Pin.RESET, 0] == bytes.fromhex("01 03 0100 00")
    assert clock_frame(b"\xaa\xbb") == bytes.fromhex("02 00 0200 aabb")
    assert shift_frame(b"\xcc", 3) == bytes.fromhex("03 00 0300 cc0000")


def test_several_frames_in_one_piece():
    stream = frame(4, 0, b"1.0") + frame(1, 1, b"\1") + frame(2, 0, bytes(4096))
    assert read(stream) == [(4, 0, b"1.0"), (1, 1, b"\1"), (2, 0, bytes(4096))]


BROKEN = {
    "unknown kind 0": frame(0, 0, b""),
    "unknown kind 5": frame(5, 0, b"x"),
    "PIN frame of 0 bytes": frame(1, 1, b""),
    "PIN frame of 2 bytes": frame(1, 1, b"\0\1"),
    "CLOCK frame of 0 bytes": frame(2, 0, b""),
    "CLOCK frame of 4097 bytes": frame(2, 0, b"", length=4097),
    "CLOCK frame with argument 1": frame(2, 1, b"x"),
    "SHIFT frame of 0 bytes": frame(3, 0, b""),
    "SHIFT frame of 65535 bytes": frame(3, 0, b"", length=65535),
    "SHIFT frame with argument 7": frame(3, 7, b"x"),
    "HELLO frame of 256 bytes": frame(4, 0, b"", length=256),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_frame_names_the_rule(rule):
    with pytest.raises(BusViolation, match=rule):
        read(BROKEN[rule])


def test_a_wrong_length_is_seen_before_its_payload():
    with pytest.raises(BusViolation):
        read(struct.pack("<BBH", 2, 0, 5000))


payloads = st.one_of(
    st.tuples(st.just(1), st.integers(0, 255), st.binary(min_size=1, max_size=1)),
    st.tuples(st.sampled_from([2, 3]), st.just(0), st.binary(min_size=1, max_size=300)),
    st.tuples(st.just(4), st.integers(0, 255), st.binary(max_size=20)),
)


@given(st.lists(payloads, max_size=8), st.lists(st.integers(0, 1500), max_size=6))
def test_pieces_make_no_difference(frames, cuts):
    stream = b"".join(frame(*parts) for parts in frames)
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    assert read(*pieces) == frames


@given(st.binary(max_size=400))
def test_noise_is_cut_or_refused_and_nothing_else(noise):
    try:
        read(noise)
    except BusViolation as violation:
        assert str(violation)  # noqa: PT017 - either end is right
