"""Count instructions per transaction on the emulated RISC-V core: the ESP32-C3's instruction set.

The image is `make qemu`'s: the frozen firmware, its pins, SPI and TCP stack in C and in memory
(boards/QEMU_RV32/memchip), compiled as the chips' port is. QEMU counts every instruction exactly,
so the figures are the same each time. boards/QEMU_RV32/counted.py and counted_nina.py have what is
counted.

Usage: core.py IMAGE [--json FILE]
"""

import argparse
import bisect
import collections
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading

from exit_code import exit_code

PATIENCE_S = 300
MACHINE = ["-machine", "virt", "-bios", "none", "-semihosting", "-nographic"]
COUNTING = ["-icount", "shift=0"]
TRACED = 16  # passes of each scenario that are traced, or more, in whole rounds
LEAST_ROUNDS = 2
COPIES = {"memcpy", "memmove"}
STAND_INS = {"dma", "next_step"}  # of memchip, for what no processor does
BOUNDARY = "next_step"  # its first instruction ends one pass and begins the next
PLACES = ("VM", "viper", "drivers", "copy")
WRITES = 200  # counted.TIMES: passes of each step while allocations are looked at

# What is told: its name, counted.COUNTED's, which steps of it (None: all), for how many such passes
FIGURES = (
    ("null", "null", 0, 1),
    ("connGetStatus", "connGetStatus", 0, 1),
    ("connRead of nothing", "connRead of nothing", 0, 1),
    ("connRead 2048", "connRead 2048", 1, 1),
    ("data arrives", "connRead 2048", 0, 1),
    ("connGetStatus + connRead 2048, data arriving", "pairs, 1 socket busy", None, 2),
    ("the same, 8 sockets busy", "pairs, 8 sockets busy", None, 2),
    ("connWrite 2048, push", "connWrite 2048, push", 1, 1),
    ("connWrite 2048, push, acknowledged", "writes, 1 socket busy", None, 1),
    ("the same, 8 sockets busy, writing", "writes, 8 sockets busy", None, 1),
    ("connWrite 1440, no push", "connWrite 1440", 1, 1),
    ("connWrite 2048, no push (it gathers)", "connWrite 2048, no push", 1, 1),
    ("poll over eight idle sockets", "poll over eight idle sockets", None, 8),
    ("accept", "accept, end, close", 0, 1),
    ("the peer's FIN", "accept, end, close", 1, 1),
    ("connClose", "accept, end, close", 2, 1),
    ("controller-clocked: null", "controller-clocked: null", None, 3),
    ("controller-clocked: the pair", "controller-clocked: pair", None, 8),
    ("controller-clocked: connWrite 2048, push", "controller-clocked: write", None, 4),
    ("NINA: 20, status", "NINA: status", None, 2),
    ("NINA: 2F, 2B, 45 of 1460, data arriving", "NINA: read", None, 6),
    ("NINA: 44 of 64, acknowledged", "NINA: write 64", None, 2),
    ("NINA: 44 of 1460, acknowledged", "NINA: write 1460", None, 2),
    ("NINA: 2B of a server, no client", "NINA: server", None, 2),
    ("NINA: 7C, 78 of 1460, data arriving", "NINA: poll and read", None, 4),
)
ONE_BUSY = "connGetStatus + connRead 2048, data arriving"
EIGHT_BUSY = "the same, 8 sockets busy"
GOALS = {
    "null": 5000,
    "connGetStatus": 6000,
    ONE_BUSY: 15000,
    "connWrite 2048, push": 10000,
    "connWrite 2048, no push (it gathers)": 12000,
    "NINA: 20, status": 25000,
    "NINA: 2F, 2B, 45 of 1460, data arriving": 70000,
    "NINA: 44 of 64, acknowledged": 45000,
    "NINA: 44 of 1460, acknowledged": 50000,
}
MORE_BUSY = 1.1  # what a pair may cost with eight busy sockets, of what it costs with one
LONGEST = 400000  # of a service, collection included


class BenchError(Exception):
    """The emulated core did not do what it was told; the message is one line."""


