"""A small, strict module for tests: the other side of the virtual bus, independent of ours.

It shares no code with the package: bytes are written out here a second time. Everything the
controller must not do is noted in `violations`, which the fixtures check at the end of every
test. Peers are driven by the test through `FakeSlot`.
"""

import asyncio
import hashlib
import struct

PIN, CLOCK, SHIFT, HELLO = 1, 2, 3, 4
TRANSFER_READY, DATA_READY, CS, RESET = 0, 1, 2, 3
MODULE_CLOCKED, CONTROLLER_CLOCKED = 0, 1
VERSION = 0x3E
NOISE = 0xA5
"""Filler of padding: what a controller reads of it must not matter."""

FREE, CONNECTING, CONNECTED, ENDED, ABORTED, CLOSE_PENDING = 0, 1, 2, 3, 4, 5

SCAN_S = 0.02
"""Seconds for a scan, shortened."""

UNKNOWN_COMMAND, BAD_VERSION, WRONG_STATE, BAD_LENGTH = -1, -2, -4, -5
BUSY, TOO_SMALL, BAD_PARAMETER, NO_SCAN, SCANNING, NO_CERT = -8, -9, -11, -12, -13, -15


def dwords(data):
    """Pad to whole dwords with noise."""
    return data + bytes([NOISE]) * (-len(data) % 4)


class FakeSlot:
    """One socket of the module and, through its methods, the peer at its other end."""

    def __init__(self, module, number):
        self.module = module
        self.number = number
        self.generation = 0
        self.linger = False
        self._clear()

    def _clear(self):
        self.state = FREE
        self.held = False
        self.inbox = bytearray()
        self.sent = bytearray()
        self.pushes = []
        self.space = 2048
        self.window = None
        self.fin = self.broken = False
        self.local_port = self.remote_port = self.protocol = 0
        self.remote_ip = bytes(4)
        self.name = ""
        self.tls = False

    # the peer's doings

    def connect(self, port, protocol=0, remote=("192.0.2.7", 40000)):
        """A peer connects to `port`; the slot is the controller's from here on."""
        assert self.state == FREE
        self._clear()
        self.generation += 1
        self.state, self.held = CONNECTED, True
        self.local_port, self.remote_port, self.protocol = port, remote[1], protocol
        self.remote_ip = bytes(int(part) for part in remote[0].split("."))
        return self

    def feed(self, data):
        """The peer sends."""
        self.inbox += data

    def finish(self):
        """The peer ends its direction."""
        self.fin = True
        self.settle()

    def reset(self):
        """The peer resets: what came before can still be read, nothing can be sent."""
        self.broken = True
        self.finish()

    def abort(self):
        """The connection breaks in a way that the module calls aborted."""
        self.state = ABORTED

    def settle(self):
        """otherEndClosed shows when the last byte was read (behaviour D13)."""
        if self.fin and not self.inbox and self.state == CONNECTED:
            self.state = ENDED

    def free(self):
        """The stack lets go as well."""
        self._clear()

    def room(self):
        """Bytes the module takes now: all of `space`, within `window` when one is set."""
        if self.broken:
            return 0
        return self.space if self.window is None else max(0, min(self.space, self.window))

    # what the controller's commands do

    def read(self, most):
        data = bytes(self.inbox[:most])
        del self.inbox[:most]
        self.settle()
        return data

    def accept(self, data, flags):
        self.sent += data
        if self.window is not None:
            self.window -= len(data)
        if flags:
            self.pushes.append((len(self.sent), flags))

    def close(self):
        self.held = False
        if self.linger:
            self.state = CLOSE_PENDING
        else:
            self.closed()
            self.free()
            self.reused()

    def closed(self):
        """The controller sent connClose and nothing is in flight; for watchers."""

    def reused(self):
        """The slot is free since this moment; a test may connect the next peer right away."""

    def dropped(self):
        """The controller sent connAbort, or the network was stopped; for watchers."""

    def status(self):
        return struct.pack(
            "<BBBbHH4sHHHH",
            *(self.state, self.number, self.protocol, -60),
            *(self.local_port, self.remote_port, self.remote_ip),
            *(min(len(self.inbox), 0xFFFF), self.room()),
            *self.module.bitmaps(),
        )


