"""TLS of NINA's clients, command by command: which servers are refused, and why; what is left."""

import contextlib
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from nina_bench import frame, parameters
from own_network import ADDRESSES, WITH_TAP, own_network
from raw_controller import GPIO0, PATIENCE
from sim_process import BINARY, LWIP_BINARY, TELLING, run_sim, start_sim
from slots import free_port
from tls_rig import Authority, openssl

__all__ = ["run_sim", "start_sim"]

TLS = 2
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
OK, FAILED = [b"\1"], [b"\0"]
KEY_MARK = b"PRIVATE KEY"
NOW = int(time.time())
DAY = 86400


class Servers:
    """Real TLS servers, one to each certificate; each sends back what comes."""

    def __init__(self, folder, address):
        self.ca = Authority(folder)
        self.folder = folder
        self.address = address
        self._ending = contextlib.ExitStack()

    def context(self, certificate, key):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for suffix, text in (("crt", certificate), ("key", key)):
            (self.folder / f"served.{suffix}").write_bytes(text)
        context.load_cert_chain(self.folder / "served.crt", self.folder / "served.key")
        return context

    def serve(self, certificate, key, ca=None, version=None):
        """Its port. With a `ca`, clients have to have a certificate of it."""
        context = self.context(certificate, key)
        if version:
            context.minimum_version = context.maximum_version = version
        if ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(ca)
        return self.listen(lambda raw: context.wrap_socket(raw, server_side=True))

    def serve_each(self, *certificate, **how):
        """A port for each version of TLS."""
        return [self.serve(*certificate, version=version, **how) for version in VERSIONS]

    def listen(self, welcome):
        listener = self._ending.enter_context(socket.create_server((self.address, 0)))
        thread = threading.Thread(target=_serve, args=(listener, welcome), daemon=True)
        thread.start()
        return listener.getsockname()[1]

    def dated(self, name, begin, end):
        """A certificate of the CA that is valid between these days from now."""
        begin, end = (
            time.strftime("%Y%m%d%H%M%SZ", time.gmtime(NOW + n * DAY)) for n in (begin, end)
        )
        _, key = self.ca.issue(name, f"IP:{self.address}")
        path = self.ca.path("pem", name)
        (self.folder / "index").write_text("")
        (self.folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca = own\n[own]\npolicy = any\ndefault_md = sha256\n"
            f"database = {self.folder}/index\nnew_certs_dir = {self.folder}\n"
            "rand_serial = yes\n[any]\ncommonName = supplied\n"
        )
        openssl(
            *("ca", "-batch", "-notext", "-config", str(self.folder / "ca.cnf")),
            *("-in", str(self.ca.path("csr", name)), "-out", str(path)),
            *("-cert", str(self.ca.path("pem")), "-keyfile", str(self.ca.path("key"))),
            *("-extfile", str(self.ca.path("ext", name)), "-startdate", begin, "-enddate", end),
        )
        return path.read_bytes(), key

    def close(self):
        self._ending.close()


def _serve(listener, welcome):
    """Serve one after the other, until the listener is closed."""
    while True:
        try:
            raw, _ = listener.accept()
        except OSError:
            return
        raw.settimeout(PATIENCE)
        with contextlib.suppress(OSError), raw, welcome(raw) as peer:
            while data := peer.recv(4096):
                peer.sendall(data)


def speaks_no_tls(raw):
    raw.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    return raw


class Client:
    """A driver's calls; `host` is how it names its peers."""

    def __init__(self, sim, address):
        self.sim = sim
        self.host = address
        self.address = bytes(int(octet) for octet in address.split("."))

    def ask(self, number, *params, wide=False):
        reply = self.sim.controller.command(frame(number, *params, wide=wide))
        return parameters(reply, wide=number == 0x45)

    def connect(self, port, host=None, by_address=False):
        """(the socket's number, the answer)."""
        number = self.ask(0x3F)[0][0]
        where = (self.address, port.to_bytes(2, "big"), number, TLS)
        if not by_address:
            where = ((host or self.host).encode(), bytes(4), *where[1:])
        return number, self.ask(0x2D, *where)

    def echoes(self, number, data=b"hello"):
        sent = self.ask(0x44, bytes([number]), data, wide=True)
        assert sent == [len(data).to_bytes(2, "little")]
        while not (first := self.read(number, 1)):
            pass
        assert self.has_input() == 1
        assert first + self.read(number, 255) == data
        assert self.has_input() == 0

    def read(self, number, n):
        return self.ask(0x45, bytes([number]), n.to_bytes(2, "little"), wide=True)[0]

    def has_input(self):
        """GPIO0, which is right when READY falls."""
        self.sim.controller.wait_ready()
        return self.sim.controller.pins[GPIO0]

    def stop(self, number):
        assert self.ask(0x2E, number) == OK

    def works(self, port, **how):
        number, answer = self.connect(port, **how)
        assert answer == OK, self.sim.lines
        self.echoes(number)
        self.stop(number)

    def work(self, *ports):
        for port in ports:
            self.works(port)

    def refuse(self, ports, why, **how):
        for port in ports:
            self.refuses(port, why, **how)

    def refuses(self, port, why, **how):
        before = len(self.sim.lines)
        assert self.connect(port, **how)[1] == FAILED
        self._tells(why, before)

    def refused_late(self, port, why):
        """The client's handshake is done before the server has seen who it is."""
        before = len(self.sim.lines)
        number, answer = self.connect(port)
        assert answer == OK
        while self.ask(0x2F, number) != [b"\0"]:
            pass
        self._tells(why, before)
        self.stop(number)

    def _tells(self, why, before):
        limit = time.monotonic() + PATIENCE
        while not any(why in line for line in self.sim.lines[before:]):
            assert time.monotonic() < limit, self.sim.lines
            time.sleep(0.01)

    def knows_time(self, seconds):
        assert self.ask(0x5F, seconds.to_bytes(4, "little")) == [b"\0"]

    def give(self, number, pem):
        """40 or 41, as CircuitPython's driver sends them: the length is cut to a byte."""
        command = bytes((0xE0, number, 1, len(pem) & 0xFF)) + pem + b"\xee"
        return parameters(self.sim.controller.command(command + b"\xee\x55"))


