"""The virtual SPI bus, module side: pins and SPI as frames on one TCP connection.

A frame is kind u8, arg u8, length u16, payload. The controller listens; we connect and retry
until it is there. See docs/virtual-bus.md. Nothing here allocates once connected; everything
runs in the service thread, `on_ready()` inside the stack's wait().
"""

import socket
import sys
import time

import hostnet
import micropython
from micropython import const

from spinet import port
from spinet.link import LinkLost
from spinet.tcp_buffer import copy

MODULE_CLOCKED = const(0)
CONTROLLER_CLOCKED = const(1)

_PIN = const(1)
_CLOCK = const(2)
_SHIFT = const(3)
_HELLO = const(4)

TRANSFER_READY = const(0)
DATA_READY = const(1)
CS = const(2)
RESET = const(3)

_HEADER = const(4)
_MAX_SHIFT = const(4096)
_BUFFER = const(16384)  # received frames; three of the largest
_RETRY_MS = const(100)
_PATIENCE_MS = const(5000)  # a controller that takes or gives nothing for so long has died
_EAGAIN = const(-11)
_PIN_FRAME = const(5)

# What frame_length() says besides a length.
_NOT_YET = const(-1)
_TOO_LONG = const(-2)


@micropython.viper
def frame_length(buffer, start: int, end: int) -> int:
    """Payload of the frame at start if all of it is there, else _NOT_YET; or _TOO_LONG."""
    if end - start < _HEADER:
        return _NOT_YET
    bytes_of = ptr8(buffer)
    length = bytes_of[start + 2] | bytes_of[start + 3] << 8
    if length > _MAX_SHIFT:
        return _TOO_LONG
    return length if end - start >= _HEADER + length else _NOT_YET


@micropython.viper
def put_header(frame, at: int, kind_and_arg: int, length: int):
    """A frame's first four bytes."""
    bytes_of = ptr8(frame)
    bytes_of[at] = kind_and_arg
    bytes_of[at + 1] = kind_and_arg >> 8
    bytes_of[at + 2] = length
    bytes_of[at + 3] = length >> 8


class BusPin:
    """One signal, shaped as `machine.Pin`: value([x]), irq(handler)."""

    def __init__(self, bus, number, level):
        self._bus = bus
        self._number = number
        self._level = level  # None until an output is first driven
        self._handler = None

    def value(self, level=None):
        """The level; or drive it, which the other side sees as a frame when it changes."""
        if level is not None and level != self._level:
            self._level = level
            self._bus.send_pin(self._number, level)
        return self._level or 0

    def irq(self, handler):
        """Call handler(pin) at every edge that the other side makes."""
        self._handler = handler

    def forget(self, level):
        """As at power-up."""
        self._level = level
        self._handler = None

    def edge(self, level):
        """The other side drove this pin; True when somebody was told of an edge."""
        if level == self._level:
            return False
        self._level = level
        if self._handler is None:
            return False
        self._handler(self)
        return True


