"""A server whose TLS the module speaks, and a peer that it trusts by a CA.

$ python tls_by_module.py 8443 cert.pem key.pem
$ python tls_by_module.py 8443 cert.pem key.pem broker.example 8883 ca.pem
"""

import asyncio
import sys
from pathlib import Path

from spinet_controller import Module, VirtualBus, wifi


async def greet(reader, writer):
    writer.write(b"hello by the module's TLS\n")
    await writer.drain()
    writer.close()


async def main(port, cert, key, *peer):
    async with VirtualBus() as bus, Module(bus) as module:
        await module.boot()
        await wifi.join(module, "Workshop", "spinet-sim")
        await module.network_set_tls_cert(Path(cert).read_text())
        await module.network_set_tls_key(Path(key).read_text())
        await module.network_enable_tls()
        async with await module.start_server(greet, int(port), tls=True):
            if peer:
                host, peer_port, ca = peer
                reader, writer = await module.open_connection(
                    *(host, int(peer_port)), tls=True, ca=Path(ca).read_text()
                )
                print((await reader.readline()).decode(), end="", flush=True)
                writer.close()
            print("serving", flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
