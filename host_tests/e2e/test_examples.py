"""The examples as they are, each a process, with SIM as the module and real TCP to peers."""

import asyncio
import contextlib
import os
import ssl
import subprocess
import sys
import urllib.request

import aiocoap
import aioftp
import asyncssh
import pytest
from aiocoap import resource
from aiohttp import web
from nina_driver import BOARD
from nina_sim import NinaSim
from own_port import own_port
from printer_process import PATIENCE, ROOT, SIMS
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from spinet_controller.printer import certificate

EXAMPLES = ROOT / "examples"
SECRET = "word-of-the-example"
STARTED = """
import runpy, sys
from spinet_controller import Module, VirtualBus
VirtualBus.__init__.__defaults__ = (int(sys.argv[1]),)
Module.__init__.__kwdefaults__["time_scale"] = 100  # others may have the processor
sys.path[0], sys.argv = "", sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# The same for programs in CircuitPython, whose driver reads this clock.
CIRCUITPYTHON = """
import runpy, time
monotonic = time.monotonic
time.monotonic = lambda: monotonic() / 20
runpy.run_module("spinet_controller.circuitpython", run_name="__main__")
"""


@contextlib.asynccontextmanager
async def running(folder, name, *arguments):
    """An example and its module; gives the example's process, whose output is a pipe."""
    bus, options = own_port(), {"cwd": folder, "stdin": subprocess.DEVNULL}
    example = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTED, str(bus), str(EXAMPLES / name), *map(str, arguments)),
        stdout=subprocess.PIPE,
        env={**os.environ, "SECRET": SECRET},
        **options,
    )
    sim = await asyncio.create_subprocess_exec(
        *(SIMS["sockets"], "-m", "sim", "--port", str(bus)),
        *("--role", "module-clocked", "--state", str(folder / "state")),
        stdout=subprocess.DEVNULL,
        **options,
    )
    try:
        yield example
    finally:
        for process in (example, sim):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def result(folder, name, *arguments):
    """What an example printed, that ended by itself, and well."""
    async with running(folder, name, *arguments) as example, asyncio.timeout(PATIENCE):
        output, _ = await example.communicate()
    assert example.returncode == 0
    return output.decode()


@contextlib.asynccontextmanager
async def serving(folder, name, *arguments):
    """An example that serves; gives what it printed before it did."""
    async with running(folder, name, *arguments) as example:
        printed = ""
        async with asyncio.timeout(PATIENCE):
            while not printed.rpartition("\n")[0].rpartition("\n")[2].startswith("serving"):
                printed += (line := await example.stdout.readline()).decode()
                assert line, printed
        yield printed


@pytest.fixture
def identity(tmp_path):
    """A folder with cert.pem and key.pem, for 127.0.0.1."""
    certificate.kept(tmp_path, "peer", "127.0.0.1")
    return tmp_path


def trusting(folder):
    return ssl.create_default_context(cafile=folder / "cert.pem")


def fetched(url, headers=None, data=None, **options):
    request = urllib.request.Request(url, data, headers or {})
    with urllib.request.urlopen(request, timeout=PATIENCE, **options) as answer:
        return answer.status, answer.read()


@contextlib.asynccontextmanager
async def site():
    """A web site of this computer; gives its URL."""

    async def hello(_request):
        return web.Response(text="hello from a peer")

    async def degrees(request):
        return web.Response(text=f"{(await request.json())['temperature']} degrees")

    application = web.Application()
    application.router.add_get("/", hello)
    application.router.add_post("/", degrees)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port := own_port()).start()
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        await runner.cleanup()


# -- HTTP


