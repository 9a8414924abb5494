"""The chips' radio: what WLAN's states and refusals become."""

import machine
import network
import pytest
from fake_board import ANY_NAMES
from network import AIR, AP_IF, STA_IF, InReach

from spinet import network_status
from spinet.network_status import NetworkStatus
from spinet.wifi.networks import Network
from spinet.wifi.station import REFUSALS


def remembered(ssid, password=b"", ip=0, channel=0, eap=0):
    record = bytearray(112)
    record[0:4] = ip.to_bytes(4, "little")
    record[4:8] = (0x0101A8C0 if ip else 0).to_bytes(4, "little")
    record[12] = channel
    record[16 : 16 + len(ssid)] = ssid
    record[48 : 48 + len(password)] = password
    record[111] = eap
    return Network(record)


HOME = remembered(b"Home", b"correct horse")


@pytest.fixture
def station():
    return network.WLAN(STA_IF)


@pytest.fixture
def access_point():
    return network.WLAN(AP_IF)


@pytest.fixture
def clock(monkeypatch, radio):
    """What the radio takes for the time, in ms."""

    class Clock:
        now = 1000

    from chip import radio as module

    monkeypatch.setattr(module, "ticks_ms", lambda: Clock.now)
    return Clock


@pytest.fixture
def radio():
    from chip.radio import ChipRadio

    AIR[b"Home"] = InReach("correct horse", channel=11, rssi=-51)
    return ChipRadio()


def test_connecting_then_connected(radio, station):
    radio.join(HOME)
    assert radio.outcome() is None
    station.settle()
    assert radio.outcome() == ""
    assert radio.is_up()
    assert radio.rssi() == -51


@pytest.mark.behaviour("D20")
@pytest.mark.parametrize("name", ANY_NAMES)
def test_any_name_and_password_reach_the_driver_whole(radio, station, access_point, name):
    AIR.clear()
    AIR[name] = InReach("½ of it, and more ☕")
    radio.scan(b"")
    while radio.found() is None:
        pass
    assert [entry[0] for entry in radio.found()] == [name]
    radio.join(remembered(name, "½ of it, and more ☕".encode()), (AIR[name].mac, 6))
    station.settle()
    assert radio.outcome() == ""
    status = NetworkStatus()
    radio.link(status)
    assert status.ssid == name
    assert radio.serve(remembered(name, b"\xff" * 63, ip=0x0104A8C0)) == ""
    assert access_point.settings["ssid"] == name
    assert access_point.settings["key"] == b"\xff" * 63


@pytest.mark.behaviour("D20")
def test_psk_joins_as_its_password_does(radio, station):
    psk = AIR[b"Home"].psk(b"Home")
    radio.join(remembered(b"Home", psk[:63], eap=psk[63]))
    station.settle()
    assert radio.outcome() == ""


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (remembered(b"Home", b"wrong horse"), "wrong password"),
        (remembered(b"Nowhere", b"correct horse"), "network not found"),
    ],
)
def test_why_it_failed(radio, station, entry, why):
    radio.join(entry)
    assert radio.outcome() is None
    station.settle()
    assert radio.outcome() == why


def test_reason_that_has_no_name_is_told_by_number(radio, station):
    radio.join(HOME)
    station.lose(208)
    assert radio.outcome() == "connecting failed (reason 208)"


def test_failure_of_the_last_attempt_is_not_that_of_this_one(radio, station, clock):
    radio.join(remembered(b"Home", b"wrong horse"))
    station.settle()
    assert radio.outcome() == "wrong password"
    radio.leave()
    radio.join(HOME)
    assert radio.outcome() is None
    station.settle()
    assert radio.outcome() == ""


def test_same_failure_again_is_told_in_the_end(radio, station, clock):
    wrong = remembered(b"Home", b"wrong horse")
    for _ in range(2):
        radio.join(wrong)
        station.settle()
        clock.now += 5000
        assert radio.outcome() == "wrong password"
        radio.leave()


def test_silent_attempt_stays_under_way(radio, clock):
    radio.join(HOME)
    clock.now += 60000
    assert radio.outcome() is None  # wlan's own time-out ends it


