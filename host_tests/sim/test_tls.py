"""TLS in the module: real programs against SIM, and SIM as a client of a real server."""

import contextlib
import functools
import hashlib
import itertools
import os
import random
import select
import socket
import ssl
import struct
import subprocess
import threading
from pathlib import Path

import pytest
from own_network import WITH_TAP, own_network
from project import ROOT
from raw_controller import PATIENCE, listen_or_connect
from sim_process import BINARY, LWIP_BINARY, start_sim
from sim_process import reset as reset_module
from slots import free_port
from tls_rig import (
    ABORTED,
    CLEAR,
    CONNECTED,
    ENABLE,
    LISTEN,
    NAME,
    OTHER_END_CLOSED,
    SET_CERT,
    SET_KEY,
    TLS,
    UNVERIFIED,
    Authority,
    Background,
    Controller,
    Echo,
    EchoServer,
    Web,
)

__all__ = ["start_sim"]

HEAP_BUS = str(ROOT / "host_tests" / "vm" / "heap_bus.py")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """A CA that is known to no side."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def own(authority):
    """The module's certificate and key."""
    return authority.issue("module", f"DNS:{NAME}", "IP:127.0.0.1")


@pytest.fixture
def module(start_sim):
    """A module that has booted, and its controller."""
    sim = start_sim("module-clocked")
    sim.power_on()
    return Controller(sim)


@pytest.fixture
def served(module, own, authority):
    """The same with certificate, key and CA."""
    module.install(*own, ca=authority.pem)
    return module


def curl(port, ca, *options, address="127.0.0.1"):
    """curl beside the controller: (exit code, what it got, what it said)."""

    def run():
        done = subprocess.run(
            [
                *("curl", "-sS", "--max-time", "60", "--cacert", str(ca)),
                *("--resolve", f"{NAME}:{port}:{address}", *options),
                f"https://{NAME}:{port}/file",
            ],
            capture_output=True,
        )
        return done.returncode, done.stdout, done.stderr.decode()

    return Background(run)


def served_result(module, work):
    module.serve_until(work.over)
    return work.result()


def noise(n, seed=1):
    return random.Random(seed).randbytes(n)


# --- serving


@pytest.mark.parametrize(("kind", "size"), [("ec", 2 << 20), ("rsa", 100000)])
def test_curl_gets_what_it_put(module, authority, kind, size, tmp_path):
    module.install(*authority.issue(f"web-{kind}", f"DNS:{NAME}", kind=kind))
    port = module.listen(Web)
    data = noise(size)
    (tmp_path / "data").write_bytes(data)
    put = curl(port, authority.path("pem"), "-T", str(tmp_path / "data"))
    assert served_result(module, put) == (0, b"stored", "")
    assert hashlib.sha256(Web.stored).digest() == hashlib.sha256(data).digest()
    code, got, said = served_result(module, curl(port, authority.path("pem")))
    assert (code, said) == (0, "")
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def test_curl_refuses_a_module_of_another_ca(served, stranger):
    port = served.listen(Web)
    code, got, said = served_result(served, curl(port, stranger.path("pem")))
    assert (code, got) == (60, b"")
    assert "certificate" in said
    assert served.news() == ""  # the visitor's business


def client_context(authority):
    context = ssl.create_default_context(cafile=authority.path("pem"))
    # An end without close_notify is an error.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    return context


def dial(port, authority, address="127.0.0.1", context=None):
    """A TLS connection to the module; its handshake needs the controller's wheel."""
    raw = socket.create_connection((address, port), PATIENCE)
    return (context or client_context(authority)).wrap_socket(
        raw, server_hostname=NAME, suppress_ragged_eofs=False
    )


def limit(context, version, curve=None):
    """A context of this version alone, and of this curve."""
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_2, version
    context.minimum_version = version
    if curve:
        context.set_ecdh_curve(curve)
    return context


