"""TlsStack between the slots and a scriptable stack: handshakes, their bounds, and every end."""

import ssl
import threading
from itertools import pairwise

import pytest
from slots import Slots, StubNet, nothing
from stub_stack import SEND_BUFFER
from tls_rig import NAME, Authority

from spinet import compat, fastpath, states
from spinet.garbage import MUCH, Garbage
from spinet.last_error import LastError
from spinet.loop import Bell
from spinet.tcp.listener import ListenerTable
from spinet.tcp.stack import ERR_CLSD, ERR_MEM, ERR_RTE, ERR_WOULDBLOCK, EVENT_ROOM
from spinet.tls.stack import _HANDSHAKE_MS, _HANDSHAKES, _MEMORY, _OUTBOX, _SILENT_MS, TlsStack


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def identity(authority):
    return compat.tls_session.Identity(*authority.issue("module", f"DNS:{NAME}"))


class HandThread:
    """What stands for the handshake thread: it runs when the test says so."""

    def __init__(self, monkeypatch):
        self.waiting = []
        self.by_itself = True
        self.refuses = False
        monkeypatch.setattr(compat, "start_thread", self.start)

    def start(self, function, args, _stack):
        if self.refuses:
            raise OSError("can't create thread")
        self.waiting.append((function, args))

    def run(self):
        while self.waiting:
            function, args = self.waiting.pop(0)
            function(*args)


class TlsSlots(Slots):
    """Slots with a TlsStack, as service.py joins them."""

    def __init__(self, identity, thread):
        super().__init__(StubNet())
        self.error = LastError(nothing)
        self.garbage = Garbage()
        self.tls = TlsStack(self.manager, Bell(self.stack), self.error, self.garbage)
        self.tls.show(identity)
        self.listeners = ListenerTable(self.manager, nothing, self.tls)
        self.thread = thread

    def turn(self, ms=0):
        super().turn(ms)
        if self.thread.by_itself:
            self.thread.run()
        if self.tls.noted:
            self.tls.deliver()
        self.tls.poll(self.now)
        if self.manager.reap() or self.listeners.unfinished:
            self.listeners.accept_waiting()

    def listen_tls(self, limit=8, one_shot=False):
        number = self.net.free_port()
        assert self.listeners.listen(0, number, 0, limit, True, one_shot)
        return number

    def visitor(self, number, authority):
        return TlsPeer(self, self.net.dial(number), authority)

    def connection(self, authority):
        """A visitor that was let in: (slot, peer)."""
        peer = self.visitor(self.listen_tls(), authority)
        peer.shake()
        return self.slots[0], peer

    def nothing_left(self):
        busy = [session for session in self.tls._shaking if not session.stepping]
        return self.tls.sessions() == 0 and self.manager.reserved == 0 and not busy


class TlsPeer:
    """A TLS client of OpenSSL behind a StubPeer."""

    def __init__(self, slots, peer, authority, server=None):
        self.slots = slots
        self.peer = peer
        self._seen = 0
        self._to_send = b""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        if server:
            self.ssl = server.wrap_bio(self._in, self._out, server_side=True)
            return
        context = ssl.create_default_context(cafile=authority.path("pem"))
        self.ssl = context.wrap_bio(self._in, self._out, server_hostname=NAME)

    def move(self):
        """Bytes cross in both directions, as far as there are any."""
        got = self.peer.received()
        self._in.write(got[self._seen :])
        self._seen = len(got)
        self._to_send += self._out.read()
        self._to_send = self._to_send[self.peer.send(self._to_send) :]

    def shake(self):
        """The whole handshake."""
        for _ in range(50):
            if self.step():
                self.slots.turns()
                self.move()
                return
        raise AssertionError("the handshake does not end")

    def step(self):
        """A part of it; True when it is done."""
        try:
            self.ssl.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            done = False
        self.move()
        self.slots.turn()
        self.move()
        return done

    def write(self, data):
        self.ssl.write(data)
        self.move()

    def read(self):
        """All that was decrypted so far."""
        got = b""
        while True:
            self.slots.turn()
            self.move()
            try:
                data = self.ssl.read(65536)
            except ssl.SSLWantReadError:
                return got
            if not data:
                return got
            got += data

    def says_close_notify(self):
        try:
            return self.ssl.read(1) == b""
        except ssl.SSLZeroReturnError:
            return True
        except ssl.SSLWantReadError:
            return False


