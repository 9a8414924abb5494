"""SIM under a board's UDP sockets, which are over MicroPython's nina driver; and its names."""

import socket
import time

import pytest
from lan_servers import NameServer, TimeServer, network_of_its_own, serve
from nina_driver import Board
from nina_sim import board, stack, start_nina
from raw_controller import PATIENCE

__all__ = ["board", "network_of_its_own", "serve", "stack", "start_nina"]

pytestmark = pytest.mark.usefixtures("network_of_its_own")

PORT = 9000
PEERS = 3
ECHO = """
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('0.0.0.0', %d))
print('bound')
data = b''
while data != b'end':
    data, there = s.recvfrom(1472)
    s.sendto(b're ' + data, there)
"""
SECONDS = 1_796_000_000
AIR = """
0 takes scan=50 search=300 join=20 handshake=100 address=20
0 appears Workshop password=correct-horse channel=6 rssi=-48
"""
DROPS = "".join(f"{t} drops Workshop\n" for t in range(1, 600))


@pytest.fixture
def echoing(board):
    """(three peers, the address of the board that echoes what they send)"""
    board.start(ECHO % PORT)
    board.says("bound")
    peers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(PEERS)]
    for peer in peers:
        peer.settimeout(PATIENCE)
        peer.bind((board.peer, 0))
    yield peers, (board.address, PORT)
    for peer in peers:
        peer.close()


def echoed(peer, data, there):
    """Send again and again until it is echoed; what else comes meanwhile is passed over."""
    peer.settimeout(0.2)
    limit = time.monotonic() + PATIENCE
    answer = None
    while answer != b"re " + data:
        assert time.monotonic() < limit
        peer.sendto(data, there)
        try:
            while answer != b"re " + data:
                answer = peer.recv(2048)
        except TimeoutError:
            pass
    return True


@pytest.mark.behaviour("A10", "A12")
def test_datagrams_and_a_burst(board, echoing):
    peers, there = echoing
    for first in range(0, 400, PEERS):
        sent = [b"%d " % (first + i) * (first % 64 + 1) for i in range(PEERS)]
        for peer, data in zip(peers, sent, strict=True):
            peer.sendto(data, there)
        for peer, data in zip(peers, sent, strict=True):
            assert peer.recvfrom(2048) == (b"re " + data, there)
    for i in range(10_000):
        peers[i % PEERS].sendto(b"burst %d" % i, there)
    assert all(echoed(peer, b"after", there) for peer in peers)
    assert echoed(peers[0], b"end", there)
    assert board.printed() == []


NTP = """
def now():
    question = bytearray(48)
    question[0] = 0x1B
    there = socket.getaddrinfo('pool.ntp.org', 123)[0][-1]
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        s.settimeout(60)
        s.sendto(question, there)
        answer = s.recv(48)
    finally:
        s.close()
    return int.from_bytes(answer[40:44], 'big') - 2208988800

def here():
    return socket.getaddrinfo('here.lan', 80)[0][-1][0]

def names(server):
    wlan.ifconfig(('0.0.0.0', '0.0.0.0', '0.0.0.0', server))

def next_time():
    while wlan.isconnected(): pass
    while not wlan.isconnected(): pass
"""


@pytest.mark.behaviour("A9")
def test_names_and_the_time_while_wifi_comes_and_goes(stack, start_nina, serve):
    _, board = start_nina(Board, radio=AIR + DROPS)
    pool = {"pool.ntp.org": board.peer}
    other, here = board.peer, "10.0.0.1"  # lwIP's network has one host besides
    serve(NameServer(board.peer, {**pool, "here.lan": here}))
    if stack == "sockets":
        other, here = "127.0.0.2", "10.0.0.2"
        serve(NameServer(other, {**pool, "here.lan": here}))
    serve(TimeServer(board.peer, SECONDS))
    assert board.run(
        NTP
        + f"names('{board.peer}')\n"
        + "wlan.connect('Workshop', 'correct-horse')\nwhile not wlan.isconnected(): pass\n"
        + "print(here(), now())\nnext_time()\nprint(here(), now())\n"
        + f"names('{other}')\nprint(here())\nnext_time()\nprint(here())\n"
        + "ends(socket.getaddrinfo, 'nowhere.lan', 80)\n",
        joined=False,
    ) == [
        f"10.0.0.1 {SECONDS}",
        f"10.0.0.1 {SECONDS}",
        here,
        here,
        "-1",
    ]
