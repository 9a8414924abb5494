"""A page fetched by httpcore, through the module.

$ python httpcore_client.py http://192.0.2.7/
"""

import asyncio
import sys

import httpcore

from spinet_controller import Module, VirtualBus, wifi
from spinet_controller.httpcore_backend import ModuleBackend


async def main(url):
    async with VirtualBus() as bus, Module(bus) as module:
        await module.boot()
        await wifi.join(module, "Workshop", "spinet-sim")
        async with httpcore.AsyncConnectionPool(network_backend=ModuleBackend(module)) as pool:
            answer = await pool.request("GET", url)
            print(answer.status, answer.content.decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
