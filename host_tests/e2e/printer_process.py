"""The whole system as a user starts it: `spinet-controller serve` with a SIM module of its own."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

from own_network import WITH_TAP
from own_port import own_port
from project import ROOT

SIMS = {
    "sockets": ROOT / "build" / "sim" / "micropython",
    "lwip": ROOT / "build" / "sim-lwip" / "micropython",
}
COMMAND = Path(sys.executable).parent / "spinet-controller"
PATIENCE = 60.0
HOST_NAME = "spinet-printer"  # what `serve` takes where it is told no other
SERVICES = ("https", "ftp", "telnet")
UNHURRIED = ("--timeout", "60", "--time-scale", "100")  # for a busy computer


def eventually(condition, what):
    """Wait until condition() is true; fails after PATIENCE saying `what` did not happen."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"did not happen: {what}")


class Printer:
    """One running system; `url` is the page's address, `files` the printer's folder.

    `options` are more of `serve`'s. `ports` has where each service is, by name; `serves` names
    those that are wanted, besides the site. `settings` changes the library's, as "ftp.IDLE = 1"
    does, before `serve` begins.
    """

    def __init__(self, stack, role, folder, *, serves=(), options=(), settings="", **environment):
        self.files = folder / "files"
        self.files.mkdir()
        self.port = own_port()
        self.ports = {name: own_port() if name in serves else 0 for name in SERVICES}
        self._program = _program(settings) if settings else (str(COMMAND),)
        self._options = [*options, "--tls-folder", str(folder / "tls")]
        self._environment = environment
        self.output = []
        self._process = subprocess.Popen(
            self._command(stack, role),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, **environment},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = eventually(self._url, "serve prints a URL")
        self._host = urllib.parse.urlsplit(self.url).hostname

    def _command(self, stack, role):
        return [
            *(WITH_TAP if stack == "lwip" else ()),
            *self._program,
            "serve",
            *("--sim", str(SIMS[stack]), "--bus-port", "0"),
            *("--role", role),
            *UNHURRIED,
            *("--port", str(self.port)),
            *("--files", str(self.files)),
            *(part for name in SERVICES for part in (f"--{name}-port", str(self.ports[name]))),
            *self._options,
        ]

    def _read(self):
        with self._process.stdout as lines:
            for line in lines:
                self.output.append(line)

    def _url(self):
        assert self._process.poll() is None, "".join(self.output)
        found = re.search(r"http://\S+", "".join(self.output))
        return found.group(0).rstrip("/.") if found else None

    @property
    def host(self):
        """The module's address."""
        return self._host

    def said(self, text):
        """True once it has printed this."""
        return text in "".join(self.output)

    def status(self):
        """What /api/status says."""
        with urllib.request.urlopen(self.url + "/api/status", timeout=PATIENCE) as answer:
            return json.load(answer)

    def connect(self):
        """A TCP connection to the module."""
        sock = socket.create_connection((self._host, self.port), timeout=PATIENCE)
        sock.settimeout(PATIENCE)
        return sock

    def make_file(self, name, size):
        """A file of pseudo-random bytes in the printer's folder; returns its path."""
        path = self.files / name
        path.write_bytes(pattern(size))
        return path

    def make_endless(self, name):
        """A sparse file of zeros, larger than all buffers of a kernel."""
        with (self.files / name).open("wb") as file:
            file.truncate(1 << 36)

    def stop(self):
        """Ctrl-C; returns the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(2)
        code = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code


class MadePrinter(Printer):
    """What `make run` starts, in folders of a test and with all the time that it takes."""

    def _command(self, stack, role):
        ports = {"http": self.port, **self.ports}
        named = [f"{name.upper()}_PORT={port or 'none'}" for name, port in ports.items()]
        told = subprocess.run(
            ["make", "--dry-run", "run", f"STACK={stack}", f"ROLE={role}", *named],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "MAKEFLAGS": "", **self._environment},
            check=True,
        ).stdout
        command = re.search(r"^exec .* serve .*$", told.replace("\\\n", ""), re.MULTILINE)[0]
        folders = ("--files", self.files, "--sim-state", self.files.parent / "state")
        options = map(str, [*folders, *UNHURRIED, *self._options])
        return ["sh", "-c", f'{command} "$@"', "sh", *options]


def ended_in_order(printer):
    """Ctrl-C ends a printer at once and without a trace of trouble."""
    code = printer.stop()
    text = "".join(printer.output)
    assert "Traceback" not in text, text
    assert code == 130, text


def _program(settings):
    library = "from spinet_controller.printer import ftp, ftp_data, telnet"
    start = "from spinet_controller.cli.main import main; main()"
    return sys.executable, "-c", f"{library}\n{settings}\n{start}"


def pattern(size):
    """Bytes that repeat nowhere near: an offset that is off shows."""
    import random

    return random.Random(size).randbytes(size)


def read_all(sock):
    """Everything until the peer closes."""
    parts = []
    while data := sock.recv(65536):
        parts.append(data)
    return b"".join(parts)


def request(line, *headers):
    """The head of a plain HTTP request: `GET /path`, say, and more headers than Host."""
    return "\r\n".join([f"{line} HTTP/1.1", f"Host: {HOST_NAME}", *headers, "", ""]).encode()


def get(path):
    """A plain HTTP request that asks for the connection to be closed."""
    return request(f"GET {path}", "Connection: close")
