"""A network namespace with one TAP device: the wire between the stack and ordinary Linux sockets.

Needs root and iproute2. Everything is made by the test and removed with it; several can exist side
by side. A thread enters the namespace for the moment in which it makes a socket; the socket stays
there, the thread ends.
"""

import ctypes
import fcntl
import itertools
import os
import socket
import struct
import subprocess
import threading
from pathlib import Path

MODULE = "10.77.0.2"
PEERS = ("10.77.0.1", "10.77.0.3")
NOBODY = "10.77.0.99"
NETMASK = "255.255.255.0"
DEVICE = "tap0"
PATIENCE = 60  # seconds until a test gives up; nothing is asserted about less
FIRST_PORT, PORT_COUNT = 20000, 40000

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


def as_int(address):
    """A dotted IPv4 address as the integer whose octets in memory are the address."""
    return struct.unpack("=I", socket.inet_aton(address))[0]


def _ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Peer(socket.socket):
    """A peer's socket. Its namespace closes it, and what it accepts, unless the test did."""

    keep = None  # of its Namespace

    def accept(self):
        """As a socket's."""
        connection, address = super().accept()
        return self.keep(connection), address


class Namespace:
    """One namespace; `tap_fd` is the stack's end of the wire."""

    recording = None  # a pcap.PcapFile: the frames of every namespace go there; set before they are

    def __init__(self):
        # In their order: a port that chance draws again may be one of a connection in TIME-WAIT.
        self._ports = itertools.count()
        self._sockets = []
        self.name = f"netconn-{os.getpid()}-{next(_numbers)}"
        _ip("netns", "add", self.name)
        try:
            self.tap_fd = self.inside(self._open_tap)
            for address in PEERS:
                _ip("-n", self.name, "addr", "add", f"{address}/24", "dev", DEVICE)
            _ip("-n", self.name, "link", "set", DEVICE, "up")
            _ip("-n", self.name, "link", "set", "lo", "up")
            self._recorder = self.recording.record(self) if self.recording else None
        except BaseException:
            _ip("netns", "del", self.name)
            raise

    def close(self):
        """Remove the namespace and all that is in it."""
        if self._recorder:
            self._recorder.close()
        for left in self._sockets:
            left.close()
        os.close(self.tap_fd)
        _ip("netns", "del", self.name)

    def inside(self, function):
        """What `function()` returns when called inside the namespace."""
        result = []

        def run():
            try:
                with Path("/run/netns", self.name).open("rb") as handle:
                    if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                result.append(function())
            except OSError as error:  # also: the namespace is gone, as Ctrl-C ended its test
                result.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if isinstance(result[0], OSError):
            raise result[0]
        return result[0]

    @staticmethod
    def _open_tap():
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH14x", DEVICE.encode(), IFF_TAP | IFF_NO_PI))
        # No router solicitations and the like on the wire: captures hold the test's frames only.
        Path(f"/proc/sys/net/ipv6/conf/{DEVICE}/disable_ipv6").write_text("1")
        return fd

    def socket(self, kind=socket.SOCK_STREAM, family=socket.AF_INET, proto=0):
        """A socket in the namespace, with a time-out so that no test can hang on it."""
        made = self.inside(lambda: Peer(family, kind, proto))
        made.keep = self._keep
        made.settimeout(PATIENCE)
        return self._keep(made)

    def _keep(self, made):
        self._sockets = [*(each for each in self._sockets if each.fileno() >= 0), made]
        return made

    def _next_port(self):
        return FIRST_PORT + next(self._ports) % PORT_COUNT

    def connect(self, port, peer=PEERS[0], **options):
        """A peer's connection to the stack. Options: receive_buffer."""
        made = self.socket()
        if "receive_buffer" in options:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["receive_buffer"])
        made.bind((peer, self._next_port()))
        made.connect((MODULE, port))
        return made

    def begin_connect(self, port, peer=PEERS[0]):
        """A peer's connection that is only begun: the stack has to be served meanwhile."""
        made = self.socket()
        made.bind((peer, self._next_port()))
        made.setblocking(False)
        made.connect_ex((MODULE, port))
        made.settimeout(PATIENCE)
        return made

    def listen(self, port, peer=PEERS[0], backlog=8):
        """A peer's listener."""
        made = self.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((peer, port))
        made.listen(backlog)
        return made


def reset(connection):
    """End a peer's connection with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
