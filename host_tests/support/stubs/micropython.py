"""MicroPython's `micropython` module for CPython: the decorators run the same source.

What the firmware uses of MicroPython's `time`, `select` and `sys` is added to CPython's. Viper's
pointer types become builtins, as they are inside a viper function: `ptr8(buf)` indexes bytes,
`ptr16` and `ptr32` index little-endian halfwords and words of the same buffer.
"""

import builtins
import select
import sys
import time

_WRAP = 1 << 30  # the period of MicroPython's ticks, so that tests see them wrap

_locked = 0


def _ticks_ms():
    return time.monotonic_ns() // 1000000 & (_WRAP - 1)


def _ticks_add(ticks, delta):
    return ticks + delta & (_WRAP - 1)


def _ticks_diff(end, start):
    return (end - start + _WRAP // 2 & (_WRAP - 1)) - _WRAP // 2


class _Poll:
    """CPython's poll object, with MicroPython's `ipoll`."""

    def __init__(self, real=select.poll):
        self._poll = real()

    def __getattr__(self, name):
        return getattr(self._poll, name)

    def ipoll(self, ms):
        return iter(self._poll.poll(ms))


time.ticks_ms, time.ticks_add, time.ticks_diff = _ticks_ms, _ticks_add, _ticks_diff
select.poll = _Poll
sys.print_exception = lambda e: sys.excepthook(type(e), e, None)


def const(value):
    return value


def native(function):
    return function


viper = native


class _Address:
    """What `uint(pointer)` is: add bytes, and cast it again."""

    def __init__(self, view):
        self.view = view

    def __add__(self, n):
        return _Address(self.view[n:])


def _uint(value):
    return _Address(value.cast("B")) if isinstance(value, memoryview) else int(value)


def _pointer(code, width):
    def cast(buf):
        view = buf.view if isinstance(buf, _Address) else memoryview(buf).cast("B")
        return view[: len(view) // width * width].cast(code)

    return cast


class _Bytes:
    """A `ptr8`: what is stored is cut to a byte, as the store instruction does."""

    def __init__(self, buf):
        self._buf = buf

    def __getitem__(self, i):
        return self._buf[i]

    def __setitem__(self, i, value):
        self._buf[i] = value & 0xFF


builtins.ptr8 = _Bytes
builtins.ptr16 = _pointer("H", 2)
builtins.ptr32 = _pointer("I", 4)
builtins.uint = _uint


def heap_lock():
    global _locked
    _locked += 1


def heap_unlock():
    global _locked
    _locked -= 1
    return _locked


def heap_locked():
    return _locked


def alloc_emergency_exception_buf(_size):
    """CPython raises without asking for memory first."""


def schedule(function, argument):
    function(argument)
