"""MicroPython's nina driver, joined to a module: alone (Driver), or with a board's modules over it.

Makefile builds both out of the source that SIM is built from; nina_board/ has what is ours.
"""

import contextlib
import ctypes
import socket
import subprocess
import threading

from project import ROOT
from raw_controller import PATIENCE

LIBRARY = ROOT / "build" / "nina-driver" / "driver.so"
BOARD = ROOT / "build" / "nina-board" / "micropython"
SOURCE = ROOT / "build" / "micropython.source"
LIBRARIES = ROOT / "build" / "board-libraries"
OPEN, WPA, WEP = 1, 2, 3  # a network's security
TCP, UDP = 1, 2
READABLE, WRITABLE, FAILED = 1, 2, 4  # of poll()
FIONBIO = 0x8004667E
ACCEPTCONN = 2
ADDRESS = 4  # bytes
MAC = 6
SSID = 32
HOOK = ctypes.CFUNCTYPE(None)


class Faults(ctypes.Structure):
    """nina_faults of faults.h."""

    _fields_ = [
        ("cut_after", ctypes.c_int32),
        ("gap_after", ctypes.c_int32),
        ("gap_ms", ctypes.c_int32),
        ("give_up_ms", ctypes.c_int32),
        ("before_release", HOOK),
    ]


class Addresses(ctypes.Structure):
    """ip, mask, gateway and DNS server, 4 octets each."""

    _fields_ = [(name, ctypes.c_uint8 * ADDRESS) for name in ("ip", "mask", "gateway", "dns")]


class Found(ctypes.Structure):
    """One network of a scan."""

    _fields_ = [
        ("rssi", ctypes.c_int32),
        ("security", ctypes.c_uint8),
        ("channel", ctypes.c_uint8),
        ("bssid", ctypes.c_uint8 * MAC),
        ("ssid", ctypes.c_char * SSID),
    ]


class Joined(ctypes.Structure):
    """The network that is joined."""

    _fields_ = [
        ("rssi", ctypes.c_int32),
        ("security", ctypes.c_uint8),
        ("ssid", ctypes.c_char * SSID),
        ("bssid", ctypes.c_uint8 * MAC),
    ]


class ExtPin(ctypes.Structure):
    """A pin of the module, as the board's machine.Pin has it."""

    _fields_ = [("id", ctypes.c_int), ("is_output", ctypes.c_bool)]


PIN_IN, PIN_OUT, PIN_ANALOG = range(3)
SCANNED = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Found), ctypes.c_void_p)


class DriverError(Exception):
    """A call of the driver has failed: what came was not what it wanted."""


