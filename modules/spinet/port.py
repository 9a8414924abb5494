"""Where the Pythons differ, settled once, at import.

MicroPython on a chip, MicroPython on the SIM board and CPython (host tests) get the same names:
a millisecond clock that wraps, a poller whose results allocate nothing, threads, and `hostnet`,
the computer's socket calls, where the board has them.
"""

import select
import sys

import micropython

try:
    import hostnet
except ImportError:
    hostnet = None  # stock firmware: stack_sockets falls back to the methods of socket objects

try:
    from time import ticks_add, ticks_diff, ticks_ms
except ImportError:
    from time import monotonic_ns

    _WRAP = 1 << 30  # the same period as MicroPython's, so that host tests see it wrap too

    def ticks_ms():
        """Milliseconds, wrapping at 2**30."""
        return monotonic_ns() // 1000000 & (_WRAP - 1)

    def ticks_add(ticks, delta):
        """The time `delta` ms after `ticks`."""
        return ticks + delta & (_WRAP - 1)

    def ticks_diff(end, start):
        """Milliseconds from `start` to `end`, negative when end is earlier."""
        return (end - start + _WRAP // 2 & (_WRAP - 1)) - _WRAP // 2


MICROPYTHON = sys.implementation.name == "micropython"

# Socket objects of a stock firmware may have no file descriptor; they are polled as objects.
POLL_BY_DESCRIPTOR = hostnet is not None


class _IteratingPoll:
    """CPython's poll object with MicroPython's `ipoll`."""

    def __init__(self):
        self._poll = select.poll()
        self.register = self._poll.register
        self.modify = self._poll.modify
        self.unregister = self._poll.unregister

    def ipoll(self, ms):
        return iter(self._poll.poll(ms))


def poller():
    """A poll object: register, modify, unregister, ipoll(ms)."""
    return select.poll() if MICROPYTHON else _IteratingPoll()


def address_octets(address):
    """The four octets of an accepted or resolved socket address, whatever its shape."""
    if isinstance(address, (bytes, bytearray)):  # unix port: struct sockaddr_in
        return address[4:8]
    return bytes(int(octet) for octet in address[0].split("."))


def address_port(address):
    """The port of an accepted or resolved socket address, whatever its shape."""
    if isinstance(address, (bytes, bytearray)):
        return address[2] << 8 | address[3]
    return address[1]


def start_thread(function, args):
    """Run `function(*args)` in a thread of its own."""
    import _thread

    _thread.start_new_thread(function, args)


def heap_free():
    """Bytes free on the heap that Python objects come from; 0 where nobody can tell."""
    import gc

    return gc.mem_free() if hasattr(gc, "mem_free") else 0


const = micropython.const
