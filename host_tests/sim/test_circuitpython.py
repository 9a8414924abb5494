"""CircuitPython's own libraries and SIM, over real TCP: programs' work, and what may go wrong."""

import contextlib
import fcntl
import hashlib
import importlib
import os
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from circuitpython_rig import libraries, rig, stack, start_rig, until
from own_port import own_port
from raw_controller import PATIENCE
from web_servers import WebSite

__all__ = ["libraries", "rig", "stack", "start_rig"]

MB = 1 << 20
LARGE = 4096
NOISE = os.urandom(MB)


@contextlib.contextmanager
def in_thread(work, *arguments):
    """Run work(*arguments) beside the block, and give its Future; it has to end, and well."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work, *arguments)
        yield future
        future.result(PATIENCE)


@pytest.fixture
def listener(rig):
    """A peer that waits for connections, and takes what there is of SO_REUSEADDR."""
    with socket.create_server((rig.peer, 0)) as listener:
        listener.settimeout(PATIENCE)
        yield listener


def port_of(listener):
    return listener.getsockname()[1]


def accepted(listener):
    """The next connection of a peer."""
    connection, _ = listener.accept()
    connection.settimeout(PATIENCE)
    return connection


def reset(connection):
    """End a connection with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def unread(connection):
    """How many bytes wait to be read."""
    return struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))[0]


def received(connection):
    """All that comes before the end."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def exchanged(rig, listener):
    """One connection that works both ways."""
    sock = rig.connected(port_of(listener))
    with accepted(listener) as peer:
        sock.send(b"ping")
        assert peer.recv(4) == b"ping"
        peer.sendall(b"pong")
        assert sock.recv(4) == b"pong"
        sock.close()
        assert received(peer) == b""


# -- HTTP


class Site(WebSite, BaseHTTPRequestHandler):
    """GET gives a megabyte, POST says what came."""

    def do_GET(self):
        self.answer(NOISE)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(body).hexdigest().encode())


@pytest.fixture
def site(rig):
    """A real web server; its URL."""
    with ThreadingHTTPServer((rig.peer, 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{rig.peer}:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_get_and_post_a_megabyte(rig, site, stack):
    """The driver sends pieces of 64 bytes, which takes long: all of them to the chips' stack.
    What it reads is asked for in large ones, as programs do that read much."""
    session = rig.session()
    sent = NOISE if stack == "lwip" else NOISE[: MB // 16]
    with session.get(site, timeout=PATIENCE) as response:
        assert b"".join(response.iter_content(LARGE)) == NOISE
    with session.post(site, data=sent, timeout=PATIENCE) as response:
        assert response.text == hashlib.sha256(sent).hexdigest()


REQUESTS = 200


@pytest.mark.behaviour("A4")
def test_a_server_answers_200_requests_and_is_started_again(rig):
    httpserver = rig.libraries.httpserver
    server = httpserver.Server(rig.pool)
    server.socket_timeout = PATIENCE

    @server.route("/echo", httpserver.POST)
    def echo(request):
        return httpserver.Response(request, request.body)

    port = own_port(rig.address) if rig.address == rig.peer else 80

    def ask(requests):
        for number in range(requests):
            body = b"%d " % number * 40
            url = f"http://{rig.address}:{port}/echo"
            with urllib.request.urlopen(url, body, timeout=PATIENCE) as answer:
                assert answer.read() == body

    for requests in (REQUESTS, 1):  # its number ends the listener
        server.start(rig.address, port)
        with in_thread(ask, requests) as asked:
            while not asked.done():
                server.poll()
        server.stop()
    rig.loses_nothing()


# -- MQTT


@pytest.fixture
def broker(rig, tmp_path):
    """mosquitto; its port."""
    port = own_port(rig.peer)
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} {rig.peer}\nallow_anonymous true\nuser root\n")
    with subprocess.Popen(["mosquitto", "-c", config], stderr=subprocess.PIPE) as broker:
        while b" running" not in (line := broker.stderr.readline()):
            assert line
        yield port
        broker.kill()


def test_publish_and_subscribe(rig, broker):
    def tool(name, *arguments):
        command = [f"mosquitto_{name}", "-h", rig.peer, "-p", str(broker), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE)

    messages = []
    client = rig.libraries.minimqtt.MQTT(
        broker=rig.peer,
        port=broker,
        socket_pool=rig.pool,
        recv_timeout=PATIENCE,
        connect_retries=1,
    )
    client.on_message = lambda _client, *message: messages.append(message)
    client.connect()
    client.subscribe("down/#", qos=1)
    with tool("sub", "-t", "up", "-C", "1", "-F", "%p") as listening:
        with tool("pub", "-t", "down/to", "-q", "1", "-m", "x" * 3000):
            while not messages:
                client.loop(timeout=1)
        while listening.poll() is None:  # it may not have subscribed yet
            client.publish("up", "y" * 3000, qos=1)
            with contextlib.suppress(subprocess.TimeoutExpired):
                listening.wait(0.2)
        assert listening.stdout.read() == b"y" * 3000 + b"\n"
    assert messages == [("down/to", "x" * 3000)]
    client.disconnect()
    rig.loses_nothing()


# -- peers


def test_a_connection(rig, listener):
    exchanged(rig, listener)


def fails(work):
    """Call work() until it fails, as it has to."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        try:
            work()
        except OSError:
            return
    raise AssertionError("it did not fail")


