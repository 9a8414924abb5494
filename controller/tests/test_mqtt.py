"""The printer at a broker: a scripted one here, a real one in host_tests/e2e."""

import asyncio
import functools
import json
import ssl
import types
from contextlib import asynccontextmanager

import gmqtt.mqtt.constants
import pytest
from fake_module import FREE
from gmqtt.mqtt.handler import MQTTConnectError
from gmqtt.mqtt.package import PublishPacket
from gmqtt.mqtt.protocol import MQTTProtocol
from gmqtt.mqtt.utils import IdGenerator
from own_port import own_port
from rig import PATIENCE, eventually
from served import served

from spinet_controller.printer import certificate, mqtt, plan
from spinet_controller.printer.console import TOO_LONG, Console
from spinet_controller.printer.plan import Naming, Ports

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, DISCONNECT = 1, 2, 3, 4, 8, 9, 14


V311, V5 = 4, 5


class Broker:
    """As much of a broker as one client sees: `refuse` is a CONNACK's reason code.

    It speaks the protocol levels `speaks`; others it refuses with `unspoken`, or without a word
    (None). `largest` is its Maximum Packet Size, `receives` its Receive Maximum; while `acking` is
    clear it reads no further than to what it would acknowledge. `packets` holds (type, body) of
    what came, `levels` those of the CONNECTs, `sessions` the writers of those that are there.
    """

    def __init__(
        self,
        refuse=0,
        silent=False,
        speaks=(V311, V5),
        unspoken=1,
        largest=None,
        receives=None,
    ):
        self.refuse = refuse
        self.silent = silent
        self.speaks = speaks
        self.unspoken = unspoken
        self.largest = largest
        self.receives = receives
        self.acking = asyncio.Event()
        self.acking.set()
        self.levels = []
        self.left = None  # the writer that disconnect() ended
        self.packets = []
        self.sessions = []
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        self.sessions.append(writer)
        try:
            while not self.silent and not writer.is_closing():
                await self._packet(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.sessions.remove(writer)
            writer.close()

    async def _packet(self, reader, writer):
        head = (await reader.readexactly(1))[0]
        body = await reader.readexactly(await self._length(reader))
        self.packets.append((head >> 4, body))
        if writer is self.left:
            return
        if head >> 4 == CONNECT:
            self.levels.append(body[6])
            self._answer_connect(writer)
        elif head >> 4 == SUBSCRIBE:
            none = [0] if self.levels[-1] == V5 else []  # no properties
            writer.write(bytes([SUBACK << 4, 3 + len(none), *body[:2], *none, 1]))
        elif head >> 4 == PUBLISH and head & 6:
            at = 2 + int.from_bytes(body[:2], "big")
            await self.acking.wait()
            writer.write(bytes([PUBACK << 4, 2, *body[at : at + 2]]))

    def _answer_connect(self, writer):
        level = self.levels[-1]
        if level not in self.speaks:
            if self.unspoken == 1:  # in 3.1.1's words
                writer.write(bytes([CONNACK << 4, 2, 0, 1]))
            elif self.unspoken:
                writer.write(bytes([CONNACK << 4, 3, 0, self.unspoken, 0]))
            writer.close()
        elif level == V311:
            writer.write(bytes([CONNACK << 4, 2, 0, self.refuse]))
        else:
            size = b"\x27" + self.largest.to_bytes(4, "big") if self.largest else b""
            if self.receives:
                size += b"\x21" + self.receives.to_bytes(2, "big")
            told = bytes([0, self.refuse, len(size)]) + size
            writer.write(bytes([CONNACK << 4, len(told)]) + told)

    @staticmethod
    async def _length(reader):
        length, shift = 0, 0
        while True:
            byte = (await reader.readexactly(1))[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return length

    def publish(self, topic, payload, retained=False, qos=0):
        """Send to the client that is there."""
        topic = topic.encode()
        number = b"\0\1" if qos else b""
        none = b"\0" if self.levels[-1] == V5 else b""
        body = len(topic).to_bytes(2, "big") + topic + number + none + payload
        size = [len(body)] if len(body) < 128 else [len(body) & 127 | 128, len(body) >> 7]
        self.sessions[-1].write(bytes([PUBLISH << 4 | qos << 1 | retained, *size]) + body)

    def disconnect(self, *reason):
        """End the session, with a DISCONNECT of this reason code if there is one.

        What still comes is read: to a closed socket it would be a reset, which takes the reason.
        """
        if reason:
            self.sessions[-1].write(bytes([DISCONNECT << 4, 2, *reason, 0]))
        self.left = self.sessions[-1]
        self.left.write_eof()

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
        for writer in made.sessions:
            writer.close()


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


async def test_commands_that_cannot_wait_are_told(tmp_path, monkeypatch):
    going = asyncio.Event()
    answer = Console.answer

    async def slowly(console, line):
        await going.wait()
        return await answer(console, line)

    monkeypatch.setattr(Console, "answer", slowly)
    async with broker() as (there, port), printing(tmp_path, port):
        await eventually(lambda: there.came(SUBSCRIBE), "the subscription")
        for _ in range(2 * mqtt.WAITING):
            there.publish("printer-7/command", b"M20", qos=1)
        await eventually(lambda: len(there.came(PUBACK)) == 2 * mqtt.WAITING, "all of them")
        going.set()
        replies = functools.partial(there.published, "printer-7/reply")
        await eventually(lambda: len(replies()) > mqtt.WAITING, "the answers")
        there.publish("printer-7/command", b"M30 none")
        await eventually(lambda: b"no such file" in replies()[-1], "the next answer")
        (told,) = [reply for reply in replies() if b"may wait" in reply]
        left = 2 * mqtt.WAITING - (len(replies()) - 2)
        assert told.endswith(f"16 commands may wait; {left} more came and were not done".encode())


async def test_no_more_is_in_flight_than_the_broker_takes(tmp_path):
    async with broker(receives=4) as (there, port), printing(tmp_path, port) as made:
        await eventually(lambda: there.published("printer-7/status"), "the session")
        there.acking.clear()
        for _ in range(10):
            there.publish("printer-7/command", b"M20")
        replies = functools.partial(there.published, "printer-7/reply")
        await eventually(replies, "the first answer")
        await made.rig.next_transactions(100)
        there.acking.set()
        await eventually(lambda: len(replies()) == 10, "all answers")
        assert made.notes == ["MQTT: connected"]


async def test_a_command_that_is_too_long_is_not_done(tmp_path):
    async with broker() as (there, port), printing(tmp_path, port) as made:
        (made.store.path / "victim").touch()
        await eventually(lambda: there.came(SUBSCRIBE), "the subscription")
        there.publish("printer-7/command", b"delete victim" + b" " * 1000)
        await eventually(lambda: there.published("printer-7/reply"), "the reply")
        assert there.published("printer-7/reply")[0].endswith(TOO_LONG.encode())
        assert made.store.exists("victim")


async def test_a_retained_command_is_not_done(tmp_path):
    async with broker() as (there, port), printing(tmp_path, port) as made:
        (made.store.path / "victim").touch()
        await eventually(lambda: there.came(SUBSCRIBE), "the subscription")
        there.publish("printer-7/command", b"delete victim", retained=True)
        there.publish("printer-7/command", b"M20")
        await eventually(lambda: there.published("printer-7/reply"), "the reply")
        assert there.published("printer-7/reply")[0].endswith(b" 0  victim\nok")


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ((142,), "the broker ended the session: Session taken over"),
        ((139,), "the broker ended the session: Server shutting down"),
        ((149,), "the broker ended the session: Packet too large"),
        ((255,), "the broker ended the session: Unknown error"),
        ((0,), "the broker is gone"),
        ((), "the broker is gone"),
    ],
)
async def test_what_a_broker_says_at_the_end_is_told(tmp_path, reason, told):
    async with broker() as (there, port), printing(tmp_path, port) as made:
        await eventually(lambda: there.came(SUBSCRIBE), "the subscription")
        there.disconnect(*reason)
        await eventually(lambda: made.said("MQTT: the broker "), "the reason")
        assert made.notes[:2] == ["MQTT: connected", f"MQTT: {told}"]


