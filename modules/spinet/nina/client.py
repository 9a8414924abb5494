"""Commands of connections: numbers, connecting, reading, writing, ending; and names.

2D is answered when the connection stands or has failed. 44 waits for room, as a driver takes a
short count for an error. Drivers give up after 10 s, so no answer takes longer than
9 s; the loop goes on meanwhile.
"""

from micropython import const

from spinet import fields, states
from spinet.nina import frames, usual
from spinet.nina.datagrams import DATAGRAMS
from spinet.nina.numbers import GIVEN, NONE, SERVER
from spinet.tcp import status

_TCP = const(0)  # the type of a socket
_TLS = const(2)
_CLOSED = const(0)  # the state of one
_ESTABLISHED = const(4)  # of a UDP socket, always
_MOST_MS = const(8900)
_NAME_MS = const(7900)  # the most for 34
_SEND_MS = const(5000)  # how long 44 waits for room
_PIECE = const(64)  # what CircuitPython cuts its writes into; a last, shorter piece follows
_NO_HOST = b"\xff\xff\xff\xff"


class Client:
    """Serves these commands over the slots and the UDP sockets."""

    def __init__(self, manager, numbers, datagrams, peers, names, security, words):
        self._manager = manager
        self._numbers = numbers
        self._datagrams = datagrams
        self._peers = peers
        self._names = names
        self._security = security
        self._words = words
        # Of the 2D, 34 or 44 that waits. The methods are bound once, as that allocates.
        self._connecting = self._step_connect
        self._looking_up = self._step_look_up
        self._aiming = self._step_aim
        self._sending = self._step_send
        self._number = NONE
        self._token = -1  # of the slot of a 2D; -1: it has none yet
        self._was_up = False
        self._done = 0  # bytes of 44 that were taken
        self._lookups = 0  # tells this look-up from those before
        self._ip = 0  # what the last one found; -1: it goes on

    # --- numbers

    def new_socket(self, request):
        request.answer_u8(self._numbers.new())

    def stop(self, request):
        self._numbers.drop(request.u(0))
        request.answer_u8(1)

    def state(self, request):
        number = request.u(0)
        if self._datagrams.of(number):
            request.answer_u8(_ESTABLISHED)
            return
        kind = self._numbers.kind(number)
        if kind != GIVEN and kind != SERVER:
            self._numbers.drop(number)  # drivers give up a number of state 0 without telling
        request.answer_u8(_CLOSED)

    def peer(self, request):
        slot = self._numbers.slot(request.u(0))
        socket = self._datagrams.of(request.u(0))
        request.begin_reply(2)
        if socket:
            request.put(fields.get_u32(socket.sender, 2), 4)
            request.put(fields.get_u16(socket.sender, 0), -2)
            return
        request.put(fields.get_u32(slot.record, 8) if slot else 0, 4)
        request.put(status.remote_port(slot.record) if slot else 0, -2)

    # --- connecting

    def connect(self, request):
        first = _address_of(request)
        number = request.u(first + 2)
        kind = request.u(first + 3)
        if kind in DATAGRAMS:
            self._aim(request, first)
            return
        if (kind != _TCP and kind != _TLS) or not self._numbers.reserve(number):
            request.answer_u8(0)
            return
        self._number = number
        self._token = -1
        self._was_up = self._numbers.is_up()
        ms = request.u16_be(5) if request.params == 6 else 0
        request.wait(self._connecting, min(ms or _MOST_MS, _MOST_MS))
        self._step_connect(request)

    def _step_connect(self, request):
        slot = self._manager.living(self._token) if self._token >= 0 else self._dial(request)
        state = slot.state if slot else states.FREE
        if state == states.CONNECTED or state == states.OTHER_END_CLOSED:
            self._numbers.use(self._number, slot)
            request.answer_u8(1)
        elif self._is_lost(state) or request.expired:
            if slot:
                slot.abort()
            self._numbers.drop(self._number)  # drivers do not give it back
            request.answer_u8(0)

    def _is_lost(self, state):
        if self._was_up and not self._numbers.is_up():
            return True
        return state == states.ABORTED or (state == states.FREE and self._token >= 0)

    def _dial(self, request):
        slot = self._manager.allocate(0)
        if slot is None:
            self._numbers.spare_slot()  # what is closing comes back soon
            return None
        self._token = slot.token()
        try:
            self._open(slot, request)
        except MemoryError:
            slot.abort()
            raise
        return slot

    def _open(self, slot, request):
        first = _address_of(request)
        ip = request.u(first)
        port = request.u16_be(first + 1)
        name = request.octets(0) if first else b""
        if request.u(first + 3) == _TLS and not self._security.secure(
            slot, name or fields.dotted(ip).encode()
        ):
            slot.give_up()
        elif name:
            self._peers.connect(slot, name, port)
        else:
            slot.connect(ip, port)

    # --- where a datagram goes

    def _aim(self, request, first):
        socket = self._numbers.datagrams(request.u(first + 2))
        port = request.u16_be(first + 1)
        if socket is None:
            request.answer_u8(0)
        elif first and request.size(0):
            self._aim_at_name(request, socket, port)
        else:
            aimed = self._datagrams.aim(socket, request.rx, request.at(first), port)
            request.answer_u8(1 if aimed else 0)

    def _aim_at_name(self, request, socket, port):
        """CircuitPython's driver names an address, too, in this form, and for each datagram."""
        self._number = request.u(3)
        if self._datagrams.aim_at_text(socket, request, port):
            request.answer_u8(1)
        elif self._begin_look_up(request):
            request.wait(self._aiming, _NAME_MS)
        else:
            request.answer_u8(0)

    def _step_aim(self, request):
        socket = self._datagrams.of(self._number)
        if self._ip == -1 and request.expired:
            self._ip = 0
        if self._ip > 0 and socket:
            port = request.u16_be(2)
            aimed = self._datagrams.aim(socket, fields.octets(self._ip), 0, port)
            request.answer_u8(1 if aimed else 0)
        elif self._ip != -1:
            request.answer_u8(0)

    # --- reading

    def available(self, request):
        number = request.u(0)
        if self._numbers.kind(number) == SERVER:
            self._numbers.spare_slot()  # else no client of it can come
            once = request.params == 1 or request.u(1) != 0
            request.answer_u16(self._numbers.visitor(number, once))
            return
        socket = self._datagrams.of(number)
        request.answer_u16(self._datagrams.left(socket) if socket else 0)

    def read(self, request):
        slot = self._numbers.slot(request.u(0))
        n = min(request.u(1), frames.MOST_DATA)
        socket = self._datagrams.of(request.u(0))
        if socket:
            request.answer_data(self._datagrams.read(socket, request.tx, frames.DATA_AT, n))
            return
        request.answer_data(slot.read(request.tx, frames.DATA_AT, n) if slot else 0)

    # --- writing

    def send(self, request):
        self._number = request.u(0)
        if self._numbers.kind(self._number) == SERVER:
            self._numbers.clients(self._number, _write_to, request)
            request.answer_u16(request.size(1))
            return
        self._done = 0
        request.wait(self._sending, _SEND_MS)
        self._step_send(request)

    def _step_send(self, request):
        slot = self._numbers.slot(self._number)
        if slot and slot.may_send():
            self._done += _write(slot, request, self._done)
            if self._done < request.size(1) and self._may_wait(slot, request):
                return  # until there is room
        request.answer_u16(self._done)

    def _may_wait(self, slot, request):
        """True while the time of 44 lasts. A peer that has stalled for one is waited for again when
        it takes bytes: CircuitPython's driver sends each piece of a write, though the one before
        was not taken."""
        words = self._words
        if self._done:
            words[usual.STALLED] = 0
        elif request.expired:
            words[usual.STALLED] = slot.token() + 1
        return slot.may_send() and not request.expired and words[usual.STALLED] != slot.token() + 1

    # --- names

    def look_up(self, request):
        if self._begin_look_up(request):
            request.wait(self._looking_up, _NAME_MS)
        else:
            request.answer_u8(0)

    def _begin_look_up(self, request):
        """Look up the name that is the first parameter; False when it cannot be one."""
        self._lookups += 1
        begun = self._names.ask(request.octets(0), self, self._lookups, 0, self._manager.now)
        self._ip = -1 if begun else 0
        return begun

    def is_waiting(self, lookup):
        """See spinet.udp.names."""
        return lookup.key == self._lookups and self._ip == -1

    def found(self, _lookup, ip):
        """See spinet.udp.names."""
        self._ip = ip

    def _step_look_up(self, request):
        if self._ip == -1 and request.expired:
            self._ip = 0
        if self._ip != -1:
            request.answer_u8(1 if self._ip else 0)

    def looked_up(self, request):
        if self._ip > 0:
            request.begin_reply(1)
            request.put(self._ip, 4)
        else:
            request.answer_octets(_NO_HOST)


def _address_of(request):
    """Which parameter of 2D is the address; with 5 or 6 of them a name comes first."""
    return request.params - 4 if request.params < 6 else 1


def _write(slot, request, done):
    """Write the data of 44 from byte `done` on, as far as there is room; returns how many bytes."""
    at = request.at(1) + done
    size = request.size(1)
    left = size - done
    n = min(left, slot.space())
    # Pieces of a longer write gather in the ring until it ends.
    push = n == left and size != _PIECE
    return n if (n or push) and slot.write(request.rx, at, n, push) else 0


def _write_to(slot, request):
    """Write to one of a server's clients; bytes that find no room are not sent to that client."""
    if slot.may_send():
        _write(slot, request, 0)
