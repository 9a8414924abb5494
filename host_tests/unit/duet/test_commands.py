"""Every row of the command table: good case, codes, lengths, limits, what is deferred (L1, L4)."""

import pytest
from fake_board import ANY_NAMES, ON_AIR, PSK, Bench
from raw_controller import listen_or_connect, request
from slots import wait_until

from spinet import states
from spinet.compat import ticks_add
from spinet.debug import parts
from spinet.duet import commands, wire
from spinet.duet.commands import COMMANDS
from spinet.duet.personality import Personality
from spinet.wifi import config
from spinet.wifi.networks import Networks
from spinet.wifi.station import SOONEST_MS

pytestmark = pytest.mark.behaviour("L1", "L4")

LOCALHOST = 0x0100007F
COLUMNS = ("name", "least", "most", "part", "answer", "complete", "deferred")  # of COMMANDS
SECRET = b"plant3d-s3cret"


def wireless_config(ssid=b"Workshop", password=SECRET, ip=0, channel=0, eap_sizes=None):
    """A WirelessConfig of 112 bytes."""
    tail = password.ljust(64, b"\0")
    if eap_sizes is not None:
        tail = b"".join(n.to_bytes(4, "little") for n in eap_sizes).ljust(64, b"\0")
    head = ip.to_bytes(4, "little") + bytes(8) + bytes([channel, 0, 0, 0])
    return head + ssid.ljust(32, b"\0") + tail


@pytest.fixture(params=["module-clocked", "controller-clocked"])
def bench(request):
    return Bench(request.param)


def state_of(bench, slot=0):
    return bench.ask(6, slot)[1][0]


# --- the table


def handler(command, stage):
    """(class, name) of what does it."""
    row = COMMANDS[command]
    return commands._PARTS[row[COLUMNS.index("part")]], row[COLUMNS.index(stage)]


def test_table_is_that_of_the_protocol():
    numbers = {number: row[0] for number, row in enumerate(COMMANDS) if row}
    assert sorted(numbers) == [n for n in range(31) if n != 8]
    assert numbers[5] == "connWrite"
    assert numbers[26] == "networkAddEnterpriseSsid"


def test_every_handler_is_there():
    assert len(COMMANDS) == commands._COUNT
    for row in filter(None, COMMANDS):
        for name in {*row[4:]} - {None, commands._TAKE}:
            assert callable(getattr(commands._PARTS[row[3]], name))


@pytest.mark.parametrize(
    ("command", "good", "bad"),
    [
        (3, [77], [0, 11, 78, 2048]),
        (7, [12], [0, 11, 13]),
        (10, [112], [0, 111, 113, 2048]),
        (11, [32], [0, 31, 33]),
        (13, [112], [0, 111, 113]),
        (14, [0, 1, 33], [34, 64]),
        (18, [64], [0, 63, 65]),
        (28, [1, 2048], [0]),
        (29, [1, 2048], [0]),
    ],
)
def test_lengths(bench, command, good, bad):
    for n in bad:
        assert bench.response(command, data=b"a" * n) == wire.BAD_DATA_LENGTH
    for n in good:
        assert bench.response(command, data=b"a" * n) == 0
        bench.wlan.stop()


def test_null(bench):
    assert bench.ask(0) == (0, b"")


# --- sockets


def test_abort_resets_the_peer(bench):
    peer = bench.connected()
    assert bench.response(1, 0) == 0
    bench.turn()
    assert peer.ended == "reset"
    assert state_of(bench) == states.FREE


def test_close_is_orderly(bench):
    peer = bench.connected()
    assert bench.response(2, 0) == 0
    bench.turn()
    assert peer.ended == "fin"
    assert state_of(bench) == states.FREE


def test_create_connects_once_its_data_is_here(bench):
    servers = bench.stack.servers
    servers[8080] = []
    assert bench.response(3, data=listen_or_connect(8080, LOCALHOST, 4)) == 0
    bench.turn()
    data = bench.ask(6, 0)[1]
    assert data[:3] == bytes([states.CONNECTED, 0, 4])
    assert int.from_bytes(data[6:8], "little") == 8080
    assert len(servers[8080]) == 1


@pytest.mark.behaviour("D12")
def test_a_port_for_ftp_data_is_one_shot(bench):
    for protocol, left in ((1, True), (3, False)):
        assert bench.response(7, data=listen_or_connect(2000, protocol=protocol, limit=1)) == 0
        bench.stack.dial(2000)
        bench.turn()
        assert any(bench.listeners.entries) is left
        bench.listeners.stop_all()


def test_create_takes_the_next_free_slot(bench):
    bench.stack.servers[80] = None
    numbers = [bench.response(3, data=listen_or_connect(80, LOCALHOST)) for _ in range(9)]
    assert numbers == [0, 1, 2, 3, 4, 5, 6, 7, wire.BUSY]


def test_create_that_the_stack_refuses_is_aborted_and_said(bench):
    bench.stack.inject("connect", -4)
    assert bench.response(3, data=listen_or_connect(80, LOCALHOST)) == 0
    assert bench.last_error() == "Connection creation failed"
    assert state_of(bench) == states.ABORTED


