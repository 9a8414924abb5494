"""Updates over the network, against a fake module: who is there, what it answers, what breaks."""

import asyncio
import contextlib
import socket
import ssl
import struct
import sys
import threading

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from fake_module import WHOLE, FakeUpdate
from own_port import own_port
from rig import PATIENCE

from spinet_controller import NetworkModule, over_network, update
from spinet_controller.cli.main import main
from spinet_controller.errors import (
    BadOwner,
    BadReply,
    ModuleLost,
    NotReached,
    Refused,
    UpdateFailed,
    WrongState,
)
from spinet_controller.over_network import owner_certificate, owner_context
from spinet_controller.printer.certificate import kept
from spinet_controller.update import Image

BEGIN, PIECE, FINISH, RESTART, _, STATUS, OWNER = range(7)


def owner_file(folder):
    made = kept(folder / "made", "owner", "192.0.2.1")
    key = (folder / "made" / "key.pem").read_bytes()
    path = folder / "owner.pem"
    path.write_bytes(key + made.cert)
    return path


@pytest.fixture(scope="session")
def owner(tmp_path_factory):
    """The owner's file."""
    return owner_file(tmp_path_factory.mktemp("owner"))


class FakeNetworkModule:
    """Takes one connection after the other, as TLS client; `update` has what it knows.

    `answers`: {step: the answer in place of its own, b"" to end the connection}.
    """

    def __init__(self, certificate):
        self.update = FakeUpdate()
        self.answers = {}
        self.certificate = b""
        self._trust = ssl.create_default_context(cadata=certificate.decode())
        self._trust.check_hostname = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)

    def _serve(self):
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            plain.settimeout(PATIENCE)
            with plain, contextlib.suppress(OSError), self._trust.wrap_socket(plain) as secured:
                self._converse(secured.makefile("rwb"))

    def _converse(self, wire):
        with wire:
            while head := wire.read(8):
                flags, size, number = struct.unpack("<BxHI", head)
                answer = self._step(flags & 15, wire.read(size), number)
                if not answer:
                    return
                wire.write(answer)
                wire.flush()

    def _step(self, step, data, number):
        if step in self.answers:
            return self.answers[step]
        told = b""
        if step == STATUS:
            told = self.update.status()
            if self.update.state == 3:
                self.update.kept()
        elif step == OWNER:
            self.certificate = data
        else:
            self.update.step(step, data, number)
        return struct.pack("<BxH", 0, len(told)) + told


@pytest.fixture
def fake(owner):
    made = FakeNetworkModule(owner_certificate(owner))
    yield made
    made.close()


@pytest.fixture
async def module(fake, owner):
    async with NetworkModule("127.0.0.1", owner_context(owner), port=fake.port) as made:
        yield made


async def test_an_update(fake, module):
    moved = []
    now = await update.run(module, Image.of(WHOLE), moved=moved.append)
    assert sum(moved) == len(WHOLE)
    assert fake.update.image == WHOLE
    assert (now.slot, now.version, now.text) == (1, "2.4.0-spinet", "it was kept")


async def test_an_image_that_was_taken_back(fake, module):
    fake.update.goes_back = b"2.4.0 was taken back: why"
    with pytest.raises(UpdateFailed, match=r"2\.2-fake runs again: 2\.4\.0 was taken back: why"):
        await update.run(module, Image.of(WHOLE))


async def test_what_the_module_refuses(fake, module):
    fake.answers = {BEGIN: struct.pack("<BxH", 14, 3) + b"why", PIECE: struct.pack("<BxH", 4, 0)}
    with pytest.raises(Refused, match="the module says: why"):
        await update.run(module, Image.of(WHOLE))
    with pytest.raises(WrongState):
        await module.update_piece(0, b"?")
    fake.answers = {STATUS: struct.pack("<BxH", 0, 1) + b"?"}
    with pytest.raises(BadReply):
        await module.update_status()


async def test_another_owner(fake, module):
    await module.update_owner(b"certificate")
    assert fake.certificate == b"certificate"


async def test_a_connection_that_breaks(fake, module):
    fake.answers = {FINISH: b""}
    with pytest.raises(ModuleLost, match=r"the connection to 127\.0\.0\.1:\d+ broke"):
        await update.run(module, Image.of(WHOLE))


async def test_a_module_that_does_not_answer(fake, module, monkeypatch):
    monkeypatch.setattr(over_network, "ANSWER_TIMEOUT", 0.01)
    fake.answers = {STATUS: b"\0"}
    with pytest.raises(ModuleLost, match="does not answer any more"):
        await module.update_status()


async def test_a_module_that_does_not_come_back(fake, module, monkeypatch):
    monkeypatch.setattr(over_network, "RETURN_TIMEOUT", 0.01)
    monkeypatch.setattr(over_network, "_LOOK", 0.001)
    await module.update_status()
    module.port = own_port()
    with pytest.raises(NotReached, match="has not come back to"):
        await module.update_restart()


