"""The command set through the SIM binary, in both roles (L1, L4)."""

import socket
import subprocess

import pytest
from name_peer import answer_to
from own_network import own_network
from own_port import own_port
from raw_controller import PATIENCE, listen_or_connect
from sim_process import BINARY, TERMINATE, reset, start_sim

from spinet.version import VERSION_TEXT
from spinet.wifi.networks import Store

__all__ = ["start_sim"]

pytestmark = pytest.mark.behaviour("L4")

SECRET = b"plant3d-s3cret"
CONFIG = bytes(16) + b"Workshop".ljust(32, b"\0") + SECRET.ljust(64, b"\0")
LOOPBACK = 0x0100007F


@pytest.fixture(
    params=[
        ("module-clocked", "strict"),
        ("controller-clocked", "strict"),
        ("module-clocked", "rrf"),
    ],
    ids=" ".join,
)
def sim(request, start_sim):
    """A module that has booted, in each role and for each controller."""
    role, controller = request.param
    started = start_sim(role, controller=controller)
    started.power_on()
    return started


def news(sim):
    """The last error's text."""
    response, data = sim.ask(19)
    return data[: max(0, response - 1)].decode()


@pytest.mark.behaviour("L1")
def test_network_status_byte_by_byte(sim):
    response, data = sim.ask(9)
    assert response == 168
    assert data[0:4] == bytes(4)
    assert data[4:8] == bytes(4)  # of a chip's system, whose heap there is not on this stack
    assert data[8:12] == bytes(4)
    assert data[12:16] == bytes([0, 0, 0x40, 0])
    assert data[16:22] == bytes([0x80, 0, 1, 0, 0, 0])
    assert data[28:44] == VERSION_TEXT.encode().ljust(16, b"\0")
    assert data[76:140] == b"spinet".ljust(64, b"\0")


@pytest.mark.behaviour("L1")
def test_join_and_status(sim):
    assert sim.ask(10, data=CONFIG)[0] == 0
    assert sim.ask(14, data=b"Workshop")[0] == 0
    state, response, data = sim.controller.transact(b"\x3e\x09" + bytes(4) + b"\0\x08" + bytes(4))
    sim.ask_until(lambda _response, data: data[0:4] == bytes([127, 0, 0, 1]), 9)
    data = sim.ask(9)[1]
    assert data[44:53] == b"Workshop\0"
    assert data[16] == 256 - 48
    assert data[22:25] == bytes([2, 0x53, 0x49])  # and three of its own
    assert data[156:160] == bytes([1, 3, 1, 0])
    assert sim.ask(14)[0] == -4
    assert (state, response) in ((1, 168), (4, 168))


def scan_again(sim):
    """What a networkStartScan is told while another one is under way.

    SIM scans for 150 ms. When we are stopped for longer the second one just begins another, and the
    next may be in time.
    """
    assert sim.ask(24)[0] == 0
    return sim.ask_until(lambda response, _data: response, 24)[0]


@pytest.mark.behaviour("L1")
def test_scan(sim):
    assert sim.ask(25)[0] == -12
    assert scan_again(sim) == -13
    response, data = sim.ask_until(lambda response, _data: response != -13, 25)
    assert response == 135
    assert data[0:4] == bytes([256 - 48, 3, 3, 1])
    assert data[12:45] == b"Workshop".ljust(33, b"\0")
    assert sim.ask(25)[0] == -12


@pytest.mark.behaviour("L2")
def test_refusals(sim):
    assert sim.ask(8)[0] == -1
    assert sim.ask(200)[0] == -1
    assert sim.ask(0, version=0xC9)[0] == -2
    assert sim.ask(5, length=2049)[0] == -5
    assert sim.ask(6, 8)[0] == -11
    assert sim.ask(7, flags=4, data=listen_or_connect(443))[0] == -4
    assert sim.ask(27)[0] == -15
    assert news(sim) == "TLS has no certificate and key"
    assert sim.ask(9)[0] == 168


