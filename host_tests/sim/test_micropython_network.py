"""SIM under a board's `network`, which is over MicroPython's nina driver; and a link that fails."""

import signal
import socket
import threading

import pytest
from nina_driver import Board
from nina_peers import CLIENT, SERVER, dial, listener, received, take
from nina_sim import board, stack, start_nina
from own_port import own_port
from raw_controller import PATIENCE

__all__ = ["board", "listener", "stack", "start_nina"]


# --- the link


@pytest.mark.behaviour("A13")
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
    sim.stand_still()
    board.process.send_signal(signal.SIGINT)
    threading.Timer(1, sim.signal, [signal.SIGCONT]).start()
    assert board.printed() == ["True", "(1, 8, 0)"]


@pytest.mark.behaviour("A13")
def test_cuts_and_gaps_anywhere(board, listener):
    """A call that is cut fails; the next one works, and so does the connection."""
    board.start(
        CLIENT % listener.getsockname()
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
        CLIENT % listener.getsockname()
        + "wlan.active(False)\nwlan.active(True)\nprint(wlan.isconnected())\n"
        + "wlan.connect('Workshop', 'correct-horse')\nwhile not wlan.isconnected(): pass\n"
        + f"s = socket.socket()\ns.connect({listener.getsockname()})\nprint('again')\n"
    )
    with take(listener), take(listener):
        assert board.printed() == ["connected", "False", "again"]


AIR = """
0 takes scan=50 search=300 join=20 handshake=100 address=20
0 appears Workshop password=correct-horse channel=6 rssi=-48
"""


@pytest.mark.behaviour("A19", "A21")
def test_a_scan_and_what_the_interface_tells(start_nina):
    _, board = start_nina(Board, radio=AIR)
    assert board.run(
        "print(wlan.ifconfig())\nprint(wlan.scan())\n"
        "wlan.connect('Workshop', 'correct-horse')\nwhile not wlan.isconnected(): pass\n"
        "print(wlan.config('ssid'), wlan.status('rssi'), wlan.ifconfig()[0])\n"
        "print(len(wlan.scan()), wlan.isconnected())\n",
        joined=False,
    ) == [
        "('0.0.0.0', '0.0.0.0', '0.0.0.0', '0.0.0.0')",
        "[(b'Workshop', b'\\x02SP\\x01\\x00\\x01', 6, -48, 4, 1)]",
        f"Workshop -48 {board.address}",
        "1 True",
    ]


COMES_AND_GOES = "".join(
    f"{t} vanishes Workshop\n{t + 3} appears Workshop\n" for t in range(8, 80, 8)
)


@pytest.mark.behaviour("A8")
def test_wifi_is_lost_and_comes_back(start_nina):
    """What was connected ends; what listened serves again."""
    _, board = start_nina(Board, radio=AIR + COMES_AND_GOES)
    with socket.create_server((board.peer, 0)) as listener:
        listener.settimeout(PATIENCE)
        port = own_port()
        board.start(
            SERVER % port
            + "s = socket.socket()\n"
            + f"s.connect({listener.getsockname()})\n"
            + "ends(s.recv, 100)\nwhile not wlan.isconnected():\n    time.sleep_ms(10)\n"
            + "print('back')\ns, _ = l.accept()\nprint(s.recv(5))\n"
        )
        board.says("listens")
        with take(listener):
            assert board.line() in ("ECONNRESET", "b''")
        board.says("back")
        with dial(board, port) as peer:
            peer.sendall(b"hello")
            assert board.printed() == ["b'hello'"]


def test_the_board_joins_by_itself_once_the_network_is_there(start_nina):
    """Its driver asks for the reason, and joins again."""
    _, board = start_nina(Board, radio=AIR.replace("0 appears", "3 appears"))
    board.start("print(wlan.isconnected())\n")
    assert board.printed() == ["True"]


def test_a_wrong_key_and_then_the_right_one(start_nina):
    _, board = start_nina(Board, radio=AIR)
    board.start(
        "wlan.connect('Workshop', 'wrong-horse')\n"
        "until = time.ticks_add(time.ticks_ms(), 1000)\n"
        "while time.ticks_diff(until, time.ticks_ms()) > 0:\n    assert not wlan.isconnected()\n"
        "wlan.connect('Workshop', 'correct-horse')\nwhile not wlan.isconnected(): pass\n"
        "print('joined')\n",
        joined=False,
    )
    assert board.printed() == ["joined"]