class Answer:
    """What a command answers: `data` goes out, or `take` bytes come in and then `then`."""

    def __init__(self, response, data=b"", take=0, then=None):
        self.response = response
        self.data = data
        self.take = take
        self.then = then


def image(version=b"2.4.0-spinet", chip=5, size=9000):
    """An application in two segments, as ESP-IDF makes it."""
    head = struct.pack("<BB10xHB8xB", 0xE9, 2, chip, 0, 1)
    body = struct.pack("<I12x32s", 0xABCD5432, version).ljust(256, b"\0")
    whole = head + struct.pack("<II", 0x3C000020, len(body)) + body
    whole += struct.pack("<II", 0x42000020, size) + bytes(size)
    whole += bytes(15 - len(whole) % 16) + b"\xef"
    return whole + hashlib.sha256(whole).digest()


WHOLE = image()


class FakeUpdate:
    """The two slots; `drops` are offsets of pieces that get lost once, the rest is what goes wrong.

    `refuses`: {step: the last error}. `deaf`: the new image does not start. `goes_back`: why.
    """

    def __init__(self):
        self.state, self.slot, self.chip = 0, 0, 5
        self.room = 1 << 16
        self.version, self.text = b"2.2-fake", b""
        self.size, self.image = 0, b""
        self.drops = []
        self.refuses = {}
        self.deaf = False
        self.goes_back = b""

    def status(self):
        numbers = self.state, self.slot, self.chip, len(self.image), self.size, self.room
        return struct.pack("<BBHIII32s", *numbers, self.version) + self.text

    def step(self, step, data, param):
        if step == 0:
            self.state, self.size, self.image = 1, param, b""
        elif step == 1 and param == len(self.image):
            if param in self.drops:
                self.drops.remove(param)
            else:
                self.image += data
        elif step == 2:
            self.state = 2
        elif step == 3:
            self.state, self.slot = (0, 0) if self.goes_back else (3, 1)
            self.text = self.goes_back

    def kept(self):
        """A look at a new image: it is kept after the first."""
        self.version = self.image[48:80]
        self.state, self.text = 0, b"it was kept"


GET_LAST_ERROR = 19
DEFERRED = (10, 11, 13, 14, 15, 16, 17, 23, 24, 26, 28, 29, 30, 64)


