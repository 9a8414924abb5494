"""SIM under MicroPython's nina driver alone: the link, WiFi, and what it is answered."""

import errno
import os
import signal
import socket
import threading
import time

import pytest
from nina_driver import (
    OPEN,
    PIN_ANALOG,
    PIN_IN,
    PIN_OUT,
    READABLE,
    WEP,
    WPA,
    WRITABLE,
    Driver,
    DriverError,
)
from nina_sim import start_nina
from raw_controller import PATIENCE

__all__ = ["start_nina"]

IDLE, CONNECTING, CONNECTED, FAILED, LOST = 0, 1, 3, 4, 6
NO_AP, HANDSHAKE = 201, 204
LATE_S = 12

AIR = """
0 takes scan=50 search=300 join=20 handshake=100 address=20
0 appears Workshop password=correct-horse channel=6 rssi=-48
0 appears Guest channel=11 rssi=-80
0 appears Old password=12345
"""


@pytest.fixture
def stack():
    """What is tested here is the same on every stack."""
    return "sockets"


@pytest.fixture
def driver(start_nina):
    """A driver whose module has booted."""
    _, driver = start_nina(Driver)
    return driver


def until(condition):
    """Wait until it holds."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def outcome(driver):
    """The status once an attempt is over."""
    until(lambda: driver.status() != CONNECTING)
    return driver.status()


@pytest.fixture
def in_the_air(start_nina):
    """A driver among these networks."""
    _, driver = start_nina(Driver, radio=AIR)
    driver.init()
    return driver


@pytest.fixture
def joined(driver):
    """A driver whose module has joined a network."""
    driver.init()
    driver.join(b"Workshop", b"correct-horse", WPA)
    assert outcome(driver) == CONNECTED
    return driver


@pytest.fixture
def listener():
    """A peer that listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        yield listener


@pytest.fixture
def connected(joined, listener):
    """(driver, its number, the peer's end)"""
    fd = joined.socket()
    joined.begin_connect(fd, listener.getsockname()[1])
    until(lambda: joined.poll(fd) & WRITABLE)
    peer, _ = listener.accept()
    with peer:
        peer.settimeout(PATIENCE)
        yield joined, fd, peer


def test_the_version_has_the_length_that_the_driver_takes(driver):
    driver.init()
    assert driver.version() == b"1.8.0"


# --- WiFi

NETWORKS = [
    (b"Guest", None, OPEN),
    (b"Workshop", b"correct-horse", WPA),
    (b"Old", b"12345", WEP),
]


@pytest.mark.parametrize(("ssid", "key", "security"), NETWORKS)
def test_a_network_is_joined(in_the_air, ssid, key, security):
    driver = in_the_air
    assert driver.status() == IDLE
    driver.join(ssid, key, security)
    assert outcome(driver) == CONNECTED
    assert driver.reason() == 0
    assert driver.joined()[0] == ssid
    assert driver.addresses()[0] == "127.0.0.1"
    driver.leave()
    until(lambda: driver.status() != CONNECTED)


def test_a_wrong_key(in_the_air):
    in_the_air.join(b"Workshop", b"wrong-horse", WPA)
    assert outcome(in_the_air) == FAILED
    assert in_the_air.reason() in (15, 202, HANDSHAKE)
    in_the_air.join(b"Workshop", b"correct-horse", WPA)
    assert outcome(in_the_air) == CONNECTED


def test_a_network_that_is_not_there(in_the_air):
    in_the_air.join(b"Attic", b"correct-horse", WPA)
    assert outcome(in_the_air) == FAILED
    assert in_the_air.reason() == NO_AP


@pytest.mark.behaviour("A19")
def test_the_addresses_before_a_join(in_the_air):
    assert in_the_air.addresses() == ("0.0.0.0",) * 3


@pytest.mark.behaviour("A17")
def test_a_scan(in_the_air):
    found = {ssid: rest for ssid, *rest in in_the_air.scan()}
    assert set(found) == {b"Workshop", b"Guest", b"Old"}
    assert found[b"Workshop"] == [b"\2SP\1\0\1", 6, -48, 4]
    assert found[b"Guest"][2:] == [-80, 7]


def test_a_static_address(in_the_air):
    four = ("192.168.1.7", "255.255.255.0", "192.168.1.1", "192.168.1.2")
    in_the_air.set_addresses(*four)
    in_the_air.join(*NETWORKS[1])
    assert outcome(in_the_air) == CONNECTED


def test_a_host_name(in_the_air):
    in_the_air.set_hostname(b"shed")
    in_the_air.join(*NETWORKS[0])
    assert outcome(in_the_air) == CONNECTED


def test_a_name_is_resolved(joined):
    assert joined.resolve(b"localhost") == "127.0.0.1"


def test_a_name_that_does_not_exist(joined):
    with pytest.raises(DriverError):
        joined.resolve(b"nowhere.invalid")
    assert joined.resolve(b"localhost") == "127.0.0.1"


# --- the link


def goes_on_in(sim, seconds):
    threading.Timer(seconds, sim.signal, [signal.SIGCONT]).start()


