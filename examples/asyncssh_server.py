"""An SSH server through the module, for holders of the keys in a file.

$ ssh-keygen -t ed25519 -N "" -f host_key
$ python asyncssh_server.py 2222 host_key ~/.ssh/authorized_keys
"""

import asyncio
import sys

import asyncssh

from spinet_controller import Module, VirtualBus, through, wifi


async def answer(process):
    process.stdout.write(f"you said {process.command or 'nothing'}\n")
    process.exit(0)


async def main(port, host_key, authorized_keys):
    async with VirtualBus() as bus, Module(bus) as module:
        await module.boot()
        network = await wifi.join(module, "Workshop", "spinet-sim")
        with through(module):
            async with await asyncssh.listen(
                *("", port),
                server_host_keys=[host_key],
                authorized_client_keys=authorized_keys,
                process_factory=answer,
            ):
                print(f"serving ssh://{network.ip}:{port}", flush=True)
                await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
