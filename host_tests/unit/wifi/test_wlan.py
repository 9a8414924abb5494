"""WiFi's states, refusals and errors over a scripted radio and a clock that tests turn."""

import itertools
import random

import pytest
from fake_board import ON_AIR, MemoryStore, ScriptedRadio, nothing

from spinet import states
from spinet.last_error import LastError
from spinet.network_status import NetworkStatus
from spinet.wifi import config
from spinet.wifi.networks import Network, Networks
from spinet.wifi.station import (
    CONNECT_TIMEOUT_MS,
    PAUSE_MS,
    REFUSALS,
    REJOIN_TIMEOUT_MS,
    SCAN_TIMEOUT_MS,
    SOONEST_MS,
)
from spinet.wifi.wlan import LEGAL, Wlan

GUEST = (b"Guest", bytes([2, 0, 0, 0, 0, 9]), 4, -40, 0, 2)


def network(ssid, ip=0, channel=0, password=b""):
    record = bytearray(ip.to_bytes(4, "little") + bytes(12) + ssid.ljust(32, b"\0"))
    record[12] = channel
    return Network(bytes(record) + password.ljust(64, b"\0"))


def make(radio, networks, debug=True):
    return Wlan(radio, networks, LastError(nothing), nothing, debug)


@pytest.fixture
def radio():
    return ScriptedRadio()


@pytest.fixture
def wlan(radio):
    networks = Networks(MemoryStore())
    networks.remember(network(b"Guest"))
    networks.remember(network(b"Attic", ip=0x3201A8C0))
    return make(radio, networks)


@pytest.fixture
def connecting(wlan):
    wlan.station.start(b"Guest", 1000)
    return wlan


@pytest.fixture
def connected(connecting, radio):
    radio.outcome_is = ""
    connecting.poll(1001)
    return connecting


@pytest.fixture
def lost(connected, radio):
    """The link was lost at 2000."""
    connected.told(connected.state, connected._error.text)
    radio.outcome_is = None
    connected.refresh(2000)
    return connected


@pytest.fixture
def reconnecting(lost, radio):
    """The radio gave up at 3000; a scan for Guest finds none, so that an attempt is under way."""
    radio.outcome_is = "network not found"
    radio.calls.clear()
    lost.poll(3000)
    lost.told(lost.state, lost._error.text)
    return lost


def error(wlan):
    return wlan._error.text.decode()


# --- idle


def test_it_begins_idle_and_without_news(wlan):
    assert wlan.state == states.WIFI_IDLE
    assert wlan.rssi == -128
    assert not wlan.has_news()
    assert not wlan.active()
    assert wlan.may_start()
    assert wlan.may_scan()


def test_unknown_name_is_an_error_and_no_attempt(wlan, radio):
    wlan.station.start(b"Nowhere", 0)
    wlan.poll(SOONEST_MS)
    assert error(wlan) == "no data found for requested SSID"
    assert wlan.state == states.WIFI_IDLE
    assert radio.calls == ["scan Nowhere", "leave"]


def test_start_that_fails_at_once_is_told_after_a_scans_time(wlan, radio):
    """Otherwise a controller that tries again after each failure would do nothing else."""
    radio.outcome_is = "cannot connect: no memory"
    for name, why in (
        (b"Nowhere", "no data found for requested SSID"),
        (b"Guest", "Guest: cannot connect: no memory"),
    ):
        wlan.station.start(name, 5000)
        assert radio.calls[-1] == "leave"
        wlan.poll(5000 + SOONEST_MS - 1)
        assert wlan.state == states.WIFI_CONNECTING
        assert error(wlan) == ""
        wlan.poll(5000 + SOONEST_MS)
        assert wlan.state == states.WIFI_IDLE
        assert error(wlan) == why
        wlan._error.forget()


# --- connecting