def settled(bench, condition):
    """Turns of the loop until the name was looked up."""
    wait_until(condition, bench.turn)


@pytest.mark.behaviour("C11")
@pytest.mark.parametrize("closing", [b"", b"\0", b"\0noise"])
def test_create_to_a_name(bench, closing):
    bench.board.hosts = {b"broker.example": LOCALHOST}
    bench.stack.servers[1883] = []
    record = listen_or_connect(1883, 0, 4) + b"broker.example" + closing
    assert bench.response(3, data=record) == 0
    assert state_of(bench) == states.CONNECTING
    settled(bench, lambda: state_of(bench) == states.CONNECTED)
    assert len(bench.stack.servers[1883]) == 1


def test_create_to_a_name_that_nobody_has(bench):
    bench.radio.servers = (0, 0)
    assert bench.response(3, data=listen_or_connect(80) + b"no.such.host") == 0
    settled(bench, lambda: state_of(bench) == states.ABORTED)
    assert bench.last_error() == "host not found: no.such.host"


def test_create_to_what_is_no_name(bench):
    assert bench.response(3, data=listen_or_connect(80) + b"no such host") == 0
    assert state_of(bench) == states.ABORTED
    assert bench.last_error() == "bad host name"


def test_an_address_needs_no_look_up_whatever_the_name(bench):
    bench.stack.servers[80] = []
    assert bench.response(3, data=listen_or_connect(80, LOCALHOST) + b"broker.example") == 0
    bench.turn()
    assert state_of(bench) == states.CONNECTED


def test_create_is_busy_when_the_last_slot_is_promised(bench):
    bench.stack.servers[80] = None
    assert bench.response(7, flags=8, data=listen_or_connect(80, LOCALHOST, limit=1)) == 0
    bench.turn()
    numbers = [bench.response(3, data=listen_or_connect(80, LOCALHOST)) for _ in range(8)]
    assert numbers == [0, 1, 2, 3, 4, 5, 6, wire.BUSY]


@pytest.mark.behaviour("C10")
def test_call_home_looks_like_an_accept(bench):
    bench.stack.servers[8080] = []
    record = listen_or_connect(8080, LOCALHOST, protocol=2, limit=1)
    assert bench.response(7, flags=8, data=record) == 0
    for _ in range(2):
        bench.turn()
    data = bench.ask(6, 0)[1]
    assert data[:3] == bytes([states.CONNECTED, 0, 2])
    assert data[4:8] == (8080).to_bytes(2, "little") * 2
    bench.stack.servers[8080][0].send(b"status?")
    assert bench.ask(4, 0) == (7, b"status?")
    assert bench.response(5, 0, flags=wire.FLAG_PUSH, data=b"fine") == 4
    assert bench.stack.servers[8080][0].received() == b"fine"


@pytest.mark.behaviour("C9", "C10")
def test_call_home_to_a_name_with_so_many_attempts(bench):
    bench.radio.servers = (0, 0)
    record = listen_or_connect(80, limit=1)[:10] + b"\x01\0" + b"home.example"
    assert bench.response(7, flags=8, data=record) == 0
    settled(bench, lambda: not bench.sessions.active)
    assert bench.last_error() == "call home to home.example:80 given up: host not found"
    assert state_of(bench) == states.FREE


def test_call_home_stops_with_no_connections(bench):
    bench.stack.servers[80] = None
    record = listen_or_connect(80, LOCALHOST, limit=1)
    bench.response(7, flags=8, data=record)
    bench.response(7, data=listen_or_connect(80, limit=0))  # a listener's stop is not its own
    assert bench.sessions.active == 1
    assert bench.response(7, flags=8, data=listen_or_connect(80, limit=0)) == 0
    assert bench.sessions.active == 0
    assert bench.last_error() == ""


@pytest.mark.behaviour("D18")
def test_network_stop_ends_calling_home(bench):
    bench.stack.servers[80] = None
    bench.response(7, flags=8, data=listen_or_connect(80, LOCALHOST, limit=1))
    bench.turn()
    assert len(bench.stack.open_handles()) == 1
    assert bench.response(16) == 0
    bench.turn()
    assert bench.stack.open_handles() == []
    assert bench.sessions.active == 0


@pytest.mark.parametrize(
    ("tail", "text"),
    [(b"no name", "bad host name"), (b"", "Call home failed")],
)
def test_call_home_to_nobody_is_said(bench, tail, text):
    assert bench.response(7, flags=8, data=listen_or_connect(80, limit=1) + tail) == 0
    assert bench.last_error() == text
    assert bench.sessions.active == 0


