"""A WebSocket server through the module; it sends back what it is sent.

$ python websockets_server.py 8080
"""

import asyncio
import sys

from websockets.asyncio.server import serve

from spinet_controller import Module, VirtualBus, through, wifi


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


async def main(port):
    async with VirtualBus() as bus, Module(bus) as module:
        await module.boot()
        network = await wifi.join(module, "Workshop", "spinet-sim")
        with through(module):
            async with serve(echo, "", port):
                print(f"serving ws://{network.ip}:{port}/", flush=True)
                await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
