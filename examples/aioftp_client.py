"""A file stored on an FTP server and the list of its files, through the module.

$ SECRET=... python aioftp_client.py 192.0.2.7 21 user FILE
"""

import asyncio
import os
import sys
from pathlib import Path

import aioftp

from spinet_controller import Module, VirtualBus, through, wifi


async def main(host, port, user, file):
    async with VirtualBus() as bus, Module(bus) as module:
        await module.boot()
        await wifi.join(module, "Workshop", "spinet-sim")
        with through(module):
            async with aioftp.Client.context(host, int(port), user, os.environ["SECRET"]) as ftp:
                await ftp.upload(file)
                for path, facts in await ftp.list():
                    print(path, facts["size"], flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], Path(sys.argv[4])))