def test_call_home_lengths(bench):
    record = listen_or_connect(80, LOCALHOST, limit=1)
    for n in (11, 78):
        assert bench.response(7, flags=8, data=record.ljust(n, b"a")[:n]) == wire.BAD_DATA_LENGTH
    for n in (13, 77):
        assert bench.response(7, flags=0, data=record.ljust(n, b"a")) == wire.BAD_DATA_LENGTH
        assert bench.response(7, flags=8, data=record.ljust(n, b"a")) == 0
        assert bench.response(7, flags=8, data=listen_or_connect(80, limit=0)) == 0


@pytest.mark.parametrize(
    ("name", "active"),
    [
        (b"a" * 63, 1),
        (b"a" * 64, 0),
        (b"a" * 32 + b"." + b"b" * 31 + b"\0", 1),
        (b"a" * 32 + b"." + b"b" * 32, 1),
    ],
)
def test_call_home_to_the_longest_name(bench, name, active):
    assert bench.response(7, flags=8, data=listen_or_connect(80, limit=1) + name) == 0
    assert bench.sessions.active == active
    assert bench.last_error() == ("" if active else "bad host name")


def test_call_home_over_tls_is_refused(bench):
    record = listen_or_connect(80, LOCALHOST, limit=1)
    assert bench.response(7, flags=12, data=record) == wire.WRONG_STATE
    assert bench.sessions.active == 0


@pytest.mark.parametrize(
    ("available", "count"), [(2048, 100), (65535, 100), (100, 100), (99, 99), (1, 1), (0, 0)]
)
def test_read_gives_what_fits(bench, available, count):
    text = bytes(range(100))
    bench.connected().send(text)
    assert bench.ask(4, 0, available=available) == (count, text[:count])


def test_read_is_at_most_a_data_phase(bench):
    bench.connected().send(bytes(4000))
    assert bench.response(4, 0, available=0xFFFF) == 2048
    assert bench.response(4, 0) == 1952
    assert bench.response(4, 0) == 0


def test_read_of_a_free_slot_is_empty(bench):
    assert bench.response(4, 3) == 0


def test_write_and_push(bench):
    peer = bench.connected()
    assert bench.response(5, 0, flags=2, data=b"hello") == 5
    bench.turn()
    assert peer.received() == b"hello"


def test_write_accepts_what_there_is_room_for_and_clocks_no_more(bench):
    peer = bench.connected()
    peer.freeze()
    accepted = [bench.response(5, 0, data=b"x" * 2048) for _ in range(8)]
    assert accepted[0] == 2048
    assert 0 in accepted
    assert all(0 <= n <= 2048 for n in accepted)
    space = int.from_bytes(bench.ask(6, 0)[1][14:16], "little")
    assert bench.response(5, 0, data=b"x" * 2048) == space


def partial(bench):
    """A frozen peer, and room for 100 bytes."""
    peer = bench.connected()
    peer.freeze()
    slot = bench.manager.slots[0]
    while slot.space() > 100:
        n = min(2048, slot.space() - 100 if slot.space() < 2048 else 2048)
        slot.write(bytes(2048), 0, n, False)
    return peer, slot


def test_flags_count_only_for_a_whole_write(bench):
    _, slot = partial(bench)
    room = slot.space()
    assert bench.response(5, 0, flags=3, data=b"y" * (room + 1)) == room
    assert state_of(bench) == states.CONNECTED
    assert bench.response(5, 0, flags=1, data=b"") == 0
    assert state_of(bench) == states.CLOSE_PENDING


def test_write_to_a_free_slot_accepts_nothing(bench):
    assert bench.response(5, 2, flags=3, data=b"abc") == 0
    assert state_of(bench, 2) == states.FREE


def test_close_after_write(bench):
    peer = bench.connected()
    assert bench.response(5, 0, flags=1, data=b"bye") == 3
    bench.turn()
    assert peer.received() == b"bye"
    bench.turn()
    assert peer.ended == "fin"


def test_status_bit_maps(bench):
    first = bench.connected()
    bench.stack.dial(80)
    bench.turn()
    first.fin()
    bench.turn()
    data = bench.ask(6, 1)[1]
    assert data[0:4] == bytes([states.CONNECTED, 1, 0, 0x80])
    assert data[16:20] == bytes([0b10, 0, 0b01, 0])


def test_status_has_the_stations_rssi(bench):
    join(bench)
    assert bench.ask(6, 0)[1][3] == 256 - 55


def test_listen_and_stop(bench):
    assert bench.response(7, data=listen_or_connect(80, protocol=1, limit=3)) == 0
    entry = bench.listeners.entries[0]
    assert (entry.port, entry.protocol, entry.limit) == (80, 1, 3)
    assert bench.response(7, data=listen_or_connect(80, limit=0)) == 0
    assert bench.listeners.entries[0] is None


def test_listen_that_fails_answers_0_and_says_so_later(bench):
    bench.stack.inject("listen", -8)
    assert bench.response(7, data=listen_or_connect(80)) == 0
    assert bench.last_error() == "Listen failed"
    assert bench.last_error() == ""


def test_ninth_listener_fails(bench):
    for port in range(80, 88):
        bench.response(7, data=listen_or_connect(port))
    assert bench.last_error() == ""
    bench.response(7, data=listen_or_connect(88))
    assert bench.last_error() == "Listen failed"


