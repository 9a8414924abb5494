"""The printer at a broker: a scripted one here, a real one in host_tests/e2e."""

import asyncio
import json
import ssl
from contextlib import asynccontextmanager

import gmqtt.mqtt.constants
import pytest
from fake_module import FREE
from gmqtt.mqtt.protocol import MQTTProtocol
from own_port import own_port
from rig import PATIENCE, eventually
from served import served

from spinet_controller.printer import certificate, mqtt, plan
from spinet_controller.printer.plan import Naming, Ports

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, DISCONNECT = 1, 2, 3, 4, 8, 9, 14


class Broker:
    """As much of an MQTT 5 broker as one client sees: `refuse` is a CONNACK's reason code.

    `packets` holds (type, body) of what came, `sessions` the writers of those who are there.
    """

    def __init__(self, refuse=0, silent=False):
        self.refuse = refuse
        self.silent = silent
        self.packets = []
        self.sessions = []
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        self.sessions.append(writer)
        try:
            while not self.silent:
                await self._packet(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.sessions.remove(writer)
            writer.close()

    async def _packet(self, reader, writer):
        head = (await reader.readexactly(1))[0]
        body = await reader.readexactly(await self._length(reader))
        self.packets.append((head >> 4, body))
        if head >> 4 == CONNECT:
            writer.write(bytes([CONNACK << 4, 3, 0, self.refuse, 0]))
        elif head >> 4 == SUBSCRIBE:
            writer.write(bytes([SUBACK << 4, 4, *body[:2], 0, 1]))
        elif head >> 4 == PUBLISH and head & 6:
            at = 2 + int.from_bytes(body[:2], "big")
            writer.write(bytes([PUBACK << 4, 2, *body[at : at + 2]]))

    @staticmethod
    async def _length(reader):
        length, shift = 0, 0
        while True:
            byte = (await reader.readexactly(1))[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return length

    def publish(self, topic, payload, retained=False):
        """Send to whoever is there."""
        topic = topic.encode()
        body = len(topic).to_bytes(2, "big") + topic + b"\0" + payload
        self.sessions[-1].write(bytes([PUBLISH << 4 | retained, len(body)]) + body)

    def published(self, topic):
        """Give the payloads that came for a topic."""
        wanted = len(topic).to_bytes(2, "big") + topic.encode()
        found = [body[len(wanted) :] for kind, body in self.packets if kind == PUBLISH]
        bodies = [body for kind, body in self.packets if kind == PUBLISH]
        return [rest for rest, body in zip(found, bodies, strict=True) if body.startswith(wanted)]

    def came(self, kind):
        return [body for number, body in self.packets if number == kind]


@asynccontextmanager
async def broker(**options):
    """Give a Broker and the port it is on."""
    tls = options.pop("tls", None)
    made = Broker(**options)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield made, server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def printing(tmp_path, port, **options):
    """Give a printer that has its broker at `port`."""
    options = {"host": "127.0.0.1", **options}
    ports = Ports(own_port(), broker=plan.Broker(port=port, **options))
    async with served(tmp_path / "files", ports, Naming("printer-7")) as made:
        yield made


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(mqtt, "SHORTEST_WAIT", 0.01)
    monkeypatch.setattr(mqtt, "LONGEST_WAIT", 0.08)
    monkeypatch.setattr(mqtt, "STATUS_EVERY", 0.05)
    # So that the library's own way of coming back would show, if it were not turned off.
    monkeypatch.setitem(gmqtt.mqtt.constants.DEFAULT_CONFIG, "reconnect_delay", 0.001)


async def test_it_says_that_it_is_there_and_how_it_is(tmp_path):
    async with broker() as (there, port):
        async with printing(tmp_path, port):
            await eventually(lambda: len(there.published("printer-7/status")) > 1, "two statuses")
            (connect,) = there.came(CONNECT)
            assert b"printer-7/state" in connect  # the last will
            assert b"offline" in connect
            assert there.published("printer-7/state")[0].endswith(b"online")
            document = there.published("printer-7/status")[0].lstrip(b"\0\1\2\3\4")
            assert json.loads(document)["module"]["ssid"] == "Workshop"
        await eventually(lambda: there.came(DISCONNECT), "the farewell")
        assert there.published("printer-7/state")[-1].endswith(b"offline")


async def test_it_answers_commands(tmp_path):
    async with broker() as (there, port), printing(tmp_path, port):
        await eventually(lambda: there.came(SUBSCRIBE), "the subscription")
        there.publish("printer-7/command", b"M20")
        await eventually(lambda: there.published("printer-7/reply"), "the reply")
        assert there.published("printer-7/reply")[0].endswith(b"no files\nok")
        there.publish("printer-7/command", b"\xff\xfe no text")
        await eventually(lambda: len(there.published("printer-7/reply")) == 2, "the next reply")
        assert b"Error:" in there.published("printer-7/reply")[1]


async def test_a_retained_command_is_not_done(tmp_path):
    async with broker() as (there, port), printing(tmp_path, port) as made:
        (made.store.path / "victim").touch()
        await eventually(lambda: there.came(SUBSCRIBE), "the subscription")
        there.publish("printer-7/command", b"delete victim", retained=True)
        there.publish("printer-7/command", b"M20")
        await eventually(lambda: there.published("printer-7/reply"), "the reply")
        assert there.published("printer-7/reply")[0].endswith(b"victim\nok")


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_a_broker_that_goes_is_found_again(tmp_path, end):
    async with broker() as (there, port), printing(tmp_path, port) as made:
        for times in (1, 2, 3):
            await eventually(lambda t=times: len(there.came(SUBSCRIBE)) == t, "a session")
            getattr(there.sessions[-1].transport, end)()
        await eventually(lambda: len(there.came(SUBSCRIBE)) == 4, "the fourth session")
        assert made.notes.count("MQTT: connected") == 4
        assert there.connections == 4
        assert made.said("MQTT: the broker is gone")
    assert all(slot.state == FREE for slot in made.rig.slots)


async def test_a_refusal_is_told_once_and_tried_again(tmp_path, caplog):
    caplog.set_level("DEBUG")
    account = {"user": "me", "password": b"\xffwhisper-only"}
    async with broker(refuse=135) as (there, port), printing(tmp_path, port, **account) as made:
        await eventually(lambda: there.connections > 3, "several tries")
        assert made.notes == ["MQTT: the broker refused us: Connection Refused: Not authorized"]
        there.refuse = 0
        await eventually(lambda: there.came(SUBSCRIBE), "the session")
        document = json.dumps(await made.report.document())
    assert b"\xffwhisper-only" in there.came(CONNECT)[0]
    told = [*made.notes, document, caplog.text, repr(plan.Broker("h", 1, **account))]
    assert not [text for text in told if "whisper-only" in text]


async def test_a_broker_that_is_not_there(tmp_path):
    async with printing(tmp_path, own_port()) as made:
        await eventually(lambda: made.said("MQTT: the connection was not accepted"), "the note")
        await eventually(lambda: made.rig.commands(3) > 3, "several tries")


async def test_a_broker_that_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(mqtt, "CONNECT", 0.05)
    async with broker(silent=True) as (_there, port), printing(tmp_path, port) as made:
        await eventually(lambda: made.rig.commands(3) > 2, "several tries")
        assert made.said("MQTT: the broker does not answer")


async def test_a_broker_that_is_lost_as_soon_as_it_is_there(tmp_path, monkeypatch):
    stands = MQTTProtocol.connection_made

    def lost(protocol, transport):
        stands(protocol, transport)
        transport.abort()

    monkeypatch.setattr(mqtt, "CONNECT", 0.05)
    monkeypatch.setattr(MQTTProtocol, "connection_made", lost)
    async with broker() as (_there, port), printing(tmp_path, port) as made:
        await eventually(lambda: made.rig.commands(3) > 2, "several tries")


async def test_a_broker_whose_name_is_not_known(tmp_path):
    async with printing(tmp_path, 1, host="nobody.invalid") as made:
        await eventually(lambda: made.said("MQTT: host not found: nobody.invalid"), "the note")


async def test_the_wait_grows_and_a_session_resets_it(tmp_path, monkeypatch):
    waits = []
    sleep = asyncio.sleep

    async def noted(seconds, *rest):
        if seconds in (0.01, 0.02, 0.04, 0.08):
            waits.append(seconds)
        await sleep(seconds, *rest)

    monkeypatch.setattr(mqtt.asyncio, "sleep", noted)
    async with broker(refuse=136) as (there, port), printing(tmp_path, port):
        await eventually(lambda: len(waits) >= 6, "six waits")
        assert waits[:6] == [0.01, 0.02, 0.04, 0.08, 0.08, 0.08]
        there.refuse = 0
        await eventually(lambda: there.came(SUBSCRIBE), "a session")
        waits.clear()
        there.sessions[-1].close()
        await eventually(lambda: waits, "the next wait")
        assert waits[0] == 0.01


# -- TLS ----------------------------------------------------------------------------------


@pytest.fixture
def identity(tmp_path):
    """A certificate for localhost and 127.0.0.1."""
    return certificate.kept(tmp_path / "tls", "localhost", "127.0.0.1")


def server_tls(identity):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.path, identity.path.with_name("key.pem"))
    return context


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_over_tls(tmp_path, identity, host):
    async with (
        broker(tls=server_tls(identity)) as (there, port),
        printing(tmp_path, port, host=host, tls=True, ca=identity.cert) as made,
    ):
        await eventually(lambda: there.came(SUBSCRIBE), "the session")
        assert made.report.services["MQTT"] == f"mqtts://{host}:{port}/printer-7"
        (slot,) = [slot for slot in made.rig.slots if slot.tls]
        assert slot.name == ("localhost" if host == "localhost" else "")


async def test_a_broker_with_another_certificate_is_not_trusted(tmp_path, identity):
    other = certificate.kept(tmp_path / "other", "localhost", "127.0.0.1")
    async with (
        broker(tls=server_tls(identity)) as (there, port),
        printing(tmp_path, port, tls=True, ca=other.cert) as made,
    ):
        made.rig.module.on_news = made.notes.append
        await eventually(lambda: made.said("certificate verify failed"), "the reason")
        async with asyncio.timeout(PATIENCE):
            assert there.came(CONNECT) == []
