"""A bus, a module and a fake at the other end: one rig for each way of wiring them."""

import asyncio
from contextlib import asynccontextmanager, contextmanager
from unittest.mock import patch

from fake_module import CONTROLLER_CLOCKED, MODULE_CLOCKED, FakeModule

from spinet_controller import Module, VirtualBus, link

PATIENCE = 60.0
"""Seconds after which something that should happen is taken not to."""

PATIENT = 10.0
"""The link's time scale for what must succeed: a computer that stands still for half a second is
no hung module."""

HURRIED = 0.2
"""The link's time scale for time-outs that are waited for."""

WIRINGS = {
    "module-clocked": (MODULE_CLOCKED, {}, {}),
    "module-clocked-merged": (MODULE_CLOCKED, {}, {"merged": True}),
    "module-clocked-kept": (
        MODULE_CLOCKED,
        {"keep_transfer_ready": True},
        {"kept_transfer_ready": True},
    ),
    "controller-clocked": (CONTROLLER_CLOCKED, {}, {}),
    "controller-clocked-cs-per-phase": (CONTROLLER_CLOCKED, {"cs_per_phase": True}, {}),
}

EARLY_CS = {
    "early-cs": (MODULE_CLOCKED, {}, {"early_cs": True}),
    "early-cs-kept": (
        MODULE_CLOCKED,
        {"keep_transfer_ready": True},
        {"early_cs": True, "kept_transfer_ready": True},
    ),
}
"""Here a command is answered before the module has its data; a test waits for what comes of it."""


async def eventually(condition, what="the condition"):
    """Wait, for a bounded time, until `condition()` is true; give what it gave."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not (found := condition()):
                await asyncio.sleep(0.001)
            return found
    except TimeoutError:
        raise AssertionError(f"did not happen: {what}") from None


class Rig:
    """A controller's Module on a bus, and the fake module that is plugged into it."""

    def __init__(self, bus, module, fake):
        self.bus = bus
        self.module = module
        self.fake = fake
        self.firmware = fake.firmware
        self.slots = fake.firmware.slots
        self.log = fake.firmware.log
        self.poller = module.poller
        self.reported = []
        self.opened = []
        self.expected_reports = 0
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: self.reported.append(context)
        )

    async def connect(self, *peer, **options):
        """Open a connection that lasts as long as the module."""
        self.opened.append(await self.module.open_connection(*peer, **options))

    def commands(self, number):
        """How many commands of that number the module has had."""
        return self.log.count(number)

    def hurry(self):
        """Time-outs are short from now on, also the one that is running."""
        link = self.module.link
        link.time_scale = HURRIED
        if link._watch:
            link._watch.cancel()
            link._watch_until(link._deadline(link._present))

    @contextmanager
    def patient(self):
        """What must succeed among time-outs that are waited for."""
        link = self.module.link
        before, link.time_scale = link.time_scale, PATIENT
        yield
        link.time_scale = before
        if link._watch and link._present is None:
            link._watch.cancel()  # it would come late for the next time-out
            link._watch = None

    async def still_works(self):
        """The module answers, and the link hears it."""
        with self.patient():
            await self.module.null()

    async def next_transactions(self, count=1):
        """Wait until the module has had so many more transactions."""
        goal = self.fake.transactions + count
        await eventually(lambda: self.fake.transactions >= goal, "transactions")

    def check(self):
        """Nothing the controller must not do, and no exception that was not taken."""
        assert not self.fake.violations, self.fake.violations
        assert len(self.reported) == self.expected_reports, self.reported


@asynccontextmanager
async def rigged(wiring="module-clocked", *, time_scale=PATIENT, **fake_options):
    """Give a Rig whose module has started, however long that took, and check it at the end."""
    role, bus_options, options = (WIRINGS | EARLY_CS)[wiring]
    async with VirtualBus(0, **bus_options) as bus:
        async with Module(bus, time_scale=PATIENT) as module:
            fake = FakeModule(role, **options, **fake_options)
            rig = Rig(bus, module, fake)
            await fake.plug_in(bus.port)
            with patch.object(link, "START_UP_STABLE", 0.001):
                await module.boot()
            module.link.time_scale = time_scale
            yield rig
        rig.check()


class Recorder(asyncio.Protocol):
    """A protocol that notes what happens to it."""

    def __init__(self, keep_open=False):
        self.keep_open = keep_open
        self.transport = None
        self.received = bytearray()
        self.events = []
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def data_received(self, data):
        self.received += data

    def eof_received(self):
        self.events.append("eof")
        return self.keep_open

    def pause_writing(self):
        self.events.append("pause")

    def resume_writing(self):
        self.events.append("resume")

    def connection_lost(self, exc):
        self.events.append("lost")
        self.lost.set_result(exc)

    async def gone(self):
        """Give the exception of connection_lost."""
        async with asyncio.timeout(PATIENCE):
            return await self.lost


PORT = 80


class Acceptor:
    """A server on PORT whose protocols are Recorders, in the order of their connections."""

    def __init__(self, **options):
        self.options = options
        self.made = []

    def __call__(self):
        protocol = Recorder(**self.options)
        self.made.append(protocol)
        return protocol

    async def first(self):
        """Give the first protocol once its connection has been made."""
        return await self.nth(0)

    async def nth(self, number):
        """Give a protocol once its connection has been made."""
        await eventually(lambda: len(self.made) > number, f"connection {number}")
        return self.made[number]


@asynccontextmanager
async def accepted(rig, window=None, **options):
    """Give the slot and the Recorder of one accepted connection.

    `window` is how much the module says it takes; it may grow later, and never shrinks.
    """
    acceptor = Acceptor(**options)
    async with await rig.module.create_server(acceptor, PORT):
        slot = rig.slots[0].connect(PORT)
        slot.window = window
        yield slot, await acceptor.first()
