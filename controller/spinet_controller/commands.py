"""Every command of the link protocol as a typed asynchronous call.

Each method raises the ModuleError of a negative response, LinkTimeout or BadReply when the
transaction went wrong, ModuleLost when the module is gone, and ValueError, before anything is
sent, for what the record or the request has no room for.

A deferred command answers before its work is done. What then goes wrong is the module's last
error, and raised as well: Refused, or ListenFailed. That takes a networkGetLastError before and
after the command; with `checked=False` the command is one transaction, and what goes wrong is news.
"""

import asyncio
import struct
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address
from typing import TypeVar, Unpack

from spinet_controller.codes import (
    MAX_DATA,
    UPDATE_AGAIN,
    CertFlag,
    Command,
    ConnectFlag,
    EnterpriseStage,
    ListenFlag,
    UpdateStep,
    WriteFlag,
)
from spinet_controller.errors import BadReply, SpinetError, WrongState
from spinet_controller.link import FACTORY_RESET, STORAGE, Fields, Link, Request
from spinet_controller.records import (
    ANY_ADDRESS,
    ConnStatus,
    EnterpriseNetwork,
    ListenOrConnect,
    NetworkStatus,
    Raw,
    ScanData,
    UpdateStatus,
    WirelessConfig,
    pack_host_name,
    pack_ssid,
    pack_start_client,
    unpack_error,
    unpack_names,
)

_R = TypeVar("_R")


