"""The commands of NINA's protocol that `make bench` counts: see counted.py.

A command is two passes: in the first its frame has come, in the second its reply was read.
"""

import memchip
from counted import Board, Controller, bare_step, booted

from spinet.nina.spi_target import SelectedTarget

PORT = b"\0\x50"
SERVER = 0  # the numbers as the module gives them
CLIENT = 1
SENDS = 4  # asks: what memchip's controller does
READS = 5


class Target:
    """memchip as the SPI target."""

    def __init__(self):
        self.arm = memchip.arm_frame
        self.received = memchip.received
        self.disarm = memchip.disarm_frame
        self.gpio0 = memchip.gpio0


class NinaBoard(Board):
    """The board of a module that a controller selects."""

    PROTOCOL = "nina"
    ROOTS = ""

    def link_port(self):
        return SelectedTarget(Target())

    def pins(self):
        """No command of these is counted."""


class NinaController(Controller):
    """A server has the number SERVER; its client, if there is one, has CLIENT."""

    def __init__(self, sockets):
        self.board = NinaBoard()
        self.service = booted(self.board)
        self.play(command(0x3F), 1)
        self.play(command(0x28, PORT, SERVER, 0), 1)
        if sockets:
            self.play(command(0x2B, SERVER, happens="d"), 1)

    def response(self):
        """The first two bytes after the reply's head: two lengths' bytes, or one and a value."""
        shifted = memchip.shifted()
        return shifted[3] << 8 | shifted[4]


def command(number, *params, wide=False, **happens):
    """The two steps of a command; a parameter is bytes, or a number of one byte. The event, if any,
    is before the command."""
    frame = bytearray((0xE0, number, len(params)))
    for param in params:
        param = bytes((param,)) if isinstance(param, int) else param
        frame += len(param).to_bytes(2 if wide else 1, "big") + param
    frame.append(0xEE)
    length = len(frame) + 3 & ~3
    return [bare_step(bytes(frame[:12]), length, SENDS, **happens), bare_step(b"", 0, READS)]


ARRIVAL = {"happens": "a", "arrives": 1460}


def read(number, wide):
    """A read of 1460 bytes."""
    return command(number, bytes((CLIENT,)), (1460).to_bytes(2, "little"), wide=wide)


def read_as_circuitpython():
    """Bytes arrive; is it connected, how many are there, read them."""
    return command(0x2F, CLIENT, **ARRIVAL) + command(0x2B, CLIENT) + read(0x45, True)


def read_as_micropython():
    """Bytes arrive; may it be read, read."""
    return command(0x7C, CLIENT, **ARRIVAL) + read(0x78, False)


def write(n):
    """A write of n bytes, after the last one was acknowledged."""
    return command(0x44, bytes((CLIENT,)), bytes(n), wide=True, happens="r")


# What is counted, as counted.COUNTED has it
COUNTED_NINA = (
    ("NINA: status", 0, command(0x20), 0x0100),
    ("NINA: read", 1, read_as_circuitpython(), 1460),
    ("NINA: write 64", 1, write(64), 0x0240),
    ("NINA: write 1460", 1, write(1460), 0x02B4),
    ("NINA: server", 0, command(0x2B, SERVER), 0x02FF),
    ("NINA: poll and read", 1, read_as_micropython(), 1460),
)
