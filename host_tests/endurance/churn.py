"""Connections that end in every way, in thousands (behaviours N5, D17)."""

import socket
import threading

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

    def close(self):
        """No cycle is under way any more."""
        self._raw.close()

    def dial(self, peer=PEERS[0], receive_buffer=0):
        """A connected socket of a peer."""
        sock = self._wire.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.bind((peer, 0))
        sock.settimeout(CONNECT_PATIENCE_S)
        try:
            sock.connect((MODULE, self._port))
        except OSError as error:
            raise Broken(f"connecting: {error}") from error
        sock.settimeout(PATIENCE_S)
        return sock

    def cycle(self, index, draw):
        """One connection; its kind is drawn, and so is everything about it."""
        kind = draw.choices(list(SHARES), SHARES.values())[0]
        peer = PEERS[index % len(PEERS)]
        if kind == "half-open":
            self._half_open(draw)
        elif kind in ("close", "half-close", "reset"):
            self._exchange(kind, draw, self.dial(peer))
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
            return
        if kind == "half-close":
            sock.shutdown(socket.SHUT_WR)
        heard = receive(sock, len(data))
        ended = kind == "close" or receive(sock, 1) == b""
        sock.close()
        if heard != data or not ended:
            raise Broken(f"{kind}: {len(heard)} of {len(data)} bytes came back")

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
        **probe.result(),
        **module.result(),
    }
    return {**report, "failures": failures_of(report)}
