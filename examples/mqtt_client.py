"""A message published and heard again by gmqtt, through the module.

$ python mqtt_client.py 192.0.2.7 1883
"""

import asyncio
import sys

import gmqtt

from spinet_controller import Module, VirtualBus, through, wifi


async def main(host, port):
    heard = asyncio.get_running_loop().create_future()
    client = gmqtt.Client("spinet-example")
    client.on_message = lambda _client, topic, payload, _qos, _properties: (
        heard.done() or heard.set_result((topic, payload))
    )
    client.on_subscribe = lambda *_: client.publish("workshop/door", "open", qos=1)
    async with VirtualBus() as bus, Module(bus) as module:
        await module.boot()
        await wifi.join(module, "Workshop", "spinet-sim")
        with through(module):
            await client.connect(host, int(port))
        client.subscribe("workshop/#")
        topic, payload = await heard
        print(topic, payload.decode(), flush=True)
        await client.disconnect()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
