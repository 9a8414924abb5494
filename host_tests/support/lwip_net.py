"""lwIP as a net: our C core over real lwIP in a process of its own, its peers in a namespace.

lwIP cannot be stopped and started again, so every net has a fresh process: what one test leaves
behind cannot help or harm the next. It is built with address and undefined-behaviour sanitizers
(netconn/rig.c). The wire, a TAP device in a network namespace, is made once per session. close()
asserts that everything has come back: handles, PCBs, netconns, segments, and a silent sanitizer.
"""

import atexit
import contextlib
import fcntl
import functools
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from capture import Capture
from namespace import MODULE, NETMASK, PEERS, Namespace, as_int
from project import ROOT
from slots import (
    CALLS_IN_A_TURN,
    NOTHING,
    PATIENCE,
    DatagramPeer,
    Faults,
    PeersAtSockets,
    SocketPeer,
    SocketServer,
    Spinning,
    next_port,
)

from spinet.tcp.stack import (
    ERR_CLSD,
    ERR_MEM,
    ERR_OK,
    ERR_RST,
    ERR_WOULDBLOCK,
    is_for_now,
)

NETCONN = ROOT / "host_tests/c/lwip"
SANITIZE = os.environ.get("NETCONN_SANITIZE", "1")
STATS = (
    *("accepted", "connected", "refused", "stale", "errors", "closed", "aborted", "overtime"),
    *("displaced", "half_open_ended", "connect_timeouts", "no_route"),
    *("entries", "orphans", "half_open"),
)
MEMORY = ("pcbs", "time_wait", "netconns", "segments", "blocks", "held")
ERR_ARG = -16  # of lwIP
RECEIVE_BUFFER = 16384  # of a peer, so that its window closes soon when it does not read

STUCK_S = 3 * PATIENCE  # no call waits longer: a callback has taken a lock that the caller holds

_TCP_REPAIR = 19
_LINE_MAX = 1 << 20


class CoreEnded(AssertionError):
    """The process is gone: an lwIP assertion, a sanitizer, or a bug of ours."""


