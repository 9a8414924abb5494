"""A web server through the module: a greeting, and the files of a folder.

$ python aiohttp_server.py 8080 FOLDER
"""

import asyncio
import sys

from aiohttp import web

from spinet_controller import Module, VirtualBus, wifi


async def hello(request):
    return web.Response(text=f"hello {request.remote}\n")


async def main(port, folder):
    application = web.Application()
    application.router.add_get("/", hello)
    application.router.add_static("/files", folder, show_index=True)
    runner = web.AppRunner(application)
    await runner.setup()
    async with VirtualBus() as bus, Module(bus) as module:
        await module.boot()
        network = await wifi.join(module, "Workshop", "spinet-sim")
        async with await module.create_server(runner.server, port):
            print(f"serving http://{network.ip}:{port}/files/", flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
