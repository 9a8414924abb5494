"""SIM's scripted radio: the language, and the air that it makes."""

import pytest
from sim_air import TAKES, Addresses, Air, AirRadio, Clock, ScriptError

from spinet import network_status
from spinet.network_status import NetworkStatus
from spinet.wifi.networks import Network

HOME = Network(bytes(16) + b"Home".ljust(32, b"\0") + b"long-enough".ljust(64, b"\0"))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def radio_in(clock):
    """radio_in(script) -> a radio in that air."""
    return lambda script: AirRadio(Addresses, Air(script, clock))


def found(radio, clock, ssid=b""):
    radio.scan(ssid)
    assert radio.found() is None
    clock.pass_time(TAKES["scan"])
    return radio.found()


def outcome_of(radio, clock, network=HOME, access_point=None):
    """What an attempt comes to within ten seconds."""
    radio.join(network, access_point)
    for _ in range(100):
        outcome = radio.outcome()
        if outcome is not None:
            return outcome
        clock.pass_time(100)
    return None


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("soon appears Home", "line 1: 'soon' is no time in seconds"),
        ("inf appears Home", "line 1: 'inf' is no time in seconds"),
        ("\n0", "line 2: '' is none of appears, vanishes, drops, changes, takes"),
        ("0 explodes Home", "line 1: 'explodes' is none of"),
        ("0 appears", "line 1: which access point?"),
        ("0 appears Home loud", "line 1: 'loud' is no setting"),
        ("0 appears Home colour=red", "line 1: 'colour' is no setting of an access point"),
        ("0 appears Home password=\\xzz", "line 1: invalid"),
        ("0 appears Home\\x00", "line 1: 'Home\\x00' can be no SSID"),
        ("0 appears " + 33 * "a", "line 1: 'aaa"),
        ("0 appears Home dhcp=maybe", "line 1: 'maybe' is neither yes nor no"),
        ("0 appears Home channel=x", "line 1: invalid"),
        ("0 takes ages=1", "line 1: 'ages' is nothing that takes time"),
        ("0 vanishes Home", "line 1: 'Home' is not there"),
        ("0 drops Home", "line 1: 'Home' is not there"),
        ("9 appears Home\n3 drops Home", "line 2: it is earlier than the line before"),
        ("0 appears Home\n9 vanishes Home\n9 drops Home", "line 3: 'Home' is not there"),
    ],
)
def test_mistake_in_a_script_is_found_before_it_begins(clock, script, says):
    with pytest.raises(ScriptError) as caught:
        Air(script, clock)
    assert str(caught.value).startswith(says)


def test_comments_and_blanks(radio_in, clock):
    radio = radio_in('# the air\n\n  0  appears "Our guests"  rssi=-70\n')
    assert [(entry[0], entry[3]) for entry in found(radio, clock)] == [(b"Our guests", -70)]


def test_scan_shows_who_is_there_now(radio_in, clock):
    radio = radio_in("0 appears Home\n1 appears Home#2\n5 vanishes Home\n9 appears Dark hidden=yes")
    assert len(found(radio, clock)) == 2
    clock.pass_time(3000)
    (entry,) = found(radio, clock)
    assert entry[0] == b"Home"
    clock.pass_time(3000)
    assert [entry[0] for entry in found(radio, clock)] == [b"Home"]
    assert [entry[0] for entry in found(radio, clock, b"Dark")] == [b"Home", b"Dark"]


@pytest.mark.parametrize(
    ("settings", "outcome"),
    [
        ("password=long-enough", ""),
        ("", ""),
        ("password=something-else", "wrong password"),
        ("refuses=yes", "refused by the access point"),
        ("silent=yes", None),
        ("dhcp=no", None),
    ],
)
def test_outcome(radio_in, clock, settings, outcome):
    radio = radio_in("0 appears Home " + settings)
    assert outcome_of(radio, clock) == outcome
    assert radio.associated() == (settings not in ("silent=yes",) and not outcome)


@pytest.mark.behaviour("D20")
def test_names_and_passwords_of_any_bytes(radio_in, clock):
    radio = radio_in("0 appears \\x23Grö\\xff\\x20#2 password=\\xfflong-enough\\x22")
    name = b"#Gr\xc3\xb6\xff "
    assert [entry[0] for entry in found(radio, clock)] == [name]
    network = Network(bytes(16) + name.ljust(32, b"\0") + b'\xfflong-enough"'.ljust(64, b"\0"))
    assert outcome_of(radio, clock, network) == ""


def test_nobody_of_that_name(radio_in, clock):
    assert outcome_of(radio_in("0 appears Else"), clock) == "network not found"


def test_pinned_to_an_access_point_that_is_not_there(radio_in, clock):
    radio = radio_in("0 appears Home\n0 appears Home#2 rssi=-80")
    weak = min(found(radio, clock), key=lambda entry: entry[3])
    assert outcome_of(radio, clock, access_point=(weak[1], weak[2])) == ""
    assert radio.rssi() == -80
    assert outcome_of(radio, clock, access_point=(bytes(6), 1)) == "network not found"


@pytest.mark.parametrize(
    ("settings", "takes"),
    [
        ("password=long-enough", True),
        ("password=who", False),
        ("user=who", True),
        ("identity=some user=who password=long-enough", True),
        ("identity=some user=whom password=long-enough", False),
        ("identity=none user=who password=long-enough", False),
    ],
)
def test_enterprise_login(radio_in, clock, settings, takes):
    record = bytearray(HOME.record)
    record[48:112] = bytes(64)
    record[48], record[48 + 8], record[48 + 12], record[111] = 4, 3, 11, 2
    network = Network(record, b"somewholong-enough")
    radio = radio_in("0 appears Home " + settings)
    assert outcome_of(radio, clock, network) == ("" if takes else "enterprise login refused")
    assert radio.reason() == (0 if takes else 23)


def test_a_password_is_no_enterprise_login(radio_in, clock):
    radio = radio_in("0 appears Home user=who password=long-enough")
    assert outcome_of(radio, clock) == "enterprise login refused"


@pytest.mark.parametrize("event", ["drops Home", "vanishes Home"])
def test_link_is_lost(radio_in, clock, event):
    radio = radio_in("0 appears Home\n60 " + event)
    assert outcome_of(radio, clock) == ""
    clock.pass_time(60000)
    assert radio.outcome() == "signal lost"
    radio.rejoin()
    assert radio.outcome() is None


def test_changes_are_for_those_who_join_from_now_on(radio_in, clock):
    radio = radio_in("0 appears Home\n60 changes Home password=something-else rssi=-90")
    assert outcome_of(radio, clock) == ""
    clock.pass_time(60000)
    assert radio.outcome() == ""
    assert radio.rssi() == -90
    assert outcome_of(radio, clock) == "wrong password"


def test_time_goes_on_beyond_the_wrap_of_the_clock(radio_in, clock):
    radio = radio_in("2000000 appears Home")
    for _ in range(2100):
        assert radio._air.look() == [] or radio._air.elapsed >= 2000000000
        clock.pass_time(1000000)
    assert len(radio._air.look()) == 1


def test_link_tells_where_we_are(radio_in, clock):
    radio = radio_in("0 appears Home password=long-enough channel=9")
    assert outcome_of(radio, clock) == ""
    status = NetworkStatus()
    radio.link(status)
    assert (status.ssid, status.channel, status.auth) == (b"Home", 9, network_status.AUTH_WPA2)
    radio.leave()
    assert not radio.associated()