class AtOnce(asyncio.Transport):
    """A module and a transport, whose peer is the test."""

    sent = b""

    async def create_connection(self, made, *_, **__):
        self.protocol = made()
        self.protocol.connection_made(self)
        return self, self.protocol

    def write(self, data):
        self.sent += data

    def is_closing(self):
        return False


@pytest.mark.parametrize("gmqtt_alone", [False, True])
async def test_a_reason_that_comes_together_with_the_end_is_heard(gmqtt_alone):
    """gmqtt alone drops it; where it does not any more, ModuleClient need not care."""
    module, ends = AtOnce(), []
    client = mqtt.ModuleClient(module, plan.Broker("broker", 1), client_id="x")
    client.on_disconnect = lambda _client, packet: ends.append(packet)
    connecting = asyncio.create_task(client.connect("broker", 1))
    await eventually(lambda: module.sent, "CONNECT")
    protocol = module.protocol
    protocol.data_received(bytes([CONNACK << 4, 3, 0, 0, 0]))
    await connecting
    protocol.data_received(bytes([DISCONNECT << 4, 2, 142, 0]))
    end = functools.partial(type(protocol).connection_lost, protocol)
    (end if gmqtt_alone else protocol.connection_lost)(None)
    await eventually(lambda: ends, "the end")
    assert ends[0] == (b"" if gmqtt_alone else b"\x8e\0")


