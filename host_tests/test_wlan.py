"""WiFi's states, refusals and errors over a scripted radio and a clock that tests turn."""

import pytest
from fake_board import ON_AIR, MemoryStore, ScriptedRadio

from spinet import wire
from spinet.networks import Network, Networks
from spinet.wlan import CONNECT_TIMEOUT_MS, Wlan


def network(ssid, ip=0):
    return Network(ip.to_bytes(4, "little") + bytes(12) + ssid.ljust(32, b"\0") + bytes(64))


@pytest.fixture
def radio():
    return ScriptedRadio()


@pytest.fixture
def wlan(radio):
    networks = Networks(MemoryStore())
    networks.remember(network(b"Guest"))
    networks.remember(network(b"Attic", ip=0x3201A8C0))
    return Wlan(radio, networks)


@pytest.fixture
def connecting(wlan):
    wlan.start_client(b"Guest", 1000)
    return wlan


@pytest.fixture
def connected(connecting, radio):
    radio.outcome_is = ""
    connecting.step(1001)
    return connecting


def error(wlan):
    return wlan.last_error.decode()


# --- idle


def test_it_begins_idle_and_without_news(wlan):
    assert wlan.state == wire.WIFI_IDLE
    assert wlan.rssi == -128
    assert not wlan.has_news()
    assert not wlan.active()
    assert wlan.may_start()
    assert wlan.may_scan()


def test_unknown_name_is_an_error_and_no_attempt(wlan, radio):
    wlan.start_client(b"Nowhere", 0)
    assert error(wlan) == "no data found for requested SSID"
    assert wlan.state == wire.WIFI_IDLE
    assert radio.calls == []


# --- connecting


def test_connecting(connecting, radio):
    assert connecting.state == wire.WIFI_CONNECTING
    assert radio.calls == ["join Guest"]
    assert connecting.active()
    assert connecting.has_news()
    assert not connecting.may_start()
    assert not connecting.may_scan()


def test_connected(connected):
    assert connected.state == wire.WIFI_CONNECTED
    assert connected.rssi == -55
    assert not connected.active()
    assert not connected.may_start()
    assert connected.may_scan()
    assert error(connected) == ""


def test_failure_is_the_radios_reason(connecting, radio):
    radio.outcome_is = "wrong password"
    connecting.step(1001)
    assert connecting.state == wire.WIFI_IDLE
    assert error(connecting) == "wrong password"
    assert radio.calls[-1] == "leave"


def test_attempt_ends_after_its_time(connecting, radio):
    connecting.step(1000 + CONNECT_TIMEOUT_MS - 1)
    assert connecting.state == wire.WIFI_CONNECTING
    connecting.step(1000 + CONNECT_TIMEOUT_MS)
    assert connecting.state == wire.WIFI_IDLE
    assert error(connecting) == "connecting timed out"
    assert radio.calls[-1] == "leave"


def test_attempt_across_the_clocks_wrap(wlan):
    wlan.start_client(b"Guest", (1 << 30) - 1)
    wlan.step(5)
    assert wlan.state == wire.WIFI_CONNECTING
    wlan.step(CONNECT_TIMEOUT_MS)
    assert wlan.state == wire.WIFI_IDLE


@pytest.mark.parametrize(("ssid", "dhcp"), [(b"Guest", 1), (b"Attic", 0)])
def test_dhcp_is_told(wlan, radio, ssid, dhcp):
    radio.outcome_is = ""
    wlan.start_client(ssid, 0)
    status = wire.NetworkStatus()
    wlan.fill(status)
    assert status.dhcp == dhcp
    assert status.rssi == -55
    assert status.ssid == ssid


# --- the strongest


@pytest.fixture
def choosing(wlan):
    wlan.start_client(b"", 1000)
    return wlan


def test_strongest_that_is_remembered_is_joined(choosing, radio):
    assert choosing.state == wire.WIFI_CONNECTING
    choosing.step(1100)
    assert radio.calls == ["scan"]
    radio.finds = list(ON_AIR)  # Workshop is stronger, and nobody knows it
    choosing.step(1200)
    assert radio.calls == ["scan", "join Attic"]
    radio.outcome_is = ""
    choosing.step(1201)
    assert choosing.state == wire.WIFI_CONNECTED


