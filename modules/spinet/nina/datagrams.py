"""Commands of UDP sockets, in the forms of all drivers; and ping.

Arduino's says where to listen, then for each packet where to send, appends the data and sends it.
CircuitPython's says for each packet where to send and where to listen, which is the same port.
MicroPython's has its own calls (bsd.py). A read ends with its datagram, and never goes on into the
next one.
"""

from micropython import const

from spinet.fastpath import copy
from spinet.fields import put_u16
from spinet.nina.usual import UNREAD
from spinet.tcp.stack import ERR_MEM, ERR_WOULDBLOCK, INDEX_MASK
from spinet.udp.datagrams import MOST, PEER_SIZE, port_of
from spinet.udp.ports import ports_of

COUNT = const(10)  # numbers of sockets, as WiFiNINA has them
MULTICAST = const(3)  # the type of a socket
DATAGRAMS = (1, MULTICAST)  # the types of UDP
_PING_MS = const(4900)  # the most for 3E
_NO_ANSWER = const(0xFFFF)  # -1


class UdpSocket:
    """The state of a number that stands for a UDP port."""

    def __init__(self):
        self.handle = 0  # 0: no port yet
        self.port = 0  # its number, 0 for one that the stack chose
        self.group = 0
        self.peer = bytearray(PEER_SIZE)  # where to send
        self.out = bytearray(MOST)
        self.gathered = 0  # bytes in `out`; above MOST: it does not fit
        self.sender = bytearray(PEER_SIZE)  # of `current`, also after its last byte was read
        self.current = bytearray(MOST)
        self.at = 0  # bytes of it that were read
        self.size = 0

    def clear(self):
        """Make it like a new one, without a port."""
        self.handle = self.port = self.group = 0
        self.gathered = self.at = self.size = 0
        for i in range(PEER_SIZE):
            self.peer[i] = self.sender[i] = 0


