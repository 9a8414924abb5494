"""A network segment in memory with a clock: UDP ports of responders and of their clients."""

from spinet.naming import dns, mdns

GROUP = ("224.0.0.251", mdns._PORT)
NETMASK = 0x00FFFFFF


class Lan:
    """Everybody on it hears what is multicast, the sender too. `heard`: (message, from, to)."""

    def __init__(self, monkeypatch):
        self.now = 1000
        self.ports = []
        self.heard = []
        self.refuses = False  # no port can be had
        monkeypatch.setattr(mdns, "ticks_ms", lambda: self.now)
        monkeypatch.setattr(mdns, "address_of", lambda text, udp_port: (text, udp_port))

    def open(self, _stack, take, group, own):
        """As datagrams.MulticastPort."""
        assert group == bytes([224, 0, 0, 251])
        if self.refuses:
            raise OSError(98, "in use")
        return LanPort(self, take, own)

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
    """What datagrams.MulticastPort is to a responder."""

    def __init__(self, lan, take, own, udp_port=mdns._PORT):
        self.lan = lan
        self.take = take
        self.text = ".".join(str(octet) for octet in own)
        self.source = (self.text, udp_port)
        self.inbox = []
        lan.ports.append(self)

    def polled(self):
        return False

    def on_ready(self):
        while self.inbox and self in self.lan.ports:
            self.take(*self.inbox.pop(0))

    def send(self, data, address):
        self.lan.deliver(data, self.source, address)
        return True

    def close(self):
        self.lan.ports.remove(self)
