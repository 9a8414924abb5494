"""An ESP32-C3's own files on the emulated core, with the chip's limits.

_boot.py, main.py, the board with its radio and its announcer, threads with their stacks, TLS, a
file system in flash, and a heap of that size for Python. What is ESP-IDF's C or hardware on a chip
is a stand-in: boot_heap has those that do nothing, this file has the others. Their frames of Python
are there for the drivers' frames of C. The clock is the bench's.
"""

import _thread
import gc
import sys

import boot_heap
import memchip
import uctypes
import vfs
from boot_heap import Kept
from heap_scenarios import Bench, QuietLink, QuietPin
from memory_stack import MemoryStack

from spinet import compat, fields, loop, service
from spinet.duet import wire
from spinet.tcp.ring import rings
from spinet.tcp.stack import DATAGRAMS, ERR_WOULDBLOCK, EVENT_DATA

HARNESS = 43008  # bytes of the core's heap that the tests themselves take
PASS_MS = 20  # between two passes of the loop
CS, TRANSFER_READY = 7, 10  # of the board's wiring
# Memory of the emulated machine behind what the image is linked to, and what is where in it.
MEMORY = 0x81000000
MESSAGES = 0x100000
RINGS = 0x200000
SLOTS = 0x300000
NETWORKS_FOUND = 20


def memory(at, size):
    """A bytearray that is not on Python's heap."""
    return uctypes.bytearray_at(MEMORY + at, size)


class Flash:
    """A partition of flash."""

    BLOCK = 4096
    BLOCKS = 32

    def __init__(self):
        self._memory = memory(0, self.BLOCK * self.BLOCKS)

    def readblocks(self, block, into, offset=0):
        at = block * self.BLOCK + offset
        into[:] = memoryview(self._memory)[at : at + len(into)]

    def writeblocks(self, block, data, offset=0):
        at = block * self.BLOCK + offset
        self._memory[at : at + len(data)] = data

    def ioctl(self, what, _argument):
        return {4: self.BLOCKS, 5: self.BLOCK}.get(what, 0)


class Slot(Flash):
    """esp32.Partition, of one of two slots with two sectors each; flash that is erased is zeros."""

    RUNNING = 1
    TYPE_DATA = 1
    BLOCKS = 2

    def __init__(self, number):
        self._number = number % 2  # RUNNING is slot 1
        self._memory = memory(SLOTS + 8192 * self._number, 8192)

    @staticmethod
    def find(*_, **__):
        return [Flash()]

    def info(self):
        return 0, 0x10 + self._number, 0, 8192, "", False

    def get_next_update(self):
        return Slot(self._number + 1)

    def set_boot(self):
        pass


class Interface:
    """network.WLAN, of the station or of the access point."""

    reaches = True  # an access point is there

    def __init__(self):
        self._active = False
        self._connected = False
        self._addresses = ("192.168.1.5", "255.255.255.0", "192.168.1.1", "192.168.1.1")

    def active(self, on=None):
        if on is not None:
            self._active = on
            self._connected = False
        return self._active

    def connect(self, ssid=None, key=None, *, bssid=None):
        self._connected = self.reaches

    def disconnect(self):
        self._connected = False

    def isconnected(self):
        return self._connected

    def status(self, what=None):
        if what == "stations":
            return []
        if what == "rssi" and not self._connected:
            raise OSError("Wifi Not Connected")
        return -50 if what else 201

    def config(self, *what, **_settings):
        return {"mac": bytes(6), "channel": 6}[what[0]] if what else None

    def ifconfig(self, addresses=None):
        self._addresses = addresses or self._addresses
        return self._addresses

    def scan(self):
        return [(name_of(i), bytes(6), 6, -40 - i, 3, False) for i in range(NETWORKS_FOUND)]


