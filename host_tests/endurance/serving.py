"""The module under load: the slots over real lwIP, and a controller that answers every peer.

What a peer asks for is in its first line:

    echo              everything comes back; its FIN ends it
    give SIZE SEED    SIZE bytes of pattern(SEED), then a close
    take SEED         everything is read and compared with pattern(SEED); its FIN ends it

Time is the stack's: `speed` seconds of it pass in one second, for lwIP and for the slots alike.
"""

import time
from typing import NamedTuple

from lwip_net import LwipNet
from slots import MAX_DATA, Slots, pattern

from spinet import states

LONGEST_TURN_S = 0.1  # more is not the module's time: the computer had none for this process
SETTLE_S = 60  # seconds for everything to have come back at the end
REST_S = 0.5
TIME_WAIT_SPEED = 400  # TIME-WAIT is ten seconds of the stack's clock, ARP some minutes
TURN_MS = 20

_LIVE = (states.CONNECTED, states.OTHER_END_CLOSED)


class Patience(NamedTuple):
    """Milliseconds: a controller closes what makes no progress, and aborts what says nothing.

    What a peer does to end that sooner may come late: a busy computer is slow to run its thread.
    """

    stalled: int = 2000
    idle: int = 100_000


class Application:
    """What the controller does with one connection."""

    def __init__(self, slot, now, patience):
        self._patience = patience
        self.slot = slot
        self.token = slot.token()
        self._request = bytearray()
        self._step = self._await_request
        self._out = b""  # asked for, not accepted yet
        self._left = 0  # of a `give`, not in _out yet
        self._seed = 0
        self._moved = now  # when a byte was last read or accepted
        self.wrong = 0  # bytes of a `take` that were not the pattern's
        self.was_idle = False

    def step(self, slots):
        """One look at the connection; True while it is ours."""
        slot = self.slot
        data = slots.read(slot) if slot.state == states.CONNECTED else b""
        if data:
            self._moved = slots.now
        self._step(data)
        self._write(slots)
        self.was_idle = self._is_idle(slots.now)
        if slot.state == states.ABORTED or self.was_idle:
            slot.abort()
        elif self._is_over(slots.now):
            slot.close()
        return slot.state in _LIVE and slot.token() == self.token

    def _await_request(self, data):
        self._request += data
        line, end, rest = self._request.partition(b"\n")
        if not end:
            return
        kind, *numbers = line.split()
        if kind == b"give":
            self._step = self._give
            self._left, self._seed = map(int, numbers)
        elif kind == b"take":
            self._step = self._take
            self._seed = int(numbers[0])
        else:
            self._step = self._echo
        self._step(bytes(rest))

    def _echo(self, data):
        self._out += data

    def _give(self, _data):
        if not self._out and self._left:
            n = min(self._left, MAX_DATA)
            self._out = pattern(n, self._seed)
            self._seed += n
            self._left -= n

    def _take(self, data):
        self.wrong += data != pattern(len(data), self._seed)
        self._seed += len(data)

    def _write(self, slots):
        if self._out and (n := slots.write(self.slot, self._out[:MAX_DATA])):
            self._out = self._out[n:]
            self._moved = slots.now

    def _is_idle(self, now):
        return not self._out and not self._left and now - self._moved > self._patience.idle

    def _is_over(self, now):
        """Nothing to come and nothing to say; or the peer takes nothing any more."""
        if self._out or self._left:
            return self.slot.cut_off() or now - self._moved > self._patience.stalled
        given = self._step == self._give
        return given or self.slot.state == states.OTHER_END_CLOSED


