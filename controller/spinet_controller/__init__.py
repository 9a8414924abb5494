"""The controller's end of the Spinet SPI link.

Imports point downwards only:

    cli, printer            what a person starts
    aiohttp_connector, httpcore_backend, through
                            what other libraries need to use a module
    module                  one module as an object: boot, commands, sockets
    server, sockets, poller module sockets as asyncio transports, and who serves them
    tls                     TLS above such a transport
    commands                the command table as typed calls
    link                    one transaction at a time, its time-outs and errors
    bus, raspberry_pi       the electrical side: the virtual bus, a Raspberry Pi's SPI (spidev_bus)
    spi_bus                 what link and bus know of each other
    extras                  what is imported only where it is needed: cli, printer, pi
    frames, records, codes  bytes on the virtual bus, bytes on the link
    errors                  every exception that leaves this package

A bus knows no command, the link knows no frame, the poller knows no byte offset, and only
`records` knows where a field lies.
"""

from spinet_controller.bus import VirtualBus
from spinet_controller.module import Module
from spinet_controller.through import through

__version__ = "2.3.0"
"""The firmware's too: both are released together."""

__all__ = ["Module", "VirtualBus", "through"]
