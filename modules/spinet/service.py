"""The loop: wait, dispatch, serve the link, reap, housekeeping.

It runs in a thread of its own, so that the REPL stays free: `service.start(board)` from main.py,
`service.current` to look at, `service.stop()` to end it. Only the stack's wait() sleeps.
"""

import gc
import sys
from array import array

from micropython import const

from spinet import compat, fastpath, trace
from spinet.compat import ticks_add, ticks_diff, ticks_ms
from spinet.duet import wire
from spinet.duet.commands import LITTLE, MUCH, Commands
from spinet.duet.transaction import Link, LinkLost
from spinet.fastpath import (
    KIT_COUNT,
    KIT_EVENTS,
    KIT_LOOP,
    KIT_PENDING,
    KIT_ROLE,
    KIT_RX,
    KIT_SIGNALS,
    KIT_TICKS,
    KIT_TX,
    KIT_WAIT,
    LOOP_DUE,
    LOOP_FAR,
    LOOP_NOW,
    LOOP_PASSES,
    LOOP_STALE,
    LOOP_STOP,
    LOOP_TAKEN,
    LOOP_WORDS,
    ROW_RSSI,
    SIGNAL_WORDS,
    TAKEN_ZERO,
    WHY_BROKEN,
    WHY_DONE,
    WHY_EVENTS,
    WHY_FAILED,
    WHY_PLAIN,
    WHY_PORT,
    WHY_TIDY,
    WHY_WITHDRAWN,
    soonest,
)
from spinet.last_error import LastError
from spinet.naming.discovery import Discovery
from spinet.tcp.callhome import NamedPeers, SessionTable
from spinet.tcp.listener import ListenerTable
from spinet.tcp.manager import ConnectionManager
from spinet.tcp.resolver import Names
from spinet.tls.stack import TlsStack
from spinet.wifi.networks import Networks
from spinet.wifi.wlan import Wlan

NEWS_MS = const(200)  # how often the controller is told again of news it has not fetched
HOUSEKEEPING_MS = const(1000)
WATCH_MS = const(20)  # how often WiFi is looked at while something is under way there
GARBAGE = const(16384)  # bytes allocated since the last collection that call for one at idle
HEADROOM = const(65536)  # the same, idle or not; garbage is never more than this and one command's

PASSES = const(1000)  # between two looks at whether stop() was called

current = None  # the Service that runs, for the REPL and for reports
on_boot = None  # called with each Service before it starts: for settings that outlive a reset
_running = False  # start() to stop(); the thread ends when it is cleared
_ended = None  # a lock that the thread holds while it runs


