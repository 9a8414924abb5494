"""A whole service that speaks NINA's protocol, on a FakeBoard, and a driver's side of its link."""

from fake_board import FakeBoard
from sim_air import OwnPins

from spinet import loop
from spinet.nina import exchange
from spinet.nina.frames import SIZE
from spinet.nina.spi_target import SelectedTarget
from spinet.service import Service


def frame(command, *params, wide=False, padding=None):
    """A command as drivers send it. A parameter is bytes, or a number of one byte."""
    out = bytearray((0xE0, command, len(params)))
    for param in params:
        param = bytes([param]) if isinstance(param, int) else param
        out += len(param).to_bytes(2 if wide else 1, "big") + param
    out.append(0xEE)
    return bytes(out) + (bytes(-len(out) % 4) if padding is None else padding)


def parameters(reply, wide=False):
    """The parameters of a reply as the drivers find them."""
    assert reply[0] == 0xE0
    assert reply[1] & 0x80
    at, found = 3, []
    for _ in range(reply[2]):
        size = int.from_bytes(reply[at : at + 1 + wide], "big")
        at += 1 + wide
        found.append(bytes(reply[at : at + size]))
        at += size
    assert reply[at] == 0xEE
    return found


class FakeTarget:
    """The SPI target and the driver's pins: READY, CS, GPIO0. Transfers end as CS rises."""

    def __init__(self, wake):
        self.ready = 1
        self.level0 = 0
        self.armed = None  # (tx, rx, n)
        self.came = -1
        self.swallowed = 0
        self._wake = wake

    def arm(self, tx, rx, n):
        assert len(tx) == len(rx) == SIZE
        assert n % 4 == 0
        self.armed = (tx, rx, n)
        self.came = -1
        self.ready = 0

    def received(self):
        return self.came

    def disarm(self):
        self.armed = None
        self.came = -1
        self.ready = 1

    def gpio0(self, level):
        self.level0 = int(level)

    def select(self, data, n=None):
        """CS falls, the driver clocks `data` (n bytes of it or more), CS rises; what came back."""
        n = len(data) if n is None else n
        if self.armed is None or self.ready:
            self.swallowed += 1
            return bytes(n)
        tx, rx, armed = self.armed
        self.ready = 1
        got = bytes(tx[: min(n, armed)]) + bytes(max(0, n - armed))
        if n == 0:
            self.ready = 0
            return got
        data = (data + bytes(n))[:n]
        rx[: min(n, SIZE)] = data[:SIZE]
        self.came = min(n, SIZE)
        self.armed = None
        self._wake()
        return got


class NinaBoard(FakeBoard):
    """A FakeBoard with this link."""

    PROTOCOL = "nina"

    def __init__(self):
        super().__init__()
        self.target = FakeTarget(lambda: None)
        self.own_pins = OwnPins()

    def link_port(self):
        return SelectedTarget(self.target)

    def pins(self):
        self.own_pins.reset()
        return self.own_pins


class NinaBench:
    """The service, on a clock that only later() moves; its waits do not sleep."""

    def __init__(self, monkeypatch, board=None):
        self.now = 5000
        for module in (loop, exchange):
            monkeypatch.setattr(module, "ticks_ms", lambda: self.now)
        self.board = board or NinaBoard()
        self.target = self.board.target
        self.stack = self.board.the_stack
        wait = self.stack.wait
        self.stack.wait = lambda _ms: wait(0)
        self.service = Service(self.board)
        self.service.start()
        self.passes()

    def passes(self, n=3):
        """So many passes of the loop."""
        for _ in range(n):
            self.service.run_once()

    def later(self, ms):
        """So much time passes."""
        self.now += ms
        self.passes(2)

    def send(self, data):
        """The command's transfer; READY has to be low."""
        assert self.target.ready == 0
        self.target.select(data)
        assert self.target.ready == 1
        self.passes()

    def reply(self, n=None):
        """The reply's transfer: all that is armed, or n bytes."""
        assert self.target.ready == 0, "there is no reply"
        got = self.target.select(b"", self.target.armed[2] if n is None else n)
        self.passes()
        return got

    def ask(self, command, *params, wide=False):
        """The parameters of the reply to a command; None for the error frame."""
        self.send(frame(command, *params, wide=wide))
        reply = self.reply()
        if reply[0] == 0xEF:
            return None
        assert reply[1] == command | 0x80
        return parameters(reply, wide=command in (0x45, 0x5C, 0x78, 0x7A))