def test_what_comes_is_told_of_as_decrypted_and_the_end_is_close_notify(served, authority):
    port = served.listen(Echo)
    client = Background(lambda: dial(port, authority))
    served.serve_until(client.over)
    with client.result() as peer:
        peer.sendall(bytes(300))
        assert served.until_state(0, CONNECTED) == CONNECTED
        served.until_waiting(0, 300)
        work = Background(lambda: (peer.recv(1000), peer.unwrap())[0])
        served.serve_until(work.over)
        assert work.result() == bytes(300)


VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def test_visitors_of_both_versions_and_of_none_before(served, authority):
    """OpenSSL begins with a curve that the module lacks: in TLS 1.3 it is asked for another."""
    port = served.listen(Echo)
    data = noise(20000)
    for version, curve in itertools.product(VERSIONS, (None, "prime256v1")):

        def talk(context):
            with dial(port, authority, context=context) as peer:
                return peer.version(), exchange(peer, data)

        context = limit(client_context(authority), version, curve)
        got = served_result(served, Background(lambda c=context: talk(c)))
        assert got == (version.name.replace("v1_", "v1."), data)
    old = client_context(authority)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match=r"TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    visitor = Background(lambda: dial(port, authority, context=old))
    with pytest.raises(ssl.SSLError, match="alert protocol version"):
        served_result(served, visitor)


@pytest.mark.parametrize("size", [1, 2048, 16384, 100000])
def test_echo_of_records_of_any_size(served, authority, size):
    port = served.listen(Echo)
    data = noise(size, size)

    def talk():
        with dial(port, authority) as peer:
            return exchange(peer, data)

    assert served_result(served, Background(talk)) == data


def test_openssl_s_client_sees_an_orderly_end(served, authority):
    port = served.listen(Web)
    Web.stored = b"kept"
    command = [
        *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", NAME),
        *("-CAfile", str(authority.path("pem")), "-verify_return_error", "-ign_eof"),
    ]
    request = b"GET / HTTP/1.1\r\n\r\n"
    work = Background(lambda: subprocess.run(command, input=request, capture_output=True))
    done = served_result(served, work)
    assert done.returncode == 0, done.stderr.decode()
    assert b"Verify return code: 0 (ok)" in done.stdout
    assert done.stdout.rstrip().endswith(b"closed")
    assert b"unexpected eof" not in done.stderr


def test_eight_at_once(served, authority):
    port = served.listen(Echo)
    data = noise(100000)
    together = threading.Barrier(8)

    def talk():
        with dial(port, authority) as peer:
            together.wait(PATIENCE * 2)  # all eight are connected
            return exchange(peer, data)

    work = [Background(talk) for _ in range(8)]
    served.serve_until(lambda: all(each.over() for each in work))
    assert all(each.result() == data for each in work)


@pytest.mark.behaviour("D2")
def test_stalled_handshakes_stop_nobody(served, authority):
    slow = served.listen(Echo)
    plain = served.listen(Web, flags=0)
    outgoing = free_port()
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(socket.create_connection(("127.0.0.1", slow), PATIENCE))
        work = Background(
            lambda: subprocess.run(
                ["curl", "-sS", "--max-time", "60", f"http://127.0.0.1:{plain}/"],
                capture_output=True,
            )
        )
        assert served_result(served, work).returncode == 0
        server = stack.enter_context(socket.create_server(("127.0.0.1", outgoing)))
        slot = served.connect(outgoing, flags=0)
        with server.accept()[0]:
            assert served.until_state(slot, CONNECTED) == CONNECTED
        served.sim.ask(1, slot)
    # They left: their places are for others.
    client = Background(lambda: dial(slow, authority).close())
    served_result(served, client)


def test_a_visitor_that_speaks_no_tls_is_sent_away(served):
    port = served.listen(Echo)
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n" * 20)
        with contextlib.suppress(ConnectionResetError):
            while peer.recv(1000):
                pass
    assert served.status(0).connected == 0
    assert served.news() == ""


def test_an_ftp_data_port_ends_with_its_first_visitor(served, authority):
    port = served.listen(Echo, protocol=3, limit=1)
    client = Background(lambda: dial(port, authority))
    served.serve_until(client.over)
    with client.result() as peer:
        # The client is done with the handshake before the module has its last message.
        assert served.until_state(0, CONNECTED) == CONNECTED
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), PATIENCE)
        work = Background(lambda: (peer.sendall(b"still here"), peer.recv(100))[1])
        served.serve_until(work.over)
        assert work.result() == b"still here"