@pytest.fixture
def thread(monkeypatch):
    return HandThread(monkeypatch)


@pytest.fixture
def slots(identity, thread):
    return TlsSlots(identity, thread)


# --- the way in


def test_a_slot_is_taken_when_the_handshake_is_done_and_not_before(slots, authority):
    peer = slots.visitor(slots.listen_tls(), authority)
    slots.turns()
    assert slots.busy() == []
    assert slots.manager.reserved == 1
    peer.shake()
    assert slots.slots[0].state == states.CONNECTED
    assert slots.manager.reserved == 0


def test_each_handshake_is_told_of_as_it_takes_memory(slots, authority):
    slots.visitor(slots.listen_tls(), authority)
    slots.turns()
    assert slots.garbage._spent == MUCH


def test_bytes_both_ways(slots, authority):
    slot, peer = slots.connection(authority)
    peer.write(b"question")
    slots.turn()
    assert slot.readable() == 8
    assert slots.read(slot) == b"question"
    assert slots.write(slot, b"answer") == 6
    assert peer.read() == b"answer"


def test_the_hot_path_asks_tls_for_a_slot_of_tls_and_moves_nothing_itself(slots, authority):
    slot, _ = slots.connection(authority)
    manager = slots.manager
    may = manager.rows[fastpath.ROW_MAY + slot.number]
    assert may & fastpath.MAY_LOOK
    assert [calls[slot.number] for calls in manager.calls] == [
        *(slots.tls.readable, slots.tls.read, slots.tls.recved, slots.tls.write)
    ]
    slot.abort()
    slots.turns()
    assert slot.state == states.FREE
    inner = manager.stack
    assert [calls[slot.number] for calls in manager.calls] == [
        *(inner.readable, inner.read, inner.recved, inner.write)
    ]


def test_early_data_is_there_as_the_slot_is(slots, authority):
    peer = slots.visitor(slots.listen_tls(), authority)
    while not peer.step():
        pass
    peer.write(b"at once")
    slots.turn()
    assert slots.read(slots.slots[0]) == b"at once"


def test_so_many_handshakes_at_a_time_and_the_next_as_one_ends(slots, authority):
    number = slots.listen_tls()
    peers = [slots.visitor(number, authority) for _ in range(_HANDSHAKES + 2)]
    slots.turns()
    assert slots.tls.sessions() == _HANDSHAKES
    peers[0].shake()
    slots.turns()
    assert slots.tls.sessions() == _HANDSHAKES + 1
    for peer in peers[1:]:
        peer.shake()
    slots.turns()
    assert slots.busy() == [0, 1, 2, 3, 4]
    assert slots.manager.reserved == 0


@pytest.mark.behaviour("T1")
def test_a_handshake_that_takes_too_long_is_over(slots, authority):
    peer = slots.visitor(slots.listen_tls(), authority)
    peer.peer.send(b"\x16\x03\x01\x02\x00")  # a record of 512 bytes begins
    slots.turns()
    assert slots.tls.poll(slots.now) == _HANDSHAKE_MS
    slots.pass_time(_HANDSHAKE_MS - 1)
    assert peer.peer.ended is None
    slots.pass_time(1)
    assert peer.peer.ended == "reset"
    assert slots.tls.timeouts == 1
    assert slots.nothing_left()
    assert slots.tls.poll(slots.now) == -1


