"""The scenarios of heap_scenarios.py, their peers real sockets worked by `hostnet` alone.

micropython heap_memory.py FOLDER ROLE [SCENARIO ...]      FOLDER: host_tests/support
"""

import sys

sys.path.insert(0, sys.argv[1])

import socket

import hostnet
import micropython
import sim
from heap_scenarios import EVEN, SCENARIOS, Bench, run

from spinet.fields import dotted


class SocketBench(Bench):
    """The peer is a socket of this computer; its descriptor does all that follows."""

    PORTS = range(20000, 40000, 7)
    peer = None

    def __init__(self, role):
        self.network = sim.network_of(sim.options_of([]))
        super().__init__(role)

    def connect_peer(self, resets):
        if self.peer is not None:
            self.peer.close()
        self.peer = socket.socket()
        self.peer.connect(socket.getaddrinfo(dotted(self.network.ip), self.tcp_port)[0][-1])
        self.fd = self.peer.fileno()
        if resets:
            hostnet.reset_on_close(self.fd)

    def send(self, n):
        return hostnet.send(self.fd, EVEN, 0, n)

    def take(self, n):
        return hostnet.recv(self.fd, self.received, self.received_count, n)

    def finish(self):
        hostnet.shutdown(self.fd, 1)

    def reset(self):
        self.peer.close()


def main():
    micropython.alloc_emergency_exception_buf(512)
    bench = SocketBench(sys.argv[2])
    wanted = sys.argv[3:]
    for scenario in SCENARIOS:
        if not wanted or scenario.__name__ in wanted:
            run(bench, scenario)
            print("ok", scenario.__name__)
    bench.peer.close()
    bench.service.shut()
    print("done")


main()
