"""The socket calls under `stack_sockets`: two implementations with the same methods.

`HostCalls` uses `hostnet` (SIM, host tests), `SocketCalls` the methods that every MicroPython
socket has (stock firmware). Both return counts or a negative errno.
"""

import errno
import io
import socket

from micropython import const

from spinet import compat
from spinet.tcp import stack as tcp

# A longer backlog than a listener asks for: with a short one, Linux falls back to SYN cookies under
# load and resets the connections that do not fit.
_HOST_BACKLOG = const(128)
_SEND_BUFFER = const(32768)  # small, as the bytes in it are accepted but not yet delivered

_IN = const(1)  # poll flags; the same numbers on every port
_BROKEN = const(24)  # error, hang-up

_STREAM_POLL = const(3)  # MP_STREAM_POLL
_SO_SNDBUF = const(7)
_SHUT_WR = const(1)
_SO_KEEPALIVE = const(9)  # Linux's number, as are those below
_SO_OOBINLINE = const(10)
_IPPROTO_TCP = const(6)
_TCP_KEEPIDLE = const(4)
_TCP_KEEPINTVL = const(5)
_TCP_KEEPCNT = const(6)
_LINGER_ZERO = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # struct linger: on, no time

# errno of Linux and of lwIP's sockets; MicroPython's errno module does not have all of them.
_ERRORS = {
    11: tcp.ERR_WOULDBLOCK,
    errno.EAGAIN: tcp.ERR_WOULDBLOCK,
    errno.EINPROGRESS: tcp.ERR_WOULDBLOCK,
    errno.ECONNRESET: tcp.ERR_RST,
    32: tcp.ERR_RST,  # EPIPE: we wrote after a reset
    errno.ECONNREFUSED: tcp.ERR_RST,  # as lwIP reports it
    errno.ECONNABORTED: tcp.ERR_ABRT,
    errno.ENOTCONN: tcp.ERR_CONN,
    128: tcp.ERR_CONN,  # ENOTCONN of lwIP's own errno.h
    107: tcp.ERR_CONN,
    108: tcp.ERR_CLSD,  # ESHUTDOWN
    errno.EBADF: tcp.ERR_CLSD,
    errno.ETIMEDOUT: tcp.ERR_ABRT,  # the stack gave up
    110: tcp.ERR_ABRT,
    101: tcp.ERR_RTE,  # ENETUNREACH
    errno.EHOSTUNREACH: tcp.ERR_RTE,
    118: tcp.ERR_RTE,  # lwIP's EHOSTUNREACH
    99: tcp.ERR_RTE,  # EADDRNOTAVAIL
    errno.EADDRINUSE: tcp.ERR_USE,
    100: tcp.ERR_IF,  # ENETDOWN
    errno.ENOMEM: tcp.ERR_MEM,
    errno.ENOBUFS: tcp.ERR_MEM,
    24: tcp.ERR_MEM,  # EMFILE, ENFILE: no descriptor left
    23: tcp.ERR_MEM,
}


def err_of(number):
    """lwIP's error for a positive errno."""
    return _ERRORS.get(number, tcp.ERR_VAL)


class HostCalls:
    """Transfers through `hostnet`: counts and negative errno, no exceptions, no allocation."""

    can_linger = True  # end_sending() and in_flight() work

    def __init__(self):
        self.receive = compat.hostnet.recv
        self.send = compat.hostnet.send
        self.in_flight = compat.hostnet.outq
        self.addresses = compat.hostnet.addresses
        self.reset_on_close = compat.hostnet.reset_on_close
        self.backlog = _HOST_BACKLOG

    def key(self, sock):
        """The key of a socket: the argument of the transfers, and what the poller reports."""
        return sock.fileno()

    def end_sending(self, key):
        """Send FIN; 0 or negative errno."""
        return compat.hostnet.shutdown(key, _SHUT_WR)

    def setup(self, sock):
        """Set the options of a new connection."""
        compat.hostnet.nodelay(sock.fileno())
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUF, _SEND_BUFFER)
        # lwIP delivers urgent data in line. Without this, the urgent byte of FTP's ABOR is lost.
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
        """Negative errno of a connection attempt that has ended, 0 when it succeeded."""
        return compat.hostnet.error(key)


class SocketCalls:
    """The same through the methods that every MicroPython socket has."""

    backlog = 0  # use the listener's
    can_linger = False

    def end_sending(self, _sock):
        return -1  # these sockets can only close

    def key(self, sock):
        return sock

    def setup(self, sock):
        """Sets nothing: no option exists in every stock firmware."""

    def keepalive(self, _sock, _idle, _interval, _count):
        return tcp.ERR_VAL  # not in every stock firmware either

    def receive(self, sock, buf, offset, n):
        # Not readinto(): it repeats until it has all n bytes, and loses them when that fails.
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
        return -1  # unknown: the caller uses the address of accept() or connect()

    def reset_on_close(self, sock):
        try:
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_LINGER", 13), _LINGER_ZERO)
        except (OSError, TypeError, AttributeError):
            return -1  # this firmware's sockets have no SO_LINGER: close() will send a FIN
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
    """wake() through an event descriptor (hostnet)."""

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
    """wake() through a stream object that is readable after ring()."""

    def __init__(self):
        self.ready = False  # set and cleared by SocketStack.wait()
        self._rung = False  # set by any thread, cleared by the service thread
        self.key = self

    def ring(self):
        """From any thread, also from a pin interrupt."""
        self._rung = True

    def ioctl(self, request, flags):
        """MicroPython's stream protocol; only polling is needed here."""
        if request != _STREAM_POLL:
            return -errno.EINVAL  # the unix port asks for a descriptor, and 0 would be one
        return flags & _IN if self._rung else 0

    def on_ready(self):
        self._rung = False

    def close(self):
        """There is nothing to close."""
