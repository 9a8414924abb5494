"""UDP ports of the firmware's own services, over any stack: each datagram goes to its port's
owner.

Service thread only. Opening a port and handing out a datagram allocate; the hot path has no part in
either.
"""

from micropython import const

from spinet.tcp.stack import DATAGRAMS, INDEX_MASK
from spinet.udp import datagrams

_BURST = const(8)  # datagrams that are handed out before the loop goes on


class Ports:
    """The ports that are open, and the memory that they share. It hears the stack's events."""

    def __init__(self, udp):
        self.udp = udp
        self.listening = [None] * datagrams.PORTS  # by index: objects with on_datagrams()
        self.buffer = None  # of MOST bytes, made for the first DatagramPort

    def on_events(self, _events):
        """Datagrams came."""
        news = self.udp.pending()
        for index in range(datagrams.PORTS):
            if news >> index & 1 and self.listening[index]:
                self.listening[index].on_datagrams()


def ports_of(manager):
    """The Ports of this ConnectionManager's stack, made when they are first asked for."""
    ports = manager.owners[DATAGRAMS]
    if ports is None:
        ports = Ports(manager.stack.udp)
        manager.attach(DATAGRAMS, ports)
    return ports


class DatagramPort:
    """One port: take(data, sender) is called with each datagram, bytes, and the peer that sent it,
    which is valid until take() returns.

    `group` and `own` (u32s), if given: the port is in that multicast group, at the interface with
    the address `own`, and is shared with other programs. Raises OSError, with the stack's number,
    when the port cannot be had.
    """

    def __init__(self, manager, take, number, group=0, own=0):
        self._take = take
        self._ports = ports_of(manager)
        self._udp = udp = self._ports.udp
        self._ports.buffer = self._ports.buffer or bytearray(datagrams.MOST)
        self._sender = bytearray(datagrams.PEER_SIZE)
        self._handle = udp.bind(0, number, 1 if group else 0)
        if self._handle < 0:
            raise OSError(self._handle, "no UDP port")
        error = udp.join(self._handle, group, own) if group else 0
        if error:
            udp.close(self._handle)
            raise OSError(error, "no multicast")
        self._ports.listening[self._handle & INDEX_MASK] = self

    def on_datagrams(self):
        """Hand out what came. The stack tells of what is left, after the rest of this pass."""
        try:
            for _ in range(_BURST):
                if not self._hand_out():
                    break
        except MemoryError:
            pass  # that datagram is lost: clients repeat their questions

    def _hand_out(self):
        buffer = self._ports.buffer
        n = self._udp.receive(self._handle, buffer, 0, len(buffer), self._sender)
        if n >= 0:
            self._take(bytes(memoryview(buffer)[: min(n, len(buffer))]), self._sender)
        return n >= 0

    def send(self, data, peer):
        """True when it was sent."""
        return self._udp.send(self._handle, peer, data, 0, len(data)) >= 0

    def close(self):
        """Close the port."""
        self._ports.listening[self._handle & INDEX_MASK] = None
        self._udp.close(self._handle)
