"""Nothing that a chip does takes the whole of a stack.

On the emulated core, whose frames are the ESP32-C3's (see chip_bench), in both roles: every command
of the link in the states in which it goes deepest, and what the loop does after it; the threads
that commands begin; handshakes and records of TLS in mbedTLS's own C; every report at the REPL.
"""

import _thread
import gc
import hashlib
import os

from chip_bench import ChipBench, Interface, name_of

from spinet import compat, fields, service, states
from spinet.duet import wire
from spinet.duet.commands import COMMANDS
from spinet.wifi import config
from spinet.wifi.networks import REMEMBERED_NETWORKS

# Bytes of each stack for what is not measured here: MicroPython's own margin of 1024, the frame of
# an interrupt, the C of drivers, of lwIP and of hardware that encrypts, an Xtensa's larger frames.
LEFT = 4096
PASSES = 20  # of the loop after a command
RECONNECTING = 70  # seconds, longer than any lasts
CLOSING = 8  # the same
CONTROLLER_PORT = 80
TLS_PORT = 443
SERVER_PORT = 8080
UPDATE = 64
LARGEST = 512  # bytes: what cannot be allocated any more when memory is wanting
# "ca", and with a key each ("ec key") "ec", "rsa", "owner": PEM as bytes. The test sets it.
PEMS = {}

BAD = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"


class TlsPeer:
    """The other end of a TLS connection; `core` is a tls_session.Session of its own boxes."""

    def __init__(self, context, name=None):
        self.inbox = bytearray(2048)
        self.outbox = bytearray(2304)
        self.core = compat.tls_session.Session(context, self.inbox, self.outbox, name)
        self.done = 0

    def pump(self, peer):
        """What is there is moved both ways, and the handshake goes on."""
        core = self.core
        core.fed(peer.take(self.inbox, core.in_at(), core.in_room()))
        if not self.done:
            self.done = core.step()
        if core.out_count():
            core.sent(peer.send(self.outbox, core.out_at(), core.out_count()))


class Played(ChipBench):
    """That bench with commands to play; `asked` has which."""

    def __init__(self, role, heap, left=LEFT):
        super().__init__(role, heap, left)
        self.hog = None
        self.asked = set()

    def ask(self, command, flags=0, data=b"", socket=0, param=0, available=2048, length=None):
        """One command, PASSES of the loop, its threads, and as many again; the response."""
        self.asked.add(command)
        self.socket = socket
        self.param = param
        length = len(data) if length is None else length
        fields.put_bytes(self.spi.message, wire.DATA, data, len(data))

        def transact():
            self.transact(command, flags, length, available)
            self.passes(PASSES)

        self.play(command, transact)
        self.go_on(PASSES)
        return self.response

    def go_on(self, passes):
        self.play("service", lambda: self.passes(passes))

    def wait(self, seconds):
        """Let that time go by, in five passes a second."""
        self.play("service", lambda: self.passes(5 * seconds, 200))


def record(i=0, password=b"secret password", ip=0, name=None):
    """A WirelessConfig."""
    made = bytearray(config.SIZE)
    fields.put_u32(made, 0, ip)
    fields.put_bytes(made, 16, name or name_of(i), 32)
    fields.put_bytes(made, 48, password, 64)
    return made


def enterprise_record(i, sizes):
    made = record(i, b"")
    for index, size in enumerate(sizes):
        fields.put_u32(made, 48 + 4 * index, size)
    return made


def peer_record(tcp_port, ip=0x0100007F, limit=8, name=b""):
    made = bytearray(12)
    fields.put_u32(made, 0, ip)
    fields.put_u16(made, 6, tcp_port)
    fields.put_u16(made, 8, limit)
    return bytes(made) + name + (b"\0" if name else b"")