class ServingModule:
    """Slots, listener and controller. One thread calls turn() until the run is over."""

    def __init__(self, speed=1, program=None, patience=None):
        self.net = LwipNet(program)
        self.core = self.net.core
        self._speed = speed
        self._patience = patience or Patience()
        self._passed_s = 0.0
        self._looked = time.monotonic()  # at the clock
        self.slots = Slots(self.net)
        self.port = self.slots.listen()
        self._applications = {}
        self.wrong = 0
        self.idle = 0  # connections that the controller aborted because nothing came
        self.before = self.after = None
        self._rest()
        self.core.call("warp", speed)
        self.before = self.memory()

    def pass_time(self):
        """One pass of the loop alone."""
        now = time.monotonic()
        self._passed_s += min(now - self._looked, LONGEST_TURN_S)
        self._looked = now
        self.slots.now = int(self._passed_s * 1000 * self._speed)
        self.slots.turn(TURN_MS)

    def serve(self, crowd, probe, advance):
        """Serve them until they are through, then settle."""
        probe.start()
        crowd.start()
        while crowd.is_busy():
            self.turn()
            advance(crowd.count())
        probe.end()
        while probe.is_alive():
            self.turn()
        self.settle()

    def turn(self):
        """One pass of the loop, and of the controller over its connections."""
        slots = self.slots
        self.pass_time()
        for slot in slots.slots:
            if slot.state in _LIVE or slot.state == states.ABORTED:
                self._serve(slot)

    def _serve(self, slot):
        application = self._applications.get(slot.number)
        if application is None or application.token != slot.token():
            application = self._applications[slot.number] = Application(
                slot, self.slots.now, self._patience
            )
        if not application.step(self.slots):
            self.wrong += application.wrong
            self.idle += application.was_idle
            del self._applications[slot.number]

    def memory(self):
        """What lwIP holds, and the handles in use."""
        stats = self.core.stats()
        return {**self.core.memory(), "entries": stats["entries"], "orphans": stats["orphans"]}

    def _rest(self):
        """Until lwIP's own timers have given back what they took at the start."""
        self.core.call("warp", TIME_WAIT_SPEED)
        end = time.monotonic() + REST_S
        self._turn_until(lambda: time.monotonic() > end)

    def is_quiet(self):
        """No slot is taken and no connection is left in the stack."""
        return not self.slots.busy() and not self.core.call("active_pcbs", -1)

    def settle(self):
        """Let everything end, TIME-WAIT included."""
        self._turn_until(self.is_quiet)
        self.core.call("warp", TIME_WAIT_SPEED)
        self._turn_until(lambda: not self.core.memory()["time_wait"])
        # What lwIP does by its own timers, ARP for one, gives its memory back in a while.
        self._turn_until(self._is_as_before)

    def _is_as_before(self):
        self.after = self.memory()
        return not grown(self.before, self.after)

    def _turn_until(self, condition):
        limit = time.monotonic() + SETTLE_S
        while not condition() and time.monotonic() < limit:
            self.turn()

    def result(self):
        """After settle(): what must be as it was, and what must be nothing."""
        return {
            "before": self.before,
            "after": self.after,
            "slotsNotFree": self.slots.busy(),
            "stale": self.slots.stack.stale,
            "faults": self.slots.manager.faults,
            "wrongBytes": self.wrong,
            "idle": self.idle,
            "unacknowledgedCloses": self.slots.manager.unacknowledged_closes,
            "stack": self.core.stats(),
        }


def grown(before, after):
    """What is more than it was. Less is no leak: a packet may have been on its way at the start."""
    return {name: n for name, n in after.items() if n > before[name]}


def failures_of(result):
    """What of a result() is not as it has to be, a list of lines."""
    lines = []
    if grown(result["before"], result["after"]):
        lines.append(f"not at base line: {result['before']} before, {result['after']} after")
    lines += [
        f"{name}: {result[name]}"
        for name in ("slotsNotFree", "stale", "faults", "wrongBytes")
        if result[name]
    ]
    lines += [f"{count} x {what}" for what, count in result.get("failed", {}).items()]
    return [*lines, f"the probe: {result['probeBroken']}"] if result.get("probeBroken") else lines
