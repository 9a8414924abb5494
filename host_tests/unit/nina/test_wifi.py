"""NINA's WiFi commands: the recorded bytes of two drivers, and what each answers in time."""

import struct

import pytest
from fake_board import ON_AIR, PSK
from nina_bench import NinaBench, NinaBoard, frame, parameters
from sim_air import Addresses, Air, AirRadio

from spinet.wifi.config import eap, password
from spinet.wifi.station import CONNECT_TIMEOUT_MS

IDLE, TRYING, CONNECTED, FAILED, LOST = 0, 1, 3, 4, 6
OK = [b"\1"]
HOME = (b"home", 0, b"secret12")
HOME_IS_THERE = "0 appears home password=secret12 channel=6 rssi=-47\n"
WIFININA_WAITS_MS = 50000  # for the end of a join
ANY = 0xFF  # the parameter of the commands that need none


@pytest.fixture
def bench(monkeypatch):
    """A module with a ScriptedRadio."""
    return NinaBench(monkeypatch)


@pytest.fixture
def radio(bench):
    return bench.board.the_radio


@pytest.fixture
def bench_in(monkeypatch):
    """bench_in(script) -> a module in SIM's scripted air, on the bench's clock."""

    def make(script):
        board = NinaBoard()
        began = []
        board.the_radio = AirRadio(Addresses, Air(script, lambda: began[0].now if began else 5000))
        began.append(NinaBench(monkeypatch, board))
        return began[0]

    return make


def number(reply):
    """A reply of one parameter."""
    assert len(reply) == 1
    return int.from_bytes(reply[0], "little")


def status(bench):
    return number(bench.ask(0x20))


def reason(bench):
    return number(bench.ask(0x1F))