def test_connecting(connecting, radio):
    assert connecting.state == states.WIFI_CONNECTING
    assert radio.calls == ["scan Guest", "join Guest"]  # not seen, but it may be hidden
    assert connecting.active()
    assert connecting.has_news()
    assert not connecting.may_start()
    assert not connecting.may_scan()


def test_connected(connected):
    assert connected.state == states.WIFI_CONNECTED
    assert connected.rssi == -55
    assert not connected.active()
    assert not connected.may_start()
    assert connected.may_scan()
    assert error(connected) == ""


@pytest.mark.parametrize(
    "reason", ["wrong password", "network not found", "refused by the access point"]
)
def test_failure_is_the_radios_reason(connecting, radio, reason):
    radio.outcome_is = reason
    connecting.poll(1000 + SOONEST_MS)
    assert connecting.state == states.WIFI_IDLE
    assert error(connecting) == "Guest: " + reason
    assert radio.calls[-1] == "leave"
    assert not connecting.active()
    assert connecting.may_start()


def test_attempt_ends_after_its_time(connecting, radio):
    connecting.poll(1000 + CONNECT_TIMEOUT_MS - 1)
    assert connecting.state == states.WIFI_CONNECTING
    connecting.poll(1000 + CONNECT_TIMEOUT_MS)
    assert connecting.state == states.WIFI_IDLE
    assert error(connecting) == "Guest: connecting timed out"
    assert radio.calls[-1] == "leave"


def test_connect_timeout_is_that_of_the_protocol():
    assert CONNECT_TIMEOUT_MS == 40000


def test_attempt_across_the_clocks_wrap(wlan):
    wlan.station.start(b"Guest", (1 << 30) - 1)
    wlan.poll(5)
    assert wlan.state == states.WIFI_CONNECTING
    wlan.poll(CONNECT_TIMEOUT_MS)
    assert wlan.state == states.WIFI_IDLE


@pytest.mark.parametrize(
    ("ssid", "associated", "why"),
    [
        (b"Guest", True, "no address by DHCP"),
        (b"Guest", False, "connecting timed out"),
        (b"Attic", True, "connecting timed out"),  # its address is fixed
    ],
)
def test_dhcp_that_never_answers_is_told_apart(wlan, radio, ssid, associated, why):
    radio.is_associated = associated
    wlan.station.start(ssid, 0)
    wlan.poll(CONNECT_TIMEOUT_MS)
    assert error(wlan) == ssid.decode() + ": " + why


@pytest.mark.parametrize(("ssid", "dhcp"), [(b"Guest", 1), (b"Attic", 0)])
def test_dhcp_is_told(wlan, radio, ssid, dhcp):
    radio.outcome_is = ""
    wlan.station.start(ssid, 0)
    status = NetworkStatus()
    wlan.fill(status)
    assert status.dhcp == dhcp
    assert status.rssi == -55
    assert status.ssid == ssid


# --- the access point that the scan chose


def test_strongest_of_that_name_is_joined(wlan, radio):
    radio.sees = [ON_AIR[0], GUEST]
    wlan.station.start(b"Guest", 0)
    assert radio.calls == ["scan Guest", "join Guest on channel 4"]


def test_other_names_of_a_scan_do_not_count(wlan, radio):
    radio.sees = [ON_AIR[1], ON_AIR[2]]
    wlan.station.start(b"Guest", 0)
    assert radio.calls == ["scan Guest", "join Guest"]


def test_retry_lets_go_of_the_access_point(wlan, radio):
    radio.sees = [GUEST]
    wlan.station.start(b"Guest", 0)
    radio.outcome_is = "network not found"
    radio.calls.clear()
    wlan.poll(SOONEST_MS)
    assert radio.calls == ["join Guest", "leave"]
    assert error(wlan) == "Guest: network not found"


