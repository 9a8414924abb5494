"""What the tests of connections and listeners share: networks with peers, and the eight slots.

A *net* has the stack under test and the peers it talks to. Every net has the same methods, so a
test says what happens and runs on each: StubNet has no network, SocketsNet is the computer's
loopback, PlainNet the same through socket objects like those of a stock MicroPython, LwipNet (in
lwip_net.py) our C over real lwIP with peers in a network namespace.
"""

import contextlib
import ctypes
import errno
import itertools
import os
import select
import socket
import struct
import time
import types
from collections import deque

from name_peer import NamePeer
from stub_stack import CALLS_IN_A_TURN, Spinning, StubStack

from spinet import compat as spinet_port
from spinet import fastpath, states
from spinet.duet import wire
from spinet.tcp import polling, socket_calls, stack_sockets
from spinet.tcp.callhome import NamedPeers, SessionTable
from spinet.tcp.listener import ListenerTable
from spinet.tcp.manager import ConnectionManager
from spinet.tcp.stack import (
    ERR_ABRT,
    ERR_CLSD,
    ERR_CONN,
    ERR_IF,
    ERR_MEM,
    ERR_RST,
    ERR_RTE,
    ERR_VAL,
    ERR_WOULDBLOCK,
    INDEX_MASK,
)
from spinet.udp.names import Names

LOOPBACK = 0x0100007F  # 127.0.0.1 as a u32 of the records
LOOPBACK_TEXT = "127.0.0.1"
PATIENCE = 60.0  # seconds until a test gives up; nothing is asserted about less
PATIENCE_MS = 60000
MAX_DATA = wire.MAX_DATA
ACKNOWLEDGED_S = 1  # a computer delays none for longer
SEND_BUFFER = 65536  # of a peer; the kernel would let it grow with what is sent
ENDLESS = 1 << 25  # bytes, more than any computer buffers for one connection


class StubNet:
    """The scriptable stack and its peers."""

    kind = "stub"
    knows_in_flight = True
    tells_local_port = True
    connections_most = 9
    own_ip = LOOPBACK  # the module's address, and below its peers'
    peer_ip = LOOPBACK

    def __init__(self):
        self.stack = StubStack()
        self._ports = iter(range(1000, 65536))

    def close(self):
        self.stack.shut()

    def is_shut(self, _h, _takes, _waited_s):
        """See PeersAtSockets; here every acknowledgement comes at once."""
        return True

    def free_port(self):
        return next(self._ports)

    def begin_turn(self):
        """The stub counts its calls from wait to wait by itself."""

    def dial(self, port):
        return self.stack.dial(port)

    def is_refused(self, port):
        return self.stack.dial(port) is None

    def inject(self, call, *answers):
        self.stack.inject(call, *answers)

    def server(self):
        port = self.free_port()
        self.stack.servers[port] = []
        return StubServer(self.stack, port)

    def server_on(self, port):
        self.stack.servers[port] = []
        return StubServer(self.stack, port)

    def silent_port(self):
        port = self.free_port()
        self.stack.servers[port] = None
        return port

    def datagram_peer(self, _number=0):
        return self.stack.udp.peer(LOOPBACK, self.free_port())


class StubServer:
    """A peer that listens."""

    def __init__(self, stack, port):
        self._stack = stack
        self.port = port

    def accept(self):
        return self._stack.servers[self.port].pop(0)


# --- the computer's loopback

_FIRST_PORT, _PORT_COUNT = 10000, 22000
# Test runs beside this one begin elsewhere, those with the next process numbers far away.
_PORTS = (_FIRST_PORT + (os.getpid() * 13597 + i) % _PORT_COUNT for i in itertools.count())


def next_port():
    """A port below the range that the computer itself takes ports from; it may be in use."""
    return next(_PORTS)


def free_port():
    """A port of the loopback without a listener, which is not handed out again."""
    while True:
        port = next_port()
        with contextlib.suppress(OSError), socket.create_server((LOOPBACK_TEXT, port)):
            return port


