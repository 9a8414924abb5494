"""The simplest controller of NINA's role on the virtual bus, for tests that count bytes.

It knows the signals and where a reply ends, but no command. `pins` has the level of every pin,
READY (DATA_READY on the bus) among them; `frames` all that the module sent.
"""

from raw_controller import CS, DATA_READY, GPIO0, NINA, RESET, RawController

READY = DATA_READY
MOST = 4096  # bytes of a CLOCK, and of what the module takes in one selection


class NinaController(RawController):
    """Listens on a free port of the loopback; accept() takes the module, wait_ready() its boot."""

    def accept(self):
        """Take the module: its first frame is HELLO. READY has a pull-up."""
        version = super().accept()
        assert self.role == NINA
        self.pins = {READY: 1, CS: 1, RESET: 1, GPIO0: 0}
        return version

    def pin(self, number, level):
        self.pins[number] = level
        super().pin(number, level)

    def hold_reset(self):
        """RESET falls. What the module sent before has been received: READY is high."""
        self.pin(RESET, 0)
        self.clock(b"\0")
        assert self.pins[READY] == 1

    def reset(self):
        """Pulse RESET, and wait for the new boot."""
        self.hold_reset()
        self.pin(RESET, 1)
        self.wait_ready()

    def wait_ready(self):
        """Wait until READY is low: a transfer is armed."""
        self.until(lambda: self.pins[READY] == 0)

    def wait_boot(self):
        """The module is up when its first transfer is armed."""
        self.wait_ready()

    # --- selections

    def select(self, wait=True):
        """CS falls; wait until READY is high."""
        self.pin(CS, 0)
        if wait:
            self.until(lambda: self.pins[READY] == 1)

    def deselect(self):
        """CS rises: the transfer is over."""
        self.pin(CS, 1)

    def selection(self, out=b"", n=None, split=MOST, wait=True):
        """One selection of n bytes (len(out) unless told), with zeros behind `out`; what came.

        `split` is the length of each CLOCK, or a list of lengths, the last for all that are left.
        Without `wait`, READY is looked at neither before nor after CS falls.
        """
        if wait:
            self.wait_ready()
        self.select(wait)
        out += bytes((len(out) if n is None else n) - len(out))
        lengths = [split] if isinstance(split, int) else list(split)
        came = b""
        while len(came) < len(out):
            length = lengths.pop(0) if len(lengths) > 1 else lengths[0]
            came += self.clock(out[len(came) : len(came) + length])
        self.deselect()
        return came

    # --- commands

    def reply(self, n=MOST, split=MOST):
        """The second selection of a command, n bytes long: its reply, without zeros behind it."""
        return self.selection(n=n, split=split).rstrip(b"\0")

    def command(self, command, n=MOST, split=MOST):
        """A whole command, from E0 to what its padding may be; its reply, from E0 or EF to EE."""
        self.selection(command, split=split)
        return self.reply(n, split)
