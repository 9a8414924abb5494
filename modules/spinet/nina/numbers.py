"""The numbers of NINA's sockets, and what each stands for.

Drivers take a number long before they use it, forget to free it, and go on asking about a number
that they have freed. So a number in use is not given again, a freed one is the last to be given
again, and the module frees numbers that a driver has forgotten (docs/nina.md). Connections
are slots of the ConnectionManager; a number is free again while its slot is still closing. Service
thread only.
"""

from micropython import const

from spinet.nina.datagrams import COUNT
from spinet.nina.usual import HANDLES, KINDS, TOKENS
from spinet.states import CONNECTED, SOCKETS, WIFI_ACCESS_POINT, WIFI_CONNECTED

NONE = const(255)  # no such number, as the protocol says it

# What a number stands for
FREE = const(0)
GIVEN = const(1)  # given out, and not used yet
CLIENT = const(2)  # a connection
SERVER = const(3)  # a listener
SOCKET = const(4)  # MicroPython's, before it is connected or listens
UDP = const(5)


class Numbers:
    """All numbers. `listeners` is the ListenerTable; `datagrams` has the UdpSocket of each UDP;
    `words`: see usual.py."""

    def __init__(self, manager, listeners, wlan, datagrams, words):
        self._manager = manager
        self._datagrams = datagrams
        self._listeners = listeners
        self._wlan = wlan
        self._was_up = False
        self._words = words
        self._servers = [None] * COUNT  # the Listener of a SERVER
        self._turns = list(range(COUNT))  # when each was freed or given; lowest: oldest
        self._turn = COUNT

    def kind(self, number):
        """What the number stands for; FREE too when there is no such number."""
        return self._words[KINDS + number] if number < COUNT else FREE

    def _set(self, number, kind):
        self._words[KINDS + number] = kind
        self._turn = self._turn + 1 & 0x3FFFFFFF
        self._turns[number] = self._turn

    # --- given out, and back

    def new(self, kind=GIVEN):
        """Give out a number; NONE when all are in use. MicroPython's objects free their numbers,
        and use them until then, so a SOCKET gets no number of a connection that is over."""
        number = self._next(kind)
        if number != NONE:
            self.drop(number)
            self._set(number, kind)
        return number

    def _next(self, kind):
        """The number that new() would give."""
        number = self._first(FREE)
        if number == NONE:
            number = self._first(GIVEN)  # the driver has forgotten it
        return self._lost() if number == NONE and kind != SOCKET else number

    def _first(self, kind):
        """The number that has been of this kind for the longest time."""
        first = NONE
        for number in range(COUNT):
            if self._words[KINDS + number] == kind and (
                first == NONE or self._turns[number] < self._turns[first]
            ):
                first = number
        return first

    def _lost(self):
        """The number of a connection that is over, and that the driver has not freed; or NONE."""
        for number in range(COUNT):
            if self._words[KINDS + number] == CLIENT and not self.connected(number):
                return number
        return NONE

    def spare_slot(self):
        """If every slot is in use, free that of a connection that is over."""
        if not self._manager.has_free_slot():
            self.drop(self._lost())

    def reserve(self, number):
        """A driver uses a number: end its earlier use. False when there is no such number."""
        if number >= COUNT:
            return False
        self.drop(number)
        self._set(number, GIVEN)
        return True

    def drop(self, number):
        """Free the number: close its connection, or end its listener."""
        kind = self.kind(number)
        if kind == FREE:
            return
        if kind == CLIENT:
            slot = self.slot(number)
            if slot:
                slot.close()
        elif kind == SERVER:
            self._stop(number)
        elif kind == UDP:
            self._datagrams.drop(number)
        self._set(number, FREE)

    def datagrams(self, number):
        """The UdpSocket of a number, which stands for one from now on; None: no such number."""
        if number < COUNT and self.kind(number) != UDP:
            socket = self._datagrams.new()
            self.drop(number)
            self._datagrams.begin(number, socket)
            self._set(number, UDP)
        return self._datagrams.of(number)

    # --- connections

    def use(self, number, slot):
        """The number stands for this slot's connection, which has its handle by now."""
        self._words[TOKENS + number] = slot.token()
        self._words[HANDLES + number] = slot.handle
        self._set(number, CLIENT)

    def slot(self, number):
        """The slot of a CLIENT; None when it is gone, or the number is of another kind."""
        if self.kind(number) != CLIENT:
            return None
        return self._manager.living(self._words[TOKENS + number])

    def connected(self, number):
        """True while its connection lasts, or has unread bytes."""
        slot = self.slot(number)
        return slot is not None and slot.state == CONNECTED

    def _of(self, slot):
        """The number of a slot, NONE while it has none."""
        token = slot.token()
        for number in range(COUNT):
            if self._words[KINDS + number] == CLIENT and self._words[TOKENS + number] == token:
                return number
        return NONE

    # --- listeners

    def listen(self, number, port):
        """The number stands for a listener on this port, which it may have already; False when that
        failed."""
        server = self.server(number)
        if server and server.port == port:
            return True
        if number >= COUNT or self._listeners.on_port(port):
            return False
        if server or self.kind(number) in (CLIENT, UDP):
            self.drop(number)
        if not self._listeners.listen(0, port, 0, SOCKETS):
            return False
        self._servers[number] = self._listeners.on_port(port)
        self._set(number, SERVER)
        return True

    def server(self, number):
        """The Listener of a SERVER, else None."""
        return self._servers[number] if self.kind(number) == SERVER else None

    def _stop(self, number):
        server = self._servers[number]
        self._servers[number] = None
        slot = self._untold(server)
        while slot:
            slot.abort()
            slot = self._untold(server)
        self._listeners.stop(server.port)

    def visitor(self, number, once):
        """A client of this server, or NONE. `once`: each client once, when it is new; else one that
        has unread bytes."""
        server = self._servers[number]
        if not server.connections:
            return NONE
        for slot in self._manager.slots:
            if slot.listener is server:
                found = self._look_at(slot, once)
                if found != NONE:
                    return found
        return NONE

    def waits(self, number):
        """True when accept() has a client, which is still there. One that is gone is closed."""
        slot = self._untold(self._servers[number])
        while slot and slot.state != CONNECTED and not slot.may_send():
            slot.close()
            slot = self._untold(self._servers[number])
        return slot is not None and self._next(SOCKET) != NONE

    def accept(self, number):
        """A client of this server that the driver was not told of, or NONE. It may be gone since
        waits() was true: a driver that was told to accept takes no other answer."""
        slot = self._untold(self._servers[number])
        found = self.new(SOCKET) if slot else NONE
        if found != NONE:
            self.use(found, slot)
        return found

    def _untold(self, server):
        """The first client of this Listener that the driver was not told of, or None."""
        for slot in self._manager.slots if server.connections else ():
            if slot.listener is server and slot.held_by_controller() and self._of(slot) == NONE:
                return slot
        return None

    def _look_at(self, slot, once):
        """The number of a server's client, if it is one that visitor() is to tell of."""
        number = self._of(slot)
        if number == NONE:
            if slot.state != CONNECTED:
                slot.close()  # it was gone before the driver was told of it
                return NONE
            number = self.new(CLIENT)
            if number == NONE:
                return NONE
            self.use(number, slot)
            if once:
                return number
        elif once:
            return NONE
        return number if slot.readable() else NONE

    def clients(self, number, act, argument):
        """Call act(slot, argument) for each connection of this server."""
        server = self._servers[number]
        for slot in self._manager.slots:
            if slot.listener is server:
                act(slot, argument)

    def text(self, slot):
        """The numbers of a slot and of its server, for a report."""
        number = self._of(slot)
        text = "" if number == NONE else "  socket %d" % number
        if slot.listener:
            text += " of server %d" % self._servers.index(slot.listener)
        return text

    # --- WiFi

    def is_up(self):
        """True while there is a network to speak to."""
        state = self._wlan.state  # a tuple of the two states would be allocated
        return state == WIFI_CONNECTED or state == WIFI_ACCESS_POINT

    def poll(self, _now):
        """A task: when WiFi is lost, every connection is; listeners stay."""
        up = self.is_up()
        if self._was_up and not up:
            self._manager.terminate_all()
        self._was_up = up
        return -1
