"""Peers that come in crowds: worker threads that take cycle after cycle, and a probe."""

import collections
import random
import threading
import time

PROBE_EVERY_S = 0.02
CONNECT_PATIENCE_S = 120
PATIENCE_S = 60


class Broken(Exception):
    """A cycle that did not go as its kind says."""


class Crowd:
    """`cycles` cycles by `parallel` peers. `cycle(index, random)` runs one and returns its kind."""

    def __init__(self, cycles, parallel, seed, cycle):
        self._seed = seed
        self._cycle = cycle
        self._indexes = iter(range(cycles))
        self._lock = threading.Lock()
        self.done = collections.Counter()
        self.failed = collections.Counter()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(parallel)]

    def start(self):
        """Let them loose."""
        for thread in self._threads:
            thread.start()

    def is_busy(self):
        """Whether there is still a cycle under way."""
        return any(thread.is_alive() for thread in self._threads)

    def count(self):
        """Cycles that are over."""
        return self.done.total() + self.failed.total()

    def result(self):
        """For a report."""
        return {"done": dict(sorted(self.done.items())), "failed": dict(self.failed)}

    def _take(self):
        with self._lock:
            return next(self._indexes, None)

    def _work(self):
        while (index := self._take()) is not None:
            # The index decides, not the thread: the same seed makes the same cycles.
            outcome, what = self._attempt(index)
            with self._lock:
                outcome[what] += 1

    def _attempt(self, index):
        try:
            return self.done, self._cycle(index, random.Random(f"{self._seed}:{index}"))
        except (OSError, Broken) as error:
            return self.failed, f"{type(error).__name__}: {error}"


class Probe(threading.Thread):
    """One connection that says something all along and has to hear it back each time."""

    def __init__(self, dial):
        super().__init__(daemon=True)
        self._dial = dial
        self._over = threading.Event()
        self.served = 0
        self.longest_s = 0.0
        self.broken = None

    def run(self):
        try:
            sock = self._dial()
            sock.sendall(b"echo\n")
            while not self._over.wait(PROBE_EVERY_S):
                self._ask(sock)
            sock.close()
        except (OSError, Broken) as error:
            self.broken = f"{type(error).__name__}: {error}"

    def _ask(self, sock):
        question = b"%08d" % self.served
        began = time.monotonic()
        sock.sendall(question)
        if receive(sock, len(question)) != question:
            raise Broken("the probe heard something else")
        self.served += 1
        self.longest_s = max(self.longest_s, time.monotonic() - began)

    def result(self):
        """For a report."""
        return {
            "probeServed": self.served,
            "probeLongestMs": round(self.longest_s * 1000),
            "probeBroken": self.broken,
        }

    def end(self):
        """Hang up; the thread ends by itself."""
        self._over.set()


def receive(sock, n):
    """n bytes, or fewer when the connection ends before."""
    data = bytearray()
    while len(data) < n and (some := sock.recv(n - len(data))):
        data += some
    return bytes(data)
