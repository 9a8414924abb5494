"""A message to a WebSocket and its answer, through the module.

$ python websockets_client.py ws://192.0.2.7:8080/ hello
"""

import asyncio
import sys

from websockets.asyncio.client import connect

from spinet_controller import Module, VirtualBus, through, wifi


async def main(url, message):
    async with VirtualBus() as bus, Module(bus) as module:
        await module.boot()
        await wifi.join(module, "Workshop", "spinet-sim")
        with through(module):
            async with connect(url, proxy=None) as websocket:
                await websocket.send(message)
                print(await websocket.recv(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
