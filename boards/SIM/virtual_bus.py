"""The virtual SPI bus, module side: connecting, power and reset. C (simbus) has pins and transfers.

The controller listens; the module retries until it can connect. When the connection ends, the
module has lost its power. See docs/virtual-bus.md.
"""

import select
import socket
import sys
import time

import simbus
from micropython import const

from spinet.loop import LinkLost

MODULE_CLOCKED = const(0)
CONTROLLER_CLOCKED = const(1)
NINA = const(2)

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
    simbus.UNASKED_SHIFT: "virtual bus: a SHIFT without a CLOCK",
    simbus.SHIFT_LENGTH: "virtual bus: a SHIFT as long as its CLOCK",
    simbus.BAD_CLOCK: "virtual bus: CLOCK is for the side that drives SCK, with 1 to 4096 bytes",
    simbus.FOREIGN_HELLO: "virtual bus: HELLO is the module's",
    simbus.UNKNOWN_KIND: "virtual bus: unknown frame kind",
    simbus.UNFINISHED: "virtual bus: a frame that began was never finished",
    simbus.HELD_IN_RESET: "held in reset by the controller",
}


class VirtualBus:
    """The bus in one of its roles. Raises LinkLost when the controller disconnects, resets the
    module or breaks a rule of the bus.

    reset() is the level of RESET. As a source of the stack's wait(): key, ready, before_wait(),
    on_ready(). DuetBus and NinaBus add the pins and the transfers. simbus has what is not defined
    here.
    """

    def __init__(self, host, tcp_port, role, version, bus, reset):
        self._address = (host, tcp_port)
        self._version = version
        self._bus = bus
        self.role = role
        self.ready = False  # set and cleared by the stack's wait()
        self.key = _NEVER  # descriptor that ends waits, of this connection or of the last one
        self._sock = None
        self._connected_before = False
        self._poll = select.poll()
        self.reset = reset
        self.power_cycle = bus.power_cycle
        self.before_wait = bus.before_wait
        self.on_ready = bus.on_ready

    def connect(self, wanted):
        """Wait for the controller while wanted() is true; then send HELLO: power is on."""
        if self._connected_before:
            time.sleep_ms(_RETRY_MS)  # while another module has the bus, each connection is closed
        while not self._try():
            if not wanted():
                return False
            time.sleep_ms(_RETRY_MS)
        self.key = self._bus.connected(self._sock.fileno(), PATIENCE_MS, self._version)
        self._poll.register(self.key, _IN)
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
        self._connected_before = True
        return True

    def drop(self):
        """Close the connection, as when the module loses its power."""
        if self._sock is not None:
            self._poll.unregister(self.key)
            self._bus.disconnected()
            self._sock.close()
            self._sock = None

    def _lost(self, code):
        if code != simbus.HELD_IN_RESET:
            self.drop()
        raise LinkLost(_REASONS[code])

    def wait_for_reset_end(self):
        """Held in reset: sleep until RESET rises. Raises LinkLost when power is lost."""
        self._bus.settle()  # the rise of RESET may have come together with its fall
        while not self.reset():
            for _ in self._poll.ipoll(_LOOK_MS):
                self.on_ready()
            self._bus.settle()


class DuetBus(VirtualBus):
    """Pins: transfer_ready, data_ready, cs. As SPI master: exchange(), exchange_last(),
    set_clock(). As SPI target: arm(), clocked(), disarm(). See simbus/modsimbus.c."""

    def __init__(self, host, tcp_port, role, version, sck_hz=0):
        # sck_hz is for the SPI target: the rate at which a SHIFT crosses; 0: at once
        bus = simbus.Bus(role, sck_hz, self._lost)
        self.transfer_ready, self.data_ready, self.cs, reset = bus.pins()
        super().__init__(host, tcp_port, role, version, bus, reset.value)
        self.exchange = bus.exchange
        self.exchange_last = bus.exchange_last
        self.arm = bus.arm
        self.clocked = bus.clocked
        self.disarm = bus.disarm

    def set_clock(self, _frequency):
        """No effect: the virtual bus has no clock rate; the controller may model one."""


class NinaBus(VirtualBus):
    """The SPI target that the controller selects: arm(), received(), disarm(), gpio0(). A thread
    in C answers CS and CLOCK. See simbus/selected_binding.c."""

    def __init__(self, host, tcp_port, version, sck_hz=0):
        bus = simbus.Selected(sck_hz, self._lost)
        super().__init__(host, tcp_port, NINA, version, bus, bus.reset)
        self.arm = bus.arm
        self.received = bus.received
        self.disarm = bus.disarm
        self.gpio0 = bus.gpio0


def say(text):
    """Print one line to stderr."""
    print("spinet-sim:", text, file=sys.stderr)