class Udp:
    """The stack's UDP: to each port that is opened, a client asks for a name; what a port asks is
    answered."""

    QUESTION = b"\0\1\1\0\0\1\0\0\0\0\0\0\7printer\5local\0\0\1\0\1"

    ANSWER = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\xa8\1\x09"

    def __init__(self):
        self.news = 0  # as pending() has it
        self.came = b""  # a datagram
        self.answered = 0

    def bind(self, _ip, _number, _shared):
        self._comes(self.QUESTION, bytes(6))
        return 32

    def _comes(self, data, sender):
        self.news = 1
        self.came = data
        self.sender = sender

    def pending(self):
        news = self.news
        self.news = 0
        return news

    def receive(self, _h, buf, offset, _n, sender):
        data = self.came
        if not data:
            return ERR_WOULDBLOCK
        self.came = b""
        buf[offset : offset + len(data)] = data
        sender[:] = self.sender
        return len(data)

    def send(self, _h, peer, buf, _offset, n):
        if not buf[2] & 0x80:
            asked = buf[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + buf[12:n]
            self._comes(asked + self.ANSWER, bytes(peer))
            self.answered += 1
        return n

    def close(self, _h):
        self.came = b""


class Network(MemoryStack):
    """A MemoryStack with this UDP."""

    def __init__(self, *args):
        super().__init__(*args)
        self.udp = Udp()

    def pending(self):
        return super().pending() | (1 << DATAGRAMS if self.udp.news else 0)

    def events(self, h):
        return EVENT_DATA if h == DATAGRAMS else super().events(h)


class Link(QuietLink):
    """_spinet_spi_exchange and _spinet_spi_target."""

    COUNTS = True

    def __init__(self):
        super().__init__()
        self.message = memory(MESSAGES, wire.MESSAGE_SIZE)
        self.shifted = memory(MESSAGES + 4096, wire.MESSAGE_SIZE)

    def start(self, *_settings):
        """It is there."""

    def buffers(self):
        size = wire.MESSAGE_SIZE
        return memory(MESSAGES + 8192, size), memory(MESSAGES + 12288, size)


def name_of(i):
    """Of a network, 32 bytes."""
    return b"%d networks of 32 octets in name" % (10 + i)


def stand_ins(link, interfaces):
    """{name: module}."""
    modules = boot_heap.stand_ins()
    for name in ("_thread", "_spinet_tls"):
        del modules[name]  # they are here
    modules["esp32"].Partition = Slot
    modules["machine"].Pin.kept = [QuietPin(0) for _ in range(22)]
    modules["network"].WLAN = Kept(kept=interfaces)
    modules["network"].country = lambda *_: "DE"
    modules["_spinet_lwip"].error = _nothing
    modules["_spinet_wifi"].eap_use = lambda *_: 0
    modules["_spinet_wifi"].access_point = lambda _mac: -1
    modules["_spinet_wifi"].dns = lambda i: 0 if i else 0x0101A8C0
    mdns = modules["_spinet_mdns"]
    mdns.offer = mdns.name = mdns.withdraw = lambda *_: -1
    modules["_spinet_spi_exchange"] = modules["_spinet_spi_target"] = link
    return modules


def _nothing(*_):
    return 0


class ChipBench(Bench):
    """The service on that board, its controller, and peers in memory.

    Python's heap has `heap` bytes. RuntimeError is raised where less than `left` bytes of a stack
    stay unused.
    """

    param = 0  # of the requests to come

    def __init__(self, role, heap, left):
        self._left = left
        self.taken = {}  # what -> the most bytes of stack
        self.now = 0
        self.role = role
        self.interfaces = [Interface(), Interface()]
        self.spi = Link()
        sys.modules.update(stand_ins(self.spi, self.interfaces))
        for name in ("spinet.duet.module_clocked", "spinet.duet.controller_clocked"):
            sys.modules.pop(name)  # a chip imports them in the service's thread
        sys.path[:0] = boot_heap.IMAGE
        vfs.VfsLfs2.mkfs(Flash())
        gc.collect()
        self._ballast = bytearray(gc.mem_alloc() + gc.mem_free() - heap - HARNESS)
        self._boot()
        self._within("service", compat.SERVICE_STACK, self._begin)
        pins = sys.modules["machine"].Pin.kept
        self.board.cs, self.board.transfer_ready = pins[CS], pins[TRANSFER_READY]
        self.play("service", lambda: self.passes(10))

    def _boot(self):
        import _boot  # noqa: F401
        import main

        _thread.drop()  # the service's, which runs here
        self.board = main.BOARD
        self.board._role = self.board.role = self.role
        self.board.stack = self._stack

    def _stack(self):
        self.board._stack = Network(2, 2048, rings(4, 2048, memory(RINGS, 8192)))
        return self.board._stack

    def _begin(self):
        loop.ticks_ms = self._ticks_ms
        self.board.power_up(lambda: True)
        self.service = service.current = service.Service(self.board)
        self.service.start()

    def _ticks_ms(self):
        return self.now

    def passes(self, n, ms=PASS_MS):
        """So many passes of the loop, and the time between two of them."""
        for _ in range(n):
            self.now += ms
            super().passes(1)

    def request(self, command, flags, length, available):
        super().request(command, flags, length, available)
        fields.put_u32(self.spi.message, 8, self.param)

    def _within(self, what, stack, function):
        gc.collect()
        taken = memchip.within(stack - self._left, function)
        self.taken[what] = max(self.taken.get(what, 0), taken)

    def play(self, what, function):
        """Call function() in the service's stack, then run the threads that it began in theirs."""
        self._within(what, compat.SERVICE_STACK, function)
        _thread.run(self._left)

    def report(self, what, function):
        """Call function() in the REPL's stack."""
        self._within(what, boot_heap.MAIN_STACK, function)
