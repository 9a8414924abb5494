"""Bringing a module onto a network and keeping it there, and scanning."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

from spinet_controller.codes import ABOUT_A_CONNECTION, LastError, WiFiState
from spinet_controller.errors import ModuleError, NetworkLost, Refused, ScanInProgress
from spinet_controller.module import Module
from spinet_controller.records import NetworkStatus, ScanData, WirelessConfig, shown

Tell = Callable[[str], object]

JOIN_TIMEOUT = 60.0
"""Seconds: longer than a module itself tries to connect, or to get back after a lost link."""
SCAN_TIMEOUT = 15.0
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
"""Seconds between two attempts to join again: twice as long each time."""
_LOOK = 0.05
"""Seconds between two looks at the module."""

_UP = (WiFiState.CONNECTED, WiFiState.RUNNING_AS_ACCESS_POINT)
_AT_REST = (WiFiState.IDLE, *_UP)


async def join(
    module: Module,
    ssid: str | None = None,
    password: str = "",
    *,
    fallback: WirelessConfig | None = None,
) -> NetworkStatus:
    """Have the module on a network; give its NetworkStatus.

    With an `ssid` that network is remembered and joined. Without one the strongest of the
    remembered ones is; where none of them is in reach and `fallback` is, a WirelessConfig, that
    one is remembered and joined. A module that is on a network stays there.
    """
    await _until(module, _AT_REST, "end its own attempts")
    if module.wifi_state not in _UP:
        chosen = None if ssid is None else WirelessConfig(ssid, password)
        wanted = chosen or await _in_need(module, fallback)
        if wanted:
            await module.network_add_ssid(wanted)
            ssid = wanted.ssid
    return await _joined(module, ssid)


async def _joined(module: Module, ssid: str | None) -> NetworkStatus:
    await _until(module, _AT_REST, "end its own attempts")
    if module.wifi_state not in _UP:
        await module.network_start_client(ssid)
        await _connected(module, ssid)
    return await module.network_get_status()


async def network_lost(module: Module) -> NetworkLost:
    """Wait until a module that was on a network is idle by itself; give a NetworkLost.

    Raises the ModuleLost of a module that is gone instead.
    """
    while module.wifi_state is not WiFiState.IDLE:
        if module.lost:
            raise module.lost
        await asyncio.sleep(_LOOK)
    return NetworkLost("the module lost its network")


async def rejoin(module: Module, ssid: str | None, tell: Tell) -> NetworkStatus:
    """Have the module join a remembered network, however long it takes; give its NetworkStatus.

    `ssid` is as for networkStartClient. `tell(text)` is called with the reason of a failed
    attempt, when it differs from the one before.
    """
    pause = FIRST_PAUSE
    told: str | None = None
    while True:
        try:
            return await _joined(module, ssid)
        except (Refused, ModuleError) as error:
            if str(error) != told:
                told = str(error)
                tell(f"{told}; trying again")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def stay(module: Module, tell: Tell) -> NoReturn:
    """Join again whenever the network is lost, until cancelled; `tell(text)` gets the news."""
    while True:
        tell(f"{await network_lost(module)}; joining again")
        network = await rejoin(module, None, tell)
        tell(f"the module is on {shown(network.ssid) or 'a network'} again, at {network.ip}")


async def _in_need(module: Module, fallback: WirelessConfig | None) -> WirelessConfig | None:
    """Give `fallback` when it is in reach and none of the remembered networks is, else None."""
    if fallback is None:
        return None
    _own, *known = await module.network_retrieve_ssid_data()
    in_reach = {network.ssid for network in await scan(module)}
    needed = fallback.ssid in in_reach and in_reach.isdisjoint(network.ssid for network in known)
    return fallback if needed else None


async def _connected(module: Module, ssid: str | None) -> None:
    """Wait until the module is connected; Refused with its last error, which is told here alone."""
    heard: list[str] = []

    def hear(text: str) -> bool:
        if LastError.of(text) in ABOUT_A_CONNECTION:
            return False
        heard.append(text)
        return module.wifi_state is WiFiState.IDLE

    with module.hearing(hear):
        await _until_up(module, ssid, heard)


async def _until_up(module: Module, ssid: str | None, heard: list[str]) -> None:
    for _ in _looks(JOIN_TIMEOUT):
        if module.wifi_state in _UP:
            return
        await asyncio.sleep(_LOOK)
        await module.null()
        if module.wifi_state is WiFiState.IDLE and heard:
            raise Refused.by_last_error(heard[-1])
    name = shown(ssid) if ssid else "any network"
    raise Refused(f"the module is not on {name} after {JOIN_TIMEOUT:g} s")


async def scan(module: Module) -> list[ScanData]:
    """Scan, and give the ScanData found, strongest first.

    Refused when the scan does not end within SCAN_TIMEOUT.
    """
    await module.network_start_scan()
    for _ in _looks(SCAN_TIMEOUT):
        try:
            return await module.network_get_scan_result()
        except ScanInProgress:
            await asyncio.sleep(_LOOK)
    raise Refused(f"the module did not end its scan within {SCAN_TIMEOUT:g} s")


async def switch(module: Module, ssid: str) -> NetworkStatus:
    """Leave the present network for the remembered `ssid`; give its NetworkStatus.

    Every connection and listener ends (link protocol, networkStop). Refused when the network
    cannot be joined.
    """
    await leave(module)
    await module.network_start_client(ssid)
    await _connected(module, ssid)
    return await module.network_get_status()


async def leave(module: Module) -> None:
    """Have the module on no network; every connection and listener ends."""
    await module.network_stop()
    await _until(module, (WiFiState.IDLE,), "stop WiFi")


async def start_access_point(module: Module, config: WirelessConfig) -> None:
    """Leave the present network, and have the module be the access point of a WirelessConfig.

    Refused when it cannot be.
    """
    await leave(module)
    await module.network_configure_access_point(config)
    await module.network_start_access_point()
    await _connected(module, config.ssid)


async def _until(module: Module, states: tuple[WiFiState, ...], what: str) -> None:
    """Wait until WiFi is in one of these states; Refused says that the module did not `what`."""
    for _ in _looks(JOIN_TIMEOUT):
        await module.null()
        if module.wifi_state in states:
            return
        await asyncio.sleep(_LOOK)
    raise Refused(f"the module did not {what} within {JOIN_TIMEOUT:g} s")


def _looks(seconds: float) -> range:
    """Give so many looks as take that time; while we stand still ourselves, none is used up."""
    return range(round(seconds / _LOOK))
