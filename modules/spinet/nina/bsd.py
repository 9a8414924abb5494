"""MicroPython's socket calls: BSD's, with Linux's error numbers. They share Numbers with the rest.

A call that fails has the reply that the driver takes for a failure; the driver then fetches errno.
No call waits: the driver polls instead.
"""

from array import array

from micropython import const

from spinet import fields, states
from spinet.nina import frames
from spinet.nina.datagrams import COUNT
from spinet.nina.numbers import CLIENT, FREE, NONE, SERVER, SOCKET
from spinet.nina.usual import ERRNO
from spinet.tcp import status
from spinet.tcp.stack import ERR_RST, ERR_RTE, ERR_VAL, is_for_now

_STREAM = const(1)
_DATAGRAM = const(2)
_READ = const(1)  # flags of poll
_WRITE = const(2)
_ERROR = const(4)
_FAILED = const(0x80)
_FIONBIO = const(0x8004667E)
_ACCEPTCONN = const(2)
_NOWHERE = b"\0\0\0\0\0\0"

EBADF = const(9)
EAGAIN = const(11)
EINVAL = const(22)
EMFILE = const(24)
EMSGSIZE = const(90)
EPROTONOSUPPORT = const(93)
EADDRINUSE = const(98)
ECONNRESET = const(104)
ENOBUFS = const(105)
EISCONN = const(106)
ENOTCONN = const(107)
ETIMEDOUT = const(110)
ECONNREFUSED = const(111)
EHOSTUNREACH = const(113)
EALREADY = const(114)
EINPROGRESS = const(115)