def statuses(bench, ms=WIFININA_WAITS_MS, ends=(CONNECTED, FAILED)):
    """The answers of 20, each once as long as it lasts, to a driver that asks ten times in
    a second, until one of `ends` comes or for so long."""
    seen = [status(bench)]
    for _ in range(ms // 100):
        if seen[-1] in ends:
            break
        bench.later(100)
        answer = status(bench)
        if answer != seen[-1]:
            seen.append(answer)
    return seen


def join(bench, *params):
    """The statuses of a join."""
    assert bench.ask(0x12, *(params or HOME)) == OK
    return statuses(bench)


def joined(bench):
    """The module is on home, by a ScriptedRadio."""
    bench.board.the_radio.outcome_is = ""
    assert join(bench) == [CONNECTED]


def said(bench, command, reply):
    """Send recorded bytes: what is answered has to be the recorded reply, and zeros."""
    bench.send(bytes.fromhex(command))
    expected = bytes.fromhex(reply)
    got = bench.reply()
    assert got[: len(expected)] == expected
    assert not any(got[len(expected) :])


# --- recorded bytes


@pytest.fixture
def recorded(bench, radio):
    """A module of which the recordings could be."""
    radio.own_mac = bytes.fromhex("112233445566")
    radio.ap_mac = bytes.fromhex("0f0e0d0c0b0a")
    radio.strength = -47
    radio.outcome_is = ""
    return bench


def test_recording_of_a_join_by_circuitpython(recorded):
    said(recorded, "e0 20 00 ee", "e0 a0 01 01 00 ee")
    said(recorded, "e0 37 00 ee", "e0 b7 01 06 31 2e 38 2e 30 00 ee")
    said(recorded, "e0 22 01 01 ff ee 00 00", "e0 a2 01 06 66 55 44 33 22 11 ee")
    said(
        recorded,
        "e0 11 02 04 68 6f 6d 65 08 73 65 63 72 65 74 31 32 ee 00 00",
        "e0 91 01 01 01 ee",
    )
    said(recorded, "e0 20 00 ee", "e0 a0 01 01 03 ee")
    said(
        recorded,
        "e0 21 01 01 ff ee 6d 65",
        "e0 a1 03 04 c0 a8 01 32 04 ff ff ff 00 04 c0 a8 01 01 ee",
    )
    said(recorded, "e0 25 01 01 ff ee 6d 65", "e0 a5 01 04 d1 ff ff ff ee")


def test_recording_of_names_and_addresses_by_circuitpython(recorded, radio):
    said(recorded, "e0 16 01 04 73 70 69 6e ee 73 65 63", "e0 96 01 01 01 ee")
    said(
        recorded,
        "e0 14 04 01 00 04 c0 a8 01 4d 04 c0 a8 01 01 04 ff ff ff 00 ee 00 00 00",
        "e0 94 01 01 00 ee",
    )
    said(recorded, "e0 15 03 01 00 04 08 08 08 08 04 01 01 01 01 ee", "e0 95 01 01 01 ee")
    assert radio.servers == (0x08080808, 0x01010101)


def test_recording_of_a_join_by_micropython(recorded):
    said(
        recorded,
        "e0 12 03 04 68 6f 6d 65 01 00 08 73 65 63 72 65 74 31 32 ee",
        "e0 92 01 01 01 ee 00 00",
    )
    said(recorded, "e0 20 00 ee", "e0 a0 01 01 03 ee 00 00")
    said(recorded, "e0 25 01 01 ff ee ff ff", "e0 a5 01 04 d1 ff ff ff ee 00")
    said(recorded, "e0 26 01 01 ff ee ff ff", "e0 a6 01 01 04 ee 00 00")
    said(recorded, "e0 23 01 01 ff ee ff ff", "e0 a3 01 04 68 6f 6d 65 ee 00")
    said(recorded, "e0 24 01 01 ff ee ff ff", "e0 a4 01 06 0a 0b 0c 0d 0e 0f ee 00")


# The fields of a scan, which both drivers ask for: command, reply to index 0, to index 1
FIELDS = (
    ("3c", "bc 01 06 00 00 00 00 00 00", "bc 01 06 00 00 00 00 00 00"),
    ("32", "b2 01 04 ce ff ff ff", "b2 01 04 cd ff ff ff"),
    ("3d", "bd 01 01 06", "bd 01 01 06"),
    ("33", "b3 01 01 04", "b3 01 01 04"),
)


@pytest.mark.parametrize("padding", ["08 08", "ff ff"], ids=["circuitpython", "micropython"])
def test_recording_of_a_scan(recorded, radio, padding):
    said(recorded, "e0 36 00 ee", "e0 b6 01 01 01 ee")
    radio.finds = [(b"home", bytes(6), 6, -50, 3, 3), (b"guest", bytes(6), 6, -51, 3, 3)]
    recorded.later(20)
    said(recorded, "e0 27 00 ee", "e0 a7 02 04 68 6f 6d 65 05 67 75 65 73 74 ee 00")
    for command, *replies in FIELDS:
        for i, reply in enumerate(replies):
            said(recorded, f"e0 {command} 01 01 0{i} ee {padding}", f"e0 {reply} ee")


# --- joining: the life of a status


def test_status_from_boot_to_a_disconnect(bench_in):
    bench = bench_in(HOME_IS_THERE)
    assert status(bench) == IDLE
    assert join(bench) == [TRYING, CONNECTED]
    assert reason(bench) == 0
    assert bench.ask(0x30, ANY) == OK
    assert status(bench) == IDLE
    assert reason(bench) == 0
    assert bench.ask(0x23, ANY) == [b""]


@pytest.mark.parametrize(
    ("air", "why"),
    [
        ("0 appears elsewhere", 201),
        ("0 appears home password=battery-staple", 202),
        (HOME_IS_THERE + "0 changes home refuses=yes", 203),
        (HOME_IS_THERE + "0 changes home silent=yes", 205),
        (HOME_IS_THERE + "0 changes home dhcp=no", 205),
    ],
    ids=["not there", "wrong password", "refused", "silent", "without DHCP"],
)
def test_join_that_fails_and_why(bench_in, air, why):
    """Each within the time that WiFiNINA waits; CircuitPython's driver goes on asking for 10 s."""
    bench = bench_in(air)
    assert join(bench) == [TRYING, FAILED]
    assert reason(bench) == why
    assert statuses(bench, 10000, ends=()) == [FAILED]


def test_join_after_one_that_failed_is_no_failure_until_it_fails(bench_in):
    """MicroPython's driver joins again in such a case."""
    bench = bench_in("0 appears elsewhere\n20 appears home password=secret12")
    assert join(bench) == [TRYING, FAILED]
    assert join(bench) == [TRYING, FAILED]
    assert join(bench, b"elsewhere", 0, b"") == [TRYING, CONNECTED]
    bench.later(20000)
    assert join(bench) == [TRYING, CONNECTED]
    assert bench.ask(0x23, ANY) == [b"home"]


def test_reason_is_that_of_the_last_join(bench_in):
    bench = bench_in("0 appears home silent=yes")
    assert join(bench, b"elsewhere", 0, b"") == [TRYING, FAILED]
    assert reason(bench) == 201
    assert join(bench) == [TRYING, FAILED]
    assert reason(bench) == 205


def test_open_network(bench_in):
    bench = bench_in("0 appears guest")
    assert bench.ask(0x10, b"guest") == OK
    assert statuses(bench) == [TRYING, CONNECTED]
    assert bench.ask(0x26, ANY) == [b"\7"]


@pytest.mark.parametrize("key", [PSK, b"", b"wepky", b"thirteenbytes", b"a" * 63, b"\xff\xfe"])
@pytest.mark.parametrize("command", [0x11, 0x12])
def test_key_reaches_the_radio_as_it_is(bench, radio, command, key):
    """WEP's keys are shorter than those of WPA, and come in the same commands."""
    middle = [0] if command == 0x12 else []
    assert bench.ask(command, b"home", *middle, key) == OK
    radio.finds = radio.sees
    bench.later(20)
    assert (radio.joined.ssid, password(radio.joined.record)) == (b"home", key)


@pytest.mark.parametrize(
    ("ssid", "key"),
    [
        (b"", b"secret12"),
        (b"a" * 33, b"secret12"),
        (b"a\0b", b""),
        (b"home", b"secret\x0012"),
        (b"home", b"a" * 63 + b"g"),
        (b"home", b"a" * 63 + b"\2"),
        (b"home", b"0" * 65),
    ],
)
def test_what_no_network_can_have_is_refused(bench, radio, ssid, key):
    assert bench.ask(0x11, ssid, key) == [b"\0"]
    assert radio.joined is None
    assert status(bench) == IDLE


def test_join_is_not_remembered(bench):
    joined(bench)
    assert bench.service.networks.remembered() == []
    assert bench.board.the_store.saves == 0


def test_join_that_is_repeated_while_it_goes_on_goes_on(bench, radio):
    bench.ask(0x12, *HOME)
    calls = list(radio.calls)
    bench.later(5000)
    assert bench.ask(0x12, *HOME) == OK
    assert bench.ask(0x11, b"home", b"secret12") == OK
    assert radio.calls == calls
    assert bench.ask(0x12, b"home", 0, b"another-1") == OK
    assert radio.calls != calls
    assert password(radio.joined.record) == b"another-1"


def test_another_join_leaves_the_network_that_was_joined(bench, radio):
    joined(bench)
    radio.outcome_is = None
    assert bench.ask(0x10, b"guest") == OK
    assert status(bench) == TRYING
    assert radio.calls[-3:] == ["leave", "scan guest", "join guest"]


# --- a link that is lost


def test_link_that_is_lost_comes_back_by_itself(bench_in):
    bench = bench_in(HOME_IS_THERE + "10 vanishes home\n40 appears home")
    join(bench)
    assert statuses(bench, 60000, ends=(LOST,)) == [CONNECTED, LOST]
    assert reason(bench) == 200
    assert bench.ask(0x21, ANY) == [bytes(4)] * 3
    assert statuses(bench, 60000) == [LOST, CONNECTED]
    assert reason(bench) == 0
    assert bench.ask(0x21, ANY)[0] == bytes([192, 168, 1, 50])


@pytest.mark.parametrize("how", ["vanishes home", "changes home silent=yes\n10 drops home"])
def test_network_that_is_away_for_long_is_sought_until_it_is_back(bench_in, how):
    bench = bench_in(
        f"{HOME_IS_THERE}10 {how}\n1000 appears home silent=no",
    )
    join(bench)
    assert statuses(bench, 20000, ends=(LOST,)) == [CONNECTED, LOST]
    bench_ms = 0
    while bench_ms < 20 * CONNECT_TIMEOUT_MS:
        bench.later(1000)
        assert status(bench) == LOST
        bench_ms += 1000
    assert statuses(bench, 300000) == [LOST, CONNECTED]


def test_link_that_is_refused_when_it_comes_back_has_failed(bench_in):
    bench = bench_in(HOME_IS_THERE + "10 changes home password=battery-staple\n10 drops home")
    join(bench)
    assert statuses(bench, 60000, ends=(FAILED,)) == [CONNECTED, LOST, FAILED]
    assert reason(bench) == 202


@pytest.mark.parametrize("after_ms", [100, 6000, 90000])
def test_drivers_own_join_after_a_loss_begins_anew(bench_in, after_ms):
    """From its answer on the status is that of the new join: WiFiNINA's begin() ends at a 6."""
    bench = bench_in(HOME_IS_THERE + "10 vanishes home\n200 appears home")
    join(bench)
    statuses(bench, 20000, ends=(LOST,))
    bench.later(after_ms)
    assert status(bench) == LOST
    assert join(bench) == [TRYING, FAILED]
    assert reason(bench) == 201
    bench.later(200000)
    assert join(bench) == [TRYING, CONNECTED]


def test_disconnect_ends_the_search(bench_in):
    bench = bench_in(HOME_IS_THERE + "10 vanishes home\n60 appears home")
    join(bench)
    statuses(bench, 20000, ends=(LOST,))
    assert bench.ask(0x30) == OK  # CircuitPython's has no parameter
    assert statuses(bench, 100000, ends=()) == [IDLE]


@pytest.mark.behaviour("A8")
def test_lost_wifi_ends_connections_and_listeners_serve_again(bench_in):
    bench = bench_in(HOME_IS_THERE + "10 drops home")
    join(bench)
    server = number(bench.ask(0x3F))
    assert bench.ask(0x28, (80).to_bytes(2, "big"), server, 0) == OK
    visitor = accepted(bench, server)
    assert statuses(bench, 20000, ends=(LOST,)) == [CONNECTED, LOST]
    assert bench.ask(0x2F, visitor) == [b"\0"]
    assert statuses(bench) == [LOST, CONNECTED]
    assert bench.ask(0x2F, accepted(bench, server)) == [b"\4"]


def accepted(bench, server):
    """The number of a new client."""
    bench.stack.dial(80)
    bench.passes()
    return number(bench.ask(0x2B, server))


@pytest.mark.behaviour("A8")
@pytest.mark.parametrize("command", [(0x30, ANY), (0x10, b"guest"), (0x12, *HOME)])
def test_leaving_a_network_ends_its_connections(bench, command):
    joined(bench)
    server = number(bench.ask(0x3F))
    assert bench.ask(0x28, (80).to_bytes(2, "big"), server, 0) == OK
    visitor = accepted(bench, server)
    assert bench.ask(*command) == OK
    assert bench.ask(0x2F, visitor) == [b"\0"]
    assert bench.ask(0x29, server) == OK


# --- names and addresses


@pytest.mark.behaviour("A19")
def test_before_a_join_there_is_an_answer_to_everything(bench):
    assert bench.ask(0x21, ANY) == [bytes(4)] * 3
    assert bench.ask(0x23, ANY) == [b""]
    assert bench.ask(0x24, ANY) == [bytes(6)]
    assert bench.ask(0x25, ANY) == [bytes(4)]
    assert bench.ask(0x26, ANY) == [b"\xff"]
    assert reason(bench) == 0


@pytest.mark.behaviour("A17")
def test_macs_are_reversed(bench, radio):
    radio.own_mac = bytes([2, 3, 4, 5, 6, 7])
    radio.ap_mac = bytes([12, 13, 14, 15, 16, 17])
    assert bench.ask(0x22, ANY) == [bytes([7, 6, 5, 4, 3, 2])]
    joined(bench)
    assert bench.ask(0x24, ANY) == [bytes([17, 16, 15, 14, 13, 12])]
    scan(bench)
    assert bench.ask(0x3C, 0) == [ON_AIR[1][1][::-1]]


def record_of(bench):
    """ip, gateway, mask of the network that the radio was given."""
    record = bench.board.the_radio.joined.record
    return record[0:4], record[4:8], record[8:12]


IP, GATEWAY, MASK = bytes([10, 1, 2, 3]), bytes([10, 1, 2, 254]), bytes([255, 255, 0, 0])
NONE = bytes(4)


def test_address_is_for_the_next_joins(bench):
    assert bench.ask(0x14, 3, IP, GATEWAY, MASK) == [b"\0"]
    joined(bench)
    assert record_of(bench) == (IP, GATEWAY, MASK)
    assert not bench.service.wlan.station.using_dhcp
    joined(bench)
    assert record_of(bench) == (IP, GATEWAY, MASK)
    assert bench.ask(0x14, 3, NONE, NONE, NONE) == [b"\0"]
    joined(bench)
    assert record_of(bench) == (NONE, NONE, NONE)
    assert bench.service.wlan.station.using_dhcp


def test_address_alone_has_the_first_of_its_network_as_gateway(bench):
    """WiFiNINA's config(ip) sends no more."""
    assert bench.ask(0x14, 1, IP, NONE, NONE) == [b"\0"]
    joined(bench)
    assert record_of(bench)[:2] == (IP, bytes([10, 1, 2, 1]))


def test_address_after_joining_is_in_force_at_once_and_stays(bench, radio):
    joined(bench)
    assert bench.ask(0x14, 3, IP, GATEWAY, MASK) == [b"\0"]
    assert radio.calls[-1] == "readdress"
    assert record_of(bench) == (IP, GATEWAY, MASK)
    assert status(bench) == CONNECTED
    radio.joined = None
    for _ in range(2):  # the link is lost, and the radio's own attempt fails
        radio.outcome_is = "network not found"
        bench.later(1000)
    assert record_of(bench) == (IP, GATEWAY, MASK)
    assert radio.joined.ssid == b"home"


def test_address_that_the_radio_refuses_is_told(bench, radio):
    joined(bench)
    radio.readdress_says = "cannot"
    assert bench.ask(0x14, 3, IP, GATEWAY, MASK) == [b"\1"]


def test_fixed_address_needs_no_dhcp(bench_in):
    bench = bench_in(HOME_IS_THERE + "0 changes home dhcp=no")
    bench.ask(0x14, 3, IP, GATEWAY, MASK)
    assert join(bench) == [TRYING, CONNECTED]


@pytest.mark.behaviour("A9")
def test_dns_servers_before_and_after_joining(bench_in):
    bench = bench_in(HOME_IS_THERE + "20 drops home")
    assert bench.ask(0x1E, ANY) == [bytes([192, 168, 1, 1]), NONE]
    assert bench.ask(0x15, 1, bytes([9, 9, 9, 9]), NONE) == OK
    join(bench)
    assert bench.ask(0x1E, ANY) == [bytes([9, 9, 9, 9]), NONE]
    assert bench.ask(0x15, 2, bytes([1, 1, 1, 1]), bytes([8, 8, 8, 8])) == OK
    assert statuses(bench, 30000, ends=(LOST,)) == [CONNECTED, LOST]
    assert statuses(bench) == [LOST, CONNECTED]
    assert bench.ask(0x1E, ANY) == [bytes([1, 1, 1, 1]), bytes([8, 8, 8, 8])]


def test_host_name_is_the_one_that_is_announced(bench):
    assert bench.ask(0x16, b"weather station") == OK
    assert bench.service.discovery.host_name == b"weather station"


# --- what is in the air


def scan(bench, finds=ON_AIR):
    """The names that a scan tells."""
    assert bench.ask(0x36) == OK
    bench.board.the_radio.finds = finds
    bench.later(20)
    return bench.ask(0x27)


def test_scan_and_its_fields(bench):
    assert scan(bench) == [b"Workshop", b"Attic", b"Guest"]  # the strongest first
    for i, (_, mac, channel, rssi, auth, _) in enumerate(sorted(ON_AIR, key=lambda e: -e[3])):
        assert bench.ask(0x32, i) == [struct.pack("<i", rssi)]
        assert bench.ask(0x33, i) == [bytes([{0: 7, 3: 4, 7: 4}[auth]])]
        assert bench.ask(0x3C, i) == [mac[::-1]]
        assert bench.ask(0x3D, i) == [bytes([channel])]


@pytest.mark.parametrize(
    ("auth", "told"),
    [(0, 7), (1, 5), (2, 2), (3, 4), (4, 4), (5, 255), (6, 255), (7, 4), (8, 255), (9, 255)],
)
def test_encryptions(bench, auth, told):
    scan(bench, [(b"net", bytes(6), 1, -50, auth, 0)])
    assert bench.ask(0x33, 0) == [bytes([told])]


def test_index_beyond_the_scan_has_an_answer(bench):
    """An error frame would be an exception in CircuitPython."""
    for i in (0, 255):
        assert bench.ask(0x32, i) == [bytes(4)]
        assert bench.ask(0x33, i) == [b"\xff"]
        assert bench.ask(0x3C, i) == [bytes(6)]
        assert bench.ask(0x3D, i) == [b"\0"]


def test_scan_has_what_the_drivers_have_room_for(bench):
    """Ten names of at most 31 bytes each; others would be cut, and no driver could join them."""
    air = [(b"%d" % i, bytes(6), 1, -50 - i, 3, 0) for i in range(20)]
    longest = (b"a" * 31, bytes(6), 1, -42, 3, 0)
    air += [(b"b" * 32, bytes(6), 1, -40, 3, 0), (b"", bytes(6), 1, -41, 3, 0), longest]
    assert scan(bench, air) == [longest[0], *(b"%d" % i for i in range(9))]


def test_result_is_kept_until_the_next_scan(bench, radio):
    names = scan(bench)
    joined(bench)
    radio.finds = []
    bench.later(1000)
    assert bench.ask(0x27) == names
    assert bench.ask(0x3D, 2) == [b"\x0b"]
    assert scan(bench, []) == []
    assert bench.ask(0x3D, 2) == [b"\0"]


def test_result_waits_for_the_scan(bench, radio):
    """MicroPython's driver asks at once."""
    bench.ask(0x36)
    bench.send(frame(0x27))
    bench.later(3000)
    assert bench.target.ready == 1
    radio.finds = ON_AIR
    bench.later(20)
    assert bench.reply()[2] == 3


def test_scan_that_takes_too_long_is_answered_with_nothing_and_told_later(bench, radio):
    bench.ask(0x36)
    bench.send(frame(0x27))
    bench.later(8999)
    assert bench.target.ready == 1
    bench.later(1)
    assert bench.reply()[2] == 0
    radio.finds = ON_AIR
    bench.later(20)
    assert len(bench.ask(0x27)) == 3


def test_scan_that_fails_has_found_nothing(bench, radio):
    assert len(scan(bench)) == 3
    radio.scan_problem_is = "cannot scan"
    assert scan(bench, []) == []
    bench.ask(0x36)
    bench.later(20000)  # it never ends
    assert bench.ask(0x27) == []


def test_without_a_scan_there_is_no_result(bench):
    assert bench.ask(0x27) == []


@pytest.mark.behaviour("A21")
def test_scan_does_not_drop_the_connection(bench_in):
    bench = bench_in(HOME_IS_THERE + "0 appears guest")
    join(bench)
    connection = bench.stack.servers[80] = []
    client = number(bench.ask(0x3F))
    assert bench.ask(0x2D, bytes([127, 0, 0, 1]), (80).to_bytes(2, "big"), client, 0) == OK
    assert bench.ask(0x36) == OK
    bench.send(frame(0x27))
    bench.later(5000)
    assert bench.reply()[2] == 2
    bench.later(5000)
    assert status(bench) == CONNECTED
    assert bench.ask(0x2F, client) == [b"\4"]
    assert connection[0].ended is None


def test_scan_during_a_join_waits_for_its_end(bench, radio):
    """A radio gives up the attempt for a scan."""
    bench.ask(0x12, *HOME)
    assert bench.ask(0x36) == OK
    bench.send(frame(0x27))
    bench.later(1000)
    assert "scan" not in radio.calls
    radio.outcome_is = ""
    bench.later(20)
    assert radio.calls[-1] == "scan"
    radio.finds = ON_AIR
    bench.later(20)
    assert bench.reply()[2] == 3
    assert status(bench) == CONNECTED


def test_scan_while_a_lost_network_is_sought(bench_in):
    """It is made between two attempts, and neither disturbs the other."""
    bench = bench_in(HOME_IS_THERE + "0 appears guest\n10 vanishes home\n60 appears home")
    join(bench)
    statuses(bench, 20000, ends=(LOST,))
    assert bench.ask(0x36) == OK
    for _ in range(10):  # as CircuitPython's driver does
        bench.send(frame(0x27))
        while bench.target.ready:
            bench.later(100)
        names = parameters(bench.reply())
        if names:
            break
    assert names == [b"guest"]
    assert statuses(bench, 100000) == [LOST, CONNECTED]


# --- the module


def test_power_is_not_saved_unless_it_is_asked_for(bench, radio):
    """It would cost each datagram 10 to 20 ms."""
    assert radio.saves_power is False
    assert bench.ask(0x17, 1) == OK
    assert radio.saves_power is True
    assert bench.ask(0x17, 0) == OK
    assert radio.saves_power is False


def test_temperature_where_there_is_a_sensor(bench):
    assert bench.ask(0x1B) is None
    bench.board.celsius = 41
    assert bench.ask(0x1B) == [struct.pack("<f", 41)]


def test_debug_is_accepted(bench):
    assert bench.ask(0x1A, 1) == OK


# --- the own access point


@pytest.mark.behaviour("A21")
@pytest.mark.parametrize(
    ("channel", "wanted"),
    [(b"\6", 6), (b"\0" * 6, 6), (b"\0", 1), (b"\0" * 13, 13), (b"\x0b", 11)],
)
def test_an_access_point_on_the_channel_that_the_driver_means(bench, radio, channel, wanted):
    assert bench.ask(0x18, b"Spinet", channel) == OK
    record = radio.joined.record
    assert record[12] == wanted
    assert record[:12] == bytes((192, 168, 4, 1, 192, 168, 4, 1, 255, 255, 255, 0))
    assert password(record) == b""


@pytest.mark.parametrize(("stations", "wanted"), [(0, 7), (2, 8)])
def test_the_status_says_whether_there_are_stations(bench, radio, monkeypatch, stations, wanted):
    monkeypatch.setattr(radio, "clients", lambda: stations)
    assert bench.ask(0x19, b"Spinet", b"secret12", b"\1") == OK
    assert password(radio.joined.record) == b"secret12"
    assert status(bench) == wanted
    assert bench.ask(0x30) == OK
    assert status(bench) == IDLE


@pytest.mark.parametrize(
    ("name", "key", "channel"),
    [(b"", b"secret12", 1), (b"x" * 33, b"secret12", 1), (b"net", b"short", 1), (b"net", b"", 14)],
)
def test_an_access_point_that_cannot_be_is_refused(bench, radio, name, key, channel):
    assert bench.ask(0x19, name, key, channel) == [b"\0"]
    assert status(bench) == 9
    assert radio.joined is None


def test_a_radio_that_cannot_be_an_access_point(bench, radio):
    radio.serve_says = "no"
    assert bench.ask(0x18, b"Spinet", 1) == [b"\0"]
    assert status(bench) == 9


def test_an_access_point_has_the_address_that_was_set(bench, radio):
    ip, mask = bytes((10, 0, 0, 1)), bytes((255, 0, 0, 0))
    bench.ask(0x14, 3, ip, ip, mask)
    assert bench.ask(0x18, b"Spinet", 1) == OK
    assert radio.joined.record[:12] == ip + ip + mask


# --- enterprise networks

LOGIN = (b"anonymous", b"", b"user", b"plant3d-word", b"")


def credentials(network):
    return tuple(network.credential(i) for i in range(5))


def log_in(bench):
    for number, text in ((0x4A, LOGIN[0]), (0x4B, LOGIN[2]), (0x4C, LOGIN[3])):
        assert bench.ask(number, text) == OK


@pytest.mark.parametrize("first", ["the network", "the login"])
def test_an_enterprise_network_as_circuitpython_joins_it(bench, radio, first):
    """Its driver names the network before it says that there is a login."""
    if first == "the network":
        assert bench.ask(0x10, b"Campus") == OK
    log_in(bench)
    assert bench.ask(0x4F) == OK
    if first == "the login":
        assert radio.joined is None
        assert bench.ask(0x10, b"Campus") == OK
    radio.finds = ON_AIR
    bench.later(100)
    assert radio.joined.ssid == b"Campus"
    assert eap(radio.joined.record) == 2
    assert credentials(radio.joined) == LOGIN
    assert LOGIN[3] not in bench.service.error.text


def test_the_login_is_for_one_network(bench, radio):
    radio.finds = ON_AIR
    log_in(bench)
    assert bench.ask(0x4F) == OK
    for ssid, logs_in in ((b"Campus", True), (b"Guest", False), (b"Campus", True)):
        assert bench.ask(0x10, ssid) == OK
        bench.later(100)
        assert radio.joined.ssid == ssid
        assert eap(radio.joined.record) == (2 if logs_in else 0)
    assert bench.ask(0x11, b"Campus", b"secret12") == OK
    bench.later(100)
    assert eap(radio.joined.record) == 0
    assert password(radio.joined.record) == b"secret12"


def test_another_password_is_another_attempt(bench, radio):
    radio.finds = ON_AIR
    assert bench.ask(0x10, b"Campus") == OK
    log_in(bench)
    assert bench.ask(0x4F) == OK
    bench.later(100)
    assert bench.ask(0x4C, b"plant3d-more") == OK
    assert bench.ask(0x4F) == OK
    bench.later(100)
    assert credentials(radio.joined)[3] == b"plant3d-more"


def test_an_address_for_an_enterprise_network_keeps_its_login(bench, radio):
    radio.finds = ON_AIR
    assert bench.ask(0x10, b"Campus") == OK
    log_in(bench)
    assert bench.ask(0x4F) == OK
    bench.later(100)
    address = (bytes([192, 168, 1, 7]), bytes([192, 168, 1, 1]), bytes([255, 255, 255, 0]))
    assert bench.ask(0x14, 1, *address) == [b"\0"]
    assert credentials(radio.joined) == LOGIN


def test_an_enterprise_network_as_wifinina_joins_it(bench, radio):
    radio.finds = ON_AIR
    ca = b"-----BEGIN CERTIFICATE-----" + bytes(300)
    asked = (b"Campus", LOGIN[2], LOGIN[3], LOGIN[0], ca)
    assert bench.ask(0x40, 0, *asked, wide=True) == OK
    bench.later(100)
    assert radio.joined.ssid == b"Campus"
    assert credentials(radio.joined) == (LOGIN[0], ca, LOGIN[2], LOGIN[3], b"")
    calls = list(radio.calls)
    assert bench.ask(0x40, 1, *asked, wide=True) == [b"\0"]  # another method
    assert bench.ask(0x40, 0, b"", *asked[1:], wide=True) == [b"\0"]
    assert radio.calls == calls


@pytest.mark.parametrize("number", [0x4A, 0x4B, 0x4C])
def test_what_wifinina_means_by_another_command(bench, number):
    assert bench.ask(number) is None
    assert bench.ask(0x4F, b"x", wide=True) is None
