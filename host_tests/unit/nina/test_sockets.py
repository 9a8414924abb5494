"""Numbers, connections and servers, as CircuitPython and WiFiNINA use them."""

from types import SimpleNamespace

import pytest
from name_peer import NamePeer
from nina_bench import NinaBench, frame

from spinet import states

IP = bytes([127, 0, 0, 1])
PORT = 8080
TCP = 0


def be(port):
    return port.to_bytes(2, "big")


@pytest.fixture
def bench(monkeypatch):
    bench = NinaBench(monkeypatch)
    bench.stack.servers[PORT] = []
    return bench


def new(bench):
    return bench.ask(0x3F)[0][0]


def connect(bench, number, port=PORT):
    """1 or 0."""
    return bench.ask(0x2D, IP, be(port), number, TCP)[0][0]


def opened(bench):
    """(number, peer) of a connection."""
    number = new(bench)
    assert connect(bench, number) == 1
    return number, bench.stack.servers[PORT][-1]


def listening(bench, port=80):
    number = new(bench)
    assert bench.ask(0x28, be(port), number, TCP) == [b"\1"]
    return number


def state(bench, number):
    return bench.ask(0x2F, number)[0][0]


def available(bench, number, *accept):
    return int.from_bytes(bench.ask(0x2B, number, *accept)[0], "little")


def read(bench, number, n):
    return bench.ask(0x45, bytes([number]), n.to_bytes(2, "little"), wide=True)[0]


def write(bench, number, data):
    return int.from_bytes(bench.ask(0x44, bytes([number]), data, wide=True)[0], "little")


# --- connections


def test_a_connection_from_its_number_to_its_end(bench):
    number, peer = opened(bench)
    assert state(bench, number) == 4
    assert write(bench, number, b"hello") == 5
    assert bytes(peer.received()) == b"hello"
    peer.send(b"world")
    assert available(bench, number) == 5
    assert read(bench, number, 3) == b"wor"
    assert read(bench, number, 100) == b"ld"
    assert read(bench, number, 100) == b""
    assert bench.ask(0x2A, number) == [b"\1"]
    assert bench.ask(0x3A, number) == [bench_peer(bench), be(PORT)]
    assert bench.ask(0x2E, number) == [b"\1"]
    assert state(bench, number) == 0
    assert peer.ended == "fin"


def bench_peer(bench):
    into = bytearray(8)
    bench.stack.addresses(bench.stack.open_handles()[0], into)
    return bytes(into[4:])


def test_a_refused_connection_is_told_and_gives_its_number_back(bench):
    numbers = {new(bench) for _ in range(9)}
    last = new(bench)
    assert connect(bench, last, port=9) == 0
    assert new(bench) == last  # the only one that is free
    assert len(numbers | {last}) == 10


@pytest.mark.behaviour("A5")
def test_an_answer_comes_within_nine_seconds(bench):
    bench.stack.servers[PORT] = None  # it never answers
    number = new(bench)
    bench.send(frame_of_connect(number))
    bench.later(8000 - 1)
    assert bench.target.ready == 1  # the loop goes on meanwhile
    bench.later(1000)
    assert bench.reply()[4] == 0


def frame_of_connect(number, *more):
    return frame(0x2D, IP, be(PORT), number, TCP, *more)


@pytest.mark.behaviour("A5")
def test_a_driver_may_give_less_time(bench):
    bench.stack.servers[PORT] = None
    bench.send(frame(0x2D, b"", IP, be(PORT), new(bench), TCP, be(2000)))
    bench.later(1999)
    assert bench.target.ready == 1
    bench.later(2)
    assert bench.reply()[4] == 0
    bench.passes()
    assert all(slot.state == states.FREE for slot in bench.service.manager.slots)


@pytest.mark.behaviour("A5")
@pytest.mark.behaviour("A8")
def test_a_lost_network_fails_an_attempt_at_once(bench):
    up(bench)
    bench.stack.servers[PORT] = None
    bench.send(frame_of_connect(new(bench)))
    down(bench)
    bench.later(20)
    assert bench.reply()[4] == 0


def up(bench):
    bench.board.the_radio.joined = SimpleNamespace(ssid=b"net")
    bench.service.wlan.set_state(states.WIFI_CONNECTING)
    bench.service.wlan.set_state(states.WIFI_CONNECTED)
    bench.passes()


def down(bench):
    bench.service.wlan.set_state(states.WIFI_AUTO_RECONNECTING)
    bench.passes()