def test_listen_twice_stop_and_a_port_that_is_taken(sim):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert sim.ask(7, data=listen_or_connect(taken.getsockname()[1]))[0] == 0
        assert news(sim) == "Listen failed"
    port = own_port()
    for _ in range(2):
        assert sim.ask(7, data=listen_or_connect(port))[0] == 0
        assert news(sim) == ""
    assert sim.ask(7, data=listen_or_connect(port, limit=0))[0] == 0
    assert news(sim) == ""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_connection_from_outside(sim):
    port = own_port()
    sim.ask(7, data=listen_or_connect(port, protocol=2))
    with socket.create_connection(("127.0.0.1", port)) as peer:
        _, data = sim.ask_until(lambda _response, data: data[0] == 2, 6, 0)
        assert data[2] == 2
        assert int.from_bytes(data[4:6], "little") == port
        assert int.from_bytes(data[6:8], "little") == peer.getsockname()[1]
        assert data[8:12] == bytes([127, 0, 0, 1])
        peer.sendall(b"ping")
        assert sim.ask_until(lambda response, _data: response, 4, 0)[1] == b"ping"
        assert sim.ask(5, 0, flags=3, data=b"pong")[0] == 4
        assert peer.recv(10) == b"pong"
        assert peer.recv(10) == b""


def test_connection_to_outside(sim):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert sim.ask(3, data=listen_or_connect(port, LOOPBACK, 4))[0] == 0
        peer, _ = server.accept()
        with peer:
            sim.ask_until(lambda _response, data: data[0] == 2, 6, 0)
            assert sim.ask(16)[0] == 0  # networkStop
            with pytest.raises(ConnectionResetError):
                peer.recv(1)
    sim.ask_until(lambda _response, data: data[0] == 0, 6, 0)


@pytest.mark.behaviour("C11")
def test_connection_to_a_name(sim):
    with socket.create_server(("127.0.0.1", 0)) as server:
        record = listen_or_connect(server.getsockname()[1], 0, 4) + b"localhost"
        assert sim.ask(3, data=record)[0] == 0
        peer, _ = server.accept()
        with peer:
            _, data = sim.ask_until(lambda _response, data: data[0] == 2, 6, 0)
            assert data[8:12] == bytes([127, 0, 0, 1])


@pytest.mark.behaviour("C11", "D14")
def test_connection_to_a_name_that_nobody_has(sim):
    assert sim.ask(3, data=listen_or_connect(80) + b"nobody.invalid")[0] == 0
    sim.ask_until(lambda _response, data: data[0] == 4, 6, 0)
    assert news(sim) == "host not found: nobody.invalid"
    sim.ask(1, 0)
    sim.ask_until(lambda _response, data: data[0] == 0, 6, 0)


@pytest.mark.behaviour("C9", "C10")
def test_calling_home(sim):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        port = server.getsockname()[1]
        record = listen_or_connect(port, 0, 4, 1) + b"localhost\0"
        assert sim.ask(7, flags=8, data=record)[0] == 0
        for text in (b"who is there?", b"you again?"):
            peer, _ = server.accept()
            with peer:
                _, data = sim.ask_until(lambda _response, data: data[0] == 2, 6, 0)
                assert data[2] == 4
                assert data[4:8] == port.to_bytes(2, "little") * 2
                peer.sendall(text)
                assert sim.ask_until(lambda response, _data: response, 4, 0)[1] == text
                assert sim.ask(5, 0, flags=3, data=b"the printer")[0] == 11
                assert peer.makefile("rb").read() == b"the printer"
        assert sim.ask(7, flags=8, data=listen_or_connect(port, limit=0))[0] == 0
        assert news(sim) == ""


class SilentResolver:
    """A name server of the network that this test has for itself; it answers when told to."""

    def __init__(self, folder):
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 53))
        self._sock.settimeout(PATIENCE)
        settings = folder / "resolv.conf"
        settings.write_text("# ours\n\nsearch lan\nnameserver ::1\nnameserver 127.0.0.1\n")
        hosts = folder / "hosts"
        hosts.write_text("::1 shed\n127.0.0.1 localhost Shed.lan shed  # here\n")
        script = (
            f"mount --bind {settings} /etc/resolv.conf && mount --bind {hosts} /etc/hosts"
            ' && exec "$0" "$@"'
        )
        self.before = ("unshare", "--mount", "sh", "-c", script)

    def asked(self):
        """Wait for a query; (the query, its sender)."""
        return self._sock.recvfrom(512)

    def answer(self, query, asker, address):
        """One A record."""
        ip = int.from_bytes(socket.inet_aton(address), "little")
        self._sock.sendto(answer_to(query, ip), asker)

    def close(self):
        self._sock.close()


