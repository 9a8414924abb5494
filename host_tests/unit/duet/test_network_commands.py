"""Network commands that cannot be: the protocol's code, and nothing has changed (L1, L2).

What is expected is written down here from docs/link-protocol.md, not taken from the code.
"""

import pytest
from fake_board import ON_AIR, Bench
from hypothesis import given
from hypothesis import strategies as st

from spinet import states
from spinet.wifi.networks import Network

pytestmark = pytest.mark.behaviour("L1", "L2")

(STATUS, ADD, DELETE, LIST, SET_AP, START_CLIENT, START_AP, STOP) = range(9, 17)
(RESET, HOST_NAME, LAST_ERROR, _DIAGNOSTICS, RETRIEVE, TX_POWER) = range(17, 23)
START_SCAN, SCAN_RESULT, ENTERPRISE = 24, 25, 26
COMMANDS = (*range(9, 20), *range(21, 27))

OK, TOO_MANY, WRONG_STATE, BAD_LENGTH, TOO_SMALL = 0, -3, -4, -5, -9
BAD_PARAMETER, NO_SCAN, SCANNING = -11, -12, -13


def record(ssid=b"Workshop", password=b"long-enough", ip=0x0104A8C0, channel=0):
    head = ip.to_bytes(4, "little") + bytes(8) + bytes([channel, 0, 0, 0])
    return head + ssid.ljust(32, b"\0") + password.ljust(64, b"\0")


# --- what there is to change


def idle(bench):
    pass


def scanning(bench):
    assert bench.response(START_SCAN) == OK


def connecting(bench):
    assert bench.response(START_CLIENT, data=b"net 1") == OK


def connected(bench):
    bench.radio.outcome_is = ""
    connecting(bench)


def scanning_while_connected(bench):
    connected(bench)
    scanning(bench)


def reconnecting(bench):
    connected(bench)
    bench.radio.outcome_is = "signal lost"
    bench.wlan.refresh(2000)
    bench.radio.outcome_is = "network not found"
    bench.wlan.poll(2001)


def access_point(bench):
    assert bench.response(START_AP) == OK


STATES = (
    *(idle, scanning, connecting, connected),
    *(scanning_while_connected, reconnecting, access_point),
)
MAY_START = (idle,)
MAY_SCAN = (idle, connected)


def by_name(function):
    return function.__name__


def make_bench(enter, entries=20):
    """A module that remembers so many networks and its own access point, in that state."""
    bench = Bench("module-clocked")
    bench.networks.set_access_point(Network(record(b"Spinet")))
    for i in range(entries):
        bench.networks.remember(Network(record(b"net %d" % i)))
    enter(bench)
    bench.wlan.told(bench.wlan.state, bench.error.text)
    return bench


def everything(bench):
    """All that a network command could change, but for the error it tells."""
    return (
        [entry and (entry.record, entry.credentials) for entry in bench.networks.entries],
        bench.store.data,
        bench.wlan.state,
        bench.wlan.scanning,
        bench.wlan.found,
        list(bench.radio.calls),
        bench.radio.quarter_db,
        bench.discovery.host_name,
        bench.commands._parts[-1]._record is not None,
    )


def refused(bench, code, command, **fields):
    """The command is answered with this code and changes nothing."""
    before = everything(bench)
    assert bench.response(command, **fields) == code
    assert everything(bench) == before


def failed(bench, error, command, **fields):
    """The command is accepted, fails later with this error, and changes nothing."""
    before = everything(bench)
    assert bench.response(command, **fields) == OK
    assert everything(bench) == before
    assert bench.last_error() == error


# --- lengths


@pytest.mark.parametrize("enter", STATES, ids=by_name)
@pytest.mark.parametrize(
    ("command", "lengths"),
    [
        (ADD, (0, 1, 111, 113, 2048)),
        (DELETE, (0, 31, 33, 2048)),
        (SET_AP, (0, 111, 113, 2048)),
        (START_CLIENT, (34, 2048)),
        (HOST_NAME, (0, 63, 65, 2048)),
    ],
)
def test_bad_length(enter, command, lengths):
    bench = make_bench(enter)
    for n in lengths:
        refused(bench, BAD_LENGTH, command, data=b"a" * n)


