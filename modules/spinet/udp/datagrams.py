"""The contract of UDP: integers in, integers out.

Each TCP stack has an object `udp` with these methods. `h` is a handle of a port, a positive small
integer as the stack's own: `generation << INDEX_BITS | index`, with indexes below PORTS. A *peer*
is a buffer of PEER_SIZE bytes, as in the stack's addresses(): port (u16), ip (4 octets). Errors are
the stack's. Nothing here waits, or raises for what a network does; the methods marked * never
allocate.

    bind(ip, port, shared)         handle, ERR_USE, or another error; ip is a u32, 0 = any; port 0:
                                   one that is free, at random (stock sockets: what they choose);
                                   shared=1: other programs that also share it may have this port
                                   too, for multicast
    send(h, peer, buf, offset, n)  *  n, or an error: the datagram was not sent
    length(h)                      *  bytes of the next datagram, 0 too; ERR_WOULDBLOCK: none came
    receive(h, buf, offset, n, sender)  *  take the next datagram: at most n bytes of it go into
                                   buf, its peer into `sender`. The datagram's length, above n when
                                   the rest was lost; ERR_WOULDBLOCK: none came
    dropped(h)                     *  datagrams that found the queue full; -1 unknown
    join(h, group, own)            receive what is sent to this group (a u32) at the interface with
                                   the address `own` (u32, 0: any), and send to groups from there.
                                   A port is in one group at most: ERR_USE
    leave(h)                       leave the group
    close(h)                       the handle is over, its queue is dropped
    pending()                      *  bit map, by index, of the ports that have news since the last
                                   call: a datagram came, or receive() has left some
    ping(ip, ttl)                  send an ICMP echo request with this time to live (1 to 255) to a
                                   host (a u32): 0, or an error: it was not sent. One ping at a
                                   time: an earlier one is given up
    echo()                         the milliseconds until the answer to it came, however often this
                                   is asked; ERR_WOULDBLOCK: none came. It ends no wait

A port has a small queue of its own. A datagram that finds it full is dropped and counted, so what
is received is in order, and never mixed. The stack's wait() ends at once for a datagram; the
handle `stack.DATAGRAMS` then has an event, and pending() says of which ports. A port's news is told
once, and again after a receive() that left datagrams. One above MOST bytes cannot be sent.

Stock sockets (without `hostnet`) allocate in send and receive. Sockets can ping where the system
lets a program do so.
"""

from micropython import const

from spinet.fields import octets

PORTS = const(16)
PEER_SIZE = const(6)
MOST = const(1472)  # bytes of a datagram that fits a frame


def peer(ip, udp_port):
    """A peer, from a u32 and a port."""
    return bytes((udp_port & 0xFF, udp_port >> 8)) + octets(ip)


def port_of(peer):
    """The port of a peer."""
    return peer[0] | peer[1] << 8