def test_a_visitor_who_says_nothing_gives_way(slots, authority):
    number = slots.listen_tls()
    silent = [slots.net.dial(number) for _ in range(_HANDSHAKES)]
    slots.turns()
    peer = slots.visitor(number, authority)
    slots.pass_time(_SILENT_MS - 1)
    assert slots.manager.reserved == _HANDSHAKES
    slots.pass_time(1)
    assert [each.ended for each in silent] == ["reset"] * _HANDSHAKES
    slots.turns()
    peer.shake()
    assert slots.slots[0].state == states.CONNECTED


def test_a_handshake_counts_as_a_slot(slots, authority):
    plain = slots.listen()
    held = [slots.dialled(plain) for _ in range(7)]
    assert len(held) == 7
    peer = slots.visitor(slots.listen_tls(), authority)
    slots.turns()
    assert slots.manager.reserved == 1
    assert slots.manager.allocate(0) is None
    late = slots.net.dial(plain)
    slots.turns()
    assert len(slots.busy()) == 7
    peer.shake()
    assert len(slots.busy()) == 8
    assert late.ended is None


def test_a_handshake_counts_for_its_listener(slots, authority):
    number = slots.listen_tls(limit=2)
    peers = [slots.visitor(number, authority) for _ in range(3)]
    slots.turns()
    assert slots.tls.sessions() == 2
    peers[0].peer.reset()
    slots.turns()
    assert slots.tls.sessions() == 2
    peers[2].shake()
    assert slots.slots[0].state == states.CONNECTED


@pytest.mark.behaviour("D12")
def test_a_one_shot_listener_ends_as_its_visitor_is_let_in(slots, authority):
    number = slots.listen_tls(limit=1, one_shot=True)
    peer = slots.visitor(number, authority)
    slots.turns()
    assert slots.listeners.entries[0].port == number
    peer.shake()
    assert slots.listeners.entries[0] is None
    assert slots.slots[0].state == states.CONNECTED


@pytest.mark.behaviour("D11", "D18")
def test_stopping_the_listener_ends_its_handshakes_and_no_other(slots, authority):
    first, second = slots.listen_tls(), slots.listen_tls()
    gone, stays = slots.visitor(first, authority), slots.visitor(second, authority)
    slots.turns()
    slots.listeners.stop(first)
    slots.turns()
    assert gone.peer.ended == "reset"
    assert slots.manager.reserved == 1
    stays.shake()
    assert slots.slots[0].state == states.CONNECTED
    slots.listeners.stop(second)
    slots.slots[0].abort()
    assert slots.nothing_left()


def test_what_is_no_handshake_gets_an_alert_and_an_orderly_end(slots):
    peer = slots.net.dial(slots.listen_tls())
    slots.turn()
    peer.send(b"\x16\x03\x01\x00\x04\x01\x00\x00\x00")  # a ClientHello of nothing
    slots.turns()
    assert peer.received()[:1] == b"\x15"
    assert peer.ended == "fin"
    assert slots.tls.failures == 1
    assert slots.error.text == b""
    assert slots.nothing_left()


# --- the thread


def test_nobody_touches_a_session_while_its_step_runs(slots, thread, authority):
    thread.by_itself = False
    peer = slots.visitor(slots.listen_tls(), authority)
    peer.step()
    session = slots.tls._shaking[0]
    ended = []
    session.core.end = lambda: ended.append(1)
    peer.peer.reset()
    slots.turns()
    slots.pass_time(_HANDSHAKE_MS)
    assert session.stepping
    assert slots.manager.reserved == 0
    assert ended == []
    thread.run()
    slots.turn()
    assert ended == [1]
    assert slots.nothing_left()
    assert slots.tls._shaking == []


def test_what_comes_during_a_step_waits_for_its_end(slots, thread, authority):
    thread.by_itself = False
    peer = slots.visitor(slots.listen_tls(), authority)
    peer.step()
    session = slots.tls._shaking[0]
    touched = []
    session.core.in_room = lambda: touched.append(1)
    peer.peer.send(b"more")
    slots.turns()
    assert session.stepping
    assert touched == []


