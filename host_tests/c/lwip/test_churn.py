"""Thousands of connections that end in every way, from two peers at once."""

import os
import random
import socket
import threading

import pytest
from namespace import PATIENCE, PEERS, reset
from netconn_rig import WOULDBLOCK

CYCLES = int(os.environ.get("NETCONN_CHURN", "4000"))
PARALLEL = 8
WAYS = ("close", "reset", "half", "vanish", "stuff", "wait")


class Churner(threading.Thread):
    """One peer that opens and ends connections in ways that its seed decides."""

    def __init__(self, wire, number, cycles):
        super().__init__()
        self._wire = wire
        self._random = random.Random(number)
        self._peer = PEERS[number % len(PEERS)]
        self._left = cycles
        self.served = 0
        self.refused = 0

    def run(self):
        """All cycles; a connection that is refused or reset is counted, not repeated."""
        for _ in range(self._left):
            try:
                self._once(self._random.choice(WAYS))
            except OSError:
                self.refused += 1

    def _once(self, way):
        options = {"receive_buffer": 2048} if way == "stuff" else {}
        connection = self._wire.connect(80, self._peer, **options)
        connection.settimeout(PATIENCE)
        connection.sendall(b"probe")
        self.served += connection.recv(5) == b"probe"
        if way == "half":
            connection.shutdown(socket.SHUT_WR)
            connection.recv(100)
        if way == "reset":
            reset(connection)
        elif way == "stuff":
            connection.sendall(b"more")  # asks for more than it ever reads
        connection.close()


class Server:
    """Echoes five bytes, floods peers that ask for more, ends by close and sometimes by abort."""

    def __init__(self, stack):
        self._stack = stack
        self._listener = stack.listen(80, 6)
        self._open = {}
        self._turn = 0

    def step(self):
        """One pass over everything that is open."""
        self._stack.wait(20)
        while (handle := self._stack.accept(self._listener)) > 0:
            self._open[handle] = 0
        self._stack.events(self._listener)
        for handle in list(self._open):
            self._serve(handle)

    def _serve(self, handle):
        self._stack.events(handle)
        count, data = self._stack.read(handle)
        self._stack.recved(handle, max(0, count))
        if data:
            self._stack.write(handle, data[:5])
        if b"more" in data:
            self._stack.write(handle, bytes(5000))
        if count < 0 and count != WOULDBLOCK:
            self._end(handle)

    def _end(self, handle):
        del self._open[handle]
        self._turn += 1
        (self._stack.abort if self._turn % 5 == 0 else self._stack.close)(handle)

    def end(self):
        """Close the listener and what is still open."""
        for handle in list(self._open):
            self._end(handle)
        self._stack.close(self._listener)


@pytest.mark.behaviour("N5")
@pytest.mark.behaviour("T2")
@pytest.mark.behaviour("D17")
def test_churn_ends_where_it_began(stack, wire):
    stack.start(1000, 0, 1000)
    stack.gather(0)
    server = Server(stack)
    churners = [Churner(wire, number, CYCLES // PARALLEL) for number in range(PARALLEL)]
    for churner in churners:
        churner.start()
    while any(churner.is_alive() for churner in churners):
        server.step()
    server.end()
    stack.expect(lambda: stack.active_pcbs(-1) == 0)
    memory = stack.memory()
    assert (memory["netconns"], memory["segments"], memory["held"]) == (0, 0, 0)
    assert memory["pcbs"] == memory["time_wait"]
    served = sum(churner.served for churner in churners)
    refused = sum(churner.refused for churner in churners)
    assert served + refused >= CYCLES * 0.99
    assert served > CYCLES * 0.97, f"{served} served, {refused} refused: {stack.stats()}"
    stack.stop()
    stack.expect(lambda: heap_without_time_wait(stack) <= 16)


def heap_without_time_wait(stack):
    """lwIP's heap blocks other than TIME-WAIT PCBs: timers, ARP, and nothing of ours."""
    memory = stack.memory()
    return memory["blocks"] - memory["time_wait"]
