"""One transaction of the link, whoever drives the clock.

A role (module_clocked, controller_clocked) moves the bytes and calls, in this order:

    begin()      a header may come: our own is ready in `tx`
    showed()     the header has passed just now: by a port that clocks it itself
    answer()     8 bytes are in `rx`: decide; the response is in `tx`, `data_length` is set
    complete()   response and data phase have passed, and param32 with the response: act on it
    finish()     CS rose: what was deferred is done now
    cut()        instead of any of them: the transaction was abandoned half-way

The data phase has `data_length` bytes (whole dwords); `tx` holds them when the response is
positive and the command sends, `rx` takes them otherwise, both at wire.DATA.
"""

from array import array

from micropython import const

from spinet import trace
from spinet.compat import ticks_diff
from spinet.duet import wire

START_UP_MS = const(21)  # at least 20 ms: a clock of whole ms may be 1 ms short
_UNSURE = const(-1)  # no WiFi state


class StartUp:
    """The signalling at boot: DATA_READY is low, high and low again before its last rise.

    A controller may poll the pin instead of having an interrupt on it, so each level lasts 20 ms.
    The loop goes on meanwhile, but no request is served. The last rise is left to the port, which
    makes it when it is ready for a request.
    """

    def __init__(self, data_ready):
        self._data_ready = data_ready
        self._left = 0  # levels that have not lasted long enough yet; service thread only
        self._since = 0  # when the present one began

    def begin(self, now):
        """The first level."""
        self._left = 3
        self._since = now
        self._data_ready.value(0)

    def due_ms(self, now):
        """How long the present level has to last."""
        return max(0, START_UP_MS - ticks_diff(now, self._since))

    def is_over(self, now):
        """Go to the next level when that is due; True once the last level has lasted."""
        if self._left and self.due_ms(now) == 0:
            self._left -= 1
            self._since = now
            if self._left:
                self._data_ready.value(self._left - 1)
        return not self._left


class Link:
    """The two message buffers, the request that is being served, and counters.

    `commands` has `answer(request)`, `complete(request)`, `deferred(request)` and `cut(request)`;
    the request is this object. All of it runs in the service thread. `buffers`: (tx, rx) of
    wire.MESSAGE_SIZE bytes, where the SPI can only use memory of its own; None: any will do.
    """

    def __init__(self, commands, buffers=None):
        self.commands = commands
        self.tx, self.rx = buffers or (bytearray(wire.MESSAGE_SIZE), bytearray(wire.MESSAGE_SIZE))
        self.command = 0  # of the transaction under way; these four are set by answer()
        self.socket = 0
        self.flags = 0
        self.length = 0  # bytes the controller offers
        self.accepted = 0  # bytes of the controller's data that the data phase brings
        self.response = 0
        self.data_length = 0  # of the data phase, in whole dwords
        self.answered = False  # the response has crossed the wire; the data may not have
        self.refused = False  # the header could not be served: nothing to complete
        # What the controller is told once: called with us when response and data have crossed,
        # and never when they were cut. Set by the command as it answers.
        self.once = None
        self.shown = _UNSURE  # the WiFi state that the header under way surely shows
        self.count = array("I", (0,))  # of transactions, modulo 2**30; the hot path counts here too
        self.bad_headers = 0
        self._bad_until = -1  # what `count` is after the last of them
        self.cuts = 0

    @property
    def available(self):
        """Bytes the controller can take."""
        return wire.request_available(self.rx)

    @property
    def transactions(self):
        """How many there were, modulo 2**30."""
        return self.count[0]

    def begin(self):
        """A new header may come."""
        self.answered = False
        wire.forget_request(self.rx)
        self.shown = self.commands.wifi_state()
        self.refresh()

    def refresh(self):
        """The module header is ready in `tx`, with the WiFi state of the moment.

        One that is armed may have left `tx` by then: hardware reads ahead.
        """
        state = self.commands.wifi_state()
        if state != self.shown:
            self.shown = _UNSURE
        wire.module_header(self.tx, state)

    def showed(self):
        """The header has just passed as it is in `tx`, and nothing was read ahead."""
        self.shown = wire.header_state(self.tx)

    def answer(self):
        """The first 8 bytes are in rx: decide the response."""
        rx = self.rx
        self.accepted = 0
        error = wire.request_error(rx)
        if error:
            self._refuse(error)
            return
        self.refused = False
        self._read_request()
        response = self.commands.answer(self)
        # A command that takes data says how much in `accepted`; every other sends its response.
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
        """The hot path has answered the request in rx, with this response (0 or more): the fields
        are as answer() and responded() would have left them."""
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
        """A header that cannot be served; that is all there is to this transaction."""
        self.refused = True
        self.bad_headers += 1
        if self.transactions != self._bad_until:  # only the first in a row: they may never end
            trace.note(trace.BAD_HEADER, wire.request_socket(self.rx), self.rx[1], -error)
        self._bad_until = self.transactions + 1 & 0x3FFFFFFF
        self.response = error
        self.data_length = 0
        wire.put_response(self.tx, error)

    def responded(self):
        """The response has crossed the wire: the controller goes by it from now on."""
        self.answered = True

    def complete(self):
        """Response and data have crossed the wire."""
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
        """The controller went away after answer(): it got no answer, or not all of it."""
        self.cuts += 1
        self.once = None
        trace.note(trace.CUT, self.socket, self.command, 0)
        if not self.refused:
            self.commands.cut(self)
