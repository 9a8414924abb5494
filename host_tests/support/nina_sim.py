"""SIM as a NINA, and what its controller is: `start_nina` for both."""

import socket

import pytest
from nina_driver import Board, Driver
from raw_controller import PATIENCE
from sim_process import SimProcess


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


@pytest.fixture
def start_nina(tmp_path):
    """start_nina(controller, *options) -> (SIM, its Driver or Board); all are ended and looked at.

    `radio` is a script of access points.
    """
    started = []

    def start(controller, *options, radio=None, **popen):
        if radio is not None:
            script = tmp_path / "radio.txt"
            script.write_text(radio)
            options += ("--radio", str(script))
        sim = NinaSim(tmp_path, *options, **popen)
        started.append((sim, controller(sim.connection)))
        return started[-1]

    yield start
    for sim, controller in started:
        controller.close()
        sim.end()
    for sim, _ in started:
        sim.check()


@pytest.fixture
def driver(start_nina):
    """MicroPython's driver alone, whose module has booted."""
    _, driver = start_nina(Driver)
    return driver


@pytest.fixture
def board(start_nina):
    """A board whose module has booted."""
    _, board = start_nina(Board)
    return board
