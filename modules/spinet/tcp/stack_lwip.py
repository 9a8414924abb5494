"""The TCP stack over lwIP: firmware/lwip, a C module whose functions keep the contract.

This file starts and stops it. Its functions become attributes here, so that a call costs no more
than in C. See `stack` for the contract, docs/lwip.md for what lwIP does.
"""

import _spinet_lwip as lwip
from micropython import const

_CLOSE_MS = const(4000)  # a closed connection's PCB is reset after this
_CONNECT_MS = const(10000)  # longer than the slots' own time-out, which has to come first
_HALF_OPEN_MS = const(3000)  # a half-open connection is dropped after this

_FUNCTIONS = (  # and `udp`, see spinet.udp.datagrams
    "listen accept connect addresses readable read recved write in_flight shutdown_rx keepalive"
    " linger close abort error events pending overlook wait wake spare udp"
)


class LwipStack:
    """See `stack`. One at a time in a process, as there is one lwIP."""

    def __init__(self):
        lwip.start(_CLOSE_MS, _CONNECT_MS, _HALF_OPEN_MS)
        for name in _FUNCTIONS.split():
            setattr(self, name, getattr(lwip, name))

    def shut(self):
        """Reset every connection, orphans included; free every PCB."""
        lwip.stop()
