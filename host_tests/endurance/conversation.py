"""One connection of a soak: the peer's socket, what each side says, and how it ends."""

import collections
import contextlib
import socket
import struct

from slots import pattern

from endurance.peers import Broken
from spinet.duet import wire

LARGEST = 40000
PIECE = 8192
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: no FIN

# What ends it: the peer, or the controller by connClose, with its last connWrite or by connAbort;
# or the peer by a reset. How often, of a hundred.
WAYS = {"peer": 30, "close": 25, "write": 25, "abort": 10, "reset": 10}


class Endings:
    """Of all conversations: how they ended, and bytes that arrived and were the right ones."""

    def __init__(self):
        self.count = collections.Counter()
        self.to_peers = 0
        self.to_controller = 0


class Conversation:
    """Both ends of it. The peer's socket never waits; `step()` does what can be done at once."""

    def __init__(self, module, draw, endings):
        self._draw = draw
        self._endings = endings
        self._way = draw.choices(list(WAYS), WAYS.values())[0]
        self._up, self._down = draw.randrange(1, LARGEST), draw.randrange(1, LARGEST)
        self._up_seed, self._down_seed = draw.randrange(65536), draw.randrange(65536)
        self._sent = self._heard = 0  # of up: by the peer, at the controller
        self._written = self._received = 0  # of down: by the controller, at the peer
        self._sock = socket.create_connection(module)
        self._sock.setblocking(False)
        self.port = self._sock.getsockname()[1]
        self.accepted = False  # the controller has seen it; it sets this
        self.released = False  # and it has let go of it
        self.ended = False  # the peer's socket is closed

    # --- the peer

    def step(self):
        """Send and receive what goes now; end it when it is time."""
        try:
            with contextlib.suppress(BlockingIOError):
                self._send()
            with contextlib.suppress(BlockingIOError):
                self._receive()
        except (ConnectionResetError, BrokenPipeError):
            self._cut()
        if not self.ended:
            self._end_if_due()

    def _send(self):
        if self._sent < self._up:
            n = min(PIECE, self._up - self._sent)
            self._sent += self._sock.send(pattern(n, self._up_seed + self._sent))

    def _receive(self):
        data = self._sock.recv(65536)
        if data != pattern(len(data), self._down_seed + self._received):
            raise Broken(f"other bytes came to the peer, behind {self._received}")
        self._received += len(data)
        self._endings.to_peers += len(data)
        if not data:
            self._other_end_closed()

    def _other_end_closed(self):
        if self._way in ("close", "write") and not self._is_complete():
            raise Broken(f"{self._told()} when the module closed")
        if self._way not in ("close", "write", "abort"):
            raise Broken(f"the module closed a connection that ends by {self._way}")
        self._finish()

    def _cut(self):
        if self._way != "abort" or not self.released:
            raise Broken(f"the module reset a connection that ends by {self._way}: {self._told()}")
        self._finish()

    def _end_if_due(self):
        if self._way == "reset" and self.accepted and self._sent > self._up // 2:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self._finish()
        elif self._way == "peer" and self._sent == self._up and self._received == self._down:
            self._finish()

    def _finish(self):
        self.ended = True
        self._sock.close()
        self._endings.count[self._way] += 1

    def close(self):
        """It is over, at any point."""
        self._sock.close()

    # --- the controller

    def heard(self, data):
        """connRead gave this."""
        if data != pattern(len(data), self._up_seed + self._heard):
            raise Broken(f"other bytes came to the controller, behind {self._heard}")
        self._heard += len(data)
        self._endings.to_controller += len(data)

    def unwritten(self):
        """Whether there is something to write. With a close in the last write, that comes last."""
        return self._written < self._down and (
            self._way != "write" or self._heard == self._up or self._written < self._down // 2
        )

    def next_piece(self, most):
        """The next bytes for connWrite, and its flags."""
        left = self._down - self._written
        if self._way == "write" and self._heard < self._up:
            left = self._down // 2 - self._written
        n = min(most, left)
        flags = wire.FLAG_PUSH if self._draw.random() < 0.5 else 0
        if self._way == "write" and self._written + n == self._down:
            flags |= wire.FLAG_CLOSE_AFTER_WRITE
        return pattern(n, self._down_seed + self._written), flags

    def wrote(self, count, flags):
        """So many were accepted; all of them, and the flag to close counted."""
        self._written += count
        if self._written == self._down and flags & wire.FLAG_CLOSE_AFTER_WRITE:
            self.released = True

    def may_break(self):
        """Whether a write may find it gone."""
        return self._way == "reset" and self.ended

    def wants_close(self):
        """connClose is due: all was said by both."""
        return self._way == "close" and self._heard == self._up and self._written == self._down

    def wants_abort(self):
        """connAbort is due: half was said."""
        return self._way == "abort" and self._written > self._down // 2

    def check_aborted(self):
        """The module says that it is gone."""
        if not self.may_break():
            raise Broken(f"aborted, and it ends by {self._way}: {self._told()}")

    def check_finished(self):
        """The module says that the peer is gone, by FIN or reset, and nothing is left to read."""
        if self.may_break():
            return
        if self._way != "peer" or not self._is_complete():
            raise Broken(f"the other end closed, and it ends by {self._way}: {self._told()}")

    def _is_complete(self):
        return (self._heard, self._received) == (self._up, self._down)

    def _told(self):
        return (
            f"{self._heard} of {self._up} bytes at the controller, "
            f"{self._received} of {self._down} at the peer"
        )
