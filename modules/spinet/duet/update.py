"""moduleUpdate: an image for the slot that does not run, step by step, over the link.

Imported by the first of these commands; see docs/link-protocol.md, Update.
"""

from spinet.duet import wire
from spinet.update import steps


class Updates:
    """Serves the steps. See duet/commands.py for when each method is called."""

    def __init__(self, service):
        network = service.updates  # where it is on, its Steps are for both ways
        self._steps = network.steps if network else steps.Steps(service.board)

    def answer(self, request):
        code = self._steps.answer(request.flags, request.length, steps.LINK)
        if code:
            return code
        if self._steps.asks_status(request.flags):
            return self._steps.status(request.tx, wire.DATA, request.available)
        return request.take()

    def step(self, request):
        """Do a step; returns why it was refused, or None. Raises OSError."""
        sent = memoryview(request.rx)[wire.DATA : wire.DATA + request.accepted]
        number = wire.request_param(request.rx)
        wrong = None
        if not self._steps.asks_status(request.flags):
            wrong = self._steps.do(request.flags, number, sent, steps.LINK)
        return "update: " + wrong if wrong else None
