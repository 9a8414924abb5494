"""Handshakes of TLS, both versions in turn, with visitors and with servers; none may leave memory
taken.

Two of sixteen meet servers that have another's name, and are refused.
"""

import contextlib
import socket
import ssl
import tempfile
from pathlib import Path

from sim_process import Sim
from tls_rig import ABORTED, CONNECTED, NAME, Authority, Background, Controller, Echo, EchoServer

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
WARM = 24  # handshakes, after which all is there that is kept for good
LEFT = 1 << 19  # bytes: a session has 26 KB
PATIENCE_S = 60
GREETING = bytes(1000)


class Run:
    """A module with a certificate, and its peers."""

    def __init__(self, sim, folder, ending):
        self._authority = Authority(folder)
        self._module = Controller(sim)
        own = self._authority.issue("module", f"DNS:{NAME}")
        self._module.install(*own, ca=self._authority.pem)
        self._port = self._module.listen(Echo)
        self._authority.issue("server", f"DNS:{NAME}")
        self._authority.issue("other", "DNS:other.test")
        self._servers = {}
        for version in VERSIONS:
            for name in ("server", "other"):
                server = EchoServer(self._authority, name)
                server.context.minimum_version = server.context.maximum_version = version
                ending.callback(server.close)
                self._servers[version, name] = server.port
        self.done = {}

    def shake(self, number):
        """The handshake of this number, bytes both ways, the end."""
        version = VERSIONS[number % 2]
        if number % 4 < 2:
            kind = "visitor"
            self._visit(version)
        else:
            kind = "refused" if number % 16 > 13 else "server"
            self._call(version, kind == "server")
        what = f"{version.name} {kind}"
        self.done[what] = self.done.get(what, 0) + 1

    def _visit(self, version):
        visitor = Background(lambda: self._talk(version))
        self._module.serve_until(visitor.over)
        assert visitor.result() == GREETING
        self._module.serve_until(self._is_idle)

    def _is_idle(self):
        summary = self._module.status(0)
        return not summary.connected | summary.closed

    def _talk(self, version):
        context = ssl.create_default_context(cafile=self._authority.path("pem"))
        context.minimum_version = context.maximum_version = version
        with (
            socket.create_connection(("127.0.0.1", self._port), PATIENCE_S) as raw,
            context.wrap_socket(raw, server_hostname=NAME) as peer,
        ):
            peer.sendall(GREETING)
            got = b""
            while len(got) < len(GREETING):
                got += peer.recv(4096)
            return got

    def _call(self, version, is_right):
        module = self._module
        slot = module.connect(
            self._servers[version, "server" if is_right else "other"], NAME.encode()
        )
        state = module.until_state(slot, CONNECTED, ABORTED)
        assert state == (CONNECTED if is_right else ABORTED), module.news()
        if is_right:
            assert module.write(slot, GREETING) == len(GREETING)
            module.until_waiting(slot, len(GREETING))
            assert module.read(slot) == GREETING
        module.sim.ask(2 if is_right else 1, slot)
        module.until_state(slot, 0)


def resident(sim):
    """Bytes of the process."""
    return int(Path(f"/proc/{sim.process.pid}/statm").read_text().split()[1]) * 4096


def run(handshakes, role, advance=lambda done: None):
    """The whole run; a dictionary with what happened and, in `failures`, what should not have."""
    with contextlib.ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory()))
        sim = Sim(role, folder)
        ending.callback(sim.end)
        sim.power_on()
        the_run = Run(sim, folder, ending)
        for number in range(WARM):
            the_run.shake(number)
        the_run.done.clear()
        before = resident(sim)
        for number in range(handshakes):
            the_run.shake(number)
            advance(number + 1)
        left = resident(sim) - before
    failures = [f"{left} bytes are left"] if left >= LEFT else []
    return {"handshakes": the_run.done, "bytesLeft": left, "failures": failures}
