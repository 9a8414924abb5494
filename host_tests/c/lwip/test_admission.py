"""Which connections get a PCB when there are only a few."""

import socket

import pytest
from capture import RST, syn
from lwip_net import LwipPeer
from namespace import MODULE, PEERS, as_int, reset
from netconn_rig import CONNECTED, OK, WOULDBLOCK
from options import here
from signs import look_at_all, talks

LIMIT, BACKLOG = here(["MEMP_NUM_TCP_PCB", "DEFAULT_ACCEPTMBOX_SIZE"]).values()
ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2 = 4, 5, 6
HOUR = 3_600_000


def fill(stack, wire, listener, count=LIMIT):
    """That many accepted connections: [(handle, peer)]."""
    pairs = []
    for _ in range(count):
        peer = wire.connect(80)
        pairs.append((stack.accepted(listener), peer))
    return pairs


def flood(wire, count, port=80, first=20000):
    """SYNs from addresses that will never answer."""
    raw = wire.socket(socket.SOCK_RAW, socket.AF_INET, socket.IPPROTO_RAW)
    for i in range(count):
        raw.sendto(syn(f"10.77.0.{100 + i % 100}", first + i, port), (MODULE, 0))
    raw.close()


def half_a_minute(stack):
    """It passes for lwIP, whose application looks at all PCBs several times."""
    stack.warp(100)
    for _ in range(6):
        stack.gather(50)
    stack.warp(1)


@pytest.mark.behaviour("D17")
def test_limit_is_the_chips(stack, wire):
    listener = stack.listen(80)
    fill(stack, wire, listener)
    assert stack.memory()["pcbs"] == LIMIT
    assert stack.connect(as_int(PEERS[0]), 9000) == -1


@pytest.mark.behaviour("D17")
def test_refused_syns_in_the_accept_queue_are_skipped(stack, wire):
    listener = stack.listen(80)
    pairs = fill(stack, wire, listener)
    waiting = wire.begin_connect(80)
    stack.expect(lambda: stack.accept(listener) == WOULDBLOCK and stack.stats()["refused"] > 0)
    handle, leaving = pairs.pop()
    leaving.close()
    stack.close(handle)
    pairs.append((stack.accepted(listener), waiting))
    assert all(talks(stack, *pair) for pair in pairs)


@pytest.mark.behaviour("D17")
@pytest.mark.parametrize("how", ["data", "idle", "zero-window"])
def test_dying_connections_give_way_to_a_new_one(stack, wire, capture, peer_ip, how):
    stack.start(60000, 0, 0)
    listener = stack.listen(80)
    small = {"receive_buffer": 2048} if how == "zero-window" else {}
    pairs = []
    for _ in range(LIMIT):
        peer = wire.connect(80, **small)
        pairs.append((stack.accepted(listener), peer))
    if how != "zero-window":
        stack.peer_dead(peer_ip, 1)
    for handle, _ in pairs:
        while how == "zero-window" and stack.write(handle, bytes(2048)) > 0:
            stack.gather(5)
        if how == "data":
            stack.write(handle, bytes(3000))
        stack.close(handle)
    assert stack.stats()["orphans"] == LIMIT
    newcomers = [wire.connect(80, PEERS[1]) for _ in range(3)]
    handles = [stack.accepted(listener) for _ in newcomers]
    assert all(talks(stack, *pair) for pair in zip(handles, newcomers, strict=True))
    assert stack.stats()["displaced"] == 3
    assert not capture.sent(lambda segment: segment.flags & RST)


@pytest.mark.behaviour("D17")
def test_one_that_only_its_peer_has_to_end_gives_way_first(stack, wire, peer_ip):
    stack.start(HOUR, 0, 0)
    listener = stack.listen(80)
    pairs = fill(stack, wire, listener, LIMIT - 1)
    peers = [wire.connect(80, PEERS[1])]
    heard = stack.accepted(listener)
    stack.peer_dead(peer_ip, 1)
    stack.close(pairs[0][0])
    stack.close(heard)
    stack.expect(lambda: stack.active_pcbs(FIN_WAIT_2) == 1)
    peers.append(wire.connect(80, PEERS[1]))
    assert (stack.active_pcbs(FIN_WAIT_1), stack.active_pcbs(FIN_WAIT_2)) == (1, 0)


@pytest.mark.behaviour("D17")
def test_dying_connections_give_way_to_an_outgoing_one(stack, wire, peer_ip):
    stack.start(60000, 0, 0)
    listener = stack.listen(80)
    server = wire.listen(9000, PEERS[1])
    pairs = fill(stack, wire, listener)
    stack.peer_dead(peer_ip, 1)
    for handle, _ in pairs:
        stack.close(handle)
    handle = stack.connect(as_int(PEERS[1]), 9000)
    stack.until(handle, CONNECTED)
    server.accept()[0].close()


