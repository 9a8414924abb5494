"""NINA's UDP commands, in the forms of CircuitPython's, MicroPython's and Arduino's drivers."""

import pytest
from nina_bench import NinaBench, frame, parameters
from slots import LOOPBACK

from spinet.tcp.stack import ERR_RTE

TCP, UDP, MULTICAST = 0, 1, 3
GROUP = bytes([239, 1, 2, 3])
IP = LOOPBACK.to_bytes(4, "little")
MOST = 1472
EAGAIN, EINVAL, EMFILE, EMSGSIZE, EADDRINUSE = 11, 22, 24, 90, 98


def be(port):
    return port.to_bytes(2, "big")


def le(number):
    return number.to_bytes(2, "little")


@pytest.fixture
def bench(monkeypatch):
    return NinaBench(monkeypatch)


@pytest.fixture
def there(bench):
    return bench.stack.udp.peer(LOOPBACK, 123)


@pytest.fixture
def elsewhere(bench):
    return bench.stack.udp.peer(LOOPBACK, 5000)


def new(bench):
    return bench.ask(0x3F)[0][0]


def listen(bench, number, port, kind=UDP):
    return bench.ask(0x28, be(port), number, kind)[0][0]


def aim(bench, number, port, ip=IP):
    return bench.ask(0x2D, ip, be(port), number, UDP)[0][0]


def append(bench, number, data):
    return bench.ask(0x46, bytes([number]), data, wide=True)[0][0]


def flush(bench, number):
    return bench.ask(0x39, number)[0][0]


def send(bench, number, port, data):
    """As Arduino's driver sends."""
    answers = aim(bench, number, port), append(bench, number, data), flush(bench, number)
    return answers == (1, 1, 1)


def available(bench, number):
    return int.from_bytes(bench.ask(0x2B, number)[0], "little")


def read(bench, number, n):
    return bench.ask(0x45, bytes([number]), le(n), wide=True)[0]


def peer(bench, number):
    ip, port = bench.ask(0x3A, number)
    return ip, int.from_bytes(port, "big")


def listening(bench, port=8000):
    number = new(bench)
    assert listen(bench, number, port) == 1
    return number


def ports(bench):
    """How many UDP ports the module has open."""
    return sum(port is not None for port in bench.stack.udp._ports)


# --- sending


def test_a_packet_is_gathered_and_sent(bench, there):
    number = listening(bench)
    assert aim(bench, number, 123) == 1
    for piece in (b"ab", b"", b"cde"):
        assert append(bench, number, piece) == 1
    assert there.receive() is None
    assert flush(bench, number) == 1
    assert there.receive() == (b"abcde", 8000)
    assert there.receive() is None


def test_sending_empties_what_was_gathered(bench, there):
    number = listening(bench)
    assert send(bench, number, 123, b"first")
    assert append(bench, number, b"second") == 1
    assert flush(bench, number) == 1
    assert [there.receive()[0], there.receive()[0]] == [b"first", b"second"]


def test_a_new_destination_drops_what_was_gathered_for_the_old(bench, there, elsewhere):
    number = listening(bench)
    aim(bench, number, 123)
    append(bench, number, b"for there")
    assert send(bench, number, 5000, b"elsewhere")
    assert elsewhere.receive() == (b"elsewhere", 8000)
    assert there.receive() is None


def test_without_a_port_of_its_own_any_is_taken(bench, there):
    number = new(bench)
    assert send(bench, number, 123, b"question")
    data, port = there.receive()
    assert data == b"question"
    there.send(b"answer", port)
    bench.passes()
    assert (available(bench, number), read(bench, number, 100)) == (6, b"answer")