class Filter(ctypes.Structure):
    """struct sock_fprog: what a socket hears."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _bpf(*instructions):
    return b"".join(struct.pack("=HBBI", *each) for each in instructions)


_HEAR = (0x06, 0, 0, 0xFFFF)  # BPF: return that many bytes
_DROP = (0x06, 0, 0, 0)
NOTHING = _bpf(_DROP)
RESETS = _bpf((0x30, 0, 0, 13), (0x45, 0, 1, 4), _HEAR, _DROP)  # if flags & RST
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_UNACKNOWLEDGED_AT = 24  # in struct tcp_info: segments that were sent and not acknowledged


class SocketPeer:
    """The other end of one connection, a socket of the computer's. Nothing here blocks."""

    def __init__(self, sock):
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._sock = sock
        self._is_frozen = False
        self.got = bytearray()
        self.ended = None  # how the firmware ended it: "fin" or "reset"; received() looks

    def send(self, data):
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except (BrokenPipeError, ConnectionResetError):
            self.ended = "reset"
            return 0

    def address(self):
        """As stack.addresses() tells it."""
        ip, port = self._sock.getsockname()
        return struct.pack("<H", port) + socket.inet_aton(ip)

    def freeze(self):
        """Acknowledge nothing more until it is asked for what it received. It hears a reset."""
        if not self._is_frozen:
            self._hear_only(RESETS)
            self._is_frozen = True

    def thaw(self):
        """Hear all again."""
        if self._is_frozen:
            self._sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
            self._is_frozen = False

    def _hear_only(self, program):
        packed = bytes(Filter(len(program) // 8, program))
        self._sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, packed)

    def send_urgent(self, byte):
        self._sock.send(byte, socket.MSG_OOB)

    def fin(self):
        self._sock.shutdown(socket.SHUT_WR)

    def close(self):
        self._sock.close()

    def reset(self):
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def received(self):
        """Read all there is; returns everything read so far."""
        self.thaw()
        try:
            while data := self._sock.recv(65536):
                self.got += data
            self.ended = self.ended or "fin"
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.ended = "reset"
        return bytes(self.got)


class DatagramPeer:
    """Another host's UDP port; `module` is where it sends to, dotted. Sending never blocks."""

    def __init__(self, sock, module):
        sock.setblocking(False)
        ip, port = sock.getsockname()
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(ip))
        self._sock = sock
        self._module = module
        self.address = struct.pack("<H", port) + socket.inet_aton(ip)

    def send(self, data, number):
        """Send to a port of the firmware's; the peer's own buffer may be full for a moment."""
        self._send(data, (self._module, number))

    def send_to_group(self, data, group, number):
        """Send to a group (u32)."""
        self._send(data, (socket.inet_ntoa(struct.pack("<I", group)), number))

    def _send(self, data, address):
        select.select([], [self._sock], [], PATIENCE)
        self._sock.sendto(data, address)

    def receive(self):
        """(datagram, the port it came from), None while there is none."""
        try:
            data, (_, port) = self._sock.recvfrom(65536)
        except BlockingIOError:
            return None
        return data, port


class SocketServer:
    """A peer that listens; `peer_of` makes the peer of each connection."""

    def __init__(self, sock, peer_of):
        self._sock = sock
        self._peer_of = peer_of
        self.port = sock.getsockname()[1]

    def accept(self):
        sock, _ = self._sock.accept()
        return self._peer_of(sock)


class PeersAtSockets:
    """What nets share whose peers are sockets: they know the other end."""

    peer_class = SocketPeer

    def __init__(self):
        self._open = []
        self._dialled = {}  # address -> peer

    def keep(self, sock):
        """Close this socket when the net is closed."""
        self._open.append(sock)
        return sock

    def peer_of(self, sock):
        """The peer that this socket is."""
        return self.peer_class(self.keep(sock))

    def dialled_by(self, sock):
        """The peer that has opened a connection with this socket."""
        peer = self.peer_of(sock)
        self._dialled[peer.address()] = peer
        return peer

    def fill_backlog(self, server, new_socket):
        """Let one wait without an accept: no more have a place. The server's port."""
        server.listen(0)
        filler = self.keep(new_socket())
        filler.connect(server.getsockname())
        assert select.select([server], [], [], PATIENCE)[0]
        return server.getsockname()[1]

    def is_shut(self, h, takes, waited_s):
        """Whether a dialled connection that takes nothing now takes nothing until its peer reads.

        So it is when no acknowledgement is under way, and takes(), which tries, still says so. The
        peer is frozen then: the computer makes room in it even without a read. What is not
        acknowledged after a while was dropped.
        """
        addresses = bytearray(8)
        self.stack.addresses(h, addresses)
        peer = self._dialled.get(bytes(addresses[2:]))
        is_late = waited_s > ACKNOWLEDGED_S
        if peer is None:
            return True
        if takes() or not (is_late or self._is_acknowledged(h)):
            return False
        peer.freeze()
        if (is_late or self._is_acknowledged(h)) and not takes():
            return True
        peer.thaw()
        return False