@pytest.mark.parametrize("reason", REFUSALS)
def test_refused_password_is_not_tried_again(wlan, radio, reason):
    radio.sees = [GUEST]
    wlan.station.start(b"Guest", 0)
    radio.outcome_is = reason
    radio.calls.clear()
    wlan.poll(SOONEST_MS)
    assert radio.calls == ["leave"]
    assert wlan.state == states.WIFI_IDLE
    assert error(wlan) == "Guest: " + reason


def test_retry_that_works_is_no_error(wlan, radio):
    radio.sees = [GUEST]
    wlan.station.start(b"Guest", 0)
    join = radio.join

    def join_and_work(network, access_point=None):
        join(network, access_point)
        radio.outcome_is = ""

    radio.join = join_and_work
    radio.outcome_is = "refused by the access point"
    wlan.poll(10)
    assert wlan.state == states.WIFI_CONNECTED
    assert error(wlan) == ""


def test_all_attempts_together_have_one_time(wlan, radio):
    radio.sees = [GUEST]
    wlan.station.start(b"Guest", 0)
    radio.outcome_is = "refused by the access point"
    radio.join = lambda network, access_point=None: setattr(radio, "outcome_is", None)
    wlan.poll(CONNECT_TIMEOUT_MS - 1)
    assert wlan.state == states.WIFI_CONNECTING
    wlan.poll(CONNECT_TIMEOUT_MS)
    assert error(wlan) == "Guest: connecting timed out"


# --- the strongest


@pytest.fixture
def choosing(wlan):
    wlan.station.start(b"", 1000)
    return wlan


def test_strongest_that_is_remembered_is_joined(choosing, radio):
    assert choosing.state == states.WIFI_CONNECTING
    choosing.poll(1100)
    assert radio.calls == ["scan"]
    radio.finds = list(ON_AIR)  # Workshop is stronger, and not remembered
    choosing.poll(1200)
    assert radio.calls == ["scan", "join Attic on channel 6"]
    radio.outcome_is = ""
    choosing.poll(1201)
    assert choosing.state == states.WIFI_CONNECTED


@pytest.mark.parametrize("finds", [[], [ON_AIR[1]]])
def test_nothing_known_in_reach(choosing, radio, finds):
    radio.finds = finds
    choosing.poll(1000 + SOONEST_MS)
    assert choosing.state == states.WIFI_IDLE
    assert error(choosing) == "no known networks found"
    assert choosing.found is None


def test_its_scan_is_no_result_for_the_controller(choosing, radio):
    radio.finds = list(ON_AIR)
    assert not choosing.scanning
    choosing.poll(1100)
    assert choosing.found is None


def test_scan_that_fails_is_the_reason(choosing, radio):
    radio.finds = []
    radio.scan_problem_is = "cannot scan: busy"
    choosing.poll(1000 + SOONEST_MS)
    assert error(choosing) == "cannot scan: busy"


def test_scan_that_never_ends_is_given_up(choosing, radio):
    choosing.poll(1000 + SCAN_TIMEOUT_MS - 1)
    assert choosing.state == states.WIFI_CONNECTING
    choosing.poll(1000 + SCAN_TIMEOUT_MS)
    assert choosing.state == states.WIFI_IDLE
    assert error(choosing) == "network scan failed"
    assert radio.calls[-1] == "leave"


# --- lost links


def test_lost_link_is_the_radios_to_mend_first(lost, radio):
    assert lost.state == states.WIFI_AUTO_RECONNECTING
    assert error(lost) == "Guest: connection lost, auto-reconnecting"
    assert radio.calls[-1] == "rejoin"
    assert lost.rssi == -128
    assert lost.active()
    assert not lost.may_start()
    assert not lost.may_scan()


def test_link_that_comes_back(lost, radio):
    radio.outcome_is = ""
    lost.poll(2500)
    assert lost.state == states.WIFI_CONNECTED
    assert error(lost) == "Guest: reconnected"
    assert lost.rssi == -55
    status = NetworkStatus()
    lost.fill(status)
    assert status.reconnects == 1