def test_tls_listener_is_refused(bench):
    assert bench.response(7, flags=4, data=listen_or_connect(443)) == wire.WRONG_STATE
    assert bench.listeners.entries[0] is None


# --- status


def test_network_status_when_idle_and_when_connected(bench):
    response, data = bench.ask(9)
    assert response == 168
    assert data[0:4] == bytes(4)
    assert data[8] == 6
    assert data[76:84] == b"spinet\0\0"
    join(bench)
    data = bench.ask(9)[1]
    assert data[0:4] == bytes([192, 168, 1, 50])
    assert data[44:53] == b"Workshop\0"
    assert data[156] == 1


def test_network_status_of_an_access_point_counts_its_stations(bench):
    own_ap(bench)
    bench.response(15)
    assert bench.ask(9)[1][17] == 2


def test_host_name(bench):
    assert bench.response(18, data=b"duet".ljust(64, b"\0")) == 0
    assert bench.ask(9)[1][76:81] == b"duet\0"
    assert bench.response(18, data=b"n" * 64) == 0
    assert bench.ask(9)[1][76:140] == b"n" * 64


def test_last_error_is_told_once(bench):
    bench.error.set("something")
    assert bench.wlan.has_news()
    assert bench.ask(19) == (10, b"something\0")
    assert bench.ask(19) == (0, b"")
    assert not bench.wlan.has_news()


@pytest.mark.parametrize(
    ("available", "response"), [(10, 10), (9, wire.BUFFER_TOO_SMALL), (0, wire.BUFFER_TOO_SMALL)]
)
def test_last_error_in_a_small_buffer(bench, available, response):
    bench.error.set("something")
    assert bench.response(19, available=available) == response
    assert bench.last_error() == ""


@pytest.mark.parametrize("power", [0, 1, 82])
def test_tx_power(bench, power):
    assert bench.response(22, flags=power) == 0
    assert bench.radio.quarter_db == power


@pytest.mark.parametrize("power", [83, 255])
def test_tx_power_beyond_its_limit(bench, power):
    assert bench.response(22, flags=power) == wire.BAD_PARAMETER
    assert bench.radio.quarter_db is None


def test_clock_is_set_after_the_transaction(bench):
    asked = []
    bench.on_clock = lambda hz: asked.append((hz, bench.rig.cs.value()))
    assert bench.response(23, param=0x1001) == 0
    assert asked == [(40_000_000, 1)]


def test_clock_that_the_spi_refuses_is_the_last_error(bench):
    def refuse(_hz):
        raise OSError(95, "not with these pins")

    bench.on_clock = refuse
    assert bench.response(23, param=0x1001) == 0
    assert bench.last_error() == "SPI clock refused, error 95"
    assert bench.response(9) == 168


def test_diagnostics_report_after_the_transaction(bench):
    asked = []
    bench.on_report = lambda: asked.append(bench.rig.cs.value())
    assert bench.response(20) == 0
    assert asked == [1]


def test_diagnostics_report_the_last_error_and_leave_it(bench):
    seen = []
    bench.on_report = lambda: seen.append(bench.error.text)
    bench.error.set("Listen failed")
    assert bench.response(20) == 0
    assert seen == [b"Listen failed"]
    assert bench.last_error() == "Listen failed"


# --- remembered networks


def add(bench, **fields):
    assert bench.response(10, data=wireless_config(**fields)) == 0


def test_add_and_list(bench):
    add(bench)
    add(bench, ssid=b"Attic")
    assert bench.ask(12) == (17, b"\nWorkshop\nAttic\n\0")
    own_ap(bench)
    assert bench.ask(12)[1] == b"Spinet\nWorkshop\nAttic\n\0"


def test_list_without_anything_is_an_empty_line(bench):
    assert bench.ask(12) == (2, b"\n\0")
    assert bench.response(12, available=2) == 2
    assert bench.response(12, available=1) == wire.BUFFER_TOO_SMALL


def test_add_replaces_by_name(bench):
    add(bench)
    add(bench, password=b"another-one")
    assert [config.password(n.record) for n in bench.networks.remembered()] == [b"another-one"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"ssid": b""}, "bad SSID"),
        ({"password": b"1234567"}, "bad password"),
        ({"password": b"z" * 64}, "bad password"),
    ],
)
@pytest.mark.parametrize("command", [10, 13])
def test_bad_network_is_the_last_error(bench, command, fields, error):
    assert bench.response(command, data=wireless_config(ip=0x0100A8C0, **fields)) == 0
    assert bench.last_error() == error
    assert bench.networks.remembered() == []
    assert bench.networks.access_point() is None


def test_table_full(bench):
    for i in range(20):
        add(bench, ssid=b"net %d" % i)
    assert bench.last_error() == ""
    add(bench, ssid=b"one more")
    assert bench.last_error() == "SSID table full"
    add(bench, ssid=b"net 7", password=b"")
    assert bench.last_error() == ""