def test_enterprise_network_is_refused(radio, station):
    radio.join(remembered(b"Work", eap=2))
    assert radio.outcome() == "this firmware cannot join enterprise networks"
    with pytest.raises(TypeError):
        station.settle()  # the driver was not asked


def test_refusal_of_the_driver_is_an_outcome(radio, station, monkeypatch):
    monkeypatch.setattr(station, "connect", refuses)
    radio.join(HOME)
    assert radio.outcome() == "cannot connect: Wifi Internal Error"


def test_mac_is_the_drivers_and_else_the_chips(radio, station, monkeypatch):
    assert radio.mac() == station.MAC
    monkeypatch.setattr(station, "MAC", bytes(6))
    assert radio.mac() == machine.unique_id()


def test_other_address_while_connected(radio, station, monkeypatch):
    radio.join(HOME)
    station.settle()
    fixed = remembered(b"Home", b"correct horse", ip=0x3301A8C0)
    assert radio.readdress(fixed) == ""
    assert station.addresses[0] == "192.168.1.51"
    assert radio.outcome() == ""
    assert radio.readdress(HOME) == ""
    assert station.addresses == "dhcp"
    monkeypatch.setattr(station, "ifconfig", refuses)
    assert radio.readdress(fixed) == "cannot use the address: Wifi Internal Error"


def test_fixed_address_and_dhcp_again(radio, station):
    radio.join(remembered(b"Home", b"correct horse", ip=0x3201A8C0))
    assert station.addresses == ("192.168.1.50", "255.255.255.0", "192.168.1.1", "192.168.1.1")
    radio.leave()
    radio.join(HOME)
    assert station.addresses == "dhcp"


def test_link_tells_the_station(radio, station):
    radio.join(HOME)
    station.settle()
    status = NetworkStatus()
    radio.link(status)
    assert status.ip == 0x3201A8C0
    assert status.gateway == 0x0101A8C0
    assert status.netmask == 0x00FFFFFF
    assert (status.ssid, status.channel, status.mac) == (b"Home", 11, station.MAC)


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        (5, "refused by the access point (reason 5)"),
        (15, "wrong password"),
        (23, "enterprise login refused"),
        (200, "signal lost"),
        (202, "wrong password"),
        (203, "connecting failed (reason 203)"),
        (204, "wrong password"),
        (210, "network has another kind of security"),
    ],
)
def test_reasons_are_told_apart(radio, station, clock, reason, why):
    AIR[b"Home"].refuses = reason
    radio.join(HOME)
    assert radio.outcome() is None
    station.settle()
    assert radio.outcome() == why
    assert radio.reason() == reason
    assert (why in REFUSALS) == (reason in (15, 23, 202, 204))


def test_reason_is_of_the_last_outcome(radio, station, clock, monkeypatch):
    radio.join(remembered(b"Nowhere"))
    station.settle()
    clock.now += 5000
    assert radio.outcome() == "network not found"
    assert radio.reason() == 201
    radio.leave()
    radio.join(HOME)
    station.settle()
    assert radio.outcome() == ""
    assert radio.reason() == 0
    monkeypatch.setattr(station, "connect", refuses)
    radio.join(HOME)
    assert radio.outcome() != ""
    assert radio.reason() == 0


def refuses(*_args, **_settings):
    raise OSError("Wifi Internal Error")


def test_access_point_of_the_scan_is_the_only_one_that_is_wanted(radio, station):
    radio.join(HOME, (b"\2\0\0\0\0\7", 11))
    station.settle()
    assert radio.outcome() == "network not found"
    radio.join(HOME, (AIR[b"Home"].mac, 11))
    station.settle()
    assert radio.outcome() == ""
    status = NetworkStatus()
    radio.link(status)
    assert status.ap_mac == AIR[b"Home"].mac


def test_access_point_without_dhcp_is_associated_only(radio, station):
    AIR[b"Home"].has_dhcp = False
    radio.join(HOME)
    assert not radio.associated()
    station.settle()
    assert radio.outcome() is None
    assert radio.associated()


