"""Updates of SIM over the network, in each role, on both stacks: the owner's, and strangers."""

import contextlib
import socket
import subprocess
import sys

import pytest
from images import NEW, image, pieces
from nina_bench import frame, parameters
from own_network import ADDRESSES, WITH_TAP, own_network
from project import ROOT
from raw_controller import listen_or_connect
from sim_process import BINARY, LWIP_BINARY, TELLING, start_sim
from slots import free_port
from tls_rig import certificate_of, openssl, owner_key

from spinet import VERSION_TEXT as VERSION
from spinet_controller import NetworkModule, update
from spinet_controller.errors import BadImage, NotReached, Refused
from spinet_controller.over_network import owner_context
from spinet_controller.update import Image

__all__ = ["start_sim"]

IMAGE = image(size=20000)
NEXT = image("9.2.0-spinet", size=20000)
LISTEN, UPDATE = 7, 64
BEGIN, _, _, _, CANCEL, STATUS = range(6)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    (folder / "owner.crt").write_text(certificate_of(owner_key(folder)))
    owner_key(folder, "stranger")
    return folder


@pytest.fixture
def start(start_sim, tmp_path, keys):
    """start(role, stack) -> (SIM that has its owner from its board, address, port)."""
    (tmp_path / "program.py").write_text(TELLING)
    with contextlib.ExitStack() as ending:

        def start(role, stack):
            popen = {"binary": BINARY}
            if stack == "lwip":
                popen = {"binary": LWIP_BINARY, "before": WITH_TAP}
                ending.enter_context(own_network())
            port = free_port() if stack == "sockets" else 21328
            options = ("--owner", str(keys / "owner.crt"), "--update-port", str(port))
            sim = start_sim(role, *options, script=("program.py",), **popen)
            sim.power_on()
            return sim, ADDRESSES[stack][1], port

        yield start


