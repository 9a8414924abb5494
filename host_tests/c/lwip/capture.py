"""Frames on the wire: capturing them, reading TCP out of them, and making SYNs of one's own."""

import select
import socket
import struct
import time
from typing import NamedTuple

from namespace import DEVICE, MODULE, PATIENCE

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ETH_P_ALL = 3


class Segment(NamedTuple):
    """One TCP segment; `from_module` tells the direction."""

    from_module: bool
    source_port: int
    destination_port: int
    sequence: int
    acknowledged: int
    flags: int
    window: int
    data: bytes


def parse(frame):
    """The Segment in an Ethernet frame, or None when there is no TCP over IPv4 in it."""
    if len(frame) < 54 or frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return None
    header = (frame[14] & 15) * 4
    total = struct.unpack_from(">H", frame, 16)[0]
    tcp = frame[14 + header : 14 + total]
    source, destination, sequence, acknowledged, offset, flags, window = struct.unpack_from(
        ">HHIIBBH", tcp
    )
    return Segment(
        from_module=frame[26:30] == socket.inet_aton(MODULE),
        source_port=source,
        destination_port=destination,
        sequence=sequence,
        acknowledged=acknowledged,
        flags=flags & 31,
        window=window,
        data=tcp[(offset >> 4) * 4 :],
    )


class Capture:
    """All that crosses the TAP device from now on."""

    def __init__(self, namespace):
        self._socket = namespace.socket(socket.SOCK_RAW, socket.AF_PACKET, socket.htons(ETH_P_ALL))
        self._socket.bind((DEVICE, ETH_P_ALL))
        self._socket.setblocking(False)
        self._segments = []

    def close(self):
        """Stop capturing."""
        self._socket.close()

    def _drain(self):
        while True:
            try:
                frame = self._socket.recv(2048)
            except BlockingIOError:
                return
            segment = parse(frame)
            if segment is not None:
                self._segments.append(segment)

    def segments(self, wanted=lambda segment: True):
        """The segments so far for which `wanted` holds."""
        self._drain()
        return [segment for segment in self._segments if wanted(segment)]

    def sent(self, wanted=lambda segment: True):
        """The module's segments so far for which `wanted` holds."""
        return self.segments(lambda segment: segment.from_module and wanted(segment))

    def wait_for(self, wanted, seconds=PATIENCE):
        """The first segment for which `wanted` holds; fails when none comes in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.segments(wanted)
            if found:
                return found[0]
            select.select([self._socket], [], [], 0.2)
        raise AssertionError(f"no such segment in {seconds} s")

    def clear(self):
        """Forget what was captured."""
        self._drain()
        self._segments.clear()


def checksum(data):
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def syn(source, source_port, port, sequence=1000, flags=SYN):
    """An IPv4 packet: a SYN from `source`, which no host needs to have, to the module."""
    addresses = socket.inet_aton(source) + socket.inet_aton(MODULE)
    tcp = struct.pack(">HHIIBBHHH", source_port, port, sequence, 0, 5 << 4, flags, 5840, 0, 0)
    tcp_sum = checksum(addresses + struct.pack(">BBH", 0, 6, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack(">H", tcp_sum) + tcp[18:]
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + addresses
    return ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:] + tcp
