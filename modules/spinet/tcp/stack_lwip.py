"""The TCP stack over lwIP: firmware/lwip, a C module whose functions keep the contract.

This file starts and stops it. Its functions become attributes here, so that a call costs no more
than in C. See `stack` for the contract, docs/lwip.md for what lwIP does.
"""

import _spinet_lwip as lwip
from micropython import const

_CLOSE_MS = const(4000)  # a closed connection's PCB is reset after this
_CONNECT_MS = const(10000)  # longer than the slots' own time-out, which has to come first
_HALF_OPEN_MS = const(3000)  # a half-open connection is dropped after this


class LwipStack:
    """See `stack`. One at a time in a process, as there is one lwIP."""

    def __init__(self):
        lwip.start(_CLOSE_MS, _CONNECT_MS, _HALF_OPEN_MS)
        self.listen = lwip.listen
        self.accept = lwip.accept
        self.connect = lwip.connect
        self.addresses = lwip.addresses
        self.readable = lwip.readable
        self.read = lwip.read
        self.recved = lwip.recved
        self.write = lwip.write
        self.in_flight = lwip.in_flight
        self.shutdown_rx = lwip.shutdown_rx
        self.keepalive = lwip.keepalive
        self.linger = lwip.linger
        self.close = lwip.close
        self.abort = lwip.abort
        self.error = lwip.error
        self.events = lwip.events
        self.pending = lwip.pending
        self.overlook = lwip.overlook
        self.wait = lwip.wait
        self.wake = lwip.wake
        self.spare = lwip.spare
        self.udp = lwip.udp  # see spinet.udp.datagrams

    def shut(self):
        """Reset every connection, orphans included; free every PCB."""
        lwip.stop()