@pytest.mark.behaviour("A8")
def test_a_lost_network_ends_connections_and_leaves_listeners(bench):
    up(bench)
    server = listening(bench)
    number, peer = opened(bench)
    down(bench)
    assert peer.ended == "reset"
    assert state(bench, number) == 0
    assert bench.ask(0x29, server) == [b"\1"]
    assert bench.stack.dial(80) is not None
    assert available(bench, server) != 255


LONGEST = b".".join([b"x" * 63] * 3 + [b"y" * 61])


@pytest.mark.parametrize("name", [b"example.com", LONGEST])
def test_a_connection_to_a_name(bench, name):
    bench.board.hosts = {name: 0x0100007F}
    bench.send(frame(0x2D, name, bytes(4), be(PORT), new(bench), TCP))
    bench.passes()
    assert bench.reply()[4] == 1


@pytest.mark.parametrize("name", [b"A.test.", LONGEST, LONGEST + b"."])
@pytest.mark.parametrize(("ip", "answer"), [(0x0100007F, b"\x7f\0\0\1"), (0, b"\xff" * 4)])
def test_a_name_is_looked_up(bench, name, ip, answer):
    server = NamePeer(
        bench.stack.udp.peer(bench.board.the_radio.servers[0], 53),
        dict.fromkeys((b"a.test", LONGEST), ip),
    )
    bench.send(frame(0x34, name))
    bench.passes()
    assert bench.target.ready
    server.serve()
    bench.passes()
    assert bench.reply()[4] == (1 if ip else 0)
    assert bench.ask(0x35) == [answer]


@pytest.mark.behaviour("A6")
def test_a_name_that_is_never_answered_is_told_within_eight_seconds(bench):
    bench.send(frame(0x34, b"example.com"))
    bench.later(7499)
    assert bench.target.ready
    bench.later(1)
    assert bench.target.ready == 0
    assert bench.reply()[4] == 0


def test_what_is_no_name_is_told_at_once(bench):
    for name in (b"no name!", b"", b"a..b", b"x" * 64, b".".join([b"x" * 62] * 4) + b".xy"):
        assert bench.ask(0x34, name) == [b"\0"]
    assert bench.ask(0x35) == [b"\xff" * 4]


@pytest.mark.behaviour("A7")
def test_the_last_bytes_before_a_fin_are_read_before_the_state_says_so(bench):
    number, peer = opened(bench)
    peer.send(b"last")
    peer.fin()
    bench.passes()
    for _ in range(3):
        assert state(bench, number) == 4
    assert read(bench, number, 100) == b"last"
    assert state(bench, number) == 0
    assert peer.ended == "fin"


# --- writing


