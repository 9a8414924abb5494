"""One contract of UDP, every stack: see spinet/udp/datagrams.py."""

import itertools

import pytest

from spinet.tcp.stack import (
    DATAGRAMS,
    ERR_CLSD,
    ERR_MEM,
    ERR_USE,
    ERR_VAL,
    ERR_WOULDBLOCK,
    EVENT_DATA,
    INDEX_MASK,
)
from spinet.udp.datagrams import MOST, PEER_SIZE, PORTS

GROUP = 0x0A0A0AEF  # 239.10.10.10
MANY = 10000
WINDOW = 4  # datagrams under way at once: no queue is full then
ROOM = 2048
SMALL = 64  # a queue's datagrams, at most


class Udp:
    """One port of the module's at a time, and what comes to it."""

    def __init__(self, user):
        self.user = user
        self.udp = user.stack.udp
        self.buf = bytearray(ROOM)
        self.sender = bytearray(PEER_SIZE)

    def bound(self, shared=0):
        """(handle, number) of a new port."""
        number = self.user.net.free_port()
        h = self.udp.bind(0, number, shared)
        assert h > 0
        return h, number

    def come(self, h):
        """Wait for a datagram; its length."""
        self.user.until(lambda: self.udp.length(h) != ERR_WOULDBLOCK)
        return self.udp.length(h)

    def take(self, h):
        """The next datagram that is there: (its bytes, its sender), None without one."""
        n = self.udp.receive(h, self.buf, 0, ROOM, self.sender)
        if n == ERR_WOULDBLOCK:
            return None
        assert n >= 0
        assert len(self.buf) == ROOM
        return bytes(self.buf[:n]), bytes(self.sender)

    def next(self, h):
        """The next datagram."""
        self.come(h)
        return self.take(h)

    def send(self, h, to, data):
        return self.udp.send(h, to, data, 0, len(data))

    def heard(self, there):
        """The next datagram that another host receives: (its bytes, the port it came from)."""
        got = []
        self.user.until(lambda: got.append(there.receive()) or got[-1])
        return got[-1]

    def meet(self, h, number, there):
        """One datagram each way: no later one has to wait for an address on the wire."""
        there.send(b"hello", number)
        assert self.next(h) == (b"hello", there.address)
        assert self.send(h, there.address, b"hello") == 5
        assert self.heard(there) == (b"hello", number)


@pytest.fixture
def net_udp(user):
    return Udp(user)


@pytest.fixture
def udp(net_udp):
    """The stack's own object."""
    return net_udp.udp


# --- one datagram


@pytest.mark.parametrize("size", [0, 1, 64, 128, 1000, MOST])
def test_a_datagram_comes_whole_with_its_sender(net_udp, size):
    h, number = net_udp.bound()
    there = net_udp.user.net.datagram_peer()
    data = bytes(i * 7 & 0xFF for i in range(size))
    there.send(data, number)
    assert net_udp.come(h) == size
    assert net_udp.take(h) == (data, there.address)
    assert net_udp.take(h) is None


@pytest.mark.parametrize("size", [0, 1, 64, 128, 1000, MOST])
def test_a_datagram_leaves_whole_from_its_port(net_udp, size):
    h, number = net_udp.bound()
    there = net_udp.user.net.datagram_peer()
    data = b"ahead" + bytes(i * 7 & 0xFF for i in range(size)) + b"behind"
    assert net_udp.udp.send(h, there.address, data, 5, size) == size
    assert net_udp.heard(there) == (data[5 : 5 + size], number)


def test_what_fits_no_frame_is_not_sent(net_udp):
    h, _ = net_udp.bound()
    there = net_udp.user.net.datagram_peer()
    assert net_udp.send(h, there.address, bytes(MOST + 1)) == ERR_VAL
    assert net_udp.send(h, there.address, b"next") == 4
    assert net_udp.heard(there)[0] == b"next"