@pytest.mark.behaviour("D17")
def test_time_wait_gives_way(stack, wire):
    listener = stack.listen(80)
    for handle, peer in fill(stack, wire, listener):
        stack.close(handle)
        peer.close()
    stack.expect(lambda: stack.memory()["time_wait"] == LIMIT)
    pairs = fill(stack, wire, listener, 4)
    assert all(talks(stack, *pair) for pair in pairs)


@pytest.mark.behaviour("D17")
def test_live_connections_are_never_displaced(stack, wire):
    listener = stack.listen(80)
    pairs = fill(stack, wire, listener)
    half_a_minute(stack)  # in which only what is half-open loses its priority
    flood(wire, 200)
    stack.expect(lambda: stack.stats()["refused"] > 0)
    look_at_all(wire)
    stack.gather(700)
    assert [stack.error(handle) for handle, _ in pairs] == [OK] * LIMIT
    assert all(talks(stack, *pair) for pair in pairs)


@pytest.mark.behaviour("D17")
def test_half_open_flood_does_not_keep_others_out(stack, wire):
    listener = stack.listen(80, BACKLOG)
    flood(wire, 300)
    stack.expect(lambda: stack.stats()["half_open"] > 0)
    assert stack.stats()["half_open"] <= BACKLOG, "the backlog is the accept mailbox"
    peer = wire.begin_connect(80)
    assert talks(stack, stack.accepted(listener), peer)
    stack.expect(lambda: stack.stats()["half_open"] == 0)
    assert stack.stats()["half_open_ended"] >= 1


@pytest.mark.behaviour("D17")
def test_half_open_ones_give_their_pcbs_to_other_ports(stack, wire):
    stack.start(0, 0, 60000)
    stack.listen(80, BACKLOG)
    stack.listen(81, BACKLOG)
    flood(wire, BACKLOG, 80)
    flood(wire, BACKLOG, 81, 30000)
    stack.expect(lambda: stack.memory()["pcbs"] == LIMIT)
    third = []
    stack.expect(lambda: third.append(stack.listen(82)) or third[-1] > 0)
    peers = [wire.begin_connect(82) for _ in range(4)]
    handles = [stack.accepted(third[-1]) for _ in peers]
    assert all(talks(stack, *pair) for pair in zip(handles, peers, strict=True))
    assert stack.stats()["half_open"] <= LIMIT - 4
    assert stack.stats()["half_open_ended"] == 0, "they gave way, it was not their time"


@pytest.mark.behaviour("D17")
def test_a_syn_is_answered_again_at_even_intervals(stack, wire, peer_ip):
    stack.start(0, 0, HOUR)
    stack.listen(80)
    peer = wire.socket()
    LwipPeer(peer).vanish()
    peer.connect_ex((MODULE, 80))
    stack.expect(lambda: stack.stats()["half_open"] == 1)
    stack.peer_dead(peer_ip, 1)
    peer.close()
    lost = stack.lost()
    stack.warp(30)
    stack.expect(lambda: stack.stats()["half_open"] == 0)
    assert stack.lost() - lost > 8, "lwIP keeps it for 20 s; intervals that grow fit in 4 times"


@pytest.mark.behaviour("D15")
def test_backlog_waits_and_is_served_when_accepted(stack, wire):
    listener = stack.listen(80, 2)
    peers = [wire.begin_connect(80) for _ in range(4)]
    stack.expect(lambda: stack.memory()["netconns"] == 3)
    stack.gather()  # now the two are not in lwIP's mailbox any more
    peers.append(wire.begin_connect(80))
    look_at_all(wire)
    assert stack.memory()["netconns"] == 3, "the listener and two in the backlog"
    handles = [stack.accepted(listener) for _ in peers]
    assert len(set(handles)) == 5


@pytest.mark.behaviour("D17")
def test_refused_syns_cost_nobody_a_place_in_the_accept_queue(stack, wire):
    listener = stack.listen(80)
    pairs = fill(stack, wire, listener)
    flood(wire, 50)  # lwIP would put an error into the mailbox for each, without an accept
    stack.expect(lambda: stack.stats()["refused"] > BACKLOG)  # the mailbox holds no more
    stack.abort(pairs.pop()[0])
    newcomer = wire.begin_connect(80)
    pairs.append((stack.accepted(listener), newcomer))
    assert all(talks(stack, *pair) for pair in pairs)


@pytest.mark.behaviour("D17", "N5")
def test_those_who_left_while_they_waited_make_room(stack, wire):
    listener = stack.listen(80, BACKLOG)
    for _ in range(30):
        reset(wire.connect(80))
        stack.gather()
    peer = wire.connect(80)
    stack.expect(lambda: stack.active_pcbs(ESTABLISHED) == 1)
    handles = []
    while not handles or handles[-1] > 0:
        handles.append(stack.accept(listener))
    assert handles.pop() == WOULDBLOCK
    assert len(handles) <= BACKLOG, "no more wait than the backlog allows"
    assert talks(stack, handles[-1], peer)
