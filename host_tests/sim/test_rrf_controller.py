"""SIM under a controller that gives up, polls, and leaves TRANSFER_READY high, as in the field.

`make pauses` is the full run of what is short here.
"""

import random
import signal
import threading
import time

import pytest
from endurance import pauses
from endurance.pauses import Peer
from endurance.soak import config
from interrupted import interrupt
from raw_controller import PATIENCE
from rrf_controller import UNHURRIED, RrfNetwork
from sim_process import ROLES, start_sim
from slots import free_port

from spinet.duet import wire
from spinet_controller.codes import Command

__all__ = ["start_sim"]

PAUSES = 30
FEW = 5
ECHOES = 20
LONG_TRANSACTIONS = 60
BOOTS = 10
EITHER = [*((role, "strict") for role in ROLES), ("module-clocked", "rrf")]


@pytest.fixture
def sim(start_sim):
    """A module that has booted for a Duet."""
    started = start_sim("module-clocked", controller="rrf")
    started.power_on()
    return started


def give_up(sim):
    """A request while the module stands still, as long as a controller waits."""
    sim.controller.patience = 1
    assert sim.ask(Command.NETWORK_GET_STATUS)[0] == wire._TIMEOUT
    sim.controller.patience = UNHURRIED


@pytest.mark.behaviour("L5")
def test_a_link_that_was_late_heals_by_itself(sim):
    controller = sim.controller
    sim.stand_still()
    give_up(sim)
    sim.signal(signal.SIGCONT)
    clocked = controller.unarmed
    controller.until(lambda: controller.unarmed >= clocked + 10 and controller.idle())
    assert sim.ask(Command.NETWORK_GET_STATUS)[0] == 168
    assert controller.early == 0


@pytest.mark.behaviour("L5")
def test_requests_that_were_given_up_leave_nothing_behind(sim):
    controller = sim.controller
    sim.stand_still()
    for _ in range(3):
        give_up(sim)
    sim.signal(signal.SIGCONT)
    for _ in range(10):
        assert sim.ask(Command.NETWORK_GET_STATUS)[0] == 168
    assert controller.early == 0


@pytest.mark.behaviour("L5")
@pytest.mark.parametrize("command", [Command.NULL, Command.NETWORK_GET_STATUS])
def test_a_long_transaction_is_not_followed_by_another_one(sim, command):
    """Transactions of 12 ms, with TRANSFER_READY falling 5 ms later, at any point of the loop."""
    controller = sim.controller
    controller.shift_s, controller.drop_s = 0.006, 0.005
    draw = random.Random(1)
    for _ in range(LONG_TRANSACTIONS):
        assert sim.ask(command)[0] >= 0
        time.sleep(draw.uniform(0, 0.01))
    assert controller.early == 0


@pytest.mark.behaviour("L6")
def test_a_controller_that_polls_sees_every_start(sim):
    for _ in range(BOOTS):
        sim.controller.power_off()
        sim.power_on()
        assert sim.ask(Command.NETWORK_GET_STATUS)[0] == 168


@pytest.mark.parametrize(("role", "controller"), EITHER)
def test_peers_are_served_by_either_controller(start_sim, role, controller):
    sim = start_sim(role, controller=controller)
    sim.power_on()
    network, over = RrfNetwork(sim.controller, b"Workshop", free_port()), threading.Event()
    network.ask(Command.NETWORK_ADD_SSID, data=config(b"Workshop"))
    turn_until(network, lambda: network.listening)
    peers = [Peer(network.port, random.Random(number), over) for number in range(4)]
    for peer in peers:
        peer.start()
    turn_until(network, lambda: sum(peer.whole for peer in peers) >= ECHOES)
    over.set()
    turn_until(network, lambda: not any(peer.is_alive() for peer in peers) and network.all_free())
    assert [peer.wrong for peer in peers] == [[]] * 4
    assert sum(peer.broken for peer in peers) == 0
    assert network.failed == {}


def turn_until(network, condition):
    limit = time.monotonic() + 2 * PATIENCE
    while not condition():
        assert time.monotonic() < limit
        network.turn()


@pytest.mark.behaviour("L5", stack="sockets")
@pytest.mark.parametrize(("role", "controller"), EITHER)
def test_a_module_that_stood_still_again_and_again_works(role, controller):
    count = PAUSES if controller == "rrf" else FEW
    report = pauses.run(count, 1, controller, role)
    assert report["failures"] == []
    assert report["pauses"] == count


def test_an_interrupted_run_leaves_no_process():
    interrupt(lambda advance: pauses.run(FEW, 1, "rrf", "module-clocked", advance))