class Service:
    """Everything between one boot and the next reset or loss of power."""

    def __init__(self, board):
        self.board = board
        self.stack = board.stack()
        self.port = board.link_port()
        self.networks = Networks(board.store("networks"))
        self._stirred = False  # there may be something to watch, or news; set by _stir()
        self.error = LastError(self._stir)
        self.wlan = Wlan(board.radio(), self.networks, self.error, self._stir, board.DEBUG)
        self.manager = ConnectionManager(self.stack, board.DEBUG)
        self.tls = TlsStack(self.manager, self._rouse) if compat.tls_session else None
        self.listeners = ListenerTable(self.manager, self.tls)
        if self.tls:
            self.tls.on_failure = self.error.set
            self.tls.on_begin = self._on_handshake
        self.names = Names(self._rouse)
        self.sessions = SessionTable(self.manager, self.names, self.error.set)
        self.sessions.on_event = self._on_session
        self.discovery = self._discovery()
        self.commands = Commands(
            board,
            self.manager,
            self.listeners,
            self.sessions,
            NamedPeers(self.manager, self.names, self.error.set),
            self.wlan,
            self.networks,
            self.error,
            self.tls,
            self.discovery,
            self.port.set_clock,
            self._report,
        )
        self.link = Link(self.commands, board.buffers)
        self._told = 0  # when the controller was last told that there is news
        self._kept = 0  # when housekeeping was last done
        self._base = -1  # heap in use soon after the last collection; -1: unknown
        self._garbage = 0  # bytes, when last measured; commands.allocated came later
        self._loop = array("I", [0] * LOOP_WORDS)
        self._kit = self.manager.kit
        self._telling = None  # what diagnostics print, step by step; set by _report()

    def _discovery(self):
        board = self.board
        announcer, make_captive = board.announcers(self.stack)
        discovery = Discovery(announcer, make_captive, self.listeners, self.wlan)
        discovery.on_due = self._on_discovery
        self.listeners.on_change = discovery.note_listeners
        self.wlan.on_change = self._on_wifi
        return discovery

    def _on_session(self, session, event):
        trace.note(trace.SESSION, trace.NO_SLOT, event, session.port)

    def _on_wifi(self, before, after):
        if after != before:
            trace.note(trace.WIFI, trace.NO_SLOT, after, before)
            self.discovery.note_wifi()

    def _on_discovery(self):
        """A datagram came, or there is something to announce. Both allocate."""
        self.commands.allocated += MUCH
        self._note_stale()

    def _on_handshake(self):
        """It allocates, whoever asked for it."""
        self.commands.allocated += MUCH

    def _report(self):
        """The diagnostics command. All of it is long for a UART: a step for each pass of the loop,
        so that the controller's next request is not kept waiting."""
        self._telling = self._steps()

    def _steps(self):
        # Only now, as no other command needs these modules; and not in the command itself, where
        # more of the stack is taken already.
        from spinet.report import telling

        yield True
        yield from telling(self)

    def _tell(self):
        self.commands.allocated += LITTLE
        try:
            goes_on = next(self._telling, False)
        except MemoryError:  # the trace is copied in one piece
            self.board.say("no memory for the rest of the report")
            goes_on = False
        if not goes_on:
            self._telling = None

    def start(self):
        """Signal to the controller that we are up."""
        gc.collect()
        if compat.MICROPYTHON:
            self._base = gc.mem_alloc()
        trace.note(trace.BOOT, trace.NO_SLOT, 0, 0)
        now = ticks_ms()
        self._kept = self._told = self.manager.now = self._loop[LOOP_NOW] = now
        self.port.start(now)
        self.bind()

    def bind(self):
        """Look up once what the hot path calls; again after something of it was replaced."""
        kit = self._kit
        stack = self.stack
        kit[KIT_WAIT] = stack.wait
        kit[KIT_TICKS] = ticks_ms
        kit[KIT_PENDING] = stack.pending
        kit[KIT_EVENTS] = stack.events
        kit[KIT_LOOP] = self._loop
        kit[KIT_COUNT] = self.link.count
        kit[KIT_TX] = self.link.tx
        kit[KIT_RX] = self.link.rx
        kit[KIT_SIGNALS] = array("I", [0] * SIGNAL_WORDS)
        kit[KIT_ROLE] = 0
        self.port.bind(kit)

    def run_once(self):
        """One pass: sleep until something happened, then deal with all of it."""
        self.run(1)

    def run(self, passes):
        """So many passes, or fewer when stop() was called. Nothing in it allocates.

        What is out of the ordinary is done here, between two stays in the hot path.
        """
        loop = self._loop
        kit = self._kit
        manager = self.manager
        turn = fastpath.turn
        resumed = 0
        calm = True  # nothing was handed out in this pass
        loop[LOOP_STALE] = 1  # who knows what was done since the last run
        self._look_ahead(loop[LOOP_NOW])
        self._plan(loop[LOOP_NOW])
        while True:
            why = turn(kit, passes, resumed)
            if why == WHY_DONE:
                return
            manager.now = loop[LOOP_NOW]
            passes = loop[LOOP_PASSES]
            if why == WHY_EVENTS:
                loop[LOOP_STALE] = 1
                manager.deliver()
                resumed = 1
                calm = False
            elif why == WHY_PORT:
                resumed = 0
                self._serve_port(loop[LOOP_NOW])
                calm = True
            else:
                resumed = 0
                self._serve(why)
                if self._is_full() or (why == WHY_TIDY and calm and self._may_collect()):
                    self._collect()
                else:
                    self._tidy(loop[LOOP_NOW])
                calm = True

    def stop(self):
        """From any thread: run() returns soon."""
        self._loop[LOOP_STOP] = 1
        self.stack.wake()

    def _stir(self):
        """There may be something to watch, or news: the end of this pass looks around."""
        self._stirred = True

    def _note_stale(self):
        """The end of this pass has something to look at, which no event of a connection's tells."""
        self._loop[LOOP_STALE] = 1

    def _rouse(self):
        """From any thread, once its answer is there: let a pass end, and look at it."""
        self._note_stale()
        self.stack.wake()

    def _serve(self, why):
        """What the hot path left of this pass's transaction, or all of it."""
        if why == WHY_PLAIN:
            self.port.conclude(self.link)
        elif why == WHY_FAILED:
            slot = self.manager.slots[wire.request_socket(self.link.rx)]
            slot.read_failed(self._loop[LOOP_TAKEN] - TAKEN_ZERO)
        elif why == WHY_BROKEN:
            slot = self.manager.slots[wire.request_socket(self.link.rx)]
            slot.write_failed(self._loop[LOOP_TAKEN] - TAKEN_ZERO)
        elif why == WHY_WITHDRAWN:
            self.port.withdraw()
        else:
            self.port.look(self.link, self._loop[LOOP_NOW])

    def _serve_port(self, now):
        """A phase of the controller-clocked link that the hot path left; most need no tidying."""
        if self.port.serve(self.link, now):
            if self._is_full():
                self._collect()
            else:
                self._tidy(now)

    def _tidy(self, now):
        """The end of a pass in which anything but bytes has moved, or something was due."""
        manager = self.manager
        self._loop[LOOP_STALE] = 0
        if self.commands.allocated >= GARBAGE:
            self._weigh()
        manager.step_if_due(now)
        if self.tls:
            self._step(self.tls, now)
        freed = manager.reap()
        if self.listeners.crowded and (freed or self.listeners.unfinished):
            self.listeners.accept_waiting()
        if self._restless() or ticks_diff(now, self._loop[LOOP_FAR]) >= 0:
            self._look_around(now)
        self._plan(now)

    def _plan(self, now):
        """When Python has to look next."""
        ms = self.port.due_ms(now)
        if self.tls:
            due = self.tls.due_ms(now)
            if 0 <= due < ms or ms < 0:
                ms = due
        if self.listeners.unfinished:
            ms = 0
        soonest(self._loop, self.manager.rows, now, ms)

    # What has nothing to do with the slots is looked at when its time has come, and after whatever
    # may have brought that forward; not whenever a connection comes or goes.

    def _restless(self):
        """What _look_around() looks after is not as it was left."""
        return (
            self._stirred
            or self.discovery.active
            or self.sessions.active
            or self.names.asked
            or self._telling
        )

    def _look_around(self, now):
        """Names, sessions, WiFi, announcements and the house."""
        self._stirred = False
        if self.names.asked:
            self._step(self.names, now)
        if self.sessions.active:
            self._step(self.sessions, now)
        self._look_after(now)
        self._look_ahead(now)

    def _step(self, part, now):
        """What there is no memory for is told to the controller; the others go on, and so does this
        part when it is due again."""
        try:
            part.step(now)
        except MemoryError:
            self.commands.out_of_memory()

    def _look_ahead(self, now):
        """When the next time is; and what the hot path tells of WiFi until then."""
        self._loop[LOOP_FAR] = ticks_add(now, self._far_ms(now))
        self.manager.rows[ROW_RSSI] = self.wlan.rssi & 0xFF
        self.link.refresh()

    def _far_ms(self, now):
        """Until the next of these things that has a time, of which housekeeping is one."""
        if self._telling:
            return 0
        ms = max(0, HOUSEKEEPING_MS - ticks_diff(now, self._kept))
        if self._garbage >= GARBAGE or self.wlan.active():
            ms = min(ms, WATCH_MS)
        if self.names.asked:
            ms = min(ms, self.names.due_ms(now))
        if self.sessions.active:
            due = self.sessions.due_ms(now)
            ms = min(ms, due) if due >= 0 else ms
        if self.discovery.active:
            ms = min(ms, self.discovery.due_ms(now))
        return min(ms, NEWS_MS) if self.wlan.has_news() else ms

    def _look_after(self, now):
        wlan = self.wlan
        if wlan.active():
            self._step(wlan, now)
        if self.discovery.active:
            self._step(self.discovery, now)
        if wlan.has_news() and ticks_diff(now, self._told) >= NEWS_MS:
            self._announce(now)
        if self._telling:
            self._tell()
        if ticks_diff(now, self._kept) >= HOUSEKEEPING_MS:
            self._kept = now
            self._keep_house()

    def _announce(self, now):
        """Tell the controller that there is news, as soon as no request is under way."""
        if self.port.idle():
            self._told = now
            self.port.signal()
        else:
            self._stir()
            self._note_stale()  # a transaction that goes the hot way calls for no look by itself

    def _keep_house(self):
        now = self.manager.now
        if ticks_diff(now, self._told) > NEWS_MS:
            self._told = ticks_add(now, -NEWS_MS)  # days ago would be days ahead: ticks wrap
        self.board.feed()
        self._weigh()
        try:
            self.wlan.refresh(now)
            self.listeners.accept_waiting()
        except MemoryError:
            self.commands.out_of_memory()

    def _weigh(self):
        """Measure how much garbage there is. It takes long: the VM walks through its heap."""
        if compat.MICROPYTHON:
            used = gc.mem_alloc()
            if self._base < 0:
                self._base = used - self.commands.allocated
            self._garbage = used - self._base
        self.commands.allocated = 0

    def _is_full(self):
        """There may be so much garbage that its collection cannot wait for an idle link."""
        return self._garbage + self.commands.allocated >= HEADROOM

    def _may_collect(self):
        """There is garbage, and no request waits."""
        return self._garbage >= GARBAGE and self.port.idle()

    def _collect(self):
        """Collect garbage, if possible in a pass that does nothing else; what is due has the next.

        To measure garbage takes long as well, so it was measured in another pass, and is measured
        again in the next one. Between two measurements each command counts for the most that it
        can allocate, so HEADROOM holds however fast commands come. gc.threshold() would not do: it
        also counts what was given back at once, and collects in any pass that exceeds it.
        """
        self._garbage = self.commands.allocated = 0
        gc.collect()
        self._base = -1
        self._kept = ticks_add(self._kept, -HOUSEKEEPING_MS)
        self._loop[LOOP_FAR] = self._loop[LOOP_DUE] = self._loop[LOOP_NOW]

    def shut(self):
        """The end: every connection is reset, every socket given back."""
        self.port.stop()
        self.discovery.leave()
        self.wlan.stop()
        if self.tls:
            self.tls.shut()
        self.names.stop()
        self.stack.shut()
        self.manager.shut()


