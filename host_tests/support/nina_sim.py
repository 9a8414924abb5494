"""SIM as a NINA, and what its controller is: `start_nina` for both.

On the stack lwIP all of it has a network of its own, in which SIM is at the other end of a TAP
device.
"""

import contextlib
import socket

import pytest
from nina_driver import Board
from own_network import ADDRESSES, WITH_TAP, own_network
from raw_controller import PATIENCE
from sim_process import BINARY, LWIP_BINARY, SimProcess


class NinaSim(SimProcess):
    """A serving NINA; `connection` is the controller's end of its bus."""

    def __init__(self, folder, *options, **popen):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(PATIENCE)
            port = str(listener.getsockname()[1])
            state = str(folder / "state")
            arguments = ["-m", "sim", "--protocol", "nina", "--port", port, "--state", state]
            super().__init__([*arguments, *options], cwd=folder, **popen)
            try:
                self.connection, _ = listener.accept()
            except TimeoutError:
                self.end()
                raise


@pytest.fixture(params=["sockets", "lwip"])
def stack(request):
    """The name of SIM's TCP stack."""
    return request.param


@pytest.fixture
def start_nina(stack, tmp_path):
    """start_nina(controller, *options) -> (SIM, its Driver or Board); all are ended and looked at.

    `radio` is a script of access points. `peer` of the controller is the address of peers,
    `address` the module's.
    """
    with contextlib.ExitStack() as ending:
        popen = {"binary": BINARY}
        if stack == "lwip":
            popen = {"binary": LWIP_BINARY, "before": WITH_TAP}
            ending.enter_context(own_network())

        def start(make_controller, *options, radio=None):
            if radio is not None:
                script = tmp_path / "radio.txt"
                script.write_text(radio)
                options += ("--radio", str(script))
            sim = NinaSim(tmp_path, *options, **popen)
            ending.callback(sim.check)
            ending.callback(sim.end)
            controller = make_controller(sim.connection)
            ending.callback(controller.close)
            controller.peer, controller.address = ADDRESSES[stack]
            return sim, controller

        yield start


@pytest.fixture
def board(start_nina):
    """A board whose module has booted."""
    _, board = start_nina(Board)
    return board
