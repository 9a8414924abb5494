"""Every command of the table as a call, in every wiring (behaviours L1 and L4)."""

import asyncio
from ipaddress import IPv4Address

import pytest
from fake_module import CONNECTED, FREE
from rig import eventually

from spinet_controller import errors
from spinet_controller.codes import (
    Auth,
    ClockWord,
    Command,
    ConnState,
    Eap,
    EnterpriseStage,
    LastError,
    Response,
    WiFiState,
)
from spinet_controller.records import EnterpriseNetwork, WirelessConfig

pytestmark = [pytest.mark.behaviour("L1"), pytest.mark.behaviour("L4")]

HOME = WirelessConfig("Home", "correct horse")


@pytest.fixture
def rig(each_rig):
    """All wirings."""
    return each_rig


async def test_null(rig):
    await rig.module.null()
    assert rig.log[-1] == Command.NULL


async def test_conn_abort_and_close(rig):
    for end in (rig.module.conn_abort, rig.module.conn_close):
        rig.slots[2].connect(80)
        await end(2)
        assert rig.slots[2].state == FREE


@pytest.mark.parametrize("command", ["conn_abort", "conn_close", "conn_read", "conn_get_status"])
async def test_a_bad_socket(rig, command):
    with pytest.raises(errors.BadParameter):
        await getattr(rig.module, command)(8)


async def test_a_bad_socket_to_write_to(rig):
    with pytest.raises(errors.BadParameter):
        await rig.module.conn_write(8, b"data")


async def test_conn_create(rig):
    number = await rig.module.conn_create(IPv4Address("192.0.2.1"), 8883, protocol=4)
    slot = rig.slots[number]
    assert (slot.remote_ip, slot.remote_port, slot.protocol) == (b"\xc0\0\2\1", 8883, 4)
    await rig.module.conn_abort(number)


async def test_conn_create_to_a_name(rig):
    number = await rig.module.conn_create("broker.example", 1883)
    slot = rig.slots[number]
    assert (slot.remote_ip, slot.name) == (bytes(4), "broker.example")
    await rig.module.conn_abort(number)


async def test_network_call_home(rig):
    call = rig.module.network_call_home
    await call("192.0.2.1", 80, 2, protocol=4, attempts=5)
    await call("home.example", 8080)
    assert rig.firmware.calling == {
        80: (b"\xc0\0\2\1", 4, 2, 5, b""),
        8080: (bytes(4), 0, 1, 0, b"home.example"),
    }
    await call("192.0.2.1", 80, 0)
    assert list(rig.firmware.calling) == [8080]


PEM = b"-----BEGIN "
"""As much of a certificate as the fake looks at."""


async def test_conn_create_with_no_socket_free(rig):
    for slot in rig.slots:
        slot.connect(80)
    with pytest.raises(errors.Busy):
        await rig.module.conn_create(IPv4Address("192.0.2.1"), 80)


async def test_conn_read_takes_no_more_than_asked(rig):
    rig.slots[1].connect(80).feed(b"abcdef")
    assert await rig.module.conn_read(1, 4) == b"abcd"
    assert await rig.module.conn_read(1) == b"ef"
    assert await rig.module.conn_read(1) == b""


async def test_conn_write_and_its_flags(rig):
    slot = rig.slots[1].connect(80)
    await rig.module.conn_write(1, b"a")
    await rig.module.conn_write(1, b"b", push=True)
    await rig.module.conn_write(1, b"c", push=True, close=True)
    assert bytes(slot.sent) == b"abc"
    assert slot.pushes == [(2, 2), (3, 3)]


async def test_conn_write_that_is_accepted_in_part(rig):
    slot = rig.slots[1].connect(80)
    slot.window = 5
    assert await rig.module.conn_write(1, b"abcdefgh", push=True) == 5
    assert bytes(slot.sent) == b"abcde"
    assert slot.pushes == []
    assert await rig.module.conn_write(1, b"fgh") == 0


