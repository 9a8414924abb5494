"""The service: makes and connects all parts at each boot, and runs the loop.

The loop runs in a thread of its own, so that the REPL stays free. main.py calls
`service.start(board)`; `service.current` is the running Service; `service.stop()` ends it.

What depends on the protocol that the controller speaks is the *personality*, a Personality of
spinet.duet or spinet.nina. Only that of the board is imported. It is made from the Service, and has

    commands, link      for the loop; see there
    sessions            the call-home sessions, None without them
    tasks               for the loop, after the Service's own
    start(now)          the link begins
"""

import sys

from micropython import const

from spinet import compat, trace
from spinet.garbage import LITTLE, Garbage
from spinet.last_error import LastError
from spinet.loop import Bell, Housekeeping, LinkLost, Loop
from spinet.naming.discovery import Discovery
from spinet.tcp.listener import ListenerTable
from spinet.tcp.manager import ConnectionManager
from spinet.tls.stack import TlsStack
from spinet.udp.names import Names
from spinet.wifi.networks import Networks
from spinet.wifi.wlan import Wlan

PASSES = const(1000)  # passes between two checks of _running

current = None  # the running Service, for the REPL and for reports
on_boot = None  # called with each Service before it starts: for settings that outlive a reset
_running = False  # True from start() to stop(); the thread ends when it is False
_ended = None  # a lock that the thread holds while it runs


class Telling:
    """The diagnostics command: prints all reports on the board's console.

    Printing all at once would keep the controller's next request waiting, as a UART is slow. So
    each pass of the loop prints one step.
    """

    def __init__(self, service, stir, garbage):
        self._service = service
        self._stir = stir
        self._garbage = garbage
        self._steps = None  # what is left to print

    def begin(self):
        """Start printing, from the beginning."""
        self._steps = self._all()
        self._stir()

    def _all(self):
        # Imported only now, as no other command needs this module; and not in the command itself,
        # where less of the thread's stack is left.
        from spinet.debug.parts import telling

        yield True
        yield from telling(self._service)

    def poll(self, _now):
        """A task: print the next step."""
        if self._steps is None:
            return -1
        self._garbage.spend(LITTLE)
        try:
            if next(self._steps, False):
                return 0
        except MemoryError:  # the trace is copied in one piece
            self._service.board.say("no memory for the rest of the report")
        self._steps = None
        return -1


def _personality(board):
    """The package of the board's protocol."""
    if board.PROTOCOL == "nina":
        from spinet.nina import personality
    else:
        from spinet.duet import personality
    return personality


class Service:
    """All parts, from a boot to the next reset or loss of power."""

    def __init__(self, board):
        self.board = board
        self.stack = board.stack()
        self.port = board.link_port()
        self.bell = bell = Bell(self.stack)
        self.garbage = Garbage()
        self.error = LastError(bell.stir)
        self.networks = Networks(board.store("networks"))
        self.wlan = Wlan(board.radio(), self.networks, self.error, bell.stir, board.DEBUG)
        self.manager = ConnectionManager(self.stack, board.DEBUG)
        self.tls = None
        if compat.tls_session:
            self.tls = TlsStack(self.manager, bell, self.error, self.garbage)
        self.listeners = ListenerTable(self.manager, bell.stir, self.tls)
        self.names = Names(self.manager, board, self.wlan.radio, bell.stir)
        self.discovery = Discovery(
            self._announcers, self.listeners, self.wlan, bell.stir, self.garbage
        )
        self.telling = Telling(self, bell.stir, self.garbage)
        self.personality = speaking = _personality(board).Personality(self)
        self.commands = speaking.commands
        self.link = speaking.link
        self.sessions = speaking.sessions
        self.housekeeping = Housekeeping(board, self.wlan, self.listeners)
        tasks = (
            self.names,
            self.wlan,
            self.discovery,
            self.garbage,
            self.telling,
            self.housekeeping,
        ) + speaking.tasks  # last, as the others may cause news
        judgment = self.updates = None
        if board.store("update").load(True)[:1] == b"B":  # update.record.CHOSEN: a new image
            from spinet.update.judgment import Judgment

            judgment = Judgment(board, self.link)
            tasks += (judgment,)
        if self.tls and (board.OWNER or board.store("owner").load(True)):
            from spinet.update.network import NetworkUpdates

            self.updates = NetworkUpdates(self, judgment)
            tasks += (self.updates,)
        self.loop = loop = Loop(self, (self.tls,) + tasks if self.tls else tasks)
        self.run_once = loop.run_once

    def _announcers(self, stir):
        return self.board.announcers(self.manager, stir)

    def start(self):
        """Begin the link's start-up signalling, and the first pass."""
        trace.note(trace.BOOT, trace.NO_SLOT, 0, 0)
        now = self.loop.start()
        self.garbage.start(now)
        self.housekeeping.start(now)
        self.personality.start(now)

    def shut(self):
        """End: reset every connection, release every socket, slot and buffer."""
        self.port.stop()
        self.discovery.leave()
        self.wlan.stop()
        if self.tls:
            self.tls.shut()
        self.names.stop()
        self.stack.shut()
        self.manager.shut()


def run(board):
    """Boot again after each reset or loss of power, until stop() or until power_up() is False."""
    while _running:
        try:
            if not board.power_up(running):
                return
            _live(board)
        except LinkLost as e:
            board.say(str(e))


def _live(board):
    """Serve until stop(), or until a reset or loss of power, which raises LinkLost."""
    global current
    current = Service(board)
    try:
        if on_boot:
            on_boot(current)
        current.start()
        while _running:
            current.loop.run(PASSES)
    finally:
        current.shut()
        current = None


def _thread(board):
    global _running
    try:
        run(board)
    except Exception as e:
        # A bug. Print it, as the thread would end silently; the board restarts or ends.
        sys.print_exception(e)
        board.crashed()
    finally:
        _running = False
        _ended.release()


def start(board):
    """Run the service in a thread; no effect when it runs already."""
    global _running, _ended
    if _running:
        return
    _ended = compat.lock()
    _ended.acquire()
    _running = True
    compat.start_thread(_thread, (board,), compat.SERVICE_STACK)


def stop():
    """End the service, and wait until it has released everything."""
    global _running
    _running = False
    if current:
        current.bell.stop()
    if _ended:
        _ended.acquire()
        _ended.release()


def running():
    """True from start() to the end of the thread."""
    return _running
