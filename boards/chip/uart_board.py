"""A board with the virtual bus over a UART as its link, in place of SPI and its signals.

For an emulated chip, which has no controller at its SPI, and for a board with only a serial port
wired. The module drives the clock. See docs/virtual-bus.md, "Over a serial line".
"""

import time

from micropython import const

from chip import ChipBoard, Wiring
from spinet import VERSION_TEXT, network_status
from spinet.compat import ticks_diff, ticks_ms
from spinet.duet.module_clocked import SpiMaster
from spinet.loop import LinkLost

_PIN = const(1)  # frames, then pins
_CLOCK = const(2)
_SHIFT = const(3)
_HELLO = const(4)
_TRANSFER_READY = const(0)
_DATA_READY = const(1)
_CS = const(2)
_RESET = const(3)
_HEADER = const(4)
_PIN_FRAME = const(5)
_MODULE_CLOCKED = const(0)

_RESET_ENDS = bytes((_PIN, _RESET, 1, 0, 1))

# _WHOLE_MS: for the rest of a frame, which the controller writes at once. _ANSWER_MS: for the next
# frame; a stopped controller has this long, which is less than the watchdog's time.
_WHOLE_MS = const(2000)
_ANSWER_MS = const(20000)
_LOOK_MS = const(10)


class _High:
    """The pin for an edge handler: always high. The real one may be read by the service thread
    only."""

    def value(self):
        return 1


class _Output:
    """An output pin: value(), and value(level), which sends a frame when the level changes."""

    def __init__(self, write, number):
        self._write = write
        self._frame = bytearray((_PIN, number, 1, 0, 0))
        self._level = -1

    def undrive(self):
        """As after power-up: the next level is sent in any case."""
        self._level = -1

    def value(self, level=None):
        if level is None:
            return int(self._level == 1)
        if level != self._level:
            self._level = self._frame[_HEADER] = level
            self._write(self._frame)
        return None


class UartBus:
    """The module side of the virtual bus: the SPI for `SpiMaster`, and the pins transfer_ready,
    data_ready, cs. Raises LinkLost when the controller pulls RESET low, breaks a rule of the bus,
    or does not send in time what it has to.

    `uart` has the methods of `machine.UART`, a receive buffer for a whole SHIFT, and no time-out:
    it returns at once with what is there. `wake()` is called when bytes have come.
    """

    def __init__(self, uart):
        self._uart = uart
        self._header = bytearray(_HEADER)
        self._byte = bytearray(1)
        self._clock = bytearray((_CLOCK, 0, 0, 0))
        self._requested = 0  # the level of TRANSFER_READY
        self._handler = None
        self._exchanging = False
        self._high = _High()
        self.released = False  # RESET is high, and HELLO was sent
        self.wake = None  # the stack's; set by the board
        self.transfer_ready = self
        self.data_ready = _Output(uart.write, _DATA_READY)
        self.cs = _Output(uart.write, _CS)
        uart.irq(self._on_bytes, uart.IRQ_RX)

    def hello(self, wanted, waiting):
        """Sleep until RESET rises, then send HELLO; False once wanted() is false.

        Bytes before that are skipped, as they belong to an earlier boot. `waiting()` is called many
        times a second meanwhile.
        """
        seen = bytearray(_PIN_FRAME)
        while seen != _RESET_ENDS:
            if not wanted():
                return False
            if self._uart.any():
                seen[:-1] = seen[1:]
                self._read(self._byte)
                seen[-1] = self._byte[0]
            else:
                waiting()
                time.sleep_ms(_LOOK_MS)
        self.released = True
        version = VERSION_TEXT.encode()
        self._uart.write(bytes((_HELLO, _MODULE_CLOCKED, len(version), 0)) + version)
        return True

    def power_cycle(self):
        """As after power-up: no output is driven, no request waits."""
        self._requested = 0
        self._exchanging = False
        self.data_ready.undrive()
        self.cs.undrive()

    # -- TRANSFER_READY ---------------------------------------------------------------

    def value(self):
        """Read the frames that have come; returns TRANSFER_READY's level."""
        while self._uart.any() >= _PIN_FRAME:
            if self._frame() != _PIN:
                self._lose("virtual bus: a SHIFT without a CLOCK")
        return self._requested

    def irq(self, handler):
        """Call handler(pin) when there may be an edge; None: call nothing."""
        self._handler = handler

    def _on_bytes(self, _uart):
        # This may run in any thread, and late, so it reads no frames; value() does.
        if self._handler and not self._exchanging and self._uart.any():
            self._handler(self._high)
            self.wake()

    # -- SPI --------------------------------------------------------------------------

    def exchange(self, tx, rx, offset, n):
        """Transfer n bytes, from tx[offset:] and into rx[offset:]."""
        self._exchanging = True
        self._clock[2] = n & 0xFF
        self._clock[3] = n >> 8
        self._uart.write(self._clock)
        self._uart.write(memoryview(tx)[offset : offset + n])
        while self._frame() != _SHIFT:
            pass
        if self._length() != n:
            self._lose("virtual bus: a SHIFT as long as its CLOCK")
        self._await(n, _WHOLE_MS)
        self._read(memoryview(rx)[offset : offset + n])
        self._exchanging = False

    def set_clock(self, _frequency):
        """No effect: the UART's baud rate is fixed."""

    # -- frames -----------------------------------------------------------------------

    def _frame(self):
        """Wait for the next frame and handle it; returns its kind. A SHIFT's bytes are not read."""
        self._await(_HEADER, _ANSWER_MS)
        self._read(self._header)
        kind = self._header[0]
        if kind == _PIN and self._length() == 1:
            self._await(1, _WHOLE_MS)
            self._read(self._byte)
            self._pin(self._header[1], self._byte[0])
        elif kind != _SHIFT:
            self._lose("virtual bus: a frame that is not the controller's")
        return kind

    def _pin(self, pin, level):
        if pin == _TRANSFER_READY and level < 2:
            self._requested = level
        elif pin != _RESET:
            self._lose("virtual bus: this pin is not the controller's")
        elif not level:
            self._lose("held in reset by the controller")

    def _length(self):
        return self._header[2] | self._header[3] << 8

    def _await(self, n, ms):
        """Sleep until n bytes have come, at most `ms`."""
        since = ticks_ms()
        while self._uart.any() < n:
            if ticks_diff(ticks_ms(), since) > ms:
                self._lose("virtual bus: the controller does not answer")
            time.sleep_ms(1)

    def _read(self, into):
        self._uart.readinto(into)

    def _lose(self, why):
        self.released = False
        raise LinkLost(why)


class UartBoard(ChipBoard):
    """A chip with this UART (see UartBus) in place of SPI. `led` is the LED's GPIO, or None."""

    def __init__(self, uart, led=None):
        unwired = (None,) * 7
        super().__init__(Wiring(*unwired, led))
        self._bus = UartBus(uart)

    def power_up(self, wanted):
        """Wait for a controller, or for the end of a reset; False once wanted() is false."""
        bus = self._bus
        by_controller = self._boots and not bus.released
        if not bus.released:
            self.say("waiting for a controller at the UART")
            if not bus.hello(wanted, self._wait):
                return False
        if not super().power_up(wanted):
            return False
        if by_controller:
            self._reset_reason = network_status.RESET_BY_CONTROLLER
        bus.power_cycle()
        return True

    def link_port(self):
        """The link driver, module-clocked."""
        bus = self._bus
        bus.wake = self._stack.wake
        return SpiMaster(bus, bus.cs, bus.data_ready, bus.transfer_ready)

    def _wait(self):
        if self._watchdog:
            self._watchdog.feed()
