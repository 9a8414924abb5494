"""Measure SIM: what the module's process spends on a byte, and how fast the link carries them.

In one run and interleaved: the module's CPU for each MB echoed, against an asyncio-streams echo
server and a raw socket loop on the same VM; bytes per second with 1, 4 and 8 sockets, as fast as it
goes and with an SPI clock modelled; how long a byte waits between the module's TCP and the
controller. Seconds depend on the machine, ratios much less.

Usage: bench_sim.py SIM MIB [--json FILE]
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

from spinet_controller import Module, VirtualBus
from spinet_controller.errors import SpinetError
from spinet_controller.spi_bus import Role

ROUNDS = 3
SERVER_TIMES = 8
MB = 1000000
SCK_HZ = 26670000
CLOCKS = (5000000, 10000000, SCK_HZ, 40000000)
SOCKETS = (1, 4, 8)
TRANSACTION_BYTES = 12  # both headers' length
STATUS_BYTES = 20
PIECE = 16384
SAMPLES = 300
SERVERS = Path(__file__).with_name("echo_servers.py")


def free_port():
    """A TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def process(*command):
    """A child that is gone at the end."""
    null = asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(
        *command, stdin=null, stdout=asyncio.subprocess.PIPE, stderr=null
    )
    try:
        yield child
    finally:
        child.kill()
        await child.wait()


@asynccontextmanager
async def sim(program, sck_hz=None):
    """A booted module over the virtual bus: (Module, its process id, its address)."""
    with tempfile.TemporaryDirectory() as state:
        async with VirtualBus(0, role=Role.MODULE_CLOCKED, sck_hz=sck_hz) as bus:
            command = (program, "-m", "sim", "--port", str(bus.port), "--state", state)
            async with process(*command) as child, Module(bus) as module:
                await module.boot()
                network = await module.network_get_status()
                yield module, child.pid, str(network.ip)


async def echo(reader, writer):
    """The controller's end of an echo."""
    while data := await reader.read(PIECE):
        writer.write(data)
        await writer.drain()
    writer.close()


async def exchange(port, count):
    """A peer sends `count` bytes and takes them back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send():
        for at in range(0, count, PIECE):
            writer.write(bytes(min(PIECE, count - at)))
            await writer.drain()

    sending = asyncio.create_task(send())
    await reader.readexactly(count)
    await sending
    writer.close()
    await writer.wait_closed()


async def spent_on_echo(pid, port, count):
    """CPU seconds of that process for each MB echoed."""
    await exchange(port, PIECE)
    before = cpu_seconds(pid)
    await exchange(port, count)
    return (cpu_seconds(pid) - before) / (count / MB)


async def module_echo(program, count):
    """The module, with the controller's echo behind it."""
    async with sim(program) as (module, pid, _):
        port = free_port()
        async with await module.start_server(echo, port):
            return await spent_on_echo(pid, port, count)


async def server_echo(program, kind, count):
    """One of the servers to compare with; more bytes, as it spends so little on each."""
    count *= SERVER_TIMES
    port = free_port()
    async with process(program, str(SERVERS), kind, str(port)) as child:
        await child.stdout.readline()
        return await spent_on_echo(child.pid, port, count)


async def compare_echoes(program, count):
    """{who: the least CPU seconds for each MB of all rounds}."""
    found = {"module": [], "asyncio": [], "raw": []}
    for _ in range(ROUNDS):
        found["module"].append(await module_echo(program, count))
        for kind in ("asyncio", "raw"):
            found[kind].append(await server_echo(program, kind, count))
    return {who: min(costs) for who, costs in found.items()}


async def download(program, sockets, count, sck_hz=None):
    """Controller to peers: bytes per second, transactions per KB, share of the bus busy."""
    share = count // sockets

    async def give(_reader, writer):
        for at in range(0, share, PIECE):
            writer.write(bytes(min(PIECE, share - at)))
            await writer.drain()
        writer.close()

    return await transfer(program, sockets, give, _take_all, sck_hz, share)


