"""The link in both roles: after anything from a controller the next good transaction works."""

import pytest
from fake_board import ON_AIR, Bench
from fake_pins import RIGS, make_rig
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_controller import listen_or_connect, request

from spinet import fastpath, states
from spinet.duet import wire
from spinet.duet.transaction import Link

ROLES = list(RIGS)
CLOCKED_BY_CONTROLLER = ROLES[1:]

pytestmark = pytest.mark.behaviour("L2", "L4")


class Recorder:
    """Commands that answer as told and keep what the link asks of them, in order."""

    def __init__(self, response=0, accepted=0):
        self.response = response
        self.accepted = accepted
        self.calls = []

    def wifi_state(self):
        return 4

    def answer(self, request):
        self.calls.append("answer")
        request.accepted = self.accepted
        request.refused = self.response < 0
        return self.response

    def complete(self, _request):
        self.calls.append("complete")

    def deferred(self, _request):
        self.calls.append("deferred")

    def cut(self, _request):
        self.calls.append("cut")


@pytest.fixture(params=ROLES)
def role(request):
    return request.param


@pytest.fixture
def bench(role):
    return Bench(role)


def works(bench):
    """The next good transaction: a whole NetworkStatus."""
    response, data = bench.ask(9)
    assert response == 168
    assert data[28:38] == b"2.3.0-test"


def sends(rig, message):
    """One transaction: (response, data) with the header checked."""
    version, state, response, data = rig.decode(rig.transact(message))
    assert (version, state) == (0x3E, 4)
    return response, data


# --- start-up and phases


def test_start_up_makes_two_rising_edges_and_stays_ready(role):
    rig = make_rig(role, Recorder())
    assert rig.trace.count(("data_ready", 1)) == 2
    assert rig.is_ready()
    assert not any(name == "clock" for name, _ in rig.trace)


@pytest.mark.parametrize(
    ("response", "accepted", "data_phase"),
    [
        (0, 0, []),
        (-4, 0, []),
        (1, 0, [4]),
        (45, 0, [48]),
        (168, 0, [168]),
        (2048, 0, [2048]),
        (0, 12, [12]),
        (5, 12, [12]),
        (0, 1, [4]),
        (0, 33, [36]),
        (2047, 2047, [2048]),
    ],
)
def test_phases_and_their_lengths(role, response, accepted, data_phase):
    rig = make_rig(role, Recorder(response, accepted))
    command = 5 if accepted and response else 10 if accepted else 9
    if accepted == 12:
        command = 3
    rig.transact(request(command, data=bytes(accepted)))
    phases = [n for _, n in rig.wire_side.phases]
    wanted = [8, 4, *data_phase]
    if role == "module-clocked":
        wanted = [8, 4 + sum(data_phase)]
    assert phases[: len(wanted)] == wanted
    assert phases[len(wanted) :] in ([], [8])  # controller-clocked: the next header


def test_order_of_calls(role):
    commands = Recorder()
    make_rig(role, commands).transact(request(10))
    assert commands.calls == ["answer", "complete", "deferred"]


def test_refused_request_is_answered_and_nothing_more(role):
    commands = Recorder(response=-4)
    rig = make_rig(role, commands)
    assert sends(rig, request(10))[0] == -4
    assert commands.calls == ["answer"]


def test_deferred_work_waits_for_cs(role):
    levels = []
    commands = Recorder()
    rig = make_rig(role, commands)
    commands.complete = lambda _request: levels.append(rig.cs.value())
    commands.deferred = lambda _request: levels.append(rig.cs.value())
    rig.transact(request(16))
    assert levels == [0, 1]


def test_header_tells_the_wifi_state_of_the_moment(role):
    commands = Recorder()
    rig = make_rig(role, commands)
    sends(rig, request(0))
    commands.wifi_state = lambda: 1
    if rig.role == "controller-clocked":
        rig.transact(request(0))  # its header was armed before
    assert rig.decode(rig.transact(request(0)))[1] == 1