class Driver:
    """The driver alone, over this connection; a call that fails raises DriverError.

    A call of a socket that the module refuses raises OSError, with the number that it tells. When a
    test takes too long, the module has gone.
    """

    def __init__(self, connection):
        self._library = ctypes.CDLL(str(LIBRARY))
        self.faults = Faults.in_dll(self._library, "nina_faults")
        self.faults.cut_after = self.faults.gap_after = -1
        self.faults.give_up_ms = 0
        self._connection = connection
        self._limit = threading.Timer(10 * PATIENCE, connection.shutdown, [socket.SHUT_RDWR])
        self._limit.daemon = True
        self._limit.start()
        assert self._library.bus_open(connection.dup().detach()), "that is no NINA"

    def close(self):
        """The module's power is switched off."""
        self._limit.cancel()
        self._library.bus_close()
        self._connection.close()

    def _call(self, name, *arguments):
        answer = getattr(self._library, f"nina_{name}")(*arguments)
        if answer < 0:
            raise DriverError(name)
        return answer

    def before_release(self, hook):
        """Call hook once, just before CS rises after the next transfer."""
        self._hook = HOOK(hook)
        self.faults.before_release = self._hook

    # --- module and network

    def init(self):
        """Reset the module, and wait until it should be there."""
        self._call("init")

    def version(self):
        text = ctypes.create_string_buffer(6)
        self._call("fw_version", text)
        return text.value

    def status(self):
        return self._call("connection_status")

    def reason(self):
        return self._call("connection_reason")

    def join(self, ssid, key=None, security=OPEN):
        self._call("connect", ssid, security, key, 0)

    def leave(self):
        self._call("disconnect")

    def addresses(self):
        """(ip, mask, gateway), dotted."""
        found = Addresses()
        self._call("ifconfig", ctypes.byref(found), False)
        return tuple(dotted(each) for each in (found.ip, found.mask, found.gateway))

    def set_addresses(self, *four):
        """ip, mask, gateway, DNS server, dotted."""
        octets = [(ctypes.c_uint8 * ADDRESS)(*socket.inet_aton(each)) for each in four]
        self._call("ifconfig", ctypes.byref(Addresses(*octets)), True)

    def scan(self, ms=10000):
        """[(ssid, bssid, channel, rssi, security)]"""
        networks = []

        def found(one, _):
            one = one.contents
            entry = (one.ssid, bytes(one.bssid), one.channel, one.rssi, one.security)
            networks.append(entry)
            return 0

        self._call("scan", SCANNED(found), None, ms)
        return networks

    def joined(self):
        """(ssid, bssid, rssi, security)"""
        found = Joined()
        self._call("netinfo", ctypes.byref(found))
        return found.ssid, bytes(found.bssid), found.rssi, found.security

    def set_hostname(self, name):
        self._call("set_hostname", name)

    def resolve(self, name):
        """The address of a name, dotted."""
        octets = (ctypes.c_uint8 * ADDRESS)()
        self._call("gethostbyname", name, octets)
        return dotted(octets)

    # --- pins, of which the board has some by a number of its own

    def pin_mode(self, pin, mode, level=0):
        self._library.machine_pin_ext_config(ctypes.byref(ExtPin(pin)), mode, level)

    def write_pin(self, pin, level):
        self._library.machine_pin_ext_set(ctypes.byref(ExtPin(pin)), ctypes.c_bool(level))

    def read_pin(self, pin):
        return self._library.machine_pin_ext_get(ctypes.byref(ExtPin(pin))) & 1

    def read_analog(self, pin):
        channel = self._library.machine_pin_ext_to_adc_channel(ctypes.byref(ExtPin(pin)))
        return self._library.machine_pin_ext_read_u16(channel) & 0xFFFF

    # --- sockets

    def _socket_call(self, name, *arguments):
        try:
            return self._call(f"socket_{name}", *arguments)
        except DriverError:
            raise OSError(self.errno(), name) from None

    def errno(self):
        number = ctypes.c_int()
        self._call("socket_errno", ctypes.byref(number))
        return number.value

    def socket(self, kind=TCP):
        """A number, not blocking, as network_ninaw10 has its sockets made."""
        fd = self._socket_call("socket", kind, 0)
        self.ioctl(fd, FIONBIO, 1)
        return fd

    def ioctl(self, fd, request, value):
        argument = ctypes.c_uint32(value)
        request = ctypes.c_uint32(request)
        self._socket_call("ioctl", fd, request, ctypes.byref(argument), 4)
        return argument.value

    def close_socket(self, fd):
        self._socket_call("close", fd)

    def bind(self, fd, port):
        self._socket_call("bind", fd, None, port)

    def listen(self, fd, backlog=2):
        self._socket_call("listen", fd, backlog)

    def accept(self, fd):
        """(number, (address, port))"""
        octets, port, number = (ctypes.c_uint8 * ADDRESS)(), ctypes.c_uint16(), ctypes.c_int()
        self._socket_call("accept", fd, octets, ctypes.byref(port), ctypes.byref(number))
        return number.value, (dotted(octets), port.value)

    def connect(self, fd, port, address="127.0.0.1"):
        self._socket_call("connect", fd, socket.inet_aton(address), port)

    def begin_connect(self, fd, port, address="127.0.0.1"):
        """connect(), which is not over yet."""
        with contextlib.suppress(BlockingIOError):  # EINPROGRESS
            self.connect(fd, port, address)

    def send(self, fd, data):
        return self._socket_call("send", fd, data, len(data))

    def receive(self, fd, n):
        buffer = ctypes.create_string_buffer(n)
        n = self._socket_call("recv", fd, buffer, n)
        return buffer.raw[:n]

    def send_to(self, fd, data, port, address="127.0.0.1"):
        return self._socket_call("sendto", fd, data, len(data), socket.inet_aton(address), port)

    def receive_from(self, fd, n):
        """(data, (address, port))"""
        buffer, octets = ctypes.create_string_buffer(n), (ctypes.c_uint8 * ADDRESS)()
        port = ctypes.c_uint16()
        n = self._socket_call("recvfrom", fd, buffer, n, octets, ctypes.byref(port))
        return buffer.raw[:n], (dotted(octets), port.value)

    def poll(self, fd):
        flags = ctypes.c_uint8()
        self._socket_call("poll", fd, ctypes.byref(flags))
        return flags.value

    def listening(self, fd):
        value = ctypes.c_int()
        self._socket_call("getsockopt", fd, 0x0FFF, ACCEPTCONN, ctypes.byref(value), 4)
        return value.value


def dotted(octets):
    """An address as text."""
    return socket.inet_ntoa(bytes(octets))


PREAMBLE = """
import errno, network, ninabus, select, socket, sys, time
ninabus.open(%d)
wlan = network.WLAN(network.STA_IF)
wlan.active(True)

def ends(function, *arguments):
    try:
        print(function(*arguments))
    except OSError as e:
        print(errno.errorcode.get(e.errno, e.errno))

"""


class Board:
    """A board whose module is at this connection, and the process that runs its program."""

    def __init__(self, connection):
        self._connection = connection
        self.process = None

    def start(self, program, joined=True):
        """Run a program. `wlan` is active, and has joined a network."""
        join = "wlan.connect('Workshop', 'correct-horse')\nwhile not wlan.isconnected(): pass\n"
        text = PREAMBLE % self._connection.fileno() + (join if joined else "") + program
        self.process = subprocess.Popen(
            [str(BOARD), "-c", text],
            pass_fds=[self._connection.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"MICROPYPATH": f"{SOURCE.read_text().strip()}/extmod:{LIBRARIES}"},  # asyncio
        )

    def line(self):
        """The next line that the program prints, or "" at its end; one that is silent is ended."""
        limit = threading.Timer(PATIENCE, self.process.kill)
        limit.start()
        line = self.process.stdout.readline()
        limit.cancel()
        return line.rstrip("\n")

    def says(self, text):
        """Wait until the program prints this line, its next."""
        said = self.line()
        assert said == text, (said, self.process.stderr.read() if not said else "")

    def enter(self):
        """The program's input() ends."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def printed(self):
        """What a program that has ended printed, as lines."""
        out, err = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, err
        return out.splitlines()

    def run(self, program, joined=True):
        """start() and printed()."""
        self.start(program, joined)
        return self.printed()

    def close(self):
        """End the program, and switch the module off."""
        if self.process:
            self.process.kill()
            self.process.communicate()
        self._connection.close()