@pytest.mark.parametrize("room", [0, 1, 99])
def test_what_the_buffer_has_no_room_for_is_lost_and_told(net_udp, udp, room):
    h, number = net_udp.bound()
    there = net_udp.user.net.datagram_peer()
    net_udp.meet(h, number, there)
    there.send(b"x" * 100, number)
    there.send(b"next", number)
    assert net_udp.come(h) == 100
    into = bytearray(b"-" * 200)
    assert udp.receive(h, into, 3, room, net_udp.sender) == 100
    assert into == b"---" + b"x" * room + b"-" * (197 - room)
    assert net_udp.sender == there.address
    assert net_udp.next(h) == (b"next", there.address)


def test_looking_at_a_length_takes_nothing(net_udp, udp):
    h, number = net_udp.bound()
    there = net_udp.user.net.datagram_peer()
    there.send(b"one", number)
    assert net_udp.come(h) == 3
    there.send(b"other", number)
    assert [udp.length(h) for _ in range(3)] == [3, 3, 3]
    assert [net_udp.next(h)[0], net_udp.next(h)[0]] == [b"one", b"other"]


def test_a_port_that_was_not_chosen_is_answered(net_udp, udp):
    h = udp.bind(0, 0, 0)
    there = net_udp.user.net.datagram_peer()
    assert net_udp.send(h, there.address, b"question") == 8
    question, number = net_udp.heard(there)
    there.send(b"answer", number)
    assert (question, net_udp.next(h)) == (b"question", (b"answer", there.address))


def test_no_port_that_was_not_chosen_tells_the_next_one(net_udp, udp):
    there = net_udp.user.net.datagram_peer()
    numbers = []
    for _ in range(4):
        h = udp.bind(0, 0, 0)
        net_udp.send(h, there.address, b"hello")
        numbers.append(net_udp.heard(there)[1])
        assert udp.close(h) == 0
    steps = {b - a for a, b in itertools.pairwise(numbers)}
    assert len(steps) > 1, numbers


def test_the_peer_that_was_received_is_the_peer_to_send_to(net_udp):
    h, number = net_udp.bound()
    others = [net_udp.user.net.datagram_peer(i) for i in range(3)]
    for other in others:
        other.send(other.address, number)
    for _ in others:
        data, sender = net_udp.next(h)
        assert data == sender
        net_udp.send(h, net_udp.sender, b"to " + sender)
    for other in others:
        assert net_udp.heard(other) == (b"to " + other.address, number)


# --- events


@pytest.mark.behaviour("C1")
def test_a_datagram_ends_the_wait_at_once(net_udp, udp):
    h, number = net_udp.bound()
    there = net_udp.user.net.datagram_peer()
    for _ in range(3):
        there.send(b"now", number)
        events = net_udp.user.wait_events(DATAGRAMS)
        assert events & EVENT_DATA
        assert udp.pending() >> (h & INDEX_MASK) & 1
        assert net_udp.take(h) == (b"now", there.address)
        assert net_udp.user.turn() == 0


def test_news_is_told_once_until_something_was_received(net_udp, udp):
    h, number = net_udp.bound()
    there = net_udp.user.net.datagram_peer()
    there.send(b"first", number)
    assert net_udp.user.wait_events(DATAGRAMS)
    assert udp.pending() == 1 << (h & INDEX_MASK)
    assert net_udp.user.turn() == 0
    assert (net_udp.user.stack.events(DATAGRAMS), udp.pending()) == (0, 0)


def test_what_a_receive_has_left_is_told_again(net_udp, udp):
    h, number = net_udp.bound()
    there = net_udp.user.net.datagram_peer()
    net_udp.meet(h, number, there)
    for i in range(3):
        there.send(bytes([i]), number)
    got = []
    while len(got) < 3:
        net_udp.user.until(lambda: net_udp.user.stack.events(DATAGRAMS) & EVENT_DATA)
        assert udp.pending() == 1 << (h & INDEX_MASK)
        got.append(net_udp.take(h)[0])
    assert got == [b"\x00", b"\x01", b"\x02"]


