"""The printer as an MQTT client: gmqtt's protocol on a connection that the module opens.

Topics, below the printer's name as a topic has it (Naming.topic):

    NAME/state      "online", or "offline" as the last will; retained
    NAME/status     the document of /api/status, every STATUS_EVERY seconds; retained
    NAME/command    subscribed: lines for the console; a retained one is ignored, as it would be
                    done again in each session
    NAME/reply      what the console answers

The client id is the module's own, as a broker ends the session of a client when another with its id
connects.

A lost or refused broker is tried again, after a wait that doubles from SHORTEST_WAIT to
LONGEST_WAIT seconds.
"""

import asyncio
import json
import logging

import gmqtt
from gmqtt.mqtt.connection import MQTTConnection
from gmqtt.mqtt.handler import MQTTConnectError

from spinet_controller.codes import Protocol
from spinet_controller.errors import SpinetError

STATUS_EVERY = 5.0
SHORTEST_WAIT = 0.5
LONGEST_WAIT = 30.0

CONNECT = 15.0
"""Seconds for a session to be there, TLS and log-in included."""

FAREWELL = 2.0

KEEP_ALIVE = 20
LONGEST_LINE = 1000

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
    def put_package(_package):
        """There is no session to end."""


class ModuleClient(gmqtt.Client):
    """A gmqtt client of one session, whose connection is the module's."""

    def __init__(self, module, broker, **options):
        super().__init__(logger=_quiet, **options)
        self._module = module
        self._broker = broker

    async def reconnect(self, delay=False):
        """Do not: the session is over, and MqttLink opens the next one in its time."""

    async def _create_connection(self, host, port, ssl, clean_session, keepalive):
        return await MQTTConnection.create_connection(
            *(host, port, ssl, clean_session, keepalive),
            connection_state=self._connection_state,
            package_handler=self._package_handler,
            loop=self,
            logger=_quiet,
        )

    async def create_connection(self, factory, host, port, ssl):
        """Connect as an event loop would (gmqtt's MQTTConnection calls it)."""

        def made():
            protocol = factory()
            protocol.set_connection(_NotYet)
            return protocol

        secure = {"tls": True, "ca": self._broker.ca} if ssl else {}
        return await self._module.create_connection(
            *(made, host, port), protocol=Protocol.MQTT, timeout=CONNECT, **secure
        )


class MqttLink:
    """One printer at one broker, until cancelled.

    `state` is what to show: "connecting", "connected" or why not. `note(text)` is told as it
    changes.
    """

    def __init__(self, module, broker, topic, client_id, console, report, note=lambda text: None):
        self._module = module
        self._broker = broker
        self._root = topic
        self._client_id = client_id
        self._console = console
        self._report = report
        self._note = note
        self._wait = SHORTEST_WAIT
        self.state = "connecting"

    async def run(self):
        """Hold a session with the broker; begin anew when it ends."""
        while True:
            try:
                await self._session()
            except (OSError, TimeoutError, SpinetError, MQTTConnectError) as error:
                self._show(_reason(error))
            await asyncio.sleep(self._wait)
            self._wait = min(self._wait * 2, LONGEST_WAIT)

    def _show(self, state):
        if state != self.state:
            self.state = state
            self._note(f"MQTT: {state}")

    async def _session(self):
        client = self._client()
        ended = asyncio.get_running_loop().create_future()
        lines = asyncio.Queue(maxsize=16)
        client.on_disconnect = lambda *_: ended.done() or ended.set_result(None)
        client.on_message = lambda _client, _topic, payload, _qos, properties: _put(
            *(lines, payload, properties)
        )
        broker = self._broker
        connecting = asyncio.create_task(
            client.connect(broker.host, broker.port, ssl=broker.tls, keepalive=KEEP_ALIVE)
        )
        try:
            async with asyncio.timeout(CONNECT):
                await asyncio.wait([connecting, ended], return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise ConnectionResetError("the broker closed the connection")
            connecting.result()
            await self._online(client, lines, ended)
        finally:
            connecting.cancel()
            await self._leave(client)

    def _client(self):
        will = gmqtt.Message(self._topic("state"), "offline", qos=1, retain=True)
        client = ModuleClient(
            self._module, self._broker, client_id=self._client_id, will_message=will
        )
        if self._broker.user is not None:
            client.set_auth_credentials(self._broker.user, self._broker.password)
        return client

    async def _online(self, client, lines, ended):
        self._wait = SHORTEST_WAIT
        self._show("connected")
        client.subscribe(self._topic("command"), qos=1)
        client.publish(self._topic("state"), "online", qos=1, retain=True)
        tasks = [
            asyncio.create_task(self._publish_status(client)),
            asyncio.create_task(self._answer(client, lines)),
        ]
        try:
            await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise ConnectionResetError("the broker is gone")

    async def _publish_status(self, client):
        while True:
            document = json.dumps(await self._report.document())
            client.publish(self._topic("status"), document, retain=True)
            await asyncio.sleep(STATUS_EVERY)

    async def _answer(self, client, lines):
        while True:
            line = (await lines.get())[:LONGEST_LINE].decode("utf-8", "replace")
            if answer := await self._console.answer(line):
                client.publish(self._topic("reply"), answer, qos=1)

    async def _leave(self, client):
        """Say farewell where there is somebody to say it to, and close what is open."""
        if client.is_connected:
            client.publish(self._topic("state"), "offline", qos=1, retain=True)
        try:
            async with asyncio.timeout(FAREWELL):
                await client.disconnect()
        except (OSError, TimeoutError, SpinetError) as error:
            log.debug("MQTT: %s", error)

    def _topic(self, part):
        return f"{self._root}/{part}"


def _put(lines, payload, properties):
    """Queue a command; one more than can wait is dropped."""
    if not properties["retain"] and not lines.full():
        lines.put_nowait(payload)
    return 0


def _reason(error):
    if isinstance(error, MQTTConnectError):
        return f"the broker refused us: {error.message}"
    return str(error) or "the broker does not answer"
