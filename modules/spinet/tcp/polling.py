"""One poller for sockets and for the other sources of a wait, and the owner of each key."""

import select

from micropython import const

from spinet import compat
from spinet.tcp.socket_calls import EventWake, FlagWake

_IN = const(1)  # poll flag; the same number on every port


class Polling:
    """Registers each socket by its `key` (what the transfers take as a socket), with its owner.

    A *source* ends waits but is not a connection's socket: a pin, the virtual bus, a UDP socket.
    Its `key` is polled for input; each wait that finds some sets its `ready`, and calls its
    on_ready() once. A source that buffers received data also has before_wait(), which returns True
    when there is some; on_ready() is then called too. Service thread only, except wake().
    """

    def __init__(self):
        self._poll = select.poll()
        self.modify = self._poll.modify  # (key, flags): report these flags instead
        self.ipoll = self._poll.ipoll  # (ms): (key, flags) of each key with events; -1: no limit
        self.owners = {}  # key -> owner
        self._sources = []
        self._keepers = []  # the sources with before_wait()
        self._wake = EventWake() if compat.hostnet else FlagWake()
        self.watch(self._wake)
        self._poll.ipoll(0)  # MicroPython makes its result tuple now, not under a locked heap

    def register(self, key, flags, owner):
        """Report these flags of this key."""
        self.owners[key] = owner
        self._poll.register(key, flags)

    def unregister(self, key):
        """Report this key no longer."""
        self._poll.unregister(key)
        del self.owners[key]

    def hand_over(self, key, owner):
        """Change the owner of a key; registering it again would allocate."""
        self.owners[key] = owner

    # --- sources

    def watch(self, source):
        """End waits for this source too."""
        self._sources.append(source)
        if hasattr(source, "before_wait"):
            self._keepers.append(source)
        self.register(source.key, _IN, source)

    def unwatch(self, source):
        """Undo watch()."""
        self._sources.remove(source)
        if source in self._keepers:
            self._keepers.remove(source)
        self.unregister(source.key)

    def is_something_kept(self):
        """True when a source has buffered data: no wait is needed."""
        kept = False
        for source in self._keepers:
            if source.before_wait():
                source.ready = kept = True
        return kept

    def attend_sources(self):
        """Call on_ready() of the sources that are ready; True when there were any."""
        attended = False
        for source in self._sources:
            if source.ready:
                source.ready = False
                attended = True
                source.on_ready()
        return attended

    def wake(self):
        """From any thread: end the wait."""
        self._wake.ring()

    def close(self):
        """End polling."""
        self.unwatch(self._wake)
        self._wake.close()
