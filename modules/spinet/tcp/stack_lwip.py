"""The TCP stack over lwIP: firmware/lwip, a C module that keeps the contract by itself.

What is left to do here is to start and to end it. Its functions become attributes, so a call costs
what it costs in C. See `stack` for the contract, docs/lwip.md for what lwIP does.
"""

import netconn
from micropython import const

CLOSE_MS = const(4000)  # a closed connection's PCB is reset after this
CONNECT_MS = const(10000)  # longer than the slots' own time-out, which is the one to be told
HALF_OPEN_MS = const(3000)  # an unfinished handshake is given up after this


class NetconnStack:
    """See `stack`. One at a time in a process: lwIP is there once."""

    def __init__(self):
        netconn.start(CLOSE_MS, CONNECT_MS, HALF_OPEN_MS)
        self.listen = netconn.listen
        self.accept = netconn.accept
        self.connect = netconn.connect
        self.addresses = netconn.addresses
        self.readable = netconn.readable
        self.read = netconn.read
        self.recved = netconn.recved
        self.write = netconn.write
        self.in_flight = netconn.in_flight
        self.shutdown_rx = netconn.shutdown_rx
        self.keepalive = netconn.keepalive
        self.linger = netconn.linger
        self.close = netconn.close
        self.abort = netconn.abort
        self.error = netconn.error
        self.events = netconn.events
        self.pending = netconn.pending
        self.overlook = netconn.overlook
        self.wait = netconn.wait
        self.wake = netconn.wake
        self.spare = netconn.spare

    def shut(self):
        """Reset every connection, the closed ones that still live included; free every PCB."""
        netconn.stop()
