"""The TCP stack over MicroPython sockets: SIM on the computer's own network, and stock firmware.

A socket cannot tell how many bytes can be read, so received bytes go through a ring for each
connection. With `hostnet` (SIM, host tests) no transfer and no TCP event allocates, and `in_flight`
is known. Without it (stock firmware) a read allocates, and `in_flight` is -1. Opening a socket
always allocates the socket object.
"""

import socket

from micropython import const

from spinet import compat
from spinet.fields import dotted
from spinet.tcp import stack as tcp
from spinet.tcp.farewells import ROUNDS, Farewells
from spinet.tcp.polling import Polling
from spinet.tcp.ring import rings
from spinet.tcp.socket_calls import HostCalls, SocketCalls, err_of
from spinet.tcp.stack import INDEX_BITS, INDEX_MASK, is_for_now
from spinet.udp.datagrams import peer
from spinet.udp.datagrams_sockets import SocketUdp

_CONNECTIONS = const(9)  # of the slots, and of an update over the network
_ENTRIES = const(18)  # as many listeners
_GENERATIONS = const(0xFFFF)

_IN = const(1)  # poll flags; the same numbers on every port
_OUT = const(4)
_BROKEN = const(24)  # error, hang-up

_UNUSED = const(0)
_LISTENING = const(1)
_CONNECTING = const(2)
_OPEN = const(3)


class _Entry:
    """One handle's socket. Service thread only."""

    def __init__(self, index, ring):
        self.index = index
        self.ring = ring  # received bytes; None for a listener's entry
        self.use = _UNUSED
        self.handle = 0  # 0 while unused
        self.generation = 0
        self.sock = None
        self.key = None  # the argument of the transfers, and what the poller reports
        self.interest = 0  # registered poll flags; -1 when not registered
        self.events = 0
        self.error = 0  # why the connection broke
        self.at_end = False  # the peer's FIN was read
        self.discard = False  # received bytes are thrown away
        self.linger_s = -1  # see linger()
        self.addresses = bytearray(8)


