"""SIM under a board's `network` and `socket`, which are over MicroPython's nina driver."""

import contextlib
import signal
import socket
import struct
import threading

import pytest
from nina_driver import Board
from nina_sim import board, start_nina
from raw_controller import PATIENCE

__all__ = ["board", "start_nina"]

ENDS = "def ends(function, *arguments):\n"
ENDS += "    try:\n        print(function(*arguments))\n"
ENDS += "    except OSError as e:\n        print(errno.errorcode.get(e.errno, e.errno))\n"


def free_port():
    """A port that nobody uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def listener():
    """A peer that listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        yield listener


def port_of(listener):
    return listener.getsockname()[1]


def take(listener):
    """The next connection of a peer that listens."""
    peer, _ = listener.accept()
    peer.settimeout(PATIENCE)
    return peer


def dial(port):
    """A connection to a board that listens, or will in a moment."""
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), PATIENCE)


def reset(peer):
    """End a connection with RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def received(peer, n):
    """n bytes from a peer."""
    data = b""
    while len(data) < n:
        more = peer.recv(n - len(data))
        assert more, f"{len(data)} of {n}"
        data += more
    return data


CLIENT = ENDS + "s = socket.socket()\ns.connect(('127.0.0.1', %d))\nprint('connected')\n"
SERVER = ENDS + "l = socket.socket()\nl.bind(('0.0.0.0', %d))\nl.listen(4)\nprint('listens')\n"


def test_the_module_is_found(board):
    assert board.run("print(wlan.config('fw_version'))\n", joined=False) == ["(1, 8, 0)"]


# --- a client


def test_a_client(board, listener):
    board.start(
        CLIENT % port_of(listener)
        + "print(s.send(b'hello'))\nprint(s.recv(100), s.recv(100), s.recv(100))\ns.close()\n"
    )
    with take(listener) as peer:
        assert peer.recv(100) == b"hello"
        peer.sendall(b"answer")
    assert board.printed() == ["connected", "5", "b'answer' b'' b''"]


def test_more_than_a_frame_is_written(board, listener):
    board.start(
        CLIENT % port_of(listener)
        + "data = bytes(i * 7 & 255 for i in range(6000))\n"
        + "print(s.write(data))\nprint(s.read(6000) == data)\n"
    )
    with take(listener) as peer:
        data = received(peer, 6000)
        assert data == bytes(i * 7 & 255 for i in range(6000))
        peer.sendall(data)
        assert board.printed() == ["connected", "6000", "True"]


def test_a_megabyte_each_way(board, listener):
    board.start(
        CLIENT % port_of(listener)
        + "part = bytes(range(256)) * 16\n"
        + "for _ in range(256):\n    s.write(part)\n"
        + "good = 0\nfor _ in range(256):\n    good += s.read(4096) == part\n"
        + "print(good)\n"
    )
    with take(listener) as peer:
        data = bytes(range(256)) * 4096
        assert received(peer, len(data)) == data
        peer.sendall(data)
        assert board.printed() == ["connected", "256"]


def test_a_client_that_does_not_block(board, listener):
    board.start(
        ENDS
        + "s = socket.socket()\ns.settimeout(0)\n"
        + f"ends(s.connect, ('127.0.0.1', {port_of(listener)}))\n"
        + "p = select.poll()\np.register(s, select.POLLOUT)\nprint(p.poll()[0][1])\n"
        + "ends(s.recv, 100)\nends(s.send, b'hello')\n"
        + "p.modify(s, select.POLLIN)\nprint(p.poll()[0][1])\n"
        + "ends(s.recv, 100)\nends(s.recv, 100)\n"
        + "s.send(b'on')\nprint(p.poll()[0][1])\nends(s.recv, 100)\n"
    )
    with take(listener) as peer:
        assert peer.recv(100) == b"hello"
        peer.sendall(b"answer")
        assert peer.recv(100) == b"on"
    assert board.printed() == [
        "EINPROGRESS", "4", "EAGAIN", "5", "1", "b'answer'", "EAGAIN", "1", "b''",
    ]  # fmt: skip


def test_poll_of_a_quiet_client(board, listener):
    board.start(
        CLIENT % port_of(listener)
        + "p = select.poll()\np.register(s, select.POLLIN)\nprint(p.poll(100))\n"
        + "p.modify(s, select.POLLIN | select.POLLOUT)\nprint(p.poll(100)[0][1])\n"
    )
    with take(listener):
        assert board.printed() == ["connected", "[]", "4"]


def test_nobody_listens(board):
    port = free_port()
    assert board.run(ENDS + f"ends(socket.socket().connect, ('127.0.0.1', {port}))\n") == [
        "ECONNREFUSED"
    ]


def test_a_peer_resets_while_the_client_reads(board, listener):
    board.start(CLIENT % port_of(listener) + "ends(s.recv, 100)\n")
    with take(listener) as peer:
        board.says("connected")
        reset(peer)
    assert board.printed() == ["ECONNRESET"]


def test_a_peer_resets_while_the_client_writes(board, listener):
    board.start(CLIENT % port_of(listener) + "while True:\n    s.send(bytes(1000))\n")
    with take(listener) as peer:
        received(peer, 1000)
        reset(peer)
    _, error = board.process.communicate(timeout=PATIENCE)
    assert "ECONNRESET" in error or "OSError: 32" in error or "EPIPE" in error


def test_a_peer_stalls(board, listener):
    """What the client writes waits for room until its time is over; then the peer reads on."""
    board.start(
        CLIENT % port_of(listener)
        + "s.settimeout(1)\nsent = 0\ntry:\n"
        + "    while True:\n        sent += s.send(bytes(4000))\n"
        + "except OSError as e:\n    print(errno.errorcode[e.errno])\n"
        + "print(sent)\ns.settimeout(None)\n"
        + "print(s.recv(2))\nprint(s.send(b'end'))\ns.close()\n"
    )
    with take(listener) as peer:
        board.says("connected")
        assert board.line() in ("ETIMEDOUT", "EAGAIN")
        sent = int(board.line())
        peer.sendall(b"go")
        assert received(peer, sent) == bytes(sent)
        assert received(peer, 3) == b"end"
        assert peer.recv(1) == b""
    assert board.printed() == ["b'go'", "3"]


# --- a server


def test_a_server(board):
    port = free_port()
    board.start(
        SERVER % port
        + "for _ in range(2):\n    s, address = l.accept()\n    print(address)\n"
        + "    s.write(s.read(5))\n    s.close()\nl.close()\n"
    )
    names = []
    for _ in range(2):
        with dial(port) as peer:
            names.append(str(peer.getsockname()))
            peer.sendall(b"hello")
            assert received(peer, 5) == b"hello"
            assert peer.recv(1) == b""
    assert board.printed() == ["listens", *names]


def test_a_server_that_does_not_block(board):
    port = free_port()
    board.start(
        SERVER % port
        + "l.settimeout(0)\nends(l.accept)\n"
        + "p = select.poll()\np.register(l, select.POLLIN)\nprint(p.poll()[0][1])\n"
        + "s, _ = l.accept()\nends(l.accept)\nprint(s.read(5))\n"
    )
    board.says("listens")
    board.says("EAGAIN")
    with dial(port) as peer:
        peer.sendall(b"hello")
        assert board.printed() == ["1", "EAGAIN", "b'hello'"]


def test_a_listener_is_opened_again_at_once(board):
    port = free_port()
    board.start(
        ENDS
        + "for _ in range(20):\n    l = socket.socket()\n"
        + f"    l.bind(('0.0.0.0', {port}))\n    l.listen(1)\n    print('listens')\n"
        + "    s, _ = l.accept()\n    s.write(s.read(1))\n    s.close()\n    l.close()\n"
    )
    for _ in range(20):
        board.says("listens")
        with dial(port) as peer:
            peer.sendall(b"x")
            assert received(peer, 1) == b"x"
    assert board.printed() == []


def test_peers_of_a_server_reset_and_vanish(board):
    """None of them keeps the next from being served."""
    port = free_port()
    board.start(
        SERVER % port
        + "served = 0\nwhile served < 5:\n    s, _ = l.accept()\n"
        + "    try:\n        data = s.read(5)\n        served += s.write(data) == 5\n"
        + "    except OSError:\n        pass\n    s.close()\n"
        + "print(served)\n"
    )
    for _ in range(5):
        reset(dial(port))
        dial(port).close()
        with dial(port) as half:
            half.sendall(b"he")
        with dial(port) as peer:
            peer.sendall(b"hello")
            assert received(peer, 5) == b"hello"
    assert board.printed() == ["listens", "5"]


# --- numbers


ROOM = """
def room():
    made = []
    try:
        while True:
            s = socket.socket()
            s.bind(('0.0.0.0', 0))
            made.append(s)
    except OSError:
        pass
    for s in made:
        s.close()
    return len(made)