@pytest.fixture(params=["sockets", "lwip"])
def servers(request, tmp_path):
    with contextlib.ExitStack() as ending:
        if request.param == "lwip":
            ending.enter_context(own_network())
        yield ending.enter_context(
            contextlib.closing(Servers(tmp_path, ADDRESSES[request.param][0]))
        )


@pytest.fixture
def client(servers, start_sim, request):
    lwip = "lwip" in request.node.name
    sim = start_sim(
        "nina",
        *("--roots", str(servers.ca.path("pem"))),
        script=("-c", TELLING),
        binary=LWIP_BINARY if lwip else BINARY,
        before=WITH_TAP if lwip else (),
    )
    sim.power_on()
    client = Client(sim, servers.address)
    assert client.ask(0x10, b"Workshop") == OK
    sim.controller.wait_ready()
    while client.ask(0x20) != [b"\3"]:
        pass
    return client


@pytest.mark.behaviour("A16")
@pytest.mark.behaviour("A18")
def test_what_is_wrong_with_a_server(client, servers):
    """Each is refused, with its reason; then one is served that is as it should be."""
    valid = servers.ca.issue("valid", f"IP:{servers.address}", "DNS:valid.test", days=1000)
    stranger = Authority(servers.folder, "stranger").issue("self", f"IP:{servers.address}")
    ports = servers.serve_each(*valid)
    client.work(*ports)
    client.works(ports[0], by_address=True)
    another = servers.serve_each(*servers.ca.issue("other", "DNS:other.test"))
    why = "TLS: the certificate is made out to another name"
    client.refuse(another, why)
    client.refuse(another, why, by_address=True)
    client.refuse(
        servers.serve_each(*stranger), "TLS: the certificate is not from a CA that is trusted"
    )
    old = servers.dated("old", -5000, -4000)
    client.refuse(servers.serve_each(*old), "TLS: the certificate has expired")
    later = servers.serve_each(*servers.dated("later", 1500, 2500))
    client.work(*later)  # the time is unknown, and may be any since the firmware was built
    client.refuse([servers.listen(speaks_no_tls)], "TLS: the peer does not speak TLS")
    assert client.connect(free_port())[1] == FAILED
    client.works(ports[1])
    client.knows_time(NOW + DAY)
    client.refuse(later, "TLS: the certificate is not valid yet")
    client.work(*ports)
    client.knows_time(NOW + 2000 * DAY)
    client.work(*later)
    client.refuse(ports, "TLS: the certificate has expired")


def test_a_client_with_a_certificate(client, servers):
    own, key = servers.ca.issue("client", "DNS:client.test", kind="rsa")
    _, another_key = servers.ca.issue("another", "DNS:another.test", kind="rsa")
    serving = servers.ca.issue("server", f"IP:{servers.address}")
    ports = servers.serve_each(*serving, ca=servers.ca.path("pem"))
    client.refuse(ports[:1], "TLS: the peer refuses")
    client.refused_late(ports[1], "TLS: the peer refuses")
    assert client.give(0x41, own) == FAILED
    assert client.give(0x40, own) == OK
    assert not answers(client, ports[0])
    assert client.give(0x41, another_key) == FAILED
    client.sim.said("TLS key: it does not belong to the certificate")
    assert not answers(client, ports[1])
    assert client.give(0x41, key) == OK
    assert all(answers(client, port) for port in ports)
    assert client.give(0x40, b"-----BEGIN CERTIFICATE-----\nno\n") == FAILED
    assert answers(client, ports[0])
    secret = key.split(b"\n")[1].decode()
    assert not any(secret in line for line in client.sim.lines)


def answers(client, port):
    """True when the server lets it in. In TLS 1.3 it says so after the handshake."""
    number, answer = client.connect(port)
    if answer == FAILED:
        return False
    client.ask(0x44, bytes([number]), b"?", wide=True)
    while not (came := client.read(number, 1)):
        if client.ask(0x2F, number) == [b"\0"]:
            break
    client.stop(number)
    return came == b"?"


def resident(sim):
    """Bytes of the process."""
    return int(Path(f"/proc/{sim.process.pid}/statm").read_text().split()[1]) * 4096


HANDSHAKES = 52
LEFT = 1 << 19  # a session has 26 KB, and 52 of them more than twice this


def test_handshakes_leave_nothing_behind(client, servers):
    ports = servers.serve_each(*servers.ca.issue("server", f"IP:{servers.address}"))
    wrong = servers.serve_each(*servers.ca.issue("other", "DNS:other.test"))

    def shake():
        client.work(*ports)
        assert [client.connect(port)[1] for port in wrong] == [FAILED] * 2

    for _ in range(5):
        shake()
    before = resident(client.sim)
    for _ in range(HANDSHAKES // 4):
        shake()
    assert resident(client.sim) - before < LEFT


def test_a_file_of_roots_that_is_not_there(run_sim):
    code, _, said = run_sim("--roots", "nowhere.pem")
    assert code == 2
    assert "cannot read the roots 'nowhere.pem'" in said
