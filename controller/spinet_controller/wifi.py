"""Bringing a module onto a network, and scanning: what takes more than one command."""

import asyncio

from spinet_controller.codes import WiFiState
from spinet_controller.errors import ScanInProgress, SpinetError
from spinet_controller.records import WirelessConfig, shown

SIM_SSID = "Workshop"
SIM_PASSWORD = "spinet-sim"
"""The network in whose reach every SIM board is."""

JOIN_TIMEOUT = 20.0
SCAN_TIMEOUT = 15.0
_LOOK = 0.05
"""Seconds between two looks at the module."""

_UP = (WiFiState.CONNECTED, WiFiState.RUNNING_AS_ACCESS_POINT)
_TRYING = (WiFiState.CONNECTING, WiFiState.RECONNECTING, WiFiState.AUTO_RECONNECTING)


class Refused(SpinetError):
    """The module took a command, and then could not do it; the text has its own reason."""


async def join(module, ssid=None, password=""):
    """Have the module on a network; give its NetworkStatus.

    With an `ssid` that network is remembered and joined. Without one the strongest of the
    remembered ones is, and where none of them is in reach, SIM's.
    """
    await module.null()
    if module.wifi_state not in _UP:
        wanted = await _remember(module, ssid, password)
        await checked(module, module.network_start_client(wanted))
        await _connected(module, wanted)
    return await module.network_get_status()


async def _remember(module, ssid, password):
    """Have the wanted network remembered; give its name, None for any that is in reach."""
    if ssid is None:
        if not await _sim_only(module):
            return None
        ssid, password = SIM_SSID, SIM_PASSWORD
    await checked(module, module.network_add_ssid(WirelessConfig(ssid, password)))
    return ssid


async def _sim_only(module):
    """True when none of the remembered networks is in reach, and SIM's is."""
    _own, *known = await module.network_retrieve_ssid_data()
    in_reach = {network.ssid for network in await scan(module)}
    return SIM_SSID in in_reach and in_reach.isdisjoint(network.ssid for network in known)


async def checked(module, command):
    """Run a deferred command; what went wrong after its answer raises Refused."""
    text = await module.outcome(command)
    if text:
        raise Refused(f"the module says: {text}")


async def _connected(module, ssid):
    """Wait until the module is connected; its last error ends the wait."""
    reasons = []
    before, module.on_news = module.on_news, lambda text: reasons.append(text) if text else None
    try:
        async with asyncio.timeout(JOIN_TIMEOUT):
            await _until_up(module, reasons)
    except TimeoutError:
        name = shown(ssid) if ssid else "any network"
        raise Refused(f"the module did not join {name} within {JOIN_TIMEOUT:g} s") from None
    finally:
        module.on_news = before


async def _until_up(module, reasons):
    while module.wifi_state not in _UP:
        await asyncio.sleep(_LOOK)
        await module.null()
        if reasons and module.wifi_state not in (*_UP, *_TRYING):
            raise Refused(f"the module says: {reasons[-1]}")


async def scan(module):
    """Scan, and give the ScanData found, strongest first.

    Refused when the scan does not end within SCAN_TIMEOUT.
    """
    await module.network_start_scan()
    try:
        async with asyncio.timeout(SCAN_TIMEOUT):
            return await _scanned(module)
    except TimeoutError:
        raise Refused(f"the module did not end its scan within {SCAN_TIMEOUT:g} s") from None


async def _scanned(module):
    while True:
        try:
            return await module.network_get_scan_result()
        except ScanInProgress:
            await asyncio.sleep(_LOOK)


async def switch(module, ssid):
    """Leave the present network for the remembered `ssid`; give its NetworkStatus.

    Every connection and listener ends (link protocol, networkStop). Refused when the network
    cannot be joined.
    """
    await module.network_stop()
    await _settled(module)
    await checked(module, module.network_start_client(ssid))
    await _connected(module, ssid)
    return await module.network_get_status()


async def _settled(module):
    """Wait until WiFi is idle, as networkStartClient wants it."""
    try:
        async with asyncio.timeout(JOIN_TIMEOUT):
            while module.wifi_state is not WiFiState.IDLE:
                await asyncio.sleep(_LOOK)
                await module.null()
    except TimeoutError:
        raise Refused(f"the module did not stop WiFi within {JOIN_TIMEOUT:g} s") from None