def test_a_step_that_wants_room_is_made_again_when_there_is_some(slots, thread, authority):
    thread.by_itself = False
    peer = slots.visitor(slots.listen_tls(), authority)
    peer.step()
    session = slots.tls._shaking[0]
    stack = slots.net.stack
    steps = []
    session.core.step = lambda: steps.append(1) or 0
    session.core.out_count = lambda: _OUTBOX
    session.core.sent = lambda _n: None
    write = stack.write
    stack.write = lambda *_args: ERR_WOULDBLOCK  # and its peer takes nothing
    thread.by_itself = True
    slots.turns(10)
    assert len(steps) == 1
    stack.write = write
    session.on_events(EVENT_ROOM)
    slots.turn()
    assert len(steps) == 2
    session.core.out_count = lambda: 0
    slots.tls.shut()


def test_the_end_waits_for_the_step_that_runs(slots, thread, authority):
    thread.by_itself = False
    slots.visitor(slots.listen_tls(), authority).step()
    order = []
    slots.tls._shaking[0].core.end = lambda: order.append("freed")
    finish = slots.tls._worker.finish
    slots.tls._worker.finish = lambda: (order.append("waited"), thread.run(), finish())
    slots.tls.shut()
    assert order == ["waited", "freed"]


def test_finish_returns_when_the_thread_is_gone(slots, thread, authority):
    thread.by_itself = False
    slots.visitor(slots.listen_tls(), authority).step()
    worker = slots.tls._worker
    later = threading.Timer(0.05, thread.run)
    later.start()
    worker.finish()
    assert not worker._running
    later.join()


def test_one_thread_for_all_steps_that_wait(slots, thread, authority):
    thread.by_itself = False
    number = slots.listen_tls()
    for _ in range(_HANDSHAKES):
        slots.visitor(number, authority).step()
    assert len(thread.waiting) == 1
    thread.run()
    slots.turn()
    assert not any(session.answer for session in slots.tls._shaking)


def test_without_memory_for_a_thread_the_visitor_is_sent_away(slots, thread, authority):
    thread.refuses = True
    peer = slots.visitor(slots.listen_tls(), authority)
    peer.step()
    slots.turns()
    assert peer.peer.ended == "fin"
    assert slots.nothing_left()
    thread.refuses = False
    slots.visitor(slots.listeners.entries[0].port, authority).shake()
    assert slots.slots[0].state == states.CONNECTED


def no_memory(*_):
    raise MemoryError


def test_without_memory_for_a_session_the_visitor_is_reset(slots, authority, monkeypatch):
    number = slots.listen_tls()
    with monkeypatch.context() as patch:
        patch.setattr(compat.tls_session, "Session", no_memory)
        peer = slots.visitor(number, authority)
        slots.turns()
    assert peer.peer.ended == "reset"
    assert slots.listeners.refused == 1
    assert slots.nothing_left()


def test_without_memory_for_a_session_going_out_fails(slots, authority, monkeypatch):
    server = slots.net.server()
    slot = slots.manager.allocate(4)
    trust = compat.tls_session.Trust(authority.pem)
    monkeypatch.setattr(compat.tls_session, "Session", no_memory)
    slot.secure(slots.tls, trust, "a")
    assert slot.connect(1, server.port) == ERR_MEM
    assert slot.state == states.ABORTED
    assert len(slots.stack.released) == 1


@pytest.mark.behaviour("M3")
def test_a_visitor_waits_until_a_session_has_memory_that_nobody_else_may_need(slots, authority):
    number = slots.listen_tls()
    slots.tls._spare_memory = lambda: _MEMORY - 1
    peer = slots.visitor(number, authority)
    slots.turns()
    assert slots.tls.visitors == 0
    assert not peer.peer.ended
    slots.tls._spare_memory = lambda: _MEMORY
    slots.listeners.accept_waiting()
    peer.shake()
    assert slots.slots[0].state == states.CONNECTED