async def test_conn_get_status(rig):
    rig.slots[3].connect(8080, remote=("192.0.2.7", 40000)).feed(b"xyz")
    rig.slots[5].connect(80).abort()
    status = await rig.module.conn_get_status(3)
    assert (status.state, status.socket) == (ConnState.CONNECTED, 3)
    assert (status.local_port, status.remote_port) == (8080, 40000)
    assert status.remote_ip == IPv4Address("192.0.2.7")
    assert (status.bytes_available, status.write_buffer_space) == (3, 2048)
    assert (status.connected_sockets, status.other_end_closed_sockets) == (1 << 3, 1 << 5)


async def test_network_listen_and_stop(rig):
    await rig.module.network_listen(2121, 1, protocol=3, ip=IPv4Address("10.0.0.1"))
    assert rig.firmware.listening == {2121: (b"\n\0\0\1", 3, 1)}
    await rig.module.network_listen(2121, 0)
    assert rig.firmware.listening == {}


async def test_network_listen_with_tls(rig):
    with pytest.raises(errors.WrongState):
        await rig.module.network_listen(443, 8, tls=True)
    await rig.module.network_set_tls_cert(PEM)
    await rig.module.network_set_tls_key(PEM)
    with pytest.raises(errors.WrongState):
        await rig.module.network_listen(443, 8, tls=True)
    await rig.module.network_enable_tls()
    await rig.module.network_listen(443, 8, tls=True)
    await rig.module.network_listen(80, 8)
    assert rig.firmware.tls_ports == {443}


async def test_network_get_status(rig):
    rig.firmware.host_name = b"printer"
    status = await rig.module.network_get_status()
    assert (status.ip, status.ssid) == (IPv4Address("127.0.0.1"), "Workshop")
    assert (status.host_name, status.channel, status.auth) == ("printer", 6, Auth.WPA2)


async def test_networks_are_remembered_and_forgotten(rig):
    await rig.module.network_add_ssid(HOME)
    assert rig.firmware.networks[1] == HOME.pack()
    assert await rig.module.network_list_ssids() == ["", "Home"]
    own, home = await rig.module.network_retrieve_ssid_data()
    assert (own.ssid, home.ssid, home.password) == ("", "Home", "")
    await rig.module.network_delete_ssid("Home")
    assert await rig.module.network_list_ssids() == [""]


DEFERRED = {
    "networkListen": lambda module: module.network_listen(80, 1),
    "networkListen, calling home": lambda module: module.network_call_home("a.test", 80),
    "networkAddSsid": lambda module: module.network_add_ssid(HOME),
    "networkDeleteSsid": lambda module: module.network_delete_ssid("Home"),
    "networkConfigureAccessPoint": lambda module: module.network_configure_access_point(HOME),
    "networkConfigureAccessPoint, to delete": (lambda module: module.network_delete_access_point()),
    "networkStartClient": lambda module: module.network_start_client("Home"),
    "networkStartAccessPoint": lambda module: module.network_start_access_point(),
    "networkFactoryReset": lambda module: module.network_factory_reset(),
    "networkSetClockControl": lambda module: module.network_set_clock_control(ClockWord.MHZ_40),
    "networkAddEnterpriseSsid": lambda module: module.network_add_enterprise_ssid(ENTERPRISE),
    "networkSetTlsCert": lambda module: module.network_set_tls_cert(PEM),
    "networkSetTlsCert, the CA": lambda module: module.network_set_tls_ca(PEM),
    "networkSetTlsKey": lambda module: module.network_set_tls_key(PEM),
    "networkClearTls": lambda module: module.network_clear_tls(),
}


@pytest.mark.parametrize("name", DEFERRED)
async def test_what_a_deferred_command_found_wrong_is_raised_and_no_news(rig, name):
    heard = []
    rig.module.on_news = heard.append
    rig.firmware.tell(b"an older error")
    rig.firmware.goes_wrong = b"out of memory"
    with pytest.raises((errors.Refused, errors.ListenFailed), match="out of memory") as raised:
        await DEFERRED[name](rig.module)
    assert getattr(raised.value, "code", LastError.OUT_OF_MEMORY) is LastError.OUT_OF_MEMORY
    assert [text for text in heard if text] == ["an older error"]


async def test_a_command_that_is_not_checked_is_one_transaction(rig):
    heard = []
    rig.module.on_news = heard.append
    await rig.module.network_delete_ssid("Nowhere", checked=False)
    await eventually(lambda: "SSID not found" in heard, "the news")
    assert rig.commands(Command.NETWORK_GET_LAST_ERROR) == 1