async def test_aiohttp_server(tmp_path):
    (tmp_path / "part.gcode").write_bytes(bytes(range(256)) * 1000)
    port = own_port()
    async with serving(tmp_path, "aiohttp_server.py", port, tmp_path):
        url = f"http://127.0.0.1:{port}/"
        assert await asyncio.to_thread(fetched, url) == (200, b"hello 127.0.0.1\n")
        _, data = await asyncio.to_thread(fetched, url + "files/part.gcode")
        assert data == bytes(range(256)) * 1000
        part = await asyncio.to_thread(
            fetched, url + "files/part.gcode", {"Range": "bytes=254-257"}
        )
        assert part == (206, b"\xfe\xff\x00\x01")


@pytest.mark.parametrize("example", ["aiohttp_client.py", "httpcore_client.py"])
async def test_http_clients(tmp_path, example):
    async with site() as url:
        assert await result(tmp_path, example, url) == "200 hello from a peer\n"


# -- WebSocket


async def test_websockets_server(tmp_path):
    port = own_port()
    url = f"ws://127.0.0.1:{port}/"
    async with (
        serving(tmp_path, "websockets_server.py", port),
        connect(url, proxy=None) as websocket,
    ):
        for message in ("hello", bytes(100_000)):
            await websocket.send(message)
            assert await websocket.recv() == message


async def test_websockets_client(tmp_path):
    async def shout(websocket):
        await websocket.send((await websocket.recv()).upper())

    async with serve(shout, "127.0.0.1", port := own_port()):
        url = f"ws://127.0.0.1:{port}/"
        assert await result(tmp_path, "websockets_client.py", url, "hello") == "HELLO\n"


# -- SSH


@pytest.fixture
def keys(tmp_path):
    """Keys of a host and a user, in files; gives the host's public one."""
    made = {}
    for name in ("host_key", "user_key"):
        key = made[name] = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(tmp_path / name)
        key.write_public_key(tmp_path / f"{name}.pub")
    return made["host_key"].export_public_key().decode()


def known(port, host_key, folder):
    path = folder / "known_hosts"
    path.write_text(f"[127.0.0.1]:{port} {host_key}")
    return str(path)


async def test_asyncssh_server(tmp_path, keys):
    port = own_port()
    arguments = (port, tmp_path / "host_key", tmp_path / "user_key.pub")
    async with (
        serving(tmp_path, "asyncssh_server.py", *arguments),
        asyncssh.connect(
            *("127.0.0.1", port),
            username="somebody",
            client_keys=[tmp_path / "user_key"],
            known_hosts=known(port, keys, tmp_path),
        ) as connection,
    ):
        assert (await connection.run("hello")).stdout == "you said hello\n"


async def test_asyncssh_client(tmp_path, keys):
    def answer(process):
        process.stdout.write(f"did {process.command}\n")
        process.exit(0)

    async with asyncssh.listen(
        *("127.0.0.1", port := own_port()),
        server_host_keys=[tmp_path / "host_key"],
        authorized_client_keys=str(tmp_path / "user_key.pub"),
        process_factory=answer,
    ):
        arguments = ("127.0.0.1", port, "pi", tmp_path / "user_key")
        hosts = known(port, keys, tmp_path)
        output = await result(tmp_path, "asyncssh_client.py", *arguments, hosts, "uname")
        assert output == "did uname\n"


# -- FTP, MQTT


async def test_aioftp_client(tmp_path):
    (shared := tmp_path / "shared").mkdir()
    (file := tmp_path / "part.gcode").write_bytes(bytes(50_000))
    server = aioftp.Server([aioftp.User("me", SECRET, base_path=shared)])
    await server.start("127.0.0.1", port := own_port())
    try:
        arguments = ("127.0.0.1", port, "me", file)
        assert await result(tmp_path, "aioftp_client.py", *arguments) == "part.gcode 50000\n"
    finally:
        await server.close()
    assert (shared / "part.gcode").read_bytes() == bytes(50_000)


@pytest.fixture
async def broker(tmp_path):
    """mosquitto; its port."""
    port = own_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    process = await asyncio.create_subprocess_exec(
        *("mosquitto", "-c", str(config)), stderr=subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE):
        while b" running" not in await process.stderr.readline():
            pass
    yield port
    process.kill()
    await process.communicate()


