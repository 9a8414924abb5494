"""Compare SIM's TCP stacks in one run: what the module's process spends on a byte.

For each stack a SIM is started, `spinet-controller bench` moves bytes through it, and the CPU time
of the module's process is read when it ends. The rounds are interleaved, so that both see the same
machine; the last line is the ratio, which means more than the seconds. With lwIP the TCP stack
runs inside the process; with sockets it is the kernel's, and its part is counted as system time.
It runs under with_tap.py, for lwIP.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile

from exit_code import exit_code

ROUNDS = 3
PATIENCE_S = 600


def free_port():
    """A TCP port of the loopback without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def measure(controller, sim, mib, state):
    """One round: (module CPU seconds per MiB, MiB per second of each direction)."""
    bus = free_port()
    module = subprocess.Popen(
        [sim, "-m", "sim", "--port", str(bus), "--state", state], stderr=subprocess.DEVNULL
    )
    try:
        command = [controller, "bench", "--json", "--size", str(mib), "--bus-port", str(bus)]
        done = subprocess.run(
            [*command, "--port", str(free_port())],
            stdout=subprocess.PIPE,
            timeout=PATIENCE_S,
            check=True,
        )
    finally:
        module.terminate()
        _, _, spent = os.wait4(module.pid, 0)
        module.returncode = 0
    rows = json.loads(done.stdout)
    moved = sum(row["bytes"] for row in rows) / (1 << 20)
    rates = {row["direction"]: row["bytesPerSecond"] / (1 << 20) for row in rows}
    return (spent.ru_utime + spent.ru_stime) / moved, rates


def show(stack, results):
    """One line for one stack: the best of its rounds, which had the least company."""
    cpu = min(cost for cost, _ in results)
    _, rates = min(results, key=lambda result: result[0])
    speeds = ", ".join(f"{name} {rate:.1f}" for name, rate in rates.items())
    print(f"{stack:8} {cpu * 1000:7.1f} ms of CPU for each MiB;  MiB/s: {speeds}")
    return cpu


def wanted(arguments):
    """The command line's (controller, sockets_sim, lwip_sim, mib), mib as text."""
    parser = argparse.ArgumentParser(description="Compare SIM's TCP stacks in one run.")
    for name in ("controller", "sockets_sim", "lwip_sim", "mib"):
        parser.add_argument(name)
    return vars(parser.parse_args(arguments)).values()


def main(arguments):
    """Run all rounds and print the comparison; returns an exit code."""
    controller, sockets, lwip, mib = wanted(arguments)
    sims = {"sockets": sockets, "lwip": lwip}
    results = {stack: [] for stack in sims}
    with tempfile.TemporaryDirectory() as state:
        for number in range(ROUNDS):
            for stack, sim in sims.items():
                print(f"round {number + 1} of {ROUNDS}: {stack}", file=sys.stderr)
                results[stack].append(measure(controller, sim, mib, state))
    print(f"{mib} MiB each way and echoed, best of {ROUNDS} rounds, module-clocked SIM")
    costs = {stack: show(stack, found) for stack, found in results.items()}
    print(f"lwip spends {costs['lwip'] / costs['sockets']:.2f} times what sockets spends on a byte")
    return 0


if __name__ == "__main__":
    failures = subprocess.SubprocessError, OSError
    sys.exit(exit_code(lambda: main(sys.argv[1:]), *failures, name="bench", stopped=""))
