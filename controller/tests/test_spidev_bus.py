"""The bus of a Raspberry Pi over a fake SPI device and fake pins, and the whole link on it."""

import asyncio
import os

import pytest
from fake_module import CONTROLLER_CLOCKED, CS, DATA_READY, TRANSFER_READY, FakeModule
from rig import PATIENT, PORT, Acceptor, eventually

from spinet_controller import Module
from spinet_controller.errors import LinkTimeout, ModuleLost
from spinet_controller.spi_bus import Pin, Role
from spinet_controller.spidev_bus import SpidevBus


class Board(FakeModule):
    """The fake module with its pins soldered to ours rather than on the virtual bus."""

    def __init__(self):
        super().__init__(CONTROLLER_CLOCKED)
        self._readable, self._writable = os.pipe()
        self._seen = []
        self._shifted_out = None
        self.transfers = []

    def close(self):
        os.close(self._readable)
        os.close(self._writable)

    def raw(self, kind, _arg, payload, length=None):
        """What would be a frame is a wire here: a pin's edge, or the bytes of a transfer."""
        if kind == 1:
            self._seen.append(payload == b"\1")
            os.write(self._writable, b"!")
        else:
            self._shifted_out = payload

    # what spidev does

    def xfer2(self, values):
        self.transfers.append(len(values))
        self._clocked(bytes(values))
        return list(self._shifted_out)

    # what gpiod does

    def drive(self, pin, level):
        if self.levels[pin] != level:
            self._controller_pin(pin, level)

    def data_ready(self):
        return bool(self.levels[DATA_READY])

    def fileno(self):
        return self._readable

    def edges(self):
        seen, self._seen = self._seen, []
        if seen:
            os.read(self._readable, len(seen))
        return seen


@pytest.fixture
async def board():
    made = Board()
    yield made
    assert not made.violations, made.violations
    made.close()


@pytest.fixture(params=[False, True], ids=["cs-held", "cs-per-phase"])
async def module(request, board):
    """A module that was reset and has started."""
    bus = SpidevBus(board, board, cs_per_phase=request.param)
    async with Module(bus, time_scale=PATIENT) as made, bus:
        await made.reset()
        yield made


async def test_the_pins_at_rest(board):
    bus = SpidevBus(board, board)
    async with bus, Module(bus):
        levels = {pin: board.levels[pin] for pin in (Pin.TRANSFER_READY, Pin.CS, Pin.RESET)}
        assert levels == {Pin.TRANSFER_READY: 0, Pin.CS: 1, Pin.RESET: 1}
        assert bus.role is Role.CONTROLLER_CLOCKED


async def test_a_transaction_is_one_transfer_for_each_phase(board, module):
    await module.conn_get_status(0)
    assert board.transfers == [8, 4, 20]
    assert (board.levels[CS], board.levels[TRANSFER_READY]) == (1, 0)


async def test_commands_and_sockets(board, module):
    await module.network_set_host_name("printer")
    assert board.firmware.host_name.startswith(b"printer\0")
    acceptor = Acceptor()
    data = bytes(range(256)) * 40
    async with await module.create_server(acceptor, PORT):
        slot = board.firmware.slots[0].connect(PORT)
        slot.feed(data)
        peer = await acceptor.first()
        peer.transport.write(data)
        await eventually(lambda: len(slot.sent) == len(peer.received) == len(data), "all moved")
    assert (slot.sent, peer.received) == (data, data)


async def test_news(board, module):
    heard = asyncio.get_running_loop().create_future()
    module.on_news = heard.set_result
    board.firmware.tell(b"signal lost")
    assert await heard == "signal lost"


async def test_a_phase_that_is_never_armed(board, module):
    board.silent_from = 1
    board.fell_silent = lambda: setattr(module.link, "time_scale", 0.2)
    with pytest.raises(LinkTimeout) as raised:
        await module.null()
    assert raised.value.started
    assert (board.levels[CS], board.levels[TRANSFER_READY]) == (1, 0)
    board.fell_silent = lambda: None
    board.give_up()
    module.link.time_scale = PATIENT
    await module.null()


async def test_a_closed_bus_has_no_module(board):
    bus = SpidevBus(board, board)
    async with Module(bus) as module:
        async with bus:
            pass
        with pytest.raises(ModuleLost, match="closed"):
            await module.null()