async def test_mqtt_client(tmp_path, broker):
    output = await result(tmp_path, "mqtt_client.py", "127.0.0.1", broker)
    assert output == "workshop/door open\n"


# -- CoAP

SETTINGS = b"\x00\xe1"  # an empty CSM, as each end begins with (RFC 8323)
GET_GREETING = b"\x90\x01\xb8greeting"
CONTENT = b"\x45\xffhello"


async def asked(reader, writer):
    """Ask a CoAP server for its greeting over a connection."""
    writer.write(SETTINGS + GET_GREETING)
    async with asyncio.timeout(PATIENCE):
        return (await reader.readuntil(CONTENT)).endswith(CONTENT)


async def close(writer):
    """Close a connection, and wait until nothing of it is left."""
    writer.close()
    await writer.wait_closed()


async def test_coap_server(tmp_path):
    port = own_port()
    async with serving(tmp_path, "coap_server.py", port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asked(reader, writer)
        await close(writer)


async def test_coap_server_that_calls_home(tmp_path):
    port, called = own_port(), asyncio.get_running_loop().create_future()

    async def home(reader, writer):
        called.set_result(await asked(reader, writer))
        await close(writer)

    async with (
        await asyncio.start_server(home, "127.0.0.1", port),
        serving(tmp_path, "coap_server.py", port, "127.0.0.1"),
        asyncio.timeout(PATIENCE),
    ):
        assert await called


async def test_coap_client(tmp_path):
    class Time(resource.Resource):
        async def render_get(self, _request):
            return aiocoap.Message(payload=b"noon")

    tree = resource.Site()
    tree.add_resource(["time"], Time())
    server = await aiocoap.Context.create_server_context(
        tree, bind=("127.0.0.1", port := own_port()), transports=["tcpserver"]
    )
    try:
        output = await result(tmp_path, "coap_client.py", f"coap+tcp://127.0.0.1:{port}/time")
        assert output == "2.05 Content noon\n"
    finally:
        await server.shutdown()


# -- TLS


@pytest.mark.parametrize("who", ["module", "controller"])
async def test_tls(identity, who):
    async def greet(_reader, writer):
        writer.write(b"hello from a peer\n")
        await close(writer)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(identity / "cert.pem", identity / "key.pem")
    async with await asyncio.start_server(greet, "127.0.0.1", peer := own_port(), ssl=context):
        port = own_port()
        files = (identity / "cert.pem", identity / "key.pem")
        arguments = (port, *files, "127.0.0.1", peer, identity / "cert.pem")
        async with serving(identity, f"tls_by_{who}.py", *arguments) as printed:
            assert printed == "hello from a peer\nserving\n"
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=trusting(identity)
            )
            assert b"TLS" in await reader.readline()
            await close(writer)


# -- in CircuitPython


@contextlib.asynccontextmanager
async def in_circuitpython(name, **settings):
    """An example's process; its module is a SIM that it starts."""
    command = ("--sim", SIMS["sockets"], str(EXAMPLES / "circuitpython" / name))
    example = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CIRCUITPYTHON, *command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, **settings, "PYTHONUNBUFFERED": "1"},
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield example
    finally:
        with contextlib.suppress(ProcessLookupError):
            example.terminate()
        await example.wait()


async def test_circuitpython_http_client():
    async with site() as url, in_circuitpython("http_client.py", URL=url) as example:
        output, _ = await example.communicate()
    assert output.decode() == "200 hello from a peer\n200 21.5 degrees\n"


async def test_circuitpython_http_server():
    async with in_circuitpython("http_server.py", PORT=str(port := own_port())) as example:
        url = f"http://127.0.0.1:{port}/"
        assert await example.stdout.readline() == f"serving {url}\n".encode()
        assert await asyncio.to_thread(fetched, url) == (200, b"hello 127.0.0.1\n")
        for state, answer in ((b"on", b'{"on": true}'), (b"off", b'{"on": false}')):
            assert await asyncio.to_thread(fetched, url + "led", data=state) == (200, answer)
        assert (await asyncio.to_thread(fetched, url + "led"))[1] == b'{"on": false}'


