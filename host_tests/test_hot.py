"""The hot path and its plain twin: the same bytes to the controller, the same state after it."""

import re
from pathlib import Path

import pytest
from fake_board import FakeBoard
from fake_pins import MasterRig
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_controller import listen_or_connect, request

from spinet import connection, hot, service, spi_master, stack, wire
from spinet.service import Service
from spinet.stack import ERR_ABRT, ERR_MEM, ERR_RST

SOCKETS = 3
PORT = 80


class Clock:
    """The time of both services: it passes when it is told to."""

    def __init__(self):
        self.now = 5000

    def __call__(self):
        return self.now


class Firmware:
    """One service with its peers and its controller; `plain`: turn() serves nothing itself."""

    def __init__(self, plain):
        board = FakeBoard()
        self.rig = MasterRig(None)
        board.the_port = self.rig.port
        wait = board.the_stack.wait
        board.the_stack.wait = lambda _ms: wait(0)
        self.service = Service(board)
        self.rig.link = self.service.link
        self.rig.serve = lambda _after_ms=0: self.service.run_once()
        if plain:
            self.rig.port.bind = lambda kit: None
        self.service.start()
        self.service.run_once()
        self.rig.ask(request(wire.NETWORK_LISTEN, data=listen_or_connect(PORT)))
        self.peers = []
        for _ in range(SOCKETS):
            self.peers.append(self.service.stack.dial(PORT))
            self.service.run_once()

    def seen(self):
        """What anybody could see of it."""
        manager = self.service.manager
        slots = [
            (
                bytes(slot.record),
                slot.state,
                slot.readable(),
                slot.space(),
                slot._ring.count,
                slot._pushed,
                slot._due,
                slot._ending,
            )
            for slot in manager.slots
        ]
        return slots, list(manager.rows), manager.timed, self.service.link.transactions

    def received(self):
        """What each peer has got so far."""
        return [peer.received() for peer in self.peers]


REQUESTS = st.builds(
    request,
    st.sampled_from([0, 4, 5, 6, 4, 5, 6, 4, 5, 6, 1, 2, 9, 40]),
    st.sampled_from([0, 1, 2, 0, 1, 2, 5, 9]),
    st.sampled_from([0, 2, 2, 3, 1]),
    st.binary(min_size=1, max_size=4).map(lambda text: text * 512)
    | st.sampled_from([b"", b"x" * 1440, b"y" * 2048, b"z"]),
    st.sampled_from([2048, 2048, 0, 100, 3000]),
    version=st.sampled_from([0x3E] * 9 + [0x3D]),
    length=st.none() | st.just(2049),
)
STEPS = st.one_of(
    st.tuples(st.just("ask"), REQUESTS),
    st.tuples(st.just("ask"), REQUESTS),
    st.tuples(st.sampled_from(["send", "send", "fin", "reset"]), st.integers(0, SOCKETS - 1)),
    st.tuples(st.just("pass"), st.sampled_from([0, 5, 25, 1100])),
    st.tuples(st.just("write fails"), st.sampled_from([ERR_MEM, ERR_RST, ERR_ABRT])),
    st.tuples(st.just("read"), st.integers(0, SOCKETS - 1)),
)


def play(firmware, clock, what, detail):
    """One step; what the controller or the peer saw of it."""
    if what == "ask":
        return firmware.rig.transact(detail)
    if what == "pass":
        firmware.service.run_once()
    elif what == "send":
        peer = firmware.peers[detail]
        return None if peer.ended else peer.send(b"some data" * 100)
    elif what in ("fin", "reset"):
        peer = firmware.peers[detail]
        if not peer.ended:
            getattr(peer, what)()
    elif what == "write fails":
        firmware.service.stack.inject("write", detail)
    elif what == "read":
        return firmware.peers[detail].received()
    return None


@pytest.mark.behaviour("L1")
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEPS, max_size=25))
def test_both_ways_do_the_same(monkeypatch, steps):
    clock = Clock()
    monkeypatch.setattr(service, "ticks_ms", clock)
    both = Firmware(plain=False), Firmware(plain=True)
    for what, detail in steps:
        if what == "pass":
            clock.now += detail
        fast, slow = (play(firmware, clock, what, detail) for firmware in both)
        assert fast == slow, (what, detail)
        assert both[0].seen() == both[1].seen(), (what, detail)
    assert both[0].received() == both[1].received()


# --- what is written down twice

OFFSETS = {
    "_VERSION": wire.FORMAT_VERSION,
    "_NULL": wire.NULL,
    "_READ": wire.CONN_READ,
    "_WRITE": wire.CONN_WRITE,
    "_STATUS": wire.CONN_GET_STATUS,
    "_CLOSE_AFTER_WRITE": wire.FLAG_CLOSE_AFTER_WRITE,
    "_PUSH": wire.FLAG_PUSH,
    "_SLOTS": wire.SOCKETS,
    "_MAX_DATA": wire.MAX_DATA,
    "_FIRST_PHASE": wire.FIRST_PHASE,
    "_RESPONSE": wire.RESPONSE,
    "_RESPONSE_WORD": wire.RESPONSE // 4,
    "_DATA": wire.DATA,
    "_STATUS_SIZE": wire.CONN_STATUS_SIZE,
    "_SEGMENT": connection.SEGMENT,
    "_WOULDBLOCK": stack.ERR_WOULDBLOCK,
}


@pytest.mark.parametrize("name", list(OFFSETS))
def test_hot_has_the_protocols_numbers(name):
    assert getattr(hot, name) == OFFSETS[name]


def constants(module):
    """The constants of a module as its source has them, as the names are folded away."""
    text = Path(module.__file__).read_text()
    return dict(re.findall(r"^_?([A-Z_]+) = const\((\d+)\)", text, re.MULTILINE))


@pytest.mark.parametrize("module", [connection, service, spi_master])
def test_words_are_the_same_wherever_they_are_named(module):
    theirs = re.findall(
        r"as hot\.py has them\n((?:_[A-Z_]+ = const\(\d+\)\n)+)", Path(module.__file__).read_text()
    )
    named = dict(re.findall(r"_([A-Z_]+) = const\((\d+)\)", "".join(theirs)))
    assert len(named) >= 4
    mine = constants(hot)
    assert {name: mine[name] for name in named} == named
