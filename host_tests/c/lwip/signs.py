"""What peers see of the stack."""

import pytest


def talks(stack, handle, peer):
    """Whether a connection carries data both ways."""
    stack.write(handle, b"ping")
    peer.sendall(b"pong")
    stack.expect(lambda: stack.readable(handle) >= 4)
    return peer.recv(4) == b"ping" and stack.read(handle)[1] == b"pong"


def look_at_all(wire):
    """The stack has seen every frame that was sent so far: it refused one that was sent now."""
    with pytest.raises(ConnectionRefusedError):
        wire.connect(9)