class VirtualBus:
    """The bus in one of its two roles. Raises LinkLost when the controller goes or breaks a rule.

    As a source of the stack's wait(): key, ready, has_news(), on_ready(). As SPI master:
    exchange(), set_clock(). As SPI target: arm(), clocked(), disarm().
    """

    def __init__(self, host, tcp_port, role, version, sck_hz=0):
        self._address = (host, tcp_port)
        self._version = version
        self.role = role
        self._sck_hz = sck_hz  # of the target: how fast a SHIFT would cross; 0: at once
        self.transfer_ready = BusPin(self, TRANSFER_READY, 0)
        self.data_ready = BusPin(self, DATA_READY, None)
        self.cs = BusPin(self, CS, None if role == MODULE_CLOCKED else 1)
        self.reset = BusPin(self, RESET, 1)
        self.ready = False  # set and cleared by the stack's wait()
        self.key = -1  # descriptor of the connection
        self._sock = None
        self._poll = port.poller()
        self._frame = bytearray(_PIN_FRAME + _HEADER + _MAX_SHIFT)  # what is sent
        self._held = 0  # bytes of it that are to go out with the next frame
        self._buffer = bytearray(_BUFFER)  # what was received and not handled: start to end
        self._start = 0
        self._end = 0
        self._expected = 0  # bytes of the SHIFT that answers our CLOCK; 0: none is due
        self._into = None  # where it goes
        self._into_at = 0
        self._armed = None  # what the target shifts out, with _takes for what it shifts in
        self._takes = None
        self._armed_at = 0
        self._armed_length = 0
        self._clocked = 0  # bytes of it that have passed

    # --- power

    def connect(self, wanted):
        """Wait for the controller as long as wanted() says so; then say HELLO: power is on."""
        while not self._try():
            if not wanted():
                return False
            time.sleep_ms(_RETRY_MS)
        self.key = self._sock.fileno()
        hostnet.nodelay(self.key)
        hostnet.patience(self.key, _PATIENCE_MS)
        self._poll.register(self.key, 1)
        self._start = self._end = 0
        self.reset.forget(1)
        self.power_cycle()
        self._send_hello()
        return True

    def connected(self):
        """True from connect() to drop()."""
        return self._sock is not None

    def _try(self):
        sock = socket.socket()
        try:
            sock.connect(socket.getaddrinfo(self._address[0], self._address[1])[0][-1])
        except OSError:
            sock.close()
            return False
        self._sock = sock
        return True

    def power_cycle(self):
        """Pins and transfers as a module that has just been switched on."""
        self.transfer_ready.forget(self.transfer_ready.value())
        self.data_ready.forget(None)
        self.cs.forget(None if self.role == MODULE_CLOCKED else self.cs.value())
        self._expected = 0
        self._held = 0
        self.disarm()

    def drop(self):
        """Close the connection: the module has lost its power."""
        if self._sock is not None:
            self._poll.unregister(self.key)
            self._sock.close()
            self._sock = None

    def wait_for_reset_end(self):
        """Held in reset: sleep until the controller lets go. Raises LinkLost with the power."""
        self._handle_frames(True)  # the end of it may have come along with its beginning
        while not self.reset.value():
            for _ in self._poll.ipoll(-1):
                self._receive()
            self._handle_frames(True)

    def _lost(self, why):
        self.drop()
        raise LinkLost(why)

    # --- sending

    def _send_hello(self):
        text = self._version.encode()
        self._frame[_HEADER : _HEADER + len(text)] = text
        self._send(self.role << 8 | _HELLO, len(text))

    def send_pin(self, number, level):
        """A pin of ours changed. CS, where it falls by us, goes out with the CLOCK that follows."""
        at = self._held
        self._frame[at + _HEADER] = level
        if number == CS and not level:
            put_header(self._frame, at, number << 8 | _PIN, 1)
            self._held = at + _PIN_FRAME
        else:
            self._send(number << 8 | _PIN, 1)

    def _send(self, kind_and_arg, length):
        """Send what was held and a frame whose payload is in _frame already, behind its header."""
        frame = self._frame
        put_header(frame, self._held, kind_and_arg, length)
        total = self._held + _HEADER + length
        self._held = 0
        sent = 0
        while sent < total:
            n = hostnet.send(self.key, frame, sent, total - sent)
            if n == _EAGAIN:
                self._await_room()
            elif n < 0:
                self._lost("the controller is gone")
            else:
                sent += n

    def _await_room(self):
        self._poll.modify(self.key, 4)
        for _ in self._poll.ipoll(_PATIENCE_MS):
            self._poll.modify(self.key, 1)
            return
        self._lost("the controller takes nothing any more")

    # --- receiving

    def has_news(self):
        """True while a whole frame is here that was not handled."""
        return self._start != self._end and self._next_length() != _NOT_YET

    def on_ready(self):
        """The stack's wait() saw that something came."""
        self._receive()
        self._handle_frames(False)

    def _receive(self):
        """Take what is there, if anything is."""
        self._make_room()
        n = hostnet.recv(self.key, self._buffer, self._end, _BUFFER - self._end)
        if n != _EAGAIN:
            self._received(n)

    def _make_room(self):
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == _BUFFER:
            self._move_down()

    def _received(self, n):
        if n <= 0:
            self._lost("the controller has closed the bus: power is off")
        self._end += n

    def _move_down(self):
        # One frame is at most a quarter of the buffer: this makes room for a whole one.
        copy(self._buffer, self._buffer, self._start, self._end - self._start)
        self._end -= self._start
        self._start = 0

    def _await_frames(self):
        """Sleep in the system call that receives, one less than to poll before it."""
        self._make_room()
        n = hostnet.await_recv(self.key, self._buffer, self._end, _BUFFER - self._end)
        if n == _EAGAIN:
            self._lost("the controller does not clock any more")
        self._received(n)

    def _next_length(self):
        return frame_length(self._buffer, self._start, self._end)

    def _handle_frames(self, all_of_them):
        """Handle whole frames in their order, up to the first edge that somebody waits for."""
        while True:
            length = self._next_length()
            if length == _NOT_YET:
                return
            if self._handle(length) and not all_of_them:
                return  # the loop acts on the edge before it sees what came after it

    def _handle(self, length):
        if length == _TOO_LONG:
            self._broken("a payload has at most 4096 bytes")
        at = self._start
        kind = self._buffer[at]
        arg = self._buffer[at + 1]
        self._start = at + _HEADER + length
        if kind == _PIN:
            if length != 1 or self._buffer[at + _HEADER] > 1:
                self._broken("a PIN frame has one byte, 0 or 1")
            return self._on_pin(arg, self._buffer[at + _HEADER])
        if kind == _SHIFT:
            self._on_shift(length, at + _HEADER)
        elif kind == _CLOCK:
            self._on_clock(length, at + _HEADER)
        elif kind == _HELLO:
            self._broken("HELLO is the module's")
        else:
            self._broken("unknown frame kind")
        return False

    def _broken(self, rule):
        self._lost("virtual bus: " + rule)

    def _on_pin(self, number, level):
        if number == TRANSFER_READY:
            return self.transfer_ready.edge(level)
        if number == RESET:
            return self._on_reset(level)
        if number != CS or self.role != CONTROLLER_CLOCKED:
            self._broken("this pin is not the controller's")
        return self.cs.edge(level)

    def _on_reset(self, level):
        falls = self.reset.value() and not level
        self.reset.edge(level)
        if falls:
            raise LinkLost("held in reset by the controller")
        return False

    # --- SPI master

    def exchange(self, tx, rx, offset, n):
        """Clock n bytes out of tx[offset:] and into rx[offset:]."""
        copy(self._frame, tx, self._held + _HEADER << 16 | offset, n)
        self._into = rx
        self._into_at = offset
        self._expected = n
        self._send(_CLOCK, n)
        while self._expected:
            length = frame_length(self._buffer, self._start, self._end)
            if length == _NOT_YET:
                self._await_frames()
            else:
                self._handle(length)

    def _on_shift(self, length, at):
        if not self._expected:
            self._broken("a SHIFT that nobody asked for")
        if length != self._expected:
            self._broken("a SHIFT as long as its CLOCK")
        self._expected = 0
        copy(self._into, self._buffer, self._into_at << 16 | at, length)

    def set_clock(self, _frequency):
        """The virtual bus is as fast as it is; the controller may model a rate."""

    # --- SPI target

    def arm(self, tx, rx, offset, n):
        """The next n bytes that are clocked come from tx[offset:] and go to rx[offset:]."""
        self._armed = tx
        self._takes = rx
        self._armed_at = offset
        self._armed_length = n
        self._clocked = 0

    def clocked(self):
        """How many bytes of the armed transfer have passed."""
        return self._clocked

    def disarm(self):
        """Nothing is armed: whoever clocks gets zeros."""
        self._armed_length = 0
        self._clocked = 0

    def _on_clock(self, length, at):
        if self.role != CONTROLLER_CLOCKED or not length:
            self._broken("CLOCK is for whoever drives SCK, with 1 to 4096 bytes")
        n = min(length, self._armed_length - self._clocked)
        if n:
            done = self._armed_at + self._clocked
            copy(self._takes, self._buffer, done << 16 | at, n)
            copy(self._frame, self._armed, _HEADER << 16 | done, n)
            self._clocked += n
        for i in range(_HEADER + n, _HEADER + length):
            self._frame[i] = 0
        if self._sck_hz:
            time.sleep_us(length * 8000000 // self._sck_hz)
        self._send(_SHIFT, length)


def say(text):
    """One line for whoever started this module."""
    print("spinet-sim:", text, file=sys.stderr)
