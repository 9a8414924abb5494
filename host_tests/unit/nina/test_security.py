"""TLS of NINA's clients: what a driver's command becomes, and what cannot be. The TLS itself is
OpenSSL's here; sim/test_nina_tls.py has the module's."""

import pytest
from nina_bench import NinaBench, NinaBoard, frame, parameters
from tls_rig import Authority

from spinet import compat, states
from spinet.tls.stack import _MEMORY

IP = bytes([127, 0, 0, 1])
PORT = 8443
TLS, BEARSSL = 2, 4
OK, FAILED = [b"\1"], [b"\0"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


class Given:
    """What a session was made of."""

    def __init__(self, monkeypatch):
        self.contexts = []
        self.names = []
        session = compat.tls_session.Session

        def make(context, inbox, outbox, name):
            self.contexts.append(context)
            self.names.append(name)
            return session(context, inbox, outbox, name)

        monkeypatch.setattr(compat.tls_session, "Session", make)


@pytest.fixture
def given(monkeypatch):
    return Given(monkeypatch)


@pytest.fixture
def bench(monkeypatch, authority):
    return make_bench(monkeypatch, authority)


def make_bench(monkeypatch, authority, spare=1 << 20):
    board = NinaBoard()
    board.ROOTS = str(authority.path("pem"))
    board.the_stack.spare = lambda: spare
    board.the_stack.servers[PORT] = []
    return NinaBench(monkeypatch, board)


def last_error(bench):
    return bench.service.error.text.decode()


def dial(bench, host=None, kind=TLS):
    """The answer of 2D; None: it waits."""
    number = bench.ask(0x3F)[0][0]
    where = (IP, PORT.to_bytes(2, "big"), number, kind)
    if host is not None:
        where = (host, bytes(4) if host else IP, *where[1:])
    return ask_or_wait(bench, 0x2D, *where)


def ask_or_wait(bench, command, *params):
    bench.send(frame(command, *params))
    return None if bench.target.ready else parameters(bench.reply())


def opened(bench):
    """Slots that are not free."""
    return [slot for slot in bench.service.manager.slots if slot.state != states.FREE]


def test_the_name_and_the_time_are_given_to_tls(bench, given):
    assert bench.ask(0x5F, (2000000000).to_bytes(4, "little")) == [b"\0"]
    assert dial(bench, b"") is None  # the address follows
    assert given.names == ["127.0.0.1"]
    assert given.contexts[0].date >= 2000000000
    assert given.contexts[0].identity is None


@pytest.mark.parametrize("host", [b"no name", b"a\xffb", b"x" * 65])
def test_what_is_no_name_is_an_answer(bench, host):
    assert dial(bench, host) == FAILED
    assert last_error(bench) == "bad host name"
    assert not opened(bench)


def test_a_type_of_socket_that_is_refused(bench):
    assert dial(bench, kind=BEARSSL) == FAILED
    assert not opened(bench)


@pytest.mark.behaviour("A18")
def test_without_memory_it_is_refused(monkeypatch, authority):
    bench = make_bench(monkeypatch, authority, spare=_MEMORY - 1)
    assert dial(bench) == FAILED
    assert not opened(bench)
    assert bench.service.tls.sessions() == 0


def test_without_roots_it_is_refused(bench, authority):
    bench.service.commands._parts[-1]._roots = str(authority.path("nothing"))
    assert dial(bench) == FAILED
    assert last_error(bench) == "TLS: no CA is known"
    assert not opened(bench)


def test_a_firmware_without_tls(monkeypatch):
    monkeypatch.setattr(compat, "tls_session", None)
    bench = NinaBench(monkeypatch)
    assert dial(bench) == FAILED
    assert last_error(bench) == "TLS is not in this firmware"
    assert not opened(bench)
    assert bench.ask(0x40, b"x") == FAILED


def test_no_memory_for_what_tls_needs_leaves_no_slot_behind(bench, monkeypatch):
    def short(*_):
        raise MemoryError

    monkeypatch.setattr(compat.tls_session, "Roots", short)
    assert bench.ask(0x2D, IP, PORT.to_bytes(2, "big"), bench.ask(0x3F)[0][0], TLS) is None
    bench.passes()
    assert not opened(bench)
    assert bench.service.commands.shortages == 1


# --- a client's certificate and key


def give(bench, number, pem):
    """As CircuitPython's driver sends it."""
    bench.send(bytes((0xE0, number, 1, len(pem) & 0xFF)) + pem + b"\xee")
    return parameters(bench.reply())


def test_certificate_and_key_come_in_any_order_and_are_used(bench, given, authority):
    certificate, key = authority.issue("client", "DNS:client.test", kind="rsa")
    for order in ((0x40, 0x41), (0x41, 0x40)):
        for number in order:
            assert give(bench, number, certificate if number == 0x40 else key) == OK
        assert dial(bench) is None
        assert given.contexts.pop().identity is not None
        bench.later(9000)
        bench.reply()
        bench.passes()


def test_another_certificate_has_no_key_yet(bench, given, authority):
    first, key = authority.issue("one", "DNS:one.test")
    second, _ = authority.issue("two", "DNS:two.test")
    assert give(bench, 0x40, first) == give(bench, 0x41, key) == OK
    assert give(bench, 0x40, second) == OK
    assert dial(bench) is None
    assert given.contexts[0].identity is None


def test_a_reset_forgets_them(monkeypatch, authority, given):
    bench = make_bench(monkeypatch, authority)
    certificate, key = authority.issue("client", "DNS:client.test")
    assert give(bench, 0x40, certificate) == give(bench, 0x41, key) == OK
    again = NinaBench(monkeypatch, bench.board)
    assert again.service.tls.identity is None
