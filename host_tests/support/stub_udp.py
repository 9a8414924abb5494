"""The scriptable stack's UDP: the contract of `spinet.udp.datagrams`, peers without network."""

from collections import deque

from spinet.tcp.stack import (
    ERR_CLSD,
    ERR_MEM,
    ERR_OK,
    ERR_USE,
    ERR_VAL,
    ERR_WOULDBLOCK,
    INDEX_BITS,
    INDEX_MASK,
)
from spinet.udp.datagrams import MOST, PEER_SIZE, PORTS, peer

QUEUE = 8  # datagrams that a port holds


def inside(buf, offset, n):
    """C raises for what is not inside of the buffer."""
    if offset < 0 or n < 0 or offset + n > len(buf):
        raise ValueError("offset and count outside the buffer")


class _Port:
    """A UDP port of the firmware's."""

    def __init__(self, handle, number):
        self.handle = handle
        self.number = number
        self.group = 0
        self.queue = deque()  # of (datagram, the peer that sent it)
        self.dropped = 0


class StubDatagramPeer:
    """Another host's UDP port. `ip` is a u32."""

    def __init__(self, udp, ip, number):
        self._udp = udp
        self.address = bytes(peer(ip, number))
        self.inbox = deque()

    def send(self, data, number):
        """Send to a port of the firmware's."""
        self._udp.deliver(data, self.address, lambda port: port.number == number)

    def send_to_group(self, data, group, number):
        """Send to a group; the firmware's ports in it hear it."""
        self._udp.deliver(
            data, self.address, lambda port: port.number == number and port.group == group
        )

    def receive(self):
        """(datagram, the port it came from), None while there is none."""
        return self.inbox.popleft() if self.inbox else None


class StubUdp:
    """See `spinet.udp.datagrams`; modelled on lwIP as chips run it. `note()` tells the stack."""

    def __init__(self, note):
        self._note = note
        self._ports = [None] * PORTS
        self._generation = 0
        self._free = 49152
        self._news = 0
        self.peers = {}  # address -> StubDatagramPeer
        self.pinged = []  # (ip, ttl) of each ping
        self.took = ERR_WOULDBLOCK  # what echo() answers
        self.unreachable = ERR_OK  # what ping() answers

    def peer(self, ip, number):
        """For tests: another host's port."""
        made = StubDatagramPeer(self, ip, number)
        self.peers[made.address] = made
        return made

    def deliver(self, data, sender, hears):
        for index, port in enumerate(self._ports):
            if port and hears(port) and len(port.queue) < QUEUE:
                port.queue.append((bytes(data), sender))
                self._tell(index)
            elif port and hears(port):
                port.dropped += 1

    def _tell(self, index):
        self._news |= 1 << index
        self._note()

    def _port(self, h):
        port = self._ports[h & INDEX_MASK] if h > 0 and h & INDEX_MASK < PORTS else None
        return port if port and port.handle == h else None

    def bind(self, ip, number, shared):
        if None not in self._ports:
            return ERR_MEM
        if not number:
            self._free = 49152 + (self._free * 5 + 7919) % 16384  # the next one is hard to tell
        elif not shared and any(port and port.number == number for port in self._ports):
            return ERR_USE
        index = self._ports.index(None)
        self._generation += 1
        self._ports[index] = _Port(self._generation << INDEX_BITS | index, number or self._free)
        return self._ports[index].handle

    def send(self, h, to, buf, offset, n):
        port = self._port(h)
        if port is None:
            return ERR_CLSD
        inside(buf, offset, n)
        if n > MOST:
            return ERR_VAL
        there = self.peers.get(bytes(to[:PEER_SIZE]))
        if there:
            there.inbox.append((bytes(buf[offset : offset + n]), port.number))
        return n

    def length(self, h):
        port = self._port(h)
        if port is None:
            return ERR_CLSD
        return len(port.queue[0][0]) if port.queue else ERR_WOULDBLOCK

    def receive(self, h, buf, offset, n, sender):
        port = self._port(h)
        inside(buf, offset, n)
        if port is None or not port.queue:
            return ERR_WOULDBLOCK if port else ERR_CLSD
        data, sender[0:PEER_SIZE] = port.queue.popleft()
        n = min(n, len(data))
        buf[offset : offset + n] = data[:n]
        if port.queue:
            self._tell(h & INDEX_MASK)
        return len(data)

    def dropped(self, h):
        port = self._port(h)
        return port.dropped if port else ERR_CLSD

    def join(self, h, group, own):
        port = self._port(h)
        if port is None or port.group:
            return ERR_USE if port else ERR_CLSD
        port.group = group
        return ERR_OK

    def leave(self, h):
        port = self._port(h)
        if port is None:
            return ERR_CLSD
        port.group = 0
        return ERR_OK

    def close(self, h):
        if self._port(h) is None:
            return ERR_CLSD
        self._ports[h & INDEX_MASK] = None
        self._news &= ~(1 << (h & INDEX_MASK))
        return ERR_OK

    def ping(self, ip, ttl):
        self.pinged.append((ip, ttl))
        there = any(peer(ip, 0)[2:] == bytes(address[2:]) for address in self.peers)
        self.took = 0 if there else ERR_WOULDBLOCK
        return self.unreachable

    def echo(self):
        return self.took

    def pending(self):
        news, self._news = self._news, 0
        return news
