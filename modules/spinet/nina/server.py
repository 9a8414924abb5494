"""Commands of servers: listening, its state, and its end. 2B of a server is in client.py."""

from micropython import const

from spinet.nina.numbers import SERVER

_TCP = const(0)  # the type of a socket


class Server:
    """Serves these commands over the listeners."""

    def __init__(self, numbers):
        self._numbers = numbers

    def listen(self, request):
        first = request.params - 3  # 1: with an address, which only multicast needs
        port = request.u16_be(first)
        tcp = request.u(first + 2) == _TCP
        request.answer_u8(1 if tcp and self._numbers.listen(request.u(first + 1), port) else 0)

    def state(self, request):
        request.answer_u8(1 if self._numbers.kind(request.u(0)) == SERVER else 0)

    def stop(self, request):
        self._numbers.drop(request.u(0))
        request.answer_u8(1)
