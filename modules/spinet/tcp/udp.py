"""UDP ports beside the TCP stack: for discovery and DNS, never for a controller's data.

There is one implementation, over this Python's sockets. A port is made bound, from the stack whose
waits it is to end, and raises OSError when it cannot be had. It has:

    take(data, address)     given by the owner: called in the service thread with each datagram
    polled()                True where no wait ends for it (lwIP by our C module): its owner calls
                            on_ready() every POLL_MS
    on_ready()              hand out what came, BURST datagrams at most
    send(data, address)     True when it left; a network that is gone raises nothing
    close()                 give the port back

An address is what the sockets of this Python give and take: address_of() makes one, and
compat.address_octets() and address_port() read one. Receiving allocates, so no connection's
transfer may wait for it.
"""

import socket

from micropython import const

from spinet import compat

POLL_MS = const(100)
BURST = const(8)
_SIZE = const(1500)

_SO_REUSEADDR = getattr(socket, "SO_REUSEADDR", 2)
_LINUX_REUSEPORT = const(15)
_IPPROTO_IP = const(0)
_LINUX_MULTICAST_IF = const(32)
_LINUX_MULTICAST_TTL = const(33)
_LINUX_MULTICAST_ALL = const(49)
_LINUX_ADD_MEMBERSHIP = const(35)


def address_of(text, udp_port):
    """What sendto() and bind() take."""
    return socket.getaddrinfo(text, udp_port)[0][-1]


class DatagramPort:
    """One bound UDP socket. take(data, address) is called with each datagram.

    Raises OSError when the port cannot be had.
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
        """True when poll() has to be called: no wait ends for this port."""
        return self._stack is None

    def on_ready(self):
        """Hand out what came; what is left after a burst is reported by the next wait."""
        try:
            for _ in range(BURST):
                self._take(*self.sock.recvfrom(_SIZE))
        except OSError:
            pass  # nothing more, or an earlier datagram was refused
        except MemoryError:
            pass  # this one is lost, as networks lose some: clients repeat their questions

    def send(self, data, address):
        """True when it left; a network that is gone is no error of ours."""
        try:
            self.sock.sendto(data, address)
        except OSError:
            return False
        return True

    def close(self):
        """Give the port back."""
        if self._stack:
            self._stack.unwatch(self)
        self.sock.close()


class MulticastPort(DatagramPort):
    """A port that shares its number with other programs of a Linux computer, in one group.

    `group` and `own`: 4 octets each; `own` says which interface.
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
