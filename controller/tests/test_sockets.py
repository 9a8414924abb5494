"""A socket of the module as an asyncio transport, grouped by what happens to it."""

import asyncio
import ssl

import aiohttp
import pytest
from aiohttp import web
from fake_module import ABORTED, CLOSE_PENDING, CONNECTED, FREE
from fake_sim import Network
from own_port import own_port
from rig import EARLY_CS, PATIENCE, PATIENT, PORT, Acceptor, Recorder, accepted, eventually, rigged

from spinet_controller import sockets
from spinet_controller.codes import Command, Response
from spinet_controller.errors import ConnectionRefused, HostNotFound
from spinet_controller.pacing import Pacer
from spinet_controller.printer import certificate

READ, WRITE = Command.CONN_READ, Command.CONN_WRITE
PUSH = 2
PATTERN = bytes(n * 7 % 251 for n in range(200_000))


# -- open -------------------------------------------------------------------------------


async def test_what_a_transport_knows(rig):
    acceptor = Acceptor()
    rig.firmware.wifi_state, rig.firmware.ip = 4, bytes([10, 0, 0, 9])
    async with await rig.module.create_server(acceptor, 8080, protocol=2):
        rig.slots[6].connect(8080, protocol=2, remote=("192.0.2.7", 40001))
        transport = (await acceptor.first()).transport
    assert transport.get_extra_info("peername") == ("192.0.2.7", 40001)
    assert transport.get_extra_info("sockname") == ("10.0.0.9", 8080)
    assert transport.get_extra_info("socket_number") == 6
    assert transport.get_extra_info("protocol_number") == 2
    assert transport.get_extra_info("socket") is None
    assert "6 open" in repr(transport)
    assert transport.get_protocol() is acceptor.made[0]


async def test_a_protocol_that_is_false_hears_of_the_end(rig):
    class Queue(Recorder):
        def __len__(self):
            return 0

    made = []
    async with await rig.module.create_server(lambda: made.append(Queue()) or made[-1], PORT):
        rig.slots[0].connect(PORT)
        await eventually(lambda: made and made[0].transport, "the connection")
        made[0].transport.abort()
        assert await made[0].gone() is None


async def own_address(acceptor, number):
    """Give the module's address, as a connection has it."""
    peer = await acceptor.nth(number)
    return peer.transport.get_extra_info("sockname")[0]


@pytest.mark.parametrize("state", [2, 4])
async def test_the_modules_own_address_is_that_of_its_network(rig, state):
    rig.firmware.ip = bytes([192, 0, 2, 1])
    acceptor = Acceptor()
    async with await rig.module.create_server(acceptor, PORT):
        rig.slots[0].connect(PORT)
        assert await own_address(acceptor, 0) == "0.0.0.0"
        # In one header: the state, and that there is a connection.
        rig.firmware.wifi_state = state
        rig.slots[1].connect(PORT)
        assert await own_address(acceptor, 1) == "192.0.2.1"
        # Another address in the same state, as a lease that ended leaves one.
        rig.firmware.ip = bytes([192, 0, 2, 2])
        rig.firmware.tell(b"")
        await eventually(lambda: rig.poller.local_ip == "192.0.2.2", "the news")
        rig.slots[2].connect(PORT)
        assert await own_address(acceptor, 2) == "192.0.2.2"
        outcome(rig, CONNECTED)
        transport, _peer = await rig.module.create_connection(Recorder, "192.0.2.9", 25)
        assert transport.get_extra_info("sockname") == ("192.0.2.2", 49155)
        rig.firmware.wifi_state = 1
        await eventually(lambda: rig.poller.local_ip == "0.0.0.0", "the end of the network")


async def test_a_connection_that_is_seen_before_the_state_has_the_address_too(rig):
    def connected():
        slot.status = status
        rig.firmware.wifi_state = 4  # after the header of this transaction
        rig.slots[1].connect(PORT)
        return status()

    acceptor = Acceptor()
    async with await rig.module.create_server(acceptor, PORT):
        slot = rig.slots[0].connect(PORT)
        await acceptor.first()
        status, slot.status = slot.status, connected
        assert await own_address(acceptor, 1) == "127.0.0.1"


async def test_the_modules_own_address_is_asked_for_again_after_a_transaction_went_wrong(rig):
    handlers = rig.firmware.HANDLERS

    def ends_early(firmware, *args):
        rig.fake.ends_early = True
        rig.fake.give_up = given_up
        return handlers[Command.NETWORK_GET_STATUS](firmware, *args)

    def given_up():
        rig.fake.ends_early = False
        rig.firmware.HANDLERS = handlers
        del rig.fake.give_up
        rig.fake.give_up()

    rig.firmware.HANDLERS = {**handlers, Command.NETWORK_GET_STATUS: ends_early}
    rig.firmware.wifi_state = 4
    await rig.module.null()
    await eventually(lambda: rig.poller.local_ip == "127.0.0.1", "the address")
    assert rig.commands(Command.NETWORK_GET_STATUS) == 2


async def test_a_module_that_is_gone_has_no_address(rig):
    rig.firmware.wifi_state = 4
    await rig.module.null()
    await eventually(lambda: rig.poller.local_ip == "127.0.0.1", "the address")
    rig.fake.unplug()
    await rig.module.gone()
    assert rig.poller.local_ip == "0.0.0.0"
    assert rig.module.wifi_state == 0


@pytest.mark.behaviour("L4")
async def test_bytes_both_ways_in_order(each_rig):
    async with accepted(each_rig) as (slot, peer):
        slot.feed(PATTERN)
        await eventually(lambda: len(peer.received) == len(PATTERN), "all received")
        assert peer.received == PATTERN
        peer.transport.write(PATTERN)
        await eventually(lambda: len(slot.sent) == len(PATTERN), "all sent")
        assert slot.sent == PATTERN


