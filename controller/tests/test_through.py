"""Libraries on asyncio through a module: its connections, its servers, TLS on this end."""

import asyncio
import hashlib
import socket
import ssl
from contextlib import asynccontextmanager
from contextvars import ContextVar

import aiohttp
import httpcore
import pytest
from aiohttp import web
from fake_sim import Network
from rig import PATIENCE, Recorder, eventually, rigged

from spinet_controller import errors, through
from spinet_controller.aiohttp_connector import ModuleConnector
from spinet_controller.codes import Command
from spinet_controller.httpcore_backend import ModuleBackend
from spinet_controller.printer.certificate import kept
from spinet_controller.wifi import join


@pytest.fixture
async def rig():
    """A rig on the network of this computer."""
    async with rigged() as made:
        Network(made.firmware)
        await join(made.module)
        yield made


@pytest.fixture(scope="session")
def identity(tmp_path_factory):
    """A folder with cert.pem and key.pem, for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    kept(folder, "peer", "127.0.0.1")
    return folder


@pytest.fixture
def contexts(identity):
    """What a server and a client of it need."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(identity / "cert.pem", identity / "key.pem")
    return serving, ssl.create_default_context(cafile=identity / "cert.pem")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def dialled(rig):
    return rig.commands(Command.CONN_CREATE)


@asynccontextmanager
async def peer(serve, **options):
    """A server of this computer; gives its port."""

    async def attend(reader, writer):
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(attend, "127.0.0.1", 0, **options) as server:
        yield server.sockets[0].getsockname()[1]


async def greet(_reader, writer):
    writer.write(b"hello\n")
    writer.close()


