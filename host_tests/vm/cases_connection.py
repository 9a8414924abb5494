"""Slots and listeners over real sockets, with hostnet and by the methods of stock sockets."""

import socket
import sys

from spinet import compat, fastpath, states
from spinet.tcp import socket_calls, status
from spinet.tcp.listener import ListenerTable
from spinet.tcp.manager import ConnectionManager
from spinet.tcp.stack_sockets import SocketStack

LOOPBACK = "127.0.0.1"
PATIENCE_MS = 60000


class Net:
    """A stack, its slots and its listeners on a free port; turn() is one pass."""

    def __init__(self, calls):
        self.stack = SocketStack(LOOPBACK, calls=calls)
        self.manager = ConnectionManager(self.stack, debug=True)
        self.listeners = ListenerTable(self.manager, lambda: None)
        self.port = 21000
        while not self.listeners.listen(0, self.port, 0, 8):
            self.port += 7

    def turn(self, ms=5):
        self.stack.wait(ms)
        self.manager.now = compat.ticks_add(self.manager.now, ms)
        self.manager.rows[fastpath.ROW_DELIVER] = self.stack.pending()
        self.manager.deliver()
        self.manager.step(self.manager.now)
        if self.manager.reap():
            self.listeners.accept_waiting()

    def until(self, condition):
        began = compat.ticks_ms()
        while not condition():
            assert compat.ticks_diff(compat.ticks_ms(), began) < PATIENCE_MS, "it never happened"
            self.turn()

    def peer(self):
        sock = socket.socket()
        sock.connect(socket.getaddrinfo(LOOPBACK, self.port)[0][-1])
        self.until(lambda: self.manager.rows[fastpath.ROW_CONNECTED] == 1)
        return sock, self.manager.slots[0]

    def close(self):
        self.listeners.stop_all()
        self.stack.shut()


def each_net():
    """Both ways to move bytes; stock sockets only where they are MicroPython's."""
    kinds = [socket_calls.HostCalls] if compat.hostnet else []
    if sys.implementation.name == "micropython":
        kinds.append(socket_calls.SocketCalls)
    for kind in kinds:
        if kind is socket_calls.SocketCalls:
            with_stock_sockets(True)
        try:
            yield Net(kind())
        finally:
            with_stock_sockets(False)


_hostnet = compat.hostnet


def with_stock_sockets(stock):
    """As firmware without hostnet: the wake is a flag, not a descriptor."""
    compat.hostnet = None if stock else _hostnet


def send_all(sock, data):
    if hasattr(sock, "sendall"):
        sock.sendall(data)
    else:
        sock.write(data)


def receive(sock, n):
    got = b""
    while len(got) < n:
        got += sock.recv(n - len(got))
    return got


def case_data_crosses_both_ways():
    for net in each_net():
        sock, slot = net.peer()
        text = bytes([i * 5 & 0xFF for i in range(2048)])
        send_all(sock, text)
        net.until(lambda slot=slot: slot.readable() == 2048)
        buf = bytearray(2100)
        assert slot.read(buf, 12, 2048) == 2048
        assert bytes(buf[12:2060]) == text
        assert slot.write(buf, 12, 2048, True)
        net.turn()
        assert receive(sock, 2048) == text
        sock.close()
        net.close()


def case_small_writes_gather_and_leave():
    for net in each_net():
        sock, slot = net.peer()
        for _ in range(10):
            assert slot.write(b"abc", 0, 3, False)
        for _ in range(10):
            net.turn()
        assert receive(sock, 30) == b"abc" * 10
        sock.close()
        net.close()


def case_peer_that_closes_is_seen_after_the_last_byte():
    for net in each_net():
        sock, slot = net.peer()
        send_all(sock, b"last words")
        sock.close()
        net.until(lambda slot=slot: slot.readable() == 10)
        net.turn()
        assert slot.state == states.CONNECTED
        buf = bytearray(16)
        assert slot.read(buf, 0, 16) == 10
        net.until(lambda slot=slot: slot.state == states.OTHER_END_CLOSED)
        slot.close()
        net.until(lambda slot=slot: slot.state == states.FREE)
        net.close()


def case_close_delivers_first():
    for net in each_net():
        sock, slot = net.peer()
        assert slot.write(b"bye", 0, 3, False)
        slot.close()
        assert receive(sock, 3) == b"bye"
        net.until(lambda slot=slot: slot.state in (states.FREE, states.CLOSE_PENDING))
        sock.close()
        net.until(lambda slot=slot: slot.state == states.FREE)
        net.close()


def case_refused_connection_is_aborted():
    for net in each_net():
        slot = net.manager.allocate(0)
        slot.connect(0x0100007F, 1)
        net.until(lambda slot=slot: slot.state == states.ABORTED)
        slot.abort()
        net.turn()
        assert slot.state == states.FREE
        net.close()


def case_outgoing_connection_tells_its_peer():
    for net in each_net():
        slot = net.manager.allocate(0)
        slot.connect(0x0100007F, net.port)
        net.until(lambda slot=slot: slot.state == states.CONNECTED)
        assert status.remote_port(slot.record) == net.port
        assert status.peer_ip(slot.record) == 0x0100007F
        net.close()


def case_a_wake_ends_a_wait():
    for net in each_net():
        net.stack.wake()
        assert net.stack.wait(10000) == 1
        assert net.stack.wait(0) == 0
        net.close()