# --- ends


class Held(Echo):
    """Neither reads nor ends by itself."""


def connected_peer(module, authority):
    """A peer whose handshake is done, in slot 0, without a server on it."""
    port = module.listen(Held)
    client = Background(lambda: dial(port, authority))
    module.serve_until(client.over)
    assert module.until_state(0, CONNECTED) == CONNECTED
    return client.result()


def read_all(module, slot, n):
    got = b""
    module_state = CONNECTED
    while len(got) < n and module_state == CONNECTED:
        got += module.read(slot)
        module_state = module.status(slot).state
    return got


@pytest.mark.behaviour("D13")
def test_nothing_is_lost_when_the_peer_ends_right_after_sending(served, authority):
    data = noise(60000)
    peer = connected_peer(served, authority)
    sender = Background(lambda: (peer.sendall(data), end_sending(peer)))
    assert read_all(served, 0, len(data)) == data
    sender.result()
    assert served.until_state(0, OTHER_END_CLOSED) == OTHER_END_CLOSED
    # The peer still reads.
    assert served.write(0, b"goodbye") == 7
    raw = peer.detach()
    with socket.socket(fileno=raw) as left:
        left.settimeout(PATIENCE)
        assert left.recv(100)[:1] == b"\x17"  # application data, encrypted
    served.sim.ask(2, 0)
    assert served.until_state(0, 0) == 0


def end_sending(peer):
    """close_notify and FIN; the other direction stays."""
    peer.settimeout(0)
    with contextlib.suppress(ssl.SSLWantReadError):
        peer.unwrap()
    with contextlib.suppress(OSError):
        socket.socket.shutdown(peer, socket.SHUT_WR)


@pytest.mark.behaviour("D6")
def test_a_reset_shows_after_what_came_before(served, authority):
    peer = connected_peer(served, authority)
    peer.sendall(b"last words")
    served.until_waiting(0, 10)
    reset(peer)
    assert served.read(0) == b"last words"
    assert served.until_state(0, OTHER_END_CLOSED) == OTHER_END_CLOSED
    served.sim.ask(2, 0)
    assert served.until_state(0, 0) == 0


def test_a_tampered_record_is_no_end_but_a_break(served, authority):
    peer = connected_peer(served, authority)
    with socket.socket(fileno=peer.detach()) as raw:
        raw.sendall(b"\x17\x03\x03\x00\x30" + bytes(48))
        assert served.until_state(0, ABORTED, OTHER_END_CLOSED) == ABORTED
        served.sim.ask(1, 0)
        assert served.until_state(0, 0) == 0


def test_a_peer_that_reads_nothing_holds_nobody_up(served, authority):
    peer = connected_peer(served, authority)
    data, refused, limit = noise(2048), 0, 10000
    while refused < 50:  # one that was refused may only be early
        refused = 0 if served.write(0, data, flags=0) else refused + 1
        limit -= 1
        assert limit, "it takes everything"
    port = served.listen(Web)
    Web.stored = noise(200000)
    served.apps.clear()
    served.apps[port] = Web
    served.open[0] = Idle()
    code, got, said = served_result(served, curl(port, authority.path("pem")))
    assert (code, said) == (0, "")
    assert got == Web.stored
    served.sim.ask(1, 0)
    peer.close()


class Idle:
    """A peer to which the controller has nothing to say."""

    out = b""
    done = False

    def received(self, _data):
        raise AssertionError