def test_lost_link_and_the_same_again(radio, station, clock):
    radio.join(HOME, (AIR[b"Home"].mac, 11))
    station.settle()
    station.lose(200)
    assert radio.outcome() == "signal lost"
    radio.rejoin()
    assert radio.outcome() is None
    station.settle()
    assert radio.outcome() == ""


def test_rejoining_that_the_driver_refuses(radio, station, monkeypatch):
    radio.join(HOME)
    radio.rejoin()  # it is connecting still
    assert radio.outcome() == "cannot connect: Wifi Internal State Error"


def test_pause_ends_the_attempt(radio, station, clock):
    radio.pause()  # not even on
    radio.join(HOME)
    radio.pause()
    assert radio.outcome() is None
    radio.join(HOME)
    station.settle()
    assert radio.outcome() == ""


# --- enterprise: what our C module is given


class FakeWifi:
    """The C module; `answer` is what eap_use() says."""

    def __init__(self):
        self.answer = 0
        self.calls = []  # about logins
        self.countries = []
        self.set_country = self.countries.append
        self.servers = [0, 0]
        self.dns = self.servers.__getitem__
        self.on = None  # (mac, auth) of the access point that the station is on

    def access_point(self, mac):
        if self.on is None:
            return -1
        mac[:], auth = self.on
        return auth

    def eap_use(self, protocol, credentials):
        self.calls.append((protocol, credentials))
        return self.answer

    def eap_clear(self):
        self.calls.append("clear")


@pytest.fixture
def eap(radio, monkeypatch):
    from chip import radio as module

    fake = FakeWifi()
    monkeypatch.setattr(module, "wifi", fake)
    AIR[b"Work"] = InReach()
    return fake


def enterprise(protocol):
    record = bytearray(remembered(b"Work", eap=protocol).record)
    for i, size in enumerate((4, 0, 3, 2, 0)):
        record[48 + 4 * i] = size
    return Network(record, b"anonwhopw")


def test_credentials_reach_the_driver_and_no_password_does(radio, station, eap):
    radio.join(enterprise(3))
    assert eap.calls == [(3, [b"anon", b"", b"who", b"pw", b""])]
    assert station._asked == (b"Work", b"", None)
    station.settle()
    assert radio.outcome() == ""
    radio.leave()
    assert eap.calls[-1] == "clear"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (2, "enterprise login is unusable: bad CA certificate"),
        (4, "enterprise login is unusable: bad password or key"),
        (7, "enterprise login is unusable (error 7)"),
    ],
)
def test_login_that_the_driver_does_not_take(radio, station, eap, answer, why):
    eap.answer = answer
    radio.join(enterprise(2))
    assert radio.outcome() == why
    assert station._asked is None


def test_personal_network_forgets_them(radio, eap):
    radio.join(HOME)
    assert eap.calls == ["clear"]


# --- the access point and the name servers, by our C module


@pytest.mark.parametrize(("auth", "told"), [(3, 3), (6, 6), (12, network_status.AUTH_UNKNOWN)])
def test_access_point_that_the_driver_chose(radio, station, eap, auth, told):
    radio.join(HOME)
    station.settle()
    status = NetworkStatus()
    radio.link(status)
    assert (status.ap_mac, status.auth) == (bytes(6), network_status.AUTH_UNKNOWN)
    eap.on = (b"\2\0\0\0\0\7", auth)
    radio.link(status)
    assert (status.ap_mac, status.auth) == (b"\2\0\0\0\0\7", told)


DHCPS, OURS = [0x0101A8C0, 0], [0x09090909, 0x08080808]


@pytest.mark.behaviour("A9")
@pytest.mark.parametrize("when", ["before", "after"])
def test_name_servers_outlive_what_dhcp_says(radio, station, eap, when):
    if when == "before":
        radio.set_dns(*OURS)
    radio.join(HOME)
    eap.servers[:] = DHCPS
    station.settle()
    if when == "after":
        assert radio.outcome() == ""
        radio.set_dns(*OURS)
    assert radio.dns() == tuple(OURS)
    eap.servers[:] = DHCPS  # the address is renewed
    station.lose(200)
    radio.rejoin()
    station.settle()
    assert radio.outcome() == ""
    assert radio.dns() == tuple(OURS)