@pytest.mark.behaviour("L4")
@pytest.mark.parametrize("wiring", EARLY_CS)
@pytest.mark.parametrize("sck_hz", [None, 26_670_000])
async def test_bytes_of_a_module_that_raises_cs_before_it_has_them(wiring, sck_hz):
    async with rigged(wiring) as rig, accepted(rig) as (slot, peer):
        rig.bus.pacer = Pacer(sck_hz) if sck_hz else None
        slot.feed(PATTERN)
        peer.transport.write(PATTERN)
        await eventually(lambda: len(peer.received) == len(PATTERN), "all received")
        await eventually(lambda: len(slot.sent) == len(PATTERN), "all sent")
        assert peer.received == slot.sent == PATTERN


async def test_one_transaction_moves_a_full_data_phase(rig):
    async with accepted(rig) as (slot, peer):
        slot.feed(PATTERN)
        await eventually(lambda: len(peer.received) == len(PATTERN), "all received")
        assert rig.commands(READ) <= len(PATTERN) // 2048 + 8
        peer.transport.write(PATTERN)
        await eventually(lambda: len(slot.sent) == len(PATTERN), "all sent")
        assert rig.commands(WRITE) <= len(PATTERN) // 2048 + 8


async def test_a_buffered_protocol_is_fed_in_place(rig):
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self):
            self.room = bytearray(700)
            self.received = bytearray()

        def get_buffer(self, _hint):
            return self.room

        def buffer_updated(self, count):
            self.received += self.room[:count]

        def connection_made(self, transport):
            self.transport = transport

        def connection_lost(self, exc):
            pass

    peer = Buffered()
    async with await rig.module.create_server(lambda: peer, PORT):
        rig.slots[0].connect(PORT).feed(PATTERN[:5000])
        await eventually(lambda: len(peer.received) == 5000, "all received")
    assert peer.received == PATTERN[:5000]


async def test_another_protocol_takes_over(rig):
    async with accepted(rig) as (slot, peer):
        other = Recorder()
        peer.transport.set_protocol(other)
        slot.feed(b"late")
        await eventually(lambda: other.received, "data")
        assert (bytes(other.received), bytes(peer.received)) == (b"late", b"")


# -- writing ----------------------------------------------------------------------------


@pytest.mark.behaviour("D1")
async def test_push_goes_with_the_last_bytes_of_what_is_buffered(rig):
    async with accepted(rig) as (slot, peer):
        peer.transport.write(PATTERN[:5000])
        await eventually(lambda: len(slot.sent) == 5000, "all sent")
        assert slot.pushes == [(5000, PUSH)]


async def test_writes_of_one_round_become_one_transaction(rig):
    async with accepted(rig) as (slot, peer):
        await eventually(lambda: rig.module.link._present is None, "an idle link")
        peer.transport.write(b"head ")
        peer.transport.writelines([b"body ", bytearray(b"and "), memoryview(b"tail")])
        await eventually(lambda: slot.sent, "the data")
        assert bytes(slot.sent) == b"head body and tail"
        assert rig.commands(WRITE) == 1


@pytest.mark.behaviour("D5")
async def test_only_what_was_accepted_is_gone(rig):
    async with accepted(rig) as (slot, peer):
        slot.window = 100
        peer.transport.write(PATTERN[:5000])
        for size in (100, 0, 1, 2047, 900, 9000):
            slot.window = size
            goal = min(5000, len(slot.sent) + size)
            await eventually(lambda goal=goal: len(slot.sent) == goal, "the window's bytes")
        assert slot.sent == PATTERN[:5000]
        assert slot.pushes == [(5000, PUSH)]


async def test_the_buffers_marks_pause_and_resume_the_protocol(rig):
    async with accepted(rig, window=0) as (slot, peer):
        peer.transport.set_write_buffer_limits(high=3000, low=1000)
        peer.transport.write(b"x" * 3000)
        assert "pause" not in peer.events
        peer.transport.write(b"x")
        peer.transport.write(b"x")
        assert peer.events.count("pause") == 1
        assert peer.transport.get_write_buffer_size() == 3002
        slot.window = 2001
        left = peer.transport.get_write_buffer_size
        await eventually(lambda: left() == 1001, "what the window left")
        assert "resume" not in peer.events
        slot.window = 1
        await eventually(lambda: "resume" in peer.events, "resume")
        assert peer.events.count("resume") == 1


async def test_marks_that_make_no_sense(rig):
    async with accepted(rig) as (_slot, peer):
        with pytest.raises(ValueError, match="must be >="):
            peer.transport.set_write_buffer_limits(high=1, low=2)
        peer.transport.set_write_buffer_limits(low=100)
        assert peer.transport.get_write_buffer_limits() == (100, 400)
        peer.transport.set_write_buffer_limits()
        assert peer.transport.get_write_buffer_limits() == (16384, 65536)


async def test_lower_marks_count_at_once(rig):
    async with accepted(rig, window=0) as (_slot, peer):
        peer.transport.write(b"x" * 100)
        peer.transport.set_write_buffer_limits(high=99)
        assert "pause" in peer.events


async def test_what_cannot_be_written(rig):
    async with accepted(rig) as (_slot, peer):
        with pytest.raises(TypeError):
            peer.transport.write("text")
        assert peer.transport.can_write_eof() is False
        with pytest.raises(NotImplementedError, match="one direction"):
            peer.transport.write_eof()
        peer.transport.write(b"")
        assert rig.commands(WRITE) == 0


