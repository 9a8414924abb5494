"""The TCP stack over lwIP: firmware/lwip, a C module that keeps the contract by itself.

What is left to do here is to start and to end it. Its functions become attributes, so a call costs
what it costs in C. See `stack` for the contract, docs/lwip.md for what lwIP does.
"""

import _spinet_lwip as lwip
from micropython import const

CLOSE_MS = const(4000)  # a closed connection's PCB is reset after this
CONNECT_MS = const(10000)  # longer than the slots' own time-out, which is the one to be told
HALF_OPEN_MS = const(3000)  # an unfinished handshake is given up after this


class LwipStack:
    """See `stack`. One at a time in a process: lwIP is there once."""

    def __init__(self):
        lwip.start(CLOSE_MS, CONNECT_MS, HALF_OPEN_MS)
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

    def shut(self):
        """Reset every connection, the closed ones that still live included; free every PCB."""
        lwip.stop()