class Commands:
    """The command table over one link; method names are the protocol's in Python spelling."""

    def __init__(self, link: Link) -> None:
        self.link = link

    async def _send(self, command: Command, socket: int = 0, **fields: Unpack[Fields]) -> int:
        response, _data = await self.link.call(Request(command, socket, **fields))
        return response

    async def _defer(
        self, command: Command, checked: bool, *, cannot: str = "", **fields: Unpack[Fields]
    ) -> None:
        """Send a deferred command; a Module hears what comes of it.

        `cannot` says what a failed networkListen was to do.
        """
        await self._send(command, **fields)

    async def _ask(
        self,
        command: Command,
        socket: int = 0,
        *,
        available: int = MAX_DATA,
        **fields: Unpack[Fields],
    ) -> bytes:
        request = Request(command, socket, available=available, **fields)
        _response, data = await self.link.call(request)
        return data

    async def _ask_record(
        self,
        record: Callable[[bytes], _R],
        command: Command,
        socket: int = 0,
        **fields: Unpack[Fields],
    ) -> _R:
        data = await self._ask(command, socket, **fields)
        try:
            return record(data)
        except (ValueError, struct.error) as error:
            raise BadReply(f"{command.name}: {error}") from error

    # -- connections ------------------------------------------------------------------

    async def null(self) -> None:
        """Do nothing (null); the answer refreshes the WiFi state."""
        await self._send(Command.NULL)

    async def conn_abort(self, socket: int) -> None:
        """Drop a connection at once (connAbort); BadParameter for a bad socket."""
        await self._send(Command.CONN_ABORT, socket)

    async def conn_close(self, socket: int) -> None:
        """Close a connection in order (connClose); BadParameter for a bad socket."""
        await self._send(Command.CONN_CLOSE, socket)

    async def conn_create(
        self, host: str, port: int, protocol: int = 0, *, tls: bool = False, server_name: str = ""
    ) -> int:
        """Start a connection to an IPv4 address or a name (connCreate).

        With `tls` (an extension) the module speaks TLS to the peer, whose certificate must be
        from a CA of `network_set_tls_ca` (without one: WrongState) and for the peer's name,
        which is `server_name` where `host` is an address. Gives its socket number, or raises
        Busy.
        """
        record = ListenOrConnect.to(host, port, protocol, server_name=server_name)
        flags = ConnectFlag.TLS if tls else 0
        return await self._send(Command.CONN_CREATE, flags=flags, data=record.pack())

    async def conn_read(self, socket: int, length: int = MAX_DATA) -> bytes:
        """Give up to `length` bytes that arrived, b"" when there are none (connRead)."""
        return await self._ask(Command.CONN_READ, socket, available=length)

    async def conn_write(
        self, socket: int, data: Raw, *, push: bool = False, close: bool = False
    ) -> int:
        """Give how many of up to 2048 bytes were accepted (connWrite).

        `push` and `close` count only when all of them were.
        """
        flags = (WriteFlag.PUSH if push else 0) | (WriteFlag.CLOSE if close else 0)
        return await self._send(
            Command.CONN_WRITE, socket, flags=flags, data=bytes(data), sized_by_response=True
        )

    async def conn_get_status(self, socket: int) -> ConnStatus:
        """Give the ConnStatus of a socket and the bitmaps of all (connGetStatus)."""
        return await self._ask_record(ConnStatus.unpack, Command.CONN_GET_STATUS, socket)

    async def network_listen(
        self,
        port: int,
        max_connections: int,
        *,
        protocol: int = 0,
        ip: IPv4Address = ANY_ADDRESS,
        tls: bool = False,
        checked: bool = True,
    ) -> None:
        """Listen on a port, or stop with `max_connections` 0 (networkListen).

        WrongState for TLS without a certificate; ListenFailed.
        """
        record = ListenOrConnect(port, ip, protocol, max_connections)
        await self._defer(
            *(Command.NETWORK_LISTEN, checked and max_connections > 0),
            cannot=f"listen on port {port}",
            flags=ListenFlag.TLS if tls else 0,
            data=record.pack(),
        )

    async def network_call_home(
        self,
        host: str,
        port: int,
        max_connections: int = 1,
        *,
        protocol: int = 0,
        attempts: int = 0,
        checked: bool = True,
    ) -> None:
        """Have the module connect to a peer again and again, and serve that (networkListen).

        `max_connections` at a time, 0 stops; `attempts` may fail in a row, 0 for any number.
        ListenFailed when it cannot begin.
        """
        record = ListenOrConnect.to(host, port, protocol, max_connections, attempts)
        await self._defer(
            *(Command.NETWORK_LISTEN, checked and max_connections > 0),
            cannot=f"call {host}:{port}",
            flags=ListenFlag.CALL_HOME,
            data=record.pack(),
        )

    # -- networks ---------------------------------------------------------------------

    async def network_get_status(self) -> NetworkStatus:
        """Give the NetworkStatus (networkGetStatus)."""
        return await self._ask_record(NetworkStatus.unpack, Command.NETWORK_GET_STATUS)

    async def network_add_ssid(self, config: WirelessConfig, *, checked: bool = True) -> None:
        """Remember a WirelessConfig (networkAddSsid; deferred)."""
        await self._defer(Command.NETWORK_ADD_SSID, checked, data=config.pack(), timeout=STORAGE)

    async def network_delete_ssid(self, ssid: str, *, checked: bool = True) -> None:
        """Forget a network (networkDeleteSsid; deferred)."""
        data = pack_ssid(ssid)
        await self._defer(Command.NETWORK_DELETE_SSID, checked, data=data, timeout=STORAGE)

    async def network_list_ssids(self) -> list[str]:
        """Give the names, our own access point's first, "" when unset (networkListSsids)."""
        return unpack_names(await self._ask(Command.NETWORK_LIST_SSIDS))

    async def network_retrieve_ssid_data(self) -> list[WirelessConfig]:
        """Give a WirelessConfig without password for each network (networkRetrieveSsidData).

        Entry 0 is our own access point, with an empty SSID when unset.
        """
        command = Command.NETWORK_RETRIEVE_SSID_DATA
        return await self._ask_record(WirelessConfig.unpack_all, command, timeout=STORAGE)

    async def network_configure_access_point(
        self, config: WirelessConfig, *, checked: bool = True
    ) -> None:
        """Set our own access point (networkConfigureAccessPoint; deferred)."""
        command = Command.NETWORK_CONFIGURE_ACCESS_POINT
        await self._defer(command, checked, data=config.pack(), timeout=STORAGE)

    async def network_delete_access_point(self, *, checked: bool = True) -> None:
        """Forget our own access point (networkConfigureAccessPoint with 0xFF; deferred)."""
        command, data = Command.NETWORK_CONFIGURE_ACCESS_POINT, b"\xff" * WirelessConfig.SIZE
        await self._defer(command, checked, data=data, timeout=STORAGE)

    async def network_add_enterprise_ssid(self, network: EnterpriseNetwork) -> None:
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

    async def _send_credentials(self, credentials: Iterable[bytes]) -> None:
        for index, credential in enumerate(credentials):
            for at in range(0, len(credential), MAX_DATA):
                chunk = credential[at : at + MAX_DATA]
                await self.network_add_enterprise_stage(
                    EnterpriseStage.CREDENTIAL, chunk, param32=index
                )

    async def network_add_enterprise_stage(
        self, stage: EnterpriseStage, data: bytes = b"", *, param32: int = 0, checked: bool = True
    ) -> None:
        """Send one stage of networkAddEnterpriseSsid (deferred).

        `param32` is the EAP protocol of the SSID stage, the index of a credential chunk.
        """
        command = Command.NETWORK_ADD_ENTERPRISE_SSID
        fields: Fields = {"flags": stage, "param32": param32, "data": data, "timeout": STORAGE}
        await self._defer(command, checked, **fields)

    async def network_start_client(self, ssid: str | None = None, *, checked: bool = True) -> None:
        """Join a network, the strongest known one for None (networkStartClient; deferred).

        Joining takes seconds more, and why it fails is news: `wifi.join` waits for that.
        """
        await self._defer(Command.NETWORK_START_CLIENT, checked, data=pack_start_client(ssid))

    async def network_start_access_point(self, *, checked: bool = True) -> None:
        """Start our own access point (networkStartAccessPoint; deferred)."""
        await self._defer(Command.NETWORK_START_ACCESS_POINT, checked)

    async def network_stop(self) -> None:
        """End all connections and listeners and turn WiFi off (networkStop; cannot fail)."""
        await self._send(Command.NETWORK_STOP)

    async def network_factory_reset(self, *, checked: bool = True) -> None:
        """Forget everything (networkFactoryReset); takes up to 15 s."""
        await self._defer(Command.NETWORK_FACTORY_RESET, checked, timeout=FACTORY_RESET)

    async def network_set_host_name(self, name: str) -> None:
        """Set the host name, at most 63 bytes (networkSetHostName)."""
        await self._send(Command.NETWORK_SET_HOST_NAME, data=pack_host_name(name))

    async def network_get_last_error(self) -> str | None:
        """Give the last error and clear it, None when there is none (networkGetLastError)."""
        return unpack_error(await self._ask(Command.NETWORK_GET_LAST_ERROR))

    async def network_start_scan(self) -> None:
        """Start a scan (networkStartScan); ScanInProgress, or WrongState."""
        await self._send(Command.NETWORK_START_SCAN)

    async def network_get_scan_result(self) -> list[ScanData]:
        """Give the ScanData found, strongest first (networkGetScanResult).

        ScanInProgress while the scan runs, NoScanStarted when there is no result.
        """
        return await self._ask_record(ScanData.unpack_all, Command.NETWORK_GET_SCAN_RESULT)

    # -- the module -------------------------------------------------------------------

    async def diagnostics(self) -> None:
        """Have the module print its report on its own console (diagnostics; cannot fail)."""
        await self._send(Command.DIAGNOSTICS)

    async def network_set_tx_power(self, quarter_db: int) -> None:
        """Set the transmit power, 0..82 in 0.25 dB (networkSetTxPower), else BadParameter."""
        if not 0 <= quarter_db <= 0xFF:
            raise ValueError("a transmit power is 0..82 quarters of a dB")
        await self._send(Command.NETWORK_SET_TX_POWER, flags=quarter_db)

    async def network_set_clock_control(self, word: int, *, checked: bool = True) -> None:
        """Choose the SPI clock by a ClockWord (networkSetClockControl; deferred)."""
        await self._defer(Command.NETWORK_SET_CLOCK_CONTROL, checked, param32=word)

    async def network_enable_tls(self) -> None:
        """Allow TLS listeners (networkEnableTls), else NoTlsCert."""
        await self._send(Command.NETWORK_ENABLE_TLS)

    async def network_set_tls_cert(self, pem: bytes | str, *, checked: bool = True) -> None:
        """Store a certificate in PEM, 1..2048 bytes or str (networkSetTlsCert; deferred)."""
        data = _pem(pem)
        await self._defer(Command.NETWORK_SET_TLS_CERT, checked, data=data, timeout=STORAGE)

    async def network_set_tls_ca(self, pem: bytes | str, *, checked: bool = True) -> None:
        """Store the CA that outgoing TLS trusts, as a certificate (networkSetTlsCert; deferred).

        An extension of the protocol, with a flag of its own.
        """
        fields: Fields = {"flags": CertFlag.CA, "data": _pem(pem), "timeout": STORAGE}
        await self._defer(Command.NETWORK_SET_TLS_CERT, checked, **fields)

    async def network_set_tls_key(self, pem: bytes | str, *, checked: bool = True) -> None:
        """Store the private key in PEM, 1..2048 bytes or str (networkSetTlsKey; deferred)."""
        data = _pem(pem)
        await self._defer(Command.NETWORK_SET_TLS_KEY, checked, data=data, timeout=STORAGE)

    async def network_clear_tls(self, *, checked: bool = True) -> None:
        """Forget certificate, key and CA (networkClearTls; deferred)."""
        await self._defer(Command.NETWORK_CLEAR_TLS, checked, timeout=STORAGE)

    # -- update, an extension ---------------------------------------------------------

    async def update_begin(
        self, size: int, head: bytes, *, again: bool = False, checked: bool = True
    ) -> None:
        """Announce an image of `size` bytes that begins with the 288 bytes `head` (moduleUpdate).

        `again` also takes the version that runs. Deferred; WrongState without a second slot.
        """
        flags = UpdateStep.BEGIN | (UPDATE_AGAIN if again else 0)
        fields: Fields = {"flags": flags, "param32": size, "data": head, "timeout": STORAGE}
        await self._defer(Command.MODULE_UPDATE, checked, **fields)

    async def update_piece(self, at: int, piece: bytes) -> None:
        """Send 2048 bytes of the image, or what is left of it, from offset `at` (moduleUpdate).

        It is in flash when the next command is answered, and counted in `update_status`; a piece
        that is not the next one is passed over. WrongState when no image is announced.
        """
        fields: Fields = {"flags": UpdateStep.PIECE, "param32": at, "data": piece}
        fields["timeout"] = STORAGE
        await self._send(Command.MODULE_UPDATE, **fields)

    async def update_finish(self, *, checked: bool = True) -> None:
        """Have the module check the image and choose it for its next start (moduleUpdate).

        Deferred, and takes as long as reading the image. WrongState before all of it has come.
        """
        fields: Fields = {"flags": UpdateStep.FINISH, "timeout": STORAGE}
        await self._defer(Command.MODULE_UPDATE, checked, **fields)

    async def update_owner(self, certificate: bytes, *, checked: bool = True) -> None:
        """Have the module take updates over the network as well, from its next start on.

        They come from the owner of the key that this certificate (PEM, up to 2048 bytes) is of;
        without bytes, from nobody. Deferred (moduleUpdate); WrongState without a second slot.
        """
        fields: Fields = {"flags": UpdateStep.OWNER, "data": certificate, "timeout": STORAGE}
        await self._defer(Command.MODULE_UPDATE, checked, **fields)

    async def update_restart(self) -> None:
        """Have the module start the image that it has chosen (moduleUpdate), else WrongState."""
        await self._send(Command.MODULE_UPDATE, flags=UpdateStep.RESTART)

    async def update_cancel(self, *, checked: bool = True) -> None:
        """Drop what has come of an image (moduleUpdate; deferred); WrongState without one."""
        fields: Fields = {"flags": UpdateStep.CANCEL, "timeout": STORAGE}
        await self._defer(Command.MODULE_UPDATE, checked, **fields)

    async def update_status(self) -> UpdateStatus:
        """Give the UpdateStatus (moduleUpdate)."""
        fields: Fields = {"flags": UpdateStep.STATUS, "timeout": STORAGE}
        return await self._ask_record(UpdateStatus.unpack, Command.MODULE_UPDATE, **fields)


def _pem(pem: bytes | str) -> bytes:
    return pem.encode() if isinstance(pem, str) else pem
