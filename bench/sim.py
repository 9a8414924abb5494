"""Measure SIM: what the module's process spends on a byte, and how fast the link carries them.

In one run and interleaved: the module's CPU for each MB echoed, against an asyncio-streams echo
server and a raw socket loop on the same VM, and against the frames of the virtual bus alone; bytes
per second with 1, 4 and 8 sockets, as fast as it goes and with an SPI clock modelled; how long a
byte waits between the module's TCP and the controller. Seconds depend on the machine, ratios much
less. The peers run in a process of their own (peers.py).

Usage: sim.py SIM MIB [--json FILE]
"""

import argparse
import asyncio
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

from exit_code import exit_code

from spinet_controller import Module, VirtualBus
from spinet_controller.codes import MAX_DATA
from spinet_controller.errors import SpinetError
from spinet_controller.spi_bus import Role

ROUNDS = 3
SERVER_TIMES = 8
MB = 1000000
SCK_HZ = 26670000
CLOCKS = (5000000, 10000000, 20000000, SCK_HZ, 40000000)
SOCKETS = (1, 4, 8)
PIECE = 16384
PINGS = 300
BOOT_S = 20
TIME_SCALE = 100  # a busy computer is late where a board is not; what it costs is measured
RUN_S = 300
HERE = Path(__file__).parent
SERVERS = HERE / "echo_servers.py"
PEERS = HERE / "peers.py"
BUS_ALONE = HERE / "bus_alone.c"


class Failed(Exception):
    """A program that was to help measuring did not."""


async def within(seconds, awaitable, otherwise):
    """Its result, or Failed when it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            return await awaitable
    except TimeoutError:
        raise Failed(otherwise) from None


# -- processes ------------------------------------------------------------------------


def free_port():
    """A TCP port of the loopback without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    """What the threads of a process have spent so far; the scheduler counts nanoseconds."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


@asynccontextmanager
async def process(*command):
    """A child that is gone at the end."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


@asynccontextmanager
async def sim(program, sck_hz=None):
    """A booted module over the virtual bus: (Module, its process id)."""
    with tempfile.TemporaryDirectory() as state:
        async with VirtualBus(0, role=Role.MODULE_CLOCKED, sck_hz=sck_hz) as bus:
            command = (program, "-m", "sim", "--port", str(bus.port), "--state", state)
            made = Module(
                bus, time_scale=TIME_SCALE
            )  # before there is a module, which may come at once
            async with process(*command) as child, made as module:
                await booted(module, child)
                yield module, child.pid


async def booted(module, child):
    """Return when the module has; Failed when it does not, or its process has ended."""
    boot, end = asyncio.create_task(module.boot()), asyncio.create_task(child.wait())
    try:
        await asyncio.wait((boot, end), timeout=BOOT_S, return_when=asyncio.FIRST_COMPLETED)
        if not boot.done():
            raise Failed(f"the module did not start (its process: {child.returncode})")
        boot.result()
    finally:
        boot.cancel()
        end.cancel()


@asynccontextmanager
async def peers(what, port, count, sockets=1):
    """Peers that have loaded: a function that lets them run, and gives what they found."""
    numbers = (str(number) for number in (port, sockets, count))
    async with process(sys.executable, str(PEERS), what, *numbers) as child:
        await child.stdout.readline()

        async def run():
            child.stdin.write(b"go\n")
            line = child.stdout.readline()
            return findings(await within(RUN_S, line, "the transfer did not end"))

        yield run


def findings(line):
    """What the peers have printed; Failed when that is bad news or nothing."""
    found = json.loads(line or '{"failed": "the process ended"}')
    if "failed" in found:
        raise Failed(f"peers: {found['failed']}")
    return found


# -- CPU for each MB echoed -----------------------------------------------------------


async def echo(reader, writer):
    """The controller's end of an echo."""
    while data := await reader.read(PIECE):
        writer.write(data)
        await writer.drain()
    writer.close()


