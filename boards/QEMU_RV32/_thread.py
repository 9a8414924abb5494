"""`_thread` for MicroPython's qemu port, which has none.

A thread runs, from beginning to end, when run() is called. It has no more stack than on a chip.
"""

import memchip

_DEFAULT = 4096  # as on the chips
_bytes = 0
_begun = []  # threads to run: (function, arguments, bytes of stack)
taken = {}  # bytes of stack -> the most that a thread with that stack size used


class Lock:
    """A lock. To acquire one that is held, the begun threads are run first."""

    def __init__(self):
        self._held = False

    def acquire(self):
        if self._held:
            run()
        if self._held:
            raise RuntimeError("deadlock")
        self._held = True

    def release(self):
        self._held = False

    def __enter__(self):
        self.acquire()

    def __exit__(self, *_):
        self.release()


allocate_lock = Lock


def stack_size(size=0):
    """Set the stack size of threads that are begun from now on."""
    global _bytes
    _bytes = size


def start_new_thread(function, arguments):
    _begun.append((function, arguments, _bytes or _DEFAULT))


def drop():
    """Drop the threads that were begun."""
    _begun.clear()


def run(left=0):
    """Run the threads that were begun, each with `left` bytes less than its stack.

    Raises RuntimeError when one needs more.
    """
    while _begun:
        function, arguments, size = _begun.pop(0)
        most = memchip.within(size - left, lambda f=function, a=arguments: f(*a))
        taken[size] = max(taken.get(size, 0), most)
