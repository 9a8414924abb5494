"""boards/SIM's scripted radio, and its pins, on CPython. Its folder is on the path for the import
only: it has a board.py, as each board has."""

import sys

from project import ROOT

_SIM = str(ROOT / "boards" / "SIM")

sys.path.insert(0, _SIM)
try:
    from air import TAKES, Air, AirRadio, ScriptError
    from own_pins import OwnPins
    from radio import SimRadio
finally:
    sys.path.remove(_SIM)

__all__ = ["TAKES", "Air", "AirRadio", "OwnPins", "ScriptError", "SimRadio"]


class Clock:
    """Milliseconds that pass when a test says so, wrapping as the chips' do."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now

    def pass_time(self, ms):
        self.now = self.now + ms & (1 << 30) - 1


class Addresses:
    """What a radio on SIM is told of its network."""

    ip = 0x3201A8C0
    netmask = 0x00FFFFFF
    gateway = 0x0101A8C0

    @staticmethod
    def name_servers():
        """DHCP's."""
        return Addresses.gateway, 0