async def test_the_code_of_a_refusal(rig):
    with pytest.raises(errors.Refused, match="SSID not found") as raised:
        await rig.module.network_delete_ssid("Nowhere")
    assert raised.value.code is LastError.SSID_NOT_FOUND
    with pytest.raises(errors.Refused, match="8 to 63 characters") as raised:
        await rig.module.network_add_ssid(WirelessConfig("Home", "short"))
    assert raised.value.code is LastError.BAD_PASSWORD


NOT_OF_A_COMMAND = [
    "Home: connection lost, auto-reconnecting",
    "call home to a.test:80 given up: refused",
    "TLS: certificate verify failed",
    "host not found: a.test",
]


@pytest.mark.parametrize("text", NOT_OF_A_COMMAND)
async def test_what_happens_meanwhile_is_news_and_no_fault_of_a_command(rig, text):
    heard = []
    rig.module.on_news = heard.append
    rig.firmware.goes_wrong = text.encode()
    await rig.module.network_add_ssid(HOME)
    assert [text for text in heard if text] == [text]


async def test_news_during_a_command_that_is_refused_are_passed_on(rig):
    heard = []
    rig.module.on_news = heard.append
    rig.firmware.goes_wrong = b"something new"
    rig.firmware.refuse[Command.NETWORK_CLEAR_TLS] = Response.UNKNOWN_ERROR
    with pytest.raises(errors.UnknownError):
        await rig.module.network_clear_tls()
    await eventually(lambda: "something new" in heard, "the news")


async def test_a_command_is_not_sent_before_the_error_of_an_older_one_was_told(rig):
    rig.firmware.refuse[Command.NETWORK_GET_LAST_ERROR] = Response.UNKNOWN_ERROR
    with pytest.raises(errors.UnknownError):
        await rig.module.network_delete_ssid("Home")
    assert rig.commands(Command.NETWORK_DELETE_SSID) == 0


async def test_twenty_networks_fit_one_answer(rig):
    for number in range(20):
        await rig.module.network_add_ssid(WirelessConfig(f"{number:02}" + "x" * 29))
    assert len(await rig.module.network_list_ssids()) == 21
    assert len(await rig.module.network_retrieve_ssid_data()) == 21


async def test_network_configure_access_point(rig):
    own = WirelessConfig("Spinet", "password", IPv4Address("192.168.4.1"), channel=6)
    await rig.module.network_configure_access_point(own)
    assert rig.firmware.networks[0] == own.pack()
    await rig.module.network_delete_access_point()
    assert (await rig.module.network_retrieve_ssid_data())[0].ssid == ""


async def test_network_start_client(rig):
    await rig.module.network_add_ssid(HOME)
    await rig.module.network_start_client("Home")
    await rig.module.null()
    assert rig.module.wifi_state is WiFiState.CONNECTED
    with pytest.raises(errors.WrongState):
        await rig.module.network_start_client()


async def test_network_start_client_with_any_network(rig):
    await rig.module.network_add_ssid(HOME)
    await rig.module.network_start_client()
    await rig.module.null()
    assert rig.module.wifi_state is WiFiState.CONNECTED


async def test_network_start_access_point_and_stop(rig):
    await rig.module.network_start_access_point()
    await rig.module.null()
    assert rig.module.wifi_state is WiFiState.RUNNING_AS_ACCESS_POINT
    await rig.module.network_stop()
    await rig.module.null()
    assert rig.module.wifi_state is WiFiState.IDLE


async def test_network_factory_reset(rig):
    await rig.module.network_add_ssid(HOME)
    await rig.module.network_factory_reset()
    assert await rig.module.network_list_ssids() == [""]


async def test_network_set_host_name(rig):
    await rig.module.network_set_host_name("printer")
    assert rig.firmware.host_name == b"printer".ljust(64, b"\0")


async def test_network_get_last_error(rig):
    rig.firmware.last_error = b"Listen failed"
    assert await rig.module.network_get_last_error() == "Listen failed"
    assert await rig.module.network_get_last_error() is None


