#!/usr/bin/env python3
"""The fake module as a program, with real TCP of this computer behind its sockets.

Started as a SIM board is: `fake_sim.py -m sim --port N --role ROLE --state DIR`. The
environment variable FAKE_SIM makes it misbehave: `dies` (after it has started), `mute` (never
connects), `stubborn` (ignores SIGTERM), `hangs` (stops answering once it listens), `roams` (loses
its network once it listens, for the first time), `returns` (at SIGUSR1 it leaves the bus and comes
back, as a module does whose controller stood still for too long), `leaves` (at SIGUSR1 it leaves
the bus and stays away).
"""

import argparse
import asyncio
import os
import signal
import socket
import ssl
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fake_module import (
    ABORTED,
    CONNECTED,
    CONNECTING,
    CONTROLLER_CLOCKED,
    FREE,
    MODULE_CLOCKED,
    FakeModule,
)

ROLES = {"module-clocked": MODULE_CLOCKED, "controller-clocked": CONTROLLER_CLOCKED}
INBOX = 8192
OUTBOX = 32768
"""Bytes of a connection that wait for the controller, and for the peer."""


class Peer(asyncio.Protocol):
    """A real TCP connection behind one slot, or waiting for one as in a backlog."""

    def __init__(self, network, port=None, slot=None):
        self.network = network
        self.port = port
        self.slot = slot
        self.transport = None
        self._early = b""

    def connection_made(self, transport):
        self.transport = transport
        if self.slot:
            self._join(self.slot)
        else:
            transport.pause_reading()
            self.network.arrived(self)

    def accept(self, slot):
        """A slot is free for this connection."""
        remote = self.transport.get_extra_info("peername")
        slot.connect(self.port, remote=remote)
        self._join(slot)
        self.transport.resume_reading()
        if self._early:
            self.data_received(self._early)

    def _join(self, slot):
        self.slot = slot
        slot.state = CONNECTED
        slot.peer = self
        slot.accept = self._accept
        slot.room = self._room
        slot.closed = self._close
        slot.dropped = self._drop

    def data_received(self, data):
        if self.slot is None:
            self._early += data  # Python 3.11.2 reads once more after a pause in connection_made()
            return
        self.slot.feed(data)
        if len(self.slot.inbox) >= INBOX:
            self.transport.pause_reading()

    def read_on(self):
        """The controller has read."""
        if len(self.slot.inbox) < INBOX and not self.transport.is_closing():
            self.transport.resume_reading()

    def eof_received(self):
        if self.slot:
            self.slot.finish()
        return True

    def connection_lost(self, exc):
        if self.slot is None:
            self.network.left(self)
        elif self.slot.peer is self and self.slot.held:
            self.slot.reset()

    def _room(self):
        full = self.transport.get_write_buffer_size() >= OUTBOX
        return 0 if full or self.slot.broken else 2048

    def _accept(self, data, _flags):
        self.transport.write(data)

    def _close(self):
        self.slot.peer = None
        self.transport.close()

    def _drop(self):
        self.slot.peer = None
        self.transport.abort()


