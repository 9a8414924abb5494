"""Commands of servers: listening, its state, and its end. 2B of a server is in client.py."""

from micropython import const

from spinet.nina.datagrams import DATAGRAMS, MULTICAST
from spinet.nina.numbers import SERVER

_TCP = const(0)  # the type of a socket


class Server:
    """Serves these commands over the listeners and the UDP sockets."""

    def __init__(self, numbers, datagrams):
        self._numbers = numbers
        self._datagrams = datagrams

    def listen(self, request):
        first = request.params - 3  # 1: with an address, which only multicast needs
        port = request.u16_be(first)
        number = request.u(first + 1)
        kind = request.u(first + 2)
        done = False
        if kind == _TCP:
            done = self._numbers.listen(number, port)
        elif kind in DATAGRAMS:
            group = request.u(0) if first and kind == MULTICAST else 0
            socket = self._numbers.datagrams(number)
            done = socket and self._datagrams.listen(socket, port, group)
        request.answer_u8(1 if done else 0)

    def state(self, request):
        request.answer_u8(1 if self._numbers.kind(request.u(0)) == SERVER else 0)

    def stop(self, request):
        self._numbers.drop(request.u(0))
        request.answer_u8(1)
