"""Count instructions per transaction on the emulated RISC-V core: the ESP32-C3's instruction set.

The image is `make qemu`'s: the frozen firmware, its pins, SPI and TCP stack in C and in memory
(boards/QEMU_RV32/memchip), compiled as the chips' port is. QEMU counts every instruction exactly,
so the figures are the same each time. boards/QEMU_RV32/counted.py has what is counted.

Usage: bench_core.py IMAGE [--json FILE]
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

PATIENCE_S = 300
MACHINE = ["-machine", "virt", "-bios", "none", "-semihosting", "-nographic"]
COUNTING = ["-icount", "shift=0"]
TRACED = ("null", "connGetStatus", "connRead 2048", "connWrite 2048, push")
COPIES = {"memcpy", "memmove"}
STAND_INS = {"dma", "next_step", "happen", "account"}  # of memchip, for what no processor does
BESIDE = "beside"
TRACED_TIMES = 10  # counted.TRACED


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
    """What counted.main() says: ({name: [step rows]}, {name: bytes allocated}, longest)."""
    core = Core(image, folder)
    steps = collections.defaultdict(list)
    allocated = {}
    longest = None
    try:
        core.booted()
        core.type("import counted; counted.main()")
        for line in core.lines("counted all"):
            kind, *fields = line.split("\t")
            if kind == "counted":
                steps[fields[0]].append([int(field) for field in fields[2:]])
            elif kind == "allocated":
                allocated[fields[0]] = int(fields[1])
            elif kind == "longest":
                longest = [int(field) for field in fields]
    finally:
        core.end()
    return dict(steps), allocated, longest


def split(image, folder, number):
    """Instructions of one round of a traced scenario, by where they are executed."""
    first, second = (os.path.join(folder, f"trace{number}{name}") for name in "ab")
    core = Core(image, folder, recording=True)
    found = []
    try:
        core.booted()
        core.type(f"import counted; counted.trace({number})")
        for trace in (first, second):
            for _ in core.lines("traced ready"):
                pass
            core.monitor("logfile " + trace)
            core.monitor("log exec,nochain")
            core.type("", "\n")
            for _ in core.lines("traced done"):
                pass
            core.monitor("log none")
            core.monitor("logfile " + os.devnull)  # which writes the rest of it
            found.append(by_place(trace, image))
    finally:
        core.end()
    once, twice = found
    return {place: (twice[place] - once[place]) / TRACED_TIMES for place in twice}


def by_place(trace, image):
    """{place: instructions} of a recorded trace."""
    symbols = symbols_of(image)
    starts = [start for start, _ in symbols]
    found = collections.Counter()
    pattern = re.compile(r"Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/")
    with open(trace, errors="replace") as lines:
        for line in lines:
            match = pattern.match(line)
            if match:
                index = bisect.bisect_right(starts, int(match[1], 16)) - 1
                found[place_of(symbols[index][1])] += 1
    del found[BESIDE]
    return found


def place_of(symbol):
    """VM, viper, copy or drivers, for a function of the image."""
    if symbol.startswith("fun_data_"):
        return "viper"
    if symbol in COPIES:
        return "copy"
    if symbol in STAND_INS:
        return BESIDE
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


def mean(rows):
    """Instructions of a mean pass, without the first ones of each row, which plan."""
    return sum(row[1] for row in rows) / len(rows)


def figures(steps):
    """{what: instructions}: the goals' names, from the rows of the scenarios."""
    one = steps["pairs, 1 socket busy"]
    eight = steps["pairs, 8 sockets busy"]
    accept, _, close, _ = steps["accept, end, close"]
    return {
        "null": steps["null"][0][1],
        "connGetStatus": steps["connGetStatus"][0][1],
        "connRead of nothing": steps["connRead of nothing"][0][1],
        "connRead 2048": steps["connRead 2048"][1][1],
        "data arrives": steps["connRead 2048"][0][1],
        "connGetStatus + connRead 2048, data arriving": 2 * mean(one),
        "the same, 8 sockets busy": 2 * mean(eight),
        "connWrite 2048, push": steps["connWrite 2048, push"][1][1],
        "connWrite 2048, push, 8 sockets busy": mean(steps["writes, 8 sockets busy"]),
        "connWrite 1440, no push": steps["connWrite 1440"][1][1],
        "connWrite 2048, no push (it gathers)": steps["connWrite 2048, no push"][1][1],
        "poll over eight idle sockets": 8 * mean(steps["poll over eight idle sockets"]),
        "accept": accept[1],
        "connClose": close[1],
    }


def show(found, allocated, longest, splits):
    """Print the tables."""
    print("Instructions on the emulated RISC-V core (exact; pins, SPI and TCP stack in C)")
    for name, count in found.items():
        print(f"  {name:46} {count:9.0f}")
    one = found["connGetStatus + connRead 2048, data arriving"]
    eight = found["the same, 8 sockets busy"]
    print(f"  8 sockets busy cost {eight / one:.2f} times what one does, per pair")
    passes, most, collecting, live = longest
    print(f"Longest service of {passes} mixed passes: {most}; a collection of {live} bytes more:")
    print(f"  {collecting}, together {most + collecting}")
    print("Where they are executed, per transaction (with the pass of its event)")
    for name, places in splits.items():
        parts = ", ".join(f"{place} {places[place]:.0f}" for place in sorted(places))
        print(f"  {name:24} {parts}")
    print(f"Bytes allocated per transaction: {max(allocated.values()) / 200:.2f} at most")


def main(arguments):
    """Count, print, and keep the figures for whoever draws them."""
    parser = argparse.ArgumentParser(prog="bench_core.py")
    parser.add_argument("image")
    parser.add_argument("--json", help="keep the figures in this file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        steps, allocated, longest = counts(options.image, folder)
        names = list(steps)
        splits = {name: split(options.image, folder, names.index(name)) for name in TRACED}
    found = figures(steps)
    show(found, allocated, longest, splits)
    if options.json:
        with open(options.json, "w") as out:
            json.dump({"instructions": found, "longest": longest, "split": splits}, out, indent=1)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (BenchError, subprocess.SubprocessError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
