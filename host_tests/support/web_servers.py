"""Web servers and brokers, with certificates of a test's root."""

import contextlib
import os
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from own_port import own_port
from raw_controller import PATIENCE

NOISE = os.urandom(100000)


class WebSite:
    """What the web servers' handlers of requests share."""

    protocol_version = "HTTP/1.1"

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


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


def serving(address, *secured):
    """The port of a web server, over TLS as Site443 has it, or without."""
    return running(
        Site443(address, *secured) if secured else ThreadingHTTPServer((address, 0), Site)
    )


@contextlib.contextmanager
def running(server):
    """Its port."""
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def broker(address, folder, authority=None, name=None):
    """The port of mosquitto, over TLS with this certificate of the authority, or without."""
    port = own_port(address)
    config = folder / f"mosquitto-{port}.conf"
    text = f"listener {port} {address}\nallow_anonymous true\nuser root\n"
    if authority:
        text += f"certfile {authority.path('pem', name)}\nkeyfile {authority.path('key', name)}\n"
    config.write_text(text)
    with subprocess.Popen(["mosquitto", "-c", config], stderr=subprocess.PIPE) as process:
        while b" running" not in (line := process.stderr.readline()):
            assert line
        try:
            yield port
        finally:
            process.kill()
