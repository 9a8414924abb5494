"""One poller for sockets and for what else ends a wait, and the object that each key belongs to."""

from micropython import const

from spinet import compat
from spinet.tcp.socket_calls import new_wake

_IN = const(1)  # poll flag; the same number on every port


class Polling:
    """What transfers take as a socket (`key`) is registered here, with its owner.

    A *source* ends waits without being a socket of a connection: a pin, the virtual bus, a UDP
    socket. Its `key` is polled for input and its `ready` set; on_ready() is then called once for
    each wait. One that may keep back what it has received has before_wait() as well, which says
    whether it does: on_ready() is called then too. Service thread only, but for wake().
    """

    def __init__(self):
        self._poll = compat.poller()
        self.owners = {}  # key -> owner
        self._sources = []
        self._keepers = []  # those of them that may keep something back
        self._wake = new_wake()
        self.watch(self._wake)
        self._poll.ipoll(0)  # MicroPython makes its result tuple now, not under a locked heap

    def register(self, key, flags, owner):
        """Report these flags of this key."""
        self.owners[key] = owner
        self._poll.register(key, flags)

    def modify(self, key, flags):
        """Report others."""
        self._poll.modify(key, flags)

    def unregister(self, key):
        """Report nothing of it any more."""
        self._poll.unregister(key)
        del self.owners[key]

    def hand_over(self, key, owner):
        """It belongs to another owner from now on; to register it anew would allocate."""
        self.owners[key] = owner

    def ipoll(self, ms):
        """(key, flags) of each that has something, after at most ms; -1: whenever it has."""
        return self._poll.ipoll(ms)

    # --- sources

    def watch(self, source):
        """End waits for this source too."""
        self._sources.append(source)
        if hasattr(source, "before_wait"):
            self._keepers.append(source)
        self.register(source.key, _IN, source)

    def unwatch(self, source):
        """As before watch()."""
        self._sources.remove(source)
        if source in self._keepers:
            self._keepers.remove(source)
        self.unregister(source.key)

    def is_something_kept(self):
        """True when a source has something that it received before: no wait is needed."""
        kept = False
        for source in self._keepers:
            if source.before_wait():
                source.ready = kept = True
        return kept

    def attend_sources(self):
        """Call those that are ready; True when there were any."""
        attended = False
        for source in self._sources:
            if source.ready:
                source.ready = False
                attended = True
                source.on_ready()
        return attended

    def wake(self):
        """From any thread: end a wait."""
        self._wake.ring()

    def close(self):
        """The end: nothing is polled any more."""
        self.unwatch(self._wake)
        self._wake.close()
