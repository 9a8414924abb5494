"""The trial of a new image: it is kept when a controller had a valid transaction with it, or when
its owner has come over the network.

When for two minutes neither has, the module restarts, and the boot loader goes back to the old one.
"""

from micropython import const

from spinet.compat import ticks_diff
from spinet.update import record

TRIAL_MS = const(120000)
_LOOK_MS = const(100)


class Judgment:
    """A task, made at the first boot after an image was chosen. `link` counts transactions.

    Flash that fails ends the service, and so the trial.
    """

    def __init__(self, board, link):
        self._partitions = board.partitions()
        self._store = board.store("update")
        self._link = link
        self._since = None  # ticks: when the trial began
        self._kept = False
        self._owner_came = False
        _, slot, self._version, _ = record.load(self._store)
        self._over = slot != self._partitions.slot
        if self._over:
            self._note(record.LOST)

    def poll(self, now):
        """A task: judge. Keeping the image and noting that are two passes, as each writes flash."""
        if self._over:
            return -1
        if self._kept:
            self._over = True
            self._note(record.KEPT)
            return -1
        if self._since is None:
            self._since = now
        if self._asked():
            self._partitions.keep()
            self._kept = True
            return 0
        if ticks_diff(now, self._since) >= TRIAL_MS:
            self._note(record.SILENT)
            self._partitions.restart()
        return _LOOK_MS

    def owner_came(self):
        """The owner has asked for something over the network."""
        self._owner_came = True

    def _asked(self):
        """True when it is judged good."""
        return self._owner_came or self._link.count[0] > getattr(self._link, "bad_headers", 0)

    def _note(self, letter):
        try:
            record.save(self._store, letter, self._partitions.slot, self._version)
        except OSError:
            pass  # the record only says why
