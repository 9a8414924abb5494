"""The eight slots: allocates and frees them, and delivers the stack's events to their owners.

Service thread only. No event and no step allocates.
"""

from array import array

import micropython
from micropython import const

from spinet import compat, fastpath, trace
from spinet.compat import ticks_add, ticks_diff
from spinet.fastpath import ROW_DELIVER, ROW_OCCUPIED, ROW_OWNED, ROW_SEEN, ROW_TIMED
from spinet.states import FREE, SOCKETS
from spinet.tcp.connection import Connection
from spinet.tcp.ring import rings
from spinet.tcp.stack import EVENTS_ALL, INDEX_MASK

_WRITE_TIMEOUT_MS = const(60000)  # a connection is aborted if nothing is acknowledged for so long
_WATCH_MS = const(1000)  # how often that is checked
_KEEP_IDLE_S = const(60)  # silence before the first keep-alive probe
_KEEP_INTERVAL_S = const(10)
_KEEP_COUNT = const(3)  # unanswered probes that break the connection
_LINGER_DEFAULT = const(-1)  # a close uses connection.py's time limits


class IllegalMove(Exception):
    """An illegal state change or a stale reference: a bug of the firmware (debug builds)."""


@micropython.viper
def _lowest_clear(map: int) -> int:
    """The number of the lowest bit that is 0."""
    number = 0
    while map >> number & 1:
        number += 1
    return number


@micropython.viper
def _clear_bits(map: int) -> int:
    """How many of the 8 slots' bits are 0."""
    count = 0
    number = 0
    while number < 8:
        count += 1 - (map >> number & 1)
        number += 1
    return count


