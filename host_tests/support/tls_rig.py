"""A module with TLS, a controller that serves over it, and certificates: what its tests share."""

import contextlib
import socket
import ssl
import struct
import subprocess
import threading
import time

from raw_controller import PATIENCE, listen_or_connect
from slots import free_port

LOCALHOST = 0x0100007F
NAME = "module.test"
CONNECTED, OTHER_END_CLOSED, ABORTED = 2, 3, 4
TLS, UNVERIFIED, CA = 4, 8, 1
PUSH = 2
CREATE, READ, WRITE, STATUS, LISTEN = 3, 4, 5, 6, 7
ENABLE, SET_CERT, SET_KEY, CLEAR = 27, 28, 29, 30

# --- certificates


class Authority:
    """A CA of our own, and what it signs; files in a folder, made with openssl."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.name = name
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "3650", "-subj", f"/CN={name}"),
            *("-addext", "keyUsage=critical,keyCertSign"),
            *("-keyout", str(self.path("key")), "-out", str(self.path("pem"))),
        )
        self.pem = self.path("pem").read_bytes()

    def path(self, suffix, name=None):
        return self.folder / f"{name or self.name}.{suffix}"

    def issue(self, name, *subject_names, kind="ec", days=3650):
        """A certificate and its key as PEM: (certificate, key). Of -1 days: it has expired."""
        new_key = ("rsa:2048",) if kind == "rsa" else ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        names = ",".join(subject_names)
        extensions = self.path("ext", name)
        extensions.write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
        openssl(
            *("req", "-newkey", *new_key, "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", str(self.path("key", name)), "-out", str(self.path("csr", name))),
        )
        openssl(
            *("x509", "-req", "-in", str(self.path("csr", name)), "-days", str(days)),
            *("-CA", str(self.path("pem")), "-CAkey", str(self.path("key"))),
            *("-set_serial", "7", "-extfile", str(extensions)),
            *("-out", str(self.path("pem", name))),
        )
        return self.path("pem", name).read_bytes(), self.path("key", name).read_bytes()


def owner_key(folder, name="owner"):
    """The file with an owner's key and certificate, made as docs/controller.md says."""
    path = folder / f"{name}.pem"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-days", "36500", "-subj", "/CN=owner", "-keyout", str(path), "-out", str(path)),
    )
    return path


def certificate_of(path):
    """The certificate alone, as text."""
    text = path.read_text()
    return text[text.index("-----BEGIN CERTIFICATE") :]


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


# --- what is served


class Echo:
    """Sends back what comes; ends when the peer has."""

    def __init__(self):
        self.out = bytearray()
        self.done = False

    def received(self, data):
        self.out += data

    def peer_ended(self):
        self.done = True


class EchoServer:
    """A TLS server of this computer that sends back what comes, to one visitor at a time."""

    def __init__(self, authority, certificate="server"):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(
            *(authority.path(part, certificate) for part in ("pem", "key"))
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                raw, _ = self._listener.accept()
                self._echo(raw)

    def _echo(self, raw):
        with contextlib.suppress(OSError), raw:
            raw.settimeout(PATIENCE)
            with self.context.wrap_socket(raw, server_side=True) as peer:
                while data := peer.recv(16384):
                    peer.sendall(data)

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)


class Web(Echo):
    """As much of HTTP as curl needs: what was put can be got."""

    stored = b""

    def __init__(self):
        super().__init__()
        self._request = bytearray()

    def received(self, data):
        self._request += data
        head, separator, body = self._request.partition(b"\r\n\r\n")
        if not separator:
            return
        if b"expect: 100-continue" in head.lower() and not body:
            self.out += b"HTTP/1.1 100 Continue\r\n\r\n"
        wanted = _length_of(head)
        if len(body) < wanted:
            return
        if head.startswith(b"PUT"):
            type(self).stored = bytes(body)
        answer = self.stored if head.startswith(b"GET") else b"stored"
        # Without a length: it ends as the connection does.
        self.out += b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + answer
        self.done = True


def _length_of(head):
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


# --- the controller


class Served:
    """One slot as its controller sees it."""

    def __init__(self, record):
        self.state = record[0]
        self.local_port, self.remote_port = struct.unpack_from("<HH", record, 4)
        self.waiting, self.room, self.connected, self.closed = struct.unpack_from("<4H", record, 12)