# Errors that a test asks for, as the operating system would number them.
_ERRNO = {
    ERR_MEM: errno.ENOBUFS,
    ERR_WOULDBLOCK: errno.EAGAIN,
    ERR_RST: errno.ECONNRESET,
    ERR_CLSD: errno.ESHUTDOWN,
    ERR_CONN: errno.ENOTCONN,
    ERR_ABRT: errno.ECONNABORTED,
    ERR_RTE: errno.EHOSTUNREACH,
    ERR_IF: errno.ENETDOWN,
    ERR_VAL: errno.EINVAL,
}


class Faults:
    """What the next calls do, for each call's name: an error, a limit, or None for the usual."""

    def __init__(self):
        self._queues = {}

    def add(self, call, answers):
        self._queues.setdefault(call, deque()).extend(answers)

    def take(self, call):
        queue = self._queues.get(call)
        return queue.popleft() if queue else None

    def raise_one(self, call):
        fault = self.take(call)
        if fault is not None:
            raise OSError(_ERRNO[fault], "asked for by the test")


class ScriptedSocket(socket.socket):
    """A socket with MicroPython's `write`, and with failures that a test asked for."""

    faults = Faults()  # replaced for each test by SocketsNet

    def __init__(self, fileno=None):
        if fileno is None:
            self.faults.raise_one("socket")
        super().__init__(socket.AF_INET, socket.SOCK_STREAM, 0, fileno)

    def accept(self):
        self.faults.raise_one("accept")
        fileno, address = self._accept()
        return ScriptedSocket(fileno), address

    def connect(self, address):
        self.faults.raise_one("connect")
        super().connect(address)

    def listen(self, backlog):
        self.faults.raise_one("listen")
        super().listen(backlog)

    def write(self, buf, offset, n):
        try:
            return self.send(memoryview(buf)[offset : offset + n])
        except BlockingIOError:
            return None


class ScriptedCalls:
    """The transfers of `calls`, with failures that a test asked for, counted from turn to turn."""

    def __init__(self, calls, faults):
        self._calls = calls
        self._faults = faults
        self.count = 0

    def __getattr__(self, name):
        return getattr(self._calls, name)

    def _limit(self, call, n):
        """How many bytes may pass, or a negative errno."""
        self.count += 1
        if self.count > CALLS_IN_A_TURN:
            raise Spinning(f"{self.count} transfers without a wait")
        fault = self._faults.take(call)
        if fault is None:
            return n
        return min(n, fault) if fault > 0 else -_ERRNO[fault or ERR_WOULDBLOCK]

    def receive(self, key, buf, offset, n):
        n = self._limit("read", n)
        return n if n < 0 else self._calls.receive(key, buf, offset, n)

    def send(self, key, buf, offset, n):
        n = self._limit("write", n)
        return n if n < 0 else self._calls.send(key, buf, offset, n)


class ObjectPoll:
    """poll() as a stock MicroPython has it: of objects, also of those that only have `ioctl`."""

    def __init__(self):
        self._wanted = {}

    def register(self, thing, flags):
        self._wanted[thing] = flags

    modify = register

    def unregister(self, thing):
        del self._wanted[thing]

    def ipoll(self, ms):
        limit = time.monotonic() + ms / 1000
        ready = self._look(0)
        while not ready and time.monotonic() < limit:
            ready = self._look(1)
        return iter(ready)

    def _look(self, ms):
        poll = select.poll()
        by_descriptor = {}
        ready = []
        for thing, flags in self._wanted.items():
            if isinstance(thing, socket.socket):
                poll.register(thing, flags)
                by_descriptor[thing.fileno()] = thing
            elif thing.ioctl(3, flags):
                ready.append((thing, thing.ioctl(3, flags)))
        found = poll.poll(0 if ready else ms)
        return ready + [(by_descriptor[fd], flags) for fd, flags in found]


