"""The core on real lwIP as a child process, and its functions as methods.

Every method named after a function of netconn.h calls it and returns its integer. `read`
returns (count or error, bytes), `addresses` the 8 octets, `stats` and `memory` dictionaries.
"""

import subprocess
import time

from namespace import PATIENCE

ACCEPT, CONNECTED, DATA, ROOM, CLOSED, ERROR = 1, 2, 4, 8, 16, 32
OK, MEM, RTE, WOULDBLOCK, USE, CONN, ABRT, RST, CLSD, ARG = (
    0,
    -1,
    -4,
    -7,
    -8,
    -11,
    -13,
    -14,
    -15,
    -16,
)
TIMEOUT = -3

STATS = (
    "accepted",
    "connected",
    "refused",
    "stale",
    "errors",
    "closed",
    "aborted",
    "overtime",
    "displaced",
    "half_open_ended",
    "connect_timeouts",
    "no_route",
    "entries",
    "orphans",
    "half_open",
)
MEMORY = ("pcbs", "time_wait", "netconns", "segments", "blocks", "held")
INDEX_MASK = 31


class Rig:
    """One stack in one process. Close it and look at `stderr` for what sanitizers found."""

    def __init__(self, program, tap_fd=-1, ip="0.0.0.0", netmask="0.0.0.0"):
        self._process = subprocess.Popen(
            [program, str(tap_fd), ip, netmask, "0.0.0.0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[tap_fd] if tap_fd >= 0 else [],
            text=True,
        )
        self._handles = {}
        self._seen = {}

    def _ask(self, *words):
        self._process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().split()
        if not answer or answer[0] == "?":
            raise AssertionError(f"{words}: the rig ended: {self._process.stderr.read()[:4000]}")
        return answer

    def __getattr__(self, name):
        return lambda *arguments: int(self._ask(name, *arguments)[0])

    def _opened(self, handle):
        if handle > 0:
            self._handles[handle & INDEX_MASK] = handle
            self._seen[handle] = 0
        return handle

    def listen(self, port, backlog=4, ip=0):
        """nc_listen, with the usual arguments first."""
        return self._opened(int(self._ask("listen", ip, port, backlog)[0]))

    def accept(self, handle):
        """nc_accept."""
        return self._opened(int(self._ask("accept", handle)[0]))

    def connect(self, ip, port):
        """nc_connect."""
        return self._opened(int(self._ask("connect", ip, port)[0]))

    def read(self, handle, count=65536):
        """nc_read: (count or error, bytes)."""
        answer = self._ask("read", handle, count)
        return int(answer[0]), bytes.fromhex(answer[1]) if len(answer) > 1 else b""

    def write(self, handle, data, more=False):
        """nc_write."""
        gather_or_push = 2 if more else 0
        return int(self._ask("write", handle, gather_or_push, data.hex())[0])

    def addresses(self, handle):
        """nc_addresses: the 8 octets."""
        return bytes.fromhex(self._ask("addresses", handle)[1])

    def stats(self):
        """nc_stats by name."""
        return dict(zip(STATS, map(int, self._ask("stats")), strict=True))

    def memory(self):
        """What lwIP holds now, by name."""
        return dict(zip(MEMORY, map(int, self._ask("memory")), strict=True))

    def gather(self, ms=50):
        """Wait once and collect the events of every handle."""
        self.wait(ms)
        pending = self.pending()
        for index, handle in list(self._handles.items()):
            if pending >> index & 1:
                self._seen[handle] = self._seen.get(handle, 0) | max(0, self.events(handle))

    def seen(self, handle):
        """All events of this handle that were collected so far."""
        return self._seen.get(handle, 0)

    def until(self, handle, bits, seconds=PATIENCE):
        """Collect until one of `bits` came for `handle`; they are forgotten with that."""
        self.expect(lambda: self.seen(handle) & bits, seconds, f"event {bits} of {handle}")
        self._seen[handle] &= ~bits

    def expect(self, condition, seconds=PATIENCE, what="condition"):
        """Collect events until `condition()` holds; fails when it does not in time."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{what}: not within {seconds} s")
            self.gather()

    def accepted(self, listener, seconds=PATIENCE):
        """The next connection of a listener."""
        end = time.monotonic() + seconds
        while True:
            handle = self.accept(listener)
            if handle > 0:
                return handle
            assert handle == WOULDBLOCK, handle
            assert time.monotonic() < end, "no connection came"
            self.gather()

    def read_all(self, handle, seconds=PATIENCE):
        """Read and credit until the end of the stream: (its error, the bytes)."""
        received = bytearray()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            count, data = self.read(handle)
            if count == WOULDBLOCK:
                self.gather()
            elif count < 0:
                return count, bytes(received)
            received += data
            self.recved(handle, max(0, count))
        raise AssertionError(f"stream did not end; {len(received)} bytes so far")

    def write_all(self, handle, data, more=False, seconds=PATIENCE):
        """Write everything, waiting for room as needed."""
        offset = 0
        end = time.monotonic() + seconds
        while offset < len(data):
            count = self.write(handle, data[offset : offset + 4096], more)
            if count == WOULDBLOCK:
                assert time.monotonic() < end, f"stuck at {offset}"
                self.gather()
                continue
            assert count > 0, count
            offset += count

    def finish(self):
        """End the process: (exit code, what it wrote to stderr)."""
        _, errors = self._process.communicate(timeout=2 * PATIENCE)
        return self._process.returncode, errors

    def kill(self):
        """End the process at any point of its work."""
        self._process.kill()
        self._process.communicate()