async def line(port, **options):
    """The line that a peer greets us with."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    async with asyncio.timeout(PATIENCE):
        text = await reader.readline()
    writer.close()
    return text


# -- connecting


async def test_what_connects_in_the_block_connects_through_the_module(rig):
    async with peer(greet) as port:
        with through(rig.module) as given:
            assert given is rig.module
            assert await line(port) == b"hello\n"
        assert dialled(rig) == 1
        assert await line(port) == b"hello\n"
        assert dialled(rig) == 1


async def test_a_name_is_looked_up_by_the_module(rig):
    with through(rig.module), pytest.raises(errors.HostNotFound):
        await asyncio.open_connection("nowhere.invalid", 80)


async def test_a_task_that_began_in_the_block_goes_through_the_module_later(rig):
    go = asyncio.Event()

    async def later(port):
        await go.wait()
        return await line(port)

    async with peer(greet) as port:
        with through(rig.module):
            task = asyncio.create_task(later(port))
        go.set()
        assert await task == b"hello\n"
        assert dialled(rig) == 1


class Again(asyncio.Protocol):
    """Connects again, once, from each of its callbacks that a library may do so from."""

    def __init__(self, port):
        self.port = port
        self.tasks = []

    def _again(self):
        self.tasks.append(asyncio.ensure_future(line(self.port)))

    def connection_made(self, _transport):
        self._again()

    def data_received(self, _data):
        self._again()

    def eof_received(self):
        self._again()

    def connection_lost(self, _exc):
        self._again()


async def test_what_a_connection_leads_to_goes_through_the_module(rig):
    loop = asyncio.get_running_loop()
    async with peer(greet) as port:
        with through(rig.module):
            _, again = await loop.create_connection(lambda: Again(port), "127.0.0.1", port)
        await eventually(lambda: len(again.tasks) == 4, "all callbacks")
        assert await asyncio.gather(*again.tasks) == [b"hello\n"] * 4
        assert dialled(rig) == 5


async def test_a_socket_that_is_there_already_is_this_computers(rig):
    async with peer(greet) as port:
        with through(rig.module):
            reader, writer = await asyncio.open_connection(
                sock=socket.create_connection(("127.0.0.1", port))
            )
            assert await reader.readline() == b"hello\n"
            writer.close()
    assert dialled(rig) == 0


async def test_two_modules_at_a_time():
    async with rigged() as first, rigged() as second, peer(greet) as port:
        for rig in (first, second):
            Network(rig.firmware)
            await join(rig.module)
        with through(first.module):
            await line(port)
            with through(second.module):
                await line(port)
            await line(port)
        assert (dialled(first), dialled(second)) == (2, 1)


# -- listening


async def test_what_listens_in_the_block_listens_on_the_module(rig):
    port = free_port()
    with through(rig.module):
        server = await asyncio.start_server(greet, "0.0.0.0", port)
    async with server:
        assert rig.poller.servers[port] is server
        assert server.sockets == ()
        assert await line(port) == b"hello\n"
    assert dialled(rig) == 0


async def test_a_server_of_one_address(rig):
    with through(rig.module):
        async with await asyncio.start_server(greet, "127.0.0.1", port := free_port()):
            assert await line(port) == b"hello\n"


async def test_what_a_server_leads_to_goes_through_the_module(rig):
    async def relay(_reader, writer):
        writer.write(await line(port))
        writer.close()

    async with peer(greet) as port:
        relaying = free_port()
        with through(rig.module):
            server = await asyncio.start_server(relay, None, relaying)
        async with server:
            assert await line(relaying) == b"hello\n"
        assert dialled(rig) == 1


async def test_each_connection_of_a_server_has_a_context_of_its_own(rig):
    number = ContextVar("number", default=0)
    seen = []

    class Counting(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            seen.append(number.get())
            number.set(number.get() + 1)

        def connection_lost(self, exc):
            seen.append(number.get())
            super().connection_lost(exc)

    number.set(5)
    async with await rig.module.create_server(Counting, 80):
        for slot in (0, 1):
            rig.slots[slot].connect(80)
            await eventually(lambda: len(seen) in (1, 3), "the connection")
            rig.slots[slot].finish()
            await eventually(lambda: len(seen) in (2, 4), "its end")
    assert seen == [5, 6, 5, 6]


async def test_what_listens_in_the_block_may_call_home_instead(rig, contexts):
    with through(rig.module, call_home=True):
        async with await asyncio.start_server(greet, "home.test", 8080) as server:
            assert rig.firmware.calling[8080][-1] == b"home.test"
            with pytest.raises(ValueError, match="TLS"):
                await asyncio.start_server(greet, "home.test", 8081, ssl=contexts[0])
    assert rig.firmware.calling == {}
    assert server.port == 8080


UNABLE = {
    "an address of our own": lambda: asyncio.open_connection(
        "127.0.0.1", 80, local_addr=("127.0.0.1", 0)
    ),
    "listening later": lambda: asyncio.start_server(greet, None, 80, start_serving=False),
    "any port": lambda: asyncio.start_server(greet, None, 0),
    "a name to listen on": lambda: asyncio.start_server(greet, "localhost", 80),
    "TLS of both": lambda: _both(),
}


async def _both():
    context = ssl.create_default_context()
    module = through_module.get()
    await module.create_connection(Recorder, "127.0.0.1", 80, tls=True, ssl=context)


through_module = ContextVar("module of the test")


@pytest.mark.parametrize("what", UNABLE)
async def test_what_a_module_cannot_do_is_said(rig, what):
    through_module.set(rig.module)
    before = len(rig.log)
    with through(rig.module), pytest.raises(ValueError, match=r"module|needs a port"):
        await UNABLE[what]()
    assert rig.log[before:] == []


# -- TLS on this end


async def test_tls_of_this_end_both_ways(rig, contexts):
    serving, trusting = contexts
    port = free_port()
    async with await rig.module.start_server(greet, port, ssl=serving):
        assert await line(port, ssl=trusting) == b"hello\n"  # the computer's own
        reader, writer = await rig.module.open_connection("127.0.0.1", port, ssl=trusting)
        assert await reader.readline() == b"hello\n"
        assert writer.get_extra_info("cipher")
        assert writer.get_extra_info("peername") == ("127.0.0.1", port)
        writer.close()


async def test_tls_in_the_block(rig, contexts):
    serving, trusting = contexts
    async with peer(greet, ssl=serving) as port:
        with through(rig.module):
            assert await line(port, ssl=trusting) == b"hello\n"
            with pytest.raises(ssl.SSLCertVerificationError):
                await line(port, ssl=True)  # the usual context, which does not know this CA
            with pytest.raises(ssl.SSLCertVerificationError):
                await line(port, ssl=trusting, server_hostname="elsewhere.test")
        assert dialled(rig) == 3
    rig.expected_reports = len(rig.reported)  # the peer's own, of handshakes that failed


async def test_a_peer_that_speaks_first_over_tls_is_heard_after_the_connection_was_made(
    rig, contexts
):
    serving, trusting = contexts
    async with peer(greet, ssl=serving) as port:
        _, protocol = await rig.module.create_connection(
            *(Recorder, "127.0.0.1", port), ssl=trusting
        )
        await protocol.gone()
    assert protocol.events[0] == "made"
    assert protocol.received == b"hello\n"


async def test_a_peer_that_leaves_in_the_handshake(rig, contexts):
    async def leave(_reader, writer):
        writer.close()

    async with peer(leave) as port:
        with pytest.raises(ConnectionError):
            await rig.module.open_connection("127.0.0.1", port, ssl=contexts[1])
    await rig.poller.slots_released()


async def test_a_handshake_that_takes_too_long(rig, contexts):
    silent = asyncio.Event()
    async with peer(lambda _reader, _writer: silent.wait()) as port:
        with pytest.raises(ConnectionError):
            await rig.module.open_connection(
                *("127.0.0.1", port), ssl=contexts[1], ssl_handshake_timeout=0.1
            )
        silent.set()
    await rig.poller.slots_released()


# -- aiohttp's client


@asynccontextmanager
async def site(context=None):
    """A site of this computer; gives its URL."""

    async def hello(request):
        return web.Response(text=f"hello {await request.text()}")

    application = web.Application()
    application.router.add_route("*", "/", hello)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port := free_port(), ssl_context=context).start()
    yield f"http{'s' if context else ''}://127.0.0.1:{port}/"
    await runner.cleanup()


def session(rig, **options):
    return aiohttp.ClientSession(connector=ModuleConnector(rig.module, **options))


async def test_requests_of_aiohttp(rig):
    async with site() as url, session(rig) as client:
        for _ in range(2):
            async with client.post(url, data="there") as answer:
                assert await answer.text() == "hello there"
    assert dialled(rig) == 1  # kept alive


async def test_requests_of_aiohttp_over_tls(rig, contexts, identity):
    serving, trusting = contexts
    wrong = aiohttp.Fingerprint(bytes(32))
    der = ssl.PEM_cert_to_DER_cert((identity / "cert.pem").read_text())
    right = aiohttp.Fingerprint(hashlib.sha256(der).digest())
    async with site(serving) as url:
        for own, of_request in ((trusting, True), (True, trusting), (True, False), (True, right)):
            async with session(rig, ssl=own) as client, client.get(url, ssl=of_request) as answer:
                assert await answer.text() == "hello "
        async with session(rig) as client:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await client.get(url)
            with pytest.raises(aiohttp.ServerFingerprintMismatch):
                await client.get(url, ssl=wrong)
    rig.expected_reports = len(rig.reported)


async def test_aiohttp_is_told_why_it_cannot_connect(rig):
    async with session(rig) as client:
        with pytest.raises(aiohttp.ClientConnectorError, match="was not accepted") as raised:
            await client.get(f"http://127.0.0.1:{free_port()}/")
        assert isinstance(raised.value.os_error, errors.ConnectionRefused)
        with pytest.raises(ValueError, match="proxy"):
            await client.get("http://a.test/", proxy="http://127.0.0.1:3128")


async def test_aiohttp_waits_no_longer_than_it_was_told(rig):
    rig.firmware.outgoing = lambda slot: None
    limit = aiohttp.ClientTimeout(sock_connect=0.1)
    async with session(rig) as client:
        with pytest.raises(aiohttp.ServerTimeoutError):
            await client.get("http://192.0.2.7/", timeout=limit)


# -- httpcore


def pool(rig, **options):
    return httpcore.AsyncConnectionPool(network_backend=ModuleBackend(rig.module), **options)


async def test_requests_of_httpcore(rig):
    async with site() as url, pool(rig) as client:
        for _ in range(2):
            answer = await client.request("POST", url, content=b"there")
            assert (answer.status, answer.content) == (200, b"hello there")
    assert dialled(rig) == 1


async def test_requests_of_httpcore_over_tls(rig, contexts):
    serving, trusting = contexts
    async with site(serving) as url:
        async with pool(rig, ssl_context=trusting) as client:
            assert (await client.request("GET", url)).content == b"hello "
        async with pool(rig) as client:
            with pytest.raises(httpcore.ConnectError):
                await client.request("GET", url)
    rig.expected_reports = len(rig.reported)


async def test_httpcore_is_told_why_it_cannot_connect(rig):
    async with pool(rig) as client:
        with pytest.raises(httpcore.ConnectError, match="was not accepted"):
            await client.request("GET", f"http://127.0.0.1:{free_port()}/")
        rig.firmware.outgoing = lambda slot: None
        times = {"timeout": {"connect": 0.1}}
        with pytest.raises(httpcore.ConnectTimeout):
            await client.request("GET", "http://192.0.2.7/", extensions=times)
    with pytest.raises(ValueError, match="own address"):
        await ModuleBackend(rig.module).connect_tcp("a.test", 80, local_address="127.0.0.1")
    with pytest.raises(ValueError, match="no Unix sockets"):
        await ModuleBackend(rig.module).connect_unix_socket("/tmp/socket")


async def test_httpcore_waits_no_longer_than_it_was_told(rig):
    silent = asyncio.Event()
    async with peer(lambda _reader, _writer: silent.wait()) as port, pool(rig) as client:
        times = {"timeout": {"read": 0.1}}
        with pytest.raises(httpcore.ReadTimeout):
            await client.request("GET", f"http://127.0.0.1:{port}/", extensions=times)
        silent.set()
