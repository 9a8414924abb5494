"""UDP ports beside the TCP stack: for discovery and DNS, never for a controller's data.

There is one implementation, over this Python's sockets. The constructor takes the stack, whose
waits end when a datagram comes, and binds the port; it raises OSError when that fails. A port has:

    take(data, address)     given by the owner: called in the service thread with each datagram
    polled()                True when no wait ends for it (lwIP through _spinet_lwip): its owner
                            calls on_ready() every POLL_MS
    on_ready()              hand out what came, _BURST datagrams at most
    send(data, address)     True when it was sent; raises nothing for a network that is gone
    close()                 close the port

An address has the form that this Python's sockets use: address_of() makes one,
compat.address_octets() and address_port() read one. Receiving allocates, so this is not for the
hot path.
"""

import socket

from micropython import const

from spinet import compat

POLL_MS = const(100)
_BURST = const(8)
_SIZE = const(1500)

_SO_REUSEADDR = getattr(socket, "SO_REUSEADDR", 2)
_LINUX_REUSEPORT = const(15)
_IPPROTO_IP = const(0)
_LINUX_MULTICAST_IF = const(32)
_LINUX_MULTICAST_TTL = const(33)
_LINUX_MULTICAST_ALL = const(49)
_LINUX_ADD_MEMBERSHIP = const(35)


def address_of(text, udp_port):
    """An address for sendto() and bind()."""
    return socket.getaddrinfo(text, udp_port)[0][-1]


class DatagramPort:
    """One bound UDP socket. take(data, address) is called with each datagram.

    Raises OSError when the port cannot be bound.
    """

    def __init__(self, stack, take, text, udp_port):
        self._take = take
        self._stack = stack if hasattr(stack, "watch") else None
        self.ready = False  # set and cleared by the stack's wait()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.sock.setblocking(False)
            self._bind(text, udp_port)
        except OSError:
            self.sock.close()
            raise
        self.key = self.sock.fileno() if compat.POLL_BY_DESCRIPTOR else self.sock
        if self._stack:
            self._stack.watch(self)

    def _bind(self, text, udp_port):
        self.sock.bind(address_of(text, udp_port))

    def polled(self):
        """True when on_ready() has to be called every POLL_MS: no wait ends for this port."""
        return self._stack is None

    def on_ready(self):
        """Hand out what came. If more than _BURST came, the next wait ends for the rest."""
        try:
            for _ in range(_BURST):
                self._take(*self.sock.recvfrom(_SIZE))
        except OSError:
            pass  # nothing more, or an earlier datagram was refused
        except MemoryError:
            pass  # drop it: clients repeat their questions

    def send(self, data, address):
        """True when it was sent; raises nothing for a network that is gone."""
        try:
            self.sock.sendto(data, address)
        except OSError:
            return False
        return True

    def close(self):
        """Close the port."""
        if self._stack:
            self._stack.unwatch(self)
        self.sock.close()


class MulticastPort(DatagramPort):
    """A port in one multicast group, which other programs of a Linux computer may share.

    `group` and `own`: 4 octets each; `own` is the address of the interface.
    """

    def __init__(self, stack, take, group, own, udp_port):
        self._group = group
        self._own = own
        super().__init__(stack, take, "0.0.0.0", udp_port)

    def _bind(self, text, udp_port):
        sock = self.sock
        sock.setsockopt(socket.SOL_SOCKET, _SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, _LINUX_REUSEPORT, 1)
        sock.setsockopt(_IPPROTO_IP, _LINUX_MULTICAST_TTL, 255)
        sock.setsockopt(_IPPROTO_IP, _LINUX_MULTICAST_ALL, 0)
        sock.setsockopt(_IPPROTO_IP, _LINUX_MULTICAST_IF, self._own)
        sock.setsockopt(_IPPROTO_IP, _LINUX_ADD_MEMBERSHIP, self._group + self._own)
        super()._bind(text, udp_port)