def test_delete(bench):
    add(bench)
    assert bench.response(11, data=b"Workshop".ljust(32, b"\0")) == 0
    assert bench.networks.remembered() == []
    assert bench.response(11, data=b"Workshop".ljust(32, b"\0")) == 0
    assert bench.last_error() == "SSID not found"


@pytest.mark.behaviour("D20")
@pytest.mark.parametrize("name", ANY_NAMES)
def test_any_name_is_remembered_told_joined_and_deleted(bench, name):
    add(bench, ssid=name, password=b"\xff\x01" * 4)
    assert bench.last_error() == ""
    (kept,) = Networks(bench.store).remembered()
    assert (kept.ssid, config.password(kept.record)) == (name, b"\xff\x01" * 4)
    assert bench.ask(12) == (len(name) + 3, b"\n" + name + b"\n\0")
    assert bench.ask(21)[1][64:96] == name.ljust(32, b"\0")
    assert bench.response(24) == 0
    bench.radio.finds = [(name, bytes(6), 1, -50, 3, 3)]
    bench.wlan.poll(bench.manager.now)
    assert bench.ask(25)[1][12:45] == name.ljust(33, b"\0")
    bench.radio.sees = bench.radio.finds
    assert bench.response(14, data=name.ljust(33, b"\0")) == 0
    assert bench.radio.joined.ssid == name
    bench.radio.outcome_is = ""
    bench.wlan.poll(bench.manager.now)
    assert bench.ask(9)[1][44:76] == name.ljust(32, b"\0")
    assert bench.response(16) == 0
    assert bench.response(11, data=name.ljust(32, b"\0")) == 0
    assert bench.networks.remembered() == []


@pytest.mark.behaviour("D20")
@pytest.mark.parametrize("name", ANY_NAMES)
def test_last_error_has_any_name_as_it_is(bench, name):
    add(bench, ssid=name)
    assert bench.response(14, data=name) == 0
    bench.radio.finds = []
    bench.radio.outcome_is = "wrong password"
    bench.wlan.poll(ticks_add(bench.manager.now, SOONEST_MS))
    assert bench.ask(19)[1] == name + b": wrong password\0"


@pytest.mark.behaviour("D20")
@pytest.mark.parametrize("last", [b"0", b"9", b"a", b"F"])
def test_psk_is_kept_whole_and_is_no_enterprise_login(bench, last):
    """Its last digit is where an enterprise network has its EAP protocol."""
    add(bench, password=PSK[:63] + last)
    assert bench.last_error() == ""
    after_boot = Networks(bench.store)
    assert after_boot.damaged == 0
    record = after_boot.find(b"Workshop").record
    assert config.password(record) == PSK[:63] + last
    assert config.eap(record) == 0


def own_ap(bench, **fields):
    assert (
        bench.response(13, data=wireless_config(**{"ssid": b"Spinet", "ip": 0x0100A8C0, **fields}))
        == 0
    )


@pytest.mark.parametrize(
    "fields",
    [
        *({"ip": 0}, {"ip": 0xFFFFFFFF}, {"channel": 14}, {"channel": 255}),
        *({"ssid": b"a\x1f"}, {"ssid": b"\x7f"}, {"password": PSK}),
    ],
)
def test_bad_access_point(bench, fields):
    own_ap(bench, **fields)
    assert bench.last_error() == "bad access point configuration"
    assert bench.networks.access_point() is None


def test_what_is_behind_a_password_makes_no_enterprise_network(bench):
    """A controller need not clear it. Such an entry would be joined wrongly, then lost at boot."""
    rubbish = SECRET + b"\0" + b"\2" * (63 - len(SECRET))
    add(bench, password=rubbish)
    own_ap(bench, password=rubbish)
    assert bench.last_error() == ""
    after_boot = Networks(bench.store)
    assert after_boot.damaged == 0
    for network in (after_boot.find(b"Workshop"), after_boot.access_point()):
        assert config.eap(network.record) == 0
        assert config.password(network.record) == SECRET


@pytest.mark.parametrize(
    "fields",
    [
        *({"channel": 0}, {"channel": 13}, {"password": b""}, {"password": b"\xff" * 63}),
        *({"ssid": "Größe".encode()}, {"ssid": b"\x80" * 32}),
    ],
)
def test_good_access_point(bench, fields):
    own_ap(bench, **fields)
    assert bench.last_error() == ""
    assert bench.networks.access_point().ssid == fields.get("ssid", b"Spinet")


@pytest.mark.parametrize(
    "record", [b"\xff" * 112, wireless_config(ssid=b"\xff")], ids=["all", "ssid"]
)
def test_an_ssid_of_0xff_deletes_the_access_point(bench, record):
    add(bench)
    own_ap(bench)
    for _ in range(2):  # to delete none is no error
        assert bench.response(13, data=record) == 0
        assert bench.last_error() == ""
        assert bench.ask(21) == (96, bytes(48) + wireless_config()[:48])
        assert bench.ask(12) == (11, b"\nWorkshop\n\0")
    assert bench.response(15) == 0
    assert bench.last_error() == "no data found for access point"
    after_boot = Networks(bench.store)
    assert after_boot.access_point() is None
    assert [network.ssid for network in after_boot.remembered()] == [b"Workshop"]


