"""A network namespace for everything that a test does: lwIP's TAP device and its peers."""

import contextlib
import ctypes
import os
import subprocess
import sys

from project import ROOT

CLONE_NEWNET = 0x40000000
WITH_TAP = (sys.executable, str(ROOT / "tools" / "with_tap.py"))
ADDRESSES = {"sockets": ("127.0.0.1", "127.0.0.1"), "lwip": ("10.197.0.1", "10.197.0.2")}
"""Of a peer and of SIM, on its stacks."""

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def own_network():
    """This thread, and all threads and processes that it starts, see a network of their own.

    It has a loopback and nothing else, and is gone with the last of them. Needs root.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _check(_libc.unshare(CLONE_NEWNET))
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        _check(_libc.setns(home, CLONE_NEWNET))
        os.close(home)


def _check(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"network namespace: {os.strerror(number)}")
