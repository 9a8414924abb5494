"""Stub."""


class Client:
    def __init__(self, manager, numbers, peers, names, wlan):
        self._numbers = numbers
