"""The numbers of NINA's sockets (stub)."""


class Numbers:
    def __init__(self, manager, listeners):
        self._manager = manager

    def has_input(self):
        return False