class Controller:
    """Serves applications over a module; every call is one or more transactions.

    `apps` is a class for each port that is listened on; `serve_until` turns the wheel.
    """

    def __init__(self, sim):
        self.sim = sim
        self.apps = {}
        self.open = {}  # slot -> its application
        self.states = {}  # slot -> what status() last said

    def install(self, certificate, key, ca=None):
        """Certificate and key into use, and what outgoing connections believe."""
        assert self.sim.ask(SET_CERT, data=certificate)[0] == 0
        assert self.sim.ask(SET_KEY, data=key)[0] == 0
        assert self.news() == ""
        assert self.sim.ask(ENABLE)[0] == 0
        if ca:
            assert self.sim.ask(SET_CERT, flags=CA, data=ca)[0] == 0
            assert self.news() == ""

    def news(self):
        """The last error, which is cleared by asking."""
        return self.sim.ask(19)[1].rstrip(b"\0").decode()

    def address(self):
        """The module's own, dotted."""
        network = bytes(16) + b"Workshop".ljust(96, b"\0")  # WirelessConfig of an open network
        assert self.sim.ask(10, data=network)[0] == 0
        assert self.sim.ask(14, data=b"Workshop")[0] == 0
        limit = time.monotonic() + PATIENCE
        while not any(octets := self.sim.ask(9)[1][:4]):
            assert time.monotonic() < limit, "the module never had an address"
        return ".".join(str(octet) for octet in octets)

    def listen(self, app, flags=TLS, limit=8, protocol=0):
        """A port on which `app` answers."""
        port = free_port()
        record = listen_or_connect(port, limit=limit, protocol=protocol)
        assert self.sim.ask(LISTEN, flags=flags, data=record)[0] == 0
        assert self.news() == ""
        self.apps[port] = app
        return port

    def connect(self, port, name=b"", flags=TLS):
        """connCreate to a port of this computer: the response."""
        data = listen_or_connect(port, LOCALHOST) + name
        return self.sim.ask(CREATE, flags=flags, data=data)[0]

    def status(self, slot):
        return Served(self.sim.ask(STATUS, slot)[1])

    def until_state(self, slot, *states):
        """Wait until the slot is in one of these states; which one."""
        limit = time.monotonic() + PATIENCE
        while True:
            seen = self.status(slot)
            if seen.state in states:
                return seen.state
            assert time.monotonic() < limit, f"slot {slot} stays in state {seen.state}"

    def until_waiting(self, slot, n):
        """Wait until n bytes can be read, and leave them there."""
        limit = time.monotonic() + PATIENCE
        while (waiting := self.status(slot).waiting) != n:
            assert time.monotonic() < limit, f"{waiting} bytes wait in slot {slot}"

    def read(self, slot, n=2048):
        response, data = self.sim.ask(READ, slot, available=n)
        assert response >= 0
        return data[:response]

    def write(self, slot, data, flags=PUSH):
        """How much was taken of data, 2048 bytes at most."""
        return self.sim.ask(WRITE, slot, flags=flags, data=bytes(data[:2048]))[0]

    # --- the wheel

    def serve_until(self, condition, patience=PATIENCE * 3):
        """Serve all slots until condition() holds."""
        limit = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < limit, "it never came to that"
            self._turn()

    def _turn(self):
        summary = self.status(0)
        for slot in range(8):
            if (summary.connected | summary.closed) >> slot & 1:
                self._serve(slot)
            elif slot in self.open:
                del self.open[slot]

    def _serve(self, slot):
        status = self.status(slot)
        if slot not in self.open:
            self.open[slot] = self.apps[status.local_port]()
        app = self.open[slot]
        if status.state == ABORTED:
            self.sim.ask(1, slot)
            return
        if status.state == CONNECTED and status.waiting:
            app.received(self.read(slot))
        elif status.state == OTHER_END_CLOSED:
            app.peer_ended()
        if app.out:
            taken = self.write(slot, app.out) if status.room else 0
            if taken < 0:
                self.sim.ask(1, slot)
            del app.out[: max(0, taken)]
        elif app.done:
            self.sim.ask(2, slot)


class Background(threading.Thread):
    """A client's work beside the controller's wheel; result() raises what it raised."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self._work = work
        self._answer = None
        self._error = None
        self.start()

    def run(self):
        try:
            self._answer = self._work()
        except BaseException as error:
            self._error = error

    def over(self):
        return not self.is_alive()

    def result(self):
        self.join()
        if self._error:
            raise self._error
        return self._answer