def play_networks(bench):
    """The table of networks and what is stored."""
    bench.ask(11, data=name_of(99))  # not found
    for i in range(REMEMBERED_NETWORKS - 1):
        bench.ask(10, data=record(i))
    bench.ask(10, data=record(0, b"short"))
    login = (30, 600, 8, 20, 0)
    bench.ask(26, 0, enterprise_record(50, login), param=3)
    for index, size in enumerate(login):
        bench.ask(26, 1, bytes(size), param=index)
    bench.ask(26, 2)
    bench.ask(26, 0, enterprise_record(51, login), param=3)  # there is no room
    bench.ask(26, 1, bytes(8))
    bench.ask(26, 0, enterprise_record(50, login), param=3)
    bench.ask(26, 1, bytes(31))  # too long
    bench.ask(26, 0, enterprise_record(50, login), param=3)
    bench.ask(26, 2)  # not all of it
    bench.ask(26, 0, enterprise_record(50, login), param=3)
    bench.ask(26, 3)
    bench.ask(10, data=record(60))  # the table is full
    bench.ask(13, data=record(98, ip=0x0101A8C0, name=b"of our own"))
    bench.ask(13, data=record(98))
    for command in (12, 21, 19, 0):
        bench.ask(command)
    bench.ask(18, data=b"name of our own" + bytes(49))
    bench.ask(11, data=name_of(3))
    bench.ask(10, data=record(3))


def update_head():
    """The first 2048 bytes of an image."""
    head = bytearray(2048)
    fields.put_u32(head, 0, 0xE9)
    head[23] = 1
    fields.put_u32(head, 32, 0xABCD5432)
    fields.put_bytes(head, 48, b"9.9.0-spinet", 32)
    return head


def play_update(bench):
    """An image that is taken, one that is damaged, one that is none."""
    first = update_head()
    last = bytes(100)
    size = 2048 + len(last) + 32
    for digest in (hashlib.sha256(bytes(first) + last).digest(), bytes(32)):
        bench.ask(UPDATE, 0, first[:288], param=size)
        bench.ask(UPDATE, 1, first)
        bench.ask(UPDATE, 1, last + digest, param=2048)
        bench.ask(UPDATE, 2)
        bench.ask(UPDATE, 5)
        bench.ask(19)
    bench.ask(UPDATE, 0, first[:288], param=size)
    bench.ask(UPDATE, 4)
    bench.ask(UPDATE, 0, bytes(288), param=size)
    if bench.service.error.text != b"update: this is no image":
        raise AssertionError(bench.service.error.text)
    if record_of_update(bench) != "F":
        raise AssertionError("what became of it is not stored")


def record_of_update(bench):
    return bench.board.store("update").load(True)[:1].decode()


def play_full_disk(bench):
    """Nothing can be stored any more."""
    with open("/big", "wb") as file:
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            pass
    bench.ask(10, data=record(4, b"another password"))
    bench.ask(11, data=name_of(5))
    bench.ask(19)
    os.remove("/big")


def play_wifi(bench):
    """Scans, the station with everything that can happen to it, the access point."""
    for command in (24, 25, 25, 9):
        bench.ask(command)
    bench.ask(14, data=b"\0")
    bench.ask(9)
    for command in (24, 25, 20, 22, 23):
        bench.ask(command)
    bench.wait(4)
    Interface.reaches = False
    bench.interfaces[0].disconnect()
    bench.wait(RECONNECTING)
    bench.ask(16)
    bench.ask(14, data=name_of(2))
    bench.wait(RECONNECTING)
    bench.ask(16)
    Interface.reaches = True
    bench.ask(14, data=name_of(50))  # enterprise
    bench.ask(9)
    bench.ask(16)
    bench.ask(15)
    bench.ask(9)
    bench.ask(16)


