"""The virtual SPI bus, module side: whose power is when. Pins and transfers are C's (simbus).

The controller listens; we connect and retry until it is there. A connection that ends is the
module losing its power. See docs/virtual-bus.md.
"""

import socket
import sys
import time

import simbus
from micropython import const

from spinet import compat
from spinet.contracts.link_driver import LinkLost

MODULE_CLOCKED = const(0)
CONTROLLER_CLOCKED = const(1)

_RETRY_MS = const(100)
_LOOK_MS = const(1000)  # while nothing comes, how often an unfinished frame is looked at
_IN = const(1)  # poll flag
_NEVER = const(-1)

# The connection ends when the controller, for so long, does not answer a CLOCK, does not finish a
# frame or takes nothing. A controller that was stopped for less goes on where it stopped.
PATIENCE_MS = 30000

# Why a connection ended.
_REASONS = {
    simbus.POWER_OFF: "the controller has closed the bus: power is off",
    simbus.NOT_TAKEN: "the controller takes nothing any more",
    simbus.NOT_CLOCKED: "the controller does not clock any more",
    simbus.TOO_LONG: "virtual bus: a payload has at most 4096 bytes",
    simbus.BAD_PIN: "virtual bus: a PIN frame has one byte, 0 or 1",
    simbus.FOREIGN_PIN: "virtual bus: this pin is not the controller's",
    simbus.UNASKED_SHIFT: "virtual bus: a SHIFT that nobody asked for",
    simbus.SHIFT_LENGTH: "virtual bus: a SHIFT as long as its CLOCK",
    simbus.BAD_CLOCK: "virtual bus: CLOCK is for whoever drives SCK, with 1 to 4096 bytes",
    simbus.FOREIGN_HELLO: "virtual bus: HELLO is the module's",
    simbus.UNKNOWN_KIND: "virtual bus: unknown frame kind",
    simbus.UNFINISHED: "virtual bus: a frame that began was never finished",
}


class VirtualBus:
    """The bus in one of its two roles. Raises LinkLost when the controller goes or breaks a rule.

    Pins: transfer_ready, data_ready, cs, reset. As a source of the stack's wait(): key, ready,
    before_wait(), on_ready(). As SPI master: exchange(), exchange_last(), set_clock(). As SPI
    target: arm(), clocked(), disarm(). See simbus/modsimbus.c for those that are not here.
    """

    def __init__(self, host, tcp_port, role, version, sck_hz=0):
        self._address = (host, tcp_port)
        self._version = version
        self.role = role
        self.ready = False  # set and cleared by the stack's wait()
        self.key = _NEVER  # descriptor of the connection, or of the one before
        self._sock = None
        self._poll = compat.poller()
        # sck_hz is the target's: how fast a SHIFT would cross; 0: at once
        self._bus = bus = simbus.Bus(role, sck_hz, self._lost)
        self.transfer_ready, self.data_ready, self.cs, self.reset = bus.pins()
        self.reset.irq(self._on_reset)
        self.power_cycle = bus.power_cycle
        self.before_wait = bus.before_wait
        self.on_ready = bus.on_ready
        self.exchange = bus.exchange
        self.exchange_last = bus.exchange_last
        self.arm = bus.arm
        self.clocked = bus.clocked
        self.disarm = bus.disarm

    def connect(self, wanted):
        """Wait for the controller as long as wanted() says so; then say HELLO: power is on."""
        if self.key != _NEVER:
            time.sleep_ms(_RETRY_MS)  # where another module has the bus, we are closed each time
        while not self._try():
            if not wanted():
                return False
            time.sleep_ms(_RETRY_MS)
        self.key = self._sock.fileno()
        self._poll.register(self.key, _IN)
        self._bus.connected(self.key, PATIENCE_MS, self._version)
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

    def drop(self):
        """Close the connection: the module has lost its power."""
        if self._sock is not None:
            self._poll.unregister(self.key)
            self._bus.disconnected()
            self._sock.close()
            self._sock = None

    def _lost(self, code):
        self.drop()
        raise LinkLost(_REASONS[code])

    def _on_reset(self, pin):
        if not pin.value():
            raise LinkLost("held in reset by the controller")

    def wait_for_reset_end(self):
        """Held in reset: sleep until the controller lets go. Raises LinkLost with the power."""
        self._bus.settle()  # the end of it may have come along with its beginning
        while not self.reset.value():
            for _ in self._poll.ipoll(_LOOK_MS):
                self.on_ready()
            self._bus.settle()

    def set_clock(self, _frequency):
        """The virtual bus is as fast as it is; the controller may model a rate."""


def say(text):
    """One line for whoever started this module."""
    print("spinet-sim:", text, file=sys.stderr)