def test_lost_link_is_not_acted_on_during_a_scan(connected, radio):
    connected.scan(1500)
    radio.outcome_is = None
    connected.refresh(2000)
    assert connected.state == states.WIFI_CONNECTED
    radio.finds = []
    connected.poll(2100)
    connected.refresh(3000)
    assert connected.state == states.WIFI_AUTO_RECONNECTING


def test_radio_that_fails_to_mend_it_is_followed_by_a_fresh_scan(reconnecting, radio):
    assert reconnecting.state == states.WIFI_RECONNECTING
    assert radio.calls[:2] == ["pause", "scan Guest"]
    assert "leave" not in radio.calls


def test_radio_that_never_mends_it_too(lost, radio):
    lost.poll(2000 + REJOIN_TIMEOUT_MS - 1)
    assert lost.state == states.WIFI_AUTO_RECONNECTING
    lost.poll(2000 + REJOIN_TIMEOUT_MS)
    assert lost.state == states.WIFI_RECONNECTING
    assert error(lost) == "Guest: auto-reconnect failed, reconnecting: connecting timed out"


@pytest.mark.parametrize("reason", REFUSALS)
@pytest.mark.behaviour("D19")
def test_refused_password_ends_the_radios_own_attempt(lost, radio, reason):
    radio.outcome_is = reason
    lost.poll(2001)
    assert lost.state == states.WIFI_IDLE
    assert error(lost) == "Guest: " + reason
    assert radio.calls[-1] == "leave"
    assert not lost.active()
    assert lost.may_start()
    assert lost.station.reconnects == 1


@pytest.mark.parametrize("reason", REFUSALS)
@pytest.mark.parametrize("sees", [[], [GUEST]], ids=["any", "pinned"])
@pytest.mark.behaviour("D19")
def test_refused_password_ends_reconnecting(lost, radio, reason, sees):
    radio.sees = sees
    radio.outcome_is = "network not found"
    lost.poll(3000)
    assert lost.state == states.WIFI_RECONNECTING
    radio.outcome_is = reason
    lost.poll(3001)
    assert lost.state == states.WIFI_IDLE
    assert error(lost) == "Guest: " + reason
    assert radio.calls[-1] == "leave"
    assert not lost.active()


def outage(wlan, radio, reason, begins=3000):
    """Every attempt fails for this reason until the module is idle; gives when that was, in ms."""
    for now in range(begins, begins + 3600000, 100):
        radio.outcome_is = reason
        wlan.poll(now)
        if wlan.state == states.WIFI_IDLE:
            return now
    return None


@pytest.mark.behaviour("D19")
def test_attempts_go_on_for_40_seconds(reconnecting, radio):
    scans = []
    scan = radio.scan
    radio.scan = lambda ssid: (scans.append(ssid), scan(ssid))
    assert outage(reconnecting, radio, "network not found") == 3000 + CONNECT_TIMEOUT_MS
    assert len(scans) == CONNECT_TIMEOUT_MS // PAUSE_MS
    assert reconnecting.station.reconnects == 2 + len(scans)  # until networkStop
    assert error(reconnecting) == "Guest: network not found"
    assert radio.calls[-1] == "leave"


def scan_that_never_ends(radio):
    radio.scan = lambda _ssid: setattr(radio, "finds", None)


def silence(_radio):
    pass


def no_address(radio):
    radio.is_associated = True