async def spent_on_echo(pid, port, count):
    """CPU seconds of that process for each MB echoed; a first connection warms it up."""
    async with peers("echo", port, PIECE) as warm_up, peers("echo", port, count) as run:
        await warm_up()
        before = cpu_seconds(pid)
        await run()
        return (cpu_seconds(pid) - before) / (count / MB)


async def module_echo(program, count):
    """The module, with the controller's echo behind it: (CPU seconds, transactions) for each MB."""
    async with sim(program) as (module, pid):
        port = free_port()
        async with await module.start_server(echo, port):
            before = module.link.transactions
            cost = await spent_on_echo(pid, port, count)
            return cost, (module.link.transactions - before) / (count / MB)


async def server_echo(program, kind, count):
    """One of the servers to compare with; more bytes, as it spends so little on each."""
    port = free_port()
    async with process(program, str(SERVERS), kind, str(port)) as child:
        await child.stdout.readline()
        return await spent_on_echo(child.pid, port, count * SERVER_TIMES)


def compiled(source, folder):
    """The program that a C file makes."""
    program = str(Path(folder) / source.stem)
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise Failed("there is no C compiler to build bus_alone with")
    built = subprocess.run(
        [compiler, "-O2", "-o", program, str(source)], capture_output=True, text=True
    )
    if built.returncode:
        raise Failed(f"{source.name} does not compile: {built.stderr.strip()}")
    return program


def data_bytes(transactions):
    """Bytes of a mean data phase, when an echoed MB takes so many transactions."""
    return min(MAX_DATA, round(2 * MB / transactions))


async def bus_alone(program, count, transactions):
    """CPU seconds that the frames of a module's part cost, for each MB echoed."""
    total = max(1, round(transactions * count / MB))
    async with process(program, str(total), str(data_bytes(transactions))) as child:
        spent, _ = await child.communicate()
    if child.returncode:
        raise Failed("bus_alone did not run")
    return float(spent) / (count / MB)


async def compare_echoes(program, count):
    """{who: the least CPU seconds for each MB of all rounds}."""
    found = {"module": [], "asyncio": [], "raw": [], "bus alone": []}
    with tempfile.TemporaryDirectory() as folder:
        bus_program = compiled(BUS_ALONE, folder)
        for _ in range(ROUNDS):
            cost, transactions = await module_echo(program, count)
            found["module"].append(cost)
            found["bus alone"].append(await bus_alone(bus_program, count, transactions))
            for kind in ("asyncio", "raw"):
                found[kind].append(await server_echo(program, kind, count))
    return {who: min(costs) for who, costs in found.items()}


# -- payload for each second ----------------------------------------------------------


def giving(count):
    """A server whose connections give so many bytes each, and close."""
    piece = bytes(PIECE)

    async def give(_reader, writer):
        for at in range(0, count, PIECE):
            writer.write(piece[: min(PIECE, count - at)])
            await writer.drain()
        writer.close()

    return give


async def taking(reader, writer):
    """A server whose connections take what comes, and close when the peer has ended."""
    while await reader.read(PIECE):
        pass
    writer.close()


def counters(module):
    """What the bus and the link have counted so far."""
    return module.link.transactions, module.bus.bytes_clocked


def transfer_row(moved, seconds, counted, sck_hz):
    """One row of the table, from bytes, seconds, and (transactions, bytes clocked) in them."""
    transactions, clocked = counted
    return {
        "bytesPerSecond": moved / seconds,
        "transactionsPerKB": transactions / (moved / 1000),
        "busy": clocked * 8 / sck_hz / seconds if sck_hz else None,
    }


async def transfer(program, way, sockets, count, sck_hz=None):
    """Move `count` bytes "down" to the peers or "up" from them, over so many sockets."""
    share = count // sockets
    count = share * sockets
    server, what = (giving(share), "take") if way == "down" else (taking, "give")
    async with sim(program, sck_hz) as (module, _):
        port = free_port()
        async with (
            await module.start_server(server, port),
            peers(what, port, count, sockets) as run,
        ):
            before = counters(module)
            seconds = (await run())["seconds"]
            counted = [after - was for after, was in zip(counters(module), before, strict=True)]
    return transfer_row(count, seconds, counted, sck_hz)