@pytest.mark.parametrize(
    ("role", "stack"),
    [
        ("module-clocked", "sockets"),
        ("controller-clocked", "lwip"),
        ("nina", "sockets"),
        ("nina", "lwip"),
    ],
)
async def test_an_update(start, keys, role, stack):
    """Strangers, half an image, all of it, twice; the link is served meanwhile."""
    sim, host, port = start(role, stack)

    def computer(key="owner"):
        return NetworkModule(host, owner_context(keys / f"{key}.pem"), port=port)

    if role == "nina":
        with socket.create_connection((host, port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while stranger.recv(1000):
                pass
        sim.said("trace: update over the network: TLS: ")
    async with computer("stranger") as other:
        with pytest.raises(NotReached, match="refuses this key: it has another owner"):
            await other.update_status()
    sim.said("trace: update over the network: TLS: the certificate is not from a CA that is")

    async with computer() as owner:
        await owner.update_begin(len(IMAGE), IMAGE[:288])
        for at, piece in pieces(IMAGE)[:5]:
            await owner.update_piece(at, piece)
        async with computer() as second:
            with pytest.raises(NotReached, match="busy"):
                await second.update_status()
        assert (await owner.update_status()).received == 5 * 2048
        if role == "nina":
            assert parameters(sim.controller.command(frame(0x37))) == [b"1.8.0\0"]
        else:
            assert sim.ask(UPDATE, flags=BEGIN, param=len(NEXT), data=NEXT[:288])[0] == 0
            assert b"another image is on its way" in sim.ask(19)[1]
            for _ in range(8):
                assert sim.ask(LISTEN, data=listen_or_connect(free_port()))[0] == 0
                assert sim.ask(19)[1].strip(b"\0") == b""
    async with computer() as owner:
        now = await owner.update_status()
        assert (now.version, now.received) == (VERSION, 5 * 2048)
        assert now.text.startswith(f"{NEW} was not complete")
        if role != "nina":
            assert sim.ask(UPDATE, flags=BEGIN, param=len(NEXT), data=NEXT[:288])[0] == 0
            with pytest.raises(Refused, match="another image is on its way"):
                await update.run(owner, Image.of(IMAGE))
            assert sim.ask(UPDATE, flags=CANCEL)[0] == 0
        moved = []
        now = await update.run(owner, Image.of(IMAGE), moved=moved.append)
        assert sum(moved) == len(IMAGE)
        assert (now.slot, now.version, now.text) == (1, NEW, f"{NEW} was kept")
        now = await update.run(owner, Image.of(NEXT))
        assert (now.slot, now.version) == (0, "9.2.0-spinet")
        with pytest.raises(BadImage, match="runs already"):
            await update.run(owner, Image.of(NEXT))
        await owner.update_owner(b"")
    assert (sim.state / "owner").exists() is False


SERVES = ("-addext", "keyUsage=digitalSignature")
EC = ("-newkey", "ec", "-pkeyopt")
WRONG = "it has not signed itself, or is too weak"
KINDS = {  # of a certificate: how it is made, and what the module says
    "rsa": (("-newkey", "rsa:2048"), None),
    "p384": ((*EC, "ec_paramgen_curve:P-384", *SERVES), None),
    "short": (("-newkey", "rsa:1024"), WRONG),
    "sha1": (("-newkey", "rsa:2048", "-sha1"), WRONG),
    "p224": ((*EC, "ec_paramgen_curve:secp224r1"), "its curve is not known here: P-256 is"),
    "ed": (("-newkey", "ed25519"), "its kind of key is not known here: EC and RSA are"),
    "ca": (
        (*EC, "ec_paramgen_curve:P-256", "-addext", "keyUsage=keyCertSign"),
        "it is not for TLS",
    ),
    "client": (
        (*EC, "ec_paramgen_curve:P-256", "-addext", "extendedKeyUsage=clientAuth"),
        "it is not",
    ),
}


def test_which_certificates_an_owner_can_have(tmp_path, keys):
    """One that no handshake would accept is refused when it comes, and with its reason."""
    wanted = {name: why for name, (_, why) in KINDS.items()}
    for name, (options, _) in KINDS.items():
        files = ("-keyout", str(tmp_path / "key"), "-out", str(tmp_path / name))
        openssl("req", "-x509", "-nodes", "-subj", "/CN=owner", *options, *files)
    ca = ("-CA", str(keys / "owner.pem"), "-CAkey", str(keys / "owner.pem"))
    request = ("-new", "-key", str(keys / "stranger.pem"), "-subj", "/CN=leaf")
    openssl("req", *request, "-out", str(tmp_path / "csr"))
    openssl("x509", "-req", "-in", str(tmp_path / "csr"), *ca, "-out", str(tmp_path / "leaf"))
    both = (tmp_path / "leaf").read_text() + certificate_of(keys / "owner.pem")
    (tmp_path / "chain").write_text(both)
    (tmp_path / "line").write_text(certificate_of(keys / "owner.pem").replace("\n", ""))
    wanted |= {"leaf": WRONG, "chain": "there is more than one", "line": "it is no PEM that can be"}
    (tmp_path / "program.py").write_text(
        "import sys, _spinet_tls as tls\n"
        "for name in sys.argv[1:]: print(tls.check_own(open(name, 'rb').read()))"
    )
    done = subprocess.run(
        [BINARY, tmp_path / "program.py", *(tmp_path / name for name in wanted)],
        capture_output=True,
        check=True,
        text=True,
    )
    for line, (name, why) in zip(done.stdout.splitlines(), wanted.items(), strict=True):
        assert line.startswith(str(why)), name


def run(*arguments):
    """`spinet-controller` as a process."""
    program = "from spinet_controller.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process):
    """(exit code, stdout, stderr)."""
    out, err = process.communicate()
    return process.returncode, out, err


def test_the_command_line(start_sim, tmp_path, keys):
    """The controller turns it on; an update, and one that is interrupted."""
    port = free_port()
    state = tmp_path / "state"
    sim = ("--sim", BINARY, "--bus-port", "0", "--sim-state", state)
    done = told(run("update-owner", keys / "owner.pem", *sim))
    assert done == (0, "", "updates over the network are on from the module's next start on\n")
    assert b"PRIVATE" not in (state / "owner").read_bytes()

    module = start_sim("module-clocked", "--update-port", str(port))
    module.power_on()
    where = ("--over-network", f"127.0.0.1:{port}", "--owner", keys / "owner.pem")
    large = tmp_path / "large.bin"
    large.write_bytes(image(size=1 << 20))
    sending = run("update", large, *where)
    module.ask_until(lambda _n, data: data[0] == 1, UPDATE, flags=STATUS)
    sending.send_signal(2)
    assert told(sending) == (130, "", "")
    module.ask_until(lambda _n, data: data[0] == 0, UPDATE, flags=STATUS)
    assert b"not complete" in module.ask(UPDATE, flags=STATUS)[1]

    new = tmp_path / "new.bin"
    new.write_bytes(IMAGE)
    assert told(run("update", new, *where)) == (0, f"the module runs {NEW}\n", "")
    stranger = (*where[:3], keys / "stranger.pem")
    code, _, err = told(run("update", new, *stranger))
    assert (code, err) == (
        1,
        f"error: the module at 127.0.0.1:{port} refuses this key: it has another owner\n",
    )
