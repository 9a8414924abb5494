"""SIM's C module `hostnet` for CPython: counts, or negative errno; descriptors are integers."""

import array
import fcntl
import os
import socket
import struct
import termios

_SIOCOUTQ = 0x5411
_TCP_CLOSE = 7


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
    if not n:
        raise ValueError("a count of 0 would look like the end of the stream")
    view = _checked(buf, offset, n)
    return _call(fd, lambda s: s.recv_into(view, n, socket.MSG_DONTWAIT))


def send(fd, buf, offset, n, more=False):
    view = _checked(buf, offset, n)
    flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL | (socket.MSG_MORE if more else 0)
    return _call(fd, lambda s: s.send(view, flags))


def _queue(fd, request):
    count = array.array("i", [0])
    try:
        fcntl.ioctl(fd, request, count)
    except OSError as e:
        return -e.errno
    return count[0]


def _is_gone(sock):
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE


def outq(fd):
    count = _queue(fd, _SIOCOUTQ)
    return 0 if count > 0 and _call(fd, _is_gone) else count


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


def sendto(fd, peer, buf, offset, n):
    view = _checked(buf, offset, n)
    address = (socket.inet_ntoa(peer[2:6]), peer[0] | peer[1] << 8)
    return _call(fd, lambda s: s.sendto(view, socket.MSG_DONTWAIT, address))


def recvfrom(fd, buf, offset, n, sender):
    view = _checked(buf, offset, n)

    def take(s):
        data, address = s.recvfrom(65536, socket.MSG_DONTWAIT)
        view[: min(n, len(data))] = data[:n]
        sender[0:6] = struct.pack("<H", address[1]) + socket.inet_aton(address[0])
        return len(data)

    return _call(fd, take)


def next_length(fd):
    return _call(fd, lambda s: len(s.recv(65536, socket.MSG_DONTWAIT | socket.MSG_PEEK)))


def dropped(fd):
    return _call(fd, lambda s: struct.unpack("=9I", s.getsockopt(socket.SOL_SOCKET, 55, 36))[8])


def event():
    return os.eventfd(0, os.EFD_NONBLOCK)


def event_set(fd):
    os.eventfd_write(fd, 1)
    return 0


def event_clear(fd):
    try:
        return os.eventfd_read(fd)
    except BlockingIOError as e:
        return -e.errno


def event_close(fd):
    os.close(fd)
    return 0
