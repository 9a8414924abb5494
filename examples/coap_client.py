"""A resource fetched by CoAP over TCP, through the module.

$ python coap_client.py coap+tcp://192.0.2.7/time
"""

import asyncio
import sys

import aiocoap

from spinet_controller import Module, VirtualBus, through, wifi


async def main(uri):
    async with VirtualBus() as bus, Module(bus) as module:
        await module.boot()
        await wifi.join(module, "Workshop", "spinet-sim")
        with through(module):
            context = await aiocoap.Context.create_client_context(transports=["tcpclient"])
            request = aiocoap.Message(code=aiocoap.GET, uri=uri)
            answer = await context.request(request).response
            print(answer.code, answer.payload.decode(), flush=True)
            await context.shutdown()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
