"""The contract of a TCP stack: integers in, integers out.

A stack object has these methods. `h` is a handle: a positive small integer,
`generation << INDEX_BITS | index`; a handle that was closed or aborted is never valid again.
Errors are lwIP's `err_t` numbers, all negative. Nothing here raises for what a peer or a
network does; the methods marked * never allocate.

    listen(ip, port, backlog)      handle or error; ip is a u32 as in the records, 0 = any
    accept(h)                      handle, ERR_WOULDBLOCK when none waits, or why one failed
    connect(ip, port)              handle or error; never waits for the peer
    addresses(h, into)             8 bytes: local port, remote port (u16), remote ip (4 octets)
    readable(h)                *   bytes that read() would give now
    read(h, buf, offset, n)    *   bytes read, ERR_WOULDBLOCK, ERR_CLSD after a FIN, or why it broke
    recved(h, n)               *   n bytes were consumed: open the receive window by as much
    write(h, buf, offset, n, more) *  bytes taken, 0..n, or an error; more=1: no PSH on the last,
                                   but it leaves as soon as the peer's window allows
    in_flight(h)               *   unsent plus unacknowledged, 0 when the PCB is gone, -1 unknown
    shutdown_rx(h)             *   discard what is unread and what will still arrive
    keepalive(h, idle, interval, count)  seconds of silence before the first probe, between probes,
                                   and probes without an answer that end it with ERR_ABRT; idle 0:
                                   no probes; ERR_VAL from a stack that cannot
    linger(h, seconds)         *   what close() will do: 0: reset at once; n > 0: close orderly, and
                                   reset after n s if not all was delivered; < 0: the stack's own
                                   time limits. ERR_VAL from a stack that cannot
    close(h)                       orderly end (FIN); the handle is released
    abort(h)                       reset at once; the handle is released
    error(h)                   *   why the connection broke, 0 while it has not
    events(h)                  *   event bits since the last call
    pending()                  *   bit map, by index, of the handles that have events
    overlook(map)              *   these are not pending until they have another event
    wait(ms)                   *   sleep until anything happened; 1, or 0 after ms milliseconds
    wake()                         end a wait, from any thread

The offset in read and write is there because a slice would allocate.

DATAGRAMS is the handle, and the index, of all UDP ports together. It is always there, and of the
methods only events() takes it: EVENT_DATA when a datagram came. The stack's `udp` has the ports:
see spinet.udp.datagrams.
"""

from micropython import const

ERR_OK = const(0)
ERR_MEM = const(-1)
ERR_BUF = const(-2)
ERR_TIMEOUT = const(-3)
ERR_RTE = const(-4)
ERR_INPROGRESS = const(-5)
ERR_VAL = const(-6)
ERR_WOULDBLOCK = const(-7)
ERR_USE = const(-8)
ERR_CONN = const(-11)
ERR_IF = const(-12)
ERR_ABRT = const(-13)
ERR_RST = const(-14)
ERR_CLSD = const(-15)

EVENT_ACCEPT = const(1)
EVENT_CONNECTED = const(2)
EVENT_DATA = const(4)
EVENT_ROOM = const(8)
EVENT_CLOSED = const(16)  # the peer's FIN
EVENT_ERROR = const(32)  # the connection is broken, error(h) says why
EVENTS_ALL = const(63)

INDEX_BITS = const(5)
INDEX_MASK = const(31)
DATAGRAMS = const(24)  # above the indexes of connections and listeners


# Sets of errors as bit maps over -error: a tuple of names would be built anew at each call.
_FOR_NOW = const(1 << 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 7)
_PEER_GONE = const(1 << 11 | 1 << 13 | 1 << 14 | 1 << 15)


def is_for_now(error):
    """True for ERR_MEM, BUF, TIMEOUT, INPROGRESS, WOULDBLOCK: try again, end nothing for it."""
    return error < 0 and _FOR_NOW >> -error & 1 == 1


def peer_is_gone(error):
    """True for ERR_CONN, ABRT, RST, CLSD: the peer, or the connection, is no longer there."""
    return error < 0 and _PEER_GONE >> -error & 1 == 1