class SocketStack:
    """See `stack`. `any_ip` is the dotted address that listen() binds to for ip 0."""

    def __init__(self, any_ip="0.0.0.0", calls=None):
        self._any_ip = any_ip
        self._calls = calls or (HostCalls() if compat.hostnet else SocketCalls())
        self._poll = Polling()
        all_rings = rings(_CONNECTIONS) + [None] * (_ENTRIES - _CONNECTIONS)
        self._entries = [_Entry(index, ring) for index, ring in enumerate(all_rings)]
        self._datagrams = _Entry(tcp.DATAGRAMS, None)
        self.udp = SocketUdp(self._poll, self._note_datagrams, any_ip)
        self.farewells = Farewells(self._poll, self._calls)
        self._pending = 0
        self.stale = 0  # calls with a handle that was already released
        self.watch = self._poll.watch
        self.unwatch = self._poll.unwatch
        self.wake = self._poll.wake

    # --- handles

    def _entry(self, h):
        entry = self._entries[h & INDEX_MASK] if h > 0 and h & INDEX_MASK < _ENTRIES else None
        if entry and entry.handle == h:
            return entry
        self.stale += 1
        return None

    def _take(self, first, last, sock, use, interest):
        for i in range(first, last):
            entry = self._entries[i]
            if entry.use == _UNUSED:
                self._occupy(entry, sock, use, interest)
                return entry
        sock.close()
        return None

    def _occupy(self, entry, sock, use, interest):
        entry.generation = entry.generation % _GENERATIONS + 1
        entry.handle = entry.generation << INDEX_BITS | entry.index
        entry.use = use
        entry.sock = sock
        entry.events = 0
        entry.error = 0
        entry.at_end = False
        entry.discard = False
        entry.linger_s = -1
        if entry.ring:
            entry.ring.clear()
        entry.key = self._calls.key(sock)
        entry.interest = interest
        self._poll.register(entry.key, interest, entry)

    def _release(self, entry):
        sock = entry.sock
        self._vacate(entry)
        sock.close()

    def _vacate(self, entry):
        """Free the entry; the caller takes care of the socket."""
        self._forget(entry)
        entry.sock = None
        entry.use = _UNUSED
        entry.handle = 0
        entry.events = 0
        self._pending &= ~(1 << entry.index)

    def _forget(self, entry):
        """Stop polling this socket; a second call has no effect."""
        if entry.interest >= 0:
            self._poll.unregister(entry.key)
            entry.interest = -1

    def _want(self, entry, flags):
        if entry.interest >= 0 and entry.interest != flags:
            entry.interest = flags
            self._poll.modify(entry.key, flags)

    def _note(self, entry, events):
        entry.events |= events
        self._pending |= 1 << entry.index

    def _note_datagrams(self):
        self._note(self._datagrams, tcp.EVENT_DATA)

    # --- listening and connecting

    def listen(self, ip, tcp_port, backlog):
        try:
            sock = socket.socket()
        except OSError as e:
            return err_of(e.errno)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(self._resolve(ip, tcp_port))
            sock.listen(max(backlog, self._calls.backlog))
        except OSError as e:
            sock.close()
            return err_of(e.errno)
        entry = self._take(_CONNECTIONS, _ENTRIES, sock, _LISTENING, _IN)
        return entry.handle if entry else tcp.ERR_MEM

    def _resolve(self, ip, tcp_port):
        host = dotted(ip) if ip else self._any_ip
        return socket.getaddrinfo(host, tcp_port)[0][-1]

    def accept(self, h):
        listener = self._entry(h)
        if listener is None:
            return tcp.ERR_CLSD
        try:
            sock, address = listener.sock.accept()
        except OSError as e:
            error = err_of(e.errno)
            if error == tcp.ERR_WOULDBLOCK:
                self._want(listener, _IN)  # drained: the next one is an event again
            return error
        entry = self._adopt(sock, _OPEN, _IN)
        if entry is None:
            return tcp.ERR_MEM
        if self._calls.addresses(entry.key, entry.addresses) < 0:  # it knows no local port
            entry.addresses[:] = b"\0\0" + compat.address_peer(address)
        return entry.handle

    def _adopt(self, sock, use, interest):
        sock.setblocking(False)
        entry = self._take(0, _CONNECTIONS, sock, use, interest)
        if entry:
            self._calls.setup(sock)
        return entry

    def connect(self, ip, tcp_port):
        try:
            sock = socket.socket()
        except OSError as e:
            return err_of(e.errno)
        sock.setblocking(False)
        try:
            sock.connect(self._resolve(ip, tcp_port))
        except OSError as e:
            error = err_of(e.errno)
            if error != tcp.ERR_WOULDBLOCK:
                sock.close()
                return error
        entry = self._adopt(sock, _CONNECTING, _OUT)
        if entry is None:
            return tcp.ERR_MEM
        entry.addresses[:] = b"\0\0" + peer(ip, tcp_port)  # the local port is not known yet
        return entry.handle

    def addresses(self, h, into):
        entry = self._entry(h)
        if entry is None:
            return tcp.ERR_CLSD
        for i in range(8):
            into[i] = entry.addresses[i]
        return tcp.ERR_OK

    # --- receiving

    def readable(self, h):
        entry = self._entry(h)
        return entry.ring.count if entry and entry.ring else 0

    def read(self, h, buf, offset, n):
        entry = self._entry(h)
        if entry is None:
            return tcp.ERR_CLSD
        if entry.use != _OPEN:
            return tcp.ERR_WOULDBLOCK if entry.use == _CONNECTING else tcp.ERR_CONN
        if entry.interest < 0 and not entry.ring.count:
            self._fill(entry)  # broken, so no longer polled
        got = entry.ring.get(buf, offset, n)
        if got:
            if not (entry.interest >= 0 and entry.interest & _IN):
                self._fill(entry)  # not polled for input while the ring was full
            return got
        if entry.at_end:
            return entry.error or tcp.ERR_CLSD
        return tcp.ERR_WOULDBLOCK

    def recved(self, h, _n):
        """The computer's TCP opens the window by itself as bytes are read from the socket."""
        return tcp.ERR_OK if self._entry(h) else tcp.ERR_CLSD

    def _fill(self, entry):
        """Read into the ring as much as fits; note the events that this shows."""
        ring = entry.ring
        came = False
        for _ in range(ROUNDS):
            room = ring.room()
            if entry.at_end or not room:
                break
            got = self._calls.receive(entry.key, ring.memory, ring.head(), room)
            if got <= 0:
                self._ended_or_empty(entry, got)
                break
            if not entry.discard:
                ring.filled(got)
                came = True
            if got < room:
                break
        if came:
            self._note(entry, tcp.EVENT_DATA)
        self._want_input(entry)

    def _ended_or_empty(self, entry, got):
        error = err_of(-got) if got else tcp.ERR_CLSD
        if is_for_now(error):
            return
        entry.at_end = True
        if got == 0 and not entry.error:
            self._note(entry, tcp.EVENT_CLOSED)
        else:
            self._break(entry, entry.error or error)

    def _want_input(self, entry):
        want = _IN if entry.ring.free() and not entry.at_end else 0
        self._want(entry, entry.interest & _OUT | want)

    def shutdown_rx(self, h):
        entry = self._entry(h)
        if entry is None:
            return tcp.ERR_CLSD
        if entry.ring:
            entry.discard = True
            entry.ring.clear()
            self._want_input(entry)
        return tcp.ERR_OK

    # --- sending

    def write(self, h, buf, offset, n, _more):
        entry = self._entry(h)
        if entry is None:
            return tcp.ERR_CLSD
        if entry.use != _OPEN:
            return tcp.ERR_WOULDBLOCK if entry.use == _CONNECTING else tcp.ERR_CONN
        if entry.error:
            return entry.error
        taken = self._calls.send(entry.key, buf, offset, n)
        if taken < 0:
            error = err_of(-taken)
            if not is_for_now(error):
                self._break(entry, error)
                self._fill(entry)  # what the peer sent before can still be read
                return error
            taken = 0
        if taken < n and entry.interest >= 0:
            self._want(entry, entry.interest | _OUT)
        return taken

    def in_flight(self, h):
        entry = self._entry(h)
        if entry is None or entry.interest < 0 or entry.use != _OPEN:
            return 0
        return max(-1, self._calls.in_flight(entry.key))

    def keepalive(self, h, idle, interval, count):
        entry = self._entry(h)
        if entry is None:
            return tcp.ERR_CLSD
        return self._calls.keepalive(entry.sock, idle, interval, count)

    # --- ending

    def linger(self, h, seconds):
        """If the peer's FIN came before close(), this has no effect: Linux's own times hold."""
        entry = self._entry(h)
        if entry is None:
            return tcp.ERR_CLSD
        if seconds > 0 and not self._calls.can_linger:
            return tcp.ERR_VAL
        entry.linger_s = seconds
        return tcp.ERR_OK

    def close(self, h):
        entry = self._entry(h)
        if entry is None:
            return tcp.ERR_CLSD
        if entry.linger_s == 0:
            return self.abort(h)
        if entry.use == _OPEN and entry.interest >= 0 and not entry.at_end:
            # The peer may still send, and a closed socket would answer with a reset.
            self._linger(entry)
        else:
            self._release(entry)
        return tcp.ERR_OK

    def _linger(self, entry):
        """Send FIN, and hand the socket over to the farewells, which discard until the peer's FIN.
        Closing with unread bytes would be a reset. The handle is free at once."""
        if self._calls.end_sending(entry.key) < 0:
            self._release(entry)
            return
        self._want(entry, _IN)
        self.farewells.begin(entry.sock, entry.key, entry.linger_s)
        entry.interest = -1  # the farewell owns the registration from here on
        self._vacate(entry)

    def abort(self, h):
        entry = self._entry(h)
        if entry is None:
            return tcp.ERR_CLSD
        if entry.use == _OPEN:
            self._calls.reset_on_close(entry.key)
        self._release(entry)
        return tcp.ERR_OK

    def error(self, h):
        entry = self._entry(h)
        return entry.error if entry else tcp.ERR_CLSD

    def _break(self, entry, error):
        entry.error = error
        self._forget(entry)  # a broken socket is always readable: no wait would sleep again
        self._note(entry, tcp.EVENT_ERROR)

    # --- events

    def events(self, h):
        entry = self._datagrams if h == tcp.DATAGRAMS else self._entry(h)
        if entry is None:
            return 0
        events = entry.events
        entry.events = 0
        self._pending &= ~(1 << entry.index)
        return events

    def pending(self):
        return self._pending

    def overlook(self, indexes):
        self._pending &= ~indexes

    def wait(self, ms):
        poll = self._poll
        attend = poll.is_something_kept()
        if attend or self._pending:
            ms = 0
        for key, flags in poll.ipoll(ms):
            owner = poll.owners[key]
            if isinstance(owner, _Entry):
                self._on_poll(owner, flags)
            else:
                owner.ready = attend = True  # a source, or a farewell
        # Sources come last: what they start may open and close sockets.
        woken = attend and poll.attend_sources()
        if self.farewells.active:
            self.farewells.step()
        return 1 if woken or self._pending else 0

    def _on_poll(self, entry, flags):
        if entry.use == _LISTENING:
            self._want(entry, 0)  # until accept() has drained it
            self._note(entry, tcp.EVENT_ACCEPT)
            return
        if entry.use == _CONNECTING:
            self._on_connect(entry, flags)
            return
        if flags & _OUT:
            self._want(entry, entry.interest & ~_OUT)
            self._note(entry, tcp.EVENT_ROOM)
        if flags & _BROKEN:
            # Not polled again: what came before is read by _fill() and by read().
            self._forget(entry)
            self._note(entry, tcp.EVENT_DATA)
            if entry.discard or entry.at_end:
                self._break(entry, tcp.ERR_RST)  # no read will follow that could report the error
        if flags & (_IN | _BROKEN):
            self._fill(entry)

    def _on_connect(self, entry, flags):
        error = self._calls.connect_error(entry.key, flags)
        entry.use = _OPEN
        if error:
            entry.at_end = True
            self._break(entry, err_of(-error))
            return
        self._calls.addresses(entry.key, entry.addresses)
        self._want(entry, _IN)
        self._note(entry, tcp.EVENT_CONNECTED)

    def shut(self):
        """Close every socket; the stack cannot be used afterwards."""
        for entry in self._entries:
            if entry.use != _UNUSED:
                self.abort(entry.handle)
        self.udp.shut()
        self.farewells.end()
        self._poll.close()
