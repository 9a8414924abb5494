"""A chip's partitions: see spinet/contracts/partitions.py.

The boot loader is ESP-IDF's, with roll-back.
"""

import machine
from esp32 import Partition
from micropython import const

from spinet import VERSION_TEXT
from spinet.fields import get_u16

_SECTOR = const(4096)
_ERASE = const(6)  # of ioctl()
_CHIP = const(12)  # of an image's header
_SIZE = const(3)  # of info()
_SUBTYPE = const(1)
_FIRST_SLOT = const(0x10)  # a subtype: ota_0


class ChipPartitions:
    """The slot that runs, and the other one. Raises OSError if there is no other one."""

    version = VERSION_TEXT

    def __init__(self):
        running = Partition(Partition.RUNNING)
        self._other = other = running.get_next_update()
        head = bytearray(16)
        running.readblocks(0, head)
        self.chip = get_u16(head, _CHIP)
        self.slot = running.info()[_SUBTYPE] - _FIRST_SLOT
        if self.slot not in (0, 1) or running.info() == other.info():
            raise OSError(19)  # ENODEV
        self.size = other.info()[_SIZE]

    def erase(self, at):
        """Erase the sector at this offset."""
        self._other.ioctl(_ERASE, at // _SECTOR)

    def write(self, at, data):
        """Write bytes to where the flash was erased."""
        self._other.writeblocks(at // _SECTOR, data, at % _SECTOR)

    def read(self, at, into):
        """Fill `into`."""
        self._other.readblocks(at // _SECTOR, into, at % _SECTOR)

    def choose(self):
        """Start the other slot at the next restart, if ESP-IDF finds an image in it."""
        self._other.set_boot()

    def keep(self):
        """Start the slot that runs from now on."""
        Partition.mark_app_valid_cancel_rollback()

    def restart(self):
        """Restart; does not return."""
        machine.reset()


def two_slots():
    """The ChipPartitions, None where there is only one slot."""
    try:
        return ChipPartitions()
    except OSError:
        return None
