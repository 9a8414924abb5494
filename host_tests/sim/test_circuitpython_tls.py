"""CircuitPython's own libraries over TLS: a web server and a broker with certificates of a test's
root, which SIM is told of."""

import time

import pytest
from circuitpython_rig import libraries, stack, start_rig
from raw_controller import PATIENCE
from tls_rig import Authority
from web_servers import NOISE, broker, serving

__all__ = ["libraries", "stack", "start_rig"]

CERTIFICATE, KEY = 0x40, 0x41


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
    with broker(rig.peer, tmp_path, ca, "server") as port:
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
