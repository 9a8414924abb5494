"""CircuitPython's own libraries over TLS: a web server and a broker with certificates of a test's
root, which SIM is told of."""

import contextlib
import os
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from circuitpython_rig import WebSite, libraries, stack, start_rig
from own_port import own_port
from raw_controller import PATIENCE
from tls_rig import Authority

__all__ = ["libraries", "stack", "start_rig"]

NOISE = os.urandom(100000)
CERTIFICATE, KEY = 0x40, 0x41


class Site(WebSite, BaseHTTPRequestHandler):
    """GET gives noise, POST what came."""

    def do_GET(self):
        self.answer(NOISE)

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))


class Site443(ThreadingHTTPServer):
    """A web server over TLS; a client that does not come through the handshake is no concern."""

    daemon_threads = True

    def __init__(self, address, authority, name, client_ca=None):
        super().__init__((address, 0), Site)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(authority.path("pem", name), authority.path("key", name))
        if client_ca:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(client_ca)

    def finish_request(self, request, address):
        request.settimeout(PATIENCE)
        with (
            contextlib.suppress(OSError),
            self._context.wrap_socket(request, server_side=True) as secured,
        ):
            super().finish_request(secured, address)


@contextlib.contextmanager
def serving(*how):
    """The port of a Site443."""
    with Site443(*how) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def broker(address, authority, name, folder):
    """The port of mosquitto."""
    port = own_port(address)
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} {address}\nallow_anonymous true\nuser root\n"
        f"certfile {authority.path('pem', name)}\nkeyfile {authority.path('key', name)}\n"
    )
    with subprocess.Popen(["mosquitto", "-c", config], stderr=subprocess.PIPE) as process:
        while b" running" not in (line := process.stderr.readline()):
            assert line
        yield port
        process.kill()


@pytest.fixture
def ca(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def rig(start_rig, ca):
    """A module that has joined its network, and trusts the test's root alone."""
    started = start_rig("--roots", str(ca.path("pem")))
    started.join()
    ca.issue("server", f"IP:{started.peer}", "DNS:localhost")
    return started


@pytest.mark.behaviour("A18")
def test_https_and_mqtt(rig, stack, ca, tmp_path):
    name = "localhost" if stack == "sockets" else rig.peer  # the network of lwIP has no names
    stranger = Authority(tmp_path, "stranger")
    stranger.issue("self", f"IP:{rig.peer}", "DNS:localhost")
    with serving(rig.peer, ca, "server") as port:
        gets_and_posts(rig, f"https://{name}:{port}/")
    with serving(rig.peer, stranger, "self") as port, pytest.raises((OSError, RuntimeError)):
        rig.session().get(f"https://{name}:{port}/", timeout=PATIENCE)
    with serving(rig.peer, ca, "server", ca.path("pem")) as port:
        shows_a_certificate(rig, ca)
        gets_and_posts(rig, f"https://{name}:{port}/")
    with broker(rig.peer, ca, "server", tmp_path) as port:
        publishes_and_receives(rig, name, port)
    rig.loses_nothing()


def gets_and_posts(rig, url):
    session = rig.session()
    with session.get(url, timeout=PATIENCE) as response:
        assert response.content == NOISE
    with session.post(url, data=NOISE[:5000], timeout=PATIENCE) as response:
        assert response.content == NOISE[:5000]
    # Each has one connection over TLS.
    rig.libraries.connections.connection_manager_close_all(rig.pool)


def shows_a_certificate(rig, ca):
    """The driver's own functions for it look for text in bytes, and raise TypeError."""
    certificate, key = ca.issue("client", "DNS:client.test", kind="rsa")
    for command, pem in ((CERTIFICATE, certificate), (KEY, key)):
        assert rig.esp._send_command_get_response(command, (pem,)) == [b"\1"]


def publishes_and_receives(rig, name, port):
    messages = []
    client = rig.libraries.minimqtt.MQTT(
        broker=name,
        port=port,
        is_ssl=True,
        ssl_context=rig.libraries.connections.get_radio_ssl_context(rig.esp),
        socket_pool=rig.pool,
        recv_timeout=PATIENCE,
        connect_retries=1,
    )
    client.on_message = lambda _client, *message: messages.append(message)
    client.connect()
    client.subscribe("to/board")
    client.publish("to/board", "hello" * 100)
    limit = time.monotonic() + PATIENCE
    while not messages:
        assert time.monotonic() < limit
        client.loop(1)
    assert messages == [("to/board", "hello" * 100)]
    client.disconnect()