@pytest.mark.behaviour("A11")
@pytest.mark.parametrize("size", [0, 1, 63, 64, 128, 640, MOST])
def test_circuitpython_sends_each_time_with_its_start_of_a_server(bench, there, size):
    """Pieces of 64 bytes and always a last one; each packet names destination and port anew."""
    number = new(bench)
    data = bytes(i & 255 for i in range(size))
    for _ in range(3):
        answer = bench.ask(0x2D, b"127.0.0.1", bytes(4), be(123), number, UDP)
        assert answer == [b"\1"]
        assert listen(bench, number, 123) == 1
        for at in range(0, size // 64 * 64 + 1, 64):
            assert append(bench, number, data[at : at + 64]) == 1
        assert flush(bench, number) == 1
        assert there.receive() == (data, 123)
        there.send(data + b"x", 123)
        bench.passes()
        assert read(bench, number, 2000) == (data + b"x")[:MOST]
    assert ports(bench) == 1


def test_two_sockets_that_ask_the_same_port_of_others(bench, there):
    """CircuitPython's second one cannot have that port here, and does not need it."""
    for _ in range(2):
        number = new(bench)
        assert aim(bench, number, 123) == 1
        assert listen(bench, number, 123) == 1
        append(bench, number, b"time?")
        assert flush(bench, number) == 1
    assert there.receive()[1] == 123
    _, port = there.receive()
    there.send(b"12:00", port)
    bench.passes()
    assert read(bench, number, 10) == b"12:00"


def test_a_port_that_another_number_has_is_refused(bench):
    listening(bench)
    assert listen(bench, new(bench), 8000) == 0


def test_what_fits_no_datagram_is_refused_and_forgotten(bench, there):
    number = listening(bench)
    aim(bench, number, 123)
    assert append(bench, number, bytes(MOST)) == 1
    assert append(bench, number, b"x") == 0
    assert flush(bench, number) == 0
    assert there.receive() is None
    assert send(bench, number, 123, b"next")
    assert there.receive()[0] == b"next"


def test_a_name_is_looked_up(bench, there):
    number = new(bench)
    bench.board.hosts = {b"pool.test": LOOPBACK}
    assert bench.ask(0x2D, b"not a name", bytes(4), be(123), number, UDP) == [b"\0"]
    bench.send(b"\xe0\x2d\x05\x09pool.test\x04\0\0\0\0\x02\0\x7b\x01" + bytes([number, 1, 1, 0xEE]))
    while bench.target.ready:
        bench.passes(1)
    assert bench.reply()[:5] == b"\xe0\xad\x01\x01\x01"
    assert (append(bench, number, b"x"), flush(bench, number)) == (1, 1)
    assert there.receive()[0] == b"x"


@pytest.mark.parametrize("text", [b"1.2.3", b"1.2.3.4.5", b"1.2.3.256", b"1..2.3", b"", b".1.2.3"])
def test_texts_that_are_no_address(text):
    from spinet.nina.datagrams import _octets_of

    assert not _octets_of(b"xx" + text + b"9", 2, len(text), bytearray(4))


def test_a_text_that_is_an_address():
    from spinet.nina.datagrams import _octets_of

    into = bytearray(4)
    assert _octets_of(b"..10.0.255.1.", 2, 10, into)
    assert into == bytes([10, 0, 255, 1])


# --- receiving


@pytest.mark.behaviour("A10")
def test_length_data_and_sender_belong_together(bench, there, elsewhere):
    number = listening(bench)
    there.send(b"from there", 8000)
    elsewhere.send(b"elsewhere", 8000)
    bench.passes()
    assert peer(bench, number) == (bytes(4), 0)
    assert (available(bench, number), peer(bench, number)) == (10, (IP, 123))
    assert read(bench, number, 4) == b"from"
    assert (available(bench, number), peer(bench, number)) == (6, (IP, 123))
    there.send(b"a third", 8000)
    bench.passes()
    assert read(bench, number, 2000) == b" there"
    assert peer(bench, number) == (IP, 123)
    assert (available(bench, number), peer(bench, number)) == (9, (IP, 5000))
    assert read(bench, number, 2000) == b"elsewhere"
    assert peer(bench, number) == (IP, 5000)
    assert read(bench, number, 2000) == b"a third"
    assert peer(bench, number) == (IP, 123)
    assert (available(bench, number), read(bench, number, 2000)) == (0, b"")


def test_an_empty_datagram_hides_none(bench, there, elsewhere):
    number = listening(bench)
    for data in (b"", b"", b"data"):
        there.send(data, 8000)
    elsewhere.send(b"", 8000)
    bench.passes()
    assert available(bench, number) == 4
    assert read(bench, number, 10) == b"data"
    assert available(bench, number) == 0
    assert peer(bench, number) == (IP, 123)


@pytest.mark.behaviour("A16")
def test_gpio0_is_high_while_there_is_a_byte(bench, there):
    number = listening(bench)
    assert bench.target.level0 == 0
    there.send(b"ab", 8000)
    bench.service.loop.run(1)  # in which no task is polled
    assert bench.target.level0 == 1
    read(bench, number, 1)
    assert bench.target.level0 == 1
    read(bench, number, 1)
    assert bench.target.level0 == 0


@pytest.mark.behaviour("A12")
def test_a_burst_is_dropped_and_the_rest_goes_on(bench, there):
    number = listening(bench)
    for i in range(1000):
        there.send(le(i), 8000)
    bench.passes()
    got = [read(bench, number, 2) for _ in range(8)]
    assert got == [le(i) for i in range(8)]
    assert available(bench, number) == 0
    there.send(b"after", 8000)
    bench.passes()
    assert read(bench, number, 10) == b"after"


def test_a_group_is_heard(bench, there):
    number = new(bench)
    assert bench.ask(0x28, GROUP, be(5353), number, MULTICAST) == [b"\1"]
    there.send_to_group(b"to all", int.from_bytes(GROUP, "little"), 5353)
    bench.passes()
    assert read(bench, number, 10) == b"to all"


# --- numbers


@pytest.mark.behaviour("A11")
def test_numbers_come_back_with_their_ports(bench, there):
    for _ in range(30):
        number = listening(bench)
        send(bench, number, 123, b"x")
        there.send(b"unread", 8000)
        bench.passes()
        read(bench, number, 2)
        assert listen(bench, number, 8000) == 1
        assert bench.ask(0x2F, number) == [b"\4"]
        assert bench.ask(0x2E, number) == [b"\1"]
        assert bench.ask(0x2F, number) == [b"\0"]
        assert ports(bench) == 0
    number = listening(bench)
    assert (available(bench, number), peer(bench, number)) == (0, (bytes(4), 0))


def test_a_number_changes_what_it_stands_for(bench, there):
    bench.stack.servers[80] = []
    number = listening(bench)
    assert bench.ask(0x2D, IP, be(80), number, TCP) == [b"\1"]
    assert ports(bench) == 0
    assert listen(bench, number, 8000) == 1
    assert bench.ask(0x28, be(90), number, TCP) == [b"\1"]
    assert ports(bench) == 0
    assert bench.ask(0x29, number) == [b"\1"]
    assert listen(bench, number, 8000) == 1
    assert bench.ask(0x29, number) == [b"\0"]


@pytest.mark.parametrize("number", [10, 99, 255])
def test_numbers_that_there_are_not(bench, number):
    assert listen(bench, number, 8000) == 0
    assert aim(bench, number, 123) == 0
    assert append(bench, number, b"x") == 0
    assert flush(bench, number) == 0


def test_what_was_never_opened_sends_nothing(bench):
    number = new(bench)
    assert (append(bench, number, b"x"), flush(bench, number)) == (0, 0)


# --- MicroPython's calls


def errno(bench):
    return bench.ask(0x72)[0][0]


def datagram_socket(bench):
    fd = bench.ask(0x70, 2, 0)[0][0]
    assert fd < 255
    return fd


def send_to(bench, fd, port, data):
    return int.from_bytes(bench.ask(0x79, bytes([fd]), IP, be(port), data, wide=True)[0], "big")


def receive_from(bench, fd, n):
    ip, port, data = bench.ask(0x7A, fd, le(n))
    return data, ip, int.from_bytes(port, "little")


def test_micropython_asks_and_is_answered(bench, there):
    fd = datagram_socket(bench)
    assert bench.ask(0x73, fd, be(49152)) == [b"\1"]
    assert bench.ask(0x7C, fd) == [b"\2"]
    assert send_to(bench, fd, 123, b"q" * 48) == 48
    assert there.receive() == (b"q" * 48, 49152)
    there.send(b"answer", 49152)
    bench.passes()
    assert bench.ask(0x7C, fd) == [b"\3"]
    assert receive_from(bench, fd, 100) == (b"answer", IP, 123)
    assert errno(bench) == 0
    assert receive_from(bench, fd, 100) == (b"", bytes(4), 0)
    assert errno(bench) == EAGAIN
    assert bench.ask(0x71, fd) == [b"\1"]
    assert ports(bench) == 0


def test_micropython_reads_a_datagram_at_a_time(bench, there):
    fd = datagram_socket(bench)
    bench.ask(0x73, fd, be(49152))
    there.send(b"long one", 49152)
    there.send(b"second", 49152)
    bench.passes()
    assert receive_from(bench, fd, 4) == (b"long", IP, 123)
    assert bench.ask(0x78, fd, le(100)) == [b"second"]
    assert bench.ask(0x78, fd, le(100)) == [b""]
    assert errno(bench) == EAGAIN


def test_a_socket_that_is_connected_sends(bench, there):
    fd = datagram_socket(bench)
    assert bench.ask(0x76, fd, IP, be(123)) == [b"\1"]
    answer = bench.ask(0x77, bytes([fd]), b"hello", wide=True)
    assert int.from_bytes(answer[0], "big") == 5
    assert there.receive()[0] == b"hello"


def test_what_goes_wrong_has_its_number(bench):
    fd = datagram_socket(bench)
    bench.ask(0x73, fd, be(49152))
    other = datagram_socket(bench)
    assert bench.ask(0x73, other, be(49152)) == [b"\0"]
    assert errno(bench) == EADDRINUSE
    assert send_to(bench, fd, 123, bytes(MOST + 1)) == 0
    assert errno(bench) == EMSGSIZE
    stream = bench.ask(0x70, 1, 0)[0][0]
    assert send_to(bench, stream, 123, b"x") == 0
    assert errno(bench) == EINVAL
    assert receive_from(bench, stream, 10) == (b"", bytes(4), 0)
    assert errno(bench) == EINVAL


def test_without_memory_no_number_is_lost(bench, monkeypatch):
    def no_memory():
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("spinet.nina.datagrams.UdpSocket", no_memory)
        for _ in range(12):
            assert bench.ask(0x70, 2, 0) is None
    sockets = [datagram_socket(bench) for _ in range(10)]
    assert sorted(sockets) == list(range(10))
    assert bench.ask(0x70, 2, 0) == [b"\xff"]
    assert errno(bench) == EMFILE


# --- ping


def begin_ping(bench, ip=IP):
    bench.send(frame(0x3E, ip, 64))


def took(bench):
    """The number of the reply, signed."""
    return int.from_bytes(parameters(bench.reply())[0], "little", signed=True)


@pytest.mark.behaviour("A6")
def test_a_ping_is_answered_when_its_echo_has_come(bench):
    begin_ping(bench)
    bench.later(4000)
    assert bench.target.ready == 1
    assert bench.stack.udp.pinged == [(LOOPBACK, 64)]
    bench.stack.udp.took = 300
    bench.later(10)
    assert took(bench) == 300


@pytest.mark.behaviour("A6")
def test_a_ping_without_an_echo_fails_in_5_s(bench):
    begin_ping(bench)
    bench.later(4800)
    assert bench.target.ready == 1
    bench.later(200)
    assert took(bench) == -1


def test_a_ping_that_cannot_be_sent_fails_at_once(bench):
    bench.stack.udp.unreachable = ERR_RTE
    begin_ping(bench)
    assert took(bench) == -1
