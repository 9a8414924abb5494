"""A client that uses the port of its last connection again, which has not quite ended here."""

import socket

import pytest
from capture import ACK, FIN, SYN, syn
from namespace import MODULE, PEERS
from netconn_rig import CLOSED
from signs import look_at_all, talks

PORT = 19999  # below those that the namespace hands out
WINDOW = 2880
HALF = 1 << 31
TCP_REPAIR = 19
LINUX_FIN_WAIT_2 = 5  # in struct tcp_info


@pytest.fixture
def listener(stack):
    """A listener; closing connections are not given up, however slow this computer is."""
    stack.start(60_000, 0, 0)
    return stack.listen(80)


def bound(wire):
    """A client's socket with PORT."""
    sock = wire.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((PEERS[0], PORT))
    return sock


def come(wire):
    sock = bound(wire)
    sock.connect((MODULE, 80))
    return sock


def visit(stack, wire, listener, data=b"hello"):
    """A client comes, is sent `data`, and leaves its connection in TIME-WAIT here."""
    peer = come(wire)
    handle = stack.accepted(listener)
    assert talks(stack, handle, peer)
    stack.write_all(handle, data)
    assert len(peer.recv(len(data), socket.MSG_WAITALL)) == len(data)
    stack.close(handle)
    assert peer.recv(1) == b""
    peer.close()
    stack.expect(lambda: stack.memory()["time_wait"] == 1)


def of_client(capture):
    """The segments that came from PORT or went there."""
    return capture.segments(lambda s: PORT in (s.source_port, s.destination_port))


def next_number(capture):
    """The sequence number that follows all that the client has sent: its FIN was the last."""
    return capture.segments(lambda s: s.source_port == PORT and s.flags & FIN)[-1].sequence + 1


def answers(capture):
    """The flags of what the module sent next after each of the client's SYNs."""
    segments = of_client(capture)
    return [
        next(s.flags for s in segments[i:] if s.from_module)
        for i, segment in enumerate(segments)
        if not segment.from_module and segment.flags == SYN
    ]


def stray(wire, sequence, flags=SYN, spoilt=0):
    """Send one segment in the client's name, and wait until the module has looked at it.

    The client's computer has no such connection: it answers a SYN-ACK or an ACK with a reset.
    """
    packet = bytearray(syn(PEERS[0], PORT, 80, sequence & 0xFFFFFFFF, flags))
    packet[35] ^= spoilt
    with wire.socket(socket.SOCK_RAW, socket.AF_INET, socket.IPPROTO_RAW) as raw:
        raw.sendto(packet, (MODULE, 0))
    look_at_all(wire)


@pytest.mark.behaviour("D17")
def test_it_is_served_at_its_first_syn(stack, wire, capture, listener):
    for _ in range(4):
        visit(stack, wire, listener)
    assert set(answers(capture)) == {SYN | ACK}


@pytest.mark.behaviour("D17")
def test_our_numbers_lie_beyond_those_of_the_old_connection(stack, wire, capture, listener):
    for _ in range(3):
        visit(stack, wire, listener, bytes(20_000))
    beyond = [s.sequence for s in of_client(capture) if s.from_module and s.flags & (SYN | FIN)]
    assert len(set(beyond)) == 6
    assert beyond == sorted(beyond)


@pytest.mark.behaviour("D17")
@pytest.mark.parametrize("beyond", [0, 1, WINDOW, 1_000_000, HALF - 1])
def test_a_syn_beyond_all_that_the_client_sent_opens(stack, wire, capture, listener, beyond):
    visit(stack, wire, listener)
    sequence = next_number(capture) + beyond & 0xFFFFFFFF
    capture.clear()
    stray(wire, sequence)
    assert answers(capture) == [SYN | ACK]
    assert of_client(capture)[1].acknowledged == sequence + 1 & 0xFFFFFFFF
    assert stack.memory()["time_wait"] == 0