def test_each_port_has_its_own_news(net_udp, udp):
    ports = [net_udp.bound() for _ in range(3)]
    there = net_udp.user.net.datagram_peer()
    for h, number in reversed(ports):
        there.send(b"for %d" % number, number)
        net_udp.user.until(lambda: net_udp.user.stack.events(DATAGRAMS))
        assert udp.pending() == 1 << (h & INDEX_MASK)
    for h, number in ports:
        assert net_udp.next(h)[0] == b"for %d" % number


def test_connections_do_not_mind(net_udp):
    user = net_udp.user
    h, number = net_udp.bound()
    there = user.net.datagram_peer()
    connection, peer = user.accepted()
    for _ in range(3):
        there.send(b"datagram", number)
        peer.send(b"stream")
        assert user.read_all(connection, 6) == b"stream"
        assert net_udp.next(h)[0] == b"datagram"


# --- queues


def test_a_full_queue_drops_the_newest_and_counts(net_udp, udp):
    h, number = net_udp.bound()
    there = net_udp.user.net.datagram_peer()
    net_udp.meet(h, number, there)
    sent = 0
    while udp.dropped(h) <= 0 and sent < 1000:
        there.send(sent.to_bytes(2, "big") * 8, number)
        sent += 1
    assert udp.dropped(h) == -1 or 0 < udp.dropped(h) < sent
    got = []
    while datagram := net_udp.take(h):
        got.append(int.from_bytes(datagram[0][:2], "big"))
    assert got[:4] == [0, 1, 2, 3]
    assert got == sorted(set(got))
    assert len(got) < sent
    assert udp.dropped(h) == -1 or len(got) <= SMALL


def test_a_full_queue_leaves_other_ports_alone(net_udp):
    full, number = net_udp.bound()
    other, other_number = net_udp.bound()
    there = net_udp.user.net.datagram_peer()
    for _ in range(20):
        there.send(b"too many", number)
    there.send(b"the only one", other_number)
    assert net_udp.next(other) == (b"the only one", there.address)
    assert net_udp.next(full) == (b"too many", there.address)


# --- opening and closing


def test_a_port_can_be_bound_once(net_udp, udp):
    h, number = net_udp.bound()
    assert udp.bind(0, number, 0) == ERR_USE
    assert udp.close(h) == 0
    again = udp.bind(0, number, 0)
    assert again > 0
    assert again != h


def test_there_is_an_end_of_ports(net_udp, udp):
    handles = [net_udp.bound()[0] for _ in range(PORTS)]
    assert sorted(h & INDEX_MASK for h in handles) == list(range(PORTS))
    assert udp.bind(0, net_udp.user.net.free_port(), 0) == ERR_MEM
    udp.close(handles[7])
    assert net_udp.bound()[0] & INDEX_MASK == handles[7] & INDEX_MASK


def test_a_handle_that_is_over_is_refused(net_udp, udp):
    h, number = net_udp.bound()
    there = net_udp.user.net.datagram_peer()
    there.send(b"unread", number)
    net_udp.user.wait_for_news()
    assert udp.close(h) == 0
    assert udp.pending() == 0
    other = udp.bind(0, number, 0)
    assert udp.length(other) == ERR_WOULDBLOCK
    for stale in (h, 0, -1, 5, h + 1):
        assert udp.receive(stale, net_udp.buf, 0, ROOM, net_udp.sender) == ERR_CLSD
        assert net_udp.send(stale, there.address, b"x") == ERR_CLSD
        assert udp.length(stale) == ERR_CLSD
        assert udp.dropped(stale) == ERR_CLSD
        assert udp.join(stale, GROUP, 0) == ERR_CLSD
        assert udp.leave(stale) == ERR_CLSD
        assert udp.close(stale) == ERR_CLSD


# --- multicast


