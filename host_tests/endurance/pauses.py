"""A module that stands still again and again, for longer than a controller waits (behaviour L5).

SIM's process is stopped for 101 to 400 ms while a controller works and peers are served.
Transactions fail meanwhile, and connections with them; at the end the link works and every slot is
free.
"""

import contextlib
import os
import random
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path

from rrf_controller import CONTROLLERS, UNHURRIED, RrfNetwork
from sim_process import Sim
from slots import free_port, pattern

from endurance.peers import Broken, receive
from endurance.soak import config
from spinet_controller.codes import Command

SSID = b"Workshop"
PEERS = 4
LARGEST = 20000
SHORTEST_S, LONGEST_S = 0.101, 0.4
BETWEEN_S = 0.1
REST_S = 0.05  # the longest pause of the controller after a failure; nothing is armed meanwhile
SLOW = 0.5  # the share of turns with transactions of 12 ms and TRANSFER_READY falling 5 ms late
PATIENCE_S = 60


class Pauses(threading.Thread):
    """Stops a process `count` times, or until `over` is set; `done` counts them."""

    def __init__(self, pid, count, draw, over):
        super().__init__(daemon=True)
        self._over = over
        self._pid = pid
        self._count = count
        self._draw = draw
        self.done = 0

    def run(self):
        while self.done < self._count and not self._over.is_set():
            time.sleep(self._draw.uniform(0, BETWEEN_S))
            os.kill(self._pid, signal.SIGSTOP)
            try:
                time.sleep(self._draw.uniform(SHORTEST_S, LONGEST_S))
            finally:
                os.kill(self._pid, signal.SIGCONT)
            self.done += 1


class Peer(threading.Thread):
    """Sends, shuts its sending side and reads the echo, again and again until `over` is set."""

    def __init__(self, port, draw, over):
        super().__init__(daemon=True)
        self._port = port
        self._draw = draw
        self._over = over
        self.whole = self.broken = 0
        self.wrong = []

    def run(self):
        while not self._over.is_set():
            data = pattern(self._draw.randrange(1, LARGEST), self._draw.randrange(65536))
            try:
                self._note(data, self._echo(data))
            except (ConnectionResetError, BrokenPipeError):
                self.broken += 1
            except OSError as error:
                self.wrong.append(f"a peer: {type(error).__name__}: {error}")
                return

    def _echo(self, data):
        with socket.create_connection(("127.0.0.1", self._port), PATIENCE_S) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            return receive(sock, len(data) + 1)

    def _note(self, data, heard):
        """After an orderly end nothing may be missing; only a reset may cost bytes."""
        if heard == data:
            self.whole += 1
        else:
            self.wrong.append(f"a peer: {len(heard)} of {len(data)} bytes, or other ones")


class Run:
    """One run on a module that has booted."""

    def __init__(self, sim, count, seed, advance):
        self._controller = sim.controller
        self._draw = random.Random(seed)
        self._advance = advance
        self._over = threading.Event()
        port = free_port()
        self.network = RrfNetwork(sim.controller, SSID, port)
        self.pauses = Pauses(sim.process.pid, count, random.Random(f"{seed}:pauses"), self._over)
        self.peers = [
            Peer(port, random.Random(f"{seed}:{number}"), self._over) for number in range(PEERS)
        ]

    def run(self):
        """From joining a network to free slots."""
        self.network.ask(Command.NETWORK_ADD_SSID, data=config(SSID))
        self._until(lambda: self.network.listening, "the module to listen")
        for thread in (*self.peers, self.pauses):
            thread.start()
        self._controller.patience = 1
        while self.pauses.is_alive():
            self._turn()
            self._advance(self.pauses.done)
        self._controller.patience = UNHURRIED
        self._over.set()
        self._until(self._is_quiet, "every slot to be free")

    def _turn(self):
        slow = self._draw.random() < SLOW
        self._controller.shift_s, self._controller.drop_s = (0.006, 0.005) if slow else (0, 0)
        if not self.network.turn():
            time.sleep(self._draw.uniform(0, REST_S))

    def _is_quiet(self):
        return not any(peer.is_alive() for peer in self.peers) and self.network.all_free()

    def _until(self, condition, what):
        limit = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > limit:
                raise Broken(f"waited {PATIENCE_S} s for {what}")
            self.network.turn()

    def close(self):
        """End the pauses: a stopped module could not be ended."""
        self._over.set()
        if self.pauses.is_alive():
            self.pauses.join()


def run(pauses, seed, controller, role, advance=lambda done: None):
    """The whole run; a dictionary with what happened and, in `failures`, what should not have."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours = CONTROLLERS[controller]()
        ours.patience = UNHURRIED  # before and after the pauses
        sim = Sim(role, folder, controller=ours, start_new_session=True)
        stack.callback(sim.end)
        the_run = Run(sim, pauses, seed, advance)
        stack.callback(the_run.close)
        return report_of(sim, the_run, attempt(sim, the_run))


def attempt(sim, the_run):
    """Run it; what ended it too early, as lines."""
    try:
        sim.power_on()
        the_run.run()
    except (Broken, AssertionError, OSError, EOFError) as error:
        return [f"{type(error).__name__}: {error}"]
    return []


def report_of(sim, the_run, failures):
    network, controller = the_run.network, sim.controller
    early = getattr(controller, "early", 0)  # only an RrfController counts these
    failures += [line for peer in the_run.peers for line in peer.wrong]
    failures += [line for line in sim.lines if "Traceback" in line]
    if early:
        failures.append(f"{early} transactions that were not asked for")
    return {
        "pauses": the_run.pauses.done,
        "failedTransactions": network.failed,
        "clockedUnarmed": getattr(controller, "unarmed", 0),
        "connectionsServed": network.served,
        "echoes": sum(peer.whole for peer in the_run.peers),
        "echoesCutOff": sum(peer.broken for peer in the_run.peers),
        "failures": failures,
    }
