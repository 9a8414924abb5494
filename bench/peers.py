"""The peers of what sim.py measures, in a process of their own: no work of theirs is counted.

Prints "ready" once it has loaded, begins when a line comes on its standard input, and prints what
it found as a line of JSON. Blocking sockets, a thread for each: the least a peer can spend.

  take  so many connections take BYTES together, until the other side closes: {"seconds"}
  give  so many connections give BYTES together, and wait for the close: {"seconds"}
  echo  one connection gives BYTES and takes them back: {"seconds"}
  ping  one connection sends one byte BYTES times, and waits for it to come back: {"sent"},
        the times of CLOCK_MONOTONIC

Usage: peers.py take|give|echo|ping PORT SOCKETS BYTES
"""

import json
import random
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

HOST = "127.0.0.1"
PATIENCE_S = 60
PIECE = 16384
LONGEST_PAUSE_S = 0.007
"""Between two bytes of `ping`: as long as a person needs for a key, or a request for its answer."""


class Short(Exception):
    """A connection ended before all of its bytes had passed."""


def shares(count, sockets):
    """`count` bytes shared among the sockets; the first takes what is over."""
    share, over = divmod(count, sockets)
    return [share + over, *[share] * (sockets - 1)]


def connected(port):
    """A connection to the server that is measured."""
    made = socket.create_connection((HOST, port), PATIENCE_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def send_all(peer, count):
    """So many bytes, in pieces."""
    piece = bytes(PIECE)
    for at in range(0, count, PIECE):
        peer.sendall(piece[: min(PIECE, count - at)])


def take_exactly(peer, count):
    """So many bytes, or Short. A piece at a time: no thread is woken for less, as on this computer
    the sender pays for that, and real peers are other computers."""
    room = memoryview(bytearray(PIECE))
    while count:
        wanted = min(PIECE, count)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wanted)
        taken = peer.recv_into(room[:wanted])
        if not taken:
            raise Short(f"a connection ended with {count} bytes to come")
        count -= taken


def see_the_end(peer):
    """The other side closes, and sends nothing more."""
    if peer.recv(1):
        raise Short("more came than was to come")


def take(port, count):
    """All that a server has to give."""
    with connected(port) as peer:
        take_exactly(peer, count)
        see_the_end(peer)


def give(port, count):
    """All that a server has to take; it closes when it has everything."""
    with connected(port) as peer:
        send_all(peer, count)
        peer.shutdown(socket.SHUT_WR)
        see_the_end(peer)


def echo(port, count):
    """Give and take the same bytes at once."""
    with connected(port) as peer, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_all, peer, count)
        take_exactly(peer, count)
        sending.result()


def timed(way, port, sockets, count):
    """Run `way` on so many connections at once."""
    start = time.monotonic()
    with ThreadPoolExecutor(sockets) as pool:
        for _ in pool.map(way, [port] * sockets, shares(count, sockets)):
            pass
    return {"seconds": time.monotonic() - start}


def ping(port, _sockets, count):
    """One byte there and back, again and again, at no regular time."""
    pause = random.Random(count)
    sent = []
    with connected(port) as peer:
        for _ in range(count):
            time.sleep(pause.uniform(0, LONGEST_PAUSE_S))
            sent.append(time.monotonic())
            peer.sendall(b"x")
            take_exactly(peer, 1)
    return {"sent": sent}


def main(arguments):
    """Wait for the word, run, tell."""
    what, *numbers = arguments
    print("ready", flush=True)
    if not sys.stdin.readline():
        return 1  # the program that started us is gone
    if what == "ping":
        found = ping(*map(int, numbers))
    else:
        found = timed({"take": take, "give": give, "echo": echo}[what], *map(int, numbers))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (Short, OSError) as error:
        print(json.dumps({"failed": str(error)}))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