def test_a_group_is_heard_while_it_is_joined(net_udp, udp):
    own = net_udp.user.net.own_ip
    h, number = net_udp.bound(shared=1)
    there = net_udp.user.net.datagram_peer()
    there.send_to_group(b"before", GROUP, number)
    there.send(b"alone", number)
    assert net_udp.next(h)[0] == b"alone"
    assert udp.join(h, GROUP, own) == 0
    assert udp.join(h, GROUP + (1 << 24), own) == ERR_USE
    there.send_to_group(b"to all", GROUP, number)
    assert net_udp.next(h) == (b"to all", there.address)
    assert udp.leave(h) == 0
    there.send_to_group(b"after", GROUP, number)
    there.send(b"alone again", number)
    assert net_udp.next(h)[0] == b"alone again"
    assert udp.join(h, GROUP + (1 << 24), own) == 0


def test_ports_that_are_shared_all_hear_a_group(net_udp, udp):
    own = net_udp.user.net.own_ip
    first, number = net_udp.bound(shared=1)
    second = udp.bind(0, number, 1)
    assert second > 0
    for h in (first, second):
        assert udp.join(h, GROUP, own) == 0
    there = net_udp.user.net.datagram_peer()
    there.send_to_group(b"to both", GROUP, number)
    assert net_udp.next(first)[0] == b"to both"
    assert net_udp.next(second)[0] == b"to both"


# --- ping


@pytest.mark.behaviour("A6")
def test_a_host_answers_each_ping(net_udp, udp):
    assert udp.echo() == ERR_WOULDBLOCK
    there = net_udp.user.net.datagram_peer()
    for ttl in (64, 255, 1):
        assert udp.ping(net_udp.user.net.peer_ip, ttl) == 0
        net_udp.user.until(lambda: udp.echo() != ERR_WOULDBLOCK)
        assert udp.echo() >= 0
        assert udp.echo() == udp.echo()
    there.send(b"UDP does not mind", number := net_udp.bound()[1])
    assert number


# --- many


@pytest.mark.behaviour("A10")
def test_ten_thousand_each_way_with_their_senders(net_udp):
    h, number = net_udp.bound()
    others = [net_udp.user.net.datagram_peer(i) for i in range(3)]
    for other in others:
        net_udp.meet(h, number, other)
    for first in range(0, MANY, WINDOW):
        under_way = range(first, first + WINDOW)
        for i in under_way:
            others[i % 3].send(b"%d" % i, number)
        got = [net_udp.next(h) for _ in under_way]
        assert sorted(got) == sorted((b"%d" % i, others[i % 3].address) for i in under_way)
        for data, sender in got:
            assert net_udp.send(h, sender, b"re " + data) == 3 + len(data)
        for i in under_way:
            assert net_udp.heard(others[i % 3]) == (b"re %d" % i, number)


@pytest.mark.behaviour("A12")
@pytest.mark.parametrize("served", [False, True])
def test_a_burst_of_ten_thousand_wedges_nothing(net_udp, served):
    h, number = net_udp.bound()
    others = [net_udp.user.net.datagram_peer(i) for i in range(3)]
    for other in others:
        net_udp.meet(h, number, other)
    last = dict.fromkeys((other.address for other in others), -1)
    reached = set()
    got = 0

    def take_all():
        nonlocal got
        while datagram := net_udp.take(h):
            data, sender = datagram
            if data == b"after":
                reached.add(sender)
                continue
            i = int.from_bytes(data, "big")
            assert last[sender] < i
            assert others[i % 3].address == sender
            last[sender] = i
            got += 1

    def all_are_heard():
        """Frames of the burst may still be under way: one more datagram of each until it comes."""
        for other in others:
            other.send(b"after", number)
        net_udp.user.turn()
        take_all()
        return len(reached) == len(others)

    for i in range(MANY):
        others[i % 3].send(i.to_bytes(4, "big"), number)
        if served and i % 16 == 0:
            net_udp.user.turn(0)
            take_all()
    net_udp.user.until(all_are_heard)
    assert got > 0
    for other in others:
        assert net_udp.send(h, other.address, b"hello") == 5
        assert net_udp.heard(other) == (b"hello", number)
    connection, there = net_udp.user.accepted()
    there.send(b"TCP is alive too")
    assert net_udp.user.read_all(connection, 16) == b"TCP is alive too"
