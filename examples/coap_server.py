"""A CoAP server over TCP, through the module. With a host the module calls that peer and serves it.

$ python coap_server.py 5683
$ python coap_server.py 5683 192.0.2.7
"""

import asyncio
import sys

import aiocoap
from aiocoap import resource

from spinet_controller import Module, VirtualBus, through, wifi


class Greeting(resource.Resource):
    async def render_get(self, _request):
        return aiocoap.Message(payload=b"hello")


async def main(port, home=None):
    site = resource.Site()
    site.add_resource(["greeting"], Greeting())
    async with VirtualBus() as bus, Module(bus) as module:
        await module.boot()
        await wifi.join(module, "Workshop", "spinet-sim")
        with through(module, call_home=home is not None):
            context = await aiocoap.Context.create_server_context(
                site, bind=(home or "0.0.0.0", port), transports=["tcpserver"]
            )
        print("serving /greeting", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            await context.shutdown()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