def play_connections(bench):
    """Listening, connections of both kinds, their ends."""
    stack = bench.service.stack
    bench.ask(14, data=name_of(2))
    bench.ask(7, data=peer_record(CONTROLLER_PORT, 0))
    for finishes, ending in ((False, 2), (True, 1), (True, 2)):
        peer = stack.dial(CONTROLLER_PORT)
        bench.go_on(5)
        peer.send(bytes(500), 0, 500)
        for command in (6, 4, 6):
            bench.ask(command)
        for flags in (0, 0, 0, 2):
            bench.ask(5, flags, bytes(1000))
        peer.take(bytearray(4096), 0, 4096)
        bench.ask(5, 2, bytes(1000))
        bench.go_on(5)
        peer.finish() if finishes else peer.reset()
        bench.go_on(5)
        bench.ask(4)
        bench.ask(ending)
        bench.wait(CLOSING)
    stack.servers[SERVER_PORT] = []
    bench.ask(3, data=peer_record(SERVER_PORT))
    bench.ask(5, 1, bytes(100))  # and close
    bench.wait(CLOSING)
    bench.ask(3, data=peer_record(9))  # refused
    bench.ask(2)
    bench.ask(3, data=peer_record(9, 0, name=b"name.of.a.server"))
    bench.ask(1)
    bench.ask(3, 4, peer_record(9))  # TLS without a CA
    for i in range(9):
        bench.ask(7, data=peer_record(100 + i, 0))
    bench.ask(7, 8, peer_record(SERVER_PORT))  # calling home
    bench.ask(7, 8, peer_record(9, 0, name=b"name.of.a.server"))
    bench.wait(CLOSING)
    assert stack.udp.answered  # the look-up
    bench.ask(20)
    for i in range(9):
        bench.ask(7, data=peer_record(100 + i, 0, limit=0))
    for command in (8, 31, 99):  # there are no such
        bench.ask(command)
    bench.ask(16)
    bench.wait(CLOSING)


def play_tls(bench, kind):
    """Certificates as they come, a visitor, and a server that we call."""
    bench.ask(14, data=name_of(2))
    bench.ask(27)  # without a certificate
    bench.ask(28, 0, BAD)
    bench.ask(28, 1, PEMS["ca"])
    bench.ask(28, 0, PEMS[kind])
    bench.ask(29, 0, PEMS[kind + " key"])
    bench.ask(27)
    bench.ask(7, 4, peer_record(TLS_PORT, 0))
    visitor = bench.service.stack.dial(TLS_PORT)
    talk(bench, visitor, TlsPeer(compat.tls_session.Trust(PEMS["ca"]), "module.test"))
    servers = bench.service.stack.servers[SERVER_PORT] = []
    bench.ask(3, 4, peer_record(SERVER_PORT, name=b"module.test"))
    talk(bench, servers[0], TlsPeer(compat.tls_session.Identity(PEMS[kind], PEMS[kind + " key"])))
    bench.ask(30)
    bench.ask(16)


def talk(bench, peer, tls):
    """The handshake, bytes both ways, the end."""
    for _ in range(20):
        bench.go_on(2)
        if tls.done:
            break
        tls.pump(peer)
    bench.go_on(5)
    if tls.done != 1 or bench.ask(6) != 20 or bench.spi.shifted[12] != states.CONNECTED:
        raise AssertionError("no handshake")
    tls.core.seal(bytes(1000), 0, 1000)
    tls.pump(peer)
    if bench.ask(4) != 1000:
        raise AssertionError("nothing was received")
    bench.ask(5, 2, bytes(1000))
    tls.core.finish()
    tls.pump(peer)
    bench.go_on(5)
    bench.ask(2)
    bench.wait(CLOSING)
    tls.core.end()


def play_update_over_network(bench):
    """The owner is let in and announces an image, which is refused, then one that is taken."""

    def turn_on():
        from spinet.update.network import NetworkUpdates

        bench.board.OWNER = PEMS["owner"].decode()
        bench.service.updates = NetworkUpdates(bench.service, None)
        bench.service.loop.tasks += (bench.service.updates,)

    bench.play("service", turn_on)
    peer = bench.service.stack.dial(bench.board.UPDATE_PORT)
    tls = TlsPeer(compat.tls_session.Identity(PEMS["owner"], PEMS["owner key"]))
    for _ in range(30):
        bench.go_on(PASSES)
        tls.pump(peer)
    head = update_head()
    size = 2048 + 32
    steps = (0, bytes(288)), (0, head[:288]), (1, head), (6, BAD), (5, b"")
    for (flags, data), code in zip(steps, (14, 0, 0, 14, 0)):
        step = bytearray(8)
        step[0] = flags
        fields.put_u16(step, 2, len(data))
        fields.put_u32(step, 4, size if flags == 0 else 0)
        tls.core.seal(bytes(step) + data, 0, 8 + len(data))
        answer = bytearray(256)
        for _ in range(10):
            tls.pump(peer)
            bench.go_on(PASSES)
        tls.pump(peer)
        if tls.core.look() < 4 or tls.core.open(answer, 0, 256) < 4 or answer[0] != code:
            raise AssertionError("step %d: %s" % (flags, answer[:64]))
    tls.core.end()
    peer.reset()
    bench.go_on(PASSES)
    if bench.service.tls.sessions():
        raise AssertionError("the session did not end")