class Datagrams:
    """All UDP sockets, and the commands that are theirs alone. `words`: see usual.py."""

    def __init__(self, manager, words):
        self._manager = manager
        self._udp = manager.stack.udp
        self._words = words
        self._sockets = [None] * COUNT  # by number; kept by Numbers
        self._spare = []  # sockets that are used again
        self.open = 0  # how many there are
        self._octets = bytearray(4)  # scratch of aim_at_text
        self._dropped = bytearray(PEER_SIZE)  # sender of an empty datagram
        self._pinging = self._step_ping  # bound once, as that allocates

    def of(self, number):
        """The UdpSocket of a number, None when it stands for something else."""
        return self._sockets[number] if number < COUNT else None

    # --- ports

    def prepare(self):
        """See that there is memory for new()."""
        if not self._spare:
            self._spare.append(UdpSocket())

    def new(self):
        """A socket without a port, for begin()."""
        self.prepare()
        return self._spare.pop()

    def begin(self, number, socket):
        """The number stands for this socket."""
        self._sockets[number] = socket
        self.open += 1

    def bind(self, socket, port, group=0):
        """Give the socket this port, 0 for any; 0 or the stack's error. To bind the same port again
        succeeds. When the new port cannot be had, the socket keeps its old one."""
        if socket.handle and (not port or (port == socket.port and group == socket.group)):
            return 0
        udp = self._udp
        handle = udp.bind(0, port, 1 if group else 0)
        if handle < 0:
            return handle
        error = udp.join(handle, group, 0) if group else 0
        if error:
            udp.close(handle)
            return error
        self._close(socket)
        ports_of(self._manager).listening[handle & INDEX_MASK] = self
        socket.handle = handle
        socket.port = port
        socket.group = group
        return 0

    def _close(self, socket):
        if socket.handle:
            ports_of(self._manager).listening[socket.handle & INDEX_MASK] = None
            self._udp.close(socket.handle)
            socket.handle = 0

    def drop(self, number):
        """The number is freed: close its port."""
        socket = self._sockets[number]
        self._sockets[number] = None
        self._close(socket)
        socket.clear()
        self._spare.append(socket)
        self.open -= 1

    def listen(self, socket, port, group):
        """28 of types 1 and 3: True when it can receive."""
        if self.bind(socket, port, group) == 0:
            return True
        # CircuitPython means any port: it names the one that it sends to.
        return port == port_of(socket.peer) and self.bind(socket, 0) == 0

    # --- sending

    def aim(self, socket, octets, at, port):
        """The next datagram goes to the address in octets[at:] and this port; what was gathered
        for another is dropped. False: there is no port to send from."""
        put_u16(socket.peer, 0, port)
        for i in range(4):
            socket.peer[2 + i] = octets[at + i]
        socket.gathered = 0
        return self.bind(socket, 0) == 0

    def aim_at_text(self, socket, request, port):
        """The same, to the address that the first parameter spells; False: it spells none."""
        found = _octets_of(request.rx, request.at(0), request.size(0), self._octets)
        return found and self.aim(socket, self._octets, 0, port)

    def send_now(self, socket, request):
        """Send the data of 77 and 79; how many bytes, or the stack's error."""
        i = request.params - 1
        if self.bind(socket, 0):
            return ERR_MEM
        rx = request.rx
        return self._udp.send(socket.handle, socket.peer, rx, request.at(i), request.size(i))

    def append(self, request):
        socket = self.of(request.u(0))
        fits = False
        if socket:
            n = request.size(1)
            fits = socket.gathered + n <= MOST
            if fits:
                copy(socket.out, request.rx, socket.gathered << 16 | request.at(1), n)
            socket.gathered += n
        request.answer_u8(1 if fits else 0)

    def send(self, request):
        socket = self.of(request.u(0))
        sent = -1
        if socket:
            n = socket.gathered
            socket.gathered = 0
            if socket.handle and n <= MOST:
                sent = self._udp.send(socket.handle, socket.peer, socket.out, 0, n)
        request.answer_u8(1 if sent >= 0 else 0)

    # --- receiving

    def left(self, socket):
        """Unread bytes of the current datagram; after its last byte the next one becomes the
        current one. 0: there is none."""
        if socket.at == socket.size and self._waiting(socket):
            socket.size = self._udp.receive(socket.handle, socket.current, 0, MOST, socket.sender)
            socket.size = min(MOST, max(0, socket.size))
            socket.at = 0
        return socket.size - socket.at

    def _waiting(self, socket):
        """True when a datagram waits. Empty ones are dropped, as they would look like none."""
        udp = self._udp
        n = udp.length(socket.handle) if socket.handle else -1
        while n == 0:
            udp.receive(socket.handle, socket.current, 0, 0, self._dropped)
            n = udp.length(socket.handle)
        return n > 0

    def read(self, socket, buf, at, n):
        """Read at most n bytes of the current datagram, or of the next one; how many."""
        n = min(n, self.left(socket))
        copy(buf, socket.current, at << 16 | socket.at, n)
        socket.at += n
        return n

    def take_whole(self, socket, buf, at, n):
        """Read the current datagram, or the next one, whose rest beyond n bytes is lost; how many
        bytes were read."""
        got = self.read(socket, buf, at, n)
        socket.at = socket.size
        return got

    # --- ping

    def ping(self, request):
        if self._udp.ping(request.u(0), request.u(1)):
            request.answer_u16(_NO_ANSWER)
        else:
            request.wait(self._pinging, _PING_MS)

    def _step_ping(self, request):
        ms = self._udp.echo()
        if ms >= 0:
            request.answer_u16(ms)
        elif request.expired or ms != ERR_WOULDBLOCK:
            request.answer_u16(_NO_ANSWER)

    # --- GPIO0

    def on_datagrams(self):
        """A datagram came; the hot path drives GPIO0 next."""
        self._words[UNREAD] = 1

    def look(self):
        """Tell the hot path whether there is a byte of a datagram to read."""
        self._words[UNREAD] = 1 if self.open and self._has_input() else 0

    def _has_input(self):
        for socket in self._sockets:
            if socket and (socket.at < socket.size or self._waiting(socket)):
                return True
        return False


def _octets_of(buf, at, n, octets):
    """The four octets of a dotted address at buf[at : at + n]; False when there is none."""
    octet = -1
    count = 0
    for i in range(at, at + n + 1):
        c = buf[i] if i < at + n else 46
        if c == 46 and 0 <= octet < 256 and count < 4:
            octets[count] = octet
            count += 1
            octet = -1
        elif 48 <= c <= 57:
            octet = max(0, octet) * 10 + c - 48
        else:
            return False
    return count == 4