class SocketsNet(PeersAtSockets):
    """The sockets stack over `hostnet`, and peers on the loopback."""

    kind = "sockets"
    knows_in_flight = True
    tells_local_port = True
    connections_most = 9
    own_ip = LOOPBACK
    peer_ip = LOOPBACK

    def __init__(self, monkeypatch):
        super().__init__()
        self._faults = ScriptedSocket.faults = Faults()
        scripted = types.SimpleNamespace(**{**vars(socket), "socket": ScriptedSocket})
        monkeypatch.setattr(stack_sockets, "socket", scripted)
        self._calls = ScriptedCalls(self._transfers(monkeypatch), self._faults)
        self.stack = stack_sockets.SocketStack(LOOPBACK_TEXT, calls=self._calls)

    def _transfers(self, _monkeypatch):
        return socket_calls.HostCalls()

    def close(self):
        self.stack.shut()
        self.hang_up()

    def hang_up(self):
        """Close the peers' sockets."""
        for sock in self._open:
            sock.close()

    def _is_acknowledged(self, h):
        sock = self.stack._entries[h & INDEX_MASK].sock
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
        return not struct.unpack_from("=I", info, _UNACKNOWLEDGED_AT)[0]

    def begin_turn(self):
        self._calls.count = 0

    def free_port(self):
        return free_port()

    def dial(self, port):
        return self.dialled_by(socket.create_connection((LOOPBACK_TEXT, port), PATIENCE))

    def is_refused(self, port):
        try:
            self.dial(port)
        except ConnectionRefusedError:
            return True
        return False

    def inject(self, call, *answers):
        self._faults.add(call, answers)

    def server(self):
        return self.server_on(0)

    def server_on(self, port):
        sock = self.keep(socket.create_server((LOOPBACK_TEXT, port)))
        sock.settimeout(PATIENCE)
        return SocketServer(sock, self.peer_of)

    def silent_port(self):
        """A full backlog: the computer drops further SYNs without an answer."""
        server = self.keep(socket.create_server((LOOPBACK_TEXT, 0), backlog=0))
        return self.fill_backlog(server, socket.socket)

    def datagram_peer(self, _number=0):
        sock = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.bind((LOOPBACK_TEXT, 0))
        return DatagramPeer(sock, LOOPBACK_TEXT)


class PlainNet(SocketsNet):
    """The sockets stack through the methods of socket objects, as on stock firmware."""

    kind = "plain"
    knows_in_flight = False
    tells_local_port = False

    def _transfers(self, monkeypatch):
        monkeypatch.setattr(spinet_port, "hostnet", None)
        monkeypatch.setattr(polling, "select", types.SimpleNamespace(poll=ObjectPoll))
        return socket_calls.SocketCalls()


LWIP_LOCKING = {"lwip": "1", "lwip-unlocked": "0"}  # core locking: on, as on the chips, and off


def open_net(kind, monkeypatch):
    """The net of that kind; close() it at the end."""
    if kind == "stub":
        return StubNet()
    if kind in LWIP_LOCKING:
        from lwip_net import LwipNet, built_program  # which need this module

        return LwipNet(built_program(LWIP_LOCKING[kind]))
    return {"sockets": SocketsNet, "plain": PlainNet}[kind](monkeypatch)


