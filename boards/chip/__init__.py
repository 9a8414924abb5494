"""The board of a chip, common to all of them: see spinet/contracts/board.py.

Only a board file (boards/SPINET_*/board.py) defines pins, role and protocol.
"""

import time

import esp
import esp32
import machine
from machine import SPI, WDT, Pin
from micropython import const

from chip.announcer import ChipAnnouncer
from chip.radio import ChipRadio
from spinet import VERSION_TEXT, compat, network_status
from spinet.wifi.networks import Store

# Only what this image and role need is imported, as modules take RAM.

try:
    from spinet.tcp.stack_lwip import LwipStack as Stack
except ImportError:  # without the project's C modules: use MicroPython's sockets
    from spinet.tcp.stack_sockets import SocketStack as Stack

try:
    import _spinet_spi_exchange as spi_exchange
except ImportError:
    spi_exchange = None  # use machine.SPI

try:
    import _spinet_spi_target as spi_target
except ImportError:
    spi_target = None  # the controller-clocked role is not available

# The roles of Duet's protocol.
MODULE_CLOCKED = "module-clocked"
CONTROLLER_CLOCKED = "controller-clocked"

FOLDER = "/"  # of the files of store()
_START_FREQUENCY = const(26666667)  # of SCK, until the controller sets another
_WATCHDOG_MS = const(30000)
_RELAXED_MS = const(3600000)

# machine.reset_cause() -> the protocol's numbers. It does not distinguish machine.reset() from a
# panic, nor power-up from the controller's reset line and from a brownout.
RESET_REASONS = {
    machine.PWRON_RESET: network_status.RESET_POWER_UP,
    machine.HARD_RESET: network_status.RESET_SOFTWARE,
    machine.WDT_RESET: network_status.RESET_WATCHDOG,
    machine.DEEPSLEEP_RESET: network_status.RESET_DEEP_SLEEP,
    machine.SOFT_RESET: network_status.RESET_SOFTWARE,
}


class Wiring:
    """GPIO numbers, for Duet's protocol. `spi` is the number of the SPI, 1 or 2 as MicroPython
    counts them; `led` may be None; `led_on` is the level that lights the LED.
    """

    def __init__(self, spi, sck, mosi, miso, cs, data_ready, transfer_ready, led=None, led_on=1):
        self.spi = spi
        self.sck = sck
        self.mosi = mosi
        self.miso = miso
        self.cs = cs
        self.data_ready = data_ready
        self.transfer_ready = transfer_ready
        self.led = led
        self.led_on = led_on


class WakingPin:
    """An input pin with value() and irq(handler); its edges also end the loop's wait."""

    def __init__(self, pin, wake):
        self.value = pin.value
        self._pin = pin
        self._wake = wake
        self._handler = None

    def irq(self, handler):
        """Call handler(pin) at every edge; None: call nothing."""
        self._handler = handler
        self._pin.irq(self._on_edge if handler else None)

    def _on_edge(self, pin):
        # The interrupt schedules this call, so it may still come after irq(None).
        if self._handler is not None:
            self._handler(pin)
            self._wake()


