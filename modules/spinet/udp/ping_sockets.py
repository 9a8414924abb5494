"""Ping over MicroPython sockets, where the system lets a program send ICMP: see `datagrams`."""

import socket
import struct

from micropython import const

from spinet.compat import address_peer, ticks_diff, ticks_ms
from spinet.fields import dotted, octets
from spinet.tcp import stack as tcp
from spinet.tcp.socket_calls import err_of

_NUMBER = const(0x5350)  # of all our pings; their sequence tells them apart
_SIZE = const(32)  # bytes of data in a request
_ROOM = const(256)  # for an answer, with an IP header before it
_AGAIN = const(11)  # Linux's EAGAIN

# Linux's numbers, which MicroPython's module may not name
_SOCK_RAW = getattr(socket, "SOCK_RAW", 3)
_IPPROTO_IP = const(0)
_IPPROTO_ICMP = const(1)
_IP_TTL = const(2)
_ECHO_REQUEST = const(8)
_ECHO_REPLY = const(0)


class SocketPing:
    """One ping at a time."""

    def __init__(self):
        self._sock = None  # while no answer has come
        self._headed = False  # what comes begins with an IP header
        self._target = b""  # four octets
        self._sequence = 0
        self._sent = 0  # ticks
        self._took = tcp.ERR_WOULDBLOCK

    def send(self, ip, ttl):
        """See ping() of the contract."""
        self.close()
        self._target = octets(ip)
        self._sequence = self._sequence + 1 & 0xFFFF
        self._took = tcp.ERR_WOULDBLOCK
        self._sent = ticks_ms()
        try:
            self._open()
            self._sock.setblocking(False)
            self._sock.setsockopt(_IPPROTO_IP, _IP_TTL, ttl)
            address = socket.getaddrinfo(dotted(ip), 0)[0][-1]
            self._sock.sendto(_request(self._sequence), address)
        except OSError as e:
            self.close()
            return err_of(e.errno)
        return tcp.ERR_OK

    def _open(self):
        """The one kind of socket gives ICMP a number of its own, the other is for root."""
        try:
            self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, _IPPROTO_ICMP)
            self._headed = False
        except OSError:
            self._sock = socket.socket(socket.AF_INET, _SOCK_RAW, _IPPROTO_ICMP)
            self._headed = True

    def echo(self):
        """See echo() of the contract."""
        while self._sock:
            try:
                packet, sender = self._sock.recvfrom(_ROOM)
            except OSError as e:
                return tcp.ERR_WOULDBLOCK if e.errno == _AGAIN else err_of(e.errno)
            if self._is_ours(packet) and address_peer(sender)[2:] == self._target:
                self._took = max(0, ticks_diff(ticks_ms(), self._sent))
                self.close()
        return self._took

    def _is_ours(self, packet):
        at = (packet[0] & 0xF) * 4 if self._headed and packet else 0
        echo = packet[at : at + 8]
        if len(echo) < 8 or echo[0] != _ECHO_REPLY or echo[6:] != self._sequence.to_bytes(2, "big"):
            return False
        return not self._headed or echo[4:6] == _NUMBER.to_bytes(2, "big")

    def close(self):
        """No answer is waited for any more."""
        if self._sock:
            self._sock.close()
            self._sock = None


def _request(sequence):
    """An echo request; its other words are 0, which the checksum counts as nothing."""
    total = (_ECHO_REQUEST << 8) + _NUMBER + sequence
    checksum = 0xFFFF - total % 0xFFFF
    return struct.pack(">HHHH", _ECHO_REQUEST << 8, checksum, _NUMBER, sequence) + bytes(_SIZE)
