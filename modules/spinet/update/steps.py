"""The steps of an update, over the link (duet/update.py) or over the network (update/network.py).

docs/link-protocol.md, Update, has them and the codes.
"""

from micropython import const

from spinet import VERSION_TEXT
from spinet.compat import ticks_diff
from spinet.fields import put_bytes, put_u16, put_u32
from spinet.update import image, owner, record
from spinet.update.transfer import Transfer

LINK = const(1)  # ways by which an image can come
NETWORK = const(2)

_BEGIN = const(0)  # steps, in the flags
_PIECE = const(1)
_FINISH = const(2)
RESTART = const(3)
_CANCEL = const(4)
_STATUS = const(5)
_OWNER = const(6)
_AGAIN = const(0x80)  # beside _BEGIN: also the version that runs

# The protocol's codes, as duet/wire.py has them
_WRONG_STATE = const(-4)
_BAD_DATA_LENGTH = const(-5)
_BUFFER_TOO_SMALL = const(-9)
_BAD_PARAMETER = const(-11)

# UpdateStatus (48): state u8 @0, slot u8 @1, chip u16 @2, received u32 @4, size u32 @8,
# room u32 @12, version 32 @16; then a text, how the last update ended
_STATUS_SIZE = const(48)

_IDLE = const(0)  # states of an UpdateStatus
_ARRIVING = const(1)
_CHOSEN = const(2)
_ON_TRIAL = const(3)

SILENT_MS = const(30000)  # an image of which nothing comes for so long is dropped


class OneSlot:
    """Takes the place of the board's partitions in a module without a second slot."""

    chip = 0xFFFF
    slot = 0
    size = 0
    version = VERSION_TEXT


class Steps:
    """Serves the steps of both ways. One image at a time is on its way. `way`: LINK or NETWORK."""

    def __init__(self, board):
        self._board = board
        self._store = board.store("update")
        self._partitions = board.partitions() or OneSlot
        self._transfer = Transfer(self._partitions, self._store)
        self._way = LINK  # by which the image comes, or came
        self._moved = False  # it has, since the last poll()
        self._since = 0  # ticks of the poll() that saw that

    def answer(self, flags, length, way):
        """0 when the step can be done with so many bytes of data, else why not, as a code."""
        step = flags & ~_AGAIN
        if step > _OWNER or (flags & _AGAIN and step != _BEGIN):
            return _BAD_PARAMETER
        if step == _BEGIN and length != image.HEAD:
            return _BAD_DATA_LENGTH
        return 0 if self._may(step, way) else _WRONG_STATE

    def asks_status(self, flags):
        """True for the step that is answered by status(), and has nothing to do()."""
        return flags == _STATUS

    def _may(self, step, way):
        transfer = self._transfer
        if step == _STATUS:
            return True
        if step == _BEGIN or step == _OWNER:
            return self._partitions.size > 0
        if way != self._way or (step == _FINISH and transfer.received < transfer.size):
            return False
        return transfer.chosen if step == RESTART else transfer.arriving()

    def do(self, flags, number, data, way):
        """Do a step; returns why it was refused, or None. Raises OSError. `data`: a memoryview."""
        step = flags & ~_AGAIN
        if step == _OWNER:
            return owner.change(self._board, data)
        if way != self._way and self._transfer.arriving():
            return "another image is on its way"
        self._way = way
        self._moved = True
        return self._do(step, flags & _AGAIN, number, data)

    def _do(self, step, again, number, data):
        transfer = self._transfer
        if step == _BEGIN:
            return transfer.begin(number, data, again)
        if step == _PIECE:
            return transfer.take(number, data)
        if step == _FINISH:
            return transfer.finish()
        if step == _CANCEL:
            return transfer.cancel()
        if step == RESTART:
            self._partitions.restart()
        return None

    def left(self, way):
        """What comes by this way has ended: drop what is not complete."""
        if way == self._way:
            self._transfer.drop()

    def poll(self, now):
        """Drop an image of which nothing comes any more, as the other way may have one."""
        if self._moved:
            self._moved = False
            self._since = now
        elif self._transfer.arriving() and ticks_diff(now, self._since) >= SILENT_MS:
            self._transfer.drop()

    def status(self, into, at, room):
        """Put an UpdateStatus and its text into `into`; returns its length, or a code."""
        text = record.told(self._store, self._partitions.slot).encode()
        if room < _STATUS_SIZE + len(text):
            return _BUFFER_TOO_SMALL
        slots = self._partitions
        into[at] = self._state()
        into[at + 1] = slots.slot
        put_u16(into, at + 2, slots.chip)
        put_u32(into, at + 4, self._transfer.received)
        put_u32(into, at + 8, self._transfer.size)
        put_u32(into, at + 12, slots.size)
        put_bytes(into, at + 16, slots.version.encode(), 32)
        put_bytes(into, at + _STATUS_SIZE, text, len(text))
        return _STATUS_SIZE + len(text)

    def _state(self):
        if self._transfer.arriving():
            return _ARRIVING
        if self._transfer.chosen:
            return _CHOSEN
        letter, slot, _, _ = record.load(self._store)
        return _ON_TRIAL if letter == record.CHOSEN and slot == self._partitions.slot else _IDLE