class ChipBoard:
    """A chip with this wiring. The board file makes the only one; REPL: `from board import BOARD`.

    `protocol` is "duet" or "nina". NINA's has no roles, and its wiring is a NinaWiring.
    `cs_per_phase` is for the controller-clocked role, when the controller raises CS after each
    phase and other targets share SCK and MISO; see docs/hardware.md.
    """

    DEBUG = False  # a bug is counted, not raised
    ROOTS = ""  # of TLS: they are in the firmware
    OWNER = ""  # set by a board file that turns updates over the network on
    UPDATE_PORT = 21328

    def __init__(self, wiring, role=MODULE_CLOCKED, cs_per_phase=False, protocol="duet"):
        if protocol == "nina":
            wiring.hold()
        _check(role, protocol)
        self.PROTOCOL = protocol
        self.wiring = wiring
        self._role = role
        self._cs_per_phase = cs_per_phase
        self.buffers = None  # the C driver's message buffers; set by link_port()
        self._reset_reason = RESET_REASONS.get(machine.reset_cause(), network_status.RESET_UNKNOWN)
        self._boots = 0
        self._watchdog = None  # made at the first boot
        self._stack = None  # of the running service; made by stack()
        self._radio = ChipRadio()  # it starts lwIP, which the stack needs
        self._led = None if wiring.led is None else Pin(wiring.led, Pin.OUT)
        self._lit = False
        self._light(False)

    def power_up(self, wanted):
        """Power is always on: True, or False if wanted() is false."""
        if not wanted():
            return False
        if self._boots:
            self._reset_reason = network_status.RESET_SOFTWARE  # stopped and started at the REPL
        self._boots += 1
        self._watchdog = WDT(timeout=_WATCHDOG_MS)
        return True

    def stack(self):
        """LwipStack if the firmware has the C module, else SocketStack."""
        self._stack = Stack()
        return self._stack

    def link_port(self):
        """The link driver of this board's protocol and role."""
        if self.PROTOCOL == "nina":
            port, self.buffers = self.wiring.start()
            return port
        return self._target_port() if self._role == CONTROLLER_CLOCKED else self._master_port()

    def _master_port(self):
        from spinet.duet.module_clocked import SpiMaster

        wiring = self.wiring
        return SpiMaster(
            self._exchange() if spi_exchange else self._machine_spi(),
            Pin(wiring.cs, Pin.OUT, value=1),
            Pin(wiring.data_ready, Pin.OUT, value=0),
            self._transfer_ready(),
        )

    def _exchange(self):
        from spinet.duet import wire

        w = self.wiring
        spi_exchange.start(w.spi, w.sck, w.mosi, w.miso, _START_FREQUENCY, wire.MESSAGE_SIZE)
        self.buffers = spi_exchange.buffers()
        return spi_exchange

    def _machine_spi(self):
        from spinet.duet.module_clocked import MachineSpi

        wiring = self.wiring
        spi = SPI(
            wiring.spi,
            baudrate=_START_FREQUENCY,
            polarity=0,
            phase=1,
            bits=8,
            firstbit=SPI.MSB,
            sck=Pin(wiring.sck),
            mosi=Pin(wiring.mosi),
            miso=Pin(wiring.miso),
        )
        return MachineSpi(spi)

    def _target_port(self):
        from spinet.duet import wire
        from spinet.duet.controller_clocked import SpiSlave

        w = self.wiring
        # Pins first: the SPI driver then sets CS up for itself, and its interrupt stays.
        cs = WakingPin(Pin(w.cs, Pin.IN, Pin.PULL_UP), self._stack.wake)
        data_ready = Pin(w.data_ready, Pin.OUT, value=0)
        transfer_ready = self._transfer_ready()
        counts = spi_target.COUNTS and not self._cs_per_phase
        spi_target.start(w.spi, w.sck, w.mosi, w.miso, w.cs, counts, wire.MESSAGE_SIZE)
        self.buffers = spi_target.buffers()
        return SpiSlave(spi_target, cs, data_ready, transfer_ready)

    def _transfer_ready(self):
        pin = Pin(self.wiring.transfer_ready, Pin.IN, Pin.PULL_DOWN)
        return WakingPin(pin, self._stack.wake)

    def radio(self):
        """The chip's radio."""
        return self._radio

    def store(self, name):
        """A file in the flash file system."""
        return Store(FOLDER + name)

    def pins(self):
        """The chip's pins, for NINA's protocol."""
        from chip.pins import ChipPins

        return ChipPins(self.wiring.own())

    def address_of(self, _name):
        return 0  # there is no hosts file

    def partitions(self):
        """Those of ESP-IDF's boot loader, None where the table has one slot only."""
        from chip.partitions import two_slots

        return two_slots()

    def announcers(self, manager, stir):
        """ESP-IDF's mDNS; in access point mode also the captive DNS."""
        return ChipAnnouncer(self.say), lambda: self._captive(manager, stir)

    def _captive(self, manager, stir):
        import spinet.udp.ports  # noqa: F401  first, as a nested import needs more stack
        from spinet.naming.captive_dns import CaptiveDns
        from spinet.udp import dns  # noqa: F401  the same

        return CaptiveDns(manager, self.say, stir)

    def fill(self, status):
        """Fill in the hardware's part of a NetworkStatus."""
        status.reset_reason = self._reset_reason
        status.free_heap = _free(esp32.idf_heap_info(esp32.HEAP_DATA))
        status.flash_size = esp.flash_size()
        status.version = VERSION_TEXT.encode()

    def free_memory(self):
        """(Free bytes of Python's heap, of the system's heap)."""
        regions = esp32.idf_heap_info(esp32.HEAP_DATA)
        python = compat.heap_free()
        if compat.slabs is None:  # a stock image also counts by how much Python's heap can grow
            python -= max(region[2] for region in regions)
        return python, _free(regions)

    def temperature(self):
        """Of the chip, in degrees Celsius. The ESP32's sensor is not calibrated."""
        if hasattr(esp32, "raw_temperature"):
            return (esp32.raw_temperature() - 32) / 1.8  # it has degrees Fahrenheit
        return esp32.mcu_temperature()

    def feed(self):
        """Feed the watchdog, and update the LED; called about once a second."""
        self._watchdog.feed()
        self._light(True if self._radio.is_up() else not self._lit)

    def _light(self, on):
        """The LED. Steady: WiFi is up. Blinking: the link is served, without WiFi. Off: stopped."""
        self._lit = on
        if self._led is not None:
            self._led.value(self.wiring.led_on if on else 1 - self.wiring.led_on)

    def say(self, text):
        """Print one line on the console."""
        print("spinet:", text)

    def crashed(self):
        """The service thread has ended by a bug, and has printed the exception: restart."""
        self.say("restarting")
        time.sleep_ms(200)  # until the console has sent it
        machine.reset()

    def relax(self):
        """For the REPL after service.stop(): the watchdog is not fed, so set it to an hour."""
        self._watchdog = WDT(timeout=_RELAXED_MS)
        self._light(False)


def _free(regions):
    """Free bytes of the system's heap."""
    return sum(region[1] for region in regions)


def _check(role, protocol):
    if protocol not in ("duet", "nina"):
        raise ValueError("protocol: duet or nina")
    if role not in (MODULE_CLOCKED, CONTROLLER_CLOCKED):
        raise ValueError("role: module-clocked or controller-clocked")
    if role == CONTROLLER_CLOCKED and spi_target is None:
        raise ValueError("role: controller-clocked needs an image with _spinet_spi_target")
