"""One transaction of the link; the same for both clock roles.

A link driver (module_clocked, controller_clocked) moves the bytes and calls, in this order:

    begin()      a header may come: the module's header is ready in `tx`
    showed()     the header has just crossed; only a driver that drives the clock knows that
    answer()     8 bytes are in `rx`: decide; the response is in `tx`, `data_length` is set
    complete()   response (with param32) and data phase have crossed: act on the request
    finish()     CS is high again: do what was deferred
    cut()        instead of any of these: the transaction was abandoned half-way

The data phase has `data_length` bytes (whole dwords); `tx` holds them when the response is
positive and the command sends, `rx` takes them otherwise, both at wire.DATA.
"""

from array import array

from micropython import const

from spinet import trace
from spinet.compat import ticks_diff
from spinet.duet import wire

START_UP_MS = const(21)  # at least 20 ms: a difference of two ticks may be 1 ms short
_UNSURE = const(-1)  # not a WiFi state


class StartUp:
    """The signalling at boot: DATA_READY goes low, high and low again before it stays high.

    A controller may poll the pin instead of having an interrupt on it, so each level lasts 20 ms.
    The loop runs meanwhile, but no request is served. The link driver makes the last rise itself,
    when it is ready for a request.
    """

    def __init__(self, data_ready):
        self._data_ready = data_ready
        self._left = 0  # levels still to last START_UP_MS, the present one included
        self._since = 0  # ticks: when the present level began

    def begin(self, now):
        """Begin the first level."""
        self._left = 3
        self._since = now
        self._data_ready.value(0)

    def poll(self, now):
        """Go to the next level when it is due. Returns how many ms the level still has to last; 0:
        the last one is over."""
        left = START_UP_MS - ticks_diff(now, self._since)
        if self._left and left <= 0:
            self._left -= 1
            self._since = now
            left = START_UP_MS
            if self._left:
                self._data_ready.value(self._left - 1)
        return left if self._left else 0


class Link:
    """The two message buffers, the request that is being served, and counters.

    `commands` has `answer(request)`, `complete(request)`, `deferred(request)` and `cut(request)`;
    the request is this object. Service thread only. `buffers`: (tx, rx) of wire.MESSAGE_SIZE bytes,
    for SPI hardware that reaches no other memory; None: allocate them.
    """

    def __init__(self, commands, buffers=None):
        self.commands = commands
        self.tx, self.rx = buffers or (bytearray(wire.MESSAGE_SIZE), bytearray(wire.MESSAGE_SIZE))
        self.command = 0  # of the transaction under way; these four are set by answer()
        self.socket = 0
        self.flags = 0
        self.length = 0  # dataLength: bytes that the controller has
        self.accepted = 0  # bytes of them that the data phase brings
        self.response = 0
        self.data_length = 0  # of the data phase, in whole dwords
        self.answered = False  # the response has crossed the wire; the data may not have
        self.refused = False  # the header could not be served: nothing to complete
        # Called once, with this object, when response and data have crossed; not when they were
        # cut. A command sets it in its answer, to clear what the controller has now been told.
        self.once = None
        self.shown = _UNSURE  # the WiFi state in the header under way, where that is certain
        self.count = array("I", (0,))  # of transactions, modulo 2**30; the hot path counts here too
        self.bad_headers = 0
        self._bad_until = -1  # `count` after the latest bad header
        self.cuts = 0

    @property
    def available(self):
        """dataBufferAvailable: bytes that the controller can take."""
        return wire.request_available(self.rx)

    def asked_socket(self):
        """The socket of the request in `rx`."""
        return wire.request_socket(self.rx)

    def begin(self):
        """A new header may come."""
        self.answered = False
        wire.forget_request(self.rx)
        self.shown = self.commands.wifi_state()
        self.refresh()

    def refresh(self):
        """Write the module header into `tx`, with the present WiFi state.

        When a transfer is armed, the hardware may already have read the older state from `tx`.
        """
        state = self.commands.wifi_state()
        if state != self.shown:
            self.shown = _UNSURE
        wire.module_header(self.tx, state)

    def showed(self):
        """The header has just crossed as it is in `tx`: no hardware read it ahead."""
        self.shown = wire.header_state(self.tx)

    def answer(self):
        """The first 8 bytes are in rx: decide the response."""
        rx = self.rx
        self.answered = False
        self.accepted = 0
        error = wire.request_error(rx)
        if error:
            self._refuse(error)
            return
        self.refused = False
        self._read_request()
        response = self.commands.answer(self)
        # A command that takes data sets `accepted`; any other sends `response` bytes.
        self.response = response
        self.data_length = (self.accepted or (response if response > 0 else 0)) + 3 & ~3
        wire.put_response(self.tx, response)

    def _read_request(self):
        rx = self.rx
        self.command = rx[1]
        self.socket = rx[2]
        self.flags = rx[3]
        self.length = wire.request_length(rx)

    def recall(self, response, answered):
        """The hot path has answered the request in rx with this response (0 or more): set the
        fields as answer() and responded() would have."""
        self._read_request()
        self.refused = False
        self.accepted = response if self.command == wire.CONN_WRITE else 0
        self.response = response
        self.data_length = response + 3 & ~3
        self.answered = answered

    def take(self):
        """For a command's answer: all data is accepted, and the response is empty."""
        self.accepted = self.length
        return 0

    def _refuse(self, error):
        """Respond to a header that cannot be served; the transaction ends with that."""
        self.refused = True
        self.bad_headers += 1
        if self.count[0] != self._bad_until:  # only the first in a row
            trace.note(trace.BAD_HEADER, wire.request_socket(self.rx), self.rx[1], -error)
        self._bad_until = self.count[0] + 1 & 0x3FFFFFFF
        self.response = error
        self.data_length = 0
        wire.put_response(self.tx, error)

    def responded(self):
        """The response has crossed the wire: the controller relies on it from now on."""
        self.answered = True

    def complete(self):
        """Response and data have crossed the wire."""
        self.answered = True
        self.count[0] = self.count[0] + 1 & 0x3FFFFFFF
        once = self.once
        if once is not None:
            self.once = None
            once(self)
        if not self.refused:
            self.commands.complete(self)

    def finish(self):
        """CS is high again: the controller has its answer."""
        if not self.refused:
            self.commands.deferred(self)

    def cut(self):
        """The controller ended the transaction after answer(), before all had crossed."""
        self.cuts += 1
        self.once = None
        trace.note(trace.CUT, self.socket, self.command, 0)
        if not self.refused:
            self.commands.cut(self)