@pytest.mark.parametrize("code", [Response.WRONG_STATE, Response.BAD_PARAMETER])
async def test_a_negative_answer_to_a_write_is_a_broken_connection(rig, code):
    async with accepted(rig) as (slot, peer):
        rig.firmware.refuse[WRITE] = code
        peer.transport.write(b"data")
        assert isinstance(await peer.gone(), ConnectionResetError)
        await eventually(lambda: slot.state == FREE, "connAbort")
        assert rig.commands(Command.CONN_ABORT) == 1


# -- reading ----------------------------------------------------------------------------


async def test_a_paused_transport_reads_nothing(rig):
    async with accepted(rig) as (slot, peer):
        peer.transport.pause_reading()
        assert not peer.transport.is_reading()
        await rig.next_transactions(3)
        slot.feed(PATTERN[:6000])
        await rig.next_transactions(20)
        assert len(slot.inbox) == 6000
        peer.transport.resume_reading()
        assert peer.transport.is_reading()
        await eventually(lambda: len(peer.received) == 6000, "all received")
        assert peer.received == PATTERN[:6000]


async def test_bytes_on_their_way_when_reading_is_paused_are_kept(rig):
    async with accepted(rig) as (slot, peer):
        slot.read = reading = Reading(slot, peer.transport.pause_reading)
        slot.feed(b"on their way")
        await eventually(lambda: reading.done, "connRead")
        await rig.next_transactions(3)
        assert peer.received == b""
        peer.transport.resume_reading()
        await eventually(lambda: peer.received, "the bytes")
        assert peer.received == b"on their way"


class Reading:
    """A connRead during which something happens on the controller's side."""

    def __init__(self, slot, happens):
        self._read = slot.read
        self._happens = happens
        self.done = False

    def __call__(self, most):
        data = self._read(most)
        if data:
            self._happens()
            self.done = True
        return data


async def test_bytes_that_come_after_close_are_not_delivered(rig):
    async with accepted(rig) as (slot, peer):
        slot.read = Reading(slot, peer.transport.close)
        slot.feed(b"too late")
        assert await peer.gone() is None
        assert peer.received == b""


@pytest.mark.parametrize("data", [b"", b"last"])
async def test_the_end_waits_for_a_paused_reader(rig, data):
    async with accepted(rig, keep_open=True) as (slot, peer):
        peer.transport.pause_reading()
        slot.feed(data)
        slot.finish()
        await rig.next_transactions(20)
        assert "eof" not in peer.events
        peer.transport.resume_reading()
        await eventually(lambda: "eof" in peer.events, "the end")
        assert peer.received == data
        peer.transport.abort()


async def test_the_end_comes_after_bytes_that_were_held(rig):
    async with accepted(rig, keep_open=True) as (slot, peer):
        peer.eof_received = lambda: peer.events.append(bytes(peer.received))
        slot.read = Reading(slot, peer.transport.pause_reading)
        slot.feed(b"held")
        slot.finish()
        await rig.next_transactions(20)
        peer.transport.resume_reading()
        await peer.gone()
        assert peer.events == ["made", b"held", "lost"]


@pytest.mark.parametrize("error", [RuntimeError("mine"), ConnectionError("yours")])
async def test_a_protocol_that_raises_loses_its_connection_only(rig, error):
    class Faulty(Recorder):
        def data_received(self, data):
            raise error

    acceptor = Acceptor()
    faulty = Faulty()
    made = iter([faulty])
    rig.expected_reports = 1
    async with await rig.module.create_server(lambda: next(made, None) or acceptor(), PORT):
        rig.slots[0].connect(PORT).feed(b"x")
        assert await faulty.gone() is error
        rig.slots[1].connect(PORT).feed(b"fine")
        sound = await acceptor.first()
        await eventually(lambda: sound.received == b"fine", "the other's data")


# -- the peer ends ----------------------------------------------------------------------


@pytest.mark.behaviour("D13")
async def test_the_end_comes_after_the_last_byte(each_rig):
    rig = each_rig
    async with accepted(rig) as (slot, peer):
        slot.feed(PATTERN[:7000])
        slot.finish()
        assert await peer.gone() is None
        assert peer.received == PATTERN[:7000]
        assert peer.events == ["made", "eof", "lost"]
        await eventually(lambda: slot.state == FREE, "connClose")
        assert rig.commands(Command.CONN_CLOSE) == 1
        assert rig.commands(Command.CONN_ABORT) == 0


async def test_an_end_that_is_shown_while_bytes_are_left(rig):
    async with accepted(rig) as (slot, peer):
        slot.settle = lambda: None
        slot.feed(PATTERN[:7000])
        slot.state = 3
        assert await peer.gone() is None
        assert peer.received == PATTERN[:7000]


async def test_a_peer_that_ended_can_still_be_written_to(rig):
    async with accepted(rig, window=1000, keep_open=True) as (slot, peer):
        slot.finish()
        await eventually(lambda: "eof" in peer.events, "the end")
        peer.transport.write(PATTERN[:5000])
        await eventually(lambda: len(slot.sent) == 1000, "the window's bytes")
        slot.window = None
        await eventually(lambda: len(slot.sent) == 5000, "all sent")
        assert slot.sent == PATTERN[:5000]
        assert peer.events.count("eof") == 1
        peer.transport.close()
        assert await peer.gone() is None


async def test_what_was_written_before_the_end_is_sent_after_it(rig):
    async with accepted(rig, window=10) as (slot, peer):
        peer.transport.write(PATTERN[:3000])
        slot.finish()
        await eventually(lambda: "eof" in peer.events, "the end")
        slot.window = None
        assert await peer.gone() is None
        assert slot.sent == b""  # freed by connClose, after
        assert rig.poller.bytes_out == 3000


