"""A network segment in memory with a clock: UDP ports of responders and of their clients."""

from spinet.fields import octets
from spinet.naming import mdns
from spinet.tcp.stack import ERR_USE
from spinet.udp import dns
from spinet.udp.datagrams import port_of

GROUP = ("224.0.0.251", dns.MULTICAST_PORT)
NETMASK = 0x00FFFFFF


def peer_at(address):
    """The peer of (dotted, port)."""
    text, number = address
    return bytes([number & 255, number >> 8, *map(int, text.split("."))])


class Lan:
    """Everybody on it hears what is multicast, the sender too. `heard`: (message, from, to)."""

    def __init__(self, monkeypatch):
        self.now = 1000
        self.ports = []
        self.heard = []
        self.refuses = False  # no port can be had
        monkeypatch.setattr(mdns, "ticks_ms", lambda: self.now)

    def open(self, _manager, take, number, group, own):
        """As ports.DatagramPort."""
        assert (number, group) == (dns.MULTICAST_PORT, dns.GROUP)
        if self.refuses:
            raise OSError(ERR_USE, "in use")
        return LanPort(self, take, octets(own))

    def deliver(self, data, source, address):
        self.heard.append((dns.parse(data), source, address))
        for port in list(self.ports):
            if address == GROUP or address[0] == port.text:
                port.inbox.append((data, source))

    def run(self, ms, *responders):
        """Let time pass, a millisecond at a time at most."""
        end = self.now + ms
        while True:
            for port in list(self.ports):
                port.on_ready()
            waits = [one.poll(self.now) for one in responders]
            if self.now >= end and not any(port.inbox for port in self.ports):
                return
            soonest = min([wait for wait in waits if wait > 0], default=ms)
            if not any(port.inbox for port in self.ports):
                self.now = min(end, self.now + soonest)


class LanPort:
    """What a ports.DatagramPort is to a responder. Here an address is (dotted, port), and for the
    responder a peer, as the stacks have it."""

    def __init__(self, lan, take, own, udp_port=dns.MULTICAST_PORT):
        self.lan = lan
        self.take = take
        self.text = ".".join(str(octet) for octet in own)
        self.source = (self.text, udp_port)
        self.inbox = []
        lan.ports.append(self)

    def on_ready(self):
        while self.inbox and self in self.lan.ports:
            data, source = self.inbox.pop(0)
            self.take(data, peer_at(source))

    def send(self, data, peer):
        address = (".".join(str(octet) for octet in peer[2:]), port_of(peer))
        self.lan.deliver(data, self.source, address)
        return True

    def close(self):
        self.lan.ports.remove(self)