class Bsd:
    """Serves these commands over the slots, the listeners and the UDP sockets."""

    def __init__(self, manager, numbers, datagrams, words):
        self._manager = manager
        self._numbers = numbers
        self._datagrams = datagrams
        self._words = words
        self._ports = array("H", [0] * COUNT)  # of bind()

    def _done(self, request, errno=0):
        """The reply of calls that only succeed or fail."""
        self._words[ERRNO] = errno
        request.answer_u8(0 if errno else 1)

    def _unless_free(self, number, errno):
        """The error number of a call that this number cannot have; EBADF when nothing has it, and
        ECONNRESET when it had a connection, which went with WiFi."""
        kind = self._numbers.kind(number)
        if kind == CLIENT and errno == ENOTCONN:
            return ECONNRESET
        return EBADF if kind == FREE else errno

    def errno(self, request):
        request.answer_u8(self._words[ERRNO])

    def socket(self, request):
        number = NONE
        self._words[ERRNO] = EPROTONOSUPPORT
        if request.u(0) == _STREAM:
            number = self._numbers.new(SOCKET)
            self._words[ERRNO] = EMFILE
        elif request.u(0) == _DATAGRAM:
            self._datagrams.prepare()  # first: without memory for it no number is taken
            number = self._numbers.new(SOCKET)
            self._words[ERRNO] = EMFILE
            self._numbers.datagrams(number)
        if number != NONE:
            self._words[ERRNO] = 0
            self._ports[number] = 0
        request.answer_u8(number)

    def close(self, request):
        number = request.u(0)
        errno = self._unless_free(number, 0)
        self._numbers.drop(number)
        self._done(request, errno)

    # --- servers

    def bind(self, request):
        number = request.u(0)
        errno = self._unless_free(number, 0)
        socket = self._datagrams.of(number)
        if socket:
            errno = EADDRINUSE if self._datagrams.bind(socket, request.u16_be(1)) else 0
        elif not errno:
            self._ports[number] = request.u16_be(1)
        self._done(request, errno)

    def listen(self, request):
        number = request.u(0)
        if self._numbers.kind(number) not in (SOCKET, SERVER) or not self._ports[number]:
            self._done(request, self._unless_free(number, EINVAL))
        elif self._numbers.listen(number, self._ports[number]):
            self._done(request)
        else:
            self._done(request, EADDRINUSE)

    def accept(self, request):
        number = request.u(0)
        found = NONE
        self._words[ERRNO] = self._unless_free(number, EINVAL)
        if self._numbers.kind(number) == SERVER:
            found = self._numbers.accept(number)
            self._words[ERRNO] = EAGAIN if found == NONE else 0
        if found == NONE:
            request.answer_u8(NONE)
            return
        request.begin_reply(3)
        request.put(found, 1)
        self._put_peer(request, self._numbers.slot(found))

    def _put_peer(self, request, slot):
        request.put(fields.get_u32(slot.record, 8), 4)
        request.put(status.remote_port(slot.record), 2)

    def peer(self, request):
        slot = self._numbers.slot(request.u(0))
        if slot is None:
            self._done(request, self._unless_free(request.u(0), ENOTCONN))
            return
        self._words[ERRNO] = 0
        request.begin_reply(3)
        request.put(1, 1)
        self._put_peer(request, slot)

    # --- connections

    def connect(self, request):
        number = request.u(0)
        kind = self._numbers.kind(number)
        socket = self._datagrams.of(number)
        if socket:
            aimed = self._datagrams.aim(socket, request.rx, request.at(1), request.u16_be(2))
            self._done(request, 0 if aimed else EADDRINUSE)
        elif kind == FREE or kind == SERVER:
            self._done(request, self._unless_free(number, EINVAL))
        elif self._numbers.connected(number):
            self._done(request, EISCONN)
        elif self._is_connecting(number):
            self._done(request, EALREADY)
        else:
            self._dial(request, number)

    def _is_connecting(self, number):
        slot = self._numbers.slot(number)
        return slot is not None and slot.state == states.CONNECTING

    def _dial(self, request, number):
        slot = self._manager.allocate(0)
        if slot is None:
            self._done(request, ENOBUFS)
            return
        self._numbers.drop(number)  # an earlier attempt
        slot.connect(request.u(1), request.u16_be(2))
        self._numbers.use(number, slot)
        self._done(request, EINPROGRESS)

    def poll(self, request):
        number = request.u(0)
        self._words[ERRNO] = 0
        flags = _FAILED
        socket = self._datagrams.of(number)
        if socket:
            flags = _READ | _WRITE if self._datagrams.left(socket) else _WRITE
        elif self._numbers.kind(number) == SERVER:
            flags = _READ if self._numbers.waits(number) else 0
        else:
            slot = self._numbers.slot(number)
            if slot:
                flags = self._flags(slot)
            else:
                self._words[ERRNO] = self._unless_free(number, ENOTCONN)
        request.answer_u8(flags)

    def _flags(self, slot):
        state = slot.state
        if state == states.CONNECTING:
            return 0
        if state == states.ABORTED:
            if not slot.refusal:
                return _READ | _WRITE | _ERROR  # the next call has the error
            self._words[ERRNO] = _why(slot)
            return _FAILED
        return _READ | (_WRITE if slot.space() or slot.cut_off() else 0)

    def send(self, request):
        slot = self._numbers.slot(request.u(0))
        socket = self._datagrams.of(request.u(0))
        n = self._words[ERRNO] = 0
        if socket:
            n = self._send_datagram(socket, request)
        elif not slot:
            self._words[ERRNO] = self._unless_free(request.u(0), ENOTCONN)
        else:
            n = self._write(slot, request)
        request.begin_reply(1)
        request.put(n, -2)

    def _write(self, slot, request):
        if not slot.may_send():
            self._words[ERRNO] = _why(slot) if slot.state != states.CONNECTING else EAGAIN
            return 0
        n = min(request.size(1), slot.space())
        if not n:
            self._words[ERRNO] = EAGAIN if request.size(1) else 0
        elif not slot.write(request.rx, request.at(1), n, True):
            self._words[ERRNO] = _why(slot)
            return 0
        return n

    def receive(self, request):
        slot = self._numbers.slot(request.u(0))
        socket = self._datagrams.of(request.u(0))
        got = self._words[ERRNO] = 0
        if socket:
            got = self._receive_datagram(socket, request, frames.DATA_AT)
        elif not slot:
            self._words[ERRNO] = self._unless_free(request.u(0), ENOTCONN)
        else:
            got = slot.read(request.tx, frames.DATA_AT, min(request.u(1), frames.MOST_DATA))
            if not got:
                self._words[ERRNO] = _why_nothing(slot)
        request.answer_data(got)

    # --- datagrams

    def _send_datagram(self, socket, request):
        n = self._datagrams.send_now(socket, request)
        if n < 0:
            self._words[ERRNO] = _why_unsent(n)
        return max(0, n)

    def _receive_datagram(self, socket, request, at):
        n = min(request.u(1), frames.MOST_DATA)
        got = self._datagrams.take_whole(socket, request.tx, at, n)
        if not got:
            self._words[ERRNO] = EAGAIN
        return got

    def send_to(self, request):
        socket = self._datagrams.of(request.u(0))
        n = self._words[ERRNO] = 0
        if not socket:
            self._words[ERRNO] = self._unless_free(request.u(0), EINVAL)
        elif self._datagrams.aim(socket, request.rx, request.at(1), request.u16_be(2)):
            n = self._send_datagram(socket, request)
        else:
            self._words[ERRNO] = ENOBUFS
        request.begin_reply(1)
        request.put(n, -2)

    def receive_from(self, request):
        socket = self._datagrams.of(request.u(0))
        got = self._words[ERRNO] = 0
        if not socket:
            self._words[ERRNO] = self._unless_free(request.u(0), EINVAL)
        else:
            got = self._receive_datagram(socket, request, frames.DATAGRAM_AT)
        request.answer_datagram(socket.sender if got else _NOWHERE, got)

    # --- options

    def ioctl(self, request):
        self._words[ERRNO] = 0 if request.u(1) == _FIONBIO else EINVAL
        if self._words[ERRNO]:
            request.answer_none()
        else:
            request.begin_reply(1)
            request.put(request.u(2), 4)

    def set_option(self, request):
        self._done(request)  # the module sets its sockets up as they need it

    def get_option(self, request):
        self._words[ERRNO] = 0
        listens = request.u(1) == _ACCEPTCONN and self._numbers.kind(request.u(0)) == SERVER
        request.begin_reply(1)
        request.put(1 if listens else 0, 4)


def _why_unsent(error):
    """The error number of a datagram that was not sent; the driver closes sockets for most."""
    if error == ERR_VAL:
        return EMSGSIZE
    return EAGAIN if is_for_now(error) else EHOSTUNREACH


def _why_nothing(slot):
    """The error number of a read that has no bytes; 0 at the peer's end."""
    state = slot.state
    if state == states.CONNECTED or state == states.CONNECTING:
        return EAGAIN
    return _why(slot) if state == states.ABORTED or slot.cut_off() else 0


def _why(slot):
    """The error number of a connection that is broken, or was never made."""
    refusal = slot.refusal
    if not refusal:
        return ECONNRESET
    if refusal == ERR_RST:
        return ECONNREFUSED
    return EHOSTUNREACH if refusal == ERR_RTE else ETIMEDOUT