def test_retrieve(bench):
    add(bench)
    response, data = bench.ask(21)
    assert response == 96
    assert data == bytes(48) + wireless_config()[:48]
    own_ap(bench)
    assert bench.ask(21)[1][:48] == wireless_config(ssid=b"Spinet", ip=0x0100A8C0)[:48]


@pytest.mark.parametrize(
    ("available", "response"),
    [
        (0, wire.BUFFER_TOO_SMALL),
        (47, wire.BUFFER_TOO_SMALL),
        (48, 48),
        (95, 48),
        (96, 96),
        (2048, 144),
    ],
)
def test_retrieve_gives_whole_records(bench, available, response):
    add(bench)
    add(bench, ssid=b"Attic")
    assert bench.response(21, available=available) == response


@pytest.mark.parametrize(
    ("command", "data"),
    [
        (10, wireless_config()),
        (11, b"Workshop".ljust(32, b"\0")),
        (13, wireless_config(ip=0x0100A8C0)),
    ],
)
def test_storage_that_fails_is_the_last_error(bench, command, data):
    add(bench)
    bench.store.fails = True
    assert bench.response(command, data=data) == 0
    assert bench.last_error() == "storage failed, error 28"
    assert len(bench.networks.remembered()) == 1


def test_storage_that_fails_in_words_is_the_last_error(bench):
    def refuse(_data):
        raise OSError("partition is read-only")

    bench.store.save = refuse
    assert bench.response(10, data=wireless_config()) == 0
    assert bench.last_error() == "storage failed, partition is read-only"


def no_memory(*_):
    raise MemoryError


@pytest.mark.parametrize(
    ("command", "stage", "data", "response"),
    [
        (9, "answer", b"", wire.UNKNOWN_ERROR),
        (21, "answer", b"", wire.UNKNOWN_ERROR),
        (7, "complete", listen_or_connect(80), 0),
        (10, "deferred", wireless_config(), 0),
    ],
)
def test_what_there_is_no_memory_for_is_told_and_ends_nothing(
    bench, monkeypatch, command, stage, data, response
):
    with monkeypatch.context() as patch:
        patch.setattr(*handler(command, stage), no_memory)
        assert bench.response(command, data=data) == response
        assert bench.last_error() == "out of memory"
    assert bench.response(command, data=data) >= 0
    assert bench.last_error() == ""


def test_connection_that_there_is_no_memory_for_leaves_no_slot(bench, monkeypatch):
    monkeypatch.setattr(*handler(3, "complete"), no_memory)
    assert bench.response(3, data=listen_or_connect(80, ip=0x0100007F)) == 0
    assert bench.last_error() == "out of memory"
    bench.manager.reap()
    assert state_of(bench) in (states.FREE, states.ABORTED)


def test_factory_reset_forgets_everything_before_cs_rises(bench):
    add(bench)
    levels = []
    erase = bench.networks.erase
    bench.networks.erase = lambda: (levels.append(bench.rig.cs.value()), erase())
    assert bench.response(17) == 0
    assert levels == [0]
    assert bench.networks.remembered() == []
    assert bench.store.data == b""


def test_factory_reset_drops_an_enterprise_network_that_was_begun(bench):
    assert enterprise(bench) == 0
    assert bench.response(17) == 0
    assert bench.response(26, flags=2) == wire.WRONG_STATE


@pytest.mark.parametrize("failing", ["the_store", "the_tls_store"])
def test_factory_reset_that_fails_is_said_and_erases_the_rest(bench, failing):
    add(bench)
    bench.board.the_tls_store.data = b"secret"
    getattr(bench.board, failing).fails = True
    assert bench.response(17) == 0
    assert bench.last_error() == "factory reset failed, error 5"
    stores = bench.board.the_store, bench.board.the_tls_store
    assert [store.fails for store in stores] == [bool(store.data) for store in stores]


# --- deferral


DEFERRED = [
    (10, wireless_config(), 0),
    (11, bytes(32), 0),
    (13, wireless_config(ip=1), 0),
    (14, b"Workshop", 0),
    (15, b"", 0),
    (16, b"", 0),
    (20, b"", 0),
    (23, b"", 0),
    (24, b"", 0),
    (26, b"", 3),
    (28, b"-", 0),
    (29, b"-", 0),
    (30, b"", 0),
]


@pytest.mark.parametrize(("command", "data", "flags"), DEFERRED)
def test_deferred_work_begins_after_cs(bench, monkeypatch, command, data, flags):
    part, name = handler(command, "deferred")
    levels = []
    work = getattr(part, name)

    def deferred(self, request):
        levels.append(bench.rig.cs.value())
        work(self, request)

    monkeypatch.setattr(part, name, deferred)
    assert bench.response(command, flags=flags, data=data) == 0
    assert levels == [1]