@pytest.mark.behaviour("M3")
def test_a_session_going_out_takes_no_memory_that_others_may_need(slots, authority):
    server = slots.net.server()
    slot = slots.manager.allocate(4)
    slots.tls._spare_memory = lambda: _MEMORY - 1
    slot.secure(slots.tls, compat.tls_session.Trust(authority.pem), "a")
    assert slot.connect(1, server.port) == ERR_MEM
    assert slot.state == states.ABORTED


def test_the_end_gives_everything_back(slots, thread, authority):
    slot, peer = slots.connection(authority)
    assert slot.state == states.CONNECTED
    thread.by_itself = False
    late = slots.visitor(slots.listeners.entries[0].port, authority)
    late.step()
    thread.run()  # the step is over; its answer was never looked at
    slots.tls.shut()
    assert (peer.peer.ended, late.peer.ended) == ("reset", "reset")
    assert slots.tls.sessions() == 0
    assert slots.tls._shaking == []


# --- sending


def test_a_write_takes_what_fits_and_loses_nothing(slots, authority):
    slot, peer = slots.connection(authority)
    data = bytes(range(256)) * 64
    sent = 0
    while sent < len(data):
        sent += slots.write(slot, data[sent : sent + 2048])
        slots.turn()
        peer.move()
    assert peer.read() == data


def test_in_flight_counts_what_is_in_the_outbox(slots, authority):
    slot, peer = slots.connection(authority)
    peer.peer.freeze()
    handle = slot.handle
    accepted = len(slots.fill(slot))
    flight = slots.tls.in_flight(handle)
    assert flight > SEND_BUFFER
    assert flight <= SEND_BUFFER + _OUTBOX
    assert slots.tls.write(handle, bytes(10), 0, 10, 0) in range(11)
    peer.peer.thaw()
    assert len(peer.read()) >= accepted


@pytest.mark.behaviour("D7")
def test_closing_waits_for_all_and_says_close_notify(slots, authority):
    slot, peer = slots.connection(authority)
    data = slots.fill(slot)
    slot.close()
    slots.turns()
    assert slot.state == states.CLOSE_PENDING
    assert peer.read() == data
    slots.turns()
    peer.move()
    assert peer.says_close_notify()
    assert peer.peer.ended == "fin"
    assert slot.state == states.FREE
    assert slots.nothing_left()


@pytest.mark.behaviour("D7")
def test_closing_ends_at_once_when_the_connection_is_gone(slots, authority):
    slot, peer = slots.connection(authority)
    peer.peer.freeze()
    slots.fill(slot)
    slot.close()
    slots.turns()
    assert slot.state == states.CLOSE_PENDING
    peer.peer.reset()
    slots.turns()
    assert slot.state == states.FREE
    assert slots.nothing_left()


@pytest.mark.behaviour("T1")
def test_a_close_that_nobody_acknowledges_gives_up(slots, authority):
    slot, peer = slots.connection(authority)
    peer.peer.freeze()
    slots.fill(slot)
    slot.close()
    slots.turns()
    slots.pass_time(4000)
    slots.turns()
    assert slot.state == states.FREE
    assert slots.nothing_left()


@pytest.mark.behaviour("D3")
def test_a_write_after_a_reset(slots, authority):
    slot, peer = slots.connection(authority)
    peer.write(b"unread")
    slots.turn()
    peer.peer.reset()
    slots.write(slot, b"into the void")
    assert slots.read(slot) == b"unread"
    assert slot.state == states.OTHER_END_CLOSED
    slot.close()
    slots.turn()
    assert slots.nothing_left()


# --- receiving


