"""The loop: wait, dispatch, serve the link, reap, housekeeping.

It runs in a thread of its own, so that the REPL stays free: `service.start(board)` from main.py,
`service.current` to look at, `service.stop()` to end it. Only the stack's wait() sleeps.
"""

import gc
import sys

from micropython import const

from spinet import port, trace
from spinet.commands import Commands
from spinet.connection import ConnectionManager
from spinet.discovery import Discovery
from spinet.link import Link, LinkLost
from spinet.listener import ListenerTable
from spinet.names import Names
from spinet.networks import Networks
from spinet.port import ticks_diff, ticks_ms
from spinet.report import diagnostics
from spinet.sessions import NamedPeers, SessionTable
from spinet.stack_tls import TlsStack
from spinet.trace_report import dump_lines
from spinet.wlan import Wlan

NEWS_MS = const(200)  # how often the controller is told again of news it has not fetched
HOUSEKEEPING_MS = const(1000)
WATCH_MS = const(20)  # how often WiFi is looked at while something is under way there
GARBAGE = const(65536)  # bytes allocated since the last collection that call for one at idle

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
        self.networks = Networks(board.store())
        self.wlan = Wlan(board.radio(), self.networks, board.DEBUG)
        self.manager = ConnectionManager(self.stack, board.DEBUG)
        self.tls = TlsStack(self.manager) if port.tls_session else None
        self.listeners = ListenerTable(self.manager, self.tls)
        self.commands = Commands(
            self.manager, self.listeners, self.wlan, self.networks, board, self.tls
        )
        self.names = Names(self.stack.wake)
        self.sessions = SessionTable(self.manager, self.names, self.wlan.fail)
        self.sessions.on_event = self._on_session
        self.commands.sessions = self.sessions
        self.commands.named_peers = NamedPeers(self.manager, self.names, self.wlan.fail)
        self.commands.set_clock = self.port.set_clock
        self.commands.report = self._report
        self.discovery = self._discovery()
        self.link = Link(self.commands, board.buffers)
        self._told = 0  # when the controller was last told that there is news
        self._kept = 0  # when housekeeping was last done
        self._allocated = 0  # heap in use after the last collection
        self._telling = None  # lines of the trace that are printed one by one; set by _report()
        self.passes = 0

    def _discovery(self):
        board = self.board
        announcer, captive = board.announcers(self.stack)
        name = self.commands.host_name()
        discovery = Discovery(announcer, captive, self.listeners, self.wlan, name)
        self.listeners.on_change = discovery.note_listeners
        self.wlan.on_change = self._on_wifi
        self.commands.on_host_name = discovery.set_host_name
        self.commands.on_leaving = discovery.leave
        return discovery

    def _on_session(self, session, event):
        trace.note(trace.SESSION, trace.NO_SLOT, event, session.port)

    def _on_wifi(self, before, after):
        if after != before:
            trace.note(trace.WIFI, trace.NO_SLOT, after, before)
            self.discovery.note_wifi()

    def _report(self):
        """The diagnostics command. The trace is long for a UART: a line for each pass of the loop,
        so that the controller's next request is not kept waiting."""
        diagnostics(self)
        self._telling = dump_lines()

    def _tell(self):
        line = next(self._telling, None)
        if line is None:
            self._telling = None
        else:
            print(line)

    def start(self):
        """Signal to the controller that we are up."""
        gc.collect()
        trace.note(trace.BOOT, trace.NO_SLOT, 0, 0)
        self._kept = self._told = self.manager.now = ticks_ms()
        self.port.start(self.manager.now)

    def run_once(self):
        """One pass: sleep until something happened, then deal with all of it."""
        manager = self.manager
        stack = self.stack
        stack.wait(self._sleep_ms(manager.now))
        now = ticks_ms()
        manager.now = now
        if stack.pending():
            manager.dispatch()
        self.port.serve(self.link, now)
        manager.step(now)
        if self.tls:
            self.tls.step(now)
        if manager.reap() or self.listeners.unfinished:
            self.listeners.accept_waiting()
        if self.names.asked:
            self.names.step(now)
        if self.sessions.active:
            self.sessions.step(now)
        self._look_after(now)
        self.passes += 1

    def _sleep_ms(self, now):
        """Until the next thing that has a time; HOUSEKEEPING_MS when nothing has."""
        if self.listeners.unfinished or self._telling:
            return 0
        ms = HOUSEKEEPING_MS
        due = self.manager.due_ms(now)
        if 0 <= due < ms:
            ms = due
        due = self.port.due_ms(now)
        if 0 <= due < ms:
            ms = due
        due = self.tls.due_ms(now) if self.tls else -1
        if 0 <= due < ms:
            ms = due
        if self.names.asked:
            ms = min(ms, self.names.due_ms(now))
        if self.sessions.active:
            due = self.sessions.due_ms(now)
            ms = min(ms, due) if due >= 0 else ms
        if self.wlan.active():
            ms = min(ms, WATCH_MS)
        if self.discovery.active:
            ms = min(ms, self.discovery.due_ms(now))
        return min(ms, NEWS_MS) if self.wlan.has_news() else ms

    def _look_after(self, now):
        wlan = self.wlan
        if wlan.active():
            wlan.step(now)
        if self.discovery.active:
            self.discovery.step(now)
        if wlan.has_news() and ticks_diff(now, self._told) >= NEWS_MS and self.port.idle():
            self._told = now
            self.port.signal()
        if self._telling:
            self._tell()
        if ticks_diff(now, self._kept) >= HOUSEKEEPING_MS:
            self._kept = now
            self._keep_house()

    def _keep_house(self):
        self.wlan.refresh(self.manager.now)
        self.listeners.accept_waiting()
        self.board.feed()
        if self.port.idle():
            self._collect()

    def _collect(self):
        """Collect garbage while the link is idle, when there is enough of it."""
        if port.MICROPYTHON and gc.mem_alloc() - self._allocated >= GARBAGE:
            gc.collect()
            self._allocated = gc.mem_alloc()

    def shut(self):
        """The end: every connection is reset, every socket given back."""
        self.port.stop()
        self.discovery.leave()
        self.wlan.stop()
        if self.tls:
            self.tls.shut()
        self.names.stop()
        self.stack.shut()


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
            current.run_once()
    finally:
        current.shut()
        current = None


def _thread(board):
    global _running
    try:
        run(board)
    except Exception as e:
        # A bug: nothing below may end the thread silently. The board restarts or ends.
        sys.print_exception(e) if port.MICROPYTHON else sys.excepthook(type(e), e, None)
        board.crashed()
    finally:
        _running = False
        _ended.release()


def start(board):
    """Run the service in a thread; nothing happens when it runs already."""
    global _running, _ended
    if _running:
        return
    import _thread as threads

    _ended = threads.allocate_lock()
    _ended.acquire()
    _running = True
    port.start_thread(_thread, (board,))


def stop():
    """End the service and wait until it has given everything back."""
    global _running
    _running = False
    if current:
        current.stack.wake()
    if _ended:
        _ended.acquire()
        _ended.release()


def running():
    """True from start() to the end of the thread."""
    return _running