@pytest.mark.behaviour("A13")
@pytest.mark.parametrize("gives_up", [False, True])
def test_a_reply_that_is_late(start_nina, gives_up):
    """The module gets the command only when it goes on; a driver that gave up sends its next into
    that reply."""
    sim, driver = start_nina(Driver)
    driver.init()
    assert driver.status() == IDLE
    driver.before_release(sim.stand_still)
    if gives_up:
        driver.faults.give_up_ms = 1000
        with pytest.raises(DriverError):
            driver.version()
        goes_on_in(sim, 1)
    else:
        goes_on_in(sim, LATE_S)
        assert driver.version() == b"1.8.0"
    for _ in range(3):
        assert driver.status() == IDLE
        assert driver.version() == b"1.8.0"


@pytest.mark.behaviour("A13")
@pytest.mark.parametrize("n", range(13))
def test_a_transfer_that_is_cut(driver, n):
    """In the middle of a command, or of its reply."""
    driver.init()
    driver.faults.cut_after = n
    with pytest.raises(DriverError):
        driver.version()
    for _ in range(3):
        assert driver.status() == IDLE
        assert driver.version() == b"1.8.0"


@pytest.mark.behaviour("A13")
@pytest.mark.parametrize("n", range(0, 16, 3))
def test_a_transfer_with_a_gap(driver, n):
    driver.init()
    driver.faults.gap_after = n
    driver.faults.gap_ms = 500
    assert driver.version() == b"1.8.0"
    assert driver.status() == IDLE


@pytest.mark.behaviour("A13")
def test_data_that_is_cut_is_not_sent_twice(connected):
    """What is cut is a frame without its end: what came of it counts, or nothing does."""
    driver, fd, peer = connected
    driver.faults.cut_after = 100
    with pytest.raises(DriverError):
        driver._call("socket_send", fd, b"x" * 1000, 1000)
    assert driver.send(fd, b"end") == 3
    came = b""
    while not came.endswith(b"end"):
        came += peer.recv(1000)
    assert len(came) < 1000


# --- sockets, call by call


def test_bytes_both_ways(connected):
    driver, fd, peer = connected
    assert driver.send(fd, b"hello") == 5
    assert peer.recv(5) == b"hello"
    with pytest.raises(BlockingIOError):
        driver.receive(fd, 100)
    peer.sendall(b"answer")
    until(lambda: driver.poll(fd) & READABLE)
    assert driver.receive(fd, 2) == b"an"
    assert driver.receive(fd, 100) == b"swer"
    peer.close()
    until(lambda: driver.poll(fd) & READABLE)
    assert driver.receive(fd, 100) == b""
    driver.close_socket(fd)


@pytest.mark.behaviour("A14")
def test_a_frame_longer_than_the_modules_buffer(connected):
    driver, fd, peer = connected
    data = os.urandom(6000)
    sent = driver.send(fd, data)
    assert 0 < sent <= 4092
    came = b""
    while len(came) < sent:
        came += peer.recv(6000)
    assert came == data[:sent]


def test_more_is_asked_for_than_a_reply_has_room_for(connected):
    driver, fd, peer = connected
    data = os.urandom(9000)
    peer.sendall(data)
    came = b""
    while len(came) < len(data):
        until(lambda: driver.poll(fd) & READABLE)
        came += driver.receive(fd, 9000)
    assert came == data


def test_nobody_listens_there(joined, listener):
    port = listener.getsockname()[1]
    listener.close()
    fd = joined.socket()
    joined.begin_connect(fd, port)
    with pytest.raises(ConnectionRefusedError):
        until(lambda: joined.poll(fd) & WRITABLE)
    joined.close_socket(fd)


def test_a_number_that_is_not_open(joined):
    calls = [(joined.poll,), (joined.close_socket,), (joined.listen,), (joined.accept,)]
    calls += [(joined.send, b"x"), (joined.receive, 1), (joined.bind, 80), (joined.connect, 80)]
    for call, *arguments in calls:
        with pytest.raises(OSError, match=f"Errno {errno.EBADF}"):
            call(7, *arguments)


def test_a_port_belongs_to_a_number_until_it_comes_back(joined):
    """What listens without a bind of its own does not listen on an earlier one's port."""
    numbers = [joined.socket() for _ in range(10)]
    for fd in numbers:
        joined.bind(fd, 20000 + fd)
        joined.close_socket(fd)
    fd = joined.socket()
    with pytest.raises(OSError, match=f"Errno {errno.EINVAL}"):
        joined.listen(fd)


def test_a_number_is_the_program_s_until_it_gives_it_back(connected):
    """Also when its connection is over, and no other is free."""
    driver, fd, peer = connected
    peer.close()
    until(lambda: driver.poll(fd) & READABLE)
    others = [driver.socket() for _ in range(9)]
    with pytest.raises(OSError, match=f"Errno {errno.EMFILE}"):
        driver.socket()
    assert driver.receive(fd, 1) == b""
    driver.close_socket(fd)
    assert driver.socket() == fd
    assert fd not in others


# --- the module's own pins

LEDS, INPUTS = range(3), range(3, 7)


def test_pins_of_the_module(driver):
    """As `machine.Pin` and `machine.ADC` have them on a board whose LEDs are the module's."""
    driver.init()
    for led in LEDS:
        driver.pin_mode(led, PIN_OUT, 1)
        assert driver.read_pin(led) == 1
        driver.write_pin(led, 0)
        assert driver.read_pin(led) == 0
    for pin in INPUTS:
        driver.pin_mode(pin, PIN_IN)
        assert driver.read_pin(pin) == 0
        driver.pin_mode(pin, PIN_ANALOG)
        assert driver.read_analog(pin) == 0