async def test_diagnostics(rig):
    await rig.module.diagnostics()
    assert rig.log[-1] == Command.DIAGNOSTICS


async def test_network_set_tx_power(rig):
    await rig.module.network_set_tx_power(78)
    assert rig.firmware.tx_power == 78
    with pytest.raises(errors.BadParameter):
        await rig.module.network_set_tx_power(83)
    with pytest.raises(ValueError, match=r"0\.\.82"):
        await rig.module.network_set_tx_power(256)


async def test_network_set_clock_control(rig):
    await rig.module.network_set_clock_control(ClockWord.MHZ_40)
    await rig.module.null()
    assert rig.firmware.clock_words == [0x1001]


async def test_a_scan(rig):
    with pytest.raises(errors.NoScanStarted):
        await rig.module.network_get_scan_result()
    await rig.module.network_start_scan()
    with pytest.raises(errors.ScanInProgress):
        await rig.module.network_start_scan()
    for _ in range(2):
        with pytest.raises(errors.ScanInProgress):
            await rig.module.network_get_scan_result()
    found = await rig.module.network_get_scan_result()
    assert [(network.ssid, network.rssi) for network in found] == [("Workshop", -40), ("Café", -71)]
    with pytest.raises(errors.NoScanStarted):
        await rig.module.network_get_scan_result()


CERTIFICATE = bytes(range(256)) * 17  # 4352 bytes: three chunks
ENTERPRISE = EnterpriseNetwork(
    WirelessConfig("Office"), Eap.PEAP_MSCHAPV2, (b"", CERTIFICATE, b"me", b"word")
)


async def test_network_add_enterprise_ssid(rig):
    await rig.module.network_add_enterprise_ssid(ENTERPRISE)
    await rig.module.null()
    assert rig.firmware.enterprise == [
        (0, Eap.PEAP_MSCHAPV2, ENTERPRISE.pack()),
        (1, 1, CERTIFICATE[:2048]),
        (1, 1, CERTIFICATE[2048:4096]),
        (1, 1, CERTIFICATE[4096:]),
        (1, 2, b"me"),
        (1, 3, b"word"),
        (2, 0, b""),
    ]


async def test_an_enterprise_network_that_is_refused_is_cancelled(rig):
    stages = []
    begin = rig.firmware.enterprise_ssid

    def full(socket, flags, length, available):
        stages.append(flags)
        answer = begin(socket, flags, length, available)
        answer.response = -3 if flags == EnterpriseStage.COMMIT else answer.response
        return answer

    rig.firmware.HANDLERS = {**rig.firmware.HANDLERS, 26: lambda _self, *args: full(*args)}
    with pytest.raises(errors.TooManySsids):
        await rig.module.network_add_enterprise_ssid(ENTERPRISE)
    assert stages[-2:] == [EnterpriseStage.COMMIT, EnterpriseStage.CANCEL]


@pytest.mark.parametrize("last", ["SSID", "CREDENTIAL", "COMMIT"])
async def test_an_enterprise_network_whose_task_is_cancelled_is_cancelled(rig, last):
    """The task is cancelled while the module has the request for that stage."""
    begin = rig.firmware.enterprise_ssid

    def cancelled(_self, socket, flags, *rest):
        if flags == EnterpriseStage[last]:
            adding.cancel()
        return begin(socket, flags, *rest)

    rig.firmware.HANDLERS = {**rig.firmware.HANDLERS, 26: cancelled}
    adding = asyncio.create_task(rig.module.network_add_enterprise_ssid(ENTERPRISE))
    with pytest.raises(asyncio.CancelledError):
        await adding
    stages = [stage for stage, *_ in rig.firmware.enterprise]
    assert stages[-2:] == [EnterpriseStage[last], EnterpriseStage.CANCEL]


async def test_a_second_enterprise_network_does_not_cancel_the_first(rig):
    await rig.module.network_add_enterprise_stage(EnterpriseStage.SSID, ENTERPRISE.pack())
    with pytest.raises(errors.WrongState):
        await rig.module.network_add_enterprise_ssid(ENTERPRISE)
    await rig.module.network_add_enterprise_stage(EnterpriseStage.COMMIT)


