"""Rings and their viper copies."""

from memory_stack import put

from spinet.fastpath import copy
from spinet.tcp.ring import Ring, rings


def pattern(n, first=0):
    data = bytearray(n)
    for i in range(n):
        data[i] = (first + i * 7) & 0xFF
    return data


def case_copies_at_every_alignment():
    source = pattern(64)
    for i in range(5):
        for j in range(5):
            for n in range(14):
                into = bytearray(32)
                copy(into, source, j << 16 | i, n)
                wanted = bytes(j) + bytes(source[i : i + n]) + bytes(32 - j - n)
                assert bytes(into) == wanted, (i, j, n)


def case_bytes_come_out_in_order_whatever_the_pieces():
    ring = Ring(bytearray(64))
    sent, got = 0, 0
    buf = bytearray(64)
    seed = 1
    for _ in range(2000):
        seed = (seed * 75 + 74) % 65537
        n = min(seed % 40, ring.free())
        put(ring, pattern(n, sent * 7), 0, n)
        sent += n
        seed = (seed * 75 + 74) % 65537
        n = ring.get(buf, 3, seed % 40)
        assert buf[3 : 3 + n] == pattern(n, got * 7)
        got += n
        assert ring.count == sent - got


def case_rings_do_not_share_memory():
    first, second = rings(2, 16)
    put(first, pattern(16, 1), 0, 16)
    put(second, pattern(16, 99), 0, 16)
    out = bytearray(16)
    first.get(out, 0, 16)
    assert out == pattern(16, 1)
