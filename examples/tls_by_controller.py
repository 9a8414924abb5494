"""A server whose TLS this computer speaks, and a peer that it trusts by a CA.

$ python tls_by_controller.py 8443 cert.pem key.pem
$ python tls_by_controller.py 8443 cert.pem key.pem broker.example 8883 ca.pem
"""

import asyncio
import ssl
import sys

from spinet_controller import Module, VirtualBus, wifi


async def greet(reader, writer):
    writer.write(b"hello by TLS of this computer\n")
    await writer.drain()
    writer.close()


async def main(port, cert, key, *peer):
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(cert, key)
    async with VirtualBus() as bus, Module(bus) as module:
        await module.boot()
        await wifi.join(module, "Workshop", "spinet-sim")
        async with await module.start_server(greet, int(port), ssl=serving):
            if peer:
                host, peer_port, ca = peer
                reader, writer = await module.open_connection(
                    *(host, int(peer_port)), ssl=ssl.create_default_context(cafile=ca)
                )
                print((await reader.readline()).decode(), end="", flush=True)
                writer.close()
            print("serving", flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