@pytest.mark.parametrize("n", [0, 111, 113, 2048])
def test_bad_length_of_an_enterprise_record(n):
    refused(make_bench(idle, 0), BAD_LENGTH, ENTERPRISE, flags=0, param=1, data=b"a" * n)


@pytest.mark.parametrize("command", COMMANDS)
def test_length_beyond_the_buffer(command):
    refused(make_bench(idle), BAD_LENGTH, command, length=2049)


# --- states


@pytest.mark.parametrize("enter", [s for s in STATES if s not in MAY_START], ids=by_name)
@pytest.mark.parametrize(("command", "data"), [(START_CLIENT, b"net 1"), (START_AP, b"")])
def test_start_in_the_wrong_state(enter, command, data):
    refused(make_bench(enter), WRONG_STATE, command, data=data)


@pytest.mark.parametrize("enter", STATES, ids=by_name)
def test_scan_in_any_state(enter):
    bench = make_bench(enter)
    if enter in (scanning, scanning_while_connected):
        refused(bench, SCANNING, START_SCAN)
        refused(bench, SCANNING, SCAN_RESULT)
    elif enter in MAY_SCAN:
        refused(bench, NO_SCAN, SCAN_RESULT)
        assert bench.response(START_SCAN) == OK
    else:
        refused(bench, NO_SCAN, SCAN_RESULT)
        refused(bench, WRONG_STATE, START_SCAN)


@pytest.mark.parametrize("flags", [1, 2])
def test_enterprise_step_in_the_wrong_state(flags):
    refused(make_bench(idle), WRONG_STATE, ENTERPRISE, flags=flags, data=b"x")


# --- parameters


@pytest.mark.parametrize("power", [83, 128, 255])
def test_power_beyond_its_limit(power):
    refused(make_bench(connected), BAD_PARAMETER, TX_POWER, flags=power)


@pytest.mark.parametrize("step", [4, 128, 255])
def test_enterprise_step_that_does_not_exist(step):
    refused(make_bench(idle), BAD_PARAMETER, ENTERPRISE, flags=step, data=record())


@pytest.mark.parametrize("command", [RETRIEVE, LIST])
@pytest.mark.parametrize("available", [0, 1, 47])
def test_buffer_too_small(command, available):
    refused(make_bench(idle), TOO_SMALL, command, available=available)


# --- full tables and bad characters


def test_full_table():
    bench = make_bench(idle)
    failed(bench, "SSID table full", ADD, data=record(b"one more"))
    failed(bench, "SSID table full", ENTERPRISE, flags=0, param=2, data=record(b"one more"))
    refused(bench, TOO_MANY, ENTERPRISE, flags=1, data=b"x")


@pytest.mark.parametrize("size", [12289, 0x7FFFFFFF, 0xFFFFFFFF])
def test_credentials_that_no_heap_could_hold(size):
    bench = make_bench(idle, 3)
    data = bytearray(record())
    data[48:112] = size.to_bytes(4, "little") + bytes(60)
    failed(bench, "enterprise credentials too long", ENTERPRISE, flags=0, param=2, data=bytes(data))
    refused(bench, BAD_PARAMETER, ENTERPRISE, flags=1, data=b"x")


BAD_PASSWORDS = (b"1234567", b"g" * 64, b"\xff" * 64)


def test_no_name():
    bench = make_bench(idle, 3)
    failed(bench, "bad SSID", ADD, data=record(b""))
    failed(bench, "bad SSID", SET_AP, data=record(b""))
    failed(bench, "bad enterprise SSID", ENTERPRISE, flags=0, param=1, data=record(b""))
    failed(bench, "SSID not found", DELETE, data=bytes(32))


@pytest.mark.parametrize("name", [b"tab\there", b"\x7f", b"\x01"])
def test_bad_name_of_our_own(name):
    bench = make_bench(idle, 3)
    failed(bench, "bad access point configuration", SET_AP, data=record(name))


@pytest.mark.parametrize("password", BAD_PASSWORDS)
def test_bad_password(password):
    bench = make_bench(idle, 3)
    failed(bench, "bad password", ADD, data=record(password=password))
    failed(bench, "bad password", SET_AP, data=record(password=password))


@pytest.mark.parametrize("fields", [{"ip": 0}, {"ip": 0xFFFFFFFF}, {"channel": 14}])
def test_bad_access_point(fields):
    bench = make_bench(idle, 3)
    failed(bench, "bad access point configuration", SET_AP, data=record(**fields))


