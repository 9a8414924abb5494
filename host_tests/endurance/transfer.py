"""Bytes both ways at once over a wire that loses, doubles and reorders frames (behaviour D5)."""

import hashlib
import threading

from slots import MAX_DATA, pattern

from endurance.churn import Churn
from endurance.serving import ServingModule, failures_of
from spinet import fastpath, states

SPEED = 20
MIB = 1 << 20
PATIENCE_S = 3600
REORDER_MS = 4


class Peer(threading.Thread):
    """Sends and receives `size` bytes at the same time; digests of both."""

    def __init__(self, sock, size, seed):
        super().__init__(daemon=True)
        sock.settimeout(PATIENCE_S)
        self._sock = sock
        self._size = size
        self._seed = seed
        self.sent = hashlib.sha256()
        self.received = hashlib.sha256()
        self.count = 0

    def run(self):
        sender = threading.Thread(target=self._send, daemon=True)
        sender.start()
        while self.count < self._size and (data := self._sock.recv(65536)):
            self.received.update(data)
            self.count += len(data)
        sender.join()

    def _send(self):
        for data in blocks(self._size, self._seed):
            self.sent.update(data)
            self._sock.sendall(data)


def blocks(size, seed):
    """`size` bytes of the seed's pattern, cut as the controller cuts them."""
    for offset in range(0, size, MAX_DATA):
        yield pattern(min(MAX_DATA, size - offset), seed + offset)


class Controller:
    """The other end: what it wrote and read of one slot."""

    def __init__(self, slots, slot, size, seed):
        self._slots = slots
        self._slot = slot
        self._size = size
        self._blocks = blocks(size, seed)
        self._out = b""
        self.sent = hashlib.sha256()
        self.received = hashlib.sha256()
        self.read = 0
        self.written = 0

    def step(self):
        """As much as goes now, both ways."""
        data = self._slots.read(self._slot)
        self.received.update(data)
        self.read += len(data)
        if not self._out:
            self._out = next(self._blocks, b"")
            self.sent.update(self._out)
        if self._out:
            taken = self._slots.write(self._slot, self._out)
            self._out = self._out[taken:]
            self.written += taken

    def is_done(self):
        return self.read == self.written == self._size


def run(mib, loss, duplication, reordering, seed, advance=lambda done: None):
    """`mib` MiB each way. The three chances are in per mille of the frames, each way."""
    module = ServingModule(SPEED)
    try:
        return _run(module, mib, (loss, duplication, reordering), seed, advance)
    finally:
        module.net.close()


def _run(module, mib, chances, seed, advance):
    peers = Churn(module.net.wire, module.port)
    sock = peers.dial()
    slots = module.slots
    slots.until(lambda: slots.manager.rows[fastpath.ROW_CONNECTED])
    slot = slots.slots[0]
    module.core.call("faults", *chances, 0, 0, REORDER_MS, seed)
    peer = Peer(sock, mib * MIB, seed)
    controller = Controller(slots, slot, mib * MIB, seed + 1)
    peer.start()
    while slot.state == states.CONNECTED and not (controller.is_done() and not peer.is_alive()):
        module.pass_time()
        controller.step()
        advance(min(controller.read, controller.written) // MIB)
    lost = module.core.call("lost")
    module.core.call("faults", 0, 0, 0, 0, 0, 0, 1)
    slot.close()
    sock.close()
    peers.close()
    module.settle()
    report = {
        "mib": mib,
        "perMille": chances,
        "seed": seed,
        "framesLost": lost,
        "toThePeer": [controller.sent.hexdigest(), peer.received.hexdigest()],
        "toTheController": [peer.sent.hexdigest(), controller.received.hexdigest()],
        **module.result(),
    }
    return {**report, "failures": failures_of(report) + _failures(report)}


def _failures(report):
    return [
        f"{name}: what was sent and what came differ"
        for name in ("toThePeer", "toTheController")
        if len(set(report[name])) != 1
    ]