@pytest.mark.behaviour("D17")
@pytest.mark.parametrize("before", [1, 7, 1_000_000, HALF])
def test_an_old_syn_opens_nothing(stack, wire, capture, listener, before):
    visit(stack, wire, listener)
    stray(wire, next_number(capture) - before)
    assert stack.memory()["time_wait"] == 1
    visit(stack, wire, listener)


@pytest.mark.behaviour("D17")
@pytest.mark.parametrize("flags", [SYN | ACK, SYN | FIN, ACK, FIN])
def test_only_a_syn_opens(stack, wire, capture, listener, flags):
    visit(stack, wire, listener)
    stray(wire, next_number(capture) + 1_000_000, flags)
    assert stack.memory()["time_wait"] == 1


@pytest.mark.behaviour("D17")
def test_a_spoilt_syn_opens_nothing(stack, wire, capture, listener):
    visit(stack, wire, listener)
    stray(wire, next_number(capture) + 1_000_000, spoilt=1)
    assert stack.memory()["time_wait"] == 1


@pytest.mark.behaviour("D17")
def test_without_a_listener_time_wait_stays(stack, wire, capture, listener):
    visit(stack, wire, listener)
    stack.close(listener)
    stack.listen(81)
    stray(wire, next_number(capture) + 1_000_000)
    assert stack.memory()["time_wait"] == 1


@pytest.mark.behaviour("D15", "D17")
def test_while_the_backlog_is_full_it_waits_as_others_do(stack, wire, listener):
    stack.close(listener)
    listener = stack.listen(80, 1)
    visit(stack, wire, listener)
    first = wire.connect(80)
    stack.gather()
    peer = bound(wire)
    peer.setblocking(False)
    peer.connect_ex((MODULE, 80))
    look_at_all(wire)
    assert stack.memory()["time_wait"] == 1
    peer.settimeout(first.gettimeout())
    pairs = [(stack.accepted(listener), sock) for sock in (first, peer)]
    assert all(talks(stack, *pair) for pair in pairs)


@pytest.mark.behaviour("D17")
def test_segments_of_the_old_connection_do_the_new_one_no_harm(stack, wire, capture, listener):
    visit(stack, wire, listener)
    old = next_number(capture)
    peer = come(wire)
    handle = stack.accepted(listener)
    for flags in (SYN, ACK, FIN, SYN | ACK):
        stray(wire, old - 1, flags)
    assert talks(stack, handle, peer)


def forget(peer):
    """The client's computer forgets the connection, without FIN or RST."""
    peer.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    peer.close()


def knows_its_fin_arrived(peer):
    """In FIN-WAIT-2. An acknowledgement that came later would be answered with a reset."""
    return peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == LINUX_FIN_WAIT_2


def unheard(stack, peer_ip, act):
    """Do `act()`; what is sent meanwhile does not reach the peer."""
    stack.peer_dead(peer_ip, 1)
    act()
    stack.memory()  # the stack has done it by now
    stack.peer_dead(peer_ip, 0)


@pytest.mark.behaviour("D17", "K1")
@pytest.mark.parametrize("state", [4, 5, 6, 7, 9], ids=lambda state: f"state{state}")
def test_it_is_served_whatever_became_of_its_last_connection(stack, wire, listener, peer_ip, state):
    established, fin_wait_1, fin_wait_2, close_wait, last_ack = 4, 5, 6, 7, 9
    peer = come(wire)
    handle = stack.accepted(listener)
    if state in (close_wait, last_ack):
        peer.shutdown(socket.SHUT_WR)
        stack.until(handle, CLOSED)
        stack.expect(lambda: knows_its_fin_arrived(peer))
    if state in (fin_wait_1, last_ack):
        unheard(stack, peer_ip, lambda: (forget(peer), stack.close(handle)))
    elif state == fin_wait_2:
        stack.close(handle)
        assert peer.recv(1) == b""
        stack.expect(lambda: stack.active_pcbs(fin_wait_2) == 1)
        forget(peer)
    else:
        assert state in (established, close_wait)
        forget(peer)
    assert stack.active_pcbs(state) == 1
    peer = come(wire)
    assert talks(stack, stack.accepted(listener), peer)