def wait_until(condition, turn):
    """Call turn() until condition() is true."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, "it never came to pass"
        turn()


# --- the slots, and what the loop does with them


def nothing():
    """For what calls back where no loop runs."""


class Slots:
    """ConnectionManager and ListenerTable over a net, with the clock in the test's hand."""

    def __init__(self, net, debug=True):
        self.net = net
        self.stack = net.stack
        self.now = 0
        self.manager = ConnectionManager(net.stack, debug)
        self.listeners = ListenerTable(self.manager, nothing)
        self.slots = self.manager.slots
        self.name_server = None  # a NamePeer, from the first look-up on
        self.known_names = {}  # what it knows
        self.errors = []  # last errors, in their order
        self.names = Names(self.manager, self, self, nothing)
        self.sessions = SessionTable(self.manager, self.names, nothing, self.errors.append)
        self.named_peers = NamedPeers(self.manager, self.names, self.errors.append)

    def address_of(self, _name):
        """As a board."""
        return 0

    def dns(self):
        """As a radio."""
        if self.name_server is None:
            self.name_server = NamePeer(self.net.datagram_peer(), self.known_names)
            self.names.udp_port = self.name_server.port
        return self.name_server.ip, 0

    def turn(self, ms=0):
        """One pass of the service's loop."""
        if self.name_server:
            self.name_server.serve()
        self.net.begin_turn()
        self.stack.wait(ms)
        self.manager.now = self.now
        self.manager.rows[fastpath.ROW_DELIVER] = self.stack.pending()
        self.manager.deliver()
        self.manager.hasten(self.now)  # the clock stands still; what it would bring is done now
        self.manager.step(self.now)
        if self.manager.reap():
            self.listeners.accept_waiting()
        self.names.poll(self.now)
        self.sessions.poll(self.now)

    def next_turn(self):
        """A pass whose wait has to be ended by something that happened."""
        start = time.monotonic()
        self.turn(PATIENCE_MS)
        assert time.monotonic() - start < PATIENCE, "the loop slept its full time"

    def until(self, condition):
        wait_until(condition, lambda: self.turn(5))

    def until_state(self, slot, state):
        self.until(lambda: slot.state == state)

    def turns(self, count=3):
        """Enough passes for all that is under way on this computer to have arrived."""
        for _ in range(count):
            self.turn(5)

    def pass_time(self, ms):
        """The clock moves; nothing else happens meanwhile."""
        self.now += ms
        self.turn()

    # --- as a controller does

    def listen(self, protocol=0, limit=8, ip=0, one_shot=False):
        """Listen on a port that was free; returns it."""
        port = self.net.free_port()
        assert self.listeners.listen(ip, port, protocol, limit, False, one_shot)
        return port

    def dialled(self, port=None):
        """A connection that was accepted: (slot, peer)."""
        peer = self.net.dial(port or self.listen())
        before = self.manager.rows[fastpath.ROW_CONNECTED]
        self.until(lambda: self.manager.rows[fastpath.ROW_CONNECTED] & ~before)
        return self.slots[
            (self.manager.rows[fastpath.ROW_CONNECTED] & ~before).bit_length() - 1
        ], peer

    def connect(self, port, protocol=0):
        """connCreate; returns the slot, also of a failure."""
        slot = self.manager.allocate(protocol)
        slot.connect(self.net.peer_ip, port)
        return slot

    def connected(self):
        """A connection that the module opened: (slot, peer)."""
        server = self.net.server()
        slot = self.connect(server.port)
        self.until_state(slot, states.CONNECTED)
        return slot, server.accept()

    def write(self, slot, data, push=True):
        """connWrite: returns how much was accepted."""
        n = min(len(data), slot.space())
        slot.write(data, 0, n, push and n == len(data))
        return n

    def read(self, slot, n=MAX_DATA):
        """connRead: returns the bytes."""
        buf = bytearray(n)
        return bytes(buf[: slot.read(buf, 0, n)])

    def read_all(self, slot, n):
        """connRead until n bytes have come."""
        data = bytearray()
        self.until(lambda: (data.extend(self.read(slot)), len(data) >= n)[1])
        return bytes(data)

    def fill(self, slot, seed=0):
        """Write until nothing is accepted any more, then push; returns what was accepted."""
        accepted = bytearray()
        while self._has_room(slot):
            n = self.write(slot, pattern(MAX_DATA, seed + len(accepted)))
            accepted += pattern(MAX_DATA, seed + len(accepted))[:n]
            assert len(accepted) < ENDLESS, "it takes everything"
            self.turn()
        slot.write(b"", 0, 0, True)
        return bytes(accepted)

    def _has_room(self, slot):
        """Also when the acknowledgement that makes it is still under way."""
        began = time.monotonic()

        def takes():
            slot.write(b"", 0, 0, True)  # the stack may have room and not tell, as it is little
            return slot.space() > 0

        while not slot.space():
            if self.net.is_shut(slot.handle, takes, time.monotonic() - began):
                return False
            self.turn(5)
        return True

    def delivered(self, peer, n):
        """What the peer has once it has n bytes."""
        self.until(lambda: len(peer.received()) >= n)
        return peer.received()

    def ended(self, peer):
        """How the connection ended for the peer: "fin" or "reset"."""
        self.until(lambda: (peer.received(), peer.ended)[1])
        return peer.ended

    def ended_without_turns(self, peer):
        """As ended(), of a stack that is no longer there."""
        wait_until(lambda: (peer.received(), peer.ended)[1], lambda: time.sleep(0.001))
        return peer.ended

    def busy(self):
        """Slots that are not free."""
        return [slot.number for slot in self.slots if slot.state != states.FREE]

    def is_closed(self, slot):
        """The summary bit that makes the controller look at this slot."""
        return bool(self.manager.rows[fastpath.ROW_CLOSED] >> slot.number & 1)


_PATTERN = bytes(i * 7 + (i >> 8) & 0xFF for i in range(65536))


def pattern(n, seed=0):
    """n bytes in which a loss, a repetition or an exchange shows."""
    start = seed % 65536
    return (_PATTERN * (1 + (start + n) // 65536))[start : start + n]
