"""Stub."""


class Bsd:
    def __init__(self, manager, numbers, listeners):
        self._numbers = numbers