async def upload(program, sockets, count, sck_hz=None):
    """Peers to controller, as download()."""

    async def take(reader, writer):
        while await reader.read(PIECE):
            pass
        writer.close()

    return await transfer(program, sockets, take, _give_all, sck_hz, count // sockets)


async def _take_all(reader, _writer, count):
    await reader.readexactly(count)


async def _give_all(_reader, writer, count):
    for at in range(0, count, PIECE):
        writer.write(bytes(min(PIECE, count - at)))
        await writer.drain()
    writer.write_eof()


async def transfer(program, sockets, server, peer, sck_hz, share):
    """Run `peer` on so many connections to `server` behind the module."""
    async with sim(program, sck_hz) as (module, _, _):
        port = free_port()
        async with await module.start_server(server, port):

            async def one():
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                await peer(reader, writer, share)
                await reader.read()
                writer.close()

            before = module.link.transactions
            start = time.perf_counter()
            await asyncio.gather(*(one() for _ in range(sockets)))
            seconds = time.perf_counter() - start
            transactions = module.link.transactions - before
    moved = share * sockets
    data = transactions - moved / 2048  # roughly: the others are connGetStatus
    bus_bytes = moved + transactions * TRANSACTION_BYTES + max(0, data) * STATUS_BYTES
    busy = bus_bytes * 8 / sck_hz / seconds if sck_hz else None
    return {
        "bytesPerSecond": moved / seconds,
        "transactionsPerKB": transactions / (moved / 1000),
        "busy": busy,
    }


async def latency(program):
    """(median, 99th percentile) of the seconds between a peer's send and the controller's hands."""
    waits = []

    async with sim(program) as (module, _, _):
        port = free_port()
        came = asyncio.Queue()

        async def stamp(reader, writer):
            while await reader.read(1):
                came.put_nowait(time.perf_counter())
            writer.close()

        async with await module.start_server(stamp, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            for i in range(SAMPLES):
                sent = time.perf_counter()
                writer.write(b"x")
                waits.append(await came.get() - sent)
                await asyncio.sleep(0.001 * (i % 7))
            writer.close()
    waits.sort()
    return statistics.median(waits), waits[len(waits) * 99 // 100]


async def measure(program, count):
    """Everything, as a document."""
    echoes = await compare_echoes(program, count)
    rates = []
    for sockets in SOCKETS:
        for sck_hz in (None, SCK_HZ):
            for name, way in (("download", download), ("upload", upload)):
                row = await way(program, sockets, count, sck_hz)
                rates.append({"way": name, "sockets": sockets, "sckHz": sck_hz, **row})
    clocks = []
    for sck_hz in CLOCKS:
        row = await download(program, 1, count, sck_hz)
        clocks.append({"sckHz": sck_hz, **row})
    median, p99 = await latency(program)
    return {"echo": echoes, "rates": rates, "clocks": clocks, "latency": [median, p99]}


def show(found):
    """Print the tables."""
    echoes = found["echo"]
    print("CPU of the VM's process for each MB echoed (SIM over sockets; the best of 3 rounds)")
    for who, cost in echoes.items():
        print(f"  {who:8} {cost * 1000:7.1f} ms   {cost / echoes['asyncio']:.2f} of asyncio's")
    print("Payload through the module (the controller and the peers are one Python process)")
    for row in found["rates"]:
        clock = f"{row['sckHz'] / 1e6:.2f} MHz" if row["sckHz"] else "no clock"
        busy = f", bus busy {row['busy']:.0%}" if row["busy"] else ""
        print(
            f"  {row['way']:8} {row['sockets']} sockets, {clock:9} "
            f"{row['bytesPerSecond'] / MB:6.2f} MB/s, "
            f"{row['transactionsPerKB']:.2f} transactions per KB{busy}"
        )
    median, p99 = found["latency"]
    print(f"A byte reaches the controller after {median * 1e3:.2f} ms, {p99 * 1e3:.2f} ms at p99")


def main(arguments):
    """Measure, print, and keep the figures for whoever draws them."""
    parser = argparse.ArgumentParser(prog="bench_sim.py")
    parser.add_argument("sim")
    parser.add_argument("mib", type=float)
    parser.add_argument("--json", help="keep the figures in this file")
    options = parser.parse_args(arguments)
    found = asyncio.run(measure(options.sim, int(options.mib * (1 << 20))))
    show(found)
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (SpinetError, OSError, EOFError) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