@pytest.mark.parametrize(
    ("enter", "why"),
    [
        (silence, "Guest: connecting timed out"),
        (no_address, "Guest: no address by DHCP"),
        (scan_that_never_ends, "Guest: network scan failed"),
    ],
)
@pytest.mark.behaviour("D19")
def test_reconnecting_ends_whatever_it_waits_for(lost, radio, enter, why):
    enter(radio)
    lost.poll(2000 + REJOIN_TIMEOUT_MS)
    assert lost.state == states.WIFI_RECONNECTING
    begun = 2000 + REJOIN_TIMEOUT_MS
    for now in range(begun, begun + CONNECT_TIMEOUT_MS, 100):
        lost.poll(now)
        assert lost.state == states.WIFI_RECONNECTING
    lost.poll(begun + CONNECT_TIMEOUT_MS)
    assert lost.state == states.WIFI_IDLE
    assert error(lost) == why
    assert not lost.active()


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.behaviour("D19")
def test_no_radio_keeps_a_controller_out_for_longer(wlan, radio, seed):
    """Connecting ends within 40 s; after a lost link all ends within 15 s and 40 s more."""
    rolled = random.Random(seed)
    reasons = [None] * 20 + ["network not found", "signal lost", "cannot connect: no memory"]
    radio.sees = rolled.choice([[], [GUEST]])

    def play(begins, most, allowed):
        for now in range(begins, begins + most, 100):
            radio.outcome_is = rolled.choice(reasons)
            radio.is_associated = rolled.random() < 0.5
            radio.finds = rolled.choice([None, None, None, [GUEST], []])
            wlan.poll(now)
            if wlan.state not in allowed:
                break
        wlan.poll(begins + most)
        assert wlan.state == states.WIFI_IDLE
        assert error(wlan)

    wlan.station.start(rolled.choice([b"Guest", b"", b"Nowhere"]), 0)
    play(0, CONNECT_TIMEOUT_MS, [states.WIFI_CONNECTING])
    radio.outcome_is = ""
    radio.finds = radio.sees = [GUEST]
    wlan.station.start(b"Guest", 100000)
    assert wlan.state == states.WIFI_CONNECTED
    radio.outcome_is = None
    wlan.refresh(200000)
    allowed = [states.WIFI_AUTO_RECONNECTING, states.WIFI_RECONNECTING]
    play(200000, REJOIN_TIMEOUT_MS + CONNECT_TIMEOUT_MS, allowed)


def test_controller_hears_nothing_of_single_attempts(reconnecting, radio):
    radio.outcome_is = "network not found"
    reconnecting.poll(3001)
    assert not reconnecting.has_news()


def test_reasons_of_before_do_not_outlast_success(reconnecting, radio):
    radio.outcome_is = "network not found"
    reconnecting.poll(3001)
    reconnecting.poll(3001 + PAUSE_MS)
    radio.outcome_is = ""
    reconnecting.poll(3002 + PAUSE_MS)
    assert error(reconnecting) == "Guest: reconnected"
    radio.outcome_is = None
    reconnecting.refresh(60000)
    reconnecting.poll(60000 + REJOIN_TIMEOUT_MS)
    assert error(reconnecting) == "Guest: auto-reconnect failed, reconnecting: connecting timed out"


def test_network_that_was_forgotten_meanwhile_ends_it(reconnecting, radio):
    reconnecting.networks.forget(b"Guest")
    radio.outcome_is = "network not found"
    reconnecting.poll(3001)
    reconnecting.poll(3001 + PAUSE_MS)
    assert reconnecting.state == states.WIFI_IDLE
    assert error(reconnecting) == "no data found for requested SSID"
    assert radio.calls[-1] == "leave"


def test_new_password_is_used_by_the_next_attempt(reconnecting, radio):
    reconnecting.networks.remember(network(b"Guest", password=b"another-one"))
    radio.outcome_is = "network not found"
    reconnecting.poll(3001)
    reconnecting.poll(3001 + PAUSE_MS)
    assert config.password(radio.joined.record) == b"another-one"


def test_strongest_is_chosen_anew(choosing, radio):
    radio.finds = [ON_AIR[2]]
    radio.outcome_is = ""
    choosing.poll(1100)
    radio.outcome_is = None
    choosing.refresh(2000)
    radio.outcome_is = "network not found"
    choosing.poll(2020)
    radio.calls.clear()
    radio.finds = [ON_AIR[0]]
    choosing.poll(3000)
    assert radio.calls[0] == "join Guest on channel 11"


