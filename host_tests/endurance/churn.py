"""Connections that end in every way, in thousands (behaviours N5, D17)."""

import collections
import contextlib
import random
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
COME_AGAIN_S = 0.2  # after a reset, on average
MOST_RESETS = 20  # of a hundred; a module that gets no processor for a while resets a few

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
        # Attempts that found no PCB or no place in the backlog: their SYN had no answer, or, when
        # peers leave while they wait for accept, they were reset. An attempt whose SYN-ACK was lost
        # is half-open to lwIP, which gives it up with a reset: to its peer it was refused.
        self.turned_away = collections.Counter()
        self._lock = threading.Lock()

    def close(self):
        """No cycle is under way any more."""
        self._raw.close()

    def result(self):
        """For a report."""
        return {"turnedAway": dict(self.turned_away)}

    def dial(self, peer=PEERS[0], receive_buffer=0):
        """A connected socket of a peer. One that is turned away tries again, and is counted."""
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
        raise Broken("connecting: turned away for too long")

    def _connects(self, sock):
        try:
            sock.connect((MODULE, self._port))
        except (TimeoutError, ConnectionResetError, ConnectionRefusedError) as error:
            self._note_turned_away(sock, error)
            return False
        return True

    def _note_turned_away(self, sock, error):
        sock.close()
        with self._lock:
            self.turned_away[type(error).__name__] += 1

    def cycle(self, index, draw):
        """One connection; its kind is drawn, and so is everything about it."""
        kind = draw.choices(list(SHARES), SHARES.values())[0]
        peer = PEERS[index % len(PEERS)]
        if kind == "half-open":
            self._half_open(draw)
        elif kind == "reset":
            self._reset(draw, peer)
        elif kind in ("close", "half-close"):
            return self._exchange(kind, draw, peer)
        else:
            self._fall_silent(kind, draw, peer)
        return kind

    def _half_open(self, draw):
        nobody = f"10.77.0.{draw.randrange(100, 200)}"
        self._raw.sendto(syn(nobody, draw.randrange(1024, 65536), self._port), (MODULE, 0))

    def _reset(self, draw, peer):
        sock = self.dial(peer)
        with contextlib.suppress(ConnectionResetError):  # both at once
            sock.sendall(b"echo\n" + pattern(draw.randrange(1, LARGEST)))
        LwipPeer(sock).reset()

    def _ask(self, request, peer, receive_buffer=0):
        """A connection whose answer has begun. A reset before that is a late one of accept."""
        limit = time.monotonic() + CONNECT_PATIENCE_S
        while time.monotonic() < limit:
            sock = self.dial(peer, receive_buffer)
            try:
                sock.sendall(request)
                if sock.recv(1, socket.MSG_PEEK):
                    return sock
                raise Broken("it ended before the first byte")
            except ConnectionResetError as error:
                self._note_turned_away(sock, error)
            self._hold.wait(random.uniform(0, 2 * COME_AGAIN_S))
        raise Broken("reset before the first byte for too long")

    def _exchange(self, kind, draw, peer):
        data = pattern(draw.randrange(1, LARGEST), draw.randrange(65536))
        sock = self._ask(b"echo\n" + data, peer)
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

    def _fall_silent(self, kind, draw, peer):
        window = SMALL_WINDOW if kind == "zero-window" else 0
        sock = self._ask(b"give 60000 0\n", peer, window)
        if receive(sock, 1) != pattern(1):
            raise Broken(f"{kind}: something else came")
        silent = LwipPeer(sock)
        if kind == "vanish":
            silent.vanish()
        self._hold.wait(draw.uniform(0, HOLD_S))
        if kind == "vanish":
            silent.bury()
        else:
            silent.close()


def run(cycles, parallel, seed, advance=lambda done: None, program=None):
    """The whole run; a dictionary with what happened and, in `failures`, what should not have."""
    report = run_crowd(lambda churn: churn, cycles, parallel, seed, advance, program)
    return {**report, "failures": failures_of(report) + _too_many(report)}


def run_crowd(kind_of, cycles, parallel, seed, advance, program, patience=None):
    """So many cycles against a module that serves; the report, without `failures`.

    `kind_of(churn)` gives what has Crowd's `cycle`, and a result() for the report.
    """
    module = ServingModule(SPEED, program, patience)
    try:
        churn = Churn(module.net.wire, module.port)
        kind = kind_of(churn)
        probe = Probe(churn.dial)
        crowd = Crowd(cycles, parallel, seed, kind.cycle)
        module.serve(crowd, probe, advance)
        churn.close()
        counts = {"cycles": cycles, "parallel": parallel, "seed": seed}
        return counts | crowd.result() | kind.result() | probe.result() | module.result()
    finally:
        module.net.close()


def _too_many(report):
    """More resets after the last byte than connections gave way; or many at the handshake."""
    lines = []
    seen, told = report["done"].get(GAVE_WAY, 0), report["stack"]["displaced"]
    if seen > told:
        lines.append(f"{seen} ended in a reset, {told} gave way")
    resets = ("ConnectionResetError", "ConnectionRefusedError")
    reset = sum(report["turnedAway"].get(name, 0) for name in resets)
    if reset * 100 > report["cycles"] * MOST_RESETS:
        lines.append(f"{reset} were reset in or after their handshake")
    return lines
