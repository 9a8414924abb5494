#!/usr/bin/env python3
"""A module in NINA's role for tests, strict about levels and frames, on a thread of its own.

It shares no code with the package. As a program it is a SIM that answers with what it was sent:
`fake_nina.py -m sim --port N --protocol nina --state DIR`.
"""

import argparse
import contextlib
import socket
import struct
import threading
import time

PIN, CLOCK, SHIFT, HELLO = 1, 2, 3, 4
READY, CS, RESET, GPIO0 = 1, 2, 3, 4
NINA = 2


class FakeNina:
    """One module; from power_on() on it serves, until one of both sides closes the bus.

    What a selection clocked in is handed to `answer(bytes)`, which gives what the next selection
    shifts out. `seen` has both kinds of selections, `violations` what the controller must not do.
    """

    def __init__(self, port, answer=bytes, role=NINA):
        self.seen = []
        self.levels_seen = []
        self.violations = []
        self.shifts_too_much = False
        self._answer = answer
        self._role = role
        self._levels = {CS: 1, RESET: 1}
        self._armed = None  # what the next selection shifts out
        self._out = None  # what is left of it in this one
        self._in = bytearray()
        self._asked = True  # this selection is a command
        self._sock = socket.create_connection(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._serve)

    def power_on(self):
        """Say HELLO and boot."""
        self.raw(HELLO, self._role, b"1.0")
        self._boot()
        self._thread.start()
        return self

    def power_off(self):
        """Lose the power."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self.wait()

    def wait(self):
        """Return when the bus is closed."""
        self._thread.join()
        self._sock.close()

    def pin(self, number, level):
        """Drive a pin."""
        self.raw(PIN, number, bytes([level]))

    def _boot(self):
        self._asked = True
        self.pin(READY, 1)
        self._arm(b"")

    def _arm(self, data):
        self._armed = data
        self.pin(READY, 0)

    def raw(self, kind, arg, payload):
        """Send one frame."""
        with contextlib.suppress(OSError):
            self._sock.sendall(struct.pack("<BBH", kind, arg, len(payload)) + payload)

    def _serve(self):
        with contextlib.suppress(OSError), self._sock.makefile("rb") as file:
            while len(head := file.read(4)) == 4:
                kind, arg, length = struct.unpack("<BBH", head)
                self._frame(kind, arg, file.read(length))

    def _frame(self, kind, arg, payload):
        if kind == PIN and arg in self._levels and payload in (b"\0", b"\1"):
            self.levels_seen.append((arg, payload[0]))
            if self._levels[arg] != payload[0]:
                self._levels[arg] = payload[0]
                self._driven(arg, payload[0])
        elif kind == CLOCK and 1 <= len(payload) <= 4096:
            self._clocked(payload)
        else:
            self.violations.append((kind, arg, payload))

    def _driven(self, number, level):
        if number == RESET:
            self._boot() if level else self.pin(READY, 1)
        elif level:
            self._deselected()
        else:
            self._selected()

    def _selected(self):
        self._in = bytearray()
        self._out, self._armed = self._armed, None
        if self._out is not None:
            self.pin(READY, 1)

    def _clocked(self, data):
        if self._levels[CS]:
            self.violations.append("clocked while CS is high")
        if self._out is None:
            self.violations.append("clocked while READY is high")
        out = self._out or b""
        self._out = out[len(data) :]
        self._in += data
        length = len(data) + self.shifts_too_much
        self.raw(SHIFT, 0, out[: len(data)].ljust(length, b"\0"))

    def _deselected(self):
        if self._out is None:
            return  # nothing was armed
        if not self._in:
            self._arm(self._out)  # nothing was clocked
            return
        self.seen.append(bytes(self._in))
        self._arm(self._answer(bytes(self._in)) if self._asked else b"")
        self._asked = not self._asked


def main():
    """Be a SIM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-m")
    parser.add_argument("--port", type=int)
    parser.add_argument("--protocol", choices=["nina"])
    parser.add_argument("--state")
    options = parser.parse_args()
    while True:
        with contextlib.suppress(OSError):
            FakeNina(options.port).power_on().wait()
        time.sleep(0.1)


if __name__ == "__main__":
    main()