UNSAYABLE = {
    "socket 300": lambda module: module.conn_get_status(300),
    "socket -1": lambda module: module.conn_abort(-1),
    "room for -1": lambda module: module.conn_read(0, -1),
    "room for 65536": lambda module: module.conn_read(0, 0x10000),
    "65536 bytes of data": lambda module: module.conn_write(0, bytes(0x10000)),
    "70000 bytes of data": lambda module: module.network_set_tls_ca(bytes(70000)),
    "flags 256": lambda module: module.network_add_enterprise_stage(256),
    "param32 4294967296": lambda module: module.network_set_clock_control(1 << 32),
    "protocol 256": lambda module: module.network_listen(80, 1, protocol=256),
    "protocol -1": lambda module: module.conn_create("192.0.2.1", 80, -1),
    "channel 256": lambda module: module.network_add_ssid(WirelessConfig("x", channel=256)),
    "security 128": lambda module: module.network_add_ssid(WirelessConfig("x", security=128)),
    "at most 5 credentials": lambda module: module.network_add_enterprise_ssid(
        EnterpriseNetwork(HOME, Eap.TLS, (b"",) * 6)
    ),
}


@pytest.mark.parametrize("said", UNSAYABLE)
async def test_what_a_request_has_no_room_for_is_not_sent(rig, said):
    before = len(rig.log)
    with pytest.raises(ValueError, match=said):
        await UNSAYABLE[said](rig.module)
    await rig.module.null()
    assert rig.log[before:] == [Command.NULL]


async def test_tls_credentials(rig):
    with pytest.raises(errors.NoTlsCert):
        await rig.module.network_enable_tls()
    longest = PEM.ljust(2048, b"c")
    await rig.module.network_set_tls_cert(longest)
    await rig.module.network_set_tls_key(PEM)
    await rig.module.network_set_tls_ca(PEM + b"ca")
    await rig.module.network_enable_tls()
    assert (rig.firmware.cert, rig.firmware.key) == (longest, PEM)
    assert rig.firmware.ca == PEM + b"ca"
    await rig.module.network_clear_tls()
    assert (rig.firmware.cert, rig.firmware.ca) == (None, None)


async def test_tls_credentials_in_text(rig):
    await rig.module.network_set_tls_cert("-----BEGIN certificate")
    await rig.module.network_set_tls_key("-----BEGIN key")
    await rig.module.network_set_tls_ca("-----BEGIN ca")
    kept = (rig.firmware.cert, rig.firmware.key, rig.firmware.ca)
    assert kept == (PEM + b"certificate", PEM + b"key", PEM + b"ca")


async def test_conn_create_with_tls(rig):
    peer = (IPv4Address("192.0.2.1"), 8883)
    with pytest.raises(errors.WrongState):
        await rig.module.conn_create(*peer, tls=True, server_name="broker.example")
    await rig.module.network_set_tls_ca(PEM)
    socket = await rig.module.conn_create(*peer, tls=True, server_name="broker.example")
    slot = rig.slots[socket]
    assert (slot.tls, slot.name) == (True, "broker.example")
    assert (slot.remote_port, slot.remote_ip) == (8883, bytes([192, 0, 2, 1]))
    plain = await rig.module.conn_create(*peer)
    assert (rig.slots[plain].tls, rig.slots[plain].name) == (False, "")


@pytest.mark.parametrize("name", ["x" * 65, "two words", "m\u00fcnchen", "a\0b"])
async def test_conn_create_with_a_name_that_is_none(rig, name):
    with pytest.raises(ValueError, match="name"):
        await rig.module.conn_create(IPv4Address("192.0.2.1"), 1, tls=True, server_name=name)
    assert rig.commands(3) == 0


async def test_an_unknown_command(rig):
    from spinet_controller.link import Request

    class Unused:
        name = "UNUSED"

        def __index__(self):
            return 8

    with pytest.raises(errors.UnknownCommand):
        await rig.module.link.call(Request(Unused()))


async def test_a_closed_state_is_told_with_its_name(rig):
    assert (await rig.module.conn_get_status(0)).state is ConnState.FREE
    rig.slots[0].connect(80).finish()
    assert (await rig.module.conn_get_status(0)).state is ConnState.OTHER_END_CLOSED
    rig.slots[0].state = CONNECTED