class Core:
    """One emulated core that is typed at; `recording`: it can log each instruction."""

    def __init__(self, image, folder, recording=False):
        self._monitor_path = os.path.join(folder, "monitor")
        record = ["-singlestep"] if recording else []
        lines = ["-monitor", f"unix:{self._monitor_path},server=on,wait=off", "-serial", "stdio"]
        self._process = subprocess.Popen(
            ["qemu-system-riscv32", *MACHINE, *COUNTING, *record, *lines, "-kernel", image],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self._guard = threading.Timer(PATIENCE_S, self._process.kill)
        self._guard.start()
        self._said = []
        self._monitor = None

    def type(self, text, end="\r"):
        """A line of input, as at the REPL."""
        self._process.stdin.write(text + end)
        self._process.stdin.flush()

    def lines(self, last):
        """Lines until the one that begins with `last`, which is the last of them."""
        for line in self._process.stdout:
            line = line.strip()
            self._said.append(line)
            if re.match(r"\w*(Error|Interrupt)\b", line):
                raise BenchError("on the emulated core: " + line)
            yield line
            if line.startswith(last):
                return
        raise BenchError("the emulated core ended early: " + " / ".join(self._said[-3:]))

    def booted(self):
        """The REPL is there."""
        for _ in self.lines('Type "help()"'):
            pass

    def monitor(self, command):
        """Tell the emulator itself something; returns when it has done it."""
        if self._monitor is None:
            self._monitor = socket.socket(socket.AF_UNIX)
            self._monitor.settimeout(PATIENCE_S)
            self._monitor.connect(self._monitor_path)
            self._prompt()
        self._monitor.sendall(command.encode() + b"\n")
        self._prompt()

    def _prompt(self):
        seen = b""
        while not seen.endswith(b"(qemu) "):
            seen += self._monitor.recv(4096)

    def end(self):
        """Power off."""
        self._guard.cancel()
        if self._monitor:
            self._monitor.close()
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def counts(image, folder):
    """What counted.main() says, as parse() has it."""
    core = Core(image, folder)
    try:
        core.booted()
        core.type("import counted; counted.main()")
        return parse(core.lines("counted all"))
    finally:
        core.end()


def parse(lines):
    """({name: [[passes, mean, mean of copies, most] of each step]}, {name: bytes allocated},
    [passes, most, collecting, live]) of the lines that counted.main() prints."""
    steps = collections.defaultdict(list)
    allocated = {}
    longest = None
    for line in lines:
        kind, *fields = line.split("\t")
        if kind == "counted":
            steps[fields[0]].append([int(field) for field in fields[2:]])
        elif kind == "allocated":
            allocated[fields[0]] = int(fields[1])
        elif kind == "longest":
            longest = [int(field) for field in fields]
    if not steps or not allocated or longest is None:
        raise BenchError("the emulated core said less than it should")
    return dict(steps), allocated, longest


def trace(image, folder, number, steps):
    """Instructions of each step's mean pass in a scenario, by where they are executed."""
    into = os.path.join(folder, "trace")
    core = Core(image, folder, recording=True)
    try:
        core.booted()
        # One round that begins with what is done once, and one that is not over at the end.
        rounds = max(TRACED // steps, LEAST_ROUNDS) + 2
        core.type(f"import counted; counted.trace({number}, {rounds})")
        for _ in core.lines("traced ready"):
            pass
        core.monitor("logfile " + into)
        core.monitor("log exec,nochain")
        core.type("", "\n")
        for _ in core.lines("traced done"):
            pass
        core.monitor("log none")
        core.monitor("logfile " + os.devnull)  # which writes the rest of it
    finally:
        core.end()
    with open(into, errors="replace") as lines:
        passes = by_pass(lines, symbols_of(image))
    os.remove(into)
    return means(passes, steps)


def by_pass(lines, symbols):
    """[{place: instructions}] of the passes in a recorded trace; what came before the first and
    what follows the last one's beginning is left out."""
    starts = [start for start, _ in symbols]
    places = [place_of(name) for _, name in symbols]
    boundary = {start for start, name in symbols if name == BOUNDARY}
    found = []
    pattern = re.compile(r"Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/")
    for line in lines:
        match = pattern.match(line)
        if not match:
            continue
        address = int(match[1], 16)
        if address in boundary:
            found.append(collections.Counter())
        if found:
            found[-1][places[bisect.bisect_right(starts, address) - 1]] += 1
    return found[:-1]


def means(passes, steps):
    """Of each of so many steps in turn, {place: instructions} of its mean pass but the first."""
    if len(passes) < 2 * steps:
        raise BenchError(f"a trace has {len(passes)} passes, too few for {steps} steps")
    found = []
    for step in range(steps):
        mine = passes[step + steps :: steps]
        found.append({place: sum(one[place] for one in mine) / len(mine) for place in PLACES})
    return found


def place_of(symbol):
    """VM, viper, copy or drivers, for a function of the image; None for what no chip executes."""
    if symbol.startswith("fun_data_"):
        return "viper"
    if symbol in COPIES:
        return "copy"
    if symbol in STAND_INS:
        return None
    return "drivers" if "memchip" in symbol or symbol.startswith("pin_") else "VM"


def symbols_of(image):
    """[(address, name)] of an image, in the order of the addresses."""
    done = subprocess.run(
        ["riscv64-unknown-elf-nm", "-n", image], capture_output=True, text=True, check=True
    )
    found = []
    for line in done.stdout.splitlines():
        address, kind, name = line.split(" ", 2)
        if kind in "tTdDrR":
            found.append((int(address, 16), name))
    return found


def mean(values, step, passes):
    """What so many passes take: of this step, or (None) of a mean one."""
    return passes * (values[step] if step is not None else sum(values) / len(values))


def figures(steps):
    """{what: instructions} of FIGURES, from the rows of the scenarios."""
    return {
        name: mean([row[1] for row in steps[scenario]], step, passes)
        for name, scenario, step, passes in FIGURES
    }


def splits(traces):
    """{what: {place: instructions}} of FIGURES, from what trace() says of the scenarios."""
    return {
        name: {
            place: mean([one[place] for one in traces[scenario]], step, passes) for place in PLACES
        }
        for name, scenario, step, passes in FIGURES
    }


def verdict(value, goal):
    """How a figure is to its goal."""
    return f"goal {goal}" if value <= goal else f"goal {goal}, MISSED"


def table(found, split, allocated, longest):
    """The lines that are printed."""
    yield "Instructions on the emulated RISC-V core (exact; pins, SPI and TCP stack in C)"
    yield f"  {'one pass of the loop':46}{'all':>9}" + "".join(f"{p:>9}" for p in PLACES)
    for name, count in found.items():
        parts = "".join(f"{split[name][place]:9.0f}" for place in PLACES)
        goal = "  " + verdict(count, GOALS[name]) if name in GOALS else ""
        yield f"  {name:46}{count:9.0f}{parts}{goal}"
    ratio = found[EIGHT_BUSY] / found[ONE_BUSY]
    yield f"  a pair with 8 busy sockets, of one with 1: {ratio:.2f} ({verdict(ratio, MORE_BUSY)})"
    passes, most, collecting, live = longest
    yield f"Longest service of {passes} mixed passes, collection included: {most} instructions"
    yield f"  ({verdict(most, LONGEST)}); a collection of {live} live bytes alone: {collecting}"
    most = max(allocated.values())
    yield f"Bytes allocated per transaction: {most / WRITES:.2f} at most ({verdict(most, 0)})"


def main(arguments):
    """Count, print, and keep the figures for a drawing."""
    parser = argparse.ArgumentParser(prog="core.py")
    parser.add_argument("image")
    parser.add_argument("--json", help="keep the figures in this file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        steps, allocated, longest = counts(options.image, folder)
        traces = {
            name: trace(options.image, folder, number, len(rows))
            for number, (name, rows) in enumerate(steps.items())
        }
    found = figures(steps)
    split = splits(traces)
    for line in table(found, split, allocated, longest):
        print(line)
    if options.json:
        with open(options.json, "w") as out:
            json.dump({"instructions": found, "longest": longest, "split": split}, out, indent=1)
    return 0


if __name__ == "__main__":
    failures = BenchError, subprocess.SubprocessError, OSError
    sys.exit(exit_code(lambda: main(sys.argv[1:]), *failures, name="bench", stopped=""))