@pytest.mark.behaviour("A2", "A7")
def test_a_peer_that_resets(rig, listener):
    for ends in (reset, socket.socket.close):
        sock = rig.connected(port_of(listener))
        peer = accepted(listener)
        number = sock._socknum
        sock.send(b"not read")
        assert rig.esp.socket_status(number) == rig.driver.SOCKET_ESTABLISHED
        ends(peer)  # what it has not read makes this a reset in any case
        fails(lambda sock=sock: sock.send(b"more" * 16))
        exchanged(rig, listener)
    rig.loses_nothing()


@pytest.mark.behaviour("A7")
def test_the_last_bytes_are_read_before_the_end(rig, listener):
    data = NOISE[:20_000]
    sock = rig.connected(port_of(listener))
    with accepted(listener) as peer:
        peer.sendall(data)
    came, piece = b"", bytearray(1400)
    while len(came) < len(data):
        assert rig.esp.socket_status(sock._socknum) == rig.driver.SOCKET_ESTABLISHED
        came += piece[: sock.recv_into(piece)]
    assert came == data
    until(lambda: not sock._connected(), "the end")
    rig.loses_nothing()


@pytest.fixture
def narrow(rig):
    """A peer whose window is small."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind((rig.peer, 0))
        listener.listen()
        listener.settimeout(PATIENCE)
        yield listener


@pytest.mark.behaviour("A1")
def test_a_slow_peer_gets_all(rig, narrow):
    data = NOISE[:200_000]
    sock = rig.connected(port_of(narrow))
    with accepted(narrow) as peer:

        def read_late():
            """Nothing, until no more comes: the module is full, and the driver waits."""
            waiting = -1
            while waiting != (waiting := unread(peer)) or not waiting:
                time.sleep(1)
            return received(peer)

        with in_thread(read_late) as came:
            assert sock.send(data) == len(data)
            sock.close()
        assert came.result() == data
    rig.loses_nothing()


@pytest.mark.behaviour("A1", "A13")
def test_a_peer_that_stalls_costs_its_connection_only(rig, narrow, listener):
    sock = rig.connected(port_of(narrow))
    with accepted(narrow):
        fails(lambda: sock.send(NOISE[:20_000]))  # the driver sends all of it, although it fails
        exchanged(rig, listener)
    rig.loses_nothing()


@pytest.mark.behaviour("A5")
@pytest.mark.parametrize("stack", ["lwip"])
def test_a_peer_that_vanishes(rig, listener):
    sock = rig.connected(port_of(listener))
    with accepted(listener):
        down, up = (["ip", "link", "set", "spinet0", state] for state in ("down", "up"))
        subprocess.run(down, check=True)
        fails(lambda: sock.send(NOISE[:20_000]))
        with pytest.raises(ConnectionError):  # the module's answer, and not the driver's patience
            rig.connected(port_of(listener))
        subprocess.run(up, check=True)
    exchanged(rig, listener)
    rig.loses_nothing()


THOUSAND = 1000


@pytest.mark.behaviour("A2", "A3")
def test_no_number_is_lost(rig, listener):
    """A program that forgets: it closes one of three of its sockets."""
    refused = own_port(rig.peer)
    esp = rig.esp

    def is_closed(sock):
        until(lambda: esp.socket_status(sock._socknum) == rig.driver.SOCKET_CLOSED, "the end")

    def refuses():
        with pytest.raises(OSError, match=r"."):
            rig.connected(refused)

    def is_never_used():
        esp.get_socket()

    def is_ended_by_the_peer(end=socket.socket.close):
        sock = rig.connected(port_of(listener))
        end(accepted(listener))
        is_closed(sock)

    def is_reset_by_the_peer():
        is_ended_by_the_peer(reset)

    def is_forgotten_after_its_end():
        rig.connected(port_of(listener))
        accepted(listener).close()

    def is_closed_by_us():
        sock = rig.connected(port_of(listener))
        with accepted(listener):
            sock.close()
        is_closed(sock)

    kinds = (
        *(is_closed_by_us, is_ended_by_the_peer, refuses, is_closed_by_us, is_never_used),
        *(is_reset_by_the_peer, is_closed_by_us, is_forgotten_after_its_end),
    )
    for number in range(THOUSAND):
        kinds[number % len(kinds)]()
    exchanged(rig, listener)
    rig.loses_nothing()


# -- replies that come late, transfers that are cut


on_sockets = pytest.mark.parametrize("stack", ["sockets"])


@on_sockets  # of the link; no stack has a part in it
@pytest.mark.behaviour("A13")
def test_a_reply_that_is_late_costs_that_call_only(rig, listener, monkeypatch):
    monkeypatch.setattr(rig.driver, "time", time)  # as patient as it is
    writes = rig.spi.write

    def then_stands_still(*arguments, **options):
        writes(*arguments, **options)
        rig.sim.stand_still()  # before CS rises, so that there is no reply yet

    try:
        with monkeypatch.context() as patched:
            patched.setattr(rig.spi, "write", then_stands_still)
            with pytest.raises(TimeoutError):
                rig.esp.firmware_version  # noqa: B018
    finally:
        rig.sim.signal(signal.SIGCONT)  # the reply comes now
    monkeypatch.undo()
    assert rig.esp.firmware_version == "1.8.0"
    exchanged(rig, listener)


class Cut(Exception):
    """The program was interrupted, or its controller was reset, in the middle of a transfer."""


@on_sockets  # of the link; no stack has a part in it
@pytest.mark.behaviour("A13")
@pytest.mark.parametrize("length", [0, 1, 3, 4, 70, 71])
def test_a_command_that_is_cut_costs_that_call_only(rig, listener, monkeypatch, length):
    writes = rig.spi.write

    def is_cut(buffer, start, end):
        writes(buffer, start=start, end=min(end, length))
        raise Cut

    sock = rig.connected(port_of(listener))
    with accepted(listener) as peer:
        with monkeypatch.context() as patched:
            patched.setattr(rig.spi, "write", is_cut)
            with pytest.raises(Cut):
                sock.send(b"x" * 64)
        assert rig.esp.firmware_version == "1.8.0"
        peer.sendall(b"after")
        assert sock.recv(5) == b"after"
        sock.close()
    exchanged(rig, listener)


@on_sockets  # of the link; no stack has a part in it
@pytest.mark.behaviour("A13")
@pytest.mark.parametrize("reads", range(6))
def test_a_reply_that_is_cut_costs_that_call_only(rig, listener, monkeypatch, reads):
    readinto, left = rig.spi.readinto, iter(range(reads))

    def is_cut(*arguments, **options):
        if next(left, None) is None:
            raise Cut
        readinto(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(rig.spi, "readinto", is_cut)
        with pytest.raises(Cut):
            rig.esp.firmware_version  # noqa: B018
    assert rig.esp.firmware_version == "1.8.0"
    exchanged(rig, listener)


@on_sockets  # of the link; no stack has a part in it
@pytest.mark.behaviour("A13")
@pytest.mark.parametrize("at", [1, 3, 5])
@pytest.mark.parametrize("selected", [True, False])
def test_a_gap_in_a_command(rig, listener, monkeypatch, at, selected):
    """A pause is nothing; a rise of CS in it costs that call."""
    writes = rig.spi.write

    def has_a_gap(buffer, start, end):
        writes(buffer, start=start, end=at)
        rig.cs.value = not selected
        time.sleep(0.05)
        rig.cs.value = False
        writes(buffer, start=at, end=end)

    with monkeypatch.context() as patched:
        patched.setattr(rig.spi, "write", has_a_gap)
        with contextlib.nullcontext() if selected else contextlib.suppress(OSError):
            assert rig.esp.MAC_address
    assert rig.esp.firmware_version == "1.8.0"
    exchanged(rig, listener)


# -- UDP


@pytest.fixture
def udp_peers(rig):
    """Two UDP ports of peers."""
    with contextlib.ExitStack() as ending:
        peers = [
            ending.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)
        ]
        for peer in peers:
            peer.bind((rig.peer, 0))
            peer.settimeout(PATIENCE)
        yield peers


@pytest.fixture
def udp_peer(udp_peers):
    return udp_peers[0]


@pytest.mark.behaviour("A10", "A11")
def test_datagrams_of_any_length_both_ways(rig, udp_peers):
    """The driver says where to listen anew for each, and means the port of the peer."""
    sock = rig.pool.socket(rig.pool.AF_INET, rig.pool.SOCK_DGRAM)
    sock.settimeout(None)
    for number, size in enumerate((1, 48, 63, 64, 65, 128, 640, 1000, 1472)):
        udp_peer = udp_peers[number % 2]
        data = NOISE[size : 2 * size]
        sock.sendto(data, udp_peer.getsockname())
        got, sender = udp_peer.recvfrom(2048)
        assert got == data
        udp_peer.sendto(got[::-1], sender)
        until(lambda: rig.esp.socket_available(sock._socknum), "an answer")
        assert sock.recv(size) == data[::-1]
        assert rig.esp.get_remote_data(sock._socknum)["ip_addr"] == socket.inet_aton(rig.peer)
    sock.close()
    rig.loses_nothing()


@pytest.mark.behaviour("A10", "A12")
def test_a_datagram_is_read_in_pieces_and_never_mixed(rig, udp_peer, listener):
    sock = rig.pool.socket(rig.pool.AF_INET, rig.pool.SOCK_DGRAM)
    sock.sendto(b"begin", udp_peer.getsockname())
    _, sender = udp_peer.recvfrom(2048)
    for data in (b"first one", b"other"):
        udp_peer.sendto(data, sender)
    number = sock._socknum
    got = []
    for _ in range(4):
        until(lambda: rig.esp.socket_available(number), "more to read")
        got.append(rig.esp.socket_read(number, 5 if len(got) < 2 else 3))
    assert got == [b"first", b" one", b"oth", b"er"]
    for i in range(10_000):
        udp_peer.sendto(b"burst %d" % i, sender)

    def hears():
        udp_peer.sendto(b"after", sender)
        while rig.esp.socket_available(number):
            if rig.esp.socket_read(number, 100) == b"after":
                return True
        return False

    until(hears, "the next datagram")
    exchanged(rig, listener)
    sock.close()


# -- the module's own pins

LED, LINK = 26, 33


@on_sockets
def test_pins_of_the_module(start_rig):
    """What the driver has for them; a pin of the link is refused by each call."""
    rig = start_rig()
    esp = rig.esp
    digitalio = importlib.import_module("adafruit_esp32spi.digitalio")
    led = digitalio.DigitalInOut(esp, LED)
    led.direction = digitalio.Direction.OUTPUT
    for level in (True, False, True):
        led.value = level
        assert esp.set_digital_read(LED) is level
    pwm = importlib.import_module("adafruit_esp32spi.PWMOut").PWMOut(esp, LED)
    for duty in (0, 30_000, 65_535):
        pwm.duty_cycle = duty
    esp.set_pin_mode(LED, 2)  # pulled up
    assert esp.set_digital_read(LED) is True
    esp.set_pin_mode(LED, rig.driver.Direction.INPUT)
    assert esp.set_digital_read(LED) is False
    assert esp.set_analog_read(34) == 0
    for refused in (
        lambda: esp.set_pin_mode(LINK, 1),
        lambda: esp.set_digital_write(LINK, True),
        lambda: esp.set_analog_write(LINK, 0.5),
        lambda: esp.set_digital_read(LINK),
        lambda: digitalio.DigitalInOut(esp, LINK),
    ):
        with pytest.raises(OSError, match=r"."):
            refused()
    with pytest.raises(ValueError, match="invalid pin"):
        esp.set_analog_read(LINK)
    rig.join()
