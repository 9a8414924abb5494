"""Fields of little-endian records: numbers, texts and addresses at an offset of a buffer."""

import micropython


@micropython.viper
def get_u16(buf, at: int) -> int:
    """The u16 at buf[at]."""
    source = ptr8(buf)
    return source[at] | source[at + 1] << 8


def get_u32(buf, at):
    """The u32 at buf[at]. On a chip a value of more than 30 bits is a heap object."""
    return get_u16(buf, at) | get_u16(buf, at + 2) << 16


@micropython.viper
def put_u16(buf, at: int, value: int):
    """Write a u16 at buf[at]; higher bits of the value are ignored."""
    target = ptr8(buf)
    target[at] = value
    target[at + 1] = value >> 8


def put_u32(buf, at, value):
    """Write a u32 at buf[at]."""
    put_u16(buf, at, value)
    put_u16(buf, at + 2, value >> 16)


def put_bytes(buf, at, data, size):
    """Write at most size bytes of data at buf[at] and zeros up to size."""
    _put_bytes(buf, data, at << 16 | size, min(len(data), size))


@micropython.viper
def _put_bytes(buf, data, where: int, n: int):
    # where: at << 16 | size, as a viper function takes at most four arguments
    target = ptr8(buf)
    at = where >> 16
    last = at + (where & 0xFFFF)
    if n:  # ptr8() of an empty buffer is no address
        source = ptr8(data)
        i = 0
        while i < n:
            target[at] = source[i]
            at += 1
            i += 1
    while at < last:
        target[at] = 0
        at += 1


def get_text(buf, at, size):
    """The bytes of a NUL-terminated field of that size, without the NUL."""
    end = at
    while end < at + size and buf[end]:
        end += 1
    return bytes(buf[at:end])


def octets(ip):
    """The four octets of an address of a record (u32, lowest byte first)."""
    return bytes([ip >> shift & 0xFF for shift in (0, 8, 16, 24)])


def dotted(ip):
    """Such an address as text: 0x0100007F is 127.0.0.1."""
    return ".".join([str(octet) for octet in octets(ip)])