def test_no_other_command_is_deferred():
    at = COLUMNS.index("deferred")
    deferred = {number for number, row in enumerate(COMMANDS) if row and row[at]}
    assert deferred == {command for command, _, _ in DEFERRED}


def test_deferred_command_starts_with_no_error(bench):
    bench.error.set("old news")
    add(bench)
    assert bench.last_error() == ""


# --- WiFi


def join(bench):
    add(bench)
    bench.radio.outcome_is = ""
    assert bench.response(14, data=b"Workshop\0") == 0


def test_start_client(bench):
    join(bench)
    assert bench.wlan.state == states.WIFI_CONNECTED
    assert bench.wlan.has_news()


def test_start_client_of_an_unknown_name(bench):
    assert bench.response(14, data=b"Nowhere") == 0
    assert bench.wlan.state == states.WIFI_CONNECTING
    assert bench.last_error() == ""
    bench.wlan.poll(ticks_add(bench.manager.now, SOONEST_MS))
    assert bench.wlan.state == states.WIFI_IDLE
    assert bench.last_error() == "no data found for requested SSID"


@pytest.mark.behaviour("D20")
def test_start_client_of_33_bytes_joins_no_network_whose_name_it_begins_with(bench):
    add(bench, ssid=b"a" * 32)
    assert bench.response(14, data=b"a" * 33) == 0
    assert bench.radio.joined is None
    bench.wlan.poll(ticks_add(bench.manager.now, SOONEST_MS))
    assert bench.last_error() == "no data found for requested SSID"


@pytest.mark.parametrize("command", [14, 15])
def test_start_is_refused_unless_idle(bench, command):
    join(bench)
    assert bench.response(command) == wire.WRONG_STATE


@pytest.mark.parametrize("command", [14, 15])
def test_start_is_refused_during_a_scan(bench, command):
    assert bench.response(24) == 0
    assert bench.response(command) == wire.WRONG_STATE


def test_access_point_needs_its_entry(bench):
    assert bench.response(15) == 0
    assert bench.last_error() == "no data found for access point"
    own_ap(bench)
    assert bench.response(15) == 0
    assert bench.wlan.state == states.WIFI_ACCESS_POINT


@pytest.mark.behaviour("D18")
def test_stop_ends_everything(bench):
    join(bench)
    peer = bench.connected()
    assert bench.response(16) == 0
    bench.turn()
    assert peer.ended == "reset"
    assert bench.wlan.state == states.WIFI_IDLE
    assert bench.stack.open_handles() == []
    assert bench.listeners.entries == [None] * 8
    assert [slot.state for slot in bench.manager.slots] == [states.FREE] * 8


# --- scan


def test_scan_from_start_to_result(bench):
    assert bench.response(25) == wire.NO_SCAN_STARTED
    assert bench.response(24) == 0
    assert bench.response(24) == wire.SCAN_IN_PROGRESS
    assert bench.response(25) == wire.SCAN_IN_PROGRESS
    bench.radio.finds = list(ON_AIR)
    bench.wlan.poll(bench.rig.now)
    response, data = bench.ask(25)
    assert response == 135
    assert [data[i + 12 : i + 20].rstrip(b"\0") for i in (0, 45, 90)] == [
        b"Workshop",
        b"Attic",
        b"Guest",
    ]
    assert [data[i] - 256 for i in (0, 45, 90)] == [-48, -67, -80]
    assert bench.response(25) == wire.NO_SCAN_STARTED


@pytest.mark.parametrize(
    ("available", "response"), [(44, 0), (45, 45), (89, 45), (90, 90), (2048, 135)]
)
def test_scan_result_is_whole_records(bench, available, response):
    bench.response(24)
    bench.radio.finds = list(ON_AIR)
    bench.wlan.poll(0)
    assert bench.response(25, available=available) == response


def test_scan_result_is_at_most_a_data_phase(bench):
    bench.response(24)
    bench.radio.finds = [ON_AIR[0]] * 60
    bench.wlan.poll(0)
    assert bench.response(25, available=0xFFFF) == 45 * 45


def test_scan_that_finds_nothing_is_a_result(bench):
    bench.response(24)
    bench.radio.finds = []
    bench.wlan.poll(0)
    assert bench.response(25) == 0
    assert bench.response(25) == wire.NO_SCAN_STARTED


def test_scan_is_refused_while_connecting_and_as_access_point(bench):
    add(bench)
    bench.response(14, data=b"Workshop")
    assert bench.wlan.state == states.WIFI_CONNECTING
    assert bench.response(24) == wire.WRONG_STATE
    bench.wlan.stop()
    own_ap(bench)
    bench.response(15)
    assert bench.response(24) == wire.WRONG_STATE


def test_scan_while_connected(bench):
    join(bench)
    assert bench.response(24) == 0


# --- enterprise


SIZES = (4, 0, 3, 2, 0)


def enterprise(bench, protocol=2, **fields):
    return bench.response(
        26, flags=0, param=protocol, data=wireless_config(eap_sizes=SIZES, **fields)
    )