async def test_circuitpython_mqtt_client(broker):
    async with in_circuitpython("mqtt_client.py", BROKER_PORT=str(broker)) as example:
        output, _ = await example.communicate()
    assert output.decode() == "workshop/door open\n"


async def test_circuitpython_led():
    async with in_circuitpython("led.py") as example:
        output, _ = await example.communicate()
    lines = [f"{color} {level}" for color in ("red", "green", "blue") for level in (True, False)]
    assert output.decode().splitlines() == lines


NOON = 1_796_126_400  # 2026-12-01 12:00:00


class TimeServer(asyncio.DatagramProtocol):
    """It is noon."""

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data, address):
        assert len(data) == 48
        answer = bytes(40) + (NOON + 2208988800).to_bytes(4, "big") + bytes(4)
        self._transport.sendto(answer, address)


@contextlib.asynccontextmanager
async def time_server():
    """Its port."""
    server, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        TimeServer, ("127.0.0.1", 0)
    )
    yield server.get_extra_info("sockname")[1]
    server.close()


async def test_circuitpython_ntp_client():
    async with time_server() as port:
        server = {"TIME_SERVER": "127.0.0.1", "TIME_PORT": str(port), "TZ": "UTC"}
        async with in_circuitpython("ntp_client.py", **server) as example:
            output, _ = await example.communicate()
    assert output.decode() == "2026-12-01 12:00:00\n"


# -- in MicroPython


async def test_micropython(tmp_path):
    """Both programs, one after the other, on a board whose module is one SIM."""
    (tmp_path / "settings.py").write_text(
        (EXAMPLES / "micropython/settings.py").read_text()
        + "import os\nPORT = int(os.getenv('PORT'))\n"
        + "TIME_SERVER, TIME_PORT = '127.0.0.1', int(os.getenv('TIME_PORT'))\n"
    )
    sim = await asyncio.to_thread(NinaSim, tmp_path)
    try:
        async with site() as url, time_server() as port:
            ports = {"PORT": url.rstrip("/").rpartition(":")[2], "TIME_PORT": str(port)}
            printed = await on_board(sim, "http_client.py", tmp_path, **ports)
            assert printed == ["address 127.0.0.1", "HTTP/1.0 200 OK", "hello from a peer"]
            printed = await on_board(sim, "ntp_client.py", tmp_path, **ports)
            assert printed == ["2026-12-01 12:00:00"]
    finally:
        sim.end()
        sim.connection.close()
    sim.check()


async def on_board(sim, name, folder, **environment):
    """What an example prints on a board of MicroPython's; its settings.py is in `folder`."""
    bus = sim.connection.fileno()
    program = EXAMPLES / "micropython" / name
    begin = f"import ninabus; ninabus.open({bus}); exec(open('{program}').read())"
    board = await asyncio.create_subprocess_exec(
        *(BOARD, "-c", begin),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        pass_fds=[bus],
        env={"MICROPYPATH": str(folder), **environment},
    )
    async with asyncio.timeout(PATIENCE):
        output, _ = await board.communicate()
    assert board.returncode == 0
    return output.decode().splitlines()


def test_each_example_is_run():
    tests = (ROOT / "host_tests" / "e2e" / "test_examples.py").read_text()
    for example in (EXAMPLES / "circuitpython").glob("*.py"):
        assert f'in_circuitpython("{example.name}"' in tests, example.name
    for example in (EXAMPLES / "micropython").glob("*_client.py"):
        assert f'on_board(sim, "{example.name}"' in tests, example.name
    for example in EXAMPLES.glob("*.py"):
        assert example.name in tests or example.name.startswith("tls_by_"), example.name
