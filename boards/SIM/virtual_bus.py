"""The virtual SPI bus, module side: connecting, power and reset. C (simbus) has pins and transfers.

The controller listens; the module retries until it can connect. When the connection ends, the
module has lost its power. See docs/virtual-bus.md.
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
_LOOK_MS = const(1000)  # how often an unfinished frame is checked while nothing comes
_IN = const(1)  # poll flag
_NEVER = const(-1)

# The connection ends when for so long the controller does not answer a CLOCK, does not finish a
# frame or reads nothing. A controller that is stopped for less can go on afterwards.
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
    """The bus in one of its two roles. Raises LinkLost when the controller disconnects, resets the
    module or breaks a rule of the bus.

    Pins: transfer_ready, data_ready, cs, reset. As a source of the stack's wait(): key, ready,
    before_wait(), on_ready(). As SPI master: exchange(), exchange_last(), set_clock(). As SPI
    target: arm(), clocked(), disarm(). simbus/modsimbus.c has those that are not defined here.
    """

    def __init__(self, host, tcp_port, role, version, sck_hz=0):
        self._address = (host, tcp_port)
        self._version = version
        self.role = role
        self.ready = False  # set and cleared by the stack's wait()
        self.key = _NEVER  # descriptor of the connection, or of the last one
        self._sock = None
        self._poll = compat.poller()
        # sck_hz is for the SPI target: the rate at which a SHIFT crosses; 0: at once
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
        """Wait for the controller while wanted() is true; then send HELLO: power is on."""
        if self.key != _NEVER:
            time.sleep_ms(_RETRY_MS)  # while another module has the bus, each connection is closed
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
        """Close the connection, as when the module loses its power."""
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
        """Held in reset: sleep until RESET rises. Raises LinkLost when power is lost."""
        self._bus.settle()  # the rise of RESET may have come together with its fall
        while not self.reset.value():
            for _ in self._poll.ipoll(_LOOK_MS):
                self.on_ready()
            self._bus.settle()

    def set_clock(self, _frequency):
        """No effect: the virtual bus has no clock rate; the controller may model one."""


def say(text):
    """Print one line to stderr."""
    print("spinet-sim:", text, file=sys.stderr)
