"""The printer as an MQTT client: gmqtt's protocol on a connection that the module opens.

Topics, below the printer's name as a topic has it (Naming.topic):

    NAME/state      "online", or "offline" as the last will; retained
    NAME/status     the document of /api/status, every STATUS_EVERY seconds; retained
    NAME/command    subscribed: lines for the console; a retained one is ignored, as it would be
                    done again in each session
    NAME/reply      what the console answers; of more than WAITING commands that wait it tells
                    how many are not done

The client id is the module's own, as a broker ends the session of a client when another with its id
connects.

A lost or refused broker is tried again, after a wait that doubles from SHORTEST_WAIT to
LONGEST_WAIT seconds. A session begins it anew, but not after one that did not last. MQTT 5 is
spoken, and 3.1.1 in turn with it to a broker that does not take a session.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import gmqtt
from gmqtt.mqtt.connection import MQTTConnection
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.mqtt.handler import MQTTConnectError
from gmqtt.storage import PersistentStorage

from spinet_controller.codes import Protocol
from spinet_controller.errors import SpinetError
from spinet_controller.module import Module
from spinet_controller.printer.console import LONGEST_LINE, TOO_LONG, Console
from spinet_controller.printer.plan import Broker
from spinet_controller.printer.status import ModuleReport

STATUS_EVERY = 5.0
SHORTEST_WAIT = 0.5
LONGEST_WAIT = 30.0

STEADY = 60.0
"""Seconds after which a session has lasted; one that another client takes over does not."""

CONNECT = 15.0
"""Seconds for a session to be there, TLS and log-in included."""

FAREWELL = 2.0

KEEP_ALIVE = 20

WAITING = 16
"""Commands that may wait while one is done."""

REASONS = {
    139: "Server shutting down",
    141: "Keep Alive timeout",
    142: "Session taken over",
    143: "Topic Filter invalid",
    147: "Receive Maximum exceeded",
    148: "Topic Alias invalid",
    150: "Message rate too high",
    152: "Administrative action",
    158: "Shared Subscriptions not supported",
    160: "Maximum connect time",
    161: "Subscription Identifiers not supported",
    162: "Wildcard Subscriptions not supported",
}
"""MQTT 5's reason codes of a server's DISCONNECT that gmqtt has no words for."""

_UNACCEPTABLE = {code: MQTTConnectError(code).message for code in (1, 132)}

log = logging.getLogger(__name__)

_quiet = logging.getLogger("spinet_controller.mqtt.library")
_quiet.setLevel(logging.CRITICAL)
for _name in ("gmqtt.mqtt.protocol", "gmqtt.mqtt.handler", "gmqtt.client"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class _NotYet:
    """Stands in for gmqtt's MQTTConnection, which is made one turn of the loop after connecting.

    A connection that is lost or given up before that has this one to tell.
    """

    @staticmethod
    def put_package(_package: object) -> None:
        """There is no session to end."""


class TooLong(ValueError):
    """A message that is beyond the broker's Maximum Packet Size; the text says it."""


