"""Commands of the module itself: version, power, temperature."""

VERSION = b"1.8.0\0"  # of nina-fw, whose commands these are: drivers read six bytes of it


class Module:
    """Serves these commands over the board."""

    def __init__(self, board):
        self._board = board

    def version(self, request):
        request.answer_octets(VERSION)