@pytest.mark.behaviour("D13")
def test_the_end_shows_when_the_last_byte_was_read(slots, authority):
    slot, peer = slots.connection(authority)
    peer.write(b"first")
    peer.write(b"second")
    with pytest.raises(ssl.SSLWantReadError):
        peer.ssl.unwrap()
    peer.move()
    peer.peer.fin()
    slots.turns()
    assert slots.read(slot) == b"first"
    assert slot.state == states.CONNECTED
    assert slots.read(slot) == b"second"
    slots.turn()
    assert slot.state == states.OTHER_END_CLOSED
    # Its other half is open still.
    assert slots.write(slot, b"goodbye") == 7
    assert peer.read() == b"goodbye"


def test_a_fin_without_close_notify_is_an_end(slots, authority):
    slot, peer = slots.connection(authority)
    peer.write(b"data")
    peer.peer.fin()
    slots.turns()
    assert slots.read(slot) == b"data"
    slots.turn()
    assert slot.state == states.OTHER_END_CLOSED


def test_a_record_that_was_tampered_with_is_no_end_but_a_break(slots, authority):
    slot, peer = slots.connection(authority)
    peer.peer.send(b"\x17\x03\x03\x00\x20" + bytes(32))
    slots.turns()
    assert slot.state == states.ABORTED
    slot.abort()
    slots.turn()
    assert slots.nothing_left()


def test_what_nobody_reads_is_left_with_the_peer(slots, authority):
    slot, peer = slots.connection(authority)
    data = bytes(60000)
    peer.write(data)
    levels = []
    for _ in range(20):
        slots.turn()
        peer.move()
        levels.append(len(peer._to_send))
    assert levels[-1] > 0
    assert all(a == b for a, b in pairwise(levels[-5:]))
    got = b""
    for _ in range(200):
        got += slots.read(slot)
        slots.turn()
        peer.move()
    assert got == data


def test_many_small_records_are_all_read(slots, authority):
    slot, peer = slots.connection(authority)
    for i in range(60):  # their window has room for as many
        peer.write(bytes([i]))
        slots.turn()
    assert slots.read_all(slot, 60) == bytes(range(60))


def test_a_flood_of_records_is_taken_in_turns(slots, authority):
    slot, _peer = slots.connection(authority)
    session = slots.tls._session(slot.handle)
    more = [64]

    def feed():  # records without data, one after the other
        more[0] -= 1
        return more[0] > 0

    session.feed = feed
    session.pump()
    assert more[0] > 32
    assert slots.tls.noted
    slots.turns(10)
    assert more[0] <= 0
    assert not slots.tls.noted


def test_what_is_unread_is_not_decrypted_further(slots, authority):
    slot, peer = slots.connection(authority)
    peer.write(b"first")
    slots.turn()
    session = slots.tls._session(slot.handle)
    session.core.look = None  # not called
    peer.write(b"second")
    slots.turn()
    assert slot.readable() == 5


def test_discarding_after_close(slots, authority):
    slot, peer = slots.connection(authority)
    slots.fill(slot)
    session = slots.tls._session(slot.handle)
    session.core.look = None  # what is not read is not decrypted
    slot.close()
    for _ in range(10):
        peer.write(bytes(4000))
        slots.turn()
    peer.read()
    slots.turns()
    assert slot.state == states.FREE
    assert slots.nothing_left()


# --- going out


