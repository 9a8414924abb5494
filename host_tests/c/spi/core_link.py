"""SpiSlave over the compiled target core: pins and a controller around a CoreChip."""

from dataclasses import dataclass

from core_rig import OK
from fake_pins import FakePin, SlaveRig

from spinet.duet.controller_clocked import SpiSlave
from spinet.duet.transaction import Link


@dataclass(frozen=True)
class Wiring:
    """How controller and module go together. `counts`: the module ends a phase by counting."""

    counts: bool
    toggles: bool  # CS rises for each phase; else it stays low for the whole transaction
    piece: int = 4096  # bytes of one burst of SCK


WIRINGS = {
    "counting, CS low": Wiring(True, False),
    "counting, CS toggles": Wiring(True, True),
    "counting, CS toggles, in pieces": Wiring(True, True, 3),
    "by CS": Wiring(False, True),
    "by CS, in pieces": Wiring(False, True, 3),
}


class ChipSelect(FakePin):
    """CS, which the SPI's hardware sees before Python does."""

    def __init__(self, chip, trace):
        super().__init__("cs", 1, trace)
        self._chip = chip

    def drive(self, level, edge_seen=True):
        self._chip.cs(level)
        super().drive(level, edge_seen)


class CoreTarget:
    """The core as SpiSlave's target, and what the controller clocks."""

    def __init__(self, chip, trace):
        self._chip = chip
        self._trace = trace
        self.phases = []
        self.clocked = chip.clocked
        self.disarm = chip.disarm

    def arm(self, tx, rx, offset, n):
        self.phases.append((offset, n))
        self._chip.arm(tx, rx, offset, n)

    def clock(self, out):
        self._trace.append(("clock", len(out)))
        return self._chip.clock(out)


class CoreRig(SlaveRig):
    """A SlaveRig whose target is the core."""

    def __init__(self, commands, chip, wiring):
        super().__init__(commands, wiring.toggles, wiring.piece)
        assert chip.start_target(counts=wiring.counts) == OK
        self._rises_first = not wiring.counts
        self.link = Link(commands, (chip.tx, chip.rx))
        self.cs = ChipSelect(chip, self.trace)
        self.target = self.wire_side = CoreTarget(chip, self.trace)
        self.port = SpiSlave(self.target, self.cs, self.data_ready, self.transfer_ready)

    def phase(self, out):
        """Clock one phase; where nothing counts, CS has to rise before the next one is armed."""
        shifted = super().phase(out)
        if self._rises_first:
            self.cs.drive(1)
            self.serve()
        return shifted
