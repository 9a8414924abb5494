"""Listeners: start, accept, one-shot, stop.

A listener accepts a connection from the stack's backlog only when a slot is free and its own limit
allows. When a slot is freed, waiting connections are accepted at once, without polling. Service
thread only.
"""

from micropython import const

from spinet import trace
from spinet.states import SOCKETS
from spinet.tcp.stack import ERR_WOULDBLOCK, EVENT_ACCEPT, is_for_now

LISTENERS = const(8)
BACKLOG = const(8)
_DRAIN = const(32)  # accepts in a row, failed ones included, before other work gets a turn


class Listener:
    """One port, from _start() to _stop() of the table. `one_shot`: it stops at its first accept."""

    def __init__(self, table, ip, port, protocol, limit, tls, one_shot):
        self.ip = ip
        self.port = port
        self.protocol = protocol
        self.limit = limit  # connections at the same time
        self.connections = 0  # slots of this listener
        self.tls = tls
        self.one_shot = one_shot
        self.shaking = 0  # accepted connections in their TLS handshake
        self.waiting = False  # set by an accept event, cleared when the backlog is empty
        self._table = table
        self.handle = 0  # the stack's, 0 when not listening

    def begin(self, handle):
        """It listens from now on; `handle` is the stack's."""
        self.handle = handle

    def end(self):
        """It no longer listens; returns the stack's handle, for close()."""
        handle = self.handle
        self.handle = 0
        self.waiting = False
        return handle

    def count(self, by):
        """Add `by`, which may be negative, to the number of slots."""
        self.connections += by

    def count_handshakes(self, by):
        """Add `by`, which may be negative, to the number of connections in their handshake."""
        self.shaking += by

    def on_events(self, events):
        """The stack's backlog has connections."""
        if events & EVENT_ACCEPT:
            self.waiting = True
            self._table.accept(self)

    def shaken_hands(self, handle):
        """A TLS handshake has succeeded."""
        self._table.shaken_hands(self, handle)


class ListenerTable:
    """All listeners. Used by commands; accept_waiting() by the loop after slots were freed.

    `tls` is the TlsStack of listeners with TLS; None in a firmware without it. `stir()` is called
    when `changes` has changed, which discovery looks at.
    """

    def __init__(self, manager, stir, tls=None):
        self._manager = manager
        self._stir = stir
        self._tls = tls
        self.entries = [None] * LISTENERS  # a Listener each; None: unused
        # Set by accept(), cleared by accept_waiting():
        self.unfinished = False  # accept() reached _DRAIN: go on in the next pass
        self.crowded = False  # connections may wait in a backlog
        self.refused = 0  # connections that failed before they got a slot
        self.changes = 0  # counts starts and stops of listeners

    def listen(self, ip, port, protocol, limit, tls=False, one_shot=False):
        """Start listening, or stop with limit 0. False when that failed, as it does on port 0."""
        if limit == 0:
            self.stop(port)
            return True
        if port == 0:
            return False
        if self._covered(ip, port, tls):
            return True
        if ip == 0 or self._covered(ip, port, not tls):
            self.stop(port)  # one for all interfaces, or with the other TLS setting, replaces it
        return self._start(ip, port, protocol, limit, tls, one_shot)

    def _covered(self, ip, port, tls):
        for entry in self.entries:
            if entry and entry.port == port and entry.ip in (0, ip) and entry.tls == tls:
                return True
        return False

    def on_port(self, port):
        """A listener on this port, or None."""
        for entry in self.entries:
            if entry and entry.port == port:
                return entry
        return None

    def _start(self, ip, port, protocol, limit, tls, one_shot):
        if None not in self.entries:
            return False
        entry = Listener(self, ip, port, protocol, min(limit, SOCKETS), tls, one_shot)
        handle = self._manager.stack.listen(ip, port, BACKLOG)
        if handle < 0:
            return False
        entry.begin(handle)
        self.entries[self.entries.index(None)] = entry
        self._manager.attach(handle, entry)
        trace.note(trace.LISTEN, trace.NO_SLOT, port, protocol)
        self._changed()
        return True

    def stop(self, port):
        """Stop listening on this port; connections go on. True if there was a listener."""
        stopped = False
        for entry in self.entries:
            if entry and entry.port == port:
                self._stop(entry)
                stopped = True
        return stopped

    def stop_all(self):
        """Stop listening on every port; connections go on."""
        for entry in self.entries:
            if entry:
                self._stop(entry)

    def _stop(self, entry):
        if entry.shaking:
            self._tls.give_up(entry)
        trace.note(trace.UNLISTEN, trace.NO_SLOT, entry.port, entry.protocol)
        handle = entry.end()
        self.entries[self.entries.index(entry)] = None
        self._manager.detach(handle)
        self._manager.disown(entry)
        self._manager.stack.close(handle)
        self._changed()

    def stop_tls(self):
        """Stop all listeners with TLS; connections go on."""
        for entry in self.entries:
            if entry and entry.tls:
                self._stop(entry)

    def _changed(self):
        self.changes += 1
        self._stir()

    # --- accepting

    def accept(self, listener):
        """Accept from this listener's backlog as many as slots and limit allow."""
        for _ in range(_DRAIN):
            if not self._may_accept(listener):
                break
            handle = self._manager.stack.accept(listener.handle)
            if handle > 0:
                self._accepted(listener, handle)
            elif handle == ERR_WOULDBLOCK:
                listener.waiting = False
                return
            elif is_for_now(handle):
                break  # no memory, or no descriptor: accept_waiting() tries again
            else:
                self.refused += 1
        else:
            self.unfinished = True
        self.crowded = True

    def _may_accept(self, listener):
        return (
            listener.waiting
            and self._manager.has_free_slot()
            and listener.connections + listener.shaking < listener.limit
            and (not listener.tls or self._tls.may_begin())
        )

    def _accepted(self, listener, handle):
        if not listener.tls:
            self._manager.adopt(handle, listener)
            self._end_if_one_shot(listener)
        elif not self._tls.begin(listener, handle):
            self.refused += 1

    def shaken_hands(self, listener, handle):
        """A TLS handshake has succeeded: the connection takes its reserved slot."""
        slot = self._manager.adopt(handle, listener, self._tls)
        if slot:
            self._tls.serve(handle, slot)
        self._end_if_one_shot(listener)

    def _end_if_one_shot(self, listener):
        if listener.one_shot:
            self._stop(listener)  # the connection goes on

    def accept_waiting(self):
        """Slots were freed, or accept() was not finished: accept what waits."""
        self.unfinished = self.crowded = False
        for entry in self.entries:
            if entry and entry.waiting:
                self.accept(entry)