def test_name_servers_of_dhcp_once_ours_are_taken_back(radio, station, eap):
    radio.set_dns(*OURS)
    radio.set_dns(0, 0)
    radio.join(HOME)
    eap.servers[:] = DHCPS
    station.settle()
    assert radio.outcome() == ""
    assert radio.dns() == tuple(DHCPS)


def test_name_servers_of_a_stock_image(radio, station):
    radio.join(HOME)
    station.settle()
    assert radio.dns() == (DHCPS[0], 0)
    radio.set_dns(*OURS)
    assert radio.dns() == tuple(OURS)


# --- country


def test_country_reaches_the_driver_once_somebody_has_said_it(radio, monkeypatch):
    from chip import radio as module

    wifi = FakeWifi()
    monkeypatch.setattr(module, "wifi", wifi)
    radio.join(HOME)
    assert wifi.countries == []
    network.country("DE")
    radio.join(HOME)
    assert radio.serve(remembered(b"Spinet", ip=0x0104A8C0)) == ""
    assert wifi.countries == ["DE", "DE"]


def test_rssi_of_nobody(radio, station):
    radio.join(HOME)
    station.settle()
    station.lose(network.STAT_BEACON_TIMEOUT)
    assert radio.rssi() == network_status.NO_RSSI
    assert not radio.is_up()


def test_access_point(radio, station, access_point):
    radio.join(HOME)
    assert radio.serve(remembered(b"Spinet", b"a long word", ip=0x0104A8C0, channel=3)) == ""
    assert not station.active()
    assert access_point.settings["ssid"] == b"Spinet"
    assert access_point.settings["key"] == b"a long word"
    assert access_point.settings["security"] == 3
    assert access_point.settings["channel"] == 3
    assert access_point.settings["max_clients"] == 4
    assert access_point.addresses[:2] == ("192.168.4.1", "255.255.255.0")
    assert radio.is_up()
    access_point.stations.append((b"mac",))
    assert radio.clients() == 1
    status = NetworkStatus()
    radio.link(status)
    assert (status.ip, status.ap_mac, status.auth) == (0x0104A8C0, access_point.MAC, 3)


def test_open_access_point_chooses_a_channel(radio, access_point):
    assert radio.serve(remembered(b"Spinet", ip=0x0104A8C0)) == ""
    assert access_point.settings["security"] == 0
    assert access_point.settings["channel"] == 1


def test_access_point_that_the_driver_refuses(radio, access_point):
    problem = radio.serve(remembered(b"Spinet", b"short", ip=0x0104A8C0))
    assert problem == "cannot be an access point: Wifi Invalid Password"
    assert not access_point.active()
    assert not radio.is_up()


def test_leave_is_off_the_air(radio, station, access_point):
    radio.leave()
    radio.join(HOME)
    station.settle()
    radio.leave()
    assert not station.active()
    radio.serve(remembered(b"Spinet", ip=0x0104A8C0))
    radio.leave()
    assert not access_point.active()
    assert not radio.is_up()


def test_leave_is_off_the_air_whatever_the_driver_says(radio, station, monkeypatch):
    def refuses():
        raise OSError("Wifi Not Started")

    radio.join(HOME)
    monkeypatch.setattr(station, "disconnect", refuses)
    radio.leave()
    assert not station.active()


def test_power_reaches_what_is_on_and_what_comes(radio, station, access_point):
    radio.power(40)
    assert "txpower" not in station.settings
    radio.join(HOME)
    assert station.settings["txpower"] == 10.0
    radio.power(82)
    assert station.settings["txpower"] == 20.5


