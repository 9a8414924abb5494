"""A network with servers for names and for the time, each a thread of the test with a UDP port.

The fixtures: network_of_its_own, where those ports are free, and serve, which ends the servers.
"""

import contextlib
import socket
import struct
import threading

import pytest
from name_peer import answer_to, name_of
from own_network import own_network

SINCE_1900 = 2208988800  # seconds, at the beginning of 1970


@pytest.fixture
def network_of_its_own(stack):
    """To be asked for before the module starts; on lwIP it has one in any case."""
    with own_network() if stack == "sockets" else contextlib.nullcontext():
        yield


@pytest.fixture
def serve():
    """serve(server) -> server."""
    with contextlib.ExitStack() as ending:
        yield lambda server: ending.enter_context(contextlib.closing(server))


class UdpServer:
    """Answers each datagram with those of answers(it); `asked` has all that came."""

    PORT = 0

    def __init__(self, ip):
        self.asked = []
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((ip, self.PORT))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            question, peer = self._sock.recvfrom(2048)
            if peer == self._sock.getsockname():
                return
            self.asked.append(question)
            with contextlib.suppress(OSError):  # it has gone
                self._answer_all(question, peer)

    def _answer_all(self, question, peer):
        for octets in self.answers(question):
            self._sock.sendto(octets, peer)

    def close(self):
        """By a datagram from itself."""
        self._sock.sendto(b"", self._sock.getsockname())
        self._thread.join()
        self._sock.close()


class NameServer(UdpServer):
    """A DNS server: `names` are addresses by name, `silent` those that it says nothing of."""

    PORT = 53

    def __init__(self, ip, names, silent=()):
        self.names = names
        self.silent = silent
        super().__init__(ip)

    def answers(self, question):
        name = name_of(question).decode()
        if name in self.silent:
            return []
        ip = socket.inet_aton(self.names.get(name, "0.0.0.0"))
        return [answer_to(question, int.from_bytes(ip, "little"))]


class TimeServer(UdpServer):
    """An NTP server whose time stands still. Before each answer go `lies`, that is with other
    fields, and `strangers`, with the same from another port."""

    PORT = 123

    def __init__(self, ip, seconds):
        self.seconds = seconds
        self.lies = []
        self.strangers = []
        super().__init__(ip)

    def answers(self, question):
        return [_time(question, **{"seconds": self.seconds, **lie}) for lie in [*self.lies, {}]]

    def _answer_all(self, question, peer):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for seconds in self.strangers:
                stranger.sendto(_time(question, seconds), peer)
        super()._answer_all(question, peer)


def _time(question, seconds, first=0x24, stratum=2, cookie=None):
    """An answer; `seconds` since 1970, 0: none."""
    stamp = struct.pack(">II", seconds + SINCE_1900 if seconds else 0, 0)
    head = struct.pack(">BBbb12x", first, stratum, 6, -20)
    return head + stamp + (cookie or question[40:48]) + stamp + stamp
