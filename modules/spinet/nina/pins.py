"""Commands of the module's own pins, which the driver's program uses as if they were its board's.

A pin that does not exist, cannot do this, or belongs to the board's link, flash or REPL is refused,
with the answer that the command's drivers take for a failure.
"""

from micropython import const

_OK = const(1)
_NOT_OK = const(0)
_NO_LEVEL = const(255)
_NO_VALUE = const(-1)
_NO_VALUE_U16 = const(0)


class Pins:
    """Serves these commands. `pins`: the board's, see contracts/board.py."""

    def __init__(self, pins):
        self._pins = pins

    def set_mode(self, request):
        self._set(request, self._pins.set_mode)

    def write(self, request):
        self._set(request, self._pins.write)

    def write_duty(self, request):
        self._set(request, self._pins.write_duty)

    def _set(self, request, act):
        try:
            act(request.u(0), request.u(1))
        except (ValueError, OSError):
            request.answer_u8(_NOT_OK)
            return
        request.answer_u8(_OK)

    def read(self, request):
        try:
            level = self._pins.read(request.u(0))
        except (ValueError, OSError):
            level = _NO_LEVEL
        request.answer_u8(level)

    def read_analog(self, request):
        """MicroPython's driver and Arduino's name a channel, CircuitPython's a pin and how much is
        attenuated."""
        named_by_channel = request.params == 1
        try:
            if named_by_channel:
                value = self._pins.read_channel(request.u(0))
            else:
                value = self._pins.read_analog(request.u(0), request.u(1))
        except (ValueError, OSError):
            value = _NO_VALUE_U16 if named_by_channel else _NO_VALUE
        request.begin_reply(1)
        request.put(value, 2 if named_by_channel else 4)
