"""What sockets of this Python can do: the calls under `stack_sockets`, chosen once, at import.

`HostCalls` go through `hostnet` (SIM, host tests), `SocketCalls` through the methods that every
MicroPython socket has (stock firmware). Both answer counts and negative errno.
"""

import errno
import io
import socket

from micropython import const

from spinet import compat
from spinet.tcp.stack import (
    ERR_ABRT,
    ERR_CLSD,
    ERR_CONN,
    ERR_IF,
    ERR_MEM,
    ERR_RST,
    ERR_RTE,
    ERR_USE,
    ERR_VAL,
    ERR_WOULDBLOCK,
)

# A computer holds many more in its backlog than we ask for; with a short one the kernel falls back
# to SYN cookies under load and resets those it cannot place.
HOST_BACKLOG = const(128)
SEND_BUFFER = const(32768)  # what the computer may hold for us: a promise is not a warehouse

_IN = const(1)  # poll flags; the same numbers on every port
_BROKEN = const(24)  # error, hang-up

_STREAM_POLL = const(3)  # MP_STREAM_POLL
_SO_SNDBUF = const(7)
_SHUT_WR = const(1)
_SO_KEEPALIVE = const(9)  # Linux's numbers, as those below
_SO_OOBINLINE = const(10)
_IPPROTO_TCP = const(6)
_TCP_KEEPIDLE = const(4)
_TCP_KEEPINTVL = const(5)
_TCP_KEEPCNT = const(6)
_LINGER_ZERO = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # struct linger: on, no time

# Numbers of Linux and of lwIP's sockets; MicroPython's errno module does not name all of them.
_ERRORS = {
    11: ERR_WOULDBLOCK,
    errno.EAGAIN: ERR_WOULDBLOCK,
    errno.EINPROGRESS: ERR_WOULDBLOCK,
    errno.ECONNRESET: ERR_RST,
    32: ERR_RST,  # EPIPE: we wrote after a reset
    errno.ECONNREFUSED: ERR_RST,  # as lwIP reports it
    errno.ECONNABORTED: ERR_ABRT,
    errno.ENOTCONN: ERR_CONN,
    128: ERR_CONN,  # ENOTCONN of lwIP's own errno.h
    107: ERR_CONN,
    108: ERR_CLSD,  # ESHUTDOWN
    errno.EBADF: ERR_CLSD,
    errno.ETIMEDOUT: ERR_ABRT,  # the stack gave up
    110: ERR_ABRT,
    101: ERR_RTE,  # ENETUNREACH
    errno.EHOSTUNREACH: ERR_RTE,
    118: ERR_RTE,  # lwIP's EHOSTUNREACH
    99: ERR_RTE,  # EADDRNOTAVAIL
    errno.EADDRINUSE: ERR_USE,
    100: ERR_IF,  # ENETDOWN
    errno.ENOMEM: ERR_MEM,
    errno.ENOBUFS: ERR_MEM,
    24: ERR_MEM,  # EMFILE, ENFILE: no descriptor left
    23: ERR_MEM,
}


def err_of(number):
    """lwIP's error for a positive errno."""
    return _ERRORS.get(number, ERR_VAL)


class HostCalls:
    """Transfers through `hostnet`: counts and negative errno, no exceptions, no allocation."""

    can_linger = True  # one direction can be ended, and it is known what was delivered

    def __init__(self):
        self.receive = compat.hostnet.recv
        self.send = compat.hostnet.send
        self.in_flight = compat.hostnet.outq
        self.addresses = compat.hostnet.addresses
        self.reset_on_close = compat.hostnet.reset_on_close
        self.backlog = HOST_BACKLOG

    def key(self, sock):
        """What the transfers take, and what the poller reports."""
        return sock.fileno()

    def end_sending(self, key):
        """Send FIN; 0 or negative errno."""
        return compat.hostnet.shutdown(key, _SHUT_WR)

    def setup(self, sock):
        """Options of a fresh connection."""
        compat.hostnet.nodelay(sock.fileno())
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUF, SEND_BUFFER)
        # As in lwIP, which knows no urgent byte: else the last one that FTP's ABOR sends is lost.
        sock.setsockopt(socket.SOL_SOCKET, _SO_OOBINLINE, 1)

    def keepalive(self, sock, idle, interval, count):
        """See `stack`."""
        sock.setsockopt(socket.SOL_SOCKET, _SO_KEEPALIVE, 1 if idle else 0)
        if not idle:
            return 0
        sock.setsockopt(_IPPROTO_TCP, _TCP_KEEPIDLE, idle)
        sock.setsockopt(_IPPROTO_TCP, _TCP_KEEPINTVL, interval)
        sock.setsockopt(_IPPROTO_TCP, _TCP_KEEPCNT, count)
        return 0

    def connect_error(self, key, _flags):
        """Negative errno of a connection attempt that ended, 0 when it succeeded."""
        return compat.hostnet.error(key)


