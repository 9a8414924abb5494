"""The differences between the Pythons, settled once, at import.

MicroPython on a chip, MicroPython on the SIM board and CPython (host tests) get the same names:
a millisecond clock that wraps, threads, slabs of memory, and, where the image has them, `hostnet`
(the computer's socket calls) and `tls_session` (TLS).
"""

import errno
import gc
import sys
import time

import micropython

try:
    import hostnet
except ImportError:
    hostnet = None  # stock firmware: stack_sockets falls back to the methods of socket objects

try:
    import _spinet_tls as tls_session
except ImportError:
    tls_session = None  # an image without our C

try:
    import _spinet_slabs as slabs
except ImportError:
    slabs = None  # the same

ticks_add = time.ticks_add
ticks_diff = time.ticks_diff
ticks_ms = time.ticks_ms


def sooner(a, b):
    """The shorter of two waits in ms, where -1 is none, as in a task's poll()."""
    return min(a, b) if a >= 0 and b >= 0 else max(a, b)


# Stack sizes of our threads on a chip, in bytes. The ESP32 port gives a thread 4 KB by default, and
# a Python frame takes 270 to 315 bytes. A thread whose stack is too small fails with "maximum
# recursion depth exceeded", and the module restarts. host_tests/vm/cases_stack.py measures the use.
SERVICE_STACK = micropython.const(13312)  # the loop with every command
HANDSHAKE_STACK = micropython.const(10240)  # mbedTLS, with a reseed of its random numbers
WORKER_STACK = micropython.const(8192)  # one blocking call of a driver, and a few frames


def address_peer(address):
    """The port (u16) and the four octets of a socket's address: a tuple or a sockaddr_in."""
    if isinstance(address, (bytes, bytearray)):  # unix port: struct sockaddr_in
        return bytes((address[3], address[2])) + address[4:8]
    host, port = address
    return bytes((port & 0xFF, port >> 8)) + bytes(int(octet) for octet in host.split("."))


def start_thread(function, args, stack_bytes):
    """Run `function(*args)` in a thread of its own. On a chip its stack has `stack_bytes`; a
    computer's default is large enough.

    Raises OSError when there is no memory for a thread; each Python raises another exception.
    """
    import _thread

    _thread.stack_size(stack_bytes if sys.platform in ("esp32", "qemu") else 0)
    try:
        _thread.start_new_thread(function, args)
    except (RuntimeError, MemoryError):
        raise OSError(errno.ENOMEM)
    finally:
        _thread.stack_size(0)


def lock():
    """A lock between threads. The import is here because some Pythons have no threads."""
    import _thread

    return _thread.allocate_lock()


def error_text(e):
    """An OSError as one line of text. A driver may raise one with a text instead of a number;
    MicroPython then has the text in `errno`."""
    return "error %d" % e.errno if isinstance(e.errno, int) else str(e)


# The kinds of slab; firmware/slabs has one of each.
RINGS = micropython.const(0)
TRACE = micropython.const(1)


def slab(kind, size):
    """A bytearray of `size` zeros, for long use. It is in C's memory where there is some, so that a
    collection need not scan it; otherwise, and while that kind is taken, it is on the heap."""
    return (slabs and slabs.take(kind, size)) or bytearray(size)


def give_back(slab):
    """The slab is no longer used: the next slab() of its kind may be the same memory."""
    if slabs:
        slabs.give_back(slab)


# How many bytes of Python's heap are in use; None where that is unknown (CPython).
heap_used = getattr(slabs, "heap_used", None) or getattr(gc, "mem_alloc", None)


def heap_free():
    """Free bytes of Python's heap; 0 where that is unknown (CPython)."""
    return gc.mem_free() if hasattr(gc, "mem_free") else 0
