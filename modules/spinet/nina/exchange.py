"""One command of NINA's protocol, from its frame to the reply; and the link's two buffers.

The link driver (spi_target) moves the bytes and calls, in this order, for what usual.py does not
serve:

    execute(n)   n bytes came: serve the command, or answer with the error frame
    step(now)    while there is no reply: look whether there is one by now
    reply_length the reply is in tx[:reply_length]: it can be armed

A command may take its time: its method calls wait(), and the loop goes on meanwhile. `rx` keeps the
command until it is answered. Service thread only.
"""

from micropython import const

from spinet import trace
from spinet.compat import ticks_add, ticks_diff, ticks_ms
from spinet.nina import frames, usual

LATE_MS = const(1000)  # the trace notes a reply that took longer
_MOST_MS = const(9000)  # drivers give up after 10 s


class Exchange:
    """The command under way, for the method that serves it.

    `commands` has serve(request), which answers or waits. `words`: see usual.py; `kit`: the hot
    path's. `buffers`: (tx, rx) of frames.SIZE bytes, for SPI hardware that reaches no other memory;
    None: allocate them.

    A parameter is named by its number, which is less than `params`. Exactly one reply has to be
    given: a ready one (answer_...), the error frame (refuse), or begin_reply(n) and n times put_...
    """

    def __init__(self, commands, words, kit, buffers=None):
        self.commands = commands
        self.words = words
        self._kit = kit
        self.tx, self.rx = buffers or (bytearray(frames.SIZE), bytearray(frames.SIZE))
        self.command = 0
        self.params = 0  # how many parameters it has
        self.reply_length = 0  # bytes of the reply; 0: there is none yet
        self.expired = False  # the time of wait() is over: answer now
        self.count = memoryview(words)[usual.COUNTED : usual.COUNTED + 1]  # Loop's `count`
        self.bad_frames = 0
        self.resyncs = 0  # replies that were dropped, as a command came in their place
        self.late = 0  # replies that took longer than LATE_MS
        self._at = 0  # the offset of the reply's next parameter
        self._left = 0  # parameters that the reply still needs
        self._step = None  # of wait()
        self._began = 0  # ticks
        self.deadline = 0  # ticks: when `expired` is set
        self._shown = -1  # the last command in the trace

    # --- for the link driver

    def is_command(self, n):
        """True when the n bytes in rx are a whole command."""
        return frames.parse(self.rx, n, self.words) >= 0

    def execute(self, n):
        """Serve the n bytes that came; they are no driver's attempt to read."""
        self.reply_length = 0
        self._step = None
        self.params = frames.parse(self.rx, n, self.words)
        if self.params < 0:
            self.bad_frames += 1
            trace.note(trace.BAD_FRAME, trace.NO_SLOT, self.rx[0] << 8 | self.rx[1], n)
            self.refuse()
            return
        self.count[0] = self.count[0] + 1 & 0x3FFFFFFF
        self.command = self.rx[1]
        if self.command != self._shown:  # drivers ask the same again and again
            self._shown = self.command
            trace.note(trace.COMMAND, trace.NO_SLOT, self.command, self.params)
        self._began = ticks_ms()
        self.commands.serve(self)

    def resync(self):
        """A command came in place of a reply: the driver has given up waiting for the reply."""
        self.resyncs += 1
        trace.note(trace.RESYNC, trace.NO_SLOT, self.tx[1] & 0x7F, self.rx[1])

    def step(self, now):
        """True when there is a reply."""
        if not self.reply_length and self._step:
            self.expired = ticks_diff(now, self.deadline) >= 0
            self.commands.go_on(self, self._step)
        if not self.reply_length:
            return False
        took = ticks_diff(now, self._began)
        if took > LATE_MS:
            self.late += 1
            trace.note(trace.LATE, trace.NO_SLOT, self.command, took)
        return True

    # --- for the loop

    def refresh(self):
        """Tell the hot path what the tasks or a command may have changed; also drive GPIO0."""
        self.words[usual.STATUS] = self.commands.status()
        self.commands.look()
        usual.show_input(self._kit)

    def asked_socket(self):
        """The slot of the write that failed."""
        return self.words[usual.ASKED]

    # --- the parameters

    def at(self, i):
        """The offset of a parameter in rx."""
        return self.words[usual.PLACES + i] & 0xFFFF

    def size(self, i):
        """The length of a parameter."""
        return self.words[usual.PLACES + i] >> 16

    def u(self, i):
        """A parameter as a number, its first byte the lowest; an address too. Most ports are the
        other way round: see u16_be()."""
        return frames.value(self.rx, self.words[usual.PLACES + i], 0)

    def u16_be(self, i):
        """A parameter as a number, its first byte the highest."""
        return frames.value(self.rx, self.words[usual.PLACES + i], 1)

    def octets(self, i):
        """A parameter as bytes. Allocates."""
        at = self.at(i)
        return bytes(memoryview(self.rx)[at : at + self.size(i)])

    # --- the reply

    def answer_u8(self, number):
        """One parameter of one byte."""
        self.reply_length = frames.small(self.tx, self.command, number)

    def answer_u16(self, number):
        """One parameter of two bytes, the lower first."""
        self.begin_reply(1)
        self.put(number, 2)

    def answer_octets(self, octets):
        """One parameter of up to 255 bytes."""
        self.begin_reply(1)
        self.put_octets(octets)

    def answer_none(self):
        """No parameter."""
        self.reply_length = frames.end(self.tx, frames.begin(self.tx, self.command, 0))

    def answer_data(self, n):
        """One parameter of n bytes, which are at tx[frames.DATA_AT:] already."""
        self.reply_length = frames.data(self.tx, self.command, n)

    def answer_datagram(self, sender, n):
        """The sender's address and port, and n bytes at tx[frames.DATAGRAM_AT:]."""
        self.reply_length = frames.datagram(self.tx, self.command, sender, n)

    def begin_reply(self, count):
        """`count` parameters follow, by put() and put_octets()."""
        self._at = frames.begin(self.tx, self.command, count)
        self._left = count

    def put(self, number, size):
        """A parameter of `size` bytes, the lowest first; `size` negative: the highest first."""
        self._ended_at(frames.put(self.tx, self._at, number, size))

    def put_octets(self, octets):
        """A parameter of up to 255 bytes. Commands see that all fit into a frame."""
        self._ended_at(frames.put_octets(self.tx, self._at, octets, len(octets)))

    def _ended_at(self, at):
        self._at = at
        self._left -= 1
        if not self._left:
            self.reply_length = frames.end(self.tx, at)

    def refuse(self):
        """The error frame."""
        self.reply_length = frames.error(self.tx)

    def wait(self, step, ms=_MOST_MS):
        """The answer comes later: step(request) is called at each pass of the loop until it has
        answered; the last time after `ms`, with `expired`, and then it has to."""
        self._step = step
        self.deadline = ticks_add(ticks_ms(), ms)
        self.expired = False