@pytest.mark.parametrize("power", [0, 7])
def test_power_below_what_the_driver_takes(radio, station, power):
    """The protocol's range begins at 0, the driver's at 2 dBm; it refuses what is less."""
    radio.join(HOME)
    radio.power(power)
    assert station.settings["txpower"] == 2.0
    radio.leave()
    radio.join(HOME)
    station.settle()
    assert radio.outcome() == ""


def test_power_that_is_saved_or_not(radio, station, monkeypatch):
    radio.save_power(False)
    assert "pm" not in station.settings  # it is off
    radio.join(HOME)
    assert station.settings["pm"] == station.PM_NONE
    radio.save_power(True)
    assert station.settings["pm"] == station.PM_PERFORMANCE
    with monkeypatch.context() as connecting:
        connecting.setattr(station, "config", refuses)
        radio.save_power(False)
    radio.leave()
    radio.join(HOME)
    assert station.settings["pm"] == station.PM_NONE


# --- scan


@pytest.fixture
def threads(monkeypatch, radio):
    """Threads that were started and have not run: run() runs the oldest."""
    from chip import radio as module

    started = []
    monkeypatch.setattr(module, "start_thread", lambda f, args, _stack: started.append((f, args)))

    def run():
        function, args = started.pop(0)
        function(*args)

    return run


def test_scan(radio, threads):
    AIR[b""] = InReach()
    AIR[b"Odd"] = InReach(auth=20, channel=3, rssi=-70)
    radio.scan(b"")
    assert radio.found() is None
    threads()
    assert radio.found() == [
        (b"Home", AIR[b"Home"].mac, 11, -51, 3, 0),
        (b"Odd", AIR[b"Odd"].mac, 3, -70, network_status.AUTH_UNKNOWN, 0),
    ]


def test_scan_that_the_driver_refuses_is_a_problem(radio, threads, station, monkeypatch):
    def refuses():
        raise OSError("Wifi Internal State Error")

    monkeypatch.setattr(station, "scan", refuses)
    radio.scan(b"")
    threads()
    assert radio.found() == []
    assert radio.scan_problem() == "cannot scan: Wifi Internal State Error"
    monkeypatch.undo()


def test_scan_without_a_thread_is_a_problem(radio, monkeypatch):
    from chip import radio as module

    def no_thread(_function, _args, _stack):
        raise OSError("can't create thread")

    monkeypatch.setattr(module, "start_thread", no_thread)
    radio.scan(b"")
    assert radio.found() == []
    assert radio.scan_problem() == "cannot scan: can't create thread"


@pytest.mark.behaviour("A21")
def test_scan_gives_up_an_attempt_but_no_connection(radio, station, threads):
    radio.join(HOME)
    radio.scan(b"")
    assert not station._requested
    radio.join(HOME)
    station.settle()
    radio.scan(b"Home")
    threads()
    threads()
    assert station.isconnected()
    assert radio.scan_problem() == ""


def test_scan_that_was_overtaken_is_dropped(radio, threads):
    radio.scan(b"")
    radio.leave()
    radio.scan(b"")
    threads()
    assert radio.found() is None
    threads()
    assert radio.found() is not None


def test_scan_whose_thread_begins_late_switches_nothing_on(radio, station, threads):
    radio.scan(b"")
    radio.leave()
    threads()
    assert not station.active()
    assert radio.found() is None


def test_scan_whose_thread_begins_late_leaves_an_attempt_alone(radio, station, threads):
    """The driver gives it up for a scan."""
    radio.scan(b"")
    radio.leave()
    radio.join(HOME)
    scans = []
    station.scan = lambda: scans.append(1) or []
    threads()
    assert scans == []


def test_result_that_comes_late_replaces_no_newer_one(radio, station, threads):
    radio.scan(b"")
    scan = station.scan

    def slow_scan():
        station.scan = scan
        radio.leave()
        radio.scan(b"")
        threads()
        AIR.clear()
        return []

    station.scan = slow_scan
    threads()
    assert [entry[0] for entry in radio.found()] == [b"Home"]


def test_next_scan_has_found_nothing_yet(radio, threads):
    radio.scan(b"")
    threads()
    assert radio.found()
    radio.scan(b"")
    assert radio.found() is None
