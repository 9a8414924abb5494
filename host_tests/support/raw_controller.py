"""The simplest controller that keeps to the virtual bus, for tests that count bytes.

Blocking sockets, no library, nothing forgiving: a frame out of order fails the test. `frames`
keeps everything the module sent, as (kind, arg, payload).
"""

import socket
import struct
import time

PIN, CLOCK, SHIFT, HELLO = 1, 2, 3, 4
TRANSFER_READY, DATA_READY, CS, RESET, GPIO0 = range(5)
MODULE_CLOCKED, CONTROLLER_CLOCKED, NINA = range(3)
VERSION = 0x3E
PATIENCE = 60.0


def frame(kind, arg, payload=b""):
    """One frame's bytes."""
    return struct.pack("<BBH", kind, arg, len(payload)) + payload


def request(
    command, sock=0, flags=0, data=b"", available=2048, param=0, version=VERSION, length=None
):
    """A controller's header and data, padded to whole dwords."""
    n = len(data) if length is None else length
    head = struct.pack("<BBBBHHI", version, command, sock, flags, n, available, param)
    return head + data + bytes(-len(data) % 4)


def listen_or_connect(port, ip=0, protocol=0, limit=8):
    """A ListenOrConnect record."""
    return struct.pack("<IBBHHH", ip, protocol, 0, port, limit, 0)


class RawController:
    """Listens on a free port of the loopback; accept() takes the module."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(PATIENCE)
        self.port = self.server.getsockname()[1]
        self.sock = None
        self.role = None
        self.pins = {}
        self.rises = 0  # rising edges of DATA_READY
        self.frames = []
        self._buffer = b""

    def accept(self):
        """Take the module: its first frame is HELLO."""
        self.power_off()
        self.sock, _ = self.server.accept()
        self.sock.settimeout(PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pins = {DATA_READY: 0}
        self.rises = 0
        self._buffer = b""
        self.frames = []
        kind, self.role, version = self.receive()
        assert kind == HELLO
        return version

    def close(self):
        """Power off, and listen no more."""
        self.power_off()
        self.server.close()

    def power_off(self):
        """Close the bus."""
        if self.sock:
            self.sock.close()
            self.sock = None

    # --- frames

    def send(self, data):
        self.sock.sendall(data)

    def pin(self, number, level):
        self.send(frame(PIN, number, bytes([level])))

    def receive(self):
        """The next frame; PIN frames change `pins` on the way."""
        while True:
            if len(self._buffer) >= 4:
                kind, arg, n = struct.unpack_from("<BBH", self._buffer)
                if len(self._buffer) >= 4 + n:
                    payload, self._buffer = self._buffer[4 : 4 + n], self._buffer[4 + n :]
                    return self._seen(kind, arg, payload)
            data = self.sock.recv(65536)
            if not data:
                raise EOFError("the module closed the bus")
            self._buffer += data

    def _seen(self, kind, arg, payload):
        self.frames.append((kind, arg, payload))
        if kind == PIN:
            if arg == DATA_READY and payload[0] and not self.pins[DATA_READY]:
                self.rises += 1
            self.pins[arg] = payload[0]
        return kind, arg, payload

    def until(self, condition):
        """Receive frames until condition() holds."""
        limit = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < limit, "the module did not get there"
            self.receive()

    def wait_boot(self):
        """Two rising edges of DATA_READY, after which it is high, and CS is."""
        self.until(lambda: self.rises >= 2 and self.idle())

    def idle(self):
        """True while a transfer may be asked for."""
        return self.pins.get(DATA_READY) == 1 and self.pins.get(CS, 1) == 1

    # --- transactions

    def transact(self, message, take=2048):
        """One transaction in the module's role; returns (state, response, data)."""
        self.until(self.idle)
        if self.role == MODULE_CLOCKED:
            return self._answer_clock(message)
        return self._drive_clock(message)

    def _answer_clock(self, message):
        """Answer every CLOCK from one contiguous buffer until CS rises."""
        self.pin(TRANSFER_READY, 1)
        shifted = b""
        self.until(lambda: self.pins[CS] == 0)
        self.pin(TRANSFER_READY, 0)
        while self.pins[CS] == 0:
            kind, _, payload = self.receive()
            if kind == CLOCK:
                at = len(shifted)
                out = message[at : at + len(payload)]
                self.send(frame(SHIFT, 0, out + bytes(len(payload) - len(out))))
                shifted += payload
        return self._decoded(shifted)

    def clock(self, out):
        """Clock one phase; returns what the module shifted."""
        self.send(frame(CLOCK, 0, out))
        while True:
            kind, _, payload = self.receive()
            if kind == SHIFT:
                return payload

    def phase(self, out, toggle_cs=False):
        """Wait for DATA_READY, clock one phase; with toggle_cs, CS is low just for it."""
        self.until(lambda: self.pins[DATA_READY] == 1)
        if toggle_cs:
            self.pin(CS, 0)
        shifted = self.clock(out)
        self.until(lambda: self.pins[DATA_READY] == 0)
        if toggle_cs:
            self.pin(CS, 1)
        return shifted

    def _drive_clock(self, message, toggle_cs=False):
        self.pin(TRANSFER_READY, 1)
        if not toggle_cs:
            self.pin(CS, 0)
        shifted = self.phase(message[:8], toggle_cs) + self.phase(message[8:12], toggle_cs)
        n = data_phase(message, struct.unpack_from("<i", shifted, 8)[0])
        if n:
            out = message[12 : 12 + n]
            shifted += self.phase(out + bytes(n - len(out)), toggle_cs)
        self.pin(TRANSFER_READY, 0)
        if not toggle_cs:
            self.pin(CS, 1)
        self.pins[DATA_READY] = 0  # it fell with the last phase; idle is when it rises again
        return self._decoded(shifted)

    def transact_toggling(self, message):
        """Controller-clocked, CS low for each phase only."""
        self.until(self.idle)
        return self._drive_clock(message, toggle_cs=True)

    def _decoded(self, shifted):
        version, state, zero, _dummy, response = struct.unpack_from("<BBHIi", shifted)
        assert version == VERSION, f"bad reply {shifted[:12].hex()}"
        assert zero == 0
        return state, response, shifted[12 : 12 + max(0, response)]


CONN_WRITE = 5
SENDS_DATA = {4, 6, 9, 12, 19, 21, 25}  # commands whose data phase is module to controller


def data_phase(message, response):
    """Bytes of the data phase, rounded up, that follow this response."""
    command, length = message[1], struct.unpack_from("<H", message, 4)[0]
    if response < 0:
        return 0
    n = response if command in SENDS_DATA or command == CONN_WRITE or not length else length
    return n + 3 & ~3
