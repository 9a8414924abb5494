"""Stub."""


class Server:
    def __init__(self, manager, numbers, listeners):
        self._numbers = numbers
