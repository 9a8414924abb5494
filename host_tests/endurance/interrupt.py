"""Transfers of 200 KB, each interrupted by the peer at a random point (behaviour K2)."""

import hashlib
import socket
import threading

from lwip_net import LwipPeer
from slots import pattern

from endurance.churn import run_crowd
from endurance.peers import Broken, receive
from endurance.serving import Patience, failures_of

SIZE = 200 * 1024
HOLD_S = 0.5
WAYS = ("reset", "close", "half-close", "vanish")
DIRECTIONS = ("give", "take")
PATIENCE = Patience(stalled=20_000, idle=50_000)  # a peer has much to read and to send


class Interruptions:
    """The peers of one run; `cycle` is Crowd's."""

    def __init__(self, dial):
        self._dial = dial
        self._hold = threading.Event()  # never set
        self.points = {}  # cycle -> (direction, way, byte), as the seed drew them

    def cycle(self, index, draw):
        """One transfer, up to a byte that is drawn."""
        direction, way = draw.choice(DIRECTIONS), draw.choice(WAYS)
        point, seed = draw.randrange(SIZE), draw.randrange(65536)
        self.points[index] = (direction, way, point)
        sock = self._dial()
        if direction == "give":
            self._receive(sock, point, seed)
        else:
            self._send(sock, point, seed)
        self._interrupt(sock, way, draw)
        return f"{direction} {way}"

    def _receive(self, sock, point, seed):
        sock.sendall(b"give %d %d\n" % (SIZE, seed))
        received = receive(sock, point)
        if received != pattern(point, seed):
            raise Broken(f"{len(received)} of {point} bytes, or other ones")

    def _send(self, sock, point, seed):
        sock.sendall(b"take %d\n" % seed)
        sock.sendall(pattern(point, seed))

    def _interrupt(self, sock, way, draw):
        peer = LwipPeer(sock)
        if way == "reset":
            peer.reset()
        elif way == "vanish":
            peer.vanish()
            self._hold.wait(draw.uniform(0, HOLD_S))
            peer.bury()
        else:
            if way == "half-close":
                sock.shutdown(socket.SHUT_WR)
            peer.close()

    def result(self):
        """For a report. The same for the same seed: what was interrupted, how and where."""
        text = repr(sorted(self.points.items()))
        return {"points": hashlib.sha256(text.encode()).hexdigest()[:16]}


def run(cycles, parallel, seed, advance=lambda done: None, program=None):
    """The whole run; a dictionary with what happened and, in `failures`, what should not have."""
    report = run_crowd(
        lambda churn: Interruptions(churn.dial), cycles, parallel, seed, advance, program, PATIENCE
    )
    return {**report, "failures": failures_of(report)}
