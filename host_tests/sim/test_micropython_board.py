"""SIM under a board's `socket`, which is over MicroPython's nina driver."""

import contextlib
import socket
import subprocess

import pytest
from nina_driver import Board
from nina_peers import CLIENT, SERVER, dial, listener, received, reset, take
from nina_sim import board, stack, start_nina
from own_port import own_port
from raw_controller import PATIENCE

__all__ = ["board", "listener", "stack", "start_nina"]


def test_the_module_is_found(board):
    assert board.run("print(wlan.config('fw_version'))\n", joined=False) == ["(1, 8, 0)"]


# --- a client


@pytest.mark.behaviour("A7")
def test_a_client(board, listener):
    board.start(
        CLIENT % listener.getsockname()
        + "print(s.send(b'hello'))\nprint(s.recv(100), s.recv(100), s.recv(100))\ns.close()\n"
    )
    with take(listener) as peer:
        assert peer.recv(100) == b"hello"
        peer.sendall(b"answer")
    assert board.printed() == ["connected", "5", "b'answer' b'' b''"]


@pytest.mark.behaviour("A14")
def test_more_than_a_frame_is_written(board, listener):
    board.start(
        CLIENT % listener.getsockname()
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
        CLIENT % listener.getsockname()
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
        "s = socket.socket()\ns.settimeout(0)\n"
        + f"ends(s.connect, {listener.getsockname()})\n"
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


def test_a_client_that_does_not_block_writes_more_than_there_is_room_for(board, listener):
    board.start(
        CLIENT % listener.getsockname()
        + "s.settimeout(0)\nsent = 0\ntry:\n"
        + "    while n := s.send(bytes(4000)):\n        sent += n\n"
        + "except OSError as e:\n    print(errno.errorcode[e.errno])\n"
        + "p = select.poll()\np.register(s, select.POLLOUT)\n"
        + "print(sent)\np.poll()\nprint(s.send(b'end'))\n"
    )
    with take(listener) as peer:
        board.says("connected")
        board.says("EAGAIN")
        assert not any(received(peer, int(board.line())))
        assert received(peer, 3) == b"end"
        assert board.printed() == ["3"]


def test_poll_of_a_quiet_client(board, listener):
    board.start(
        CLIENT % listener.getsockname()
        + "p = select.poll()\np.register(s, select.POLLIN)\nprint(p.poll(100))\n"
        + "p.modify(s, select.POLLIN | select.POLLOUT)\nprint(p.poll(100)[0][1])\n"
    )
    with take(listener):
        assert board.printed() == ["connected", "[]", "4"]


def test_nobody_listens(board):
    port = own_port(board.peer)
    assert board.run(f"ends(socket.socket().connect, {board.peer, port})\n") == ["ECONNREFUSED"]


def test_a_peer_stalls(board, listener):
    """What the client writes waits for room until its time is over; then the peer reads on."""
    board.start(
        CLIENT % listener.getsockname()
        + "s.settimeout(1)\nsent = 0\ntry:\n"
        + "    while True:\n        sent += s.send(bytes(4000))\n"
        + "except OSError as e:\n    print(errno.errorcode[e.errno])\n"
        + "print(sent)\ns.settimeout(None)\n"
        + "print(s.recv(2))\nprint(s.send(b'end'))\ns.close()\n"
    )
    with take(listener) as peer:
        board.says("connected")
        board.says("ETIMEDOUT")
        sent = int(board.line())
        peer.sendall(b"go")
        assert received(peer, sent) == bytes(sent)
        assert received(peer, 3) == b"end"
        assert peer.recv(1) == b""
    assert board.printed() == ["b'go'", "3"]


# --- a server


def test_a_server(board):
    port = own_port()
    board.start(
        SERVER % port
        + "for _ in range(2):\n    s, address = l.accept()\n    print(address)\n"
        + "    s.write(s.read(5))\n    s.close()\nl.close()\n"
    )
    names = []
    for _ in range(2):
        with dial(board, port) as peer:
            names.append(str(peer.getsockname()))
            peer.sendall(b"hello")
            assert received(peer, 5) == b"hello"
            assert peer.recv(1) == b""
    assert board.printed() == ["listens", *names]


def test_a_server_that_does_not_block(board):
    port = own_port()
    board.start(
        SERVER % port
        + "l.settimeout(0)\nends(l.accept)\n"
        + "p = select.poll()\np.register(l, select.POLLIN)\nprint(p.poll()[0][1])\n"
        + "s, _ = l.accept()\nends(l.accept)\nprint(s.read(5))\n"
    )
    board.says("listens")
    board.says("EAGAIN")
    with dial(board, port) as peer:
        peer.sendall(b"hello")
        assert board.printed() == ["1", "EAGAIN", "b'hello'"]


@pytest.mark.behaviour("A4")
def test_a_listener_is_opened_again_at_once(board):
    port = own_port()
    board.start(
        "for _ in range(20):\n    l = socket.socket()\n"
        + f"    l.bind(('0.0.0.0', {port}))\n    l.listen(1)\n    print('listens')\n"
        + "    s, _ = l.accept()\n    s.write(s.read(1))\n    s.close()\n    l.close()\n"
    )
    for _ in range(20):
        board.says("listens")
        with dial(board, port) as peer:
            peer.sendall(b"x")
            assert received(peer, 1) == b"x"
    assert board.printed() == []


def test_what_was_written_outlives_the_listener(board):
    """Both are closed before the peer has read anything."""
    port = own_port()
    board.start(
        SERVER % port
        + "s, _ = l.accept()\ns.settimeout(1)\nsent = 0\ntry:\n"
        + "    while True:\n        sent += s.send(bytes(4000))\nexcept OSError:\n    pass\n"
        + "s.close()\nl.close()\nprint(sent)\n"
    )
    board.says("listens")
    with dial(board, port) as peer:
        sent = int(board.line())
        assert not any(received(peer, sent))
        assert peer.recv(1) == b""
    assert board.printed() == []


def test_peers_of_a_server_reset_and_vanish(board):
    """None of them keeps the next from being served."""
    port = own_port()
    board.start(
        SERVER % port
        + "served = 0\nwhile served < 5:\n    s, _ = l.accept()\n"
        + "    try:\n        data = s.read(5)\n        served += s.write(data) == 5\n"
        + "    except OSError:\n        pass\n    s.close()\n"
        + "print(served)\n"
    )
    for _ in range(5):
        reset(dial(board, port))
        dial(board, port).close()
        with dial(board, port) as half:
            half.sendall(b"he")
        with dial(board, port) as peer:
            peer.sendall(b"hello")
            assert received(peer, 5) == b"hello"
    assert board.printed() == ["listens", "5"]


def test_peers_that_are_gone_before_the_accept(board):
    """It waits for another; but it may take one whose reset comes a moment later."""
    port = own_port()
    board.start(
        SERVER % port
        + "input()\nl.settimeout(1)\ntry:\n    while True:\n        l.accept()[0].close()\n"
        + "except OSError as e:\n    print(errno.errorcode[e.errno])\n"
        + "l.settimeout(None)\ns, _ = l.accept()\nprint(s.read(5))\n"
    )
    board.says("listens")
    for _ in range(3):
        reset(dial(board, port))
    board.enter()
    board.says("ETIMEDOUT")
    with dial(board, port) as peer:
        peer.sendall(b"hello")
        assert board.printed() == ["b'hello'"]


def test_a_peer_that_only_reads(board):
    """It has ended its own side before the accept, and is told the time."""
    port = own_port()
    board.start(SERVER % port + "input()\ns, _ = l.accept()\nprint(s.recv(5))\ns.write(b'noon')\n")
    board.says("listens")
    with dial(board, port) as peer:
        peer.shutdown(socket.SHUT_WR)
        board.enter()
        assert received(peer, 4) == b"noon"
        assert board.printed() == ["b''"]


# --- peers that go


CALLS = {
    "recv": "s.recv(1)",
    "send": "s.send(bytes(4000))",
    "write": "s.write(bytes(6000))",
    "poll": "p.poll() and s.recv(1)",
    "does not block": "quietly(s.recv, 1)",
}
PARTS = [*(("client", call) for call in CALLS), ("server", "recv"), ("server", "send")]
UNTIL_AN_ERROR = """
def quietly(function, *arguments):
    try:
        function(*arguments)
    except OSError as e:
        if e.errno != errno.EAGAIN:
            raise

p = select.poll()
p.register(s, select.POLLIN)
s.settimeout(0 if %r == "does not block" else None)
print("ready")
try:
    while True:
        %s
except OSError as e:
    print(errno.errorcode[e.errno])
s.close()
input()
"""


def loses_its_peer(board, role, call, goes, comes):
    """A program that is in this call again and again, until it fails; the next connection works.

    goes(peer) ends the connection, comes() is called before the next."""
    with socket.create_server((board.peer, 0)) as listener:
        listener.settimeout(PATIENCE)
        port = own_port()
        name = listener.getsockname()
        begin = CLIENT % name if role == "client" else SERVER % port + "s, _ = l.accept()\n"
        board.start(begin + UNTIL_AN_ERROR % (call, CALLS[call]) + CLIENT % name)
        board.says("connected" if role == "client" else "listens")
        with take(listener) if role == "client" else dial(board, port) as peer:
            board.says("ready")
            goes(peer)
            assert board.line() in ("ECONNRESET", "ETIMEDOUT")
            comes()
            board.enter()
            with take(listener):
                assert board.printed() == ["connected"]


@pytest.mark.parametrize(("role", "call"), PARTS)
def test_a_peer_resets(board, role, call):
    loses_its_peer(board, role, call, reset, lambda: None)


def wire(state):
    """The TAP device is "up", or "down": then nothing passes between SIM and its peers."""
    subprocess.run(["ip", "link", "set", "dev", "spinet0", state], check=True)


@pytest.mark.behaviour("T4")
@pytest.mark.parametrize("stack", ["lwip"], indirect=True)
@pytest.mark.parametrize(("role", "call"), PARTS)
def test_a_peer_vanishes(start_nina, role, call):
    """lwIP's clock runs faster."""
    _, board = start_nina(Board, "--warp", "30")
    loses_its_peer(board, role, call, lambda _: wire("down"), lambda: wire("up"))


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
        s.connect(('%s', %d if i %% 5 else %d))
        s.write(bytes((i %% 5,)))
        s.recv(1)
    except OSError:
        pass
    s.close()
print(before, room())
"""


@pytest.mark.behaviour("A2")
def test_a_thousand_connections_lose_no_number(board, listener):
    """The peer answers, closes, resets, or is not there; the board closes first, or last."""
    board.start(ROOM + ROUNDS % (1000, *listener.getsockname(), own_port(board.peer)))
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


# --- asyncio

ASYNCIO = """
import asyncio
async def echo(reader, writer):
    try:
        while data := await reader.read(100):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()
    await writer.wait_closed()
async def main():
    server = await asyncio.start_server(echo, '0.0.0.0', %d)
    reader, writer = await asyncio.open_connection('%s', %d)
    await reader.read(1)
    server.close()
    await server.wait_closed()
print('starts')
asyncio.run(main())
"""


def test_asyncio_serves_several_peers_at_once(board, listener):
    port = own_port()
    board.start(ASYNCIO % (port, *listener.getsockname()))
    board.says("starts")
    with take(listener) as control, contextlib.ExitStack() as ending:
        peers = [ending.enter_context(dial(board, port)) for _ in range(4)]
        reset(dial(board, port))
        for i in range(50):
            for peer in peers:
                peer.sendall(b"%d" % i)
            for peer in peers:
                assert received(peer, len(b"%d" % i)) == b"%d" % i
        control.sendall(b"x")
        assert board.printed() == []


# --- UDP


@pytest.mark.behaviour("A10")
def test_datagrams(board):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((board.peer, 0))
        peer.settimeout(PATIENCE)
        board.start(
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            + f"peer = {peer.getsockname()}\n"
            + "for n in (1, 48, 1472):\n"
            + "    print(s.sendto(bytes(i & 255 for i in range(n)), peer))\n"
            + "    data, sender = s.recvfrom(2000)\n"
            + "    print(data == bytes(i & 255 for i in range(n, 0, -1)), sender == peer)\n"
            + "s.settimeout(0)\nends(s.recvfrom, 10)\ns.close()\n"
        )
        for n in (1, 48, 1472):
            data, sender = peer.recvfrom(2048)
            assert data == bytes(i & 255 for i in range(n))
            peer.sendto(bytes(i & 255 for i in range(n, 0, -1)), sender)
        told = [line for n in (1, 48, 1472) for line in (str(n), "True True")]
        assert board.printed() == [*told, "EAGAIN"]