class FakeFirmware:
    """The command table of the fake, over eight slots and a list of remembered networks."""

    def __init__(self, module):
        self.module = module
        self.log = []
        self.slots = [FakeSlot(self, number) for number in range(8)]
        self.listening = {}
        self.calling = {}
        self.networks = [bytes(112)]
        self.wifi_state = 1
        self.ip = bytes([127, 0, 0, 1])
        self.last_error = b""
        self.host_name = b""
        self.cert = self.key = self.ca = None
        self.tls_enabled = False
        self.tls_ports = set()
        self.scan = None
        self.in_reach = b"Workshop"
        self.enterprise = []
        self.refuse = {}
        self.status_length = 168
        self.clock_words = []
        self.tx_power = None
        self.listen_fails = False
        self.update = FakeUpdate()
        self.goes_wrong = b""  # what the next command leaves as its last error

    def forget_error(self):
        """A deferred command begins its work: what was wrong before is not told any more."""
        if self.log[-1] in DEFERRED:
            self.last_error = b""

    def go_wrong(self):
        """The last command's work has ended."""
        if self.goes_wrong and self.log[-1] != GET_LAST_ERROR:
            text, self.goes_wrong = self.goes_wrong, b""
            self.tell(text)

    def bitmaps(self):
        connected = sum(1 << s.number for s in self.slots if s.state == CONNECTED)
        ended = sum(1 << s.number for s in self.slots if s.state in (ENDED, ABORTED))
        return connected, ended

    def begin(self, head):
        """Give the Answer to the first 8 bytes of a request."""
        version, command, socket, flags, length, available = struct.unpack("<BBBBHH", head)
        self.log.append(command)
        if version != VERSION:
            return Answer(BAD_VERSION)
        if length > 2048:
            return Answer(BAD_LENGTH)
        if command in self.refuse:
            return Answer(self.refuse[command])
        handler = self.HANDLERS.get(command)
        if handler is None:
            return Answer(UNKNOWN_COMMAND)
        return handler(self, socket, flags, length, available)

    def _own(self, socket, what):
        """Give a slot the controller holds; touching another one is a violation."""
        slot = self.slots[socket]
        if not slot.held:
            self.module.violations.append(f"{what} on socket {socket}, not the controller's")
        return slot

    # connections

    def null(self, *_):
        return Answer(0)

    def conn_abort(self, socket, *_):
        if socket > 7:
            return Answer(BAD_PARAMETER)
        slot = self._own(socket, "connAbort")
        slot.dropped()
        slot.free()
        return Answer(0)

    def conn_close(self, socket, *_):
        if socket > 7:
            return Answer(BAD_PARAMETER)
        self._own(socket, "connClose").close()
        return Answer(0)

    def conn_create(self, _socket, flags, length, _available):
        if not 12 <= length <= 77:
            return Answer(BAD_LENGTH)
        if flags & ~4:
            return Answer(BAD_PARAMETER)
        if flags & 4 and not self.ca:
            return Answer(WRONG_STATE)
        free = [slot for slot in self.slots if slot.state == FREE]
        if not free:
            return Answer(BUSY)
        slot = free[0]

        def create(data, _param):
            self._create(slot, data, bool(flags & 4))

        return Answer(slot.number, take=length, then=create)

    def _create(self, slot, data, tls):
        ip, protocol, port, _most = struct.unpack_from("<4sBxHH2x", data)
        slot.connect(49152 + slot.number, protocol)
        slot.state = CONNECTING
        slot.name = data[12:].decode()
        slot.remote_ip, slot.remote_port = ip, port
        slot.tls = tls
        self.outgoing(slot)

    def outgoing(self, slot):
        """A connCreate was accepted; a test decides what becomes of it."""

    def conn_read(self, socket, _flags, _length, available):
        if socket > 7:
            return Answer(BAD_PARAMETER)
        data = self._own(socket, "connRead").read(min(available, 2048))
        return Answer(len(data), data)

    def conn_write(self, socket, flags, length, _available):
        if socket > 7:
            return Answer(BAD_PARAMETER)
        slot = self._own(socket, "connWrite")
        if slot.state not in (CONNECTED, ENDED) or (slot.state == ENDED and slot.broken):
            return Answer(WRONG_STATE)
        n = min(slot.room(), length)
        kept = flags if n == length else 0
        return Answer(n, take=n, then=lambda data, _param: slot.accept(data, kept))

    def conn_get_status(self, socket, _flags, _length, available):
        if socket > 7:
            return Answer(BAD_PARAMETER)
        return self._fitting(self.slots[socket].status(), available)

    def listen(self, _socket, flags, length, _available):
        if flags & 8:
            return Answer(0, take=length, then=lambda data, _param: self._call_home(data))
        if length != 12:
            return Answer(BAD_LENGTH)
        if flags & 4 and not (self.tls_enabled and self.cert and self.key):
            return Answer(WRONG_STATE)

        def listen(data, _param):
            if flags & 4:
                self.tls_ports.add(struct.unpack_from("<H", data, 6)[0])
            self._listen(data)

        return Answer(0, take=12, then=listen)

    def _listen(self, data):
        ip, protocol, port, most = struct.unpack("<4sBxHH2x", data)
        if self.listen_fails and most:
            self.last_error = b"Listen failed"
            self.module.pulse()
        elif most:
            self.listening[port] = (ip, protocol, most)
        else:
            self.listening.pop(port, None)

    def _call_home(self, data):
        ip, protocol, port, most, attempts = struct.unpack_from("<4sBxHHH", data)
        if self.listen_fails and most:
            self.last_error = b"Call home failed"
            self.module.pulse()
        elif most:
            self.calling[port] = (ip, protocol, most, attempts, data[12:])
        else:
            self.calling.pop(port, None)

    # networks

    def network_status(self, _socket, _flags, _length, available):
        head = struct.pack(
            "<4sIIIbBBxH6s16s32s64s",
            *(self.ip, 98304, 4, 4 << 20, -55, 0, 1 | 3 << 2, 3300),
            *(bytes.fromhex("020000000001"), b"2.2-fake", b"Workshop", self.host_name),
        )
        tail = struct.pack(
            "<I4s4sIBBBx6s2x",
            *(0x2001, bytes([255, 0, 0, 0]), bytes([127, 0, 0, 254]), 3, 1, 3, 6 | 1 << 4),
            bytes.fromhex("020000000002"),
        )
        return self._fitting((head + tail)[: self.status_length], available)

    @staticmethod
    def _fitting(data, available):
        return Answer(len(data), data) if available >= len(data) else Answer(TOO_SMALL)

    def _exactly(self, wanted, length, then):
        if length != wanted:
            return Answer(BAD_LENGTH)
        return Answer(0, take=wanted, then=lambda data, _param: then(data))

    def add_ssid(self, _socket, _flags, length, _available):
        return self._exactly(112, length, self._remember)

    def _remember(self, data):
        ssid, password = data[16:48], data[48:].partition(b"\0")[0]
        if not ssid.partition(b"\0")[0]:
            self.tell(b"bad SSID")
            return
        psk = len(password) == 64 and all(c in b"0123456789abcdefABCDEF" for c in password)
        if not (psk or not password or 8 <= len(password) <= 63):
            self.tell(b"bad password")
            return
        self.networks = [n for n in self.networks if n[16:48] != ssid] + [data]

    def delete_ssid(self, _socket, _flags, length, _available):
        return self._exactly(32, length, self._forget)

    def _forget(self, data):
        known = len(self.networks)
        own, *rest = self.networks
        self.networks = [own, *(n for n in rest if n[16:48] != data)]
        if len(self.networks) == known:
            self.tell(b"SSID not found")

    def tell(self, text, state=None):
        """Have news: a last error, a state, and the pulse."""
        self.last_error = text
        self.wifi_state = self.wifi_state if state is None else state
        self.module.pulse()

    def list_ssids(self, _socket, _flags, _length, available):
        names = b"".join(n[16:48].rstrip(b"\0") + b"\n" for n in self.networks) + b"\0"
        return self._fitting(names, available)

    def retrieve(self, _socket, _flags, _length, available):
        if available < 48:
            return Answer(TOO_SMALL)
        shown = b"".join(n[:48] for n in self.networks)
        return self._fitting(shown, available)

    def configure_ap(self, _socket, _flags, length, _available):
        return self._exactly(112, length, self._set_ap)

    def _set_ap(self, data):
        self.networks[0] = bytes(112) if data[16] == 0xFF else data

    def start_client(self, _socket, _flags, length, _available):
        if self.wifi_state != 1:
            return Answer(WRONG_STATE)
        if length > 33:
            return Answer(BAD_LENGTH)
        return Answer(0, take=length, then=lambda data, _param: self._join(data))

    def _join(self, data):
        wanted = data.rstrip(b"\0")
        known = [n[16:48].rstrip(b"\0") for n in self.networks[1:]]
        if wanted in known or (not wanted and known):
            self.tell(b"", state=4)
        else:
            self.fail_to_join(b"no data found for requested SSID")

    def fail_to_join(self, reason):
        """networkStartClient fails, which is told after the time of a scan."""
        self.tell(b"", state=3)
        asyncio.get_running_loop().call_later(SCAN_S, self.tell, reason, 1)

    def lose_network(self, reason):
        """The module leaves its network: it tries to get back, and then says why it cannot."""
        self.tell(b"connection lost, auto-reconnecting", state=5)
        asyncio.get_running_loop().call_later(SCAN_S, self.tell, reason, 1)

    def start_ap(self, *_):
        if self.wifi_state != 1:
            return Answer(WRONG_STATE)
        self.wifi_state = 2
        return Answer(0)

    def stop(self, *_):
        self.listening.clear()
        for slot in self.slots:
            slot.dropped()
            slot.free()
        self.wifi_state = 1
        self.stopped()
        return Answer(0)

    def stopped(self):
        """The network was stopped, and every listener with it; for watchers."""

    def factory_reset(self, *_):
        self.networks = [bytes(112)]
        return Answer(0)

    def set_host_name(self, _socket, _flags, length, _available):
        return self._exactly(64, length, self._name)

    def _name(self, data):
        self.host_name = data

    def last_error_text(self, _socket, _flags, _length, available):
        text = self.last_error + b"\0" if self.last_error else b""
        if len(text) > available:
            return Answer(TOO_SMALL)
        self.last_error = b""
        return Answer(len(text), text)

    # the module

    def set_tx_power(self, _socket, flags, *_):
        if flags > 82:
            return Answer(BAD_PARAMETER)
        self.tx_power = flags
        return Answer(0)

    def set_clock(self, *_):
        return Answer(0, then=lambda _data, param: self.clock_words.append(param))

    def start_scan(self, *_):
        if self.wifi_state not in (1, 4):
            return Answer(WRONG_STATE)
        if self.scan is not None:
            return Answer(SCANNING)
        self.scan = 2
        return Answer(0)

    def scan_result(self, _socket, _flags, _length, available):
        if self.scan is None:
            return Answer(NO_SCAN)
        if self.scan:
            self.scan -= 1
            return Answer(SCANNING)
        self.scan = None
        return self._fitting(self._found(), available)

    def _found(self):
        mac = bytes.fromhex("020000000003")
        near = struct.pack("<bBBB6s2x33s", -40, 3, 3, 6, mac, self.in_reach)
        return near + struct.pack("<bBBB6s2x33s", -71, 2, 0, 11, mac, b"Caf\xc3\xa9")

    def enterprise_ssid(self, _socket, flags, length, _available):
        if flags > 3:
            return Answer(BAD_PARAMETER)
        begun = bool(self.enterprise) and self.enterprise[-1][0] < 2
        if flags < 3 and begun == (flags == 0):
            return Answer(WRONG_STATE)
        if flags == 0 and length != 112:
            return Answer(BAD_LENGTH)
        note = self.enterprise.append
        return Answer(0, take=length, then=lambda data, param: note((flags, param, data)))

    def enable_tls(self, *_):
        self.tls_enabled = bool(self.cert and self.key)
        return Answer(0 if self.tls_enabled else NO_CERT)

    def set_cert(self, _socket, flags, length, _available):
        keep = self._keep_ca if flags & 1 else self._keep_cert
        return self._exactly(length, length, keep) if length else Answer(BAD_LENGTH)

    def _keep_cert(self, data):
        self.cert = self._pem("certificate", data, self.cert)

    def _keep_ca(self, data):
        self.ca = self._pem("CA", data, None)

    def _pem(self, what, data, kept):
        """What is no PEM is told when it is set, and leaves `kept`."""
        if data.startswith(b"-----BEGIN "):
            return data
        self.tell(f"TLS {what}: not in PEM".encode())
        return kept

    def set_key(self, _socket, _flags, length, _available):
        return self._exactly(length, length, self._keep_key) if length else Answer(BAD_LENGTH)

    def _keep_key(self, data):
        self.key = self._pem("key", data, self.key)

    def clear_tls(self, *_):
        self.cert = self.key = self.ca = None
        self.tls_enabled = False
        return Answer(0)

    def module_update(self, _socket, flags, length, available):
        update, step = self.update, flags & 15
        if step == 5:
            told = update.status()
            if update.state == 3:
                update.kept()
            return self._fitting(told, available)
        if step == 1 and update.state != 1:
            return Answer(WRONG_STATE)

        def then(data, param):
            if step in update.refuses:
                update.state, update.text = 0, update.refuses[step]
                self.tell(b"update: " + update.text)
                return
            update.step(step, data, param)
            if step == 3:
                self.module.restart(deaf=update.deaf)

        return Answer(0, take=length, then=then)

    HANDLERS = {  # noqa: RUF012 - a constant table
        **{0: null, 1: conn_abort, 2: conn_close, 3: conn_create, 4: conn_read},
        **{5: conn_write, 6: conn_get_status, 7: listen, 9: network_status, 10: add_ssid},
        **{11: delete_ssid, 12: list_ssids, 13: configure_ap, 14: start_client, 15: start_ap},
        **{16: stop, 17: factory_reset, 18: set_host_name, 19: last_error_text, 20: null},
        **{21: retrieve, 22: set_tx_power, 23: set_clock, 24: start_scan, 25: scan_result},
        **{26: enterprise_ssid, 27: enable_tls, 28: set_cert, 29: set_key, 30: clear_tls},
        64: module_update,
    }