class Network:
    """Listeners and a backlog behind the fake firmware's commands."""

    def __init__(self, firmware):
        self._firmware = firmware
        self._servers = {}
        self._backlog = []
        self._tasks = set()
        self._roamed = False
        firmware._listen = self._listen
        firmware.outgoing = self._outgoing
        firmware._join = self._joined
        firmware.stopped = self.stopped
        for slot in firmware.slots:
            slot.peer = None
            self._watch(slot)

    def _watch(self, slot):
        read, free = slot.read, slot.free

        def read_and_go_on(most):
            data = read(most)
            if slot.peer:
                slot.peer.read_on()
            return data

        def free_and_take_the_next():
            for name in ("accept", "room", "closed", "dropped"):
                vars(slot).pop(name, None)
            free()
            self._serve_backlog()

        slot.read = read_and_go_on
        slot.free = free_and_take_the_next

    def _task(self, work):
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _joined(self, _ssid):
        self._firmware.tell(b"", state=4)

    def stopped(self):
        """networkStop, or a loss of power."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    def _listen(self, data):
        port = int.from_bytes(data[6:8], "little")
        most = int.from_bytes(data[8:10], "little")
        if most and port not in self._servers:
            self._open(port)
        elif not most and port in self._servers:
            self._servers.pop(port).close()

    def _open(self, port):
        """As the firmware does, before the next request: it has failed or succeeded then."""
        try:
            listening = socket.create_server(("127.0.0.1", port))
        except OSError:
            self._firmware.tell(b"Listen failed")
            return
        if os.environ.get("FAKE_SIM") == "roams" and not self._roamed:
            self._roamed = True
            self._firmware.lose_network(b"Workshop: network not found")
        self._servers[port] = listening
        self._task(self._serve(port, listening))
        if os.environ.get("FAKE_SIM") == "hangs":
            self._firmware.module.silent = True

    async def _serve(self, port, listening):
        loop = asyncio.get_running_loop()
        if self._servers.get(port) is not listening:
            return
        tls = self._server_tls() if port in self._firmware.tls_ports else None
        self._servers[port] = await loop.create_server(
            lambda: Peer(self, port), sock=listening, ssl=tls
        )

    def arrived(self, peer):
        self._backlog.append(peer)
        self._serve_backlog()

    def left(self, peer):
        if peer in self._backlog:
            self._backlog.remove(peer)

    def _serve_backlog(self):
        for slot in self._firmware.slots:
            if slot.state == FREE and self._backlog:
                self._backlog.pop(0).accept(slot)

    def _server_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(self._firmware.cert + self._firmware.key)
            file.flush()
            context.load_cert_chain(file.name)
        return context

    def _client_tls(self, slot, host):
        if not slot.tls:
            return {}
        context = ssl.create_default_context(cadata=self._firmware.ca.decode())
        return {"ssl": context, "server_hostname": slot.name or host}

    def _outgoing(self, slot):
        self._task(self._connect(slot))

    async def _connect(self, slot):
        host = ".".join(str(byte) for byte in slot.remote_ip) if any(slot.remote_ip) else slot.name
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(
                *(lambda: Peer(self, slot=slot), host, slot.remote_port),
                **self._client_tls(slot, host),
            )
        except OSError as error:
            if isinstance(error, socket.gaierror):
                self._firmware.tell(b"host not found: " + slot.name.encode())
            elif slot.tls:
                self._firmware.tell(f"TLS: {error}".encode()[:120])
            if slot.state == CONNECTING:
                slot.state = ABORTED


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--role", choices=ROLES, required=True)
    parser.add_argument("--state", type=Path, required=True)
    return parser.parse_args()


async def powered(options):
    """A module that has joined the bus, and its network."""
    module = FakeModule(ROLES[options.role])
    network = Network(module.firmware)
    # Bytes, because a network's name may be any.
    name = os.environb.get(b"FAKE_SIM_SSID", b"Workshop")
    module.firmware.networks.append(bytes(16) + name.ljust(96, b"\0"))
    module.firmware.in_reach = name
    return await module.plug_in(options.port), network


async def main(options):
    mood = os.environ.get("FAKE_SIM")
    if mood == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("fake-sim: starting", flush=True)
    if mood == "mute":
        await asyncio.sleep(60)
    module, network = await powered(options)
    if mood in ("returns", "leaves"):
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, module.unplug)
    if mood == "dies":
        print("fake-sim: my last words", file=sys.stderr)
        sys.exit(3)
    await module.lost
    while mood == "returns":
        network.stopped()
        await asyncio.sleep(0.1)  # the bus may not be free yet; SIM tries again too
        module, network = await powered(options)
        await module.lost
    if mood in ("stubborn", "leaves"):
        await asyncio.sleep(60)
    if module.violations:
        print(f"fake-sim: {module.violations}", file=sys.stderr)
        sys.exit(4)


if __name__ == "__main__":
    asyncio.run(main(arguments()))
