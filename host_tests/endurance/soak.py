"""A long run against the controller's time-outs (behaviour L3).

SIM with either stack, over the virtual bus. A strict controller has traffic on all eight
sockets and does a controller's other work now and then, a REPL beside the serving module allocates
and prints, scans go on. Controller and peers are one thread: nothing of theirs happens within a
transaction, so what is measured is the module, the bus, and what the computer takes from either.
Nothing of it is forgiven.
"""

import contextlib
import os
import random
import socket
import tempfile
import time
from pathlib import Path

from own_network import WITH_TAP, own_network
from raw_controller import RawController, listen_or_connect
from rrf_controller import RrfController
from sim_process import BINARY, LWIP_BINARY, Sim
from slots import free_port

from endurance.console import EXPRESSIONS, Console
from endurance.conversation import Conversation, Endings
from endurance.limits import Stopwatch
from endurance.peers import Broken
from endurance.processor import Threads
from spinet import states
from spinet_controller.codes import Command

PEERS = 10  # two more than there are slots: one always waits to be accepted
SLOTS = 8
PATIENCE_S = 60
MAX_DATA = 2048
NETWORK = b"Workshop"
SPARE = b"Spare"
SCAN_RECORD = 45
EMPTY = 0
SCAN_IN_PROGRESS = -13

# How often a turn is something else than traffic, of a thousand.
CHORES = {
    "null": 10,
    "network_status": 2,
    "scan": 4,
    "names": 2,
    "last_error": 2,
    "store": 2,
}
TRAFFIC = 1000 - sum(CHORES.values())


class Timed:
    """Gives a controller a stopwatch, and drops its frames, of which there would be millions."""

    def __init__(self, patience, console):
        super().__init__()
        self.patience = patience
        self.stopwatch = Stopwatch(patience)
        self._console = console
        self._module = self._own = Threads(os.devnull)

    def watch(self, pid):
        """The module has started all its threads."""
        self._module = Threads(f"/proc/{pid}/task")
        self._own = Threads("/proc/self/task")

    def close(self):
        super().close()
        self._module.close()
        self._own.close()

    def transact(self, message, take=MAX_DATA):
        """One transaction, timed as a controller does: first the pins, then the rest."""
        self.frames.clear()
        before = self._module.read(), self._own.read()
        began = time.monotonic()
        self.until(self.idle)
        offered = time.monotonic()
        answer = super().transact(message, take)
        if self.stopwatch.note(message[1], offered - began, time.monotonic() - offered):
            self._explain(*before)
        return answer

    def _explain(self, module, own):
        module = Threads.between(module, self._module.read())
        own = Threads.between(own, self._own.read())
        self.stopwatch.explain(
            sum(waited for _, waited in module + own) / 1000,
            "(computed, waited for a processor) in ms: "
            f"the module's threads {module}, ours {own}; the REPL: {self._console.line}",
        )


class TimedController(Timed, RawController):
    """The strict one."""


class TimedRrfController(Timed, RrfController):
    """The one that gives up; a transaction that it gave up ends the run."""


TIMED = {"strict": TimedController, "rrf": TimedRrfController}