# --- access point


def test_access_point_without_an_entry(wlan, radio):
    wlan.start_access_point()
    assert error(wlan) == "no data found for access point"
    assert radio.calls == []


def test_access_point(wlan, radio):
    wlan.networks.set_access_point(network(b"Spinet", 1))
    wlan.start_access_point()
    assert wlan.state == states.WIFI_ACCESS_POINT
    assert radio.calls == ["serve Spinet"]
    assert not wlan.may_scan()
    assert not wlan.may_start()
    status = NetworkStatus()
    wlan.fill(status)
    assert status.clients == 2
    assert status.rssi == -128
    assert status.dhcp == 0


@pytest.mark.parametrize(
    "entry",
    [
        network(b"Spinet"),
        network(b"Spinet", 0xFFFFFFFF),
        network(b"Spinet", 1, channel=14),
        network(b"", 1),
        network(b"Spinet", 1, password=b"short"),
    ],
)
def test_stored_access_point_that_cannot_be(wlan, radio, entry):
    wlan.networks.set_access_point(entry)
    wlan.start_access_point()
    assert error(wlan) == "invalid access point configuration"
    assert wlan.state == states.WIFI_IDLE
    assert radio.calls == []


def test_access_point_that_the_radio_refuses(wlan, radio):
    wlan.networks.set_access_point(network(b"Spinet", 1))
    radio.serve_says = "no channel"
    wlan.start_access_point()
    assert wlan.state == states.WIFI_IDLE
    assert error(wlan) == "no channel"
    assert radio.calls[-1] == "leave"


# --- stop


@pytest.fixture
def serving(wlan):
    wlan.networks.set_access_point(network(b"Spinet", 1))
    wlan.start_access_point()
    return wlan


@pytest.fixture
def pausing(reconnecting, radio):
    radio.outcome_is = "network not found"
    reconnecting.poll(3001)
    return reconnecting


@pytest.fixture
def scanning(wlan):
    wlan.scan(0)
    return wlan


STATES = [
    *("wlan", "scanning", "choosing", "connecting", "connected"),
    *("lost", "reconnecting", "pausing", "serving"),
]


@pytest.mark.behaviour("D18")
@pytest.mark.parametrize("state", STATES)
def test_stop_from_anywhere(state, request, radio):
    wlan = request.getfixturevalue(state)
    wlan.stop()
    assert wlan.state == states.WIFI_IDLE
    assert wlan.rssi == -128
    assert not wlan.active()
    assert wlan.may_start()
    assert wlan.station.network is None
    assert wlan.station.reconnects == 0
    assert radio.calls[-1] == "leave"
    radio.calls.clear()
    radio.finds = list(ON_AIR)
    radio.outcome_is = ""
    for now in (4000, 60000, 3600000):
        wlan.poll(now)
        wlan.refresh(now)
    assert radio.calls == []
    assert wlan.state == states.WIFI_IDLE


@pytest.mark.parametrize("state", STATES)
def test_start_after_stop_works(state, request, radio):
    wlan = request.getfixturevalue(state)
    wlan.stop()
    radio.outcome_is = ""
    wlan.station.start(b"Guest", 5000)
    assert wlan.state == states.WIFI_CONNECTED


# --- scan


def test_scan(wlan, radio):
    wlan.scan(0)
    assert wlan.scanning
    assert wlan.active()
    assert not wlan.may_start()
    wlan.poll(100)
    assert wlan.scanning
    radio.finds = list(ON_AIR)
    wlan.poll(200)
    assert not wlan.scanning
    assert [found[0] for found in wlan.found] == [b"Workshop", b"Attic", b"Guest"]
    wlan.drop_scan_result()
    assert wlan.found is None