class ConnectionManager:
    """The eight slots over one stack. `debug`: a bug raises; else it is counted and ignored."""

    def __init__(self, stack, debug=False, buffers=None):
        self.stack = stack
        self.rows = array("I", [0] * fastpath.ROW_WORDS)  # words shared with the hot path
        self.now = 0  # ticks at the start of this pass of the loop
        self.addresses = bytearray(8)  # scratch of Connection._update_addresses
        self.faults = 0  # bugs noticed in a release build
        self.stale = 0  # references to a slot that was freed since
        self.connect_timeouts = 0
        self.unacknowledged_closes = 0
        self.write_timeouts = 0
        # Time-outs for a silent peer. They may be set from outside, for later connections.
        self.write_timeout_ms = _WRITE_TIMEOUT_MS
        self.keep_idle_s = _KEEP_IDLE_S
        self.keep_interval_s = _KEEP_INTERVAL_S
        self.keep_count = _KEEP_COUNT
        # For later closes: 0 resets at once, n > 0 tries for n seconds in all.
        self.linger_s = _LINGER_DEFAULT
        self.reserved = 0  # free slots that are reserved; written by reserve() and unreserve()
        self.freed = 0  # counts freed slots and cancelled reservations; written by reap()
        self.returned = 0  # reservations cancelled since the last reap()
        self._watched_at = 0  # ticks when writes were last checked
        self._debug = debug
        self.owners = [None] * (INDEX_MASK + 1)  # stack index -> Connection or Listener
        self._plain = (stack.readable, stack.read, stack.recved, stack.write)
        # These functions of each slot's stack, for the hot path; see use().
        self.calls = [[call] * SOCKETS for call in self._plain]
        self._slab = None if buffers else compat.slab(compat.RINGS, SOCKETS * fastpath.RING_SIZE)
        buffers = buffers or rings(SOCKETS, fastpath.RING_SIZE, self._slab)
        self.kit = [None] * fastpath.KIT_PLACES  # of the hot path; see also Loop.bind()
        self.slots = [Connection(i, self, buffers[i]) for i in range(SOCKETS)]
        self.kit[fastpath.KIT_ROWS] = self.rows
        self.kit[fastpath.KIT_STORE] = fastpath.store
        self.kit[fastpath.KIT_DRAIN] = fastpath.drain
        self.kit[fastpath.KIT_SETTLE] = fastpath.settle
        self.kit[fastpath.KIT_RECORDS] = [slot.record for slot in self.slots]
        self.kit[fastpath.KIT_READABLE : fastpath.KIT_WRITE + 1] = self.calls
        self.kit[fastpath.KIT_MARKS] = [ring.marks for ring in buffers]
        self.kit[fastpath.KIT_MEMORY] = [ring.memory for ring in buffers]

    def begin_pass(self, now):
        """A pass begins: the loop has waited until `now`."""
        self.now = self.rows[fastpath.ROW_NOW] = now

    def fault(self, text):
        """A bug of the firmware: raised in a debug build, counted in a release build."""
        self.faults += 1
        trace.note(trace.FAULT, trace.NO_SLOT, 0, 0)
        if self._debug:
            raise IllegalMove(text)

    def hasten(self, when):
        """A slot has a deadline at `when`: have step() called in time for it."""
        rows = self.rows
        if not rows[ROW_TIMED] or ticks_diff(when, rows[fastpath.ROW_SOONEST]) < 0:
            rows[fastpath.ROW_SOONEST] = when

    def use(self, number, stack):
        """Let the hot path call this stack for that slot."""
        if stack is self.stack:
            calls = self._plain
        else:
            calls = (stack.readable, stack.read, stack.recved, stack.write)
        for i in range(len(calls)):
            self.calls[i][number] = calls[i]

    # --- slots

    def allocate(self, protocol):
        """Allocate a free slot; None when all are in use or reserved."""
        if not self.has_free_slot():
            return None
        slot = self.slots[_lowest_clear(self.rows[ROW_OCCUPIED])]
        slot.allocate(protocol)
        return slot

    def has_free_slot(self):
        """True when allocate() would succeed."""
        occupied = self.rows[ROW_OCCUPIED]
        if not self.reserved:
            return occupied != fastpath.ALL_SLOTS
        return _clear_bits(occupied) > self.reserved

    def reserve(self):
        """Reserve a free slot for a connection under way; False when there is none."""
        if not self.has_free_slot():
            return False
        self.reserved += 1
        return True

    def unreserve(self):
        """Cancel one reservation; after the next reap() others can have the slot."""
        self.reserved -= 1
        self.returned += 1

    def living(self, token):
        """The slot of a token(), or None when it was freed since; that is no fault here."""
        slot = self.slots[token & 7]
        return slot if slot.generation == token >> 3 and slot.state != FREE else None

    def resolve(self, token):
        """The slot of a token(), or None when it was freed since, which is a fault."""
        slot = self.living(token)
        if slot is None:
            self.stale += 1
            self.fault("stale reference to slot %d" % (token & 7))
        return slot

    def adopt(self, handle, listener, tls=None):
        """Give an accepted connection a slot; None, and a reset, when none is free."""
        stack = tls or self.stack
        slot = self.allocate(listener.protocol)
        if slot is None:
            stack.abort(handle)
            return None
        slot.opened(handle, listener, stack)
        return slot

    def disown(self, listener):
        """This listener is gone; its connections go on without it."""
        for slot in self.slots:
            if slot.listener is listener:
                slot.disowned()

    def shut(self):
        """End: return the memory of the rings; the slots are not used any more."""
        if self._slab:
            compat.give_back(self._slab)
            self._slab = None

    def terminate_all(self):
        """networkStop: reset every connection; reap() frees the slots."""
        for slot in self.slots:
            slot.abort()

    # --- events

    def attach(self, handle, owner):
        """Deliver this handle's events to owner.on_events() from now on."""
        index = handle & INDEX_MASK
        self.owners[index] = owner
        self.rows[ROW_OWNED + index] = handle
        self.rows[fastpath.ROW_INTEREST + index] = EVENTS_ALL
        self.rows[ROW_SEEN + index] = 0

    def detach(self, handle):
        """Deliver this handle's events no more."""
        index = handle & INDEX_MASK
        self.owners[index] = None
        self.rows[ROW_OWNED + index] = 0
        self.rows[ROW_SEEN + index] = 0

    def deliver(self):
        """Deliver the events of the indexes in DELIVER: those in SEEN, and those since then.

        Handlers may open, close and stop anything.
        """
        rows = self.rows
        left = rows[ROW_DELIVER]
        rows[ROW_DELIVER] = 0
        index = 0
        while left:
            if left & 1:
                self._deliver(rows, index)
            left >>= 1
            index += 1

    def _deliver(self, rows, index):
        handle = rows[ROW_OWNED + index]
        if not handle:
            self.stack.overlook(1 << index)  # no owner: or each wait would end for it
            return
        events = (
            rows[ROW_SEEN + index] | self.stack.events(handle) & rows[fastpath.ROW_INTEREST + index]
        )
        rows[ROW_SEEN + index] = 0
        if events:
            self.owners[index].on_events(events)

    def step(self, now):
        """Do what is due: flushes, time-outs, closes."""
        rows = self.rows
        if rows[ROW_TIMED] and ticks_diff(now, rows[fastpath.ROW_SOONEST]) >= 0:
            self._step_timed(now)
        if ticks_diff(now, self._watched_at) >= _WATCH_MS:  # also without writes, as ticks wrap
            self._watched_at = now
            self._watch_writes(now)

    def _watch_writes(self, now):
        for slot in self.slots:
            if self.rows[fastpath.ROW_WRITING] >> slot.number & 1:
                slot.step_write(now)

    def _step_timed(self, now):
        soonest = _WATCH_MS
        # Not over the slots: the frame would be allocated on the heap.
        for number in range(SOCKETS):
            if self.rows[ROW_TIMED] >> number & 1:
                ms = self.slots[number].poll(now)
                if 0 <= ms < soonest:
                    soonest = ms
        self.rows[fastpath.ROW_SOONEST] = ticks_add(now, soonest)

    def reap(self):
        """Free the slots in closeReady. A slot becomes free only here.

        Returns how many slots became free or unreserved.
        """
        count = self.returned
        over = self.rows[fastpath.ROW_OVER]
        if not over and not count:
            return 0
        self.returned = 0
        number = 0
        while over:
            if over & 1:
                self.slots[number].free()
                count += 1
            over >>= 1
            number += 1
        self.freed += count
        return count
