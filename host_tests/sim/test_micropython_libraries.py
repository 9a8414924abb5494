"""MicroPython's own libraries on a board with SIM as its NINA, unmodified: web and MQTT, with the
board's TLS and without."""

import hashlib
import ssl

import pytest
from nina_sim import board, stack, start_nina
from tls_rig import Authority
from web_servers import NOISE, broker, serving

__all__ = ["board", "stack", "start_nina"]

# Both libraries ask for `ussl`, which was MicroPython's name for its `tls` when they were written.
PROGRAM = """
import binascii, hashlib, sys, tls

class ussl:
    @staticmethod
    def wrap_socket(sock, server_hostname):
        context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        context.verify_mode = tls.CERT_REQUIRED
        context.load_verify_locations(%(ca)r)
        return context.wrap_socket(sock, server_hostname=server_hostname)

sys.modules["ussl"] = ussl
import urequests
from umqtt.simple import MQTTClient

def digest(response):
    print(binascii.hexlify(hashlib.sha256(response.content).digest()).decode())
    response.close()

def publish(port, **how):
    client = MQTTClient("board", "%(peer)s", port, **how)
    client.set_callback(lambda topic, text: print(topic, len(text)))
    client.connect()
    client.subscribe(b"to/board")
    client.publish(b"to/board", b"hello" * 1000)
    client.wait_msg()
    client.disconnect()

digest(urequests.get("http://%(peer)s:%(plain)d/"))
digest(urequests.get("https://%(peer)s:%(secure)d/"))
digest(urequests.post("https://%(peer)s:%(secure)d/", data="noon" * 1000))
try:
    urequests.get("https://%(peer)s:%(strange)d/")
except ValueError as e:
    print(str(e).strip())
publish(%(mqtt)d)
publish(%(mqtts)d, ssl=True, ssl_params={"server_hostname": "%(peer)s"})
"""


@pytest.mark.behaviour("A7")
def test_web_and_mqtt(board, tmp_path):
    ca, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    ca.issue("server", f"IP:{board.peer}")
    stranger.issue("self", f"IP:{board.peer}")
    with (
        serving(board.peer) as plain,
        serving(board.peer, ca, "server") as secure,
        serving(board.peer, stranger, "self") as strange,
        broker(board.peer, tmp_path) as mqtt,
        broker(board.peer, tmp_path, ca, "server") as mqtts,
    ):
        values = {
            "plain": plain,
            "secure": secure,
            "strange": strange,
            "mqtt": mqtt,
            "mqtts": mqtts,
        }
        assert board.run(
            PROGRAM
            % {"ca": ssl.PEM_cert_to_DER_cert(ca.pem.decode()), "peer": board.peer, **values}
        ) == [
            hashlib.sha256(NOISE).hexdigest(),
            hashlib.sha256(NOISE).hexdigest(),
            hashlib.sha256(b"noon" * 1000).hexdigest(),
            "The certificate is not correctly signed by the trusted CA",
            "b'to/board' 5000",
            "b'to/board' 5000",
        ]
