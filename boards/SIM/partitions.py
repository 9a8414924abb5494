"""SIM's partitions: files of the state folder, and the boot loader that chooses between them.

See spinet/contracts/partitions.py. The boot loader is ESP-IDF's with roll-back, as far as it
chooses: it has two sectors, each with a sequence number, a state, and the number's check sum. One
is erased before it is written, so power that is cut meanwhile leaves the other.
"""

import binascii
import hashlib
import os

from micropython import const

from spinet import VERSION_TEXT
from spinet.fields import get_u32, put_u32
from spinet.update import image

CHIP = const(0x5350)  # of SIM's images, a number of no chip
SLOT_SIZE = const(0x1C0000)  # as boards/chip/partitions.csv has it

_SECTOR = const(4096)
_BLANK = 0xFFFFFFFF

# An entry: sequence number u32 @0, 20 bytes, state u32 @24, check sum u32 @28
_ENTRY = const(32)
_STATE = const(24)
_CHECK = const(28)
_NEW = const(0)  # states
_ON_TRIAL = const(1)
_VALID = const(2)
_GIVEN_UP = const(4)


class FileFlash:
    """A partition in a file, like NOR flash: erased bytes are 0xFF. The first write makes the
    file."""

    def __init__(self, path):
        self._path = path

    def read(self, at, into):
        """Fill `into`; bytes beyond the end of the file are erased ones."""
        n = 0
        try:
            with open(self._path, "rb") as file:
                file.seek(at)
                n = file.readinto(into)
        except OSError:
            pass  # there is no file
        for i in range(n, len(into)):
            into[i] = 0xFF

    def erase(self, at):
        """Erase the sector at this offset."""
        self.write(at, b"\xff" * _SECTOR)

    def write(self, at, data):
        """Write bytes where the flash was erased."""
        with open(self._path, "r+b" if self._exists() else "w+b") as file:
            file.seek(at)
            file.write(data)

    def _exists(self):
        try:
            return bool(os.stat(self._path))
        except OSError:
            return False


class BootLoader:
    """Which slot runs. `flashes`: (its own two sectors, slot 0, slot 1)."""

    def __init__(self, flashes):
        self._own = flashes[0]
        self._slots = flashes[1:]
        self._entries = [bytearray(_ENTRY), bytearray(_ENTRY)]

    def start(self):
        """A restart: returns the slot to run. A trial that keep() has not ended is given up."""
        self._read()
        for number, entry in enumerate(self._entries):
            if get_u32(entry, _STATE) == _ON_TRIAL:
                self._put(number, get_u32(entry, 0), _GIVEN_UP)
        number = self._active()
        if number < 0:
            return 0
        sequence = get_u32(self._entries[number], 0)
        if get_u32(self._entries[number], _STATE) == _NEW:
            self._put(number, sequence, _ON_TRIAL)
        slot = (sequence - 1) % 2
        return slot if self._starts(slot) or not self._starts(1 - slot) else 1 - slot

    def _starts(self, slot):
        """True when there is something to run: an image, or in slot 0 SIM's own program."""
        first = bytearray(1)
        self._slots[slot].read(0, first)
        return (slot == 0 and first[0] == 0xFF) or is_sound(self._slots[slot])

    def start_once(self, slot):
        """Start this slot once at the next restart."""
        self._read()
        number = self._active()
        sequence = get_u32(self._entries[number], 0) + 1 if number >= 0 else 1
        while (sequence - 1) % 2 != slot:
            sequence += 1
        self._put(1 - number if number >= 0 else 0, sequence, _NEW)

    def keep(self):
        """Start the slot that was started last from now on."""
        self._read()
        number = self._active()
        if number >= 0:
            self._put(number, get_u32(self._entries[number], 0), _VALID)

    def _read(self):
        for number, entry in enumerate(self._entries):
            self._own.read(number * _SECTOR, entry)

    def _active(self):
        """The valid entry with the highest number; -1: there is none."""
        best = -1
        for number, entry in enumerate(self._entries):
            if _is_valid(entry) and (
                best < 0 or get_u32(entry, 0) > get_u32(self._entries[best], 0)
            ):
                best = number
        return best

    def _put(self, number, sequence, state):
        entry = self._entries[number]
        put_u32(entry, 0, sequence)
        put_u32(entry, _STATE, state)
        put_u32(entry, _CHECK, _check(entry))
        self._own.erase(number * _SECTOR)
        self._own.write(number * _SECTOR, entry)


def _check(entry):
    return binascii.crc32(entry[:4])


def _is_valid(entry):
    sequence = get_u32(entry, 0)
    given_up = get_u32(entry, _STATE) == _GIVEN_UP
    return sequence != _BLANK and not given_up and get_u32(entry, _CHECK) == _check(entry)


def is_sound(flash):
    """True when a whole image with the right hash is in it."""
    head = bytearray(image.HEAD)
    flash.read(0, head)
    if image.problem(head, CHIP):
        return False
    digest = hashlib.sha256()
    end = _end_of(flash, head[1])
    if end > SLOT_SIZE:
        return False
    piece = bytearray(_SECTOR)
    for at in range(0, end, _SECTOR):
        flash.read(at, piece)
        digest.update(memoryview(piece)[: min(_SECTOR, end - at)])
    stored = bytearray(image.DIGEST)
    flash.read(end, stored)
    return digest.digest() == bytes(stored)


def _end_of(flash, segments):
    """The offset behind the check sum, which ends a line of 16 bytes."""
    at = 24
    segment = bytearray(8)
    for _ in range(segments):
        flash.read(at, segment)
        at += 8 + get_u32(segment, 4)
        if at > SLOT_SIZE:
            break
    return (at + 16) & ~15


class SimPartitions:
    """See spinet/contracts/partitions.py. `restart()` is the board's."""

    chip = CHIP
    size = SLOT_SIZE

    def __init__(self, flashes, restart):
        self._loader = BootLoader(flashes)
        self._slots = flashes[1:]
        self.slot = self._loader.start()
        self.version = self._version()
        self._other = self._slots[1 - self.slot]
        self._restart = restart

    def erase(self, at):
        """Erase the sector at this offset."""
        self._other.erase(at)

    def write(self, at, data):
        """Write bytes to where the flash was erased."""
        self._other.write(at, data)

    def read(self, at, into):
        """Fill `into`."""
        self._other.read(at, into)

    def keep(self):
        """Start the slot that runs from now on."""
        self._loader.keep()

    def restart(self):
        """Restart; does not return."""
        self._restart()

    def _version(self):
        """The image's version; this program's while there is no image."""
        head = bytearray(image.HEAD)
        self._slots[self.slot].read(0, head)
        return VERSION_TEXT if image.problem(head, CHIP) else image.version(head)

    def choose(self):
        """As the boot loader does, look at the image first."""
        if not is_sound(self._other):
            raise OSError(22)  # EINVAL
        self._loader.start_once(1 - self.slot)


def of_folder(folder, restart):
    """The partitions of a module with this state folder, which has just restarted."""
    flashes = [FileFlash(folder + "/" + name) for name in ("otadata", "ota_0", "ota_1")]
    return SimPartitions(flashes, restart)