@pytest.mark.parametrize("keep_open", [False, True])
@pytest.mark.parametrize("written", [0, 2048, 9000])
async def test_a_reset_is_no_end(each_rig, keep_open, written):
    rig = each_rig
    async with accepted(rig, window=2048, keep_open=keep_open) as (slot, peer):
        peer.transport.write(PATTERN[:written])
        await eventually(lambda: len(slot.sent) == min(written, 2048), "a full window")
        slot.feed(PATTERN[:7000])
        slot.reset()
        assert isinstance(await peer.gone(), ConnectionResetError)
        assert peer.received == PATTERN[:7000]
        assert "eof" not in peer.events
        await eventually(lambda: slot.state == FREE, "connAbort")


async def test_a_reset_after_the_peers_end(rig):
    async with accepted(rig, keep_open=True) as (slot, peer):
        slot.finish()
        await eventually(lambda: "eof" in peer.events, "the end")
        slot.reset()
        peer.transport.write(b"nobody reads this")
        assert isinstance(await peer.gone(), ConnectionResetError)


@pytest.mark.parametrize("paused", [False, True])
async def test_the_end_of_a_peer_that_takes_nothing_is_one(rig, paused):
    async with accepted(rig, window=2048, keep_open=True) as (slot, peer):
        peer.transport.write(PATTERN[:2048])
        await eventually(lambda: len(slot.sent) == 2048, "a full window")
        slot.feed(b"last")
        slot.finish()
        if paused:
            peer.transport.pause_reading()
            await rig.next_transactions(20)
            assert peer.events == ["made"]
            peer.transport.resume_reading()
        await eventually(lambda: "eof" in peer.events, "the end")
        assert peer.received == b"last"
        slot.window = None
        peer.transport.write(PATTERN[2048:5000])
        await eventually(lambda: slot.sent == PATTERN[:5000], "all sent")
        assert peer.events == ["made", "eof"]
        peer.transport.abort()


async def test_streams_know_a_reset(rig):
    ended = asyncio.get_running_loop().create_future()

    async def conversation(reader, writer):
        got = await reader.readexactly(7)
        slot.reset()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        ended.set_result(got)

    async with await rig.module.start_server(conversation, PORT):
        slot = rig.slots[0].connect(PORT)
        slot.feed(b"a whole")
        async with asyncio.timeout(PATIENCE):
            assert await ended == b"a whole"


async def test_a_peer_that_ended_and_takes_nothing_is_given_up_when_a_limit_is_set(rig):
    async with accepted(rig, window=2048, keep_open=True) as (slot, peer):
        peer.transport.write(bytes(5000))
        slot.finish()
        await eventually(lambda: "eof" in peer.events, "the end")
        peer.transport.set_stall_limit(0.05)
        assert isinstance(await peer.gone(), ConnectionResetError)
        await eventually(lambda: slot.state == FREE, "connAbort")


async def test_a_peer_that_takes_nothing_is_given_up_when_a_limit_is_set(rig):
    async with accepted(rig, window=2048) as (slot, peer):
        peer.transport.set_stall_limit(0.05)
        peer.transport.write(bytes(5000))
        assert isinstance(await peer.gone(), ConnectionResetError)
        await eventually(lambda: slot.state == FREE, "connAbort")


@pytest.mark.parametrize("ended", [False, True])
async def test_a_peer_that_pauses_is_waited_for(rig, monkeypatch, ended):
    monkeypatch.setattr(sockets, "STALLED_CLOSE", 0)
    async with accepted(rig, window=0, keep_open=True) as (slot, peer):
        slot.fin = ended
        slot.settle()
        peer.transport.write(b"data")
        await rig.next_transactions(20)
        assert not peer.lost.done()
        slot.window = None
        await eventually(lambda: slot.sent == b"data", "the data")


@pytest.mark.parametrize("end", ["reset", "abort"])
async def test_a_peer_that_is_gone_while_we_write(rig, end):
    async with accepted(rig) as (slot, peer):
        peer.transport.write(bytes(100_000))
        getattr(slot, end)()
        error = await peer.gone()
        assert isinstance(error, ConnectionResetError)
        assert peer.events[-1] == "lost"
        await eventually(lambda: slot.state == FREE, "connAbort")
        assert rig.commands(Command.CONN_ABORT) == 1


async def test_a_stopped_network_leaves_nothing_to_abort(rig):
    async with accepted(rig) as (slot, peer):
        slot.free()
        assert isinstance(await peer.gone(), ConnectionResetError)
        await rig.next_transactions(3)
        assert rig.commands(Command.CONN_ABORT) + rig.commands(Command.CONN_CLOSE) == 0
        # A connRead may have been on its way when the network stopped.
        rig.fake.violations.clear()


# -- we end -----------------------------------------------------------------------------


async def test_close_sends_what_is_buffered_first(rig):
    async with accepted(rig) as (slot, peer):
        seen = []
        slot.closed = lambda: seen.append((bytes(slot.sent), slot.pushes))
        peer.transport.write(PATTERN[:9000])
        peer.transport.close()
        peer.transport.close()
        peer.transport.write(b"too late")
        assert peer.transport.is_closing()
        assert await peer.gone() is None
        assert seen == [(PATTERN[:9000], [(9000, PUSH)])]
        assert peer.events == ["made", "lost"]
        assert peer.transport.get_protocol() is None


async def test_a_close_that_nobody_takes_the_data_of(rig, monkeypatch):
    monkeypatch.setattr(sockets, "STALLED_CLOSE", 0.05)
    async with accepted(rig, window=0) as (slot, peer):
        peer.transport.write(b"data")
        peer.transport.close()
        assert isinstance(await peer.gone(), ConnectionResetError)
        await eventually(lambda: slot.state == FREE, "connAbort")


async def test_abort_sends_nothing_more(rig):
    async with accepted(rig, window=0) as (slot, peer):
        peer.transport.write(PATTERN)
        peer.transport.abort()
        peer.transport.abort()
        peer.transport.close()
        assert await peer.gone() is None
        await eventually(lambda: slot.state == FREE, "connAbort")
        assert rig.commands(Command.CONN_ABORT) == 1
        assert rig.commands(Command.CONN_CLOSE) == 0