def program(locking="1", sanitize=SANITIZE):
    """The rig's path; it is built when it is not there or older than a source."""
    build = ROOT / "build" / "netconn-rig" / f"{locking}{sanitize}"
    options = [f"LOCKING={locking}", f"SANITIZE={sanitize}", f"BUILD={build}"]
    fetch = [sys.executable, ROOT / "tools" / "fetch_lwip.py", "--build", ROOT / "build"]
    build.mkdir(parents=True, exist_ok=True)
    with open(build / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another of pytest's workers may be building the same
        for command in (fetch, ["make", "-s", "-j2", *options]):
            subprocess.run(command, check=True, cwd=NETCONN)
    return build / "rig"


class Core:
    """The C core on lwIP: one line to the process, one line back. One thread at a time."""

    def __init__(self, path, tap_fd):
        self._process = subprocess.Popen(
            [path, str(tap_fd), MODULE, NETMASK, "0.0.0.0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[tap_fd],
            bufsize=0,
            start_new_session=True,  # Ctrl-C at the terminal is ours; we end it in order
        )
        self._in = self._process.stdin.fileno()
        self._out = self._process.stdout.fileno()
        self._busy = threading.Lock()

    def ask(self, line):
        """The words of the answer to this line."""
        with self._busy:
            return self._ask(line)

    def _ask(self, line):
        try:
            os.write(self._in, line.encode() + b"\n")
        except BrokenPipeError:
            self._has_ended(line)
        if not select.select([self._out], [], [], STUCK_S)[0]:
            self._process.kill()
            raise CoreEnded(f"{line[:80]}: no answer for {STUCK_S} s, it is stuck")
        answer = os.read(self._out, _LINE_MAX)
        while answer and not answer.endswith(b"\n"):
            answer += os.read(self._out, _LINE_MAX)
        if not answer or answer.startswith(b"?"):
            self._has_ended(line)
        return answer.split()

    def _has_ended(self, line):
        raise CoreEnded(f"{line[:80]}: {self._process.stderr.read()[:6000].decode()}")

    def call(self, name, *numbers):
        """The integer that this function of the core gives."""
        return int(self.ask(" ".join([name, *map(str, numbers)]))[0])

    def wake(self):
        """nc_wake(), also while another thread waits: by a signal then."""
        if self._busy.acquire(blocking=False):
            try:
                self._ask("wake")
            finally:
                self._busy.release()
        else:
            self._process.send_signal(signal.SIGUSR1)

    def stats(self):
        """nc_stats() by name."""
        return dict(zip(STATS, map(int, self.ask("stats")), strict=True))

    def memory(self):
        """What lwIP holds now, by name."""
        return dict(zip(MEMORY, map(int, self.ask("memory")), strict=True))

    def finish(self):
        """End the process; (exit code, what it said)."""
        try:
            _, errors = self._process.communicate(timeout=STUCK_S)
        finally:
            self._process.kill()
        return self._process.returncode, errors.decode()


class LwipStack:
    """spinet.tcp.stack's contract over the core. `faults`: what a test wants of the next calls."""

    def __init__(self, core, faults):
        self.core = core
        self._call = core.call
        self._faults = faults
        self.udp = LwipUdp(core)
        self.transfers = 0  # since the last turn; LwipNet.begin_turn() clears it

    @property
    def stale(self):
        """Calls with a handle that was over."""
        return self.core.stats()["stale"]

    def _refusing(self, *words, faults):
        """What the test asked for instead of this call; no memory is none, really."""
        fault = next(filter(None, map(self._faults.take, faults)), None)
        if fault is None:
            return self._call(*words)
        return self._without_memory(*words) if fault == ERR_MEM else fault

    def _without_memory(self, *words):
        """This call while lwIP's heap is full."""
        self._call("limit_blocks", 0)
        answer = self._call(*words)
        self._call("limit_blocks", -1)
        return answer

    def listen(self, ip, port, backlog):
        return self._refusing("listen", ip, port, backlog, faults=("socket", "listen"))

    def connect(self, ip, port):
        return self._refusing("connect", ip, port, faults=("socket", "connect"))

    def accept(self, h):
        return self._faults.take("accept") or over(self._call("accept", h))

    def addresses(self, h, into):
        answer = self.core.ask(f"addresses {h}")
        if int(answer[0]) == ERR_OK:
            into[:] = bytes.fromhex(answer[1].decode())
        return over(int(answer[0]))

    def readable(self, h):
        return count(self._call("readable", h))

    def read(self, h, buf, offset, n):
        n = self._limit("read", n)
        answer = self.core.ask(f"read {h} {n}") if n >= 0 else [n]
        got = int(answer[0])
        if got > 0:
            buf[offset : offset + got] = bytes.fromhex(answer[1].decode())
        return over(got)

    def recved(self, h, n):
        return over(self._call("recved", h, n))

    def write(self, h, buf, offset, n, more):
        allowed = self._limit("write", n)
        if allowed < 0 and not is_for_now(allowed):
            return allowed
        # What the test cuts short is cut short for the stack too: no push, and room is reported.
        call = self._call if allowed >= 0 else self._without_memory
        data = bytes(memoryview(buf)[offset : offset + (allowed if allowed >= 0 else n)]).hex()
        return over(call("write", h, int(bool(more or 0 <= allowed < n)), data))

    def _limit(self, call, n):
        """How many bytes may pass, or an error."""
        self.transfers += 1
        if self.transfers > CALLS_IN_A_TURN:
            raise Spinning(f"{self.transfers} transfers without a wait")
        fault = self._faults.take(call)
        if fault is None:
            return n
        return min(n, fault) if fault > 0 else fault or ERR_WOULDBLOCK

    def in_flight(self, h):
        return count(self._call("in_flight", h))

    def shutdown_rx(self, h):
        return over(self._call("shutdown_rx", h))

    def keepalive(self, h, idle, interval, count):
        return over(self._call("keepalive", h, idle, interval, count))

    def linger(self, h, seconds):
        return over(self._call("linger", h, seconds))

    def close(self, h):
        return over(self._call("close", h))

    def abort(self, h):
        return over(self._call("abort", h))

    def error(self, h):
        return over(self._call("error", h))

    def events(self, h):
        return count(self._call("events", h))

    def pending(self):
        return self._call("pending")

    def overlook(self, bits):
        self._call("overlook", bits)

    def wait(self, ms):
        return self._call("wait", ms)

    def wake(self):
        self.core.wake()

    def shut(self):
        """Everything ends with a reset."""
        self._call("stop")


class LwipUdp:
    """spinet.udp.datagrams' contract over the core."""

    def __init__(self, core):
        self._core = core
        self._call = core.call
        self.pending = lambda: core.call("udp_pending")
        self.ping = lambda ip, ttl: core.call("ping", ip, ttl)
        self.echo = lambda: core.call("echo")

    def bind(self, ip, port, shared):
        return self._call("udp_bind", ip, port, int(shared))

    def send(self, h, peer, buf, offset, n):
        port, ip = struct.unpack("<HI", peer)
        data = bytes(memoryview(buf)[offset : offset + n]).hex()
        return over(self._call("udp_send", h, ip, data or "-", port))

    def length(self, h):
        return over(self._call("udp_length", h))

    def receive(self, h, buf, offset, n, sender):
        answer = self._core.ask(f"udp_receive {h} {n}")
        length = int(answer[0])
        if length >= 0:
            data = bytes.fromhex(answer[1].decode())
            sender[0:6] = data[:6]
            buf[offset : offset + len(data) - 6] = data[6:]
        return over(length)

    def dropped(self, h):
        return over(self._call("udp_dropped", h))

    def join(self, h, group, own):
        return over(self._call("udp_join", h, group, own))

    def leave(self, h):
        return over(self._call("udp_leave", h))

    def close(self, h):
        return over(self._call("udp_close", h))


def over(answer):
    """An answer in the contract's numbers: a handle that is over is ERR_CLSD."""
    return ERR_CLSD if answer == ERR_ARG else answer


def count(answer):
    """A count in the contract's numbers: nothing for a handle that is over."""
    return max(0, answer)


class LwipPeer(SocketPeer):
    """The other end of one connection, which can also die without a word."""

    def vanish(self):
        """From now on it answers nothing, ever: no acknowledgement, no reset."""
        self.thaw()
        self._hear_only(NOTHING)

    def bury(self):
        """Forget a vanished one: its computer has no connection any more, without a word."""
        self._sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
        self._sock.close()


class LwipNet(PeersAtSockets):
    """The lwIP stack and peers that are ordinary sockets of this computer."""

    kind = "lwip"
    knows_in_flight = True
    tells_local_port = True
    connections_most = None  # the PCBs are the limit, and then a SYN gets no answer
    peer_class = LwipPeer
    own_ip = as_int(MODULE)
    peer_ip = as_int(PEERS[0])

    def __init__(self, path=None):
        super().__init__()
        self.wire = the_wire()
        self._faults = Faults()
        self.core = Core(path or built_program(), self.wire.tap_fd)
        self.stack = LwipStack(self.core, self._faults)
        self._get_known()

    def _get_known(self):
        """A refused attempt, so that no SYN of a test has to wait for ARP."""
        h = self.stack.connect(self.peer_ip, self.free_port())
        self.stack.wait(int(PATIENCE * 1000))
        assert self.stack.error(h) == ERR_RST
        self.stack.abort(h)

    def close(self):
        """The end of the test; what did not come back fails it."""
        for sock in self._open:
            reset_at_close(sock)
        try:
            self.stack.shut()
            stats = self.core.stats()
            memory = self._memory_at_rest()
        finally:
            code, errors = self.core.finish()
        assert (code, errors) == (0, "")
        assert (stats["entries"], stats["orphans"]) == (0, 0)
        assert (memory["netconns"], memory["segments"], memory["held"]) == (0, 0, 0)
        assert memory["pcbs"] == memory["time_wait"]

    def _memory_at_rest(self):
        """What lwIP holds when no handshake is under way: a frame still to come ends one."""
        limit = time.monotonic() + PATIENCE
        while True:
            memory = self.core.memory()
            if memory["pcbs"] == memory["time_wait"] or time.monotonic() > limit:
                return memory
            time.sleep(0.001)

    def _is_acknowledged(self, h):
        return not self.core.call("flight", h)

    def begin_turn(self):
        """The transfers of one turn are counted."""
        self.stack.transfers = 0

    def free_port(self):
        while True:
            port = next_port()
            with contextlib.suppress(OSError), self._bound(port):
                return port

    def _bound(self, port):
        sock = self.wire.socket()
        sock.bind((PEERS[0], port))
        return sock

    def dial(self, port, receive_buffer=RECEIVE_BUFFER, peer=PEERS[0]):
        sock = self.keep(self.wire.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.bind((peer, self.free_port()))  # a random one may be in TIME-WAIT
        sock.connect((MODULE, port))
        return self.dialled_by(sock)

    def is_refused(self, port):
        try:
            self.dial(port)
        except ConnectionRefusedError:
            return True
        return False

    def inject(self, call, *answers):
        self._faults.add(call, answers)
        if call == "write":
            # A connection that had no memory hears of room from lwIP's own poll, once a second.
            self.core.call("warp", 10)

    def server(self):
        return self.server_on(0)

    def server_on(self, port):
        sock = self.keep(self._bound(port))
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.listen(8)
        return SocketServer(sock, self.peer_of)

    def silent_port(self):
        """A full backlog: the computer drops further SYNs without an answer."""
        return self.fill_backlog(self.keep(self._bound(0)), self.wire.socket)

    def datagram_peer(self, number=0):
        """The port of one of the hosts on the wire."""
        sock = self.keep(self.wire.socket(socket.SOCK_DGRAM))
        sock.bind((PEERS[number % len(PEERS)], 0))
        return DatagramPeer(sock, MODULE)


FEW = 2  # blocks of lwIP's own, which come and go: a timer, a frame on its way


def has_come_back(memory, before):
    """Whether lwIP holds what it held before, but for a few blocks of the heap.

    To be asked after many cycles, or of much: what a cycle keeps is more than a few blocks then.
    """
    is_same = {**memory, "blocks": 0} == {**before, "blocks": 0}
    return is_same and memory["blocks"] <= before["blocks"] + FEW


def reset_at_close(sock):
    """Close a socket of a peer for good; nothing of it shall reach the next test's stack."""
    if sock.fileno() >= 0:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


@functools.cache
def built_program(locking="1"):
    """The rig, built once per session."""
    return program(locking)


@functools.cache
def _namespace():
    namespace = Namespace()
    atexit.register(close_wire)
    return namespace


def close_wire():
    """The end of the session; the wire is made anew for the next one."""
    if _namespace.cache_info().currsize:
        _namespace().close()
        _namespace.cache_clear()


def the_wire():
    """The namespace of this session, with nothing of an earlier stack under way in it."""
    wire = _namespace()
    while select.select([wire.tap_fd], [], [], 0)[0]:
        os.read(wire.tap_fd, 2048)
    return wire


def capture():
    """What crosses the wire from now on."""
    return Capture(_namespace())
