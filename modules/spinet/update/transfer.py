"""An image on its way into the other slot.

Each method that can refuse returns why, or None. The record is written before each step, so that a
loss of power at any moment leaves a true one.
"""

import hashlib

from micropython import const

from spinet.update import image, record

_SECTOR = const(4096)
_PIECE = const(2048)


class Transfer:
    """`partitions` keeps contracts/partitions.py, `store` has the record. Raises OSError."""

    def __init__(self, partitions, store):
        self._partitions = partitions
        self._store = store
        self._hash = None  # of all but the image's own digest; None: nothing is on its way
        self._digest = bytearray(image.DIGEST)  # the image's own
        self._version = ""
        self.size = 0  # bytes of the image
        self.received = 0  # bytes of it that are in flash
        self.chosen = False  # it is the one that the next restart starts

    def arriving(self):
        """True from begin() until the image was chosen, refused or cancelled."""
        return self._hash is not None

    def begin(self, size, head, again):
        """An image of `size` bytes that begins with `head` will come; what came before is dropped.

        `again`: also if its version is the one that runs. A chosen image is erased before the
        record says anything else: with another record, nothing would judge it when it starts.
        """
        version = image.version(head)
        wrong = self._problem(size, head, version, again)
        if self.chosen:
            if wrong:
                return wrong
            self._partitions.erase(0)
        self._hash = None
        self.chosen = False
        self._version = version
        if wrong:
            return self._refuse(wrong)
        self._note(record.ARRIVING)
        self._hash = hashlib.sha256()
        self.size = size
        self.received = 0
        return None

    def _problem(self, size, head, version, again):
        wrong = image.problem(head, self._partitions.chip)
        if not wrong and not image.HEAD + image.DIGEST <= size <= self._partitions.size:
            wrong = "the image has %d bytes, the slot %d" % (size, self._partitions.size)
        if not wrong and not again and version == self._partitions.version:
            wrong = "this version runs already"
        return wrong

    def take(self, at, piece):
        """A piece of the image, a memoryview of 2048 bytes, the last one of what is left.

        One that is not the next is passed over.
        """
        if at != self.received or not piece or len(piece) != min(_PIECE, self.size - at):
            return
        if at % _SECTOR == 0:
            self._partitions.erase(at)
        self._partitions.write(at, piece)
        self._count(at, piece)
        self.received = at + len(piece)

    def _count(self, at, piece):
        end = max(0, min(len(piece), self.size - image.DIGEST - at))
        self._hash.update(piece[:end])
        for i in range(end, len(piece)):
            self._digest[at + i - self.size + image.DIGEST] = piece[i]

    def finish(self):
        """All has come: choose the image if its hash is right. The boot loader checks flash."""
        digest = self._hash.digest()
        self._hash = None
        head = bytearray(image.HEAD)
        self._partitions.read(0, head)
        wrong = image.problem(head, self._partitions.chip)
        if not wrong and digest != bytes(self._digest):
            wrong = "the image is damaged: its hash is another"
        if wrong:
            return self._refuse(wrong)
        self._note(record.CHOSEN)
        try:
            self._partitions.choose()
        except OSError:
            return self._refuse("the boot loader would not start it")
        self.chosen = True
        return None

    def drop(self):
        """Forget what has come; the record says that it was not complete."""
        self._hash = None

    def cancel(self):
        """Drop it, as its sender wishes."""
        self.drop()
        self._note(record.CANCELLED)

    def _refuse(self, why):
        self._note(record.FAILED, why)
        return why

    def _note(self, letter, why=""):
        slot = 1 - self._partitions.slot
        record.save(self._store, letter, slot, self._version, why)
