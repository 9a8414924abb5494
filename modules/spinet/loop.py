"""The loop: wait, dispatch, serve the link, reap, tasks.

All that is done at a certain time is a task. `poll(now)` does what is due, and returns in how
many milliseconds the task wants to be polled again; -1: not before Bell.stir() is called. All
tasks are polled when the earliest of their times has come, or when stir() was called in this pass,
so a task that has nothing to do must return at once. Opening and closing connections do not call
stir(). Only the stack's wait() sleeps.
"""

from array import array

from micropython import const

from spinet import fastpath
from spinet.compat import ticks_add, ticks_diff, ticks_ms
from spinet.fastpath import LOOP_FAR, LOOP_NOW, LOOP_STALE, LOOP_STIRRED

_HOUSEKEEPING_MS = const(1000)
_AGAIN_MS = const(20)  # before tasks are polled again after a stir() by one, or a MemoryError


class LinkLost(Exception):
    """The module lost its power, or is held in reset."""


class Bell:
    """Makes the loop poll its tasks. `words` is the hot path's array `loop`."""

    def __init__(self, stack):
        self.words = array("I", [0] * fastpath.LOOP_WORDS)
        self._stack = stack

    def stir(self):
        """Poll the tasks at the end of this pass. Service thread only; allocates nothing."""
        words = self.words
        words[LOOP_STIRRED] = 1
        words[LOOP_STALE] = 1

    def rouse(self):
        """From any thread: end the wait, and poll the tasks in that pass."""
        self.stir()
        self._stack.wake()

    def stop(self):
        """From any thread: make run() return soon."""
        self.words[fastpath.LOOP_STOP] = 1
        self._stack.wake()


class Housekeeping:
    """Feeds the watchdog, checks WiFi and accepts connections again, about once a second."""

    def __init__(self, board, wlan, listeners):
        self._board = board
        self._wlan = wlan
        self._listeners = listeners
        self._kept = 0  # ticks

    def start(self, now):
        """Begin the first second."""
        self._kept = now

    def poll(self, now):
        """A task: do it when a second is over."""
        left = _HOUSEKEEPING_MS - ticks_diff(now, self._kept)
        if left > 0:
            return left
        self._kept = now
        self._board.feed()
        self._wlan.refresh(now)
        self._listeners.accept_waiting()
        return _HOUSEKEEPING_MS


