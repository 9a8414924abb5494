"""A page fetched by aiohttp's client, through the module.

$ python aiohttp_client.py http://192.0.2.7/
"""

import asyncio
import sys

import aiohttp

from spinet_controller import Module, VirtualBus, wifi
from spinet_controller.aiohttp_connector import ModuleConnector


async def main(url):
    async with VirtualBus() as bus, Module(bus) as module:
        await module.boot()
        await wifi.join(module, "Workshop", "spinet-sim")
        session = aiohttp.ClientSession(connector=ModuleConnector(module))
        async with session, session.get(url) as answer:
            print(answer.status, await answer.text(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