def fastest(rows):
    """Of the same measurement made several times, the one with the least company."""
    return max(rows, key=lambda row: row["bytesPerSecond"])


async def measure_rates(program, count):
    """A row for each way, number of sockets, and clock: the fastest of all rounds."""
    kinds = [
        {"way": way, "sockets": sockets, "sckHz": sck_hz}
        for sockets in SOCKETS
        for sck_hz in (None, SCK_HZ)
        for way in ("down", "up")
    ]
    rows = [[] for _ in kinds]
    for _ in range(ROUNDS):
        for found, kind in zip(rows, kinds, strict=True):
            found.append(
                await transfer(program, kind["way"], kind["sockets"], count, kind["sckHz"])
            )
    return [kind | fastest(found) for kind, found in zip(kinds, rows, strict=True)]


async def measure_clocks(program, count):
    """Downloads over one socket at several clocks, for the picture; the fastest of all rounds."""
    rows = {sck_hz: [] for sck_hz in CLOCKS}
    for _ in range(ROUNDS):
        for sck_hz, found in rows.items():
            found.append(await transfer(program, "down", 1, count // ROUNDS, sck_hz))
    return [{"sckHz": sck_hz} | fastest(found) for sck_hz, found in rows.items()]


# -- how long a byte waits ------------------------------------------------------------


def waits(sent, came):
    """(median, 99th percentile) of the seconds between two lists of times."""
    found = sorted(end - start for start, end in zip(sent, came, strict=True))
    return statistics.median(found), found[len(found) * 99 // 100]


async def latency(program):
    """(median, 99th percentile) of the seconds between a peer's send and the controller's hands."""
    came = []

    async def stamp(reader, writer):
        while data := await reader.read(1):
            came.append(time.monotonic())
            writer.write(data)
        writer.close()

    async with sim(program) as (module, _):
        port = free_port()
        async with await module.start_server(stamp, port), peers("ping", port, PINGS) as run:
            return waits((await run())["sent"], came)


# -- all of it ------------------------------------------------------------------------


async def measure(program, count):
    """Everything, as a document."""
    echoes = await compare_echoes(program, count)
    rates = await measure_rates(program, count)
    clocks = await measure_clocks(program, count)
    median, p99 = await latency(program)
    return {"echo": echoes, "rates": rates, "clocks": clocks, "latency": [median, p99]}


def rate_line(row):
    """A row of the table, in words."""
    clock = f"{row['sckHz'] / 1e6:.2f} MHz" if row["sckHz"] else "no clock"
    busy = f", bus busy {row['busy']:.0%}" if row["busy"] is not None else ""
    rate = row["bytesPerSecond"] / MB
    return (
        f"  {row['way']:4} {row['sockets']} sockets, {clock:9} {rate:6.2f} MB/s, "
        f"{row['transactionsPerKB']:.2f} transactions per KB{busy}"
    )


def show(found):
    """Print the tables."""
    echoes = found["echo"]
    print(f"CPU of the process for each MB echoed (SIM over sockets; the best of {ROUNDS} rounds)")
    for who, cost in echoes.items():
        print(f"  {who:9} {cost * 1000:7.1f} ms   {cost / echoes['asyncio']:.2f} of asyncio's")
    print(f"Payload through the module (the fastest of {ROUNDS} rounds)")
    for row in found["rates"]:
        print(rate_line(row))
    median, p99 = found["latency"]
    print(f"A byte reaches the controller after {median * 1e3:.2f} ms, {p99 * 1e3:.2f} ms at p99")


def main(arguments):
    """Measure, print, and keep the figures for a drawing."""
    parser = argparse.ArgumentParser(prog="sim.py")
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
    failures = Failed, SpinetError, OSError
    sys.exit(exit_code(lambda: main(sys.argv[1:]), *failures, name="bench", stopped=""))