async def test_abort_while_closing(rig):
    async with accepted(rig, window=0) as (slot, peer):
        peer.transport.write(b"data")
        peer.transport.close()
        peer.transport.abort()
        assert await peer.gone() is None
        await eventually(lambda: slot.state == FREE, "connAbort")


@pytest.mark.behaviour("K1")
async def test_a_slot_in_close_pending_is_not_ours_any_more(rig):
    async with accepted(rig) as (slot, peer):
        slot.linger = True
        peer.transport.close()
        assert await peer.gone() is None
        await rig.next_transactions(10)
        assert slot.state == CLOSE_PENDING
        assert rig.poller.slots == [None] * 8
        slot.free()


@pytest.mark.behaviour("K1")
async def test_a_slot_that_is_reused_at_once_is_a_new_connection(rig):
    acceptor = Acceptor()
    async with await rig.module.create_server(acceptor, PORT):
        slot = rig.slots[0].connect(PORT)
        first = await acceptor.first()
        slot.reused = lambda: slot.connect(PORT).feed(b"second") if slot.generation < 2 else None
        first.transport.write(b"bye")
        first.transport.close()
        assert await first.gone() is None
        second = await acceptor.nth(1)
        await eventually(lambda: second.received == b"second", "the second's data")
        assert first.received == b""
        second.transport.close()
        assert await second.gone() is None


@pytest.mark.behaviour("N4")
async def test_a_lost_transport_does_nothing_more(rig):
    async with accepted(rig) as (slot, peer):
        peer.transport.abort()
        await peer.gone()
        await eventually(lambda: slot.state == FREE, "connAbort")
        before = len(rig.log)
        peer.transport.write(b"x")
        peer.transport.close()
        peer.transport.abort()
        peer.transport.pause_reading()
        peer.transport.resume_reading()
        await rig.module.null()
        assert set(rig.log[before:]) <= {Command.NULL, Command.CONN_GET_STATUS}
        assert peer.events.count("lost") == 1
        assert peer.transport.next_request(now=float("inf")) is None


# -- the link fails ---------------------------------------------------------------------


async def test_a_transaction_that_never_began_loses_nothing(rig):
    link = rig.module.link
    async with accepted(rig) as (slot, peer):
        await eventually(lambda: link._present is None, "an idle link")
        rig.fake.silent, link.time_scale = True, 0.1
        slot.feed(PATTERN[:5000])
        peer.transport.write(PATTERN[:5000])
        await eventually(lambda: link.failures >= 3, "failures")
        with rig.patient():
            rig.fake.silent = False
            await eventually(lambda: len(peer.received) == 5000, "all received")
            await eventually(lambda: len(slot.sent) == 5000, "all sent")
        assert (peer.received, slot.sent) == (PATTERN[:5000], PATTERN[:5000])


@pytest.mark.parametrize("command", [READ, WRITE])
@pytest.mark.behaviour("D5")
async def test_a_transfer_that_was_cut_breaks_the_connection(command):
    async with rigged() as rig, accepted(rig) as (slot, peer):
        link, handler = rig.module.link, rig.firmware.HANDLERS[command]

        def hangs(firmware, *args):
            answer = handler(firmware, *args)
            if answer.response:
                rig.fake.silent_from, link.time_scale = 2, 0.2
            return answer

        rig.firmware.HANDLERS = {**rig.firmware.HANDLERS, command: hangs}
        slot.feed(b"data") if command == READ else peer.transport.write(b"data")
        await eventually(lambda: link.failures, "the failure")
        link.time_scale = PATIENT
        rig.fake.give_up()
        error = await peer.gone()
        assert isinstance(error, ConnectionResetError)
        assert "not answered" in str(error)
        await eventually(lambda: slot.state == FREE, "connAbort")


async def test_a_lost_module_loses_every_connection(rig):
    acceptor = Acceptor()
    await rig.module.create_server(acceptor, PORT)
    for number in (0, 1, 2):
        rig.slots[number].connect(PORT)
    await acceptor.nth(2)
    acceptor.made[1].transport.close()
    rig.fake.unplug()
    first, second, third = [await peer.gone() for peer in acceptor.made]
    assert isinstance(first, ConnectionResetError)
    assert isinstance(third, ConnectionResetError)
    assert second is None or isinstance(second, ConnectionResetError)
    assert rig.poller.slots == [None] * 8


# -- several ----------------------------------------------------------------------------


@pytest.mark.behaviour("D2")
async def test_a_peer_that_does_not_read_slows_nobody(rig, monkeypatch):
    monkeypatch.setattr(sockets, "LONGEST", 1000)  # looks grow rare even where time flies
    acceptor = Acceptor()
    async with await rig.module.create_server(acceptor, PORT):
        stuck = [rig.slots[number].connect(PORT) for number in range(7)]
        await acceptor.nth(6)
        for slot, peer in zip(stuck, acceptor.made, strict=True):
            slot.window = 0
            peer.transport.write(b"never taken")
        brisk = rig.slots[7].connect(PORT)
        peer = await acceptor.nth(7)
        await rig.next_transactions(100)
        before = rig.fake.transactions
        peer.transport.write(PATTERN)
        await eventually(lambda: len(brisk.sent) == len(PATTERN), "all sent")
        needed = len(PATTERN) // 2048 + 1
        assert rig.fake.transactions - before < 3 * needed


