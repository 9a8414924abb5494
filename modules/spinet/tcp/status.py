"""A slot's ConnStatus record, kept in the controller's format and updated at each change.

state u8 @0, socketNumber u8 @1, protocol u8 @2, rssi i8 @3, localPort u16 @4, remotePort u16 @6,
remoteIp u32 @8, bytesAvailable u16 @12, writeBufferSpace u16 @14, connectedSockets u16 @16,
otherEndClosedSockets u16 @18. rssi, bytesAvailable and the last two are written only into the
response to a connGetStatus, as they change all the time.
"""

from micropython import const

from spinet.fields import get_u16, get_u32, put_bytes, put_u16

SIZE = const(20)


def set_owner(record, number, protocol):
    """Set the slot's number and protocol."""
    record[1] = number
    record[2] = protocol


def set_addresses(record, addresses):
    """Set ports and remote address from the 8 bytes of stack.addresses()."""
    put_bytes(record, 4, addresses, 8)


def set_local_port(record, port):
    """Set the local port, where the stack does not know it or another one is to be shown."""
    put_u16(record, 4, port)


def clear(record, number):
    """Make it the record of a free slot."""
    put_bytes(record, 0, b"", SIZE)
    record[1] = number


def local_port(record):
    """The local port."""
    return get_u16(record, 4)


def remote_port(record):
    """The remote port."""
    return get_u16(record, 6)


def space(record):
    """Bytes that a write is certain to accept; settle() updates it."""
    return get_u16(record, 14)


def peer_pair(record, first):
    """Octets `first` and `first` + 1 of the remote address, the first in the higher byte."""
    return record[8 + first] << 8 | record[9 + first]


def peer_ip(record):
    """The remote address, as a u32."""
    return get_u32(record, 8)
