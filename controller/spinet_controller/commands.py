"""Every command of the link protocol as a typed asynchronous call.

Each method raises the ModuleError of a negative response, LinkTimeout or BadReply when the
transaction went wrong, ModuleLost when the module is gone, and ValueError, before anything is
sent, for what the record or the request has no room for. Commands that the module defers
answer before the work is done; their failure comes as news (`Link.on_news`).
"""

import asyncio
import struct

from spinet_controller.codes import (
    MAX_DATA,
    CertFlag,
    Command,
    ConnectFlag,
    EnterpriseStage,
    ListenFlag,
    WriteFlag,
)
from spinet_controller.errors import BadReply, SpinetError, WrongState
from spinet_controller.link import FACTORY_RESET, STORAGE, Request
from spinet_controller.records import (
    ANY_ADDRESS,
    ConnStatus,
    ListenOrConnect,
    NetworkStatus,
    ScanData,
    WirelessConfig,
    pack_host_name,
    pack_ssid,
    pack_start_client,
    unpack_error,
    unpack_names,
)


class Commands:
    """The command table over one link; method names are the protocol's in Python spelling."""

    def __init__(self, link):
        self.link = link

    async def _send(self, command, socket=0, **fields):
        response, _data = await self.link.call(Request(command, socket, **fields))
        return response

    async def _ask(self, command, socket=0, *, available=MAX_DATA, **fields):
        request = Request(command, socket, available=available, **fields)
        _response, data = await self.link.call(request)
        return data

    async def _ask_record(self, record, command, socket=0, **fields):
        data = await self._ask(command, socket, **fields)
        try:
            return record(data)
        except (ValueError, struct.error) as error:
            raise BadReply(f"{command.name}: {error}") from error

    # -- connections ------------------------------------------------------------------

    async def null(self):
        """Do nothing (null); the answer refreshes the WiFi state."""
        await self._send(Command.NULL)

    async def conn_abort(self, socket):
        """Drop a connection at once (connAbort); BadParameter for a bad socket."""
        await self._send(Command.CONN_ABORT, socket)

    async def conn_close(self, socket):
        """Close a connection in order (connClose); BadParameter for a bad socket."""
        await self._send(Command.CONN_CLOSE, socket)

    async def conn_create(self, host, port, protocol=0, *, tls=False, server_name=""):
        """Start a connection to an IPv4 address or a name (connCreate).

        With `tls` (an extension) the module speaks TLS to the peer, whose certificate must be
        from a CA of `network_set_tls_ca` (without one: WrongState) and for the peer's name,
        which is `server_name` where `host` is an address. Gives its socket number, or raises
        Busy.
        """
        record = ListenOrConnect.to(host, port, protocol, server_name=server_name)
        flags = ConnectFlag.TLS if tls else 0
        return await self._send(Command.CONN_CREATE, flags=flags, data=record.pack())

    async def conn_read(self, socket, length=MAX_DATA):
        """Give up to `length` bytes that arrived, b"" when there are none (connRead)."""
        return await self._ask(Command.CONN_READ, socket, available=length)

    async def conn_write(self, socket, data, *, push=False, close=False):
        """Give how many of up to 2048 bytes were accepted (connWrite).

        `push` and `close` count only when all of them were.
        """
        flags = (WriteFlag.PUSH if push else 0) | (WriteFlag.CLOSE if close else 0)
        return await self._send(
            Command.CONN_WRITE, socket, flags=flags, data=bytes(data), sized_by_response=True
        )

    async def conn_get_status(self, socket):
        """Give the ConnStatus of a socket and the bitmaps of all (connGetStatus)."""
        return await self._ask_record(ConnStatus.unpack, Command.CONN_GET_STATUS, socket)

    async def network_listen(self, port, max_connections, *, protocol=0, ip=ANY_ADDRESS, tls=False):
        """Listen on a port, or stop with `max_connections` 0 (networkListen).

        WrongState for TLS without a certificate; a listen that fails later is news.
        """
        record = ListenOrConnect(port, ip, protocol, max_connections)
        flags = ListenFlag.TLS if tls else 0
        await self._send(Command.NETWORK_LISTEN, flags=flags, data=record.pack())

    async def network_call_home(self, host, port, max_connections=1, *, protocol=0, attempts=0):
        """Have the module connect to a peer again and again, and serve that (networkListen).

        `max_connections` at a time, 0 stops; `attempts` may fail in a row, 0 for any number.
        """
        record = ListenOrConnect.to(host, port, protocol, max_connections, attempts)
        flags = ListenFlag.CALL_HOME
        await self._send(Command.NETWORK_LISTEN, flags=flags, data=record.pack())

    # -- networks ---------------------------------------------------------------------

    async def network_get_status(self):
        """Give the NetworkStatus (networkGetStatus)."""
        return await self._ask_record(NetworkStatus.unpack, Command.NETWORK_GET_STATUS)

    async def network_add_ssid(self, config):
        """Remember a WirelessConfig (networkAddSsid; deferred)."""
        await self._send(Command.NETWORK_ADD_SSID, data=config.pack(), timeout=STORAGE)

    async def network_delete_ssid(self, ssid):
        """Forget a network (networkDeleteSsid; deferred)."""
        data = pack_ssid(ssid)
        await self._send(Command.NETWORK_DELETE_SSID, data=data, timeout=STORAGE)

    async def network_list_ssids(self):
        """Give the names, our own access point's first, "" when unset (networkListSsids)."""
        return unpack_names(await self._ask(Command.NETWORK_LIST_SSIDS))

    async def network_retrieve_ssid_data(self):
        """Give a WirelessConfig without password for each network (networkRetrieveSsidData).

        Entry 0 is our own access point, with an empty SSID when unset.
        """
        command = Command.NETWORK_RETRIEVE_SSID_DATA
        return await self._ask_record(WirelessConfig.unpack_all, command, timeout=STORAGE)

    async def network_configure_access_point(self, config):
        """Set our own access point (networkConfigureAccessPoint; deferred)."""
        command = Command.NETWORK_CONFIGURE_ACCESS_POINT
        await self._send(command, data=config.pack(), timeout=STORAGE)

    async def network_delete_access_point(self):
        """Forget our own access point (networkConfigureAccessPoint with 0xFF; deferred)."""
        command, data = Command.NETWORK_CONFIGURE_ACCESS_POINT, b"\xff" * WirelessConfig.SIZE
        await self._send(command, data=data, timeout=STORAGE)

    async def network_add_enterprise_ssid(self, network):
        """Remember an EnterpriseNetwork, in all stages; a failure cancels them and is raised.

        A cancelled task cancels them too, in any stage: otherwise the module would refuse the
        next network. After WrongState nothing is cancelled: then the module is in the stages of
        another network.
        """
        stage = self.network_add_enterprise_stage
        try:
            await stage(EnterpriseStage.SSID, network.pack(), param32=network.eap)
            await self._send_credentials(network.credentials)
            await stage(EnterpriseStage.COMMIT)
        except WrongState:
            raise
        except (SpinetError, asyncio.CancelledError):
            await stage(EnterpriseStage.CANCEL)
            raise

    async def _send_credentials(self, credentials):
        for index, credential in enumerate(credentials):
            for at in range(0, len(credential), MAX_DATA):
                chunk = credential[at : at + MAX_DATA]
                await self.network_add_enterprise_stage(
                    EnterpriseStage.CREDENTIAL, chunk, param32=index
                )

    async def network_add_enterprise_stage(self, stage, data=b"", *, param32=0):
        """Send one stage of networkAddEnterpriseSsid (deferred).

        `param32` is the EAP protocol of the SSID stage, the index of a credential chunk.
        """
        command = Command.NETWORK_ADD_ENTERPRISE_SSID
        await self._send(command, flags=stage, data=data, param32=param32, timeout=STORAGE)

    async def network_start_client(self, ssid=None):
        """Join a network, the strongest known one for None (networkStartClient; deferred)."""
        await self._send(Command.NETWORK_START_CLIENT, data=pack_start_client(ssid))

    async def network_start_access_point(self):
        """Start our own access point (networkStartAccessPoint; deferred)."""
        await self._send(Command.NETWORK_START_ACCESS_POINT)

    async def network_stop(self):
        """End all connections and listeners and turn WiFi off (networkStop; deferred)."""
        await self._send(Command.NETWORK_STOP)

    async def network_factory_reset(self):
        """Forget everything (networkFactoryReset); takes up to 15 s."""
        await self._send(Command.NETWORK_FACTORY_RESET, timeout=FACTORY_RESET)

    async def network_set_host_name(self, name):
        """Set the host name, at most 63 bytes (networkSetHostName)."""
        await self._send(Command.NETWORK_SET_HOST_NAME, data=pack_host_name(name))

    async def network_get_last_error(self):
        """Give the last error and clear it, None when there is none (networkGetLastError)."""
        return unpack_error(await self._ask(Command.NETWORK_GET_LAST_ERROR))

    async def network_start_scan(self):
        """Start a scan (networkStartScan); ScanInProgress, or WrongState."""
        await self._send(Command.NETWORK_START_SCAN)

    async def network_get_scan_result(self):
        """Give the ScanData found, strongest first (networkGetScanResult).

        ScanInProgress while the scan runs, NoScanStarted when there is no result.
        """
        return await self._ask_record(ScanData.unpack_all, Command.NETWORK_GET_SCAN_RESULT)

    # -- the module -------------------------------------------------------------------

    async def diagnostics(self):
        """Have the module print its report on its own console (diagnostics; deferred)."""
        await self._send(Command.DIAGNOSTICS)

    async def network_set_tx_power(self, quarter_db):
        """Set the transmit power, 0..82 in 0.25 dB (networkSetTxPower), else BadParameter."""
        if not 0 <= quarter_db <= 0xFF:
            raise ValueError("a transmit power is 0..82 quarters of a dB")
        await self._send(Command.NETWORK_SET_TX_POWER, flags=quarter_db)

    async def network_set_clock_control(self, word):
        """Choose the SPI clock by a ClockWord (networkSetClockControl; deferred)."""
        await self._send(Command.NETWORK_SET_CLOCK_CONTROL, param32=word)

    async def network_enable_tls(self):
        """Allow TLS listeners (networkEnableTls), else NoTlsCert."""
        await self._send(Command.NETWORK_ENABLE_TLS)

    async def network_set_tls_cert(self, pem):
        """Store a certificate in PEM, 1..2048 bytes or str (networkSetTlsCert; deferred)."""
        await self._send(Command.NETWORK_SET_TLS_CERT, data=_pem(pem), timeout=STORAGE)

    async def network_set_tls_ca(self, pem):
        """Store the CA that outgoing TLS trusts, as a certificate (networkSetTlsCert; deferred).

        An extension of the protocol, with a flag of its own.
        """
        command, flags = Command.NETWORK_SET_TLS_CERT, CertFlag.CA
        await self._send(command, flags=flags, data=_pem(pem), timeout=STORAGE)

    async def network_set_tls_key(self, pem):
        """Store the private key in PEM, 1..2048 bytes or str (networkSetTlsKey; deferred)."""
        await self._send(Command.NETWORK_SET_TLS_KEY, data=_pem(pem), timeout=STORAGE)

    async def network_clear_tls(self):
        """Forget certificate, key and CA (networkClearTls)."""
        await self._send(Command.NETWORK_CLEAR_TLS, timeout=STORAGE)


def _pem(pem):
    return pem.encode() if isinstance(pem, str) else pem
