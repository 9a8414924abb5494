"""The controller's end of the Spinet SPI link.

Imports point downwards only:

    cli, printer            what a person starts
    aiohttp_connector, httpcore_backend, through
                            what other libraries need to use a module
    wifi, update            what takes several commands: joining a network, a new image
    over_network            a new image for a module whose controller cannot bring it
    module                  one module as an object: boot, commands, sockets
    server, sockets, poller module sockets as asyncio transports, and what serves them
    tls                     TLS above such a transport
    commands                the command table as typed calls
    link                    one transaction at a time, its time-outs and errors
    circuitpython           CircuitPython programs, with a module of another protocol: above the bus
    bus, raspberry_pi       the electrical side: the virtual bus, a Raspberry Pi's SPI (spidev_bus)
    spi_bus                 what link and bus know of each other
    extras                  what is imported only where it is needed: cli, printer, pi
    frames, records, codes  bytes on the virtual bus, bytes on the link
    errors                  every exception that leaves this package

A bus knows no command, the link knows no frame, the poller knows no byte offset, and only
`records` knows where a field lies.
"""

from spinet_controller import errors, update, wifi
from spinet_controller.bus import VirtualBus
from spinet_controller.codes import (
    Auth,
    ClockWord,
    ConnState,
    Eap,
    EnterpriseStage,
    LastError,
    Protocol,
    ResetReason,
    Response,
    UpdateState,
    WiFiState,
)
from spinet_controller.module import Module, News
from spinet_controller.over_network import NetworkModule
from spinet_controller.raspberry_pi import raspberry_pi_bus
from spinet_controller.records import (
    ConnStatus,
    EnterpriseNetwork,
    NetworkStatus,
    ScanData,
    UpdateStatus,
    WirelessConfig,
    shown,
)
from spinet_controller.serial_line import SerialLine
from spinet_controller.server import CallHome, Server
from spinet_controller.sim import SimProcess
from spinet_controller.sockets import SocketTransport
from spinet_controller.spi_bus import Pin, Role
from spinet_controller.through import through
from spinet_controller.version import VERSION

__version__ = VERSION
"""The firmware's too: both are released together."""


__all__ = [
    "Auth",
    "CallHome",
    "ClockWord",
    "ConnState",
    "ConnStatus",
    "Eap",
    "EnterpriseNetwork",
    "EnterpriseStage",
    "LastError",
    "Module",
    "NetworkModule",
    "NetworkStatus",
    "News",
    "Pin",
    "Protocol",
    "ResetReason",
    "Response",
    "Role",
    "ScanData",
    "SerialLine",
    "Server",
    "SimProcess",
    "SocketTransport",
    "UpdateState",
    "UpdateStatus",
    "VirtualBus",
    "WiFiState",
    "WirelessConfig",
    "errors",
    "raspberry_pi_bus",
    "shown",
    "through",
    "update",
    "wifi",
]