def reset(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


# --- going out


class Server(EchoServer):
    """It issues its certificate, and notes the names that its visitors ask for."""

    def __init__(self, authority, *names, days=3650):
        authority.issue("server", *names, days=days)
        super().__init__(authority)
        self.limit = functools.partial(limit, self.context)
        self.names = []
        self.context.sni_callback = self._note_name

    def _note_name(self, _peer, name, _context):
        self.names.append(name)


@pytest.fixture
def server(authority):
    running = Server(authority, "DNS:broker.test", "IP:127.0.0.1")
    yield running
    running.close()


@pytest.mark.parametrize("name", [b"broker.test", b"broker.test\0", b""])
def test_going_out_with_the_right_ca_and_name(served, server, name):
    slot = served.connect(server.port, name)
    assert served.until_state(slot, CONNECTED, ABORTED) == CONNECTED, served.news()
    data = noise(2000)
    assert served.write(slot, data) == len(data)
    assert read_all(served, slot, len(data)) == data
    assert server.names == [name.rstrip(b"\0").decode() or "127.0.0.1"]
    served.sim.ask(2, slot)
    assert served.until_state(slot, 0) == 0
    assert served.news() == ""


def test_going_out_to_servers_of_both_versions_and_of_none_before(served, server):
    data = noise(2000)
    for version, curve in itertools.product(VERSIONS, ("prime256v1", "secp384r1")):
        server.limit(version, curve)
        slot = served.connect(server.port, b"broker.test")
        assert served.until_state(slot, CONNECTED, ABORTED) == CONNECTED, served.news()
        assert served.write(slot, data) == len(data)
        assert read_all(served, slot, len(data)) == data
        served.sim.ask(2, slot)
        assert served.until_state(slot, 0) == 0
    with pytest.warns(DeprecationWarning, match=r"TLSv1_1"):
        server.limit(ssl.TLSVersion.TLSv1_1)
    slot = served.connect(server.port, b"broker.test")
    assert served.until_state(slot, CONNECTED, ABORTED) == ABORTED
    assert served.news() == "TLS: the peer refuses"


def test_going_out_to_a_name_that_is_looked_up(served, authority):
    local = Server(authority, "DNS:localhost")
    try:
        data = listen_or_connect(local.port) + b"localhost"
        slot = served.sim.ask(3, flags=TLS, data=data)[0]
        assert served.until_state(slot, CONNECTED, ABORTED) == CONNECTED, served.news()
        assert local.names == ["localhost"]
        served.sim.ask(1, slot)
    finally:
        local.close()


def test_going_out_to_another_name(served, server):
    slot = served.connect(server.port, b"other.test")
    assert served.until_state(slot, CONNECTED, ABORTED) == ABORTED
    assert served.news() == "TLS: the certificate is made out to another name"


def test_going_out_to_another_ca(module, own, stranger, server):
    module.install(*own, ca=stranger.pem)
    slot = module.connect(server.port, b"broker.test")
    assert module.until_state(slot, CONNECTED, ABORTED) == ABORTED
    assert module.news() == "TLS: the certificate is not from a CA that is trusted"


def test_dates_count_for_nothing(served, authority):
    expired = Server(authority, "DNS:broker.test", days=-1)
    try:
        slot = served.connect(expired.port, b"broker.test")
        assert served.until_state(slot, CONNECTED, ABORTED) == CONNECTED, served.news()
        served.sim.ask(1, slot)
    finally:
        expired.close()


def test_going_out_wants_a_ca_or_a_waiver(module, server):
    assert module.connect(server.port, b"broker.test") == -4
    slot = module.connect(server.port, b"whoever.test", TLS | UNVERIFIED)
    assert module.until_state(slot, CONNECTED, ABORTED) == CONNECTED
    module.sim.ask(1, slot)


def test_going_out_to_somebody_who_speaks_no_tls(served):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        slot = served.connect(listener.getsockname()[1])
        with listener.accept()[0] as peer:
            peer.sendall(b"220 a mail server, say\r\n")
            assert served.until_state(slot, CONNECTED, ABORTED) == ABORTED
    assert served.news() == "TLS: the peer does not speak TLS"


def test_going_out_to_nobody(served):
    slot = served.connect(free_port())
    assert served.until_state(slot, CONNECTED, ABORTED) == ABORTED


def test_a_peer_that_leaves_in_the_handshake(served):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        slot = served.connect(listener.getsockname()[1])
        with listener.accept()[0] as peer:
            assert peer.recv(1) == b"\x16"
    assert served.until_state(slot, CONNECTED, ABORTED) == ABORTED


# --- commands


@pytest.mark.parametrize("bad", [b"-", b"-----BEGIN CERTIFICATE-----\n", bytes(2048), b"a" * 2048])
def test_what_is_no_certificate_is_told_at_once(served, bad):
    assert served.sim.ask(SET_CERT, data=bad)[0] == 0
    assert served.news().startswith("TLS certificate: ")
    assert served.sim.ask(SET_KEY, data=bad)[0] == 0
    assert served.news().startswith("TLS key: ")
    assert served.sim.ask(ENABLE)[0] == 0  # what was there before still is
    assert served.connect(free_port()) >= 0
    assert served.sim.ask(SET_CERT, flags=1, data=bad)[0] == 0
    assert served.news().startswith("TLS CA: ")
    assert served.connect(free_port()) == -4  # the CA that was there before is not


def restarted(module, start_sim):
    """Its power went and came back, when the last command's work was done."""
    module.sim.ask(0)
    module.sim.end()
    sim = start_sim("module-clocked")
    sim.power_on()
    return Controller(sim)


def after_reset(module, _start_sim):
    module.sim.ask(0)
    reset_module(module.sim)
    return Controller(module.sim)


@pytest.mark.parametrize("again", [after_reset, restarted])
def test_certificate_and_key_outlive_a_reset_and_the_ca_does_not(
    served, start_sim, authority, again
):
    module = again(served, start_sim)
    assert (module.sim.state / "tls").stat().st_mode & 0o777 == 0o600
    assert module.connect(free_port()) == -4
    record = listen_or_connect(free_port())
    assert module.sim.ask(LISTEN, flags=TLS, data=record)[0] == -4
    assert module.sim.ask(ENABLE)[0] == 0
    Web.stored = noise(1000)
    work = curl(module.listen(Web), authority.path("pem"))
    assert served_result(module, work) == (0, Web.stored, "")


@pytest.mark.parametrize("command", [CLEAR, 17])
@pytest.mark.parametrize("again", [after_reset, restarted])
def test_what_was_cleared_does_not_come_back(served, start_sim, again, command):
    assert served.sim.ask(command)[0] == 0
    module = again(served, start_sim)
    assert not (module.sim.state / "tls").exists()
    assert module.sim.ask(ENABLE)[0] == -15


def test_certificate_alone_outlives_a_reset(module, own, start_sim):
    module.sim.ask(SET_CERT, data=own[0])
    module = after_reset(module, start_sim)
    assert module.sim.ask(ENABLE)[0] == -15
    module.sim.ask(SET_KEY, data=own[1])
    assert module.sim.ask(ENABLE)[0] == 0


def test_a_certificate_is_no_key_and_the_other_way_round(module, own):
    module.sim.ask(SET_CERT, data=own[1])
    assert module.news().startswith("TLS certificate: ")
    module.sim.ask(SET_KEY, data=own[0])
    assert module.news().startswith("TLS key: ")
    assert module.sim.ask(ENABLE)[0] == -15
    assert module.news() == "TLS has no certificate and key"


def test_a_key_of_another_certificate(module, authority, own):
    other = authority.issue("other", "DNS:other.test")
    module.sim.ask(SET_CERT, data=own[0])
    module.sim.ask(SET_KEY, data=other[1])
    assert module.news() == "TLS key: it does not belong to the certificate"
    assert module.sim.ask(ENABLE)[0] == -15
    module.sim.ask(SET_KEY, data=own[1])
    assert module.news() == ""
    assert module.sim.ask(ENABLE)[0] == 0
    # A new pair: the old one serves until the new one is complete.
    module.sim.ask(SET_CERT, data=other[0])
    assert module.sim.ask(ENABLE)[0] == -15
    assert module.news() == "TLS has no certificate and key"
    module.listen(Echo)
    module.sim.ask(SET_KEY, data=other[1])
    assert module.sim.ask(ENABLE)[0] == 0


@pytest.mark.parametrize("kinds", [("ec", "rsa"), ("rsa", "ec"), ("rsa", "rsa")])
def test_a_key_of_any_kind_of_certificate(module, authority, kinds):
    mine, other = [authority.issue(f"{i}", "DNS:x.test", kind=kinds[i]) for i in range(2)]
    module.sim.ask(SET_CERT, data=mine[0])
    module.sim.ask(SET_KEY, data=other[1])
    assert module.news() == "TLS key: it does not belong to the certificate"
    module.sim.ask(SET_KEY, data=mine[1])
    module.sim.ask(SET_CERT, data=other[0])
    assert module.news() == ""
    assert module.sim.ask(ENABLE)[0] == -15  # the key is not there any more


def test_listening_with_tls_wants_it_enabled(module, own):
    record = listen_or_connect(free_port())
    assert module.sim.ask(LISTEN, flags=TLS, data=record)[0] == -4
    module.sim.ask(SET_CERT, data=own[0])
    module.sim.ask(SET_KEY, data=own[1])
    assert module.sim.ask(LISTEN, flags=TLS, data=record)[0] == -4
    assert module.sim.ask(ENABLE)[0] == 0
    assert module.sim.ask(LISTEN, flags=TLS, data=record)[0] == 0


@pytest.mark.parametrize("command", [CLEAR, 17])
def test_clearing_ends_listeners_with_tls_and_no_other(served, authority, command):
    secure, plain = served.listen(Echo), served.listen(Echo, flags=0)
    peer = connected_peer(served, authority)
    assert served.sim.ask(command)[0] == 0
    assert served.sim.ask(ENABLE)[0] == -15
    assert served.connect(secure) == -4  # the CA is gone as well
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", secure), PATIENCE)
    socket.create_connection(("127.0.0.1", plain), PATIENCE).close()
    peer.sendall(b"still here")  # connections live on
    assert read_all(served, 0, 10) == b"still here"
    peer.close()


def test_a_port_changes_over_to_tls(served, authority):
    port = served.listen(Echo, flags=0)
    for flags, works in ((TLS, True), (TLS, True), (0, False)):
        assert served.sim.ask(LISTEN, flags=flags, data=listen_or_connect(port))[0] == 0
        client = Background(lambda: dial(port, authority).close())
        served.serve_until(client.over)
        if works:
            client.result()
        else:
            with pytest.raises((ssl.SSLError, OSError)):
                client.result()


def test_names_that_cannot_be(served):
    record = listen_or_connect(free_port(), 0x0100007F)
    assert served.sim.ask(3, flags=TLS, data=record + b"a" * 66)[0] == -5
    for name in (b"a" * 65, b"\xff\x01", b"a b"):
        slot = served.sim.ask(3, flags=TLS, data=record + name)[0]
        assert served.until_state(slot, ABORTED) == ABORTED
        assert served.news() == "bad host name"


# --- with the heap locked


@pytest.mark.parametrize("binary", [BINARY, LWIP_BINARY], ids=["sockets", "lwip"])
def test_transfers_and_ends_allocate_nothing(start_sim, own, authority, binary):
    with own_network() if binary == LWIP_BINARY else contextlib.nullcontext():
        before = WITH_TAP if binary == LWIP_BINARY else ()
        sim = start_sim("module-clocked", script=(HEAP_BUS,), binary=binary, before=before)
        sim.power_on()
        module = Controller(sim)
        module.install(*own)
        address = module.address()
        assert sim.ask(16)[0] == 0  # off the air: announcing a name allocates
        port = module.listen(Echo)
        peers = [served_result(module, dialling(port, authority, address)) for _ in range(3)]
        module.serve_until(lambda: module.status(0).connected.bit_count() == 3)
        lock = sim.ask(20)
        assert lock[0] == 0
        data = noise(60000)
        talks = [Background(lambda peer=peer: exchange(peer, data)) for peer in peers]
        module.serve_until(lambda: all(talk.over() for talk in talks))
        assert all(talk.result() == data for talk in talks)
        end_sending(peers[0])  # orderly, rudely, by us
        reset(peers[1])
        module.serve_until(lambda: module.status(0).connected.bit_count() == 1)
        last = module.status(0).connected.bit_length() - 1
        assert module.sim.ask(2, last)[0] == 0
        assert module.until_state(last, 0) == 0
        assert sim.ask(20)[0] == 0  # unlocked: it still lives
        assert sim.ask(9)[0] == 168
        for peer in peers:
            peer.close()


def dialling(port, authority, address):
    return Background(lambda: dial(port, authority, address))


def exchange(peer, data):
    """Send, and receive as much; in one thread, as OpenSSL's objects are for one."""
    got, sent = b"", 0
    peer.setblocking(False)
    while len(got) < len(data):
        select.select([peer], [peer] if sent < len(data) else [], [], PATIENCE)
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent += peer.send(data[sent : sent + 16384]) if sent < len(data) else 0
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            got += peer.recv(65536)
    peer.setblocking(True)
    return got


# --- what is left


def files_of(sim):
    return len(os.listdir(f"/proc/{sim.process.pid}/fd"))


def resident(sim):
    """Resident memory of the process in KiB."""
    text = Path(f"/proc/{sim.process.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


@pytest.mark.behaviour("T1", "T2")
def test_peers_that_vanish_leave_nothing(served, authority):
    port = served.listen(Held)
    files = files_of(served.sim)
    cycle(served, port, authority, 40)
    served.serve_until(lambda: files_of(served.sim) <= files)
    memory = resident(served.sim)
    cycle(served, port, authority, 120)
    served.serve_until(lambda: files_of(served.sim) <= files)
    assert resident(served.sim) - memory < 1024  # one session for each cycle would be 2600
    served.serve_until(lambda: not any(served.status(slot).state for slot in range(8)))


def test_a_flood_of_handshakes(served, authority):
    port = served.listen(Echo)
    garbage = (b"", b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", b"GET / HTTP/1.0\r\n\r\n")
    flood = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(90)]
    for i, each in enumerate(flood):
        with contextlib.suppress(ConnectionError):
            each.sendall(garbage[i % 3])
    for each in flood:
        reset(each)
    client = Background(lambda: dial(port, authority))
    served.serve_until(client.over)
    with client.result() as peer:
        work = Background(lambda: exchange(peer, b"served"))
        assert served_result(served, work) == b"served"


def is_busy(module):
    summary = module.status(0)
    return summary.connected | summary.closed


def cycle(module, port, authority, count):
    """Visitors that leave rudely: before a byte, in the handshake, after it with data unread."""
    for i in range(count):
        if i % 3 == 2:
            client = Background(lambda: dial(port, authority))
            module.serve_until(client.over)
            peer = client.result()
            peer.sendall(bytes(100))
            reset(peer)
            module.serve_until(lambda: not is_busy(module))
        else:
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
                if i % 3:
                    peer.sendall(b"\x16\x03\x01\x02\x00")
                reset(peer)


def test_the_key_is_in_nothing_that_is_shown(module, own, authority, stranger):
    other = stranger.issue("planted", f"DNS:{NAME}")
    module.sim.ask(SET_CERT, data=own[0])
    said = []
    for key in (other[1], other[1][:100], own[1]):
        module.sim.ask(SET_KEY, data=key)
        said.append(module.news())
        module.sim.ask(ENABLE)
        said.append(module.news())
    module.sim.ask(20)  # diagnostics
    module.sim.ask(9)
    shown = "\n".join(said + module.sim.lines)
    for key in (own[1], other[1]):
        for line in key.decode().splitlines()[1:-1]:
            assert line[:16] not in shown
    frames = b"".join(payload for _, _, payload in module.sim.controller.frames)
    for file in module.sim.state.iterdir():
        assert (own[1] in file.read_bytes()) == (file.name == "tls")
        assert other[1].splitlines()[1] not in file.read_bytes()
    assert own[1].splitlines()[1] not in frames


# --- over lwIP


def test_curl_over_lwip(start_sim, own, authority):
    with own_network():
        sim = start_sim("module-clocked", binary=LWIP_BINARY, before=WITH_TAP)
        sim.power_on()
        module = Controller(sim)
        module.install(*own)
        port = module.listen(Web)
        Web.stored = noise(300000)
        work = curl(port, authority.path("pem"), address=module.address())
        assert served_result(module, work) == (0, Web.stored, "")
