"""moduleUpdate: an image for the slot that does not run, step by step.

Imported by the first of these commands; see docs/link-protocol.md, Update.
"""

from micropython import const

from spinet import VERSION_TEXT
from spinet.duet import wire
from spinet.fields import put_bytes, put_u16, put_u32
from spinet.update import image, record
from spinet.update.transfer import Transfer

# Steps, in the flags
_BEGIN = const(0)
_PIECE = const(1)
_FINISH = const(2)
_RESTART = const(3)
_CANCEL = const(4)
_STATUS = const(5)
_AGAIN = const(0x80)  # beside _BEGIN: also the version that runs

# UpdateStatus (48): state u8 @0, slot u8 @1, chip u16 @2, received u32 @4, size u32 @8,
# room u32 @12, version 32 @16; then a text, how the last update ended
_STATUS_SIZE = const(48)

_IDLE = const(0)  # states of an UpdateStatus
_ARRIVING = const(1)
_CHOSEN = const(2)
_ON_TRIAL = const(3)


class OneSlot:
    """Takes the place of the board's partitions in a module without a second slot."""

    chip = 0xFFFF
    slot = 0
    size = 0
    version = VERSION_TEXT


class Updates:
    """Serves the steps. See duet/commands.py for when each method is called."""

    def __init__(self, board):
        self._store = board.store("update")
        self._partitions = board.partitions() or OneSlot
        self._transfer = Transfer(self._partitions, self._store)

    def answer(self, request):
        step = request.flags & ~_AGAIN
        if step == _STATUS:
            return self._status(request)
        if step > _STATUS:
            return wire.BAD_PARAMETER
        if step == _BEGIN and request.length != image.HEAD:
            return wire.BAD_DATA_LENGTH
        return request.take() if self._may(step) else wire.WRONG_STATE

    def _may(self, step):
        transfer = self._transfer
        if step == _BEGIN:
            return self._partitions.size > 0
        if step == _RESTART:
            return transfer.chosen
        if step == _FINISH and transfer.received < transfer.size:
            return False
        return transfer.arriving()

    def step(self, request):
        """Do a step; returns why it was refused, or None. Raises OSError."""
        wrong = self._do(request, request.flags & ~_AGAIN)
        return "update: " + wrong if wrong else None

    def _do(self, request, step):
        transfer = self._transfer
        sent = memoryview(request.rx)[wire.DATA : wire.DATA + request.accepted]
        number = wire.request_param(request.rx)
        if step == _BEGIN:
            return transfer.begin(number, sent, request.flags & _AGAIN)
        if step == _PIECE:
            return transfer.take(number, sent)
        if step == _FINISH:
            return transfer.finish()
        if step == _CANCEL:
            return transfer.cancel()
        if step == _RESTART:
            self._partitions.restart()
        return None

    def _status(self, request):
        text = record.told(self._store, self._partitions.slot).encode()
        if request.available < _STATUS_SIZE + len(text):
            return wire.BUFFER_TOO_SMALL
        self._put_status(request.tx)
        put_bytes(request.tx, wire.DATA + _STATUS_SIZE, text, len(text))
        return _STATUS_SIZE + len(text)

    def _put_status(self, message):
        slots = self._partitions
        message[wire.DATA] = self._state()
        message[wire.DATA + 1] = slots.slot
        put_u16(message, wire.DATA + 2, slots.chip)
        put_u32(message, wire.DATA + 4, self._transfer.received)
        put_u32(message, wire.DATA + 8, self._transfer.size)
        put_u32(message, wire.DATA + 12, slots.size)
        put_bytes(message, wire.DATA + 16, slots.version.encode(), 32)

    def _state(self):
        if self._transfer.arriving():
            return _ARRIVING
        if self._transfer.chosen:
            return _CHOSEN
        letter, slot, _, _ = record.load(self._store)
        return _ON_TRIAL if letter == record.CHOSEN and slot == self._partitions.slot else _IDLE