"""

ROUNDS = """
before = room()
for i in range(%d):
    s = socket.socket()
    try:
        s.connect(('127.0.0.1', %d if i %% 5 else %d))
        s.write(bytes((i %% 5,)))
        s.recv(1)
    except OSError:
        pass
    s.close()
print(before, room())
"""


def test_a_thousand_connections_lose_no_number(board, listener):
    """The peer answers, closes, resets, or is not there; the board closes first, or last."""
    board.start(ENDS + ROOM + ROUNDS % (1000, port_of(listener), free_port()), joined=True)
    for _ in range(800):
        peer = take(listener)
        kind = peer.recv(1)
        if kind == b"\1":
            peer.sendall(b"x")
        elif kind == b"\2":
            peer.sendall(b"xyz")
        if kind == b"\3":
            reset(peer)
        else:
            peer.close()
    before, after = board.printed()[0].split()
    assert before == after
    assert int(before) >= 5


# --- the link


def test_ctrl_c_while_a_reply_is_late(start_nina):
    """The program is told of it, and goes on; its next call is answered."""
    sim, board = start_nina(Board)
    board.start(
        "while True:\n    try:\n        print('asks')\n"
        + "        while True:\n            wlan.isconnected()\n"
        + "    except KeyboardInterrupt:\n        break\n"
        + "print(wlan.isconnected())\nprint(wlan.config('fw_version'))\n"
    )
    board.says("asks")
    sim.signal(signal.SIGSTOP)
    board.process.send_signal(signal.SIGINT)
    threading.Timer(1, sim.signal, [signal.SIGCONT]).start()
    assert board.printed() == ["True", "(1, 8, 0)"]


def test_cuts_and_gaps_anywhere(board, listener):
    """A call that is cut fails; the next one works, and so does the connection."""
    board.start(
        CLIENT % port_of(listener)
        + "bad = 0\nfor n in range(60):\n    ninabus.cut(n)\n    wlan.isconnected()\n"
        + "    wlan.isconnected()\n    ninabus.cut(-1)\n"
        + "    ninabus.gap(n, 20)\n    bad += not wlan.isconnected()\n    ninabus.gap(-1, 0)\n"
        + "print(bad)\nprint(s.write(b'hello'))\nprint(s.read(5))\n"
    )
    with take(listener) as peer:
        peer.sendall(received(peer, 5))
        assert board.printed() == ["connected", "0", "5", "b'hello'"]


def test_a_module_that_was_reset_serves_again(board, listener):
    board.start(
        CLIENT % port_of(listener)
        + "wlan.active(False)\nwlan.active(True)\nprint(wlan.isconnected())\n"
        + "wlan.connect('Workshop', 'correct-horse')\nwhile not wlan.isconnected(): pass\n"
        + f"s = socket.socket()\ns.connect(('127.0.0.1', {port_of(listener)}))\nprint('again')\n"
    )
    with take(listener), take(listener):
        assert board.printed() == ["connected", "False", "again"]


AIR = """
0 takes scan=50 search=300 join=20 handshake=100 address=20
0 appears Workshop password=correct-horse channel=6 rssi=-48
"""


def test_a_scan_and_what_the_interface_tells(start_nina):
    _, board = start_nina(Board, radio=AIR)
    assert board.run(
        "print(wlan.ifconfig())\nprint(wlan.scan())\n"
        "wlan.connect('Workshop', 'correct-horse')\nwhile not wlan.isconnected(): pass\n"
        "print(wlan.config('ssid'), wlan.status('rssi'), wlan.ifconfig()[0])\n"
        "print(socket.getaddrinfo('localhost', 80)[0][-1])\n",
        joined=False,
    ) == [
        "('0.0.0.0', '0.0.0.0', '0.0.0.0', '0.0.0.0')",
        "[(b'Workshop', b'\\x02SP\\x01\\x00\\x01', 6, -48, 4, 1)]",
        "Workshop -48 127.0.0.1",
        "('127.0.0.1', 80)",
    ]
