"""A bad wire, on purpose: nothing is lost, nothing comes twice, the same seed repeats."""

import hashlib
import random
import threading

import pytest
from namespace import PATIENCE
from netconn_rig import CLSD, WOULDBLOCK

SIZE = 200_000


def both_ways(stack, handle, peer, seed):
    """Send SIZE bytes each way at once; digests of: sent, at the peer, sent by it, here."""
    outgoing, incoming = random.Random(seed).randbytes(SIZE), random.Random(-seed).randbytes(SIZE)
    at_peer = bytearray()

    def receive():
        while len(at_peer) < SIZE:
            at_peer.extend(peer.recv(65536))

    threads = [
        threading.Thread(target=receive),
        threading.Thread(target=peer.sendall, args=(incoming,)),
    ]
    for thread in threads:
        thread.start()
    here = exchange(stack, handle, outgoing)
    for thread in threads:
        thread.join(2 * PATIENCE)
    return [hashlib.sha256(data).hexdigest() for data in (outgoing, at_peer, incoming, here)]


def exchange(stack, handle, outgoing):
    """Write all of `outgoing` while reading SIZE bytes; the bytes read."""
    offset, here = 0, bytearray()
    while len(here) < SIZE or offset < SIZE:
        written = stack.write(handle, outgoing[offset : offset + 2048], more=offset + 2048 < SIZE)
        count, some = stack.read(handle)
        offset += max(0, written)
        here += some
        stack.recved(handle, max(0, count))
        assert written in (WOULDBLOCK, written if written >= 0 else WOULDBLOCK)
        if written <= 0 and count == WOULDBLOCK:
            stack.gather()
    return here


@pytest.mark.behaviour("D5")
@pytest.mark.parametrize(
    "faults",
    [
        (50, 0, 0, 0, 0, 0),
        (0, 50, 0, 0, 0, 0),
        (0, 0, 100, 0, 0, 4),
        (0, 0, 0, 20, 0, 0),
        (20, 20, 50, 5, 1, 4),
    ],
    ids=["drop", "duplicate", "reorder", "corrupt", "all"],
)
def test_everything_arrives_once_over_a_bad_wire(stack, pair, faults):
    handle, peer = pair
    peer.settimeout(2 * PATIENCE)
    stack.start(2000 * PATIENCE, 0, 0)  # its last bytes may have to be repeated when it is closed
    stack.faults(*faults, 7)
    sent_out, at_peer, sent_in, here = both_ways(stack, handle, peer, 3)
    assert (at_peer, here) == (sent_out, sent_in)
    stack.faults(0, 0, 0, 0, 0, 0, 1)
    stack.close(handle)
    assert peer.recv(1) == b""


def test_link_down_and_up_again(stack, pair):
    handle, peer = pair
    stack.link(0)
    assert stack.write(handle, b"through the hole") == 16
    stack.gather(300)
    assert stack.in_flight(handle) == 16
    stack.link(1)
    assert peer.recv(100) == b"through the hole"


def judged(stack, wire, seed):
    """How many frames a fixed, serial exchange loses with this seed."""
    listener = stack.listen(80)
    peer = wire.connect(80)
    handle = stack.accepted(listener)
    lost = stack.lost()
    stack.faults(300, 0, 0, 0, 0, 0, seed)
    stack.interface(1)
    stack.write(handle, b"x")
    peer.recv(1)
    stack.expect(lambda: stack.in_flight(handle) == 0)
    stack.faults(0, 0, 0, 0, 0, 0, 1)
    stack.abort(handle)
    stack.abort(listener)
    return stack.lost() - lost


@pytest.mark.behaviour("T2")
def test_same_seed_same_fate(stack, wire):
    assert len({judged(stack, wire, 11) for _ in range(3)}) == 1


def test_fin_survives_loss(stack, pair):
    handle, peer = pair
    stack.faults(200, 0, 0, 0, 0, 0, 5)
    peer.sendall(b"last words")
    peer.shutdown(1)
    assert stack.read_all(handle, 2 * PATIENCE) == (CLSD, b"last words")