def test_scan_between_two_attempts_keeps_the_next_one_waiting(reconnecting, radio):
    """NINA's drivers may scan then. A second scan would take the place of theirs."""
    assert reconnecting.station.needs_radio()
    radio.outcome_is = "network not found"
    reconnecting.poll(3100)
    assert not reconnecting.station.needs_radio()
    reconnecting.scan(3200)
    radio.calls.clear()
    reconnecting.poll(3100 + PAUSE_MS)
    assert radio.calls == []
    radio.finds = ON_AIR
    reconnecting.poll(3200 + PAUSE_MS)
    assert len(reconnecting.found) == len(ON_AIR)
    assert radio.calls[0] == "scan Guest"


def test_new_scan_drops_the_old_result(wlan, radio):
    wlan.scan(0)
    radio.finds = list(ON_AIR)
    wlan.poll(0)
    wlan.scan(0)
    assert wlan.found is None


def test_scan_while_connected_keeps_the_connection(connected, radio):
    connected.scan(1500)
    radio.finds = []
    connected.poll(2000)
    assert connected.state == states.WIFI_CONNECTED


@pytest.mark.parametrize(
    ("problem", "now", "why"),
    [
        ("", SCAN_TIMEOUT_MS, "network scan failed"),
        ("cannot scan: busy", 200, "cannot scan: busy"),
    ],
)
def test_failed_scan_is_an_error_and_no_result(wlan, radio, problem, now, why):
    wlan.scan(0)
    radio.scan_problem_is = problem
    if problem:
        radio.finds = []
    wlan.poll(now)
    assert error(wlan) == why
    assert not wlan.scanning
    assert wlan.found is None
    assert wlan.may_start()


# --- states


def test_every_state_is_left_through_one_function_that_knows_the_legal_ways(radio):
    for before, after in itertools.product(range(len(LEGAL)), repeat=2):
        wlan = make(radio, Networks(MemoryStore()))
        wlan.state = before
        if after == before or LEGAL[before] >> after & 1:
            wlan.set_state(after)
            assert wlan.state == after
        else:
            with pytest.raises(ValueError, match=f"{after} after {before}"):
                wlan.set_state(after)


def test_release_builds_count_an_illegal_move(radio):
    wlan = make(radio, Networks(MemoryStore()), debug=False)
    wlan.set_state(states.WIFI_CONNECTED)
    assert wlan.faults == 1
    assert wlan.state == states.WIFI_CONNECTED


def test_changes_are_counted(wlan, radio):
    radio.outcome_is = ""
    wlan.station.start(b"Guest", 0)
    assert wlan.changes == 2  # connecting, connected
    wlan.stop()
    wlan.stop()
    assert wlan.changes == 3


def test_what_changes_stirs(radio):
    stirred = []
    wlan = Wlan(radio, Networks(MemoryStore()), LastError(nothing), lambda: stirred.append(True))
    for act in (lambda: wlan.scan(0), lambda: wlan.station.start(b"", 0)):
        stirred.clear()
        act()
        assert stirred


# --- news


def test_state_is_news_until_it_is_told(connected):
    assert connected.has_news()
    connected.told(connected.state, connected._error.text)
    assert not connected.has_news()
    connected.stop()
    assert connected.has_news()


def test_error_is_news_until_it_is_told(wlan):
    wlan._error.set("oops")
    assert wlan.has_news()
    wlan.told(wlan.state, wlan._error.text)
    assert not wlan.has_news()
    assert wlan._error.text == b""


def test_forgotten_error_is_no_news(wlan):
    wlan._error.set("oops")
    wlan._error.forget()
    assert not wlan.has_news()


def test_rssi_follows_the_radio_while_connected(connected, radio):
    radio.strength = -80
    connected.refresh(2000)
    assert connected.rssi == -80
    connected.stop()
    connected.refresh(3000)
    assert connected.rssi == -128
