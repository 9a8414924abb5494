"""UDP over MicroPython sockets: see `datagrams` for the contract.

A port's queue is that of the computer's socket, made small. With `hostnet` (SIM, host tests) no
datagram allocates, and dropped ones are counted. Without it (stock firmware) one datagram is read
ahead, because a socket does not tell the length of the next one.
"""

import socket

from micropython import const

from spinet import compat
from spinet.fields import dotted, octets
from spinet.tcp import stack as tcp
from spinet.tcp.socket_calls import err_of
from spinet.tcp.stack import INDEX_BITS, INDEX_MASK
from spinet.udp import datagrams

_QUEUE = const(8192)  # bytes of the socket's buffer: the computer counts memory, not datagrams
_GENERATIONS = const(0xFFFF)
_MULTICAST_TTL = const(255)  # mDNS wants it (RFC 6762, 11)

_IN = const(1)  # poll flag; the same number on every port
_AGAIN = const(11)  # Linux's EAGAIN

# Linux's numbers, which MicroPython's module may not name
_SO_REUSEADDR = getattr(socket, "SO_REUSEADDR", 2)
_SO_BROADCAST = const(6)
_SO_RCVBUF = const(8)
_SO_REUSEPORT = const(15)
_IPPROTO_IP = const(0)
_IP_MULTICAST_IF = const(32)
_IP_MULTICAST_TTL = const(33)
_IP_ADD_MEMBERSHIP = const(35)
_IP_DROP_MEMBERSHIP = const(36)
_IP_MULTICAST_ALL = const(49)


class HostDatagrams:
    """Datagrams through `hostnet`: lengths and negative errno, no exceptions, no allocation."""

    def __init__(self):
        self.send = compat.hostnet.sendto
        self.receive = compat.hostnet.recvfrom
        self.length = compat.hostnet.next_length
        self.dropped = compat.hostnet.dropped

    def key(self, sock):
        """The argument of the calls, and what the poller reports."""
        return sock.fileno()

    def setup(self, sock):
        """Set the options of a new socket: a small queue, and broadcasts may be sent."""
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUF, _QUEUE)
        sock.setsockopt(socket.SOL_SOCKET, _SO_BROADCAST, 1)

    def forget(self, _sock):
        """Nothing was read ahead."""


class SocketDatagrams:
    """The same through the methods that every MicroPython socket has."""

    def __init__(self):
        self._ahead = {}  # socket -> (datagram, address), read ahead

    def key(self, sock):
        return sock

    def setup(self, _sock):
        """Sets nothing: no option exists in every stock firmware, where queues are small anyway."""

    def send(self, sock, peer, buf, offset, n):
        address = _address(_text(peer), datagrams.port_of(peer))
        try:
            return sock.sendto(bytes(memoryview(buf)[offset : offset + n]), address)
        except OSError as e:
            return -e.errno

    def length(self, sock):
        if sock not in self._ahead:
            try:
                self._ahead[sock] = sock.recvfrom(datagrams.MOST + 1)
            except OSError as e:
                return -e.errno
        return len(self._ahead[sock][0])

    def receive(self, sock, buf, offset, n, sender):
        length = self.length(sock)
        if length >= 0:
            data, address = self._ahead.pop(sock)
            n = min(n, length)
            buf[offset : offset + n] = data[:n]
            sender[: datagrams.PEER_SIZE] = compat.address_peer(address)
        return length

    def dropped(self, _sock):
        return -1

    def forget(self, sock):
        """This socket is about to be closed."""
        self._ahead.pop(sock, None)


class _Port:
    """One bound socket: a source of the poller's."""

    def __init__(self, owner, index, generation, sock, key):
        self.ready = False  # set and cleared by the stack's wait()
        self.handle = generation << INDEX_BITS | index
        self.sock = sock
        self.key = key
        self.group = b""  # what was joined: group and interface, 4 octets each
        self.is_told = False  # it has news, and is not polled until something is received
        self._owner = owner

    def on_ready(self):
        """A datagram came."""
        self._owner.note(self)


