"""SIM's TCP stacks: the computer's sockets, and lwIP in a binary that was built with it.

The board's `network` is one of them. It has ip, netmask and gateway (u32 as in the records);
name_servers(), two u32s, 0 for none; stack(), which makes the TCP stack; announcers(manager, say,
stir), as a board's announcers() returns them; and memory_free(), the free bytes of the system's
heap, 0 where there is none.
"""

from spinet import VERSION_TEXT
from spinet.contracts.announcer import Silent
from spinet.naming.captive_dns import PORT as DNS_PORT
from spinet.naming.captive_dns import CaptiveDns
from spinet.naming.mdns import Responder
from spinet.tcp.stack_sockets import SocketStack
from spinet.udp.resolver import spelled

try:
    import simlwip

    from spinet.tcp.stack_lwip import LwipStack
except ImportError:
    simlwip = None
    LwipStack = object

# The strings of a service's TXT record (docs/link-protocol.md, networkListen).
TXT = (b"product=Spinet", b"version=" + VERSION_TEXT.encode())

LOOPBACK = 0x0100007F  # 127.0.0.1: the lowest byte is the first octet
LOOPBACK_MASK = 0x000000FF

HAS_LWIP = simlwip is not None
REORDER_MS = 4  # how long a frame is delayed, so that others overtake it


class SocketNetwork:
    """The computer's own network. TCP ports are bound to `address` (dotted)."""

    def __init__(self, address, dns_port=DNS_PORT):
        on_loopback = address in ("127.0.0.1", "0.0.0.0")
        self.ip = LOOPBACK if on_loopback else u32(address)
        self.netmask = LOOPBACK_MASK if on_loopback else mask_of(24)
        self.gateway = LOOPBACK if on_loopback else 0
        self._address = address
        self._dns_port = dns_port

    def name_servers(self):
        """The computer's."""
        return _first_two(servers_of_the_computer())

    def stack(self):
        return SocketStack(self._address)

    def announcers(self, manager, say, stir):
        """The firmware's mDNS responder, on the interface of that address only."""

        def captive():
            return CaptiveDns(manager, say, stir, self._dns_port)

        return Responder(manager, TXT, say, stir), captive

    def memory_free(self):
        """0: no limit like a chip's."""
        return 0


class LwipNetwork:
    """lwIP, with this address (u32) on a TAP device; without a device its loopback only.

    Raises OSError when the device does not exist or may not be opened. Once in a process.
    """

    def __init__(self, tap, ip, prefix):
        self.ip = ip if tap else LOOPBACK
        self.netmask = mask_of(prefix) if tap else LOOPBACK_MASK
        self.gateway = 0 if tap else LOOPBACK
        error = simlwip.up(tap or None, self.ip, self.netmask, self.gateway)
        if error:
            raise OSError(-error)

    def name_servers(self):
        """Those of the computer's that are on the device's network, as there is no gateway."""
        near = [ip for ip in servers_of_the_computer() if not (ip ^ self.ip) & self.netmask]
        return _first_two(near)

    def stack(self):
        return WatchingStack()

    def announcers(self, manager, say, stir):
        """The firmware's mDNS responder; silent without a device, as the loopback has no groups."""
        responder = Silent() if self.ip == LOOPBACK else Responder(manager, TXT, say, stir)
        return responder, lambda: CaptiveDns(manager, say, stir)

    def memory_free(self):
        """The free bytes of a chip's heap, of which only TCP's use is simulated."""
        return simlwip.memory_free()

    def spoil(self, chances, seed):
        """Simulate a bad network: per mille of dropped, duplicated, reordered, corrupted frames."""
        simlwip.faults(
            chances["drop"],
            chances["duplicate"],
            chances["reorder"],
            chances["corrupt"],
            REORDER_MS,
            seed,
        )

    def warp(self, factor):
        """Run lwIP's clock `factor` times faster, so that tests of its timers take less time."""
        simlwip.warp(factor)


class WatchingStack(LwipStack):
    """lwIP; its waits end for descriptors too, as they do for pin interrupts on a chip."""

    def __init__(self):
        super().__init__()
        self._wait = self.wait
        self.wait = self._wait_and_attend
        self._sources = []

    def watch(self, source):
        """As SocketStack.watch(), but the source must have before_wait(), and its on_ready() is
        called after every wait."""
        error = simlwip.watch(source.key)
        if error:
            raise OSError(-error)
        self._sources.append(source)

    def unwatch(self, source):
        """Undo watch()."""
        self._sources.remove(source)
        simlwip.unwatch(source.key)

    def _wait_and_attend(self, ms):
        for source in self._sources:
            if source.before_wait():
                ms = 0
        woken = self._wait(ms)
        for source in self._sources:
            source.on_ready()
        return woken

    def shut(self):
        for source in list(self._sources):
            self.unwatch(source)
        super().shut()


def servers_of_the_computer():
    """Its name servers, as u32s."""
    found = [words[1] for words in _lines("/etc/resolv.conf") if words[0] == b"nameserver"]
    return [spelled(text) for text in found if spelled(text) > 0]


def _first_two(servers):
    return tuple((servers + [0, 0])[:2])


def in_hosts_file(name):
    """The address (u32) of a name (bytes, in lower case) in the computer's hosts file; 0: none."""
    for words in _lines("/etc/hosts"):
        if name in [word.lower() for word in words[1:]] and spelled(words[0]) > 0:
            return spelled(words[0])
    return 0


def _lines(path):
    """The words of each line that has some, less comments; no lines when there is no such file."""
    try:
        with open(path, "rb") as file:
            lines = [line.split(b"#")[0].split() for line in file]
    except OSError:
        return []
    return [words for words in lines if words]


def mask_of(prefix):
    """The netmask of a prefix length, as a u32 of the records."""
    mask = 0
    for bit in range(prefix):
        mask |= 0x80 >> (bit & 7) << (bit & 0x18)
    return mask


def u32(dotted):
    """A dotted address, as a u32 of the records."""
    a, b, c, d = (int(octet) for octet in dotted.split("."))
    return a | b << 8 | c << 16 | d << 24
