"""Outgoing connections that take more than a connect: to a name, and calling home.

Calling home: the module opens a connection, and the controller serves it as if it had been
accepted. A session dials its peer, and dials again whenever the connection is over, after a wait
that doubles from _FIRST_MS to _LONGEST_MS; a connection that lasted _STEADY_MS resets it. An
attempt uses a handle without a slot, so the controller does not see it; a slot is reserved for it.
When the peer has answered, the connection gets a slot as after an accept, with the port of the
networkListen as its local port (docs/link-protocol.md, Extensions).

The events of attempts are counted in `session.counts` and noted in the trace. The first failure in
a row becomes the last error, and so does giving up. Service thread only. Nothing here waits; only
an attempt allocates.
"""

from micropython import const

from spinet import fields, states, trace
from spinet.compat import sooner, ticks_add, ticks_diff
from spinet.tcp import status
from spinet.tcp.connection import CONNECT_TIMEOUT_MS
from spinet.tcp.stack import ERR_MEM, ERR_RST, EVENT_CONNECTED, EVENT_ERROR

_SESSIONS = const(4)
_FIRST_MS = const(1000)  # from the end of a connection or an attempt to the next attempt
_LONGEST_MS = const(60000)
_STEADY_MS = const(10000)  # a connection that lasted so long resets the wait to _FIRST_MS

# Events
_RECONNECTING = const(0)  # an attempt starts, the first one too
_RECONNECT_FAILED = const(1)
_RECONNECTED = const(2)
_GIVEN_UP = const(3)  # no more attempts

EVENT_NAMES = ("reconnecting", "reconnect failed", "reconnected", "no more attempts")

# States of a session
_OVER = const(0)
_WAITING = const(1)  # until _due, and for a slot
_LOOKING_UP = const(2)
_DIALLING = const(3)
_FULL = const(4)  # `limit` connections are open; _due: when the last one has lasted _STEADY_MS

# Why the stack refused to connect; any other error means "no route".
REASONS = {ERR_RST: "refused", ERR_MEM: "out of memory"}

STATE_NAMES = ("over", "waiting", "looking up", "dialling", "connected")


class Session:
    """One peer. To ConnectionManager it is a listener: it has a port and a protocol, and counts its
    slots."""

    def __init__(self, table, ip, port, name, protocol, limit, attempts):
        self.ip = ip
        self.port = port  # the peer's port, and the local port that the controller sees
        self.name = name  # of the peer, b"" when the controller gave its address
        self.protocol = protocol
        self.limit = limit  # connections at the same time
        self.connections = 0  # slots of this session
        self.attempts = attempts  # how many may fail in a row; 0: any number
        self.state = _WAITING
        self.counts = [0, 0, 0, 0]  # of each event
        self.failures = 0  # in a row
        self.generation = 0  # counts attempts, to tell an earlier attempt's look-up from this one's
        self._table = table
        self.handle = 0  # the stack's, of the attempt under way
        self._streak = 0  # attempts since a connection lasted _STEADY_MS
        self._due = table.manager.now  # see the states; while dialling: the time-out
        self._timed = True  # _due is valid

    def count(self, by):
        """Add `by`, which may be negative, to the number of slots."""
        self.connections += by

    def title(self):
        """The peer, as host:port."""
        return "%s:%d" % (self.name.decode() if self.name else fields.dotted(self.ip), self.port)

    def end(self):
        """Stop calling; open connections go on."""
        self._drop_attempt()
        self.state = _OVER
        self._timed = False
        self._table.ended(self)

    def _drop_attempt(self):
        """Drop the attempt under way: its handle, its look-up, its reserved slot."""
        manager = self._table.manager
        if self.handle:
            handle = self.handle
            self.handle = 0
            manager.detach(handle)
            manager.stack.abort(handle)
        if self.state in (_LOOKING_UP, _DIALLING):
            manager.unreserve()
            self.state = _WAITING

    # --- time passes

    def _set_due(self, now, ms):
        self._due = ticks_add(now, ms)
        self._timed = True

    def _wait(self, now, ms):
        self.state = _WAITING
        self._set_due(now, ms)

    def poll(self, now):
        """Do what is due. Returns the milliseconds until more is; -1: nothing has a time."""
        if self._timed and ticks_diff(now, self._due) >= 0:
            self._timed = False
            self._step(now)
        return max(0, ticks_diff(self._due, now)) if self._timed else -1

    def _step(self, now):
        if self.state == _WAITING:
            self._attempt(now)
        elif self.state == _DIALLING:
            self._failed(now, "timed out")
        elif self.state == _FULL:
            self._streak = 0

    def on_slots_freed(self, now):
        """Slots were freed: a connection of this session may be over, or an attempt may begin."""
        if self.state == _WAITING and not self._timed:
            self._attempt(now)
        elif self.state == _FULL and self.connections < self.limit:
            self._wait(now, self._pause_ms())

    def _pause_ms(self):
        return min(_FIRST_MS << min(max(0, self._streak - 1), 6), _LONGEST_MS)

    # --- attempts

    def _attempt(self, now):
        """Start one. Without a free slot, on_slots_freed() starts it later."""
        manager = self._table.manager
        if not manager.reserve():
            return
        self._streak += 1
        self.generation += 1
        self._tell(_RECONNECTING)
        self.state = _LOOKING_UP
        if self.name:
            self._look_up(now)
        else:
            self._dial(self.ip, now)

    def _look_up(self, now):
        try:
            self._table.names.ask(self.name, self, self.generation, self.port, now)
        except MemoryError:
            self._failed(now, "out of memory")

    def is_waiting(self, lookup):
        """See spinet.udp.names."""
        return self.state == _LOOKING_UP and lookup.key == self.generation

    def found(self, _lookup, ip):
        """See spinet.udp.names."""
        now = self._table.manager.now
        if ip:
            self._dial(ip, now)
        else:
            self._failed(now, "host not found")

    def _dial(self, ip, now):
        self.state = _DIALLING
        try:
            handle = self._table.manager.stack.connect(ip, self.port)
            if handle > 0:
                self.handle = handle
                self._table.manager.attach(handle, self)
        except MemoryError:
            handle = ERR_MEM
        if handle < 0:
            self._failed(now, REASONS.get(handle, "no route"))
        else:
            self._set_due(now, CONNECT_TIMEOUT_MS)

    def on_events(self, events):
        """The end of the attempt; later events of the handle go to the slot."""
        manager = self._table.manager
        if events & EVENT_CONNECTED:
            self._answered(manager, events)
        elif events & EVENT_ERROR:
            refused = manager.stack.error(self.handle) == ERR_RST
            self._failed(manager.now, "refused" if refused else "no answer")
        self._table.stir()  # _due has changed

    def _answered(self, manager, events):
        handle = self.handle
        self.handle = 0
        self.state = _FULL
        manager.unreserve()
        slot = manager.adopt(handle, self)  # takes the reserved slot
        status.set_local_port(slot.record, self.port)
        self.failures = 0
        self._tell(_RECONNECTED)
        if self.connections < self.limit:
            self._wait(manager.now, self._pause_ms())
        else:
            self._set_due(manager.now, _STEADY_MS)
        slot.on_events(events & ~EVENT_CONNECTED)

    def _failed(self, now, reason):
        self._drop_attempt()
        self.failures += 1
        self._tell(_RECONNECT_FAILED)
        self._wait(now, self._pause_ms())  # before the texts, as these may raise MemoryError
        if 0 < self.attempts <= self.failures:
            title = self.title()
            self._tell(_GIVEN_UP)
            self.end()
            self._table.fail("call home to %s given up: %s" % (title, reason))
        elif self.failures == 1:
            self._table.fail("call home to %s failed: %s" % (self.title(), reason))

    def _tell(self, event):
        self.counts[event] += 1
        trace.note(trace.SESSION, trace.NO_SLOT, event, self.port)


