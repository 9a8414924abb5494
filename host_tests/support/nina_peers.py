"""A board's peers, which are sockets of the test, and how its programs begin that talk to them."""

import contextlib
import socket
import struct
import time

import pytest
from raw_controller import PATIENCE

CLIENT = "s = socket.socket()\ns.connect(('%s', %d))\nprint('connected')\n"
SERVER = "l = socket.socket()\nl.bind(('0.0.0.0', %d))\nl.listen(4)\nprint('listens')\n"


@pytest.fixture
def listener(board):
    """A peer that listens."""
    with socket.create_server((board.peer, 0)) as listener:
        listener.settimeout(PATIENCE)
        yield listener


def take(listener):
    """The next connection of a peer that listens."""
    peer, _ = listener.accept()
    peer.settimeout(PATIENCE)
    return peer


def dial(board, port):
    """A connection to a board that listens, or will in a moment."""
    limit = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection((board.address, port), PATIENCE)
        assert time.monotonic() < limit


def reset(peer):
    """End a connection with RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def received(peer, n):
    """n bytes from a peer."""
    data = b""
    while len(data) < n:
        more = peer.recv(n - len(data))
        assert more, f"{len(data)} of {n}"
        data += more
    return data