class ModuleClient(gmqtt.Client):  # type: ignore[misc] # gmqtt has no types
    """A gmqtt client of one session, whose connection is the module's."""

    def __init__(self, module: Module, broker: Broker, **options: Any) -> None:
        self._in_flight = PersistentStorage()
        super().__init__(logger=_quiet, persistent_storage=self._in_flight, **options)
        self._module = module
        self._broker = broker
        self._largest: int | None = None
        self.on_connect = type(self)._connected

    def _connected(self, _flags: int, _code: int, properties: dict[str, Any]) -> None:
        (self._largest,) = properties.get("maximum_packet_size", (None,))

    def send(self, topic: str, text: str, **options: Any) -> None:
        """Publish; TooLong when the packet is beyond the broker's Maximum Packet Size."""
        length = 2 + len(topic.encode()) + 3 + len(text.encode())  # with an id, without properties
        size = 2 + (length > 0x7F) + (length > 0x3FFF) + (length > 0x1FFFFF) + length
        if self._largest and size > self._largest:
            raise TooLong(f"the broker takes packets of at most {self._largest} bytes")
        self.publish(topic, text, **options)

    async def acknowledged(self) -> None:
        """Return when the broker has acknowledged all that wants it.

        It takes only its Receive Maximum before that. At one more gmqtt raises OverflowError.
        """
        await self._in_flight.wait_empty()

    def refusal(self, version: int) -> str:
        """Say why the connection ended without an answer that gmqtt would tell."""
        # To 3.1.1's refusal of MQTT 5 it would connect anew, with 3.1.1.
        if self._connection_state.protocol_version != version:
            return _refused(_UNACCEPTABLE[1])
        return "the broker closed the connection"

    async def reconnect(self, delay: bool = False) -> None:
        """Do not: the session is over, and MqttLink opens the next one in its time."""

    async def _create_connection(
        self, host: str, port: int, ssl: bool, clean_session: bool, keepalive: int
    ) -> MQTTConnection:
        return await MQTTConnection.create_connection(
            *(host, port, ssl, clean_session, keepalive),
            connection_state=self._connection_state,
            package_handler=self._package_handler,
            loop=self,
            logger=_quiet,
        )

    async def create_connection(
        self, factory: Callable[[], Any], host: str, port: int, ssl: bool
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect as an event loop would (gmqtt's MQTTConnection calls it)."""

        def made() -> Any:
            protocol = factory()
            protocol.set_connection(_NotYet)
            # gmqtt reads in a task of its own, which is to see what came just before the end.
            end = protocol.connection_lost
            protocol.connection_lost = lambda error: loop.call_soon(end, error)
            return protocol

        loop = asyncio.get_running_loop()
        secure: dict[str, Any] = {"tls": True, "ca": self._broker.ca} if ssl else {}
        return await self._module.create_connection(
            *(made, host, port), protocol=Protocol.MQTT, timeout=CONNECT, **secure
        )


class MqttLink:
    """One printer at one broker, until cancelled.

    `state` is what to show: "connecting", "connected" or why not. `note(text)` is told as it
    changes.
    """

    def __init__(
        self,
        module: Module,
        broker: Broker,
        topic: str,
        client_id: str,
        console: Console,
        report: ModuleReport,
        note: Callable[[str], object] = lambda text: None,
    ) -> None:
        self._module = module
        self._broker = broker
        self._root = topic
        self._client_id = client_id
        self._console = console
        self._report = report
        self._note = note
        self._wait = SHORTEST_WAIT
        self._lasted = True  # the latest session did
        self._dropped = 0  # commands that nothing was told of yet
        self._version = MQTTv50
        self._connected = "connected"
        self.state = "connecting"

    async def run(self) -> NoReturn:
        """Hold a session with the broker; begin anew when it ends."""
        while True:
            try:
                await self._session()
            except (OSError, SpinetError, MQTTConnectError, TooLong, OverflowError) as error:
                self._show(_reason(error))
            await asyncio.sleep(self._wait)
            self._wait = min(self._wait * 2, LONGEST_WAIT)

    def _show(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self._note(f"MQTT: {state}")

    async def _session(self) -> None:
        client = self._client()
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        lines: asyncio.Queue[bytes] = asyncio.Queue(maxsize=WAITING)
        self._dropped = 0

        def lost(_client: object, packet: object, *_: object) -> None:
            if not ended.done():
                ended.set_result(_end_of(packet))

        client.on_disconnect = lost
        client.on_message = lambda _client, _topic, payload, _qos, properties: self._put(
            *(lines, payload, properties)
        )
        try:
            await self._connect(client, ended)
            await self._online(client, lines, ended)
        finally:
            await self._leave(client)

    async def _connect(self, client: ModuleClient, ended: asyncio.Future[str]) -> None:
        """Log in; the next attempt is with the other MQTT when the broker takes none of this."""
        broker, version = self._broker, self._version
        connecting = asyncio.create_task(
            client.connect(
                *(broker.host, broker.port),
                ssl=broker.tls,
                keepalive=KEEP_ALIVE,
                version=version,
            )
        )
        try:
            async with asyncio.timeout(CONNECT):
                await asyncio.wait([connecting, ended], return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                self._version = _other(version)
                raise ConnectionResetError(client.refusal(version))
            connecting.result()
        except MQTTConnectError as error:
            if error.message in _UNACCEPTABLE.values():
                self._version = _other(version)
            raise
        finally:
            connecting.cancel()

    def _client(self) -> ModuleClient:
        will = gmqtt.Message(self._topic("state"), "offline", qos=1, retain=True)
        client = ModuleClient(
            self._module, self._broker, client_id=self._client_id, will_message=will
        )
        if self._broker.user is not None:
            client.set_auth_credentials(self._broker.user, self._broker.password)
        return client

    async def _online(
        self, client: ModuleClient, lines: asyncio.Queue[bytes], ended: asyncio.Future[str]
    ) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        if self._lasted:
            self._wait = SHORTEST_WAIT
        self._connected = "connected" if self._version == MQTTv50 else "connected, with MQTT 3.1.1"
        self._version = MQTTv50  # again, next time
        self._show(self._connected)
        client.subscribe(self._topic("command"), qos=1)
        client.send(self._topic("state"), "online", qos=1, retain=True)
        tasks = [
            asyncio.create_task(self._publish_status(client)),
            asyncio.create_task(self._answer(client, lines)),
        ]
        try:
            ends: list[asyncio.Future[Any]] = [*tasks, ended]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._lasted = loop.time() - began >= STEADY
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise ConnectionResetError(ended.result() if ended.done() else "the broker is gone")

    async def _publish_status(self, client: ModuleClient) -> None:
        while True:
            document = json.dumps(await self._report.document())
            try:
                client.send(self._topic("status"), document, retain=True)
            except TooLong as error:
                self._show(f"{self._connected}, but the status is not published: {error}")
            else:
                self._show(self._connected)
            await asyncio.sleep(STATUS_EVERY)

    def _put(self, lines: asyncio.Queue[bytes], payload: bytes, properties: dict[str, Any]) -> int:
        """Queue as much of a command as shows that it is too long; drop one that cannot wait."""
        if properties["retain"]:
            return 0
        if lines.full():
            self._dropped += 1
        else:
            lines.put_nowait(payload[: LONGEST_LINE + 1])
        return 0

    async def _answer(self, client: ModuleClient, lines: asyncio.Queue[bytes]) -> None:
        while True:
            payload = await lines.get()
            line = payload.decode("utf-8", "replace")
            long = len(payload) > LONGEST_LINE
            if answer := TOO_LONG if long else await self._console.answer(line):
                await self._reply(client, answer)
            if self._dropped:
                left = f"{self._dropped} more came and were not done"
                self._dropped = 0
                await self._reply(client, f"Error: {WAITING} commands may wait; {left}")

    async def _reply(self, client: ModuleClient, answer: str) -> None:
        reply = self._topic("reply")
        await client.acknowledged()
        try:
            client.send(reply, answer, qos=1)
        except TooLong as error:
            with suppress(TooLong):
                client.send(reply, f"Error: the answer is too long: {error}", qos=1)

    async def _leave(self, client: ModuleClient) -> None:
        """Say farewell where there is a broker, and close what is open."""
        if client.is_connected:
            with suppress(TooLong, OverflowError):
                client.send(self._topic("state"), "offline", qos=1, retain=True)
        try:
            async with asyncio.timeout(FAREWELL):
                await client.disconnect()
        except (OSError, TimeoutError, SpinetError) as error:
            log.debug("MQTT: %s", error)

    def _topic(self, part: str) -> str:
        return f"{self._root}/{part}"


def _other(version: int) -> int:
    other: int = MQTTv311 if version == MQTTv50 else MQTTv50
    return other


def _end_of(packet: object) -> str:
    """Say why a session ended: what the broker's DISCONNECT says, where it sent one."""
    code = packet[0] if isinstance(packet, bytes) and packet else 0
    if code < 0x80:
        return "the broker is gone"
    words = REASONS.get(code) or MQTTConnectError(code).message.rpartition(": ")[2]
    return f"the broker ended the session: {words}"


def _reason(error: Exception) -> str:
    if isinstance(error, MQTTConnectError):
        return _refused(error.message)
    return str(error) or "the broker does not answer"


def _refused(words: str) -> str:
    return f"the broker refused us: {words}"