@pytest.mark.parametrize(
    ("unspoken", "told"),
    [
        (1, "the broker refused us: Connection Refused: unacceptable protocol version"),
        (132, "the broker refused us: Connection Refused: Unsupported Protocol Version"),
        (None, "the broker closed the connection"),
    ],
)
async def test_a_broker_of_3_1_1_only_is_served(tmp_path, unspoken, told):
    serving = broker(speaks=(V311,), unspoken=unspoken)
    async with serving as (there, port), printing(tmp_path, port) as made:
        await eventually(lambda: there.came(SUBSCRIBE), "the subscription")
        assert there.levels == [V5, V311]
        assert made.notes == [f"MQTT: {told}", "MQTT: connected, with MQTT 3.1.1"]
        await eventually(lambda: there.published("printer-7/status"), "a status")
        there.publish("printer-7/command", b"M20")
        await eventually(lambda: there.published("printer-7/reply"), "the reply")
        assert there.published("printer-7/reply")[0].endswith(b"no files\nok")


async def test_a_broker_that_speaks_neither_is_told_and_tried_on(tmp_path):
    async with broker(speaks=()) as (there, port), printing(tmp_path, port) as made:
        await eventually(lambda: len(there.levels) >= 4, "four tries")
        assert there.levels[:4] == [V5, V311, V5, V311]
        words = "Connection Refused: unacceptable protocol version"
        assert made.notes == [f"MQTT: the broker refused us: {words}"]


async def test_no_packet_is_larger_than_the_broker_takes(tmp_path):
    async with broker(largest=100) as (there, port), printing(tmp_path, port) as made:
        (made.store.path / ("x" * 100)).touch()
        size = "the broker takes packets of at most 100 bytes"
        await eventually(lambda: made.said(size), "the status")
        assert made.notes[-1] == f"MQTT: connected, but the status is not published: {size}"
        there.publish("printer-7/command", b"M20")
        await eventually(lambda: there.published("printer-7/reply"), "the reply")
        error = f"Error: the answer is too long: {size}".encode()
        assert there.published("printer-7/reply")[0].endswith(error)
        there.publish("printer-7/command", b"delete " + b"x" * 100)
        await eventually(lambda: len(there.published("printer-7/reply")) == 2, "the next reply")
        assert there.connections == 1
        assert there.published("printer-7/status") == []


async def test_a_broker_that_takes_not_even_the_state_is_told_and_tried_on(tmp_path):
    async with broker(largest=10) as (there, port), printing(tmp_path, port) as made:
        await eventually(lambda: there.connections >= 2, "the next try")
        assert made.notes[-1] == "MQTT: the broker takes packets of at most 10 bytes"


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("length", [90, 91, 92, 93, 94, 100, 126, 127, 128, 130, 16379, 16384])
async def test_the_size_of_a_packet_is_counted_as_it_is_sent(qos, length):
    client = mqtt.ModuleClient(None, None, client_id="x")
    sent = []

    class Connection:
        def publish(self, message):
            protocol = types.SimpleNamespace(proto_ver=5, id_generator=IdGenerator(max=9))
            mid, packet = PublishPacket.build_package(message, protocol)
            sent.append(len(packet))
            return mid, packet

    client._connection = Connection()
    client.send("topic", "x" * length, qos=qos)
    client.on_connect(0, 0, {"maximum_packet_size": [sent[0] + 2]})
    client.send("topic", "x" * length, qos=qos)
    client.on_connect(0, 0, {"maximum_packet_size": [sent[0] - 1]})
    with pytest.raises(mqtt.TooLong):
        client.send("topic", "x" * length, qos=qos)


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


@pytest.fixture
def waits(monkeypatch):
    """The seconds that the printer waited between its attempts."""
    slept = []
    sleep = asyncio.sleep

    async def noted(seconds, *rest):
        if seconds in (0.01, 0.02, 0.04, 0.08):
            slept.append(seconds)
        await sleep(seconds, *rest)

    monkeypatch.setattr(mqtt.asyncio, "sleep", noted)
    return slept


async def test_the_wait_grows_and_a_session_resets_it(tmp_path, waits):
    async with broker(refuse=136) as (there, port), printing(tmp_path, port):
        await eventually(lambda: len(waits) >= 6, "six waits")
        assert waits[:6] == [0.01, 0.02, 0.04, 0.08, 0.08, 0.08]
        there.refuse = 0
        await eventually(lambda: there.came(SUBSCRIBE), "a session")
        waits.clear()
        there.sessions[-1].close()
        await eventually(lambda: waits, "the next wait")
        assert waits[0] == 0.01


@pytest.mark.parametrize(("steady", "steps"), [(1000, (1, 2, 4, 8, 8)), (0, (1, 1, 1, 1, 1))])
async def test_the_wait_grows_while_sessions_do_not_last(
    tmp_path, monkeypatch, waits, steady, steps
):
    monkeypatch.setattr(mqtt, "STEADY", steady)
    async with broker() as (there, port), printing(tmp_path, port):
        for times in range(1, 7):
            await eventually(lambda t=times: len(there.came(SUBSCRIBE)) == t, "a session")
            there.disconnect(142)
    assert waits[:5] == [step / 100 for step in steps]


def test_what_gmqtt_would_do_itself_is_not_ours_to_do():
    """Each that fails says that something of mqtt.py has become needless."""
    assert {MQTTConnectError(code).message for code in mqtt.REASONS} == {"Unknown error"}
    assert not hasattr(gmqtt.Client("x"), "maximum_packet_size")


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