async def test_busy_sockets_share_the_link_evenly(rig):
    acceptor = Acceptor()
    async with await rig.module.create_server(acceptor, PORT):
        slots = [rig.slots[number].connect(PORT) for number in range(3)]
        await acceptor.nth(2)
        for slot in slots:
            slot.feed(bytes(10 * 65536))
        await eventually(lambda: len(acceptor.made[0].received) > 5 * 65536, "half of it")
        shares = [len(peer.received) for peer in acceptor.made]
        assert min(shares) >= 0.9 * max(shares)


async def test_a_socket_reads_and_writes_in_turns(rig):
    class Talker(Recorder):
        def connection_made(self, transport):
            transport.write(bytes(20 * 2048))

    talker = Talker()
    async with await rig.module.create_server(lambda: talker, PORT):
        slot = rig.slots[0].connect(PORT)
        slot.feed(bytes(20 * 2048))
        await eventually(lambda: len(slot.sent) == len(talker.received) == 20 * 2048, "all moved")
    busy = [number for number in rig.log if number in (READ, WRITE)]
    assert {busy[4], busy[5]} == {READ, WRITE}


async def test_who_only_writes_sees_what_comes(rig):
    async with accepted(rig, keep_open=True) as (slot, peer):
        slot.accept = lambda data, flags: None
        peer.resume_writing = lambda: peer.transport.write(bytes(60_000))
        peer.transport.write(bytes(100_000))
        await rig.next_transactions(10)
        slot.feed(b"stop it")
        await eventually(lambda: peer.received, "the data")
        peer.transport.abort()


async def test_the_state_of_an_accepted_socket_is_as_it_was_left(rig):
    async with accepted(rig) as (slot, _peer):
        assert slot.state == CONNECTED
    assert slot.held


# -- outgoing ---------------------------------------------------------------------------


def outcome(rig, state):
    """Let every connCreate end in `state` after one look at connecting."""
    looks = []

    def outgoing(slot):
        status = slot.status

        def looked():
            looks.append(slot.state)
            answer = status()
            if len(looks) == 2:
                slot.state = state
            return answer

        slot.status = looked

    rig.firmware.outgoing = outgoing


async def test_an_outgoing_connection(each_rig):
    rig = each_rig
    outcome(rig, CONNECTED)
    transport, peer = await rig.module.create_connection(Recorder, "192.0.2.9", 1883, protocol=4)
    assert transport.get_extra_info("peername") == ("192.0.2.9", 1883)
    assert peer.transport is transport
    slot = rig.slots[0]
    slot.feed(b"hello")
    transport.write(b"there")
    await eventually(lambda: peer.received == b"hello" and slot.sent == b"there", "the exchange")
    transport.close()
    assert await peer.gone() is None


async def test_an_outgoing_connection_as_streams(rig):
    outcome(rig, CONNECTED)
    reader, writer = await rig.module.open_connection("192.0.2.9", 80, timeout=PATIENCE)
    slot = rig.slots[0]
    writer.write(b"GET")
    await writer.drain()
    slot.feed(b"200 OK\n")
    slot.finish()
    assert await reader.readline() == b"200 OK\n"
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


@pytest.mark.behaviour("D14")
@pytest.mark.parametrize("state", [4, 0, 5], ids=["aborted", "free", "closePending"])
async def test_an_outgoing_connection_that_fails(rig, state):
    outcome(rig, state)
    with pytest.raises(ConnectionRefusedError):
        await rig.module.create_connection(Recorder, "192.0.2.9", 80)
    await eventually(lambda: rig.poller.slots == [None] * 8, "the slot")
    await rig.module.null()
    assert rig.commands(Command.CONN_ABORT) == (1 if state == 4 else 0)


async def test_no_socket_is_free(rig):
    for slot in rig.slots:
        slot.connect(80)
    with pytest.raises(ConnectionError, match="no free socket"):
        await rig.module.create_connection(Recorder, "192.0.2.9", 80)


@pytest.mark.behaviour("N1")
async def test_an_outgoing_connection_that_takes_too_long(rig):
    with pytest.raises(TimeoutError, match=r"no answer from 192\.0\.2\.9:80 within 0\.05 s"):
        await rig.module.create_connection(Recorder, "192.0.2.9", 80, timeout=0.05)
    await eventually(lambda: rig.commands(Command.CONN_ABORT) == 1, "connAbort")
    assert rig.slots[0].state == FREE


async def test_an_opener_that_leaves_while_conn_create_is_under_way(rig):
    rig.fake.silent = True
    opening = asyncio.create_task(rig.module.create_connection(Recorder, "192.0.2.9", 80))
    await eventually(lambda: rig.fake.levels[0], "the offer")
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    rig.fake.silent = False
    rig.fake.start()
    await eventually(lambda: rig.commands(Command.CONN_ABORT), "connAbort")
    await eventually(lambda: rig.poller.slots == [None] * 8, "the slot")