def run(board):
    """Boot again and again: until stop(), or until the board says there is nothing to boot."""
    while _running:
        try:
            if not board.power_up(running):
                return
            _live(board)
        except LinkLost as e:
            board.say(str(e))


def _live(board):
    """From a boot to the next reset or loss of power, which raise LinkLost, or to stop()."""
    global current
    current = Service(board)
    try:
        if on_boot:
            on_boot(current)
        current.start()
        while _running:
            current.run(PASSES)
    finally:
        current.shut()
        current = None


def _thread(board):
    global _running
    try:
        run(board)
    except Exception as e:
        # A bug: nothing below may end the thread silently. The board restarts or ends.
        sys.print_exception(e) if compat.MICROPYTHON else sys.excepthook(type(e), e, None)
        board.crashed()
    finally:
        _running = False
        _ended.release()


def start(board):
    """Run the service in a thread; nothing happens when it runs already."""
    global _running, _ended
    if _running:
        return
    _ended = compat.lock()
    _ended.acquire()
    _running = True
    compat.start_thread(_thread, (board,), compat.SERVICE_STACK)


def stop():
    """End the service and wait until it has given everything back."""
    global _running
    _running = False
    if current:
        current.stop()
    if _ended:
        _ended.acquire()
        _ended.release()


def running():
    """True from start() to the end of the thread."""
    return _running