# --- anything, in any order


def expected(bench, command, flags, data, available):
    """The code that refuses it, or None when it is not to be refused."""
    wlan = bench.wlan
    n = len(data)
    wanted = {ADD: 112, SET_AP: 112, DELETE: 32, HOST_NAME: 64}
    if n != wanted.get(command, n) or (command == START_CLIENT and n > 33):
        return BAD_LENGTH
    may_start = wlan.state == states.WIFI_IDLE and not wlan.scanning
    if command in (START_CLIENT, START_AP) and not may_start:
        return WRONG_STATE
    if command == TX_POWER and flags > 82:
        return BAD_PARAMETER
    if command == START_SCAN and wlan.state not in (states.WIFI_IDLE, states.WIFI_CONNECTED):
        return WRONG_STATE
    if command in (START_SCAN, SCAN_RESULT) and wlan.scanning:
        return SCANNING
    if command == SCAN_RESULT and wlan.found is None:
        return NO_SCAN
    if command == RETRIEVE and available < 48:
        return TOO_SMALL
    if command == LAST_ERROR and bench.error.text and available <= len(bench.error.text):
        return TOO_SMALL
    return None


NAMES = st.sampled_from([b"net 1", b"net 19", b"other", b"", b"a" * 32, b"\x01", b"\xff" * 32])
PASSWORDS = st.sampled_from([b"", b"long-enough", b"short", b"\0" * 64, b"\xff" * 64])
RECORDS = st.builds(
    record, NAMES, PASSWORDS, st.sampled_from([0, 1, 0xFFFFFFFF]), st.integers(0, 255)
)
LENGTHS = st.sampled_from([0, 1, 31, 32, 33, 34, 63, 64, 65, 111, 112, 113, 2048])
DATA = st.one_of(
    RECORDS,
    NAMES.map(lambda name: name.ljust(32, b"\0")),
    LENGTHS.map(bytes),
    st.binary(max_size=130),
)
REQUESTS = st.tuples(
    st.sampled_from(COMMANDS),
    st.one_of(st.integers(0, 4), st.integers(0, 255)),
    st.sampled_from([0, 1, 2, 3, 4, 5, 0xFFFFFFFF]),
    DATA,
    st.sampled_from([0, 1, 44, 45, 47, 48, 96, 2048, 0xFFFF]),
)


@given(
    enter=st.sampled_from(STATES),
    entries=st.sampled_from([2, 20]),
    requests=st.lists(REQUESTS, max_size=12),
)
def test_anything_in_any_order(enter, entries, requests):
    bench = make_bench(enter, entries)
    for command, flags, param, data, available in requests:
        before = everything(bench)
        code = expected(bench, command, flags, data, available)
        response, answer = bench.ask(
            command, flags=flags, param=param, data=data, available=available
        )
        assert command == STATUS or len(answer) <= available  # which has one size, always
        if code is not None:
            assert response == code
        if response < 0:
            assert everything(bench) == before
        elif bench.error.text and command != START_CLIENT:
            assert everything(bench)[:2] == before[:2]  # it failed later: nothing was stored
        assert bench.wlan.faults == 0
        bench.manager.now = bench.rig.now
        bench.wlan.poll(bench.rig.now)
    assert bench.response(STATUS) == 168


@given(message=st.binary(min_size=12, max_size=140))
def test_noise_changes_nothing_that_is_stored_and_the_next_one_works(message):
    bench = make_bench(connected)
    if message[1] in (ADD, DELETE, SET_AP, RESET):
        message = message[:1] + b"\x14" + message[2:]
    before = everything(bench)
    bench.rig.transact(message)
    assert everything(bench)[:2] == before[:2]
    bench.rig.now += 1000
    bench.rig.serve()
    assert bench.response(STATUS) == 168


def test_scan_result_survives_what_is_refused():
    bench = make_bench(scanning)
    bench.radio.finds = list(ON_AIR)
    bench.wlan.poll(0)
    for command in (ADD, DELETE, SET_AP, HOST_NAME):
        refused(bench, BAD_LENGTH, command, data=b"a")
    assert bench.ask(SCAN_RESULT)[0] == 3 * 45