@pytest.mark.parametrize("leaves", ["at once", "a moment later"])
async def test_an_opener_that_leaves_just_as_the_connection_stands(rig, leaves):
    class Parting(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            if leaves == "at once":
                opening.cancel()
            else:
                asyncio.get_running_loop().call_soon(opening.cancel)

    outcome(rig, CONNECTED)
    opening = asyncio.create_task(rig.module.create_connection(Parting, "192.0.2.9", 80))
    with pytest.raises(asyncio.CancelledError):
        await opening
    await eventually(lambda: rig.slots[0].state == FREE, "connAbort")


async def test_an_outgoing_connection_whose_protocol_cannot_be_made(rig):
    rig.expected_reports = 1
    outcome(rig, CONNECTED)

    def factory():
        raise RuntimeError("no protocol")

    with pytest.raises(RuntimeError, match="no protocol"):
        await rig.module.create_connection(factory, "192.0.2.9", 80)
    await eventually(lambda: rig.slots[0].state == FREE, "connAbort")


@pytest.mark.behaviour("C11")
async def test_a_peer_by_name(rig):
    outcome(rig, CONNECTED)
    _reader, writer = await rig.module.open_connection("example.test", 80)
    assert (rig.slots[0].name, rig.slots[0].remote_ip) == ("example.test", bytes(4))
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("as_news", [False, True], ids=["asked", "as news"])
async def test_a_host_that_is_not_found_is_told_by_its_name(rig, as_news):
    def outgoing(slot):
        slot.state = ABORTED
        rig.firmware.last_error = b"host not found: example.test"
        if as_news:
            rig.fake.pulse()

    news = []
    rig.module.on_news = news.append
    rig.firmware.outgoing = outgoing
    with pytest.raises(HostNotFound, match=r"host not found: example\.test"):
        await rig.module.open_connection("example.test", 80)
    assert "host not found: example.test" in news


async def test_a_peer_by_name_that_refuses(rig):
    outcome(rig, ABORTED)
    with pytest.raises(ConnectionRefusedError):
        await rig.module.open_connection("example.test", 80)


async def test_a_name_that_was_not_found_once_may_be_found_and_refuse(rig):
    def outgoing(slot):
        slot.state = ABORTED
        rig.firmware.last_error = b"host not found: example.test" if unknown.pop() else b""

    unknown = [False, True]
    rig.firmware.outgoing = outgoing
    with pytest.raises(HostNotFound):
        await rig.module.open_connection("example.test", 80)
    with pytest.raises(ConnectionRefusedError):
        await rig.module.open_connection("example.test", 80)


async def test_each_of_two_attempts_has_its_own_reason(rig):
    def outgoing(slot):
        slot.state = ABORTED
        if slot.name == "nowhere.test":
            rig.firmware.tell(b"host not found: nowhere.test")

    rig.firmware.outgoing = outgoing
    names = ("nowhere.test", "example.test", "nowhere.test")
    attempts = [rig.module.open_connection(name, 80) for name in names]
    found = await asyncio.gather(*attempts, return_exceptions=True)
    assert [type(error) for error in found[:2]] == [HostNotFound, ConnectionRefused]
    assert isinstance(found[2], HostNotFound)


async def test_what_can_be_no_name_is_no_peer(rig):
    with pytest.raises(ValueError, match="can be no host name"):
        await rig.module.open_connection("two words", 80)


async def test_a_peer_that_closed_before_we_looked(rig):
    rig.firmware.outgoing = lambda slot: (slot.feed(b"220 ready"), setattr(slot, "state", 3))
    reader, writer = await rig.module.open_connection("192.0.2.9", 21)
    assert await reader.read() == b"220 ready"
    writer.close()
    await writer.wait_closed()


async def test_a_module_lost_while_connecting(rig):
    opening = asyncio.create_task(rig.module.create_connection(Recorder, "192.0.2.9", 80))
    await eventually(lambda: rig.slots[0].held, "connCreate")
    rig.fake.unplug()
    with pytest.raises(ConnectionResetError):
        await opening


# -- how often we look ------------------------------------------------------------------


def test_a_lively_socket_is_looked_at_soon_and_an_idle_one_seldom():
    waits = sockets.Waits()
    found = [waits.next() for _ in range(40)]
    assert found[: sockets.LIVELY] == [sockets.SHORTEST] * sockets.LIVELY
    assert found == sorted(found)
    assert found[-1] == sockets.LONGEST
    waits.restart()
    assert waits.next() == sockets.SHORTEST


async def test_after_a_read_that_was_not_full_the_status_tells(rig):
    async with accepted(rig) as (slot, peer):
        await eventually(lambda: rig.commands(READ), "the first read")
        for count in (1, 2, 3):
            slot.feed(b"x")
            await eventually(lambda n=count: len(peer.received) == n, "the byte")
        assert rig.commands(READ) == 1 + 3  # the first is asked for as the connection comes


async def test_a_socket_that_is_only_written_to_is_looked_at_now_and_then(rig, monkeypatch):
    monkeypatch.setattr(sockets, "UNSEEN", 0.0)
    acceptor, slot = Acceptor(), rig.slots[5]  # the lookout asks for another's status
    status, looks = slot.status, []
    slot.status = lambda: looks.append(len(slot.sent)) or status()
    async with await rig.module.create_server(acceptor, PORT):
        slot.connect(PORT)
        peer = await acceptor.first()
        await eventually(lambda: rig.commands(READ), "the first read")
        peer.transport.write(PATTERN)
        await eventually(lambda: len(slot.sent) == len(PATTERN), "all sent")
    meanwhile = [sent for sent in looks if 0 < sent < len(PATTERN)]
    assert 4 <= len(meanwhile) <= len(PATTERN) // 2048 // sockets.UNSEEN_WRITES + 1


async def test_sockets_that_are_only_written_to_take_turns_in_being_looked_at(rig, monkeypatch):
    monkeypatch.setattr(sockets, "UNSEEN", PATIENCE)  # longer than the test lasts
    async with accepted(rig) as (_slot, peer):
        peer.transport._unseen_writes = sockets.UNSEEN_WRITES
        rig.poller.seen_at = float("-inf")
        assert peer.transport._overlooked()
        rig.poller.bitmaps_seen(1, 0)  # another's status came
        assert not peer.transport._overlooked()


async def test_what_a_peer_sends_is_seen_while_we_only_write(rig):
    async with accepted(rig) as (slot, peer):
        accept = slot.accept

        def take_and_have_more_written(data, flags):
            accept(data, flags)
            peer.transport.write(data)

        slot.accept = take_and_have_more_written
        await eventually(lambda: not peer.transport._readable, "nothing to read")
        peer.transport.write(PATTERN)
        slot.feed(b"stop")
        await eventually(lambda: peer.received == b"stop", "what the peer sent")
        assert peer.transport.get_write_buffer_size() >= len(PATTERN)
        peer.transport.abort()


def test_the_status_of_a_written_socket_comes_before_the_lookout_asks():
    assert sockets.UNSEEN < sockets.LONGEST


# -- what asyncio builds on a transport -------------------------------------------------


@pytest.fixture
def peers_port(rig):
    """Real TCP of this computer behind the slots, and a free port of it."""
    Network(rig.firmware)
    return own_port()


@pytest.fixture
def identity(tmp_path):
    """A certificate for localhost and 127.0.0.1."""
    return certificate.kept(tmp_path / "tls", "localhost", "127.0.0.1")


@pytest.fixture
def served_tls(identity):
    """What a server shows of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.path, identity.path.with_name("key.pem"))
    return context


@pytest.fixture
def trusting(identity):
    """A client that believes in this certificate alone."""
    return ssl.create_default_context(cadata=identity.cert.decode())


@pytest.mark.parametrize("window", [None, 1000])
async def test_a_file_is_sent(rig, tmp_path, window):
    path = tmp_path / "file"
    path.write_bytes(PATTERN)
    loop = asyncio.get_running_loop()
    async with accepted(rig, window=window) as (slot, peer):
        peer.transport.set_write_buffer_limits(high=3000)
        with path.open("rb") as file:
            sending = asyncio.create_task(loop.sendfile(peer.transport, file, 100, 150_000))
            if window:
                await eventually(lambda: slot.window == 0, "a full window")
                slot.feed(b"not for the file")
                slot.window = None
            assert await sending == 150_000
        peer.transport.write(b"and more")
        await eventually(lambda: len(slot.sent) == 150_008, "all sent")
        assert slot.sent == PATTERN[100:150_100] + b"and more"
        if window:
            await eventually(lambda: peer.received == b"not for the file", "what came meanwhile")
        assert peer.transport.get_protocol() is peer


async def test_a_protocol_that_has_sent_a_file_is_told_when_to_pause(rig, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(PATTERN[:4000])
    loop = asyncio.get_running_loop()
    async with accepted(rig, window=0) as (slot, peer):
        peer.transport.set_write_buffer_limits(high=3000)
        with path.open("rb") as file:
            await loop.sendfile(peer.transport, file)
            assert peer.events == ["made"]
            peer.transport.write(b"x")
            assert peer.events == ["made", "pause"]
            file.seek(0)
            sending = asyncio.create_task(loop.sendfile(peer.transport, file))
            await asyncio.sleep(0)
            slot.window = 4001
            await sending
        assert peer.events == ["made", "pause", "resume"]
        slot.window = None
        await eventually(lambda: len(slot.sent) == 8001, "all sent")
        await eventually(lambda: not peer.transport.get_write_buffer_size(), "that it was taken")
        assert peer.events == ["made", "pause", "resume"]


async def test_a_file_whose_peer_leaves_is_an_error(rig, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(PATTERN)
    async with accepted(rig, window=1000) as (slot, peer):
        peer.transport.set_write_buffer_limits(high=3000)
        with path.open("rb") as file:
            sending = asyncio.create_task(asyncio.get_running_loop().sendfile(peer.transport, file))
            await eventually(lambda: slot.window == 0, "a full window")
            slot.reset()
            with pytest.raises(ConnectionError):
                await sending
        assert isinstance(await peer.gone(), ConnectionResetError)


async def test_a_folder_is_served_by_aiohttp(rig, peers_port, tmp_path):
    (tmp_path / "pattern").write_bytes(PATTERN)
    application = web.Application()
    application.router.add_static("/", tmp_path)
    runner = web.AppRunner(application)
    await runner.setup()
    url = f"http://127.0.0.1:{peers_port}/pattern"
    async with (
        await rig.module.create_server(runner.server, peers_port),
        aiohttp.ClientSession() as client,
    ):
        async with client.get(url) as answer:
            assert await answer.read() == PATTERN
        async with client.get(url, headers={"Range": "bytes=1000-99999"}) as answer:
            assert (answer.status, await answer.read()) == (206, PATTERN[1000:100_000])
    await runner.cleanup()


async def test_tls_by_the_controller_to_a_peer(rig, peers_port, served_tls, trusting):
    echoing = await asyncio.start_server(echo, "127.0.0.1", peers_port, ssl=served_tls)
    async with echoing:
        for name in ("localhost", "127.0.0.1"):
            reader, writer = await rig.module.open_connection("127.0.0.1", peers_port)
            await writer.start_tls(trusting, server_hostname=name)
            assert writer.get_extra_info("peername") == ("127.0.0.1", peers_port)
            await echoed(reader, writer)
        _reader, writer = await rig.module.open_connection("127.0.0.1", peers_port)
        with pytest.raises(ssl.SSLCertVerificationError):
            await writer.start_tls(trusting, server_hostname="example.test")
        await eventually(lambda: all(slot.state == FREE for slot in rig.slots), "free slots")


async def test_tls_by_the_controller_for_a_peer(rig, peers_port, served_tls, trusting):
    async def secured(reader, writer):
        writer.write(b"go ahead\n")  # what the client said before start_tls() would be lost
        await writer.start_tls(served_tls)
        await echo(reader, writer)

    async with await rig.module.start_server(secured, peers_port):
        reader, writer = await asyncio.open_connection("127.0.0.1", peers_port)
        await reader.readline()
        await writer.start_tls(trusting, server_hostname="localhost")
        await echoed(reader, writer)


async def echo(reader, writer):
    """Send everything back until the peer ends."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def echoed(reader, writer):
    """Have the pattern come back, and end."""
    writer.write(PATTERN)
    assert await reader.readexactly(len(PATTERN)) == PATTERN
    writer.close()
    await writer.wait_closed()