def test_a_hundred_transactions_in_a_row(bench):
    for _ in range(100):
        works(bench)
    assert bench.rig.link.count[0] == 100
    assert bench.rig.link.cuts == 0


# --- requests that cannot be served


@pytest.mark.parametrize("version", [0x00, 0x3D, 0x3F, 0xC9, 0xFF])
def test_wrong_version(bench, version):
    assert bench.response(9, version=version) == -2
    works(bench)


@pytest.mark.parametrize("length", [2049, 4096, 0xFFFF])
def test_more_than_a_data_phase(bench, length):
    assert bench.response(5, length=length) == -5
    works(bench)


@pytest.mark.parametrize("command", [8, 31, 32, 99, 255])
def test_unknown_command(bench, command):
    assert bench.response(command) == -1
    assert bench.commands.unknown == 1
    works(bench)


@pytest.mark.parametrize("number", [8, 9, 127, 255])
@pytest.mark.parametrize("command", [1, 2, 4, 5, 6])
def test_socket_that_does_not_exist(bench, command, number):
    assert bench.response(command, number) == -11
    works(bench)


def test_noise_as_header(role):
    bench = Bench(role)

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(min_size=12, max_size=12))
    def whatever_comes(header):
        bench.rig.transact(header + bytes(2048))
        bench.turn()
        works(bench)

    whatever_comes()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 40), st.integers(0, 12), st.integers(0, 255), st.binary(max_size=200))
@pytest.mark.parametrize("role", ROLES)
def test_any_command_with_any_data(role, command, number, flags, data):
    bench = Bench(role)
    bench.connected()
    bench.rig.transact(request(command, number, flags, data))
    bench.turn()
    works(bench)


# --- a controller that dies

CUTS = [1, 3, 7, 8, 9, 11, 12, 13, 15, 100, 2047]


@pytest.mark.parametrize("role", CLOCKED_BY_CONTROLLER)
@pytest.mark.parametrize("n", CUTS)
@pytest.mark.parametrize("command", [3, 4, 5, 6, 9, 10, 18, 28])
def test_controller_dies_and_comes_back_with_an_edge(role, command, n):
    bench = Bench(role)
    peer = bench.connected()
    peer.send(bytes(2048))
    data = bytes(2048 if command in (4, 5, 9, 28) else {3: 12, 10: 112, 18: 64}.get(command, 0))
    message = request(command, data=data)
    bench.rig.die_after(message + bytes(2060 - len(message)), n)
    bench.rig.cs.drive(1)
    bench.rig.begin_anew()
    bench.rig.transfer_ready.drive(0)
    bench.turn()
    works(bench)


@pytest.mark.parametrize("role", CLOCKED_BY_CONTROLLER)
@pytest.mark.parametrize("n", [8, 9, 12, 13, 100])
def test_controller_dies_silently_and_the_time_out_clears_it(role, n):
    bench = Bench(role)
    message = request(28, data=bytes(2048))
    bench.rig.die_after(message, n)
    bench.rig.serve(499)
    bench.rig.transfer_ready.drive(0)
    bench.rig.cs.drive(1)
    bench.rig.serve(501)
    works(bench)


@pytest.mark.parametrize("role", CLOCKED_BY_CONTROLLER)
def test_time_out_alone_clears_it_with_cs_low_for_ever(role):
    bench = Bench(role)
    bench.rig.die_after(request(28, data=bytes(2048)), 100)
    assert bench.rig.link.cuts == 0
    bench.rig.serve(500)
    assert bench.rig.link.cuts == 1
    assert bench.rig.data_ready.value() == 1
    bench.rig.transfer_ready.drive(0)
    bench.rig.cs.drive(1)
    works(bench)


