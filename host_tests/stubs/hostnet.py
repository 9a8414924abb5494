"""SIM's C module `hostnet` for CPython: counts, or negative errno; descriptors are integers."""

import array
import fcntl
import os
import socket
import struct
import termios

_SIOCOUTQ = 0x5411


def _socket(fd):
    """A socket object that does not own the descriptor."""
    return socket.socket(fileno=fd)


def _call(fd, function):
    sock = _socket(fd)
    try:
        return function(sock)
    except OSError as e:
        return -e.errno
    finally:
        sock.detach()


def _checked(buf, offset, n):
    if offset < 0 or n < 0 or offset + n > len(buf):
        raise ValueError("outside of the buffer")
    return memoryview(buf)[offset : offset + n]


def recv(fd, buf, offset, n):
    view = _checked(buf, offset, n)
    return _call(fd, lambda s: s.recv_into(view, n, socket.MSG_DONTWAIT))


def send(fd, buf, offset, n):
    view = _checked(buf, offset, n)
    return _call(fd, lambda s: s.send(view, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL))


def _queue(fd, request):
    count = array.array("i", [0])
    try:
        fcntl.ioctl(fd, request, count)
    except OSError as e:
        return -e.errno
    return count[0]


def outq(fd):
    return _queue(fd, _SIOCOUTQ)


def inq(fd):
    return _queue(fd, termios.FIONREAD)


def shutdown(fd, how):
    return _call(fd, lambda s: s.shutdown(how) or 0)


def error(fd):
    return _call(fd, lambda s: -s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def addresses(fd, into):
    def fill(s):
        local = s.getsockname()
        peer = s.getpeername()
        into[0:8] = struct.pack("<HH", local[1], peer[1]) + socket.inet_aton(peer[0])
        return 0

    return _call(fd, fill)


def nodelay(fd):
    return _call(fd, lambda s: s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) or 0)


def reset_on_close(fd):
    linger = struct.pack("ii", 1, 0)
    return _call(fd, lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger) or 0)


def event():
    return os.eventfd(0, os.EFD_NONBLOCK)


def event_set(fd):
    os.eventfd_write(fd, 1)
    return 0


def event_clear(fd):
    return os.eventfd_read(fd)


def event_close(fd):
    os.close(fd)
    return 0