class Loop:
    """Runs in the service thread. Nothing in it allocates.

    `service` gives its parts; `tasks` is a tuple. Commands.out_of_memory() is called when a task or
    TLS raised MemoryError.
    """

    def __init__(self, service, tasks):
        self.words = service.bell.words
        self.tasks = tasks
        self._stack = service.stack
        self._port = service.port
        self._link = service.link
        self._manager = service.manager
        self._listeners = service.listeners
        self._sessions = service.sessions  # None: this personality does not call home
        self._tls = service.tls  # None in a firmware without TLS
        self._wlan = service.wlan
        self._garbage = service.garbage
        self._out_of_memory = service.commands.out_of_memory
        self._kit = service.manager.kit

    def start(self):
        """Prepare the first pass; returns its time."""
        now = ticks_ms()
        self.words[LOOP_NOW] = self.words[LOOP_FAR] = now
        self._manager.begin_pass(now)
        self._port.start(now)
        self.bind()
        return now

    def bind(self):
        """Look up, once, the functions and arrays of the hot path. Tests that replace one of them
        call this again."""
        kit = self._kit
        stack = self._stack
        kit[fastpath.KIT_WAIT] = stack.wait
        kit[fastpath.KIT_TICKS] = ticks_ms
        kit[fastpath.KIT_PENDING] = stack.pending
        kit[fastpath.KIT_EVENTS] = stack.events
        kit[fastpath.KIT_LOOP] = self.words
        kit[fastpath.KIT_COUNT] = self._link.count
        kit[fastpath.KIT_TX] = self._link.tx
        kit[fastpath.KIT_RX] = self._link.rx
        kit[fastpath.KIT_SIGNALS] = array("I", [0] * fastpath.SIGNAL_WORDS)
        kit[fastpath.KIT_ROLE] = 0
        self._port.bind(kit)

    def run_once(self):
        """Poll the tasks, then make one pass: sleep until something happens, and handle it all."""
        self.words[LOOP_STIRRED] = 1
        self.run(1)

    def run(self, passes):
        """Run so many passes, or fewer when Bell.stop() was called.

        turn() runs the usual ones; it returns for what it leaves to Python, which is done here.
        """
        words = self.words
        kit = self._kit
        manager = self._manager
        garbage = self._garbage
        turn = fastpath.turn
        resumed = 0
        calm = True  # no event was delivered in this pass
        words[LOOP_STALE] = 1  # anything may have changed since the last run
        if words[LOOP_STIRRED]:
            self._poll()
        self._plan(words[LOOP_NOW], self._port.poll(self._link, words[LOOP_NOW]))
        while True:
            why = turn(kit, passes, resumed)
            if why == fastpath.WHY_DONE:
                return
            manager.begin_pass(words[LOOP_NOW])
            passes = words[fastpath.LOOP_PASSES]
            if why == fastpath.WHY_EVENTS:
                words[LOOP_STALE] = 1
                manager.deliver()
                resumed = 1
                calm = False
                continue
            resumed = 0
            if self._serve(why):
                if garbage.is_full() or (why == fastpath.WHY_TIDY and calm and self._may_collect()):
                    self._collect()
                else:
                    self._tidy(words[LOOP_NOW])
            calm = True

    # --- the link

    def _serve(self, why):
        """Do what the hot path left of this pass's transaction. False: nothing has changed that
        _tidy() would have to look at, as in most phases of the controller-clocked link."""
        if why == fastpath.WHY_PLAIN:
            self._port.conclude(self._link)
        elif why == fastpath.WHY_PORT:
            return self._port.serve(self._link, self.words[LOOP_NOW])
        elif why == fastpath.WHY_FAILED:
            self._asked_slot().read_failed(self.words[fastpath.LOOP_TAKEN] - fastpath.TAKEN_ZERO)
        elif why == fastpath.WHY_BROKEN:
            self._asked_slot().write_failed(self.words[fastpath.LOOP_TAKEN] - fastpath.TAKEN_ZERO)
        return True

    def _asked_slot(self):
        return self._manager.slots[self._link.asked_socket()]

    # --- the end of a pass

    def _tidy(self, now):
        """End a pass in which a state changed or something was due: reap, accept, poll tasks."""
        # Few local variables: a larger frame would be allocated on the heap.
        words = self.words
        words[LOOP_STALE] = 0
        port_ms = self._port.poll(self._link, now)
        self._manager.step(now)
        if self._tls and self._tls.noted:
            self._deliver_tls()
        freed = self._manager.reap()
        if self._listeners.crowded and (freed or self._listeners.unfinished):
            self._listeners.accept_waiting()
        if freed and self._sessions and self._sessions.active:
            words[LOOP_STIRRED] = 1  # a session may wait for a slot
        if (
            words[LOOP_STIRRED]
            or ticks_diff(now, words[LOOP_FAR]) >= 0
            or self._garbage.is_unsure()
        ):
            self._poll()
        self._plan(now, port_ms)

    def _deliver_tls(self):
        try:
            self._tls.deliver()
        except MemoryError:
            self._out_of_memory()

    def _poll(self):
        """Poll all tasks; give the hot path the WiFi state and the RSSI that it answers with."""
        # One local variable more, here or in _poll_one(), and its frame would be on the heap.
        self.words[LOOP_STIRRED] = 0
        least = _HOUSEKEEPING_MS
        for task in self.tasks:
            ms = self._poll_one(task)
            if 0 <= ms < least:
                least = ms
        if self._manager.returned:
            least = 0  # for reap(): another part may wait for the slot that was given back
        elif self.words[LOOP_STIRRED] and least > _AGAIN_MS:
            least = _AGAIN_MS
        self.words[LOOP_FAR] = ticks_add(self.words[LOOP_NOW], least)
        self._manager.rows[fastpath.ROW_RSSI] = self._wlan.rssi & 0xFF
        self._link.refresh()

    def _poll_one(self, task):
        """A task without memory sets the last error; the other tasks go on."""
        try:
            return task.poll(self.words[LOOP_NOW])
        except MemoryError:
            self._out_of_memory()
            return _AGAIN_MS

    def _plan(self, now, ms):
        """Compute when the hot path has to return to Python next; for the link, in `ms`."""
        if self._listeners.unfinished or (self._tls and self._tls.noted):
            ms = 0
        fastpath.soonest(self.words, self._manager.rows, now, ms)

    # --- garbage

    def _may_collect(self):
        """True when there is enough garbage, and no request waits."""
        return self._garbage.is_much() and self._port.idle()

    def _collect(self):
        """Collect, if possible in a pass that does nothing else; what is due comes in the next."""
        words = self.words
        self._garbage.collect()
        words[LOOP_FAR] = words[fastpath.LOOP_DUE] = words[LOOP_NOW]
