"""SIM, a board like the others: its pins and its SPI are the virtual bus, its radio simulated.

See spinet/contracts/board.py.
"""

import os

import hostfiles
from air import AirRadio
from radio import MAC, SimRadio
from virtual_bus import CONTROLLER_CLOCKED, say

from spinet import VERSION, compat, network_status
from spinet.duet.controller_clocked import SpiSlave
from spinet.duet.module_clocked import SpiMaster
from spinet.wifi.networks import Store

FLASH_SIZE = 4 * 1024 * 1024  # of the module that SIM stands for

# Files of the state folder, with passwords and a key; those with .new are being written.
SECRETS = ("networks", "networks.new", "tls", "tls.new")
REGULAR_FILE = 0x8000  # of os.ilistdir()

BOARD = None  # the one board of this process; set by sim.py before main is imported


class Board:
    """One simulated module. `network` is one of sim_stacks, `air` a scripted one or None."""

    DEBUG = True  # a bug raises; the chips count it
    buffers = None  # of the messages: any memory will do

    def __init__(self, bus, state_folder, network, air=None):
        self.bus = bus
        self._state_folder = state_folder
        self._network = network
        self._air = air
        self._reset_reason = network_status.RESET_POWER_UP
        self.failed = False  # set by crashed(); read by sim.py

    def power_up(self, wanted):
        """Wait for the controller, or for the end of a reset; False once wanted() says no."""
        if not self.bus.connected():
            if not self.bus.connect(wanted):
                return False
            self._reset_reason = network_status.RESET_POWER_UP
        elif self.bus.reset.value():
            self._reset_reason = network_status.RESET_SOFTWARE  # stopped and started at the REPL
        else:
            self.bus.wait_for_reset_end()
            self._reset_reason = network_status.RESET_BY_CONTROLLER
        self.bus.power_cycle()
        say("booting for the controller")
        return True

    def stack(self):
        """A TCP stack whose wait() ends for the bus too."""
        stack = self._network.stack()
        stack.watch(self.bus)
        return stack

    def link_port(self):
        """The link in the role of this bus."""
        bus = self.bus
        port_class = SpiSlave if bus.role == CONTROLLER_CLOCKED else SpiMaster
        return port_class(bus, bus.cs, bus.data_ready, bus.transfer_ready)

    def radio(self):
        """That network, as a radio whose MAC is its own: each state folder has another one."""
        mac = MAC[:3] + (os.stat(self._state_folder)[1] & 0xFFFFFF).to_bytes(3, "big")
        return (
            AirRadio(self._network, self._air, mac) if self._air else SimRadio(self._network, mac)
        )

    def store(self, name):
        """A file that is kept across restarts: `name` is "networks" or "tls"."""
        return Store(self._state_folder + "/" + name)

    def announcers(self, stack, stir):
        """Who tells the network of us, and who does so for an access point's clients besides."""
        return self._network.announcers(stack, say, stir)

    def fill(self, status):
        """What a networkGetStatus has from the hardware."""
        status.reset_reason = self._reset_reason
        status.free_heap = self._network.memory_free()
        status.flash_size = FLASH_SIZE
        status.version = VERSION.encode()

    def free_memory(self):
        """(Python's heap, the system's heap): free bytes, each in one of them."""
        return compat.heap_free(), self._network.memory_free()

    def feed(self):
        """No watchdog bites here."""

    def say(self, text):
        """One line for whoever started this module."""
        say(text)

    def crashed(self):
        """The service thread ended by a bug; it has printed the trace."""
        self.failed = True


def make_folder(path):
    """Make the state folder, with its files readable by their owner alone. Raises OSError.

    From now on everything that this process makes is its owner's alone, folders above this one too.
    """
    hostfiles.umask(0o077)
    _make_folder(path)
    _tighten(path)


def _tighten(path):
    """Close files to others that an earlier SIM, or its user, left readable.

    A folder with other files in it is the user's own and keeps its mode.
    """
    found = list(os.ilistdir(path))
    for entry in found:
        if entry[0] in SECRETS and entry[1] == REGULAR_FILE:
            hostfiles.chmod(path + "/" + entry[0], 0o600)
    if all(entry[0] in SECRETS for entry in found):
        hostfiles.chmod(path, 0o700)


def _make_folder(path):
    made = "/" if path.startswith("/") else ""
    for part in path.split("/"):
        if part:
            made += part
            try:
                os.mkdir(made)
            except OSError:  # it may be there already, or another module may just have made it
                if not _is_folder(made):
                    raise
            made += "/"


def _is_folder(path):
    try:
        return os.stat(path)[0] & 0o170000 == 0o040000
    except OSError:
        return False
