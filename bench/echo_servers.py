"""Two echo servers for the VM that SIM is: what the module's cost is compared with.

micropython echo_servers.py asyncio|raw PORT
"""

import sys


async def answer(reader, writer):
    """asyncio's streams, as its documentation has them."""
    while True:
        data = await reader.read(2048)
        if not data:
            break
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def serve(port):
    """Echo until the process is ended."""
    import asyncio

    await asyncio.start_server(answer, "127.0.0.1", port)
    print("ready")
    while True:
        await asyncio.sleep(3600)


def loop(port):
    """A blocking loop over one socket at a time: the least that this VM can do."""
    import socket

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(socket.getaddrinfo("127.0.0.1", port)[0][-1])
    listener.listen(1)
    print("ready")
    buf = bytearray(2048)
    view = memoryview(buf)
    while True:
        sock, _ = listener.accept()
        while True:
            n = sock.readinto(buf)
            if not n:
                break
            sock.write(view[:n])
        sock.close()


if sys.argv[1] == "asyncio":
    import asyncio

    asyncio.run(serve(int(sys.argv[2])))
else:
    loop(int(sys.argv[2]))