class Soak:
    """One run. `transactions` is a least: what is under way at the end is brought to its end."""

    def __init__(self, sim, console, transactions, seed, advance):
        self._sim = sim
        self._console = console
        self._transactions = transactions
        self._draw = random.Random(seed)
        self._advance = advance
        self._module = ("", 0)  # its address and port
        self._slots = [None] * SLOTS  # the conversation that the controller knows there
        self._by_port = {}  # the peer's port -> conversation
        self._peers = []
        self._scanning = False
        self.endings = Endings()
        self.scans = 0
        self.errors = set()
        self.free_heap = []

    def ask(self, command, *args, **fields):
        """One transaction; the answer's response and data. Raises Broken for a refusal."""
        response, data = self._sim.ask(command, *args, **fields)
        if response < 0:
            raise Broken(f"{Stopwatch.name(command)} was refused: {response}")
        return response, data

    def count(self):
        """Transactions so far."""
        return self._sim.controller.stopwatch.count

    # --- from start to end

    def run(self):
        """All of it, on a module that has booted."""
        self._join()
        self._listen()
        while self.count() < self._transactions:
            self._turn()
            self._keep_peers()
            self._advance(min(self.count(), self._transactions))
        self._wind_up()

    def _join(self):
        self.ask(Command.NETWORK_ADD_SSID, data=config(NETWORK))
        self.ask(Command.NETWORK_START_CLIENT, data=NETWORK)
        self._until(lambda: self.ask(Command.NETWORK_GET_STATUS)[1][0], "WiFi to connect")

    def _listen(self):
        address = socket.inet_ntoa(self.ask(Command.NETWORK_GET_STATUS)[1][:4])
        self._module = (address, free_port())
        self.ask(Command.NETWORK_LISTEN, data=listen_or_connect(self._module[1]))
        if self._fetch_error():
            raise Broken(f"the module does not listen: {self.errors}")

    def _wind_up(self):
        """No new connections and no chores; those under way come to their end."""
        self._until(self._is_wound_up, "the last connections, the scan and the REPL to end")

    def _is_wound_up(self):
        self._traffic()
        for peer in self._peers:
            peer.step()
        self._drop_ended()
        self._console.step(idle=True)
        if self._scanning:
            self._scan()
        busy = self._peers or self._console.busy or self._scanning
        return not busy and not any(self._slots)

    def _until(self, condition, what):
        limit = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > limit:
                raise Broken(f"waited {PATIENCE_S} s for {what}")

    # --- peers

    def _keep_peers(self):
        """A step of one of them, so that transactions are not far between."""
        if len(self._peers) < PEERS:
            peer = Conversation(self._module, self._draw, self.endings)
            self._peers.append(peer)
            self._by_port[peer.port] = peer
        self._draw.choice(self._peers).step()
        self._drop_ended()

    def _drop_ended(self):
        self._peers = [peer for peer in self._peers if not peer.ended]

    def close(self):
        """All that is left of them."""
        for peer in self._peers:
            peer.close()

    # --- the controller

    def _turn(self):
        self._console.step()
        kind = self._draw.choices(("traffic", *CHORES), (TRAFFIC, *CHORES.values()))[0]
        getattr(self, f"_{kind}")()

    def _traffic(self):
        slot = self._draw.randrange(SLOTS)
        _, data = self.ask(Command.CONN_GET_STATUS, slot)
        state, port = data[0], int.from_bytes(data[6:8], "little")
        available, space = (int.from_bytes(data[at : at + 2], "little") for at in (12, 14))
        if state in (states.CONNECTED, states.OTHER_END_CLOSED, states.ABORTED):
            self._serve(slot, self._known(slot, port), state, available, space)
        elif state == states.FREE and self._slots[slot]:
            self._forget(slot)

    def _known(self, slot, port):
        """The conversation of that peer's port, which a later peer may have had again."""
        known, latest = self._slots[slot], self._by_port.get(port)
        if known and (known.port != port or (known.released and known is not latest)):
            self._forget(slot)
            known = None
        if not known:
            known = self._slots[slot] = latest
            if not known:
                raise Broken(f"slot {slot} has a peer that never dialled, at port {port}")
            known.accepted = True
        return known

    def _forget(self, slot):
        known, self._slots[slot] = self._slots[slot], None
        if not known.released:
            raise Broken(f"slot {slot} became free by itself")
        if self._by_port.get(known.port) is known:
            del self._by_port[known.port]

    def _serve(self, slot, talk, state, available, space):
        if talk.released:
            return
        if state == states.ABORTED:
            talk.check_aborted()
            self._release(slot, talk, Command.CONN_ABORT)
        elif talk.wants_abort():
            self._release(slot, talk, Command.CONN_ABORT)
        elif available and self._draw.random() < 0.7:
            self._read(slot, talk, available)
        elif talk.unwritten() and space and state == states.CONNECTED:
            self._write(slot, talk, space)
        elif state == states.OTHER_END_CLOSED and not available:
            talk.check_finished()
            self._release(slot, talk, Command.CONN_CLOSE)
        elif talk.wants_close():
            self._release(slot, talk, Command.CONN_CLOSE)

    def _release(self, slot, talk, command):
        talk.released = True
        self.ask(command, slot)

    def _read(self, slot, talk, available):
        most = min(MAX_DATA, self._draw.randint(1, 2 * available))
        count, data = self._sim.ask(Command.CONN_READ, slot, available=most)
        if count < 0:
            return  # its peer reset it meanwhile; the next status tells
        talk.heard(data)

    def _write(self, slot, talk, space):
        data, flags = talk.next_piece(self._draw.randint(1, min(space, MAX_DATA)))
        count, _ = self._sim.ask(Command.CONN_WRITE, slot, flags=flags, data=data)
        if count >= 0:
            talk.wrote(count, flags)
        elif not talk.may_break():
            raise Broken(f"connWrite was refused: {count}")

    # --- a controller's other work

    def _null(self):
        self.ask(Command.NULL)

    def _network_status(self):
        _, data = self.ask(Command.NETWORK_GET_STATUS)
        self.free_heap.append(int.from_bytes(data[4:8], "little"))

    def _names(self):
        self.ask(Command.NETWORK_LIST_SSIDS)

    def _last_error(self):
        self._fetch_error()

    def _fetch_error(self):
        response, data = self.ask(Command.NETWORK_GET_LAST_ERROR)
        text = data[: max(0, response - 1)].decode()
        if text:
            self.errors.add(text)
        return text

    def _scan(self):
        if not self._scanning:
            self.ask(Command.NETWORK_START_SCAN)
            self._scanning = True
            return
        count, _ = self._sim.ask(Command.NETWORK_GET_SCAN_RESULT)
        if count == SCAN_IN_PROGRESS:
            return
        if count <= EMPTY or count % SCAN_RECORD:
            raise Broken(f"a scan's result of {count} bytes")
        self._scanning = False
        self.scans += 1

    def _store(self):
        """Commands that store something, for which the controller waits longer."""
        kind = self._draw.randrange(4)
        if kind == 0:
            self.ask(Command.NETWORK_ADD_SSID, data=config(SPARE))
        elif kind == 1:
            self.ask(Command.NETWORK_ADD_SSID, data=config(SPARE, b"another-one"))
        elif kind == 2:
            self.ask(
                Command.NETWORK_CONFIGURE_ACCESS_POINT, data=config(b"Own", ip=bytes([10, 0, 0, 1]))
            )
        else:
            self.ask(Command.NETWORK_RETRIEVE_SSID_DATA)


