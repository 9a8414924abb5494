"""SIM's board: its pins and its SPI are the virtual bus, and its radio is simulated.

See spinet/contracts/board.py.
"""

import os

import hostfiles
from air import AirRadio
from own_pins import OwnPins
from radio import MAC, SimRadio
from sim_stacks import in_hosts_file
from virtual_bus import CONTROLLER_CLOCKED, NINA, say

from spinet import VERSION_TEXT, compat, network_status
from spinet.loop import LinkLost
from spinet.wifi.networks import Store

FLASH_SIZE = 4 * 1024 * 1024  # of the simulated module

# Files of the state folder, which may have passwords or a key; .new: files that are being written.
STORES = ("networks", "tls", "preferences", "update", "owner")
SECRETS = STORES + tuple([name + ".new" for name in STORES])
# The module's other files.
SLOTS = ("otadata", "ota_0", "ota_1")
REGULAR_FILE = 0x8000  # of os.ilistdir()

BOARD = None  # the one board of this process; set by sim.py before main is imported


class Board:
    """One simulated module. `network` is one of sim_stacks; `air` is an Air, or None; `roots` is a
    file, `owner` a certificate and the port of updates over the network."""

    DEBUG = True  # a bug raises; the chips count it
    buffers = None  # the link allocates its message buffers

    def __init__(self, bus, state_folder, network, air=None, roots="", owner=("", 0)):
        self.bus = bus
        self.own_pins = OwnPins()  # for the REPL, too
        self.PROTOCOL = "nina" if bus.role == NINA else "duet"
        self.ROOTS = roots
        self.OWNER, self.UPDATE_PORT = owner
        self._state_folder = state_folder
        self._network = network
        self._air = air
        self._reset_reason = network_status.RESET_POWER_UP
        self._partitions = None  # made where there may be an image, and by the first update
        self.failed = False  # set by crashed(); read by sim.py

    def power_up(self, wanted):
        """Wait for the controller, or for the end of a reset; False once wanted() is false."""
        if not self.bus.connected():
            if not self.bus.connect(wanted):
                return False
            self._reset_reason = network_status.RESET_POWER_UP
        elif self.bus.reset():
            self._reset_reason = network_status.RESET_SOFTWARE  # stopped and started at the REPL
        else:
            self.bus.wait_for_reset_end()
            self._reset_reason = network_status.RESET_BY_CONTROLLER
        self.bus.power_cycle()
        self._start_image()
        say("booting for the controller")
        return True

    def _start_image(self):
        """Choose the image, as the boot loader does at each restart; without its file there is
        none, and SIM's own program runs."""
        self._partitions = None
        if "otadata" in os.listdir(self._state_folder):
            say("running version " + self.partitions().version)

    def stack(self):
        """A TCP stack; its wait() ends for the bus too."""
        stack = self._network.stack()
        stack.watch(self.bus)
        return stack

    def link_port(self):
        """The link driver for the bus's role; only its module is imported."""
        bus = self.bus
        if bus.role == NINA:
            from spinet.nina.spi_target import SelectedTarget

            return SelectedTarget(bus)
        if bus.role == CONTROLLER_CLOCKED:
            from spinet.duet.controller_clocked import SpiSlave as Driver
        else:
            from spinet.duet.module_clocked import SpiMaster as Driver
        return Driver(bus, bus.cs, bus.data_ready, bus.transfer_ready)

    def radio(self):
        """A radio over the network. Its MAC is made from the state folder's inode, so modules with
        different folders have different MACs."""
        mac = MAC[:3] + (os.stat(self._state_folder)[1] & 0xFFFFFF).to_bytes(3, "big")
        return (
            AirRadio(self._network, self._air, mac) if self._air else SimRadio(self._network, mac)
        )

    def store(self, name):
        """A file in the state folder: `name` is one of STORES."""
        return Store(self._state_folder + "/" + name)

    def pins(self):
        """The pins of the simulated module, after a reset."""
        self.own_pins.reset()
        return self.own_pins

    def address_of(self, name):
        """From the computer's hosts file."""
        return in_hosts_file(name)

    def partitions(self):
        """Files of the state folder; the same until the next restart."""
        if self._partitions is None:
            from partitions import of_folder

            self._partitions = of_folder(self._state_folder, self._restart)
        return self._partitions

    def _restart(self):
        raise LinkLost("restarting")

    def announcers(self, manager, stir):
        """The network's announcers."""
        return self._network.announcers(manager, say, stir)

    def fill(self, status):
        """Fill in the hardware's part of a NetworkStatus."""
        status.reset_reason = self._reset_reason
        status.free_heap = self._network.memory_free()
        status.flash_size = FLASH_SIZE
        status.version = (self._partitions.version if self._partitions else VERSION_TEXT).encode()

    def free_memory(self):
        """(Free bytes of Python's heap, of the system's heap)."""
        return compat.heap_free(), self._network.memory_free()

    def temperature(self):
        """None: there is no sensor."""

    def feed(self):
        """There is no watchdog."""

    def say(self, text):
        """Print one line to stderr."""
        say(text)

    def crashed(self):
        """The service thread has ended by a bug, and has printed the exception."""
        self.failed = True


def make_folder(path):
    """Make the state folder, readable by its owner only. Raises OSError.

    It sets the umask, so all later files of this process, and new parent folders, are its owner's
    only too.
    """
    hostfiles.umask(0o077)
    _make_folder(path)
    _tighten(path)


def _tighten(path):
    """Remove other users' access to secret files that an earlier SIM, or its user, left readable.

    A folder that has other files too keeps its mode, as the user may use it for other things.
    """
    found = list(os.ilistdir(path))
    for entry in found:
        if entry[0] in SECRETS and entry[1] == REGULAR_FILE:
            hostfiles.chmod(path + "/" + entry[0], 0o600)
    if all(entry[0] in SECRETS + SLOTS for entry in found):
        hostfiles.chmod(path, 0o700)


def _make_folder(path):
    made = "/" if path.startswith("/") else ""
    for part in path.split("/"):
        if part:
            made += part
            try:
                os.mkdir(made)
            except OSError:  # it may exist already, or another process may just have made it
                if not _is_folder(made):
                    raise
            made += "/"


def _is_folder(path):
    try:
        return os.stat(path)[0] & 0o170000 == 0o040000
    except OSError:
        return False