@pytest.mark.behaviour("A1")
def test_a_write_waits_for_room(bench):
    number, peer = opened(bench)
    peer.freeze()
    data = bytes(range(256)) * 15
    taken = 0
    while bench.target.ready == 0:
        bench.send(wide(0x44, bytes([number]), data))
        taken += len(data)
        if bench.target.ready == 0:
            assert int.from_bytes(bench.reply()[4:6], "little") == len(data)
    peer.thaw()
    bench.passes(20)
    assert int.from_bytes(bench.reply()[4:6], "little") == len(data)
    got = bytearray()
    for _ in range(50):
        bench.later(100)
        got += peer.received()
    assert bytes(peer.got) == data * (taken // len(data))


def wide(command, *params):
    return frame(command, *params, wide=True)


@pytest.mark.behaviour("A1")
def test_a_stalled_peer_gets_a_short_count_after_five_seconds(bench):
    number, peer = opened(bench)
    peer.freeze()
    counts = []
    for _ in range(8):
        bench.send(wide(0x44, bytes([number]), bytes(3000)))
        if bench.target.ready:
            bench.later(4999)
            assert bench.target.ready == 1
            bench.later(2)
        counts.append(int.from_bytes(bench.reply()[4:6], "little"))
    assert counts[0] == 3000
    assert counts[-1] == 0
    assert any(0 < count < 3000 for count in counts)


@pytest.mark.behaviour("A1")
def test_a_stalled_peer_is_waited_for_once(bench):
    """A driver sends all pieces of a long write: each of them waiting would take hours."""
    number, peer = opened(bench)

    def pieces():
        """(it waited, how much was taken) for each piece of a write that nothing reads."""
        for _ in range(10):
            bench.send(wide(0x44, bytes([number]), bytes(3000)))
            waited = bench.target.ready == 1
            bench.later(5001 if waited else 0)
            yield waited, int.from_bytes(bench.reply()[4:6], "little")

    for _ in range(2):  # and once it has taken bytes, again
        peer.freeze()
        waits = [count for waited, count in pieces() if waited]
        assert waits[-1] == 0
        assert len(waits) <= 2
        assert list(pieces()) == [(False, 0)] * 10
        peer.thaw()
        for _ in range(50):
            bench.later(100)
            peer.received()


@pytest.mark.behaviour("A1")
def test_no_data_is_answered_at_once(bench):
    number, _ = opened(bench)
    assert write(bench, number, b"") == 0


def test_pieces_of_a_write_gather_until_it_ends(bench):
    number, _ = opened(bench)
    bench.stack.writes.clear()
    for piece in (b"a" * 64, b"b" * 64, b""):
        assert write(bench, number, piece) == len(piece)
    assert [len(data) for _, data, _ in bench.stack.writes] == [128]


def test_data_that_did_not_fit_into_the_frame_is_left_to_the_driver(bench):
    number, peer = opened(bench)
    data = bytes(range(256)) * 24  # 6144: the frame has 6153 bytes
    assert write(bench, number, data) == 4096 - 8
    bench.later(100)
    assert bytes(peer.received()) == data[: 4096 - 8]


def test_a_write_to_a_broken_connection_is_short(bench):
    number, peer = opened(bench)
    peer.reset()
    bench.passes()
    assert write(bench, number, b"hello") == 0
    assert write(bench, 200, b"hello") == 0
    assert read(bench, 200, 10) == b""
    assert available(bench, 200) == 0
    assert state(bench, 200) == 0


# --- numbers


@pytest.mark.behaviour("A3")
def test_a_number_that_was_given_is_not_given_again(bench):
    given = [new(bench) for _ in range(10)]
    assert sorted(given) == list(range(10))


@pytest.mark.behaviour("A3")
def test_a_number_that_came_back_is_the_last_to_be_given(bench):
    first = new(bench)
    bench.ask(0x2E, first)
    assert [new(bench) for _ in range(10)][-1] == first


@pytest.mark.behaviour("A2")
def test_the_oldest_that_was_never_used_is_given_when_none_is_free(bench):
    given = [new(bench) for _ in range(10)]
    assert connect(bench, given[0]) == 1
    assert new(bench) == given[1]
    assert new(bench) == given[2]
    assert state(bench, given[0]) == 4


@pytest.mark.behaviour("A2")
def test_a_number_comes_back_when_its_end_was_told(bench):
    taken = []
    for _ in range(40):
        number, peer = opened(bench)
        taken.append(number)
        peer.fin()
        bench.passes()
        assert state(bench, number) == 0  # the driver never stops it
        bench.later(100)
    assert set(taken) == set(range(10))


@pytest.mark.behaviour("A2")
def test_all_numbers_are_in_use(bench):
    numbers = [opened(bench)[0] for _ in range(8)]
    numbers += [listening(bench, 80), listening(bench, 81)]
    assert new(bench) == 255
    bench.stack.servers[PORT][0].fin()
    bench.passes()
    assert new(bench) == numbers[0]  # its connection is over


def forgotten(bench, n):
    """So many connections whose peers have ended them, and of which the driver asks nothing."""
    for _ in range(n):
        opened(bench)[1].fin()
        bench.passes()


@pytest.mark.behaviour("A2")
def test_connections_that_are_over_and_forgotten_take_no_slot_from_others(bench):
    forgotten(bench, 8)
    number, peer = opened(bench)
    assert write(bench, number, b"hello") == 5
    forgotten(bench, 7)
    server = listening(bench)
    client = bench.stack.dial(80)
    bench.passes()
    assert available(bench, server) == 255
    bench.passes()
    told = available(bench, server)
    client.send(b"new")
    bench.passes()
    assert read(bench, told, 10) == b"new"
    peer.send(b"still there")
    bench.passes()
    assert read(bench, number, 20) == b"still there"


def test_a_thousand_connections_lose_no_number(bench):
    for i in range(1000):
        number, peer = opened(bench)
        if i % 4 == 0:
            peer.reset()
        elif i % 4 == 1:
            peer.fin()
        elif i % 4 == 2:
            assert connect(bench, new(bench), port=9) == 0
        bench.passes()
        if i % 3 or state(bench, number):  # else the driver forgets it
            bench.ask(0x2E, number)
        bench.later(20)
        peer.received()
        bench.stack.servers[PORT].clear()
    for i in range(10):
        bench.ask(0x2E, i)
    bench.later(5000)
    assert sorted(new(bench) for _ in range(10)) == list(range(10))


# --- servers


@pytest.mark.parametrize("accept", [(), (1,)])
def test_each_client_is_told_once(bench, accept):
    server = listening(bench)
    assert available(bench, server, *accept) == 255
    peers = [bench.stack.dial(80) for _ in range(3)]
    bench.passes()
    numbers = [available(bench, server, *accept) for _ in range(4)]
    assert numbers[3] == 255
    assert len(set(numbers)) == 4
    peers[1].send(b"two")
    bench.passes()
    assert read(bench, numbers[1], 10) == b"two"
    assert available(bench, numbers[0]) == 0


def test_clients_with_data_are_told_again_and_again(bench):
    server = listening(bench)
    quiet, talks = bench.stack.dial(80), bench.stack.dial(80)
    bench.passes()
    assert available(bench, server, 0) == 255
    talks.send(b"hello")
    bench.passes()
    number = available(bench, server, 0)
    assert number == available(bench, server, 0) != 255
    assert read(bench, number, 100) == b"hello"
    assert available(bench, server, 0) == 255
    assert quiet.ended is None


def test_what_is_written_to_a_server_goes_to_all_its_clients(bench):
    server = listening(bench)
    peers = [bench.stack.dial(80) for _ in range(3)]
    bench.passes()
    assert write(bench, server, b"all") == 3
    assert [bytes(peer.received()) for peer in peers] == [b"all"] * 3


def test_a_client_that_is_gone_before_it_was_told_is_not_told(bench):
    server = listening(bench)
    bench.stack.dial(80).reset()
    bench.passes()
    assert available(bench, server) == 255
    bench.passes()
    assert all(slot.state == states.FREE for slot in bench.service.manager.slots)


def test_a_client_that_has_sent_and_ended_is_told(bench):
    server = listening(bench)
    peer = bench.stack.dial(80)
    peer.send(b"GET /")
    peer.fin()
    bench.passes()
    number = available(bench, server)
    assert read(bench, number, 10) == b"GET /"


@pytest.mark.behaviour("A4")
@pytest.mark.parametrize("stop", [0x2E, 0x38])
def test_a_server_ends_and_its_port_can_be_opened_at_once(bench, stop):
    server = listening(bench)
    untold = bench.stack.dial(80)
    bench.passes()
    assert bench.ask(stop, server) == [b"\1"]
    assert untold.ended == "reset"
    assert bench.ask(0x29, server) == [b"\0"]
    other = listening(bench)
    assert bench.stack.dial(80)
    bench.passes()
    assert available(bench, other) != 255


@pytest.mark.behaviour("A4")
def test_listening_again_is_success_and_anothers_port_is_not(bench):
    server = listening(bench)
    assert bench.ask(0x28, be(80), server, TCP) == [b"\1"]
    assert bench.ask(0x28, be(80), new(bench), TCP) == [b"\0"]
    assert bench.ask(0x28, be(81), server, TCP) == [b"\1"]  # it moves
    assert bench.stack.dial(80) is None


def test_told_clients_outlive_their_server(bench):
    server = listening(bench)
    peer = bench.stack.dial(80)
    bench.passes()
    number = available(bench, server)
    bench.ask(0x2E, server)
    peer.send(b"on")
    bench.passes()
    assert read(bench, number, 10) == b"on"


def test_what_is_not_tcp_is_refused(bench):
    number = new(bench)
    assert bench.ask(0x28, be(80), number, 9) == [b"\0"]
    assert bench.ask(0x2D, IP, be(PORT), number, 4) == [b"\0"]
    assert bench.ask(0x2D, IP, be(PORT), 10, TCP) == [b"\0"]


# --- GPIO0


@pytest.mark.behaviour("A16")
def test_gpio0_is_high_while_there_is_input(bench):
    number, peer = opened(bench)
    assert bench.target.level0 == 0
    peer.send(b"x")
    bench.passes()
    assert bench.target.level0 == 1
    read(bench, number, 10)
    assert bench.target.level0 == 0
    server = listening(bench)
    bench.stack.dial(80)
    bench.passes()
    assert bench.target.level0 == 1
    available(bench, server)
    assert bench.target.level0 == 0


# --- MicroPython's calls


def errno(bench):
    return bench.ask(0x72)[0][0]


def bsd_socket(bench):
    return bench.ask(0x70, 1, 0)[0][0]


def bsd_connected(bench):
    fd = bsd_socket(bench)
    assert bench.ask(0x76, fd, IP, be(PORT)) == [b"\0"]
    assert errno(bench) == 115
    assert bench.ask(0x7C, fd)[0][0] & 2
    return fd, bench.stack.servers[PORT][-1]


def recv(bench, fd, n=1000):
    return bench.ask(0x78, fd, n.to_bytes(2, "little"))[0]


def send(bench, fd, data):
    return int.from_bytes(bench.ask(0x77, bytes([fd]), data, wide=True)[0], "big")


def test_bsd_client(bench):
    fd, peer = bsd_connected(bench)
    assert bench.ask(0x7E, fd, (2).to_bytes(4, "little"), 4) == [bytes(4)]
    assert recv(bench, fd) == b""
    assert errno(bench) == 11
    assert send(bench, fd, b"hello") == 5
    assert bytes(peer.received()) == b"hello"
    peer.send(b"world")
    peer.fin()
    bench.passes()
    assert bench.ask(0x7C, fd)[0][0] & 1
    assert recv(bench, fd) == b"world"
    assert recv(bench, fd) == b""
    assert errno(bench) == 0  # the end
    assert bench.ask(0x71, fd) == [b"\1"]
    assert bench.ask(0x71, fd) == [b"\0"]
    assert errno(bench) == 9
    assert errno(bench) == 9  # it does not clear itself


def test_bsd_refused(bench):
    fd = bsd_socket(bench)
    bench.ask(0x76, fd, IP, be(9))
    assert bench.ask(0x7C, fd) == [b"\x80"]
    assert errno(bench) == 111
    bench.ask(0x76, fd, IP, be(PORT))  # again, on the same socket
    assert errno(bench) == 115
    assert bench.ask(0x7C, fd)[0][0] & 2


def test_bsd_timed_out(bench):
    bench.stack.servers[PORT] = None
    fd = bsd_socket(bench)
    bench.ask(0x76, fd, IP, be(PORT))
    assert bench.ask(0x7C, fd) == [b"\0"]
    bench.later(9000)
    assert bench.ask(0x7C, fd) == [b"\x80"]
    assert errno(bench) == 110


def test_bsd_reset(bench):
    fd, peer = bsd_connected(bench)
    peer.reset()
    bench.passes()
    assert bench.ask(0x7C, fd)[0][0] & 1
    assert recv(bench, fd) == b""
    assert errno(bench) == 104
    assert send(bench, fd, b"x") == 0
    assert errno(bench) == 104


def test_bsd_full(bench):
    fd, peer = bsd_connected(bench)
    peer.freeze()
    while n := send(bench, fd, bytes(1000)):
        assert n <= 1000
    assert errno(bench) == 11
    assert not bench.ask(0x7C, fd)[0][0] & 2
    peer.thaw()
    bench.passes(10)
    assert bench.ask(0x7C, fd)[0][0] & 2


def test_bsd_server(bench):
    fd = bsd_socket(bench)
    assert bench.ask(0x74, fd, 1) == [b"\0"]  # not bound
    assert bench.ask(0x73, fd, be(8266)) == [b"\1"]
    assert bench.ask(0x74, fd, 1) == [b"\1"]
    assert bench.ask(0x7E, fd, (2).to_bytes(4, "little"), 4) == [b"\1\0\0\0"]
    assert bench.ask(0x75, fd) == [b"\xff"]
    assert errno(bench) == 11
    assert bench.ask(0x7C, fd) == [b"\0"]
    peer = bench.stack.dial(8266)
    bench.passes()
    assert bench.ask(0x7C, fd) == [b"\1"]
    client, ip, port = bench.ask(0x75, fd)
    assert bench.ask(0x7F, client) == [b"\1", ip, port]
    peer.send(b"hi")
    bench.passes()
    assert recv(bench, client[0]) == b"hi"
    assert bench.ask(0x7C, fd) == [b"\0"]
    other = bsd_socket(bench)
    bench.ask(0x73, other, be(8266))
    assert bench.ask(0x74, other, 1) == [b"\0"]
    assert errno(bench) == 98


def test_bsd_options(bench):
    fd = bsd_socket(bench)
    fionbio = (0x8004667E).to_bytes(4, "little")
    assert bench.ask(0x7B, fd, fionbio, b"\1\0\0\0") == [b"\1\0\0\0"]
    assert bench.ask(0x7D, fd, b"\4\0\0\0", b"\1\0\0\0") == [b"\1"]
    assert bench.ask(0x7C, fd) == [b"\x80"]
    assert errno(bench) == 107
    assert bench.ask(0x7F, fd) == [b"\0"]
    assert bench.ask(0x70, 3, 0) == [b"\xff"]
    assert errno(bench) == 93


@pytest.mark.behaviour("A8")
def test_bsd_connection_that_went_with_wifi(bench):
    up(bench)
    fd, _ = bsd_connected(bench)
    down(bench)
    bench.passes(5)  # its slot is free again
    assert bench.ask(0x7C, fd) == [b"\x80"]
    assert errno(bench) == 104
    assert recv(bench, fd) == b""
    assert errno(bench) == 104
    assert send(bench, fd, b"x") == 0
    assert errno(bench) == 104
