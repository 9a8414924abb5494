"""A command on another computer by SSH, through the module.

$ python asyncssh_client.py 192.0.2.7 22 pi ~/.ssh/id_ed25519 ~/.ssh/known_hosts "uname -a"
"""

import asyncio
import sys

import asyncssh

from spinet_controller import Module, VirtualBus, wifi


async def main(host, port, user, key, known_hosts, command):
    async with VirtualBus() as bus, Module(bus) as module:
        await module.boot()
        await wifi.join(module, "Workshop", "spinet-sim")
        async with asyncssh.connect(
            *(host, int(port)),
            tunnel=module,  # asyncssh opens its connection by this one's create_connection
            username=user,
            client_keys=[key],
            known_hosts=known_hosts,
        ) as connection:
            done = await connection.run(command, check=True)
            print(done.stdout, end="", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