@pytest.fixture
def server_context(authority):
    authority.issue("broker", "DNS:broker.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.path("pem", "broker"), authority.path("key", "broker"))
    return context


def go_out(slots, authority, server_context, name="broker.test"):
    """connCreate with TLS: (slot, peer)."""
    server = slots.net.server()
    slot = slots.manager.allocate(4)
    trust = compat.tls_session.Trust(authority.pem)
    slot.secure(slots.tls, trust, name)
    assert slot.connect(0x0100007F, server.port) == 0
    slots.turn()
    return slot, TlsPeer(slots, server.accept(), authority, server_context)


def test_connected_when_the_handshake_is_done(slots, authority, server_context):
    slot, peer = go_out(slots, authority, server_context)
    slots.turns()
    assert slot.state == states.CONNECTING
    peer.move()
    peer.shake()
    assert slot.state == states.CONNECTED
    slots.write(slot, b"hello")
    assert peer.read() == b"hello"
    slot.close()
    slots.turns()
    peer.move()
    assert peer.says_close_notify()


def test_a_refused_certificate_is_told(slots, authority, server_context):
    slot, peer = go_out(slots, authority, server_context, "other.test")
    slots.turns()
    peer.move()
    for _ in range(5):
        peer.step()
        if slot.state == states.ABORTED:
            break
    assert slot.state == states.ABORTED
    assert slots.error.text.startswith(b"TLS: ")
    assert peer.peer.ended == "fin"  # the alert is not overtaken by a reset
    assert slots.nothing_left()


@pytest.mark.behaviour("A18")
def test_a_refusal_after_the_handshake_is_told(slots, authority, server_context):
    """A server of TLS 1.3 sees the client's certificate when the client is done."""
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.load_verify_locations(authority.path("pem"))
    slot, peer = go_out(slots, authority, server_context)
    slots.turns()
    peer.move()
    with pytest.raises(ssl.SSLError, match="did not return a certificate"):
        peer.shake()
    assert slot.state == states.CONNECTED
    peer.move()
    slots.turns()
    assert slot.state == states.ABORTED
    assert slots.error.text.startswith(b"TLS: ")
    assert slots.nothing_left()


def test_what_breaks_a_visitor_s_connection_is_not_told(slots, authority):
    slot, peer = slots.connection(authority)
    peer.peer.send(b"\x17\x03\x03\x00\x30" + bytes(48))
    slots.turns()
    assert slot.state == states.ABORTED
    assert slots.error.text == b""


@pytest.mark.behaviour("M2")
def test_a_server_that_leaves_in_the_handshake_is_told_of_by_a_task(
    slots, authority, server_context, monkeypatch
):
    """What takes memory is no part of an event: there nothing could be done without."""
    slot, peer = go_out(slots, authority, server_context)
    slots.turns()
    with monkeypatch.context() as patch:
        patch.setattr(slots.error, "set", no_memory)
        peer.peer.fin()
        Slots.turn(slots)
        with pytest.raises(MemoryError):
            slots.tls.poll(slots.now)
    assert slot.state == states.ABORTED
    assert slots.nothing_left()


@pytest.mark.behaviour("N1", "T1")
def test_a_server_that_is_silent_in_the_handshake(slots, authority, server_context):
    slot, _peer = go_out(slots, authority, server_context)
    slots.turns()
    slots.pass_time(8000)
    assert slot.state == states.ABORTED
    assert slots.nothing_left()


def test_a_connect_that_the_stack_refuses(slots, authority):
    slot = slots.manager.allocate(4)
    slots.net.inject("connect", ERR_RTE)
    trust = compat.tls_session.Trust(authority.pem)
    slot.secure(slots.tls, trust, "a")
    assert slot.connect(1, 1) == ERR_RTE
    assert slot.state == states.ABORTED
    assert slots.nothing_left()


def test_a_slot_goes_back_to_plain(slots, authority):
    slot, _peer = slots.connection(authority)
    slot.abort()
    slots.turn()
    again, peer = slots.connected()
    assert again is slot
    slots.write(slot, b"plain")
    assert peer.received() == b"plain"


def test_handles_that_are_over_are_refused(slots, authority):
    slot, _peer = slots.connection(authority)
    handle = slot.handle
    slot.abort()
    tls, buf = slots.tls, bytearray(4)
    assert tls.read(handle, buf, 0, 4) == ERR_CLSD
    assert tls.write(handle, buf, 0, 4, 0) == ERR_CLSD
    assert tls.close(handle) == tls.abort(handle) == tls.shutdown_rx(handle) == ERR_CLSD
    assert (tls.readable(handle), tls.in_flight(handle)) == (0, 0)