async def test_a_module_that_takes_its_time(fake, module, monkeypatch):
    monkeypatch.setattr(over_network, "_LOOK", 0.001)
    await module.update_status()
    port, module.port = module.port, own_port()
    restart = asyncio.ensure_future(module.update_restart())
    await asyncio.sleep(0.01)
    module.port = port
    await restart
    assert (await module.update_status()).slot == 1


async def test_nothing_is_there(owner):
    module = NetworkModule("127.0.0.1", owner_context(owner), port=own_port())
    with pytest.raises(NotReached, match=r"takes updates at 127\.0\.0\.1:\d+: Connection refused"):
        await module.update_status()


@pytest.mark.parametrize("name", ["two..dots", "x" * 64 + ".example"])
async def test_what_is_no_name(owner, name):
    module = NetworkModule(name, owner_context(owner))
    with pytest.raises(NotReached, match=f"'{name}' is no name of a host"):
        await module.update_status()


async def test_nothing_answers(owner, monkeypatch):
    monkeypatch.setattr(over_network, "CONNECT_TIMEOUT", 0.0)
    module = NetworkModule("192.0.2.1", owner_context(owner))
    with pytest.raises(NotReached, match=r"nothing answers at 192\.0\.2\.1:21328"):
        await module.update_status()


async def test_another_owner_s_module(fake, tmp_path):
    other = owner_context(owner_file(tmp_path))
    module = NetworkModule("127.0.0.1", other, port=fake.port)
    with pytest.raises(NotReached, match="refuses this key: it has another owner"):
        await module.update_status()


async def test_what_waits_for_a_request(owner, monkeypatch):
    """As a web server does."""
    monkeypatch.setattr(over_network, "HANDSHAKE_TIMEOUT", 0.01)

    async def wait(reader, writer):
        await reader.read()
        writer.close()

    async with await asyncio.start_server(wait, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        module = NetworkModule("127.0.0.1", owner_context(owner), port=port)
        with pytest.raises(NotReached, match="says nothing: it is busy, or no module"):
            await module.update_status()


@pytest.mark.parametrize(
    ("says", "why"), [(b"SSH-2.0-OpenSSH_9.2\r\n", "is no module"), (b"", "is busy with another")]
)
async def test_what_is_no_module_or_has_no_time(owner, says, why):
    async def greet(_reader, writer):
        writer.write(says)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        module = NetworkModule("127.0.0.1", owner_context(owner), port=port)
        with pytest.raises(NotReached, match=why):
            await module.update_status()


def test_what_the_owner_s_file_must_have(owner, tmp_path):
    assert b"PRIVATE" not in owner_certificate(owner)
    text = owner.read_bytes()
    (tmp_path / "key").write_bytes(text[: text.index(b"-----BEGIN CERT")])
    with pytest.raises(BadOwner, match="there is no certificate in it"):
        owner_certificate(tmp_path / "key")
    for part in (owner_certificate(owner), b"", (tmp_path / "key").read_bytes()):
        (tmp_path / "part").write_bytes(part)
        with pytest.raises(BadOwner, match="one is missing"):
            owner_context(tmp_path / "part")
    mixed = owner_certificate(owner_file(tmp_path)) + (tmp_path / "key").read_bytes()
    (tmp_path / "mixed").write_bytes(mixed)
    with pytest.raises(BadOwner, match="do not belong together"):
        owner_context(tmp_path / "mixed")
    (tmp_path / "far").write_bytes(bytes(1 << 20) + text)
    with pytest.raises(BadOwner, match="there is no certificate in it"):
        owner_certificate(tmp_path / "far")


def test_a_key_with_a_password(owner, tmp_path, monkeypatch, capsys):
    """The command takes it as it takes that of a network."""
    key = load_pem_private_key(owner.read_bytes(), None)
    encrypted = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"swordfish")
    )
    locked = tmp_path / "locked"
    locked.write_bytes(encrypted + owner_certificate(owner))
    for password in (None, lambda: "", lambda: "shark", lambda: "\udcff", lambda: "x" * 2000):
        with pytest.raises(BadOwner, match=r"its key is encrypted, and this is not its password$"):
            owner_context(locked, password)
    where = ("update", "--over-network", f"127.0.0.1:{own_port()}", "--owner", str(locked))
    monkeypatch.setattr(sys, "argv", ["spinet-controller", *where])
    for password, why in (("shark", "is not its password"), ("swordfish", "Connection refused")):
        monkeypatch.setenv("SPINET_PASSWORD", password)
        with pytest.raises(SystemExit):
            main()
        assert capsys.readouterr().err.endswith(f"{why}\n")
