"""A printer's services through the fake module, with real TCP of this computer behind it."""

from contextlib import asynccontextmanager

from fake_sim import Network
from rig import rigged

from spinet_controller.printer.plan import Naming
from spinet_controller.printer.serving import Printer
from spinet_controller.printer.status import ModuleReport
from spinet_controller.printer.store import FileStore
from spinet_controller.wifi import join


class Served:
    """What a test needs of it; `notes` are what the printer said."""

    def __init__(self, rig, store):
        self.rig = rig
        self.store = store
        self.report = ModuleReport(rig.module)
        self.notes = []

    def said(self, text):
        """True once the printer has said it."""
        return any(text in note for note in self.notes)


@asynccontextmanager
async def served(folder, ports, naming=None, before=lambda rig: None):
    """Give a Served whose printer serves `ports`; `before(rig)` is run before it starts."""
    async with rigged() as rig:
        Network(rig.firmware)
        await join(rig.module)
        made = Served(rig, FileStore(folder))
        before(rig)
        async with Printer(
            *(rig.module, made.store, made.report, ports, naming or Naming()),
            note=made.notes.append,
            join=lambda ssid: None,
        ):
            yield made