@pytest.mark.parametrize("n", [0, 1, 4, 8, 10, 12, 13, 100])
@pytest.mark.parametrize("level", [0x00, 0xFF])
def test_module_clocks_a_dead_controller(n, level):
    bench = Bench("module-clocked")
    bench.rig.die_after(request(28, data=bytes(64)), n, level)
    works(bench)


# --- what a cut must not leave behind


def cut_in_data(bench, message, n=20):
    bench.rig.die_after(message, n)
    bench.rig.transfer_ready.drive(0)
    bench.rig.cs.drive(1)
    bench.rig.serve(500)


@pytest.mark.parametrize("role", CLOCKED_BY_CONTROLLER)
def test_read_that_is_cut_breaks_the_connection_visibly(role):
    bench = Bench(role)
    bench.connected().send(bytes(100))
    cut_in_data(bench, request(4) + bytes(100))
    assert bench.ask(6, 0)[1][0] == states.ABORTED
    assert bench.manager.rows[fastpath.ROW_CLOSED] == 1


@pytest.mark.parametrize("role", CLOCKED_BY_CONTROLLER)
def test_read_that_is_cut_before_its_data_breaks_it_too(role):
    bench = Bench(role)
    bench.connected().send(bytes(100))
    cut_in_data(bench, request(4), 8)
    assert bench.ask(6, 0)[1][0] == states.ABORTED


@pytest.mark.parametrize("role", CLOCKED_BY_CONTROLLER)
def test_empty_read_that_is_cut_breaks_nothing(role):
    bench = Bench(role)
    bench.connected()
    cut_in_data(bench, request(4), 8)
    assert bench.ask(6, 0)[1][0] == states.CONNECTED


@pytest.mark.parametrize("role", CLOCKED_BY_CONTROLLER)
@pytest.mark.parametrize("n", [8, 12, 20])
def test_create_that_is_cut_gives_its_slot_back(role, n):
    bench = Bench(role)
    bench.stack.servers[80] = []
    cut_in_data(bench, request(3, data=listen_or_connect(80, 0x0100007F)), n)
    bench.turn()
    assert [slot.state for slot in bench.manager.slots] == [states.FREE] * 8
    assert bench.stack.open_handles() == []
    assert bench.response(3, data=listen_or_connect(80, 0x0100007F)) == 0


@pytest.mark.behaviour("D5")
@pytest.mark.parametrize("role", CLOCKED_BY_CONTROLLER)
@pytest.mark.parametrize("n", [12, 20])
def test_write_that_is_cut_after_its_response_breaks_the_connection_visibly(role, n):
    bench = Bench(role)
    peer = bench.connected()
    cut_in_data(bench, request(5, flags=3, data=b"x" * 100), n)
    bench.turn()
    assert peer.received() == b""
    assert bench.ask(6, 0)[1][0] == states.ABORTED


@pytest.mark.parametrize("role", CLOCKED_BY_CONTROLLER)
def test_write_that_is_cut_before_its_response_accepts_nothing(role):
    bench = Bench(role)
    peer = bench.connected()
    cut_in_data(bench, request(5, flags=3, data=b"x" * 100), 8)
    bench.turn()
    assert peer.received() == b""
    assert bench.ask(6, 0)[1][0] == states.CONNECTED
    assert bench.response(5, flags=2, data=b"whole") == 5
    bench.turn()
    assert peer.received() == b"whole"


@pytest.mark.parametrize("role", CLOCKED_BY_CONTROLLER)
@pytest.mark.parametrize("command", [10, 13, 18, 28])
@pytest.mark.parametrize("n", [8, 20])
def test_command_that_is_cut_does_nothing(role, command, n):
    bench = Bench(role)
    bench.connected()
    cut_in_data(bench, request(command, data=b"a" * {18: 64, 16: 0}.get(command, 112)), n)
    assert bench.networks.remembered() == []
    assert bench.manager.rows[fastpath.ROW_CONNECTED] == 1
    assert bench.discovery.host_name == b"spinet"
    told = n > 12  # the controller had its response, and takes the command for done
    assert ("cut short" in bench.last_error()) == told
    works(bench)