def chunk(bench, index, data):
    return bench.response(26, flags=1, param=index, data=data)


def test_enterprise_in_its_steps(bench):
    assert enterprise(bench) == 0
    assert chunk(bench, 0, b"an") == 0
    assert chunk(bench, 0, b"on") == 0
    assert chunk(bench, 2, b"who") == 0
    assert chunk(bench, 3, b"pw") == 0
    assert bench.networks.remembered() == []
    assert bench.response(26, flags=2) == 0
    (network,) = bench.networks.remembered()
    assert network.credentials == b"anonwhopw"
    assert config.eap(network.record) == 2
    assert bench.last_error() == ""


def test_enterprise_step_without_a_beginning(bench):
    assert chunk(bench, 0, b"anon") == wire.WRONG_STATE
    assert bench.response(26, flags=2) == wire.WRONG_STATE
    assert bench.response(26, flags=3) == 0


def test_enterprise_begins_once(bench):
    assert enterprise(bench) == 0
    assert enterprise(bench) == wire.WRONG_STATE


def test_enterprise_cancel_drops_all(bench):
    enterprise(bench)
    assert bench.response(26, flags=3) == 0
    assert bench.response(26, flags=2) == wire.WRONG_STATE
    assert enterprise(bench) == 0


@pytest.mark.parametrize("flags", [4, 255])
def test_enterprise_unknown_step(bench, flags):
    assert bench.response(26, flags=flags) == wire.BAD_PARAMETER


@pytest.mark.parametrize("n", [0, 111, 113])
def test_enterprise_record_of_the_wrong_length(bench, n):
    assert bench.response(26, flags=0, param=1, data=bytes(n)) == wire.BAD_DATA_LENGTH


@pytest.mark.parametrize("protocol", [0, 4, 0xFFFFFFFF])
def test_enterprise_unknown_protocol(bench, protocol):
    assert enterprise(bench, protocol) == 0
    assert bench.last_error() == "bad enterprise SSID"
    assert chunk(bench, 0, b"anon") == wire.BAD_PARAMETER
    assert chunk(bench, 0, b"anon") == wire.WRONG_STATE


def test_enterprise_without_room(bench):
    for i in range(20):
        add(bench, ssid=b"net %d" % i)
    assert enterprise(bench) == 0
    assert bench.last_error() == "SSID table full"
    assert chunk(bench, 0, b"anon") == wire.TOO_MANY_SSIDS


@pytest.mark.parametrize(
    ("index", "data"), [(0, b"anon!"), (1, b"x"), (5, b"x"), (0xFFFFFFFF, b"x")]
)
def test_enterprise_credential_that_was_not_announced(bench, index, data):
    enterprise(bench)
    assert chunk(bench, index, data) == 0
    assert bench.last_error() == "bad enterprise credential"
    assert bench.response(26, flags=2) == wire.WRONG_STATE


def test_enterprise_commit_of_something_incomplete(bench):
    enterprise(bench)
    chunk(bench, 0, b"anon")
    assert bench.response(26, flags=2) == 0
    assert bench.last_error() == "enterprise SSID not saved"
    assert bench.networks.remembered() == []


# --- TLS


def test_a_firmware_without_tls_says_so(bench):
    assert bench.response(27) == wire.NO_TLS_CERT
    assert bench.last_error() == "TLS is not in this firmware"
    for command in (28, 29):
        assert bench.response(command, data=b"-----BEGIN") == 0
        assert bench.last_error() == "TLS is not in this firmware"
    assert bench.response(30) == 0
    assert bench.last_error() == ""


# --- secrets


def test_passwords_are_in_no_answer_no_error_no_report(bench, capsys):
    add(bench)
    own_ap(bench)
    enterprise(bench, ssid=b"Campus")
    chunk(bench, 0, SECRET[:4])
    bench.response(26, flags=3)
    seen = []
    for command in range(32):
        for length in (0, 12, 32, 64, 112):
            message = request(command, data=bytes(length))
            seen.append(bytes(bench.rig.transact(message)))
            seen.append(bench.error.text)
            bench.turn()
            if not bench.networks.remembered():
                add(bench)
                own_ap(bench)
    parts.diagnostics(ServiceOf(bench))
    seen.append(capsys.readouterr().out.encode())
    assert not any(SECRET in each for each in seen)
    assert SECRET in bench.store.data  # it was there to be found


class ServiceOf:
    """What a report looks at."""

    def __init__(self, bench):
        self.board = bench.board
        self.discovery = bench.discovery
        self.manager = bench.manager
        self.listeners = bench.listeners
        self.tls = None
        self.sessions = bench.sessions
        self.wlan = bench.wlan
        self.error = bench.error
        self.networks = bench.networks
        self.link = bench.rig.link
        self.commands = bench.commands
        self.personality = self  # whose counters are the protocol's own

    def counters(self):
        return Personality.counters(self)

    def of_slot(self, slot):
        return Personality.of_slot(self, slot)
