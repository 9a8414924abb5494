"""Commands of the module itself: version, power, temperature."""

import struct

from micropython import const

VERSION = b"1.8.0\0"  # of nina-fw, whose commands these are: drivers read six bytes of it
_VERSION_OCTETS = b"\1\x08\0\0"  # the same, and of four a driver looks at three
_OK = const(1)


class Module:
    """Serves these commands over the board and its radio."""

    def __init__(self, board, radio):
        self._board = board
        self._radio = radio
        radio.save_power(False)

    def version(self, request):
        request.answer_octets(VERSION)

    def version_octets(self, request):
        request.answer_octets(_VERSION_OCTETS)

    def set_power(self, request):
        self._radio.save_power(request.u(0) != 0)
        request.answer_u8(_OK)

    def set_debug(self, request):
        """No effect: what the module has to say is at the REPL."""
        request.answer_u8(_OK)

    def temperature(self, request):
        celsius = self._board.temperature()
        if celsius is None:
            request.refuse()
        else:
            request.answer_octets(struct.pack("<f", celsius))