@pytest.fixture
def resolver(tmp_path):
    with own_network():
        resolver = SilentResolver(tmp_path)
        yield resolver
        resolver.close()


@pytest.mark.behaviour("C11")
def test_the_link_is_served_while_the_name_server_is_silent(resolver, start_sim):
    sim = start_sim("module-clocked", before=resolver.before)
    sim.power_on()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        record = listen_or_connect(server.getsockname()[1]) + b"broker.example"
        assert sim.ask(3, data=record)[0] == 0
        query, asker = resolver.asked()
        for _ in range(100):
            assert sim.ask(6, 0)[1][0] == 1  # connecting
        resolver.answer(query, asker, "127.0.0.1")
        peer, _ = server.accept()
        peer.close()
        record = listen_or_connect(server.getsockname()[1]) + b"shed.LAN"  # of the hosts file
        assert sim.ask(3, data=record)[0] == 1
        peer, _ = server.accept()
        peer.close()


@pytest.mark.behaviour("C11", "D18")
def test_a_module_can_be_reset_and_ended_while_the_name_server_is_silent(resolver, start_sim):
    sim = start_sim("module-clocked", before=resolver.before)
    sim.power_on()
    assert sim.ask(3, data=listen_or_connect(80) + b"broker.example")[0] == 0
    query, asker = resolver.asked()
    reset(sim)
    resolver.answer(query, asker, "127.0.0.1")
    assert sim.ask(6, 0)[1][0] == 0
    assert sim.ask(3, data=listen_or_connect(80) + b"broker.example")[0] == 0
    resolver.asked()
    sim.signal(TERMINATE)
    assert sim.wait() != 0


def modes(folder):
    """The modes of a folder, as ".", and of all that is in it."""
    found = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    return {".": folder.stat().st_mode & 0o777, **found}


def test_secrets_are_their_owners_alone(start_sim):
    sim = start_sim("module-clocked", umask=0)
    sim.power_on()
    assert sim.ask(10, data=CONFIG)[0] == 0
    sim.ask(0)  # it is stored by now
    assert modes(sim.state) == {".": 0o700, "networks": 0o600}


@pytest.mark.parametrize("name", ["networks", "networks.new", "preferences"])
def test_secrets_that_others_could_read_are_their_owners_alone(start_sim, tmp_path, name):
    """The folder was left by a SIM that set no modes, or that ended while it wrote."""
    state = tmp_path / "state"
    state.mkdir()
    Store(str(state / "networks")).save(b"")
    (state / "networks").rename(state / name)
    (state / name).chmod(0o644)
    state.chmod(0o755)
    start_sim("module-clocked", umask=0).power_on()
    kept = name.removesuffix(".new")  # the new file takes the old one's place
    assert modes(state) == {".": 0o700, kept: 0o600}


TWO_AT_ONCE = """
import board, os
class Os:
    def mkdir(self, path):
        os.mkdir(path)  # the other module's, between our look and this
        os.mkdir(path)
    def stat(self, path):
        return os.stat(path)
board.os = Os()
board._make_folder("a/b")
print(os.listdir("a"))
"""


def test_folder_that_another_module_makes_at_the_same_time(tmp_path):
    done = subprocess.run(
        [BINARY, "-c", TWO_AT_ONCE], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.stdout, done.stderr) == ("['b']\n", "")


def test_folder_of_the_users_own_stays_as_open_as_it_is(start_sim, tmp_path):
    state = tmp_path / "state"
    (state / "networks.new").mkdir(parents=True)
    (state / "notes").write_bytes(b"mine")
    (state / "networks").write_bytes(b"")
    for path in (state, *state.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    start_sim("module-clocked").power_on()
    assert modes(state) == {".": 0o755, "networks.new": 0o755, "notes": 0o644, "networks": 0o600}


def test_passwords_are_nowhere(sim):
    sim.ask(10, data=CONFIG)
    sim.ask(20)
    answers = [sim.ask(command)[1] for command in (9, 12, 19, 21)]
    sim.end()
    printed = "\n".join(sim.lines)
    assert not any(SECRET in answer for answer in answers)
    assert SECRET.decode() not in printed
    assert SECRET in (sim.state / "networks").read_bytes()
