"""A record of the frames on the wire as a pcap file, which Wireshark and tshark open.

One file may hold the frames of several namespaces, one after the other: each test has its own.
"""

import os
import select
import socket
import struct
import threading
import time

from capture import ETH_P_ALL
from namespace import DEVICE

MAGIC = 0xA1B23C4D  # times in nanoseconds
ETHERNET = 1
SNAP = 65535
FILE_HEADER = struct.Struct("=IHHiIII")
FRAME_HEADER = struct.Struct("=IIII")
RECEIVE_BUFFER = 8 << 20


class PcapFile:
    """Written frame by frame, from any thread."""

    def __init__(self, path):
        self._lock = threading.Lock()
        self._file = path.open("wb")
        self._file.write(FILE_HEADER.pack(MAGIC, 2, 4, 0, 0, SNAP, ETHERNET))
        self._began = time.time_ns() - time.monotonic_ns()  # frames are in order, clock set or not
        self.frames = 0

    def add(self, frame):
        """One Ethernet frame, seen now."""
        with self._lock:
            seconds, nanoseconds = divmod(self._began + time.monotonic_ns(), 10**9)
            header = FRAME_HEADER.pack(seconds, nanoseconds, len(frame), len(frame))
            self._file.write(header + frame)
            self.frames += 1

    def record(self, namespace):
        """The Recorder of this namespace; close() it before the namespace."""
        return Recorder(namespace, self)

    def close(self):
        """Nothing is added any more."""
        self._file.close()


class Recorder:
    """Puts all frames of one namespace into a PcapFile, in a thread of its own."""

    def __init__(self, namespace, file):
        self._file = file
        self._socket = namespace.socket(socket.SOCK_RAW, socket.AF_PACKET, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket.bind((DEVICE, ETH_P_ALL))
        self._socket.setblocking(False)
        self._end = os.pipe()
        self._thread = threading.Thread(target=self._record, daemon=True)
        self._thread.start()

    def _record(self):
        wanted = [self._socket, self._end[0]]
        while self._end[0] not in select.select(wanted, [], [])[0]:
            self._drain()
        self._drain()

    def _drain(self):
        try:
            while True:
                self._file.add(self._socket.recv(SNAP))
        except BlockingIOError:
            return

    def close(self):
        """What has crossed the wire so far is in the file then."""
        os.write(self._end[1], b"x")
        self._thread.join()
        self._socket.close()
        for fd in self._end:
            os.close(fd)


def read(path):
    """The frames in a file of ours: (seconds, bytes) each."""
    data = path.read_bytes()
    magic, major, minor, _, _, _, link = FILE_HEADER.unpack_from(data)
    if (magic, major, minor, link) != (MAGIC, 2, 4, ETHERNET):
        raise ValueError(f"{path}: not a pcap file of Ethernet frames")
    offset, frames = FILE_HEADER.size, []
    while offset < len(data):
        seconds, nanoseconds, length, _ = FRAME_HEADER.unpack_from(data, offset)
        offset += FRAME_HEADER.size + length
        frames.append((seconds + nanoseconds / 1e9, data[offset - length : offset]))
    return frames
