"""NINA's frames: finding a command's parameters, and building a reply. Nothing here allocates.

    command     E0 command n {length parameter}*n EE
    reply       E0 command|80 n {length parameter}*n EE
    error       EF 00 EE

A length has one byte, or two (big-endian) for the commands and replies that carry data. Drivers
differ in what they send behind the last parameter, so a command is read by its counts: neither END
nor padding is looked at. Source: docs/nina.md.
"""

import micropython
from micropython import const

SIZE = const(4096)  # of each of the link's two buffers
START = const(0xE0)
PARAMS = const(10)  # the most parameters of a command
DATA_AT = const(5)  # of a reply that carries data: where that begins
DATAGRAM_AT = const(15)  # of a reply that carries a datagram: where that begins
MOST_DATA = const(4076)  # bytes of data in such a reply

BAD = const(-1)  # no command: see parse()

_END = const(0xEE)
_ERROR = const(0xEF)
_REPLY = const(0x80)

# Commands whose lengths have two bytes: all, one, or all with one number of parameters.
_CERTIFICATE = const(0x40)
_KEY = const(0x41)
_ENTERPRISE_PARAMS = const(6)
_SEND_DATA = const(0x44)
_GET_DATA = const(0x45)
_UDP_DATA = const(0x46)
_ENABLE = const(0x4F)
_PUT = const(0x5B)  # its third parameter alone
_VALUE = const(2)
_ANCHOR = const(0x68)
_SEND = const(0x77)
_SEND_TO = const(0x79)


@micropython.viper
def parse(rx: ptr8, n: int, places) -> int:
    """Find the parameters of the command in rx[:n]; returns how many there are, or BAD.

    `places`, of halfwords, gets the offset and the length of each. Data that the frame announces,
    and that did not come, is left out: drivers send frames longer than SIZE, and go on with the
    rest after an answer that says how much was taken. Any other parameter that is not whole makes
    the frame BAD. A certificate or key goes on to END, as its one byte of length is too short.
    """
    if n < 3 or rx[0] != START or rx[1] & _REPLY:
        return BAD
    command = rx[1]
    count = rx[2]
    if count > PARAMS:
        return BAD
    params = ptr16(places)
    data = command == _SEND_DATA or command == _UDP_DATA or command == _SEND or command == _SEND_TO
    wide = data or command == _GET_DATA or command == _ANCHOR
    wide = wide or command == _ENABLE or (command == _CERTIFICATE and count == _ENTERPRISE_PARAMS)
    at = 3
    i = 0
    while i < count:
        if command == _PUT:
            wide = i == _VALUE
        if at + (2 if wide else 1) > n:
            return BAD
        size = rx[at]
        at += 1
        if wide:
            size = size << 8 | rx[at]
            at += 1
        if count == 1 and (command == _CERTIFICATE or command == _KEY):
            size = 0
            while at + size < n and rx[at + size] != _END:
                size += 1
        elif at + size > n:
            if not data or i < count - 1:
                return BAD
            size = n - at
        params[2 * i] = at
        params[2 * i + 1] = size
        at += size
        i += 1
    return count


@micropython.viper
def value(rx: ptr8, where: int, big: int) -> uint:
    """A number of 1 to 4 bytes. `where`: its offset, and from bit 16 on its length, as in places;
    `big`: 1 when its first byte is the highest. A longer one is cut."""
    at = where & 0xFFFF
    size = where >> 16
    if size > 4:
        size = 4
    number = uint(0)
    i = 0
    while i < size:
        number |= rx[at + i] << 8 * (size - 1 - i if big else i)
        i += 1
    return number


@micropython.viper
def begin(buffer, command: int, count: int) -> int:
    """Begin a reply with so many parameters; returns the offset of the first."""
    tx = ptr8(buffer)
    tx[0] = START
    tx[1] = command | _REPLY
    tx[2] = count
    return 3


@micropython.viper
def put(buffer, at: int, number: int, size: int) -> int:
    """Put a parameter: a number of 1 to 4 bytes, lowest first, or with `size` negative highest
    first. Returns the offset behind it."""
    tx = ptr8(buffer)
    big = size < 0
    if big:
        size = -size
    tx[at] = size
    at += 1
    i = 0
    while i < size:
        tx[at + i] = number >> 8 * (size - 1 - i if big else i)
        i += 1
    return at + size


@micropython.viper
def put_octets(buffer, at: int, octets: ptr8, n: int) -> int:
    """Put a parameter of n bytes. Returns the offset behind it."""
    tx = ptr8(buffer)
    tx[at] = n
    at += 1
    i = 0
    while i < n:
        tx[at + i] = octets[i]
        i += 1
    return at + n


@micropython.viper
def end(buffer, at: int) -> int:
    """End a reply whose last parameter ends before `at`; returns its length, padded to dwords."""
    tx = ptr8(buffer)
    tx[at] = _END
    at += 1
    while at & 3:
        tx[at] = 0
        at += 1
    return at


@micropython.viper
def data(buffer, command: int, n: int) -> int:
    """A reply that carries n bytes of data, which are at DATA_AT already; returns its length."""
    tx = ptr8(buffer)
    tx[0] = START
    tx[1] = command | _REPLY
    tx[2] = 1
    tx[3] = n >> 8
    tx[4] = n
    return int(end(buffer, DATA_AT + n))


@micropython.viper
def datagram(buffer, command: int, sender: ptr8, n: int) -> int:
    """A reply that carries n bytes of a datagram, which are at DATAGRAM_AT already, and its sender:
    three parameters whose lengths have two bytes. Returns its length."""
    tx = ptr8(buffer)
    tx[0] = START
    tx[1] = command | _REPLY
    tx[2] = 3
    tx[3] = 0
    tx[4] = 4
    tx[9] = 0
    tx[10] = 2
    tx[11] = sender[0]
    tx[12] = sender[1]
    tx[13] = n >> 8
    tx[14] = n
    i = 0
    while i < 4:
        tx[5 + i] = sender[2 + i]
        i += 1
    return int(end(buffer, DATAGRAM_AT + n))


@micropython.viper
def small(buffer, command: int, number: int) -> int:
    """A reply of one parameter of one byte, as most are; returns its length."""
    tx = ptr8(buffer)
    tx[0] = START
    tx[1] = command | _REPLY
    tx[2] = 1
    tx[3] = 1
    tx[4] = number
    tx[5] = _END
    tx[6] = 0
    tx[7] = 0
    return 8


@micropython.viper
def error(buffer) -> int:
    """The reply to bytes that are no command, and to an unknown command; returns its length."""
    tx = ptr8(buffer)
    tx[0] = _ERROR
    tx[1] = 0
    tx[2] = _END
    tx[3] = 0
    return 4
