"""Connections that end in every way, in thousands (behaviours N5, D17)."""

import socket
import threading
import time

from capture import syn
from lwip_net import LwipPeer
from namespace import MODULE, PEERS
from slots import pattern

from endurance.peers import CONNECT_PATIENCE_S, PATIENCE_S, Broken, Crowd, Probe, receive
from endurance.serving import ServingModule, failures_of

SPEED = 10
HOLD_S = 1.0  # a peer that vanished or does not read lasts up to this long
SMALL_WINDOW = 2048
LARGEST = 3000

GAVE_WAY = "half-close, gave way"

# How often each kind comes, of a hundred.
SHARES = {
    "close": 40,
    "half-close": 15,
    "reset": 15,
    "half-open": 14,
    "zero-window": 8,
    "vanish": 8,
}


class Churn:
    """The peers of one run; `cycle` is Crowd's."""

    def __init__(self, wire, port):
        self._wire = wire
        self._port = port
        self._raw = wire.socket(socket.SOCK_RAW, socket.AF_INET, socket.IPPROTO_RAW)
        self._hold = threading.Event()  # never set: waiting for it is sleeping
        self.unanswered = []  # one entry for each attempt that found neither PCB nor backlog

    def close(self):
        """No cycle is under way any more."""
        self._raw.close()

    def dial(self, peer=PEERS[0], receive_buffer=0):
        """A connected socket of a peer. A SYN without an answer is tried again, and counted."""
        limit = time.monotonic() + CONNECT_PATIENCE_S
        while time.monotonic() < limit:
            sock = self._wire.socket()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.bind((peer, 0))
            sock.settimeout(PATIENCE_S)
            if self._connects(sock):
                return sock
        raise Broken("connecting: no answer")

    def _connects(self, sock):
        try:
            sock.connect((MODULE, self._port))
        except TimeoutError:
            sock.close()
            self.unanswered.append(self._port)
            return False
        except OSError as error:
            raise Broken(f"connecting: {error}") from error
        return True

    def cycle(self, index, draw):
        """One connection; its kind is drawn, and so is everything about it."""
        kind = draw.choices(list(SHARES), SHARES.values())[0]
        peer = PEERS[index % len(PEERS)]
        if kind == "half-open":
            self._half_open(draw)
        elif kind in ("close", "half-close", "reset"):
            return self._exchange(kind, draw, self.dial(peer))
        else:
            window = SMALL_WINDOW if kind == "zero-window" else 0
            self._fall_silent(kind, draw, self.dial(peer, window))
        return kind

    def _half_open(self, draw):
        nobody = f"10.77.0.{draw.randrange(100, 200)}"
        self._raw.sendto(syn(nobody, draw.randrange(1024, 65536), self._port), (MODULE, 0))

    def _exchange(self, kind, draw, sock):
        data = pattern(draw.randrange(1, LARGEST), draw.randrange(65536))
        sock.sendall(b"echo\n" + data)
        if kind == "reset":
            LwipPeer(sock).reset()
            return kind
        if kind == "half-close":
            sock.shutdown(socket.SHUT_WR)
        if (heard := receive(sock, len(data))) != data:
            raise Broken(f"{kind}: {len(heard)} of {len(data)} bytes came back")
        if kind == "half-close":
            kind = self._await_end(kind, sock)
        sock.close()
        return kind

    def _await_end(self, kind, sock):
        """All came; the end may be a reset, when a closed connection gave way to a new one."""
        try:
            if receive(sock, 1):
                raise Broken(f"{kind}: more than was sent came back")
        except ConnectionResetError:
            return GAVE_WAY
        return kind

    def _fall_silent(self, kind, draw, sock):
        sock.sendall(b"give 60000 0\n")
        if receive(sock, 1) != pattern(1):
            raise Broken(f"{kind}: nothing came")
        peer = LwipPeer(sock)
        if kind == "vanish":
            peer.vanish()
        self._hold.wait(draw.uniform(0, HOLD_S))
        if kind == "vanish":
            peer.bury()
        else:
            peer.close()


def run(cycles, parallel, seed, advance=lambda done: None, program=None):
    """The whole run; a dictionary with what happened and, in `failures`, what should not have."""
    module = ServingModule(SPEED, program)
    try:
        return _run(module, cycles, parallel, seed, advance)
    finally:
        module.net.close()


def _run(module, cycles, parallel, seed, advance):
    churn = Churn(module.net.wire, module.port)
    probe = Probe(churn.dial)
    crowd = Crowd(cycles, parallel, seed, churn.cycle)
    module.serve(crowd, probe, advance)
    churn.close()
    report = {
        "cycles": cycles,
        "parallel": parallel,
        "seed": seed,
        **crowd.result(),
        "unanswered": len(churn.unanswered),
        **probe.result(),
        **module.result(),
    }
    return {**report, "failures": failures_of(report) + _too_many(report)}


def _too_many(report):
    """More resets after the last byte than connections that gave way."""
    seen, told = report["done"].get(GAVE_WAY, 0), report["stack"]["displaced"]
    return [f"{seen} ended in a reset, {told} gave way"] if seen > told else []