class SocketCalls:
    """The same through the methods that every MicroPython socket has."""

    backlog = 0  # as many as the listener asks for
    can_linger = False

    def end_sending(self, _sock):
        return -1  # these sockets can only close

    def key(self, sock):
        return sock

    def setup(self, sock):
        """Nothing that every stock firmware would know."""

    def keepalive(self, _sock, _idle, _interval, _count):
        return ERR_VAL  # nor does it know this

    def receive(self, sock, buf, offset, n):
        # Not readinto(): it tries until it has all n, and loses what it had when that fails.
        try:
            data = sock.recv(n)
        except OSError as e:
            return -e.errno
        buf[offset : offset + len(data)] = data
        return len(data)

    def send(self, sock, buf, offset, n):
        try:
            taken = sock.write(buf, offset, n)
        except OSError as e:
            return -e.errno
        return -errno.EAGAIN if taken is None else taken

    def in_flight(self, _sock):
        return -1

    def addresses(self, _sock, _into):
        return -1  # the caller has what accept() or connect() said

    def reset_on_close(self, sock):
        try:
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_LINGER", 13), _LINGER_ZERO)
        except (OSError, TypeError, AttributeError):
            return -1  # this firmware's sockets know no linger: the end is an orderly one
        return 0

    def connect_error(self, sock, flags):
        if not flags & _BROKEN:
            return 0
        try:
            sock.recv(1)
        except OSError as e:
            return -e.errno
        return -errno.ECONNREFUSED


class EventWake:
    """wake() through a descriptor of the computer."""

    def __init__(self):
        self.ready = False  # set and cleared by SocketStack.wait()
        self.key = compat.hostnet.event()

    def ring(self):
        """From any thread."""
        compat.hostnet.event_set(self.key)

    def on_ready(self):
        compat.hostnet.event_clear(self.key)

    def close(self):
        compat.hostnet.event_close(self.key)


class FlagWake(io.IOBase):
    """wake() through a stream object that is readable once it was rung."""

    def __init__(self):
        self.ready = False  # set and cleared by SocketStack.wait()
        self._rung = False  # set by any thread, cleared by the waiting one
        self.key = self

    def ring(self):
        """From any thread, also from a pin interrupt."""
        self._rung = True

    def ioctl(self, request, flags):
        """MicroPython's stream protocol; only polling is of use here."""
        if request != _STREAM_POLL:
            return -errno.EINVAL  # 0 would be an answer: the unix port asks for a descriptor
        return flags & _IN if self._rung else 0

    def on_ready(self):
        self._rung = False

    def close(self):
        """Nothing is held."""


def default_calls():
    """The calls that this Python has."""
    return HostCalls() if compat.hostnet else SocketCalls()


def new_wake():
    """A source of the stack's wait() whose ring() ends it, from any thread."""
    return EventWake() if compat.hostnet else FlagWake()


def begin_connect(sock, address):
    """ERR_WOULDBLOCK when the attempt is under way (or over already), else why it is not."""
    try:
        sock.connect(address)
    except OSError as e:
        return err_of(e.errno)
    return ERR_WOULDBLOCK


def put_peer(into, ip, tcp_port):
    """Write the peer into the 8 bytes of addresses()."""
    into[0:2] = b"\0\0"  # our own port is known when the connection is
    into[2] = tcp_port & 0xFF
    into[3] = tcp_port >> 8
    for i in range(4):
        into[4 + i] = ip >> 8 * i & 0xFF
