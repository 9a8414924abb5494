"""Measure READY in NINA's role: from the fall of CS to the rise of READY, at the controller.

WiFiNINA gives the module 5 ms for this, and then clocks. SIM serves commands meanwhile, and beside
it a busy REPL evaluates, prints and collects garbage. On a computer that is busy with other work
both sides wait for a processor: so the times are told a second time, less what the kernel says that
the controller and the thread of the bus waited.

Usage: ready.py SIM [SELECTIONS]
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from exit_code import exit_code
from nina_controller import NinaController

LIMIT_MS = 5
PERCENTILES = (50, 99, 99.9, 99.99, 100)
VERSION = bytes.fromhex("e0 37 00 ee")
ANSWER = bytes.fromhex("e0 b7 01 06 31 2e 38 2e 30 00 ee 00")

# What a user might do at the REPL, all the time. A collection finds some 10 000 objects.
BUSY = """
import gc, sys, sim
sim.main(sys.argv[1:])
kept = [[str(i)] for i in range(5000)]
n = 0
while True:
    n += 1
    print(sum(i * i for i in range(300)), sorted(str(i) for i in range(100)))
    if n % 20 == 0:
        gc.collect()
"""


def waiting(pid):
    """The kernel's figures of this process and of the thread that has the bus, as descriptors."""
    (bus,) = (
        task
        for task in Path(f"/proc/{pid}/task").iterdir()
        if (task / "comm").read_text() == "simbus\n"
    )
    return [os.open(path, os.O_RDONLY) for path in ("/proc/self/schedstat", bus / "schedstat")]


def waited_ns(files):
    """How long they have waited for a processor so far."""
    return sum(int(os.pread(file, 100, 0).split()[1]) for file in files)


def come_first():
    """Go ahead of other programs, where the system lets us: a controller is another computer."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def measure(controller, pid, selections):
    """(times, the same less what was waited for a processor), in ms."""
    files = waiting(pid)
    times, own = [], []
    for number in range(selections):
        controller.wait_ready()
        waited = waited_ns(files)
        began = time.perf_counter_ns()
        controller.select()
        took = time.perf_counter_ns() - began
        waited = waited_ns(files) - waited
        times.append(took / 1e6)
        own.append(max(0, took - waited) / 1e6)
        came = controller.clock(VERSION if number % 2 == 0 else bytes(12))
        controller.deselect()
        assert came == (bytes(4) if number % 2 == 0 else ANSWER), came
    for file in files:
        os.close(file)
    return times, own


def percentiles(values):
    """Percentile -> value."""
    values = sorted(values)
    return {each: values[max(0, -int(-len(values) * each // 100) - 1)] for each in PERCENTILES}


def line(name, values):
    """One line of the report."""
    found = ", ".join(f"p{p:g} {ms:.3f}" for p, ms in percentiles(values).items())
    late = sum(ms > LIMIT_MS for ms in values)
    return f"  {name:32} {found} ms; {late} above {LIMIT_MS} ms"


def run(program, selections):
    """Start SIM, and measure."""
    controller = NinaController()
    with tempfile.TemporaryDirectory() as folder:
        options = (
            "--protocol",
            "nina",
            "--repl",
            "--port",
            str(controller.port),
            "--state",
            folder,
        )
        module = subprocess.Popen(
            [program, "-c", BUSY, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            controller.accept()
            controller.wait_boot()
            come_first()
            return measure(controller, module.pid, selections)
        finally:
            module.kill()
            module.wait()
            controller.close()


def main():
    parser = argparse.ArgumentParser(prog="ready.py")
    parser.add_argument("sim")
    parser.add_argument("selections", type=int, nargs="?", default=100_000)
    options = parser.parse_args()
    times, own = run(options.sim, options.selections)
    print(f"From the fall of CS to the rise of READY, {len(times)} selections, a busy REPL beside")
    print(line("as the controller sees it", times))
    print(line("less waiting for a processor", own))


if __name__ == "__main__":
    sys.exit(exit_code(main, EOFError, OSError, name="bench"))