def test_header_that_never_came_is_not_the_last_one_again(bench):
    works(bench)
    bench.rig.link.begin()
    bench.rig.link.answer()
    assert bench.rig.link.response == -2


def test_link_counts_what_was_wrong():
    link = Link(Recorder())
    link.begin()
    link.answer()
    assert (link.response, link.bad_headers, link.data_length) == (-2, 1, 0)


# --- what is told once is told


@pytest.mark.behaviour("L4")
@pytest.mark.parametrize("role", CLOCKED_BY_CONTROLLER)
@pytest.mark.parametrize("n", [8, 12, 13])
def test_last_error_whose_transaction_is_cut_is_told_again(role, n):
    bench = Bench(role)
    bench.error.set("no network")
    cut_in_data(bench, request(19) + bytes(12), n)
    assert bench.wlan.has_news()
    assert bench.last_error() == "no network"
    assert not bench.wlan.has_news()
    assert bench.last_error() == ""


@pytest.mark.parametrize("role", CLOCKED_BY_CONTROLLER)
def test_error_that_comes_while_another_is_told_is_told_next(role):
    bench = Bench(role)
    bench.error.set("no network")
    bench.rig.die_after(request(19), 8)
    bench.error.set("no network")  # it is tried again, and there is still none
    bench.rig.phase(bytes(4))
    bench.rig.phase(bytes(12))
    bench.rig.let_go()
    assert bench.wlan.has_news()
    assert bench.last_error() == "no network"
    assert bench.last_error() == ""


@pytest.mark.parametrize("role", CLOCKED_BY_CONTROLLER)
@pytest.mark.parametrize("n", [8, 12, 57])
def test_scan_result_whose_transaction_is_cut_is_there_still(role, n):
    bench = Bench(role)
    bench.response(24)
    bench.radio.finds = list(ON_AIR)
    bench.wlan.poll(bench.rig.now)
    cut_in_data(bench, request(25) + bytes(136), n)
    assert bench.response(25) == 135
    assert bench.response(25) == wire.NO_SCAN_STARTED


@pytest.mark.parametrize("role", CLOCKED_BY_CONTROLLER)
def test_refusal_of_an_enterprise_network_that_is_cut_is_told_again(role):
    bench = Bench(role)
    record = bytearray(112)
    record[16:20] = b"Work"
    assert bench.response(26, data=bytes(record), param=4) == 0  # there is no such EAP protocol
    cut_in_data(bench, request(26, flags=2), 8)
    assert bench.response(26, flags=2) == wire.BAD_PARAMETER
    assert bench.response(26, flags=2) == wire.WRONG_STATE


def test_header_that_is_no_request_tells_nothing(role):
    bench = Bench(role)
    bench.error.set("no network")
    if role in CLOCKED_BY_CONTROLLER:
        cut_in_data(bench, request(19) + bytes(12), 12)
    bench.rig.transact(request(0, version=0x3D))
    assert bench.last_error() == "no network"


def test_state_that_the_header_may_not_have_shown_stays_news(role):
    """A target's header is armed when the state changes, and the hardware may have it already."""
    bench = Bench(role)
    bench.ask(0)
    bench.wlan.set_state(states.WIFI_CONNECTING)
    bench.rig.link.refresh()
    shown = None
    while bench.wlan.has_news():
        _, shown, _, _ = bench.rig.decode(bench.rig.transact(request(19)))
    assert shown == states.WIFI_CONNECTING


def test_result_that_is_told_takes_no_later_one_along(role):
    bench = Bench(role)
    for _ in range(2):
        assert bench.response(24) == 0
        bench.radio.finds = list(ON_AIR)
        bench.wlan.poll(bench.rig.now)
        works(bench)
        assert bench.response(25) == 135
