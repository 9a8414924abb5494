"""A slot's ConnStatus record, kept in the controller's format and updated at each change.

state u8 @0, socketNumber u8 @1, protocol u8 @2, rssi i8 @3, localPort u16 @4, remotePort u16 @6,
remoteIp u32 @8, bytesAvailable u16 @12, writeBufferSpace u16 @14, connectedSockets u16 @16,
otherEndClosedSockets u16 @18. rssi, bytesAvailable and the last two are written only into the
response to a connGetStatus, as they change all the time.
"""

import micropython
from micropython import const

from spinet.fields import get_u16, put_u16

SIZE = const(20)


def set_owner(record, number, protocol):
    """Set the slot's number and protocol."""
    record[1] = number
    record[2] = protocol


@micropython.viper
def set_addresses(record, addresses):
    """Set ports and remote address from the 8 bytes of stack.addresses()."""
    target = ptr8(record)
    source = ptr8(addresses)
    i = 0
    while i < 8:
        target[4 + i] = source[i]
        i += 1


def set_local_port(record, port):
    """Set the local port, where the stack does not know it or another one is to be shown."""
    put_u16(record, 4, port)


@micropython.viper
def clear(record, number: int):
    """Make it the record of a free slot."""
    target = ptr8(record)
    i = 0
    while i < 20:
        target[i] = 0
        i += 1
    target[1] = number


def ports(record):
    """Local and remote port."""
    return get_u16(record, 4), get_u16(record, 6)


@micropython.viper
def local_port(record) -> int:
    """The local port."""
    source = ptr8(record)
    return source[4] | source[5] << 8


@micropython.viper
def remote_port(record) -> int:
    """The remote port."""
    source = ptr8(record)
    return source[6] | source[7] << 8


@micropython.viper
def space(record) -> int:
    """Bytes that a write is certain to accept; settle() updates it."""
    source = ptr8(record)
    return source[14] | source[15] << 8


@micropython.viper
def peer_pair(record, first: int) -> int:
    """Octets `first` and `first` + 1 of the remote address, the first in the higher byte."""
    source = ptr8(record)
    return source[8 + first] << 8 | source[9 + first]


def peer_octets(record):
    """The remote address's four octets."""
    return bytes(record[8:12])


@micropython.viper
def address_local_port(addresses) -> int:
    """The local port in the 8 bytes of stack.addresses()."""
    source = ptr8(addresses)
    return source[0] | source[1] << 8