class SocketUdp:
    """See `datagrams`. `poll` is the stack's Polling, `note()` gives DATAGRAMS its event, `any_ip`
    is the dotted address that bind() takes for ip 0."""

    def __init__(self, poll, note, any_ip):
        self._poll = poll
        self._note = note
        self._any_ip = any_ip
        self._calls = HostDatagrams() if compat.hostnet else SocketDatagrams()
        self._ports = [None] * datagrams.PORTS
        self._generation = 0
        self._news = 0  # bit map by index
        self._ping = None  # a SocketPing, from the first ping on

    def _port(self, h):
        port = self._ports[h & INDEX_MASK] if h > 0 and h & INDEX_MASK < datagrams.PORTS else None
        return port if port is not None and port.handle == h else None

    # --- opening and closing

    def bind(self, ip, udp_port, shared):
        if None not in self._ports:
            return tcp.ERR_MEM
        try:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        except OSError as e:
            return err_of(e.errno)
        try:
            sock.setblocking(False)
            self._calls.setup(sock)
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, _SO_REUSEADDR, 1)
                sock.setsockopt(socket.SOL_SOCKET, _SO_REUSEPORT, 1)
            sock.bind(self._where(ip, udp_port, shared))
        except OSError as e:
            sock.close()
            return err_of(e.errno)
        return self._keep(sock)

    def _where(self, ip, udp_port, shared):
        # A socket that is bound to one address gets no multicast. A port of the stack's choice
        # is for sending first.
        any_ip = "0.0.0.0" if shared or not udp_port else self._any_ip
        return _address(dotted(ip) if ip else any_ip, udp_port)

    def _keep(self, sock):
        index = self._ports.index(None)
        self._generation = self._generation % _GENERATIONS + 1
        port = _Port(self, index, self._generation, sock, self._calls.key(sock))
        self._ports[index] = port
        self._poll.watch(port)
        return port.handle

    def close(self, h):
        port = self._port(h)
        if port is None:
            return tcp.ERR_CLSD
        self._poll.unwatch(port)
        self._calls.forget(port.sock)
        port.sock.close()
        self._ports[h & INDEX_MASK] = None
        self._news &= ~(1 << (h & INDEX_MASK))
        return tcp.ERR_OK

    def shut(self):
        """Close every port."""
        for port in self._ports:
            if port:
                self.close(port.handle)
        if self._ping:
            self._ping.close()

    # --- datagrams

    def send(self, h, peer, buf, offset, n):
        port = self._port(h)
        if port is None:
            return tcp.ERR_CLSD
        if n > datagrams.MOST:
            return tcp.ERR_VAL
        sent = self._calls.send(port.key, peer, buf, offset, n)
        return sent if sent >= 0 else err_of(-sent)

    def length(self, h):
        port = self._port(h)
        if port is None:
            return tcp.ERR_CLSD
        length = self._calls.length(port.key)
        return length if length >= 0 else self._nothing(port, -length)

    def receive(self, h, buf, offset, n, sender):
        port = self._port(h)
        if port is None:
            return tcp.ERR_CLSD
        length = self._calls.receive(port.key, buf, offset, n, sender)
        if length < 0:
            return self._nothing(port, -length)
        self._poll_again(port)
        return length

    def _nothing(self, port, number):
        self._poll_again(port)
        return tcp.ERR_WOULDBLOCK if number == _AGAIN else err_of(number)

    def _poll_again(self, port):
        if port.is_told:
            port.is_told = False
            self._poll.modify(port.key, _IN)

    def dropped(self, h):
        port = self._port(h)
        return tcp.ERR_CLSD if port is None else self._calls.dropped(port.key)

    # --- events

    def note(self, port):
        """This port has a datagram: tell it once, and poll it again when one was received."""
        port.is_told = True
        self._poll.modify(port.key, 0)
        self._news |= 1 << (port.handle & INDEX_MASK)
        self._note()

    def pending(self):
        news = self._news
        self._news = 0
        return news

    # --- ping

    def ping(self, ip, ttl):
        if self._ping is None:
            from spinet.udp.ping_sockets import SocketPing

            self._ping = SocketPing()
        return self._ping.send(ip, ttl)

    def echo(self):
        return self._ping.echo() if self._ping else tcp.ERR_WOULDBLOCK

    # --- multicast

    def join(self, h, group, own):
        port = self._port(h)
        if port is None or port.group:
            return tcp.ERR_USE if port else tcp.ERR_CLSD
        there = octets(own)
        groups = octets(group) + there
        try:
            port.sock.setsockopt(_IPPROTO_IP, _IP_MULTICAST_TTL, _MULTICAST_TTL)
            port.sock.setsockopt(_IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            port.sock.setsockopt(_IPPROTO_IP, _IP_MULTICAST_IF, there)
            port.sock.setsockopt(_IPPROTO_IP, _IP_ADD_MEMBERSHIP, groups)
        except OSError as e:
            return err_of(e.errno)
        port.group = groups
        return tcp.ERR_OK

    def leave(self, h):
        port = self._port(h)
        if port is None:
            return tcp.ERR_CLSD
        if port.group:
            port.sock.setsockopt(_IPPROTO_IP, _IP_DROP_MEMBERSHIP, port.group)
            port.group = b""
        return tcp.ERR_OK


def _address(text, udp_port):
    return socket.getaddrinfo(text, udp_port)[0][-1]


def _text(peer):
    return "%d.%d.%d.%d" % (peer[2], peer[3], peer[4], peer[5])