def config(ssid, password=b"long enough", ip=bytes(4)):
    """A WirelessConfig."""
    return ip + bytes(12) + ssid.ljust(32, b"\0") + password.ljust(64, b"\0")


def run(
    transactions,
    seed,
    role,
    patience,
    advance=lambda done: None,
    expressions=EXPRESSIONS,
    controller="strict",
    stack="sockets",
):
    """The whole run; a dictionary with what happened and, in `failures`, what should not have.

    `patience` multiplies the controller's limits, `expressions` are what the REPL is told. `stack`
    is SIM's: sockets, or lwip, which needs root.
    """
    with contextlib.ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        console = ends.enter_context(contextlib.closing(Console(expressions)))
        if stack == "lwip":
            ends.enter_context(own_network())
        sim = start(stack, role, folder, console, TIMED[controller](patience, console))
        ends.callback(sim.end)
        soak = Soak(sim, console, transactions, seed, advance)
        ends.callback(soak.close)
        broken = attempt(sim, soak)
        return report_of(sim, soak, console, role, seed, broken)


def start(stack, role, folder, console, controller):
    """SIM with a REPL; a Ctrl-C in our terminal is ours alone."""
    binary, before = {"sockets": (BINARY, ()), "lwip": (LWIP_BINARY, WITH_TAP)}[stack]
    return Sim(
        *(role, folder, "--repl"),
        controller=controller,
        binary=binary,
        before=before,
        script=("-i", "-m", "sim"),
        stdin=console.slave,
        stdout=console.slave,
        start_new_session=True,
    )


def attempt(sim, soak):
    """Run it; what ended it too early, as lines."""
    try:
        sim.power_on()
        sim.controller.watch(sim.process.pid)
        soak.run()
    except (Broken, AssertionError, OSError, EOFError) as error:
        return [f"after {soak.count()} transactions: {type(error).__name__}: {error}"]
    return []


def report_of(sim, soak, console, role, seed, broken):
    stopwatch = sim.controller.stopwatch
    report = {
        "transactions": stopwatch.count,
        "role": role,
        "seed": seed,
        "limits": stopwatch.limits(),
        "commands": stopwatch.commands(),
        "missed": stopwatch.missed,
        "missedUnexplained": stopwatch.unexplained,
        "connections": dict(sorted(soak.endings.count.items())),
        "bytesToThePeers": soak.endings.to_peers,
        "bytesToTheController": soak.endings.to_controller,
        "scans": soak.scans,
        "lastErrors": sorted(soak.errors),
        "repl": console.result(),
        "freeForTheSystem": [min(soak.free_heap), max(soak.free_heap)] if soak.free_heap else [],
    }
    told = [f"last error: {text}" for text in report["lastErrors"]]
    printed = console.tracebacks + [line for line in sim.lines if "Traceback" in line]
    return {**report, "failures": broken + stopwatch.failures() + told + printed}
