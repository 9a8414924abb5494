#!/usr/bin/env python3
"""Run a command with a TAP device for lwIP: a small network of its own with this computer.

The command is run in our place and finds in its environment
    SPINET_TAP      the device's name
    SPINET_ADDRESS  the address and prefix length that lwIP is to have; this computer is one below

The device lives as long as the command and its children: our descriptor, which they inherit, keeps
it, and the kernel removes it with the last one, however they end.

Usage: with_tap.py [--or-loopback] COMMAND [ARGUMENT...]
    --or-loopback   without the right to make a device, run the command without one
Exit codes: the command's; 1 no device (one line on stderr), 2 usage.
"""

import errno
import fcntl
import ipaddress
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

TUN = "/dev/net/tun"
TUNSETIFF = 0x400454CA
TUNSETQUEUE = 0x400454D9
IFF_TAP = 0x0002
IFF_MULTI_QUEUE = 0x0100  # the program opens the device a second time; ours passes no frames
IFF_DETACH_QUEUE = 0x0400
IFF_NO_PI = 0x1000
IFF_TUN_EXCL = 0x8000

NETWORKS = list(ipaddress.ip_network("10.197.0.0/16").subnets(new_prefix=30))[:256]


class NoDevice(Exception):
    """Why there is no TAP device, in one line; `denied` when more rights would help."""

    def __init__(self, text, denied=False):
        super().__init__(text)
        self.denied = denied


def main(arguments):
    """Run the command line; returns an exit code unless the command takes our place."""
    or_loopback = arguments[:1] == ["--or-loopback"]
    command = arguments[1:] if or_loopback else arguments
    if not command or command[0].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        environment = make_device()
    except NoDevice as problem:
        if not (or_loopback and problem.denied):
            print(f"with_tap: {problem}", file=sys.stderr)
            return 1
        print("Without root lwIP has its loopback only", file=sys.stderr)
        environment = {}
    return replace_by(command, environment)


def replace_by(command, environment):
    try:
        os.execvpe(command[0], command, {**os.environ, **environment})
    except OSError as problem:
        print(f"with_tap: cannot run {command[0]}: {problem.strerror}", file=sys.stderr)
        return 1


def make_device():
    """A device that is up, with an address for this side; the variables that tell of it."""
    taken = networks_in_use()
    for number, network in enumerate(NETWORKS):
        name = f"spinet{number}"
        if not any(network.overlaps(other) for other in taken) and open_device(name):
            here, there = network.hosts()
            configure(name, f"{here}/{network.prefixlen}")
            print(f"lwIP is at {there}, behind the TAP device {name}", file=sys.stderr)
            return {"SPINET_TAP": name, "SPINET_ADDRESS": f"{there}/{network.prefixlen}"}
    raise NoDevice("every network of 10.197.0.0/16 that could be used is in use")


def networks_in_use():
    """Where this computer has addresses or routes, but for the default route."""
    routes = json.loads(ip("-json", "-4", "route", "show", "table", "all"))
    found = []
    for route in routes:
        if route["dst"] != "default" and route.get("type", "unicast") != "broadcast":
            found.append(ipaddress.ip_network(route["dst"], strict=False))
    return found


def open_device(name):
    """True when we made it; False when there is one of this name. Our descriptor stays open."""
    flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE
    try:
        fd = os.open(TUN, os.O_RDWR)
        fcntl.ioctl(fd, TUNSETIFF, request(name, flags | IFF_TUN_EXCL))
        fcntl.ioctl(fd, TUNSETQUEUE, request(name, IFF_DETACH_QUEUE))
    except OSError as problem:
        if problem.errno == errno.EBUSY:
            os.close(fd)
            return False
        raise no_device(problem) from problem
    os.set_inheritable(fd, True)
    return True


def no_device(problem):
    if problem.errno in (errno.EPERM, errno.EACCES):
        return NoDevice("STACK=lwip needs root, for a TAP device; STACK=sockets does not", True)
    if problem.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return NoDevice(f"no {TUN}: load the kernel's tun module (modprobe tun)")
    return NoDevice(f"{TUN}: {problem.strerror}")


def request(name, flags):
    """A struct ifreq."""
    return struct.pack("16sH22x", name.encode(), flags)


def configure(name, address):
    quiet = Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6")
    if quiet.exists():
        quiet.write_text("1")
    ip("address", "add", address, "dev", name)
    ip("link", "set", name, "up")


def ip(*words):
    """What iproute2 answers."""
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise NoDevice("STACK=lwip needs ip: apt-get install iproute2") from None
    except subprocess.CalledProcessError as problem:
        raise NoDevice(f"ip {' '.join(words)}: {problem.stderr.strip()}") from None
    return done.stdout


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