@pytest.mark.parametrize("finds", [[], [ON_AIR[1]]])
def test_nothing_known_in_reach(choosing, radio, finds):
    radio.finds = finds
    choosing.step(1100)
    assert choosing.state == wire.WIFI_IDLE
    assert error(choosing) == "no known networks found"
    assert choosing.scan_result() is None


def test_its_scan_is_no_result_for_the_controller(choosing, radio):
    radio.finds = list(ON_AIR)
    choosing.step(1100)
    assert choosing.scan_result() is None


# --- access point


def test_access_point_without_an_entry(wlan, radio):
    wlan.start_access_point()
    assert error(wlan) == "no data found for access point"
    assert radio.calls == []


def test_access_point(wlan, radio):
    wlan.networks.set_access_point(network(b"Spinet", 1))
    wlan.start_access_point()
    assert wlan.state == wire.WIFI_ACCESS_POINT
    assert radio.calls == ["serve Spinet"]
    assert not wlan.may_scan()
    assert not wlan.may_start()
    status = wire.NetworkStatus()
    wlan.fill(status)
    assert status.clients == 2
    assert status.rssi == -128


def test_access_point_that_the_radio_refuses(wlan, radio):
    wlan.networks.set_access_point(network(b"Spinet", 1))
    radio.serve_says = "no channel"
    wlan.start_access_point()
    assert wlan.state == wire.WIFI_IDLE
    assert error(wlan) == "no channel"


# --- stop


@pytest.mark.parametrize("state", ["wlan", "connecting", "connected", "choosing"])
def test_stop_from_anywhere(state, request, radio):
    wlan = request.getfixturevalue(state)
    wlan.stop()
    assert wlan.state == wire.WIFI_IDLE
    assert wlan.rssi == -128
    assert not wlan.active()
    assert wlan.may_start()
    assert radio.calls[-1] == "leave"


def test_scan_that_ends_after_stop_starts_nothing(choosing, radio):
    choosing.stop()
    radio.finds = list(ON_AIR)
    choosing.step(2000)
    assert choosing.state == wire.WIFI_IDLE
    assert radio.calls == ["scan", "leave"]


# --- scan


def test_scan(wlan, radio):
    wlan.scan()
    assert wlan.scanning()
    assert wlan.active()
    assert not wlan.may_start()
    wlan.step(100)
    assert wlan.scanning()
    radio.finds = list(ON_AIR)
    wlan.step(200)
    assert not wlan.scanning()
    assert [found[0] for found in wlan.scan_result()] == [b"Workshop", b"Attic", b"Guest"]
    wlan.drop_scan_result()
    assert wlan.scan_result() is None


def test_new_scan_drops_the_old_result(wlan, radio):
    wlan.scan()
    radio.finds = list(ON_AIR)
    wlan.step(0)
    wlan.scan()
    assert wlan.scan_result() is None


def test_scan_while_connected_keeps_the_connection(connected, radio):
    connected.scan()
    radio.finds = []
    connected.step(2000)
    assert connected.state == wire.WIFI_CONNECTED


# --- news


def test_state_is_news_until_it_is_told(connected):
    assert connected.has_news()
    connected.told()
    assert not connected.has_news()
    connected.stop()
    assert connected.has_news()


def test_error_is_news_until_it_is_told(wlan):
    wlan.fail("oops")
    assert wlan.has_news()
    wlan.told()
    assert not wlan.has_news()
    assert wlan.last_error == b""


def test_forgotten_error_is_no_news(wlan):
    wlan.fail("oops")
    wlan.forget_error()
    assert not wlan.has_news()


def test_rssi_follows_the_radio_while_connected(connected, radio):
    radio.strength = -80
    connected.refresh()
    assert connected.rssi == -80
    connected.stop()
    connected.refresh()
    assert connected.rssi == -128