class FakeModule(asyncio.Protocol):
    """The electrical side: connects to a bus, boots, and runs transactions in its role.

    `merged` clocks response and data as one (8, 4 + n). `early_cs` does so too, and sends CS's rise
    along with that CLOCK, before it has the answer. `silent` takes no more requests;
    `silent_from` stops before that phase and calls `fell_silent()`, as a module that hangs.
    `busy_low` keeps DATA_READY low while a transaction runs (`"early"`: from before CS falls),
    `ends_early` raises CS after the header. `mangle(data)` changes what is shifted out. `hasty`
    never answers a CLOCK: the test does.
    """

    def __init__(
        self,
        role=MODULE_CLOCKED,
        *,
        merged=False,
        early_cs=False,
        kept_transfer_ready=False,
        hasty=False,
    ):
        self.role = role
        self.merged = merged or early_cs
        self.early_cs = early_cs
        self.kept_transfer_ready = kept_transfer_ready
        self.hasty = hasty
        self.violations = []
        self.firmware = FakeFirmware(self)
        self.levels = {TRANSFER_READY: 0, DATA_READY: 0, CS: 1, RESET: 1}
        self.transport = None
        self.lost = asyncio.get_running_loop().create_future()
        self.silent = False
        self.silent_from = None
        self.busy_low = False
        self.ends_early = False
        self.mangle = None
        self.auto_boot = True
        self.resets = 0
        self.transactions = 0
        self.phases = []
        self._rest = b""
        self._steps = None
        self._answer = None
        self._armed = b""
        self._param = 0
        self._data = b""
        self._out = []
        self._handling = False

    # -- wire -------------------------------------------------------------------------

    async def plug_in(self, port, version=b"2.2-fake", *, hello=True):
        """Connect to the bus: power."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, "127.0.0.1", port)
        if hello:
            self.raw(HELLO, self.role, version)
        if hello and self.auto_boot:
            self.boot()
        return self

    def unplug(self):
        """Take the power away."""
        self.transport.close()

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, _exc):
        if not self.lost.done():
            self.lost.set_result(None)

    def data_received(self, data):
        data = self._rest + data
        self._handling = True
        while len(data) >= 4:
            kind, arg, length = struct.unpack_from("<BBH", data)
            if len(data) < 4 + length:
                break
            self._frame(kind, arg, data[4 : 4 + length])
            data = data[4 + length :]
        self._rest = data
        self._handling = False
        self._flush()

    def raw(self, kind, arg, payload, length=None):
        """Send any frame at all, also a broken one."""
        length = len(payload) if length is None else length
        self._out.append(struct.pack("<BBH", kind, arg, length) + payload)
        if not self._handling:
            self._flush()

    def _flush(self):
        if self._out and not self.transport.is_closing():
            self.transport.write(b"".join(self._out))
        self._out.clear()

    def pin(self, pin, level):
        """Drive one of the module's pins."""
        self.levels[pin] = level
        self.raw(PIN, pin, bytes([level]))

    def boot(self):
        """Two rising edges of DATA_READY, as a module that has started."""
        for level in (1, 0, 1):
            self.pin(DATA_READY, level)
        self._idle()

    def restart(self, deaf):
        """Start anew, or hang until a reset, which starts the old image."""
        self.pin(DATA_READY, 0)
        if not deaf:
            self.boot()

    def pulse(self):
        """News: DATA_READY low and high again, where no transaction is under way."""
        if self._steps is None or (self.role == CONTROLLER_CLOCKED and not self._selected()):
            for level in (0, 1):
                self.pin(DATA_READY, level)
        else:
            asyncio.get_running_loop().call_soon(self.pulse)

    def wrong(self, text):
        self.violations.append(text)

    # -- frames of the controller -----------------------------------------------------

    def _frame(self, kind, arg, payload):
        if kind == PIN:
            self._controller_pin(arg, payload[0])
        elif kind == CLOCK:
            self._clocked(payload)
        elif kind == SHIFT:
            self._shifted(payload)
        else:
            self.wrong(f"a frame of kind {kind} from the controller")

    def _controller_pin(self, pin, level):
        if pin == DATA_READY or (pin == CS and self.role == MODULE_CLOCKED):
            self.wrong(f"the controller drove pin {pin}")
        if self.levels[pin] == level:
            self.wrong(f"pin {pin} was set to {level} twice")
        self.levels[pin] = level
        if pin == RESET:
            self._reset_pin(level)
        elif not self.levels[RESET]:
            return
        elif pin == CS:
            self._cs_pin(level)
        elif pin == TRANSFER_READY and level:
            self._offered()

    def _reset_pin(self, level):
        if level == 0:
            self.resets += 1
            self._steps = None
            self._armed = b""
            self.pin(DATA_READY, 0)
            if self.role == MODULE_CLOCKED:
                self.pin(CS, 1)
        elif self.auto_boot:
            self.boot()

    def _offered(self):
        if not self.levels[DATA_READY]:
            self.wrong("TRANSFER_READY rose while DATA_READY was low")
        if not self.levels[CS]:
            self.wrong("TRANSFER_READY rose while CS was low")
        if self.role == MODULE_CLOCKED and not self.silent:
            self.start()
        elif self.role == CONTROLLER_CLOCKED and self.phases:
            self._rearm()

    # -- the steps of one transaction, for both roles ---------------------------------

    def _transaction(self):
        """Yield what the module shifts out in each phase; get what the controller did."""
        first = yield struct.pack("<BB2xI", VERSION, self.firmware.wifi_state, 0xDEADBEEF)
        answer = self._answer = self.firmware.begin(first)
        word = struct.pack("<i", answer.response)
        data = dwords(answer.data) if answer.data else bytes(answer.take + (-answer.take % 4))
        if self.merged and self.role == MODULE_CLOCKED:
            shifted = yield word + data
        else:
            shifted = yield word
            if data:
                shifted += yield data
        self._param = struct.unpack_from("<I", shifted)[0]
        self._data = shifted[4 : 4 + answer.take]

    def _finished(self):
        """CS is high: do what the command deferred."""
        self.transactions += 1
        self._steps = None
        answer, self._answer = self._answer, None
        self.firmware.forget_error()
        if answer.then:
            answer.then(self._data, self._param)
        self.firmware.go_wrong()

    def _falls_silent(self):
        silent = self.silent_from is not None and len(self.phases) == self.silent_from
        if silent:
            self.fell_silent()
        return silent

    def fell_silent(self):
        """Called when the module stops, at `silent_from`; a test may replace it."""

    def _mangled(self, data):
        return self.mangle(data) if self.mangle else data

    # -- module-clocked ---------------------------------------------------------------

    def start(self):
        """Select the controller and clock the header."""
        self._steps = self._transaction()
        self.phases = []
        if self.busy_low == "early":
            self.pin(DATA_READY, 0)
        self.pin(CS, 0)
        if self.busy_low is True:
            self.pin(DATA_READY, 0)
        self._clock(next(self._steps))

    def _clock(self, data):
        if self._falls_silent():
            return
        self.phases.append(len(data))
        self._armed = data
        self.raw(CLOCK, 0, self._mangled(data))
        if self.early_cs and len(self.phases) == 2:
            self._deselect()

    def _shifted(self, payload):
        if self.role != MODULE_CLOCKED or not self._armed:
            self.wrong("a SHIFT without a CLOCK")
            return
        if len(payload) != len(self._armed):
            self.wrong(f"a SHIFT of {len(payload)} for a CLOCK of {len(self._armed)}")
        if self.levels[TRANSFER_READY] != self.kept_transfer_ready:
            self.wrong("TRANSFER_READY was not dropped as CS fell, or not kept")
        self._armed = b""
        if self._steps is None:
            return
        try:
            data = self._steps.send(payload)
        except StopIteration:
            if not self.early_cs:
                self._deselect()
            self._finished()
            return
        if self.ends_early:
            self.give_up()
        else:
            self._clock(data)

    def _deselect(self):
        self.pin(CS, 1)
        if self.busy_low:
            self.pin(DATA_READY, 1)

    def give_up(self):
        """End a transaction half-way, as a module does whose controller has died."""
        self.silent_from = None
        if self.role == CONTROLLER_CLOCKED:
            self._rearm()
            return
        self._steps = None
        self._armed = b""
        self._deselect()

    # -- controller-clocked -----------------------------------------------------------

    def _selected(self):
        return not self.levels[CS]

    def _idle(self):
        """Arm the header phase, as a module does that waits for a transaction."""
        if self.role == CONTROLLER_CLOCKED:
            self._steps = self._transaction()
            self.phases = []
            self._armed = next(self._steps)

    def _arm(self, data):
        self._armed = data
        if not self._falls_silent():
            self.pin(DATA_READY, 1)

    def _cs_pin(self, level):
        if not level:
            self.selected()
        elif self._steps is None:
            self._rearm()

    def selected(self):
        """CS fell; for watchers."""

    def _rearm(self):
        if self.levels[DATA_READY]:
            self.pin(DATA_READY, 0)
        self._idle()
        self._arm(self._armed)

    def _clocked(self, payload):
        if self.role != CONTROLLER_CLOCKED:
            self.wrong("a CLOCK from the controller, which is clocked in this role")
            return
        if not self._selected():
            self.wrong("a CLOCK while CS is high")
        if not self.levels[DATA_READY]:
            self.wrong("a CLOCK while DATA_READY is low")
        if len(payload) != len(self._armed):
            self.wrong(f"a CLOCK of {len(payload)} for a phase of {len(self._armed)}")
        if not self.phases and not self.levels[TRANSFER_READY]:
            self.wrong("a header phase without TRANSFER_READY")
        if self.phases and self.levels[TRANSFER_READY] != self.kept_transfer_ready:
            self.wrong("TRANSFER_READY was not dropped after the header, or not kept")
        if self.hasty:
            return
        self.phases.append(len(payload))
        self.raw(SHIFT, 0, self._mangled(self._armed[: len(payload)].ljust(len(payload), b"\0")))
        self.pin(DATA_READY, 0)
        try:
            self._arm(self._steps.send(payload))
        except StopIteration:
            self._finished()
            if self.levels[CS]:
                self._rearm()
