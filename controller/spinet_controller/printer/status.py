"""What the printer shows of its module: one JSON document."""

import time
from collections.abc import Callable
from typing import Any

from spinet_controller.codes import SOCKETS, Protocol, named
from spinet_controller.errors import SpinetError
from spinet_controller.module import Module
from spinet_controller.records import NetworkStatus
from spinet_controller.sockets import SocketTransport

Document = dict[str, Any]
"""What becomes JSON."""

CROWDED = SOCKETS - 2
"""So many sockets in use that none should be held without need."""

FRESH = 1.0
"""Seconds for which a NetworkStatus is shown again rather than asked for."""


def label(state: object) -> str:
    """Give a state's name as people read it; a number when it has none."""
    name = getattr(state, "name", None)
    return name.lower().replace("_", " ") if name else str(state)


class Rate:
    """Bytes per second of a growing counter between two looks at least FRESH apart."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._count = 0
        self._at = clock()
        self._rate = 0.0

    def of(self, count: int) -> float:
        """Give the rate, given the counter's value now."""
        now = self._clock()
        if now - self._at >= FRESH:
            self._rate = (count - self._count) / (now - self._at)
            self._count, self._at = count, now
        return self._rate


class ModuleReport:
    """Gathers the document for /api/status from one module.

    `services` maps what is served, by name, to where; its server sets it.
    """

    def __init__(self, module: Module, clock: Callable[[], float] = time.monotonic) -> None:
        self._module = module
        self._clock = clock
        self._network: NetworkStatus | None = None
        self._asked_at = float("-inf")
        self._rate_in = Rate(clock)
        self._rate_out = Rate(clock)
        self._started_at = clock()
        self._last_error: tuple[str, float] | None = None
        self._join: Document | None = None
        self.services: dict[str, str] = {}

    def heard(self, text: str) -> None:
        """Keep a last error of the module, to be shown."""
        self._last_error = (text, self._clock())

    def joining(self, ssid: str) -> None:
        """Another network was asked for."""
        self._join = {"ssid": ssid, "error": None}

    def joined(self) -> None:
        """The module is on the network that was asked for."""
        self._join = None

    def not_joined(self, text: str) -> None:
        """The module is not on the network that was asked for; this is said until the next wish."""
        if self._join:
            self._join["error"] = text

    def crowded(self) -> bool:
        """True when few of the module's sockets are free."""
        return sum(1 for transport in self._module.poller.slots if transport) >= CROWDED

    async def document(self) -> Document:
        """Give the document as plain dictionaries."""
        return {
            "module": await self._module_part(),
            "sockets": self._sockets_part(),
            "traffic": self._traffic_part(),
            "services": dict(self.services),
            "lastError": self._error_part(),
            "join": self._join,
            "uptimeSeconds": round(self._clock() - self._started_at),
        }

    async def _module_part(self) -> Document:
        state = label(self._module.wifi_state)
        try:
            network = await self._fresh_network()
        except SpinetError as error:
            return {"state": state, "error": str(error)}
        return {"state": state, **network_document(network)}

    async def _fresh_network(self) -> NetworkStatus:
        if self._network is None or self._clock() - self._asked_at >= FRESH:
            self._network = await self._module.network_get_status()
            self._asked_at = self._clock()
        return self._network

    def _error_part(self) -> Document | None:
        if self._last_error is None:
            return None
        text, at = self._last_error
        return {"text": text, "secondsAgo": round(self._clock() - at)}

    def _sockets_part(self) -> Document:
        transports = [transport for transport in self._module.poller.slots if transport]
        return {
            "limit": SOCKETS,
            "used": len(transports),
            "open": [_socket_document(transport) for transport in transports],
        }

    def _traffic_part(self) -> Document:
        poller, link = self._module.poller, self._module.link
        return {
            "bytesIn": poller.bytes_in,
            "bytesOut": poller.bytes_out,
            "bytesInPerSecond": round(self._rate_in.of(poller.bytes_in)),
            "bytesOutPerSecond": round(self._rate_out.of(poller.bytes_out)),
            "transactions": link.transactions,
            "failures": link.failures,
        }


def _socket_document(transport: SocketTransport) -> Document:
    host, port = transport.get_extra_info("peername", ("", 0))
    return {
        "number": transport.get_extra_info("socket_number"),
        "protocol": label(named(Protocol, transport.get_extra_info("protocol_number", 0))),
        "localPort": transport.get_extra_info("sockname", ("", 0))[1],
        "peer": f"{host}:{port}",
        "closing": transport.is_closing(),
        "waiting": transport.get_write_buffer_size(),
    }


def network_document(network: NetworkStatus) -> Document:
    """Give a NetworkStatus as plain JSON values."""
    return {
        "ip": str(network.ip),
        "netmask": str(network.netmask),
        "gateway": str(network.gateway),
        "mac": network.mac,
        "ssid": network.ssid,
        "hostName": network.host_name,
        "rssi": network.rssi,
        "channel": network.channel,
        "auth": label(network.auth),
        "dhcp": network.using_dhcp,
        "clients": network.num_clients,
        "reconnects": network.num_reconnects,
        "version": network.version_text,
        "freeHeap": network.free_heap,
        "flashSize": network.flash_size,
        "resetReason": label(network.reset_reason),
    }