def play_end(bench):
    bench.ask(20)
    bench.ask(17)
    bench.ask(19)
    bench.ask(16)


def play_cuts(bench):
    """The controller leaves in the middle, which shows where it is the one that clocks."""
    for command, data in ((3, peer_record(SERVER_PORT)), (10, record(1))):
        bench.param = 0
        bench.request(command, 0, len(data), 2048)

        def cut():
            bench.board.transfer_ready.drive(1)
            bench.board.cs.drive(0)
            for _ in range(2):
                bench.spi.clock()
                bench.passes(1)
            bench.board.cs.drive(1)
            bench.board.transfer_ready.drive(0)
            bench.passes(2 * PASSES)  # the phase has a time-out

        bench.play(command, cut)
    if bench.service.link.cuts != 2:
        raise AssertionError("nothing was cut")


def most_of_the_heap():
    """In pieces; the next one of LARGEST bytes cannot be had."""
    taken = None
    size = 8192
    while size >= LARGEST:
        try:
            taken = (taken, bytearray(size))
        except MemoryError:
            size //= 2
    return taken


def play_want_of_memory(bench):
    """Commands for which there is no memory."""
    for command, data in ((10, record(1)), (21, b""), (28, PEMS["ec"])):
        fields.put_bytes(bench.spi.message, wire.DATA, data, len(data))

        def transact(command=command, data=data):
            bench.transact(command, 0, len(data), 2048)

        gc.collect()
        bench.hog = most_of_the_heap()
        bench.play(command, transact)
        bench.hog = None
        bench.go_on(PASSES)
        if bench.service.error.text != b"out of memory":
            raise AssertionError("there was memory")


def play_crash(bench):
    """A bug ends the thread: it says what it was, and the board restarts."""
    bench.board.power_up = None
    bench.play("service", lambda: service._thread(bench.board))


def play_reports(bench, reports):
    """These functions of spinet.report, as they are typed at the REPL."""
    for name in reports:
        line = "import spinet.report as r; r.%s()" % name
        bench.report("report", lambda line=line: exec(line))


def check_all_were_asked(bench):
    missing = {UPDATE} | {number for number, row in enumerate(COMMANDS) if row}
    missing -= bench.asked
    if missing:
        raise AssertionError("commands that are not played: %s" % sorted(missing))


def tell(bench):
    n, command = max((n, what) for what, n in bench.taken.items() if isinstance(what, int))
    print("deepest command", n, command, sep="\t")
    for what in ("service", "report"):
        print("deepest " + what, bench.taken[what], sep="\t")
    for size, n in _thread.taken.items():
        print("deepest thread of %d" % size, n, sep="\t")


def play_all(role, heap, reports):
    bench = Played(role, heap)
    for part in (play_networks, play_update, play_full_disk, play_wifi, play_connections):
        part(bench)
        gc.collect()
    play_tls(bench, "ec")
    play_tls(bench, "rsa")
    play_update_over_network(bench)
    play_reports(bench, reports)
    if role == "controller-clocked":
        play_cuts(bench)
    play_want_of_memory(bench)
    play_end(bench)
    check_all_were_asked(bench)
    play_crash(bench)
    tell(bench)
    if bench.service.manager.faults:
        raise AssertionError("%d faults" % bench.service.manager.faults)


def case_the_port_s_own_stack_would_not_do():
    bench = Played("module-clocked", 73728, compat.SERVICE_STACK - 5120)
    try:
        play_networks(bench)
    except RuntimeError:
        return
    raise AssertionError("the limit is not felt")