class SessionTable:
    """All sessions. `stir()` makes the loop call poll(), `fail(text)` sets the last error."""

    def __init__(self, manager, names, stir, fail):
        self.manager = manager
        self.names = names
        self.stir = stir
        self.fail = fail
        self.entries = [None] * _SESSIONS  # a Session each; None: unused
        self.active = 0  # the number of sessions
        self._freed = 0  # manager.freed at the last poll()

    def call(self, ip, port, name, protocol, limit, attempts):
        """Start, or with limit 0 stop, calling a peer; True unless it failed.

        There is one session for each port; the same call again has no effect.
        """
        present = self._on_port(port)
        if limit == 0:
            if present:
                present.end()
            return True
        if present:
            return present.name == name and (bool(name) or present.ip == ip)
        if port == 0 or None not in self.entries or not (ip or name):
            return False
        limit = min(limit, states.SOCKETS)
        entry = Session(self, ip, port, name, protocol, limit, attempts)
        self.entries[self.entries.index(None)] = entry
        self.active += 1
        self.stir()
        return True

    def ended(self, entry):
        """Remove a session that has ended; open connections go on."""
        self.manager.disown(entry)
        self.entries[self.entries.index(entry)] = None
        self.active -= 1

    def _on_port(self, port):
        for entry in self.entries:
            if entry and entry.port == port:
                return entry
        return None

    def stop_all(self):
        """Stop calling on every port."""
        for entry in self.entries:
            if entry:
                entry.end()

    def poll(self, now):
        """A task: tell sessions that slots were freed, and do what is due."""
        if not self.active:
            return -1
        freed = self.manager.freed != self._freed
        self._freed = self.manager.freed
        soonest = -1
        for entry in self.entries:
            if entry:
                if freed:
                    entry.on_slots_freed(now)
                soonest = sooner(soonest, entry.poll(now))
        return soonest


class NamedPeers:
    """connCreate with a name. The slot is in state connecting while the name is looked up."""

    def __init__(self, manager, names, fail):
        self._manager = manager
        self._names = names
        self._fail = fail  # called with the text of the last error

    def connect(self, slot, name, port):
        """Connect an allocated slot to the peer of this name; a failure aborts the slot."""
        slot.await_address()
        if not self._names.ask(name, self, slot.token(), port, self._manager.now):
            self._fail("bad host name")
            slot.give_up()

    def is_waiting(self, lookup):
        """See spinet.udp.names."""
        slot = self._manager.living(lookup.key)
        return slot is not None and slot.awaits_address()

    def found(self, lookup, ip):
        """See spinet.udp.names."""
        slot = self._manager.living(lookup.key)
        if not ip:
            self._fail("host not found: " + lookup.name.decode())
            slot.give_up()
        elif slot.connect(ip, lookup.port) < 0:
            self._fail("Connection creation failed")
